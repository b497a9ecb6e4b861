"""Plans, findings, reports and folders of a few lines each, for the tests of verifying and applying."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from patients import Patient

from attn_doctor.fixes.plan import RIGHT, PlannedStep, Way
from attn_doctor.fixes.target_paths import Places
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Confidence, Finding, Fix, Goal, Severity
from attn_doctor.model.recommendation import Recommendation
from attn_doctor.model.report import Report, Target, Tool
from attn_doctor.model.steps import Run, Step

WORDS = {"why": "the reason", "changes": "the changes"}


def cause(code: str, severity: Severity = Severity.ERROR, *, root: bool = True) -> Finding:
    return Finding(
        code=code,
        slug=f"slug-{code}",
        title="",
        message=f"{code} is met",
        severity=severity,
        certainty=Certainty.OBSERVED,
        confidence=Confidence.HIGH,
        root_cause=root,
        explained_by=None,
        blocks=(),
        fixes=(),
        evidence=(),
        docs="",
    )


def fix(title: str, *steps: Step) -> Fix:
    return Fix(title=title, steps=steps, verify=("verify", title))


def report(*findings: Finding, facts: Facts | None = None, **values) -> Report:
    given = {
        "tool": Tool(version="0.1.0", knowledge_date="2026-11-20"),
        "created": "2026-11-20T12:00:00+00:00",
        "command": ("attn-doctor", "check"),
        "goal": Goal.TRAIN,
        "target": Target(python=sys.executable, why="named", version="3.11.7"),
        "exit_code": 1,
        "undetermined": (),
        "trials": (),
        "recommendation": Recommendation(backend="eager", install_flash_attn="not-here", measured=True, summary=""),
        **values,
    }
    return Report(facts=facts or Facts(), findings=findings, **given)


def way(*steps: Step, cures: tuple[str, ...] = ("AD1",), intent=RIGHT, **values) -> Way:
    planned = tuple(PlannedStep(step=step) for step in steps)
    return Way(name="A", title="the title", intent=intent, goal=Goal.TRAIN, cures=cures, steps=planned, **values)


def python(code: str, interpreter: str) -> Run:
    return Run(argv=(interpreter, "-c", code), **WORDS)


class Said(list):
    def __call__(self, text: str) -> None:
        self.append(text)


def bare(tmp_path: Path, **values) -> Places:
    packages = tmp_path / "opt" / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "zork.py").write_text("it = 1\n")
    (tmp_path / "opt" / "bin").mkdir()
    given = {
        "python": str(tmp_path / "opt" / "bin" / "python3"),
        "version": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "base": os.path.realpath(sys.executable),
        "prefix": str(tmp_path / "opt"),
        "base_prefix": str(tmp_path / "opt"),
        "purelib": str(packages),
        "platlib": str(packages),
        "scripts": str(tmp_path / "opt" / "bin"),
        "data": str(tmp_path / "opt"),
        **values,
    }
    return Places(**given)


def install_numpy_1(patient: Patient) -> str:
    """Code that lays the older NumPy into the place of the newer one, in the environment whose Python runs it."""
    wheel = str(next(patient.house.glob("numpy-1.26.4-*")))
    return (
        "import glob, shutil, sysconfig, zipfile; site = sysconfig.get_path('purelib'); "
        f"[shutil.rmtree(p) for p in glob.glob(site + '/numpy*')]; zipfile.ZipFile({wheel!r}).extractall(site)"
    )
