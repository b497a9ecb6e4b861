"""The whole `attn-doctor check`, as a process, on machines of files and stub drivers. Expectations by hand.

Each machine is a folder with stub libraries that the real nvidia-ml-py, ctypes and PyTorch load without knowing. Where what
PyTorch itself says of a driver is the point, the real torch of the test environment is imported; the others are examined with
--static, in which the real libtorch_cuda.so is still read. docs/testing.md says what a stub can and cannot show.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from kit import Gpu, Machine, debian, stub_drivers, ubuntu, wsl2

from attn_doctor.probes.binaries import torch_static


def _archs() -> tuple[str, ...]:
    spec = importlib.util.find_spec("torch")
    archs = torch_static(str(Path(spec.origin).parent))["archs"] if spec and spec.origin else ()
    return archs if isinstance(archs, tuple) else ()


ARCHS = _archs()
pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("gcc") is None or not ARCHS,
    reason="stub drivers are compiled with gcc, for Linux, and loaded by a CUDA build of torch",
)

RTX_4090 = Gpu("NVIDIA GeForce RTX 4090", "8.9", 24564, free_mib=23900, power_watts=450.0)
LAPTOP = Gpu("NVIDIA GeForce RTX 4060 Laptop GPU", "8.9", 8188, power_watts=80.0)
A100 = Gpu("NVIDIA A100-SXM4-80GB", "8.0", 81920, mig=False, ecc=True, power_watts=400.0)
H100 = Gpu("NVIDIA H100 80GB HBM3", "9.0", 81559, mig=False, ecc=True, power_watts=700.0)
GTX_1660 = Gpu("NVIDIA GeForce GTX 1660 SUPER", "7.5", 6144, power_watts=125.0)
K80 = Gpu("Tesla K80", "3.7", 11441, ecc=True, power_watts=149.0)


class Case(NamedTuple):
    """One machine, and what must be said of it under the goal `train`."""

    build: Callable[[Machine], dict[str, str]]  # returns what the environment has besides
    findings: tuple[str, ...]  # warnings and errors, exactly
    backend: str
    root: str = ""
    infos: tuple[str, ...] = ()  # notices that are the point
    static: bool = False
    says: str = ""  # text that PyTorch itself must have said


def card(machine: Machine, module: str, device: str = "2684", pci_class: str = "0300") -> Machine:
    machine.pci("10de", device, pci_class=pci_class, driver="nvidia")
    machine.driver(module)
    return machine


def healthy(machine: Machine) -> dict[str, str]:
    card(ubuntu(machine, "24.04", "2.39", "3.4.33"), "580.95.05")
    machine.toolkit("/usr/local/cuda-13.0", "13.0", max_gcc=15, archs=(75, 80, 86, 89, 90, 100, 120))
    machine.link("/usr/local/cuda", "/usr/local/cuda-13.0")
    return machine.stub_drivers([RTX_4090], driver="580.95.05", cuda="13.0", runtime=True)


def fabric_manager_down(machine: Machine) -> dict[str, str]:
    card(ubuntu(machine), "595.45.04", "2330", "0302")
    machine.pci("10de", "22a3", pci_class="0680", driver="nvidia-nvswitch")
    machine.script("/usr/bin/systemctl", '[ "$*" = "is-active nvidia-fabricmanager" ] && echo inactive; exit 3\n')
    return machine.stub_drivers([H100] * 4, driver="595.45.04", cuda="13.2", cuinit=802)


def libraries_replaced(machine: Machine) -> dict[str, str]:
    card(ubuntu(machine), "595.45.04")
    return machine.stub_drivers([RTX_4090], driver="595.58.03", cuda="13.2", nvml_error=18, cuinit=803)


def compatibility_refused(machine: Machine) -> dict[str, str]:
    card(ubuntu(machine), "580.65.06").file("/.dockerenv")
    machine.stub_drivers([RTX_4090], driver="580.65.06", cuda="13.0")
    compat = machine.path("/usr/local/cuda-13.2/compat")
    return stub_drivers(compat, [RTX_4090], nvml=False, driver="595.45.04", cuda="13.2", cuinit=804)


def after_suspend(machine: Machine) -> dict[str, str]:
    card(ubuntu(machine), "595.45.04", "28e0")
    return machine.stub_drivers([LAPTOP], driver="595.45.04", cuda="13.2", cuinit=999)


def old_driver(machine: Machine) -> dict[str, str]:
    card(ubuntu(machine, "20.04", "2.31", "3.4.28"), "470.256.02")
    return machine.stub_drivers([RTX_4090], driver="470.256.02", cuda="11.4")


def left_behind(machine: Machine) -> dict[str, str]:
    """A card that torch starts CUDA on, and for which it holds no code."""
    card(ubuntu(machine), "580.95.05", "102d", "0302")
    return machine.stub_drivers([K80], driver="580.95.05", cuda="13.0", runtime=True)


def wsl_laptop(machine: Machine) -> dict[str, str]:
    wsl2(ubuntu(machine)).stub_drivers([LAPTOP], "/usr/lib/wsl/lib", versioned=False, driver="581.29", cuda="13.0")
    return {}


def wsl_with_linux_driver(machine: Machine) -> dict[str, str]:
    wsl2(ubuntu(machine)).stub_drivers([], driver="535.183.01", cuda="12.2", nvml_error=9, cuinit=100)
    stub_drivers(machine.path("/usr/lib/wsl/lib"), [LAPTOP], versioned=False)
    return {}


def hidden(machine: Machine) -> dict[str, str]:
    card(ubuntu(machine), "580.95.05")
    machine.stub_drivers([RTX_4090, RTX_4090], driver="580.95.05", cuda="13.0")
    return {"CUDA_VISIBLE_DEVICES": "-1"}


def container(machine: Machine) -> dict[str, str]:
    card(debian(machine), "580.95.05").file("/.dockerenv")
    for node in machine.path("/dev").iterdir():
        node.unlink()
    return {"NVIDIA_VISIBLE_DEVICES": "all"}


def mig_without_instance(machine: Machine) -> dict[str, str]:
    card(ubuntu(machine), "580.95.05", "20b2", "0302")
    gpu = Gpu(A100.name, "8.0", 81920, mig=True, mig_slices=0, ecc=True)
    machine.stub_drivers([gpu], driver="580.95.05", cuda="13.0", cuinit=100)
    return {}


def turing(machine: Machine) -> dict[str, str]:
    card(ubuntu(machine), "580.95.05", "21c4")
    machine.stub_drivers([GTX_1660], driver="580.95.05", cuda="13.0")
    return {}


def nouveau(machine: Machine) -> dict[str, str]:
    debian(machine).pci("10de", "1f02", driver="nouveau")
    return {}


def amd_with_rocm(machine: Machine) -> dict[str, str]:
    ubuntu(machine).pci("1002", "744c", driver="amdgpu")
    nodes = "/sys/class/kfd/kfd/topology/nodes"
    machine.file(f"{nodes}/0/properties", "cpu_cores_count 16\ngfx_target_version 0\n")
    machine.file(f"{nodes}/1/properties", "simd_count 192\ngfx_target_version 110000\n")
    machine.file(f"{nodes}/1/name", "ip discovery\n")
    machine.file("/opt/rocm/.info/version", "6.2.4-139\n")
    return {}


def no_card(machine: Machine) -> dict[str, str]:
    debian(machine).pci("8086", "9a49", driver="i915")
    return {}


CASES = {
    "rtx-4090-driver-580": Case(healthy, (), "sdpa-flash"),
    "h100-fabric-manager-down": Case(
        fabric_manager_down, ("cuda-fabric-manager-802",), "sdpa", says="system not yet initialized"
    ),
    "libraries-replaced": Case(libraries_replaced, ("driver-library-mismatch",), "sdpa", says="driver combination"),
    "compat-refused": Case(compatibility_refused, ("cuda-forward-compat-804",), "sdpa", says="forward compatibility"),
    "after-suspend": Case(after_suspend, ("cuda-init-error",), "sdpa", says="CUDA unknown error"),
    "driver-470": Case(old_driver, ("driver-too-old",), "sdpa", says="too old (found version 11040)"),
    "card-left-behind": Case(left_behind, ("no-kernel-image",), "sdpa"),
    "wsl2-laptop": Case(wsl_laptop, (), "sdpa"),
    "wsl2-linux-driver": Case(wsl_with_linux_driver, ("wsl2-driver-stub",), "sdpa"),
    "hidden-gpus": Case(hidden, ("config-device-cpu",), "sdpa"),
    "container-without-gpus": Case(container, ("container-without-gpu",), "sdpa"),
    "mig-without-instance": Case(mig_without_instance, ("mig",), "sdpa"),
    "gtx-1660": Case(turing, (), "sdpa", infos=("gpu-arch-unsupported-by-flash-attn",)),
    "nouveau": Case(nouveau, ("driver-missing",), "sdpa", static=True),
    "rx-7900-rocm": Case(amd_with_rocm, ("rocm-specific",), "sdpa", static=True),
    "no-gpu": Case(no_card, (), "sdpa", static=True, infos=("no-gpu-present",)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_whole_check_on_a_simulated_machine(name, tmp_path):
    case = CASES[name]
    machine = Machine(tmp_path / "machine")
    environ = case.build(machine)
    report = check(machine, environ, "--static" if case.static else "--no-trial")
    said = [f for f in report["findings"] if f["severity"] != "info"]
    assert {f["slug"] for f in said} == set(case.findings)
    assert [f["slug"] for f in said if f["root_cause"]] == list(case.findings[:1])
    assert set(case.infos) <= {f["slug"] for f in report["findings"]}
    assert report["recommendation"]["backend"] == case.backend
    assert report["exit_code"] == int(any(f["severity"] == "error" for f in said))
    assert not [u for u in report["undetermined"] if "please report" in u["why"]]
    assert not [p for p in report["facts"]["probes"] if p["note"]]
    if case.says:
        assert case.says in report["facts"]["torch"]["cuda_error"]


def test_a_real_torch_sees_the_simulated_gpus(tmp_path):
    machine = Machine(tmp_path / "machine")
    report = check(machine, healthy(machine), "--no-trial", "--goal", "flash-attn")
    torch = report["facts"]["torch"]
    assert torch["available"] is True
    assert torch["devices"] == [{"index": 0, "name": RTX_4090.name, "compute_capability": "8.9"}]
    assert torch["archs"] == list(ARCHS)
    (toolkit,) = report["facts"]["toolchain"]["toolkits"]  # a link to it is no second one
    assert (toolkit["root"], toolkit["version"]) == ("/usr/local/cuda-13.0", "13.0")
    met = {f["slug"] for f in report["findings"]}
    assert not met & {"driver-too-old", "nvcc-torch-cuda-mismatch", "cuda-home-malformed", "no-kernel-image"}


def test_static_and_dynamic_facts_of_torch_agree(tmp_path):
    machine = Machine(tmp_path / "machine")
    no_card(machine)
    static, dynamic = (check(machine, {}, way)["facts"] for way in ("--static", "--no-trial"))
    for field in ("version", "cuda", "cxx11_abi", "archs", "header_cxx"):
        assert static["torch"][field] == dynamic["torch"][field], field
    assert static["binaries"] == dynamic["binaries"]
    verdicts = {b["module"]: b["verdict"] for b in static["binaries"]}
    assert verdicts["torch._C"] == "loads"
    imported = {i["module"]: i["ok"] for i in dynamic["imports"]}
    extensions = [verdicts[m] for m in ("torchvision._C", "torchvision._C_stable") if m in verdicts]
    assert (extensions == ["loads"]) is imported["torchvision"]


def check(machine: Machine, environ: dict[str, str], *options: str) -> dict:
    home = machine.root.parent / "home"
    home.mkdir(exist_ok=True)
    kept = {k: os.environ[k] for k in ("COVERAGE_PROCESS_START", "PYTHONPATH") if k in os.environ}
    own = {"ATTN_DOCTOR_ROOT": str(machine.root), "HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-m", "attn_doctor", "check", "--target", sys.executable, "--json", "-", *options],
        env={**kept, **machine.environ, **environ, **own},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("launch", "slug"),
    [
        (None, "no-kernel-image"),
        ("700", "illegal-memory-access"),
        ("719", "illegal-memory-access"),
        ("999", "cuda-init-error"),
    ],
)
def test_a_gpu_that_refuses_every_kernel_is_found_out_by_the_trial(tmp_path, launch, slug):
    """All that was looked at is well, and the first kernel fails: one process, one cause, and no backend is advised."""
    machine = Machine(tmp_path / "machine")
    environ = healthy(machine) | ({"STUB_LAUNCH": launch} if launch else {})
    report = check(machine, environ, "--imgsz", "64")
    roots = [f for f in report["findings"] if f["root_cause"] and f["severity"] == "error"]
    assert [(f["slug"], f["certainty"]) for f in roots] == [(slug, "observed")]
    assert report["exit_code"] == 1
    rows = {row["backend"]: row for row in report["trials"] if row["dtype"] == "float16"}
    assert rows["eager"]["status"] == "failed"
    assert "CUDA error" in rows["eager"]["reason"]
    assert rows["sdpa-flash"]["status"] == "ruled-out"
    assert rows["sdpa-flash"]["reason"] == "eager itself fails on cuda:0, so this would fail too"
    assert not any("started again" in note for note in report["trial_run"]["notes"])
    advice = report["recommendation"]
    assert (advice["backend"], advice["measured"]) == (None, False)
    assert "nothing runs on cuda:0" in advice["summary"]


def test_a_gpu_on_which_every_kernel_hangs_is_not_asked_once_a_backend(tmp_path):
    machine = Machine(tmp_path / "machine")
    report = check(machine, healthy(machine) | {"STUB_LAUNCH": "hang"}, "--imgsz", "64", "--timeout", "12")
    roots = [f["slug"] for f in report["findings"] if f["severity"] == "error" and f["root_cause"]]
    assert roots == ["cuda-init-error"]
    assert report["recommendation"]["backend"] is None
    rows = {(row["backend"], row["dtype"]): row for row in report["trials"]}
    assert {row["status"] for (backend, _), row in rows.items() if backend == "eager"} == {"timeout"}
    assert {row["status"] for (backend, _), row in rows.items() if backend != "eager"} == {"ruled-out"}
    assert "no answer for 12 s" in rows["eager", "float32"]["reason"]


def test_the_test_extra_holds_what_these_tests_need():
    assert importlib.metadata.version("nvidia-ml-py")
    assert importlib.metadata.version("torchvision")
