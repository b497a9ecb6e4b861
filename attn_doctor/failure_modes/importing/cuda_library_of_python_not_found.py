"""A program does not find cuDNN, cuBLAS or NVRTC, which are in the Python environment or can be installed there.

What it is
    torch loads the CUDA libraries of its wheels by their paths. Other programs (CTranslate2, which faster-whisper and WhisperX use, ONNX
    Runtime, cuDNN itself) give the loader only the name of the library, and the loader does not search the environment's folders.

How it shows
    "Could not load library libcudnn_ops_infer.so.8. Error: libcudnn_ops_infer.so.8: cannot open shared object file", "Could not load library
    libcudnn_cnn_infer.so.8. Error: libnvrtc.so: cannot open shared object file", "Library libcublas.so.12 is not found or cannot be loaded",
    "Library cublas64_12.dll is not found or cannot be loaded", ONNX Runtime's "Error loading ...onnxruntime_providers_cuda.dll which depends on
    cublasLt64_12.dll which is missing", "Invalid handle. Cannot load symbol cudnnCreateTensorDescriptor".

Why it happens
    The library is not installed, or it is in site-packages/nvidia, which the loader does not search. cuDNN 8 looks for a file libnvrtc.so,
    and the wheels of torch up to 2.0 contain NVRTC only with a number in its name (libnvrtc.so.11.2).

What to do
    Install NVIDIA's wheels of these libraries into the environment, and add their folders to LD_LIBRARY_PATH (on Windows: PATH). For libnvrtc.so:
    make a link of that name beside the file that is there, or install torch 2.1 or newer.

How to reproduce
    There is no recipe: it needs a GPU, because programs open these libraries at the first use of a GPU.

References
    https://github.com/SYSTRAN/faster-whisper#gpu
    https://github.com/pytorch/pytorch/issues/97041
    https://docs.nvidia.com/deeplearning/cudnn/backend/latest/developer/misc.html
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import nvidia_wheels, onnx_runtime
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity

_NAMES = r"lib(?:cudnn|cublas|nvrtc|cudart|cufft|curand|cusparse|cusolver|nvJitLink)\w*\.so[.\d]*"

MODE = FailureMode(
    code="AD326",
    slug="cuda-library-of-python-not-found",
    title="A program does not find cuDNN, cuBLAS or NVRTC",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("segfault",),
    signs=(
        Sign(
            pattern=rf"Could not load library (?P<asks>{_NAMES})\.? Error: (?P<library>{_NAMES}): cannot open shared object file",
            literal="Could not load library lib",
            sample="Could not load library libcudnn_ops_infer.so.8. Error: libcudnn_ops_infer.so.8: cannot open shared object file: No such file or directory",
        ),
        # CTranslate2: https://github.com/OpenNMT/CTranslate2/blob/master/src/cuda/cublas_stub.cc
        Sign(
            pattern=rf"Library (?P<library>{_NAMES}|(?:cublas|cudnn|cudart|nvrtc)\w*\.dll) is not found or cannot be loaded",
            literal=" is not found or cannot be loaded",
            sample="RuntimeError: Library libcublas.so.12 is not found or cannot be loaded",
        ),
        # ONNX Runtime opens its provider. Older releases do not name the library that it lacks, and non-English Windows may garble the line:
        # https://github.com/microsoft/onnxruntime/issues/20571, https://github.com/microsoft/onnxruntime/issues/27766
        Sign(
            pattern=r"(?:Error loading|when trying to load) \"(?P<provider>[^\"]{0,300}onnxruntime_providers_\w+\.dll)\"(?:.{0,60}? \"(?P<library>[\w.-]+\.dll)\" which is missing)?",
            literal="onnxruntime_providers_",
            sample='Error loading "C:\\app\\onnxruntime_providers_cuda.dll" which depends on "cublasLt64_12.dll" which is missing. (Error 126: "")',
        ),
        Sign(
            pattern=rf"Failed to load (?:shared )?library (?P<provider>\S*onnxruntime_providers_\w+\.so) with error: (?P<library>{_NAMES}|libnvinfer[\w.]*\.so[.\d]*): cannot open",
            literal="onnxruntime_providers_",
            sample="Failed to load library libonnxruntime_providers_cuda.so with error: libcublasLt.so.12: cannot open shared object file: No such file",
        ),
        Sign(
            pattern=r"Failed to create (?:CUDA|Tensorrt|TensorRT)ExecutionProvider\. Require cuDNN (?P<cudnn>\d+)\.\* and CUDA (?P<cuda>\d+)\.\*",
            literal="ExecutionProvider. Require cuDNN",
            sample="Failed to create CUDAExecutionProvider. Require cuDNN 9.* and CUDA 12.*, and the latest MSVC runtime.",
            strength="context",
        ),
        Sign(
            pattern=r"Invalid handle\. Cannot load symbol (?P<symbol>cudnn\w+)",
            literal="Invalid handle. Cannot load symbol",
            sample="Invalid handle. Cannot load symbol cudnnCreateTensorDescriptor",
            strength="hint",
        ),
    ),
)
# There is no `detect`: the facts do not show which libraries a program will load at its first use of a GPU.


class Absent(Variant, frozen=True, kw_only=True):
    """Hold the library that was not found: "libcublas.so.12", "libnvrtc.so", "cublas64_12.dll"."""

    library: str
    # The file of ONNX Runtime that needs it, as the log writes it; `library` may be empty then.
    provider: str | None = None
    cuda: str | None = None  # the CUDA that this ONNX Runtime asks for, "12"


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    library, provider = seen.group("library"), seen.group("provider")
    if not any(m.strength != "context" for m in seen.matches):
        return None
    if provider is not None:
        runs = provider.replace("\\", "/").rpartition("/")[2]
        return Hit(
            message=f"ONNX Runtime cannot load its {runs}: {library or 'a library that it needs'} is not installed, or the loader does not search its folder.",
            evidence=evidence,
            variant=Absent(library=library or "", provider=provider, cuda=seen.group("cuda")),
            confidence=Confidence.HIGH if library else Confidence.MEDIUM,
            severity=Severity.WARNING if seen.group("cuda") else None,  # the program goes on, on the CPU
        )
    if library is None:
        if any(log.of("ld-library-path-shadowing") for log in seen.logs):
            return None  # the line before it names the file: that failure mode reports it
        return Hit(
            message="A program does not find a part of cuDNN: the loader does not search the folder of cuDNN.",
            evidence=evidence,
            variant=Absent(library="libcudnn.so.9"),
            confidence=Confidence.MEDIUM,
        )
    asks = (seen.group("asks") or "").rstrip(".")
    for_it = f", which {asks} opens" if asks and asks != library else ""
    return Hit(
        message=f"{library}{for_it}, is not found: it is not installed, or the loader does not search its folder."
        if for_it
        else f"{library} is not found: it is not installed, or the loader does not search its folder.",
        evidence=evidence,
        variant=Absent(library=library),
    )


_MAJOR = re.compile(r"(?:\.so\.|64_)(?P<major>\d+)")


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    library = hit.variant.library if isinstance(hit.variant, Absent) else "libcudnn.so.9"
    if isinstance(hit.variant, Absent) and hit.variant.provider is not None:
        return onnx_runtime.fixes(facts, library, hit.variant.provider, hit.variant.cuda)
    if library.startswith("libnvrtc.so") and facts.system.os != "windows":
        return (_link(facts),)
    wheels = _wheels(library)
    get = commands.install(
        *wheels,
        why="NVIDIA's wheels of these libraries: they need no toolkit and no root",
        changes=f"adds {' and '.join(wheels)}",
        takes="about 1 GB",
    )
    why = "adds the folders of all NVIDIA wheels of this environment, so that the loader searches them in this shell; then start the program again"
    path = nvidia_wheels.on_the_path(facts, why, dll=library.endswith(".dll"))
    verify = commands.check(facts)
    title = "Install the library into the environment, and let the loader search its folder"
    return (Fix(title=title, steps=(get, *path), verify=verify),)


def _wheels(library: str) -> tuple[str, ...]:
    """Return the requirements that install a library, and the second library (cuBLAS or cuDNN) that such programs load next."""
    found = _MAJOR.search(library)
    major = int(found["major"]) if found else 12
    # The number in libcudnn.so.8 is the release of cuDNN, not of CUDA: cuDNN 8 was made for CUDA 11 and for CUDA 12.
    if "cudnn" in library:
        return ("nvidia-cublas-cu12", f"nvidia-cudnn-cu12=={major}.*")
    if major >= 13:
        return ("nvidia-cublas", "nvidia-cudnn-cu13")
    return (f"nvidia-cublas-cu{major}", f"nvidia-cudnn-cu{major}")


def _link(facts: Facts) -> Fix:
    """Return the fix that creates the symbolic link libnvrtc.so to the environment's NVRTC file: cuDNN 8 opens NVRTC by this name.

    If torch comes from PyTorch's index, the file is torch/lib/libnvrtc-672ee683.so.11.2. If torch comes from PyPI, it is
    nvidia/cuda_nvrtc/lib/libnvrtc.so.11.2.
    """
    program = (
        "import glob, os, sysconfig; p = sysconfig.get_paths()['purelib']; "
        "f = [n for n in glob.glob(p + '/torch/lib/libnvrtc-*.so*') + glob.glob(p + '/nvidia/*/lib/libnvrtc.so.*') if 'builtins' not in n][0]; "
        "d = os.path.dirname(f); os.symlink(os.path.basename(f), d + '/libnvrtc.so'); print(d)"
    )
    link = commands.by_hand(
        (*commands.starting(facts), "-c", program),
        "creates the link libnvrtc.so beside the NVRTC file of this environment, because cuDNN 8 opens NVRTC by this name; prints the folder",
        "adds a link",
    )
    path = nvidia_wheels.on_the_path(
        facts, "so that the loader finds the link, in this shell; then start the program again", torch=True
    )
    return Fix(title="Give NVRTC the name that cuDNN opens", steps=(link, *path), verify=commands.check(facts))
