"""A call on the GPU of Intel failed.

What it is
    torch for XPU computes through Intel's runtime (SYCL) and driver (Level Zero). The driver ended a call with an error.

How it shows
    "RuntimeError: level_zero backend failed with error: 40 (UR_RESULT_ERROR_OUT_OF_RESOURCES)", "... 20 (UR_RESULT_ERROR_DEVICE_LOST)", "... 39
    (UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY)", "RuntimeError: UR error", "UR backend failed. UR backend returns:40".

Why it happens
    OUT_OF_RESOURCES and OUT_OF_DEVICE_MEMORY: the memory of the GPU is full; the driver also says OUT_OF_RESOURCES after a kernel that it ended.
    DEVICE_LOST: the driver ended a kernel and started the GPU anew, as Windows does after two seconds without an answer. Other errors: the
    driver is older than this torch, or a oneAPI that is set up in the shell (setvars) gives torch another SYCL than its own.

What to do
    A smaller batch and image; Intel's newest driver; a shell in which oneAPI's setvars was not run.

How to reproduce
    There is no recipe: it needs a GPU of Intel.

References
    https://docs.pytorch.org/docs/stable/notes/get_start_xpu.html
    https://github.com/pytorch/pytorch/issues/149953
    https://github.com/pytorch/pytorch/issues/190972
    https://oneapi-src.github.io/unified-runtime/core/api.html
"""

from __future__ import annotations

from typing import Literal

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import other_devices
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity

_FULL = ("OUT_OF_RESOURCES", "OUT_OF_DEVICE_MEMORY", "OUT_OF_HOST_MEMORY")

MODE = FailureMode(
    code="AD451",
    slug="xpu-call-failed",
    title="A call on the GPU of Intel failed",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("torch-install-broken",),
    signs=(
        Sign(
            pattern=r"(?:level_zero|opencl|UR) backend failed.{0,60}?\(UR_RESULT_ERROR_(?P<error>\w{3,40})\)",
            literal="UR_RESULT_ERROR_",
            sample="RuntimeError: level_zero backend failed with error: 40 (UR_RESULT_ERROR_OUT_OF_RESOURCES)",
        ),
        Sign(
            pattern=r"RuntimeError: (?P<plain>UR error)\s*$",
            literal="RuntimeError: UR error",
            sample="RuntimeError: UR error",
        ),
        Sign(
            pattern=r"(?P<library>\S{0,200}oneapi\S{0,200}lib(?:ur_loader|sycl|ur_adapter\w*|mkl_sycl\w*)\.so[.\d]*): (?:version `|undefined symbol)",
            literal="oneapi",
            sample="ImportError: /opt/intel/oneapi/compiler/2025.2/lib/libur_loader.so.0: version `LIBUR_LOADER_0.11' not found (required by /v/lib/libsycl.so.8)",
        ),
    ),
)
# There is no `detect`: what the driver answers is seen when a program runs.


class Failed(Variant, frozen=True, kw_only=True):
    """Hold how the call failed: the memory is full, the GPU was started anew, another error, or the libraries of oneAPI stand in front."""

    how: Literal["full", "lost", "other", "oneapi"]


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit:
    errors = [m.groups["error"] for m in seen.matches if "error" in m.groups]
    library = seen.group("library")
    how: Literal["full", "lost", "other", "oneapi"]
    if library:
        how, message = "oneapi", f"torch loaded {library} of the oneAPI in this shell in place of its own library."
    elif errors and errors[0] in _FULL:
        how, message = (
            "full",
            f"Intel's driver ran out of memory or time on the GPU ({errors[0]}): most often the memory of the GPU is full.",
        )
    elif errors and errors[0] == "DEVICE_LOST":
        how, message = (
            "lost",
            "Intel's driver ended a kernel and started the GPU anew (DEVICE_LOST): a kernel took too long, or the driver has a fault.",
        )
    else:
        how, message = (
            "other",
            f"Intel's driver ended a call with an error ({errors[0] if errors else 'UR error'}): it does not fit this torch, or it has a fault.",
        )
    return Hit(
        message=message,
        evidence=evidence,
        variant=Failed(how=how),
        confidence=Confidence.HIGH if how in ("full", "oneapi") else Confidence.MEDIUM,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = (*commands.starting(facts), "-c", "import torch; print(torch.__version__, torch.xpu.is_available())")
    how = hit.variant.how if isinstance(hit.variant, Failed) else "full"
    less = commands.by_hand(
        (),
        "use a smaller batch or image (for example batch=2 imgsz=480), and end other programs that use the GPU",
        "the settings of the program",
        "none",
    )
    smaller = Fix(title="Use less of the GPU's memory", steps=(less,), verify=verify)
    words = (
        "install Intel's newest graphics driver: https://www.intel.com/content/www/us/en/download/785597/intel-arc-graphics-windows.html"
        if facts.system.os == "windows" or places.wsl(facts)
        else "install the newest intel-opencl-icd and libze-intel-gpu1 (level-zero) as this page says: https://dgpu-docs.intel.com/driver/client/overview.html"
    )
    driver = Fix(
        title="Update Intel's driver", steps=(commands.by_hand((), words, "the driver of the GPU"),), verify=verify
    )
    shell = commands.without_library_path(
        facts, "the torch for XPU has its own SYCL: start it in a shell in which oneAPI's setvars was not run"
    )
    clean = Fix(title="Let torch load its own SYCL", steps=(shell,), verify=verify)
    rest = other_devices.fixes(facts, "xpu")[:1]
    if how == "oneapi":
        return (clean,)
    if how == "full":
        return (smaller, driver, *rest)
    return (driver, smaller, *rest) if how == "lost" else (driver, clean, *rest)
