"""Read that a widely used package lacks a name that each of its releases has: another file or folder was imported. Pure."""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Hit, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Fix, Severity

# Module -> names that its documentation has in the first and in the newest release; "|" between them.
NAMES = {
    "albumentations": "Compose|HorizontalFlip|Resize|Normalize",
    "cv2": "imread|imwrite|resize|cvtColor|VideoCapture|rectangle|INTER_LINEAR|imshow|setNumThreads",
    "matplotlib": "use|rcParams",
    "onnx": "load|save|helper",
    "onnxruntime": "InferenceSession|SessionOptions|get_available_providers",
    "openvino": "Core|__version__",
    "pandas": "DataFrame|read_csv",
    "pycocotools": "coco",
    "requests": "get|post",
    "supervision": "Detections|BoxAnnotator",
    "timm": "create_model|list_models",
    "tqdm": "tqdm",
    "transformers": "AutoModel|AutoTokenizer|AutoConfig",
    "ultralytics": "YOLO|checks",
    "wandb": "init|login|run",
    "yaml": "safe_load|load|dump",
}
# Module -> its distribution, where the names differ. onnxruntime and cv2 have several distributions that share a folder.
_PACKAGE = {"cv2": "opencv-python", "yaml": "pyyaml"}
_SHARED = {
    "cv2": ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless"),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml"),
}


class Lost(Variant, frozen=True, kw_only=True):
    """Hold the module that lacks a name, "albumentations"."""

    module: str


def hit(facts: Facts, seen: Seen) -> Hit | None:
    """Return the hit for the first line that says that a package lacks a name of all its releases: cv2 has no "imread". None: no such line."""
    match = next((m for m in seen.matches if "owner" in m.groups), None)
    if match is None:
        return None
    module, name = match.groups["owner"], match.groups["always"]
    return Hit(
        message=f"Every release of {module} has {name}: Python imported another file or folder named {module}, which hides the package, or only a rest of the package is installed.",
        evidence=building.lines([match]),
        variant=Lost(module=module),
        confidence=Confidence.MEDIUM,
        severity=Severity.ERROR,
    )


def fixes(facts: Facts, lost: Lost) -> tuple[Fix, ...]:
    """Return two fixes: rename the file or folder that hides the package, or install the damaged package afresh."""
    module = lost.module
    package = _PACKAGE.get(module, module)
    verify = (*commands.starting(facts), "-c", f"import {module}; print({module}.__file__)")
    look = commands.by_hand(
        (
            *commands.starting(facts),
            "-c",
            f"import importlib.util; print(importlib.util.find_spec('{module}'))",
        ),
        f"run it in the folder of the program that failed: it prints the file or folder that Python imports as {module}",
        "nothing",
        "none",
    )
    rename = commands.by_hand(
        (),
        f"if that is a file of yours ({module}.py) or a folder of yours ({module}/, also one that the program writes), rename it: it hides the installed package",
        "the name of a file of yours",
    )
    first = Fix(title=f"Rename the file or folder that hides {module}", steps=(look, rename), verify=verify)
    in_one_folder = _SHARED.get(module, (package,))
    remove = commands.uninstall(
        *in_one_folder,
        why="they share one folder, and the removal of one damages the others"
        if len(in_one_folder) > 1
        else "removes what is left of it",
    )
    get = commands.install(package, why="the whole package again", changes=package)
    title = f"If the printed folder is in site-packages: install {package} afresh"
    return (first, Fix(title=title, steps=(remove, get), verify=verify))
