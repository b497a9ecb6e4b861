"""Test whether the installed attention is right for a batch of one image.

Some releases of torch read a gradient in a wrong memory layout for such a batch, and their version numbers do not tell which. So
the gradients of the installed class are compared with those of a copy that uses textbook attention. If they differ, finite
differences decide which of the two is wrong. A float64 pass of the installed class cannot decide: it would have the same error.
"""

from __future__ import annotations

from typing import Any

import torch

from attn_doctor.exchange.accuracy import TOLERANCE, directional
from attn_doctor.exchange.layers import classes, twins
from attn_doctor.exchange.layouts import Refused


def is_wrong_alone(device: Any) -> bool:
    """Return whether the gradients of any installed attention class are wrong in training at batch 1 on this device.

    False also if that cannot be tested: on an Apple GPU, which has no float64, without ultralytics, and for an unknown class.
    """
    device = torch.device(device)
    if device.type == "mps":
        return False
    try:
        return any(_is_wrong(cls, device) for cls in classes())
    except ImportError:
        return False


def _is_wrong(cls: type, device: torch.device) -> bool:
    try:
        pair = twins(cls, device)
    except Refused:
        return False
    if pair is None:
        return False
    x, as_installed, exchanged = pair
    with torch.inference_mode(mode=False), torch.enable_grad(), torch.autocast(device.type, enabled=False):
        x = x.clone()
        gradients = [_gradient(compute, x) for compute in (as_installed, exchanged)]
        if torch.allclose(gradients[0], gradients[1], rtol=1e-6, atol=1e-9):
            return False
        return directional(lambda image: _total(as_installed(image)), [x], [gradients[0]]) > TOLERANCE


def _gradient(compute: Any, x: Any) -> Any:
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(_total(compute(leaf)), leaf)[0]


def _total(out: Any) -> Any:
    return (out * torch.linspace(-1, 1, out.numel(), dtype=out.dtype, device=out.device).view(out.shape)).sum()
