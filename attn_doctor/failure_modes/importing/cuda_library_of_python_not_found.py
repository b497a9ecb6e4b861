"""A program does not find cuDNN, cuBLAS or NVRTC, which are in the Python environment or can be installed there.

What it is
    torch loads the CUDA libraries of its wheels by their paths. Other programs (CTranslate2, which faster-whisper and WhisperX use, ONNX
    Runtime, cuDNN itself) give the loader only the name of the library, and the loader does not search the environment's folders.

How it shows
    "Could not load library libcudnn_ops_infer.so.8. Error: libcudnn_ops_infer.so.8: cannot open shared object file", "Could not load library
    libcudnn_cnn_infer.so.8. Error: libnvrtc.so: cannot open shared object file", "Library libcublas.so.12 is not found or cannot be loaded",
    "Library cublas64_12.dll is not found or cannot be loaded", ONNX Runtime's "Error loading ...onnxruntime_providers_cuda.dll which depends on
    cublasLt64_12.dll which is missing", "Invalid handle. Cannot load symbol cudnnCreateTensorDescriptor", "nvrtc: error: failed to open
    libnvrtc-builtins.so.11.1", "failed to open nvrtc-builtins64_118.dll".

Why it happens
    The library is not installed, or it is in site-packages/nvidia, which the loader does not search. cuDNN 8 looks for a file libnvrtc.so,
    and the wheels of torch up to 2.0 contain NVRTC only with a number in its name (libnvrtc.so.11.2). NVRTC opens its second file as
    libnvrtc-builtins.so.11.1, and these wheels contain it as libnvrtc-builtins.so, or with letters in its name.

What to do
    Install NVIDIA's wheels of these libraries into the environment, and add their folders to LD_LIBRARY_PATH (on Windows: PATH). For libnvrtc.so:
    make a link of that name beside the file that is there, or install torch 2.1 or newer.

How to reproduce
    There is no recipe: it needs a GPU, because programs open these libraries at the first use of a GPU.

References
    https://github.com/SYSTRAN/faster-whisper#gpu
    https://github.com/pytorch/pytorch/issues/97041
    https://github.com/pytorch/pytorch/issues/58101 (libnvrtc-builtins in the wheels of torch)
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
        # NVRTC opens its second file by its name alone, and torch's wheels gave it another name: https://github.com/pytorch/pytorch/issues/58101
        Sign(
            pattern=r"failed to open (?P<builtins>(?:lib)?nvrtc-builtins(?:64_\d+\.dll|\.so\.\d+(?:\.\d+)?))",
            literal="nvrtc-builtins",
            sample="nvrtc: error: failed to open libnvrtc-builtins.so.11.8.",
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
    if (builtins := seen.group("builtins")) is not None:
        message = f"NVRTC, which compiles code of TorchScript for the GPU, does not find its second file {builtins}: the file has another name, or the loader does not search its folder."
        return Hit(message=message, evidence=evidence, variant=Absent(library=builtins))
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
    if "nvrtc-builtins" in library:
        return _builtins(facts, library)
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


def _builtins(facts: Facts, library: str) -> tuple[Fix, ...]:
    """Return the fixes for NVRTC's second file: the name that NVRTC opens, or NVIDIA's wheel of this version.

    `library`: "libnvrtc-builtins.so.11.8", "nvrtc-builtins64_118.dll". The wheels of PyTorch's index have the file in torch/lib, as libnvrtc-builtins.so or
    libnvrtc-builtins-2dc4bf68.so.11.8; those of PyPI in nvidia/cuda_nvrtc/lib. https://github.com/pytorch/pytorch/issues/99781
    """
    verify = commands.check(facts)
    if library.endswith(".dll"):
        words = (
            f"look for {library} in the folder torch\\lib of site-packages, and in CUDA\\vX.Y\\bin of a toolkit of this version; add that folder to PATH, and start the program "
            "again. If neither has it: call torch._C._jit_set_texpr_fuser_enabled(False) before the model is loaded; it is "
            "slower then, and needs no NVRTC"
        )
        return (
            Fix(
                title="Let NVRTC find its second file",
                steps=(commands.by_hand((), words, "PATH of this prompt", "none"),),
                verify=verify,
            ),
        )
    program = (
        "import glob, os, sysconfig; p = sysconfig.get_paths()['purelib']; "
        "f = (glob.glob(p + '/torch/lib/libnvrtc-builtins*') + glob.glob(p + '/nvidia/*/lib/libnvrtc-builtins.so.*'))[0]; "
        f"d = os.path.dirname(f); n = d + '/{library}'; os.path.exists(n) or os.symlink(os.path.basename(f), n); print(d)"
    )
    link = commands.by_hand(
        (*commands.starting(facts), "-c", program),
        "gives the file in this environment the name that NVRTC opens, if it has another one; prints the folder. 'IndexError' says that this environment has no such file",
        "adds a link",
    )
    why = "so that the loader finds it, in this shell; then start the program again"
    path = nvidia_wheels.on_the_path(facts, why, torch=True)
    made = [Fix(title="Give NVRTC's second file the name that NVRTC opens", steps=(link, *path), verify=verify)]
    version = library.partition(".so.")[2]
    major = int(version.partition(".")[0])
    if "." in version and (major > 11 or version in ("11.7", "11.8")):  # NVIDIA's wheels begin with CUDA 11.7
        wheel = "nvidia-cuda-nvrtc" if major > 12 else f"nvidia-cuda-nvrtc-cu{major}"
        get = commands.install(
            f"{wheel}=={version}.*", why="NVIDIA's wheel of NVRTC has both of its files", changes=f"adds {wheel}"
        )
        made.append(Fix(title=f"Install NVRTC {version} into the environment", steps=(get, *path), verify=verify))
    return tuple(made)
