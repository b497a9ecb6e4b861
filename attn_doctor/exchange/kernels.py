"""Compute attention with each backend: one function for each, (query, key, value, scale) -> output.

Query, key and value are [batch, heads, tokens, width] with a last stride of 1. The output is [batch, heads, tokens, width of
value] with any strides. If the requested kernel cannot compute a call, another kernel of PyTorch computes it, so that a training
does not stop ("sdpa-math" and "flex" have none). This file chooses no backend. It uses torch and the standard library only, and
nothing else of attn_doctor: it also runs inside a target without attn_doctor.
"""

from __future__ import annotations

import contextlib
import importlib
import threading
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

if TYPE_CHECKING:  # for type checkers only: a target may have Python 3.8, which cannot subscript these names
    from collections.abc import Callable

    Kernel = Callable[[Any, Any, Any, float], Any]

HALF = (torch.float16, torch.bfloat16)


class Unavailable(Exception):
    """Report that a backend cannot be used here. The text is the reason, for example the text of an import error."""


def eager(query: Any, key: Any, value: Any, scale: float) -> Any:
    """Compute textbook attention: two matrix products and a softmax.

    The whole attention matrix, tokens x tokens, is in memory.
    """
    return ((query * scale) @ key.transpose(-2, -1)).softmax(dim=-1) @ value


def sdpa(query: Any, key: Any, value: Any, scale: float) -> Any:
    """Compute attention with scaled_dot_product_attention: PyTorch chooses the kernel."""
    return functional.scaled_dot_product_attention(query, key, value, scale=scale)


# PyTorch's kernel switches belong to the process, not to a thread. Two threads that set and restore them in turn would
# leave them wrong.
_switches = threading.Lock()


def allowed(names: tuple[str, ...]) -> Any:
    """Return a context in which PyTorch uses the first of these kernels (names of SDPBackend, "MATH") that fits, and no other kernel.

    A torch whose sdpa_kernel has no `set_priority` (or that has no sdpa_kernel) tries these kernels in its own order.
    There, "MATH" is left out if "CUDNN_ATTENTION" is the first name.
    """
    try:
        from torch.nn.attention import SDPBackend, sdpa_kernel
    except ImportError:  # torch 2.2 and older have the switches, but no names for them
        return torch.backends.cuda.sdp_kernel(
            enable_flash="FLASH_ATTENTION" in names,
            enable_mem_efficient="EFFICIENT_ATTENTION" in names,
            enable_math="MATH" in names,
        )
    backends = [getattr(SDPBackend, name) for name in names if hasattr(SDPBackend, name)]
    try:
        return sdpa_kernel(backends, set_priority=True)
    except TypeError:  # a PyTorch without `set_priority` uses its own order, in which math comes before cuDNN
        fused = [backend for backend in backends if backend is not SDPBackend.MATH]
        return sdpa_kernel(fused if names[0] == "CUDNN_ATTENTION" else backends)


def only(*names: str) -> Kernel:
    """Return a kernel: SDPA with the first of these backends of PyTorch (names of SDPBackend) that can compute the call."""
    first = _number(names[0])
    chosen = getattr(torch, "_fused_sdp_choice", None)

    def kernel(query: Any, key: Any, value: Any, scale: float) -> Any:
        if compiling():
            with allowed(names):
                return sdpa(query, key, value, scale)
        # Setting the switches takes three times as long as the call itself, so they are left if PyTorch would choose this
        # kernel anyway.
        if chosen is not None and chosen(query, key, value, scale=scale) == first:
            return sdpa(query, key, value, scale)
        with _switches, allowed(names):
            return sdpa(query, key, value, scale)

    return kernel


def equal_widths(kernel: Kernel) -> Kernel:
    """Return a kernel for any widths, made from a kernel that needs query, key and value of one width.

    The narrower tensors are padded with zeros; the result is the same.
    """

    def padded(query: Any, key: Any, value: Any, scale: float) -> Any:
        narrow, wide = query.shape[-1], value.shape[-1]
        if narrow < wide:
            query, key = functional.pad(query, (0, wide - narrow)), functional.pad(key, (0, wide - narrow))
        elif wide < narrow:
            return kernel(query, key, functional.pad(value, (0, narrow - wide)), scale)[..., :wide]
        return kernel(query, key, value, scale)

    return padded


def from_package(names: tuple[tuple[str, str], ...], scale_name: str = "softmax_scale") -> Kernel:
    """Return a kernel that calls the function of an installed package, such as flash_attn_func of flash-attn.

    The function accepts tensors [batch, tokens, heads, width] of 16 bits.

    `names`: (module, function); the first that can be imported is used. `scale_name`: the function's parameter for the scale.
    Tensors of another dtype, and tensors that are not on a GPU, go to `sdpa`. Raises Unavailable with the text of the import
    errors.
    """
    function = _function(names)

    def kernel(query: Any, key: Any, value: Any, scale: float) -> Any:
        if query.dtype not in HALF or not query.is_cuda:
            return sdpa(query, key, value, scale)
        query, key, value = query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
        out = function(query, key, value, **{scale_name: scale})
        return (out[0] if isinstance(out, tuple) else out).transpose(1, 2)

    return kernel


class Activated:
    """Run PyTorch's flash operator with the kernels of flash-attn 3 or 4.

    Uses torch.nn.attention.activate_flash_attention_impl, which changes the whole process. A backward pass needs the
    kernels of its forward pass, so the change lasts from `start` (or the first call) until `stop`, which restores the
    earlier state.

    `implementation`: "FA3" or "FA4", the name in torch. The constructor raises Unavailable if this torch or the package
    cannot do it.
    """

    def __init__(self, implementation: str) -> None:
        module = getattr(torch.nn, "attention", None)  # since torch 2.3
        names = ("activate", "restore", "current")
        found: list[Any] = [getattr(module, name + "_flash_attention_impl", None) for name in names]
        if not all(found):
            raise Unavailable(f"torch {torch.__version__} has no torch.nn.attention.activate_flash_attention_impl")
        self._activate, self._restore, self._current = found
        self._implementation = implementation
        self._before: str | None = None
        self._is_ours = False  # the user may have activated the same implementation
        self._call = equal_widths(only("FLASH_ATTENTION", "EFFICIENT_ATTENTION", "MATH"))
        try:
            self.start()
        except (ImportError, AttributeError, OSError, RuntimeError, ValueError) as error:
            raise Unavailable(f'activate_flash_attention_impl("{implementation}"): {error}') from error
        self.stop()

    def start(self) -> None:
        now = self._current()
        if now != self._implementation:
            self._activate(self._implementation)
            self._before, self._is_ours = now, True

    def stop(self) -> None:
        ours, self._is_ours = self._is_ours, False
        if not ours or self._current() != self._implementation:
            return
        if self._before is None:
            self._restore()
        else:
            self._activate(self._before)

    def __call__(self, query: Any, key: Any, value: Any, scale: float) -> Any:
        if not compiling():
            self.start()
        return self._call(query, key, value, scale)


@contextlib.contextmanager
def in_force(kernel: Any) -> Any:
    """Return a context manager that calls `kernel.start()`, and at its end `kernel.stop()`.

    Most kernels do not have these methods: then nothing happens.
    """
    with contextlib.ExitStack() as stack:
        if hasattr(kernel, "start"):
            stack.callback(kernel.stop)
            kernel.start()
        yield


def flex() -> Kernel:
    """Return FlexAttention, compiled at the first call for each shape. Raises Unavailable if this torch has none."""
    function = _function((("torch.nn.attention.flex_attention", "flex_attention"),))
    compiled = torch.compile(function, dynamic=False)

    def kernel(query: Any, key: Any, value: Any, scale: float) -> Any:
        return compiled(query, key, value, scale=scale)

    return kernel


def _function(names: tuple[tuple[str, str], ...]) -> Any:
    errors: list[str] = []
    for module_name, name in names:
        try:
            return getattr(importlib.import_module(module_name), name)
        except (ImportError, AttributeError, OSError) as error:
            errors.append(f"{module_name}: {error}")
    raise Unavailable("; ".join(errors))


def _number(name: str) -> int | None:
    try:
        from torch.nn.attention import SDPBackend
    except ImportError:
        return None
    backend = getattr(SDPBackend, name, None)
    return None if backend is None else int(getattr(backend, "value", backend))


def compiling() -> bool:
    """Return whether torch.compile is tracing this code."""
    compiler = getattr(torch, "compiler", None)
    return bool(compiler and hasattr(compiler, "is_compiling") and compiler.is_compiling())


_MAKERS: dict[str, Callable[[], Kernel]] = {
    "eager": lambda: eager,
    "sdpa": lambda: sdpa,
    "sdpa-math": lambda: only("MATH"),
    "sdpa-efficient": lambda: only("EFFICIENT_ATTENTION", "MATH"),
    "sdpa-flash": lambda: equal_widths(only("FLASH_ATTENTION", "EFFICIENT_ATTENTION", "MATH")),
    "sdpa-flash-3": lambda: Activated("FA3"),
    "sdpa-flash-4": lambda: Activated("FA4"),
    "sdpa-cudnn": lambda: only("CUDNN_ATTENTION", "EFFICIENT_ATTENTION", "MATH"),
    "flash-attn-2": lambda: equal_widths(from_package((("flash_attn", "flash_attn_func"),))),
    "flash-attn-3": lambda: equal_widths(
        from_package(
            (("flash_attn_interface", "flash_attn_func"), ("flash_attn_3.flash_attn_interface", "flash_attn_func"))
        )
    ),
    "flash-attn-4": lambda: equal_widths(from_package((("flash_attn.cute", "flash_attn_func"),))),
    "xformers": lambda: from_package((("xformers.ops", "memory_efficient_attention"),), "scale"),
    "flex": flex,
}
NAMES: tuple[str, ...] = tuple(_MAKERS)
# Eager's formula in the memory layout of the exchange. Only "auto" tries it, on a CPU in 16 bits: it may be faster there than any kernel.
TEXTBOOK = "textbook"
_MAKERS[TEXTBOOK] = lambda: eager


def maker(name: str) -> Any:
    """Return the function that makes the kernel of a backend. Raises KeyError for an unknown name."""
    return _MAKERS[name]


def kernel(name: str) -> Kernel:
    """Return the kernel of a backend.

    Raises Unavailable if it cannot be used here, KeyError if the name is neither in NAMES nor TEXTBOOK.
    """
    return _MAKERS[name]()
