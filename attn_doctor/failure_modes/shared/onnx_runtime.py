"""Make the fixes for an ONNX Runtime that does not find the libraries of its CUDA or TensorRT provider. Pure.

https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html (the CUDA and cuDNN of each release, the extras of the package
for Python, preload_dlls), https://pypi.org/project/onnxruntime-gpu/ (its extras name CUDA 12 until 1.26, CUDA 13 from 1.27 on)
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.shared.torch_facts import distribution
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Step

_PRELOADS = "1.21"  # the first release with preload_dlls and with the extras cuda and cudnn
_IN_PYTHON = re.compile(r"site-packages|dist-packages|python", re.IGNORECASE)
_NUMBER = re.compile(r"(?:\.so\.|64_)(?P<number>\d+)")
_PAGE = "https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html#requirements"


def fixes(facts: Facts, library: str, provider: str, cuda: str | None) -> tuple[Fix, ...]:
    """Return the fix for a library that a provider of ONNX Runtime did not find.

    For TensorRT's: use the CUDA provider, or install TensorRT. For CUDA's and cuDNN's: install both into the Python
    environment; without one, let the loader find those of the system. `library`: "cublasLt64_12.dll"; "" if the log
    does not name it. `provider`: the file that needs it, "libonnxruntime_providers_cuda.so". `cuda`: the CUDA that this
    ONNX Runtime needs ("12"); None if not known.
    """
    verify = commands.check(facts)
    if "nvinfer" in library or "tensorrt" in provider.lower():
        return (
            Fix(
                title="Use the CUDA provider, or install TensorRT",
                steps=_without_tensorrt(facts, provider),
                verify=verify,
            ),
        )
    if _in_an_environment(facts, provider):
        return (Fix(title="Install CUDA and cuDNN beside ONNX Runtime", steps=_in_python(facts), verify=verify),)
    return (
        Fix(title="Let the loader find CUDA and cuDNN", steps=_on_the_system(library, provider, cuda), verify=verify),
    )


def _in_an_environment(facts: Facts, provider: str) -> bool:
    """Return whether a Python program runs this ONNX Runtime: its path shows it, or the log names a Python, torch or onnxruntime-gpu."""
    named = distribution(facts, "onnxruntime-gpu") is not None or isinstance(facts.torch.version, str)
    return named or _IN_PYTHON.search(provider) is not None or isinstance(facts.interpreter.version, str)


def _in_python(facts: Facts) -> tuple[Step, ...]:
    get = commands.install(
        f"onnxruntime-gpu[cuda,cudnn]>={_PRELOADS}",
        why="brings NVIDIA's wheels of the CUDA and cuDNN that this ONNX Runtime was built for: they need no toolkit",
        changes="adds or upgrades onnxruntime-gpu, and adds NVIDIA's libraries",
        takes="about 2 GB",
    )
    words = (
        "write  onnxruntime.preload_dlls()  below  import onnxruntime  in your program (or  import torch  above it, if torch is built for the same CUDA): "
        "it loads these libraries, which the loader does not search for by itself"
    )
    return get, commands.by_hand((), words, "your program", "none")


def _without_tensorrt(facts: Facts, provider: str) -> tuple[Step, ...]:
    words = 'name "CUDAExecutionProvider" and not "TensorrtExecutionProvider" in the list of providers of your program: it needs no TensorRT'
    steps: tuple[Step, ...] = (commands.by_hand((), words, "your program", "none"),)
    if _in_an_environment(facts, provider):
        brings = commands.install("tensorrt-cu12", why="only to use TensorRT, with CUDA 12", changes="adds TensorRT")
        return (*steps, brings)
    return steps


def _on_the_system(library: str, provider: str, cuda: str | None) -> tuple[Step, ...]:
    """Return the steps for a program that is not a Python program: it finds only the libraries of the system."""
    number = _NUMBER.search(library)
    major = cuda or (number["number"] if number and ("cublas" in library or "cudart" in library) else None)
    named = f"CUDA {major}" if major else "the CUDA of this ONNX Runtime (12 in 1.19 to 1.26, 13 from 1.27 on)"
    dll = provider.endswith(".dll")
    at = library or ("cublasLt64_12.dll" if dll else "libcublasLt.so.12")
    argv = ("where.exe", at) if dll else ("sh", "-c", f"ldconfig -p | grep -F {at}")
    look = commands.by_hand(
        argv,
        f"has to print the path of {at}. If it prints none, install {named} and its cuDNN, or take the ONNX Runtime for the CUDA that is there ({_PAGE})",
        "nothing",
        "none",
    )
    path = "PATH" if dll else "LD_LIBRARY_PATH"
    folder = "bin" if dll else "lib64"
    words = (
        f"add the folder {folder} of that CUDA and the one of cuDNN to {path}, and start the program in a new prompt"
    )
    return look, commands.by_hand((), words, path, "none")
