"""Judge the records of a trial process, and make the rows: how each cell ended, and whether its numbers are right. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypedDict

import msgspec

from attn_doctor.exchange.tolerance import limit
from attn_doctor.model.facts import Fault, FaultKind
from attn_doctor.model.trials import Ending, KernelShare, Scope, Status, Trial
from attn_doctor.trials.backends import BY_NAME, Backend
from attn_doctor.trials.gains import Measured, with_gains
from attn_doctor.trials.plan import TrialCell, TrialPlan
from attn_doctor.trials.served_by import count, other_kernel
from attn_doctor.trials.statistics import interval

TOLERANCE = 1e-3  # relative error of finite differences, as in target/trial_proof.py
OUTLIER = 0.1  # relative error of a whole model's gradients in float32; rounding causes a thousandth of it
OUTLIER_TIMES = 100  # an error larger than this many times the smallest error of any backend is an outlier


class CellFault(TypedDict, total=False):
    """Describe why a cell has no result: its code raised an exception, or the trial's process crashed, hung or ended in it."""

    cell: str
    kind: FaultKind
    type: str | None
    message: str | None
    text: str
    signal: str | None
    exit_code: int | None
    where: str | None
    seconds: float | None
    what: str  # what the process was doing


class _End(NamedTuple):
    """Hold the fields of a row that describe how its cell ended."""

    status: Status
    reason: str | None = None
    wrong_by: float | None = None
    wrong_module: str | None = None
    ended: Ending | None = None


class Judged:
    """Hold the records of one or more processes, sorted by cell. A record of a later process replaces an earlier one."""

    def __init__(self) -> None:
        self.proofs: dict[str, dict[str, Any]] = {}
        self.faults: dict[str, CellFault] = {}
        # (cell, "forward" | "step") -> milliseconds, round by round
        self.samples: dict[tuple[str, str], list[float]] = {}
        self.measured: dict[tuple[str, str], Measured] = {}  # with the same keys
        self.peaks: dict[str, int | None] = {}  # a cell -> memory peak of a training step, in bytes
        self.settled: list[str] = []  # a note for each dtype whose measuring ended early
        self.together: dict[str, str] = {}  # a cell -> the cell with the same operators that was measured for both
        self.eager_errors: dict[str, Sequence[tuple[float, float]]] = {}

    def take(self, section: str, data: Any) -> None:
        """Add one record that the trial's process sent. `section`: its kind, "proof" or "sample"; records of other kinds are skipped."""
        if section == "proof":
            self.proofs[data["cell"]] = data
        elif section == "fault":
            self.faults[data["cell"]] = data
        elif section == "sample":
            self.samples.setdefault((data["cell"], data["what"]), []).append(data["ms"])
        elif section == "race":
            for cell in data["cells"]:
                self.measured[cell, data["what"]] = Measured(data["level"], data["dropped"].get(cell))
            if data["settled"]:
                self.settled.append(
                    f"training steps: measuring ended after {data['rounds']} rounds, because eager's numbers are wrong here: the fastest of the others is advised"
                )
        elif section == "peaks":
            self.peaks.update(data)
        elif section == "together":
            self.together[data["cell"]] = data["with"]
        elif section == "eager-errors":
            self.eager_errors.update(dict.fromkeys(data["cells"], data["errors"]))

    def anything(self) -> bool:
        """Return whether any cell was checked or measured."""
        return bool(self.proofs or self.samples)

    def start_again(self, left: Iterable[str]) -> list[str]:
        """Delete all times, because times of two processes are not pairs. `left`: the cells that the next process measures.

        Return the cells that must now be measured themselves: so far, each of them used the times of a cell that is no longer in
        `left`.
        """
        self.samples.clear()
        self.measured.clear()
        self.settled.clear()
        alone = [cell for cell, other in self.together.items() if other not in left]
        for cell in alone:
            del self.together[cell]
        return alone


def name_of(cell: TrialCell) -> str:
    """Return the name of a cell in the records of the trial's process and in messages of progress: "sdpa-flash float16"."""
    return f"{cell.backend} {cell.dtype}" + (f" {cell.shape}" if cell.shape else "")


def rows(
    plan: TrialPlan,
    seen: Judged,
    *,
    scope: Scope,
    model: str | None,
    threads: int | None,
    ended: str,
    refused: bool = False,
) -> tuple[Trial, ...]:
    """Return one row for each cell of the plan, in the order of the plan.

    `seen`: the judged records of the trial's process. `ended`: the reason that a cell without results gets. The status of that cell is
    "failed", or "ruled-out" if `refused` (the device refused every backend). `scope`, `model` and `threads` are copied into every row.
    """
    unknown = _End("ruled-out" if refused else "failed", ended)
    common = {
        "scope": scope,
        "model": model,
        "device": plan.device,
        "batch": plan.options.batch,
        "imgsz": plan.options.imgsz,
        "threads": threads,
    }
    return with_gains(_without_outliers([_row(cell, seen, unknown, common) for cell in plan.cells]), seen.measured)


def _row(cell: TrialCell, seen: Judged, unknown: _End, common: dict[str, Any]) -> Trial:
    common = {"backend": cell.backend, "dtype": cell.dtype, **common}
    if cell.shape:
        common |= {"batch": cell.shape.batch, "imgsz": None, "shape": str(cell.shape)}
    if cell.ruled_out:
        return Trial(status="ruled-out", reason=cell.ruled_out, **common)
    name = name_of(cell)
    fault, proof = seen.faults.get(name), seen.proofs.get(name)
    measured = seen.together.get(name, name)
    forward, step = (seen.samples.get((measured, what), []) for what in ("forward", "step"))
    end = unknown
    if proof:
        backend = BY_NAME[cell.backend]
        common |= _measures(backend, proof)
        end = _judged(backend, proof, seen.eager_errors.get(name, ()))
    if forward:
        common |= {"forward_samples": tuple(forward), "forward_ms": interval(forward)}
    if step:
        common |= {"step_samples": tuple(step), "step_ms": interval(step), "peak_bytes": seen.peaks.get(measured)}
        if proof and proof.get("core_ms"):
            # The fastest sample of each: other load on the machine only adds time.
            common["attention_share"] = min(1.0, proof["core_ms"] / min(step))
    if fault:
        end = end._replace(status=_status(fault), reason=_reason(fault), ended=fault["kind"])
    return Trial(**common, **end._asdict())


def _measures(backend: Backend, proof: Mapping[str, Any]) -> dict[str, Any]:
    counted, names = count(backend, proof["calls"]) if proof["calls"] is not None else (None, ())
    profile = [name for name, _ in proof.get("kernels") or ()]
    worst = [max(errors) for errors in zip(*proof["errors"], strict=True)]
    return {
        "attention_calls": counted,
        "kernels": tuple(dict.fromkeys((*names, *profile))),
        "kernel_shares": tuple(KernelShare(name=name, share=share) for name, share in proof.get("kernels") or ()),
        "deterministic": proof.get("deterministic"),
        "output_error": worst[0],
        "gradient_error": worst[1],
        "tokens": proof.get("tokens"),
        "model_output_error": proof.get("model_output_error"),
        "model_gradient_error": proof.get("model_gradient_error"),
    }


def _judged(backend: Backend, proof: Mapping[str, Any], eager_errors: Sequence[tuple[float, float]]) -> _End:
    profile = [name for name, _ in proof.get("kernels") or ()]
    wrong = _refuted(proof) or (_by_slopes(proof) if "slope_error" in proof else _inaccurate(proof, eager_errors))
    served = other_kernel(backend, proof["calls"], profile)
    if wrong:
        return wrong
    if served:
        said = "; ".join(proof.get("reasons") or ())
        return _End("other-kernel", f"{served}. PyTorch says: {said}" if said else served)
    if proof.get("finite") is False:
        return _End("failed", "with this backend, the model's outputs are not all finite", ended="not-finite")
    return _End("ok")


def _refuted(proof: Mapping[str, Any]) -> _End | None:
    """Return the end of a row with wrong gradients; None if they are right.

    Finite differences found them wrong in a training step; the text has the layout and the batch.
    """
    found = proof.get("refuted")
    if not found:
        return None
    reason = f"gradients are wrong with this backend: {found['module']}, {found['note']}: they differ from finite differences by {found['error']:.0%}"
    return _End("wrong", reason, found["error"], found["module"])


def _by_slopes(proof: Mapping[str, Any]) -> _End | None:
    """Return the end of a row that finite differences found wrong; else None.

    For a device on which textbook attention in float64 is wrong, so that it cannot be the reference.
    """
    error = proof["slope_error"]
    if error is None:
        return _End(
            "failed",
            "its numbers could not be checked: the reference, textbook attention in float64, is itself wrong on this device",
        )
    if error <= TOLERANCE:
        return None
    reason = f"its numbers are wrong: gradients of attention differ from finite differences by {error:.0%}"
    return _End("wrong", reason, error, "attention")


def _inaccurate(proof: Mapping[str, Any], eager_errors: Sequence[tuple[float, float]]) -> _End | None:
    reason = inaccurate(proof["errors"], eager_errors, proof["eps"], proof["tokens"])
    if reason is None:
        return None
    return _End("wrong", reason, max(error for errors in proof["errors"] for error in errors))


def inaccurate(
    errors: Sequence[tuple[float, float]], eager: Sequence[tuple[float, float]], eps: float, tokens: int
) -> str | None:
    """Compare the errors with eager's in the same dtype, call by call. Returns a text about the first that is too large, else None.

    `errors` and `eager`: of each call (error of the output, largest error of the gradients), relative to float64. `eps`: the
    machine epsilon of the dtype. `tokens`: of the longest call.
    """
    for index, what in enumerate(("output", "gradient")):
        for call, (mine, base) in enumerate(zip(errors, eager, strict=False)):
            most = limit(base[index], eps, tokens)
            if not mine[index] <= most:
                return (
                    f"its numbers are wrong: {what} error {mine[index]:.2g} at attention call {call};"
                    f" the limit is {most:.2g}, and eager in the same dtype has {base[index]:.2g}"
                )
    return None


def _status(fault: CellFault) -> Status:
    kind = fault["kind"]
    if kind in ("timeout", "vanished"):
        return "timeout"
    if kind == "out-of-memory" or (kind == "signal" and fault.get("signal") == "SIGKILL"):
        return "out-of-memory"
    return "ruled-out" if fault.get("type") == "Unavailable" else "failed"


def _reason(fault: CellFault) -> str:
    what = fault.get("what") or "trial"
    kind, where = fault["kind"], fault.get("where")
    if kind in ("timeout", "vanished"):
        return f"no answer for {fault.get('seconds') or 0:.0f} s ({where or what}): give it more time with --timeout"
    if kind == "signal":
        died = f"the process died of {fault.get('signal')}"
        memory = " (the kernel sends it when memory runs out)" if fault.get("signal") == "SIGKILL" else ""
        return died + memory + (f" in {where}" if where else "")
    if kind == "flooded":
        return "the process printed without end, and was ended" + (f" in {where}" if where else "")
    if kind == "exited":
        return f"the process exited with code {fault.get('exit_code')}" + (f" in {where}" if where else "")
    if fault.get("type") == "Unavailable":
        return str(fault.get("message"))
    text = str(fault.get("text") or fault.get("message") or "no reason given").strip()
    return text.splitlines()[0][:500] if kind == "out-of-memory" else text[:1000]


def fault_record(fault: Fault, seconds: float) -> CellFault:
    """Return the fault of a process that crashed or hung as the fault of a cell. `seconds`: the longest silence that was allowed."""
    return {
        "kind": fault.kind,
        "type": fault.type,
        "message": fault.message,
        "signal": fault.signal,
        "exit_code": fault.exit_code,
        "where": fault.where,
        "seconds": seconds,
    }


def _without_outliers(rows: Sequence[Trial]) -> list[Trial]:
    """Mark a float32 row as wrong if its whole model is far from float64, and the model with another backend is not.

    A small error of eager shows nothing, because the float64 reference runs the same code, and would have the same fault.
    """
    errors = [
        r.model_gradient_error
        for r in rows
        if (r.dtype, r.status) == ("float32", "ok")
        and r.model_gradient_error is not None
        and BY_NAME[r.backend].exchanged
    ]
    judged = []
    for row in rows:
        mine = row.model_gradient_error
        if row.status == "ok" and row.dtype == "float32" and mine is not None and not mine <= OUTLIER:
            least = min(errors, default=mine)
            if least * OUTLIER_TIMES < mine:
                reason = (
                    f"its numbers are wrong: the gradients of the whole model differ from float64 by {mine:.0%},"
                    f" with another backend by {least:.0e}"
                )
                row = msgspec.structs.replace(row, status="wrong", reason=reason, wrong_by=mine)  # noqa: PLW2901
        judged.append(row)
    return judged
