"""Put errors of MPS, the GPU of a Mac, into words, and make their fixes. Pure.

https://docs.pytorch.org/docs/stable/notes/mps.html, https://docs.pytorch.org/docs/stable/mps_environment_variables.html,
https://github.com/pytorch/pytorch/pull/119641 (bfloat16: macOS 14, torch 2.3), https://github.com/pytorch/pytorch/issues/141864 (a Mac with an Intel processor has only
torch 2.2)
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix

KINDS = ("own", "bf16", "autocast", "placed", "macos", "crash")


def message(kind: str, name: str) -> str:
    """Return the sentence for an error of MPS. `kind`: one of KINDS.

    `name`: what the error names, "roi_align_forward_impl" or "14.0"; only "own" and "macos" print it.
    """
    return {
        "own": f"The operation {name} belongs to an extension (mmcv or another), which has no code for the GPU of a Mac (MPS).",
        "bf16": "The number format bfloat16 does not exist on the GPU of a Mac (MPS) in this torch or this macOS: it needs macOS 14 and torch 2.3, which is for Macs with an Apple chip only.",
        "autocast": "This torch has no mixed precision (autocast) for the GPU of a Mac (MPS).",
        "placed": "The model and its input are in different places: one is on the GPU of the Mac (MPS), the other on the CPU.",
        "macos": f"This torch uses the GPU of a Mac (MPS) from macOS {name} on, and the macOS there is older.",
        "crash": "Apple's library for the GPU (MPS) ended the process: a fault of this torch or this macOS in one operation.",
    }[kind]


def fixes(facts: Facts, kind: str) -> tuple[Fix, ...]:
    """Return the fixes for an error of MPS of this kind (one of KINDS): to compute on the CPU is always one of them."""
    verify = commands.check(facts)
    cpu = commands.by_hand(
        (),
        "use the device cpu: device=cpu (yolo), device='cpu' in init_detector or init_model (OpenMMLab), model.to('cpu'); only this operation may be slow enough "
        "to notice",
        "the settings of the program",
        "none",
    )
    on_cpu = Fix(title="Compute on the CPU", steps=(cpu,), verify=verify)
    if kind == "own":
        return (on_cpu,)
    if kind == "placed":
        both = commands.by_hand(
            (),
            'put both on the same device: model = model.to("mps") and x = x.to("mps") before the call, also each tensor that the program makes in between '
            '(torch.zeros(..., device=x.device)); or "cpu" for both',
            "the program",
            "none",
        )
        return (Fix(title="Put the model and its input on one device", steps=(both,), verify=verify), on_cpu)
    if kind == "macos":
        system = commands.by_hand((), "update macOS (System Settings, General, Software Update)", "macOS")
        return (on_cpu, Fix(title="Update macOS", steps=(system,), verify=verify))
    packages = ("torch", "torchvision")  # PyPI's build for macOS is the only one
    newer = commands.install(
        *packages,
        upgrade=True,
        why="newer releases have more of MPS, and fewer faults",
        changes="upgrades torch",
    )
    upgrade = Fix(title="Install a newer torch", steps=(newer,), verify=verify)
    if kind == "crash":
        return (upgrade, on_cpu)
    words = (
        "compute in float32 or float16: torch_dtype=torch.float16 (transformers), --force-fp16 (ComfyUI); macOS 14 with torch 2.3 and newer has bfloat16"
        if kind == "bf16"
        else "train without mixed precision: amp=False (yolo), precision=32 (Lightning), --mixed_precision no (accelerate)"
    )
    plain = commands.by_hand((), words, "the settings of the program", "none")
    other = Fix(title="Compute in another number format", steps=(plain,), verify=verify)
    intel = isinstance(facts.system.machine, str) and facts.system.machine == "x86_64"
    return (other, on_cpu) if kind == "bf16" and intel else (other, upgrade, on_cpu)
