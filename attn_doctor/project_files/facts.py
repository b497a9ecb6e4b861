"""Make facts of the environment that project files would install. Pure.

Only an exact version becomes a fact: `torch==2.3.1`, never `torch>=2`. Everything else stays unknown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from attn_doctor.knowledge import distributions
from attn_doctor.knowledge.pytorch import pypi_cuda
from attn_doctor.model.facts import (
    Compiler,
    Distribution,
    Facts,
    FlashAttention,
    Interpreter,
    OsName,
    Packages,
    Pin,
    Project,
    Subject,
    System,
    Toolchain,
    Toolkit,
    Torch,
    Unknown,
    Yolo,
)
from attn_doctor.model.project_file import ProjectFile, Said, Wish
from attn_doctor.model.versions import flash_build, pair

NOT_ASKED = "the file does not settle it"
_IN_IMAGE = "/usr/local/cuda"  # the folder of the toolkit in the images of https://hub.docker.com/r/nvidia/cuda
_OS_RELEASE = {"ubi": "rhel", "rockylinux": "rocky", "amazonlinux": "amzn", "oraclelinux": "ol"}  # image: ID
_CUDA_OF = ("pytorch-cuda", "cudatoolkit")  # conda's packages that choose the CUDA of torch


# The tags of a wheel with compiled code for one Python: "-cp312-cp312-linux_x86_64.whl", "-cp311-cp311-win_amd64.whl".
_TAG = re.compile(
    r"-cp3(?P<minor>\d{1,2})-cp3\w+-(?P<system>win|(?:many)?linux)\w*?_(?P<machine>x86_64|amd64|aarch64)\.whl"
)
_SYSTEMS: dict[str, OsName] = {"win": "windows", "linux": "linux", "manylinux": "linux"}
_MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64"}


class _Tag(NamedTuple):
    """Hold the facts about the machine that the name of a wheel contains."""

    python: Said
    file: str
    os: OsName
    machine: str


def as_facts(files: Sequence[ProjectFile], base: Facts) -> Facts:
    """Return the facts of the environment that these files would install on the machine of `base`. Their grade is "stated".

    If two files request the same package, the last file counts.
    """
    made = _Making(files, base)
    made.system()
    made.torch()
    made.packages()
    made.toolchain()
    return made.facts


class _Making:
    """Collect the facts from files. If several files request one package, the last file counts."""

    def __init__(self, files: Sequence[ProjectFile], base: Facts) -> None:
        self.files = files
        self.facts = Facts(
            grade="stated",
            system=base.system,
            graphics=base.graphics,
            toolchain=base.toolchain,
            interpreter=base.interpreter,
        )

    def wish(self, name: str) -> tuple[Wish, str] | None:
        """Return the last request for a package, and the file that contains it."""
        return next(((w, f.file) for f in reversed(self.files) if (w := f.wish(name))), None)

    def said(self, name: str) -> tuple[Said, str] | None:
        """Return what the last file states for a field such as "python" or "flavour", and that file."""
        return next(((s, f.file) for f in reversed(self.files) if (s := getattr(f, name))), None)

    def put(self, section: str, record: Any, where: dict[str, tuple[int, str]]) -> None:
        """Put the known fields of a record into a section. `where`: for each field, the line and file that set it."""
        known = {n: v for n in record.__struct_fields__ if not isinstance(v := getattr(record, n), Unknown)}
        record = msgspec.structs.replace(getattr(self.facts, section), **known)
        sources = {f"{section}.{field}": f"{file}:{line}" for field, (line, file) in where.items()}
        self.facts = msgspec.structs.replace(self.facts, **{section: record}, sources={**self.facts.sources, **sources})

    def system(self) -> None:
        """Set system and Python.

        They are known from the image of a Dockerfile, the `prefix:` of an environment.yml, the tags of wheels, or a stated version
        of Python.
        """
        docker = next((f for f in self.files if f.kind == "dockerfile"), None)
        fields: dict[str, Any] = {}
        where: dict[str, tuple[int, str]] = {}
        if docker and docker.image:
            fields = {"os": "linux", "wsl": None, "container": "docker build"}
            where = dict.fromkeys(fields, (docker.image.line, docker.file))
            self.facts = msgspec.structs.replace(self.facts, environment=docker.variables)
            if docker.musl:
                fields |= {"glibc": None, "musl": "1.2"}
            if docker.distribution:
                name, _, version = docker.distribution.value.partition(" ")
                name = _OS_RELEASE.get(name, name)
                fields |= {"distribution": name, "distribution_version": version}
                if isinstance(libc := distributions.glibc(name, version), str):
                    fields["glibc"] = libc
                where |= dict.fromkeys(fields, (docker.image.line, docker.file))
            self.put("subject", Subject(image=docker.image.name), {"image": (docker.image.line, docker.file)})
        exported = next((f for f in self.files if f.kind == "conda" and f.os), None)
        if exported and isinstance(self.facts.system.os, Unknown):
            fields["os"] = exported.os  # the line `prefix:`, the last of the file
            where["os"] = (max(exported.lines(), default=0) + 1, exported.file)
            if exported.os == "windows":  # conda's packages for Windows are for x86-64
                self.put("interpreter", Interpreter(platform="win-amd64"), {"platform": where["os"]})
        if (wheel := self._wheel_tag()) and isinstance(self.facts.system.os, Unknown):
            fields.setdefault("os", wheel.os)
            fields.setdefault("machine", wheel.machine)
            where |= {name: (wheel.python.line, wheel.file) for name in fields if name not in where}
        self.put("system", System(**fields), where)
        python = self.said("python")
        if wheel and isinstance(self.facts.interpreter.version, Unknown):
            python = python or (wheel.python, wheel.file)
        if python:
            said, file = python
            minor = pair(said.value)
            tag = f"cp{minor[0]}{minor[1]}" if minor else Unknown(NOT_ASKED)
            record = Interpreter(version=said.value, tag=tag)
            self.put("interpreter", record, {"version": (said.line, file), "tag": (said.line, file)})

    def _wheel_tag(self) -> _Tag | None:
        """Return the facts about the machine that the names of the wheels contain.

        None if no wheel has compiled code, or if two of them disagree.
        """
        found = [
            _Tag(
                Said(value=f"3.{tag['minor']}", line=w.line), f.file, _SYSTEMS[tag["system"]], _MACHINES[tag["machine"]]
            )
            for f in self.files
            if f.kind == "requirements"  # a project's file names the Pythons that it allows
            for w in f.wishes
            if (tag := _TAG.search(w.text))
        ]
        return found[0] if len({(tag.python.value, tag.os, tag.machine) for tag in found}) == 1 else None

    def torch(self) -> None:
        """Set torch, and the CUDA for which it would be built."""
        found = self.wish("torch")
        if found is None or found[0].version is None:
            if any(f.whole for f in self.files) and found is None:
                self.put("torch", Torch(version=None), {})
            return
        wish, file = found
        version = wish.version
        assert version is not None
        flavour = self.said("flavour")
        if flavour and "+" not in version and not wish.conda:
            version = f"{version}+{flavour[0].value}"
        cuda, hip, line, by = self._build(wish, version, file)
        record = Torch(version=version, cuda=cuda, hip=hip)
        self.put("torch", record, {"version": (wish.line, file), "cuda": (line, by), "hip": (line, by)})

    def _build(self, wish: Wish, version: str, file: str) -> tuple[Any, Any, int, str]:
        """Return the CUDA and the ROCm of a torch, and the line that decides them."""
        build = version.partition("+")[2]
        unknown = Unknown(NOT_ASKED)
        if cuda := re.fullmatch(r"cu(\d+)(\d)", build):
            flavour = self.said("flavour")
            line, by = (flavour[0].line, flavour[1]) if flavour else (wish.line, file)
            return f"{cuda[1]}.{cuda[2]}", None, line, by
        if build.startswith("rocm"):
            return None, build.removeprefix("rocm"), wish.line, file
        if build in ("cpu", "xpu"):
            return None, None, wish.line, file
        if wish.conda:
            for name in _CUDA_OF:
                chosen = self.wish(name)
                if chosen and chosen[0].version:
                    return chosen[0].version, None, chosen[0].line, chosen[1]
            if only := self.wish("cpuonly"):
                return None, None, only[0].line, only[1]
            return unknown, unknown, wish.line, file
        default = pypi_cuda(version) if self.facts.system.os == "linux" else None
        return (default, None, wish.line, file) if isinstance(default, str) else (unknown, unknown, wish.line, file)

    def packages(self) -> None:
        """Set the packages that have exact versions, the requirements, the version of ultralytics, and the flash-attn of a named wheel."""
        wishes = [(w, f.file) for f in self.files for w in f.wishes]
        last = {w.name: (w, file) for w, file in wishes if w.version}
        whole = any(f.whole for f in self.files)
        named = tuple(
            Distribution(name=w.name, version=w.version, installer="conda" if w.conda else "pip", from_pypi=w.pypi)
            for w, _ in last.values()
        )
        field = "distributions" if whole else "named"
        where = {f"{field}.{at}": (w.line, file) for at, (w, file) in enumerate(last.values())}
        self.put("packages", Packages(distributions=named) if whole else Packages(named=named), where)
        pins = tuple(
            Pin(
                file=file,
                line=w.line,
                requirement=w.text,
                isolated=w.isolated,
                by_command=w.by_command,
                project_tool=w.project_tool,
                without_torch=w.without_torch,
            )
            for w, file in wishes
        )
        self.put("project", Project(pins=pins), {f"pins.{at}": (pin.line, pin.file) for at, pin in enumerate(pins)})
        self._flash_attention(last, whole=whole)
        yolo = last.get("ultralytics")
        if yolo:
            self.put("yolo", Yolo(version=yolo[0].version), {"version": (yolo[0].line, yolo[1])})

    def _flash_attention(self, last: dict[str, tuple[Wish, str]], *, whole: bool) -> None:
        """Set the facts of flash-attn.

        They are known if the file names a wheel, because that wheel would be installed as it is. For a release without a wheel's
        name they stay unknown: the installer looks for a wheel or builds one.
        """
        found = last.get("flash-attn")
        build = flash_build(found[0].text) if found else None
        if found and build:
            record = FlashAttention(
                version=found[0].version,
                wheel_torch=build.torch,
                wheel_cuda=build.cuda,
                wheel_abi=build.cxx11_abi,
                fa3=None,
                fa4=None,
            )
            fields = ("version", "wheel_torch", "wheel_cuda", "wheel_abi")
            self.put("flash_attention", record, dict.fromkeys(fields, (found[0].line, found[1])))
        elif whole or self.wish("flash-attn"):
            self.put("flash_attention", FlashAttention(version=None, fa3=None, fa4=None), {})

    def toolchain(self) -> None:
        """Set the toolkit and the compiler that an image, apt or conda would install."""
        docker = next((f for f in self.files if f.kind == "dockerfile"), None)
        kit = next(
            (k for name in ("cuda-toolkit", "cuda-nvcc", "cudatoolkit-dev") if (k := self.wish(name)) and k[0].version),
            None,
        )
        if docker is None or docker.image is None:
            if kit and kit[0].conda:
                self._toolkit(str(kit[0].version), "CONDA_PREFIX", "conda", kit[0].line, kit[1])
            return
        image = docker.image
        if image.toolkit:
            self._toolkit(image.toolkit, _IN_IMAGE, _IN_IMAGE, image.line, docker.file)
        elif image.without_toolkit:
            record = Toolchain(
                toolkits=(), nvcc_on_path=None, cuda_home=None, cuda_home_by=None, cuda_home_problem=None
            )
            self.put(
                "toolchain",
                record,
                dict.fromkeys(("toolkits", "cuda_home", "cuda_home_by", "nvcc_on_path"), (image.line, docker.file)),
            )
        if image.compiler is not None:
            compilers = (Compiler(name="g++", path="/usr/bin/g++"),) if image.compiler else ()
            record = msgspec.structs.replace(self.facts.toolchain, compilers=compilers)
            self.put("toolchain", record, {"compilers": (image.line, docker.file)})

    def _toolkit(self, version: str, root: str, by: str, line: int, file: str) -> None:
        record = Toolchain(
            toolkits=(Toolkit(root=root, found_by=(by,), nvcc=f"{root}/bin/nvcc", version=version, problem=None),),
            nvcc_on_path=f"{root}/bin/nvcc",
            cuda_home=root,
            cuda_home_by="nvcc on PATH" if by == "conda" else by,
            cuda_home_problem=None,
        )
        self.put("toolchain", record, dict.fromkeys(("toolkits", "cuda_home", "cuda_home_by"), (line, file)))
