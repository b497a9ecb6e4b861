"""The build of a package does not see your torch, because it runs in an environment of its own; or torch is not installed.

What it is
    pip and uv build a package in an empty, temporary environment. flash-attn needs torch to build, but does not
    declare that. So torch is missing from the temporary environment, even if your own environment has torch.

How it shows
    "ModuleNotFoundError: No module named 'torch'" under "Getting requirements to build wheel" or
    "get_requires_for_build_wheel"; uv adds "hint: This error likely indicates that `flash-attn@2.8.3` depends on `torch`, but
    doesn't declare it as a build dependency".

Why it happens
    flash-attn leaves the choice of torch to the user, so it does not declare torch. The lines "Requirement already
    satisfied: torch" in the same log are about your environment, not about the temporary environment.

What to do
    If you have torch: install the build tools (second command), and build with --no-build-isolation (last command). If you
    have none, install torch first. Or install a finished wheel by its address (`attn-doctor wheels`): then nothing is built.

How to reproduce
    `attn-doctor reproduce torch-missing-at-build` asks pip to build flash-attn in isolation, where there is no torch. It
    downloads 10 MB.

References
    https://github.com/Dao-AILab/flash-attention/issues/1421
    https://docs.astral.sh/uv/concepts/projects/config/#build-isolation
    https://pip.pypa.io/en/stable/cli/pip_install/#cmdoption-no-build-isolation
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, known
from attn_doctor.failure_modes.recipe import PIP, Recipe, Source
from attn_doctor.failure_modes.shared import (
    building,
    cut_logs,
    isolated_projects,
    package_cures,
    subject,
    torch_line,
    torch_said_missing,
    torch_steps,
)
from attn_doctor.failure_modes.shared.fact_queries import torch_installed
from attn_doctor.knowledge import built_packages
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity, fact
from attn_doctor.model.steps import Install, Step, name_of

MODE = FailureMode(
    code="AD101",
    slug="torch-missing-at-build",
    title="torch is missing in the environment that builds a package",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    stops="build",
    blocks=("flash-attn-2", "flash-attn-3"),
    explains=(building.FAILED, "environment-pollution"),
    signs=(
        Sign(
            pattern=r"No module named ['\"‘`]?torch['\"’`]?(?![.\w])",
            literal="No module named",
            sample="ModuleNotFoundError: No module named 'torch'",
            strength="hint",
        ),
        Sign(
            pattern=r"(?:`(?P<package>[\w.-]+)(?:@[^`]{0,60})?` depends )?on `torch`, but doesn't declare",
            literal="on `torch`, but",
            sample="hint: This error likely indicates that `flash-attn@2.8.3.post2` depends on `torch`, but doesn't declare it",
        ),
        Sign(
            pattern=r"(?P<cut>(?P<hook>Getting requirements to build (?:wheel|editable) did not run successfully))",
            literal="Getting requirements to build",
            sample="  × Getting requirements to build wheel did not run successfully.",
            strength="hint",
        ),
        *torch_said_missing.SIGNS,
        # The import lines of a setup.py. If the log ends at one of them, that import failed.
        cut_logs.source(r"import torch(?: +#.{0,60})?", "import torch", "    import torch"),
        cut_logs.source(
            r"from torch\.utils(?:\.cpp_extension)? import [\w ,(]{1,200}",
            "from torch.utils",
            "    from torch.utils.cpp_extension import BuildExtension, CUDAExtension, CUDA_HOME",
        ),
    ),
    recipe=Recipe(
        does="asks pip to build flash-attn in isolation, where there is no torch",
        of=(Source(),),
        run=((*PIP, "install", "--no-deps", "{source}"),),
        shows="No module named 'torch'",
        seconds=12,
    ),
)


def detect(facts: Facts) -> Hit | None:
    """Find what would make a build fail for lack of torch; the first of these counts.

    A Dockerfile that builds a package without torch. A missing torch. A requirements file that names flash-attn: pip builds it in
    isolation, even if torch is installed.
    """
    ordered = _in_dockerfile(facts)
    if ordered is not None:
        return ordered
    if (of_project := isolated_projects.told(facts, built_packages.needs_torch)) is not None:
        return of_project
    if known(facts.system.os) == "darwin" or building.works(facts):
        return None
    if not torch_installed(facts):
        return Hit(
            message="torch is not installed, and flash-attn's setup.py imports it.",
            evidence=(fact(facts, "torch.version", "there is no torch"),),
        )
    for index, pin in enumerate(facts.project.pins if isinstance(facts.project.pins, tuple) else ()):
        if (
            pin.isolated
            and pin.requirement.lower().replace("_", "-").startswith(subject.FLASH_ATTN)
            and ".whl" not in pin.requirement
        ):
            where = f"{pin.file} line {pin.line} asks for {pin.requirement}"
            return Hit(
                message=f"{where}: an installation from this file builds it in isolation, without your torch.",
                evidence=(fact(facts, f"project.pins.{index}.requirement", where), fact(facts, "torch.version")),
                severity=Severity.INFO,
            )
    return None


class Ordered(Variant, frozen=True, kw_only=True):
    """Hold the line of a Dockerfile that builds a package without torch."""

    file: str  # "Dockerfile"
    line: int
    package: str  # "flash-attn"
    requirement: str  # "flash-attn==2.8.3"
    missing: bool  # torch is not installed before this line; False: it is, and only the isolation of the build hides it


def _in_dockerfile(facts: Facts) -> Hit | None:
    """Find a command of a Dockerfile that builds a package before torch is installed, or in isolation from torch."""
    for index, pin in enumerate(facts.project.pins if isinstance(facts.project.pins, tuple) else ()):
        name = name_of(pin.requirement)
        if not pin.by_command or name is None or ".whl" in pin.requirement or not built_packages.needs_torch(name):
            continue
        hidden = pin.isolated and not _isolation_is_off(facts)
        if not (pin.without_torch or hidden):
            continue
        where = f"{pin.file} line {pin.line} installs {pin.requirement}"
        if pin.without_torch:
            said = f"{where} before torch is installed, and its setup imports torch: that command fails."
        else:
            said = f"{where} in an isolated build, which has no torch, and its setup imports torch: that command fails."
        return Hit(
            message=said,
            evidence=(fact(facts, f"project.pins.{index}.requirement", where),),
            severity=Severity.ERROR,
            variant=Ordered(
                file=pin.file, line=pin.line, package=name, requirement=pin.requirement, missing=pin.without_torch
            ),
        )
    return None


def _isolation_is_off(facts: Facts) -> bool:
    """Return whether a variable of the Dockerfile turns isolation off for all commands.

    Any value counts: pip turns isolation off even for PIP_NO_BUILD_ISOLATION=0.
    """
    names = ("PIP_NO_BUILD_ISOLATION", "UV_NO_BUILD_ISOLATION")
    return isinstance(facts.environment, tuple) and any(v.name in names for v in facts.environment)


def _ordered_anew(facts: Facts, ordered: Ordered) -> tuple[Fix, ...]:
    """Return the fix for the order in a Dockerfile: torch first, then the package without isolation, and nvcc if it has to be compiled."""
    name, verify = ordered.package, subject.verify(facts)
    before = f"a line of its own in {ordered.file}, before line {ordered.line}"
    steps: list[Step] = []
    if ordered.missing:
        torch, why = _torch_of_file(facts, ordered)
        steps.append(commands.by_hand(("RUN", "pip", "install", *torch), f"{before}: {why}", ordered.file))
    small = tuple(text for text in built_packages.imports(name) if text != "torch")
    steps.append(
        commands.by_hand(
            ("RUN", "pip", "install", *small), f"{before}: the setup.py of {name} imports these packages", ordered.file
        )
    )
    words = (
        f"replaces line {ordered.line}, or its part for {name}: {name} is built after torch; if there is a finished wheel for that torch, its setup.py installs "
        "this wheel"
    )
    argv = ("RUN", "pip", "install", "--no-build-isolation", ordered.requirement)
    steps.append(commands.by_hand(argv, words, ordered.file))
    if facts.toolchain.toolkits == ():
        words = (
            f"if no finished wheel fits, {name} is compiled, and this image has no nvcc: use an image of nvidia/cuda or pytorch/pytorch with -devel in its "
            "name; -base and -runtime have no nvcc. `attn-doctor wheels` shows whether a wheel exists"
        )
        steps.append(commands.by_hand((), words, "FROM"))
    title = (
        f"Install torch before {name} in the Dockerfile" if ordered.missing else "Turn isolation off in that command"
    )
    return (Fix(title=title, steps=tuple(steps), verify=verify),)


def _torch_of_file(facts: Facts, ordered: Ordered) -> tuple[tuple[str, ...], str]:
    """Return (arguments of `pip install` that install torch before the package, reason).

    It is the torch that the file requires. If it requires none: for flash-attn a torch with finished wheels, else the newest torch.
    """
    pins = facts.project.pins if isinstance(facts.project.pins, tuple) else ()
    own = [
        pin.requirement
        for pin in pins
        if pin.file == ordered.file and name_of(pin.requirement) in ("torch", "torchvision")
    ]
    if own:
        return tuple(own), "torch first; a package that needs torch to build is not in the same command"
    exact = re.fullmatch(r"[\w.-]+==(\d[\w.]*)", ordered.requirement)
    if ordered.package == subject.FLASH_ATTN:
        steps = torch_steps.for_flash_attn(facts, "torch first", exact[1] if exact else None)
    else:
        steps = torch_steps.newest_steps(facts, "torch first")
    made = next((step for step in steps if isinstance(step, Install)), None)
    if made is None:
        return torch_steps.bare(), "torch first"
    return (*made.requirements, *(("--index-url", made.index_url) if made.index_url else ())), made.why


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if cut_logs.alone(seen):
        if (hook := _in_hook(facts, seen)) is not None:
            return hook
        if not any(building.in_build(seen, m) and _of_setup(seen, m) for m in cut_logs.ends(seen)):
            return None
        return cut_logs.hit(
            seen,
            "That line of setup.py imports torch. Probably torch is missing: pip and uv build in a temporary environment of their own.",
            "ModuleNotFoundError or ImportError",
        )
    seen = cut_logs.told(seen)
    if all("caught" in m.groups for m in seen.matches) and not any(building.in_build(seen, m) for m in seen.matches):
        return None  # a program that goes on without torch; another rule has the error of a program that does not
    hinted = any(m.strength == "proof" for m in seen.matches)
    building_it = hinted or any(building.in_build(seen, m) for m in seen.matches)
    package = seen.group("package") or subject.words(facts)
    if (
        not building_it
        and subject.stated(facts)
        and facts.subject.doing == "building"
        and isinstance(facts.torch.version, str)
    ):
        return Hit(
            message=f"There was no torch in the environment that built {package}: by default pip and uv build in a temporary environment. The "
            f"torch {facts.torch.version} of your environment is not visible to that build.",
            evidence=evidence,
            confidence=Confidence.MEDIUM,
        )
    if not building_it:
        return Hit(message="The log shows that torch is not installed.", evidence=evidence, confidence=Confidence.LOW)
    return Hit(
        message=f"There was no torch in the environment that built {package}: by default pip and uv build in a temporary environment.",
        evidence=building.lines(seen.matches),
        confidence=Confidence.MEDIUM if all("caught" in m.groups for m in seen.matches) else Confidence.HIGH,
    )


class CutInHook(Variant, frozen=True):
    """Mark the case that the log ends in pip's build hook.

    It does not show whether the user's environment has torch; most environments have it.
    """


def _in_hook(facts: Facts, seen: Seen) -> Hit | None:
    """Return the hit for a log that ends in the frames of pip's hook; None for other logs.

    The hook asks a setup.py for its requirements. In all known logs with this end, the import of torch failed.
    """
    hooks = [m for m in seen.matches if "hook" in m.groups]
    name = subject.stated(facts)
    if not hooks or name is None or not built_packages.needs_torch(name) or not _is_isolated(facts):
        return None
    last = hooks[-1]
    log = next(log for log in seen.logs if log.file == last.file)
    told = (*log.about("an exception"), *log.about("installation ended well"))
    if (
        any(m.line > last.line for m in told)
        or any(m.strength == "proof" for m in log.matches)
        or log.lines - last.line > _CUT
    ):
        return None
    return Hit(
        message=f"The log is cut: it ends where pip asks {name} for its build requirements, and the line that names the error is missing. Probably the "
        f"setup.py of {name} imports torch, and pip builds in a temporary environment that has no torch. To be sure, run `attn-doctor diagnose` with the whole "
        "log: the missing line begins with ModuleNotFoundError.",
        evidence=tuple(Evidence(kind="log", file=m.file, line=m.line, text=m.text) for m in hooks[:2]),
        variant=CutInHook(),
        confidence=Confidence.LOW,
    )


_CUT = 30  # lines: with more lines after the first line of the hook, the log contains more than the hook's frames


def _is_isolated(facts: Facts) -> bool:
    """Return whether the build is isolated: the command has no --no-build-isolation."""
    command = facts.subject.command
    return not (isinstance(command, str) and "no-build-isolation" in command)


def _of_setup(seen: Seen, match: Match) -> bool:
    """Return whether there is a frame of a setup.py directly above a source line."""
    log = next(log for log in seen.logs if log.file == match.file)
    above = [m for m in log.of(building.FAILED) if 0 < match.line - m.line <= cut_logs.WRAPPED]
    return any("setup.py" in m.text for m in above)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, Ordered):
        return (*_ordered_anew(facts, hit.variant), *building.without_compiling(facts))
    if isinstance(hit.variant, isolated_projects.OfProject):
        return (isolated_projects.fix(facts, hit.variant), *isolated_projects.ready(facts, hit.variant))
    cut = isinstance(hit.variant, CutInHook)
    missing = not cut and package_cures.torch_first(facts, subject.package(facts)) != ()
    built = package_cures.built_here(
        facts,
        "Install torch and the build tools, then build in that environment"
        if missing
        else "Build in the environment that has torch",
        "with isolation off, the build sees the torch of this environment",
        "torch",
        ask=cut,
    )
    if not cut and not missing and places.container(facts) == places.BUILD:
        built = torch_line.before(facts, built)
    ready = building.without_compiling(facts)
    # flash-attn compiles for hours, and on Windows it rarely succeeds: there the wheel is the first fix.
    windows = facts.system.os == "windows" and subject.is_flash_attn(facts)
    return (built, *ready) if facts.grade == "stated" and not windows else (*ready, built)
