"""Read what the settings of pip and uv say of installations, from variables and files: indexes, folders of wheels, constraints.

Passwords are left out.

https://pip.pypa.io/en/stable/topics/configuration/, https://docs.astral.sh/uv/concepts/configuration-files/
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from attn_doctor.model.facts import Pin
from attn_doctor.probes.root import Root

_VARIABLES = (
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "UV_DEFAULT_INDEX",
    "UV_INDEX_URL",
    "UV_INDEX",
    "UV_EXTRA_INDEX_URL",
)
_URL = re.compile(r"https?://[^\s\"',\]]+")
# The tables of a TOML file that hold indexes: of uv.toml the top, of pyproject.toml those of uv, poetry and pdm.
_TABLE = re.compile(r"^\[+(?:tool\.uv(?:\.index|\.pip)?|tool\.(?:poetry|pdm)\.source|index|pip)\]+$")
_KEY = re.compile(
    r"^\s*(?:default-index|index-url|extra-index-url|url)\s*=\s*(?P<value>\[[^\]]*\]|\"[^\"]*\"|'[^']*')", re.MULTILINE
)


class Settings(NamedTuple):
    """Hold what the settings say, in the words of `Interpreter`."""

    indexes: tuple[str, ...]
    find_links: tuple[str, ...]
    no_index: tuple[str, ...]
    constraints: tuple[Pin, ...]


def settings(root: Path, environ: Mapping[str, str], prefix: str, folder: Path | None) -> Settings:
    """Return the settings, each once. `prefix`: of the target; `folder`: of the project."""
    tree = Root(root, outside=[prefix, *([str(folder)] if folder else []), *_constraint_files(environ, folder)])
    urls = [url for name in _VARIABLES for url in _URL.findall(environ.get(name, ""))]
    links = [
        word for name in ("PIP_FIND_LINKS", "UV_FIND_LINKS") for word in re.split(r"[\s,]+", environ.get(name, ""))
    ]
    off = [name for name in ("PIP_NO_INDEX", "UV_NO_INDEX", "UV_OFFLINE") if _is_on(environ.get(name, ""))]
    files = list(_constraint_files(environ, folder).items())
    constraints: list[Pin] = []
    for path in _pip_files(environ, prefix):
        said = _of_pip(tree.text(path) or "")
        urls += [url for key in _INDEX_KEYS for url in _URL.findall(said.get(key, ""))]
        links += said.get("find-links", "").split()
        off += [path] if _is_on(said.get("no-index", "")) else []
        files += [(word, path) for word in said.get("constraint", "").split()]
    for path in _uv_files(environ, folder):
        text, whole = tree.text(path) or "", path.endswith("uv.toml")
        urls += _of_toml(text, whole=whole)
        lines = _lines_of_uv(text, whole=whole)
        links += [word for _, key, word in lines if key == "find-links"]
        off += [path for _, key, word in lines if key in ("no-index", "offline") and _is_on(word)]
        constraints += [
            Pin(file=f"{path}, {key}", line=number, requirement=word)
            for number, key, word in lines
            if key in _CONSTRAINING and word
        ]
    for name, where in files:
        constraints += _constraints(tree, name, where, folder)
    return Settings(
        tuple(dict.fromkeys(_bare(url) for url in urls)),
        tuple(dict.fromkeys(_bare(word) for word in links if word)),
        tuple(dict.fromkeys(off)),
        tuple(dict.fromkeys(constraints)),
    )


_INDEX_KEYS = ("index-url", "extra-index-url")
_CONSTRAINING = ("constraint-dependencies", "override-dependencies")


def _is_on(value: str) -> bool:
    return value.strip().lower() in ("1", "true", "yes", "on", "y", "t")


def _constraint_files(environ: Mapping[str, str], folder: Path | None) -> dict[str, str]:
    """Return the files that hold constraints, and where each is named: a variable, or a requirements file of the project."""
    named = {
        word: name
        for name in ("PIP_CONSTRAINT", "UV_CONSTRAINT", "UV_OVERRIDE")
        for word in environ.get(name, "").split()
    }
    try:
        asked = sorted(p for p in folder.glob("requirements*.txt") if p.is_file()) if folder else []
        for path in asked:
            for line in path.read_text("utf-8", "replace").splitlines() if path.stat().st_size < _LARGEST else ():
                found = _IN_REQUIREMENTS.match(line)
                if found:
                    named[str(path.parent / found["file"])] = path.name
    except OSError:
        pass  # a file that cannot be read constrains nobody
    return named


_LARGEST = 1 << 20  # bytes; a requirement file is never larger
_IN_REQUIREMENTS = re.compile(r"\s*(?:-c|--constraint)[ =]\s*(?P<file>[^\s#]+)")


def _constraints(tree: Root, name: str, where: str, folder: Path | None) -> list[Pin]:
    """Return the constraints of a file; of one that lies in the network none, for it is not fetched."""
    path = name.removeprefix("file://")
    if "://" in path:
        return []
    path = str(folder / path) if folder else path  # pip reads a relative one from where it is started
    made = []
    for number, line in enumerate((tree.text(path) or "").splitlines(), 1):
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        if text and not text.startswith("-"):
            made.append(Pin(file=f"{path} ({where})" if where != path else path, line=number, requirement=text))
    return made


_OF_UV = re.compile(
    r"\s*(?P<key>find-links|no-index|offline|constraint-dependencies|override-dependencies)\s*=\s*(?P<rest>.*)"
)


def _lines_of_uv(text: str, *, whole: bool) -> list[tuple[int, str, str]]:
    """Return line, key and each value of the keys of uv that are no index, of its own tables. Read by lines, as the indexes."""
    made: list[tuple[int, str, str]] = []
    here, key, several = whole, "", False
    for number, line in enumerate(text.splitlines(), 1):
        rest, begun = line.strip(), _OF_UV.match(line)
        if re.match(r"\[+[\w.-]+\]+$", rest):
            here, key = rest in ("[tool.uv]", "[tool.uv.pip]", "[pip]"), ""
        elif here and begun:
            key, rest = begun["key"], begun["rest"].strip()
            several = rest.startswith("[")
        if here and key:
            found = re.findall(r"\"([^\"]+)\"|'([^']+)'|(?<![\w-])(true)\b", rest)
            made += [(number, key, word) for words in found for word in words if word]
            if not several or rest.rstrip(",").endswith("]"):
                key = ""
    return made


def _pip_files(environ: Mapping[str, str], prefix: str) -> Iterator[str]:
    home = environ.get("HOME") or environ.get("USERPROFILE", "")
    named = environ.get("PIP_CONFIG_FILE")
    yield from (
        *("/etc/pip.conf", "/etc/xdg/pip/pip.conf", f"{home}/.pip/pip.conf", f"{prefix}/pip.conf", f"{prefix}/pip.ini"),
        f"{environ.get('XDG_CONFIG_HOME') or home + '/.config'}/pip/pip.conf",
        f"{home}/Library/Application Support/pip/pip.conf",
    )
    yield from (f"{environ[name]}/pip/pip.ini" for name in ("APPDATA", "PROGRAMDATA") if environ.get(name))
    if named:
        yield named


def _uv_files(environ: Mapping[str, str], folder: Path | None) -> Iterator[str]:
    home = environ.get("HOME") or environ.get("USERPROFILE", "")
    yield from ("/etc/uv/uv.toml", f"{environ.get('XDG_CONFIG_HOME') or home + '/.config'}/uv/uv.toml")
    if environ.get("APPDATA"):
        yield f"{environ['APPDATA']}/uv/uv.toml"
    if folder is not None:
        yield from (f"{folder}/uv.toml", f"{folder}/pyproject.toml")


def _of_pip(text: str) -> dict[str, str]:
    """Return the settings of a pip.conf that hold for an installation, all values of one name in one text."""
    read = configparser.RawConfigParser(strict=False)
    try:
        read.read_string(text)
    except configparser.Error:
        return {}
    made: dict[str, str] = {}
    for name in read.sections():
        if name in ("global", "install", "download"):
            for key, value in read.items(name):
                plain = key.replace("_", "-")
                made[plain] = f"{made[plain]}\n{value}" if plain in made else value
    return made


def _of_toml(text: str, *, whole: bool) -> list[str]:
    """Return the addresses of indexes. Read by lines: Python 3.10 has no reader of TOML."""
    parts, here = [""], whole
    for line in text.splitlines():
        if line.startswith("["):
            here = bool(_TABLE.match(line.strip()))
        if here:
            parts.append(line)
    return [url for match in _KEY.finditer("\n".join(parts)) for url in _URL.findall(match["value"])]


def _bare(url: str) -> str:
    """Return an address without name and password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.partition("://")[0] + "://"
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
