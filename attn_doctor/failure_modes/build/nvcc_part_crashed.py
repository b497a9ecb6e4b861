"""A part of nvcc crashed while it compiled: ptxas, cicc or cudafe++.

What it is
    nvcc starts several programs: cudafe++ divides the source, cicc makes PTX of it, ptxas makes code for each GPU. One of them ended with a crash,
    not with an error about the source.

How it shows
    Windows: "'ptxas' died with status 0xC0000005 (ACCESS_VIOLATION)", "'ptxas' died with status 4294967295", "'cudafe++' died with status
    0xC0000409". Linux: "'cicc' died due to signal 11 (Invalid memory reference)".

Why it happens
    The memory was full: ptxas needs several GB for one file of an attention kernel, and that for each job. Or this release of the CUDA toolkit has a
    fault that this source meets. cudafe++ on Windows: the Visual Studio is newer than the toolkit knows.

What to do
    Build again with one job and for one GPU. If the same file crashes again, take another release of the CUDA toolkit.

How to reproduce
    There is no recipe: no source is known that makes every release crash.

References
    https://github.com/facebookresearch/xformers/issues/1327 (ptxas of CUDA 12.9, Windows)
    https://github.com/BLAST-WarpX/warpx/issues/2716 (another release of the toolkit)
    https://github.com/AlexeyAB/darknet/issues/6694 (cudafe++ of CUDA 10.2 and a newer Visual Studio)
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity

_PARTS = r"(?P<part>ptxas|cicc|cudafe\+\+|nvlink|fatbinary)"

MODE = FailureMode(
    code="AD161",
    slug="nvcc-part-crashed",
    title="A part of nvcc crashed",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    stops="build",
    blocks=("flash-attn-2", "flash-attn-3"),
    explains=(building.FAILED,),
    signs=(
        Sign(
            pattern=rf"'{_PARTS}(?:\.exe)?' died with status (?P<status>0x[Cc]0000\w{{3}}|4294967295|322122\d{{4}})",
            literal="' died with status ",
            sample="nvcc error   : 'ptxas' died with status 0xC0000005 (ACCESS_VIOLATION)",
        ),
        Sign(
            pattern=rf"'{_PARTS}' died due to signal (?P<signal>4|6|7|8|11)\b",
            literal="' died due to signal ",
            sample="nvcc error   : 'cicc' died due to signal 11 (Invalid memory reference)",
        ),
    ),
)
# There is no `detect`: a crash is seen when it happens.


class Crashed(Variant, frozen=True, kw_only=True):
    """Hold the program of nvcc that crashed: "ptxas", "cicc"."""

    part: str


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if any(m.strength == "proof" for log in seen.logs for m in log.of("out-of-memory-build")):
        return None
    part = seen.captured()["part"]
    return Hit(
        message=f"{part}, a part of nvcc, crashed while it compiled: the memory was full, or this release of the CUDA toolkit has a fault that this source meets.",
        evidence=evidence,
        variant=Crashed(part=part),
        confidence=Confidence.MEDIUM,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = building.verify(facts)
    part = hit.variant.part if isinstance(hit.variant, Crashed) else "ptxas"
    one = commands.variable("MAX_JOBS", "1", "one compiler at a time: each needs several GB of memory")
    threads = commands.variable("NVCC_THREADS", "1", "one thread in each nvcc, for packages that read it (flash-attn)")
    file = (
        "Windows: also let it have a larger page file (sysdm.cpl, Advanced, Performance, Virtual memory: 32 GB or more). "
        if facts.system.os == "windows"
        else ""
    )
    gpu = commands.by_hand(
        (),
        f"{file}set TORCH_CUDA_ARCH_LIST to your GPU alone, for example 8.6 for an RTX 30 or 8.9 for an RTX 40 (torch.cuda.get_device_capability() prints it): ptxas then has less to do",
        "the GPUs of the build",
        "none",
    )
    again = commands.by_hand(
        (),
        "delete the folder build of the sources, and repeat the command that failed, in this shell",
        "the package",
        takes="up to hours",
    )
    less = Fix(title="Build with less memory", steps=(one, threads, gpu, again), verify=verify)
    words = (
        "if the same file crashes again: install another release of the CUDA toolkit of the same major version as torch.version.cuda, a newer one first, set CUDA_HOME (Windows: CUDA_PATH) to its folder, "
        "and build again. If it is cudafe++ on Windows: a Visual Studio that this toolkit knows"
    )
    other = Fix(
        title="Take another release of the CUDA toolkit",
        steps=(commands.by_hand((), words, "adds a toolkit", "medium"),),
        verify=verify,
    )
    ready = building.without_compiling(facts)
    return (*ready, *((other, less) if part == "cudafe++" else (less, other)))
