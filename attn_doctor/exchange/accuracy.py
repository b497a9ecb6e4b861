"""Measure the error of an attention function, in its output and its gradients, on given inputs.

The reference is textbook attention in float64.

Uses torch and the standard library only, and nothing else of attn_doctor: this file also runs inside a target without
attn_doctor. `tolerance` decides which error is acceptable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:  # for type checkers only: a target may have Python 3.8, which cannot subscript these names
    from collections.abc import Callable, Sequence

    Kernel = Callable[[Any, Any, Any, float], Any]
    Call = tuple[Any, Any, Any, float]  # query, key, value, scale

STEP = 1e-4  # step of finite differences, relative to the length of the changed vector
TOLERANCE = 1e-3  # tolerance of finite differences, relative to the gradient; float64 rounding is a thousandth of that


def noise(shape: Any, seed: int, device: Any, dtype: Any = torch.float32) -> Any:
    """Return normally distributed random numbers. The same `shape` and `seed` give the same numbers on every device."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator).to(device=device, dtype=dtype)


def in_double(call: Call, device: Any) -> Call:
    """Return the same attention call with its tensors in float64, on `device`."""
    query, key, value = (tensor.to(device=device, dtype=torch.float64) for tensor in call[:3])
    return query, key, value, call[3]


def passes(compute: Kernel, call: Call, cotangent: Any) -> list[Any]:
    """Run an attention call forward and backward, and return four tensors: output, gradient of query, of key, of value.

    A gradient has the shape of its tensor. `cotangent`: the gradient of the output, a tensor of the output's shape, or 1.0. `compute` gets the
    tensors with the strides that they have in `call`: PyTorch chooses a kernel by them too.
    """
    query, key, value = (tensor.detach().requires_grad_() for tensor in call[:3])
    with torch.enable_grad():
        out = compute(query, key, value, call[3])
        # The gradient of a scalar needs no argument. With one, torch would import sympy here, which takes longer than
        # the rest.
        gradients = torch.autograd.grad((out * cotangent).sum(), (query, key, value))
    return [out.detach(), *gradients]


def worst_error(got: Any, expected: Any) -> float:
    """Return the largest difference, relative to the largest expected value (0.01 is 1 %).

    Infinite if a value of `got` is NaN or infinite.
    """
    got = got.to(expected.device, torch.float64)
    if not bool(torch.isfinite(got).all()):
        return float("inf")
    return float((got - expected).abs().max()) / max(float(expected.abs().max()), 1e-300)


class Reference:
    """Compare kernels with textbook attention in float64, on the same attention calls.

    `textbook`: the function that computes textbook attention. For the backward passes, the gradient of each output is
    made of random numbers from `seed`. Use: `reference.errors(reference.run(kernel))`.
    """

    def __init__(self, textbook: Kernel, calls: Sequence[Call], seed: int) -> None:
        self.calls = list(calls)
        self.expected: list[tuple[Any, list[Any]]] = []
        for place, call in enumerate(self.calls):
            # Apple GPUs have no float64.
            device = torch.device("cpu") if call[0].device.type == "mps" else call[0].device
            cotangent = noise((*call[0].shape[:-1], call[2].shape[-1]), seed + place, device, torch.float64)
            self.expected.append((cotangent, passes(textbook, in_double(call, device), cotangent)))

    def run(self, compute: Kernel) -> list[list[Any]]:
        """Run all calls with a kernel. Return for each call its output, and the gradients of query, key and value."""
        return [
            passes(compute, call, self.expected[place][0].to(call[0].device, call[0].dtype))
            for place, call in enumerate(self.calls)
        ]

    def errors(self, made: list[list[Any]]) -> list[tuple[float, float]]:
        """Return two relative errors for each call: the largest of the output, and the largest of the gradients.

        `made`: what `run` returned.
        """
        found = []
        for place, got in enumerate(made):
            expected = self.expected[place][1]
            errors = [worst_error(got[i], expected[i]) for i in range(len(expected))]
            found.append((errors[0], max(errors[1:])))
        return found


def identical(some: Sequence[Any], others: Sequence[Any]) -> bool:
    """Return whether two lists of tensors have the same values, without a tolerance. NaN equals NaN, and 0.0 equals -0.0."""
    return len(some) == len(others) and all(
        bool(((some[i] == others[i]) | (some[i].isnan() & others[i].isnan())).all()) for i in range(len(some))
    )


def slopes(function: Any, inputs: Any, gradients: Any) -> list[tuple[float, ...]]:
    """Return two rows of three numbers: slope by autograd, slope by finite differences, deviation of the function from a line.

    `function`: takes the tensors of `inputs` (float64) and returns one number. `gradients`: the gradients of `inputs`
    by autograd. If all of them are zero, the result is empty.

    The first row is for the direction of the gradient, where the slope must be the length of the gradient. The second
    row is for a random direction. Each number is relative to the length of the gradients. The numbers of the second row
    are also multiplied by the square root of the number of values, because the slope in a random direction is smaller
    by about this factor.
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
    """Return the larger difference between autograd's slope and that of finite differences in the two rows of `slopes`.

    0.0 if all gradients are zero.
    """
    return max([abs(finite - expected) for expected, finite, _ in slopes(function, inputs, gradients)] or [0.0])
