"""Record the calls of ultralytics' attention classes that are not exchanged, so that a message can name those that ran.

docs/measurements/kernels.md gives for each class the reason why it is not exchanged. A class is watched until its first call;
then it gets its own `forward` back. Uses the standard library and torch only, Python 3.8.
"""

from __future__ import annotations

import sys
from typing import Any

import torch

_SAM = "ultralytics.models.sam"
# Module -> {class: the model that contains it}, in ultralytics 8.4.
OTHERS: dict[str, dict[str, str]] = {
    "ultralytics.nn.modules.transformer": {
        "AIFI": "RT-DETR",
        "MSDeformAttn": "RT-DETR",
        "TransformerLayer": "C3TR",
    },
    "ultralytics.nn.modules.block": {"MaxSigmoidAttnBlock": "YOLO-World", "ImagePoolingAttn": "YOLO-World"},
    f"{_SAM}.modules.blocks": {"REAttention": "SAM", "RoPEAttention": "SAM 2", "MultiScaleAttention": "SAM 2"},
    f"{_SAM}.modules.transformer": {"Attention": "SAM"},
    f"{_SAM}.modules.tiny_encoder": {"Attention": "MobileSAM"},
    f"{_SAM}.sam3.vitdet": {"Attention": "SAM 3"},
}


class Others:
    """Watch classes of attention, and hold the names of those whose forward pass ran."""

    def __init__(self) -> None:
        self.seen: dict[str, str] = {}  # class: model
        self._watched: dict[type, tuple[Any, Any]] = {}  # class: (its own forward, the forward that watches it)

    def watch(self) -> None:
        """Watch each class of `OTHERS` whose module is already imported.

        A second call adds modules that were imported since.
        """
        for module, names in OTHERS.items():
            for name, model in names.items():
                cls = getattr(sys.modules.get(module), name, None)
                if isinstance(cls, type) and "forward" in cls.__dict__ and cls not in self._watched:
                    self._watch(cls, model)

    def restore(self) -> None:
        """Stop watching: give every class its own `forward` back."""
        for cls in list(self._watched):
            self._restore(cls)

    def _watch(self, cls: Any, model: str) -> None:
        own = cls.__dict__["forward"]

        def watched(layer: Any, *arguments: Any, **options: Any) -> Any:
            compiler = getattr(torch, "compiler", None)
            if compiler is None or not getattr(compiler, "is_compiling", bool)():
                self.seen[cls.__name__] = model
                self._restore(cls)
            return own(layer, *arguments, **options)

        cls.forward = watched
        self._watched[cls] = own, watched

    def _restore(self, cls: Any) -> None:
        own, watched = self._watched[cls]
        if cls.__dict__.get("forward") is watched:  # other code may have replaced it
            cls.forward = own
