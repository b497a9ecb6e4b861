"""Compute the known classes of attention with any kernel, and recognise a class as one of them.

Uses torch and the standard library only, and nothing else of attn_doctor: this file also runs inside a target without
attn_doctor.

The memory layout decides the speed. A 1x1 convolution computes query, key and value. In the layout NCHW the numbers of one such
vector are height x width apart in memory. A fused kernel refuses that, or needs three copies. If the input of the convolution is
in channels_last, so is its output: the numbers of one vector are side by side, and query, key and value are views of it with a
last stride of 1. This needs one copy of the input (a third of the size of the output), and no copy if the model is in
channels_last anyway. Areas are runs of pixels, so they are views too. The kernel's output, as [batch, tokens, heads, width], is
already channels_last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

if TYPE_CHECKING:  # for type checkers only: a target may have Python 3.8, which cannot subscript these names
    from collections.abc import Callable

    Kernel = Callable[[Any, Any, Any, float], Any]
    Forward = Callable[..., Any]


class Refused(Exception):
    """Report a class that the exchange does not know. The text is one sentence."""


def _area(self: Any, x: Any, kernel: Kernel) -> Any:
    """Compute the attention of YOLO12 in ultralytics. The channels are in the order [head][query, key, value][width]."""
    batch, _, height, width = x.shape
    heads, head = self.num_heads, self.head_dim
    pixels = _pixels(self.qkv(_channels_last(x)))
    tokens = pixels.reshape(batch * self.area, height * width // self.area, heads, 3 * head).transpose(1, 2)
    query, key, value = tokens.split(head, dim=3)
    out = kernel(query, key, value, head**-0.5)
    return self.proj(_image(out, batch, height, width) + self.pe(_image(value, batch, height, width)))


def _area_split(self: Any, x: Any, kernel: Kernel) -> Any:
    """Compute the attention of YOLO12 in sunsmarterjie's fork.

    It has one convolution for [query, key][head][width], and another one for the value.
    """
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
    """Compute the attention of YOLO10, 11 and 26.

    The channels are in the order [head][query, key, value][width]; query and key are narrower than the value.
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
    """Return [batch, height, width, channels], without a copy if `x` is in channels_last."""
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
    """Describe a class of attention: the attributes by which it is recognised, and the arguments of a small instance for a test.

    `shape(layer, x)` returns the sizes of the kernel's call: batch, heads, tokens, width of query and key, width of value.
    """

    name: str
    forward: Callable[[Any, Any, Kernel], Any]
    shape: Callable[[Any, Any], tuple[int, int, int, int, int]]
    convolutions: tuple[str, ...]  # attributes that are modules: "qkv"
    numbers: tuple[str, ...]  # attributes that are numbers: "num_heads"
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
    """Return the layout of a class, after a test: a small instance must compute the same with this layout as with its own code.

    The test compares outputs and gradients in float64, so that only the order of additions can differ. Raises Refused if no
    layout passes.
    """
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(0)  # torch.manual_seed would also set the seed of every GPU
        for layout in LAYOUTS:
            sample = sample_of(cls, layout)
            if sample is not None and _agrees(sample, cls.forward, layout):
                return layout
    raise Refused(
        f"{cls.__module__}.{cls.__name__} is not an attention that attn-doctor knows: it was left as it is"
        " (known are the AAttn of YOLO12 and of sunsmarterjie's fork, and the Attention of YOLO10, 11 and 26)"
    )


def sample_of(cls: type, layout: Layout) -> Any:
    """Return a small instance of a class in float64, made with the arguments of a layout.

    None if the class does not accept these arguments, or if its attributes are not those of the layout.
    """
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
        return layout.forward(self, image, textbook)

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


def textbook(query: Any, key: Any, value: Any, scale: float) -> Any:
    return ((query * scale) @ key.transpose(-2, -1)).softmax(dim=-1) @ value
