"""A TensorRT engine was made by another TensorRT, or for another GPU, and cannot be loaded.

What it is
    An engine (.engine, .trt, .plan) is compiled for one release of TensorRT and one kind of GPU. Another release, or
    another GPU, refuses it.

How it shows
    "The engine plan file is not compatible with this version of TensorRT, expecting library version 10.3.0 got 10.7.0",
    "The engine plan file is generated on an incompatible device", "Serialization assertion stdVersionRead ==
    serializationVersion failed. Version tag does not match", "magicTag == rt::kPLAN_MAGIC_TAG failed", and then, in
    Python, "'NoneType' object has no attribute 'create_execution_context'".

Why it happens
    The engine was exported on another machine, or before TensorRT was upgraded (JetPack, a new container image, pip), or
    two releases of TensorRT are installed and the program loads the other one. "magicTag": the file is no plain engine;
    ultralytics writes its own description in front of the engine, which only ultralytics reads.

What to do
    Copy the weights (.pt) or the ONNX file, not the engine. Export the engine again on the machine that runs it, with
    the same environment: `yolo export model=yolo12n.pt format=engine device=0`.

How to reproduce
    There is no recipe: an engine is made and loaded on an NVIDIA GPU only. Export one, upgrade TensorRT, and load it.

References
    https://docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/advanced.html#version-compatibility
    https://github.com/NVIDIA/TensorRT/issues/2176
    https://github.com/triple-mu/YOLOv8-TensorRT/issues/246
    https://docs.ultralytics.com/integrations/tensorrt/
"""

from __future__ import annotations

import re
from typing import Literal

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity
from attn_doctor.model.steps import Step

MODE = FailureMode(
    code="AD613",
    slug="tensorrt-engine-does-not-fit",
    title="A TensorRT engine was made for another TensorRT or another GPU",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("segfault",),
    signs=(
        Sign(
            pattern=r"engine plan file is not compatible with this version of TensorRT(?:, expecting library version (?P<one>\d[\d.]+) got (?P<other>\d[\d.]*\d))?",
            literal="engine plan file is not compatible with this version",
            sample="[TRT] [E] 6: The engine plan file is not compatible with this version of TensorRT, expecting library version 8.6.1 got 8.5.2, "
            "please rebuild.",
        ),
        Sign(
            pattern=r"engine plan file is generated on an (?P<device>incompatible device)(?:, expecting compute (?P<wanted>\d+\.\d) got compute (?P<got>\d+\.\d))?",
            literal="engine plan file is generated on an incompatible",
            sample="[TRT] [E] 6: The engine plan file is generated on an incompatible device, expecting compute 8.6 got compute 7.5, please rebuild.",
        ),
        Sign(
            pattern=r"Version tag does not match|Serialization assertion \w*[vV]ersionRead == \w+ failed",
            literal="erialization",
            sample="Error Code 1: Serialization (Serialization assertion stdVersionRead == serializationVersion failed.Version tag does not match.",
        ),
        Sign(
            pattern=r"Serialization assertion \S*(?P<magic>magicTag) == \S+ failed",
            literal="magicTag == ",
            sample="Error Code 1: Serialization (Serialization assertion plan->header.magicTag == rt::kPLAN_MAGIC_TAG failed.)",
        ),
        Sign(
            pattern=r"TensorRT EP could not deserialize engine",
            literal="could not deserialize engine",
            sample="TensorRT EP could not deserialize engine from encrypted cache: ./cache/model_sm86.engine",
        ),
        Sign(
            pattern=r"Engine deserialization failed",
            literal="Engine deserialization failed",
            sample="[TRT] [E] 4: [runtime.cpp::deserializeCudaEngine::66] Error Code 4: Internal Error (Engine deserialization failed.)",
            strength="hint",
        ),
        Sign(
            pattern=r"'NoneType' object has no attribute '(?:create_execution_context|num_bindings|num_io_tensors|get_binding_shape)'",
            literal="'NoneType' object has no attribute '",
            sample="AttributeError: 'NoneType' object has no attribute 'create_execution_context'",
            strength="hint",
        ),
        *(
            Sign(
                pattern=rf"(?<![\w/\\.-])(?P<engine>(?:[A-Za-z]:)?[\w./\\-]{{0,200}}?[\w-])\.{kind}(?![\w/])",
                literal=f".{kind}",
                sample=f"Loading yolo12n.{kind} for TensorRT inference...",
                strength="context",
            )
            for kind in ("engine", "trt", "plan")
        ),
        *(
            Sign(pattern=rf"(?P<yolo>{words})", literal=literal, sample=sample, strength="context")
            for words, literal, sample in (
                (
                    "for TensorRT inference",
                    "for TensorRT inference",
                    "Loading yolo12n.engine for TensorRT inference...",
                ),
                (
                    r"\bultralytics\b",
                    "ultralytics",
                    '  File "/v/site-packages/ultralytics/nn/autobackend.py", line 282, in __init__',
                ),
                (
                    r"\bUltralytics\b",
                    "Ultralytics",
                    "Ultralytics 8.3.145 Python-3.12.3 torch-2.7.0+cu126 CUDA:0 (NVIDIA L4, 22693MiB)",
                ),
            )
        ),
        # DeepStream makes the engine by itself if the file is not there.
        Sign(
            pattern=r"(?P<deepstream>nvdsinfer)",
            literal="nvdsinfer",
            sample="0:00:02.15 WARN nvinfer gstnvinfer.cpp:679: nvdsinfer_context_impl.cpp:2081 deserialize backend context from engine failed",
            strength="context",
        ),
    ),
)
# There is no `detect`: an engine is read by TensorRT only.

Why = Literal["release", "gpu", "header", "unknown"]


class Refused(Variant, frozen=True, kw_only=True):
    """Hold why the engine was refused.

    "release": it was made by another TensorRT. "gpu": for another GPU. "header": it is no plain engine. "unknown": the log does not show it.
    """

    why: Why
    engine: str | None  # the path of the file without its ending, "runs/best"; None: the log does not name it
    by: Literal["ultralytics", "deepstream", "another"]


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    told = [m for m in seen.matches if m.strength != "context"]
    if not told:
        return None
    said = seen.captured()
    why: Why = "gpu" if "device" in said else "header" if "magic" in said else "release"
    proven = any(m.strength == "proof" for m in told)
    if not proven:
        why = "unknown"
    message = {
        "release": "The TensorRT engine was made by another release of TensorRT than the one that loads it"
        + (f" ({said['one']} and {said['other']})." if "other" in said else "."),
        "gpu": "The TensorRT engine was made for another kind of GPU"
        + (f" (compute capability {said['got']}, and this GPU has {said['wanted']})." if "got" in said else "."),
        "header": "The file is no plain TensorRT engine: ultralytics writes its own description in front of the engine, or the file is damaged.",
        "unknown": "TensorRT did not load the engine: most often it was made by another release of TensorRT, or for another GPU. The lines with [TRT] [E] above say which.",
    }[why]
    by: Literal["ultralytics", "deepstream", "another"] = (
        "deepstream" if "deepstream" in said else "ultralytics" if "yolo" in said else "another"
    )
    return Hit(
        message=message,
        evidence=building.lines(told[:4]),
        variant=Refused(why=why, engine=said.get("engine"), by=by),
        confidence=Confidence.HIGH if proven else Confidence.LOW,
    )


# A path of a log stands in a command only if it has plain characters.
_PLAIN = re.compile(r"(?!-)[\w./\\:-]+")


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    refused = hit.variant if isinstance(hit.variant, Refused) else Refused(why="unknown", engine=None, by="another")
    verify = commands.check(facts)
    name = refused.engine if refused.engine and _PLAIN.fullmatch(refused.engine) else None
    if refused.by == "deepstream":
        gone = commands.by_hand(
            ("rm", f"{name or 'model'}.engine"),
            "the file that model-engine-file names in the configuration: DeepStream makes a new engine at its next start (minutes)",
            "the engine",
        )
        return (Fix(title="Delete the engine: DeepStream makes it again", steps=(gone,), verify=verify),)
    if refused.by == "ultralytics" and refused.why != "header":
        return (Fix(title="Export the engine again on this machine", steps=(_export(facts, name),), verify=verify),)
    build = commands.by_hand(
        ("trtexec", f"--onnx={name or 'model'}.onnx", f"--saveEngine={name or 'model'}.engine"),
        "on the machine and in the environment that load the engine; trtexec comes with TensorRT (/usr/src/tensorrt/bin on a Jetson and in NVIDIA's "
        'packages) and must be of the release that the program imports: `python -c "import tensorrt; print(tensorrt.__version__)"`. If a script '
        "of the project makes the engine, run that script again instead",
        "the engine",
        takes="minutes",
    )
    built = Fix(title="Build the engine again on this machine", steps=(build,), verify=verify)
    if refused.why != "header":
        return (built,)
    load = commands.by_hand(
        (),
        f'load the file with ultralytics: YOLO("{name or "yolo12n"}.engine"). Another program needs a plain engine: export with format=onnx, then use trtexec',
        "how the engine is loaded",
        "none",
    )
    return (Fix(title="Load it with ultralytics, or build a plain engine", steps=(load, build), verify=verify),)


def _export(facts: Facts, name: str | None) -> Step:
    return commands.by_hand(
        (commands.yolo(facts), "export", f"model={name or 'yolo12n'}.pt", "format=engine", "device=0"),
        "run it on the machine and in the environment that load the engine, and copy only the .pt there. Add the options of the first export "
        "(half=True, int8=True, imgsz=640, batch=8)" + ("" if name else "; yolo12n is an example"),
        "the engine",
        takes="5 to 20 minutes",
    )
