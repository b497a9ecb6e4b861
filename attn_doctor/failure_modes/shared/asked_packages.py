"""Read the errors in which a package names, in its own words, another package that it needs, and make their fix. Pure.

transformers, diffusers, datasets, torchaudio and others import some packages only when they use them. Their errors name the package:
"requires the timm library but it was not found in your environment", "Please install torchcodec".
"""

from __future__ import annotations

import re
from typing import NamedTuple

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import Sign, Variant
from attn_doctor.failure_modes.shared import building, other_devices, package_wheels, subject, torchcodec_releases
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix

_NAME = r"[A-Za-z][\w.-]{1,40}"
_HAS = r"(?:[<>=!~]=[\w.*]{1,16}(?:,[<>=!~]=?[\w.*]{1,16})?)"
# Packages that other failure modes report, or that no plain installation brings.
_OTHERS = r"(?!(?:torch|torchvision|torchaudio|flash[-_]attn|triton|numpy|tensorrt|apex|ultralytics|pip|setuptools|wheel|git|your?|the|it|this|this_package)\b)"

SIGNS = (
    # https://github.com/huggingface/transformers/blob/main/src/transformers/utils/import_utils.py, .../diffusers/utils/import_utils.py
    Sign(
        pattern=rf"requires the (?P<asked>{_OTHERS}{_NAME}) library but it was not found in your environment",
        literal="library but it was not found in your environment",
        sample="ImportError: AutoImageProcessor requires the Pillow library but it was not found in your environment.",
        strength="hint",
    ),
    # https://github.com/huggingface/transformers/blob/main/src/transformers/modeling_utils.py, https://github.com/huggingface/datasets/issues/7707
    Sign(
        pattern=rf"(?:Error|Exception): .{{0,240}}?\bpip install (?:-U |--upgrade )?[`'\"]{{0,2}}(?P<asked>{_OTHERS}{_NAME}?)(?P<has>{_HAS})?(?:\[[\w,-]{{1,40}}\])?[`'\"]",
        literal="pip install",
        sample="ImportError: Using `low_cpu_mem_usage=True` or a `device_map` requires Accelerate: `pip install 'accelerate>=0.26.0'`",
        strength="hint",
    ),
    Sign(
        pattern=rf"(?:Import|ModuleNotFound|Runtime)Error: .{{0,200}}\b[Pp]lease (?:first )?install [`'\"]?(?P<asked>{_OTHERS}(?:torchcodec|accelerate|peft|timm|datasets|soundfile|librosa|einops|onnx|onnxruntime|pycocotools|safetensors|sentencepiece|protobuf|tiktoken|opencv-python|decord|av|wandb|tensorboard))\b",
        literal="lease ",
        sample="ImportError: To support decoding audio data, please install 'torchcodec'.",
        strength="hint",
    ),
    Sign(
        pattern=rf"PackageNotFoundError: (?:No package metadata was found for )?(?P<asked>{_OTHERS}(?:bitsandbytes|accelerate|peft|timm|transformers|diffusers|tokenizers|safetensors|tqdm|regex|filelock|huggingface-hub|imageio|opencv-python|onnxruntime|onnx|auto-gptq|optimum|torchcodec|datasets|decord|lightning|pytorch-lightning))\s*$",
        literal="PackageNotFoundError: ",
        sample="importlib.metadata.PackageNotFoundError: No package metadata was found for bitsandbytes",
        strength="hint",
    ),
    # https://github.com/huggingface/diffusers/blob/main/src/diffusers/loaders/lora_base.py
    Sign(
        pattern=r"(?P<peft>PEFT backend is required for this method)",
        literal="PEFT backend is required",
        sample="ValueError: PEFT backend is required for this method.",
        strength="hint",
    ),
    # torch.onnx: https://github.com/pytorch/pytorch/blob/v2.6.0/torch/onnx/utils.py, torch/onnx/_internal/onnx_proto_utils.py
    Sign(
        pattern=r"Error: Module (?P<asked>onnx|onnxscript|onnxruntime) is not installed",
        literal=" is not installed",
        sample="torch.onnx.errors.OnnxExporterError: Module onnx is not installed!",
        strength="hint",
    ),
    # Modules that programs around YOLO import, whose package has the same name, or the name in _OF_MODULE.
    Sign(
        pattern=r"(?:ModuleNotFoundError: |❌ .{0,12})No module named '(?P<alone>lap|lapx|thop|supervision|roboflow|pycocotools|albumentations|dill|ray|wandb|clip|ai_edge_litert|onnx2tf|tf_keras|sng4onnx|onnxslim|onnxsim|torchcodec|timm|einops|huggingface_hub|accelerate|peft|diffusers|transformers|safetensors|omegaconf|hydra|kornia|monai|skimage|pycuda|dlib|pynvml|torchmetrics|lightning|pytorch_lightning|tensorboardX|tensorboard|mamba_ssm|causal_conv1d|faster_coco_eval|fvcore|iopath|yacs|addict|mmengine)'",
        literal="No module named '",
        sample="ModuleNotFoundError: No module named 'lap'",
        strength="hint",
    ),
    # https://learn.microsoft.com/windows/ai/directml/pytorch-windows; https://github.com/microsoft/DirectML/issues/290
    Sign(
        pattern=r"No module named '(?P<directml>torch_directml(?:_native)?)'",
        literal="No module named 'torch_directml",
        sample="ModuleNotFoundError: No module named 'torch_directml'",
        strength="hint",
    ),
    Sign(
        pattern=r"module 'torch' has no attribute '(?P<directml>dml)'",
        literal="module 'torch' has no attribute 'dml'",
        sample="AttributeError: module 'torch' has no attribute 'dml'",
        strength="hint",
    ),
)

# https://github.com/ultralytics/ultralytics/blob/main/ultralytics/trackers/utils/matching.py (lapx), and each package's page on PyPI
_OF_MODULE = {
    "lap": "lapx",
    "skimage": "scikit-image",
    "hydra": "hydra-core",
    "ai_edge_litert": "ai-edge-litert",
    "pynvml": "nvidia-ml-py",
    "clip": "clip @ git+https://github.com/ultralytics/CLIP.git",
    "faster_coco_eval": "faster-coco-eval",
}
_DIRECTML = "torch-directml"


class Wanted(NamedTuple):
    """Hold the package that an error asks for ("accelerate"), its releases (">=0.26.0", or ""), the package that asks, and the line."""

    package: str
    has: str
    by: str | None
    match: Match


class Asked(Variant, frozen=True, kw_only=True):
    """Hold the package that another package asks for, and the releases that it accepts: ("accelerate", ">=0.26.0")."""

    package: str
    has: str


def asked(seen: Seen) -> Wanted | None:
    """Return the package for which an error of the log asks; None if no error names one, or a build printed it."""
    for match in seen.matches:
        said = match.groups
        name = said.get("asked") or ("peft" if "peft" in said else said.get("alone"))
        if "directml" in said:
            return Wanted(_DIRECTML, "", None, match)
        if name is None or building.in_build(seen, match) or _own_part(match):
            continue
        by = re.search(r"in (?P<by>transformers|diffusers|datasets|torchaudio|accelerate)\b", match.text)
        package = _OF_MODULE.get(name, name.replace("_", "-")) if "alone" in said else name
        return Wanted(package, said.get("has") or "", by["by"] if by else None, match)
    return None


def _own_part(match: Match) -> bool:
    """Return whether the error is about a compiled part or a release of an installed package, which a plain installation does not bring."""
    return bool(re.search(r"compiled|kernel|extension|incompatible|\bversion\b|CUDA", match.text))


def fixes(facts: Facts, wanted: Asked) -> tuple[Fix, ...]:
    """Return the fix that installs the package.

    For torchcodec: the release for the installed torch. For mamba-ssm and causal-conv1d: a finished wheel, or a build
    without isolation. For torch-directml outside of Windows and WSL: the fixes for AMD GPUs.
    """
    name = wanted.package.partition(" @ ")[0]
    if name == "torchcodec":
        return torchcodec_releases.install(facts)
    if name in ("mamba-ssm", "causal-conv1d"):  # compiled against the installed torch, on Linux
        made = package_wheels.ready(facts, name)
        if facts.system.os in ("windows", "darwin") and made:
            return made
        step = commands.install(
            name,
            why="compiled against the installed torch, unless a finished wheel fits; the build needs nvcc and Linux (on a Windows machine: WSL2)",
            changes=f"adds {name}",
            no_build_isolation=True,
            takes="seconds if a wheel fits; minutes to hours if it is compiled",
        )
        return (Fix(title=f"Install {name}", steps=(step,), verify=subject.verify(facts)),)
    if name == _DIRECTML:
        if facts.system.os in ("linux", "darwin") and not places.wsl(facts):
            return other_devices.on_amd(facts)
        step = commands.install(
            name,
            why="DirectML's part of torch, for Python 3.8 to 3.12 on Windows; it brings the torch that it was built for (2.4.1), and takes another one away. Programs then ask "
            "torch_directml.device(), and torch.dml is its old name",
            changes="adds torch-directml, and replaces torch",
            reinstall=True,
        )
        return (Fix(title=f"Install {name}", steps=(step,), verify=subject.verify(facts)), *other_devices.on_amd(facts))
    step = commands.install(
        f"{wanted.package}{wanted.has}", why="the error in the log asks for this package", changes=f"adds {name}"
    )
    return (Fix(title=f"Install {name}{wanted.has}", steps=(step,), verify=subject.verify(facts)),)
