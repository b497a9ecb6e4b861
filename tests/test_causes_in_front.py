"""What stands in front of the real torch is the root of whatever it does there; and no cure is the next failure."""

from __future__ import annotations

import pytest
from ailing_machines import environment, static
from whole_machines import RTX_4090, changed, packages

from attn_doctor.failure_modes import find
from attn_doctor.fixes.plan_builder import make
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.model.facts import Binary, Conflict, Facts, Fault, Import, Shadow, Unknown
from attn_doctor.model.findings import Finding, Goal, Severity
from attn_doctor.model.machine import implied_goal
from attn_doctor.probes.ask import Module
from attn_doctor.probes.torch import from_files
from attn_doctor.report import machine_summary

DEATHS = {
    "raised": Fault(kind="raised", type="ImportError", message="cannot import name 'Tensor' from 'torch'"),
    "exited": Fault(kind="exited", exit_code=3, where="torch"),
    "segfault": Fault(kind="signal", signal="SIGSEGV"),
    "abort": Fault(kind="signal", signal="SIGABRT"),
    "timeout": Fault(kind="timeout", seconds=120.0),
    "vanished": Fault(kind="vanished", seconds=120.0),
}
GONE = Unknown("torch does not import")


def dying(fault: Fault, **more: object) -> Facts:
    """A machine whose torch dies on import, and of which nothing else was seen."""
    return changed(
        RTX_4090,
        torch__importable=False,
        torch__fault=fault,
        torch__available=GONE,
        torch__cuda_error=GONE,
        torch__numpy_bridge=GONE,
        imports=(Import(module="numpy", ok=True),),
        **more,
    )


HIDES = "torch: /opt/site/torch/__init__.py hides /venv/lib/python3.12/site-packages/torch/__init__.py"


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("variables", [{"PYTHONPATH": "/opt/site"}, {}], ids=["PYTHONPATH", "user site"])
def test_another_torch_in_front_is_the_root_of_every_way_to_die(death, variables):
    facts = dying(DEATHS[death], interpreter__differs_isolated=(HIDES,), environment=environment(**variables))
    findings = diagnose(facts, Goal.TRAIN).findings
    assert [f.slug for f in findings if f.root_cause] == ["environment-pollution"]
    assert findings[0].severity is Severity.ERROR
    step = findings[0].fixes[0].steps[0]
    assert step.name == ("PYTHONPATH" if variables else "PYTHONNOUSERSITE")


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("cause", ["environment-pollution", "ld-library-path-shadowing"])
def test_every_finding_of_a_torch_that_dies_is_a_consequence_of_what_stands_in_front(cause, death):
    slugs = {f.slug for f in diagnose(dying(DEATHS[death]), Goal.FLASH_ATTN).findings if f.severity is Severity.ERROR}
    of_torch = slugs & {"torch-install-broken", "import-hang", "segfault", "torchvision-mismatch"}
    assert of_torch
    assert of_torch <= set(find(cause).MODE.explains)


def test_a_requirement_that_is_not_met_is_no_cause_of_a_hang():
    unmet = Conflict(package="torch 2.15.0", requires="triton==3.9.0", found="3.8.0")
    findings = diagnose(dying(DEATHS["timeout"], packages__conflicts=(unmet,)), Goal.TRAIN).findings
    assert next(f for f in findings if f.slug == "import-hang").root_cause


def test_nothing_is_installed_before_what_stands_in_front_is_gone():
    unmet = Conflict(package="torch 2.14.1", requires="nvidia-cudnn-cu13==9.20.0", found=None)
    facts = changed(
        RTX_4090,
        interpreter__differs_isolated=(HIDES,),
        environment=environment(PYTHONPATH="/opt/site"),
        packages__conflicts=(unmet,),
        packages__distributions=packages(torch="2.15.0", torchvision="0.21.0", numpy="2.4.6"),
    )
    plan = make(facts, diagnose(facts, Goal.TRAIN).findings, Goal.TRAIN)
    assert [way.variables() for way in plan.ways] == [{"PYTHONPATH": None}]
    assert not any(way.runnable() for way in plan.ways)
    assert any("Examine again" in note for note in plan.notes)


# -- a wheel of another release beside torch, and LD_LIBRARY_PATH


def test_a_wheel_of_the_wrong_release_is_cured_by_the_release_that_torch_asks_for():
    said = "libcusparse.so.12: undefined symbol: __nvJitLinkComplete_12_4, version libnvJitLink.so.12"
    unmet = Conflict(package="torch 2.5.1", requires="nvidia-nvjitlink-cu12==12.4.127", found="12.1.105")
    facts = dying(Fault(kind="raised", type="ImportError", message=said), packages__conflicts=(unmet,))
    findings = diagnose(facts, Goal.TRAIN).findings
    assert "ld-library-path-shadowing" not in {f.slug for f in findings}
    assert findings[0].slug == "environment-pollution"
    assert findings[0].severity is Severity.ERROR
    assert findings[0].fixes[0].steps[0].argv[-1] == "nvidia-nvjitlink-cu12==12.4.127"


def test_the_same_error_under_a_path_that_holds_the_library_is_of_the_path():
    said = "libcusparse.so.12: undefined symbol: __nvJitLinkComplete_12_4, version libnvJitLink.so.12"
    facts = dying(
        Fault(kind="raised", type="ImportError", message=said),
        environment=environment(LD_LIBRARY_PATH="/opt/cuda/lib64"),
        toolchain__library_path=(Shadow(folder="/opt/cuda/lib64", libraries=("libnvJitLink.so.12",)),),
    )
    finding = diagnose(facts, Goal.TRAIN).findings[0]
    assert (finding.slug, finding.fixes[0].title) == ("ld-library-path-shadowing", "Unset LD_LIBRARY_PATH")


# -- cures that are not the next failure


def _found(facts: Facts, slug: str, goal: Goal = Goal.TRAIN) -> Finding:
    return next(f for f in diagnose(facts, goal).findings if f.slug == slug)


@pytest.mark.parametrize(
    ("torch", "requires", "wanted"),
    [
        ("2.2.2+cpu", "numpy<=2.1.1,>=1.23.0", "numpy<2,<=2.1.1,>=1.23.0"),
        ("2.1.0", "numpy>=1.22.2", "numpy<2,>=1.22.2"),
        ("2.8.0+cpu", "numpy<=2.1.1,>=1.23.0", "numpy<=2.1.1,>=1.23.0"),
    ],
)
def test_a_numpy_that_torch_cannot_use_is_not_advised(torch, requires, wanted):
    unmet = Conflict(package="ultralytics 8.3.78", requires=requires, found="1.21.6")
    facts = changed(RTX_4090, torch__version=torch, packages__conflicts=(unmet,))
    argv = _found(facts, "environment-pollution").fixes[0].steps[0].argv
    assert sorted(argv[-1].removeprefix("numpy").split(",")) == sorted(wanted.removeprefix("numpy").split(","))


@pytest.mark.parametrize("package", ["typing_extensions", "sympy", "networkx"])
def test_an_old_small_package_is_brought_up_to_date_before_torch_is_installed_again(package):
    said = f"cannot import name 'deprecated' from '{package}' (/venv/lib/python3.12/site-packages/{package}.py)"
    facts = dying(Fault(kind="raised", type="ImportError", message=said))
    step = _found(facts, "torch-install-broken").fixes[0].steps[0]
    assert (step.upgrade, step.requirements) == (True, (package.replace("_", "-"),))


@pytest.mark.parametrize("driver", ["550.54.15", "535.161.08", "470.42.01"])
def test_no_torch_is_advised_that_the_driver_here_refuses(driver):
    old = changed(
        RTX_4090,
        torch__version="2.2.2+cu118",
        torch__cuda="11.8",
        torch__numpy_bridge=False,
        torch__numpy_error="RuntimeError: Numpy is not available",
        graphics__driver=driver,
        interpreter__version="3.11.9",
        packages__distributions=packages(torch="2.2.2", torchvision="0.17.2", numpy="2.4.6"),
    )
    for fix in _found(old, "numpy-abi").fixes:
        for step in fix.steps:
            if "torch" in step.names():
                assert not step.upgrade
                assert any(text.startswith("torch==") for text in step.requirements)
                assert "cu13" not in step.index_url


# -- what files show


def test_a_file_or_folder_that_hides_torch_is_said_as_what_it_is(tmp_path):
    shim = tmp_path / "torch"
    shim.mkdir()
    (shim / "__init__.py").write_text("while True: pass\n")
    installed = packages(torch="2.14.1")
    found = from_files(Module(name="torch", origin=str(shim / "__init__.py"), folders=(str(shim),)), installed)
    assert found.shim == str(shim / "__init__.py")
    assert "is no torch" in found.cuda.why
    assert "torch/version.py is not there" not in found.cuda.why
    assert from_files(Module(name="torch", folders=(str(shim),)), installed).shim == str(shim)
    gone = from_files(Module(name="torch"), installed)
    assert "nothing of that name is there" in gone.cuda.why


@pytest.mark.parametrize("shim", ["/opt/stubs/torch/__init__.py", "/home/user/project/torch.py", "/opt/stubs/torch"])
def test_a_stub_that_hides_torch_is_an_error_by_its_files(shim):
    away = Unknown(f"{shim} is found under the name torch, and is no torch")
    facts = static(
        changed(
            RTX_4090,
            torch__shim=shim,
            torch__cuda=away,
            torch__hip=away,
            interpreter__differs_isolated=(f"torch in {shim} hides /venv/torch",),
            environment=environment(PYTHONPATH="/opt/stubs"),
        )
    )
    findings = diagnose(facts, Goal.TRAIN).findings
    assert (findings[0].slug, findings[0].severity) == ("environment-pollution", Severity.ERROR)
    broken = next(f for f in findings if f.slug == "torch-install-broken")
    assert broken.explained_by == findings[0].code
    assert shim in broken.message
    row = next(f for f in machine_summary.at_a_glance(facts) if f.label == "torch")
    assert row.text == f"2.15.0+cu132 is installed, and {shim} hides it"
    assert row.tone == "bad"


FLASH = Binary(
    module="flash_attn_2_cuda",
    path="/venv/flash_attn_2_cuda.so",
    verdict="fails",
    cause="torch-version",
    because=("it asks for c10::Error::Error(c10::SourceLocation), which nothing here exports",),
)


def test_a_flash_attn_that_cannot_load_by_its_files_implies_the_goal_that_a_failed_import_does():
    read = changed(RTX_4090, flash_attention__version="2.7.4.post1", binaries=(FLASH,))
    goal, why = implied_goal(static(read))
    assert goal is Goal.FLASH_ATTN
    assert "by its files" in why
    errors = {f.slug for f in diagnose(static(read), goal).findings if f.severity is Severity.ERROR}
    assert "abi-mismatch-torch-version" in errors
    assert implied_goal(read)[0] is Goal.TRAIN  # it was imported, and nothing failed


def _flash(**more: object) -> str:
    return next(f.text for f in machine_summary.at_a_glance(changed(RTX_4090, **more)) if f.label == "flash-attn")


def test_the_row_says_which_kind_of_flash_attn_is_not_there():
    failed = Import(module="flash_attn", ok=False, fault=DEATHS["raised"])
    assert _flash() == "not installed"
    assert _flash(imports=(failed,)) == "no package of that name; a module flash_attn is there, and cannot be imported"
    assert _flash(flash_attention__namespace_only=True).endswith("a folder flash_attn without code is there")
    assert "importing it fails" in implied_goal(changed(RTX_4090, imports=(failed,)))[1]
    assert "installed" not in implied_goal(changed(RTX_4090, imports=(failed,)))[1]


# -- CUDA_HOME


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("/opt/gone", "does not exist"),
        ("/usr/local/cuda:/opt/cuda", "is a list of 2 folders; it has to be one"),
        ("/usr/bin/nvcc", "is a file; it has to be the folder of the toolkit"),
        ("/usr", "has no bin/nvcc"),
    ],
)
@pytest.mark.parametrize("cpu", [True, False], ids=["CPU torch", "CUDA torch"])
def test_a_cuda_home_that_is_no_toolkit_is_good_to_know(value, problem, cpu):
    facts = changed(
        RTX_4090,
        environment=environment(CUDA_HOME=value),
        toolchain__cuda_home=value,
        toolchain__cuda_home_by="CUDA_HOME",
        toolchain__cuda_home_problem=problem,
        graphics__gpus=(),
        graphics__pci=(),
        **({"torch__version": "2.15.0+cpu", "torch__cuda": None, "torch__available": False} if cpu else {}),
    )
    notes = [f for f in diagnose(facts, Goal.TRAIN).findings if "CUDA_HOME" in f.message or value in f.message]
    assert [f.severity for f in notes] == [Severity.INFO]
    assert notes[0].explained_by is None
    row = next(f.text for f in machine_summary.at_a_glance(facts) if f.label == "toolkit")
    assert row.endswith(f"CUDA_HOME is {value}, which {problem}")
    if cpu:
        wanted = [f for f in diagnose(facts, Goal.FLASH_ATTN).findings if f.slug == "cuda-home-malformed"]
        assert [f.severity for f in wanted] == [Severity.INFO]


def test_a_cuda_home_that_is_sound_or_not_set_is_no_note():
    assert "cuda-home-malformed" not in {f.slug for f in diagnose(RTX_4090, Goal.TRAIN).findings}
    guessed = changed(
        RTX_4090, torch__cuda=None, toolchain__cuda_home="/usr", toolchain__cuda_home_by="nvcc on PATH",
        toolchain__cuda_home_problem="has no include/cuda_runtime.h",
    )  # fmt: skip
    assert "cuda-home-malformed" not in {f.slug for f in diagnose(guessed, Goal.TRAIN).findings}
