"""Failure modes AD3xx: extensions, their libraries and their names, judged on machines of which everything is known."""

from __future__ import annotations

import pytest
from ailing_extensions import (
    NEW_ABI,
    OLD_ABI,
    PRESENT,
    H,
    hollow,
    torch_fault,
    undefined,
    unloaded,
    unopened,
)
from one_rule import found
from whole_machines import changed, packages, with_flash_attn

from attn_doctor.failure_modes import find
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.model.facts import Facts, Fault, Import, Pin, Shadow, Unknown
from attn_doctor.model.findings import Certainty, Goal, Severity

ABSENT = [
    ("libgl-missing", unloaded("cv2", "numpy.core.multiarray failed to import")),
    (
        "torchvision-mismatch",
        changed(H, packages__distributions=packages(torch="2.15.0", torchvision="0.24.0", numpy="2.4.6")),
    ),
    ("abi-mismatch-torch-version", with_flash_attn(H)),
    (
        "abi-mismatch-torch-version",
        with_flash_attn(H, wheel_torch="2.8"),
    ),  # it imported: what was observed beats its name
    ("abi-mismatch-torch-version", undefined(OLD_ABI)),
    ("abi-mismatch-torch-version", unopened("libcudart.so.12", wheel_torch="2.8")),
    ("abi-mismatch-cxx11", undefined("_ZN3c104cuda9SetDeviceEa")),
    ("abi-mismatch-cxx11", undefined(NEW_ABI)),
    ("libcudart-missing", undefined("_ZN3c104cuda9SetDeviceEa", wheel_cuda="12")),
    ("libcudart-missing", with_flash_attn(H, wheel_cuda="12")),
    (
        "libcudart-missing",  # a later release asks for the right one
        changed(
            H,
            torch__version="2.9.1+cu130",
            torch__cuda="13.0",
            project__pins=(Pin(file="requirements.txt", line=3, requirement="flash-attn==2.8.3.post2"),),
        ),
    ),
    (
        "ld-library-path-shadowing",
        torch_fault("libcudnn.so.9: cannot open shared object file: No such file or directory"),
    ),
    ("ld-library-path-shadowing", H),
    (  # the variable is not set: a wheel of another release lies beside torch, and unsetting nothing cures nothing
        "ld-library-path-shadowing",
        torch_fault("libcusparse.so.12: undefined symbol: __nvJitLinkComplete_12_4, version libnvJitLink.so.12"),
    ),
    (  # what is in front holds another library
        "ld-library-path-shadowing",
        changed(
            torch_fault("libcusparse.so.12: undefined symbol: __nvJitLinkComplete_12_4, version libnvJitLink.so.12"),
            toolchain__library_path=(Shadow(folder="/opt/cudnn/lib", libraries=("libcudnn.so.9",)),),
        ),
    ),
    ("glibc-too-old", with_flash_attn(H)),
    (
        "glibc-too-old",
        changed(with_flash_attn(H, version="2.7.4.post1"), imports=Unknown("--static"), system__glibc="2.28"),
    ),
    (
        "glibcxx-too-old",
        with_flash_attn(H, error="ImportError: /lib64/libc.so.6: version `GLIBC_2.32' not found (required by x.so)"),
    ),
    (
        "windows-dll-missing",
        changed(
            with_flash_attn(
                H,
                error="ImportError: DLL load failed while importing flash_attn_2_cuda: The specified procedure could not be found.",
            ),
            system__os="windows",
        ),
    ),
    ("flash-attn-stub-namespace", H),
    ("flash-attn-stub-namespace", hollow(torch__hip="6.3")),  # there the Triton backend has no such module
    ("numpy-missing-or-old", H),
    ("import-hang", torch_fault("libcudnn.so.9: cannot open shared object file")),
    ("flash-attn-4-namespace", with_flash_attn(H)),
]


@pytest.mark.parametrize(("slug", "facts", "says"), PRESENT)
def test_it_is_found_and_says_both_sides(slug, facts, says):
    finding = found(slug, facts)
    assert finding is not None
    assert says in finding.message
    assert finding.evidence


@pytest.mark.parametrize(("slug", "facts"), ABSENT)
def test_it_is_not_found_in_a_look_alike(slug, facts):
    assert found(slug, facts) is None


@pytest.mark.parametrize("slug", sorted({slug for slug, _, _ in PRESENT}))
def test_the_healthy_machine_has_none_of_them(slug):
    assert found(slug, H) is None
    assert found(slug, with_flash_attn(H)) is None


@pytest.mark.parametrize("slug", sorted({slug for slug, _, _ in PRESENT}))
def test_nothing_is_made_of_what_is_not_known(slug):
    assert found(slug, Facts()) is None


def test_what_only_stops_flash_attn_is_a_note_for_training():
    broken = undefined("_ZN3c104cuda9SetDeviceEa")
    assert found("abi-mismatch-torch-version", broken, Goal.TRAIN).severity is Severity.INFO
    assert found("abi-mismatch-torch-version", broken, Goal.FLASH_ATTN).severity is Severity.ERROR
    assert found("abi-mismatch-torch-version", broken).certainty is Certainty.OBSERVED


def test_a_mismatch_that_cannot_be_told_names_the_fact_that_would_tell():
    facts = changed(with_flash_attn(H), imports=Unknown("--static"), flash_attention__wheel_torch=Unknown("built here"))
    diagnosis = diagnose(facts, Goal.FLASH_ATTN, modules=[find("abi-mismatch-torch-version")])
    assert diagnosis.findings == ()
    assert diagnosis.undetermined[0].needs == ("flash_attention.wheel_torch",)


def test_a_crash_of_an_extension_is_told_by_its_signal():
    fault = Fault(kind="signal", signal="SIGSEGV")
    facts = changed(with_flash_attn(H), imports=(Import(module="flash_attn_2_cuda", ok=False, fault=fault),))
    assert "killed by SIGSEGV" in found("segfault", facts).message
    assert found("segfault", with_flash_attn(H)) is None


def test_flash_attn_beside_a_model_that_never_calls_it():
    fork = changed(H, yolo__kind="fork", yolo__flash_error="No module named 'flash_attn'")
    assert "never calls flash-attn" in found("yolo12-flash-not-used", with_flash_attn(H)).message
    assert "runs eager attention instead: No module" in found("yolo12-flash-not-used", fork).message
    assert found("yolo12-flash-not-used", H) is None
