"""The second of two conditions in the rules of installations, judged by facts, and in the choice of their cures."""

from __future__ import annotations

import pytest
from one_rule import found, told
from plan_reading import installs, variable
from recorded_machines import MACHINES, read
from whole_machines import RTX_4090, changed, gpu, packages, with_flash_attn

from attn_doctor.failure_modes import find
from attn_doctor.failure_modes.mode import Hit
from attn_doctor.model.facts import (
    Binary,
    Conflict,
    Fault,
    Import,
    Pin,
    Unknown,
    Variable,
)
from attn_doctor.model.findings import Certainty, Severity

H = RTX_4090
UNKNOWN = Unknown("not asked")
NOTHING = Hit(message="m", evidence=())
# A finished wheel of flash-attn fits this machine, and a project file pins its release.
WHEEL_FITS = read(next(folder for folder in MACHINES if folder.name == "rtx-4080-uv-without-wheel"))[0]


NO_TORCH = changed(
    H, torch__version=None, torch__importable=False, torch__fault=None, packages__distributions=packages(numpy="2.4.6")
)


@pytest.mark.parametrize(
    ("changes", "met"),
    [
        ({}, True),
        ({"torch__importable": True}, False),
        ({"torch__version": "2.8.0"}, False),
        ({"torch__fault": Fault(kind="raised", type="ModuleNotFoundError", message="x")}, True),
        ({"torch__fault": Fault(kind="raised", type="ImportError", message="x")}, False),
    ],
)
def test_a_torch_that_is_not_there(changes, met):
    finding = found("torch-missing", changed(NO_TORCH, **changes))
    assert (finding and finding.certainty) == (Certainty.OBSERVED if met else None)


def test_the_newest_torch_for_the_card_and_its_driver():
    (fix,) = find("torch-missing").fixes(NO_TORCH, NOTHING)
    assert installs(fix.steps[0]) == ("torch", "torchvision")
    assert all("==" in text for text in fix.steps[0].requirements)
    old = changed(NO_TORCH, graphics__gpus=(gpu("Tesla V100", "7.0"),), graphics__driver="535.183.01")
    (for_old,) = find("torch-missing").fixes(old, NOTHING)
    assert for_old.steps[0].requirements != fix.steps[0].requirements


# -- requirements


def broken(failed: object = UNKNOWN, **fault) -> object:
    made = Fault(**{"kind": "raised", "type": "ImportError", "message": "x", **fault})
    tried = (Import(module="ultralytics", ok=True), Import(module="requirements", ok=False, failed=failed, fault=made))
    return changed(H, imports=tried)


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        (broken("PIL.Image"), "PIL.Image"),
        (broken("checked:x.y"), "x.y"),
        (broken(where="/v/site-packages/scipy/x.py:3 in f"), "scipy"),
        (broken(), "a requirement of ultralytics"),
        (broken("PIL", where="/v/site-packages/scipy/x.py:3 in f"), "PIL"),
    ],
)
def test_a_requirement_that_does_not_import_is_named(facts, name):
    finding = found("requirements-missing", facts)
    assert finding.message.startswith(f"Importing {name} fails")
    assert finding.evidence[0].path == "imports.1.ok"
    assert len(finding.evidence) == (2 if facts.imports[1].fault.where else 1)


LACKS = (Conflict(package="ultralytics 8.4.190", requires="zork>=1", found=None),)


@pytest.mark.parametrize(
    ("imports", "severity", "said"),
    [
        ((Import(module="ultralytics", ok=True),), Severity.WARNING, True),
        ((), Severity.WARNING, True),
        ((Import(module="ultralytics", ok=False, fault=Fault(kind="signal")),), Severity.WARNING, False),
        ((Import(module="cv2", ok=False, fault=Fault(kind="signal")),), Severity.WARNING, True),
    ],
)
def test_a_requirement_that_is_not_installed(imports, severity, said):
    finding = found("requirements-missing", changed(H, packages__conflicts=LACKS, imports=imports))
    assert finding.severity is severity
    assert ("ultralytics itself imports" in finding.message) is said
    assert finding.message.startswith("ultralytics 8.4.190 needs zork, not installed here.")


def test_requirements_of_two_packages():
    both = (*LACKS, Conflict(package="torchvision 0.29.2", requires="frob", found=None))
    finding = found("requirements-missing", changed(H, packages__conflicts=both))
    assert finding.message.startswith("The installed packages need zork, frob, not")
    assert [e.path for e in finding.evidence] == ["packages.conflicts.0.requires", "packages.conflicts.1.requires"]


# -- files and variables


@pytest.mark.parametrize(("module", "met"), [("flash_attn_2_cuda", True), ("torchvision._C", False)])
def test_a_compiled_part_that_cannot_serve(module, met):
    useless = Binary(path="/f.so", module=module, cause="damaged", because=("it is cut",))
    facts = changed(with_flash_attn(H), imports=UNKNOWN, binaries=(useless,))
    assert ("does not work with this Python" in (found("flash-attn-stub-namespace", facts) or NOTHING).message) is met


@pytest.mark.parametrize(
    ("value", "met"),
    [("TRUE", False), ("1", True), ("true", True), ("0", False), (None, False)],
)
def test_a_variable_that_setup_py_ignores(value, met):
    facts = changed(
        H, environment=() if value is None else (Variable(name="FLASH_ATTENTION_FORCE_BUILD", value=value),)
    )
    finding = found("flash-attn-variable-ignored", facts)
    assert (finding is not None) is met
    assert not met or variable(finding.fixes[0].steps[0]) == ("FLASH_ATTENTION_FORCE_BUILD", "TRUE")


@pytest.mark.parametrize(
    ("value", "met"), [("80", False), ("80;90", False), ("86", True), ("80, 86 ", True), ("", False)]
)
def test_an_architecture_that_setup_py_does_not_know(value, met):
    facts = changed(WHEEL_FITS, environment=(Variable(name="FLASH_ATTN_CUDA_ARCHS", value=value),))
    finding = found("flash-attn-variable-ignored", facts)
    assert (finding is not None) is met
    assert not met or "ignores 86" in finding.message


# -- conflicts


HAVE = "ultralytics 8.2.103 requires numpy<2.0.0,>=1.23.0, but you have numpy {} which is incompatible.\n"
OTHERS = "zork 1.0 requires frob<2.0.0, but you have frob {} which is incompatible.\n"


@pytest.mark.parametrize(
    ("text", "severity", "lines"),
    [
        (HAVE.format("2.1"), Severity.WARNING, 1),
        (OTHERS.format("2.1"), Severity.INFO, 1),
        (OTHERS.format("2.1") + HAVE.format("2.1"), Severity.WARNING, 1),
        ("".join(HAVE.format(f"2.{n}") for n in range(6)), Severity.WARNING, 1),  # the last line says what is there now
        (OTHERS.format("2.1") + "ERROR: ResolutionImpossible: for help visit x\n", Severity.WARNING, 2),
    ],
)
def test_a_conflict_counts_where_attention_needs_the_package(text, severity, lines):
    finding = told("environment-pollution", text)
    assert finding.severity is severity
    assert len(finding.evidence) == lines


def test_a_wheel_that_the_project_names_for_another_python():
    def met(requirement: str) -> bool:
        pins = Pin(file="r.txt", line=1, requirement="torch"), Pin(file="r.txt", line=2, requirement=requirement)
        finding = found("wheel-platform-mismatch", changed(H, project__pins=pins))
        return finding is not None and finding.evidence[0].path == "project.pins.1.requirement"

    name = "https://host/flash_attn-2.8.3+cu12torch2.8cxx11abiTRUE-{0}-{0}-{1}.whl"
    assert not met(name.format("cp312", "linux_x86_64"))
    assert met(name.format("cp311", "linux_x86_64"))
    assert met(name.format("cp312", "win_amd64"))
