"""Define the records of a study: the same training, with several attentions and several seeds. Times in seconds, memory in bytes, energy in joules."""

from __future__ import annotations

from typing import Literal

import msgspec

from attn_doctor.model.facts import Record

# "done": all epochs ran · "stopped": the budget or a signal ended it, and it can go on · "failed": its program ended with an error
CellState = Literal["waiting", "running", "done", "stopped", "failed"]


class Design(Record, frozen=True, kw_only=True):
    """Hold what the user asked for, and everything that is needed to repeat it."""

    model: str  # "yolo12n.yaml"
    data: str  # the data set's YAML file
    arms: tuple[str, ...]  # attentions by name; the first is what the others are compared with
    seeds: tuple[int, ...]
    epochs: int
    imgsz: int  # pixels
    batch: int  # images
    device: str = "cpu"
    margin: float = 0.01  # of mAP50-95: a smaller difference counts as none; stated before the first training
    level: float = 0.05
    threads: int | None = None  # of torch in each training; None: as `yolo train` sets them
    command: tuple[str, ...] = ()
    versions: dict[str, str] = msgspec.field(default_factory=dict)  # "torch": "2.15.0+cu132"
    hashes: dict[str, str] = msgspec.field(default_factory=dict)  # SHA-256, by what: "data", "model", "train/images"


class Epoch(Record, frozen=True, kw_only=True):
    """Hold what one epoch brought. `number` begins at 1."""

    number: int
    seconds: float  # of training, without validation
    validation_seconds: float | None = None
    images_per_second: float | None = None  # of training
    losses: dict[str, float] = msgspec.field(default_factory=dict)  # by ultralytics' own column: "train/box_loss"
    precision: float | None = None
    recall: float | None = None
    map50: float | None = None
    map50_95: float | None = None
    peak_memory: int | None = None  # of torch's allocator on a GPU, of the process on a CPU
    joules: float | None = None  # of the GPU, by NVML; None: nothing tells it
    learning_rates: dict[str, float] = msgspec.field(default_factory=dict)  # "lr/pg0"


class Cell(Record, frozen=True, kw_only=True):
    """Hold one training: an attention with a seed."""

    arm: str
    seed: int
    state: CellState
    epochs: tuple[Epoch, ...] = ()
    kernels: tuple[str, ...] = ()  # as the profiler named them in this very training
    proven: bool | None = None  # the attention's own kernels ran, and no other; None: not seen yet
    layers: int | None = None  # attention layers that were exchanged
    sizes: dict[str, float] = msgspec.field(
        default_factory=dict
    )  # mAP50-95 of the last weights by size: "small", "medium", "large"
    said: str = ""  # how it failed, or why it stopped, in one sentence
    seconds: float | None = None  # of the whole process, with loading
    where: str = ""  # the machine of a cluster that trained it
    weights: str | None = None  # SHA-256 of the last weights


class Study(Record, frozen=True, kw_only=True):
    """Hold a study as far as it ran: the design, and a cell for each arm and seed, in the order of both."""

    design: Design
    cells: tuple[Cell, ...]
    created: str = ""  # UTC, ISO 8601
