"""The CUDA toolkit has a compiler, but some headers and libraries are missing.

What it is
    nvcc runs. But the toolkit does not contain some headers that PyTorch and flash-attn include, or libraries that
    they are linked with.

How it shows
    "fatal error: cusparse.h: No such file or directory" (cusolverDn.h, cublas_v2.h, cuda_fp8.h, thrust/complex.h, nv/target,
    cuda_runtime.h); "/usr/bin/ld: cannot find -lcudart"; MSVC: "fatal error C1083 ... 'cusolverDn.h'", "LNK1181 ...
    'cudart.lib'".

Why it happens
    NVIDIA's packages come in parts. conda's cuda-nvcc and apt's cuda-nvcc-12-8 contain only the compiler; the wheels
    nvidia-*-cu12 contain libraries without a compiler. Or CUDA_HOME points at a folder that contains only a part of a
    toolkit.

What to do
    Install the whole toolkit, in the CUDA version that torch was built for (conda: cuda-toolkit; apt:
    cuda-toolkit-12-8 for CUDA 12.8). Or install the -dev packages that are missing.

How to reproduce
    `attn-doctor reproduce cuda-headers-incomplete` compiles a file that includes cusparse.h against a toolkit that lacks it.
    It downloads nothing.

References
    https://github.com/Dao-AILab/flash-attention/issues/157
    https://docs.nvidia.com/cuda/cuda-installation-guide-linux/#meta-packages
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, every, known
from attn_doctor.failure_modes.recipe import File, Recipe, StubToolkit
from attn_doctor.failure_modes.shared import building, not_found_words, toolkits, torch_steps
from attn_doctor.knowledge.yes_no_unknown import names
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity, fact

_HEADERS = (
    r"(?:cu(?:da|blas|sparse|solver|rand|fft|dnn|pti|file)\w{0,40}\.h(?:pp)?|nvrtc\.h|nvToolsExt\w{0,20}\.h|nvJitLink\.h|"
    r"(?:thrust|cub|nv|nvtx3|crt|cooperative_groups|cuda/std|nccl)/[\w/]{1,80}(?:\.\w{1,3})?|nccl\.h)"
)
_LIBRARIES = r"cu(?:dart|blas|blasLt|sparse|solver|rand|fft|dnn|pti)\w{0,12}|nvrtc|nvToolsExt|nvJitLink|cudadevrt"

MODE = FailureMode(
    code="AD112",
    slug="cuda-headers-incomplete",
    title="The CUDA toolkit is incomplete",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    stops="build",
    blocks=("flash-attn-2", "flash-attn-3"),
    explains=(building.FAILED, "extension-not-built"),
    signs=(
        Sign(
            pattern=not_found_words.missing_header(_HEADERS),
            literal="fatal error: ",
            sample="/v/torch/include/ATen/cuda/CUDAContextLight.h:7:10: fatal error: cusparse.h: No such file or directory",
        ),
        *(
            Sign(pattern=not_found_words.missing_header(_HEADERS), literal=literal, sample=sample)
            for literal, sample in (
                (
                    "致命错误：cu",
                    "/v/torch/include/ATen/cuda/CUDAContextLight.h:7:10: 致命错误：cusparse.h：没有那个文件或目录",
                ),
                (
                    ": cusparse.h",
                    "CUDAContextLight.h:7:10: schwerwiegender Fehler: cusparse.h: Datei oder Verzeichnis nicht gefunden",
                ),
                (
                    ": cusolver",
                    "CUDAContextLight.h:7:10: schwerwiegender Fehler: cusolverDn.h: Datei oder Verzeichnis nicht gefunden",
                ),
                (
                    ": cublas",
                    "CUDAContextLight.h:7:10: schwerwiegender Fehler: cublas_v2.h: Datei oder Verzeichnis nicht gefunden",
                ),
                (
                    ": cuda_",
                    "CUDAMiscFunctions.h:7:10: schwerwiegender Fehler: cuda_runtime.h: Datei oder Verzeichnis nicht gefunden",
                ),
                (
                    ": thrust/",
                    "complex.h:8:10: schwerwiegender Fehler: thrust/complex.h: Datei oder Verzeichnis nicht gefunden",
                ),
                (
                    "C1083: ",
                    "CUDAContextLight.h(7): fatal error C1083: Cannot open include file: 'cusolverDn.h': No such file or directory",
                ),
                ('open source file "', 'utils.h(17): catastrophic error: cannot open source file "cuda_fp8.h"'),
            )
        ),
        Sign(
            pattern=rf"cannot find -l(?P<library>{_LIBRARIES})\b",
            literal="cannot find -l",
            sample="/usr/bin/ld: cannot find -lcudart: No such file or directory",
        ),
        # CMake: 'Target "ggml-cuda" links to:', "CUDA::cublas", "but the target was not found", each on a line of its own
        Sign(
            pattern=r"^\s*CUDA::(?P<library>cublas|cudart|cufft|curand|cusparse|cusolver|nvrtc|nvjitlink)(?:_static)?\s*$",
            literal="CUDA::",
            sample="      CUDA::cublas",
        ),
        Sign(
            pattern=rf"LNK1(?:181|104): [^']{{0,60}}'(?P<library>{_LIBRARIES})\.lib'",
            literal=".lib'",
            sample="LINK : fatal error LNK1181: cannot open input file 'cudart.lib'",
        ),
        # CUDA 12.9 removed the library of NVTX 2, and on Windows CUDA 12.0 did. torch/share/cmake/Caffe2/public/cuda.cmake of torch 2.7 and older asks for it.
        # https://github.com/pytorch/pytorch/issues/152756, https://github.com/pytorch/pytorch/pull/151583 (torch 2.8)
        Sign(
            pattern=r"(?P<nvtx>target \"torch::nvtoolsext\" contains|[Tt]arget \"CUDA::nvToolsExt\"|Failed to find nvToolsExt)",
            literal="ool",
            sample='  The link interface of target "torch::nvtoolsext" contains:',
        ),
        # https://github.com/facebookresearch/pytorch3d/blob/main/INSTALL.md: CUB_HOME is for CUDA before 11.
        Sign(
            pattern=r"(?P<cub>The version of CUB in your include path is not compatible with this release of Thrust)",
            literal="The version of CUB in your include path",
            sample="thrust/system/cuda/config.h(79): fatal error C1189: #error:  The version of CUB in your include path is not compatible with this release of Thrust.",
        ),
        Sign(
            pattern=r"(?P<cub>namespace \"thrust::cub\" has no member)",
            literal=" has no member",
            sample='agent_launcher.h(524): error: namespace "thrust::cub" has no member "DebugSyncStream"',
        ),
        Sign(
            pattern=r"CUDA compiler and CUDA toolkit headers are incompatible",
            literal="toolkit headers are incompatible",
            sample="error: #error -- CUDA compiler and CUDA toolkit headers are incompatible, please check your include paths",
        ),
    ),
    recipe=Recipe(
        does="compiles a file that includes cusparse.h against a toolkit that lacks it",
        of=(StubToolkit(version="12.4"), File(path="small.cpp", text="#include <cusparse.h>\n")),
        run=(("g++", "-c", "small.cpp", "-I{toolkit}/include", "-o", "small.o"),),
        shows="cusparse.h: No such file",
        seconds=1,
    ),
)


def detect(facts: Facts) -> Hit | None:
    if not every(
        lambda: building.would_be_built(facts),
        lambda: building.nvcc(facts) is not None,
        lambda: bool(_missing(facts)),
    ):
        return None
    chosen = building.toolkit(facts)
    assert chosen is not None
    return Hit(
        message=f"The CUDA toolkit in {chosen.root} lacks {names(_missing(facts)[:4])}, which the build needs.",
        evidence=(fact(facts, f"{building.toolkit_path(facts, chosen)}.missing_headers"),),
    )


def _missing(facts: Facts) -> tuple[str, ...]:
    chosen = building.toolkit(facts)
    return known(chosen.missing_headers) if chosen else ()


class NoNvtx(Variant, frozen=True):
    """Mark a toolkit that is newer than the cmake files of torch, and lacks the library of NVTX 2."""


class OtherCub(Variant, frozen=True):
    """Mark the case that another CUB than that of the toolkit is found first, through CUB_HOME. The toolkit is complete."""


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if seen.group("cub") is not None:
        return Hit(
            message="The build found another CUB than the one of its CUDA toolkit: CUB_HOME is set, or a copy of CUB was put into the toolkit's folder. CUDA 11 and newer contain their own.",
            evidence=evidence,
            variant=OtherCub(),
        )
    if seen.group("nvtx") is not None:
        return Hit(
            message="torch's cmake files ask for nvToolsExt, which this CUDA toolkit no longer has (CUDA 12.9 and newer; on Windows CUDA 12.0 and newer): torch 2.8 and newer do not ask for it.",
            evidence=evidence,
            variant=NoNvtx(),
        )
    header, library = seen.group("header"), seen.group("library")
    what = header or (f"the library {library}" if library else None)
    if what is None:
        return Hit(message="nvcc and the CUDA headers that it found have different versions.", evidence=evidence)
    return Hit(message=f"{what} is not in the CUDA toolkit that was used.", evidence=evidence)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, OtherCub):
        unset = commands.variable(
            "CUB_HOME", None, "the build then takes the CUB of the toolkit, which fits its Thrust"
        )
        clean = commands.by_hand(
            (),
            "if a folder cub-... was copied into the toolkit's folder include, or config.h of Thrust was edited: undo it. Delete the folder build of the sources, and build again in this shell",
            "the toolkit, as it was",
            "low",
        )
        return (Fix(title="Build with the toolkit's own CUB", steps=(unset, clean), verify=building.verify(facts)),)
    if isinstance(hit.variant, NoNvtx):
        return _without_nvtx(facts)
    return toolkits.cures(facts)


def _without_nvtx(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes for a torch whose cmake files ask for NVTX 2: a newer torch, or give cmake the target that is missing.

    https://github.com/vllm-project/vllm/issues/20892
    """
    newer = torch_steps.newest(facts, "Install torch 2.8 or newer", why="its cmake files do not ask for nvToolsExt")
    words = (
        "to keep this torch: write these two lines into the CMakeLists.txt of the package, above find_package(Torch ...): find_package(CUDAToolkit REQUIRED)  and  "
        "if(NOT TARGET CUDA::nvToolsExt AND TARGET CUDA::nvtx3) add_library(CUDA::nvToolsExt ALIAS CUDA::nvtx3) endif()  (cmake 3.25 or newer knows CUDA::nvtx3)"
    )
    alias = commands.by_hand((), words, "the sources of the package", "low")
    kept = Fix(title="Give cmake the newer NVTX under the old name", steps=(alias,), verify=building.verify(facts))
    return (*newer, kept)
