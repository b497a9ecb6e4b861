"""The second of two conditions in rules of platforms and crashes, in a stated GPU, in names of failure modes and in words of wheels."""

from __future__ import annotations

import datetime as dt
import urllib.error

import pytest
from one_rule import found, told
from plan_reading import variable
from recorded_machines import MACHINES, read
from whole_machines import INTEL, RTX_4090, changed, gpu, packages, refused, with_flash_attn

from attn_doctor.errors import Refused
from attn_doctor.failure_modes import ALL, UnknownName, find
from attn_doctor.failure_modes.mode import Hit
from attn_doctor.failure_modes.page import page
from attn_doctor.judging import stated_gpu
from attn_doctor.knowledge.nearest_torch import Nearest, nearest_torch
from attn_doctor.knowledge.wheel_key import key_of
from attn_doctor.model.facts import AmdGpu, Distribution, Fault, Import, Toolkit, Unknown, Variable
from attn_doctor.model.findings import Certainty, Confidence, Goal, Severity
from attn_doctor.model.trials import Trial
from attn_doctor.wheels import online
from attn_doctor.wheels.answer import Wanted, answer, key_for

H = RTX_4090
UNKNOWN = Unknown("not asked")
NOTHING = Hit(message="m", evidence=())
BUILDS = read(next(folder for folder in MACHINES if folder.name == "rtx-4080-uv-without-wheel"))[0]
COMPILES = changed(BUILDS, interpreter__version="3.14.0", interpreter__tag="cp314")
STEP = "step\n"

# -- platforms


@pytest.mark.parametrize(
    ("changes", "met"),
    [
        ({}, True),
        ({"system__os": "windows"}, False),
        ({"system__distribution": None}, False),
        ({"system__distribution_version": "20.04"}, False),  # which has libtinfo5
        ({"toolchain__cuda_home": "/usr/local/cuda"}, False),
        ({"torch__cuda": None}, False),
        ({"graphics__pci": (INTEL,), "graphics__gpus": ()}, False),
    ],
)
def test_a_release_without_libtinfo5(changes, met):
    finding = found("libtinfo5-unavailable", changed(H, **changes))
    assert (finding and finding.severity) == (Severity.INFO if met else None)
    assert not met or finding.evidence[0].text == "this is ubuntu 24.04"


WINDOWS = changed(H, system__os="windows", toolchain__long_paths=False)


@pytest.mark.parametrize(
    ("changes", "met"),
    [
        ({}, True),
        ({"system__os": "linux"}, False),
        ({"toolchain__long_paths": True}, False),
        ({"flash_attention__version": "2.8.3"}, False),
    ],
)
def test_long_paths_that_are_off(changes, met):
    assert (found("windows-path-too-long", changed(WINDOWS, **changes)) is not None) is met


DEPENDS = " cuda-toolkit-12-4 : Depends: {} but it is not installable\n"
NSIGHT = " nsight-systems-2023.4.4 : Depends: libtinfo5 but it is not installable\n"


@pytest.mark.parametrize(("text", "met"), [(DEPENDS.format("libfoo"), True), (NSIGHT, False), (STEP, False)])
def test_apt_misses_something_else_than_libtinfo5(text, met):
    finding = told("apt-cuda-repo-mismatch", text)
    assert (finding is not None) is met
    assert not met or "apt cannot install cuda-toolkit-12-4" in finding.message
    assert not met or (finding.confidence is Confidence.HIGH and {line.line for line in finding.evidence} == {1})


MAC_BUILD = "creating build/temp.macosx-14.0-arm64-cpython-312\n"
UNSET = "OSError: CUDA_HOME environment variable is not set. Please set it to your CUDA install root.\n"


def test_on_a_mac_only_the_system_counts():
    mac = changed(H, system__os="darwin", graphics__gpus=(), graphics__pci=())
    assert found("macos-unsupported", mac).certainty is Certainty.OBSERVED
    assert found("macos-unsupported", H) is None


# -- compilers and crashes


FATAL = "Fatal Python error: Segmentation fault\n"
DUMPED = "Segmentation fault (core dumped)\n"
TORCH_FRAME = '  File "/v/lib/python3.11/site-packages/torch/cuda/__init__.py", line 491 in _lazy_init\n'
OTHERS = "zork one\n" * 40


@pytest.mark.parametrize(
    ("text", "confidence", "severity"),
    [
        (FATAL, "high", Severity.ERROR),
        (DUMPED, "low", Severity.ERROR),  # the log is short: it is of this program
        (f"{OTHERS}{DUMPED}", "low", Severity.INFO),
        (f"{OTHERS}{TORCH_FRAME}{DUMPED}", "high", Severity.ERROR),
        (f"{OTHERS}{FATAL}", "high", Severity.ERROR),
    ],
)
def test_a_crash_in_a_long_log_is_of_this_program_where_it_says_so(text, confidence, severity):
    finding = told("segfault", text)
    assert (finding.confidence.value, finding.severity) == (confidence, severity)
    assert finding.fixes
    assert told("segfault", TORCH_FRAME) is None


@pytest.mark.parametrize(
    ("module", "fault", "severity"),
    [
        ("cv2", Fault(kind="signal", signal="SIGSEGV"), Severity.ERROR),
        ("flash_attn", Fault(kind="signal", signal="SIGSEGV"), Severity.INFO),
        ("ultralytics", Fault(kind="signal", signal="SIGSEGV"), None),
        ("cv2", Fault(kind="signal", signal="SIGKILL"), None),
        ("cv2", Fault(kind="raised", type="ImportError", message="x"), None),
    ],
)
def test_an_import_that_crashes(module, fault, severity):
    facts = changed(H, imports=(Import(module=module, ok=False, fault=fault),))
    finding = found("segfault", facts, Goal.TRAIN)
    assert (finding and finding.severity) == severity


@pytest.mark.parametrize(
    ("changes", "severity"),
    [
        ({}, Severity.INFO),
        ({"torch__cuda": None}, None),
        ({"packages__distributions": packages(torch="2.15.0", triton="3.4.0")}, None),
    ],
)
def test_a_triton_that_is_missing(changes, severity):
    finding = found("triton-missing", changed(H, **changes))
    assert (finding and finding.severity) == severity


NVCC_12_4 = changed(
    COMPILES,
    graphics__gpus=(gpu("RTX 4090", "8.9"), gpu("RTX 5090", "12.0")),
    toolchain__toolkits=(
        Toolkit(root="/opt/other", version="11.8", found_by=()),
        Toolkit(root="/usr/local/cuda-12.4", version="12.4", found_by=("/usr/local/cuda",), missing_headers=()),
    ),
)


def test_an_nvcc_that_cannot_compile_for_the_gpu():
    finding = found("cross-compile-archs", NVCC_12_4)
    assert "(compute capability 12.0)" in finding.message
    assert [e.path for e in finding.evidence] == [
        "toolchain.toolkits.1.version",
        "graphics.gpus.1.compute_capability",
    ]
    assert found("cross-compile-archs", changed(NVCC_12_4, graphics__gpus=(gpu("RTX 4090", "8.9"),))) is None
    assert found("cross-compile-archs", changed(NVCC_12_4, graphics__gpus=())) is None
    assert found("cross-compile-archs", changed(NVCC_12_4, graphics__gpus=(gpu("V100", "7.0"),))) is None
    assert found("cross-compile-archs", COMPILES) is None


# -- torchvision


LOST = "libcudart.so.13: cannot open shared object file: No such file or directory"


@pytest.mark.parametrize(
    ("vision", "torch", "cuda", "said", "builds"),
    [
        ("0.29.2+cpu", "2.15.0+cpu", None, LOST, ""),
        ("0.29.2+cu132", "2.15.0+cpu", None, LOST, " (torchvision is a build for CUDA 13.2, torch is a CPU build)"),
        (
            "0.29.2+cu126",
            "2.15.0+cu132",
            "13.2",
            LOST,
            "(torchvision is a build for CUDA 12.6, torch is a build for CUDA 13.2)",
        ),
        ("0.29.2", "2.15.0+cpu", None, LOST, " (torchvision is a CUDA build, torch is a CPU build)"),
        ("0.29.2", "2.15.0", None, LOST, " (torchvision is a CUDA build, torch is a CPU build)"),
        ("0.29.2", "2.15.0", "13.2", LOST, ""),
        ("0.29.2", "2.15.0", None, "undefined symbol: x", ""),
        (
            "0.29.2+cu126",
            "2.15.0",
            "13.2",
            "x",
            "(torchvision is a build for CUDA 12.6, torch is a build for CUDA 13.2)",
        ),
    ],
)
def test_the_builds_of_torchvision_and_torch_are_named_where_they_differ(vision, torch, cuda, said, builds):
    facts = changed(
        H,
        packages__distributions=packages(torch=torch, torchvision=vision, numpy="2.4.6"),
        torch__version=torch,
        torch__cuda=cuda,
        imports=(Import(module="torchvision", ok=False, fault=Fault(kind="raised", type="OSError", message=said)),),
    )
    message = found("torchvision-mismatch", facts).message
    assert ("(torchvision is" in message) is bool(builds)
    assert builds in message


# -- a stated GPU


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("8.9", ("the stated GPU", "8.9")),
        ("sm_90a", ("the stated GPU", "9.0")),
        ("compute_120", ("the stated GPU", "12.0")),
        ("3.0", ("the stated GPU", "3.0")),
        ("RTX 4090", ("GeForce RTX 4090", "8.9")),
        ("rtx-4090", ("GeForce RTX 4090", "8.9")),
        ("2.9", None),
        ("16.0", None),
        ("zork", None),
        ("", None),
    ],
)
def test_a_gpu_by_its_number_or_its_name(text, read):
    if read is None:
        with pytest.raises(Refused):
            stated_gpu.read(text)
    else:
        assert stated_gpu.read(text) == read


def test_a_stated_gpu_takes_the_place_of_all_others():
    here = changed(H, graphics__amd=(AmdGpu(name="MI300X", gfx="gfx942"),), graphics__rocm="7.1", graphics__driver=None)
    away = stated_gpu.elsewhere(here, "9.0")
    assert (away.graphics.amd, away.graphics.rocm, away.graphics.apple) == ((), None, False)
    assert (away.graphics.stated, away.graphics.pci) == (True, H.graphics.pci)
    assert isinstance(away.graphics.driver, Unknown)
    assert stated_gpu.elsewhere(H, "9.0").graphics.driver == H.graphics.driver
    assert [(g.compute_capability, g.visible, g.mig) for g in away.graphics.gpus] == [("9.0", True, False)]
    assert isinstance(away.torch.available, Unknown)
    assert away.torch.version == H.torch.version


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
        ("[SSL: CERTIFICATE_VERIFY_FAILED] x", "its certificate is not trusted: SSL_CERT_FILE"),
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
    assert told("environment-pollution", text).message.startswith("ultralytics asks for another numpy")


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
