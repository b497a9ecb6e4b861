"""uv cannot build a package with the torch of the project, because the package does not state its metadata.

What it is
    A project tells uv to give the build of flash-attn the same torch as the environment: `extra-build-dependencies` with
    `match-runtime = true`. For this, uv has to know what the package needs before it builds the package. flash-attn states that in its
    setup.py only, so uv would have to build it first.

How it shows
    "Extra build requirement `torch` was declared with `match-runtime = true`, but `flash-attn` does not declare static metadata, making
    runtime-matching impossible", under "Failed to download and build `flash-attn==2.8.3`". uv breaks this line into several.

Why it happens
    The pyproject.toml has no `[[tool.uv.dependency-metadata]]` for the package, or the entry there is for another version. uv 0.11.0 also
    says this for a package of an extra that nobody asked for; newer releases of uv do not.

What to do
    Write the metadata into pyproject.toml, as uv's documentation does for flash-attn. Or use another uv. torch is not missing, and flash-attn
    is not broken.

How to reproduce
    There is no recipe: it takes a project of uv. uv's documentation has a pyproject.toml for flash-attn; without its dependency-metadata,
    `uv lock` shows this error.

References
    https://docs.astral.sh/uv/concepts/projects/config/#augmenting-build-dependencies
    https://github.com/astral-sh/uv/issues/18690
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building, subject
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity

MODE = FailureMode(
    code="AD130",
    slug="uv-match-runtime",
    title="uv cannot match a build with the torch of the project",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    stops="build",
    blocks=("flash-attn-2", "flash-attn-3"),
    explains=(building.FAILED, "torch-missing-at-build"),
    signs=(
        Sign(
            pattern=r"Extra build requirement `(?P<wanted>[\w.-]+)` was declared with `match-runtime",
            literal="Extra build requirement `",
            sample="╰─▶ Extra build requirement `torch` was declared with `match-runtime",
        ),
        Sign(
            pattern=r"(?:`(?P<package>[\w.-]+)` does not declare static metadata, making )?runtime-matching impossible",
            literal="runtime-matching impossible",
            sample="= true`, but `flash-attn` does not declare static metadata, making runtime-matching impossible",
        ),
        Sign(
            pattern=r"Failed to (?:download and )?build `(?P<failed>[\w.-]+)==(?P<version>\d[\w.]*)`",
            literal="build `",
            sample="× Failed to download and build `flash-attn==2.8.3`",
            strength="context",
        ),
    ),
)
# There is no `detect`: the facts do not contain uv's settings for builds.


class Undeclared(Variant, frozen=True, kw_only=True):
    """Hold the package without metadata, and its version; None if the log does not name it."""

    package: str | None
    version: str | None


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    package = seen.group("package") or seen.group("failed") or subject.stated(facts)
    name = package or "the package"
    wanted = seen.group("wanted") or "torch"
    proofs = [m for m in seen.matches if m.strength == "proof"]
    return Hit(
        message=f"uv is told to build {name} with the {wanted} of the project (match-runtime), and {name} has no static metadata that uv could read "
        f"before the build. {wanted} is not missing: the entry in pyproject.toml is.",
        evidence=building.lines(proofs),
        variant=Undeclared(package=package, version=seen.group("version")),
    )


# What the setup.py of each package requires. https://github.com/Dao-AILab/flash-attention/blob/main/setup.py (install_requires)
_REQUIRES = {"flash-attn": ("torch", "einops")}


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    variant = hit.variant if isinstance(hit.variant, Undeclared) else Undeclared(package=None, version=None)
    name, version = variant.package or subject.package(facts) or "NAME", variant.version or "VERSION"
    requires = ", ".join(f'"{text}"' for text in _REQUIRES.get(name, ("torch",)))
    lines = (
        "[[tool.uv.dependency-metadata]]",
        f'name = "{name}"',
        f'version = "{version}"',
        f"requires-dist = [{requires}]",
    )
    why = f"tells uv what {name} {version} needs, so that uv need not build it first"
    if name not in _REQUIRES:
        why += "; add what else its setup.py has in install_requires"
    if facts.system.os == "windows" or "VERSION" in version:
        write = commands.by_hand(
            (), f"add these lines at the end of pyproject.toml: {' ; '.join(lines)}. This {why}", "pyproject.toml"
        )
    else:
        text = "\\n".join(("", *lines, ""))
        write = commands.by_hand(
            ("sh", "-c", f"printf '{text}' >> pyproject.toml"), f"in the folder of the project: {why}", "pyproject.toml"
        )
    lock = commands.by_hand(("uv", "lock"), "in the same folder; then run your command again", "uv.lock")
    verify = commands.check(facts)
    update = commands.by_hand(
        ("uv", "self", "update"),
        "uv 0.11.0 asks this of extras that are not installed too; newer releases do not. If uv came from pip: `pip install --upgrade uv`; in a job of "
        "GitHub: `version:` of astral-sh/setup-uv",
        "uv",
    )
    return (
        Fix(title=f"State the metadata of {name} in pyproject.toml", steps=(write, lock), verify=verify),
        Fix(title="Use a newer uv", steps=(update,), verify=verify),
    )
