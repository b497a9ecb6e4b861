"""Describe an environment in the lines of other projects' forms and programs: with their labels, in their order. Pure."""

from __future__ import annotations

from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.versions import at_least
from attn_doctor.report import fact_texts as text
from attn_doctor.report.folded_facts import ALLOCATOR

Lines = list[tuple[str, str]]  # labels and values; an empty label: the value is a line as it is

_LIBRARIES = r"torch|numpy|triton|pytorch-triton|optree|mypy|flake8|onnx|nvidia-|cuda-|cudnn|flash-attn|xformers|intel-|mkl|dpcpp|opencv|ultralytics"


def of_collect_env(facts: Facts) -> Lines:
    """Return the lines of torch/utils/collect_env.py, with its labels in its order."""
    torch, graphics = facts.torch, facts.graphics
    conda = facts.packages.conda
    pip = [f"[pip3] {line}" for line in text.relevant(facts, _LIBRARIES)]
    of_conda = [f"[conda] {item}" for item in (conda if isinstance(conda, tuple) else ())]
    return [
        ("PyTorch version", text.said(torch.version, "not installed")),
        ("Is debug build", text.said(torch.debug)),
        ("CUDA used to build PyTorch", text.said(torch.cuda)),
        *_rocm(facts),
        ("", ""),
        ("OS", text.operating_system(facts)),
        ("GCC version", text.compiler(facts, "gcc", "g++", "c++", "cc")),
        ("Clang version", text.compiler(facts, "clang", "clang++")),
        ("CMake version", text.said(facts.toolchain.cmake, "not found")),
        ("Libc version", text.libc(facts)),
        ("", ""),
        ("Python version", text.python(facts)),
        ("Python platform", text.platform(facts)),
        ("Is CUDA available", text.said(torch.available)),
        ("CUDA runtime version", text.nvcc(facts)),
        ("CUDA_MODULE_LOADING set to", text.one_variable(facts, "CUDA_MODULE_LOADING")),
        ("GPU models and configuration", "\n".join(text.gpus(facts))),
        ("Nvidia driver version", text.said(graphics.driver)),
        ("cuDNN version", text.said(torch.cudnn)),
        ("Is XPU available", text.said(torch.xpu)),
        ("HIP runtime version", text.said(torch.hip_runtime, "N/A")),
        ("MIOpen runtime version", text.said(torch.miopen, "N/A")),
        ("Is XNNPACK available", text.said(torch.xnnpack)),
        ("Caching allocator config", text.one_variable(facts, *ALLOCATOR)),
        ("", ""),
        ("CPU", "\n".join(["", *(f"{label}: {value}" for label, value in text.processor(facts))])),
        ("", ""),
        (
            "Versions of relevant libraries",
            "\n".join(["", *pip, *of_conda]) if pip or of_conda else "none is installed",
        ),
    ]


def _rocm(facts: Facts) -> Lines:
    """Return the lines of ROCm.

    Since torch 2.15, HIP and the ROCm SDK have a line each; in older versions the version of HIP is in the line "ROCM".
    """
    torch = facts.torch
    hip = text.said(torch.hip, "N/A")
    if isinstance(torch.version, str) and not at_least(torch.version, "2.15"):
        return [("ROCM used to build PyTorch", hip)]
    return [
        ("ROCm SDK used to build PyTorch", text.said(torch.rocm, "N/A")),
        ("HIP used to build PyTorch", hip),
    ]


def of_yolo_checks(facts: Facts) -> Lines:
    """Return the lines of `yolo checks`, with its labels in its order. Its requirements come last."""
    torch, graphics, packages = facts.torch, facts.graphics, facts.packages
    gpus = graphics.gpus
    wanted = packages.of_ultralytics
    rows: Lines = [
        (
            "",
            f"Ultralytics {text.said(facts.yolo.version, 'not installed')}, torch {text.said(torch.version, 'not installed')}",
        ),
        ("", ""),
        ("OS", text.platform(facts)),
        ("Environment", text.in_a_notebook(facts) + _in_a_container(facts)),
        ("Python", text.said(facts.interpreter.version)),
        ("Install", text.install_kind(facts)),
        ("Path", text.said(facts.yolo.location)),
        ("RAM", text.memory(facts)),
        ("Disk", text.disk(facts)),
        ("CPU", text.said(facts.cpu.model)),
        ("CPU count", text.processor_count(facts)),
        ("GPU", "; ".join(text.gpus(facts))),
        ("GPU count", text.said(gpus) if isinstance(gpus, Unknown) else str(len(gpus))),
        ("CUDA", text.said(torch.cuda)),
        ("", ""),
    ]
    for one in wanted if isinstance(wanted, tuple) else ():
        rows.append(("", f"{'ok ' if one.met else 'NOT MET '}{one.requires}: {one.found or 'not installed'}"))
    return rows


def _in_a_container(facts: Facts) -> str:
    return f", in {facts.system.container}" if isinstance(facts.system.container, str) else ""


def of_xformers(facts: Facts) -> Lines:
    """Return the lines that the issue form of xformers asks for, with its labels in its order."""
    build = text.said(facts.subject.command) if isinstance(facts.subject.command, str) else "not known to attn-doctor"
    return [
        ("PyTorch Version", text.said(facts.torch.version, "not installed")),
        ("OS", f"{text.operating_system(facts)}, {text.platform(facts)}"),
        ("How you installed PyTorch", text.installed_by(facts, "torch")),
        ("Build command you used (if compiling from source)", build),
        ("Python version", text.python(facts)),
        (
            "CUDA/cuDNN version",
            f"{text.torch_build(facts)}, cuDNN {text.said(facts.torch.cudnn)}; nvcc {text.nvcc(facts)}",
        ),
        ("GPU models and configuration", "\n".join(text.gpus(facts))),
        ("Any other relevant information", _more_of_xformers(facts)),
    ]


def _more_of_xformers(facts: Facts) -> str:
    return f"xformers {text.version_of(facts, 'xformers')}, installed by {text.installed_by(facts, 'xformers')}; {_imports(facts, 'xformers')}"


def _imports(facts: Facts, *modules: str) -> str:
    """Return how the imports of these modules ended: "import flash_attn fails: ImportError: ..."."""
    found = [i for i in facts.imports if i.module in modules] if isinstance(facts.imports, tuple) else []
    said = []
    for item in found:
        why = f": {item.fault.type or item.fault.kind}: {item.fault.headline}" if item.fault else ""
        said.append(
            f"import {item.module} {'works' if item.ok is True else 'fails' if item.ok is False else 'was not tried'}{why}"
        )
    return "; ".join(said) or "not imported"


_FLASH = ("flash_attn_2_cuda", "flash_attn", "flash_attn.cute", "flash_attn_interface", "flash_attn_3")


def of_flash_attention(facts: Facts) -> Lines:
    """Return the lines that flash-attention's maintainers ask for in issues.

    They are about the GPU, torch, CUDA of torch and of nvcc, the compiler, ninja, and the installation.
    """
    torch, chain = facts.torch, facts.toolchain
    return [
        ("GPU", "\n".join(text.gpus(facts))),
        (
            "driver, and the newest CUDA that it supports",
            f"{text.said(facts.graphics.driver)}, {text.said(facts.graphics.driver_cuda)}",
        ),
        (
            "flash-attn",
            f"{text.version_of(facts, 'flash-attn')}, installed by {text.installed_by(facts, 'flash-attn')}",
        ),
        ("import", _imports(facts, *_FLASH)),
        ("torch", text.said(torch.version, "not installed")),
        ("CUDA of torch (torch.version.cuda)", text.said(torch.cuda)),
        ("C++11 ABI of torch", text.said(torch.cxx11_abi)),
        ("nvcc", text.nvcc(facts)),
        ("CUDA_HOME", text.cuda_home(facts)),
        (
            "gcc / clang / MSVC",
            " / ".join(text.compiler(facts, *names) for names in (("g++", "gcc"), ("clang++", "clang"), ("cl",))),
        ),
        (
            "ninja, cmake, git",
            f"{text.said(chain.ninja, 'not found')}, {text.said(chain.cmake, 'not found')}, {text.said(chain.git, 'not found')}",
        ),
        (
            "ninja, packaging, wheel, setuptools in this Python",
            ", ".join(text.version_of(facts, name) for name in ("ninja", "packaging", "wheel", "setuptools")),
        ),
        ("Python", text.python(facts)),
        ("OS, C library", f"{text.operating_system(facts)}, {text.libc(facts)}"),
        (
            "container",
            text.container(facts) + (f", {facts.subject.image}" if isinstance(facts.subject.image, str) else ""),
        ),
        ("memory, cores", f"{text.memory(facts)}, {text.processor_count(facts)}"),
        ("MAX_JOBS and other settings of the build", text.one_variable(facts, *_BUILD)),
    ]


_BUILD = (
    "MAX_JOBS",
    "NVCC_THREADS",
    "TORCH_CUDA_ARCH_LIST",
    "FLASH_ATTN_CUDA_ARCHS",
    "FLASH_ATTENTION_FORCE_BUILD",
    "FLASH_ATTENTION_SKIP_CUDA_BUILD",
    "FLASH_ATTENTION_FORCE_CXX11_ABI",
    "CC",
    "CXX",
)


def of_yolov12(facts: Facts) -> Lines:
    """Return the lines that people ask for in the issues of sunsmarterjie/yolov12, the fork of ultralytics.

    They are about the GPU, CUDA, torch, flash-attn and its import, ultralytics and its attention.
    """
    yolo = facts.yolo
    return [
        ("GPU", "\n".join(text.gpus(facts))),
        (
            "CUDA of torch, of the driver, of nvcc",
            f"{text.said(facts.torch.cuda)}, {text.said(facts.graphics.driver_cuda)}, {text.nvcc(facts)}",
        ),
        ("torch", text.said(facts.torch.version, "not installed")),
        (
            "flash_attn",
            f"{text.version_of(facts, 'flash-attn')}, installed by {text.installed_by(facts, 'flash-attn')}",
        ),
        ("does `import flash_attn` work", _imports(facts, *_FLASH)),
        ("the error behind 'FlashAttention is not available on this device'", text.said(yolo.flash_error, "none")),
        (
            "ultralytics",
            f"{text.said(yolo.version, 'not installed')} ({text.said(yolo.kind)}), {text.install_kind(facts)}",
        ),
        (
            "attention of the installed code",
            f"{text.said(yolo.attention)}, calls {text.said(yolo.calls)}, layout {text.said(yolo.layout)}",
        ),
        ("weights", text.weights(facts)),
        ("Python", text.said(facts.interpreter.version)),
        ("environment (conda, venv ...)", text.said(facts.interpreter.kind)),
        ("OS", text.operating_system(facts)),
    ]
