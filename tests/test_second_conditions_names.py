"""The second of two conditions in names of failure modes, in words of wheels, and in rules of NumPy, forks and conflicts."""

from __future__ import annotations

import datetime as dt
import urllib.error

import pytest
from one_rule import found, told
from plan_reading import variable
from recorded_machines import MACHINES, read
from whole_machines import RTX_4090, changed, packages, refused, with_flash_attn

from attn_doctor.failure_modes import ALL, UnknownName, find
from attn_doctor.failure_modes.mode import Hit
from attn_doctor.failure_modes.page import page
from attn_doctor.knowledge.nearest_torch import Nearest, nearest_torch
from attn_doctor.knowledge.wheel_key import key_of
from attn_doctor.model.facts import Distribution, Import, Unknown, Variable
from attn_doctor.model.findings import Certainty, Severity
from attn_doctor.model.trials import Trial
from attn_doctor.wheels import online
from attn_doctor.wheels.answer import Wanted, answer, key_for

H = RTX_4090
UNKNOWN = Unknown("not asked")
NOTHING = Hit(message="m", evidence=())
BUILDS = read(next(folder for folder in MACHINES if folder.name == "rtx-4080-uv-without-wheel"))[0]
COMPILES = changed(BUILDS, interpreter__version="3.14.0", interpreter__tag="cp314")
STEP = "step\n"

# -- names of failure modes


def test_a_failure_mode_is_found_by_code_and_slug_in_any_case():
    for name in ("AD401", "ad401", "driver-too-old", "Driver-Too-Old"):
        assert find(name).MODE.slug == "driver-too-old"
    for name in ("AD4", "driver", "AD999"):
        with pytest.raises(UnknownName):
            find(name)
    assert [m.MODE.code for m in ALL] == sorted(m.MODE.code for m in ALL)


def test_the_references_of_a_page_are_whole_lines_and_its_paragraphs_are_one_line():
    made = page(find("driver-too-old"))
    assert all(text.startswith("http") or " " in text for text in made.sections["References"])
    assert all("\n" not in text for texts in made.sections.values() for text in texts)
    assert len(made.sections["References"]) > 1
    assert made.summary


# -- wheels


def test_the_nearest_torch_is_one_of_this_platform():
    near = nearest_torch(key_of(COMPILES), driver=None, os="linux")
    assert not isinstance(near, Nearest)  # no wheel at all for Python 3.14
    good = nearest_torch(key_of(changed(BUILDS, torch__version="2.9.1+cu128")), driver="580.1", os="linux")
    assert isinstance(good, Nearest)
    assert good.wheel.platform == "linux_x86_64"
    old = nearest_torch(key_of(changed(BUILDS, torch__version="2.9.1+cu128")), driver="470.1", os="linux")
    assert old != good


WHOLE = {"torch": "2.8.0", "python": "3.12", "platform": "linux_x86_64", "glibc": "2.35", "gpus": ("8.9",)}


@pytest.mark.parametrize(
    ("without", "whole"),
    [
        ((), True),
        (("torch",), False),
        (("python",), False),
        (("platform",), False),
        (("glibc",), False),
        (("gpus",), False),
    ],
)
def test_a_key_that_is_complete_without_a_target(without, whole):
    wanted = Wanted(**{name: value for name, value in WHOLE.items() if name not in without})
    assert wanted.whole is whole
    assert Wanted(**{**WHOLE, "glibc": None, "platform": "manylinux_2_28_x86_64"}).whole
    assert Wanted(**{**WHOLE, "glibc": None, "platform": "win_amd64"}).whole


def test_each_part_of_a_key_says_where_it_comes_from():
    _, sources = key_for(Wanted(python="3.11"), BUILDS)
    assert sources["python"] == "the command line"
    assert sources["torch"] == sources["cuda"] == "the target"
    made = answer(Wanted(python="3.11"), BUILDS)
    assert made.sources == sources
    assert {asked.release for asked in made.asked} > {"2.8.3"}
    assert {asked.release for asked in answer(Wanted(python="3.11", release="2.8.3"), BUILDS).asked} == {"2.8.3"}


def test_what_flash_attn_could_gain_is_told_of_a_row_that_was_measured():
    def notes(**values) -> bool:
        row = Trial(**{"backend": "sdpa-flash", "status": "ok", "dtype": "float16", "attention_share": 0.25, **values})
        return any("attention takes 25 %" in note for note in answer(Wanted(), BUILDS, [row]).notes)

    assert notes()
    assert not notes(status="failed")
    assert not notes(backend="sdpa")
    assert not notes(attention_share=None)


@pytest.mark.parametrize(("have", "size"), [({"a": 1, "b": 2}, 3), ({"a": 1}, None), ({"a": 0, "b": 2}, 2)])
def test_the_size_of_files_is_known_only_where_each_is(have, size):
    assert online.total(["a", "b"], have) == size


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (OSError(111, "Connection refused"), "Connection refused"),
        (OSError("odd"), "odd"),
        ("odd words", "odd words"),
        (TimeoutError(), "no answer in 15 s"),
        ("The read timed out", "no answer in 15 s"),
        (OSError(-2, "Name or service not known"), "its name cannot be resolved: is there a network here?"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] x", "its certificate is not trusted: set SSL_CERT_FILE"),
    ],
)
def test_why_an_address_was_not_reached(reason, words, monkeypatch):
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert online._words(reason).startswith(words)
    assert "through the proxy" not in online._words(reason)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert "through the proxy" in online._words(reason)


def test_an_answer_is_fresh_for_some_hours():
    assert dt.timedelta(hours=1) < online._FRESH < dt.timedelta(days=1)
    assert issubclass(urllib.error.URLError, OSError)


# -- flash-attn that is there


def test_a_fork_that_cannot_import_flash_attn():
    fork = changed(H, yolo__kind="fork", yolo__flash_error="ImportError: x", yolo__version="8.3.63")
    assert found("yolo12-flash-not-used", fork).certainty is Certainty.OBSERVED
    assert found("yolo12-flash-not-used", changed(fork, yolo__flash_error=None)) is None
    assert found("yolo12-flash-not-used", changed(fork, yolo__attention=None)) is None
    idle = found("yolo12-flash-not-used", with_flash_attn(H))
    assert (idle.severity, idle.certainty) == (Severity.INFO, Certainty.OBSERVED)
    assert found("yolo12-flash-not-used", H) is None
    assert found("yolo12-flash-not-used", changed(with_flash_attn(H), yolo__calls=("sdpa",))) is None


@pytest.mark.parametrize(
    ("versions", "bridge", "certainty"),
    [
        ({"numpy": "2.2.6"}, UNKNOWN, Certainty.PREDICTED),
        ({"numpy": "2.2.6"}, False, Certainty.OBSERVED),
        ({"numpy": "2.2.6"}, True, None),
        ({"numpy": "1.26.4"}, UNKNOWN, None),
        ({}, UNKNOWN, None),
    ],
)
def test_an_old_torch_beside_numpy_2(versions, bridge, certainty):
    facts = changed(
        H,
        torch__version="2.2.2+cu121",
        torch__numpy_bridge=bridge,
        torch__numpy_error="Numpy is not available",
        packages__distributions=packages(torch="2.2.2+cu121", **versions),
    )
    finding = found("numpy-abi", facts)
    assert (finding and finding.certainty) == certainty
    assert finding is None or len(finding.evidence) == (3 if bridge is False else 2)
    assert found("numpy-abi", changed(facts, torch__importable=False)) is None


@pytest.mark.parametrize(
    ("bridge", "imported", "yolo", "severity", "certainty"),
    [
        (False, None, "8.4.190", Severity.ERROR, Certainty.OBSERVED),
        (UNKNOWN, None, "8.4.190", Severity.ERROR, Certainty.PREDICTED),
        (UNKNOWN, None, None, Severity.INFO, Certainty.PREDICTED),
        (True, None, "8.4.190", None, None),
        (UNKNOWN, True, "8.4.190", None, None),
        (UNKNOWN, False, "8.4.190", Severity.ERROR, Certainty.PREDICTED),
    ],
)
def test_a_numpy_that_is_not_there(bridge, imported, yolo, severity, certainty):
    facts = changed(
        H,
        packages__distributions=packages(torch="2.15.0"),
        torch__numpy_bridge=bridge,
        yolo__version=yolo,
        imports=() if imported is None else (Import(module="numpy", ok=imported), Import(module="cv2", ok=True)),
    )
    finding = found("numpy-missing-or-old", facts)
    assert (finding and finding.severity, finding and finding.certainty) == (severity, certainty)


def test_a_folder_in_the_way_may_be_a_clone_and_a_file_is_not():
    def met(*names: str, loaded: tuple[str, ...] = ()):
        return found(
            "shadowed-by-folder", changed(H, interpreter__shadowed_here=names, interpreter__shadows_loaded=loaded)
        )

    assert met("torch.py").severity is Severity.ERROR
    assert met("ultralytics/").severity is Severity.WARNING
    assert met("ultralytics/", "torch.py").severity is Severity.ERROR
    assert met("queue.py") is None
    assert met("queue.py", loaded=("queue.py",)).severity is Severity.ERROR
    assert "imports it instead" in met("torch.py").message
    assert "imports them instead of the installed torch, ultralytics" in met("torch.py", "ultralytics/").message


def test_a_conflict_names_the_first_package():
    text = (
        "ultralytics 8.2.103 requires numpy<2.0.0,>=1.23.0, but you have numpy 2.1 which is incompatible.\n"
        "torchvision 0.17.2 requires torch==2.2.2, but you have torch 2.3.0 which is incompatible.\n"
    )
    exchanged = "torch 2.3.0 is installed now, and torchvision is built for torch 2.2.2: only torch was replaced."
    assert told("environment-pollution", text).message == exchanged
    assert told("environment-pollution", text.splitlines()[0]).message.startswith("ultralytics needs another numpy")


def test_a_variable_and_a_distribution_are_records_of_the_facts():
    named = changed(H, environment=(Variable(name="CUDA_VISIBLE_DEVICES", value="0"),))
    assert found("config-device-cpu", named) is None
    other = (Distribution(name="triton-windows", version="3.4", location="/v"),)
    assert found("triton-missing", changed(H, packages__distributions=other)) is None


def test_without_a_machine_the_variable_that_forces_a_build_is_set_to_true():
    finding = told("flash-attn-variable-ignored", "$ FLASH_ATTENTION_FORCE_CXX11_ABI=1 pip install flash-attn\n")
    assert variable(finding.fixes[0].steps[0]) == ("FLASH_ATTENTION_FORCE_BUILD", "TRUE")


def test_the_library_that_a_driver_refuses_is_evidence_where_it_is_known():
    def evidence(libcuda) -> list:
        broken = refused(H, 804, "forward compatibility was attempted on non supported HW")
        return found("cuda-forward-compat-804", changed(broken, graphics__libcuda=libcuda)).evidence

    assert [e.path for e in evidence("/usr/local/cuda/compat/libcuda.so.1")][1:] == ["graphics.libcuda"]
    assert len(evidence(UNKNOWN)) == 1
