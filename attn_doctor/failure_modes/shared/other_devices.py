"""Judge a program that is told to use a device which is no CUDA device, such as a GPU of Intel, and make the fixes. Pure."""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Fix

SIGNS = tuple(
    Sign(
        pattern=rf"(?<!\w)(?:device|map_location|to)\b ?[=(:] ?['\"]?(?P<other>{name}(?::\d)?)(?!\w)",
        literal=name,
        sample=f"engine/trainer: task=detect, mode=train, model=yolo11s.pt, device={name}:0, workers=8",
        strength="context",
    )
    for name in ("xpu", "npu", "hpu", "mlu", "musa")
)


class Elsewhere(Variant, frozen=True, kw_only=True):
    """Hold the device that the program was told to use, if it is no GPU of NVIDIA: "xpu:0"."""

    device: str


def hit(seen: Seen, device: str) -> Hit:
    """Return the hit for a program that computes on `device`, "xpu:0", and a part of which asks for CUDA."""
    return Hit(
        message=f"The program was told to compute on {device}{', a GPU of Intel,' if device.startswith('xpu') else ','} and a part of it asks for CUDA, "
        "which the torch there does not have and does not need: that part does not support this device.",
        evidence=building.lines(tuple(m for m in seen.matches if m.strength == "proof" or "other" in m.groups)[:4]),
        variant=Elsewhere(device=device),
        confidence=Confidence.MEDIUM,
    )


def fixes(facts: Facts, device: str) -> tuple[Fix, ...]:
    """Return the fixes for a device such as "xpu:0" or "npu:0", which the program took for a CUDA device: the CPU, and OpenVINO for Intel's."""
    cpu = commands.by_hand(
        (),
        f"repeat the command with device=cpu in place of device={device}: it runs on every machine, and is many times slower",
        "nothing",
        "none",
    )
    made = [Fix(title="Compute on the CPU", steps=(cpu,), verify=commands.check(facts))]
    if device.lower().startswith(("xpu", "intel")):
        made.append(_with_openvino(facts))
    return tuple(made)


def _with_openvino(facts: Facts) -> Fix:
    """Return the fix that predicts on a GPU of Intel: https://docs.ultralytics.com/integrations/openvino/."""
    brings = commands.install("openvino", why="Intel's own runtime, which its GPUs run", changes="adds openvino")
    export = commands.by_hand(
        (),
        "yolo export model=YOUR.pt format=openvino, then yolo predict model=YOUR_openvino_model device=intel:gpu: this predicts on the GPU of Intel. "
        "Training there needs a program that supports torch.xpu",
        "adds a folder beside the model",
        "none",
    )
    return Fix(title="Predict on the GPU of Intel with OpenVINO", steps=(brings, export), verify=commands.check(facts))


def on_amd(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes for an AMD GPU of unknown model: compute on the CPU, or on the GPU.

    For the GPU: AMD's torch, or ONNX Runtime with DirectML.
    https://rocm.docs.amd.com/projects/radeon-ryzen/en/latest/ names the cards that a torch for ROCm supports on each system.
    """
    cpu = commands.by_hand(
        (),
        "repeat the command with device=cpu: no build of torch for CUDA runs on an AMD GPU, and the CPU always works, many times slower",
        "nothing",
        "none",
    )
    windows = facts.system.os == "windows"
    words = (
        "on Windows, AMD's own torch for ROCm runs on the Radeon cards of this list only: https://rocm.docs.amd.com/projects/radeon-ryzen/en/latest/. "
        "For all others: yolo export model=YOUR.pt format=onnx, and a program that runs it with onnxruntime-directml"
        if windows
        else "where the card is in AMD's list, https://rocm.docs.amd.com/projects/radeon-ryzen/en/latest/, take the torch for ROCm (Linux, or AMD's own "
        "for Windows); for others on Windows: yolo export model=YOUR.pt format=onnx, and a program that runs it with onnxruntime-directml"
    )
    card = commands.by_hand((), words, "the torch there, or nothing", "none")
    verify = commands.check(facts)
    return (
        Fix(title="Compute on the CPU", steps=(cpu,), verify=verify),
        Fix(title="Compute on the AMD GPU", steps=(card,), verify=verify),
    )
