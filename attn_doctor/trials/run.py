"""Run a planned trial in the target: one process proves all backends, and another one measures them.

After a crash the process is started again without the backend that crashed. A backend that raises, crashes, hangs or exhausts the memory
becomes a row with the reason; the rest is still measured. The model's code never runs in the doctor's own process.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attn_doctor import child
from attn_doctor.model.facts import Fault, FaultKind
from attn_doctor.model.trials import GpuWatch, ReferenceCheck, TrialRun, Trials
from attn_doctor.system import leftovers
from attn_doctor.trials.cpu_name import CpuName
from attn_doctor.trials.gains import dropped
from attn_doctor.trials.judge_rows import CellFault, Judged, fault_record, name_of, rows
from attn_doctor.trials.plan import TrialCell, TrialPlan, model_file
from attn_doctor.trials.process import COMMON, in_words, load, waiting_policy
from attn_doctor.trials.shapes import shapes
from attn_doctor.trials.stages import Doing, Stages
from attn_doctor.trials.watch import ProcessorLoad, Watching, Window, summary

Say = Callable[[str], None]

SCRIPTS = (*COMMON, "trials/paired_rounds.py", "target/trial.py")
_DAY = 24 * 3600.0
_MEMORY = re.compile(r"out of memory|can't allocate memory|Storage size calculation overflowed")
_FAULT = Fault.__struct_fields__
_NO_EAGER = "eager itself fails, so nothing can be compared with it"


def run(
    plan: TrialPlan,
    python: Sequence[str],
    *,
    timeout: float,
    on_progress: Say | None = None,
    on_step: Callable[[Doing], None] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Trials:
    """Run the plan in the interpreter `python` (an argv prefix).

    `timeout`: the seconds without a message after which the process of the trial is ended. `on_step` gets each step of the trial;
    without it, `on_progress` gets their texts. `on_progress` also gets the texts about failures. `environ`: the variables of the
    trial's processes, by default the doctor's own. Raises OSError if the interpreter cannot be started.
    """
    if plan.skipped:
        return Trials(skipped=plan.skipped)
    waiting, note = waiting_policy(os.environ if environ is None else environ, load(), os.cpu_count())
    cpu = CpuName()  # uses a core itself: started after the busy cores were counted
    with tempfile.TemporaryDirectory(dir=leftovers.folder()) as folder:
        given = {**child.harmless(folder), **waiting}
        say = on_progress or (lambda _: None)
        supervisor = _Supervisor(plan, python, timeout, say, on_step, environ=environ, changes=given)
        supervisor.notes += note
        watching = Watching(plan.gpu, environ) if plan.gpu else None
        if on_step:
            on_step(Doing("starting torch", "building the model", 0.0))
        try:
            supervisor.go()
        finally:
            states = watching.stop() if watching else []
        supervisor.gpu = summary(states, supervisor.windows)
    return supervisor.trials(cpu.name())


class _Supervisor:
    """Run the processes of one trial, collect their records, and make its result."""

    def __init__(
        self,
        plan: TrialPlan,
        python: Sequence[str],
        timeout: float,
        say: Say,
        on_step: Callable[[Doing], None] | None,
        *,
        environ: Mapping[str, str] | None,
        changes: dict[str, str],
    ) -> None:
        self.plan = plan
        self.python = python
        self.timeout = timeout
        self.say = say
        self.step = on_step or (lambda doing: say(doing.text))
        self.environ = environ
        self.changes = changes
        self.scope = plan.scope
        self.reference = plan.options.reference
        self.cells = {name_of(cell): cell for cell in plan.cells if not cell.ruled_out}
        self.left = dict(self.cells)  # still to be proven, or to be measured
        self.stages = Stages(self.cells, plan.rounds)
        self.seen = Judged()
        self.notes: list[str] = [plan.note] if plan.note else []
        self.phase = "prove"
        self.told: dict[str, Any] = {}  # what the current process told
        self.about: dict[str, Any] = {}  # what any process told about torch and the model
        self.seconds = {"fixed": 0.0, "measured": 0.0}
        self.check: ReferenceCheck | None = None
        self.skipped: str | None = None
        self.faults: dict[str, Any] = {}  # fields of TrialRun
        self.round = ("", 0)
        self.unsteady = False
        self.windows: list[Window] = []
        self.load = ProcessorLoad()
        self.gpu: GpuWatch | None = None
        self.ended = "the trial ended before it was reached"
        self.refused = False

    def go(self) -> None:
        """Run the proofs, then measure the proven backends in a new process."""
        self._run_until_done()
        if self.refused or self.skipped:
            return
        self.phase = "measure"
        well = [name for name in self.cells if name in self.seen.proofs and name not in self.seen.faults]
        self.left = {name: self.cells[name] for name in well if name not in self.seen.together}
        self._run_until_done()

    def _run_until_done(self) -> None:
        """Run processes until the phase (proofs, or measuring) ends.

        Each process either ends the phase or excludes one backend, so their number is limited.
        """
        while self.left:
            self.told = {}
            outcome = child.run(
                self.python,
                SCRIPTS,
                config=self._config(),
                deadline=max(_DAY, self.timeout),
                quiet=self.timeout,
                environ=self.environ,
                changes=self.changes,
                on_message=self._take,
                on_slow=lambda section: self.say(f"still waiting ({section or 'starting'})"),
            )
            if (outcome.fault is None and "poisoned" not in self.told) or not self._leave_out(outcome):
                return
            if self.phase == "prove":  # proofs stay valid
                self.left = {name: cell for name, cell in self.left.items() if name not in self.seen.proofs}
            else:
                self.left |= {name: self.cells[name] for name in self.seen.start_again(self.left)}
                self.windows.clear()
                self.unsteady = False

    def _leave_out(self, outcome: child.Outcome) -> bool:
        """Exclude the cell that ended the process. Return whether to continue: False if that cell is not known."""
        culprit = self.told.get("poisoned") or outcome.open_section or ""
        said = in_words(outcome.fault)
        if self._is_refused(culprit, outcome.fault):
            self._nothing_runs(fault_record(outcome.fault, self.timeout) if outcome.fault else None)
            return False
        if culprit in self.left:
            del self.left[culprit]
            if outcome.fault:
                self.seen.faults[culprit] = fault_record(outcome.fault, self.timeout)
            self.say(f"{culprit} ended the process of the trial: continuing without it")
            self.notes.append(f"started again without {culprit}, after {outcome.seconds:.0f} s")
        elif self.phase == "measure":
            self.notes.append(f"measuring ended with {said}")
            return False
        elif "torch" not in self.told:
            self.skipped = f"torch did not start in the trial: {said}"
            self.faults["fault"] = outcome.fault or Fault(kind="vanished")
        elif culprit == "model" and self.scope == "model":
            self.scope = "attention"
            self.faults["model_fault"] = outcome.fault or Fault(kind="vanished")
        elif culprit.startswith("reference ") and outcome.fault:
            self._eager_fails(culprit, fault_record(outcome.fault, self.timeout))
        elif culprit == "reference" and self.reference:
            self.reference = False
            self.notes.append(f"the float64 reference was left out: it ended with {said}")
        else:
            self.ended = f"the trial ended with {said}"
            self.notes.append(self.ended)
            if outcome.fault:
                self.faults["fault"] = outcome.fault
            return False
        return self.skipped is None

    def _eager_fails(self, section: str, fault: CellFault) -> None:
        """Exclude all backends of a dtype in which eager fails, because nothing can be compared there."""
        what = section.removeprefix("reference ")  # the dtype, followed by the shape if shapes are tried
        for name, cell in [(n, c) for n, c in self.left.items() if n.partition(" ")[2] == what]:
            del self.left[name]
            if cell.backend == "eager":
                self.seen.faults[name] = fault | {"cell": name, "what": "eager"}
            else:
                self.seen.faults[name] = {"cell": name, "kind": "raised", "type": "Unavailable", "message": _NO_EAGER}

    def _config(self) -> dict[str, Any]:
        options = self.plan.options
        return {
            "phase": self.phase,
            "scope": self.scope,
            "model": model_file(options.model),
            "imgsz": options.imgsz,
            "batch": options.batch,
            "device": self.plan.device,
            "seed": options.seed,
            "reference": self.reference,
            "profile": options.thorough and not options.shapes,
            "rounds": self.plan.rounds,
            "fixed": options.rounds is not None,
            "seconds": options.seconds,
            "wrong": [name for name, proof in self.seen.proofs.items() if proof.get("refuted")],
            "cells": [[name, cell.backend, cell.dtype, self._place(cell)] for name, cell in self.left.items()],
            "grid": [[s.batch, s.heads, s.tokens, s.width] for s in options.shapes],
            "shapes": shapes(options.model, options.imgsz),
        }

    def _place(self, cell: TrialCell) -> int | None:
        return self.plan.options.shapes.index(cell.shape) if cell.shape else None

    def _take(self, message: child.Message) -> None:
        if message.at == "begin":
            self._announce(message.section)
        if message.at == "raised":
            raised: CellFault = message.data
            said = in_words(Fault(**message.data))
            self.notes.append(f"{message.section}: {said}")
            if not self.seen.anything():
                self.ended = f"the trial ended with {said}"
            if "CUDA error" in said and not self.seen.anything():
                self._nothing_runs(raised | {"text": message.data["message"]})
            elif message.section.startswith("reference "):
                kind: FaultKind = "out-of-memory" if _MEMORY.search(said) else message.data["kind"]
                self._eager_fails(message.section, raised | {"kind": kind, "text": said})
            elif message.section == "trial" and not self.seen.anything():
                self.faults["fault"] = Fault(**message.data)
        if message.at != "fact":
            return
        self.told[message.section] = message.data
        if message.section in ("torch", "subject", "threads"):
            self.about[message.section] = message.data
        self.seen.take(message.section, message.data)
        if message.section == "fault" and message.data.get("poisoned"):
            self.told["poisoned"] = message.data["cell"]
        elif message.section == "reference":
            self.check = ReferenceCheck(
                ok=message.data["ok"],
                error=message.data["error"],
                module=message.data["module"],
                note=message.data["note"],
            )
        elif message.section == "no-model":
            fault = Fault(**{k: v for k, v in message.data.items() if k in _FAULT})
            if message.data["poisoned"]:
                self._nothing_runs(message.data)
            else:
                self._no_model(fault, has_run=bool(message.data.get("ran")))
        elif message.section == "seconds":
            self.seconds = {name: spent + message.data[name] for name, spent in self.seconds.items()}
        elif message.section == "steady":
            self.unsteady = self.unsteady or not message.data["steady"]
            self.load.look()
            if message.data["what"] == "step":
                self.windows.append(Window(time.monotonic()))
        elif message.section == "sample":
            self.load.look()
            whole = self.about["subject"]["scope"] == "model"
            if message.data["what"] == "step":
                self.windows[-1].sample(self.plan.options.batch if whole else 0)
            self._say_round(message.data["what"], message.data["round"] + 1)

    def _say_round(self, what: str, number: int) -> None:
        if (what, number) != self.round:
            self.round = (what, number)
            named = {"forward": "inference", "step": "training steps"}[what]
            planned = f" of {self.plan.rounds}" if number <= self.plan.rounds else ""
            self.step(self.stages.round(f"measuring {named}, round {number}{planned}", what))

    def _no_model(self, fault: Fault, *, has_run: bool) -> None:
        if fault.type == "NoAttention":
            self.skipped = fault.message or "there is no attention in this model"
        elif fault.kind == "out-of-memory":
            for name in self.left:
                text = f"the model does not fit into memory: {fault.message}"
                self.seen.faults[name] = {"cell": name, "kind": "out-of-memory", "text": text}
        else:
            self.faults["forward_fault" if has_run else "model_fault"] = fault

    def _is_refused(self, culprit: str, fault: Fault | None) -> bool:
        """Return whether a GPU ended eager before anything has run.

        A lack of memory does not count, because other backends need less memory.
        """
        cell = self.left.get(culprit)
        # The reference of each dtype is eager too, on the same device.
        is_eager = culprit.startswith("reference ") if cell is None else cell.backend == "eager"
        if not is_eager or self.seen.anything():
            return False
        return "poisoned" in self.told or (
            self.plan.device.startswith("cuda") and fault is not None and fault.signal != "SIGKILL"
        )

    def _nothing_runs(self, fault: CellFault | None = None) -> None:
        """Exclude all cells: a device that refuses eager would refuse all other backends too."""
        for name, cell in self.left.items():
            if cell.backend == "eager" and fault and name not in self.seen.faults:
                self.seen.faults[name] = fault | {"cell": name, "what": "eager"}
        self.refused = True
        self.ended = f"eager itself fails on {self.plan.device}, so this would fail too"

    def _announce(self, section: str) -> None:
        if section == "model":
            self.step(self.stages.model(again=self.phase == "measure"))
        elif section == "reference":
            self.step(self.stages.reference())
        elif section in self.left and section not in self.seen.proofs:
            self.step(self.stages.proof(section))

    def trials(self, cpu: str | None) -> Trials:
        """Return the result of the trial. `cpu`: the name of the processor; None: not known."""
        if not self.seen.proofs and not self.seen.faults and not self.skipped:
            self.skipped = self.ended
        if self.skipped:
            run = TrialRun(cpu=cpu, notes=tuple(self.notes), **self.faults)
            return Trials(skipped=self.skipped, run=run, attempted=True)
        torch = self.about.get("torch") or {}
        subject = dict(self.about.get("subject") or {})
        if subject.get("model") == model_file(self.plan.options.model):
            subject["model"] = self.plan.options.model
        self.notes += [
            f"{cell} runs the same operators as {other}: they were measured together"
            for cell, other in self.seen.together.items()
        ]
        self.notes += dropped(self.seen.samples, self.seen.measured)
        self.notes += self.seen.settled
        threads = self.about.get("threads") or {}
        if threads.get("training", 0) < threads.get("default", 0):
            self.notes.append(
                f"ultralytics sets {threads['training']} of {threads['default']} threads for training and predicting on this machine, and so "
                "does this trial"
            )
        if self.unsteady:
            self.notes.append("when measuring began, the times were not yet steady")
        return Trials(
            rows=rows(
                self.plan,
                self.seen,
                scope=subject.get("scope", self.scope),
                model=subject.get("model", None if self.scope == "attention" else self.plan.options.model),
                threads=threads.get("training", torch.get("threads")),
                ended=self.ended,
                refused=self.refused,
            ),
            run=TrialRun(
                imgsz=None if self.plan.options.shapes else self.plan.options.imgsz,
                reference=self.check,
                cpu=cpu,
                gpu_name=subject.get("gpu"),
                processor_load=self.load.share(),
                torch=torch.get("version"),
                gpu=self.gpu,
                fixed_seconds=round(self.seconds["fixed"], 2) or None,
                measured_seconds=round(self.seconds["measured"], 2) or None,
                notes=tuple(dict.fromkeys(self.notes)),
                **self.faults,
            ),
            attempted=True,
        )
