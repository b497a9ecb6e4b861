"""Advising: which attention backend this machine should use, and whether flash-attn is worth installing here. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attn_doctor.facts import Facts, Record, Unknown
from attn_doctor.findings import Diagnosis, Severity
from attn_doctor.knowledge.flash_attention import latest
from attn_doctor.knowledge.sdpa import Call, takes
from attn_doctor.trials.rows import Gain, Trial, Trials, refused
from attn_doctor.trials.statistics import compare, decide
from attn_doctor.versions import capability

YOLO12_HEAD_DIM = 32
_ONLY_ON_A_GPU = "sdpa-efficient"  # what stops a GPU stops this kernel, which no CPU has

# A difference below this is not worth a change of code: repeated runs of one backend differ by as much on a busy machine.
WORTH_NAMING = 0.05
WORTH_SAVING = 0.15  # of the peak memory of a training step


class Reason(Record, frozen=True, kw_only=True):
    text: str
    refers_to: str  # a fact path, a finding's code, or "trials.N"


class Recommendation(Record, frozen=True, kw_only=True):
    backend: str | None
    install_flash_attn: str  # "yes" | "no" | "not-here"
    measured: bool
    summary: str
    because: tuple[Reason, ...] = ()
    do: tuple[str, ...] = ()  # titles of fixes, first things first; then how to take the backend


def recommend(facts: Facts, diagnosis: Diagnosis, trials: Trials) -> Recommendation:
    install, install_reasons = _flash_attn(facts, trials)
    backend, sentence, reasons, measured = _backend(facts, diagnosis, trials)
    blocked = [f for f in diagnosis.findings if f.root_cause and f.severity.rank == 2]
    do = tuple(fix.title for f in diagnosis.findings if f.root_cause for fix in f.fixes[:1])
    do += tuple(_switch(facts, backend))
    first = f"First put {blocked[0].slug} right. " if blocked and blocked[0].fixes else ""
    tail = {
        "yes": " flash-attn is worth installing here.",
        "no": " flash-attn is not worth installing here.",
        "not-here": " flash-attn cannot run here.",
    }[install]
    return Recommendation(
        backend=backend,
        install_flash_attn=install,
        measured=measured,
        summary=f"{first}{sentence}{tail}",
        because=(
            *(Reason(text=f"{f.slug} comes first: {f.title}", refers_to=f.code) for f in blocked[:1]),
            *reasons,
            *install_reasons,
        ),
        do=do,
    )


def _backend(facts: Facts, diagnosis: Diagnosis, trials: Trials) -> tuple[str | None, str, tuple[Reason, ...], bool]:
    rows = [(index, row) for index, row in enumerate(trials.rows) if row.status == "ok" and row.step_ms]
    none = refused(trials.rows)
    if none is not None:
        said = (none.reason or "").partition("\n")[0]
        reason = Reason(text=f"eager on {none.device}: {said}", refers_to=f"trials.{trials.rows.index(none)}")
        sentence = (
            f"No backend can be named yet: nothing runs on {none.device}. Until it does, train on the CPU: device=cpu."
        )
        return None, sentence, (reason,), False
    if not rows:
        return _unmeasured(facts, diagnosis, trials)
    dtype = _training_dtype([row for _, row in rows])
    rows = [r for r in rows if r[1].dtype == dtype]
    best_index, best = min(rows, key=lambda r: _step(r[1]))
    eager = next(((i, r) for i, r in rows if r.backend == "eager"), None)
    if eager is None:
        return best.backend, f"Use {best.backend}.", (_reason(best_index, best),), True
    eager_index, base = eager
    where = f"{best.model or 'YOLO12 attention'} at {best.imgsz}, batch {best.batch}, {best.device}, {dtype}"
    if best.backend == "eager" or not _clearly_faster(best, base):
        reasons = (_reason(eager_index, base), *[_reason(i, r) for i, r in rows if r.backend != "eager"][:2])
        reasons += tuple(_leaner(rows, base))
        said = "no other backend is measurably faster"
        gain = None if best.backend == "eager" else _by_pairs(best, base)
        if gain is not None and gain.verdict == "faster":
            said = f"{best.backend} is faster by no more than {gain.ratio - 1:.0%}"
        if any(r.step_gain and r.step_gain.verdict == "undecided" for _, r in rows):
            said = "in so few rounds no difference can be told, so try again when the machine is less busy"
        return "eager", f"Keep eager, the attention as installed: {said} ({where}).", reasons, True
    times = best.step_gain.ratio if best.step_gain else _step(base) / _step(best)  # as the table has it: by pairs
    sentence = f"Use {best.backend}: a training step is {times:.2f} times as fast as with eager ({where})."
    return best.backend, sentence, (_reason(best_index, best, base), _reason(eager_index, base)), True


def _training_dtype(rows: Sequence[Trial]) -> str:
    """The dtype that training uses: on a CUDA device float16, which is what ultralytics' `amp=True` (its default) takes
    whether or not a small model gains by it; else that of the quickest step.
    """
    if any(row.device.startswith("cuda") and row.dtype == "float16" for row in rows):
        return "float16"
    return min(rows, key=_step).dtype


def _switch(facts: Facts, backend: str | None) -> Iterator[str]:
    """How the YOLO that is installed here is made to use a backend."""
    known_kind = isinstance(facts.yolo.kind, str) and facts.yolo.kind in ("mainline", "fork")
    if backend and backend not in ("eager", "compile") and known_kind:
        yield f"Train with it: attn-doctor run --attention {backend} -- yolo detect train ... (in Python: attn_doctor.attention)"


def _leaner(rows: list[tuple[int, Trial]], base: Trial) -> Iterator[Reason]:
    """The backend that needs the least memory, where that is much less than eager needs."""
    held = [(row.peak_bytes, index, row) for index, row in rows if row.peak_bytes]
    least, index, row = min(held, default=(0, 0, base), key=lambda item: item[0])
    if base.peak_bytes and 0 < least < base.peak_bytes * (1 - WORTH_SAVING):
        saved = 1 - least / base.peak_bytes
        text = f"where memory is short: {row.backend} needs {saved:.0%} less of it for a step than eager"
        yield Reason(text=text, refers_to=f"trials.{index}")


def _clearly_faster(row: Trial, base: Trial) -> bool:
    """Whether the pairs of rounds show it, and by enough to be worth a change of code. Rows of old reports may lack samples."""
    assert row.step_ms
    assert base.step_ms
    gain = _by_pairs(row, base)
    if gain is not None:
        return gain.verdict == "faster" and gain.ratio * (1 - WORTH_NAMING) >= 1
    return row.step_ms.high < base.step_ms.low and _step(row) <= _step(base) * (1 - WORTH_NAMING)


def _by_pairs(row: Trial, base: Trial) -> Gain | None:
    if row.step_samples and len(row.step_samples) == len(base.step_samples):
        return decide([compare(base.step_samples, row.step_samples)])[0]
    return None


def _step(row: Trial) -> float:
    assert row.step_ms
    return row.step_ms.median


def _reason(index: int, row: Trial, base: Trial | None = None) -> Reason:
    assert row.step_ms
    interval = row.step_ms
    text = (
        f"{row.backend}: {interval.median:.1f} ms a step ({interval.low:.1f} to {interval.high:.1f}, n = {interval.n})"
    )
    if base and base.step_ms:
        text += f" against {base.step_ms.median:.1f} ms"
    return Reason(text=text, refers_to=f"trials.{index}")


def _unmeasured(facts: Facts, diagnosis: Diagnosis, trials: Trials) -> tuple[str | None, str, tuple[Reason, ...], bool]:
    """Advice from facts alone, and it says so."""
    why = trials.skipped or "no backend could be measured"
    if isinstance(facts.torch.version, Unknown) or facts.torch.version is None or facts.torch.importable is False:
        refers = "torch.importable" if facts.torch.importable is False else "torch.version"
        reason = Reason(text="there is no torch that imports", refers_to=refers)
        return None, f"No backend can be named yet ({why}).", (reason,), False
    gpu = _first_gpu(facts)
    if gpu is not None and _usable(facts, diagnosis):
        index, name, device = gpu
        # What torch says of its own flash kernel goes before a table of systems on which it is compiled.
        os = "linux" if facts.torch.flash_compiled is True or not isinstance(facts.system.os, str) else facts.system.os
        call = Call(capability=device, dtype="float16", head_dim=YOLO12_HEAD_DIM, training=True, os=os)
        for kernel in ("sdpa-flash", "sdpa-efficient"):
            if kernel == "sdpa-flash" and facts.torch.flash_compiled is False:
                continue
            answer = takes(kernel, call)
            if not isinstance(answer, Unknown) and answer.yes:
                text = f"{name} (compute capability {device}) can run PyTorch's own kernel of that name"
                reason = Reason(text=text, refers_to=f"graphics.gpus.{index}.compute_capability")
                return kernel, f"Use {kernel}, a fused kernel of PyTorch itself. Not measured: {why}.", (reason,), False
    reason = Reason(text="PyTorch takes the best kernel that the device has", refers_to="torch.version")
    return "sdpa", f"Use sdpa, PyTorch's own choice. Not measured: {why}.", (reason,), False


def _usable(facts: Facts, diagnosis: Diagnosis) -> bool:
    """Whether torch would run kernels on the GPU: it was seen to start CUDA, or was not asked, and no error speaks against it."""
    in_the_way = any(f.severity is Severity.ERROR and _ONLY_ON_A_GPU in f.blocks for f in diagnosis.findings)
    return isinstance(facts.torch.cuda, str) and facts.torch.available is not False and not in_the_way


def _first_gpu(facts: Facts) -> tuple[int, str, str] | None:
    """Index, name and capability of the first GPU that a program would see."""
    for index, gpu in enumerate(facts.graphics.gpus if isinstance(facts.graphics.gpus, tuple) else ()):
        if gpu.visible is not False and isinstance(gpu.compute_capability, str):
            return index, str(gpu.name) if isinstance(gpu.name, str) else "the GPU", gpu.compute_capability
    return None


def _flash_attn(facts: Facts, trials: Trials) -> tuple[str, tuple[Reason, ...]]:
    """Whether installing flash-attn would do anything for YOLO12 here."""
    gpus = facts.graphics.gpus
    if facts.system.os == "darwin":
        return "not-here", (
            Reason(text="flash-attn needs an NVIDIA or AMD GPU; macOS has neither", refers_to="system.os"),
        )
    if not isinstance(gpus, Unknown) and not gpus and not _amd(facts):
        return "not-here", (Reason(text="flash-attn needs a GPU, and none is usable here", refers_to="graphics.gpus"),)
    gpu = _first_gpu(facts)
    needed = latest().min_capability
    if gpu is not None and capability(gpu[2]) < capability(needed) and not _amd(facts):
        text = f"flash-attn 2 needs compute capability {needed}, {gpu[1]} has {gpu[2]}"
        return "not-here", (Reason(text=text, refers_to=f"graphics.gpus.{gpu[0]}.compute_capability"),)
    flash = _best(trials, ("flash-attn-2", "flash-attn-3", "flash-attn-4", "sdpa-flash-3", "sdpa-flash-4"))
    fused = _best(trials, ("sdpa", "sdpa-flash", "sdpa-cudnn", "sdpa-efficient"))
    if flash and fused and _clearly_faster(flash[1], fused[1]):
        return "yes", (_reason(flash[0], flash[1], fused[1]),)
    if facts.yolo.kind == "mainline":
        which = f" {facts.yolo.version}" if isinstance(facts.yolo.version, str) else ""
        text = f"ultralytics{which} never calls flash-attn: installing it changes nothing"
        return "no", (Reason(text=text, refers_to="yolo.calls"),)
    text = "PyTorch's own fused kernels compute the same and need no installation"
    return "no", (Reason(text=text, refers_to="torch.version"),)


def _amd(facts: Facts) -> bool:
    return not isinstance(facts.graphics.amd, Unknown) and bool(facts.graphics.amd)


def _best(trials: Trials, names: tuple[str, ...]) -> tuple[int, Trial] | None:
    rows = [(i, r) for i, r in enumerate(trials.rows) if r.backend in names and r.status == "ok" and r.step_ms]
    return min(rows, key=lambda r: _step(r[1]), default=None)
