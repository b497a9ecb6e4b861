"""A wheel is for another Python or platform than the one that it is installed into.

What it is
    A wheel's name says where it can be installed: cp312 is CPython 3.12, linux_x86_64 the platform. pip compares and refuses.

How it shows
    "ERROR: flash_attn-2.8.3+cu12torch2.8cxx11abiTRUE-cp312-cp312-linux_x86_64.whl is not a supported wheel on this platform."; uv:
    "A URL dependency is incompatible with the current platform"; "is not a valid wheel filename" for a file that was renamed. A library
    that was carried over from another Python says "undefined symbol: _PyEval_..." or another name with Py in it; on Windows, one for
    another processor "%1 is not a valid Win32 application".

Why it happens
    The wheel of another Python was taken from the list, or the requirement file was written for one; the pip that runs belongs to
    another Python than the one that was meant; the browser renamed the file; a pip too old for the platform tag.

What to do
    Take the wheel whose cpXY is this Python's and whose platform is this machine's (`attn-doctor wheels` names it). Never rename a
    wheel to make it fit.

How to reproduce
    `attn-doctor reproduce wheel-platform-mismatch` asks pip to install an empty wheel that says another Python. It downloads
    nothing.

References
    https://packaging.python.org/en/latest/specifications/platform-compatibility-tags/
    https://github.com/Dao-AILab/flash-attention/issues/1242
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, every, known, present
from attn_doctor.failure_modes.recipe import PIP, Recipe, Wheel
from attn_doctor.failure_modes.shared import building, subject, wheel_fixes
from attn_doctor.knowledge.wheel_key import key_of, normal_platform
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity, fact

_WHEEL = re.compile(r"(?P<wheel>flash_attn[\w.]*-[\w.+%]+-(?P<tag>cp\d+)-\w+-(?P<platform>[\w.]+)\.whl)")

MODE = FailureMode(
    code="AD207",
    slug="wheel-platform-mismatch",
    title="A wheel for another Python or platform",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    blocks=("flash-attn-2",),
    explains=(building.FAILED, "windows-dll-missing", "flash-attn-stub-namespace"),
    signs=(
        Sign(
            pattern=r"(?<!\S)(?P<wheel>\S{1,300}\.whl) is not a supported wheel on this platform",
            literal="is not a supported wheel on this platform",
            sample="ERROR: flash_attn-2.8.3-cp312-cp312-linux_x86_64.whl is not a supported wheel on this platform.",
        ),
        Sign(
            pattern=r"is not a supported wheel on this platform",
            literal="is not a supported wheel on this platform",
            sample="is not a supported wheel on this platform.",
        ),
        Sign(
            pattern=r"A (?:URL|path)(?: \((?P<wheel>[^)]{1,300})\))? dependency is incompatible with the current platform",
            literal="is incompatible with the current platform",
            sample="  cause: A path (flash_attn-2.8.3-cp312-cp312-linux_x86_64.whl) dependency is incompatible with the current platform",
        ),
        Sign(
            pattern=r"dependency is incompatible with the current platform",
            literal="is incompatible with the current platform",
            sample="error: A URL dependency is incompatible with the current platform: https://example.org/flash_attn.whl",
        ),
        Sign(
            pattern=r"The wheel is compatible with (?P<needs>[^,]{1,80}), but you're (?:using|on) (?P<have>.{1,80})",
            literal="The wheel is compatible with ",
            sample="hint: The wheel is compatible with CPython 3.12 (`cp312`), but you're using CPython 3.11 (`cp311`)",
        ),
        Sign(
            pattern=r"(?<!\S)(?P<wheel>\S{1,300}\.whl) is not a valid wheel filename",
            literal="is not a valid wheel filename",
            sample="ERROR: renamed.whl is not a valid wheel filename.",
        ),
        Sign(
            pattern=r"Invalid wheel filename \([^)]{1,80}\): '?(?P<wheel>[^'\s]{1,300})",
            literal="nvalid wheel filename (",
            sample="ERROR: Invalid wheel filename (wrong number of parts): 'renamed.whl'",
        ),
        Sign(
            pattern=r"The wheel filename \"(?P<wheel>[^\"]{1,300})\" is invalid",
            literal="The wheel filename ",
            sample='error: The wheel filename "renamed.whl" is invalid: Must have a version',
        ),
        Sign(
            pattern=r"(?:DLL load failed while importing (?:flash|torch|_C|xformers|triton)\w*: |\[WinError 193\] )%1 is not a valid Win32",
            literal=" Win32",
            sample="ImportError: DLL load failed while importing flash_attn_2_cuda: %1 is not a valid Win32 application.",
        ),
        Sign(
            pattern=r"(?P<library>[\w.+-]{1,120}\.(?:so|pyd)[.\d]{0,12}): undefined symbol: (?P<symbol>_?Py[A-Z]\w+)",
            literal=": undefined symbol: ",
            sample="ImportError: /venv/lib/python3.12/site-packages/x.so: undefined symbol: _PyEval_RequestCodeExtraIndex",
        ),
    ),
    recipe=Recipe(
        does="asks pip to install an empty wheel that says another Python",
        of=(Wheel(name="flash-attn", version="2.8.3", tag="cp27-cp27m-linux_x86_64"),),
        run=((*PIP, "install", "--no-deps", "--no-index", "{folder}/flash_attn-2.8.3-cp27-cp27m-linux_x86_64.whl"),),
        shows="not a supported wheel",
        seconds=6,
    ),
)


def detect(facts: Facts) -> Hit | None:
    """Find a requirement file that names a wheel for another Python or platform."""
    if not every(lambda: bool(known(facts.project.pins)), lambda: not building.works(facts)):
        return None
    for index, pin in enumerate(known(facts.project.pins)):
        named = _WHEEL.search(pin.requirement.replace("%2B", "+"))
        if named is None:
            continue
        tag, platform = present(facts.interpreter.tag), present(key_of(facts).platform)
        if named["tag"] != tag or normal_platform(named["platform"]) != platform:
            return Hit(
                message=f"{pin.file} line {pin.line} asks for a wheel for {named['tag']} on {named['platform']}; here it is {tag} on "
                f"{platform}.",
                evidence=(fact(facts, f"project.pins.{index}.requirement"), fact(facts, "interpreter.tag")),
            )
    return None


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    symbol = seen.group("symbol")
    if symbol:
        return Hit(
            message=f"{seen.group('library')} was built for another Python: it needs {symbol}, which the Python there does not have.",
            evidence=evidence,
            confidence=Confidence.MEDIUM,
        )
    if any("Win32" in m.text for m in seen.matches):
        return Hit(
            message="A library there was built for another Windows (32 or 64 bits) or another processor.",
            evidence=evidence,
            confidence=Confidence.MEDIUM,
        )
    needs, have = seen.group("needs"), seen.group("have")
    if needs and have:
        return Hit(
            message=f"The wheel is for {needs}, and the Python or system there is {have.strip().rstrip('.')}.",
            evidence=evidence,
        )
    wheel = (seen.group("wheel") or "the wheel").rpartition("/")[2]
    if any("filename" in m.text for m in seen.matches):
        return Hit(message=f"{wheel} does not have the name of a wheel: the file was renamed.", evidence=evidence)
    return Hit(
        message=f"{wheel} is for another Python or platform than the one that it was installed into.", evidence=evidence
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if not subject.is_flash_attn(facts):
        key = key_of(facts)
        python = f"cp{key.python.replace('.', '')}" if isinstance(key.python, str) else "the cpXY of your Python"
        platform = key.platform if isinstance(key.platform, str) else "your platform"
        words = f"take the file of {subject.words(facts)} whose name has {python} and {platform}, or ask for the name alone: the installer then chooses"
        step = commands.by_hand((), words, "that package")
        file = Fix(title="Take the wheel that fits", steps=(step,), verify=building.verify(facts))
        return (file, *building.without_compiling(facts))
    if not wheel_fixes.official(facts):
        return (*building.without_compiling(facts), wheel_fixes.look_it_up(facts))
    name = commands.by_hand(
        ("attn-doctor", "wheels"), "names the wheel that fits this Python, torch and platform", "nothing"
    )
    found = Fix(title="Take the wheel that fits", steps=(name,), verify=building.verify(facts))
    return building.without_compiling(facts) or (found,)
