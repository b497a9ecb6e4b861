"""DirectML lacks an operation that the program uses.

What it is
    torch-directml computes on any GPU that has DirectX 12, as AMD's and Intel's under Windows and WSL. It has only a part of torch's operations, and
    its last release is for torch 2.4.

How it shows
    "RuntimeError: Return counts not implemented for unique operator for DirectML", "Device type privateuseone is not supported for
    torch.Generator() api", "Could not run 'aten::...' with arguments from the 'PrivateUse1' backend", "don't know how to restore data
    location of torch.FloatStorage (tagged with privateuseone:0)", "expected key in DispatchKeySet(CPU, CUDA, ...) but got: PrivateUse1".

Why it happens
    The operation does not exist in torch-directml, or a file of weights was saved from that GPU and is loaded without it. Ultralytics does not
    support DirectML: its training uses such operations.

What to do
    Train on the CPU, or with a torch for the GPU itself: ROCm for AMD, XPU for Intel. To predict, export the model to ONNX and run it with
    onnxruntime-directml. A file of weights: torch.load(path, map_location="cpu").

How to reproduce
    There is no recipe: it needs Windows with a GPU. `torch.tensor([1, 2]).to(torch_directml.device()).unique(return_counts=True)` shows it.

References
    https://github.com/microsoft/DirectML/issues/436
    https://github.com/microsoft/DirectML/issues/400
    https://github.com/microsoft/DirectML/issues/196
    https://github.com/ultralytics/ultralytics/issues/13620
    https://pypi.org/project/torch-directml/
"""

from __future__ import annotations

from typing import Literal

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import other_devices
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity

MODE = FailureMode(
    code="AD449",
    slug="directml-operation-missing",
    title="DirectML lacks an operation",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    signs=(
        Sign(
            pattern=r"Error: (?P<what>.{2,80}?) (?:is |are )?not (?:currently )?(?:implemented|supported) .{0,60}\b(?:for|by|on|in) (?:the )?(?:DirectML|DML)\b",
            literal=" not ",
            sample="RuntimeError: Return counts not implemented for unique operator for DirectML.",
        ),
        Sign(
            pattern=r"Device type (?P<generator>privateuseone) is not supported for torch\.Generator",
            literal="Device type privateuseone",
            sample="RuntimeError: Device type privateuseone is not supported for torch.Generator() api.",
        ),
        Sign(
            pattern=r"Could not run '(?P<operator>[\w:.]{1,80})' with arguments from the 'PrivateUse1' backend",
            literal="from the 'PrivateUse1' backend",
            sample="NotImplementedError: Could not run 'aten::_foreach_add_' with arguments from the 'PrivateUse1' backend.",
        ),
        Sign(
            pattern=r"expected key in DispatchKeySet\([\w, ]{3,200}\) but got: (?P<key>PrivateUse1)",
            literal="but got: PrivateUse1",
            sample="RuntimeError: new(): expected key in DispatchKeySet(CPU, CUDA, HIP, XLA, MPS, IPU, XPU, HPU, Lazy, Meta) but got: PrivateUse1",
        ),
        Sign(
            pattern=r"don't know how to restore data location of \S{3,60} \(tagged with (?P<load>privateuseone|dml)",
            literal="how to restore data location of",
            sample="RuntimeError: don't know how to restore data location of torch.FloatStorage (tagged with privateuseone:0)",
        ),
        Sign(
            pattern=r"Expected a (?P<cuda>cuda) device, but got: privateuseone",
            literal="but got: privateuseone",
            sample="ValueError: Expected a cuda device, but got: privateuseone:0",
        ),
        Sign(
            pattern=r"Cannot set version_counter for inference (?P<inference>tensor)",
            literal="Cannot set version_counter for inference",
            sample="RuntimeError: Cannot set version_counter for inference tensor",
        ),
    ),
)
# There is no `detect`: no fact says which operations a program calls.


class Lacks(Variant, frozen=True, kw_only=True):
    """Hold what fails on DirectML: an operation, the loading of a file, the random generator, or torch's inference mode."""

    what: Literal["operation", "load", "generator", "inference"]


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit:
    said = seen.captured()
    what: Literal["operation", "load", "generator", "inference"] = (
        "load"
        if "load" in said
        else "generator"
        if "generator" in said
        else "inference"
        if "inference" in said
        else "operation"
    )
    name = said.get("operator") or said.get("what")
    message = {
        "load": "The file was saved from a GPU of DirectML, and torch does not know that device when it loads the file.",
        "generator": "The program makes random numbers on the GPU of DirectML, which cannot do that.",
        "inference": "The program uses torch.inference_mode, which DirectML does not support.",
        "operation": f"DirectML lacks an operation that the program uses{f': {name}' if name else ''}.",
    }[what]
    return Hit(message=message, evidence=evidence, variant=Lacks(what=what))


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    what = hit.variant.what if isinstance(hit.variant, Lacks) else "operation"
    own = {
        "load": (
            "Load the file to the CPU",
            'write torch.load(path, map_location="cpu") in the line that the traceback names, and move the model afterwards',
        ),
        "generator": (
            "Make the random numbers on the CPU",
            'write torch.Generator(device="cpu") in the program, and move the tensor to the GPU afterwards',
        ),
        "inference": (
            "Use torch.no_grad",
            "write torch.no_grad() in place of torch.inference_mode() in the line of the program that the traceback names",
        ),
    }.get(what)
    made: tuple[Fix, ...] = ()
    if own is not None:
        step = commands.by_hand((), own[1], "one line of the program", "none")
        made = (Fix(title=own[0], steps=(step,), verify=verify),)
    predict = commands.by_hand(
        (),
        "to predict on that GPU: yolo export model=YOUR.pt format=onnx, and run the file with onnxruntime-directml (pip install onnxruntime-directml)",
        "adds a file beside the model",
        "none",
    )
    cpu, gpu = other_devices.on_amd(facts)
    return (*made, cpu, Fix(title="Predict with ONNX Runtime", steps=(predict,), verify=verify), gpu)
