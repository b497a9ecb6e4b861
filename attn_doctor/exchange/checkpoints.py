"""Find the checkpoints (torch.utils.checkpoint) around a layer, and whether each computes for the first or the second time.

A checkpoint does not store the values of its forward pass: the backward pass computes them a second time. By then the exchange
has perhaps ended, or another one is active. But torch compares the tensors that both computations store: number, shape and dtype
(https://docs.pytorch.org/docs/stable/checkpoint.html). So the second computation needs the kernel of the first.

torch has no function that returns the active checkpoint: this file reads it from the calls on Python's stack. If a release of
torch has other names there, no checkpoint is found, and the active exchange computes the layer.

Uses torch and the standard library only, and nothing else of attn_doctor: this file also runs inside a target without
attn_doctor.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import torch
import torch.utils.checkpoint

if TYPE_CHECKING:  # for type checkers only: a target may have Python 3.8, which cannot subscript these names
    from collections.abc import Sequence
    from types import FrameType

_FILE = torch.utils.checkpoint.checkpoint.__code__.co_filename
_FILES = {str(torch.utils.checkpoint.__file__), _FILE}


def checkpoints() -> tuple[Sequence[Any], Sequence[Any]]:
    """Return two lists of checkpoints: those in their forward pass now, and those that are being computed a second time.

    The innermost checkpoint is first. A checkpoint is an object of torch; it exists until its backward pass can no longer come.
    """
    made: list[Any] = []
    again: list[Any] = []
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - inspect.currentframe has no depth
    while frame is not None:
        if frame.f_code.co_filename in _FILES:
            seen = frame.f_locals
            name = frame.f_code.co_name
            if name in ("forward", "backward") and "ctx" in seen:  # use_reentrant=True
                (made if name == "forward" else again).append(seen["ctx"])
            elif name == "unpack_hook" and "frame" in seen:  # use_reentrant=False
                again.append(seen["frame"])
            elif "gen" in seen:
                inner = getattr(seen["gen"], "gi_frame", None)
                found = None if inner is None else inner.f_locals.get("new_frame")
                if found is not None:
                    made.append(found)
        frame = frame.f_back
    return made, again
