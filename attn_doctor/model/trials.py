"""Define the records of a trial: the request and the results. Times are in milliseconds, memory in bytes.

Numerical errors are relative to the reference: 0.01 is 1 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Union

from attn_doctor.model.facts import Fault, FaultKind, Record

# "undecided": too few rounds · "dropped": it lost every round to another backend, so the other backends got its time
GainVerdict = Literal["faster", "slower", "no difference", "undecided", "dropped"]
Status = Literal["ok", "wrong", "other-kernel", "ruled-out", "failed", "timeout", "out-of-memory"]
Dtype = Literal["float32", "float16", "bfloat16"]  # below float32: under autocast
# How a cell ended that has no whole result: a fault of its process or of its call, or outputs that are not all finite.
Ending = Union[FaultKind, Literal["not-finite"]]  # noqa: UP007 - msgspec, Python 3.10
Scope = Literal["model", "attention"]  # "attention": the model's attention shapes alone, without ultralytics


class Shape(Record, frozen=True, kw_only=True):
    """Describe the input of one attention call: `tokens` tokens, in `heads` heads of `width` channels each."""

    batch: int
    heads: int
    tokens: int
    width: int

    def __str__(self) -> str:
        return f"{self.batch}x{self.heads}x{self.tokens}x{self.width}"


class TrialOptions(Record, frozen=True, kw_only=True):
    """Hold the user's request. Sizes in pixels, times in seconds."""

    model: str = "yolo12n.yaml"
    imgsz: int = 640
    batch: int = 2
    device: str = "auto"  # "auto" | "cpu" | "cuda" | "cuda:N" | "mps"
    backends: tuple[str, ...] = ()  # empty: all
    dtypes: tuple[Dtype, ...] = ()  # empty: float32, and on a GPU float16 and bfloat16 too
    shapes: tuple[Shape, ...] = ()  # not empty: only these attention calls, one by one, and no model
    rounds: int | None = None  # None: 9 on a CPU, 30 on a GPU
    seconds: float = (
        20.0  # for the measured steps of one dtype, and 0.4 of that for its forward passes; three rounds at least
    )
    reference: bool = True  # finite differences and the whole model in float64
    thorough: bool = False  # `trial`: slower parts too, FlexAttention's compilation and profiles on the CPU
    seed: int = 0


class Interval(Record, frozen=True, kw_only=True):
    """Hold the median of `n` samples and its confidence interval. With `coverage` 0.95, 95 of 100 such intervals contain the true median."""

    median: float
    low: float
    high: float
    n: int
    coverage: float = 0.95  # less below six samples: 0.75 for three


class Gain(Record, frozen=True, kw_only=True):
    """Hold the speed of a backend relative to eager in the same dtype: 1.2 is 20 % more images per second.

    Each sample is the quotient of two times of the same round.
    """

    ratio: float
    low: float
    high: float
    n: int
    p: float  # after Holm's correction over the backends of this dtype
    verdict: GainVerdict | None = None
    coverage: float = 0.95  # of the interval from `low` to `high`
    more_rounds: int | None = None  # about so many more rounds would decide an undecided comparison; None: not known


class AttentionCalls(Record, frozen=True, kw_only=True):
    """Count the attention calls of one forward and backward pass, by the operator that served them."""

    fused: int = 0
    math: int = 0
    eager: int = 0


class KernelShare(Record, frozen=True, kw_only=True):
    """Hold the share of one GPU kernel in the time of a training step, from torch.profiler. On a CPU: of one operator."""

    name: str
    share: float  # 0..1


class Trial(Record, frozen=True, kw_only=True):
    """Hold the results of one backend in one dtype: one row of the table."""

    backend: str
    status: Status
    dtype: Dtype
    reason: str | None = None  # why it is not ok, in the words of PyTorch or the package if they give a reason
    ended: Ending | None = None
    scope: Scope = "model"
    model: str | None = None
    device: str = "cpu"
    batch: int = 0
    imgsz: int | None = None
    tokens: int | None = None  # of the largest attention call: those of an area in YOLO12
    shape: str | None = None  # "8x8x256x64": batch x heads x tokens x width of a head, if shapes were asked for
    threads: int | None = None
    kernels: tuple[str, ...] = ()
    kernel_shares: tuple[KernelShare, ...] = ()  # of attention alone, the largest first
    attention_calls: AttentionCalls | None = None
    forward_ms: Interval | None = None
    step_ms: Interval | None = None  # forward, loss and backward
    peak_bytes: int | None = None
    output_error: float | None = None  # at the attention operator, against float64
    gradient_error: float | None = None
    deterministic: bool | None = None  # two passes with the same numbers gave the same bits, gradients included
    attention_share: float | None = None  # of the step's time, 0..1
    model_output_error: float | None = None  # of the whole model, against the same in float64
    model_gradient_error: float | None = None
    wrong_by: float | None = None  # for a row that is "wrong": the error of its numbers
    wrong_module: str | None = None  # the module of torch whose gradient is wrong with it, e.g. "BatchNorm2d"
    forward_gain: Gain | None = None
    step_gain: Gain | None = None
    forward_samples: tuple[float, ...] = ()  # milliseconds, one value for each round
    step_samples: tuple[float, ...] = ()


def refused(rows: Sequence[Trial]) -> Trial | None:
    """Return the row of eager if the GPU refused all work; else None.

    The GPU refused all work if eager failed and no other row ran.
    """
    if any(row.status in ("ok", "wrong", "other-kernel") or row.step_ms or row.forward_ms for row in rows):
        return None
    return next(
        (
            r
            for r in rows
            if r.backend == "eager" and r.status in ("failed", "timeout") and r.device.startswith("cuda") and r.reason
        ),
        None,
    )


class ReferenceCheck(Record, frozen=True, kw_only=True):
    """Hold the result of a check of the reference gradients: their difference from finite differences.

    Every backend is compared with these gradients.
    """

    ok: bool | None = None
    error: float | None = None
    module: str | None = None  # the first module whose input gradient is wrong, e.g. "BatchNorm2d"
    note: str | None = None


class Stages(Record, frozen=True, kw_only=True):
    """Hold the time of each stage of ultralytics' predictor for one image: the median of `n` calls, in milliseconds."""

    backend: str
    dtype: Dtype
    preprocess_ms: float
    model_ms: float
    postprocess_ms: float
    n: int


class OptimisedStep(Record, frozen=True, kw_only=True):
    """Hold the time of a training step without its optimiser (`step_ms`) and with it (`optimised_ms`), in milliseconds.

    Both were measured in the same rounds, one after the other.
    """

    backend: str
    dtype: Dtype
    optimiser: str
    step_ms: Interval
    optimised_ms: Interval


class MemoryParts(Record, frozen=True, kw_only=True):
    """Hold the bytes of the tensors that exist at the peak of a training step, by their use (weights, gradients, ...).

    Tensors that share a storage are counted once.
    """

    weights: int
    averaged: int  # the moving average of the weights (EMA), which ultralytics' trainer holds beside them
    buffers: int  # of the batch norms
    images: int  # the batch and its labels
    gradients: int
    optimiser: int
    activations: int  # kept for the backward pass; under autocast the 16-bit copies of the weights too
    others: int  # tensors that no part holds: results on their way from one operator to the next

    @property
    def total(self) -> int:
        """Return the sum of all parts, in bytes."""
        return sum(getattr(self, name) for name in self.__struct_fields__)


class MemorySplit(Record, frozen=True, kw_only=True):
    """Split the peak memory of one training step into parts, for one backend, dtype and optimiser. The step includes the optimiser."""

    backend: str
    dtype: Dtype
    optimiser: str  # the class: "AdamW"
    imgsz: int
    batch: int
    parameters: int  # numbers in the weights
    parts: MemoryParts
    peak_in: Literal["forward", "backward", "optimiser"]
    ends: dict[Literal["forward", "backward", "optimiser"], int]  # bytes that live at the end of each phase
    gradients_held: bool  # gradients of earlier batches are there from the start: ultralytics adds them up to 64 images
    measured: int | None = (
        None  # the same step as the allocator (GPU) or the resident memory (CPU) sees it; None: not known
    )
    reserved: int | None = None  # by PyTorch's allocator on a GPU, cached blocks included
    process: int | None = None  # all resident memory of the process on a CPU, with Python, torch and ultralytics

    @property
    def rest(self) -> int | None:
        """Return the measured bytes that belong to no tensor: workspace inside operators, and overhead of the allocator."""
        return None if self.measured is None else self.measured - self.parts.total


class Range(Record, frozen=True, kw_only=True):
    """Hold the lowest and the highest of several readings."""

    low: int
    high: int


class GpuWatch(Record, frozen=True, kw_only=True):
    """Describe the GPU during the measured rounds, from `n` readings of NVML.

    A field is None if this GPU does not report it.
    """

    joules_an_image: float | None = None  # in a training step, for all backends together, of the whole GPU
    watts: float | None = None  # mean of the measured steps, for all backends together, of the whole GPU
    sm_megahertz: Range | None = None
    celsius: Range | None = None
    slowed_by: tuple[str, ...] = ()  # e.g. "power cap", "thermal slowdown (hardware)"
    most_used_bytes: int | None = None  # by every program on it
    pcie_generation: int | None = None  # the largest that was seen: that of the link under load
    pcie_width: int | None = None
    n: int = 0


class TrialRun(Record, frozen=True, kw_only=True):
    """Describe the run of the trial as a whole: the check of the reference, the seconds, the GPU, and the errors that ended it."""

    imgsz: int | None = None
    reference: ReferenceCheck | None = None
    cpu: str | None = None  # model name, by py-cpuinfo
    gpu_name: str | None = None  # as PyTorch names the GPU that ran the trial; None: it ran elsewhere
    processor_load: float | None = (
        None  # share of all cores that was busy in the measured rounds, 0..1, by every program
    )
    torch: str | None = None
    fixed_seconds: float | None = None  # import, model, reference, proof
    measured_seconds: float | None = None
    stages: tuple[Stages, ...] = ()  # `attn-doctor trial` on a model alone
    optimised: tuple[OptimisedStep, ...] = ()  # the same
    gpu: GpuWatch | None = None
    fault: Fault | None = None  # why nothing could be run at all, for example a torch that cannot be imported
    model_fault: Fault | None = None  # why the model could not be built: the attention alone was tried then
    forward_fault: Fault | None = None  # why the model that was built does not run
    notes: tuple[str, ...] = ()


class Trials(Record, frozen=True, kw_only=True):
    """Hold the trials of one run, a row for each backend and input, or why there are none."""

    rows: tuple[Trial, ...] = ()
    run: TrialRun = TrialRun()
    skipped: str | None = None  # why there are no rows
    attempted: bool = False  # a process was started to try something, with or without success
