"""Name the project that made a model, from a class that only its changed copy of ultralytics has, and make the fix. Pure."""

from __future__ import annotations

from typing import NamedTuple

from attn_doctor import commands
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix


class Fork(NamedTuple):
    """Describe a project with a changed copy of ultralytics. `classes`: names that no release of ultralytics has."""

    name: str
    url: str
    classes: tuple[str, ...]


# https://github.com/THU-MIG/yolov10/blob/main/ultralytics/utils/loss.py (ultralytics itself calls it E2EDetectLoss),
# https://github.com/iMoonLab/yolov13/blob/main/ultralytics/nn/modules/block.py
_FORKS = (
    Fork("YOLOv10", "https://github.com/THU-MIG/yolov10", ("v10DetectLoss",)),
    Fork(
        "YOLOv13",
        "https://github.com/iMoonLab/yolov13",
        ("FullPAD_Tunnel", "HyperACE", "DSC3k2", "AdaHGConv", "AdaHGComputation", "AdaHyperedgeGen"),
    ),
)


def of_class(name: str) -> Fork | None:
    """Return the project whose copy of ultralytics has this class ("HyperACE"); None if no such project is known."""
    return next((fork for fork in _FORKS if name in fork.classes), None)


def instead(facts: Facts, project: str, verify: tuple[str, ...]) -> Fix:
    """Return the fix that replaces ultralytics by the code of a project. `project`: its name, "YOLOv13"; it must be one of _FORKS."""
    fork = next(fork for fork in _FORKS if fork.name == project)
    remove = commands.uninstall(
        "ultralytics", why=f"{fork.name} brings a package ultralytics of its own, and the two would mix"
    )
    source = f"{fork.url}/archive/refs/heads/main.zip" if facts.toolchain.git is None else f"git+{fork.url}"
    get = commands.install(
        source,
        "huggingface-hub",
        why=f"the code of {fork.name}, which made this model; its older code needs TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1 with torch 2.6 or newer",
        changes=f"replaces ultralytics by {fork.name}",
        risk="medium",
        risk_text="models of other releases may not load in this environment any more; to keep both, use a new environment",
    )
    return Fix(title=f"Use this model with the code of {fork.name}", steps=(remove, get), verify=verify)
