"""Trials in a real interpreter, small enough to be quick, and backends that are ill in one way."""

from __future__ import annotations

import sys
from pathlib import Path

from attn_doctor.model.facts import Facts, Torch, Yolo
from attn_doctor.model.trials import Trial, TrialOptions, Trials
from attn_doctor.trials import run as runner
from attn_doctor.trials.plan import plan

TORCH = Torch(version="installed", cuda=None, hip=None, importable=True, available=False, mps=False)
FACTS = Facts(torch=TORCH, yolo=Yolo(version="installed"))
ALONE = Facts(torch=TORCH, yolo=Yolo(version=None))
CORE = ("sdpa-math", "sdpa-flash")


def go(options: TrialOptions, facts: Facts = FACTS, python: str = sys.executable, timeout: float = 120.0) -> Trials:
    return runner.run(plan(facts, options), [python], timeout=timeout)


def small(**options) -> TrialOptions:
    return TrialOptions(**{"imgsz": 64, "rounds": 2, "seconds": 1.0, "device": "cpu", **options})


def by_backend(trials: Trials) -> dict[str, Trial]:
    assert trials.skipped is None
    return {row.backend: row for row in trials.rows}


def add_script(monkeypatch, tmp_path: Path, text: str) -> None:
    """A few lines of ours, run in the target just before the trial begins: a backend that is ill in one way."""
    path = tmp_path / "patient.py"
    path.write_text(text)
    *before, last = runner.SCRIPTS
    monkeypatch.setattr(runner, "SCRIPTS", (*before, str(path), last))


def ill(**backends: str) -> str:
    """Backends that do something first, or instead, in every call: `sdpa_flash="raise ..."`."""
    return "".join(
        f"""
def _ill(name):
    well = _MAKERS[name]
    def make():
        kernel = well()
        def ill(query, key, value, scale):
            {does}
            return kernel(query, key, value, scale)
        return ill
    _MAKERS[name] = make
_ill({name.replace("_", "-")!r})
"""
        for name, does in backends.items()
    )
