"""A version does not follow Python's rules for versions (PEP 440), and a program cannot read it.

What it is
    Some builds have a version such as "2.0.0.nv23.05" (NVIDIA's containers) or "N/A" (builds by hand). packaging 22
    and newer refuse such a version. Older programs split it at the dots, and find letters where they expect a number.

How it shows
    "packaging.version.InvalidVersion: Invalid version: '2.0.0.nv23.05'", "has inconsistent version: expected '2.6.3+cu123...', but
    metadata has '2.6.3'", "ValueError: invalid literal for int() with base 10: 'post2'". The other way round for sources: "expected '0.7.1', but metadata has
    '0.7.1+cu121'". Old pips: "has inconsistent Name: expected 'typing-extensions', but metadata has 'typing_extensions'".

Why it happens
    The version is the label of a build, not a version by PEP 440. Or the file name of a wheel has a local part
    (+cu12torch2.8...) that is not in the wheel's metadata. Or the setup.py of an archive adds such a part (auto-gptq, vLLM), and pip, which chose the archive by its name,
    throws it away. An archive that is asked for by its address is not compared.

    Beware: "Invalid version: 'None'" while flash-attn is built means that torch is a CPU build.

What to do
    Update the program that cannot read the version; or install packaging<22; or request the version without its local
    part.

How to reproduce
    `attn-doctor reproduce version-parse` lets packaging read the version of a torch in one of NVIDIA's containers. It
    downloads nothing.

References
    https://packaging.python.org/en/latest/specifications/version-specifiers/
    https://github.com/huggingface/transformers/issues/29286
    https://github.com/vllm-project/vllm/issues/1922 (sources that add +cu122)
    https://github.com/lllyasviel/FramePack/issues/144 (an old pip, and two spellings of one name)
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, known
from attn_doctor.failure_modes.recipe import Recipe
from attn_doctor.failure_modes.shared import building, inconsistent_metadata
from attn_doctor.failure_modes.shared.fact_queries import version as version_of
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity, fact
from attn_doctor.model.versions import strict

MODE = FailureMode(
    code="AD208",
    slug="version-parse",
    title="A version number that Python's packaging tools reject",
    train=Severity.WARNING,
    flash_attn=Severity.ERROR,
    explains=(
        building.FAILED,
        "no-matching-distribution",
        "python-too-new-no-wheel",
        "transformers-flash-attn-2-not-installed",
    ),
    signs=(
        Sign(
            pattern=r"Invalid version: '(?P<version>(?!None')[^']{0,120})'",
            literal="Invalid version: '",
            sample="packaging.version.InvalidVersion: Invalid version: '2.0.0.nv23.05'",
        ),
        Sign(
            pattern=r"has inconsistent version: (?:expected|filename has) ['‘](?P<version>[^'’]{1,120})['’], but metadata has ['‘](?P<have>[^'’]{1,120})['’]",
            literal="has inconsistent version",
            sample="Requested flash-attn==2.6.3 has inconsistent version: expected '2.6.3+cu123torch2.4', but metadata has '2.6.3'",
        ),
        *inconsistent_metadata.SIGNS,
        Sign(
            pattern=r"invalid literal for int\(\) with base 10: '(?P<version>\d{0,9}(?:post|dev|nv|rc|a|b)\d{0,9}(?:\+[\w.]{0,40})?)'",
            literal="invalid literal for int() with base 10",
            sample="ValueError: invalid literal for int() with base 10: 'post2'",
        ),
        Sign(
            pattern=r"Please use pip<(?P<pip>[\d.]+) if you need to use this version",
            literal="Please use pip<",
            sample="Please use pip<24.1 if you need to use this version.",
        ),
        Sign(
            pattern=r"Ignoring version \S{1,40} of (?P<package>[\w.-]{1,60}) since it has invalid metadata",
            literal="since it has invalid metadata",
            sample="WARNING: Ignoring version 2.0.5 of omegaconf since it has invalid metadata:",
        ),
        Sign(
            pattern=r"Metadata field Version [^:]{0,40}: ?'?(?P<version>[^'\s]{1,80})|The wheel version does not match the metadata",
            literal="ersion ",
            sample="error: Failed to install: the Metadata field Version is malformed: 2.0.0.nv23.05",
            strength="hint",
        ),
    ),
    recipe=Recipe(
        does="lets packaging read the version of a torch in one of NVIDIA's containers",
        run=(("{python}", "-c", "from pip._vendor.packaging.version import Version; Version('2.0.0.nv23.05')"),),
        shows="InvalidVersion",
        seconds=6,
    ),
)


def detect(facts: Facts) -> Hit | None:
    torch = known(facts.torch.version)
    if torch is None:
        return None
    if strict(torch) is None:
        packaging = version_of(facts, "packaging")
        beside = f" packaging {packaging} refuses it." if packaging else ""
        return Hit(
            message=f"The version of torch is {torch!r}, which does not follow PEP 440.{beside}",
            evidence=(fact(facts, "torch.version"),),
            confidence=Confidence.MEDIUM,
        )
    return None


class OldMetadata(Variant, frozen=True):
    """Mark the case that pip refuses the metadata of an old release."""


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    proofs = tuple(m for m in seen.matches if m.strength == "proof")
    if (discarded := inconsistent_metadata.told(facts, seen)) is not None:
        return discarded
    if not proofs:
        return None
    version, have = seen.group("version"), seen.group("have")
    if version is None and (seen.group("pip") or seen.group("package")):
        name = seen.group("package") or "a package"
        message = (
            f"pip 24.1 and newer refuse this old release of {name}, because its metadata does not follow today's rules."
        )
        return Hit(message=message, evidence=building.lines(proofs), variant=OldMetadata())
    if have:
        message = f"The version in the file name is {version}, and in the metadata {have}."
    else:
        message = f"packaging cannot read the version {version!r}: it does not follow PEP 440."
    return Hit(message=message, evidence=building.lines(proofs))


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, inconsistent_metadata.Discarded):
        return inconsistent_metadata.fixes(facts, hit.variant)
    if isinstance(hit.variant, OldMetadata):
        older = commands.install(
            "pip<24.1", why="the last pip that accepts such metadata", changes="pip, to an older release"
        )
        again = commands.by_hand((), "then repeat the installation that failed", "the packages of that command", "none")
        return (Fix(title="Install an older pip", steps=(older, again), verify=commands.check(facts)),)
    step = commands.install(
        "packaging<22", why="packaging before 22 accepts such versions", changes="packaging, to an older release"
    )
    return (Fix(title="Install an older packaging", steps=(step,), verify=commands.check(facts)),)
