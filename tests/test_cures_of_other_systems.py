"""The first cure runs on the system that the log shows: an old glibc, Nix, a Mac, a container, an AMD GPU. Expectations by hand."""

from __future__ import annotations

import io

import msgspec
import pytest
from first_cures import READER, cures, first
from recorded_logs import LOGS
from told_cures import told
from whole_machines import RTX_4090

from attn_doctor import commands
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.logs.stated_facts import facts_of_logs
from attn_doctor.model.findings import Goal

LOADER = "ImportError: /lib64/libc.so.6: version `GLIBC_{needed}' not found (required by {by})\n"
ANEW = "--force-reinstall --no-deps --no-build-isolation --no-cache-dir"


def fixture(name: str) -> str:
    return (LOGS / f"{name}.log").read_text("utf-8")


def glibc(needed: str, by: str, before: str = "") -> list[list[str | None]]:
    return cures(before + LOADER.format(needed=needed, by=by))


def extension(machine: str, module: str = "flash_attn_2_cuda") -> str:
    return f"/home/user/e/lib/python3.11/site-packages/{module}.cpython-311-{machine}-linux-gnu.so"


@pytest.mark.parametrize(
    ("needed", "machine", "last"),
    [
        ("2.32", "x86_64", f"/home/user/e/bin/python3 -m pip install {ANEW} flash-attn==2.7.4.post1"),
        ("2.29", "x86_64", f"/home/user/e/bin/python3 -m pip install {ANEW} flash-attn==2.7.4.post1"),  # 2.28 ran it
        ("2.28", "x86_64", f"/home/user/e/bin/python3 -m pip install {ANEW} flash-attn"),  # nobody saw it run with 2.27
        ("2.32", "aarch64", f"/home/user/e/bin/python3 -m pip install {ANEW} flash-attn"),  # no old wheel for this one
    ],
)
def test_an_old_wheel_or_a_forced_build_comes_first(needed, machine, last):
    made = glibc(needed, extension(machine))
    assert made[0][-1] == last
    forced = next(fix for fix in made if "export FLASH_ATTENTION_FORCE_BUILD=TRUE" in fix)
    assert forced is made[0 if last.endswith(" flash-attn") else 1]


def test_a_stated_torch_names_its_old_wheel():
    said = "torch                    2.6.0+cu124\n"
    (first_line, *_), *_ = (fix[-1:] for fix in glibc("2.32", extension("x86_64"), f"$ pip list\n{said}"))
    assert first_line is not None
    assert "flash_attn-2.7.4.post1+cu12torch2.6" in first_line.replace("%2B", "+")


def test_another_package_is_built_with_its_own_variable_and_a_newer_system_is_named():
    made = glibc("2.32", extension("x86_64", "causal_conv1d_cuda"))
    assert "export CAUSAL_CONV1D_FORCE_BUILD=TRUE" in made[0]
    _, finding = first(LOADER.format(needed="2.32", by=extension("x86_64", "causal_conv1d_cuda")))
    assert "container" in finding.fixes[-1].title


def test_a_package_that_is_not_named_is_looked_for_after_the_glibc():
    assert cures(fixture("glibc-too-old/of-an-unnamed-library"))[0][0] == "ldd --version"


@pytest.mark.parametrize("by", ["vllm/_C.abi3.so", "torchcodec/libtorchcodec_core7.so"])
def test_a_newer_wheel_is_no_cure_for_an_old_glibc(by):
    lines = [line for fix in glibc("2.32", f"/home/user/e/lib/python3.11/site-packages/{by}") for line in fix if line]
    assert lines
    assert not any("--upgrade" in line for line in lines)


def test_bitsandbytes_that_names_its_source_is_what_lacks_the_gpu():
    assert "bitsandbytes" in first(fixture("no-kernel-image/bitsandbytes-names-its-source"))[1].message


def test_a_placeholder_in_front_of_a_path_is_no_folder():
    made = cures(fixture("glibc-too-old/without-required-by"))
    assert made[0][-1] == f"python3 -m pip install {ANEW} flash-attn==2.7.4.post1"


@pytest.mark.parametrize("name", ["no-kernel-image/python-of-nix"])
def test_a_python_of_the_store_is_changed_through_nix(name):
    _, finding = first(fixture(name))
    made = cures(fixture(name))
    assert made[0][0] == "nix flake update"
    assert not any("pip" in line for fix in made for line in fix if line)
    assert "torch-bin" in finding.fixes[0].steps[1].why
    assert "CUDA 12.8" in finding.fixes[0].steps[1].why
    assert len(finding.fixes[0].steps) == 2  # torch's two installations are one change of the file


def test_an_environment_that_nix_only_brought_the_python_of_has_its_pip():
    facts = RTX_4090
    store = msgspec.structs.replace(facts.interpreter, prefix="/nix/store/abc-python3-3.12.9-env", kind="system")
    step = commands.install("numpy", why="", changes="numpy")
    through_nix = commands.rendered(msgspec.structs.replace(facts, interpreter=store), step)
    assert "python3Packages.numpy" in through_nix.why
    assert not through_nix.argv
    assert commands.rendered(facts, step).argv[-1] == "numpy"


def test_on_a_mac_a_package_for_nvidia_is_left_out_and_the_model_goes_to_linux():
    _, finding = first(fixture("macos-unsupported/mamba-on-a-mac"))
    assert finding.slug == "macos-unsupported"
    assert "remove mamba-ssm from the requirements" in finding.fixes[0].steps[0].why
    assert "Linux machine" in finding.fixes[0].steps[0].why


def test_bitsandbytes_is_compiled_for_the_card_that_the_log_names():
    made = cures("GPU: AMD Radeon RX 7900 XT\n" + fixture("rocm-gfx-not-in-build/bitsandbytes-of-another-gpu"))
    assert made[0][0] is not None
    assert made[0][0].startswith("cmake -DCOMPUTE_BACKEND=hip -DBNB_ROCM_ARCH=gfx11")


def test_a_card_that_is_not_named_is_asked_for_first():
    assert cures(fixture("rocm-gfx-not-in-build/program-with-ggml"))[0][0] == "rocminfo"


def test_collect_env_without_a_driver_asks_before_it_installs():
    made = cures(fixture("driver-missing/asked-by-collect-env"))
    assert made[0] == ["nvidia-smi", "lspci | grep -i nvidia"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Is CUDA available: False", "Is CUDA available: True"),
        ("Could not collect\nNvidia", "GPU 0: NVIDIA L4\nNvidia"),
        ("CUDA used to build PyTorch: 11.8", "CUDA used to build PyTorch: None"),
        ("CUDA runtime version: 11.8.89\n", ""),
    ],
)
def test_collect_env_of_another_machine_says_nothing_of_a_driver(old, new):
    text = fixture("driver-missing/asked-by-collect-env")
    assert old in text
    log = READER.read(io.BytesIO(text.replace(old, new).encode()), "log")
    found = diagnose(facts_of_logs([log]), Goal.FLASH_ATTN, logs=(log,)).findings
    assert "driver-missing" not in {finding.slug for finding in found}


def test_a_checkout_of_ultralytics_goes_out_of_the_way_of_the_release():
    _, finding = first(fixture("ultralytics-older-than-weights/autoupdate-of-a-module"))
    assert finding.slug == "ultralytics-older-than-weights"
    assert "/home/user/detect/ultralytics" in finding.fixes[0].steps[-1].why


def test_the_library_of_the_driver_is_missing_on_a_machine_without_a_container():
    text = fixture("container-without-gpu/library-of-the-driver").partition("\n")[2]
    assert first(text)[1].slug == "driver-missing"


BUILD = """$ {typed}
Collecting flash-attn
  Using cached flash_attn-2.6.3.tar.gz (2.6 MB)
  Preparing metadata (setup.py) ... error
  × python setup.py egg_info did not run successfully.
      File "/tmp/pip-install-ab12cd34/flash-attn_0123456789abcdef0123456789abcdef/setup.py", line 9, in <module>
        {line}
      ModuleNotFoundError: No module named '{module}'
"""


@pytest.mark.parametrize(
    ("typed", "module", "asks", "installs"),
    [
        ("pip install flash-attn --no-build-isolation", "packaging", True, False),
        ("pip install flash-attn", "packaging", False, True),  # isolated: whether torch is there is not known
        ("pip install flash-attn --no-build-isolation", "torch", False, True),  # it is not there
    ],
)
def test_a_torch_that_is_likely_there_is_asked_for_and_not_replaced(typed, module, asks, installs):
    lines = [line or "" for line in cures(BUILD.format(typed=typed, module=module, line=f"import {module}"))[0]]
    assert any('-c "import torch;' in line for line in lines) is asks
    assert any("pip install" in line and "torch" in line.replace("flash", "") for line in lines) is installs


FBGEMM = 'OSError: [WinError 126] The specified module could not be found. Error loading "D:\\ai\\env\\Lib\\site-packages\\torch\\lib\\fbgemm.dll" or one of its dependencies.\n'


@pytest.mark.parametrize(("python", "torch"), [("3.11.9", True), ("3.14.0", False)])
def test_the_build_tools_come_alone_where_torch_2_4_1_has_no_build(python: str, torch: bool) -> None:
    answer = told(f"Python {python} (tags/v{python}) [MSC v.1943 64 bit (AMD64)] on win32\n>>> import torch\n{FBGEMM}")
    assert answer.slug == "windows-dll-missing"
    assert [title for title in answer.titles if "2.4.1" in title] == (answer.titles[:1] if torch else [])
    assert "no build of torch" not in answer.words
    assert "winget install Microsoft.VisualStudio.2022.BuildTools" in answer.lines[-1][0]
