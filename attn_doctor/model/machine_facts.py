"""Define the facts of a machine: system, processor, GPUs, toolkits and compilers. Other modules import them from `model.facts`."""

from __future__ import annotations

from typing import Literal

import msgspec

from attn_doctor.model.record import UNRECORDED, Flag, Number, Real, Record, Text, Unknown

Purpose = Literal["tmp", "cache", "site-packages"]


class Disk(Record, frozen=True, kw_only=True):
    """Describe the file system under a folder that an installation or a build writes to."""

    purpose: Purpose
    path: str
    free_bytes: Number = UNRECORDED
    total_bytes: Number = UNRECORDED
    device: int | str | Unknown | None = UNRECORDED
    writable: Flag = UNRECORDED
    noexec: Flag = UNRECORDED


OsName = Literal["linux", "windows", "darwin"]
Board = Literal["jetson", "dgx-spark"]  # machines that need a special build of torch
Hosted = Literal["colab", "kaggle", "sagemaker"]  # notebook services: the user does not administrate the system


class System(Record, frozen=True, kw_only=True):
    """Hold the facts of the operating system, its limits and the container around it."""

    os: OsName | Unknown | None = UNRECORDED
    distribution: Text = UNRECORDED  # os-release ID
    distribution_version: Text = UNRECORDED
    distribution_name: Text = UNRECORDED
    kernel: Text = UNRECORDED
    machine: Text = UNRECORDED  # as `uname -m`
    glibc: Text = UNRECORDED  # None: another C library
    musl: Text = UNRECORDED
    libstdcxx: Text = UNRECORDED  # path of the libstdc++ that would be loaded
    glibcxx: Text = UNRECORDED  # newest GLIBCXX_ version in it
    cxxabi: Text = UNRECORDED
    wsl: Number = UNRECORDED  # 1, 2 or None
    wsl_driver_folder: Flag = UNRECORDED  # /usr/lib/wsl/lib
    dxg: Flag = UNRECORDED  # /dev/dxg
    board: Board | Unknown | None = UNRECORDED
    jetpack: Text = UNRECORDED  # "6.2": NVIDIA's system of a Jetson
    hosted: Hosted | Unknown | None = UNRECORDED
    notebook: Text = UNRECORDED  # "Jupyter", "Colab": attn-doctor was started in a notebook; None: it was not
    container: Text = (
        UNRECORDED  # "docker", "podman", "kubernetes", "apptainer", "lxc", or what the container calls itself
    )
    cores: Number = UNRECORDED
    cores_allowed: Number = UNRECORDED  # affinity mask
    cgroup_cpus: Real = UNRECORDED  # quota in cores; None: no limit
    memory_bytes: Number = UNRECORDED
    available_bytes: Number = UNRECORDED
    swap_bytes: Number = UNRECORDED
    cgroup_memory_bytes: Number = UNRECORDED  # None: no limit
    disks: tuple[Disk, ...] | Unknown = UNRECORDED
    loader_cache: tuple[str, ...] | Unknown = UNRECORDED  # CUDA-related entries of ld.so.cache, "soname => path"
    shell: Text = UNRECORDED
    modules: Flag = UNRECORDED  # the command `module load` exists, as on clusters


class Cpu(Record, frozen=True, kw_only=True):
    """Describe the processor."""

    model: Text = UNRECORDED
    avx2: Flag = UNRECORDED
    avx512: Flag = UNRECORDED
    amx: Flag = UNRECORDED
    bf16: Flag = UNRECORDED
    vendor: Text = UNRECORDED
    family: Text = UNRECORDED  # "6, 143, 8": family, model and stepping
    sockets: Number = UNRECORDED
    physical_cores: Number = UNRECORDED  # of all sockets
    threads_per_core: Number = UNRECORDED
    caches: tuple[str, ...] | Unknown = UNRECORDED  # of one core: "L1d 48 KiB"
    numa: tuple[str, ...] | Unknown = UNRECORDED  # "node 0: 0-31"
    vulnerabilities: tuple[str, ...] | Unknown = UNRECORDED  # as lscpu lists them: "meltdown: Not affected"
    flags: tuple[str, ...] | Unknown = UNRECORDED  # instruction sets and features, as /proc/cpuinfo names them


class Variable(Record, frozen=True, kw_only=True):
    """Hold one variable of the environment."""

    name: str
    value: str


class PciDevice(Record, frozen=True, kw_only=True):
    """Describe a display or accelerator function on the PCI bus."""

    vendor: str  # "10de" NVIDIA, "1002" AMD, "8086" Intel
    device: str
    pci_class: str  # e.g. "0300" VGA, "0302" 3D
    driver: Text = UNRECORDED  # kernel driver bound to it


class GpuProcess(Record, frozen=True, kw_only=True):
    """Describe a program that holds GPU memory.

    NVML gives its process number and its name on the host, also inside a container.
    """

    pid: int
    name: Text = UNRECORDED  # of the program's file, without its folder
    used_bytes: Number = UNRECORDED


class GpuHealth(Record, frozen=True, kw_only=True):
    """Describe the state of an NVIDIA GPU, as NVML reports it (https://docs.nvidia.com/deploy/nvml-api/).

    A field is None if this model of GPU does not report it. GPUs before Ampere retire pages of their memory; GPUs since Ampere
    replace rows instead. An idle GPU lowers the width and the generation of its PCIe link, to save power.
    """

    uncorrected_errors: Number = UNRECORDED  # of the ECC memory, since the driver was loaded
    uncorrected_errors_ever: Number = UNRECORDED
    retired_pages: Number = UNRECORDED
    pages_pending: Flag = UNRECORDED  # a page waits for the next start to be retired
    remapped_rows: Number = UNRECORDED  # because of uncorrected errors
    rows_pending: Flag = UNRECORDED
    remap_failed: Flag = UNRECORDED
    slowed_by: tuple[str, ...] | Unknown = UNRECORDED  # at this moment: "thermal slowdown (hardware)"
    pcie_generation: Number = UNRECORDED
    pcie_generation_most: Number = UNRECORDED  # of GPU and slot together
    pcie_width: Number = UNRECORDED
    pcie_width_most: Number = UNRECORDED
    busy_percent: Number = UNRECORDED
    celsius: Number = UNRECORDED
    celsius_slowdown: Number = UNRECORDED  # the GPU slows itself down at this temperature
    watts: Real = UNRECORDED
    persistence: Flag = UNRECORDED
    processes: tuple[GpuProcess, ...] | Unknown = UNRECORDED


class GpuClocks(Record, frozen=True, kw_only=True):
    """Describe the clocks of an NVIDIA GPU in MHz, as NVML reports them (https://docs.nvidia.com/deploy/nvml-api/).

    A field is None if this model of GPU does not report it: GeForce has no application clocks. Clocks that were locked by
    `nvidia-smi -lgc` cannot be read back: NVML has no call for them.
    """

    sm_megahertz: Number = UNRECORDED  # at this moment, as the next two
    memory_megahertz: Number = UNRECORDED
    lowered_by: tuple[str, ...] | Unknown = (
        UNRECORDED  # why it is not higher: "idle", "application clocks", "power cap"
    )
    sm_megahertz_most: Number = UNRECORDED
    memory_megahertz_most: Number = UNRECORDED
    application_megahertz: Number = UNRECORDED  # of the SMs under load, as `nvidia-smi -ac` set it
    application_memory_megahertz: Number = UNRECORDED
    application_megahertz_default: Number = UNRECORDED
    application_memory_megahertz_default: Number = UNRECORDED


class Gpu(Record, frozen=True, kw_only=True):
    """Describe a GPU of NVIDIA, as the driver reports it."""

    index: int
    name: Text = UNRECORDED
    compute_capability: Text = UNRECORDED  # "8.9"
    memory_bytes: Number = UNRECORDED
    free_bytes: Number = UNRECORDED
    uuid: Text = UNRECORDED
    mig: Flag = UNRECORDED  # MIG mode on
    mig_slices: Number = UNRECORDED
    ecc: Flag = UNRECORDED
    power_limit_watts: Real = UNRECORDED  # the one in force
    power_limit_watts_default: Real = UNRECORDED
    visible: Flag = UNRECORDED  # False: hidden by CUDA_VISIBLE_DEVICES
    bus_id: Text = UNRECORDED  # "0000:65:00"
    health: GpuHealth = msgspec.field(default_factory=GpuHealth)
    clocks: GpuClocks = msgspec.field(default_factory=GpuClocks)


class AmdGpu(Record, frozen=True, kw_only=True):
    """Describe a GPU of AMD."""

    name: Text = UNRECORDED
    gfx: Text = UNRECORDED  # "gfx942"


class Xid(Record, frozen=True, kw_only=True):
    """Describe all errors with one Xid number that the NVIDIA driver wrote about one GPU into the kernel log.

    The numbers: https://docs.nvidia.com/deploy/xid-errors/.
    """

    number: int
    bus_id: str  # "0000:65:00"
    times: int = 1
    seconds_ago: Number = UNRECORDED  # of the last one


class Graphics(Record, frozen=True, kw_only=True):
    """Describe the GPUs, and the parts between a GPU and a program: driver, libraries, device nodes."""

    pci: tuple[PciDevice, ...] | Unknown = UNRECORDED
    gpus: tuple[Gpu, ...] | Unknown = UNRECORDED
    stated: Flag = (
        False  # --gpu stated the GPU: it is in another machine, and no value of this section was read from it
    )
    expected_gpus: Number = (
        None  # --expect-gpus: the number that programs should be able to use; None: it was not stated
    )
    driver: Text = UNRECORDED  # "580.65.06"; None: no NVIDIA driver
    driver_cuda: Text = UNRECORDED  # the newest CUDA that the driver supports, "13.0"
    kernel_module: Text = UNRECORDED  # version of the loaded module; None: not loaded
    libcuda: Text = UNRECORDED  # path of the libcuda.so.1 that the loader would load
    libcuda_version: Text = UNRECORDED
    nvml_error: Text = UNRECORDED  # None: NVML answered
    nvml_code: Number = UNRECORDED
    nvidia_smi: Text = UNRECORDED  # path
    nvidia_smi_error: Text = UNRECORDED
    device_nodes: tuple[str, ...] | Unknown = UNRECORDED  # /dev/nvidia*
    uvm: Flag = UNRECORDED  # /dev/nvidia-uvm
    fabric_manager: Text = UNRECORDED  # "active", "inactive", ...; None: no NVSwitch here
    xids: tuple[Xid, ...] | Unknown = UNRECORDED  # since the machine started
    cuda_error: Text = UNRECORDED  # the error of cuInit, "803 system has unsupported ..."; None: it worked
    amd: tuple[AmdGpu, ...] | Unknown = UNRECORDED
    rocm: Text = UNRECORDED
    apple: Flag = UNRECORDED  # Apple silicon
    topology: tuple[str, ...] | Unknown = (
        UNRECORDED  # how each pair of GPUs is connected, "GPU 0 - GPU 1: NV4", and each GPU's NUMA node
    )


class Toolkit(Record, frozen=True, kw_only=True):
    """Describe one CUDA toolkit. A toolkit that several links lead to is listed once."""

    root: str
    found_by: tuple[str, ...] = ()  # "CUDA_HOME", "PATH", "/usr/local/cuda", "conda", "pip"
    nvcc: Text = UNRECORDED
    version: Text = UNRECORDED
    problem: Text = UNRECORDED  # why nvcc gave no version; None: it did
    missing_headers: tuple[str, ...] | Unknown = UNRECORDED
    archs: tuple[str, ...] | Unknown = UNRECORDED  # nvcc --list-gpu-arch, "8.0"
    max_gcc: Number = UNRECORDED  # from its own crt/host_config.h


class Compiler(Record, frozen=True, kw_only=True):
    """Describe an installed C or C++ compiler."""

    name: str  # "gcc", "g++", "clang", "clang++", "cl", or a name that CC or CXX gives
    path: str
    version: Text = UNRECORDED


class Shadow(Record, frozen=True, kw_only=True):
    """Describe a folder of the library search path (for example of LD_LIBRARY_PATH) that contains CUDA libraries."""

    folder: str
    libraries: tuple[str, ...] = ()


class Toolchain(Record, frozen=True, kw_only=True):
    """Hold the tools for a build of flash-attn: the CUDA toolkits, the compilers, ninja, cmake and git."""

    toolkits: tuple[Toolkit, ...] | Unknown = UNRECORDED
    nvcc_on_path: Text = UNRECORDED
    cuda_home: Text = UNRECORDED  # the folder that torch's cpp_extension would choose
    cuda_home_by: Text = UNRECORDED  # "CUDA_HOME", "CUDA_PATH", "nvcc on PATH", "/usr/local/cuda"
    cuda_home_problem: Text = (
        UNRECORDED  # "is a list", "is a file", "does not exist", "has no bin/nvcc", ...; None: sound
    )
    compilers: tuple[Compiler, ...] | Unknown = UNRECORDED
    ninja: Text = UNRECORDED
    cmake: Text = UNRECORDED
    git: Text = UNRECORDED
    library_path: tuple[Shadow, ...] | Unknown = UNRECORDED  # LD_LIBRARY_PATH entries with CUDA libraries
    long_paths: Flag = UNRECORDED  # Windows LongPathsEnabled
