"""A library was built for another ROCm than the one that is loaded.

What it is
    Each ROCm has its own libamdhip64, librocblas and others, with a number in their names (.so.5, .so.6, .so.7) and their
    own functions. An extension, or a torch, that was built for one ROCm does not run with the libraries of another.

How it shows
    "undefined symbol: hipGetDevicePropertiesR0600" (only ROCm 6 and newer have it), "undefined symbol: hipblasLt..." and other
    names that begin with hip, roc, rccl, miopen or hsa; "libamdhip64.so.6: cannot open shared object file"; "version
    `hip_6.2' not found".

Why it happens
    The extension (flash-attn, exllamav2, bitsandbytes, vLLM) was compiled beside another torch, or with a newer ROCm of the
    system than the torch has; torch's wheel from PyTorch's index contains its own ROCm, one from AMD's repository or a
    distribution needs the ROCm of the system. Or LD_LIBRARY_PATH puts another ROCm in front.

What to do
    Compare `torch.version.hip` with the ROCm of the system (/opt/rocm/.info/version). Build the extension again with the ROCm of
    torch, or install a torch for the ROCm that is there. If libamdhip64 is missing altogether: install a torch from PyTorch's
    ROCm index, which contains it.

How to reproduce
    `attn-doctor reproduce rocm-of-another-version` loads a library that asks for a function of another HIP. It downloads nothing.

References
    https://rocm.docs.amd.com/projects/HIP/en/latest/reference/deprecated_api_list.html
    https://github.com/ROCm/legacy-rocm-build/issues/2845
    https://docs.pytorch.org/get-started/locally/
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.recipe import Library, Recipe
from attn_doctor.failure_modes.shared import building, subject, torch_steps
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity

_LIBRARIES = (
    r"lib(?:amdhip64|hiprtc|hipblas|hipblaslt|hipfft|hiprand|hipsolver|hipsparse|hipsparselt|rocblas|rocfft|rocrand|rocsolver|rocsparse|"
    r"rccl|MIOpen|hsa-runtime64|roctx64|roctracer64|amd_comgr|rocm_smi64|rocm-core)"
)

MODE = FailureMode(
    code="AD337",
    slug="rocm-of-another-version",
    title="A library is for another ROCm",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=(
        "abi-mismatch-torch-version",
        "transformers-flash-attn-2-not-installed",
        "yolo12-flash-not-used",
        "ld-library-path-shadowing",
    ),
    signs=(
        Sign(
            pattern=r"(?:(?P<file>[^\s:]{1,300}\.so[.\d]*): )?undefined symbol: (?P<symbol>(?:hip|rccl|hsa_|miopen|roc(?:blas|solver|sparse|rand|fft|tx))[A-Za-z_]\w*)",
            literal="undefined symbol: ",
            sample="ImportError: /v/site-packages/flash_attn_2_cuda.cpython-310-x86_64-linux-gnu.so: undefined symbol: hipGetDevicePropertiesR0600",
        ),
        Sign(
            pattern=rf"(?P<library>{_LIBRARIES}\.so[.\d]*): cannot open shared object file",
            literal=": cannot open shared object file",
            sample="ImportError: libamdhip64.so.6: cannot open shared object file: No such file or directory",
        ),
        Sign(
            pattern=rf"(?P<old>{_LIBRARIES}\.so[.\d]*): version [`'](?P<version>[\w.]+)' not found",
            literal="' not found",
            sample="ImportError: /opt/rocm/lib/libamdhip64.so.6: version `hip_6.2' not found (required by /v/torch/lib/libtorch_hip.so)",
        ),
        Sign(
            pattern=r"\bROCm[ -]?(?P<system>[67]\.\d)(?:\.\d+)?\b",
            literal="ROCm",
            sample="Ubuntu 24.04, Radeon RX 7900 XTX, ROCm 7.0.2",
            strength="context",
        ),
    ),
    recipe=Recipe(
        does="loads a library that asks for a function of another HIP",
        of=(
            Library(path="lib/libamdhip64.so.5", exports=("hipGetDeviceProperties",)),
            Library(path="lib/extension.so", asks=("hipGetDevicePropertiesR0600",), needs=("lib/libamdhip64.so.5",)),
        ),
        run=(("{python}", "-c", "import ctypes, os; ctypes.CDLL('lib/extension.so', mode=os.RTLD_NOW)"),),
        shows="undefined symbol: hipGetDevicePropertiesR0600",
        seconds=2,
    ),
)
# There is no `detect`: the ROCm for which an extension was built is not among the facts.


class Other(Variant, frozen=True, kw_only=True):
    """Hold the missing library (None if a function is missing), and whether torch itself is the part that does not fit."""

    library: str | None
    torch: bool
    onnx: bool = False  # ONNX Runtime asked for the library
    rocm: str | None = None  # the ROCm of the system, as the log names it: "7.1"


_OF_TORCH = re.compile(r"[\\/]torch[\\/]|libtorch|libc10")


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    said = seen.captured()
    library = said.get("library")
    package = facts.subject.package
    torch = any(_OF_TORCH.search(m.text) for m in seen.matches) or (
        library is not None and package in ("torch", "torchvision")
    )
    onnx = not torch and any("onnxruntime" in m.text for m in seen.matches)
    what = "torch" if torch else "ONNX Runtime" if onnx else package if isinstance(package, str) else "The program"
    if library is not None:
        number = library.partition(".so.")[2].partition(".")[0]
        rocm = f", of ROCm {number}" if library.startswith("libamdhip64") and number else ", a part of ROCm"
        message = f"{library}{rocm}, is not found, and {what if onnx else what[0].lower() + what[1:]} was built for it."
    elif "version" in said:
        message = (
            f"{what} was built for a newer ROCm than the {said['old']} that is loaded: it has no {said['version']}."
        )
    else:
        since = " Only ROCm 6 and newer have it." if said.get("symbol", "").endswith("R0600") else ""
        message = (
            f"{what} was built for another ROCm than the one that is loaded: {said.get('symbol')} is not there.{since}"
        )
    return Hit(
        message=message,
        evidence=building.lines([m for m in seen.matches if m.strength != "context"]),
        variant=Other(library=library, torch=torch, onnx=onnx, rocm=said.get("system")),
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    other = hit.variant if isinstance(hit.variant, Other) else Other(library=None, torch=False)
    look = commands.by_hand(
        (*commands.starting(facts), "-c", "import torch; print(torch.__version__, torch.version.hip)"),
        "prints the ROCm of torch; cat /opt/rocm/.info/version prints the ROCm of the system. Without a number as the second word this torch is not for AMD GPUs",
        "nothing",
        "none",
    )
    name = subject.stated(facts)
    if other.onnx and other.library is not None:
        return _of_onnxruntime(facts, other.library, other.rocm)
    torch = torch_steps.newest(facts, "Install a torch that contains its own ROCm", maker="amd", reinstall=True)
    if other.torch or name in (None, "torch", "torchvision"):
        return (*torch, Fix(title="See which ROCm is where", steps=(look,), verify=verify))
    built = commands.install(
        name or subject.FLASH_ATTN,
        why="compiles it again with the torch and the ROCm that are there now: hipcc must be of the ROCm that torch prints",
        changes=name or subject.FLASH_ATTN,
        reinstall=True,
        no_deps=True,
        no_build_isolation=True,
        no_cache=True,
        takes="minutes to hours",
    )
    again = Fix(title=f"Build {name} again, for torch's ROCm", steps=(look, built), verify=verify)
    return (again, *torch)


def _of_onnxruntime(facts: Facts, library: str, rocm: str | None) -> tuple[Fix, ...]:
    """Return the fixes for ONNX Runtime: let it find the library of the system, or take the wheel for the ROCm of the system.

    https://rocm.docs.amd.com/projects/radeon-ryzen/en/latest/docs/install/installrad/native_linux/install-onnx.html
    """
    verify = commands.check(facts)
    look = commands.by_hand(
        ("sh", "-c", f"ls -l /opt/rocm*/lib/{library.partition('.so')[0]}.so*; cat /opt/rocm/.info/version"),
        f"if {library} is listed: the next line lets the loader find it. If only another number is listed, this ONNX Runtime is for another ROCm: see the next fix",
        "nothing",
        "none",
    )
    path = commands.in_front(facts, "LD_LIBRARY_PATH", "/opt/rocm/lib", "the folder of ROCm's libraries, in this shell")
    found = Fix(title="Let the loader find ROCm's libraries", steps=(look, path), verify=verify)
    release = rocm or "7.1"
    wheel = commands.install(
        "onnxruntime-migraphx",
        why=(
            "built"
            if rocm
            else f"{release} is an example: write what the line with /opt/rocm/.info/version printed; built"
        )
        + f" by AMD for ROCm {release}; it uses MIGraphX: providers=['MIGraphXExecutionProvider']",
        changes="ONNX Runtime",
        find_links=f"https://repo.radeon.com/rocm/manylinux/rocm-rel-{release}/",
        reinstall=True,
        no_deps=True,
    )
    gone = commands.uninstall("onnxruntime", "onnxruntime-rocm", why="the builds share one folder")
    again = Fix(title="Install the ONNX Runtime for the ROCm of the system", steps=(gone, wheel), verify=verify)
    return found, again
