"""Put another attention into the classes of an installed ultralytics, and remove it again.

Only `forward` is replaced, on the class: weights, names and checkpoints stay unchanged. Uses only torch, the standard
library and other files of this folder: all of them also run inside a target without attn_doctor.
"""

from __future__ import annotations

import importlib
import threading
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from attn_doctor.exchange.checkpoints import checkpoints
from attn_doctor.exchange.derivatives import differentiable, transformed
from attn_doctor.exchange.layouts import LAYOUTS, Layout, Refused, recognise, sample_of, textbook

if TYPE_CHECKING:  # for type checkers only: a target may have Python 3.8, which cannot subscript these names
    from collections.abc import Callable

    Kernel = Callable[[Any, Any, Any, float], Any]
    Forward = Callable[..., Any]

MODULE = "ultralytics.nn.modules.block"
NAMES = ("AAttn", "Attention")  # the class in YOLO12, and the class in YOLO10, 11 and 26


def twins(cls: Any, device: Any) -> tuple[Any, Forward, Forward] | None:
    """Return (input, installed forward, exchanged forward): both functions compute one small layer, of class `cls`.

    The exchanged one uses textbook attention. The layer is in training mode and float64, the input is one image. None
    if no such layer can be made. Raises Refused if the class is unknown.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        layout = _layouts[cls] = _layouts.get(cls) or recognise(cls)
        with torch.device("cpu"):
            sample = sample_of(cls, layout)
            x = torch.randn(1, layout.arguments[0], 8, 4, dtype=torch.float64)
    if sample is None:
        return None
    sample = sample.to(device).train()
    original = _originals.get(cls) or cls.forward
    return x.to(device), lambda x: original(sample, x), lambda x: layout.forward(sample, x, textbook)


def classes() -> tuple[type, ...]:
    """Return the attention classes of the installed ultralytics. Raises ImportError if there is no ultralytics."""
    block = importlib.import_module(MODULE)
    return tuple(getattr(block, name) for name in NAMES if isinstance(getattr(block, name, None), type))


def layout_of(cls: type) -> str | None:
    """Return the name of the layout of this class; None if the class was not recognised in this process."""
    layout = _layouts.get(cls)
    return None if layout is None else layout.name


def remember(cls: type, name: str) -> None:
    """Store the layout of a class that an earlier process recognised, so that this process does not have to recognise it again.

    `name`: the name of the layout, "area" for example. Nothing changes if no layout has this name, or if this process knows the layout
    of the class already. The caller must know that the code of the class has not changed since.
    """
    for layout in LAYOUTS:
        if layout.name == name:
            _layouts.setdefault(cls, layout)


class _Entry(NamedTuple):
    kernel: Kernel
    classes: tuple[type, ...]
    thread: int  # the identity of the thread that made the exchange


_lock = threading.RLock()
_entries: list[_Entry] = []
_originals: dict[type, Forward] = {}  # of the classes that are exchanged now
# Checkpoints whose backward pass may still come -> the entry that computed their forward pass, and must compute the second one.
_held: weakref.WeakKeyDictionary[Any, _Entry] = weakref.WeakKeyDictionary()
_ours: dict[type, Forward] = {}
_layouts: dict[type, Layout] = {}


class Exchange:
    """Put a kernel into the attention of ultralytics, from now until `restore`; as a context manager, until its end.

    An exchange acts on the whole process, because it changes classes. Several exchanges can be active, and can end in
    any order. A thread uses the newest exchange that it made itself; a thread that made none uses the newest of all.

    `only`: the classes to change; None: all that are known. A kernel can have a method `choose(layer, x, shape)`, which
    returns the kernel for this input, or None: the layer then computes as installed. A kernel can have `start` and
    `stop`, for settings of the process. An empty batch, the transforms of torch.func and an export of the model are
    computed as installed. In a backward pass, a checkpoint computes with the kernel of its forward pass, even after
    `restore`.

    Raises Refused if a class in `only` is unknown, or if no class of this ultralytics is known; ImportError if there is
    no ultralytics.
    """

    def __init__(self, kernel: Any, only: tuple[type, ...] | None = None) -> None:
        wanted = classes() if only is None else only
        refused = []
        known = []
        for cls in wanted:
            try:
                _layouts[cls] = _layouts.get(cls) or recognise(cls)
                known.append(cls)
            except Refused as reason:
                refused.append(reason)
        if refused and (only is not None or not known):
            raise refused[0]
        if not known:
            raise Refused(f"{MODULE} has none of the classes {', '.join(NAMES)}: there is no attention to exchange")
        self.classes = tuple(known)
        self._entry: _Entry | None = _Entry(kernel, self.classes, threading.get_ident())
        if hasattr(kernel, "start"):
            kernel.start()
        with _lock:
            _entries.append(self._entry)
            _settle()

    def restore(self) -> None:
        """Remove this kernel from the classes. A second call does nothing."""
        with _lock:
            # Compared by identity: two entries may be equal, and the entry of another thread must stay.
            places = [index for index, entry in enumerate(_entries) if entry is self._entry]
            if places:
                del _entries[places[0]]
                _settle()
            entry, self._entry = self._entry, None
        if entry is not None and hasattr(entry.kernel, "stop"):
            entry.kernel.stop()

    def __enter__(self) -> Exchange:
        return self

    def __exit__(self, *error: object) -> None:
        self.restore()


def way_of(layer: Any) -> Callable[[Any, Any, Any], Any]:
    """Return a function (layer, x, kernel) that computes a layer of the class of `layer`.

    With kernel None it runs the installed forward. Raises RuntimeError if this class is not exchanged now.
    """
    for cls in type(layer).__mro__:
        original, layout = _originals.get(cls), _layouts.get(cls)
        if original is not None and layout is not None:
            return lambda layer, x, kernel: (
                original(layer, x) if kernel is None else layout.forward(layer, x, differentiable(kernel))
            )
    raise RuntimeError(f"{type(layer).__name__} is not exchanged")


def _settle() -> None:
    """Set `forward` of the attention classes for the exchanges that are active now. The caller must hold the lock."""
    wanted = {cls for entry in [*_entries, *_held.values()] for cls in entry.classes}
    for cls in [cls for cls in _originals if cls not in wanted]:
        original = _originals.pop(cls)
        ours = _ours.pop(cls)
        if cls.__dict__.get("forward") is ours:  # other code may have replaced ours
            cls.forward = original  # type: ignore[attr-defined]
    for cls in wanted:
        # The original is stored only at the first exchange: afterwards `forward` is ours.
        original = _originals.setdefault(cls, cls.__dict__.get("forward") or cls.forward)  # type: ignore[attr-defined]
        _ours[cls] = _forward(cls, original, _layouts[cls])
        cls.forward = _ours[cls]  # type: ignore[attr-defined]


def _forward(cls: type, original: Forward, layout: Layout) -> Forward:
    entries = [entry for entry in _entries if cls in entry.classes]
    newest = entries[-1] if entries else None  # no entry: the class is still exchanged only for a later backward pass
    own = {entry.thread: entry for entry in entries}

    def compute(self: Any, x: Any, entry: _Entry | None) -> Any:
        compiling = _compiling()
        if (
            _exporting()
            or x.shape[0] == 0
            or (not compiling and transformed())
            or (layout.other and getattr(self, "format", None) == "coreml")
        ):
            return original(self, x)
        once_more = False
        if not compiling and not torch.is_inference_mode_enabled():
            entry, once_more = _of_checkpoint(entry)
        if entry is None:
            _tidy()
            return original(self, x)
        kernel: Any = entry.kernel
        if hasattr(kernel, "choose") and once_more:
            with torch.enable_grad():  # the forward pass of a reentrant checkpoint has no gradients, its second one has
                kernel = kernel.choose(self, x, layout.shape)
        elif hasattr(kernel, "choose"):
            kernel = kernel.choose(self, x, layout.shape)
        if kernel is None:
            return original(self, x)
        return layout.forward(self, x, kernel if compiling else differentiable(kernel))

    # Both functions have the signature of a forward, without defaults: torch.onnx.export passes defaults as inputs.
    def exchanged(self: Any, x: Any) -> Any:
        return compute(self, x, newest)

    def by_thread(self: Any, x: Any) -> Any:
        return compute(self, x, own.get(threading.get_ident(), newest))

    # With one thread, the usual case, no lookup is needed: torch.compile then sees plain code.
    return exchanged if len(own) < 2 else by_thread


def _of_checkpoint(entry: _Entry | None) -> tuple[_Entry | None, bool]:
    """Return (exchange, again) for a layer. The exchange computes the layer; None: the installed forward does.

    `again`: a backward pass will compute the layer a second time. In the second computation of a checkpoint, the exchange is the
    one of its forward pass.
    """
    made, again = checkpoints()
    if again:
        entry = next((_held[checkpoint] for checkpoint in again if checkpoint in _held), None)
    if entry is not None:
        for checkpoint in made:
            _held[checkpoint] = entry
    return entry, bool(made)


def _tidy() -> None:
    """Restore the installed code of each class that no active exchange and no coming backward pass needs."""
    needed = {cls for entry in [*_entries, *_held.values()] for cls in entry.classes}
    if not needed.issuperset(_originals):
        with _lock:
            _settle()


def _compiling() -> bool:
    """Return whether torch.compile is tracing this code."""
    compiler = getattr(torch, "compiler", None)
    return bool(compiler is not None and getattr(compiler, "is_compiling", bool)())


def _exporting() -> bool:
    """Return whether the model is being exported.

    An exported file gets the model's own attention, because its reader has no attn-doctor.
    """
    compiler = getattr(torch, "compiler", None)
    return bool(
        torch.jit.is_tracing()
        or torch.onnx.is_in_onnx_export()
        or (compiler is not None and getattr(compiler, "is_exporting", bool)())
    )
