"""Plan a trial: model, device, backends and dtypes, from facts and options. Runs nothing.

A request that cannot be met (an unknown model, an image size that is not a multiple of the stride) is refused here, before
anything has been started. Only the existence of a model file is checked.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from attn_doctor.errors import Refused
from attn_doctor.model.facts import Facts, Record, Unknown
from attn_doctor.model.trials import Dtype, Scope, Shape, TrialOptions
from attn_doctor.trials.backends import ALL, BY_NAME, Case
from attn_doctor.trials.watch import gpu_to_watch

STRIDE = 32  # pixels in the image for one in the coarsest feature map, in every YOLO here
# The largest accepted values: far above those of real trainings, and small enough for a size in bytes.
MOST = {"batch": 4096, "rounds": 100_000, "imgsz": 8192, "heads": 4096, "tokens": 1_048_576, "width": 4096}
DTYPES: tuple[Dtype, ...] = ("float32", "float16", "bfloat16")
_ROUNDS_CPU, _ROUNDS_GPU = 9, 30
_FAMILIES = {"yolo12": "nsmlx", "yolov12": "nsmlx", "yolo11": "nsmlx", "yolo26": "nsmlx", "yolov10": "nsmblx"}
_NAME = re.compile(r"(yolov?\d+)([a-z]?)(?:\.ya?ml)?")


class BadRequest(Refused):
    """Report that no machine can run the requested trial. The text is one sentence, with a value that would work."""


class TrialCell(Record, frozen=True, kw_only=True):
    """Describe one backend in one dtype: it will be run, unless `ruled_out` has a reason against it."""

    backend: str  # "sdpa-flash"
    dtype: Dtype
    shape: Shape | None = None  # of the attention alone; None: the whole model
    ruled_out: str | None = None


class TrialPlan(Record, frozen=True, kw_only=True):
    """Hold what a trial runs, and in which order."""

    options: TrialOptions
    device: str = "cpu"  # "cpu", "cuda:0", "mps"
    cells: tuple[TrialCell, ...] = ()
    skipped: str | None = None  # the reason if nothing is run at all
    senseless: bool = False  # it is skipped because of an error that was found, and could be run in spite of it
    rounds: int = 9
    scope: Scope = "model"
    note: str | None = None  # a sentence about the plan, for the report
    gpu: str | None = None  # UUID of the GPU to watch by NVML


def plan(facts: Facts, options: TrialOptions, *, forced: bool = False) -> TrialPlan:
    """Return the plan of a trial. If torch is missing or did not import, only `skipped` of the plan is filled, with the reason.

    `forced`: plan the trial even then. Raises BadRequest if no machine can meet the request, or if the target lacks the device.
    """
    check(options)
    skipped = None if forced else _no_torch(facts)
    if skipped:
        return TrialPlan(options=options, skipped=skipped)
    device = choose_device(facts, options.device)
    scope, note = ("attention", None) if options.shapes else _scope(facts)
    dtypes = options.dtypes or (DTYPES if device.startswith("cuda") else DTYPES[:1])
    names = options.backends or tuple(backend.name for backend in ALL)
    # Every backend is compared with eager in the same dtype.
    names = ("eager", *(name for name in names if name != "eager"))
    cells = tuple(
        TrialCell(
            backend=name,
            dtype=dtype,
            shape=shape,
            ruled_out=BY_NAME[name].requirement(
                Case(facts, device, dtype, name in options.backends, thorough=options.thorough)
            ),
        )
        for shape in options.shapes or (None,)
        for dtype in dtypes
        for name in names
    )
    rounds = options.rounds or (_ROUNDS_CPU if device == "cpu" else _ROUNDS_GPU)
    gpu = gpu_to_watch(facts) if device.startswith("cuda") else None
    return TrialPlan(options=options, device=device, cells=cells, rounds=rounds, scope=scope, note=note, gpu=gpu)


def check(options: TrialOptions) -> None:
    """Raise BadRequest if no machine can meet the request. Example: an image size that is not a multiple of 32."""
    check_model(options.model)
    _check_most("imgsz", options.imgsz)
    if options.imgsz <= 0 or options.imgsz % STRIDE:
        below = max(options.imgsz // STRIDE, 1) * STRIDE
        fits = f"{below}" if options.imgsz <= below else f"{below} or {below + STRIDE}"
        raise BadRequest(f"image size {options.imgsz} is not a multiple of {STRIDE}: use {fits}")
    for name in ("batch", "rounds"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise BadRequest(f"{name} {value} is too small: the least is 1")
    _check_most("batch", options.batch)
    _check_most("rounds", options.rounds or 1)
    for shape in options.shapes:
        if min(shape.batch, shape.heads, shape.tokens, shape.width) < 1:
            raise BadRequest(
                f"there is no attention of shape {shape}: batch, heads, tokens and width must be at least 1"
            )
        for name in ("batch", "heads", "tokens", "width"):
            _check_most(name, getattr(shape, name))
    for name in options.backends:
        if name not in BY_NAME:
            near = difflib.get_close_matches(name.lower(), BY_NAME, 1)
            what = f"did you mean {near[0]}?" if near else f"use {', '.join(BY_NAME)}"
            raise BadRequest(f"there is no backend {name!r}: {what}")
    for name in options.dtypes:
        if name not in DTYPES:
            raise BadRequest(f"there is no dtype {name!r} for a trial: use {', '.join(DTYPES)}")
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", options.device):
        raise BadRequest(f"there is no device {options.device!r}: use auto, cpu, cuda:0 (or another number) or mps")


def _check_most(name: str, value: int) -> None:
    if value > MOST[name]:
        called = {"imgsz": "image size", "tokens": "sequence length", "width": "head width"}.get(name, name)
        raise BadRequest(f"{called} {value} is too large: the most is {MOST[name]}")


def is_model_name(model: str) -> bool:
    """Return whether this is a name, "yolo12n" or "yolo12n.yaml", of a model that a trial can make without a file.

    These are YOLO12, YOLO11, YOLO26 and YOLOv10. Anything else must be the path of a file, which can contain code.
    """
    match = _NAME.fullmatch(model)
    return bool(match and match[1] in _FAMILIES and match[2] in _FAMILIES[match[1]])


def check_model(model: str) -> None:
    """Raise BadRequest unless `model` is a model name of ultralytics or an existing YAML or weights file."""
    path = Path(model)
    if path.is_file() and path.suffix in (".yaml", ".yml", ".pt"):
        return
    if is_model_name(model):
        return
    if path.is_file():
        raise BadRequest(f"{model} is not a model file: give a .yaml or .pt file")
    if path.suffix == ".pt" or path.parent != Path():
        raise BadRequest(
            f"there is no model file {model}, and attn-doctor downloads none: give an existing file, or yolo12n.yaml"
        )
    raise BadRequest(
        f"there is no model {model!r} with attention in it: use yolo12n.yaml (or s, m, l, x), yolo11n.yaml, yolo26n.yaml,"
        " or the path of a YAML or weights file"
    )


def model_file(model: str) -> str:
    """Return the model in a form that is valid in any folder: a file by its absolute path.

    A model name of ultralytics stays a name, even if the current folder has a file of that name. A YAML file can contain code
    (`activation:`), so a file of the current folder is run only if the user gives its path: "./yolo12n.yaml".
    """
    if is_model_name(model) or not Path(model).is_file():
        return model
    return str(Path(model).absolute())


def choose_device(facts: Facts, wanted: str) -> str:
    """Return the device to run on, as torch names it: "cpu", "cuda:0", "mps". `wanted`: such a name, or "auto".

    Raises BadRequest for a device that the target is known not to have.
    """
    torch = facts.torch
    if wanted == "auto":
        if torch.available is True:
            return "cuda:0"
        return "mps" if torch.mps is True else "cpu"
    if wanted.startswith("cuda"):
        index = int(wanted.partition(":")[2] or 0)
        if torch.available is False:
            why = torch.cuda_error if isinstance(torch.cuda_error, str) else "torch.cuda.is_available() is False"
            raise BadRequest(f"the target's torch sees no CUDA device ({why.strip()}): use --device cpu")
        if not isinstance(torch.devices, Unknown) and index >= len(torch.devices):
            there = ", ".join(f"cuda:{device.index}" for device in torch.devices)
            raise BadRequest(f"there is no device {wanted}: the target's torch sees {there or 'none'}")
        return f"cuda:{index}"
    if wanted == "mps" and torch.mps is False:
        raise BadRequest("the target's torch sees no Apple GPU: use --device cpu")
    return wanted


def _no_torch(facts: Facts) -> str | None:
    torch = facts.torch
    if torch.version is None:
        return "there is no torch in the target"
    if torch.importable is False:
        fault = torch.fault
        how = (fault.type or fault.signal or fault.kind) if fault else "no reason given"
        return f"importing torch fails in the target environment ({how})"
    return None


def _scope(facts: Facts) -> tuple[Scope, str | None]:
    if facts.yolo.version is None:
        return "attention", "there is no ultralytics in the target: YOLO12's attention shapes alone were tried"
    return "model", None
