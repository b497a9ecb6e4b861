"""Recommend an attention backend for this machine, and say whether flash-attn is worth installing. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from attn_doctor import commands
from attn_doctor.failure_modes import UnknownName, find
from attn_doctor.failure_modes.areas import IMPORTING, INSTALL, MODEL_CODE, area_of
from attn_doctor.knowledge.flash_attention import latest
from attn_doctor.knowledge.sdpa import Call, takes
from attn_doctor.model.facts import Facts, Record, Unknown
from attn_doctor.model.findings import Certainty, Diagnosis, Finding, Severity
from attn_doctor.model.machine import amd_gpus, first_gpu
from attn_doctor.model.recommendation import InstallFlashAttn, Reason, Recommendation
from attn_doctor.model.trials import Trial, Trials, refused
from attn_doctor.model.versions import capability
from attn_doctor.trials.backends import ALL, BY_NAME
from attn_doctor.trials.best import beats, best, training_dtype
from attn_doctor.trials.statistics import WORTH_NAMING

YOLO12_HEAD_DIM = 32
_ONLY_ON_A_GPU = {b.name for b in ALL if b.family == "pytorch" and b.gpu_only}
_FUSED = {b.name for b in ALL if b.family == "pytorch" and not b.composed}
_FLASH_ATTN = {b.name for b in ALL if b.package and b.package.startswith("flash-attn")}

_SEEN_TO_FAIL = ("eager-fails", "backend-fails", "environment-pollution", "requirements-missing")
_IN_CODE = (INSTALL, IMPORTING, MODEL_CODE)  # areas whose errors neither a driver nor another backend cures

WORTH_SAVING = 0.15  # a backend is recommended for its memory only if it saves at least this share of eager's peak memory in a training step


class _Advice(Record, frozen=True, kw_only=True):
    """Hold a backend (None: no backend can be recommended), the sentence about it, and the reasons. `measured`: a trial is the reason."""

    backend: str | None = None
    said: str
    because: tuple[Reason, ...] = ()
    measured: bool = False


def recommend(facts: Facts, diagnosis: Diagnosis, trials: Trials) -> Recommendation:
    """Return which backend to train with, whether to install flash-attn, and what to do first.

    The backend is the best one of the trial. Without a trial it is a guess from facts, and the summary says so. It is None if an
    error must be fixed first, or if the trial gave no usable numbers.
    """
    install, install_reasons = _flash_attn(facts, trials)
    advice = _backend(facts, diagnosis, trials)
    blocked = [f for f in diagnosis.findings if f.root_cause and f.severity is Severity.ERROR and f.fixes]
    do = tuple(fix.title for f in diagnosis.findings if f.root_cause for fix in f.fixes[:1])
    do += tuple(_switch(facts, advice.backend))
    # A finding whose cure is another backend than eager is cured by the advice itself.
    blocked = [f for f in blocked if not (advice.backend and _is_about_eager(f))]
    first = f"First fix {blocked[0].slug}. " if blocked else ""
    tail = {
        "yes": " flash-attn is worth installing here.",
        "no": " flash-attn is not worth installing here.",
        "not-here": " flash-attn cannot run here.",
    }[install]
    return Recommendation(
        backend=advice.backend,
        install_flash_attn=install,
        measured=advice.measured,
        summary=f"{first}{advice.said}{tail}",
        because=(
            *(Reason(text=f"{f.slug} comes first: {f.title}", refers_to=f.code) for f in blocked[:1]),
            *(reason for reason in advice.because if reason.refers_to not in {f.code for f in blocked[:1]}),
            *install_reasons,
        ),
        do=do,
    )


def _backend(facts: Facts, diagnosis: Diagnosis, trials: Trials) -> _Advice:
    none = refused(trials.rows)
    if none is not None:
        said = (none.reason or "").partition("\n")[0]
        reason = Reason(text=f"eager on {none.device}: {said}", refers_to=f"trials.{trials.rows.index(none)}")
        return _Advice(
            said=f"No backend can be named yet: nothing runs on {none.device}."
            " Until it does, train on the CPU: device=cpu.",
            because=(reason,),
        )
    stopped = next((f for f in diagnosis.findings if f.root_cause and _stops_training(f, trials)), None)
    if stopped is not None:
        text = f"{stopped.slug} prevents it: {stopped.message}"
        return _Advice(
            said="No backend can be named before that.", because=(Reason(text=text, refers_to=stopped.code),)
        )
    if trials.rows:
        return _measured(diagnosis, trials)
    if trials.attempted:
        why = trials.skipped or "it gave no numbers"
        return _Advice(
            said=f"No backend is named: nothing was measured ({why}).",
            because=(Reason(text=why, refers_to="trials_skipped"),),
        )
    return _unmeasured(facts, diagnosis, trials)


def _stops_training(finding: Finding, trials: Trials) -> bool:
    """Return whether a finding makes a recommendation useless: an error for the goal "train" that no other backend avoids.

    Without a trial, the recommendation is for the time after the fix, for example after a driver is repaired. Then a finding
    counts only if it was seen: an import or the model's code failed.
    """
    if finding.severity is not Severity.ERROR or _is_about_eager(finding):
        return False
    try:
        stops = find(finding.code).MODE.train is Severity.ERROR
    except UnknownName:
        stops = True
    if trials.attempted:
        return stops
    observed = finding.certainty is Certainty.OBSERVED and area_of(finding.code) in _IN_CODE
    return observed and (stops or finding.slug in _SEEN_TO_FAIL)


def _is_about_eager(finding: Finding) -> bool:
    return finding.blocks == ("eager",)


def _measured(diagnosis: Diagnosis, trials: Trials) -> _Advice:
    dtype = training_dtype(trials.rows)
    rows = [(index, row) for index, row in enumerate(trials.rows) if row.dtype == dtype]
    found = best([row for _, row in rows], dtype)
    eager = next(((i, r) for i, r in rows if r.backend == "eager"), None)
    if found.row is None:
        if found.why == "none right":
            text = "No backend is named: no tried backend finished with right numbers."
        else:
            text = "No backend is named: eager, with which all others are compared, gave no numbers."
        return _Advice(said=text, because=tuple(_became(i, r) for i, r in rows if r.status != "ruled-out")[:3])
    index = next(i for i, r in rows if r is found.row)
    row = found.row
    where = f"{row.model or 'YOLO12 attention'} at {row.imgsz}, batch {row.batch}, {row.device}, {dtype}"
    if found.why == "only" or eager is None:
        said = f"Use {row.backend}, the fastest of the requested backends ({where}); eager was not tried."
        return _Advice(backend=row.backend, said=said, because=(_reason(index, row),), measured=True)
    if found.why == "right":
        about = next((f.slug for f in diagnosis.findings if f.root_cause and _is_about_eager(f)), None)
        off = f"{eager[1].wrong_by:.0%} off here" if eager[1].wrong_by else "wrong here"
        why = f"eager's numbers are {off}{f' ({about})' if about else ''}, the numbers of {row.backend} are right"
        said = f"Use {row.backend} to get right numbers: {why} ({where})."
        return _Advice(
            backend=row.backend, said=said, because=(_became(*eager), _reason(index, row, eager[1])), measured=True
        )
    if found.why == "faster":
        assert row.step_gain
        said = f"Use {row.backend}: a training step is {row.step_gain.ratio:.2f} times as fast as with eager ({where})."
        return _Advice(
            backend=row.backend, said=said, because=(_reason(index, row, eager[1]), _reason(*eager)), measured=True
        )
    others = [(i, r) for i, r in rows if r is not row and r.status == "ok" and r.step_ms]
    why = "no other backend is measurably faster"
    undecided = [r for _, r in others if r.step_gain and r.step_gain.verdict == "undecided"]
    if undecided:
        why = _open_question(row, max(undecided, key=lambda r: r.step_gain.ratio if r.step_gain else 0.0))
    elif not others:
        why = "no other backend finished with right numbers"
    return _Advice(
        backend="eager",
        said=f"Keep eager, the attention as installed: {why} ({where}).",
        because=(_reason(index, row), *[_reason(i, r) for i, r in others[:2]], *_leaner(others, row)),
        measured=True,
    )


def _open_question(eager: Trial, other: Trial) -> str:
    """Return a sentence for a difference that is not certain: the backend that is likely faster, and the command with more rounds."""
    gain = other.step_gain
    assert gain
    if gain.ratio >= 1 + WORTH_NAMING and gain.more_rounds is None:
        return f"{other.backend} was {gain.ratio:.2f} times as fast, but the {gain.n} rounds contradict each other: try again when the machine is less busy"
    if gain.ratio < 1 + WORTH_NAMING or gain.more_rounds is None or not (eager.step_ms and other.step_ms):
        return f"in {gain.n} rounds no difference was found"
    seconds = gain.more_rounds * (eager.step_ms.median + other.step_ms.median) / 1e3
    model = f" --model {shlex.quote(other.model)}" if other.model else ""
    return (
        f"{other.backend} is likely {gain.ratio:.2f} times as fast, but {gain.n} rounds do not prove it; about {gain.more_rounds}"
        f" more ({max(1.0, seconds):.0f} s) would decide it: attn-doctor trial{model} --imgsz {other.imgsz} --batch {other.batch}"
        f" --backend {other.backend} --repeats {gain.n + gain.more_rounds}"
    )


def _became(index: int, row: Trial) -> Reason:
    """Return the result of a row whose backend cannot be recommended, as a reason."""
    said = (row.reason or "").partition("\n")[0]
    return Reason(text=f"{row.backend}: {row.status}{f', {said}' if said else ''}", refers_to=f"trials.{index}")


def _switch(facts: Facts, backend: str | None) -> Iterator[str]:
    """Yield the sentence with the command that makes the installed YOLO use a backend."""
    known_kind = isinstance(facts.yolo.kind, str) and facts.yolo.kind in ("mainline", "fork")
    if backend and BY_NAME[backend].exchanged and known_kind:
        yolo = commands.quoted((commands.yolo(facts),), commands.shell_of(facts))
        yield f"Train with it: attn-doctor run --attention {backend} -- {yolo} detect train ... (in Python: attn_doctor.attention)"


def _leaner(rows: list[tuple[int, Trial]], base: Trial) -> Iterator[Reason]:
    """Yield a reason about the backend with the lowest memory, if it needs at least WORTH_SAVING (15 %) less than `base`, eager's row."""
    held = [(row.peak_bytes, index, row) for index, row in rows if row.peak_bytes]
    least, index, row = min(held, default=(0, 0, base), key=lambda item: item[0])
    if base.peak_bytes and 0 < least < base.peak_bytes * (1 - WORTH_SAVING):
        saved = 1 - least / base.peak_bytes
        text = f"if memory is short: {row.backend} needs {saved:.0%} less memory for a step than eager"
        yield Reason(text=text, refers_to=f"trials.{index}")


def _reason(index: int, row: Trial, base: Trial | None = None) -> Reason:
    assert row.step_ms
    interval = row.step_ms
    text = (
        f"{row.backend}: {interval.median:.1f} ms a step ({interval.low:.1f} to {interval.high:.1f}, n = {interval.n})"
    )
    if base and base.step_ms:
        text += f" against {base.step_ms.median:.1f} ms"
    return Reason(text=text, refers_to=f"trials.{index}")


def _unmeasured(facts: Facts, diagnosis: Diagnosis, trials: Trials) -> _Advice:
    """Return a recommendation from facts alone. Its sentence says that nothing was measured."""
    why = trials.skipped or "no backend could be measured"
    if isinstance(facts.torch.version, Unknown) or facts.torch.version is None or facts.torch.importable is False:
        refers = "torch.importable" if facts.torch.importable is False else "torch.version"
        reason = Reason(text="no torch here can be imported", refers_to=refers)
        return _Advice(said=f"No backend can be named yet ({why}).", because=(reason,))
    gpu = first_gpu(facts)
    if gpu is not None and _usable(facts, diagnosis):
        index, card, device = gpu
        name = card.name if isinstance(card.name, str) else "the GPU"
        # What torch says about its own flash kernel counts more than the table of systems for which the kernel is compiled.
        os = "linux" if facts.torch.flash_compiled is True or not isinstance(facts.system.os, str) else facts.system.os
        call = Call(capability=device, dtype="float16", head_dim=YOLO12_HEAD_DIM, training=True, os=os)
        for kernel in ("sdpa-flash", "sdpa-efficient"):
            if kernel == "sdpa-flash" and facts.torch.flash_compiled is False:
                continue
            answer = takes(kernel, call)
            if not isinstance(answer, Unknown) and answer.yes:
                text = f"{name} (compute capability {device}) can run PyTorch's own kernel of that name"
                reason = Reason(text=text, refers_to=f"graphics.gpus.{index}.compute_capability")
                said = f"Use {kernel}, a fused kernel of PyTorch itself. Not measured: {why}."
                return _Advice(backend=kernel, said=said, because=(reason,))
    reason = Reason(text="PyTorch chooses the best kernel for the device", refers_to="torch.version")
    return _Advice(backend="sdpa", said=f"Use sdpa, PyTorch's own choice. Not measured: {why}.", because=(reason,))


def _usable(facts: Facts, diagnosis: Diagnosis) -> bool:
    """Return whether torch can run kernels on the GPU.

    True if torch has a CUDA build, did not report that CUDA is unavailable, and no error blocks all backends of GPUs.
    """
    in_the_way = any(f.severity is Severity.ERROR and set(f.blocks) >= _ONLY_ON_A_GPU for f in diagnosis.findings)
    return isinstance(facts.torch.cuda, str) and facts.torch.available is not False and not in_the_way


def _flash_attn(facts: Facts, trials: Trials) -> tuple[InstallFlashAttn, tuple[Reason, ...]]:
    """Return whether installing flash-attn would help YOLO12 here, and the reason."""
    gpus = facts.graphics.gpus
    if facts.system.os == "darwin":
        return "not-here", (
            Reason(text="flash-attn needs an NVIDIA or AMD GPU; macOS has neither", refers_to="system.os"),
        )
    if not isinstance(gpus, Unknown) and not gpus and not amd_gpus(facts):
        return "not-here", (Reason(text="flash-attn needs a GPU, and none is usable here", refers_to="graphics.gpus"),)
    gpu = first_gpu(facts)
    needed = latest().min_capability
    if gpu is not None and capability(gpu[2]) < capability(needed) and not amd_gpus(facts):
        name = gpu[1].name if isinstance(gpu[1].name, str) else "the GPU"
        text = f"flash-attn 2 needs compute capability {needed}, {name} has {gpu[2]}"
        return "not-here", (Reason(text=text, refers_to=f"graphics.gpus.{gpu[0]}.compute_capability"),)
    flash = _worth_installing(trials)
    if flash is not None:
        return "yes", (flash,)
    if facts.yolo.kind == "mainline":
        which = f" {facts.yolo.version}" if isinstance(facts.yolo.version, str) else ""
        text = f"ultralytics{which} never calls flash-attn: installing it changes nothing"
        return "no", (Reason(text=text, refers_to="yolo.calls"),)
    text = "PyTorch's own fused kernels compute the same and need no installation"
    return "no", (Reason(text=text, refers_to="torch.version"),)


def _worth_installing(trials: Trials) -> Reason | None:
    """Return the reason to install flash-attn: its row is the best, and faster than each of PyTorch's own kernels; else None."""
    dtype = training_dtype(trials.rows)
    row = best(trials.rows, dtype).row
    if row is None or row.backend not in _FLASH_ATTN:
        return None
    right = [r for r in trials.rows if r.dtype == dtype and r.status == "ok" and r.step_ms]
    fused = [r for r in right if r.backend in _FUSED]
    if not beats(row, fused):
        return None
    quickest = min(fused, key=lambda r: r.step_ms.median if r.step_ms else 0.0)
    return _reason(trials.rows.index(row), row, quickest)
