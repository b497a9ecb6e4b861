"""The second of two conditions in what several failure modes share: CUDA's start, culprits, requirements, builds, modules in front."""

from __future__ import annotations

import pytest
from whole_machines import RTX_4090, changed, gpu, packages, with_flash_attn

from attn_doctor.failure_modes.mode import Unsure
from attn_doctor.failure_modes.shared import building, cuda_start, fact_queries, in_front, requirements, symbols
from attn_doctor.failure_modes.shared.culprit import Culprit, culprit, missing_module
from attn_doctor.model.facts import (
    Binary,
    Compiler,
    Conflict,
    Fault,
    Import,
    Pin,
    Toolkit,
    Unknown,
    Variable,
)
from attn_doctor.model.findings import Severity

UNKNOWN = Unknown("not asked")


def raised(type_: str, message: str = "", **values) -> Fault:
    return Fault(kind="raised", type=type_, message=message, **values)


# -- CUDA's start


@pytest.mark.parametrize(
    ("by_driver", "by_torch", "code"),
    [
        ("100 no CUDA-capable device is detected", None, 100),
        (None, "RuntimeError: Unexpected error from cudaGetDeviceCount(). Error 804: forward compatibility", 804),
        ("100 none", "RuntimeError: Unexpected error from cudaGetDeviceCount(). Error 804: x", 100),
        (
            "libcuda.so.1 cannot be loaded",
            "RuntimeError: Unexpected error from cudaGetDeviceCount(). Error 804: x",
            804,
        ),
        (UNKNOWN, UNKNOWN, None),
        (None, "RuntimeError: no GPU", None),
    ],
)
def test_the_number_of_the_error_with_which_cuda_did_not_start(by_driver, by_torch, code):
    facts = changed(RTX_4090, graphics__cuda_error=by_driver, torch__cuda_error=by_torch)
    assert cuda_start.refused(facts) == code


@pytest.mark.parametrize(
    ("available", "by_driver", "asked"),
    [
        (True, None, False),
        (False, None, True),
        (False, "100 none", True),
        (False, UNKNOWN, False),
        (UNKNOWN, None, True),
    ],
)
def test_whether_a_probe_tried_to_start_cuda_in_vain(available, by_driver, asked):
    facts = changed(RTX_4090, torch__available=available, graphics__cuda_error=by_driver)
    assert cuda_start.asked(facts) is asked


def test_the_message_of_cuda_is_that_of_the_driver_where_it_has_one():
    assert cuda_start.evidence(changed(RTX_4090, graphics__cuda_error="100 none")).path == "graphics.cuda_error"
    assert cuda_start.evidence(changed(RTX_4090, torch__cuda_error="x")).path == "torch.cuda_error"


def test_a_gpu_counts_as_seen_unless_it_is_hidden():
    cards = tuple(gpu("a card", "8.9", visible=seen) for seen in (False, True, UNKNOWN))
    assert [index for index, _ in cuda_start.visible(changed(RTX_4090, graphics__gpus=cards))] == [1, 2]


@pytest.mark.parametrize(
    ("os", "wsl", "driver"),
    [
        ("linux", None, "linux"),
        ("linux", 2, "windows"),
        ("windows", None, "windows"),
        ("windows", UNKNOWN, "windows"),
        ("darwin", UNKNOWN, "linux"),
        ("linux", UNKNOWN, None),
        (UNKNOWN, None, None),
    ],
)
def test_whose_driver_it_is(os, wsl, driver):
    assert cuda_start.driver_os_or_none(changed(RTX_4090, system__os=os, system__wsl=wsl)) == driver


# -- questions about facts


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(kind="signal", signal="SIGSEGV"), "killed by SIGSEGV"),
        (Fault(kind="timeout", seconds=20.0), "no answer in 20 s"),
        (Fault(kind="vanished"), "no answer"),
        (Fault(kind="exited", exit_code=3), "it ended the process with exit code 3"),
        (raised("ImportError", "x is gone\nmore"), "ImportError: x is gone"),
        (raised("KeyboardInterrupt"), "KeyboardInterrupt"),
    ],
)
def test_a_fault_in_one_line(fault, said):
    assert fact_queries.message(fault) == said


def test_the_text_of_a_fault_is_its_message_and_its_traceback():
    assert fact_queries.text_of(raised("E", "a", traceback="b")) == "a\nb"
    assert fact_queries.text_of(raised("E", traceback="b")) == "b"
    assert fact_queries.text_of(None) == ""


@pytest.mark.parametrize(("container", "said"), [("docker", True), (None, False), (UNKNOWN, None)])
def test_a_container_that_is_not_known_is_not_assumed(container, said):
    assert fact_queries.in_container(changed(RTX_4090, system__container=container)) is said


@pytest.mark.parametrize(
    ("version", "cuda", "said"), [("2.8.0", "12.8", True), ("2.8.0", None, False), (None, UNKNOWN, False)]
)
def test_a_torch_that_is_not_there_is_no_cuda_build(version, cuda, said):
    assert fact_queries.cuda_build(changed(RTX_4090, torch__version=version, torch__cuda=cuda)) is said


def test_a_package_and_an_import_are_found_by_their_own_name():
    listed = packages(numpy="2.4.6", torch="2.15.0")
    tried = (Import(module="cv2", ok=True), Import(module="numpy", ok=False, fault=raised("ImportError", "bad")))
    facts = changed(RTX_4090, packages__distributions=listed, imports=tried)
    assert fact_queries.version(facts, "torch") == "2.15.0"
    assert fact_queries.version(facts, "zork") is None
    assert fact_queries.package_evidence(facts, "torch").path == "packages.distributions.1.version"
    assert fact_queries.package_evidence(facts, "zork").text == "zork is not installed"
    assert fact_queries.attempt(facts, "numpy").ok is False
    assert fact_queries.attempt_evidence(facts, "numpy").path == "imports.1.ok"
    assert fact_queries.attempt_evidence(facts, "numpy").text.endswith("ImportError: bad")
    assert fact_queries.attempt_evidence(facts, "cv2").text.endswith("it imports")
    assert fact_queries.attempt_evidence(facts, "zork").text == "zork was not imported"


# -- culprits


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (raised("ModuleNotFoundError", "No module named 'cv2'"), ("cv2", True)),
        (raised("ModuleNotFoundError", "No module named 'yaml.loader'"), ("yaml", False)),  # a part of it is missing
        (raised("ModuleNotFoundError", "No module named 'ultralytics'"), ("ultralytics", False)),
        (raised("ImportError", "No module named 'cv2'"), None),
        (raised("ImportError", "cannot import name 'Image' from 'PIL' (x)"), ("PIL", False)),
        (raised("AttributeError", "module 'numpy' has no attribute 'array'"), ("numpy", False)),
        (raised("ImportError", "cannot import name 'YOLO' from 'ultralytics' (x)"), None),
        (Fault(kind="signal", message="module 'numpy' has no attribute 'array'"), None),
        (raised("ImportError", "bad\nmodule 'numpy' has no attribute 'array'"), None),
        (Fault(kind="signal", where="/v/site-packages/PIL/Image.py:12 in <module>"), ("PIL", False)),
        (Fault(kind="signal", where="/v/lib/x.py:12"), None),
    ],
)
def test_the_package_that_stopped_an_import(fault, found):
    made = culprit(RTX_4090, fault, "ultralytics")
    assert (made and (made.module, made.is_missing)) == found


def test_a_culprit_is_named_by_the_distribution_that_is_installed():
    fault = raised("AttributeError", "module 'cv2' has no attribute 'gapi'")
    headless = changed(RTX_4090, packages__distributions=packages(numpy="2.4.6", opencv_python_headless="4.12.0"))
    assert culprit(headless, fault, "ultralytics") == Culprit("cv2", "opencv-python-headless", is_missing=False)
    assert culprit(RTX_4090, fault, "ultralytics").distribution == "opencv-python"
    unread = changed(RTX_4090, packages__distributions=UNKNOWN)
    assert culprit(unread, fault, "ultralytics").distribution == "opencv-python"


def test_a_module_that_is_not_there_is_named_from_the_message_alone():
    assert missing_module(raised("ModuleNotFoundError", "No module named 'yaml.loader'")) == "yaml"
    assert missing_module(raised("ImportError", "DLL load failed")) is None
    assert missing_module(Fault(kind="signal")) is None


# -- requirements


def lacks(*conflicts: tuple[str, str, str | None]):
    made = tuple(Conflict(package=who, requires=what, found=found) for who, what, found in conflicts)
    return requirements.missing(changed(RTX_4090, packages__conflicts=made))


def test_what_training_requires_and_is_not_there():
    found = lacks(
        ("zork 1.0", "pyyaml>=5", None),  # asked for by nobody who trains
        ("ultralytics 8.4.190", "numpy>=1.23", "1.20"),  # there, in another version
        ("ultralytics 8.4.190", "torch>=1.8", None),  # a failure mode of its own
        ("ultralytics 8.4.190", "not a requirement !", None),
        ("ultralytics 8.4.190", "opencv_python>=4.6", None),
        ("torchvision 0.29.2", "opencv-python", None),  # once is enough
    )
    assert [(one.place, one.name, one.specifier) for one in found] == [(4, "opencv-python", ">=4.6")]
    assert requirements.missing(changed(RTX_4090, packages__conflicts=UNKNOWN)) == ()


@pytest.mark.parametrize(
    ("names", "imports", "grave"),
    [
        (("opencv-python",), True, Severity.ERROR),
        (("opencv-python", "zork"), True, Severity.ERROR),
        (("zork",), True, Severity.WARNING),
        ((min(requirements.NOT_NEEDED_TO_TRAIN),), True, Severity.INFO),
        ((min(requirements.NOT_NEEDED_TO_TRAIN),), False, Severity.WARNING),
        ((min(requirements.NOT_NEEDED_TO_TRAIN), "zork"), True, Severity.WARNING),
    ],
)
def test_how_grave_a_missing_package_is(names, imports, grave):
    assert requirements.gravity(names, imports=imports) is grave


def lacking(*names: str):
    return [requirements.Missing(0, "ultralytics 8", name, ">=1") for name in names]


def test_a_long_list_of_missing_packages_is_cut():
    assert requirements.listed(lacking("a", "b"), most=2) == "a, b"
    assert requirements.listed(lacking("a", "b", "c", "d"), most=2) == "a, b and 2 more"


# -- builds


@pytest.mark.parametrize(
    ("pin", "installed", "python", "release"),
    [
        ("flash-attn==2.7.4", "2.8.1", "3.12.3", "2.7.4"),
        ("flash_attn===2.7.4", None, "3.12.3", "2.7.4"),
        ("flash-attn==2.7.*", "2.8.1+cu12", "3.12.3", "2.8.1"),
        ("flash-attn>=2.7", "2.8.1", "3.12.3", "2.8.1"),
        ("flash-attn==2.7.4,==2.7.3", "2.8.1", "3.12.3", "2.8.1"),
        ("flash-attn @ https://host/f.whl", "2.8.1", "3.12.3", "2.8.1"),
        ("zork==2.7.4", "2.8.1", "3.12.3", "2.8.1"),
        ("!!", "2.8.1", "3.12.3", "2.8.1"),
    ],
)
def test_the_flash_attn_that_would_be_built(pin, installed, python, release):
    facts = changed(
        RTX_4090,
        project__pins=(
            Pin(file="r.txt", line=1, requirement="torch==2.15"),
            Pin(file="r.txt", line=2, requirement=pin),
        ),
        flash_attention__version=installed,
        interpreter__version=python,
    )
    assert building.wanted_release(facts) == release


def test_without_a_pin_the_newest_release_for_this_python_is_built():
    newest = building.wanted_release(RTX_4090)
    assert building.wanted_release(changed(RTX_4090, project__pins=UNKNOWN)) == newest
    assert building.wanted_release(changed(RTX_4090, interpreter__version=UNKNOWN)) == newest
    assert building.wanted_release(changed(RTX_4090, interpreter__version="3.8.18")) != newest


KIT = Toolkit(root="/usr/local/cuda-12.8", version="12.8", found_by=("/usr/local/cuda, a link",), missing_headers=())
OTHER = Toolkit(root="/opt/cuda", version="12.4", found_by=("CUDA_HOME", "PATH"), missing_headers=())


@pytest.mark.parametrize(
    ("by", "root"),
    [
        (None, None),
        ("CUDA_HOME", "/opt/cuda"),
        ("nvcc on PATH", "/opt/cuda"),
        ("/usr/local/cuda", KIT.root),
        ("zork", None),
    ],
)
def test_the_toolkit_that_pytorch_would_build_with(by, root):
    facts = changed(RTX_4090, toolchain__toolkits=(KIT, OTHER), toolchain__cuda_home_by=by)
    chosen = building.toolkit(facts)
    assert (chosen and chosen.root) == root
    assert building.nvcc(facts) == (chosen and chosen.version)
    if chosen is OTHER:
        assert building.toolkit_path(facts, chosen) == "toolchain.toolkits.1"


@pytest.mark.parametrize(("os", "name"), [("linux", "g++"), ("windows", "cl")])
def test_the_compiler_that_would_be_called(os, name):
    compilers = (
        Compiler(name="gcc", path="/a", version=None),
        Compiler(name="cl", path="/b", version="19.4"),
        Compiler(name="g++", path="/c", version="13.3.0"),
    )
    assert building.host_compiler(changed(RTX_4090, system__os=os, toolchain__compilers=compilers)).name == name


def test_memory_that_is_not_known_is_not_guessed():
    with pytest.raises(Unsure):
        building.memory(changed(RTX_4090, system__available_bytes=None))


@pytest.mark.parametrize(
    ("facts", "runs"),
    [
        (RTX_4090, True),
        (changed(RTX_4090, system__os="darwin"), False),
        (changed(RTX_4090, torch__cuda=None), False),
        (with_flash_attn(RTX_4090), False),
        (with_flash_attn(RTX_4090, error="ImportError: x"), True),
    ],
)
def test_whether_setup_py_would_run(facts, runs):
    assert building.setup_would_run(facts) is runs


def test_a_file_that_cannot_load_is_no_working_flash_attn_where_nothing_was_imported():
    there = changed(with_flash_attn(RTX_4090), imports=UNKNOWN)
    assert building.works(there)
    broken = changed(there, binaries=(Binary(path="/v/f.so", module="flash_attn_2_cuda", verdict="fails"),))
    assert not building.works(broken)


# -- in front of the environment


def test_what_an_import_works_without_decides_whose_finding_it_is():
    failed = raised("ImportError", "bad")
    facts = changed(
        RTX_4090,
        environment=(Variable(name="HOME", value="/h"), Variable(name="PYTHONPATH", value="/x")),
        imports=(
            Import(module="cv2", ok=False, fault=failed, works_without="LD_LIBRARY_PATH"),
            Import(module="numpy", ok=False, fault=failed, works_without="PYTHONPATH and LD_LIBRARY_PATH"),
        ),
    )
    hit = in_front.stands_in_front(facts, ("PYTHONPATH", "user site"))
    assert [e.path for e in hit.evidence] == ["imports.1.ok", "environment.1.value"]
    assert hit.severity is Severity.ERROR
    fix = in_front.cure(facts, ("PYTHONPATH", "user site"))
    assert [(step.name, step.value) for step in fix.steps] == [("PYTHONPATH", None), ("LD_LIBRARY_PATH", None)]
    other = in_front.stands_in_front(facts, ("LD_LIBRARY_PATH",))
    assert [e.path for e in other.evidence] == ["imports.0.ok"]
    assert in_front.stands_in_front(facts, ("LD_PRELOAD",)) is None
    assert in_front.cure(facts, ("LD_PRELOAD",)) is None


def test_the_user_site_is_left_out_by_a_variable_that_is_set():
    facts = changed(RTX_4090, torch__importable=False, torch__works_without="user site")
    hit = in_front.stands_in_front(facts, ("user site",))
    assert hit.evidence[0].path == "torch.importable"
    (step,) = in_front.cure(facts, ("user site",)).steps
    assert (step.name, step.value) == ("PYTHONNOUSERSITE", "1")


def test_a_symbol_of_one_release_is_named_by_it():
    """No torch symbol: nothing is told of a release; and a title that was cut short behind a SourceLocation is of the ABI."""
    assert symbols.built_for("zork") is None
    assert symbols.of_abi("_ZN3c105ErrorC2ENS_14SourceLocationENSt7__cxx1112basic_str") is True
    assert symbols.undefined("symbol foo, version V1 not defined in file libx.so with link time reference") == "foo"
    assert symbols.undefined("undefined symbol: bar, version V2") == "bar"
    assert symbols.undefined("nothing") is None
