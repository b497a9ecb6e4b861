"""The name of a flash-attn wheel says one C++ ABI, and its code has the other ABI.

What it is
    Some official wheels have cxx11abiFALSE in their name, but were compiled with the new C++ ABI (TRUE). setup.py
    downloads a wheel by this name, and importing flash_attn fails.

How it shows
    pip installs ...torch2.6cxx11abiFALSE... without an error. The import ends with "undefined symbol:
    _ZN3c105ErrorC2ENS_14SourceLocationENSt7__cxx1112basic_string...": this symbol has the new ABI, and the installed
    torch has the old ABI.

Why it happens
    The workflow that built these wheels installed a torch with the new ABI, and the variable that chooses the ABI can
    only set TRUE.

What to do
    Install an older flash-attn whose wheel for this torch was built with the ABI in its name (`attn-doctor wheels`
    names it), or a torch whose ABI is TRUE.

How to reproduce
    `attn-doctor reproduce flash-attn-wheel-mislabelled` judges a machine with such a wheel: a simulated machine, on which
    nothing is run.

References
    https://github.com/Dao-AILab/flash-attention/issues/1783
    https://github.com/Dao-AILab/flash-attention/issues/1717
"""

from __future__ import annotations

from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, every, known
from attn_doctor.failure_modes.recipe import Recipe
from attn_doctor.failure_modes.shared import building, wheel_fixes, wheel_without_compiling
from attn_doctor.failure_modes.shared.fact_queries import cuda_build
from attn_doctor.knowledge import wheels
from attn_doctor.knowledge.wheel_key import key_of
from attn_doctor.knowledge.wheels import Wheel
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Evidence, Fix, Severity, fact

MODE = FailureMode(
    code="AD214",
    slug="flash-attn-wheel-mislabelled",
    title="A wheel whose C++ ABI is not the one in its name",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    blocks=("flash-attn-2",),
    explains=("abi-mismatch-cxx11", "yolo12-flash-not-used"),
    signs=(
        Sign(
            pattern=r"flash_attn-(?P<release>\d[\w.]{1,30})(?:\+|%2B)(?P<rest>cu\d{1,4}torch[\d.]{1,8}cxx11abi(?:TRUE|FALSE)-cp\d{1,4}-"
            r"cp\d{1,4}t?-\w{1,40})\.whl",
            literal="cxx11abi",
            sample="Guessing wheel URL:  https://github.com/Dao-AILab/flash-attention/releases/download/v2.8.3/"
            "flash_attn-2.8.3+cu12torch2.6cxx11abiFALSE-cp311-cp311-linux_x86_64.whl",
            strength="hint",
        ),
    ),
    recipe=Recipe(
        does="judges a machine with such a wheel",
        seconds=1,
    ),
)


def detect(facts: Facts) -> Hit | None:
    flash = facts.flash_attention
    if not every(
        lambda: cuda_build(facts), lambda: known(facts.system.os) == "linux", lambda: not building.works(facts)
    ):
        return None
    if isinstance(flash.version, str):
        label, torch = known(flash.wheel_abi), known(flash.wheel_torch)
        held = next(
            (
                w
                for w in _wheels(flash.version.partition("+")[0])
                if w.torch == torch and w.cxx11_abi is label and _lies(w)
            ),
            None,
        )
        if held is None:
            return None
        return Hit(
            message=f"The installed flash-attn {flash.version} has {_abi(held.cxx11_abi)} in its name, but was built with {_abi(held.really)}.",
            evidence=(fact(facts, "flash_attention.version"), fact(facts, "torch.cxx11_abi")),
        )
    asked = building.asked_for(facts, building.wanted_release(facts))
    lying = _named(asked.filename)
    if lying is None:
        return None
    return Hit(
        message=f"setup.py would download {lying.filename}, which has {_abi(lying.cxx11_abi)} in its name, but was built with {_abi(lying.really)}.",
        evidence=(fact(facts, "torch.version"), fact(facts, "torch.cxx11_abi")),
    )


def _wheels(release: str) -> tuple[Wheel, ...]:
    return wheels.of_release(release)


def _lies(wheel: Wheel) -> bool:
    return wheel.really is not wheel.cxx11_abi


def _named(filename: str) -> Wheel | None:
    """Return the official wheel with this file name, if the name states the wrong ABI; else None."""
    release = filename.removeprefix("flash_attn-").partition("+")[0]
    return next((w for w in _wheels(release) if w.filename == filename and _lies(w)), None)


def _abi(new: bool) -> str:
    return "cxx11abiTRUE" if new else "cxx11abiFALSE"


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if not any(log.of("abi-mismatch-cxx11") for log in seen.logs):
        return None  # the name alone is not a failure: perhaps the wheel was not installed
    for match in seen.matches:
        wheel = _named(f"flash_attn-{match.groups['release']}+{match.groups['rest']}.whl")
        if wheel is not None:
            return Hit(
                message=f"{wheel.filename} has {_abi(wheel.cxx11_abi)} in its name, but was built with {_abi(wheel.really)}.",
                evidence=building.lines((match,)),
            )
    return None


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    key = key_of(facts)
    return () if isinstance(key.torch, Unknown) else wheel_without_compiling.fixes(facts)


def usual(facts: Facts) -> tuple[Fix, ...]:
    """Return the fix for a machine whose versions are not known: the command that finds the wheel of flash-attn."""
    return (wheel_fixes.look_it_up(facts),)
