"""List the attention calls of the YOLO12 models, for a target without ultralytics. Pure."""

from __future__ import annotations

import re

# From the published architecture (ultralytics cfg/models/12/yolo12.yaml): the A2C2f blocks of the backbone are at stride 16
# (four areas) and stride 32 (one area). Their 512 and 1024 channels are multiplied by the scale's width and halved inside
# the block; a head has 32 channels; each repeat has two attention layers.
# Scale: (calls at each stride, heads at stride 16, heads at stride 32).
_SCALES = {"n": (4, 2, 4), "s": (4, 4, 8), "m": (4, 8, 8), "l": (8, 8, 8), "x": (8, 12, 12)}
_WIDTH = 32


def shapes(model: str, imgsz: int) -> list[tuple[int, int, int, int]]:
    """Return (areas, heads, tokens of an area, width of a head) for each attention call.

    For an unknown model: the calls of YOLO12n.
    """
    match = re.fullmatch(r"yolov?12([nsmlx])(?:\.ya?ml)?", model)
    calls, fine, coarse = _SCALES[match[1] if match else "n"]
    areas = 4
    return [
        *[(areas, fine, (imgsz // 16) ** 2 // areas, _WIDTH)] * calls,
        *[(1, coarse, (imgsz // 32) ** 2, _WIDTH)] * calls,
    ]
