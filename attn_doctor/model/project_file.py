"""The record types of what a project file asks for. Values only."""

from __future__ import annotations

import re
from typing import Literal

from attn_doctor.model.facts import OsName, Record, Variable

Kind = Literal["requirements", "pyproject", "lock", "conda", "dockerfile"]


class Wish(Record, frozen=True, kw_only=True):
    """A package that a file asks for."""

    name: str  # normal name: "flash-attn"
    text: str  # as it stands there, "flash-attn==2.5.8", or the address of a wheel
    line: int  # from 1
    version: str | None = None  # where it is exact: "2.5.8"; of conda's "pytorch=2.1" it is "2.1"
    conda: bool = False
    isolated: bool = True  # False: installed with --no-build-isolation
    by_command: bool = False  # of a Dockerfile
    without_torch: bool = False  # of a Dockerfile: neither its image nor an earlier command brings torch
    build: str | None = None  # of conda: "py3.10_cuda12.1_cudnn8_0"

    @property
    def requirement(self) -> str:
        """Return the wish in pip's words: "torch==2.1.*" for "pytorch=2.1" in environment.yml."""
        if not self.conda:
            return self.text
        if self.version:
            return f"{self.name}=={self.version}" + ("" if "==" in self.text else ".*")
        return self.name + re.sub(r"^[^\s<>=!~]*", "", self.text)


class Said(Record, frozen=True, kw_only=True):
    """Another thing that a file settles, and its line."""

    value: str
    line: int


class Image(Record, frozen=True, kw_only=True):
    """The image on which a Dockerfile builds, as far as its name tells."""

    name: str  # "nvidia/cuda:12.4.1-runtime-ubuntu22.04"
    line: int
    toolkit: str | None = None  # "12.4" where nvcc is in it
    without_toolkit: bool = False  # its name says that nvcc is not in it
    compiler: bool | None = None  # None: its name does not tell


class ProjectFile(Record, frozen=True, kw_only=True):
    """Hold what one file asks for."""

    file: str
    kind: Kind
    wishes: tuple[Wish, ...] = ()
    whole: bool = False  # a lock file: the packages are all that would be installed
    os: OsName | None = None
    python: Said | None = None  # "3.13"
    flavour: Said | None = None  # of torch, by the index that is named: "cu121", "cpu", "rocm6.2"
    image: Image | None = None
    distribution: Said | None = None  # "ubuntu 22.04"
    musl: bool = False
    variables: tuple[Variable, ...] = ()  # of a Dockerfile

    def lines(self) -> set[int]:
        """Return the lines that ask for a package or name the image."""
        return {wish.line for wish in self.wishes} | ({self.image.line} if self.image else set())

    def wish(self, name: str) -> Wish | None:
        """Return the last wish for a package: in a Dockerfile the later command decides."""
        return next((wish for wish in reversed(self.wishes) if wish.name == name), None)
