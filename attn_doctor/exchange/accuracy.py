"""How far an attention is from textbook attention in float64, output and gradients, on given inputs.

torch and the standard library only, and nothing else of attn_doctor: this file is also run inside a target that has no
attn_doctor. What error is acceptable is not decided here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:  # names for readers: Python 3.8, which a target may be, cannot subscript them
    from collections.abc import Callable, Sequence

    Kernel = Callable[[Any, Any, Any, float], Any]
    Call = tuple[Any, Any, Any, float]  # query, key, value, scale

STEP = 1e-4  # of finite differences, relative to the length of what is moved
TOLERANCE = 1e-3  # of finite differences, relative to the gradient; float64 rounding is a thousandth of that


def noise(shape: Any, seed: int, device: Any, dtype: Any = torch.float32) -> Any:
    """The same normal numbers on every device."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator).to(device=device, dtype=dtype)


def in_double(call: Call, device: Any) -> Call:
    """A call in float64."""
    query, key, value = (tensor.to(device=device, dtype=torch.float64) for tensor in call[:3])
    return query, key, value, call[3]


def passes(compute: Kernel, call: Call, cotangent: Any) -> list[Any]:
    """Output and the gradients of query, key and value, which keep their strides."""
    query, key, value = (tensor.detach().requires_grad_() for tensor in call[:3])
    with torch.enable_grad():
        out = compute(query, key, value, call[3])
        # A scalar's gradient needs no argument: with one torch would import sympy here, which takes longer than all the rest.
        gradients = torch.autograd.grad((out * cotangent).sum(), (query, key, value))
    return [out.detach(), *gradients]


def worst_error(got: Any, wanted: Any) -> float:
    """The largest difference relative to the largest value; infinite where something is not a number."""
    got = got.to(wanted.device, torch.float64)
    if not bool(torch.isfinite(got).all()):
        return float("inf")
    return float((got - wanted).abs().max()) / max(float(wanted.abs().max()), 1e-300)


class Reference:
    """What `textbook`, attention as it is written down, makes of each call in float64, for a fixed cotangent."""

    def __init__(self, textbook: Kernel, calls: Sequence[Call], seed: int) -> None:
        self.calls = list(calls)
        self.wanted: list[tuple[Any, list[Any]]] = []
        for place, call in enumerate(self.calls):
            # There is no float64 on Apple GPUs.
            device = torch.device("cpu") if call[0].device.type == "mps" else call[0].device
            cotangent = noise((*call[0].shape[:-1], call[2].shape[-1]), seed + place, device, torch.float64)
            self.wanted.append((cotangent, passes(textbook, in_double(call, device), cotangent)))

    def errors(self, compute: Kernel) -> list[tuple[float, float]]:
        """For each call the largest error of the output and of the gradients."""
        found = []
        for place, call in enumerate(self.calls):
            cotangent, wanted = self.wanted[place]
            got = passes(compute, call, cotangent.to(call[0].device, call[0].dtype))
            errors = [worst_error(got[i], wanted[i]) for i in range(len(wanted))]
            found.append((errors[0], max(errors[1:])))
        return found

    def run(self, compute: Kernel) -> list[Any]:
        """All calls, forward and backward: output and gradients of each."""
        return [tensor for call in self.calls for tensor in passes(compute, call, 1.0)]


def identical(some: Sequence[Any], others: Sequence[Any]) -> bool:
    """Whether tensors are the same to the last bit, where a number that is not one equals itself."""
    return len(some) == len(others) and all(
        bool(((some[i] == others[i]) | (some[i].isnan() & others[i].isnan())).all()) for i in range(len(some))
    )


def slopes(function: Any, inputs: Any, gradients: Any) -> list[tuple[float, ...]]:
    """[(autograd's slope, the finite one, how far the function is from straight there)], each relative to the gradients' length.

    Two directions: along the gradient itself, where the slope must be its length, and a random one.
    """
    length = sum(float((g**2).sum()) for g in gradients) ** 0.5
    count = sum(g.numel() for g in gradients)
    if length == 0.0:
        return []
    span = sum(float((x**2).sum()) for x in inputs) ** 0.5
    step = STEP * max(span, 1e-6)
    generator = torch.Generator().manual_seed(0)
    spread = [torch.randn(x.shape, generator=generator, dtype=torch.float64).to(x.device) for x in inputs]
    spread_length = sum(float((s**2).sum()) for s in spread) ** 0.5
    found: list[tuple[float, ...]] = []
    for direction, size, weight in ((gradients, length, 1.0), (spread, spread_length, count**0.5)):
        units = [d / size for d in direction]
        expected = sum(float((g * u).sum()) for g, u in zip(gradients, units))  # noqa: B905 - Python 3.8
        with torch.no_grad():
            ahead, here, behind = (
                float(function(*(inputs[i] + move * units[i] for i in range(len(units)))))
                for move in (step, 0.0, -step)
            )
        bend = (ahead - 2 * here + behind) / (2 * step)
        found.append(tuple(weight * value / length for value in (expected, (ahead - behind) / (2 * step), bend)))
    return found


def directional(function: Any, inputs: Any, gradients: Any) -> float:
    """How far autograd's gradients are from finite differences, relative to their length."""
    return max([abs(finite - expected) for expected, finite, _ in slopes(function, inputs, gradients)] or [0.0])
