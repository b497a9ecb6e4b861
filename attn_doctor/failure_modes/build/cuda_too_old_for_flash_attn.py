"""The nvcc that is found is too old to compile flash-attn.

What it is
    Each flash-attn release names the oldest CUDA toolkit that can compile it. The nvcc that was found is older.

How it shows
    "RuntimeError: FlashAttention is only supported on CUDA 11.7 and above. Note: make sure nvcc has a supported
    version by running nvcc -V.". Or nvcc itself does not support an option: "nvcc fatal : Value 'c++20' is not
    defined for option 'std'".

Why it happens
    The build finds another nvcc than the one that you mean: /usr/bin/nvcc of the distribution, or an old module,
    comes before the new one on PATH. The CUDA version that nvidia-smi shows is the driver's, not nvcc's.

What to do
    Put the newer toolkit's bin folder first on PATH, and set CUDA_HOME to the newer toolkit. Or install a finished
    wheel, which needs no nvcc.

How to reproduce
    `attn-doctor reproduce cuda-too-old-for-flash-attn` runs flash-attn's own setup.py with an nvcc of CUDA 11.6.
    Stand-ins (parts that are not real): a torch that only looks like a CUDA build; an nvcc that only prints its
    version. It downloads 13 MB, and a CPU build of torch (200 MB) if the target's torch cannot be used.

References
    https://github.com/Dao-AILab/flash-attention/issues/825
    https://github.com/Dao-AILab/flash-attention/blob/main/setup.py
"""

from __future__ import annotations

from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, every
from attn_doctor.failure_modes.recipe import (
    BUILD_TOOLS,
    INSTALL_SOURCE,
    LOOKS_LIKE_CUDA,
    Recipe,
    Source,
    StubToolkit,
    Torch,
    Variable,
)
from attn_doctor.failure_modes.shared import building, subject, toolkits
from attn_doctor.knowledge import flash_attention
from attn_doctor.knowledge.attention_rows import FlashRelease
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Evidence, Fix, Severity, fact
from attn_doctor.model.versions import pair

MODE = FailureMode(
    code="AD109",
    slug="cuda-too-old-for-flash-attn",
    title="nvcc is too old for flash-attn",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    stops="build",
    blocks=("flash-attn-2", "flash-attn-3"),
    explains=("nvcc-torch-cuda-mismatch", building.FAILED),
    signs=(
        Sign(
            pattern=r"(?P<package>\w[\w-]{1,40})(?: Engine|-\d)? (?:is only supported on|only supports|requires) CUDA (?P<need>\d+(?:\.\d+)?)"
            r"(?: and above| and newer| or (?:newer|higher|later)|\+)",
            literal="CUDA ",
            sample="RuntimeError: FlashAttention is only supported on CUDA 11.7 and above.  Note: make sure nvcc has a supported "
            "version by running nvcc -V.",
        ),
        Sign(
            pattern=r"CUDA (?P<need>\d+\.\d+) or (?:newer|higher|later) is required (?:to build|to compile|for compute capability)",
            literal=" is required ",
            sample="RuntimeError: CUDA 12.0 or higher is required to build the package.",
        ),
        Sign(
            pattern=r"nvcc fatal\s*: Value '(?P<option>c\+\+\d\d)' is not defined for option 'std'",
            literal="is not defined for option 'std'",
            sample="nvcc fatal   : Value 'c++20' is not defined for option 'std'",
        ),
        Sign(
            pattern=r"nvcc fatal\s*: Unknown option '-{0,2}(?P<option>threads|generate-dependencies-with-compile|MD|std=c\+\+\d\d|t)'",
            literal=": Unknown option '",
            sample="nvcc fatal   : Unknown option '--threads'",
        ),
    ),
    recipe=Recipe(
        does="runs flash-attn's own setup.py with an nvcc of CUDA 11.6",
        of=(
            Torch(cuda="11.6"),
            BUILD_TOOLS,
            Source(),
            StubToolkit(version="11.6"),
            Variable(name="CUDA_HOME", value="{toolkit}"),
        ),
        run=(INSTALL_SOURCE,),
        shows="only supported on CUDA",
        seconds=20,
        stands_in=(LOOKS_LIKE_CUDA, "an nvcc that only prints its version"),
    ),
)


def detect(facts: Facts) -> Hit | None:
    if not every(lambda: building.setup_would_run(facts), lambda: building.nvcc(facts) is not None):
        return None
    row = flash_attention.release(building.wanted_release(facts))
    have = str(building.nvcc(facts))
    number = pair(have)
    if isinstance(row, Unknown) or number is None or number >= (pair(row.min_nvcc) or (0, 0)):
        return None
    chosen = building.toolkit(facts)
    assert chosen is not None
    return Hit(
        message=f"The nvcc that PyTorch would call belongs to CUDA {have}; flash-attn {row.release} needs {row.min_nvcc} or newer.",
        evidence=(fact(facts, f"{building.toolkit_path(facts, chosen)}.version", f"{chosen.root} is CUDA {have}"),),
    )


class TooOld(Variant, frozen=True, kw_only=True):
    """Hold the oldest CUDA version that the package supports, as its error names it: "11.7"."""

    needs: str


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    need, option = seen.group("need"), seen.group("option")
    if need:
        return Hit(
            message=f"The nvcc that was found is older than CUDA {need}, which {_of(facts, seen)} needs.",
            evidence=evidence,
            variant=TooOld(needs=need),
        )
    return Hit(message=f"The nvcc that was found is too old: it does not support {option!r}.", evidence=evidence)


def _of(facts: Facts, seen: Seen) -> str:
    """Return the name of the package that needs a newer CUDA, "flash-attn"; "the package" if the log does not name it."""
    named = seen.group("package") or ""
    return named.lower().replace("_", "-") if "_" in named else subject.words(facts)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    floor = hit.variant.needs if isinstance(hit.variant, TooOld) else None
    row = flash_attention.release(building.wanted_release(facts)) if subject.is_flash_attn(facts) else None
    least = row.min_nvcc if isinstance(row, FlashRelease) else None
    return toolkits.cures(
        facts, floor=max(filter(None, (floor, least)), key=lambda text: pair(text) or (0, 0), default=None)
    )
