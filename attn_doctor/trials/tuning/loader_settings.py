"""Choose batch=, workers=, cache= and amp= of `yolo train` for this machine, from the measured needs of a few training steps.

`measure` runs these steps; the rest is pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from attn_doctor import child
from attn_doctor.model.facts import Facts, Fault, Number, Record
from attn_doctor.trials.plan import model_file
from attn_doctor.trials.process import run_separately
from attn_doctor.trials.scaling import line

Say = Callable[[str], None]

SHARE_OF_MEMORY = 0.8  # the rest is for the system, the data loader and later growth
DEFAULT_BATCH = 16  # ultralytics' default, for which its learning rates were chosen
NOMINAL_BATCH = 64  # above it ultralytics scales the weight decay, and no longer accumulates gradients
PREFETCHED = 4  # batches that a loader process keeps ready in shared memory
_WORKERS = 8  # the default of ultralytics; attn-doctor never advises more
_CPU_BATCHES = (1, 2, 4)
_GPU_BATCHES = (1, 2, 4, 8, 16, 32, 64)


class Point(Record, frozen=True, kw_only=True):
    """Hold the memory and time of one training step with its optimiser."""

    backend: str
    batch: int
    bytes: int | None  # on a GPU all memory that PyTorch reserved; on the CPU the growth of the process
    ms: float


class MemoryGrowth(Record, frozen=True, kw_only=True):
    """Describe the memory of a step as a linear function of the batch, and the largest batch that fits."""

    backend: str
    fixed_bytes: int  # at batch 0
    bytes_an_image: int
    largest_batch: int | None  # None: not known


class Measured(Record, frozen=True, kw_only=True):
    """Hold the memory and time of training steps at growing batches, as they were measured in the target."""

    device: str
    imgsz: int
    points: tuple[Point, ...] = ()
    memory_bytes: int | None = None  # free memory of the GPU; None on a CPU: the facts of the machine have its memory
    shared_bytes: int | None = None  # free in /dev/shm; None: it does not exist
    stopped: str | None = None  # why no larger batch was tried


class Setting(Record, frozen=True, kw_only=True):
    """Describe one argument of `yolo train`: "batch", "16", and the reason."""

    name: str
    value: str
    why: str


class LoaderSettings(Record, frozen=True, kw_only=True):
    """Hold the advised settings of a training with one backend, and the measurements behind them."""

    backend: str
    measured: Measured
    growth: tuple[MemoryGrowth, ...] = ()
    settings: tuple[Setting, ...] = ()
    verified: bool = False  # the batch itself was run, not only computed


def measure(
    python: Sequence[str],
    *,
    model: str,
    imgsz: int,
    device: str,
    dtype: str,
    backends: Sequence[str],
    room: int | None,
    seconds: float,
    timeout: float,
    say: Say,
    environ: Mapping[str, str] | None = None,
) -> Measured | Fault:
    """Run training steps at growing batches in the target, as long as they fit into memory and `seconds` are left.

    They may need 80 % of `room` bytes (None: not known), on a GPU 80 % of its free memory. The first of `backends` is measured at two
    batches even if no time is left. `timeout`: the seconds without a record after which the process is ended. Returns a Fault if no
    step was measured. Raises OSError if the target cannot be started.
    """
    batches = _GPU_BATCHES if device.startswith("cuda") else _CPU_BATCHES
    config = {
        "model": model_file(model),
        "imgsz": imgsz,
        "device": device,
        "dtype": dtype,
        "backends": list(backends),
        "batches": list(batches),
        "room": room,
        "seconds": seconds,
        "share": SHARE_OF_MEMORY,
        "seed": 0,
    }

    def tell(message: child.Message) -> None:
        if message.at == "begin" and message.section.startswith("batch"):
            say(f"measuring memory: {message.section}")

    outcome = run_separately(
        python, "target/training_memory.py", config, timeout=timeout, on_message=tell, environ=environ
    )
    points = tuple(Point(**fact) for fact in outcome.facts("point"))
    raised = next((Fault(**m.data) for m in outcome.messages if m.at == "raised"), None)
    if not points:
        return outcome.fault or raised or Fault(kind="vanished")
    about = (outcome.facts("about") or [{}])[0]
    stopped = (outcome.facts("stopped") or [None])[0] or (outcome.fault and "the process ended")
    return Measured(device=device, imgsz=imgsz, points=points, stopped=stopped or None, **about)


def room_on_cpu(facts: Facts) -> int | None:
    """Return the bytes of memory that a program can still use on this machine; None if unknown."""
    system = facts.system
    known = [n for n in (system.available_bytes, system.cgroup_memory_bytes) if isinstance(n, int)]
    return min(known, default=None)


def settings_for(
    facts: Facts, measured: Measured, *, backend: str, amp: bool, images: int | None = None
) -> LoaderSettings:
    """Return batch=, workers=, cache= and amp= of `yolo train`, each with its reason.

    `images`: the number of images in the training set; None: not known. `amp`: 16 bits were measured to be faster.
    """
    on_gpu = measured.device.startswith("cuda")
    room = measured.memory_bytes if on_gpu else room_on_cpu(facts)
    usable = None if room is None else SHARE_OF_MEMORY * room
    found = tuple(
        fit for name in dict.fromkeys(p.backend for p in measured.points) if (fit := _growth(name, measured, usable))
    )
    mine = next((fit for fit in found if fit.backend == backend), None)
    batch, why = _batch(measured, mine, backend, on_gpu)
    workers, workers_why = _workers(facts, measured, batch, on_gpu)
    left = None if usable is None or mine is None else usable - mine.fixed_bytes - batch * mine.bytes_an_image
    cache, cache_why = _cache(room_on_cpu(facts) if on_gpu else left, measured.imgsz, images)
    mixed = on_gpu and amp
    amp_why = (
        ("a step in 16 bits was faster here" if mixed else "a step in 16 bits was not faster here")
        if on_gpu
        else "on this device ultralytics always trains in float32"
    )
    ran = tuple(p.batch for p in measured.points if p.backend == backend)
    return LoaderSettings(
        backend=backend,
        measured=measured,
        growth=found,
        settings=(
            Setting(name="batch", value=str(batch), why=why),
            Setting(name="workers", value=str(workers), why=workers_why),
            Setting(name="cache", value=cache, why=cache_why),
            Setting(name="amp", value=str(mixed), why=amp_why),
        ),
        verified=batch in ran,
    )


def _growth(backend: str, measured: Measured, usable: float | None) -> MemoryGrowth | None:
    points = [(float(p.batch), float(p.bytes)) for p in measured.points if p.backend == backend and p.bytes]
    if len(points) < 2:
        return None
    slope, fixed = (round(number) for number in line(points))  # whole bytes
    largest = int((usable - fixed) // slope) if usable is not None and slope > 0 else None
    return MemoryGrowth(backend=backend, fixed_bytes=fixed, bytes_an_image=slope, largest_batch=largest)


def _batch(measured: Measured, fit: MemoryGrowth | None, backend: str, on_gpu: bool) -> tuple[int, str]:
    most = NOMINAL_BATCH if on_gpu else DEFAULT_BATCH
    quickest = min((p for p in measured.points if p.backend == backend), key=lambda p: p.ms / p.batch, default=None)
    pace = (
        f"; the fastest was {quickest.ms / quickest.batch:.0f} ms for an image, at batch {quickest.batch}"
        if quickest
        else ""
    )
    limit = "above it ultralytics changes the optimiser's settings" if on_gpu else "ultralytics' default"
    if fit is None or fit.largest_batch is None:
        ran = max((p.batch for p in measured.points if p.backend == backend), default=2)
        return min(ran, most), f"the largest batch that was run: memory could not be measured here{pace}"
    if fit.largest_batch >= most:
        return most, f"{limit}; memory has room for {fit.largest_batch} images of {_mib(fit.bytes_an_image)} each{pace}"
    fits = 1
    while 2 * fits <= fit.largest_batch:
        fits *= 2
    return fits, f"memory has room for {max(fit.largest_batch, 0)} images of {_mib(fit.bytes_an_image)} each{pace}"


def _workers(facts: Facts, measured: Measured, batch: int, on_gpu: bool) -> tuple[int, str]:
    cores = usable_cores(facts)
    # On a CPU training uses every core; on a GPU one core is left to it.
    count = min(_WORKERS, max(1, (cores - 1) if on_gpu else cores // 4)) if cores else 1
    why = f"{cores or 'an unknown number of'} cores are available" + (
        "" if on_gpu else ", and training itself uses them"
    )
    need = count * PREFETCHED * batch * 3 * measured.imgsz**2
    if measured.shared_bytes is not None and need > measured.shared_bytes:
        return 0, (
            f"shared memory has {_mib(measured.shared_bytes)} free and {count} loading processes may need {_mib(need)}:"
            " docker run --shm-size gives more"
        )
    return count, why


def usable_cores(facts: Facts) -> int | None:
    """Return the number of cores that the affinity mask and the control group allow; None if unknown."""
    system = facts.system
    quota = system.cgroup_cpus
    limits: list[Number | None] = [
        system.cores,
        system.cores_allowed,
        max(1, int(quota)) if isinstance(quota, (int, float)) else None,
    ]
    return min((n for n in limits if isinstance(n, int)), default=None)


def _cache(left: float | None, imgsz: int, images: int | None) -> tuple[str, str]:
    each = 3 * imgsz**2
    if left is None:
        return "False", "the free memory is unknown"
    holds = max(0, int(left / 2 // each))  # half: the rest is for other programs and for mosaics
    if images is None:
        return "False", f"memory has room for cache=ram up to {holds:,} images: give their number with --images N"
    if images <= holds:
        return "ram", f"{images:,} images of {_mib(each)} fit into half of the free memory"
    return "False", f"{images:,} images of {_mib(each)} do not fit into half of the free memory"


def _mib(count: float) -> str:
    return (
        f"{count / 2**30:.1f} GiB"
        if count >= 2**30
        else f"{count / 2**20:.0f} MiB"
        if count >= 2**21
        else f"{count / 2**20:.1f} MiB"
    )


def arguments(settings: LoaderSettings) -> list[str]:
    """Return these settings as arguments of `yolo train`: ["batch=16", "workers=7", "cache=ram", "amp=True"]."""
    return [f"{setting.name}={setting.value}" for setting in settings.settings]
