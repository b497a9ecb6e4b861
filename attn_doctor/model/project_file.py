"""Define the records of a project file (requirements.txt, pyproject.toml, a lock file, environment.yml, a Dockerfile).

The records contain the packages, the Python, the build of torch and the base image that the file requests.
"""

from __future__ import annotations

import re
from typing import Literal

from attn_doctor.model.facts import OsName, Record, Variable

Kind = Literal["requirements", "pyproject", "lock", "conda", "dockerfile"]


class Wish(Record, frozen=True, kw_only=True):
    """Describe one package that a project file requests."""

    name: str  # normal name: "flash-attn"
    text: str  # the text in the file: "flash-attn==2.5.8", or the address of a wheel
    line: int  # from 1
    version: str | None = None  # the version, if it is exact: "2.5.8"; "2.1" for conda's "pytorch=2.1"
    conda: bool = False
    isolated: bool = True  # False: installed with --no-build-isolation
    by_command: bool = False  # a command of a Dockerfile installs it
    project_tool: str | None = None  # of a pyproject.toml: "uv", "PDM" or "Poetry" installs it
    without_torch: bool = False  # in a Dockerfile: neither the image nor an earlier command contains torch
    pypi: bool = False  # the file says that it comes from PyPI, where torch comes from another index
    build: str | None = None  # conda's build string: "py3.10_cuda12.1_cudnn8_0"

    @property
    def requirement(self) -> str:
        """Return the requirement as pip writes it. Example: "pytorch=2.1" of environment.yml becomes "torch==2.1.*"."""
        if not self.conda:
            return self.text
        if self.version:
            return f"{self.name}=={self.version}" + ("" if "==" in self.text else ".*")
        return self.name + re.sub(r"^[^\s<>=!~]*", "", self.text)


class Said(Record, frozen=True, kw_only=True):
    """Hold a value that a project file sets, and the number of its line."""

    value: str
    line: int


class Image(Record, frozen=True, kw_only=True):
    """Describe the base image of a Dockerfile, by its name alone: the image is not downloaded."""

    name: str  # "nvidia/cuda:12.4.1-runtime-ubuntu22.04"
    line: int
    toolkit: str | None = None  # "12.4", if nvcc is in the image
    without_toolkit: bool = False  # the name says that nvcc is not in the image
    compiler: bool | None = None  # None: the name does not say it


class ProjectFile(Record, frozen=True, kw_only=True):
    """Describe one project file: the packages, the Python, the build of torch and the base image that it requests."""

    file: str
    kind: Kind
    wishes: tuple[Wish, ...] = ()
    whole: bool = False  # a lock file: no other packages would be installed
    os: OsName | None = None
    python: Said | None = None  # "3.13"
    flavour: Said | None = None  # the build of torch, by the index in the file: "cu121", "cpu", "rocm6.2"
    image: Image | None = None
    distribution: Said | None = None  # "ubuntu 22.04"
    musl: bool = False
    variables: tuple[Variable, ...] = ()  # set by a Dockerfile

    def lines(self) -> set[int]:
        """Return the numbers of the lines that request a package or name the base image."""
        return {wish.line for wish in self.wishes} | ({self.image.line} if self.image else set())

    def wish(self, name: str) -> Wish | None:
        """Return the last request for a package in this file; None if there is none.

        The last one counts, because a later command of a Dockerfile replaces the version that an earlier command installed.
        """
        return next((wish for wish in reversed(self.wishes) if wish.name == name), None)
