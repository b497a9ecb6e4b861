"""Define the records of a study: the same training, with several attentions and several seeds. Times in seconds, memory in bytes, energy in joules."""

from __future__ import annotations

from typing import Literal

import msgspec

from attn_doctor.model.facts import Record

# "done": all epochs ran · "stopped": the budget or a signal ended it, and it can go on · "failed": its program ended with an error
CellState = Literal["waiting", "running", "done", "stopped", "failed"]


class Design(Record, frozen=True, kw_only=True):
    """Hold the request of the user, and all other values that are needed to repeat the study."""

    model: str  # "yolo12n.yaml"
    data: str  # the data set's YAML file
    arms: tuple[str, ...]  # attentions by name; the first is what the others are compared with
    seeds: tuple[int, ...]
    epochs: int
    imgsz: int  # pixels
    batch: int  # images
    device: str = "cpu"
    margin: float = 0.01  # of mAP50-95: a smaller difference counts as none; stated before the first training
    level: float = 0.05  # the largest probability of a false claim, in each family of tests
    threads: int | None = None  # of torch in each training; None: as `yolo train` sets them
    settings: dict[str, str | int | float | bool] = msgspec.field(
        default_factory=dict
    )  # ultralytics' own arguments: "nbs": 8
    command: tuple[str, ...] = ()
    versions: dict[str, str] = msgspec.field(default_factory=dict)  # "torch": "2.15.0+cu132"
    hashes: dict[str, str] = msgspec.field(default_factory=dict)  # SHA-256, by what: "data", "model", "train/images"


class Epoch(Record, frozen=True, kw_only=True):
    """Hold the results of one epoch. `number` begins at 1."""

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
    """Hold a study, complete or not: the design, and a cell for each arm (attention) and seed, in the order of the arms."""

    design: Design
    cells: tuple[Cell, ...]
    created: str = ""  # UTC, ISO 8601
    added: tuple[int, ...] = ()  # seeds that were asked for after trainings with the others had begun


class Event(Record, frozen=True, kw_only=True, omit_defaults=True):
    """Hold one line of a study's journal: an event of one cell (one training).

    Kinds: "design" is the first line; a later "design" adds seeds. "begin": a process starts to train the cell, after `kept` epochs of an earlier process.
    "proof": the kernels that ran in a step of the cell. "end": how the process ended; a process that was killed leaves no "end".
    """

    at: Literal["design", "begin", "proof", "epoch", "end"]
    when: str = ""  # UTC, ISO 8601
    design: Design | None = None
    arm: str = ""
    seed: int = 0
    kept: int = 0
    where: str = ""
    kernels: tuple[str, ...] = ()
    proven: bool | None = None
    layers: int | None = None
    epoch: Epoch | None = None
    state: CellState = "done"
    said: str = ""
    seconds: float | None = None
    sizes: dict[str, float] = msgspec.field(default_factory=dict)
    weights: str | None = None


# "equivalent": shown to differ by less than the margin · "identical": the same numbers with every seed · "constant": the same difference with
# every seed, so there is no spread to test against · "one seed", "no pair": nothing to compute a spread from · "nothing learned": all values are 0
Outcome = Literal[
    "equivalent", "higher", "lower", "identical", "constant", "cannot tell", "one seed", "no pair", "nothing learned"
]


class Unpaired(Record, frozen=True, kw_only=True):
    """Name a seed that a comparison leaves out, and the reason."""

    seed: int
    why: str


class Comparison(Record, frozen=True, kw_only=True):
    """Hold the comparison of one arm with the first arm (the base) by one metric. A pair is the two trainings of one seed.

    On the scale "difference" the estimate is the mean of arm − base; on the scale "ratio" it is the geometric mean of arm / base.
    """

    arm: str
    base: str
    metric: str  # a name of `study.metrics.METRICS`: "map50_95"
    scale: Literal["difference", "ratio"]
    outcome: Outcome
    seeds: tuple[int, ...] = ()  # that have a pair
    unpaired: tuple[Unpaired, ...] = ()
    base_mean: float | None = None  # over the pairs, in the unit of the metric
    arm_mean: float | None = None
    estimate: float | None = None
    low: float | None = None  # of the interval of the estimate, for this row alone
    high: float | None = None
    coverage: float = 0.95  # of that interval
    spread: float | None = None  # standard deviation over seeds: of the differences, or of the logarithms of the ratios
    margin: float | None = (
        None  # a smaller difference, or a ratio nearer to 1, counts as none; None: no margin was stated
    )
    p: float | None = None  # two-sided paired t-test, after Holm's correction
    p_equivalence: float | None = None  # two one-sided tests against the margin, after Holm's correction
    effect: float | None = None  # mean / spread of the differences, with Hedges' correction for few pairs
    seeds_needed: int | None = (
        None  # about so many would tell, if the spread is as observed; None: not computed, or above 10,000
    )
    seeds_between: tuple[int, int | None] | None = (
        None  # the same at the ends of the spread's own interval; None: above 10,000
    )
