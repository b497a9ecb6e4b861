"""Read the settings of pip and uv that decide which packages every command finds: folders of wheels, no index, constraints.

A variable wins over the files, a later file over an earlier one. https://pip.pypa.io/en/stable/topics/configuration/,
https://docs.astral.sh/uv/reference/environment/, https://docs.astral.sh/uv/reference/settings/
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attn_doctor.errors import NotExamined
from attn_doctor.model.facts import InstallerSettings, Pin
from attn_doctor.probes.indexes import bare, pip_files, uv_files
from attn_doctor.probes.project import RELEVANT
from attn_doctor.probes.root import Root
from attn_doctor.project_files import requirements, toml_files

_ON = ("1", "true", "yes", "on", "y", "t")
_LOGIN = re.compile(r"(?<=://)[^/@\s]+@")


def installer_settings(
    root: Path, environ: Mapping[str, str], prefix: str, folder: Path | None
) -> tuple[InstallerSettings, ...]:
    """Return the settings of pip and of uv; a tool without settings is left out.

    `prefix`: the folder of the target environment. `folder`: the folder of the project.
    """
    tree = Root(root, outside=[prefix, *([str(folder)] if folder else [])])
    read = (_of_pip(tree, environ, prefix, folder), _of_uv(tree, environ, folder))
    return tuple(one for one in read if one != InstallerSettings(installer=one.installer))


def _of_pip(tree: Root, environ: Mapping[str, str], prefix: str, folder: Path | None) -> InstallerSettings:
    places = pip_files(tree, environ, prefix)
    said = {key: (value, path) for path in places for key, value in _ini(tree.text(path) or "")}
    variables = {name: (f"PIP_{name.replace('-', '_').upper()}") for name in ("find-links", "no-index", "constraint")}
    said |= {key: (environ[name], name) for key, name in variables.items() if environ.get(name)}
    off, where_off = said.get("no-index", ("", None))
    files, where = said.get("constraint", ("", ""))
    return InstallerSettings(
        installer="pip",
        find_links=_links(said.get("find-links", ("", ""))[0].split()),
        no_index=where_off if _is_on(off) else None,
        constraints=tuple(pin for name in files.split() for pin in _in_file(tree, name, where, folder)),
    )


def _of_uv(tree: Root, environ: Mapping[str, str], folder: Path | None) -> InstallerSettings:
    """Return the settings of uv.

    A version in its `override-dependencies` replaces every other request for the package. uv 0.13.9 has no variable for
    `no-index`.
    """
    links = [word.strip() for word in environ.get("UV_FIND_LINKS", "").split(",")]
    no_index: str | None = None
    constraints: list[Pin] = []
    # A uv.toml beside a pyproject.toml replaces these settings of its [tool.uv]; uv warns of it. Seen with uv 0.13.9.
    replaced = folder is not None and tree.is_file(f"{folder}/uv.toml")
    for path in uv_files(environ, folder):
        text = tree.text(path) or ""
        lines = text.splitlines()
        counts = not (replaced and path.endswith("pyproject.toml"))
        for table in _uv_tables(text, path):
            links += _texts(table.get("find-links")) if counts else []
            if "no-index" in table and counts:
                no_index = path if table["no-index"] is True else None
            for key in ("constraint-dependencies", "override-dependencies"):
                texts = (pin.requirement for pin in _wishes("\n".join(_texts(table.get(key)))))
                constraints += [
                    Pin(file=f"{path}, {key}", line=toml_files.line_with(lines, one), requirement=one) for one in texts
                ]
    for name in ("UV_CONSTRAINT", "UV_OVERRIDE"):
        constraints += [pin for file in environ.get(name, "").split() for pin in _in_file(tree, file, name, folder)]
    return InstallerSettings(
        installer="uv", find_links=_links(links), no_index=no_index, constraints=tuple(constraints)
    )


def _is_on(value: str) -> bool:
    return value.strip().lower() in _ON


def _links(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(bare(word) for word in words if word))


def _ini(text: str) -> Iterator[tuple[str, str]]:
    """Yield (name, value) of the settings in a pip.conf that `pip install` uses. Those of the section [install] come last."""
    read = configparser.RawConfigParser(strict=False)
    try:
        read.read_string(text)
    except configparser.Error:
        return
    for name in ("global", "install"):
        if read.has_section(name):
            yield from ((key.replace("_", "-"), value) for key, value in read.items(name) if value)


def _uv_tables(text: str, path: str) -> Iterator[Mapping[str, Any]]:
    """Yield the tables of a uv.toml, or the tables of uv in a pyproject.toml; nothing if the file is not TOML."""
    try:
        document: Any = toml_files.parse(text, path)
    except NotExamined:
        return
    if path.endswith("pyproject.toml"):
        tool = document.get("tool")
        document = tool.get("uv") if isinstance(tool, dict) else None
    for table in (document, document.get("pip") if isinstance(document, dict) else None):
        if isinstance(table, dict):
            yield table


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _in_file(tree: Root, name: str, where: str, folder: Path | None) -> list[Pin]:
    """Return the constraints in a file. An address in the network gives none, because it is not downloaded."""
    path = name.removeprefix("file://")
    if "://" in path:
        return []
    # A relative path starts at the folder in which the installer is started.
    path = str(folder / path) if folder else path
    return [
        Pin(file=f"{path} ({where})", line=pin.line, requirement=pin.requirement)
        for pin in _wishes(tree.text(path) or "")
    ]


def _wishes(text: str) -> list[Pin]:
    """Return the requirements in these lines, for those packages that a failure mode asks about."""
    found = requirements.read(text, "").wishes
    return [
        Pin(file="", line=wish.line, requirement=_LOGIN.sub("", wish.requirement))
        for wish in found
        if wish.name in RELEVANT
    ]
