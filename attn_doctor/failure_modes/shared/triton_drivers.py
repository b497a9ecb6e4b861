"""Make the fixes for a Triton that finds no GPU driver, or two, and for a TensorRT that does not support the GPU. Pure.

https://github.com/triton-lang/triton/blob/main/python/triton/runtime/driver.py, https://github.com/deepseek-ai/DeepSeek-R1/issues/493
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix


def fix(facts: Facts, what: str) -> Fix:
    """Return the fix for a Triton that finds no GPU driver, or two: `what` is "no driver" or "two drivers".

    "no driver": do without Triton, or use a GPU that it supports. "two drivers": keep the Triton of one maker.
    """
    verify = commands.check(facts)
    if what == "two drivers":
        step = commands.by_hand(
            (),
            "install the torch and the triton of one maker into an environment of their own: pytorch-triton-rocm for AMD, triton for NVIDIA, pytorch-triton-xpu "
            "for Intel; `pip list` shows which of them are installed together",
            "an environment",
            "none",
        )
        return Fix(title="Keep the Triton of one maker", steps=(step,), verify=verify)
    mac = facts.system.os == "darwin"
    words = (
        'run the model without its Triton kernels, on the Mac\'s GPU (device mps) or the CPU: an option of the program such as attn_implementation="sdpa" or '
        '"eager", or without the package that has the kernels. With these kernels it runs only where there is a GPU of NVIDIA or AMD, under Linux'
        if mac
        else 'run the model without its Triton kernels, on the CPU: an option of the program such as attn_implementation="sdpa" or "eager"; or run it where there is '
        "a GPU of NVIDIA or AMD. If this machine has such a GPU: `nvidia-smi` or `rocminfo` must list it, in a container too, and torch.cuda.is_available() must be True"
    )
    step = commands.by_hand((), words, "the settings of the program", "none")
    return Fix(title="Do without Triton, or use a GPU that it supports", steps=(step,), verify=verify)


def other_than_tensorrt(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes for a GPU that TensorRT does not support: ONNX Runtime, or another TensorRT.

    On a Jetson there is one fix: JetPack's own TensorRT.
    https://github.com/NVIDIA/TensorRT/issues/3589 (8.6 no longer supports Maxwell), https://github.com/NVIDIA/TensorRT/issues/3826 (10 no longer supports Pascal),
    https://docs.nvidia.com/deeplearning/tensorrt/10.8.0/getting-started/release-notes.html (10.8 supports the GeForce 50 series),
    https://github.com/NVIDIA/TensorRT/issues/3759 (pip installs none before 10 under Windows), https://github.com/NVIDIA/TensorRT/issues/3539 (8.6.1: up to
    Python 3.11)
    """
    verify = commands.check(facts)
    if places.jetson(facts):
        return (_of_jetpack(facts),)
    runtime = commands.by_hand(
        (),
        "yolo export model=YOUR.pt format=onnx, and predict with that file: ONNX Runtime (pip install onnxruntime-gpu) runs on this GPU",
        "adds a file beside the model",
        "none",
    )
    older = (
        commands.by_hand(
            (),
            "for a Pascal or Volta GPU (6.0 to 7.0): TensorRT 8.6.1 as a zip file from https://developer.nvidia.com/tensorrt, and the wheel in its folder python; pip finds none before "
            "TensorRT 10 for Windows",
            "tensorrt",
            "none",
        )
        if facts.system.os == "windows"
        else commands.install(
            "tensorrt==8.6.1",
            why="supports Pascal and Volta GPUs (6.0 to 7.0), and newer ones up to 9.0; for Linux on x86-64, up to Python 3.11",
            changes="tensorrt",
        )
    )
    newer = commands.by_hand(
        (),
        "for a GPU that is newer than this TensorRT (RTX 50: 12.0): install TensorRT 10.8 or newer",
        "tensorrt",
        "none",
    )
    return (
        Fix(title="Export to ONNX instead", steps=(runtime,), verify=verify),
        Fix(title="Install a TensorRT for this GPU", steps=(older, newer), verify=verify),
    )


def _of_jetpack(facts: Facts) -> Fix:
    """Return the fix for a Jetson, whose TensorRT has to be that of its JetPack: a container or a pin of apt may bring one for other boards."""
    root = "" if places.is_root(facts) else "sudo "
    pins = commands.by_hand(
        ("sh", "-c", f"grep -lis tensorrt /etc/apt/preferences.d/* | xargs -r {root}rm -v"),
        "where that TensorRT is installed (in the container, if it is one): removes the files by which apt keeps one release of it",
        "settings of apt",
    )
    update = commands.by_hand(places.as_root(facts, "apt-get", "update"), "reads the lists of packages", "apt's lists")
    names = ("tensorrt", "python3-libnvinfer", "python3-libnvinfer-dev")
    newest = commands.by_hand(
        places.as_root(facts, "apt-get", "install", "-y", "--allow-change-held-packages", *names),
        "the newest TensorRT of JetPack's repository; in a container its CUDA has to be that of the board's JetPack too: else start from an image for this JetPack",
        "TensorRT",
    )
    return Fix(title="Install the TensorRT of this JetPack", steps=(pins, update, newest), verify=commands.check(facts))
