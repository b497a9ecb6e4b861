"""Put a backend into the YOLO attention of this process, after it has proven itself here.

For the user's own training script, so it imports torch and ultralytics; the doctor's process never imports it. It is
also loaded by itself into programs without attn_doctor (see target/startup): the standard library, torch and `exchange`
only, Python 3.8.
"""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch

from attn_doctor.exchange import kernels, layers
from attn_doctor.exchange.accuracy import Reference, noise
from attn_doctor.exchange.alone import is_wrong_alone
from attn_doctor.exchange.tolerance import limit
from attn_doctor.exchange.traits import TRAITS, candidates, candidates_alone, compiles_model

AUTO = "auto"
AS_INSTALLED = "eager"
_WORTH_IT = 1.02  # a later candidate is taken only if it is this many times as fast
_REPEATS = 7


class NotProven(RuntimeError):
    """Report that the backend's numbers differ from those of textbook attention on this machine: nothing was exchanged."""


class Attention:
    """Control an active backend. As a context manager it ends with the block; `restore` ends it at any time."""

    def __init__(self, choice: _Choice, exchange: layers.Exchange | None) -> None:
        self._choice = choice
        self._exchange = exchange

    @property
    def backend(self) -> str:
        """Return the backend in use: "eager" for the installed attention, "auto" while none has been chosen yet."""
        taken = [name for name, _ in self._choice.taken.values()]
        return taken[-1] if taken else self._choice.asked

    def restore(self) -> None:
        if self._exchange is not None:
            self._exchange.restore()

    def __enter__(self) -> Attention:
        return self

    def __exit__(self, *error: object) -> None:
        self.restore()

    def __repr__(self) -> str:
        return f"<attn_doctor.attention {self.backend!r}>"


def prescribe(
    backend: str = AUTO,
    device: str | None = None,
    *,
    now: bool = True,
    say: Callable[[str], None] | None = None,
) -> Attention:
    """Exchange the attention of the installed ultralytics for every thread, until `restore`.

    `backend` is one of the doctor's names or "auto", which takes the fastest of those that prove themselves. The proof
    is made on `device` ("cpu", "cuda:0"), at once. Without a device it is made on the CPU or an Apple GPU at once; on a
    CUDA device at the first call there, because using a GPU now would fix which GPUs this process sees before a trainer
    does (`train(device=1)`). `now=False` delays every proof to the first call. A later failure is reported in one
    sentence (`say`, by default a warning), and the attention stays as installed.

    Raises ValueError for an unknown name, ImportError where there is no ultralytics or the backend's package does not
    import, `layers.Refused` for an unknown attention class, and NotProven. In each of these cases nothing is exchanged.
    """
    if backend not in (AUTO, *kernels.NAMES):
        also = (
            " (compile the model instead: YOLO(...).train(compile=True))"
            if backend in TRAITS and compiles_model(backend)
            else ""
        )
        raise ValueError(f"{backend!r} is no attention to exchange{also}: use {', '.join((AUTO, *kernels.NAMES))}")
    choice = _Choice(backend, say)
    where = device or _default_device()
    if now and where is not None:
        torch_device = torch.device(where)
        for dtype in _dtypes(torch_device):
            choice.take(torch_device, dtype)
    try:
        return Attention(choice, layers.Exchange(choice))
    except layers.Refused:
        if backend == AS_INSTALLED:
            return Attention(choice, None)
        raise


class _Choice:
    """The kernel of an exchange: for each device and dtype the proven backend.

    A backend is proven at the latest at the first call on its device.
    """

    def __init__(self, asked: str, say: Callable[[str], None] | None) -> None:
        self.asked = asked
        self.taken: dict[Any, tuple[str, Any]] = {}
        self._named = kernels.sdpa if asked == AUTO else _kernel(asked)
        self._say = say
        self._lock = threading.Lock()

    def ready(self, x: Any) -> bool:
        """Return whether a layer with this input is computed with the kernel, and not as installed."""
        if self.asked == AS_INSTALLED:
            return False
        if kernels.compiling():  # no proof can run while a graph is traced: only known results count
            return True
        return self._is_proven(x) or (
            # The installed attention may compute wrong gradients for a batch of one, such as the last of an epoch.
            x.shape[0] == 1 and torch.is_grad_enabled() and self._is_right_alone(x)
        )

    def _is_right_alone(self, x: Any) -> bool:
        """Return whether a batch of one is exchanged although larger ones are not.

        The installed attention may be wrong for a batch of one only.
        """
        key = _key(x.device, _computed_in(x))
        alone = (*key, "alone")
        with self._lock:
            if alone not in self.taken:
                found = _right_alone(x.device, key[2], without=self.asked) if is_wrong_alone(x.device) else None
                if found is not None and self._say:
                    self._say(
                        f"a batch of one is computed by {found[0]} on {x.device}: as installed, its gradients are wrong here"
                    )
                self.taken[alone] = found or self.taken[key]
        return self.taken[alone][0] != AS_INSTALLED

    def _is_proven(self, x: Any) -> bool:
        key = _key(x.device, _computed_in(x))
        if key not in self.taken:
            if x.is_cuda and torch.cuda.is_current_stream_capturing():
                return False
            self._try(x.device, key[2])
        return self.taken[key][0] != AS_INSTALLED

    def __call__(self, query: Any, key: Any, value: Any, scale: float) -> Any:
        where = _key(query.device, query.dtype)
        taken = self.taken.get(where)
        if taken is not None and taken[0] == AS_INSTALLED:  # this call is for a batch of one
            taken = self.taken.get((*where, "alone"), taken)
        kernel = self._named if taken is None else taken[1]
        return kernel(query, key, value, scale)

    def start(self) -> None:
        if hasattr(self._named, "start"):
            self._named.start()

    def stop(self) -> None:
        if hasattr(self._named, "stop"):
            self._named.stop()

    def take(self, device: torch.device, dtype: torch.dtype) -> None:
        """Prove or choose a backend, and store it. Raises NotProven."""
        if self.asked == AUTO:
            found = _quickest(device, dtype)
        else:
            found = (self.asked, self._named)
            if self.asked != AS_INSTALLED:
                _prove(self.asked, self._named, device, dtype)
        self.taken[_key(device, dtype)] = found

    def _try(self, device: torch.device, dtype: torch.dtype) -> None:
        """Prove or choose a backend inside a running program: no error may end it."""
        key = _key(device, dtype)
        with self._lock:
            if key in self.taken:
                return
            where = f"{device}, {str(dtype).partition('.')[2]}"
            try:
                # The program may be predicting in inference mode, or training under autocast.
                with torch.inference_mode(mode=False), torch.autocast(device.type, enabled=False):
                    self.take(device, dtype)
            except (NotProven, RuntimeError, NotImplementedError) as error:
                self.taken[key] = (AS_INSTALLED, kernels.eager)
                if self._say is None:
                    warnings.warn(f"attn-doctor: {error}", RuntimeWarning, stacklevel=2)
                else:
                    self._say(str(error))
                return
            if self._say:
                name = self.taken[key][0]
                kept = " (as installed: no tried backend is faster)" if name == AS_INSTALLED else ""
                self._say(f"the attention is computed by {name} on {where}{kept}")


def _key(device: torch.device, dtype: torch.dtype) -> tuple[str, int | None, torch.dtype]:
    # torch treats a device without index and the tensors on it (index 0) as different; here they are the same.
    return device.type, device.index or 0, dtype


def _computed_in(x: Any) -> Any:
    """Return the dtype in which a layer computes: autocast's where that is on."""
    kind = x.device.type
    if x.dtype is torch.float64:
        return x.dtype
    if hasattr(torch, "get_autocast_dtype"):
        return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
    if kind == "cuda" and torch.is_autocast_enabled():  # torch 2.3 and older
        return torch.get_autocast_gpu_dtype()
    if kind == "cpu" and torch.is_autocast_cpu_enabled():
        return torch.get_autocast_cpu_dtype()
    return x.dtype


def _default_device() -> str | None:
    """Return the device that the program will probably use; None for a CUDA device that is not initialised yet."""
    if torch.cuda.is_initialized():
        return f"cuda:{torch.cuda.current_device()}"
    if _is_there_cuda():
        return None
    mps = getattr(torch.backends, "mps", None)
    return "mps" if mps is not None and mps.is_available() else "cpu"


def _is_there_cuda() -> bool:
    """Return whether there is a CUDA device, by NVML where possible.

    The CUDA runtime would read CUDA_VISIBLE_DEVICES now, and not again.
    """
    if torch.version.cuda is None and getattr(torch.version, "hip", None) is None:
        return False
    name = "PYTORCH_NVML_BASED_CUDA_CHECK"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        return bool(torch.cuda.is_available())
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _kernel(backend: str) -> Any:
    try:
        return kernels.kernel(backend)
    except kernels.Unavailable as error:
        raise ImportError(f"{backend} cannot be had here: {error}") from error


def _dtypes(device: torch.device) -> tuple[torch.dtype, ...]:
    """Return the dtypes in which ultralytics trains and predicts on this device."""
    return (torch.float32,) if device.type != "cuda" else (torch.float32, torch.float16)


def _calls(device: torch.device, dtype: torch.dtype) -> list[tuple[Any, Any, Any, float]]:
    """Return calls with the shapes of YOLO12 and of YOLO11 at 640 pixels, in the layout of the exchange."""
    made = []
    for place, (batch, heads, tokens, narrow, wide) in enumerate(
        ((8, 2, 400, 32, 32), (2, 4, 400, 32, 32), (2, 2, 400, 32, 64))
    ):
        packed = noise((batch, tokens, heads, 2 * narrow + wide), place, device, dtype).transpose(1, 2)
        query, key, value = packed.split((narrow, narrow, wide), dim=3)
        made.append((query, key, value, narrow**-0.5))
    return made


def _prove(backend: str, kernel: Any, device: torch.device, dtype: torch.dtype) -> None:
    """Compare output and gradients with float64. Raises NotProven."""
    calls = _calls(device, dtype)
    reference = Reference(kernels.eager, calls, seed=0)
    base = reference.errors(kernels.eager)
    try:
        with kernels.in_force(kernel):
            mine = reference.errors(kernel)
    except (RuntimeError, NotImplementedError, ValueError, TypeError) as error:
        said = str(error).strip().partition("\n")[0]
        raise NotProven(f"{backend} does not run on {device} here, the attention was left as it is: {said}") from error
    for place, call in enumerate(calls):
        for index, what in enumerate(("output", "gradient")):
            most = limit(base[place][index], torch.finfo(dtype).eps, call[1].shape[2])
            if not mine[place][index] <= most:
                raise NotProven(
                    f"{backend} gives wrong numbers on {device} ({what} error {mine[place][index]:.2g}, at most {most:.2g}"
                    " is right): the attention was left as it is"
                )


def _quickest(device: torch.device, dtype: torch.dtype) -> tuple[str, Any]:
    """Return the fastest backend that proves itself, or eager where none is faster."""
    reference = Reference(kernels.eager, _calls(device, dtype)[:2], seed=0)
    proven = {AS_INSTALLED: kernels.eager}
    for name in candidates(device.type) or ["sdpa"]:
        try:
            kernel = _kernel(name)
            _prove(name, kernel, device, dtype)
            proven[name] = kernel
        except (ImportError, NotProven):
            continue
    seconds = _race({name: lambda kernel=kernel: reference.run(kernel) for name, kernel in proven.items()}, device)  # type: ignore[misc]
    best = AS_INSTALLED
    for name in proven:
        if seconds[name] * (1.0 if best == AS_INSTALLED else _WORTH_IT) < seconds[best]:
            best = name
    return best, proven[best]


def _right_alone(device: torch.device, dtype: torch.dtype, without: str) -> tuple[str, Any] | None:
    """Return a backend that proves itself, whatever its speed; None where none does."""
    names = dict.fromkeys((*candidates(device.type), *candidates_alone()))
    with torch.inference_mode(mode=False), torch.autocast(device.type, enabled=False):
        for name in names:
            if name == without:  # it was already refused, or it would have been taken
                continue
            try:
                kernel = _kernel(name)
                _prove(name, kernel, device, dtype)
            except (ImportError, NotProven):
                continue
            return name, kernel
    return None


def _race(works: dict[str, Callable[[], None]], device: torch.device) -> dict[str, float]:
    """Return for each candidate the seconds of its fastest run, after a warm-up.

    The runs alternate. The minimum is used, because a disturbance only adds time.
    """

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        elif device.type == "mps":
            torch.mps.synchronize()

    taken: dict[str, list[float]] = {name: [] for name in works}
    for number in range(_REPEATS + 1):
        for name, work in works.items():
            wait()
            started = time.perf_counter()
            work()
            wait()
            if number:
                taken[name].append(time.perf_counter() - started)
    return {name: min(times) for name, times in taken.items()}
