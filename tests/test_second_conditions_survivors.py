"""Conditions that mutants of a random sample changed, and no test noticed."""

from __future__ import annotations

import pytest
from one_rule import found, told
from whole_machines import RTX_4090, changed

from attn_doctor.commands import host_compilers, installers, nvidia_drivers, system_tools
from attn_doctor.failure_modes.shared import damaged_download, package_wheels, torch_facts
from attn_doctor.model.facts import Binary, Facts, Needed, Unknown

NOT_USED = "FlashAttention is not available on this device. Using scaled_dot_product_attention instead.\n"
TORCH_FRAME = (
    '  File "/venv/lib/python3.11/site-packages/torch/__init__.py", line 367, in <module>\n    from torch._C import *\n'
)
NO_CUDART = "ImportError: libcudart.so.11.0: cannot open shared object file: No such file or directory\n"


def test_the_forks_notice_is_a_notice_of_yolo12():
    finding = told("yolo12-flash-not-used", "Ultralytics 8.3.63 Python-3.11.9 torch-2.6.0+cu124\n" + NOT_USED)
    assert finding is not None
    assert finding.severity.value == "info"


@pytest.mark.parametrize(
    ("between", "torch_itself"),
    [
        (0, True),
        (7, True),  # eight lines above is near, nine is not
        (8, False),
    ],
)
def test_a_frame_of_torch_counts_if_it_is_near_the_error(between, torch_itself):
    finding = told("libcudart-missing", TORCH_FRAME + "  a line of the program\n" * between + NO_CUDART)
    assert finding is not None
    assert finding.message.startswith("torch itself does not find") is torch_itself


def test_a_frame_of_torch_below_the_error_belongs_to_something_else():
    finding = told("libcudart-missing", NO_CUDART + TORCH_FRAME)
    assert finding is not None
    assert not finding.message.startswith("torch itself")


@pytest.mark.parametrize(
    ("library", "cuda", "both"),
    [("libcudart.so.11.0", "12.8", True), ("libcudart.so.11.0", Unknown("no torch"), False)],
)
def test_two_cudas_are_named_only_where_both_are_known(library, cuda, both):
    binary = Binary(
        module="flash_attn_2_cuda",
        verdict="fails",
        path="/v/flash_attn_2_cuda.so",
        needs=(Needed(name=library, found=None),),
    )
    finding = found("libcudart-missing", changed(RTX_4090, imports=(), binaries=(binary,), torch__cuda=cuda))
    assert finding is not None
    assert ("your torch is built for CUDA" in finding.message) is both
    assert ("the loader finds it in none of its folders" in finding.message) is not both


def test_a_call_of_nvcc_without_frames_below_it_is_no_sign_of_a_missing_nvcc():
    text = (
        "Traceback (most recent call last):\n"
        '  File "/tmp/pip-install-a1/x/setup.py", line 41, in installed\n'
        '    raw = subprocess.check_output([cuda_home + "/bin/nvcc", "-V"], universal_newlines=True)\n'
    )
    assert told("nvcc-missing", text) is None
    below = '  File "/usr/lib/python3.10/subprocess.py", line 421, in check_output\n'
    assert told("nvcc-missing", text + below).confidence.value == "low"


@pytest.mark.parametrize(
    ("version", "first"),
    [
        ("3.11.9", "curl.exe -L -o python.zip https://www.nuget.org/api/v2/package/python/3.11.9"),
        (Unknown("the log does not name it"), "D:\\ui\\python_embeded\\python.exe -c "),
    ],
)
def test_an_embeddable_python_fetches_its_own_release_where_that_is_not_known(version, first):
    facts = changed(
        Facts(grade="stated"),
        system__os="windows",
        interpreter__python="D:\\ui\\python_embeded\\python.exe",
        interpreter__version=version,
    )
    download, unpack = system_tools.python_headers(facts)
    assert " ".join(download.argv).startswith(first)
    assert ("release of this Python" in download.why) is (version != "3.11.9")
    assert unpack.argv[0] == "tar.exe"


def test_a_torch_whose_name_is_no_version_is_named_with_less_than_certainty():
    finding = found("version-parse", changed(RTX_4090, torch__version="2.0.0.nv23.05-custom build"))
    assert finding is not None
    assert finding.confidence.value == "medium"


@pytest.mark.parametrize(("command", "started"), [("py -3.11 train.py", ("py", "-3.11")), ("python train.py", ())])
def test_pip_is_started_as_the_user_started_python(command, started):
    facts = changed(Facts(grade="stated"), system__os="windows", subject__command=command)
    assert installers.context(facts, "pip").started_by == started


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ("RuntimeError: The NVIDIA driver on your system is too old (found version 11040).", True),
        ("RuntimeError: CUDA unknown error - this may be due to an incorrectly set up environment", False),
    ],
)
def test_the_driver_is_too_old_where_torch_says_so(said, named):
    facts = changed(RTX_4090, torch__available=False, torch__cuda_error=said, graphics__cuda_error=Unknown("not asked"))
    assert (found("driver-too-old", facts) is not None) is named


def test_the_reboot_of_a_host_says_its_risk():
    fix = nvidia_drivers.restart(changed(RTX_4090, system__container="docker"), "the modules are of another version")
    (step,) = fix.steps
    assert step.risk_text
    assert "reboot the host" in step.why


@pytest.mark.parametrize(("cuda", "release"), [((11, 5), "14.29"), ((11, 6), "14.38"), ((12, 3), "14.38")])
def test_the_first_cuda_that_accepts_visual_studio_2022(cuda, release):
    steps = host_compilers.studio(changed(RTX_4090, system__os="windows", toolchain__compilers=()), cuda)
    words = str(steps)
    assert release in words
    assert ("14.29" in words) is (release == "14.29")


@pytest.mark.parametrize("again", [True, False])
def test_an_old_xformers_that_is_there_is_replaced_alone(again):
    facts = changed(RTX_4090, torch__version="2.0.1+cu118")
    (fix, *_) = package_wheels.ready(facts, "xformers", again=again)
    (step,) = fix.steps
    assert step.requirements == ("xformers==0.0.22",)
    assert (step.reinstall, step.no_deps) == (again, again)


@pytest.mark.parametrize(
    ("package", "cause", "waits"), [("torch", "slow", True), (None, "damaged", True), ("torch", "damaged", False)]
)
def test_uv_is_given_more_time_for_a_slow_file_or_one_without_a_name(package, cause, waits):
    lost = damaged_download.Damaged(cause=cause, tool="uv", package=package, address=None, cached=False)
    titles = [fix.title for fix in damaged_download._by_uv(RTX_4090, lost)]
    assert ("Give uv more time for a file" in titles[:1]) is waits


@pytest.mark.parametrize(("driver", "wanted"), [("550.120", True), (None, False)])
def test_a_driver_alone_shows_that_the_user_wants_a_gpu(driver, wanted):
    facts = changed(
        RTX_4090,
        graphics__pci=(),
        graphics__gpus=(),
        graphics__device_nodes=(),
        graphics__driver=driver,
        toolchain__toolkits=(),
    )
    assert torch_facts.wants_gpu(facts) is wanted


def test_an_amd_gpu_that_the_user_may_not_open_is_no_missing_module():
    refused = told(
        "rocm-driver-not-loaded",
        "$ rocminfo\nROCk module is loaded\nUnable to open /dev/kfd read-write: Permission denied\n",
    )
    assert refused is not None
    assert refused.message == "The AMD GPU is in the machine, but this user may not open /dev/kfd, which ROCm needs."
    missing = told("rocm-driver-not-loaded", "$ rocminfo\nROCk module is NOT loaded, possibly no GPU devices\n")
    assert missing is not None
    assert missing.message.startswith("The kernel module amdgpu")
