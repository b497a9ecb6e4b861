"""The second of two conditions in rules of platforms, compilers and crashes, and in a stated GPU."""

from __future__ import annotations

import pytest
from one_rule import found, told
from recorded_machines import MACHINES, read
from whole_machines import INTEL, RTX_4090, changed, gpu, packages

from attn_doctor.errors import Refused
from attn_doctor.failure_modes.mode import Hit
from attn_doctor.judging import stated_gpu
from attn_doctor.model.facts import AmdGpu, Fault, Import, Toolkit, Unknown
from attn_doctor.model.findings import Certainty, Confidence, Goal, Severity

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
