"""Run the longer trials of the command `trial`: several image sizes, the growth between them, and settings for training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product

import msgspec

from attn_doctor.model.facts import Facts, Fault, Record
from attn_doctor.model.trials import Dtype, MemorySplit, Shape, Trial, TrialOptions, TrialRun
from attn_doctor.prescription.changes.table import PREDICTING, TRAINING
from attn_doctor.trials import memory_split, mlx_attention, pipeline_stages
from attn_doctor.trials.backends import BY_NAME
from attn_doctor.trials.best import Why, best, training_dtype
from attn_doctor.trials.plan import BadRequest, TrialPlan, check, choose_device, plan
from attn_doctor.trials.run import run
from attn_doctor.trials.scaling import Ceiling, CostGrowth, ceilings, growth
from attn_doctor.trials.tuning import loader_settings
from attn_doctor.trials.tuning import runtimes as runtimes_of_torch
from attn_doctor.trials.tuning.advice import Tuning, changes
from attn_doctor.trials.tuning.bench import Ended
from attn_doctor.trials.tuning.rows import NotTried, Pass, RuntimeRow
from attn_doctor.trials.tuning.tuned import Wanted, tuned

Say = Callable[[str], None]

ROUNDS_CPU, ROUNDS_GPU = 15, 50
SHARE_FOR_MEMORY = (
    0.4  # measuring the memory of training steps takes this share of the seconds of the search, besides them
)
SECONDS = 60.0  # the rounds of one dtype get so many seconds if --rounds is not given
_FOREVER = 24 * 3600.0


class StudyRequest(Record, frozen=True, kw_only=True):
    """Hold what a user asks of the command `trial`. The image sizes are in `sizes`; `trial.imgsz` is not read."""

    trial: TrialOptions = TrialOptions()
    sizes: tuple[int, ...] = (640,)
    tune: bool = False
    memory: bool = False  # split the peak memory of a training step into its parts
    images: int | None = None  # in the training set, for cache=
    allowed: str = "rounding"  # the changes of numbers that may be prescribed, see prescription/changes/table.py
    asked: tuple[str, ...] = ()  # slow changes (minutes) that are measured because the user named them
    seconds: float = 60.0  # for the search beyond attention
    runtimes: bool = False  # export and measure, even if torch is the only installed runtime
    root: str = "/"  # the root folder in which allocators are searched for


class Study(Record, frozen=True, kw_only=True):
    """Hold the results of the command `trial`. A part that was not asked for is None or empty."""

    trials: tuple[Trial, ...] = ()
    runs: tuple[TrialRun, ...] = ()  # one for each image size
    trials_skipped: str | None = None
    ceilings: tuple[Ceiling, ...] = ()
    growth: tuple[CostGrowth, ...] = ()
    best: str | None = None  # the backend to use at the last image size; None: no backend can be named
    best_why: Why = "none right"
    amp: bool = False  # 16 bits were faster
    memory: tuple[MemorySplit, ...] = ()  # with --memory: for each size, backend, dtype and optimiser
    memory_notes: tuple[str, ...] = ()
    loader: loader_settings.LoaderSettings | None = None
    loader_skipped: str | None = None
    tuning: Tuning | None = None
    mlx: mlx_attention.MlxTimes | None = None  # with --attention-only, if the target has mlx


def grid(
    batches: Sequence[int], heads: Sequence[int], lengths: Sequence[int], widths: Sequence[int]
) -> tuple[Shape, ...]:
    """Return every combination of the four lists as a Shape. The last list changes fastest."""
    return tuple(Shape(batch=b, heads=h, tokens=n, width=d) for b, h, n, d in product(batches, heads, lengths, widths))


def check_request(request: StudyRequest) -> None:
    """Raise BadRequest if no machine can meet the request. Called before anything is examined."""
    for size in request.sizes:
        check(msgspec.structs.replace(request.trial, imgsz=size))
    for asked, option in ((request.tune, "--tune"), (request.memory, "--memory")):
        if asked and request.trial.shapes:
            raise BadRequest(f"{option} needs a whole model: leave --attention-only out")


def study(
    facts: Facts,
    python: Sequence[str],
    request: StudyRequest,
    *,
    timeout: float,
    say: Say,
    environ: Mapping[str, str] | None = None,
) -> Study:
    """Run the requested study in the interpreter `python`.

    `timeout`: the seconds without a record after which a process of the trial is ended. `say` gets a sentence at each step.
    `environ`: the variables of the trial's processes, by default the doctor's own. Raises BadRequest if the request cannot be met
    here, OSError if the interpreter cannot be started.
    """
    check_request(request)
    rows: list[Trial] = []
    runs: list[TrialRun] = []
    splits: list[MemorySplit] = []
    memory_notes: list[str] = []
    skipped = None
    for size in request.sizes if not request.trial.shapes else request.sizes[:1]:
        options = msgspec.structs.replace(request.trial, imgsz=size, thorough=True)
        planned = _plan(facts, options, brief=request.tune)
        if len(request.sizes) > 1:
            say(f"image size {size}")
        trials = run(planned, python, timeout=timeout, on_progress=say, environ=environ)
        rows += trials.rows
        if request.memory and not trials.skipped:
            split = memory_split.measure(python, trials.rows, options, timeout=timeout, say=say, environ=environ)
            splits += split.splits
            memory_notes += split.notes
        if request.tune and not request.trial.rounds:  # the time is kept for the search
            runs.append(trials.run)
            skipped = skipped or trials.skipped
            continue
        found_around = pipeline_stages.measure(python, trials.rows, options, timeout=timeout, say=say, environ=environ)
        runs.append(
            msgspec.structs.replace(
                trials.run,
                stages=found_around.stages,
                optimised=found_around.optimised,
                notes=(*trials.run.notes, *found_around.notes),
            )
        )
        skipped = skipped or trials.skipped
    last = _last(rows)
    named = best(last, training_dtype(last))
    found = Study(
        trials=tuple(rows),
        runs=tuple(runs),
        trials_skipped=skipped,
        ceilings=ceilings(rows),
        growth=growth(rows),
        best=named.row.backend if named.row else None,
        best_why=named.why,
        amp=_is_quicker_in_16_bits(last),
        memory=tuple(splits),
        memory_notes=tuple(dict.fromkeys(memory_notes)),
    )
    if request.trial.shapes and not request.trial.backends and mlx_attention.installed(facts):
        times = mlx_attention.measure(python, request.trial.shapes, timeout=timeout, say=say, environ=environ)
        found = msgspec.structs.replace(found, mlx=times)
    if not request.tune or skipped:
        return found
    found = _with_loader(found, facts, python, request, timeout=timeout, say=say, environ=environ)
    return _with_tuning(found, facts, python, request, timeout=timeout, say=say, environ=environ)


def _plan(facts: Facts, options: TrialOptions, *, brief: bool = False) -> TrialPlan:
    if options.rounds:
        return plan(facts, msgspec.structs.replace(options, seconds=_FOREVER))
    if brief:
        return plan(facts, options)
    planned = plan(facts, msgspec.structs.replace(options, seconds=SECONDS))
    return msgspec.structs.replace(planned, rounds=ROUNDS_CPU if planned.device == "cpu" else ROUNDS_GPU)


def _last(rows: Sequence[Trial]) -> list[Trial]:
    """Return the rows of the model at the last size."""
    model = [r for r in rows if r.scope == "model" and r.shape is None]
    return [r for r in model if r.imgsz == model[-1].imgsz]


def _is_quicker_in_16_bits(last: Sequence[Trial]) -> bool:
    named = [row for dtype in dict.fromkeys(r.dtype for r in last) if (row := best(last, dtype).row) and row.step_ms]
    quickest = min(named, key=lambda r: r.step_ms.median if r.step_ms else 0.0, default=None)
    return quickest is not None and quickest.dtype != "float32"


def _with_loader(
    found: Study,
    facts: Facts,
    python: Sequence[str],
    request: StudyRequest,
    *,
    timeout: float,
    say: Say,
    environ: Mapping[str, str] | None,
) -> Study:
    if any(row.scope == "attention" for row in found.trials):
        return msgspec.structs.replace(found, loader_skipped="there is no model to train in the target")
    device = choose_device(facts, request.trial.device)
    if device == "mps":
        return msgspec.structs.replace(
            found, loader_skipped="on an Apple GPU, the memory that a step needs cannot be measured"
        )
    dtype: Dtype = "float16" if found.amp and device.startswith("cuda") else "float32"
    named = best(_last(found.trials), dtype)
    if named.row is None:
        return msgspec.structs.replace(
            found, loader_skipped=f"no backend can be used for training in {dtype} ({named.why})"
        )
    chosen = named.row.backend
    measured = loader_settings.measure(
        python,
        model=request.trial.model,
        imgsz=request.sizes[-1],
        device=device,
        dtype=dtype,
        backends=tuple(dict.fromkeys((chosen, "eager"))),
        room=loader_settings.room_on_cpu(facts),
        seconds=request.seconds * SHARE_FOR_MEMORY,
        timeout=timeout,
        say=say,
        environ=environ,
    )
    if isinstance(measured, Fault):
        said = (measured.message or measured.signal or measured.kind).strip().partition("\n")[0]
        return msgspec.structs.replace(found, loader_skipped=f"no training step could be measured: {said}")
    loader = loader_settings.settings_for(facts, measured, backend=chosen, amp=found.amp, images=request.images)
    return msgspec.structs.replace(found, loader=loader)


def _with_tuning(
    found: Study,
    facts: Facts,
    python: Sequence[str],
    request: StudyRequest,
    *,
    timeout: float,
    say: Say,
    environ: Mapping[str, str] | None,
) -> Study:
    """Return the study with the search beyond attention: for training at the requested batch, and for predicting one image at a time."""
    if any(row.scope == "attention" for row in found.trials):
        return found
    device = choose_device(facts, request.trial.device)
    check = next((run.reference for run in reversed(found.runs) if run.reference), None)
    wrong = (check.module,) if check and check.ok is False and check.module else ()
    passes: dict[str, Pass] = {}
    failed: list[NotTried] = []
    about: dict[str, object] = {}
    for what, batch in ((TRAINING, request.trial.batch), (PREDICTING, 1)):
        wanted = Wanted(
            what=what,
            model=request.trial.model,
            device=device,
            imgsz=request.sizes[-1],
            batch=batch,
            attention=_promising(_last(found.trials), what),
            level=request.allowed,
            asked=request.asked,
            contiguous=wrong,
            peak_bytes=max((row.peak_bytes or 0 for row in _last(found.trials)), default=0) or None,
            seconds=request.seconds,
        )
        try:
            passes[what], about = tuned(
                facts, python, wanted, timeout=timeout, say=say, environ=environ, root=request.root
            )
        except Ended as error:
            failed.append(NotTried(change=what, why=str(error)))
    runtimes: tuple[RuntimeRow, ...] = ()
    if PREDICTING in passes:
        there = about.get("modules")
        modules = [str(name) for name in there] if isinstance(there, list) else []
        runtimes = runtimes_of_torch.absent_rows(device, modules)
        if request.runtimes or runtimes_of_torch.installed(device, modules):
            try:
                runtimes = runtimes_of_torch.measure(
                    python,
                    model=request.trial.model,
                    device=device,
                    imgsz=request.sizes[-1],
                    level=request.allowed,
                    changes=changes(passes[PREDICTING]),
                    timeout=timeout,
                    say=say,
                    environ=environ,
                )
            except Ended as error:
                failed.append(NotTried(change="runtimes", why=str(error)))
    made = Tuning(
        runtimes=runtimes,
        training=passes.get(TRAINING),
        predicting=passes.get(PREDICTING),
        failed=tuple(failed),
        about=about,
        allowed=request.allowed,
    )
    return msgspec.structs.replace(found, tuning=made)


def _promising(last: Sequence[Trial], what: str) -> str | None:
    """Return the backend with which the search begins: the fastest one whose numbers are right; None if there is none."""
    gains = {
        row.backend: gain.ratio
        for row in last
        if row.status == "ok" and BY_NAME[row.backend].exchanged
        if (gain := row.step_gain if what == TRAINING else row.forward_gain) is not None
    }
    return max(gains, key=lambda name: gains[name], default=None)
