"""Make the changes of `table` that a running process can still make, and undo them.

Two kinds of things are changed: settings of the process (threads, cuDNN's benchmark, TF32), and two methods of ultralytics'
classes (`BaseModel.forward`, and the decoding of boxes in the heads). Weights, names and checkpoints stay as they are. Uses torch
and the standard library only, and nothing else of attn_doctor: this file also runs inside a target without attn_doctor. Python
3.8.

channels_last: only the images are converted. A convolution keeps the layout of its input, and so do all layers after it, so the
weights need not change.

bfloat16: a context of autocast around the model's forward pass, because ultralytics has no argument for it on a CPU (8.4.190:
amp='bf16' raises "bfloat16 autocast requires CUDA"). The results are converted to float32, and boxes are decoded in float32: a
coordinate has eight bits in bfloat16, and would be off by two pixels at 640.
"""

from __future__ import annotations

import contextlib
import importlib
import threading
import weakref
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:  # names for readers: Python 3.8, which a target may have, cannot subscript them
    from collections.abc import Callable, Mapping

TASKS, HEADS = "ultralytics.nn.tasks", "ultralytics.nn.modules.head"
_missing = object()


class Applied:
    """Hold changes that are active from `start` to `stop`, for the models that `fits` accepts.

    `training` and `predicting` map names of changes to values: {"threads": 8, "channels-last": True}. Each forward pass uses one
    of the two: `training` if the model is in training mode and gradients are on. If several objects are active, the newest decides.
    `fits` None: they are for every model.
    """

    def __init__(
        self,
        training: Mapping[str, Any],
        predicting: Mapping[str, Any],
        fits: Callable[[Any], bool] | None = None,
        device: str | None = None,
    ) -> None:
        self.device = device  # "cpu", "cuda": the type of device that they are for; None: any
        self.settings = {True: dict(training), False: dict(predicting)}
        self._fits = fits
        self._known: Any = weakref.WeakKeyDictionary()  # model -> whether these changes are for it
        self._before: dict[str, Any] = {}

    def start(self) -> None:
        """Make the changes. Raises ImportError if ultralytics is not installed."""
        with _applied_lock:
            self._before = _process_settings()
            _in_force.append(self)
            _patch()

    def stop(self) -> None:
        """Undo the changes: threads and switches of the process get the values that they had at `start`."""
        with _applied_lock:
            if self not in _in_force:
                return
            _in_force.remove(self)
            if not _in_force:
                _unpatch()
            _set_process(self._before)

    def __enter__(self) -> Applied:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def fits(self, model: Any) -> bool:
        """Return whether these changes are for this model. The answer is stored for each model."""
        if model not in self._known:
            self._known[model] = self._fits is None or self._fits(model)
        return bool(self._known[model])


_applied_lock = threading.RLock()
_in_force: list[Applied] = []
_bf16 = threading.local()  # .device: the type of device on which this thread computes in bfloat16 just now
_patched: list[tuple[Any, str, Any]] = []  # (class, name of a method, what the class itself had)


def _process_settings() -> dict[str, Any]:
    return {
        "threads": torch.get_num_threads(),
        "cudnn-benchmark": torch.backends.cudnn.benchmark,
        "tf32": torch.get_float32_matmul_precision(),
    }


def _set_process(settings: Mapping[str, Any]) -> None:
    """Set the settings of the whole process, such as the number of threads, if they have other values.

    It is called more than once: ultralytics sets the number of threads at the start of each training.
    """
    threads = settings.get("threads")
    if threads and torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    if "cudnn-benchmark" in settings and torch.backends.cudnn.benchmark != settings["cudnn-benchmark"]:
        torch.backends.cudnn.benchmark = settings["cudnn-benchmark"]
    wanted = settings.get("tf32")
    wanted = "high" if wanted is True else wanted
    if wanted and torch.get_float32_matmul_precision() != wanted:
        torch.set_float32_matmul_precision(wanted)


def _patch() -> None:
    if _patched:
        return
    base = importlib.import_module(TASKS).BaseModel
    _replace(base, "forward", _changed_forward(base.forward))
    for cls in vars(importlib.import_module(HEADS)).values():
        if isinstance(cls, type) and "_inference" in cls.__dict__:
            _replace(cls, "_inference", _in_float32(cls.__dict__["_inference"]))


def _replace(cls: Any, name: str, method: Any) -> None:
    _patched.append((cls, name, cls.__dict__.get(name, _missing)))
    setattr(cls, name, method)


def _unpatch() -> None:
    for cls, name, original in _patched:
        if original is _missing:
            delattr(cls, name)
        else:
            setattr(cls, name, original)
    del _patched[:]


def _changed_forward(original: Callable[..., Any]) -> Callable[..., Any]:
    def forward(self: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
        # A batch of training is a dict: the model calls itself again with its images.
        if not isinstance(x, torch.Tensor) or x.dim() != 4 or not _in_force or _is_exported():
            return original(self, x, *args, **kwargs)
        mine = _in_force[-1]
        if mine.device not in (None, x.device.type) or not mine.fits(self):
            return original(self, x, *args, **kwargs)
        settings = mine.settings[torch.is_grad_enabled() and self.training]
        if not _is_compiled():
            _set_process(settings)
        if settings.get("channels-last"):
            x = x.contiguous(memory_format=torch.channels_last)
        if not settings.get("bf16"):
            return original(self, x, *args, **kwargs)
        before = getattr(_bf16, "device", None)
        _bf16.device = x.device.type
        try:
            with torch.autocast(x.device.type, dtype=torch.bfloat16):
                return in_float32(original(self, x, *args, **kwargs))
        finally:
            _bf16.device = before

    return forward


def _in_float32(original: Callable[..., Any]) -> Callable[..., Any]:
    def _inference(self: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
        device = getattr(_bf16, "device", None)
        if device is None:
            return original(self, x, *args, **kwargs)
        with torch.autocast(device, enabled=False):
            return original(self, in_float32(x), *args, **kwargs)

    return _inference


def in_float32(values: Any) -> Any:
    """Return the values with every bfloat16 tensor as float32, inside of lists, tuples and dicts too."""
    if isinstance(values, torch.Tensor):
        return values.float() if values.dtype is torch.bfloat16 else values
    if isinstance(values, dict):
        return {name: in_float32(value) for name, value in values.items()}
    if isinstance(values, (list, tuple)):
        return type(values)(in_float32(value) for value in values)
    return values


def _is_compiled() -> bool:
    compiler = getattr(torch, "compiler", None)
    return bool(compiler is not None and getattr(compiler, "is_compiling", bool)())


def _is_exported() -> bool:
    """Return whether the model is being exported. An exported file gets the model without changes."""
    compiler = getattr(torch, "compiler", None)
    return bool(
        torch.jit.is_tracing()
        or torch.onnx.is_in_onnx_export()
        or (compiler is not None and getattr(compiler, "is_exporting", bool)())
    )


def structure_of(model: Any) -> str | None:
    """Return a name for the structure of an ultralytics model, 16 hexadecimal digits; None for an unknown kind of model.

    The name is computed from the layers in the model's own description, which a checkpoint contains too. Weights and the number
    of classes do not matter.
    """
    import hashlib

    told = getattr(model, "yaml", None)
    if not isinstance(told, dict):
        return None
    with contextlib.suppress(KeyError, TypeError):
        parts = (type(model).__name__, told["backbone"], told["head"], told.get("scale"))
        return hashlib.sha256(repr(parts).encode("utf-8", "backslashreplace")).hexdigest()[:16]
    return None
