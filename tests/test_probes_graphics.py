"""The probe of GPUs and drivers, on machines of files, scripts and stub drivers that are really loaded."""

from __future__ import annotations

import shutil
import sys
import venv
from pathlib import Path

import pytest
from kit import Gpu, Machine, debian, stub_drivers, ubuntu, wsl2
from kit.machine import DRIVER
from probed_graphics import A100, LAPTOP, probe, with_card

from attn_doctor.model.facts import AmdGpu, PciDevice, Unknown
from attn_doctor.probes.graphics import graphics
from attn_doctor.probes.nvml import ask_cuda, ask_nvml

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("gcc") is None, reason="stub drivers are compiled with gcc, for Linux"
)

MIB = 1024**2


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return ubuntu(Machine(tmp_path / "machine"))


def test_no_card_is_known_without_asking_anybody(machine):
    machine.pci("8086", "a7a0", driver="i915")
    found = probe(machine)
    assert found.pci == (PciDevice(vendor="8086", device="a7a0", pci_class="0300", driver="i915"),)
    assert (found.gpus, found.driver, found.kernel_module, found.libcuda) == ((), None, None, None)
    assert (found.amd, found.rocm, found.fabric_manager, found.apple) == ((), None, None, False)
    assert found.nvml_error == Unknown("not asked: there is no sign of an NVIDIA GPU or driver")
    assert found.cuda_error == found.nvml_error


def test_a_card_without_a_driver(machine):
    machine.pci("10de", "28e0", pci_class="0302", driver="nouveau")
    found = probe(machine)
    assert found.pci == (PciDevice(vendor="10de", device="28e0", pci_class="0302", driver="nouveau"),)
    assert (found.driver, found.driver_cuda, found.kernel_module, found.libcuda) == (None, None, None, None)
    assert (found.device_nodes, found.uvm) == ((), False)
    assert (found.nvml_error, found.nvml_code) == ("NVML Shared Library Not Found", 12)
    assert found.gpus == ()  # that a driver shows
    assert isinstance(found.cuda_error, Unknown)


def test_a_card_that_a_container_does_not_show(machine):
    with_card(machine).file("/.dockerenv")
    for node in machine.path("/dev").iterdir():
        node.unlink()
    found = probe(machine)
    assert [d.driver for d in found.pci if d.vendor == "10de"] == ["nvidia"]
    assert (found.kernel_module, found.driver) == ("550.120", "550.120")
    assert (found.device_nodes, found.libcuda, found.gpus) == ((), None, ())


def test_a_healthy_laptop(machine):
    with_card(machine, "580.65.06").stub_drivers([LAPTOP], driver="580.65.06", cuda="13.0")
    found, sources = graphics(machine.root, machine.environ)
    (gpu,) = found.gpus
    assert (gpu.index, gpu.name, gpu.compute_capability) == (0, "NVIDIA GeForce RTX 4060 Laptop GPU", "8.9")
    assert (gpu.memory_bytes, gpu.free_bytes) == (8188 * MIB, 7800 * MIB)
    assert gpu.uuid == "GPU-00000000-0000-4000-8000-000000000000"
    assert (gpu.mig, gpu.mig_slices, gpu.ecc, gpu.power_limit_watts, gpu.visible) == (None, 0, None, 80.5, True)
    assert (found.driver, found.driver_cuda, found.kernel_module) == ("580.65.06", "13.0", "580.65.06")
    assert found.libcuda == f"{DRIVER}/libcuda.so.580.65.06"  # as the loader mapped it
    assert found.libcuda_version == "580.65.06"
    assert (found.nvml_error, found.nvml_code, found.cuda_error) == (None, None, None)
    assert found.nvidia_smi is None
    assert (found.device_nodes, found.uvm) == (("/dev/nvidia-uvm", "/dev/nvidia0", "/dev/nvidiactl"), True)
    assert (sources["gpus"], sources["driver"], sources["cuda_error"]) == ("NVML", "NVML", "cuInit in a child")


def test_driver_and_library_of_different_versions(machine):
    with_card(machine, "550.120").stub_drivers([LAPTOP], driver="550.127.05", cuda="12.4", nvml_error=18, cuinit=803)
    found = probe(machine)
    assert (found.nvml_code, found.nvml_error) == (18, "RM has detected an NVML/RM version mismatch.")
    assert found.cuda_error == "803 system has unsupported display driver / cuda driver combination"
    assert (found.kernel_module, found.libcuda_version) == ("550.120", "550.127.05")
    assert (found.driver, found.driver_cuda) == ("550.120", "12.4")
    assert isinstance(found.gpus, Unknown)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (9, "Driver Not Loaded"),
        (17, "The operating system has blocked the request."),
        (999, "Unknown Error"),
        (4, "Insufficient Permissions"),
    ],
)
def test_nvml_that_refuses(machine, code, text):
    with_card(machine).stub_drivers([LAPTOP], nvml_error=code)
    found = probe(machine)
    assert (found.nvml_code, found.nvml_error) == (code, text)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (100, "100 no CUDA-capable device is detected"),
        (802, "802 system not yet initialized"),
        (804, "804 forward compatibility was attempted on non supported HW"),
        (999, "999 unknown error"),
        (34, "34 CUDA driver is a stub library"),
        (7777, "7777 an error that the library has no text for"),
    ],
)
def test_cuinit_that_refuses(machine, code, text):
    with_card(machine).stub_drivers([LAPTOP], cuinit=code)
    found = probe(machine)
    assert found.cuda_error == text
    assert len(found.gpus) == 1  # NVML knows better


def test_a_gpu_that_is_lost_does_not_hide_the_other(machine):
    lost = Gpu("NVIDIA RTX A6000", "8.6", 49140, error=15)
    with_card(machine).stub_drivers([LAPTOP, lost])
    found = probe(machine)
    assert (found.nvml_error, found.nvml_code) == ("GPU 1: GPU is lost", 15)
    assert [g.name for g in found.gpus] == [LAPTOP.name, Unknown("NVML: GPU is lost")]
    assert [g.index for g in found.gpus] == [0, 1]


def test_mig_and_shared_memory(machine):
    sliced = Gpu("NVIDIA A100-SXM4-40GB", "8.0", 40960, mig=True, mig_slices=3, ecc=True)
    shared = Gpu("NVIDIA GB10", "12.1", 0, power_watts=None)
    with_card(machine).stub_drivers([sliced, shared])
    first, second = probe(machine).gpus
    assert (first.mig, first.mig_slices, first.ecc) == (True, 3, True)
    assert (second.mig, second.ecc, second.power_limit_watts) == (None, None, None)
    assert second.memory_bytes == Unknown("NVML: this GPU shares the memory of the machine")


def test_a_mig_device_named_by_its_uuid_shows_its_gpu(machine):
    with_card(machine).stub_drivers([Gpu("A100", "8.0", 40960, mig=True, mig_slices=2), Gpu("A100", "8.0", 40960)])
    machine.environ["CUDA_VISIBLE_DEVICES"] = "MIG-00000001-00000000"
    assert [g.visible for g in probe(machine).gpus] == [True, False]


@pytest.mark.parametrize("library", ["nvml", "cuda"])
@pytest.mark.parametrize(("ailment", "words"), [("hang", "did not answer within 3 s"), ("crash", "crashed (SIGSEGV)")])
def test_a_driver_that_hangs_or_crashes(machine, library, ailment, words):
    with_card(machine, "580.65.06").stub_drivers([LAPTOP], **{ailment: library})
    found = probe(machine, deadline=3.0 if ailment == "hang" else 20.0)
    if library == "nvml":
        assert (found.nvml_error, found.nvml_code, found.cuda_error) == (words, None, None)
        assert found.gpus[0].name == LAPTOP.name  # libcuda tells
        assert found.gpus[0].uuid == Unknown("only NVML reports it")
    else:
        assert (found.nvml_error, found.cuda_error, found.driver_cuda) == (None, f"cuInit {words}", "13.0")


def test_a_hanging_nvml_is_not_asked_again_by_nvidia_smi(machine):
    with_card(machine).stub_drivers([LAPTOP], hang="nvml")
    machine.script("/usr/bin/nvidia-smi", f"touch {machine.root}/asked\n")
    found = probe(machine, deadline=3.0)
    assert isinstance(found.nvidia_smi_error, Unknown)
    assert not machine.path("/asked").exists()


def test_wsl2(machine):
    wsl2(machine).stub_drivers([LAPTOP], folder="/usr/lib/wsl/lib", versioned=False, driver="581.29", cuda="13.0")
    found = probe(machine)
    assert (found.pci, found.kernel_module, found.device_nodes) == ((), None, ())
    assert (found.driver, found.driver_cuda, found.nvml_error, found.cuda_error) == ("581.29", "13.0", None, None)
    assert found.libcuda == "/usr/lib/wsl/lib/libcuda.so.1"
    assert found.libcuda_version == Unknown("the name libcuda.so.1 holds no version")
    machine.path("/usr/lib/wsl/lib/libcuda.so.1").rename(machine.path("/usr/lib/wsl/lib/libcuda.so.1.1"))
    machine.link("/usr/lib/wsl/lib/libcuda.so.1", "libcuda.so.1.1")
    assert probe(machine).libcuda_version == Unknown("the name libcuda.so.1.1 holds no version")
    assert found.gpus[0].name == LAPTOP.name


def test_wsl2_without_a_driver_on_windows_leaves_the_gpus_unknown(machine):
    found = probe(wsl2(machine))
    assert (found.libcuda, found.nvml_code) == (None, 12)
    assert isinstance(found.gpus, Unknown)
    assert isinstance(found.driver, Unknown)


def test_a_linux_driver_inside_wsl2_in_front_of_the_windows_one_keeps_its_path(machine):
    wsl2(machine).stub_drivers([], driver="535.183.01", cuda="12.2", nvml_error=9, cuinit=100)
    stub_drivers(machine.path("/usr/lib/wsl/lib"), [LAPTOP], versioned=False)
    found = probe(machine)
    assert (found.libcuda, found.libcuda_version) == (f"{DRIVER}/libcuda.so.535.183.01", "535.183.01")
    assert found.cuda_error.startswith("100 ")


def test_a_compat_library_in_front_keeps_its_path(machine):
    with_card(machine, "470.256.02").stub_drivers([LAPTOP], driver="470.256.02", cuda="11.4")
    compat = "/usr/local/cuda-12.4/compat"
    stub_drivers(machine.path(compat), [LAPTOP], nvml=False, driver="550.54.14", cuda="12.4", cuinit=804)
    machine.environ["LD_LIBRARY_PATH"] = str(machine.path(compat))
    found = probe(machine)
    assert (found.driver, found.libcuda_version) == ("470.256.02", "550.54.14")
    assert found.libcuda.startswith(compat)
    assert found.cuda_error.startswith("804 ")


def test_libraries_without_a_kernel_module(machine):
    machine.pci("10de", "2684")  # after a kernel update without dkms
    machine.stub_drivers([LAPTOP], driver="550.120", cuda="12.4", nvml_error=9, cuinit=100)
    found = probe(machine)
    assert (found.kernel_module, found.libcuda_version, found.driver_cuda) == (None, "550.120", "12.4")
    assert found.driver == Unknown("NVML: Driver Not Loaded; nvidia-smi was not asked: it is not on PATH")


def test_jetson_is_on_no_bus_and_known_by_libcuda(machine):
    machine.file("/proc/device-tree/compatible", "nvidia,p3737-0000\0nvidia,tegra234\0")
    machine.stub_drivers([Gpu("Orin", "8.7", 30536)], nvml=False, driver="540.4.0", cuda="12.6")
    found = probe(machine)
    assert (found.pci, found.nvml_code, found.cuda_error) == ((), 12, None)
    assert [(g.name, g.compute_capability) for g in found.gpus] == [("Orin", "8.7")]


def test_all_hidden_is_what_cuinit_says_too(machine):
    with_card(machine).stub_drivers([A100, A100])
    machine.environ["CUDA_VISIBLE_DEVICES"] = ""
    found = probe(machine)
    assert [g.visible for g in found.gpus] == [False, False]
    assert found.cuda_error.startswith("100 ")


def nvswitches(machine: Machine) -> Machine:
    with_card(machine, "550.127.05")
    machine.pci("10de", "22a3", pci_class="0680", driver="nvidia-nvswitch")
    return machine


@pytest.mark.parametrize("state", ["active", "inactive", "failed"])
def test_fabric_manager_of_a_machine_with_nvswitches(machine, state):
    nvswitches(machine).stub_drivers([A100], cuinit=802)
    code = 0 if state == "active" else 3
    machine.script("/usr/bin/systemctl", f'[ "$*" = "is-active nvidia-fabricmanager" ] && echo {state}; exit {code}\n')
    found = probe(machine)
    assert found.fabric_manager == state
    assert found.cuda_error == "802 system not yet initialized"
    assert [d.pci_class for d in found.pci] == ["0300", "0300"]  # a switch is no display


def test_fabric_manager_is_not_to_be_seen_from_a_container(machine):
    found = probe(nvswitches(machine))
    assert isinstance(found.fabric_manager, Unknown)


def test_fabric_state_by_nvml_where_no_switch_is_to_be_seen(machine):
    with_card(machine).stub_drivers([Gpu("NVIDIA H100 80GB HBM3", "9.0", 81559, fabric=1)], cuinit=802)
    found, sources = graphics(machine.root, machine.environ)
    assert found.fabric_manager == "not started"
    assert sources["fabric_manager"] == "the fabric state of the GPUs, by NVML"


ROCMINFO = """cat <<'END'
ROCk module version 6.8.5 is loaded
Agent 1
  Name:                    AMD EPYC 9654
  Marketing Name:          AMD EPYC 9654
  Device Type:             CPU
Agent 2
  Name:                    gfx942
  Marketing Name:          AMD Instinct MI300X
  Device Type:             GPU
END
"""


def test_amd(machine):
    machine.pci("1002", "74a1", pci_class="1200", driver="amdgpu")
    nodes = "/sys/class/kfd/kfd/topology/nodes"
    machine.file(f"{nodes}/0/properties", "cpu_cores_count 96\ngfx_target_version 0\n")
    machine.file(f"{nodes}/1/properties", "simd_count 1216\ngfx_target_version 90402\n")
    machine.file(f"{nodes}/1/name", "ip discovery\n")
    machine.file(f"{nodes}/2/properties", "gfx_target_version 90010\n")
    machine.file(f"{nodes}/10/properties", "gfx_target_version 110000\n")
    found = probe(machine)
    assert [g.gfx for g in found.amd] == ["gfx942", "gfx90a", "gfx1100"]
    assert (found.amd[0].name, found.rocm, found.gpus, found.driver) == ("ip discovery", None, (), None)
    machine.file("/opt/rocm/.info/version", "6.2.4-139\n")
    machine.script("/opt/rocm/bin/rocminfo", ROCMINFO)
    found = probe(machine)
    assert found.amd == (AmdGpu(name="AMD Instinct MI300X", gfx="gfx942"),)
    assert found.rocm == "6.2.4"


def test_an_amd_card_without_its_driver_is_still_a_card(machine):
    machine.pci("1002", "744c", driver=None)
    (gpu,) = probe(machine).amd
    assert isinstance(gpu.gfx, Unknown)


def test_no_sys_at_all(tmp_path):
    found = graphics(tmp_path, {})[0]
    assert isinstance(found.pci, Unknown)
    assert isinstance(found.kernel_module, Unknown)
    assert isinstance(found.amd, Unknown)


def test_a_bus_that_does_not_exist_holds_no_card(tmp_path):
    machine = debian(Machine(tmp_path))  # some virtual machines have no PCI
    shutil.rmtree(machine.path("/sys/bus/pci"))
    assert probe(machine).pci == ()


def test_the_old_pynvml_distribution_does_not_get_in_front(tmp_path):
    environ = stub_drivers(tmp_path / "drivers", [LAPTOP])
    old = tmp_path / "old" / "pynvml"
    old.mkdir(parents=True)
    (old / "__init__.py").write_text("raise SystemExit('the old one')\n")
    answer = ask_nvml({**environ, "PYTHONPATH": str(old.parent)}, 20.0)
    assert (answer.error, answer.source) == (None, "NVML")
    assert answer.gpus[0].name == LAPTOP.name


def test_an_interpreter_without_nvidia_ml_py_says_so(tmp_path, monkeypatch):
    environ = stub_drivers(tmp_path / "drivers", [LAPTOP])
    bare = tmp_path / "bare"
    venv.create(bare, symlinks=True)
    monkeypatch.setattr(sys, "executable", str(bare / "bin" / "python"))
    answer = ask_nvml({**environ, "PYTHONPATH": ""}, 20.0)
    assert answer.error == "failed: ImportError: nvidia-ml-py is not installed beside attn-doctor"
    assert isinstance(answer.gpus, Unknown)


def test_a_libcuda_that_cannot_be_loaded_says_why(tmp_path):
    (tmp_path / "libcuda.so.1").write_bytes(b"no library")
    answer = ask_cuda("libcuda.so.1", {"LD_LIBRARY_PATH": str(tmp_path)}, 20.0)
    assert isinstance(answer.error, Unknown)
    assert "file too short" in answer.error.why or "invalid ELF header" in answer.error.why


def test_a_mismatch_means_that_there_is_a_card_even_if_the_bus_is_hidden(machine):
    machine.stub_drivers([LAPTOP], nvml_error=18, cuinit=803)
    assert isinstance(probe(machine).gpus, Unknown)
    machine.path(f"{DRIVER}/machine.conf").write_text("nvml_error=9\ncuinit=100\n")
    assert probe(machine).gpus == ()


def test_the_loader_by_files_agrees_with_the_loader(tmp_path):
    """Stubs beside a real root, as the command line meets them: only LD_LIBRARY_PATH leads to them."""
    environ = stub_drivers(tmp_path, [LAPTOP, A100], driver="550.54.15", cuda="12.4")
    found = graphics(Path("/"), environ)[0]
    assert [g.name for g in found.gpus] == [LAPTOP.name, A100.name]
    assert (found.libcuda, found.libcuda_version) == (str(tmp_path / "libcuda.so.550.54.15"), "550.54.15")
