"""Facts of machines of which everything is known, and a way to change them field by field. For tests of rules.

`RTX_4090` is healthy: a Linux desktop with a current driver, torch and torchvision of one kind, ultralytics, no flash-attn.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from attn_doctor.model.facts import (
    Compiler,
    Distribution,
    Facts,
    Fault,
    Flag,
    FlashAttention,
    Gpu,
    Graphics,
    Import,
    Interpreter,
    Packages,
    PciDevice,
    Project,
    System,
    Toolchain,
    Torch,
    TorchDevice,
    Unknown,
    Variable,
    Yolo,
    walk,
)

CARD = PciDevice(vendor="10de", device="2684", pci_class="0300", driver="nvidia")
INTEL = PciDevice(vendor="8086", device="a780", pci_class="0300", driver="i915")


def machine(**sections: dict) -> Facts:
    """Make facts of the plain data of some sections; everything else is not recorded."""
    return msgspec.convert({"grade": "dynamic", **sections}, Facts)


def gpu(name: str, capability: str, *, visible: Flag = True, mig: Flag = False, slices: int | None = None) -> Gpu:
    return Gpu(
        index=0,
        name=name,
        compute_capability=capability,
        memory_bytes=24 << 30,
        free_bytes=23 << 30,
        uuid="GPU-0",
        mig=mig,
        mig_slices=slices,
        ecc=False,
        power_limit_watts=450.0,
        visible=visible,
    )


def packages(**versions: str) -> tuple[Distribution, ...]:
    return tuple(
        Distribution(name=name.replace("_", "-"), version=version, location="/venv", installer="pip", files_missing=0)
        for name, version in versions.items()
    )


RTX_4090 = Facts(
    system=System(
        os="linux",
        distribution="ubuntu",
        distribution_version="24.04",
        distribution_name="Ubuntu 24.04.3 LTS",
        kernel="6.8.0-87-generic",
        machine="x86_64",
        glibc="2.39",
        musl=None,
        libstdcxx="/lib/x86_64-linux-gnu/libstdc++.so.6",
        glibcxx="3.4.33",
        cxxabi="1.3.15",
        wsl=None,
        wsl_driver_folder=False,
        dxg=False,
        container=None,
        cores=16,
        cores_allowed=16,
        cgroup_cpus=None,
        memory_bytes=64 << 30,
        available_bytes=58 << 30,
        swap_bytes=8 << 30,
        cgroup_memory_bytes=None,
        disks=(),
        loader_cache=(),
        shell="bash",
    ),
    environment=(Variable(name="HOME", value="/home/user"),),
    graphics=Graphics(
        pci=(CARD, INTEL),
        gpus=(gpu("NVIDIA GeForce RTX 4090", "8.9"),),
        driver="580.95.05",
        driver_cuda="13.0",
        kernel_module="580.95.05",
        libcuda="/lib/x86_64-linux-gnu/libcuda.so.1",
        libcuda_version="580.95.05",
        nvml_error=None,
        nvml_code=None,
        nvidia_smi="/usr/bin/nvidia-smi",
        nvidia_smi_error=None,
        device_nodes=("/dev/nvidia-uvm", "/dev/nvidia0", "/dev/nvidiactl"),
        uvm=True,
        fabric_manager=None,
        cuda_error=None,
        amd=(),
        rocm=None,
        apple=False,
    ),
    toolchain=Toolchain(
        toolkits=(),
        nvcc_on_path=None,
        cuda_home=None,
        cuda_home_by=None,
        cuda_home_problem=None,
        compilers=(Compiler(name="g++", path="/usr/bin/g++", version="13.3.0"),),
        ninja="1.13.0",
        cmake=None,
        git="2.43.0",
        library_path=(),
        long_paths=None,
    ),
    interpreter=Interpreter(
        python="/venv/bin/python",
        why="VIRTUAL_ENV",
        version="3.12.3",
        implementation="CPython",
        free_threaded=False,
        bits=64,
        tag="cp312",
        platform="linux-x86_64",
        extension_suffix=".cpython-312-x86_64-linux-gnu.so",
        prefix="/venv",
        base_prefix="/usr",
        kind="venv",
        externally_managed=False,
        installers=("pip 26.0",),
        site_packages="/venv/lib/python3.12/site-packages",
        writable=True,
        user_site=False,
        headers=True,
        differs_isolated=(),
        shadowed_here=(),
        broken_pth=(),
    ),
    packages=Packages(
        distributions=packages(torch="2.15.0", torchvision="0.29.2", numpy="2.4.6", ultralytics="8.4.190"),
        duplicates=(),
        remnants=(),
        broken=(),
        conflicts=(),
    ),
    torch=Torch(
        version="2.15.0+cu132",
        location="/venv/lib/python3.12/site-packages/torch",
        cuda="13.2",
        hip=None,
        cxx11_abi=True,
        archs=("sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"),
        cudnn="91900",
        header_cxx=20,
        flash_compiled=True,
        importable=True,
        available=True,
        cuda_error=None,
        devices=(TorchDevice(index=0, name="NVIDIA GeForce RTX 4090", compute_capability="8.9"),),
        mps=False,
        numpy_bridge=True,
        numpy_error=None,
        threads=16,
        chatter=None,
    ),
    imports=(Import(module="torchvision", ok=True), Import(module="cv2", ok=True), Import(module="numpy", ok=True)),
    flash_attention=FlashAttention(
        version=None,
        modules=(),
        namespace_only=None,
        fa3=None,
        fa4=None,
        wheel_torch=None,
        wheel_cuda=None,
        wheel_abi=None,
    ),
    yolo=Yolo(
        version="8.4.190",
        kind="mainline",
        location="/venv/lib/python3.12/site-packages/ultralytics",
        attention="AAttn",
        calls=("eager",),
        layout="qkv",
        flash_error=None,
    ),
    project=Project(folder="/home/user/project", pins=(), source_checkout=None, cutlass_missing=None),
    binaries=(),
)


def changed(facts: Facts, **values: Any) -> Facts:
    """The facts with other values; `torch__cuda=None` changes torch.cuda."""
    record: Any = facts
    for name, value in values.items():
        section, _, field = name.partition("__")
        part = msgspec.structs.replace(getattr(record, section), **{field: value}) if field else value
        record = msgspec.structs.replace(record, **{section: part})
    assert isinstance(record, Facts)
    return record


def without_driver(facts: Facts) -> Facts:
    """The same machine before a driver was installed: the card is on the bus, and nothing answers."""
    return changed(
        facts,
        graphics__gpus=(),
        graphics__driver=None,
        graphics__driver_cuda=None,
        graphics__kernel_module=None,
        graphics__libcuda=None,
        graphics__libcuda_version=None,
        graphics__nvml_error="NVML Shared Library Not Found",
        graphics__nvml_code=12,
        graphics__nvidia_smi=None,
        graphics__device_nodes=(),
        graphics__uvm=False,
        torch__available=False,
        torch__devices=(),
        torch__cuda_error="RuntimeError: Found no NVIDIA driver on your system.",
    )


def refused(facts: Facts, code: int, text: str) -> Facts:
    """The same machine where CUDA does not start: the driver shows the GPU, and torch says why it cannot use it."""
    said = f"RuntimeError: Unexpected error from cudaGetDeviceCount(). Error {code}: {text}"
    return changed(
        facts,
        graphics__cuda_error=f"{code} {text}",
        torch__available=False,
        torch__devices=(),
        torch__cuda_error=said,
    )


def with_flash_attn(facts: Facts, version: str = "2.8.3", *, error: str | None = None, **wheel: Any) -> Facts:
    """The same machine with flash-attn installed, and what importing it gives."""
    ok = error is None
    fault = None
    if error is not None:
        kind, _, message = error.partition(": ")
        fault = Fault(kind="raised", type=kind, message=message)
    tried = tuple(Import(module=name, ok=ok, fault=fault) for name in ("flash_attn_2_cuda", "flash_attn"))
    given = {"wheel_torch": "2.15", "wheel_cuda": "13", "wheel_abi": True, **wheel}
    assert isinstance(facts.packages.distributions, tuple)
    assert isinstance(facts.imports, tuple)
    return changed(
        facts,
        packages__distributions=(*facts.packages.distributions, *packages(flash_attn=version)),
        imports=(*facts.imports, *tried),
        flash_attention=FlashAttention(
            version=version, modules=("flash_attn_2_cuda",), namespace_only=False, fa3=None, fa4=None, **given
        ),
    )


def forgetting(facts: Facts) -> Iterator[tuple[str, Facts]]:
    """The same machine over and over, each time with one fact that is not known."""
    for path, value in walk(facts):
        section, _, field = path.partition(".")
        if isinstance(value, Unknown) or "." in field or field == "fault":
            continue
        if section in ("schema_version", "grade", "sources", "probes", "environment"):
            continue
        name = section if field.isdigit() or not field else f"{section}__{field}"
        yield path, changed(facts, **{name: Unknown("forgotten")})
