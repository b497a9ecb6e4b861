"""Make the facts that no single line states: Docker, docker compose, Colab, a program in an image, Windows by the number of its driver. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from attn_doctor.knowledge.cuda import only_windows_has
from attn_doctor.logs.reader import Log
from attn_doctor.logs.stated_facts import programs
from attn_doctor.logs.stated_facts.claim import Claim
from attn_doctor.model.stated_facts import Place

_DOCKER = re.compile(r"\s*(?:#\d+ \d+\.\d+ |\d+\.\d{1,3} {1,3}\D)")
_LAST, _SEVERAL = 100, 3  # last lines that are searched for docker's prefix; how many of them must have it
_COMPOSE = re.compile(
    r"(?!(?:epoch|step|iter|fold|rank|gpu|run|batch|node)\W?\d)[a-z][\w.]*(?:-[\w.]+)*[-_]\d{1,2} +\| "
)
# A log of a notebook with Debian's Python in /usr/local is from Colab. New Kaggle has this Python too, but its logs name Kaggle.
_COLABS = re.compile(r"/usr/local/lib/python3\.\d{1,2}/dist-packages")


def of_lines(log: Log) -> Iterator[Claim]:
    """Yield facts that only several lines together show: Docker, docker compose, Colab, a program with its own Python."""
    yield from _of_docker(log)
    yield from _of_compose(log)
    cell = next(((number, text) for number, text in log.end if "ipython-input-" in text), None)
    if cell and any(_COLABS.search(text) for _, text in log.end):
        place = Place(file=log.file, line=cell[0], text=cell[1].strip()[:200])
        yield Claim("surroundings", "colab", place, "implied")
        yield Claim("os", "linux", place, "implied")
    for python, number, text in programs.beside_its_python(log.end):
        yield Claim("bundled", python, Place(file=log.file, line=number, text=text.strip()[:200]), "implied")


def of_image(log: Log, claims: Sequence[Claim]) -> Iterator[Claim]:
    """Yield the facts of a container that was made from a Docker image "python": Linux, Docker, Debian, a Dockerfile.

    Yields nothing if the log does not show such an image (see `programs.app_of_an_image`), or shows a typed command.
    `claims`: what the lines of the log state. Nobody types commands in such a container: changes must be made in its
    Dockerfile.
    """
    found = programs.app_of_an_image(log.end)
    if found is None or any(c.fact in ("command", "shell") for c in claims):
        return
    place = Place(file=log.file, line=found[0], text=found[1].strip()[:200])
    for fact, value in (
        ("os", "linux"),
        ("surroundings", "docker"),
        ("shell", "dockerfile"),
        ("distribution", "debian"),
    ):
        yield Claim(fact, value, place, "implied")


def _of_docker(log: Log) -> Iterator[Claim]:
    """Yield `docker build` if most of the last lines begin as it prints them: "#12 34.5 " or "34.56 "."""
    lines = [(number, text) for number, text in log.end[-_LAST:] if text.strip()]
    found = [(number, text) for number, text in lines if _DOCKER.match(text)]
    if len(found) >= _SEVERAL and 2 * len(found) > len(lines):
        number, text = found[0]
        place = Place(file=log.file, line=number, text=text[:200])
        yield Claim("surroundings", "docker build", place, "implied")
        yield Claim("os", "linux", place, "implied")


def _of_compose(log: Log) -> Iterator[Claim]:
    """Yield Docker if most of the last lines begin with the name of a service, as docker compose prints them: "trainer-1  | ...".

    https://docs.docker.com/reference/cli/docker/compose/logs/
    """
    lines = [(number, text) for number, text in log.end[-_LAST:] if text.strip()]
    found = [(number, text) for number, text in lines if _COMPOSE.match(text)]
    if len(found) >= _SEVERAL and 2 * len(found) > len(lines):
        number, text = found[0]
        place = Place(file=log.file, line=number, text=text[:200])
        yield Claim("surroundings", "docker", place, "implied")
        yield Claim("os", "linux", place, "implied")
        # Nobody types commands in a service: changes must be made in its Dockerfile.
        yield Claim("shell", "dockerfile", place, "implied")


def of_driver(claims: Sequence[Claim]) -> Iterator[Claim]:
    """Yield Windows if only Windows has a driver with this number and no line names the system. Yield WSL if the system is Linux."""
    driver = next((c for c in claims if c.fact == "driver" and only_windows_has(c.value)), None)
    systems = {c.value for c in claims if c.fact == "os"}
    if driver is not None and not systems:
        yield Claim("os", "windows", driver.place, "implied")
    elif driver is not None and systems == {"linux"} and not any(c.fact == "wsl" for c in claims):
        yield Claim("wsl", "2", driver.place, "implied")
