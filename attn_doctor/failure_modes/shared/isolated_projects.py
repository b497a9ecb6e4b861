"""Judge a pyproject.toml of uv, PDM or Poetry that requests a package whose build needs torch: these tools build in isolation. Pure."""

from __future__ import annotations

from collections.abc import Callable

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Hit, Variant
from attn_doctor.failure_modes.shared import subject
from attn_doctor.knowledge import built_packages, torch_choice
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix, Severity, fact
from attn_doctor.model.steps import Step, name_of


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
    "Poetry": "Request a finished wheel in the place of the release",
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
    words = (
        f"{file}, line {found.line}: {name} = {{ url = the address of a finished wheel }}, for this torch and this Python; `attn-doctor wheels` shows "
        f"whether one exists. Or take {name} out, and install it after `poetry install` by `poetry run pip install --no-build-isolation {name}`"
    )
    return (commands.by_hand((), words, file),)
