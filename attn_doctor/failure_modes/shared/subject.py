"""Say which package a cure is for: the one that a log names, or flash-attn where only a machine is examined. Pure."""

from __future__ import annotations

import re

from packaging.utils import canonicalize_name

from attn_doctor import commands
from attn_doctor.knowledge import built_packages
from attn_doctor.model.facts import Facts
from attn_doctor.model.steps import name_of

FLASH_ATTN = "flash-attn"
_OF_TORCH = ("torch", "torchvision", "torchaudio", "triton")
# A repository of sources, without a password in it.
_REPOSITORY = re.compile(r"git\+https://[\w.-]+/[\w./~-]+(?:@[\w./-]+)?(?:#[\w=&/.-]+)?")


def package(facts: Facts) -> str | None:
    """Return the package that failed; None where a log does not name it. With no log it is flash-attn.

    In an import or a call, libraries that have no compiled code, and torch itself, are not the package.
    """
    subject = facts.subject
    if not isinstance(subject.package, str):
        return _asked_for(facts) if facts.grade == "stated" else FLASH_ATTN
    name = subject.package
    if subject.doing in ("importing", "running") and (name in built_packages.WITHOUT_CODE or name in _OF_TORCH):
        return None
    return name


def stated(facts: Facts) -> str | None:
    """Return the package that a log names as the one that failed; None where none does."""
    return package(facts) if isinstance(facts.subject.package, str) else None


# An installer's command, and its options that take a value.
_INSTALL = re.compile(r"(?:^|&& ?|[\s!%])(?:pip[\d.]*|uv|poetry|pdm|pixi) (?:pip )?(?:install|add) (?P<rest>[^&|;]+)")
_WITH_VALUE = (
    "-i",
    "-f",
    "-r",
    "-c",
    "-t",
    "--index-url",
    "--extra-index-url",
    "--find-links",
    "--target",
    "--no-binary",
    "--only-binary",
    "--no-build-isolation-package",
)


def _asked_for(facts: Facts) -> str | None:
    """Return the one package that the typed command installs, by its name or its repository; None for several, and for a folder."""
    found = _INSTALL.search(facts.subject.command) if isinstance(facts.subject.command, str) else None
    words = found["rest"].replace("'", " ").replace('"', " ").split() if found else []
    asked = [
        word
        for at, word in enumerate(words)
        if not word.startswith("-") and (at == 0 or words[at - 1] not in _WITH_VALUE)
    ]
    if len(asked) != 1:
        return None
    if _REPOSITORY.fullmatch(asked[0]):
        return _of_repository(asked[0])
    return name_of(asked[0])


def is_flash_attn(facts: Facts) -> bool:
    """Say whether it is flash-attn. A log that names no package is not flash-attn's."""
    return package(facts) == FLASH_ATTN


def words(facts: Facts) -> str:
    """Return the name of the package for a sentence: "xformers", or "the package"."""
    return package(facts) or "the package"


def requirement(facts: Facts) -> str | None:
    """Return what the package is installed by, as the command in the log asks for it; None: the log does not tell.

    `pip install detectron2` has no release to install: then it is the repository of the package.
    """
    name = package(facts)
    if name is None:
        return None
    typed = _typed(facts, name) or _cloned(facts, name)
    row = built_packages.row_of(name)
    release = pinned(facts)
    if release is not None and typed in (None, name) and (row is None or (row.get is None and row.wheels != "none")):
        return f"{name}=={release}"
    if row is None and typed is None and facts.subject.doing in ("importing", "running") and facts.grade == "stated":
        return None  # the name of a module, under which the registry may have nothing, or another project
    if row is None or (typed is not None and typed.startswith("git+")):
        return typed or name
    if row.get is None and row.wheels == "none":
        return typed
    return row.get or typed or _collected(facts, name) or name


def release(facts: Facts) -> str | None:
    """Return the release of the package that the log asks for, where it is one: "2.7.3"; None where any will do."""
    found = re.fullmatch(r"[\w.-]+==(\d[\w.]*)", requirement(facts) or "")
    return found[1] if found else None


def _collected(facts: Facts, name: str) -> str | None:
    """Return the requirement of flash-attn that pip read in a requirements file; another release would not meet it."""
    asked = facts.subject.asked
    from_file = isinstance(facts.subject.command, str) and "-r" in facts.subject.command.split()
    return f"{name}=={asked}" if name == FLASH_ATTN and from_file and isinstance(asked, str) else None


def pinned(facts: Facts) -> str | None:
    """Return the release of the package that the command, or a file that it reads, asks for: "2.7.4.post1"; None where it names none."""
    name = package(facts)
    typed = _typed(facts, name) if name else None
    exact = re.fullmatch(r"[\w.-]+(?:\[[\w,-]+\])?==(?P<release>\d[\w.]*)", typed or "")
    if exact:
        return exact["release"]
    if isinstance(facts.subject.asked, str):
        return facts.subject.asked
    # A wheel that somebody chose by its name: "mamba_ssm-2.2.4+cu12torch2.4cxx11abiTRUE-...whl".
    chosen = next((d.version for d in facts.packages.named if d.name == name and isinstance(d.version, str)), "")
    return chosen.replace("%2B", "+").partition("+")[0] if "cxx11abi" in chosen else None


def _cloned(facts: Facts, name: str) -> str | None:
    """Return the repository that pip cloned the package from, which a requirements file names."""
    address = facts.subject.address
    if not isinstance(address, str) or _of_repository(address) != name:
        return None
    return address


def _of_repository(address: str) -> str:
    path = address.partition("#")[0].partition("//")[2].partition("@")[0]
    return canonicalize_name(path.rstrip("/").rpartition("/")[2].removesuffix(".git"))


def _typed(facts: Facts, name: str) -> str | None:
    command = facts.subject.command
    if not isinstance(command, str):
        return None
    words = command.replace("'", " ").replace('"', " ").split()
    for before, word in zip(("", *words), words, strict=False):
        if before in _WITH_VALUE:
            continue  # --no-binary xformers xformers==0.0.29
        if _REPOSITORY.fullmatch(word) and name in word.lower().replace("_", "-"):
            return word
        if not word.endswith(".whl") and name_of(word) == name:
            return word
    return None


def verify(facts: Facts) -> tuple[str, ...]:
    """Return the argv that shows whether the package works: its import, or an examination where no module is known."""
    name = package(facts)
    if name == FLASH_ATTN:
        return commands.check(facts, "--goal", FLASH_ATTN, "--no-trial")
    row = built_packages.row_of(name) if name else None
    return commands.check(facts) if row is None else (*commands.starting(facts), "-c", f"import {row.module}")
