"""Read a Dockerfile: its base image, and the packages that its commands install. Nothing is built."""

from __future__ import annotations

import io
import re
import string
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from attn_doctor.model.facts import Variable
from attn_doctor.model.project_file import Image, ProjectFile, Said, Wish
from attn_doctor.project_files.requirements import flavour_of, of_command, wish_of, words_of

_FROM = re.compile(r"(?i)^(?:--platform=\S+\s+)?(?P<image>\S+)(?:\s+AS\s+(?P<alias>\S+))?\s*$")
_COMMANDS = re.compile(r"&&|\|\||;|\n|(?<!\|)\|(?!\|)")
_INSTALL = re.compile(
    r"(?:^|\s)(?:(?:python[\d.]*|\S*/python[\d.]*)\s+-m\s+)?(?:\S*/)?(?P<tool>uv\s+pip|uv|pip[\d.]*|conda|mamba|micromamba|apt-get|apt|apk|dnf|yum)"
    r"(?:\s+-\S+)*\s+(?P<verb>install|add)\s+(?P<rest>.*)$",
    re.DOTALL,
)
_SYSTEM_TOOLS = frozenset({"apt-get", "apt", "apk", "dnf", "yum"})
_COMPILERS = frozenset({"build-essential", "gcc", "g++", "gcc-c++", "build-base", "clang"})
_TOOLKIT = re.compile(r"^(?:cuda|cuda-toolkit|cuda-nvcc|nvidia-cuda-toolkit)(?:-(?P<major>\d+)-(?P<minor>\d+))?$")
_BUILT_BY_HAND = re.compile(r"cuda_\d[\w.]*_linux\w*\.run")  # NVIDIA's runfile: it installs a toolkit
# https://hub.docker.com/r/nvidia/cuda: only images with "devel" in their name contain nvcc (and gcc, which nvcc needs).
_NVIDIA = re.compile(r"(?:^|/)nvidia/cuda(?:-arm64)?:(?P<cuda>\d+\.\d+)[\w.]*-(?P<rest>[\w.-]+)$")
# https://hub.docker.com/r/pytorch/pytorch/tags
_PYTORCH = re.compile(
    r"(?:^|/)pytorch/pytorch:(?P<torch>\d+\.\d+\.\d+)-cuda(?P<cuda>\d+\.\d+)-cudnn\d+-(?P<rest>runtime|devel)$"
)
_PYTHON = re.compile(r"(?:^|/)python:(?P<python>3\.\d+)[\w.]*(?:-(?P<rest>[\w.-]+))?$")
_PLAIN = re.compile(
    r"(?:^|/)(?P<name>ubuntu|debian|rockylinux|almalinux|centos|oraclelinux|alpine|fedora|amazonlinux)(?::(?P<version>[\w.]+))?[\w-]*$"
)
_CONDA = re.compile(r"(?:^|/)(?:continuumio/(?:mini|ana)conda3|condaforge/\w+|mambaorg/micromamba)\b")
_SYSTEM = re.compile(
    r"(?P<name>ubuntu|ubi|rockylinux|rocky|centos|debian|oraclelinux|opensuse)(?P<version>\d+(?:\.\d+)?)"
)
# The code names in tags: "python:3.10-slim-bullseye", "ubuntu:bionic-20230530". https://wiki.debian.org/DebianReleases, https://releases.ubuntu.com
_CODE_NAMES = {
    "buster": "debian 10", "bullseye": "debian 11", "bookworm": "debian 12", "trixie": "debian 13",
    "bionic": "ubuntu 18.04", "focal": "ubuntu 20.04", "jammy": "ubuntu 22.04", "noble": "ubuntu 24.04",
}  # fmt: skip
# Commands that install packages without naming them: a list of requirements, a project, a script, the environment of another stage.
_BRINGS_MORE = re.compile(
    r"torch|\s-r\b|--requirement|requirements|environment\.ya?ml|\bsync\b|(?:poetry|pdm|pixi) install|\.sh\b|setup\.py|install (?:-\S+ )*[./]|^(?:COPY|ADD) "
)
_WITHOUT_TORCH = frozenset(
    "pip setuptools wheel packaging ninja psutil cmake pybind11 cython uv poetry numpy scipy pandas pillow matplotlib tqdm pyyaml requests "
    "opencv-python opencv-python-headless scikit-learn scikit-image jupyter jupyterlab notebook ipython fastapi uvicorn flask boto3 einops "
    "huggingface-hub transformers tokenizers datasets safetensors virtualenv awscli hydra-core omegaconf flash-attn".split()
)
_UV_DOCKER = "ghcr.io/astral-sh/uv:"


class _Stage(NamedTuple):
    """Hold one stage: a FROM instruction, and the commands before the next FROM."""

    image: str
    alias: str | None
    line: int
    commands: list[tuple[str, int]]


def read(text: str, file: str) -> ProjectFile | None:
    """Return the record of a Dockerfile; None if the file has no FROM.

    It is about the last stage that installs packages (if none does: the last stage), together with the stages that it
    is built on.
    """
    variables: dict[str, str] = {}
    stages = list(_stages(text, variables))
    if not stages:
        return None
    chains = [_chain(stages, index) for index in range(len(stages))]
    wishing = [
        chain for chain in chains if any(list(_wishes(command, line)) for s in chain for command, line in s.commands)
    ]
    chain = (wishing or chains)[-1]
    base = chain[0]
    image, wishes, python, distribution = _image(base.image, base.line)
    flavour: Said | None = None
    toolkit, without, compiler = image.toolkit, image.without_toolkit, image.compiler
    torch = bool(wishes) or not (image.toolkit or image.without_toolkit)  # an unknown image may contain torch
    for stage in chain:
        for command, line in stage.commands:
            for part in _COMMANDS.split(command):
                found_there = list(_wishes(part, line))
                wishes += [_in_order(wish, without_torch=not torch) for wish in found_there]
                torch = torch or _may_bring_torch(part, found_there)
            flavour = flavour_of(command, line) or flavour
            for name in _system_packages(command):
                compiler = True if name in _COMPILERS else compiler
                if found := _TOOLKIT.match(name):
                    toolkit = f"{found['major']}.{found['minor']}" if found["major"] else None
                    without, compiler = False, True
            without = without and not _BUILT_BY_HAND.search(command)
    commands = [(command, line) for stage in chain for command, line in stage.commands]
    python = _python_of(wishes, commands) or python or _of_system(distribution, commands)
    kit = next(
        (w for w in wishes if w.conda and w.name in ("cuda-toolkit", "cuda-nvcc", "cudatoolkit-dev", "cuda")), None
    )
    if kit:
        toolkit, without = (kit.version or toolkit), False
    return ProjectFile(
        file=file,
        kind="dockerfile",
        wishes=tuple(wishes),
        os="linux",
        python=python,
        flavour=flavour,
        image=Image(name=image.name, line=image.line, toolkit=toolkit, without_toolkit=without, compiler=compiler),
        distribution=distribution,
        musl="alpine" in base.image,
        variables=tuple(Variable(name=name, value=value) for name, value in variables.items()),
    )


# The `python3` of a release, https://packages.ubuntu.com/python3 and https://packages.debian.org/python3
_PYTHON3 = {
    "ubuntu 18.04": "3.6", "ubuntu 20.04": "3.8", "ubuntu 22.04": "3.10", "ubuntu 24.04": "3.12",
    "debian 10": "3.7", "debian 11": "3.9", "debian 12": "3.11", "debian 13": "3.13",
}  # fmt: skip
# What brings another Python than that of the distribution, or may: a PPA, a named python3.11, uv, conda, pyenv, a compiled one.
_ANOTHER_PYTHON = re.compile(
    r"deadsnakes|python3\.\d|\buv\b|conda|mamba|miniforge|pyenv|Python-3|pixi|poetry|update-alternatives|COPY |ADD "
)


def _python_of(wishes: list[Wish], commands: list[tuple[str, int]]) -> Said | None:
    """Return the Python that conda installs, if it is one and nothing else is named; else None."""
    asked = {w.version: w.line for w in wishes if w.conda and w.name == "python"}
    typed = {v for command, _ in commands for v in re.findall(r"python=+(3\.\d+)", command)}
    found = {v for v in asked if v} | typed
    minors = {".".join(v.split(".")[:2]) for v in found}
    if len(minors) != 1:
        return None
    minor = minors.pop()
    written = re.compile(rf"python\s*=+\s*{re.escape(minor)}\b")
    line = next((line for command, line in commands if written.search(command)), next(iter(asked.values()), 1))
    return Said(value=minor, line=line)


def _of_system(distribution: Said | None, commands: list[tuple[str, int]]) -> Said | None:
    """Return the Python of the distribution if apt installs it, and no command may bring another one; else None."""
    python = _PYTHON3.get(distribution.value) if distribution else None
    by_apt = any(
        re.fullmatch(r"python3(?:-pip|-dev|-venv)?", name) for c, _ in commands for name in _system_packages(c)
    )
    if python is None or distribution is None or not by_apt or any(_ANOTHER_PYTHON.search(c) for c, _ in commands):
        return None
    return Said(value=python, line=distribution.line)


def _stages(text: str, variables: dict[str, str]) -> Iterator[_Stage]:
    """Yield the stages. The values of ARG and ENV are inserted, and the variables of ENV are added to `variables`."""
    values: dict[str, str] = {}
    stage: _Stage | None = None
    for name, value, line in _instructions(text):
        filled = string.Template(re.sub(r"\$\{(\w+):[-+][^}]*\}", r"${\1}", value)).safe_substitute(values)
        if name in ("ARG", "ENV"):
            for key, given in re.findall(r"(\w+)=(\"[^\"]*\"|'[^']*'|\S+)", filled):
                values[key] = given.strip("\"'")
                if name == "ENV":
                    variables[key] = values[key]
        elif name == "FROM" and (found := _FROM.match(filled)):
            if stage:
                yield stage
            stage = _Stage(found["image"], found["alias"], line, [])
        elif stage and (name == "RUN" or (name in ("COPY", "ADD") and "--from" in filled)):
            stage.commands.append((filled if name == "RUN" else f"{name} {filled}", line))
    if stage:
        yield stage


def _instructions(text: str) -> Iterator[tuple[str, str, int]]:
    """Yield name, value and first line of each instruction. The lines of a here-document are a part of its RUN."""
    from dockerfile_parse import DockerfileParser  # its parser needs a path or a file object

    parser = DockerfileParser(fileobj=io.BytesIO(text.encode()))
    marker, held = None, ("", "", 0)
    structure: list[dict[str, Any]] = parser.structure
    for part in structure:
        name, value, line = str(part["instruction"]).upper(), str(part["value"]), int(part["startline"]) + 1
        content = str(part["content"]).strip("\n")
        if marker is not None:
            if content.strip() == marker:
                yield held
                marker = None
            else:
                held = (held[0], f"{held[1]}\n{content}", held[2])
            continue
        here = re.match(r"(?:--\S+\s+)*<<-?\s*['\"]?(\w+)['\"]?\s*$", value) if name == "RUN" else None
        if here:
            marker, held = here[1], ("RUN", "", line)
        elif name != "COMMENT":
            yield name, value, line
    if marker is not None:
        yield held


def _chain(stages: list[_Stage], index: int) -> list[_Stage]:
    """Return the stages that a stage is built on, and the stage itself as the last."""
    chain = [stages[index]]
    while (base := next((s for s in stages[: stages.index(chain[0])] if s.alias == chain[0].image), None)) is not None:
        chain.insert(0, base)
    return chain


def _calls(command: str) -> Iterator[tuple[str, list[str]]]:
    for part in _COMMANDS.split(command):
        if found := _INSTALL.search(" " + part.strip()):
            yield re.sub(r"[\d.]+$", "", found["tool"].split()[0]), words_of(found["rest"])


def _wishes(command: str, line: int) -> Iterator[Wish]:
    for tool, words in _calls(command):
        if tool in _SYSTEM_TOOLS:
            continue
        for wish in of_command(words, line):
            yield wish if tool in ("pip", "uv") else _conda(wish)


def _in_order(wish: Wish, *, without_torch: bool) -> Wish:
    return msgspec.structs.replace(wish, by_command=not wish.conda, without_torch=without_torch and not wish.conda)


def _may_bring_torch(command: str, wishes: list[Wish]) -> bool:
    """Return whether a command may install torch.

    It may if it installs a package that needs torch, or installs from a file that is not part of the Dockerfile.
    """
    return _BRINGS_MORE.search(command) is not None or any(wish.name not in _WITHOUT_TORCH for wish in wishes)


def _conda(wish: Wish) -> Wish:
    name = {"pytorch": "torch", "opencv": "opencv-python"}.get(wish.name, wish.name)
    return Wish(name=name, text=wish.text, line=wish.line, version=wish.version, conda=True)


def _system_packages(command: str) -> Iterator[str]:
    for tool, words in _calls(command):
        if tool in _SYSTEM_TOOLS:
            yield from (word.partition("=")[0] for word in words if not word.startswith("-"))


def _image(name: str, line: int) -> tuple[Image, list[Wish], Said | None, Said | None]:
    """Return the facts that the name of an image contains: toolkit and compiler, packages, Python, distribution."""
    bare = name.partition("@")[0]
    coded = next((system for word, system in _CODE_NAMES.items() if re.search(rf"[:-]{word}\b", bare)), None)
    named = f"{found['name']} {found['version']}" if (found := _SYSTEM.search(bare)) else coded
    distribution = Said(value=named, line=line) if named else None
    if found := _NVIDIA.search(bare):
        devel = "devel" in found["rest"].split("-")
        kit = found["cuda"] if devel else None
        return (
            Image(name=name, line=line, toolkit=kit, without_toolkit=not devel, compiler=devel),
            [],
            None,
            distribution,
        )
    if found := _PYTORCH.search(bare):
        devel = found["rest"] == "devel"
        torch = wish_of(f"torch=={found['torch']}+cu{found['cuda'].replace('.', '')}", line)
        kit = found["cuda"] if devel else None
        made = Image(name=name, line=line, toolkit=kit, without_toolkit=not devel, compiler=True if devel else None)
        return made, [torch] if torch else [], None, distribution
    if found := _PYTHON.search(bare):
        full = not re.search(r"slim|alpine", found["rest"] or "")
        made = Image(name=name, line=line, without_toolkit=True, compiler=full)
        return made, [], Said(value=found["python"], line=line), distribution
    if found := _PLAIN.search(bare):
        version = found["version"]
        own = Said(value=f"{found['name']} {version}", line=line) if version and version[0].isdigit() else distribution
        return Image(name=name, line=line, without_toolkit=True, compiler=False), [], None, own
    if _CONDA.search(bare):
        return Image(name=name, line=line, without_toolkit=True, compiler=False), [], None, distribution
    if bare.startswith(_UV_DOCKER) and (python := re.search(r"python(3\.\d+)", bare)):
        made = Image(name=name, line=line, without_toolkit=True, compiler="slim" not in bare and "alpine" not in bare)
        return made, [], Said(value=python[1], line=line), distribution
    return Image(name=name, line=line), [], None, distribution
