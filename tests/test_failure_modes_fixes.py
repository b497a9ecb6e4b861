"""What is offered against failures of AD3xx and AD4xx: exact commands, for this interpreter, that keep what works."""

from __future__ import annotations

from ailing_extensions import torch_fault, undefined
from ailing_machines import COMPAT, H, card, old_driver, static
from one_rule import found
from whole_machines import changed

from attn_doctor.model.facts import Shadow, Variable
from attn_doctor.model.steps import RunByHand


def test_the_wheel_that_fits_is_offered_where_there_is_one():
    facts = changed(
        undefined("_ZN3c104cuda9SetDeviceEi", wheel_torch="2.2", wheel_cuda="12"),
        torch__version="2.8.0+cu128",
        torch__cuda="12.8",
    )
    fixes = found("abi-mismatch-torch-version", facts).fixes
    install = fixes[0].steps[-1].argv
    assert install[:4] == ("/venv/bin/python", "-m", "pip", "install")
    assert install[-1].endswith("+cu12torch2.8cxx11abiTRUE-cp312-cp312-linux_x86_64.whl")
    assert fixes[-1].steps[0].argv == ("/venv/bin/python", "-m", "pip", "uninstall", "-y", "flash-attn")


def test_without_a_wheel_the_only_way_is_without_flash_attn():
    assert [fix.title for fix in found("abi-mismatch-torch-version", undefined("_ZN3c104cuda9SetDeviceEa")).fixes] == [
        "Do without flash-attn"
    ]


def test_cuda_folders_are_taken_off_the_path_and_the_rest_is_kept():
    facts = changed(
        torch_fault("libcusparse.so.12: undefined symbol: __nvJitLinkComplete_12_4, version libnvJitLink.so.12"),
        environment=(Variable(name="LD_LIBRARY_PATH", value="/opt/mpi/lib:/usr/local/cuda-12.1/lib64"),),
        toolchain__library_path=(Shadow(folder="/usr/local/cuda-12.1/lib64", libraries=("libnvJitLink.so.12",)),),
    )
    step = found("ld-library-path-shadowing", facts).fixes[0].steps[0]
    assert (step.name, step.value) == ("LD_LIBRARY_PATH", "/opt/mpi/lib")


def test_the_driver_or_an_older_torch_is_offered():
    fixes = found("driver-too-old", static(old_driver("550.54.15", "12.4"))).fixes
    assert fixes[0].title == "Install NVIDIA driver 580 or newer"
    assert isinstance(fixes[0].steps[0], RunByHand)
    assert fixes[1].steps[0].argv[-2:] == ("--index-url", "https://download.pytorch.org/whl/cu126")


def test_a_torch_with_code_for_the_card_is_offered():
    facts = card(
        "NVIDIA GeForce RTX 5090",
        "12.0",
        changed(H, torch__version="2.5.1+cu124", torch__cuda="12.4", torch__archs=("sm_80", "sm_90")),
    )
    step = found("no-kernel-image", facts).fixes[0].steps[0]
    # The registry's own build is the one for this driver and card: no index is named.
    assert step.argv == ("/venv/bin/python", "-m", "pip", "install", "torch==2.15.0", "torchvision==0.29.2")


def test_only_the_compat_folder_is_taken_off_the_path():
    fixes = found("cuda-forward-compat-804", COMPAT).fixes
    assert (fixes[1].steps[0].name, fixes[1].steps[0].value) == ("LD_LIBRARY_PATH", "/opt/lib")
