"""Describe the machine of a log in a few words, each with its line. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from attn_doctor.model.findings import Evidence
from attn_doctor.model.stated_facts import Place, Stated, StatedFacts

_SYSTEMS = {"linux": "Linux", "windows": "Windows", "darwin": "macOS"}
_BOARDS = {"jetson": "Jetson", "dgx-spark": "DGX Spark"}
# A fact, in the order of the answer -> the word before its value.
_WORDS = {
    "wsl": "WSL ",
    "surroundings": "",
    "board": "",
    "installer": "",
    "python": "Python ",
    "torch": "torch ",
    "driver": "driver ",
    "toolkit": "CUDA toolkit ",
}


class Word(NamedTuple):
    """Hold a fact in the words that a person would use: "torch 2.5.1+cu124"."""

    fact: str
    text: str
    place: Place


def words(stated: StatedFacts) -> tuple[Word, ...]:
    """Return the facts that a log states about its machine, in few words, the system first."""
    return tuple(_words(stated))


def evidence(stated: StatedFacts) -> tuple[Evidence, ...]:
    """Return the same facts as `words`, as evidence for JSON, with file and line.

    `path` is "stated." with the name of the fact.
    """
    return tuple(
        Evidence(kind="log", text=word.text, path=f"stated.{word.fact}", file=word.place.file, line=word.place.line)
        for word in words(stated)
    )


def _words(stated: StatedFacts) -> Iterator[Word]:
    system, version = stated.os, stated.os_version
    name, release = stated.distribution, stated.distribution_version
    if isinstance(system, Stated):
        text, place = _SYSTEMS[system.value], system.place
        if system.value == "linux" and isinstance(name, Stated):
            text, place, version = name.value.capitalize(), name.place, release
        # The release of Windows, on whose WSL 1 or 2 the Linux of the log runs, is none of this Linux.
        if isinstance(version, Stated) and not (system.value == "linux" and version is stated.os_version):
            text = f"{text} {version.value}"
        yield Word("os", text, place)
    for fact, before in _WORDS.items():
        value: Stated[Any] | object = getattr(stated, fact)
        if isinstance(value, Stated):
            yield Word(fact, before + _BOARDS.get(str(value.value), str(value.value)), value.place)
    for gpu in stated.gpus:
        yield Word("gpu", gpu.value.removeprefix("NVIDIA ").removeprefix("GeForce "), gpu.place)
    if isinstance(stated.package, Stated) and isinstance(stated.doing, Stated):
        yield Word("package", f"{stated.doing.value} {stated.package.value}", stated.package.place)
