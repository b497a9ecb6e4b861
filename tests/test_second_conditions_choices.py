"""The second of two conditions where a cause, or its cure, is chosen by the machine: drivers, toolkits, models, builds, Triton."""

from __future__ import annotations

import msgspec
import pytest
from one_rule import found, told
from recorded_machines import MACHINES, read
from whole_machines import RTX_4090, changed, packages, with_flash_attn

from attn_doctor.failure_modes import find
from attn_doctor.failure_modes.build import torch_missing_at_build
from attn_doctor.failure_modes.gpu import triton_too_old_for_gpu
from attn_doctor.failure_modes.mode import Hit
from attn_doctor.failure_modes.model_code import model_not_built
from attn_doctor.failure_modes.shared import torch_here
from attn_doctor.model.facts import Facts, Fault, Pin, System, Unknown

UNKNOWN = Unknown("not asked")
NOTHING = Hit(message="m", evidence=())


def machine(name: str) -> Facts:
    return read(next(folder for folder in MACHINES if folder.name == name))[0]


def titles(slug: str, facts: Facts) -> list[str]:
    return [fix.title for fix in find(slug).fixes(facts, NOTHING)]


# -- drivers

OF_IMAGE = "nvidia-container-cli: requirement error: unsatisfied condition: cuda>=12.6, please update your driver to a newer version\n"


def test_a_host_whose_driver_is_older_than_an_image_asks_gets_the_newest_or_starts_it_all_the_same():
    finding = told("driver-too-old", OF_IMAGE, RTX_4090)
    assert "supports CUDA 12.6" in finding.message
    (first, *_), last = finding.fixes[0].steps, finding.fixes[-1]
    assert first.argv == ("sudo", "ubuntu-drivers", "install")
    assert last.title == "Start the container image without its check of the driver version"
    assert "NVIDIA_DISABLE_REQUIRE=1" in last.steps[0].argv
    assert "CUDA Version 12.0 or newer" in last.steps[0].why


ORIN = machine("jetson-orin")


@pytest.mark.parametrize(
    ("facts", "first"),
    [
        (changed(ORIN, torch__version="2.8.0"), "Install NVIDIA's torch for this JetPack"),
        (changed(ORIN, torch__version="2.8.0a0+34c6371d24.nv25.08"), "Install NVIDIA driver 525.60.13 or newer"),
    ],
)
def test_the_torch_of_a_jetson_is_exchanged_where_it_is_not_nvidias_own(facts, first):
    assert titles("driver-too-old", facts)[0] == first


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("RuntimeError: The NVIDIA driver on your system is too old (found version 11040).\n", "CUDA 11.4 at most"),
        ("RuntimeError: The NVIDIA driver on your system is too old (found version 12080).\n", "CUDA 12.8 at most"),
        (
            "RuntimeError: CUDA error: the provided PTX was compiled with an unsupported toolchain.\n",
            "compile the kernel's PTX",
        ),
        ("Search for `cudaErrorUnsupportedPtxVersion' in https://docs.nvidia.com/\n", "compile the kernel's PTX"),
    ],
)
def test_what_a_log_says_of_the_cuda_of_a_driver(text, says):
    assert says in told("driver-too-old", text).message


# -- toolkits

COMPILES = changed(
    machine("rtx-4080-uv-without-wheel"),
    interpreter__version="3.14.0",
    interpreter__tag="cp314",
    interpreter__extension_suffix=".cpython-314-x86_64-linux-gnu.so",
)
HEADERS = ("cublas_v2.h", "cusparse.h", "cusolverDn.h", "curand.h", "cufft.h")


@pytest.mark.parametrize(
    ("missing", "says"),
    [
        (HEADERS[:1], "lacks cublas_v2.h, which"),
        (HEADERS, "lacks cublas_v2.h, cusparse.h, cusolverDn.h and curand.h, which"),
        ((), None),
    ],
)
def test_a_toolkit_without_some_headers(missing, says):
    kit = msgspec.structs.replace(COMPILES.toolchain.toolkits[0], missing_headers=missing)
    finding = found("cuda-headers-incomplete", changed(COMPILES, toolchain__toolkits=(kit,)))
    assert (finding is not None) is (says is not None)
    assert finding is None or (
        says in finding.message and finding.evidence[0].path == "toolchain.toolkits.0.missing_headers"
    )


# -- models


@pytest.mark.parametrize(
    ("fault", "cause", "module"),
    [
        (
            Fault(kind="raised", type="FileNotFoundError", message="'yolo12n.yaml' does not exist"),
            "no such model",
            None,
        ),
        (Fault(kind="raised", type="FileNotFoundError", message="'coco8.jpg' does not exist"), "damaged", None),
        (Fault(kind="raised", type="ValueError", message="yolo12n.yaml is not right"), "damaged", None),
        (Fault(kind="raised", type="ModuleNotFoundError", message="No module named 'cv2'"), "missing module", "cv2"),
        (Fault(kind="signal", signal="SIGSEGV"), "damaged", None),
    ],
)
def test_why_a_model_was_not_built(fault, cause, module):
    made = model_not_built._cause(fault)
    assert (made.cause, made.module) == (cause, module)


# -- builds in isolation


def pinned(requirement: str, *, isolated: bool = True, **changes):
    return changed(
        RTX_4090,
        project__pins=(
            Pin(file="r.txt", line=1, requirement="torch", isolated=True),
            Pin(file="r.txt", line=2, requirement=requirement, isolated=isolated),
        ),
        **changes,
    )


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        (pinned("flash-attn==2.8.3"), "r.txt line 2 asks for flash-attn==2.8.3"),
        (pinned("Flash_Attn"), "r.txt line 2 asks for Flash_Attn"),
        (pinned("flash-attn==2.8.3", isolated=False), None),
        (pinned("flash-attn @ https://host/flash_attn-2.8.3-cp312-cp312-linux_x86_64.whl"), None),
        (pinned("zork"), None),
        (pinned("flash-attn==2.8.3", system__os="darwin"), None),
        (with_flash_attn(pinned("flash-attn==2.8.3")), None),
        (changed(RTX_4090, torch__version=None, torch__importable=False), "torch is not installed"),
        (changed(RTX_4090, torch__version=None, torch__importable=False, system__os="darwin"), None),
        (changed(RTX_4090, project__pins=UNKNOWN), None),
    ],
)
def test_a_build_in_isolation_misses_torch(facts, says):
    hit = torch_missing_at_build.detect(facts)
    assert (hit is not None) is (says is not None)
    assert hit is None or says in hit.message
    assert hit is None or "line 2" not in hit.message or hit.evidence[0].path == "project.pins.1.requirement"


# -- Triton


@pytest.mark.parametrize(
    ("changes", "arch", "newer"),
    [
        ({"torch__version": "2.6.0+cu124"}, "sm_120", True),
        ({"torch__version": "9.0.0+cu130"}, "sm_120", False),
        ({"torch__version": UNKNOWN}, "sm_120", True),
        ({"torch__version": UNKNOWN}, "sm_121a", True),
        ({"torch__version": UNKNOWN}, "sm_90", False),  # every Triton knows it
        ({"torch__version": UNKNOWN, "system__container": "docker"}, "sm_120", False),  # of an image for its torch
    ],
)
def test_a_torch_with_a_newer_triton(changes, arch, newer):
    assert triton_too_old_for_gpu._is_newer(changed(RTX_4090, **changes), arch) is newer


@pytest.mark.parametrize(
    ("os", "titles", "package"),
    [
        ("windows", ["Install the triton that was made for the installed torch"], "triton-windows=="),
        (
            "linux",
            ["Install torch and its triton together", "Install the triton that was made for the installed torch"],
            "triton==",
        ),
    ],
)
def test_the_triton_of_a_torch_that_nobody_names(os, titles, package):
    made = find("triton-version-mismatch").usual(Facts(system=System(os=os)))
    assert [fix.title for fix in made] == titles
    assert made[-1].steps[-1].argv[-1].startswith(package)
    assert all("triton" in fix.steps[0].requirements for fix in made[:-1])


# -- torchvision


@pytest.mark.parametrize(
    ("torchvision", "torch", "met"),
    [
        ("0.23.0+cu128", "2.8.0+cu128", False),
        ("0.23.0", "2.8.0+cu128", False),
        ("0.23.0+cu128", "2.8.0", False),
        ("0.23.0+cu126", "2.8.0+cu128", True),
        ("0.22.0+cu128", "2.8.0+cu128", True),
    ],
)
def test_a_torchvision_of_another_release_or_another_build(torchvision, torch, met):
    facts = changed(
        RTX_4090,
        torch__version=torch,
        packages__distributions=packages(torch=torch, torchvision=torchvision, numpy="2.2.6"),
        imports=(),
    )
    assert (find("torchvision-mismatch").detect(facts) is not None) is met


@pytest.mark.parametrize(
    ("version", "cuda", "index"),
    [
        ("2.8.0+cu126", "12.6", "https://download.pytorch.org/whl/cu126"),
        ("2.8.0+cpu", None, "https://download.pytorch.org/whl/cpu"),
        ("2.8.0", "12.8", None),  # PyPI's
        ("2.6.0", "12.6", "https://download.pytorch.org/whl/cu126"),  # PyPI's is for CUDA 12.4
        (None, None, None),
    ],
)
def test_the_index_of_the_torch_that_is_there(version, cuda, index):
    facts = changed(RTX_4090, torch__version=version, torch__cuda=cuda)
    assert torch_here.index_here(facts) == index
