"""The failure mode openmp-loaded-twice: an import that ended with the error, and the cure for the environment it is met in."""

from __future__ import annotations

import subprocess
import sys

import pytest
from ailing_machines import H
from one_rule import found
from whole_machines import changed

from attn_doctor.failure_modes import find
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.model.facts import Distribution, Facts, Fault, Import
from attn_doctor.model.findings import Goal
from attn_doctor.model.steps import RunByHand, SetVariable

SLUG = "openmp-loaded-twice"
SAID = (
    "OMP: Error #15: Initializing libiomp5md.dll, but found libiomp5md.dll already initialized.\nOMP: Hint This means"
)


def aborted(module: str, facts: Facts = H, said: str = SAID) -> Facts:
    """A machine on which importing a module ended so: exit code 3 is what abort() gives on Windows."""
    fault = Fault(kind="exited", exit_code=3, message=said)
    if module == "torch":
        return changed(facts, torch__importable=False, torch__fault=fault)
    return changed(facts, imports=(Import(module=module, ok=False, fault=fault),))


def in_conda(torch_by: str) -> Facts:
    torch = Distribution(name="torch", version="2.6.0", installer=torch_by)
    at = r"C:\Users\user\miniconda3\envs\vision"
    facts = changed(
        H, interpreter__kind="conda", interpreter__prefix=at, packages__distributions=(torch,), system__os="windows"
    )
    return aborted("torch", facts)


@pytest.mark.parametrize("module", ["torch", "cv2", "ultralytics"])
def test_an_import_that_says_so_is_found(module):
    hit = found(SLUG, aborted(module))
    assert hit.message == f"Importing {module} ends the process: it starts a second libiomp5md.dll."


def test_an_import_that_ends_otherwise_is_not():
    assert found(SLUG, H) is None
    assert found(SLUG, aborted("cv2", said="OMP: Error #34: System unable to allocate necessary resources")) is None


def test_the_crash_is_its_consequence():
    fault = Fault(kind="signal", signal="SIGABRT", message=SAID)
    facts = changed(H, imports=(Import(module="cv2", ok=False, fault=fault),))
    said = diagnose(facts, Goal.TRAIN, modules=[find(SLUG), find("segfault")]).findings
    assert [(f.slug, f.explained_by) for f in said] == [(SLUG, None), ("segfault", "AD319")]


def test_a_conda_environment_with_torch_of_pypi_does_without_mkl():
    steps = [fix.steps[0] for fix in found(SLUG, in_conda("pip")).fixes]
    assert steps[0].argv[:4] == ("conda", "install", "--prefix", r"C:\Users\user\miniconda3\envs\vision")
    assert steps[0].argv[-1] == "nomkl"
    assert isinstance(steps[1], SetVariable)


def test_elsewhere_the_program_starts_again_and_the_copies_are_looked_for_in_the_environment():
    for facts in (in_conda("conda"), aborted("torch")):
        (fix,) = found(SLUG, facts).fixes
        allow, look, _ = fix.steps
        assert isinstance(allow, SetVariable)
        assert "wrong results" in allow.why
        assert isinstance(look, RunByHand)
        assert look.argv[0] == facts.interpreter.python
        assert "sys.prefix" in look.argv[-1]


def test_the_command_that_looks_for_the_copies_lists_them(tmp_path):
    facts = aborted("torch")
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libiomp5md.dll").touch()
    program = found(SLUG, facts).fixes[0].steps[1].argv[-1]
    ran = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.prefix = {str(tmp_path)!r}; {program}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == [str(tmp_path / "lib" / "libiomp5md.dll")]
