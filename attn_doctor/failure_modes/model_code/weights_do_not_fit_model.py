"""Weights were saved from another model than the one into which they are loaded.

What it is
    load_state_dict puts saved numbers into a model by their names. A name is missing, or has another shape: the model has another size,
    another number of classes, or another prefix. torch and the file are well.

How it shows
    "Error(s) in loading state_dict for DetectionModel", with "size mismatch for model.0.conv.weight: copying a param with shape torch.Size([48, 3,
    3, 3]) from checkpoint, the shape in current model is torch.Size([16, 3, 3, 3])", or "Missing key(s) in state_dict" and "Unexpected key(s)".

Why it happens
    The file is of another size of the model (yolov8m.pt and a configuration of yolov8n), or of another version of the program. A model for 80
    classes is loaded into one for 5: only the last layers differ. DataParallel and DistributedDataParallel saved all names with "module." in front.

What to do
    Take the configuration that belongs to the weights. For training on other classes: leave the last layers out. For "module.": remove the prefix.

How to reproduce
    There is no recipe: `python -c "import torch; torch.nn.Linear(2, 3).load_state_dict(torch.nn.Linear(2, 4).state_dict())"` shows the failure.

References
    https://docs.pytorch.org/tutorials/beginner/saving_loading_models.html
    https://github.com/dddzg/up-detr/issues/13
    https://github.com/zylo117/Yet-Another-EfficientDet-Pytorch/issues/329
"""

from __future__ import annotations

from typing import Literal

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity

MODE = FailureMode(
    code="AD621",
    slug="weights-do-not-fit-model",
    title="Weights of another model than the one that loads them",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    stops="model",
    explains=("model-not-built",),
    signs=(
        Sign(
            pattern=r"Error\(s\) in loading state_dict for (?P<model>\w{1,60})",
            literal="Error(s) in loading state_dict for ",
            sample="RuntimeError: Error(s) in loading state_dict for DetectionModel:",
        ),
        Sign(
            pattern=r"size mismatch for (?P<name>[\w.]{1,160}): copying a param with shape (?P<saved>torch\.Size\(\[[\d, ]{0,60}\]\)) from checkpoint, the shape in current model is (?P<here>torch\.Size\(\[[\d, ]{0,60}\]\))",
            literal="size mismatch for ",
            sample="size mismatch for model.0.conv.weight: copying a param with shape torch.Size([48, 3, 3, 3]) from checkpoint, the shape in current model is torch.Size([16, 3, 3, 3]).",
            strength="context",
        ),
        Sign(
            pattern=r"(?P<prefix>Unexpected|Missing) key\(s\) in state_dict: \"module\.",
            literal=' key(s) in state_dict: "module.',
            sample='Unexpected key(s) in state_dict: "module.backbone.conv1.weight", "module.backbone.bn1.weight".',
            strength="context",
        ),
    ),
)
# There is no `detect`: which weights a program will load is seen when it loads them.

# The last layers of detectors and classifiers, whose shape is the number of classes.
_HEADS = (
    "class",
    "cls",
    "head",
    "fc.",
    "logit",
    "predictor",
    "bbox_pred",
    "label",
    "mask_fcn",
    "detect",
    "score",
    "m.0.",
    "m.1.",
    "m.2.",
    "embed",
)


class Misfit(Variant, frozen=True, kw_only=True):
    """Hold how the weights differ from the model.

    "classes": they are for another number of classes. "size": the shapes of layers differ. "prefix": the names differ
    by "module.". "names": names of layers are missing.
    """

    by: Literal["classes", "size", "prefix", "names"]


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    told = [m for m in seen.matches if m.strength == "proof"]
    if not told or any(
        m.strength != "context" for log in seen.logs for m in log.of("yolo12-weights-of-the-other-code")
    ):
        return None
    sizes = [m for m in seen.matches if "saved" in m.groups]
    by: Literal["classes", "size", "prefix", "names"] = (
        "prefix"
        if seen.group("prefix")
        else "names"
        if not sizes
        else "classes"
        if all(map(_of_classes, sizes))
        else "size"
    )
    model = told[-1].groups["model"]
    message = {
        "classes": f"The weights are for another number of classes than the model {model}: only its last layers differ.",
        "size": f"The weights are of another size or version of the model than {model}, which loads them: the shapes of its layers differ.",
        "prefix": f"The names in the weights and in the model {model} differ by 'module.', which DataParallel and DistributedDataParallel put in front.",
        "names": f"The weights are of another model, or of another version of it, than {model}, which loads them: names of layers are missing.",
    }[by]
    return Hit(
        message=message,
        evidence=building.lines((*told[-1:], *sizes[:2])),
        variant=Misfit(by=by),
        confidence=Confidence.HIGH if by != "classes" else Confidence.MEDIUM,
    )


def _of_classes(match: Match) -> bool:
    """Return whether this layer is one whose first number is that of the classes: all other numbers are equal."""
    saved, here = (match.groups[key].partition("[")[2].partition("]")[0].split(", ") for key in ("saved", "here"))
    return saved[1:] == here[1:] and any(part in match.groups["name"].lower() for part in _HEADS)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    by = hit.variant.by if isinstance(hit.variant, Misfit) else "size"
    verify = commands.check(facts)
    words, title = {
        "classes": (
            ("to predict: build the model with the number of classes of the weights (nc in data.yaml, num_classes or num_labels in the configuration). To train on other classes: load "
            "all other layers, for example state = {k: v for k, v in state.items() if k in own and v.shape == own[k].shape} with own = model.state_dict(), then "
            "model.load_state_dict(state, strict=False); transformers: ignore_mismatched_sizes=True"),
            "Use the number of classes of the weights, or leave the last layers out",
        ),
        "size": (
            ("take the configuration that belongs to the weights: the same letter (n, s, m, l, x) or backbone, and the release of the program with which they were trained. With ultralytics: "
            "YOLO('best.pt') reads the size from the file, and needs no YAML"),
            "Take the configuration that belongs to the weights",
        ),
        "prefix": (
            ("in the program: state = {k.removeprefix('module.'): v for k, v in state.items()} before load_state_dict (Python 3.9 and newer); or wrap the model in DataParallel first, if the names "
            "with 'module.' are those of the model"),
            "Remove 'module.' from the names",
        ),
        "names": (
            ("take the configuration and the release of the program that belong to the weights. If the file holds more than the weights, load the part: state = state['model'] or "
            "state['state_dict'], as the names at its top say (print(state.keys()))"),
            "Take the program and the configuration that belong to the weights",
        ),
    }[by]  # fmt: skip
    step = commands.by_hand((), words, "the program, or its configuration", "none")
    return (Fix(title=title, steps=(step,), verify=verify),)
