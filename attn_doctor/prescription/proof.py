"""Check that a backend computes right numbers for one kind of attention call: its device, dtype, pass and shape.

The kernel runs at the full shape, because a kernel can be wrong for one image only, or for 1,600 tokens only. The float64
reference is computed for a few heads of a few images: heads do not depend on each other, and float64 matrices of all heads would
not fit into memory. torch and `exchange` only, Python 3.8.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from attn_doctor.exchange import kernels
from attn_doctor.exchange.accuracy import in_double, passes, worst_error
from attn_doctor.exchange.tolerance import limit

if TYPE_CHECKING:  # names for readers: Python 3.8 cannot subscript them
    from collections.abc import Sequence

    Call = tuple[Any, Any, Any, float]  # query, key, value, scale

_HEADS = 4  # heads that are compared with float64
_LARGEST = 2**24  # elements of the float64 attention matrices that are compared: 128 MB


class NotProven(RuntimeError):
    """Report that a backend does not run on this machine, or that its numbers differ from textbook attention.

    Nothing was exchanged.
    """


class Case(NamedTuple):
    """Describe a kind of call.

    Example: YOLO12n at 640 pixels, batch 2: cpu, float32, with gradients, 8 x 2 x 400 x 32, 32.
    """

    device: str  # "cpu", "cuda:0"
    dtype: Any  # torch.float16
    gradients: bool  # the call also has a backward pass
    batch: int  # images x areas
    heads: int
    tokens: int
    narrow: int  # width of query and key
    wide: int  # width of value

    def call(self) -> Call:
        """Return random query, key and value, and the scale 1/√(width of the query).

        They have the memory layout of the exchange: the three of one token are side by side.
        """
        generator = torch.Generator(self.device).manual_seed(self.tokens)
        shape = (self.batch, self.tokens, self.heads, 2 * self.narrow + self.wide)
        packed = torch.randn(shape, generator=generator, device=self.device).to(self.dtype).transpose(1, 2)
        query, key, value = packed.split((self.narrow, self.narrow, self.wide), dim=3)
        return query, key, value, self.narrow**-0.5

    def __str__(self) -> str:
        return f"{self.device}, {str(self.dtype).partition('.')[2]}"

    @property
    def words(self) -> str:
        return f"{self.tokens} tokens {'with' if self.gradients else 'without'} gradients"


def prove(name: str, kernel: Any, case: Case) -> None:
    """Compare the output of a kernel, and if the case has them the gradients, with textbook attention in float64.

    Raises NotProven if they differ too much, or if the kernel does not run.

    If the memory is too small for the whole batch, a single image is compared. If it is too small for that too, the
    error is raised (see `no_memory`).
    """
    try:
        _prove(name, kernel, case)
    except no_memory():
        if case.batch == 1:
            raise
        _prove(name, kernel, case._replace(batch=1))


def no_memory() -> type[BaseException]:
    """Return the class of the error that a GPU without enough memory raises."""
    error: type[BaseException] = getattr(torch.cuda, "OutOfMemoryError", MemoryError)
    return error


def _prove(name: str, kernel: Any, case: Case) -> None:
    query, key, value, scale = case.call()
    cotangent = torch.randn(
        (*query.shape[:-1], value.shape[-1]), generator=torch.Generator(case.device).manual_seed(1), device=case.device
    ).to(case.dtype)
    try:
        with kernels.in_force(kernel):
            got = run(kernel, (query, key, value, scale), cotangent, gradients=case.gradients)
    except no_memory():
        raise
    except (RuntimeError, NotImplementedError, ValueError, TypeError) as error:
        said = str(error).strip().partition("\n")[0]
        raise NotProven(
            f"{name} does not run on {case.device} here, the attention was left as it is: {said}"
        ) from error
    if not all(bool(torch.isfinite(tensor).all()) for tensor in got):
        raise NotProven(
            f"{name} gives values that are no numbers on {case.device} ({case.words}): the attention was left as it is"
        )
    # Apple GPUs have no float64.
    reference = "cpu" if case.device.startswith("mps") else case.device
    for image, head in _compared(case):
        place = slice(image, image + 1), slice(head, head + 1)
        call = query[place], key[place], value[place], scale
        weights = cotangent[place]
        expected = run(
            kernels.eager, in_double(call, reference), weights.to(reference, torch.float64), gradients=case.gradients
        )
        base = run(kernels.eager, call, weights, gradients=case.gradients)
        for index, tensor in enumerate(expected):
            off = worst_error(got[index][place], tensor)
            most = limit(worst_error(base[index], tensor), torch.finfo(case.dtype).eps, case.tokens)
            if not off <= most:
                raise NotProven(
                    f"{name} gives wrong numbers on {case.device} ({'gradient' if index else 'output'} error {off:.2g}, at most "
                    f"{most:.2g} is right; {case.words}): the attention was left as it is"
                )


def run(kernel: Any, call: Call, cotangent: Any, *, gradients: bool) -> Sequence[Any]:
    """Run one call and, if gradients are requested, its backward pass; return the output and the gradients.

    `cotangent`: the gradient of the output, with which the backward pass begins.
    """
    if gradients:
        return passes(kernel, call, cotangent)
    with torch.no_grad():
        return [kernel(*call)]


def _compared(case: Case) -> list[tuple[int, int]]:
    """Return the heads to compare as (image, head): the first, the last, and others between."""
    count = max(1, min(_HEADS, _LARGEST // case.tokens**2))
    last = case.batch - 1, case.heads - 1
    drawn = random.Random(case.tokens)  # noqa: S311 - no secret; its own, because the program's must not move
    others = [(drawn.randrange(case.batch), drawn.randrange(case.heads)) for _ in range(count)]
    return list(dict.fromkeys([last, (0, 0), *others]))[:count]
