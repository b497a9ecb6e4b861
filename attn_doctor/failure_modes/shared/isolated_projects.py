"""Judge a pyproject.toml of uv, PDM or Poetry that requests a package whose build needs torch: these tools build in isolation. Pure."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Hit, Variant
from attn_doctor.failure_modes.shared import building, subject
from attn_doctor.knowledge import built_packages, torch_choice
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix, Severity, fact
from attn_doctor.model.steps import Step, action, name_of


class OfProject(Variant, frozen=True, kw_only=True):
    """Hold the line of a pyproject.toml that requests a package, and the tool that builds it."""

    file: str
    line: int
    package: str  # "flash-attn"
    tool: str  # "uv", "PDM", "Poetry"


def told(facts: Facts, built: Callable[[str], bool]) -> Hit | None:
    """Return the hit for the first package that its tool builds without torch; None if there is none. `built`: whether pip has to build a package."""
    for index, pin in enumerate(facts.project.pins if isinstance(facts.project.pins, tuple) else ()):
        name = name_of(pin.requirement.partition(" ")[0])
        if pin.project_tool is None or not pin.isolated or ".whl" in pin.requirement or name is None or not built(name):
            continue
        where = f"{pin.file} line {pin.line} asks for {pin.requirement}"
        return Hit(
            message=f"{where}. Its setup imports torch, and {pin.project_tool} builds it in a temporary environment without torch: the build fails.",
            evidence=(fact(facts, f"project.pins.{index}.requirement", where),),
            severity=Severity.ERROR,
            variant=OfProject(file=pin.file, line=pin.line, package=name, tool=pin.project_tool),
        )
    return None


def fix(facts: Facts, found: OfProject) -> Fix:
    """Return the fix for the project's tool.

    uv: give the build torch. PDM: turn isolation off, after torch is installed. Poetry: request a finished wheel.
    """
    return Fix(title=_TITLES[found.tool], steps=_steps(facts, found), verify=subject.verify(facts))


_TITLES = {
    "uv": "Give the build torch, in pyproject.toml",
    "PDM": "Turn isolation off, after torch and the build tools are installed",
    "Poetry": "Take it out of the project, and install it into the environment",
}


def _steps(facts: Facts, found: OfProject) -> tuple[Step, ...]:
    name, file = found.package, found.file
    others = [text for text in built_packages.imports(name) if text != "torch"]
    if found.tool == "uv":
        # https://docs.astral.sh/uv/concepts/projects/config/#augmenting-build-dependencies
        torch = facts.torch.version
        exact = "torch, and == with the release of this project"
        if isinstance(torch, str):
            exact = torch_choice.same(torch)[0]
        small = "".join(f', "{text}"' for text in others)
        words = (
            f'{file}: add the table [tool.uv.extra-build-dependencies] with the line {name} = ["{exact}"{small}]: the build then gets the torch of the '
            "project; it needs uv 0.8.4 or newer"
        )
        return (
            commands.by_hand((), words, file),
            commands.by_hand(("uv", "sync"), "builds with that torch", "the environment"),
        )
    if found.tool == "PDM":
        # https://pdm-project.org/latest/usage/dependency/: --no-isolation builds in the project's environment
        first = f"{file}, line {found.line}: take {name} out for now"
        return (
            commands.by_hand((), first, file),
            commands.by_hand(
                ("pdm", "add", *built_packages.imports(name)),
                "installs what the build imports",
                f"{file}, the environment",
            ),
            commands.by_hand(
                ("pdm", "add", "--no-isolation", name),
                f"builds {name} in the environment that has torch",
                f"{file}, the environment",
            ),
        )
    return (_taken_out(facts, found),)


def ready(facts: Facts, found: OfProject) -> tuple[Fix, ...]:
    """Return the fixes that compile nothing. With Poetry the line of the project goes first: each `poetry add` would build it again."""
    made = building.without_compiling(facts)
    if found.tool != "Poetry":
        return made
    out = _taken_out(facts, found)
    return tuple(msgspec.structs.replace(one, steps=(out, *one.steps)) for one in made)


def _taken_out(facts: Facts, found: OfProject) -> Step:
    """Return the step that takes a package out of a project of Poetry, which cannot build it in an environment with torch.

    https://python-poetry.org/docs/cli/#remove; isolation cannot be turned off: https://github.com/python-poetry/poetry/issues/8427
    """
    name = found.package
    folder = next((f for f in (facts.project.environment_of, facts.project.folder) if isinstance(f, str)), None)
    where = ("--directory", folder) if folder else ()
    words = (
        f"takes line {found.line} out of {found.file}, because with it each `poetry add` and `poetry install` builds {name} without torch. Then either "
        f"`poetry add` with the address of a finished wheel, if `attn-doctor wheels` names one, or `poetry run pip install --no-build-isolation {name}`; "
        "`poetry sync` removes what is installed in the second way"
    )
    return commands.by_hand(("poetry", *where, "remove", name), words, f"{found.file}, poetry.lock, the environment")


def line_taken_out(facts: Facts, steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Return the steps of a way that installs flash-attn; in a project of Poetry that asks for flash-attn, that line goes first."""
    hit = told(facts, lambda name: name == subject.FLASH_ATTN)
    if hit is None or not isinstance(hit.variant, OfProject) or hit.variant.tool != "Poetry":
        return steps
    out = _taken_out(facts, hit.variant)
    return steps if any(action(step) == action(out) for step in steps) else (out, *steps)


def without_line(facts: Facts) -> Facts:
    """Return the facts after the project's tool has removed flash-attn: no line of the project asks for it any more."""
    pins = facts.project.pins if isinstance(facts.project.pins, tuple) else ()
    kept = tuple(
        pin
        for pin in pins
        if pin.project_tool is None or name_of(pin.requirement.partition(" ")[0]) != subject.FLASH_ATTN
    )
    return msgspec.structs.replace(facts, project=msgspec.structs.replace(facts.project, pins=kept)) if pins else facts
