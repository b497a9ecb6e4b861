"""There is no finished wheel for this torch, Python and platform, so flash-attn is compiled.

What it is
    flash-attn's setup.py makes the name of a wheel from its own version, torch's version, CUDA version and C++ ABI,
    the Python and the platform, and asks GitHub for this file. If the file does not exist, setup.py compiles from
    source. That takes hours and often fails.

How it shows
    "Guessing wheel URL: https://github.com/Dao-AILab/flash-attention/releases/download/...", then "Precompiled wheel
    not found. Building from source...". If you install the wheel by its address: "HTTP error 404 while getting
    https://.../flash_attn-...whl".

Why it happens
    torch is newer than this flash-attn release, or a nightly; or no wheel was built for this Python; or the system is
    ARM, Windows or macOS. The CUDA version in the name comes from torch.version.cuda, never from nvcc. setup.py
    prints the same sentence if it cannot reach GitHub.

    This is only the first stage: if the build that follows fails, the error of the build is the cause.

What to do
    Use a torch and a Python for which a wheel exists (`attn-doctor wheels` lists them), or a wheel that somebody else
    built. Or use YOLO12 without flash-attn: PyTorch's own fused attention needs no package.

How to reproduce
    `attn-doctor reproduce no-prebuilt-wheel` lets flash-attn's own setup.py ask a server that does not have its
    wheel, and stops the build that follows. Stand-ins (parts that are not real): a torch that only looks like a CUDA
    build; GitHub; compilers that never end. It downloads 13 MB, and a CPU build of torch (200 MB) if the target's
    torch cannot be used.

References
    https://github.com/Dao-AILab/flash-attention/releases
    https://github.com/Dao-AILab/flash-attention/issues/2045
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, every, known
from attn_doctor.failure_modes.recipe import (
    BUILD_TOOLS,
    GITHUB,
    LOOKS_LIKE_CUDA,
    PIP,
    Network,
    Recipe,
    Source,
    StubToolkit,
    Torch,
    Variable,
)
from attn_doctor.failure_modes.shared import building, cut_logs, rocm_steps, subject, wheel_fixes
from attn_doctor.failure_modes.shared.fact_queries import cuda_build
from attn_doctor.failure_modes.shared.torch_facts import machine_of
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity, fact

# Packages whose setup or users download one wheel by its name from a releases page.
_BUILT = "flash_attn|causal_conv1d|mamba_ssm|xformers|gptqmodel|auto_gptq|exllamav2|natten|torch_scatter|torch_sparse|torch_cluster"

MODE = FailureMode(
    code="AD201",
    slug="no-prebuilt-wheel",
    title="There is no finished flash-attn wheel for this torch and Python",
    train=Severity.INFO,
    flash_attn=Severity.WARNING,
    stops="build",
    explains=("build-timeout-hang", "ninja-missing-at-build"),
    signs=(
        Sign(
            pattern=r"Precompiled wheel not found\. Building from source",
            literal="Precompiled wheel not found",
            sample="Precompiled wheel not found. Building from source...",
            strength="hint",
        ),
        Sign(
            pattern=rf"HTTP error 404 while getting (?P<url>\S*[-/](?:{_BUILT})\S*\.whl)",
            literal="HTTP error 404 while getting",
            sample="ERROR: HTTP error 404 while getting https://github.com/Dao-AILab/flash-attention/releases/download/v2.8.3/"
            "flash_attn-2.8.3+cu13torch2.15cxx11abiTRUE-cp311-cp311-linux_x86_64.whl",
        ),
        Sign(
            pattern=rf"404[^)]{{0,40}}\)? for url:? \(?(?P<url>\S{{0,200}}[-/](?:{_BUILT})\S{{0,200}}\.whl)",
            literal=" for url",
            sample="HTTP status client error (404 Not Found) for url (https://github.com/Dao-AILab/flash-attention/releases/download/"
            "v2.8.3/flash_attn-2.8.3+cu12torch2.9cxx11abiTRUE-cp313-cp313-linux_x86_64.whl)",
        ),
        # The line of setup.py that asks for the wheel: where the log ends below it, that failed, and the build that followed as well.
        cut_logs.source(
            r"urllib\.request\.urlretrieve\(wheel_url, wheel_filename\)",
            "urlretrieve(wheel_url",
            "    urllib.request.urlretrieve(wheel_url, wheel_filename)",
        ),
        Sign(
            pattern=r"Guessing wheel URL:\s*(?P<url>\S+)",
            literal="Guessing wheel URL",
            sample="Guessing wheel URL:  https://github.com/Dao-AILab/flash-attention/releases/download/v2.8.3/flash_attn-2.8.3.whl",
            strength="context",
        ),
        Sign(
            pattern=r"Successfully (?:built|installed)(?: |.{0,4000} )(?:flash[-_]attn|causal[-_]conv1d|mamba[-_]ssm)",
            literal="Successfully ",
            sample="Successfully built flash-attn",
            strength="context",
        ),
    ),
    recipe=Recipe(
        does="lets flash-attn's own setup.py ask a server that does not have its wheel, and stops the build that follows",
        of=(
            Torch(cuda="12.8"),
            BUILD_TOOLS,
            Source(),
            StubToolkit(version="12.8", waits=True),
            Network(kind="404", hosts=GITHUB),
            Variable(name="CUDA_HOME", value="{toolkit}"),
        ),
        run=((*PIP, "install", "-v", "--no-build-isolation", "--no-deps", "{source}"),),
        shows="Precompiled wheel not found",
        seconds=110,
        deadline=90,
        stands_in=(LOOKS_LIKE_CUDA, "GitHub", "compilers that never end"),
    ),
)


def detect(facts: Facts) -> Hit | None:
    if not every(
        lambda: known(facts.system.os) in ("linux", "windows"),
        lambda: not building.works(facts),
        lambda: cuda_build(facts),
    ):
        return None
    release = building.wanted_release(facts)
    there = known(building.wheel_is_there(facts, release))
    if there.yes:
        return None
    name = building.asked_for(facts, release).filename
    return Hit(
        message=f"There is no finished wheel of flash-attn {release} for this torch and Python: it would ask for {name}, and compile.",
        evidence=(fact(facts, "torch.version"), fact(facts, "interpreter.version"), fact(facts, "torch.cxx11_abi")),
        confidence=Confidence.HIGH if there.verified else Confidence.MEDIUM,
    )


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    name = (seen.group("url") or "").rpartition("/")[2].replace("%2B", "+")
    what = f"There is no wheel {name}" if name else "There is no wheel with the name that setup.py asked for"
    if cut_logs.ends(seen) and cut_logs.alone(seen):
        return cut_logs.hit(
            seen,
            f"setup.py of {subject.words(facts)} asks GitHub for a finished wheel there. Probably there is none for this torch, CUDA and Python, or "
            "GitHub was not reached; then it compiles, and that failed too.",
            "urllib.error.HTTPError or URLError",
        )
    seen = cut_logs.told(seen)
    if all(m.strength == "context" for m in seen.matches):
        return None  # the log continues after that line, and names the error
    proofs = tuple(m for m in seen.matches if m.strength == "proof")
    if proofs:
        return Hit(message=f"{what}.", evidence=building.lines(proofs))
    asked = tuple(m for m in seen.matches if m.strength == "hint")
    message = f"{what}, or GitHub did not send it; {subject.words(facts)} began to compile."
    if any("uccessfully" in m.text for m in seen.matches):
        return Hit(
            message=f"{what}, so it was compiled, and the build succeeded.",
            evidence=building.lines(asked),
            severity=Severity.INFO,
        )
    # If there is a later error, that error is the cause, and the missing wheel only a notice.
    if any(_something_else_after(seen, m) for m in asked):
        return Hit(message=message, evidence=building.lines(asked), severity=Severity.INFO)
    return Hit(message=message, evidence=building.lines(asked))


def _something_else_after(seen: Seen, match: Match) -> bool:
    """Return whether a sign of another failure follows in the same log. Context signs do not count."""
    return any(
        other.line > match.line and other.slug not in (MODE.slug, "build-timeout-hang") and _an_error(other)
        for log in seen.logs
        if log.file == match.file
        for other in log.matches
    )


def _an_error(other: Match) -> bool:
    """Return whether a sign is a separate error. The urlopen traceback at the end of every failed build is not."""
    return other.strength != "context" and "urlopen error" not in other.text


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if subject.is_flash_attn(facts) and _for_amd(facts):
        # There are no wheels for ROCm in these releases: setup.py asks for one by a name that no file ever had.
        return rocm_steps.of_flash_attn(facts, build=True)
    return building.without_compiling(facts)


def _for_amd(facts: Facts) -> bool:
    """Return whether the torch there, or the GPU, is for ROCm."""
    return machine_of(facts).maker == "amd"


def usual(facts: Facts) -> tuple[Fix, ...]:
    """Return the fix for a machine whose versions are not known.

    For flash-attn: the command that finds its wheel. For another package: look for a wheel on its releases page.
    """
    if subject.is_flash_attn(facts):
        return (wheel_fixes.look_it_up(facts),)
    words = f"look on the releases page of {subject.words(facts)} (its address is in the log) for a wheel for your torch, CUDA and Python"
    step = commands.by_hand((), words, "that package")
    return (Fix(title="Install a wheel from the releases page", steps=(step,), verify=building.verify(facts)),)
