"""A package's setup imports torch where there is none.

What it is
    pip and uv build a package in an empty, throw-away environment. flash-attn needs torch to build, but does not declare it, so
    torch is not in that environment, however often it is installed in yours.

How it shows
    "ModuleNotFoundError: No module named 'torch'" under "Getting requirements to build wheel" or
    "get_requires_for_build_wheel"; uv adds "hint: This error likely indicates that `flash-attn@2.8.3` depends on `torch`, but
    doesn't declare it as a build dependency".

Why it happens
    Which torch to build against is the user's choice, so flash-attn leaves it to the environment. The lines "Requirement
    already satisfied: torch" in the same log are about your environment, not about the one that builds.

What to do
    Install torch first, then build in the environment that has it: `pip install --no-build-isolation flash-attn`, with
    setuptools, wheel, packaging, psutil and ninja installed too. Or install a finished wheel by its address: nothing is built.

How to reproduce
    `attn-doctor reproduce torch-missing-at-build` asks pip to build flash-attn in isolation, where there is no torch. It
    downloads 10 MB.

References
    https://github.com/Dao-AILab/flash-attention/issues/1421
    https://docs.astral.sh/uv/concepts/projects/config/#build-isolation
    https://pip.pypa.io/en/stable/cli/pip_install/#cmdoption-no-build-isolation
"""

from __future__ import annotations

from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, known
from attn_doctor.failure_modes.recipe import PIP, Recipe, Source
from attn_doctor.failure_modes.shared import building, cut_logs, package_cures, subject
from attn_doctor.failure_modes.shared.fact_queries import torch_installed
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity, fact

MODE = FailureMode(
    code="AD101",
    slug="torch-missing-at-build",
    title="torch is missing where a package is built",
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
        # Two ways in which a setup.py begins: where the log ends there, this import failed.
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
    """Find a missing torch, or a requirement file that names flash-attn: it is built in isolation, even where torch is installed."""
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
                message=f"{where}: installed from that file it is built in isolation, without your torch.",
                evidence=(fact(facts, f"project.pins.{index}.requirement", where), fact(facts, "torch.version")),
                severity=Severity.INFO,
            )
    return None


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if cut_logs.alone(seen):
        if not any(building.in_build(seen, m) and _of_setup(seen, m) for m in cut_logs.ends(seen)):
            return None
        return cut_logs.hit(
            seen,
            "setup.py imports torch there. Probably there is none where pip or uv builds: they build in an environment of their own.",
            "ModuleNotFoundError or ImportError",
        )
    seen = cut_logs.told(seen)
    hinted = any(m.strength == "proof" for m in seen.matches)
    building_it = hinted or any(building.in_build(seen, m) for m in seen.matches)
    package = seen.group("package") or subject.words(facts)
    if not building_it:
        return Hit(message="torch was not there to be imported.", evidence=evidence, confidence=Confidence.LOW)
    return Hit(
        message=f"There was no torch in the environment that built {package}: pip and uv build in one of their own, unless they are told not to.",
        evidence=building.lines(seen.matches),
    )


def _of_setup(seen: Seen, match: Match) -> bool:
    """Say whether a frame of a setup.py stands above a source line."""
    log = next(log for log in seen.logs if log.file == match.file)
    above = [m for m in log.of(building.FAILED) if 0 < match.line - m.line <= cut_logs.WRAPPED]
    return any("setup.py" in m.text for m in above)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    missing = package_cures.torch_first(facts, subject.package(facts)) != ()
    built = package_cures.built_here(
        facts,
        "Install torch and the build tools, then build where they are"
        if missing
        else "Build in the environment that has torch",
        "with isolation off, the build sees the torch of this environment",
        "torch",
    )
    ready = building.without_compiling(facts)
    # flash-attn compiles for hours, and on Windows seldom to the end: the wheel stands first there.
    windows = facts.system.os == "windows" and subject.is_flash_attn(facts)
    return (built, *ready) if facts.grade == "stated" and not windows else (*ready, built)
