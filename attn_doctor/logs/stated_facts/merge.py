"""Fill the unknown facts of a machine with facts from a log, and find the facts that have other values in the log. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from attn_doctor.knowledge.cuda import only_windows_has
from attn_doctor.knowledge.gpu import model
from attn_doctor.knowledge.jetson import jetpack_of, jetpack_of_kernel
from attn_doctor.knowledge.pytorch import pypi_cuda
from attn_doctor.logs.stated_facts.typed_python import in_venv, interpreter
from attn_doctor.model.facts import (
    AmdGpu,
    Compiler,
    Distribution,
    Facts,
    Gpu,
    OsName,
    PciDevice,
    Record,
    Toolkit,
    Unknown,
)
from attn_doctor.model.machine import AMD, INTEL, NVIDIA
from attn_doctor.model.stated_facts import Contradiction, Flavour, Place, Stated, StatedFacts
from attn_doctor.model.versions import flash_build, pair

GB10 = "12.1"  # the compute capability that only the DGX Spark has, https://developer.nvidia.com/cuda-gpus
# A stated fact -> (the path of the machine's own fact, its name in messages).
_PATHS = {
    "os": ("system.os", "the system"),
    "distribution": ("system.distribution", "the distribution"),
    "distribution_version": ("system.distribution_version", "the distribution's version"),
    "kernel": ("system.kernel", "the kernel"),
    "wsl": ("system.wsl", "WSL"),
    "shell": ("system.shell", "the shell"),
    "modules": ("system.modules", "modules"),
    "machine": ("system.machine", "the architecture"),
    "board": ("system.board", "the board"),
    "jetpack": ("system.jetpack", "JetPack"),
    "glibc": ("system.glibc", "glibc"),
    "environment": ("interpreter.prefix", "the environment"),
    "interpreter": ("interpreter.python", "the interpreter"),
    "python": ("interpreter.version", "Python"),
    "torch": ("torch.version", "torch"),
    "torch_cuda": ("torch.cuda", "torch's CUDA"),
    "torch_hip": ("torch.hip", "torch's ROCm"),
    "available": ("torch.available", "the GPU of torch"),
    "driver": ("graphics.driver", "the driver"),
    "driver_cuda": ("graphics.driver_cuda", "the driver's CUDA"),
    "cuda_home": ("toolchain.cuda_home", "CUDA_HOME"),
    "yolo_location": ("yolo.location", "the folder of ultralytics"),
    "package": ("subject.package", "the package"),
    "doing": ("subject.doing", "what was being done"),
    "asked": ("subject.asked", "the version"),
    "managed": ("interpreter.externally_managed", "whether pip may change this Python"),
    "locked": ("subject.locked", "whether uv had resolved"),
    "command": ("subject.command", "the command"),
    "folder": ("subject.folder", "the folder of the sources"),
    "address": ("subject.address", "the address of the package"),
    "started": ("subject.started", "the command that started the container"),
    "image": ("subject.image", "the image"),
}
_COMPARED = {"os", "machine"}  # must be equal
_BY_PAIR = {"python", "torch", "driver"}  # must have the same major and minor version
_SAME_MACHINE = {"AMD64": "x86_64", "amd64": "x86_64", "ARM64": "arm64", "aarch64": "arm64"}
_PACKAGES = {
    "flash-attn": "flash_attention.version",
    "flash-attn-3": "flash_attention.fa3",
    "flash-attn-4": "flash_attention.fa4",
    "ultralytics": "yolo.version",
    "torch": "torch.version",
}


class Filled(NamedTuple):
    """Hold the facts whose unknown values a log filled, and the facts with a different value in the log."""

    facts: Facts
    contradictions: tuple[Contradiction, ...]


def as_facts(stated: StatedFacts, base: Facts) -> Filled:
    """Fill the unknown facts of `base` from a log, and list the facts that differ. Returns `Filled`.

    A value that the machine's own probes found is never replaced. A log with another operating system or architecture is from
    another machine, and fills nothing. The packages that a log names become `packages.named`: a package that is not in that list
    may still be installed. `sources` gives the file and line for each filled fact.
    """
    contradictions = tuple(_contradictions(stated, base))
    if any(found.path in ("system.os", "system.machine") for found in contradictions):
        return Filled(base, contradictions)
    made = _Filling(base)
    for name, (path, _) in _PATHS.items():
        made.put(path, getattr(stated, name))
    if isinstance(stated.environment_kind, Stated):
        kind = stated.environment_kind
        made.set("interpreter.kind", "system" if kind.value == "user" else kind.value, kind)
    if (word := interpreter(stated)) is not None:
        made.set("interpreter.python", word.value, word)
    if isinstance(stated.bundled, Stated) and isinstance(made.facts.interpreter.python, Unknown):
        made.put("interpreter.python", stated.bundled)
        made.set("interpreter.kind", "venv" if in_venv(stated.bundled.value) else "standalone", stated.bundled)
    if isinstance(stated.l4t, Stated) and (jetpack := jetpack_of(stated.l4t.value)):
        made.set("system.jetpack", jetpack, stated.l4t)
    board = "-tegra" if isinstance(stated.board, Stated) and stated.board.value == "jetson" else ""
    if isinstance(stated.kernel, Stated) and (jetpack := jetpack_of_kernel(f"{stated.kernel.value}{board}")):
        made.set("system.jetpack", jetpack, stated.kernel)
    if isinstance(stated.torch_flavour, Stated):
        _flavour(made, stated.torch_flavour)
    if isinstance(stated.surroundings, Stated):
        inside = stated.surroundings.value in ("docker", "docker build", "kubernetes")
        made.put("system.container" if inside else "system.hosted", stated.surroundings)
    if isinstance(stated.os, Stated) and isinstance(stated.machine, Stated):
        made.set("interpreter.platform", _platform(stated.os.value, stated.machine.value), stated.machine)
    if isinstance(stated.installer, Stated):
        tools = (stated.installer.value, *((stated.conda_tool.value,) if isinstance(stated.conda_tool, Stated) else ()))
        made.set("interpreter.installers", tuple(dict.fromkeys(tools)), stated.installer)
        lock = _lock(stated)
        if lock:
            made.set("project.locks", (lock,), stated.installer)
    elif isinstance(stated.conda_tool, Stated):
        made.set("interpreter.installers", (stated.conda_tool.value,), stated.conda_tool)
    if isinstance(stated.toolkit, Stated):
        home = stated.cuda_home
        root = home.value if isinstance(home, Stated) else ""
        finder = next((found for words, found in _ANSWERS.items() if words in stated.toolkit.place.text), None)
        by: Any = {"found_by": (finder,)} if finder else {}
        made.set("toolchain.toolkits", (Toolkit(root=root, version=stated.toolkit.value, **by),), stated.toolkit)
    if isinstance(stated.compiler, Stated):
        name, _, version = stated.compiler.value.partition(" ")
        made.set("toolchain.compilers", (Compiler(name=name, path=name, version=version),), stated.compiler)
    made.name_packages(stated)
    _default_build(made, stated)
    _system_by_packages(made, stated)
    kernel = stated.kernel
    if isinstance(kernel, Stated) and isinstance(stated.wsl, Unknown):
        made.set("system.wsl", None, kernel)  # a kernel of WSL contains that name: "5.15.90.1-microsoft-standard-WSL2"
    if isinstance(stated.capability, Stated) and stated.capability.value == GB10:
        made.set("system.board", "dgx-spark", stated.capability)
        made.set("system.machine", "aarch64", stated.capability)
        made.set("system.os", "linux", stated.capability)
    _system_of_spark(made, stated)
    _graphics(made, stated)
    return Filled(made.facts, contradictions)


# Lines of `nvcc --version`, and of collect_env, which runs nvcc: a log with such a line shows that nvcc is on PATH.
# DeepSpeed's report asks the nvcc of CUDA_HOME: https://github.com/deepspeedai/DeepSpeed/blob/master/op_builder/builder.py
_ANSWERS = {"Cuda compilation tools": "PATH", "CUDA runtime version": "PATH", "nvcc version ...": "ds_report"}
_OF_A_PROJECT = re.compile(r"\buv\s+(?:add|sync|lock|run|remove)\b")


def _lock(stated: StatedFacts) -> str | None:
    """Return the lock file of the project on which the installer works; None if the environment belongs to no project."""
    assert isinstance(stated.installer, Stated)
    if stated.installer.value in ("poetry", "pdm", "pixi"):
        return f"{stated.installer.value}.lock"
    command = stated.command.value if isinstance(stated.command, Stated) else ""
    typed = (
        f"{command}\n{stated.installer.place.text}"  # the last command may be another one than the one that installed
    )
    return "uv.lock" if stated.installer.value == "uv" and _OF_A_PROJECT.search(typed) else None


def _platform(os: str, machine: str) -> str:
    """Return the platform as Python's sysconfig writes it."""
    if os == "windows" and machine == "x86":
        return "win32"
    if os == "windows":
        return "win-arm64" if machine == "aarch64" else "win-amd64"
    return f"macosx-11.0-{machine}" if os == "darwin" else f"linux-{machine}"


def _address(place: Place) -> str:
    return f"{place.file}:{place.line}"


# Packages that have wheels for only one system, or are needed on only one.
_ONLY_ON: dict[str, OsName] = {
    "triton": "linux", "nvidia-nccl-cu11": "linux", "nvidia-nccl-cu12": "linux", "nvidia-nccl-cu13": "linux",
    "-libgcc-mutex": "linux", "ld-impl-linux-64": "linux", "ld-impl-linux-aarch64": "linux",
    "pywin32": "windows", "pywinpty": "windows", "triton-windows": "windows", "appnope": "darwin",
}  # fmt: skip


def _system_by_packages(made: _Filling, stated: StatedFacts) -> None:
    """Fill in the operating system that a package ("triton-windows") or the form of the driver's number shows."""
    for package in stated.packages:
        if package.name in _ONLY_ON:
            made.set("system.os", _ONLY_ON[package.name], Stated(value="", place=package.place, how="implied"))
    driver = stated.driver
    # "550.54.14" is a driver of Linux. A driver of Windows, which WSL shows too, has two numbers: "552.22".
    if isinstance(driver, Stated) and re.fullmatch(r"\d+\.\d+\.\d+", driver.value):
        made.set("system.os", "linux", driver)
        made.set("system.wsl", None, driver)
    if isinstance(driver, Stated) and only_windows_has(driver.value):
        made.set("system.os", "windows", driver)
        if made.facts.system.os == "linux":
            made.set("system.wsl", 2, driver)


def _system_of_spark(made: _Filling, stated: StatedFacts) -> None:
    """Set Ubuntu 24.04 (DGX OS 7) for a DGX Spark if its log names no distribution (https://docs.nvidia.com/dgx/dgx-spark/dgx-os.html)."""
    named = (*(gpu for gpu in stated.gpus if "GB10" in gpu.value), stated.board, stated.capability)
    source = next((one for one in named if isinstance(one, Stated)), None)
    system = made.facts.system
    spark = system.board == "dgx-spark" or any("GB10" in gpu.value for gpu in stated.gpus)
    if spark and source and isinstance(system.container, Unknown) and isinstance(system.distribution, Unknown):
        made.set("system.distribution_version", "24.04", source)
        made.set("system.distribution", "ubuntu", source)


def _default_build(made: _Filling, stated: StatedFacts) -> None:
    """Set the CUDA of torch, if its version does not name it and NVIDIA's packages beside it show that it is PyPI's build."""
    brought = next((p for p in stated.packages if re.fullmatch(r"nvidia-cu\w+(?:-cu\d+)?", p.name)), None)
    version = made.facts.torch.version
    if brought and brought.installer != "conda" and isinstance(version, str) and "+" not in version:
        cuda = pypi_cuda(version)
        if isinstance(cuda, str):
            source = Stated(value="", place=brought.place, how="implied")
            made.set("torch.cuda", cuda, source)
            made.set("torch.hip", None, source)


def _flavour(made: _Filling, flavour: Stated[Flavour]) -> None:
    """Set to None what a build of torch lacks: a CUDA build has no ROCm, a ROCm build no CUDA, a CPU build neither."""
    if flavour.value != "cuda":
        made.set("torch.cuda", None, flavour)
    if flavour.value != "rocm":
        made.set("torch.hip", None, flavour)


# The maker by its name in lspci, https://pci-ids.ucw.cz. lspci prints the device id only with -nn.
_VENDORS = {
    "NVIDIA Corporation": NVIDIA,
    "Advanced Micro Devices": AMD,
    "Intel Corporation": INTEL,
    "Arc": INTEL,
    "Intel": INTEL,
}
_ARC = "56a0"  # the device id of an Arc A770 stands for every Arc: torch has code for all of them


def _graphics(made: _Filling, stated: StatedFacts) -> None:
    """Fill in the cards on the PCI bus, the NVIDIA GPUs and the AMD GPU."""
    if stated.pci:
        bus = tuple(
            PciDevice(vendor=_VENDORS[maker.value], device=_ARC if maker.value == "Arc" else "", pci_class="03")
            for maker in stated.pci
        )
        made.set("graphics.pci", bus, stated.pci[-1])
    names = stated.gpus
    amd = [gpu for gpu in names if gpu.value.startswith(("AMD", "Radeon"))]
    nvidia = [gpu for gpu in names if gpu not in amd]
    capability = stated.capability
    if nvidia:
        gpus = tuple(
            Gpu(index=at, name=gpu.value, compute_capability=_capability(gpu.value, stated, alone=len(nvidia) == 1))
            for at, gpu in enumerate(nvidia)
        )
        made.set("graphics.gpus", gpus, nvidia[0])
    elif isinstance(capability, Stated):
        made.set("graphics.gpus", (Gpu(index=0, compute_capability=capability.value),), capability)
    if amd or isinstance(stated.gfx, Stated):
        gfx: Any = stated.gfx.value if isinstance(stated.gfx, Stated) else Unknown("the log does not say")
        source = amd[0] if amd else stated.gfx
        assert isinstance(source, Stated)
        one = AmdGpu(name=amd[0].value, gfx=gfx) if amd else AmdGpu(gfx=gfx)
        made.set("graphics.amd", (one,), source)


# The name that the driver gives a Jetson's GPU -> its compute capability, https://developer.nvidia.com/cuda-gpus
_OF_BOARDS = {"Orin": "8.7", "Xavier": "7.2", "Thor": "11.0"}


def _capability(name: str, stated: StatedFacts, *, alone: bool) -> str | Unknown:
    """Return the compute capability of a GPU: the stated one if this is the only GPU, else that of its model."""
    if alone and isinstance(stated.capability, Stated):
        return stated.capability.value
    if name.removeprefix("NVIDIA ") in _OF_BOARDS:
        return _OF_BOARDS[name.removeprefix("NVIDIA ")]
    row = model(name)
    if isinstance(row, Unknown):
        row = model(f"GeForce {name}")
    return row if isinstance(row, Unknown) else row.capability


# A row of `pip freeze` for a wheel that was installed by its address: "NAME @ https://.../NAME-0.41.1-py3-none-win_amd64.whl".
_WHEEL_TAG = re.compile(r" @ \S+-((?:cp|py)[\w.]+-\w+-\w+)\.whl")


class _Filling:
    """Fill unknown facts one after the other; `facts` is the result so far."""

    def __init__(self, base: Facts) -> None:
        self.facts = base

    def put(self, path: str, stated: Stated[Any] | Unknown) -> None:
        """Set a fact to the stated value, if the fact is unknown and a value is stated."""
        if isinstance(stated, Stated):
            self.set(path, stated.value, stated)

    def set(self, path: str, value: object, source: Stated[Any]) -> None:
        """Set the fact at `path` ("torch.version") if it is unknown. `source`: the line that states the value."""
        section, name = path.split(".")
        record: Record = getattr(self.facts, section)
        if isinstance(getattr(record, name), Unknown):
            self.facts = msgspec.structs.replace(
                self.facts,
                **{section: msgspec.structs.replace(record, **{name: value})},
                sources={**self.facts.sources, path: _address(source.place)},
            )

    def name_packages(self, stated: StatedFacts) -> None:
        """Add the packages that a log names, if the packages of the machine are unknown."""
        if not isinstance(self.facts.packages.distributions, Unknown) or not stated.packages:
            return
        named = tuple(
            Distribution(
                name=p.name,
                version=p.version or Unknown("pip freeze does not print it"),
                installer=p.installer or Unknown("the log does not say"),
                wheel_tag=tag[1] if (tag := _WHEEL_TAG.search(p.place.text)) else Unknown("the log does not say"),
            )
            for p in stated.packages
        )
        field = "distributions" if stated.whole else "named"
        rows = tuple("-".join(p.place.text.split()[:3]) for p in stated.packages if p.installer == "conda")
        more: Any = {"conda": rows} if rows and isinstance(self.facts.packages.conda, Unknown) else {}
        packages = msgspec.structs.replace(self.facts.packages, **{field: named}, **more)
        places = {f"packages.{field}.{at}": _address(p.place) for at, p in enumerate(stated.packages)}
        places[f"packages.{field}"] = _address(stated.packages[-1].place)
        self.facts = msgspec.structs.replace(self.facts, packages=packages, sources={**self.facts.sources, **places})
        for name, path in _PACKAGES.items():
            found = next((p for p in stated.packages if p.name == name), None)
            if found or stated.whole:
                place = (found or stated.packages[0]).place
                self.set(path, found.version if found else None, Stated(value="", place=place, how="said"))
            if name == "flash-attn" and found and (build := flash_build(found.version)):
                for field, value in (("torch", build.torch), ("cuda", build.cuda), ("abi", build.cxx11_abi)):
                    self.set(f"flash_attention.wheel_{field}", value, Stated(value="", place=found.place, how="said"))


def _contradictions(stated: StatedFacts, base: Facts) -> Iterator[Contradiction]:
    """Yield each fact for which a log and a machine have different values. A different patch release does not count."""
    for name, (path, words) in _PATHS.items():
        said = getattr(stated, name)
        section, _, field = path.partition(".")
        here = getattr(getattr(base, section), field)
        if not isinstance(said, Stated) or not isinstance(here, str) or name not in _COMPARED | _BY_PAIR:
            continue
        told = [said.value, *(value for value, _ in said.also)]
        if not any(_agree(name, here, value) for value in told):
            yield Contradiction(path=path, name=words, here=here, stated=said.value, place=said.place)
    kits = base.toolchain.toolkits
    versions = [k.version for k in kits if isinstance(k.version, str)] if isinstance(kits, tuple) else []
    if isinstance(stated.toolkit, Stated) and versions:
        told = [stated.toolkit.value, *(value for value, _ in stated.toolkit.also)]
        if not {pair(v) for v in versions} & {pair(v) for v in told}:
            yield Contradiction(
                path="toolchain.toolkits",
                name="the toolkit's CUDA",
                here=versions[0],
                stated=stated.toolkit.value,
                place=stated.toolkit.place,
            )


def _agree(name: str, here: str, stated: str) -> bool:
    """Return whether two values of a fact are the same for this purpose: two releases of one minor version, two names of one machine."""
    if name in _BY_PAIR:
        return pair(here) == pair(stated)
    return _SAME_MACHINE.get(here, here) == _SAME_MACHINE.get(stated, stated)
