"""Put a backend into the YOLO attention of this process, after its results were proven right here.

For the user's own training script, so it imports torch and ultralytics; the doctor's process never imports it. It is also loaded
by itself into programs without attn_doctor (see target/startup): the standard library, torch and `exchange` only, Python 3.8.
"""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

from attn_doctor.exchange import kernels, layers
from attn_doctor.exchange.alone import is_wrong_alone
from attn_doctor.exchange.layouts import Refused
from attn_doctor.exchange.others import OTHERS, Others
from attn_doctor.exchange.traits import TRAITS, candidates, candidates_alone, compiles_model
from attn_doctor.prescription.proof import Case, NotProven, prove
from attn_doctor.prescription.race import quickest
from attn_doctor.prescription.stored_proofs import StoredProofs, code_of

AUTO = "auto"
AS_INSTALLED = "eager"
# Calls of YOLO12 and YOLO11 at 640 pixels: (images x areas, heads, tokens, width of query and key, width of value).
_USUAL = ((8, 2, 400, 32, 32), (2, 2, 400, 32, 64))


class Attention:
    """Control a backend that is active in this process. It ends with its `with` statement, or at `restore()`."""

    def __init__(self, choice: _Choice, exchange: layers.Exchange | None) -> None:
        self._choice = choice
        self._exchange = exchange
        self._ended = False
        if choice.asked != AS_INSTALLED:
            choice.others.watch()

    @property
    def backend(self) -> str:
        """Return the backend that computed the last attention; "eager": the installed attention; "none": no attention was computed yet."""
        return self._choice.used or "none"

    @property
    def nothing(self) -> str | None:
        """Return a sentence if the program computed attention and none of it was exchanged; else None.

        The sentence names the model's own attention.
        """
        if self._choice.used is not None or self._choice.asked == AS_INSTALLED:
            return None
        seen = self._choice.others.seen
        if not seen:
            return "nothing was exchanged: this program computed no attention of YOLO10, 11, 12 or 26 that attn-doctor knows"
        models = " and ".join(dict.fromkeys(seen.values()))
        return f"nothing was exchanged: the attention of {models} ({', '.join(seen)}) stays as installed"

    def watch(self) -> tuple[str, ...]:
        """Watch other classes of attention in all modules that are already imported.

        Returns the names of all modules of ultralytics that have such classes, imported or not: after the import of one, call it
        again.
        """
        self._choice.others.watch()
        return tuple(OTHERS)

    def restore(self) -> None:
        """End the exchange.

        If only attention that is not exchanged was computed, such as SAM's, one sentence says so (see `say`).
        """
        if self._exchange is not None:
            self._exchange.restore()
        if not self._ended and self._choice.others.seen and self.nothing:
            self._choice.tell(self.nothing, warn=True)
        self._ended = True
        self._choice.others.restore()

    def __enter__(self) -> Attention:
        return self

    def __exit__(self, *error: object) -> None:
        self.restore()

    def __repr__(self) -> str:
        used = f"computed by {self.backend!r}" if self._choice.used else "nothing computed yet"
        return f"<attn_doctor.attention, asked {self._choice.asked!r}, {used}>"


def prescribe(
    backend: str = AUTO,
    device: str | None = None,
    *,
    now: bool = True,
    say: Callable[[str], None] | None = None,
) -> Attention:
    """Exchange the attention of the installed ultralytics for every thread, until `restore`.

    `backend`: a name of attn-doctor's ("sdpa-flash"), or "auto": for each kind of call (device, dtype, shape, with or without
    gradients) the fastest backend whose numbers are right.

    A backend is checked before it is used for a kind of call. The usual shapes are checked at once on `device` ("cpu", "cuda:0"),
    and every other kind at its first call. `device` None: the GPU, if this process has already used CUDA; else an Apple GPU or
    the CPU. If there is a CUDA GPU that is not in use yet, nothing is checked at once: that would fix which GPUs this process
    sees before a trainer decides it (`train(device=1)`). With `now=False` every check waits for the first call. Results are
    stored for the next program (see `stored_proofs`). If a backend fails later, the installed attention computes that kind of
    call.

    `say` gets a sentence for each backend that is chosen and for each failure; None: only failures are reported, as warnings.

    Raises ValueError for an unknown name, ImportError if there is no ultralytics or the backend's package does not import,
    `Refused` if no attention class is known, and NotProven for wrong numbers. In each of these cases nothing is exchanged.
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
        choice.prove_usual(torch.device(where))
    try:
        return Attention(choice, choice.exchange())
    except Refused:
        if backend == AS_INSTALLED:
            return Attention(choice, None)
        raise


class _Choice:
    """Choose the kernel for each kind of call: a backend whose numbers were checked, at the first call of that kind or before."""

    def __init__(self, asked: str, say: Callable[[str], None] | None) -> None:
        self.asked = asked
        self.used: str | None = None
        self._kernels: dict[str, Any] = {AS_INSTALLED: kernels.eager}
        self._chosen: dict[tuple[Case, bool], str] = {}  # the flag: a batch of one image
        self._usual: dict[tuple[str, Any, bool], str] = {}  # device, dtype, with gradients
        self._wrong_alone: dict[str, bool] = {}
        self._said: set[str] = set()
        self._say = say
        self._lock = threading.Lock()
        self._stored = StoredProofs()
        self.others = Others()
        if asked != AUTO:
            self._kernel(asked)

    def choose(self, layer: Any, x: Any, shape: Callable[[Any, Any], tuple[int, ...]]) -> Any:
        """Return the kernel for this layer and input; None: the installed attention computes them."""
        if self.asked == AS_INSTALLED:
            name = AS_INSTALLED
        elif kernels.compiling():  # no proof can run while a graph is traced: only known results count
            usual = self._usual.get((_place(x.device), _computed_in(x), torch.is_grad_enabled()))
            name = usual or ("sdpa" if self.asked == AUTO else self.asked)
            self.used = name
            return None if name == AS_INSTALLED else self._kernel(name)
        else:
            case = Case(_place(x.device), _computed_in(x), _has_gradients(layer, x), *shape(layer, x))
            alone = case.gradients and x.shape[0] == 1
            found = self._chosen.get((case, alone))
            if found is None:
                if x.is_cuda and torch.cuda.is_current_stream_capturing():
                    return None
                found = self._find(case, layer, x, alone=alone)
            name = found
        self.used = name
        return None if name == AS_INSTALLED else self._kernels[name]

    def start(self) -> None:
        for kernel in list(self._kernels.values()):
            if hasattr(kernel, "start"):
                kernel.start()

    def stop(self) -> None:
        for kernel in list(self._kernels.values()):
            if hasattr(kernel, "stop"):
                kernel.stop()

    def exchange(self) -> layers.Exchange:
        """Put this choice into the classes of ultralytics. Raises `Refused` for an unknown class, ImportError without ultralytics."""
        codes = {cls: code_of(cls) for cls in layers.classes()}
        for cls, code in codes.items():
            known = self._stored.layout(code) if code else None
            if known is not None:
                layers.remember(cls, known)
        made = layers.Exchange(self)
        for cls in made.classes:
            code, name = codes.get(cls), layers.layout_of(cls)
            if code and name and self._stored.layout(code) is None:
                self._stored.store_layout(code, name)
        return made

    def prove_usual(self, device: torch.device) -> None:
        """Find a backend for the usual shapes at 640 pixels: of YOLO12, and unless "auto" is asked for also of YOLO11.

        Raises NotProven if the requested backend is wrong.
        """
        if self.asked == AS_INSTALLED:
            return
        shapes = _USUAL[:1] if self.asked == AUTO else _USUAL
        for dtype in _dtypes(device):
            for gradients in (True, False):
                for shape in reversed(shapes):
                    case = Case(_place(device), dtype, gradients, *shape)
                    name = self._stored.find(self.asked, case) or self._take(case)
                    self._kernel(name)
                    self._chosen[case, False] = self._usual[case.device, dtype, gradients] = name

    def _find(self, case: Case, layer: Any, x: Any, *, alone: bool) -> str:
        """Return the backend for this case inside a running program. After an error the result is the installed attention."""
        with self._lock:
            if (case, alone) in self._chosen:
                return self._chosen[case, alone]
            # In a thread of its own: the program may be predicting in inference mode, training under autocast, or inside a
            # checkpoint, whose hooks would take the tensors of the proof for its own and wait for this lock.
            try:
                with ThreadPoolExecutor(1) as aside:
                    name, alone_only = aside.submit(self._settle, case, layer, x, alone=alone).result()
            except (NotProven, RuntimeError, NotImplementedError) as error:
                self._chosen[case, alone] = AS_INSTALLED
                self.tell(str(error), warn=True)
                return AS_INSTALLED
            self._chosen[case, alone] = name
            kept = f" for {case.words} (as installed: no tried backend is faster)" if name == AS_INSTALLED else ""
            if alone_only and name != self.asked:
                self.tell(
                    f"a batch of one is computed by {name} on {case.device}: as installed, its gradients are wrong here"
                )
            else:
                self.tell(f"the attention is computed by {name} on {case}{kept}")
            return name

    def _settle(self, case: Case, layer: Any, x: Any, *, alone: bool) -> tuple[str, bool]:
        """Return (backend for this case, whether its speed did not matter).

        Speed does not matter if the installed attention is wrong: then any backend with right numbers is used.
        """
        with torch.cuda.device(case.device) if case.device.startswith("cuda") else contextlib.nullcontext():
            # The installed attention may compute wrong gradients for a batch of one, such as the last of an epoch.
            alone_only = alone and self._is_wrong_alone(case.device)
            asked = f"{self.asked}, alone" if alone_only else self.asked
            name = self._stored.find(asked, case) or self._take(case, layer, x, alone_only=alone_only)
            self._kernel(name)
        return name, alone_only

    def _take(self, case: Case, layer: Any = None, x: Any = None, *, alone_only: bool = False) -> str:
        """Check the backends, and return the one for this case. Raises NotProven if none is right.

        The result is stored, unless the installed attention was the fastest by an unclear margin.

        `alone_only`: the installed attention is wrong for this case, so any backend with right numbers is better.
        """
        if self.asked == AUTO or alone_only:
            names = candidates(case.device.partition(":")[0]) or ["sdpa"]
            first = [self.asked] if self.asked != AUTO else []
            if case.device == "cpu" and case.dtype in kernels.HALF:
                names.append(kernels.TEXTBOOK)
            proven: dict[str, Any] = {} if alone_only else {AS_INSTALLED: None}
            reason: Exception | None = None
            for name in dict.fromkeys((*first, *names, *(candidates_alone() if alone_only else ()))):
                if alone_only and proven:
                    break
                try:
                    prove(name, self._kernel(name), case)
                    proven[name] = self._kernels[name]
                except (ImportError, NotProven) as error:
                    reason = reason or error
            if not proven:
                raise NotProven(str(reason))
            name, clear = quickest(proven, case, layer, x) if len(proven) > 1 else (next(iter(proven)), True)
            # A busy moment would otherwise leave every later program without a faster one.
            if name == AS_INSTALLED and not clear:
                return name
        else:
            name = self.asked
            prove(name, self._kernels[name], case)
        self._stored.store(f"{self.asked}, alone" if alone_only else self.asked, case, name)
        return name

    def _is_wrong_alone(self, device: str) -> bool:
        if device not in self._wrong_alone:
            self._wrong_alone[device] = is_wrong_alone(device)
        return self._wrong_alone[device]

    def _kernel(self, name: str) -> Any:
        """Return the kernel of a backend. Raises ImportError if its package does not import."""
        if name not in self._kernels:
            try:
                self._kernels[name] = kernels.kernel(name)
            except kernels.Unavailable as error:
                raise ImportError(f"{name} cannot be had here: {error}") from error
        return self._kernels[name]

    def tell(self, text: str, *, warn: bool = False) -> None:
        """Report a sentence, once only. If there is no `say`, failures (`warn`) are warnings, and other sentences are dropped."""
        if text in self._said:
            return
        self._said.add(text)
        if self._say is not None:
            self._say(text)
        elif warn:
            warnings.warn(f"attn-doctor: {text}", RuntimeWarning, stacklevel=2)


def _place(device: torch.device) -> str:
    # torch treats a device without index and the tensors on it (index 0) as different; here they are the same.
    return device.type if device.type in ("cpu", "mps") else f"{device.type}:{device.index or 0}"


def _has_gradients(layer: Any, x: Any) -> bool:
    if not torch.is_grad_enabled():
        return False
    # A replica of DataParallel has its weights as plain attributes, which `parameters` does not list.
    replica = getattr(layer, "_is_replica", False)
    return bool(replica or x.requires_grad or any(weight.requires_grad for weight in layer.parameters()))


def _computed_in(x: Any) -> Any:
    """Return the dtype in which a layer computes: the dtype of autocast if autocast is on."""
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
    """Return whether there is a CUDA device, if possible from NVML.

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


def _dtypes(device: torch.device) -> tuple[torch.dtype, ...]:
    """Return the dtypes in which ultralytics trains and predicts on this device."""
    return (torch.float32,) if device.type != "cuda" else (torch.float32, torch.float16)
