"""Find the fastest backend for one kind of call, among those whose numbers are right.

The backends are measured in a copy of the user's own layer, if the layer can be copied. Measuring the attention alone is not
enough, because the layout that a backend needs costs time in the convolutions around it. Example: in bfloat16 on a CPU the flash
kernel alone is as fast as the textbook formula, but the layer with it is 1.5 times as fast as the installed one
(docs/measurements/kernels.md). torch and `exchange` only, Python 3.8.
"""

from __future__ import annotations

import contextlib
import copy
import time
from typing import TYPE_CHECKING, Any

import torch

from attn_doctor.exchange import kernels
from attn_doctor.exchange.layers import way_of
from attn_doctor.prescription.proof import no_memory, run

if TYPE_CHECKING:  # names for readers: Python 3.8 cannot subscript them
    from collections.abc import Callable, Mapping

    from attn_doctor.prescription.proof import Case

_ROUNDS = 7
_ENOUGH_SECONDS, _MOST_SECONDS = 0.25, 1.5  # of a race: after the first it ends as soon as one backend leads clearly
_CLEAR = 1.3  # a backend leads clearly if every other one needs more than this many times its time
_WORTH_IT = 1.02  # a candidate replaces an earlier one (except for the first) only if it is this many times as fast


def in_layer(works: Mapping[str, Any], case: Case, layer: Any, x: Any) -> dict[str, Callable[[], Any]] | None:
    """Return for each backend a function that runs one pass of a copy of the layer.

    `works`: name of a backend -> its kernel; the kernel None is the installed attention. Returns None if the layer cannot be
    copied, for example a replica of DataParallel.
    """
    kind = case.device.partition(":")[0]

    def pass_of(kernel: Any) -> Callable[[], Any]:
        def once() -> Any:
            lower = torch.autocast(kind, dtype=case.dtype) if mixed else contextlib.nullcontext()
            with torch.set_grad_enabled(case.gradients):
                with lower:
                    out = compute(twin, image, kernel)
                # The gradient of a scalar needs no argument, which would make torch import sympy.
                return torch.autograd.grad((out * torch.ones_like(out)).sum(), wanted) if case.gradients else out

        return once

    try:
        twin, compute = _without_hooks(layer), way_of(layer)
        image = x.detach().clone().requires_grad_(case.gradients and x.requires_grad)
        wanted = [tensor for tensor in (image, *twin.parameters()) if tensor.requires_grad]
        mixed = any(tensor.dtype != case.dtype for tensor in (image, *twin.parameters()))
        passes = {name: pass_of(kernel) for name, kernel in works.items()}
        next(iter(passes.values()))()
    except (no_memory(), RuntimeError, TypeError, AttributeError):
        return None
    return passes


def _without_hooks(layer: Any) -> Any:
    """Return a copy of a layer without the program's hooks. A hook can contain any object, so it cannot be copied."""
    names = [name for name in vars(layer) if name.endswith(("_hooks", "_hooks_with_kwargs", "_hooks_always_called"))]
    hooks = [vars(part)[name] for part in layer.modules() for name in names if name in vars(part)]
    return copy.deepcopy(layer, {id(found): type(found)() for found in hooks})


def alone(works: Mapping[str, Any], case: Case) -> dict[str, Callable[[], Any]]:
    """Return for each backend a function that runs one pass of the attention alone.

    The kernel None means textbook attention.
    """
    call = case.call()

    def pass_of(kernel: Any) -> Callable[[], Any]:
        return lambda: run(kernel or kernels.eager, call, 1.0, gradients=case.gradients)

    return {name: pass_of(kernel) for name, kernel in works.items()}


def quickest(works: Mapping[str, Any], case: Case, layer: Any = None, x: Any = None) -> tuple[str, bool]:
    """Return (name of the fastest backend, whether it leads clearly: every other one needs more than 1.3 times its time).

    `works`: name of a backend -> its kernel, the preferred one first; the kernel None is the installed attention. The
    runs alternate, and the minimum of each backend counts, because a disturbance can only add time. Unless it is the
    first, an earlier backend is replaced only by one that is at least 1.02 times as fast. A kernel for which the memory
    is too small is left out.
    """
    passes = (in_layer(works, case, layer, x) if layer is not None else None) or alone(works, case)
    clock = _clock(case)
    best = {name: float("inf") for name in works}
    started = time.perf_counter()
    for number in range(_ROUNDS + 1):
        for name, kernel in works.items():
            if number == 0 or best[name] != float("inf"):
                seconds = _seconds(kernel, passes[name], case, clock)
                best[name] = min(best[name], seconds) if number else seconds
        taken = time.perf_counter() - started
        times = sorted(best.values())
        # The warm-up decides nothing: the first kernel starts the threads for all.
        if number and (
            taken > _MOST_SECONDS or (taken > _ENOUGH_SECONDS and (len(times) < 2 or times[1] > _CLEAR * times[0]))
        ):
            break
    names = list(works)
    chosen = names[0]
    for name in names[1:]:
        if best[name] * (1.0 if chosen == names[0] else _WORTH_IT) < best[chosen]:
            chosen = name
    others = [best[name] for name in names if name != chosen]
    return chosen, min(others, default=float("inf")) > _CLEAR * best[chosen]


def _clock(case: Case) -> Callable[[], float]:
    """Return the clock of a race: the processor time of the thread if possible, because it does not count other programs."""
    exact = time.get_clock_info("thread_time").resolution <= 1e-6  # of Windows it is 16 ms
    return time.thread_time if case.device == "cpu" and exact and torch.get_num_threads() == 1 else time.perf_counter


def _seconds(kernel: Any, once: Callable[[], Any], case: Case, clock: Callable[[], float]) -> float:
    """Return the seconds of one pass; infinite if the memory is too small."""
    _wait(case.device)
    started = clock()
    try:
        with kernels.in_force(kernel):
            once()
            _wait(case.device)
    except no_memory():
        return float("inf")
    return clock() - started


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    elif device.startswith("mps"):
        torch.mps.synchronize()
