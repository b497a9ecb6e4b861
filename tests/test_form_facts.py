"""The facts that issue forms ask for: each read from a folder, a variable or a real child."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
from targets import add_metadata, add_package, site_packages, torch_of

from attn_doctor.model.facts import Unknown
from attn_doctor.probes.board import place
from attn_doctor.probes.cpu import _of_macos, cpu
from attn_doctor.probes.disks import disk
from attn_doctor.probes.gather import _recorded
from attn_doctor.probes.root import Root

ROOT = Path(__file__).parent.parent
TWO_SOCKETS = "".join(
    f"processor\t: {n}\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\nmodel name\t: Intel Xeon\nstepping\t: 8\n"
    f"physical id\t: {n // 4}\ncore id\t\t: {n % 4 // 2}\nflags\t\t: fpu avx2 amx_tile\n\n"
    for n in range(8)
)


def tree(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_sockets_cores_caches_and_numa_nodes_of_a_processor(tmp_path):
    cache = "/sys/devices/system/cpu/cpu0/cache"
    files = {
        "/proc/cpuinfo": TWO_SOCKETS,
        f"{cache}/index0/level": "1\n", f"{cache}/index0/type": "Data\n", f"{cache}/index0/size": "48K\n",
        f"{cache}/index1/level": "1\n", f"{cache}/index1/type": "Instruction\n", f"{cache}/index1/size": "32K\n",
        f"{cache}/index3/level": "3\n", f"{cache}/index3/type": "Unified\n", f"{cache}/index3/size": "36608K\n",
        "/sys/devices/system/node/node0/cpulist": "0-3\n",
        "/sys/devices/system/node/node10/cpulist": "\n",
        "/sys/devices/system/node/node1/cpulist": "4-7\n",
        "/sys/devices/system/cpu/vulnerabilities/spectre_v2": "Mitigation; Retpolines\n",
        "/sys/devices/system/cpu/vulnerabilities/meltdown": "Not affected\n",
    }  # fmt: skip
    found = cpu(tree(tmp_path, files))[0]
    assert (found.vendor, found.family) == ("GenuineIntel", "6, 143, 8")
    assert (found.sockets, found.physical_cores, found.threads_per_core) == (2, 4, 2)
    assert found.caches == ("L1d 48K", "L1i 32K", "L3 36608K")
    assert found.numa == ("node 0: 0-3", "node 1: 4-7", "node 10: no CPU")
    assert found.vulnerabilities == ("meltdown: Not affected", "spectre_v2: Mitigation; Retpolines")
    assert found.flags == ("fpu", "avx2", "amx_tile")


def test_an_arm_processor_says_why_its_sockets_are_not_known(tmp_path):
    text = "processor\t: 0\nCPU implementer\t: 0x41\nFeatures\t: fp asimd bf16\n"
    found = cpu(tree(tmp_path, {"/proc/cpuinfo": text}))[0]
    assert (found.vendor, found.flags) == ("0x41", ("fp", "asimd", "bf16"))
    for value in (found.sockets, found.physical_cores, found.threads_per_core, found.numa, found.caches):
        assert isinstance(value, Unknown)


@pytest.mark.parametrize(
    ("environ", "notebook"),
    [
        ({}, None),
        ({"JPY_PARENT_PID": "7"}, "Jupyter"),
        ({"MPLBACKEND": "module://matplotlib_inline.backend_inline"}, "Jupyter"),
        ({"MPLBACKEND": "Agg"}, None),
        ({"JPY_PARENT_PID": "7", "COLAB_RELEASE_TAG": "x"}, "Colab"),
        ({"JPY_PARENT_PID": "7", "KAGGLE_KERNEL_RUN_TYPE": "Batch"}, "Kaggle"),
        ({"COLAB_RELEASE_TAG": "x"}, None),  # Colab's terminal
    ],
)
def test_a_notebook_is_told_from_a_terminal(tmp_path, environ, notebook):
    assert place(Root(tmp_path), environ).notebook == notebook


def test_a_disk_has_its_whole_size(tmp_path):
    space = os.statvfs(tmp_path)
    assert disk(Root(), "tmp", str(tmp_path)).total_bytes == space.f_blocks * space.f_frsize


def test_variables_are_taken_by_their_prefix():
    names = "CUDA_MODULE_LOADING NCCL_DEBUG TORCH_LOGS PYTORCH_ALLOC_CONF TRITON_CACHE_DIR YOLO_VERBOSE OMP_PROC_BIND MKL_DEBUG KMP_AFFINITY"
    names += " HIP_PATH ROCM_PATH HSA_ENABLE_SDMA PYTHONPATH"
    environ = dict.fromkeys(names.split(), "x") | {"HOME": "/root", "MY_CUDA_THING": "x", "LS_COLORS": "x"}
    assert set(_recorded(environ)) == set(names.split())
    assert len(_recorded({f"CUDA_{n}": "x" for n in range(1000)})) == 200


TORCH = """
import mmap, os, types
from . import version
from .version import __version__
class Tensor: pass
_file = open(os.path.join(os.path.dirname(os.path.dirname(__file__)), "nvidia", "cudnn", "lib", "libcudnn.so.9"), "rb")
_map = mmap.mmap(_file.fileno(), 0, access=mmap.ACCESS_READ)  # as the loader does it
cuda = types.SimpleNamespace(is_available=lambda: False, init=lambda: None)
xpu = types.SimpleNamespace(is_available=lambda: True)
__config__ = types.SimpleNamespace(show=lambda: "PyTorch built with:\\n  - HIP Runtime 6.3.42131\\n  - MIOpen 3.3.0\\n")
"""


@pytest.fixture(scope="module")
def examined(tmp_path_factory):
    """The facts of an environment of conda, with a torch that has one of the two libraries of NVIDIA in its process."""
    folder = tmp_path_factory.mktemp("target") / "env"
    python = torch_of(folder, TORCH)
    add_package(folder, "torch", {"backends/__init__.py": "", "backends/xnnpack.py": "enabled = True\n"})
    add_package(
        folder, "nvidia", {"cudnn/lib/libcudnn.so.9": "x" * 100, "nccl/lib/libnccl.so.2": "x", "nccl/lib/README": ""}
    )
    add_package(folder, "ultralytics", {"__init__.py": "__version__ = '8.3.63'\n"})
    add_metadata(folder, "ultralytics", "8.3.63", ("numpy>=1.23.0", "torch>=2.0", "onnx; extra == 'export'", "x ==="))
    (folder / "conda-meta").mkdir()
    (folder / "conda-meta" / "cudatoolkit-11.8.0-h6a678d5_0.json").write_text("{}")
    argv = [sys.executable, "-m", "attn_doctor", "check", "--no-trial", "--target", str(python), "--json", "-"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, check=False)
    return json.loads(done.stdout)["facts"], site_packages(folder)


def names(paths):
    return [Path(path).name for path in paths]


def test_a_library_that_is_loaded_is_told_from_one_on_disk(examined):
    torch = examined[0]["torch"]
    if sys.platform.startswith("linux"):
        assert "libcudnn.so.9" in names(torch["loaded"])
        assert "libnccl.so.2" not in names(torch["loaded"])
    else:
        assert "/proc/self/maps" in torch["loaded"]["unknown"]
    assert names(torch["bundled"]) == ["libcudnn.so.9", "libnccl.so.2"]


def test_what_collect_env_asks_torch(examined):
    torch = examined[0]["torch"]
    assert (torch["debug"], torch["xnnpack"], torch["xpu"]) == (False, True, True)
    assert (torch["hip_runtime"], torch["miopen"]) == ("6.3.42131", "3.3.0")


def test_the_build_of_python_and_the_platform(examined):
    itself = examined[0]["interpreter"]
    assert itself["build"].startswith(f"{itself['version']} (")
    assert itself["platform_name"].partition("-")[0] == ("macOS" if sys.platform == "darwin" else "Linux")


def test_packages_of_conda_and_the_requirements_of_ultralytics(examined):
    packages = examined[0]["packages"]
    assert packages["conda"] == ["cudatoolkit-11.8.0-h6a678d5_0"]
    assert packages["of_ultralytics"] == [
        {"requires": "numpy>=1.23.0", "found": None, "met": False},
        {"requires": "torch>=2.0", "found": "2.6.0", "met": True},
    ]


class Refusal(Exception):
    value = 3  # NVML_ERROR_NOT_SUPPORTED


def nvml_of_two(remote):
    """Answers as NVML does for two GPUs with two NVLinks to each other, to a switch or to a CPU, or without NVLink."""

    def state(_, link):
        if remote is None or link > 1:
            raise Refusal
        return 1

    def pci(handle):
        return types.SimpleNamespace(busId=f"00000000:F{handle}:00.0".encode())

    return types.SimpleNamespace(
        NVMLError=Refusal,
        nvmlDeviceGetHandleByIndex=lambda number: number,
        nvmlDeviceGetPciInfo=pci,
        nvmlDeviceGetNvLinkState=state,
        nvmlDeviceGetNvLinkRemoteDeviceType=lambda *_: 2 if remote == "switch" else 0,
        nvmlDeviceGetNvLinkRemotePciInfo=lambda handle, _: pci(1 - handle if remote == "gpu" else 7),
        nvmlDeviceGetTopologyCommonAncestor=lambda *_: 30,
    )


@pytest.mark.parametrize(("remote", "said"), [("gpu", "NV2"), ("switch", "NV2"), ("cpu", "PHB"), (None, "PHB")])
def test_the_topology_names_links_and_the_way_between_two_gpus(remote, said):
    folder = ROOT / "attn_doctor" / "target"
    space = {"nvml": nvml_of_two(remote), "unknown": lambda why: {"unknown": why}, "os": os, "sys": sys}
    exec((folder / "nvml_library.py").read_text(), space)
    exec((folder / "nvml.py").read_text().partition('with section("bindings")')[0], space)
    assert space["topology"](2) == [f"GPU 0 - GPU 1: {said}"]
    assert space["topology"](1) == []


SYSCTL = """#!/bin/sh
echo "machdep.cpu.brand_string: Apple M2"
echo "hw.packages: 1"
echo "hw.physicalcpu: 8"
echo "hw.logicalcpu: 8"
echo "hw.optional.arm.FEAT_BF16: 1"
exit 1  # of names that it does not know
"""


def test_the_processor_of_a_mac(tmp_path, monkeypatch):
    program = tmp_path / "sysctl"
    program.write_text(SYSCTL)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = _of_macos()
    assert (found.model, found.vendor, found.flags) == ("Apple M2", "Apple", ("bf16",))
    assert (found.sockets, found.physical_cores, found.threads_per_core) == (1, 8, 1)
