"""The compiler and the architecture that the nvcc of a log takes. Limits by hand: crt/host_config.h, CUDA_GCC_VERSIONS of torch's cpp_extension, and the
release notes of CUDA for the first release that knows an architecture.
"""

from __future__ import annotations

import msgspec
import pytest
from first_cures import cures, first

from attn_doctor.commands import host_compilers
from attn_doctor.knowledge import cuda
from attn_doctor.model.facts import Facts

STUDIO = (
    "C:\\Program Files\\NVIDIA GPU Computing Toolkit\\CUDA\\v{0}\\include\\crt/host_config.h(157): fatal error C1189: #error:  -- unsupported "
    "Microsoft Visual Studio version! Only the versions between 2017 and {1} (inclusive) are supported!\n"
)
NVCC = "C:\\\\Program Files\\\\NVIDIA GPU Computing Toolkit\\\\CUDA\\\\v{}\\\\bin\\\\nvcc.exe"
OLD_GCC = 'seg.h:4:2: error: #error "You\'re trying to build PyTorch with a too old version of GCC. We need GCC 9 or later."\n'
REFUSED = "nvcc fatal   : Unsupported gpu architecture 'compute_{}'\n"
RELEASE = "Cuda compilation tools, release {}, V{}.1\n"


@pytest.mark.parametrize(
    ("text", "toolset"),
    [
        (STUDIO.format("11.4", 2019), "14.29"),
        (STUDIO.format("12.1", 2022), "14.38"),
        # The error names no year, the command the release.
        (
            f"cl.h(3): error STL1002: Unexpected compiler version\nerror: command '{NVCC.format('11.5')}' failed\n",
            "14.29",
        ),
        (
            f"cl.h(3): error STL1002: Unexpected compiler version\nerror: command '{NVCC.format('11.6')}' failed\n",
            "14.38",
        ),
        # No release, the year alone.
        (
            (
                "C:\\seg>pip install seg\nnvcc fatal   : nvcc cannot find a supported version of Microsoft Visual Studio. Only the versions between "
                "2017 and 2019 (inclusive) are supported!\n"
            ),
            "14.29",
        ),
    ],
)
def test_the_toolset_is_one_that_nvcc_takes(text, toolset):
    facts, finding = first(text)
    assert (facts.system.os, finding.slug) == ("windows", "host-compiler-unsupported")
    install, prompt, variable = finding.fixes[-1].steps
    assert f"Component.VC.{toolset}." in install.argv[-1]
    assert prompt.argv[0] == "call"
    assert prompt.argv[-1] == f"-vcvars_ver={toolset}"
    assert (variable.name, variable.value) == ("DISTUTILS_USE_SDK", "1")


@pytest.mark.parametrize(
    ("text", "gcc"),
    [
        (OLD_GCC, 11),
        (f"Using /h/.cache/torch_extensions/py311_cu121 as PyTorch extensions root...\n{OLD_GCC}", 12),
        (f"Using /h/.cache/torch_extensions/py311_cu118 as PyTorch extensions root...\n{OLD_GCC}", 11),
        (f"Using /h/.cache/torch_extensions/py312_cu128 as PyTorch extensions root...\n{OLD_GCC}", 13),
        (f"{RELEASE.format('11.3', '11.3')}{OLD_GCC}", 10),
        (
            "RuntimeError: The current installed version of g++ (14.2.0) is greater than the maximum required version by CUDA 12.8 (14.0.0).\n",
            14,
        ),
    ],
)
def test_the_gcc_is_one_that_nvcc_takes(text, gcc):
    assert f"export CXX=/usr/bin/g++-{gcc}" in cures(text)[-1]


def test_where_no_limit_is_known_the_limits_are_said():
    _, finding = first('/usr/include/stdlib.h(141): error: identifier "_Float32" is undefined\n')
    assert "12 from CUDA 12.0 on, 13 from CUDA 12.3 on, 14 from CUDA 12.8 on" in finding.fixes[-1].steps[0].why


@pytest.mark.parametrize(
    ("text", "floor", "archs"),
    [
        (RELEASE.format("11.3", "11.3") + REFUSED.format("89"), "Install the CUDA 11.8 toolkit", "8.6+PTX"),
        (RELEASE.format("12.4", "12.4") + REFUSED.format("120"), "Install the CUDA 12.8 toolkit", "9.0+PTX"),
        (
            REFUSED.format("120"),
            "If it is older than 12.8, write RELEASE=12.8",
            None,
        ),  # of which major torch is, nothing tells
    ],
)
def test_the_toolkit_is_one_that_knows_the_architecture(text, floor, archs):
    _, finding = first(text)
    newer, older = finding.fixes
    assert floor in " ".join((newer.title, *(step.why for step in newer.steps)))
    assert cures(text)[-1] == [archs and f"export TORCH_CUDA_ARCH_LIST={archs}"]
    assert archs or "nvcc --list-gpu-arch" in older.steps[0].why


def test_an_architecture_that_was_dropped_needs_no_newer_toolkit():
    _, finding = first(REFUSED.format("50"))
    assert not [
        step.why for fix in finding.fixes for step in fix.steps if "not older than" in step.why or "+PTX" in step.why
    ]


def test_a_torch_of_an_older_major_has_no_toolkit_for_a_new_gpu():
    _, finding = first(f"torch.__version__ = 2.5.1+cu118\n{RELEASE.format('11.8', '11.8')}{REFUSED.format('120')}")
    assert [fix.title for fix in finding.fixes] == [
        "Compile for an older architecture",
        "Use a torch that is built for CUDA 12.8 or newer",
    ]


@pytest.mark.parametrize(
    ("release", "device", "newest"),
    [("11.0", "8.9", "8.0"), ("12.8", "10.3", "10.0"), ("12.8", "8.9", "8.9"), ("9.2", "8.9", None)],
)
def test_the_newest_architecture_that_a_gpu_runs(release, device, newest):
    assert cuda.newest_device_of(release, device) == newest


@pytest.mark.parametrize(
    ("release", "gcc"),
    [("10.2", 8), ("11.0", 9), ("11.6", 10), ("11.7", 11), ("11.8", 11), ("13.0", 15), ("9.0", None)],
)
def test_the_newest_gcc_of_a_release(release, gcc):
    assert cuda.newest_gcc(release) == gcc


WARNING = (
    "UserWarning: Error checking compiler version for cl: [WinError 2] The system cannot find the file specified\n"
)


def test_an_error_that_names_visual_studio_is_of_windows():
    text = "host_config.h(160): fatal error C1189: #error:  -- unsupported Microsoft Visual Studio version! Only the versions between 2017 and 2019 "
    facts, finding = first(text)
    assert facts.system.os != "linux"
    assert "VC.14.29." in finding.fixes[-1].steps[0].argv[-1]


def test_a_warning_about_cl_is_no_sure_cause():
    _, finding = first(f"running build_ext\n{WARNING}building 'seg_cuda' extension\n")
    assert (finding.slug, finding.confidence.value) == ("host-compiler-missing", "low")
    assert finding.fixes[0].title == "Build in a prompt that has cl.exe on PATH"
    _, finding = first(f"running build_ext\n{WARNING}error: command 'cl.exe' failed: None\n")
    assert (finding.slug, finding.confidence.value) == ("host-compiler-missing", "high")


NO_ENGINE = 'docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]].\n'


@pytest.mark.parametrize(
    ("lines", "way"),
    [
        ("00:02.0 VGA compatible controller: Intel Corporation UHD Graphics 620 (rev 07)\n", "without `--gpus`"),
        (
            "0000:03:00.0 VGA compatible controller [0300]: Advanced Micro Devices, Inc. [AMD/ATI] Navi 32\n",
            "--device=/dev/kfd",
        ),
        (
            (
                "00:02.0 VGA compatible controller: Intel Corporation UHD Graphics 620 (rev 07)\n"
                "01:00.0 3D controller: NVIDIA Corporation GP108M [GeForce MX150] (rev a1)\n"
            ),
            None,
        ),
        ("00:1f.3 Audio device: Intel Corporation Cannon Lake PCH cAVS (rev 10)\n", None),
        (
            "5.15.167.4-microsoft-standard-WSL2\n00:02.0 VGA compatible controller: Intel Corporation UHD Graphics\n",
            None,
        ),
    ],
)
def test_a_host_without_an_nvidia_gpu_gets_no_toolkit_first(lines, way):
    _, finding = first(f"$ lspci\n{lines}{NO_ENGINE}")
    said = [step.why for step in finding.fixes[0].steps if "start the container" in step.why]
    assert (way in said[0]) if way else not said


def test_a_line_is_shown_once_as_evidence():
    _, finding = first(" cuda-toolkit-12-4 : Depends: libfoo but it is not installable\n")
    assert [(line.file, line.line) for line in finding.evidence] == [("log", 1)]


@pytest.mark.parametrize(
    ("cuda", "cl", "component"),
    [
        ((12, 8), None, ["Microsoft.VisualStudio.Workload.VCTools"]),
        ((12, 1), None, ["Microsoft.VisualStudio.Component.VC.14.38.17.8.x86.x64"]),
        ((11, 8), "19.44.35211", ["Microsoft.VisualStudio.Component.VC.14.38.17.8.x86.x64"]),
        ((11, 3), "19.38.33133", ["Microsoft.VisualStudio.Component.VC.14.29.16.11.x86.x64"]),
        ((11, 8), "19.38.33133", []),  # this MSVC is taken
        ((12, 8), "19.44.35211", []),
    ],
)
def test_a_toolkit_for_windows_comes_with_an_msvc_that_it_takes(cuda, cl, component):
    compilers = [{"name": "cl", "path": "cl.exe", "version": cl}] if cl else []
    facts = msgspec.convert({"system": {"os": "windows"}, "toolchain": {"compilers": compilers}}, Facts)
    steps = host_compilers.studio(facts, cuda)
    words = " ".join(word for step in steps[:1] for word in step.argv).split()
    assert [word for word in words if "VC" in word][-1:] == component
