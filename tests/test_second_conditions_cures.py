"""The second of two conditions in what cures choose from the facts of a machine."""

from __future__ import annotations

import pytest
from one_rule import found, told
from plan_reading import installs, variable
from recorded_machines import MACHINES, read
from whole_machines import RTX_4090, changed, packages, refused, with_flash_attn

from attn_doctor import commands
from attn_doctor.failure_modes import find
from attn_doctor.failure_modes.mode import Hit
from attn_doctor.failure_modes.model_code.model_not_built import NotBuilt
from attn_doctor.failure_modes.shared import building
from attn_doctor.fixes import step_safety
from attn_doctor.model.facts import Conflict, Fault, Import, Pin, Unknown, Variable
from attn_doctor.model.findings import Certainty, Severity

H = RTX_4090
UNKNOWN = Unknown("not asked")
NOTHING = Hit(message="m", evidence=())
WHEEL_FITS = read(next(folder for folder in MACHINES if folder.name == "rtx-4080-uv-without-wheel"))[0]


def pinned(requirement: str, facts=WHEEL_FITS):
    return changed(facts, project__pins=(Pin(file="r.txt", line=1, requirement=requirement),))


# -- CUDA and drivers


@pytest.mark.parametrize(
    ("code", "met"), [(35, False), (100, False), (802, False), (803, False), (804, False), (999, True), (34, True)]
)
def test_an_error_of_cuda_that_another_failure_mode_explains(code, met):
    assert (found("cuda-init-error", refused(H, code, "x")) is not None) is met


def test_cuda_that_does_not_start_and_says_why():
    broken = refused(H, 999, "unknown error")
    assert "is a stub" not in found("cuda-init-error", broken).message
    assert "is a stub" in found("cuda-init-error", refused(H, 34, "stub library")).message
    missing = changed(broken, graphics__uvm=False)
    assert "/dev/nvidia-uvm is missing" in found("cuda-init-error", missing).message
    assert len(found("cuda-init-error", missing).evidence) == 2
    silent = changed(H, torch__available=False, graphics__cuda_error="cuInit gave no answer", torch__cuda_error=None)
    assert found("cuda-init-error", silent) is not None
    assert found("cuda-init-error", changed(silent, graphics__cuda_error="odd")) is None
    by_torch = changed(silent, graphics__cuda_error=None, torch__cuda_error="RuntimeError: CUDA unknown error - x")
    assert found("cuda-init-error", by_torch) is not None
    assert found("cuda-init-error", changed(by_torch, torch__cuda=None)) is None
    assert found("cuda-init-error", changed(by_torch, graphics__gpus=())) is None
    assert found("cuda-init-error", changed(by_torch, system__wsl=2)) is None


INSUFFICIENT = "torch.AcceleratorError: CUDA error: CUDA driver version is insufficient for CUDA runtime version\n"
NOT_COMPATIBLE = (
    "NVIDIA GeForce RTX 5090 with CUDA capability sm_120 is not compatible with the current PyTorch installation.\n"
)


@pytest.mark.parametrize(
    ("text", "confidence", "says"),
    [
        (INSUFFICIENT, "high", "is older than the CUDA version for which torch was built"),
        (f"{NOT_COMPATIBLE}{INSUFFICIENT}", "low", "may be too old"),
    ],
)
def test_what_a_log_says_of_an_old_driver(text, confidence, says):
    finding = told("driver-too-old", text)
    assert finding.confidence.value == confidence
    assert says in finding.message
    assert [line.text for line in finding.evidence] == [INSUFFICIENT.strip()]


# -- wheels


def test_a_release_whose_wheels_are_listed_is_judged_by_its_own_list():
    """2.7.4 has wheels for torch 2.2, the newer releases have none."""
    facts = pinned(
        "flash-attn==2.7.4.post1",
        changed(WHEEL_FITS, torch__version="2.2.2+cu121", torch__cuda="12.1", torch__cxx11_abi=False),
    )
    assert building.wanted_release(facts) == "2.7.4.post1"
    answer = building.wheel_is_there(facts, "2.7.4.post1")
    assert answer.yes
    assert not building.would_be_built(facts)


@pytest.mark.parametrize(
    ("changes", "met"),
    [
        ({}, False),
        ({"interpreter__version": "3.14.0", "interpreter__tag": "cp314"}, True),
        ({"torch__cuda": None}, False),
        ({"system__os": "darwin"}, False),
    ],
)
def test_there_is_no_finished_wheel(changes, met):
    facts = changed(pinned("flash-attn==2.8.3"), **changes)
    assert (found("no-prebuilt-wheel", facts) is not None) is met


# -- versions of torch


BROKEN = changed(
    H,
    torch__importable=False,
    torch__fault=Fault(kind="raised", type="ImportError", message="x"),
    torch__version="2.8.0+cu128",
    packages__distributions=packages(torch="2.8.0+cu128", torchvision="0.23.0+cu128", numpy="2.2.6"),
)


def afresh(facts) -> list:
    return [fix for fix in found("torch-install-broken", facts).fixes if fix.title.startswith("Install torch")]


def test_all_is_installed_afresh_first_where_a_library_is_lost():
    lost = changed(
        BROKEN,
        torch__fault=Fault(kind="raised", type="ImportError", message="libcudnn.so.9: cannot open shared object file"),
    )
    assert [fix.title for fix in afresh(lost)] == ["Install torch and all that it needs afresh", "Install torch afresh"]
    assert [fix.title for fix in afresh(BROKEN)] == [
        "Install torch afresh",
        "Install torch and all that it needs afresh",
    ]


def test_a_module_that_torch_misses_is_installed_and_a_file_of_that_name_renamed():
    misses = changed(
        BROKEN, torch__fault=Fault(kind="raised", type="ModuleNotFoundError", message="No module named 'sympy'")
    )
    assert [fix.title for fix in found("torch-install-broken", misses).fixes] == ["Install sympy, which torch needs"]
    mine = changed(BROKEN, interpreter__shadowed_here=("torch.py",))
    assert found("torch-install-broken", mine).fixes[0].title == "Rename your own torch.py"
    folder = changed(BROKEN, interpreter__shadowed_here=("numpy.py", "torch/"))
    assert found("torch-install-broken", folder).fixes[0].title == "Rename your own torch/"
    other = changed(BROKEN, interpreter__shadowed_here=("torchy.py",))
    assert found("torch-install-broken", other).fixes[0].title == "Install torch afresh"


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault(kind="signal", signal="SIGSEGV"), "is killed by SIGSEGV"),
        (Fault(kind="timeout", seconds=20.0), "gives no answer in 20 s"),
        (Fault(kind="timeout"), "gives no answer in 0 s"),
        (Fault(kind="vanished"), "the process cannot be killed"),
        (Fault(kind="exited", exit_code=3), "with exit code 3"),
        (Fault(kind="raised", type="E", message="x", where="a.py:3"), "E: x (at a.py:3)"),
        (Fault(kind="raised", type="E", message="x", where="torch"), "E: x."),
        (Fault(kind="raised", type="ModuleNotFoundError", message="x"), "ModuleNotFoundError: x."),
    ],
)
def test_how_importing_torch_fails(fault, says):
    finding = found("torch-install-broken", changed(BROKEN, torch__fault=fault))
    assert says in finding.message
    assert finding.certainty is Certainty.OBSERVED
    assert finding.evidence[1].text.startswith("Python would import it from")


def test_a_torch_that_is_not_installed_is_not_broken():
    gone = Fault(kind="raised", type="ModuleNotFoundError", message="No module named 'torch'")
    assert found("torch-install-broken", changed(BROKEN, torch__version=None, torch__fault=gone)) is None


# -- what stands in front


def hidden(*texts: str, path: str = "/x", **values):
    return changed(
        H,
        interpreter__differs_isolated=texts,
        environment=(Variable(name="PYTHONPATH", value=path),),
        **values,
    )


NUMPY = "numpy: /x/numpy 1.0 hides 2.4.6"
ZORK = "zork: /x/zork 1.0 hides 2.0"


@pytest.mark.parametrize(
    ("facts", "severity"),
    [
        (hidden(NUMPY), Severity.WARNING),
        (hidden(ZORK), Severity.INFO),
        (hidden(ZORK, NUMPY), Severity.WARNING),
        (hidden(NUMPY, path="/y"), Severity.INFO),
        (hidden(NUMPY, path=""), Severity.INFO),
        (hidden(NUMPY, path="/y:/x"), Severity.WARNING),
        (hidden(ZORK, torch__importable=False), Severity.WARNING),
        (hidden("zork: is there"), None),
        (hidden(packages__duplicates=("numpy 1.0 and 2.0",)), Severity.WARNING),
        (hidden(packages__remnants=("~umpy",)), Severity.INFO),
        (hidden(packages__broken=("zork",)), Severity.INFO),
    ],
)
def test_how_grave_hidden_packages_are(facts, severity):
    finding = found("environment-pollution", facts)
    assert (finding and finding.severity) == severity


def conflict(requires: str, found: str | None = "1", package: str = "ultralytics 8.4"):
    return Conflict(package=package, requires=requires, found=found)


@pytest.mark.parametrize(
    ("conflicts", "met"),
    [
        ((conflict("numpy>=2"),), True),
        ((conflict("frob>=2"),), False),
        ((conflict("numpy>=2", None),), False),
        ((conflict("!!"),), False),
    ],
)
def test_a_conflict_of_packages_that_decide_about_attention(conflicts, met):
    facts = changed(H, packages__conflicts=conflicts, interpreter__differs_isolated=())
    assert (found("environment-pollution", facts) is not None) is met


def asked_for(*conflicts, torch: str = "2.15.0+cu132") -> list[tuple[str, ...]]:
    facts = changed(H, packages__conflicts=conflicts, torch__version=torch, interpreter__differs_isolated=())
    return [step.requirements for fix in found("environment-pollution", facts).fixes for step in fix.steps]


def test_what_the_packages_ask_for_is_installed_at_once():
    assert asked_for(conflict("numpy>=2"), conflict("frob>=2")) == [("numpy>=2",)]
    assert asked_for(conflict("numpy>=1.23"), torch="2.2.2") == [("numpy>=1.23,<2",)]
    assert asked_for(conflict("numpy>=1.23"), torch="2.8.0") == [("numpy>=1.23",)]
    (vision,) = asked_for(conflict("torch==2.3.0", "2.8.0", "torchvision 0.18.0"), torch="2.8.0")
    assert vision == ("torchvision==0.23.0",)


def test_a_package_with_two_records_is_removed_twice_and_put_in_once():
    facts = changed(
        H, packages__duplicates=("torch 2.8.0 and 2.15.0",), packages__conflicts=(), interpreter__differs_isolated=()
    )
    steps = found("environment-pollution", facts).fixes[0].steps
    assert [bool(installs(step)) for step in steps] == [False, False, True]
    assert steps[2].requirements == ("torch==2.15.0",)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, ("PYTHONPATH", None)),
        ({"environment": ()}, ("PYTHONNOUSERSITE", "1")),
    ],
)
def test_what_hides_packages_is_left_out(changes, named):
    fix = found("environment-pollution", changed(hidden(NUMPY), **changes)).fixes[0]
    assert variable(fix.steps[0]) == named


def test_what_an_interrupted_pip_left_is_removed_where_its_folder_is_known():
    left = hidden(packages__remnants=("~umpy",))
    (fix,) = found("environment-pollution", left).fixes
    assert fix.steps[0].paths == ("/venv/lib/python3.12/site-packages/~umpy",)
    assert found("environment-pollution", changed(left, interpreter__site_packages=UNKNOWN)).fixes == ()
    (by_hand,) = found("environment-pollution", changed(left, system__os="windows")).fixes
    assert not hasattr(by_hand.steps[0], "paths")


# -- models


@pytest.mark.parametrize(
    ("variant", "title"),
    [
        (NotBuilt(cause="no such model"), "Install an ultralytics that has this model"),
        (NotBuilt(cause="missing module", module="cv2"), "Install opencv-python"),
        (NotBuilt(cause="missing module", module="zork_of_mine"), None),
        (NotBuilt(cause="damaged"), "Install the same ultralytics again"),
    ],
)
def test_a_model_that_cannot_be_built(variant, title):
    (fix,) = find("model-not-built").fixes(H, Hit(message="m", evidence=(), variant=variant))
    assert title is None or fix.title == title
    assert fix.verify


def test_an_ultralytics_without_yolo12():
    old = changed(H, yolo__version="8.2.103", yolo__attention=None)
    assert found("model-not-built", old).certainty is Certainty.OBSERVED
    assert found("model-not-built", H) is None
    assert found("model-not-built", changed(old, yolo__version=None)) is None
    assert found("model-not-built", changed(old, yolo__attention=UNKNOWN)) is None


# -- steps


def test_a_control_character_is_refused_in_what_only_hands_can_do_too():
    assert step_safety.fault(commands.by_hand(("nvidia-smi",), "w", "c"), H) is None
    assert step_safety.fault(commands.by_hand(("nvidia-smi", "\x1b[2J"), "w", "c"), H) is not None


def test_the_newest_flash_attn_is_offered_against_an_illegal_access_only_where_it_is_installed():
    assert len(find("illegal-memory-access").fixes(H, NOTHING)) == 1
    assert len(find("illegal-memory-access").fixes(with_flash_attn(H), NOTHING)) == 2


def test_an_import_that_was_seen_to_work_goes_before_a_name():
    """The name of a wheel says CUDA 11; the extension imports all the same."""
    named = with_flash_attn(H, wheel_cuda="11")
    assert found("libcudart-missing", named) is None
    unseen = changed(named, imports=(Import(module="cv2", ok=True),))
    assert found("libcudart-missing", unseen) is not None
    assert found("libcudart-missing", changed(unseen, torch__cuda="11.8")) is None
    assert found("libcudart-missing", changed(unseen, torch__cuda=None)) is None
    assert found("libcudart-missing", changed(unseen, flash_attention__version=None)) is None
