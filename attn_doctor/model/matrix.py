"""Define the records of `attn-doctor matrix`: the saved reports of several machines, side by side.

Times are in milliseconds, memory in bytes.
"""

from __future__ import annotations

from attn_doctor.model.facts import Record
from attn_doctor.model.trials import Dtype, Gain, Range, Status


class Measured(Record, frozen=True, kw_only=True):
    """Hold the results of one backend in one report. None: the report does not contain this result."""

    report: str  # the name of its file
    machine: str  # the GPU or the processor that ran it
    torch: str | None
    subject: str  # the model, or the heads of an attention that was tried alone
    backend: str
    dtype: Dtype
    status: Status
    batch: int
    imgsz: int | None = None
    tokens: int | None = None
    threads: int | None = None
    predicted_a_second: float | None = None  # images through ultralytics' whole predictor
    preprocess_ms: float | None = None  # of an image, in that predictor
    inference_ms: float | None = None
    postprocess_ms: float | None = None
    forward_a_second: float | None = None  # images through the model alone
    trained_a_second: float | None = None  # images in training steps without the optimiser
    forward_ms: float | None = None  # medians of the trial: of a batch, or of one attention call
    step_ms: float | None = None
    memory: int | None = None  # of a training step at its peak
    watts: float | None = None  # of the whole GPU, for all backends of the run together
    celsius: Range | None = None  # the same
    processor_load: float | None = None  # of all cores, by every program


class Choice(Record, frozen=True, kw_only=True):
    """Hold one cell of the decision matrix: the recommended attention, or why none is recommended."""

    machine: str
    torch: str | None
    threads: int | None
    subject: str
    tokens: int | None
    batch: int
    dtype: Dtype
    backend: str | None  # None: undecided
    gain: Gain | None = None  # of its training step over eager's
    why: str  # for an undecided cell what is missing
    reports: tuple[str, ...]


class Matrix(Record, frozen=True, kw_only=True):
    """Hold the measurements of all reports, and the choices that follow from them."""

    measured: tuple[Measured, ...] = ()
    choices: tuple[Choice, ...] = ()
    without: tuple[str, ...] = ()  # a line for each report that has no measurement
