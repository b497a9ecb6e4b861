"""Put another attention into the classes of an installed ultralytics, and take it out again.

Only `forward` is replaced, on the class: weights, names and checkpoints stay unchanged. Uses torch and the standard
library only, and nothing else of attn_doctor: this file also runs inside a target without attn_doctor.

The memory layout decides the speed. Query, key and value come out of a 1x1 convolution. In NCHW each of their vectors
is spread over the channel planes, with a last stride of height x width; a fused kernel refuses that, or needs three
copies. If the convolution gets its input in channels_last, its output has the channels of a pixel side by side, and
query, key and value are views of it with a last stride of 1. That needs one copy of the input (a third of the size),
and no copy for a model that is in channels_last anyway. Areas are runs of pixels, so they are views too. The kernel's
output, laid out as [batch, tokens, heads, width], is already channels_last.
"""

from __future__ import annotations

import importlib
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

if TYPE_CHECKING:  # names for readers: Python 3.8, which a target may have, cannot subscript them
    from collections.abc import Callable

    Kernel = Callable[[Any, Any, Any, float], Any]
    Forward = Callable[..., Any]

MODULE = "ultralytics.nn.modules.block"
NAMES = ("AAttn", "Attention")  # the class of YOLO12, and that of YOLO10, 11 and 26


class Refused(Exception):
    """Report a class that the exchange does not know; the text is one sentence."""


def _area(self: Any, x: Any, kernel: Kernel) -> Any:
    """Compute YOLO12 of mainline: channels are [head][query, key, value][width]."""
    batch, _, height, width = x.shape
    heads, head = self.num_heads, self.head_dim
    pixels = _pixels(self.qkv(_channels_last(x)))
    tokens = pixels.reshape(batch * self.area, height * width // self.area, heads, 3 * head).transpose(1, 2)
    query, key, value = tokens.split(head, dim=3)
    out = kernel(query, key, value, head**-0.5)
    return self.proj(_image(out, batch, height, width) + self.pe(_image(value, batch, height, width)))


def _area_split(self: Any, x: Any, kernel: Kernel) -> Any:
    """Compute YOLO12 of sunsmarterjie's fork: one convolution for [query, key][head][width], one for the value."""
    batch, _, height, width = x.shape
    heads, head = self.num_heads, self.head_dim
    x = _channels_last(x)
    image = self.v(x)
    shape = (batch * self.area, height * width // self.area, heads, head)
    query, key = (part.reshape(shape).transpose(1, 2) for part in _pixels(self.qk(x)).split(heads * head, dim=3))
    value = _pixels(image).reshape(shape).transpose(1, 2)
    out = kernel(query, key, value, head**-0.5)
    return self.proj(_image(out, batch, height, width) + self.pe(image))


def _narrow(self: Any, x: Any, kernel: Kernel) -> Any:
    """Compute YOLO10, 11 and 26: query and key are narrower than the value.

    Channels are [head][query, key, value][width].
    """
    batch, _, height, width = x.shape
    heads, narrow, wide = self.num_heads, self.key_dim, self.head_dim
    pixels = _pixels(self.qkv(_channels_last(x)))
    tokens = pixels.reshape(batch, height * width, heads, 2 * narrow + wide).transpose(1, 2)
    query, key, value = tokens.split((narrow, narrow, wide), dim=3)
    out = kernel(query, key, value, float(self.scale))
    return self.proj(_image(out, batch, height, width) + self.pe(_image(value, batch, height, width)))


def _channels_last(x: Any) -> Any:
    return x.contiguous(memory_format=torch.channels_last)


def _pixels(x: Any) -> Any:
    """Return [batch, height, width, channels], without a copy where `x` is in channels_last."""
    return x.permute(0, 2, 3, 1)


def _image(x: Any, batch: int, height: int, width: int) -> Any:
    """Return [batch x areas, heads, tokens, width of a head] as an image in channels_last."""
    return x.transpose(1, 2).reshape(batch, height, width, -1).permute(0, 3, 1, 2)


def _shape_of_areas(self: Any, x: Any) -> tuple[int, int, int, int, int]:
    batch, _, height, width = x.shape
    return batch * self.area, self.num_heads, height * width // self.area, self.head_dim, self.head_dim


def _shape_of_narrow(self: Any, x: Any) -> tuple[int, int, int, int, int]:
    batch, _, height, width = x.shape
    return batch, self.num_heads, height * width, self.key_dim, self.head_dim


class Layout(NamedTuple):
    """Describe a class of attention: the attributes that tell it, and the arguments of a small instance to try it.

    `shape` gives for a layer and its input the (batch, heads, tokens, width of query and key, width of value) of the kernel's call.
    """

    name: str
    forward: Callable[[Any, Any, Kernel], Any]
    shape: Callable[[Any, Any], tuple[int, int, int, int, int]]
    convolutions: tuple[str, ...]
    numbers: tuple[str, ...]
    arguments: tuple[Any, ...]  # arguments of a small instance
    other: bool = False  # it has a second way to compute, chosen by its attribute `format`


LAYOUTS = (
    Layout("area", _area, _shape_of_areas, ("qkv", "proj", "pe"), ("area", "num_heads", "head_dim"), (64, 2, 4)),
    Layout(
        "area, split",
        _area_split,
        _shape_of_areas,
        ("qk", "v", "proj", "pe"),
        ("area", "num_heads", "head_dim"),
        (64, 2, 4),
    ),
    Layout(
        "narrow",
        _narrow,
        _shape_of_narrow,
        ("qkv", "proj", "pe"),
        ("num_heads", "key_dim", "head_dim", "scale"),
        (64, 1),
        True,
    ),
)


def recognise(cls: Any) -> Layout:
    """Return the layout of a class, proven: a small instance computes the same with it as with its own code.

    Raises Refused. The proof is in float64, outputs and gradients, so that only the order of additions can differ.
    """
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(0)  # torch.manual_seed would set that of every GPU too
        for layout in LAYOUTS:
            sample = _sample(cls, layout)
            if sample is not None and _agrees(sample, cls.forward, layout):
                return layout
    raise Refused(
        f"{cls.__module__}.{cls.__name__} is not an attention that attn-doctor knows: it was left as it is"
        " (known are the AAttn of YOLO12 and of sunsmarterjie's fork, and the Attention of YOLO10, 11 and 26)"
    )


def _sample(cls: type, layout: Layout) -> Any:
    try:
        sample = cls(*layout.arguments)
        fits = isinstance(sample, torch.nn.Module) and all(
            isinstance(getattr(sample, name, None), torch.nn.Module) for name in layout.convolutions
        )
        fits = fits and all(isinstance(getattr(sample, name, None), (int, float)) for name in layout.numbers)
    except (TypeError, ValueError, RuntimeError, AttributeError):
        return None
    return sample.double() if fits else None


def _agrees(sample: Any, forward: Forward, layout: Layout) -> bool:
    x = torch.randn(2, layout.arguments[0], 8, 4, dtype=torch.float64, requires_grad=True)

    def exchanged(self: Any, image: Any) -> Any:
        return layout.forward(self, image, _textbook)

    ways: tuple[Forward, ...] = (forward, exchanged)
    leaves = [x, *sample.parameters()]
    found = []
    try:
        for compute in ways:
            with torch.enable_grad(), torch.autocast("cpu", enabled=False):
                out = compute(sample, x)
                weights = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
                found.append([out, *torch.autograd.grad((out * weights).sum(), leaves)])
    except (RuntimeError, TypeError, ValueError, AttributeError):
        return False
    expected, got = found
    return all(
        expected[i].shape == got[i].shape and torch.allclose(expected[i], got[i], rtol=1e-8, atol=1e-10)
        for i in range(len(expected))
    )


def twins(cls: Any, device: Any) -> tuple[Any, Forward, Forward] | None:
    """Return (input, installed forward, exchanged forward with textbook attention) of a small instance.

    In training mode, float64, one image. None where no instance can be made. Raises Refused for an unknown class.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        layout = _layouts[cls] = _layouts.get(cls) or recognise(cls)
        with torch.device("cpu"):
            sample = _sample(cls, layout)
            x = torch.randn(1, layout.arguments[0], 8, 4, dtype=torch.float64)
    if sample is None:
        return None
    sample = sample.to(device).train()
    original = _originals.get(cls) or cls.forward
    return x.to(device), lambda x: original(sample, x), lambda x: layout.forward(sample, x, _textbook)


def _textbook(query: Any, key: Any, value: Any, scale: float) -> Any:
    return ((query * scale) @ key.transpose(-2, -1)).softmax(dim=-1) @ value


def classes() -> tuple[type, ...]:
    """Return the attention classes of the installed ultralytics. Raises ImportError where there is none."""
    block = importlib.import_module(MODULE)
    return tuple(getattr(block, name) for name in NAMES if isinstance(getattr(block, name, None), type))


def layout_of(cls: type) -> str | None:
    """Return the name of the layout that this class was recognised as in this process."""
    layout = _layouts.get(cls)
    return None if layout is None else layout.name


def remember(cls: type, name: str) -> None:
    """Take a class for what an earlier process recognised it as. The caller answers for its code being the same."""
    for layout in LAYOUTS:
        if layout.name == name:
            _layouts.setdefault(cls, layout)


class _Entry(NamedTuple):
    kernel: Kernel
    classes: tuple[type, ...]
    thread: int


_lock = threading.RLock()
_entries: list[_Entry] = []
_originals: dict[type, Forward] = {}  # of the classes that are exchanged now
_ours: dict[type, Forward] = {}
_layouts: dict[type, Layout] = {}


class Exchange:
    """Put a kernel into the attention of ultralytics, from now until `restore`; as a context manager, until its end.

    The exchange holds for the whole process, because classes do. Several may be active, and may end in any order: a
    thread uses the newest that it made itself, and a thread that made none uses the newest of all. A kernel may have a
    method `choose(layer, x, shape)`, which returns the kernel for this input, or None where the layer computes as installed. It may
    have `start` and `stop`, for process settings. An empty batch and the transforms of torch.func are computed as installed.

    Raises Refused for an unknown class, ImportError where there is no ultralytics.
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
        """Take this kernel out again. A second call does nothing."""
        with _lock:
            # Compared by identity: two entries may be equal, and that of another thread must stay.
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


def _settle() -> None:
    """Set `forward` of the classes according to the entries. The caller holds the lock."""
    wanted = {cls for entry in _entries for cls in entry.classes}
    for cls in [cls for cls in _originals if cls not in wanted]:
        original = _originals.pop(cls)
        ours = _ours.pop(cls)
        if cls.__dict__.get("forward") is ours:  # other code may have replaced ours
            cls.forward = original  # type: ignore[attr-defined]
    for cls in wanted:
        # Only before the first exchange: afterwards `forward` is ours.
        original = _originals.setdefault(cls, cls.__dict__.get("forward") or cls.forward)  # type: ignore[attr-defined]
        _ours[cls] = _forward(cls, original, _layouts[cls])
        cls.forward = _ours[cls]  # type: ignore[attr-defined]


def _forward(cls: type, original: Forward, layout: Layout) -> Forward:
    entries = [entry for entry in _entries if cls in entry.classes]
    compute = layout.forward
    newest = entries[-1].kernel
    own = {entry.thread: entry.kernel for entry in entries}

    def exchanged(self: Any, x: Any, *, kernel: Kernel = newest) -> Any:
        if (
            _exporting()
            or x.shape[0] == 0
            or _transformed(x)
            or (layout.other and getattr(self, "format", None) == "coreml")
        ):
            return original(self, x)
        choose = getattr(kernel, "choose", None)
        chosen = kernel if choose is None else choose(self, x, layout.shape)
        return original(self, x) if chosen is None else compute(self, x, chosen)

    def by_thread(self: Any, x: Any) -> Any:
        return exchanged(self, x, kernel=own.get(threading.get_ident(), newest))

    # With one thread, the usual case, no lookup is needed: torch.compile then sees plain code.
    return exchanged if len(own) == 1 else by_thread


def _transformed(x: Any) -> bool:
    """Return whether this is a tensor inside torch.func (vmap, grad, jvp): fused kernels have no rule for some of these."""
    functorch = getattr(torch._C, "_functorch", None)  # noqa: SLF001 - torch has no public name for it
    told = getattr(functorch, "is_functorch_wrapped_tensor", None)
    compiler = getattr(torch, "compiler", None)
    if told is None or (compiler is not None and getattr(compiler, "is_compiling", bool)()):
        return False
    return bool(told(x))


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
