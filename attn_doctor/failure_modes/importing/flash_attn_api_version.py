"""A program imports functions that only another major release of flash_attn has.

What it is
    flash-attn 2 renamed the functions of flash-attn 1 (unpadded became varlen) and removed modules. flash-attn 3 is a separate
    package, for Hopper GPUs. A program that was written for one major release does not run with another.

How it shows
    "cannot import name 'flash_attn_unpadded_qkvpacked_func' from 'flash_attn.flash_attn_interface'", "No module named
    'flash_attn.flash_attention'", "No module named 'flash_attn_cuda'" or 'flash_attn_3_cuda', "flash_attn_varlen_func() got an
    unexpected keyword argument".

Why it happens
    `pip install flash-attn` installs the newest 2.x. Code from before July 2023 was written for 1.x, and code for Hopper GPUs
    needs flash-attn 3. Or an old transformer-engine, xformers or apex imports a function that only one release has.

What to do
    Old program, new flash-attn: install a newer version of the program, or change the names in it (unpadded to varlen). If the program
    cannot be changed, install flash-attn 1.0.9, which can be built only with an old torch. New program, old flash-attn ("missing 1
    required positional argument: 'max_s'" comes from flash-attn 0.x and 1.x): install flash-attn 2 and torch 2.2 or newer, for which it
    has wheels. YOLO12's code also runs without flash-attn.

How to reproduce
    `attn-doctor reproduce flash-attn-api-version` imports a function of flash-attn 1 from flash-attn 2. It downloads 10 MB,
    and a CPU build of torch (200 MB) where the target's will not do.

References
    https://github.com/Dao-AILab/flash-attention#changelog
    https://github.com/Dao-AILab/flash-attention/issues/641
    https://github.com/Dao-AILab/flash-attention/issues/923
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.recipe import Extension, Recipe, Source, Torch
from attn_doctor.failure_modes.shared import torch_steps, wheel_fixes
from attn_doctor.logs.reader import Seen
from attn_doctor.model import versions
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Confidence, Evidence, Fix, Severity, fact

MODE = FailureMode(
    code="AD309",
    slug="flash-attn-api-version",
    title="A program written for another major version of flash-attn",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    explains=("yolo12-flash-not-used", "transformers-flash-attn-2-not-installed"),
    signs=(
        Sign(
            pattern=r"cannot import name '?(?P<name>flash_attn\w*|FlashMHA|FlashAttention|\w*flash_attn\w*_func)'? from "
            r"'(?P<place>flash_attn[\w.]*)'(?! \(unknown\b)",
            literal="cannot import name ",
            sample="ImportError: cannot import name 'flash_attn_unpadded_func' from 'flash_attn.flash_attn_interface' "
            "(/venv/lib/python3.11/site-packages/flash_attn/flash_attn_interface.py)",
        ),
        Sign(
            pattern=r"cannot import name '?(?P<name>flash_attn_unpadded\w*)",
            literal="flash_attn_unpadded",
            sample="ImportErrorImportError: : cannot import name 'flash_attn_unpadded_qkvpacked_func'",
        ),
        Sign(
            pattern=r"No module named '?(?P<module>flash_attn\.(?!cute)[\w.]+|flash_attn_cuda|flash_attn_3(?:_cuda)?|flashattn_hopper_cuda|"
            r"flash_attn_interface)\b",
            literal="No module named ",
            sample="ModuleNotFoundError: No module named 'flash_attn.flash_attention'",
        ),
        Sign(
            pattern=r"module '(?P<place>flash_attn[\w.]*)' has no attribute '(?P<name>\w+)'",
            literal="module 'flash_attn",
            sample="AttributeError: module 'flash_attn.flash_attn_interface' has no attribute 'flash_attn_unpadded_func'",
        ),
        Sign(
            pattern=r"flash_attn\w*\(\) missing \d+ required positional arguments?: .{0,80}'(?P<first>max_s|cu_seqlens)'",
            literal="required positional argument",
            sample="TypeError: flash_attn_func() missing 1 required positional argument: 'max_s'",
        ),
        Sign(
            pattern=r"\bflash[-_]attn(?:-|==)(?P<installed>[01]\.\d[\w.]*)",
            literal="attn",
            sample="Successfully installed flash-attn-1.0.9",
            strength="context",
        ),
        Sign(
            pattern=r"flash_attn\w*\(\) (?:expected at most \d+ argument|missing \d+ required|takes \d+ positional|takes from \d+)",
            literal=" argument",
            sample="RuntimeError: flash_attn() expected at most 5 argument(s) but received 6 argument(s).",
        ),
        Sign(
            pattern=r"flash_attn\w*\(\) got an unexpected keyword argument '(?P<argument>\w+)'",
            literal="() got an unexpected keyword",
            sample="TypeError: flash_attn_varlen_func() got an unexpected keyword argument 'softcap'",
        ),
        Sign(
            pattern=r"NameError: name '(?P<name>flash_attn\w*_func)' is not defined",
            literal="NameError: name 'flash_attn",
            sample="NameError: name 'flash_attn_unpadded_func' is not defined",
        ),
        Sign(
            pattern=r"Requires Flash-?Attention version >=(?P<low>\d[\w.]*),?<=(?P<high>\d[\w.]*) but got (?P<have>\d[\w.]*)",
            literal="but got ",
            sample="ImportError: Requires Flash-Attention version >=2.7.1,<=2.8.2 but got 2.8.3.",
        ),
    ),
    recipe=Recipe(
        does="imports a function of flash-attn 1 from flash-attn 2",
        of=(Torch(), Source(), Extension(name="flash_attn_2_cuda")),
        run=(
            (
                "{python}",
                "-c",
                "import sys; sys.path.insert(0, '{source}'); from flash_attn.flash_attn_interface import flash_attn_unpadded_func",
            ),
        ),
        shows="cannot import name 'flash_attn_unpadded_func'",
        seconds=15,
    ),
)

_NAME = re.compile(r"cannot import name '(\w+)' from '(flash_attn[\w.]*)' \(/")


def detect(facts: Facts) -> Hit | None:
    """Find the failed import of the YOLO12 fork. For other programs, the facts do not contain the names that they import."""
    error = facts.yolo.flash_error
    found = _NAME.search(error) if isinstance(error, str) else None
    if found is None:
        return None
    return Hit(
        message=f"The YOLO12 fork imports {found[1]} from {found[2]}, and flash-attn {facts.flash_attention.version} does not have {found[1]}.",
        evidence=(fact(facts, "yolo.flash_error"),),
        certainty=Certainty.OBSERVED,
    )


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    have = seen.group("have")
    if have:
        message = f"A program accepts flash-attn {seen.group('low')} to {seen.group('high')}, and {have} is installed."
        return Hit(
            message=message,
            evidence=evidence,
            confidence=Confidence.MEDIUM,
            severity=Severity.ERROR,
        )
    wants = _wants(seen)
    if seen.group("first"):
        message = "flash_attn 0.x or 1.x is installed, and the program calls it with the arguments of release 2."
        return Hit(message=message, evidence=evidence, severity=Severity.ERROR, variant=wants)
    wanted = seen.group("name") or seen.group("module") or seen.group("argument")
    text = (
        f"A program asks flash_attn for {wanted}"
        if wanted
        else "A program calls flash_attn with arguments of another release"
    )
    three = wanted in ("flash_attn_3", "flash_attn_3_cuda", "flashattn_hopper_cuda", "flash_attn_interface")
    side = "that is flash-attn 3, a separate package" if three else "the installed release does not have it"
    return Hit(message=f"{text}: {side}.", evidence=evidence, severity=Severity.ERROR, variant=wants)


class Newer(Variant, frozen=True, kw_only=True):
    """Hold the oldest flash-attn that the program can use ("2.6"), and whether 0.x or 1.x is installed."""

    least: str
    first_ones: bool


# The release that brought a name or an argument: https://github.com/Dao-AILab/flash-attention#changelog
_SINCE = {
    "flash_attn_func": "2.0",
    "flash_attn_varlen_func": "2.0",
    "flash_attn_varlen_qkvpacked_func": "2.0",
    "flash_attn_varlen_kvpacked_func": "2.0",
    "flash_attn_with_kvcache": "2.2",
    "window_size": "2.3",
    "alibi_slopes": "2.4",
    "deterministic": "2.4.1",
    "block_table": "2.5",
    "softcap": "2.6",
}


def _wants(seen: Seen) -> Newer | None:
    """Return the newer flash-attn that the program needs; None if the log does not show that it needs a newer one."""
    old = seen.group("first") is not None or seen.group("installed") is not None
    asked = seen.group("name") or seen.group("argument") or ""
    least = _SINCE.get(asked)
    if least is None and not old:
        return None
    if "unpadded" in asked or seen.group("module"):
        return None
    return Newer(least=least or "2.0", first_ones=old or least == "2.0")


def _newer(facts: Facts, newer: Newer) -> tuple[Fix, ...]:
    """Return the fixes: install a flash-attn that has the function, with a torch that it has wheels for, or do without flash-attn."""
    why = f"the program needs flash-attn {newer.least} or newer"
    found = wheel_fixes.flash_attn_fixes(facts, why)
    first, *rest = found or (wheel_fixes.look_it_up(facts),)
    known_old = isinstance(facts.torch.version, str) and (versions.pair(facts.torch.version) or (0, 0)) < (2, 2)
    if newer.first_ones and (known_old or not isinstance(facts.torch.version, str)):
        reason = f"{why}, which has finished wheels for torch 2.2 and newer; flash-attn 0.x and 1.x were made for torch 1.12 to 2.0"
        steps = (*torch_steps.for_flash_attn(facts, reason), *wheel_fixes.look_it_up(facts).steps)
        first = Fix(title="Install flash-attn 2, and a torch that it has wheels for", steps=steps, verify=first.verify)
    return (first, *rest)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, Newer):
        return _newer(facts, hit.variant)
    step = commands.by_hand(
        (),
        "install a version of the program that was written for the installed flash-attn, or change the names in the program: unpadded to varlen",
        "the program that imports flash_attn",
    )
    return (Fix(title="Make the program fit the installed flash-attn", steps=(step,), verify=commands.check(facts)),)
