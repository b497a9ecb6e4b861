"""Read the facts that decide which torch can run on the machine: GPU, driver, board, Python and the user's package index. Pure; never raises."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec
from packaging.version import Version

from attn_doctor.knowledge import amd, gpu
from attn_doctor.knowledge.torch_machine import Machine, Maker
from attn_doctor.knowledge.wheel_key import key_of
from attn_doctor.model.facts import Distribution, Facts, Gpu, PciDevice, Unknown
from attn_doctor.model.machine import INTEL, amd_gpus, nvidia_present
from attn_doctor.model.versions import parse

# How the device ids of Intel's GPUs begin for which torch has code: Arc A and B, Data Center Max, the graphics of Core Ultra.
# https://docs.pytorch.org/docs/stable/notes/get_start_xpu.html, https://dgpu-docs.intel.com/devices/hardware-table.html
_XPU = ("569", "56a", "56b", "e20", "0bd", "7d4", "7d5", "7d6", "64a")
# The graphics in AMD's processors for which no wheel has code. https://rocm.docs.amd.com/en/latest/reference/gpu-arch-specs.html
_NO_WHEEL_FOR = ("gfx902", "gfx909", "gfx90c", "gfx1035", "gfx1036", "gfx1037")
_MIRRORS = (
    "pypi.org",
    "pypi.tuna.tsinghua.edu.cn",
    "mirrors.aliyun.com",
    "mirrors.cloud.tencent.com",
    "pypi.mirrors.ustc.edu.cn",
)


def machine_of(facts: Facts) -> Machine:
    """Return the properties of this machine that decide which torch can run here. Never raises.

    A property that is not known is None or "unknown".
    """
    system, graphics = facts.system, facts.graphics
    key = key_of(facts)
    wsl = isinstance(system.wsl, int)
    # The driver of the kernel, even if cuda-compat adds a newer libcuda: what runs with the older driver also runs with the newer libcuda.
    driver, cuda = text(graphics.driver), text(graphics.driver_cuda)
    if driver is None and cuda is None and facts.torch.available is True:
        cuda = text(facts.torch.cuda)  # this torch was seen to use the GPU, so the driver supports its CUDA
    return Machine(
        os=system.os if isinstance(system.os, str) else None,
        machine="x86" if key.platform == "win32" else _machine(facts, key.platform),
        translated=translated(facts),
        maker=_maker(facts),
        board=system.board if isinstance(system.board, str) else None,
        jetpack=text(system.jetpack),
        wsl=wsl,
        capabilities=_capabilities(facts),
        gfx=_gfx(facts),
        driver=driver,
        driver_os="windows" if wsl or system.os == "windows" else "linux",
        driver_cuda=None if driver else cuda,
        assumed_cuda=_assumed_cuda(facts),
        rocm=text(graphics.rocm) or text(facts.torch.hip),
        python=key.python if isinstance(key.python, str) else None,
        glibc=text(system.glibc),
        musl=isinstance(system.musl, str),
        before="2.6" if _loads_whole_checkpoints(facts) else None,
    )


# The first ultralytics that loads its own checkpoints with torch 2.6, whose torch.load accepts only weights by default. Read in the
# wheels from PyPI: 8.2.63 has no `weights_only`, 8.2.64 replaces torch.load (ultralytics/utils/patches.py).
REPLACES_TORCH_LOAD = "8.2.64"
_CHECKOUTS = ("yolov5", "yolov6", "yolov7", "yolov8", "yolov9", "yolor")  # people clone these and run them in the clone


def _loads_whole_checkpoints(facts: Facts) -> bool:
    """Return whether the user runs a YOLO that calls torch.load without `weights_only`: torch 2.6 refuses its checkpoints."""
    have = parse(text(facts.yolo.version) or version_here(facts, "ultralytics") or "")
    old = have is not None and have < Version(REPLACES_TORCH_LOAD)
    return old or any(distribution(facts, name) is not None for name in _CHECKOUTS)


def wants_gpu(facts: Facts) -> bool:
    """Return whether the user wants to compute on an NVIDIA GPU: the GPU, its driver or a CUDA toolkit is known to be on the machine."""
    kits = facts.toolchain.toolkits
    there = nvidia_present(facts) is True or isinstance(facts.graphics.driver, str)
    return there or (isinstance(kits, tuple) and bool(kits))


def with_gpu(facts: Facts, capability: str) -> Facts:
    """Return the facts with one NVIDIA GPU of this compute capability, "12.0", which an error names."""
    gpus = (Gpu(index=0, compute_capability=capability),)
    return msgspec.structs.replace(facts, graphics=msgspec.structs.replace(facts.graphics, gpus=gpus))


def _assumed_cuda(facts: Facts) -> str:
    """Return the CUDA that an unknown driver is assumed to support.

    On a DGX Spark it is 13.0, because this machine came with driver 580. If torch or the toolkit there is for CUDA 11, it is 11.8: the
    driver may be that old, and builds for CUDA 11 also run with newer drivers. Else it is 12.0.
    https://docs.nvidia.com/dgx/dgx-spark/release-notes.html
    """
    if facts.system.board == "dgx-spark":
        return "13.0"
    kits = facts.toolchain.toolkits if isinstance(facts.toolchain.toolkits, tuple) else ()
    majors = {(text(kit.version) or "").partition(".")[0] for kit in kits}
    eleven = (text(facts.torch.cuda) or "").startswith("11.") or (majors and majors <= {"9", "10", "11"})
    return "11.8" if eleven else "12.0"


def own_index(facts: Facts) -> str | None:
    """Return the address of the package index that the user has configured, without a password; None if there is none or only a PyPI mirror."""
    names = (
        "PIP_INDEX_URL",
        "PIP_EXTRA_INDEX_URL",
        "UV_DEFAULT_INDEX",
        "UV_INDEX_URL",
        "UV_INDEX",
        "UV_EXTRA_INDEX_URL",
    )
    told = [v.value for v in facts.environment if v.name in names] if isinstance(facts.environment, tuple) else []
    read = facts.interpreter.indexes
    urls = [url.partition("=")[2] or url if "=http" in url else url for text in told for url in text.split()]
    urls += list(read) if isinstance(read, tuple) else []
    return next((_plain_url(url) for url in urls if (urlsplit(url).hostname or "") not in ("", *_MIRRORS)), None)


def _plain_url(url: str) -> str:
    """Return an address without the user name and the password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _maker(facts: Facts) -> Maker:
    """Return the maker of the GPU to compute on. "none": it is known that there is no GPU. "unknown": not known."""
    graphics, version = facts.graphics, text(facts.torch.version)
    there = nvidia_present(facts)
    if there is True or isinstance(graphics.driver, str):
        return "nvidia"
    if amd_gpus(facts) and not _only_a_processor(facts):
        return "amd"
    if isinstance(facts.torch.hip, str):
        return "amd"
    if (version or "").endswith("+xpu") or any(_for_xpu(device) for device in _bus(facts)):
        return "intel"
    if isinstance(there, Unknown):
        return "nvidia" if isinstance(facts.torch.cuda, str) else "unknown"
    return "none"


def _only_a_processor(facts: Facts) -> bool:
    """Return whether all AMD GPUs are graphics in a processor for which no wheel has code, and ROCm is not installed."""
    return not isinstance(facts.graphics.rocm, str) and all(card.gfx in _NO_WHEEL_FOR for card in amd_gpus(facts))


def _gfx(facts: Facts) -> tuple[str, ...]:
    """Return the gfx numbers of the AMD GPUs ("gfx1100"), without the graphics in the processor if there is also a card."""
    told = (
        card.gfx if isinstance(card.gfx, str) else amd.gfx_of(card.name) if isinstance(card.name, str) else None
        for card in amd_gpus(facts)
    )
    named = tuple(dict.fromkeys(gfx for gfx in told if gfx is not None))
    return tuple(name for name in named if name not in _NO_WHEEL_FOR) or named


def _for_xpu(device: PciDevice) -> bool:
    return device.vendor == INTEL and device.device.lower().startswith(_XPU)


def _bus(facts: Facts) -> tuple[PciDevice, ...]:
    return facts.graphics.pci if isinstance(facts.graphics.pci, tuple) else ()


def _capabilities(facts: Facts) -> tuple[str, ...]:
    gpus = facts.graphics.gpus
    seen = [card for card in gpus if card.visible is not False] if isinstance(gpus, tuple) else []
    return tuple(dict.fromkeys(found for card in seen if (found := _capability(card))))


def _capability(card: Gpu) -> str | None:
    if isinstance(card.compute_capability, str):
        return card.compute_capability
    row = gpu.model(card.name) if isinstance(card.name, str) else Unknown("")
    return None if isinstance(row, Unknown) else row.capability


def _machine(facts: Facts, platform: str | Unknown) -> str | None:
    """Return the processor for which wheels are chosen: that of the Python, which on a Mac with Apple silicon can be x86_64."""
    return "x86_64" if translated(facts) else text(facts.system.machine) or _machine_of_platform(platform)


def translated(facts: Facts) -> bool:
    """Return whether Rosetta runs this Python: it is for x86_64, and the Mac has Apple silicon.

    Under Rosetta the system says x86_64 too, and the name of the processor is "Apple M3" or "VirtualApple". A Python for both
    ("universal2") runs without Rosetta. https://developer.apple.com/documentation/apple-silicon/about-the-rosetta-translation-environment
    """
    platform = facts.interpreter.platform
    silicon = facts.system.machine == "arm64" or (
        isinstance(facts.cpu.model, str) and facts.cpu.model.startswith(("Apple ", "VirtualApple"))
    )
    return facts.system.os == "darwin" and silicon and isinstance(platform, str) and platform.endswith("x86_64")


def _machine_of_platform(platform: str | Unknown) -> str | None:
    if isinstance(platform, Unknown):
        return None
    return next((name for name in ("aarch64", "arm64") if platform.endswith(name)), "x86_64")


def text(value: object) -> str | None:
    """Return the value if it is a text; None if it is Unknown or None."""
    return value if isinstance(value, str) else None


def of_conda(facts: Facts, name: str) -> bool:
    """Return whether conda installed a distribution. False also if that is not known."""
    found = distribution(facts, name)
    return found is not None and found.installer == "conda"


# Model servers that are built for one torch. pip would replace this torch without a warning, and the server would not import any more.
SERVERS = ("vllm", "sglang", "sgl-kernel", "lmdeploy", "tensorrt-llm", "text-generation-server")


def pins_torch(facts: Facts) -> str | None:
    """Return the model server of SERVERS that is installed or that the log is about, "vllm"; None if none is known.

    It works only with the torch that it was built for, so that torch must stay.
    """
    subject = text(facts.subject.package)
    return next((name for name in SERVERS if subject == name or distribution(facts, name) is not None), None)


def version_here(facts: Facts, name: str) -> str | None:
    """Return the installed version of a distribution; None if it is not installed, or not known."""
    if name == "torch" and isinstance(facts.torch.version, str):
        return facts.torch.version
    found = distribution(facts, name)
    return text(found.version) if found else None


def distribution(facts: Facts, name: str) -> Distribution | None:
    """Return a distribution that is installed, or that a log names; None if there is neither."""
    listed = facts.packages.distributions
    return next((d for d in (listed if isinstance(listed, tuple) else facts.packages.named) if d.name == name), None)
