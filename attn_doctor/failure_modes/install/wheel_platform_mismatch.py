"""A wheel is for another Python or platform than the one that it is installed into.

What it is
    The name of a wheel says where it can be installed: cp312 means CPython 3.12, linux_x86_64 is the platform. pip
    compares the name with its own Python and system, and refuses the wheel.

How it shows
    "ERROR: flash_attn-2.8.3+cu12torch2.8cxx11abiTRUE-cp312-cp312-linux_x86_64.whl is not a supported wheel on this
    platform."; uv: "A URL dependency is incompatible with the current platform", or for a lock file "only has wheels
    for the following platform: `linux_aarch64`"; "is not a valid wheel filename" for a file that was renamed. A
    library that was copied from another Python says "undefined symbol: _PyEval_..." or another name with Py in it; on
    Windows, a library for another processor says "%1 is not a valid Win32 application".

Why it happens
    You chose the wheel for another Python from the list; or the requirement file was written for another Python; or
    the pip that runs belongs to another Python than you think; or the browser renamed the file; or pip is too old to
    know the platform.

What to do
    Install the wheel with this Python's version (cp312 for Python 3.12) and this machine's platform in its name
    (`attn-doctor wheels` names it). Never rename a wheel to make it fit.

How to reproduce
    `attn-doctor reproduce wheel-platform-mismatch` asks pip to install an empty wheel that has another Python in its
    name. It downloads nothing.

References
    https://packaging.python.org/en/latest/specifications/platform-compatibility-tags/
    https://github.com/Dao-AILab/flash-attention/issues/1242
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from attn_doctor import commands
from attn_doctor.commands import new_pythons
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Unsure, Variant, every, known, present
from attn_doctor.failure_modes.recipe import PIP, Recipe, Wheel
from attn_doctor.failure_modes.shared import building, subject, uv_lock, wheel_fixes, wheel_of_another_system
from attn_doctor.knowledge.wheel_key import key_of, normal_platform
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity, fact
from attn_doctor.model.steps import Step, name_of
from attn_doctor.model.versions import dotted, pair

_WHEEL = re.compile(r"(?P<wheel>flash_attn[\w.]*-[\w.+%]+-(?P<tag>cp\d+)-\w+-(?P<platform>[\w.]+)\.whl)")

MODE = FailureMode(
    code="AD207",
    slug="wheel-platform-mismatch",
    title="A wheel for another Python or platform",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    blocks=("flash-attn-2",),
    explains=(building.FAILED, "windows-dll-missing", "flash-attn-stub-namespace", "ultralytics-autoupdate-failed"),
    signs=(
        *uv_lock.SIGNS,
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
            pattern=r"dependency is incompatible with the current platform(?:: (?P<wheel>\S{1,400}\.whl))?",
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
        does="asks pip to install an empty wheel that has another Python in its name",
        of=(Wheel(name="flash-attn", version="2.8.3", tag="cp27-cp27m-linux_x86_64"),),
        run=((*PIP, "install", "--no-deps", "--no-index", "{folder}/flash_attn-2.8.3-cp27-cp27m-linux_x86_64.whl"),),
        shows="not a supported wheel",
        seconds=6,
    ),
)


def detect(facts: Facts) -> Hit | None:
    """Find a requirement of a project whose wheels are for another C library, Python or platform."""
    if isinstance(facts.system.musl, str) and facts.grade == "stated":
        # Only for files and logs: on an examined machine, other rules report a missing or broken torch.
        return _on_musl(facts)
    if facts.grade == "stated" and (other := wheel_of_another_system.found(facts)) is not None:
        return other
    if not every(lambda: bool(known(facts.project.pins)), lambda: facts.grade == "stated" or not building.works(facts)):
        return None
    for index, pin in enumerate(known(facts.project.pins)):
        named = _WHEEL.search(pin.requirement.replace("%2B", "+"))
        if named is None:
            continue
        tag, platform = _tag(facts), key_of(facts).platform
        if isinstance(platform, Unknown) and facts.grade != "stated":
            raise Unsure(platform)
        elsewhere = isinstance(platform, str) and normal_platform(named["platform"]) != platform
        if named["tag"] != tag or elsewhere:
            here = f"{tag} on {platform}" if isinstance(platform, str) else tag
            return Hit(
                message=f"{pin.file} line {pin.line} asks for a wheel for {named['tag']} on {named['platform']}; this Python is {here}.",
                evidence=(
                    fact(facts, f"project.pins.{index}.requirement"),
                    fact(facts, "interpreter.tag" if isinstance(facts.interpreter.tag, str) else "interpreter.version"),
                ),
            )
    return None


def _tag(facts: Facts) -> str:
    """Return the tag of the target's Python, "cp311"; a file that is judged alone states the version at most."""
    if facts.grade == "stated" and isinstance(facts.interpreter.tag, Unknown):
        return "cp" + "".join(present(facts.interpreter.version).split(".")[:2])
    return present(facts.interpreter.tag)


def _on_musl(facts: Facts) -> Hit | None:
    """Return a hit if the project asks for a package without wheels for musl, else None."""
    for index, pin in enumerate(known(facts.project.pins)):
        name = name_of(pin.requirement)
        if name in _NEED_GLIBC:
            return Hit(
                message=f"{pin.file} line {pin.line} asks for {name}, and {_NEED_GLIBC[name]} has no wheels for musl, the C library of Alpine.",
                evidence=(fact(facts, f"project.pins.{index}.requirement"), fact(facts, "system.musl")),
                variant=OnMusl(),
                severity=Severity.ERROR,
            )
    return None


# A package -> the project whose wheels it needs.
_NEED_GLIBC = {
    "torch": "PyTorch", "torchvision": "PyTorch", "torchaudio": "PyTorch", "ultralytics": "PyTorch, which it needs,", "flash-attn": "flash-attn",
}  # fmt: skip


class OnMusl(Variant, frozen=True):
    """Mark the case that the system's C library is musl."""


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    locked = uv_lock.told(seen.matches)
    if locked is not None:
        return Hit(
            message=uv_lock.sentence(locked),
            evidence=building.lines(seen.matches),
            variant=locked,
            severity=Severity.ERROR,
        )
    if not any(m.strength == "proof" for m in seen.matches):
        return None
    symbol = seen.group("symbol")
    if symbol:
        return Hit(
            message=f"{seen.group('library')} was built for another Python: it needs {symbol}, which the Python in the log does not have.",
            evidence=evidence,
            confidence=Confidence.MEDIUM,
        )
    if any("Win32" in m.text for m in seen.matches):
        return Hit(
            message="A library was built for another Windows (32 or 64 bits) or another processor.",
            evidence=evidence,
            confidence=Confidence.MEDIUM,
        )
    file = (seen.group("wheel") or "").replace("%2B", "+").replace("\\", "/").rpartition("/")[2]
    wheel = _TAGS.search(file)
    needs, have = seen.group("needs"), seen.group("have")
    if needs and have:
        differs: Differs = "python" if "Python" in needs else "platform"
        what = "Python" if differs == "python" else "system"
        return Hit(
            message=f"The wheel is for {needs}, and this {what} is {have.strip().rstrip('.')}.",
            evidence=evidence,
            variant=Refused(wheel=file, differs=differs),
        )
    if any("filename" in m.text for m in seen.matches):
        return Hit(
            message=f"{file or 'the wheel'} is not a valid name for a wheel: the file was renamed.",
            evidence=evidence,
            variant=Refused(wheel=file, differs="name"),
        )
    if wheel is None:
        return Hit(
            message=f"{file or 'The wheel'} is for another Python or platform than the Python that tried to install it.",
            evidence=evidence,
            variant=Refused(wheel=file, differs="unknown"),
        )
    python, platform, difference = _python_of(wheel), _in_words(wheel["platform"]), _difference(facts, wheel)
    differs, end = difference
    return Hit(
        message=f"{file} is for Python {python} on {platform}{end}.",
        evidence=evidence,
        variant=Refused(wheel=file, python=python, differs=differs),
    )


Differs = Literal["python", "platform", "name", "unknown"]
_TAGS = re.compile(r"-(?P<python>(?:cp|py)\d[\w.]*)-(?P<abi>\w+)-(?P<platform>[\w.]+)\.whl$")
_SYSTEMS = {"win": "windows", "linux": "linux", "manylinux": "linux", "musllinux": "linux", "macosx": "darwin"}


class Refused(Variant, frozen=True, kw_only=True):
    """Hold the part of a wheel's name that does not fit the Python in the log, if the log shows it. `wheel`: the file name, or an empty text."""

    wheel: str
    differs: Differs
    python: str | None = None  # "3.10"


def _python_of(wheel: re.Match[str]) -> str:
    """Return the Python version that a wheel is for: "3.10" for cp310, "3" for py3, "3.9 or newer" for cp39-abi3."""
    tag = wheel["python"].partition(".")[0][2:]
    number = f"{tag[0]}.{tag[1:]}" if len(tag) > 1 else tag
    return f"{number} or newer" if wheel["abi"] == "abi3" else number


def _system(platform: str) -> str | None:
    """Return the operating system of a platform tag: "windows" for win_amd64; None for "any"."""
    return next((system for start, system in _SYSTEMS.items() if platform.startswith(start)), None)


def _in_words(platform: str) -> str:
    found = _system(platform)
    name = {"windows": "Windows", "linux": "Linux", "darwin": "macOS"}.get(found or "", "every system")
    return f"{name} ({platform})" if found else name


def _difference(facts: Facts, wheel: re.Match[str]) -> tuple[Differs, str]:
    """Return the part of the wheel's name that does not fit the machine in the log, and the end of the message."""
    system, have = _system(wheel["platform"]), facts.system.os
    if system and isinstance(have, str) and have != system:
        return "platform", f", and this system is {_NAMES.get(have, have)}"
    there = facts.interpreter.version
    minor = pair(there) if isinstance(there, str) else None
    if (
        minor
        and wheel["python"].startswith("cp3")
        and wheel["abi"] != "abi3"
        and _python_of(wheel) != f"{minor[0]}.{minor[1]}"
    ):
        return "python", f", and this Python is {minor[0]}.{minor[1]}"
    if system and isinstance(have, str) and have == system:
        other = {"windows": "the Python has 32 bits", "linux": "the processor or the C library"}.get(
            system, "the processor"
        )
        return (
            "unknown",
            f"; this system is {_NAMES[system]} too, so probably the Python version differs, or {other}",
        )
    return "unknown", "; the log does not show whether the Python or the system differs"


def _with_glibc(facts: Facts) -> Fix:
    """Return the fix for Alpine: an image with the same Python that is based on Debian."""
    python = pair(facts.interpreter.version) if isinstance(facts.interpreter.version, str) else None
    image = f"python:{dotted(python) if python else '3.12'}-slim"
    why = "the first line of the Dockerfile, instead of the Alpine image: Debian has glibc, for which the wheels are built"
    step = commands.by_hand(("FROM", image), why, "another image", elsewhere=True)
    return Fix(
        title="Use a container image that has glibc (Debian instead of Alpine)",
        steps=(step,),
        verify=building.verify(facts),
    )


_NAMES = {"windows": "Windows", "linux": "Linux", "darwin": "macOS"}
_ASK = "import sys, sysconfig, platform; print(sys.version, sysconfig.get_platform(), platform.libc_ver())"


def _which(facts: Facts, refused: Refused) -> Step:
    """Return the step that prints the version, the bits (32 or 64) and the C library of the Python that refused the wheel."""
    wanted = f" (it has to be {refused.python})" if refused.python else ""
    return commands.by_hand(
        (*commands.starting(facts), "-c", _ASK),
        f"prints the version{wanted} and the system (32 or 64 bits) of the Python that refused the file: both have to agree with "
        "the file name, in which cp310 means Python 3.10. If both agree, this pip is too old to know the platform: upgrade pip",
        "nothing",
        "none",
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, uv_lock.Locked):
        return uv_lock.fixes(facts, hit.variant)
    if isinstance(hit.variant, wheel_of_another_system.OfAnotherSystem):
        return wheel_of_another_system.fixes(facts)
    if isinstance(hit.variant, OnMusl):
        return (_with_glibc(facts),)
    refused = hit.variant if isinstance(hit.variant, Refused) else None
    asks = (_which(facts, refused),) if refused is not None and refused.differs == "unknown" else ()
    if refused is not None and refused.differs == "platform":
        facts = wheel_of_another_system.with_torch_of(facts, refused.wheel)
    return (*_older_python(facts, refused), *_file_that_fits(facts, asks))


def _older_python(facts: Facts, refused: Refused | None) -> tuple[Fix, ...]:
    """Return the fix for a file of requirements that names a wheel for another Python: an environment with that Python; empty for others."""
    command = facts.subject.command
    if refused is None or refused.differs != "python" or refused.python is None:
        return ()
    if not isinstance(command, str) or "-r" not in command.split():
        return ()
    python = refused.python.partition(" ")[0]
    if "linux" in refused.wheel and isinstance(facts.system.os, Unknown):
        facts = msgspec.structs.replace(facts, system=msgspec.structs.replace(facts.system, os="linux"))
    why = f"the file of requirements names a wheel for Python {python}, so it was made for this Python"
    steps = new_pythons.another(facts, python, why)
    return (Fix(title=f"Use Python {python}", steps=steps, verify=building.verify(facts)),)


def _file_that_fits(facts: Facts, asks: tuple[Step, ...]) -> tuple[Fix, ...]:
    """Return the fixes that install the wheel for the Python that is there."""
    if not subject.is_flash_attn(facts):
        key = key_of(facts)
        python = f"cp{key.python.replace('.', '')}" if isinstance(key.python, str) else "the cpXY of your Python"
        platform = key.platform if isinstance(key.platform, str) else "your platform"
        words = f"install the file of {subject.words(facts)} whose name has {python} and {platform}, or give only the package's name: the installer then chooses the file"
        step = commands.by_hand((), words, "that package")
        file = Fix(title="Install the wheel that fits", steps=(*asks, step), verify=building.verify(facts))
        return (file, *building.without_compiling(facts))
    if not wheel_fixes.official(facts):
        found = wheel_fixes.look_it_up(facts)
        return (msgspec.structs.replace(found, steps=(*asks, *found.steps)),)
    name = commands.by_hand(
        ("attn-doctor", "wheels"), "names the wheel that fits this Python, torch and platform", "nothing"
    )
    found = Fix(title="Install the wheel that fits", steps=(name,), verify=building.verify(facts))
    return building.without_compiling(facts) or (found,)
