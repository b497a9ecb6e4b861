"""The prescription: puts a backend into the YOLO attention of this very process, after it has proven itself here.

For the user's own training script, so it imports torch and ultralytics; the doctor's process never imports it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

from attn_doctor.exchange import kernels, layers
from attn_doctor.exchange.accuracy import Reference, noise
from attn_doctor.exchange.rule import limit

AUTO = "auto"
AS_INSTALLED = "eager"
_CANDIDATES = {  # in the order in which they are preferred where none is measurably quicker
    "cpu": ("sdpa-flash",),
    "cuda": ("sdpa-flash", "sdpa-cudnn", "sdpa-efficient", "flash-attn-3", "flash-attn-2"),
    "mps": ("sdpa",),
}
_WORTH_IT = 1.02  # how many times as fast as what is preferred another must be to be taken instead
_REPEATS = 5


class NotProven(RuntimeError):
    """The backend's numbers are not those of textbook attention on this machine: nothing was exchanged."""


class Attention:
    """A backend in force. As a context manager it ends with the block; `restore` ends it at any time.

    `backend` is what was chosen: "eager" where the attention was left as installed.
    """

    def __init__(self, backend: str, exchange: layers.Exchange | None) -> None:
        self.backend = backend
        self._exchange = exchange

    def restore(self) -> None:
        if self._exchange is not None:
            self._exchange.restore()

    def __enter__(self) -> Attention:
        return self

    def __exit__(self, *error: object) -> None:
        self.restore()

    def __repr__(self) -> str:
        return f"<attn_doctor.attention {self.backend!r}>"


def prescribe(backend: str = AUTO, device: str | None = None) -> Attention:
    """Exchange the attention of the installed ultralytics, now and for every thread, until `restore`.

    `backend` is one of the doctor's names or "auto", which takes the quickest of those that prove themselves; `device` is where
    that is tried ("cpu", "cuda:0"), by default the GPU if there is one. Raises ValueError for a name that is none, ImportError
    where there is no ultralytics or the backend's package does not import, `layers.Refused` for an attention class that is
    not known, and NotProven. In each of these cases nothing is exchanged.
    """
    if backend not in (AUTO, *kernels.NAMES):
        also = " (compile the model instead: YOLO(...).train(compile=True))" if backend == "compile" else ""
        raise ValueError(f"{backend!r} is no attention to exchange{also}: use {', '.join((AUTO, *kernels.NAMES))}")
    where = torch.device(device or _default_device())
    if backend == AUTO:
        backend, kernel = _quickest(where)
    else:
        kernel = _kernel(backend)
        if backend != AS_INSTALLED:
            _prove(backend, kernel, where)
    if backend == AS_INSTALLED:
        return Attention(backend, None)
    return Attention(backend, layers.Exchange(kernel))


def _default_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _kernel(backend: str) -> Any:
    try:
        return kernels.kernel(backend)
    except kernels.Unavailable as error:
        raise ImportError(f"{backend} cannot be had here: {error}") from error


def _dtypes(device: torch.device) -> tuple[torch.dtype, ...]:
    """What the attention is computed in: as ultralytics trains and predicts on this device."""
    return (torch.float32,) if device.type != "cuda" else (torch.float16, torch.float32)


def _calls(device: torch.device, dtype: torch.dtype) -> list[tuple[Any, Any, Any, float]]:
    """The shapes of YOLO12 and of YOLO11 at 640 pixels, in the layout of the exchange."""
    made = []
    for place, (batch, heads, tokens, narrow, wide) in enumerate(
        ((8, 2, 400, 32, 32), (2, 4, 400, 32, 32), (2, 2, 400, 32, 64))
    ):
        packed = noise((batch, tokens, heads, 2 * narrow + wide), place, device, dtype).transpose(1, 2)
        query, key, value = packed.split((narrow, narrow, wide), dim=3)
        made.append((query, key, value, narrow**-0.5))
    return made


def _prove(backend: str, kernel: Any, device: torch.device) -> None:
    """Hold output and gradients against float64. Raises NotProven."""
    for dtype in _dtypes(device):
        calls = _calls(device, dtype)
        reference = Reference(kernels.eager, calls, seed=0)
        base = reference.errors(kernels.eager)
        try:
            mine = reference.errors(kernel)
        except RuntimeError as error:
            raise NotProven(
                f"{backend} does not run on {device} here, the attention was left as it is: {error}"
            ) from error
        for place, call in enumerate(calls):
            for index, what in enumerate(("output", "gradient")):
                most = limit(base[place][index], torch.finfo(dtype).eps, call[1].shape[2])
                if not mine[place][index] <= most:
                    raise NotProven(
                        f"{backend} gives wrong numbers on {device} ({what} error {mine[place][index]:.2g}, at most {most:.2g}"
                        " is right): the attention was left as it is"
                    )


def _quickest(device: torch.device) -> tuple[str, Any]:
    """The quickest backend that proves itself, and eager where none is quicker than that."""
    dtype = _dtypes(device)[0]
    reference = Reference(kernels.eager, _calls(device, dtype)[:2], seed=0)
    best, best_kernel = AS_INSTALLED, kernels.eager
    best_time = _time(lambda: reference.run(kernels.eager), device)
    for name in _CANDIDATES.get(device.type, ("sdpa",)):
        try:
            kernel = _kernel(name)
            _prove(name, kernel, device)
        except (ImportError, NotProven):
            continue
        taken = _time(lambda kernel=kernel: reference.run(kernel), device)  # type: ignore[misc]
        if taken * (1.0 if best == AS_INSTALLED else _WORTH_IT) < best_time:
            best, best_kernel, best_time = name, kernel, taken
    return best, best_kernel


def _time(work: Callable[[], None], device: torch.device) -> float:
    """Seconds of the quickest of a few runs, after one that warms up."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        elif device.type == "mps":
            torch.mps.synchronize()

    taken = []
    for _ in range(_REPEATS + 1):
        wait()
        started = time.perf_counter()
        work()
        wait()
        taken.append(time.perf_counter() - started)
    return min(taken[1:])
