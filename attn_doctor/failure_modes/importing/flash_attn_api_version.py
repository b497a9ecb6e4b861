"""A program asks flash_attn for names of another major release.

What it is
    flash-attn 2 renamed the functions of flash-attn 1 (unpadded became varlen) and dropped modules; flash-attn 3 is a package
    of its own, for Hopper GPUs. A program that was written for one does not run with another.

How it shows
    "cannot import name 'flash_attn_unpadded_qkvpacked_func' from 'flash_attn.flash_attn_interface'", "No module named
    'flash_attn.flash_attention'", "No module named 'flash_attn_cuda'" or 'flash_attn_3_cuda', "flash_attn_varlen_func() got an
    unexpected keyword argument".

Why it happens
    `pip install flash-attn` gives the newest 2.x; code from before July 2023 was written for 1.x. Code for Hopper needs 3. Or
    an old transformer-engine, xformers or apex imports a function that only one release has.

What to do
    The missing name tells the direction: varlen came with flash-attn 2.0, softcap with 2.6, so a newer flash-attn has it; unpadded
    is of 1.x, so a newer version of the program is needed, or other names (unpadded to varlen). flash-attn 1.0.9 builds only with
    an old torch.

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
from typing import Literal

from packaging.version import Version

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.recipe import Extension, Recipe, Source, Torch
from attn_doctor.failure_modes.shared import torch_steps, wheel_fixes
from attn_doctor.knowledge import built_packages
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Confidence, Evidence, Fix, Severity, fact
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import parse

MODE = FailureMode(
    code="AD309",
    slug="flash-attn-api-version",
    title="A program written for another major of flash-attn",
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
            pattern=r"flash_attn\w*\(\) (?:expected at most \d+ argument|missing \d+ required (?:positional|keyword-only) arguments?: '(?P<missing>\w+)'|"
            r"missing \d+ required|takes \d+ positional|takes from \d+)",
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
        # The weights of the fork, whose requirements name its flash-attn.
        Sign(
            pattern=r"\b(?P<fork>yolov12)[nsmlx]?(?:\.(?:pt|yaml)\b|[\\/]ultralytics\b)",
            literal="yolov12",
            sample="yolo predict model=yolov12n.pt",
            strength="context",
        ),
        Sign(
            pattern=r"Requires Flash-?Attention version >=(?P<low>\d[\w.]*),?<=(?P<high>\d[\w.]*) but got (?P<have>\d[\w.]*\w)",
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
    """Find the failed import of the YOLO12 fork. No fact says which names other programs import."""
    error = facts.yolo.flash_error
    found = _NAME.search(error) if isinstance(error, str) else None
    if found is None:
        return None
    return Hit(
        message=f"The YOLO12 fork asks {found[2]} for {found[1]}, which flash-attn {facts.flash_attention.version} does not have.",
        evidence=(fact(facts, "yolo.flash_error"),),
        certainty=Certainty.OBSERVED,
    )


class Wanted(Variant, frozen=True, kw_only=True):
    """Say which flash-attn a program was written for: `least` and newer, up to `most`; `most` alone: an older one."""

    direction: Literal["newer", "older", "between", "another package", "unknown"]
    least: str | None = None
    most: str | None = None
    yolov12: bool = False  # sunsmarterjie/yolov12, whose requirements name flash-attn and torch


# What came with which release: https://github.com/Dao-AILab/flash-attention#changelog, and the names in flash_attn_interface.py at
# its tags. `max_s` is an argument of 0.x and 1.x, which newer programs do not give.
_CAME_WITH = (
    (re.compile(r"softcap"), "2.6"),
    (re.compile(r"block_table"), "2.5"),
    (re.compile(r"alibi_slopes|deterministic"), "2.4"),
    (re.compile(r"window_size"), "2.3"),
    (re.compile(r"with_kvcache"), "2.2"),
    (re.compile(r"varlen|max_s|flash_attn_(?:qkvpacked_|kvpacked_)?func$|flash_attn_2_cuda"), "2.0"),
)
_OF_ONE = re.compile(r"unpadded|flash_attn\.flash_attention|FlashMHA|FlashAttention|flash_attn_cuda")
_OF_THREE = ("flash_attn_3", "flash_attn_3_cuda", "flashattn_hopper_cuda", "flash_attn_interface")
# https://github.com/sunsmarterjie/yolov12: its requirements.txt
_YOLOV12_FLASH, _YOLOV12_TORCH = "2.7.3", "2.2.2"


def _wanted(seen: Seen) -> Wanted:
    name = seen.group("name") or seen.group("module") or seen.group("argument") or seen.group("missing") or ""
    if seen.group("have"):
        return Wanted(direction="between", least=seen.group("low"), most=seen.group("high"))
    if name in _OF_THREE:
        return Wanted(direction="another package")
    if _OF_ONE.search(name):
        return Wanted(direction="older", most="2")
    least = next((release for pattern, release in _CAME_WITH if pattern.search(name)), None)
    if least is None:
        return Wanted(direction="unknown")
    return Wanted(direction="newer", least=least, yolov12=seen.group("fork") is not None)


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    have, wanted = seen.group("have"), _wanted(seen)
    if have:
        message = f"A program accepts flash-attn {seen.group('low')} to {seen.group('high')}, and {have} is there."
        return Hit(
            message=message,
            evidence=evidence,
            confidence=Confidence.MEDIUM,
            severity=Severity.ERROR,
            variant=wanted,
        )
    name = seen.group("name") or seen.group("module") or seen.group("argument")
    missing = seen.group("missing")
    if name:
        text = f"A program asks flash_attn for {name}"
    elif missing:
        text = f"A program calls flash_attn without {missing}"
    else:
        text = "A program calls flash_attn with other arguments than it has"
    side = {
        "another package": "that is flash-attn 3, a package of its own",
        "newer": f"that is of flash-attn {wanted.least} and newer, and an older one is there",
        "older": "that is of flash-attn 1, and a newer one is there",
    }.get(wanted.direction, "the release there is another than the program was written for")
    if missing and wanted.direction == "newer":
        side = f"only flash-attn before {wanted.least} asks for it, and the program was written for a newer one"
    return Hit(message=f"{text}: {side}.", evidence=evidence, severity=Severity.ERROR, variant=wanted)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    wanted = hit.variant if isinstance(hit.variant, Wanted) else Wanted(direction="unknown")
    if wanted.direction == "newer":
        return _newer(facts, wanted)
    if wanted.direction == "between" and wanted.most is not None:
        title = f"Install a flash-attn from {wanted.least} to {wanted.most}"
        return (_installed(facts, title, f"flash-attn=={wanted.most}"),)
    words = "take the version of that program that was written for the flash-attn here"
    if wanted.direction == "older":
        words = (
            "take a version of that program from after July 2023, which is written for flash-attn 2; or change its names: unpadded to "
            "varlen, FlashAttention to flash_attn_qkvpacked_func. flash-attn 1.0.9 compiles only beside a torch of before 2.1"
        )
    step = commands.by_hand((), words, "the program that imports flash_attn")
    return (Fix(title="Bring the program and flash-attn together", steps=(step,), verify=commands.check(facts)),)


def _newer(facts: Facts, wanted: Wanted) -> tuple[Fix, ...]:
    title = f"Install flash-attn {wanted.least} or newer"
    if wanted.yolov12:
        why = f"the torch that the yolov12 repository asks for, with flash-attn {_YOLOV12_FLASH}, which has a wheel for it"
        torch = torch_steps.release(facts, _YOLOV12_TORCH, why)
        return (_installed(facts, f"Install flash-attn {_YOLOV12_FLASH}", f"flash-attn=={_YOLOV12_FLASH}", *torch),)
    wheel = wheel_fixes.fitting(facts) or wheel_fixes.likely(facts)
    if wheel is not None and (parse(wheel.release) or _NONE) >= (parse(str(wanted.least)) or _NONE):
        step = commands.install(
            wheel.url,
            why="built for this torch, CUDA, Python and C++ ABI: nothing is compiled",
            changes=f"flash-attn, to {wheel.release}",
            takes="about 250 MB",
        )
        return (Fix(title=title, steps=(step,), verify=commands.check(facts, "--goal", "flash-attn", "--no-trial")),)
    return (_installed(facts, title, f"flash-attn>={wanted.least}"),)


_NONE = Version("0")


def _installed(facts: Facts, title: str, requirement: str, *before: Step) -> Fix:
    """Return the fix that installs a release beside torch: its setup takes the finished wheel, where there is one."""
    small = tuple(name for name in built_packages.imports("flash-attn") if name != "torch")
    tools = commands.install(*small, why="its setup imports them", changes="adds build tools")
    step = commands.install(
        requirement,
        no_build_isolation=True,
        why="its setup asks the torch that is there, and takes the finished wheel for it; where there is none, it compiles for hours",
        changes="flash-attn",
        takes="seconds where a wheel fits",
    )
    verify = commands.check(facts, "--goal", "flash-attn", "--no-trial")
    return Fix(title=title, steps=(*before, tools, step), verify=verify)
