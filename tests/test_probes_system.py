"""The probes of the machine apart from its GPUs, on folders that stand for machines and on the machine of the test."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from kit import Machine, alpine, debian, ubuntu, wsl2

from attn_doctor.model.facts import Unknown
from attn_doctor.probes.cpu import cpu
from attn_doctor.probes.library_search import LibrarySearch, read_cache
from attn_doctor.probes.root import Root
from attn_doctor.probes.system import system

GIB = 1024**3


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "machine")


def probe(machine: Machine, **folders: str):
    return system(machine.root, machine.environ, folders)[0]


def test_an_ubuntu(machine):
    found = probe(ubuntu(machine, "22.04", glibc="2.35", glibcxx="3.4.30"))
    assert (found.os, found.distribution, found.distribution_version) == ("linux", "ubuntu", "22.04")
    assert found.distribution_name == "Ubuntu 22.04 LTS"
    assert (found.kernel, found.machine) == ("6.8.0-45-generic", "x86_64")
    assert (found.glibc, found.musl) == ("2.35", None)
    assert found.libstdcxx == "/lib/x86_64-linux-gnu/libstdc++.so.6"
    assert (found.glibcxx, found.cxxabi) == ("3.4.30", "1.3.13")
    assert (found.wsl, found.dxg, found.wsl_driver_folder, found.container) == (None, False, False, None)
    assert (found.cores, found.cores_allowed, found.cgroup_cpus) == (8, 8, None)
    assert (found.memory_bytes, found.available_bytes, found.swap_bytes) == (32 * GIB, 28 * GIB, 2 * GIB)
    assert found.cgroup_memory_bytes is None
    assert (found.loader_cache, found.shell) == ((), "bash")


def test_musl_is_not_glibc(machine):
    found = probe(alpine(machine, musl="1.2.5-r0"))
    assert (found.distribution, found.glibc, found.musl) == ("alpine", None, "1.2.5")
    assert isinstance(found.libstdcxx, Unknown)


def test_an_empty_folder_says_what_it_lacks(tmp_path):
    found = system(tmp_path, {})[0]
    for field in ("distribution", "kernel", "glibc", "libstdcxx", "memory_bytes", "cores", "cores_allowed", "shell"):
        assert isinstance(getattr(found, field), Unknown), field
    assert found.wsl is None


def test_glibcxx_is_that_of_the_libstdcxx_in_front(machine, tmp_path):
    ubuntu(machine, glibcxx="3.4.30")
    folder = "/opt/old/lib"
    machine.library(f"{folder}/libstdc++.so.6", b"\0GLIBCXX_3.4.9\0GLIBCXX_3.4.25\0CXXABI_1.3.11\0")
    machine.environ["LD_LIBRARY_PATH"] = folder
    found = probe(machine)
    assert (found.libstdcxx, found.glibcxx, found.cxxabi) == (f"{folder}/libstdc++.so.6", "3.4.25", "1.3.11")
    for other in ("i386", "x32", "aarch64"):  # the loader passes them over
        machine.library(f"{folder}/libstdc++.so.6", b"\0GLIBCXX_3.4.25\0", machine=other)
        assert probe(machine).glibcxx == "3.4.30"


def test_conda_brings_its_own_libstdcxx_and_a_venv_of_conda_does_too(machine, tmp_path):
    ubuntu(machine, glibcxx="3.4.30")
    machine.library("/opt/conda/lib/libstdc++.so.6", b"\0GLIBCXX_3.4.34\0")
    machine.folder("/opt/conda/conda-meta")
    found = probe(machine, prefix="/opt/conda")
    assert (found.libstdcxx, found.glibcxx) == ("/opt/conda/lib/libstdc++.so.6", "3.4.34")
    venv = tmp_path / "venv"
    venv.mkdir()
    (venv / "pyvenv.cfg").write_text("home = /opt/conda/bin\nversion = 3.11.7\n")
    assert probe(machine, prefix=str(venv)).glibcxx == "3.4.34"


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ("5.15.153.1-microsoft-standard-WSL2", 2),
        ("6.6.87.2-microsoft-standard-WSL2+", 2),
        ("4.19.84-microsoft-standard", 2),
        ("4.4.0-22621-Microsoft", 1),
        ("6.8.0-45-generic", None),
    ],
)
def test_wsl_by_the_kernels_name(machine, release, expected):
    ubuntu(machine).kernel(release)
    assert probe(machine).wsl == expected


def test_wsl2_is_no_container_and_is_known_with_a_kernel_of_ones_own(machine):
    wsl2(ubuntu(machine))
    found = probe(machine)
    assert (found.wsl, found.container, found.wsl_driver_folder, found.dxg) == (2, None, True, True)
    machine.kernel("6.9.0-custom")
    assert probe(machine).wsl == 2


def test_containers(machine):
    debian(machine)
    machine.file("/.dockerenv")
    assert probe(machine).container == "docker"
    machine.environ["KUBERNETES_SERVICE_HOST"] = "10.0.0.1"
    assert probe(machine).container == "kubernetes"


@pytest.mark.parametrize(
    ("path", "environ", "group", "expected"),
    [
        ("/run/.containerenv", {}, "0::/", "podman"),
        ("/.singularity.d/env", {}, "0::/", "apptainer"),
        (None, {"APPTAINER_CONTAINER": "/images/x.sif"}, "0::/", "apptainer"),
        (None, {}, "5:memory:/docker/0123456789abcdef", "docker"),
        (None, {}, "5:memory:/kubepods.slice/kubepods-pod1.slice/cri-1.scope", "kubernetes"),
        (None, {}, "0::/lxc.payload.web/init.scope", "lxc"),
        (None, {}, "0::/user.slice/user-1000.slice/session-1.scope", None),
    ],
)
def test_other_containers_by_their_marks(machine, path, environ, group, expected):
    debian(machine).groups([group])
    machine.environ |= environ
    if path:
        machine.file(path)
    assert probe(machine).container == expected


def test_a_container_without_a_dockerenv_is_known_by_its_mounts(machine):
    debian(machine)  # as under BuildKit
    hosts = "/var/lib/docker/containers/0123/hostname"
    machine.mounts([("/", "overlay", "rw"), ("/etc/hostname", "ext4", "rw", hosts)])
    assert probe(machine).container == "docker"
    machine.mounts([("/", "ext4", "rw"), ("/var/lib/docker/containers/0123/mounts/shm", "tmpfs", "rw")])
    assert probe(machine).container is None  # the host of it


def test_cgroup_2_limits_of_every_group_above_count(machine):
    ubuntu(machine).mounts([("/", "ext4", "rw"), ("/sys/fs/cgroup", "cgroup2", "rw")])
    machine.groups(["0::/user.slice/job.scope"])
    top = "/sys/fs/cgroup"
    machine.file(f"{top}/user.slice/job.scope/memory.max", "max\n")
    machine.file(f"{top}/user.slice/job.scope/cpu.max", "max 100000\n")
    found = probe(machine)
    assert (found.cgroup_memory_bytes, found.cgroup_cpus) == (None, None)
    machine.file(f"{top}/user.slice/memory.max", f"{8 * GIB}\n")
    machine.file(f"{top}/user.slice/cpu.max", "150000 100000\n")
    machine.file(f"{top}/user.slice/job.scope/memory.max", f"{16 * GIB}\n")
    found = probe(machine)
    assert (found.cgroup_memory_bytes, found.cgroup_cpus) == (8 * GIB, 1.5)


def test_cgroup_1_limits_of_a_container_that_sees_a_part_of_the_tree(machine):
    inside = "/docker/0123"
    ubuntu(machine).mounts(
        [
            ("/", "overlay", "rw"),
            ("/sys/fs/cgroup/memory", "cgroup", "ro", inside, "rw,memory"),
            ("/sys/fs/cgroup/cpu,cpuacct", "cgroup", "ro", inside, "rw,cpu,cpuacct"),
        ]
    )
    machine.groups([f"5:memory:{inside}", f"3:cpu,cpuacct:{inside}", "1:name=systemd:/"])
    machine.file("/sys/fs/cgroup/memory/memory.limit_in_bytes", f"{4 * GIB}\n")
    machine.file("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "200000\n")
    machine.file("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n")
    found = probe(machine)
    assert (found.cgroup_memory_bytes, found.cgroup_cpus) == (4 * GIB, 2.0)
    machine.groups([f"5:memory:{inside}/job", "1:name=systemd:/"])  # a group that was made inside
    machine.file("/sys/fs/cgroup/memory/job/memory.limit_in_bytes", f"{GIB}\n")
    assert probe(machine).cgroup_memory_bytes == GIB
    machine.groups([f"5:memory:{inside}", f"3:cpu,cpuacct:{inside}"])
    machine.file("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    machine.file("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n")
    found = probe(machine)
    assert (found.cgroup_memory_bytes, found.cgroup_cpus) == (None, None)


def test_affinity(machine):
    ubuntu(machine).processors(64, allowed="0-3,8,10-11")
    found = probe(machine)
    assert (found.cores, found.cores_allowed) == (64, 7)


def test_disks_and_noexec(machine):
    ubuntu(machine).mounts(
        [("/", "ext4", "rw"), ("/tmp", "tmpfs", "rw,nosuid,noexec"), ("/my\\040home", "nfs", "rw,noexec")]
    )
    machine.folder("/my home/user/.venv/lib/python3.11/site-packages")
    machine.environ["HOME"] = "/my home/user"
    disks = {d.purpose: d for d in probe(machine, prefix="/my home/user/.venv").disks}
    assert {name: (d.path, d.noexec, d.writable) for name, d in disks.items()} == {
        "tmp": ("/tmp", True, True),
        "cache": ("/my home/user/.cache/pip", True, True),  # is yet to be made: its parent is looked at
        "site-packages": ("/my home/user/.venv/lib/python3.11/site-packages", True, True),
    }
    free = shutil.disk_usage(machine.root).free
    assert disks["tmp"].free_bytes == pytest.approx(free, rel=0.05)
    assert disks["tmp"].device == machine.root.stat().st_dev
    machine.folder("/scratch")
    machine.environ |= {"TMPDIR": "/scratch", "PIP_CACHE_DIR": "/scratch/pip"}
    assert [(d.path, d.noexec) for d in probe(machine).disks] == [("/scratch", False), ("/scratch/pip", False)]


def test_loader_cache_keeps_what_is_of_cuda(machine):
    ubuntu(machine)
    machine.cache(
        [
            ("libcurl.so.4", "/lib/x86_64-linux-gnu/libcurl.so.4"),
            ("libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1"),
            ("libnvJitLink.so.12", "/usr/local/cuda/lib64/libnvJitLink.so.12"),
        ]
    )
    assert probe(machine).loader_cache == (
        "libcuda.so.1 => /usr/lib/wsl/lib/libcuda.so.1",
        "libnvJitLink.so.12 => /usr/local/cuda/lib64/libnvJitLink.so.12",
    )


def test_links_do_not_lead_out_of_the_folder(machine):
    machine.file("/usr/local/cuda-12.4/version.txt", "inside")
    machine.link("/usr/local/cuda", "/usr/local/cuda-12.4")
    machine.link("/etc/alternatives/cuda", "../../usr/local/cuda")
    machine.link("/loop", "/loop")
    tree = Root(machine.root)
    assert tree.resolve("/etc/alternatives/cuda/version.txt") == "/usr/local/cuda-12.4/version.txt"
    assert tree.text("/etc/alternatives/cuda/version.txt") == "inside"
    assert tree.name(str(machine.root / "etc/passwd")) == "/etc/passwd"
    assert tree.text("/../../../../etc/passwd") is None
    assert not tree.exists("/loop")
    assert tree.text("/a\0b") is None


def test_the_cache_of_this_machine_is_read_as_ldconfig_reads_it():
    ldconfig = shutil.which("ldconfig", path="/sbin:/usr/sbin:/bin:/usr/bin")
    if ldconfig is None or not Path("/etc/ld.so.cache").exists():
        pytest.skip("no loader cache here")
    said = subprocess.run([ldconfig, "-p"], capture_output=True, text=True, check=True).stdout
    expected = [tuple(m) for m in re.findall(r"^\t(\S+) \(.*\) => (\S+)$", said, re.MULTILINE)]
    assert [tuple(entry) for _, entry in read_cache(Path("/etc/ld.so.cache").read_bytes())] == expected


@pytest.mark.parametrize("cut", [0, 10, 21, 60, 100])
def test_a_cut_cache_is_read_as_far_as_it_goes(machine, cut):
    machine.cache([("liba.so.1", "/lib/liba.so.1"), ("libb.so.1", "/lib/libb.so.1")])
    whole = machine.path("/etc/ld.so.cache").read_bytes()
    assert len(list(read_cache(whole))) == 2
    assert len(list(read_cache(whole[:cut]))) < 2


def test_an_old_cache_has_a_table_in_another_format_in_front(machine):
    machine.cache([("liba.so.1", "/lib/liba.so.1")])
    new = machine.path("/etc/ld.so.cache").read_bytes()
    machine.file("/etc/ld.so.cache", b"ld.so-1.7.0\0\1\0\0\0" + bytes(12) + bytes(4) + new)
    entries = LibrarySearch(Root(machine.root), {}, "x86_64").cache
    assert [tuple(e) for e in entries] == [("liba.so.1", "/lib/liba.so.1")]


@pytest.mark.skipif(sys.platform != "linux", reason="the files of Linux")
def test_this_machine():
    found, sources = system(Path("/"), os.environ, folders={"prefix": sys.prefix})
    assert found.os == "linux"
    assert found.cores == os.cpu_count()
    assert found.cores_allowed == len(os.sched_getaffinity(0))
    assert found.kernel == Path("/proc/sys/kernel/osrelease").read_text().strip()
    assert found.memory_bytes == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert [d.purpose for d in found.disks] == ["tmp", "cache", "site-packages"]
    assert sources[""]


@pytest.mark.skipif(shutil.which("objdump") is None or sys.platform != "linux", reason="needs objdump")
def test_glibcxx_of_this_machine_against_objdump():
    found = system(Path("/"), os.environ)[0]
    said = subprocess.run(["objdump", "-p", found.libstdcxx], capture_output=True, text=True, check=True).stdout
    for family, value in (("GLIBCXX", found.glibcxx), ("CXXABI", found.cxxabi)):
        defined = {
            tuple(map(int, v.split("."))) for v in re.findall(rf" {family}_(\d+(?:\.\d+)+)$", said, re.MULTILINE)
        }
        assert tuple(map(int, value.split("."))) == max(defined)


EPYC = "fpu sse4_2 fma avx2 avx512f avx512dq avx512bw avx512vl avx512_bf16"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (EPYC, (True, True, False, True)),
        (EPYC + " amx_tile amx_bf16", (True, True, True, True)),
        ("fma avx2 avx512f", (True, False, False, False)),  # Xeon Phi: PyTorch does not take its AVX-512 path there
        ("sse4_2 avx", (False, False, False, False)),
    ],
)
def test_cpu_flags(machine, flags, expected):
    machine.processors(2, "AMD EPYC 9654", flags)
    found = cpu(machine.root)[0]
    assert (found.avx2, found.avx512, found.amx, found.bf16) == expected
    assert found.model == "AMD EPYC 9654"


def test_cpu_of_arm(machine):
    machine.file("/proc/cpuinfo", "processor\t: 0\nFeatures\t: fp asimd sve bf16 i8mm\nCPU implementer\t: 0x41\n")
    machine.file("/sys/firmware/devicetree/base/model", "NVIDIA Jetson AGX Orin Developer Kit\0")
    found = cpu(machine.root)[0]
    assert found.model == "NVIDIA Jetson AGX Orin Developer Kit"
    assert (found.avx2, found.bf16) == (False, True)


def test_cpu_that_cannot_be_read(tmp_path):
    found = cpu(tmp_path)[0]
    assert isinstance(found.model, Unknown)
    assert isinstance(found.avx2, Unknown)
