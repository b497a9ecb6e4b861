"""Read the addresses of package indexes from the settings of pip and uv: variables and files. Passwords are left out.

https://pip.pypa.io/en/stable/topics/configuration/, https://docs.astral.sh/uv/concepts/configuration-files/
"""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

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
# The tables of a TOML file that list indexes: the top level of uv.toml; the tables of uv, poetry and pdm in pyproject.toml.
_TABLE = re.compile(r"^\[+(?:tool\.uv(?:\.index|\.pip)?|tool\.(?:poetry|pdm)\.source|index|pip)\]+$")
_KEY = re.compile(
    r"^\s*(?:default-index|index-url|extra-index-url|url)\s*=\s*(?P<value>\[[^\]]*\]|\"[^\"]*\"|'[^']*')", re.MULTILINE
)


def indexes(root: Path, environ: Mapping[str, str], prefix: str, folder: Path | None) -> tuple[str, ...]:
    """Return the addresses of the package indexes that variables and configuration files name, each once.

    `prefix`: the folder of the target environment; `folder`: the folder of the project.
    """
    tree = Root(root, outside=[prefix, *([str(folder)] if folder else [])])
    found = [url for name in _VARIABLES for url in _URL.findall(environ.get(name, ""))]
    for path in pip_files(tree, environ, prefix):
        found += _of_pip(tree.text(path) or "")
    for path in uv_files(environ, folder):
        found += _of_toml(tree.text(path) or "", whole=path.endswith("uv.toml"))
    return tuple(dict.fromkeys(bare(url) for url in found))


def pip_files(tree: Root, environ: Mapping[str, str], prefix: str) -> Iterator[str]:
    """Yield the paths of the configuration files that pip would read, on any system. They need not exist.

    The order is pip's: files of the machine, of the user, of the environment, and the file in PIP_CONFIG_FILE. A later file wins.
    If that last file exists, pip does not read those of the user.
    """
    home = environ.get("HOME") or environ.get("USERPROFILE", "")
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return  # pip then reads no file at all
    yield from ("/etc/xdg/pip/pip.conf", "/etc/pip.conf")
    if environ.get("PROGRAMDATA"):
        yield f"{environ['PROGRAMDATA']}/pip/pip.ini"
    if not (named and tree.exists(named)):
        yield f"{home}/.pip/pip.conf"
        yield f"{environ.get('XDG_CONFIG_HOME') or home + '/.config'}/pip/pip.conf"
        yield f"{home}/Library/Application Support/pip/pip.conf"
        if environ.get("APPDATA"):
            yield f"{environ['APPDATA']}/pip/pip.ini"
    yield from (f"{prefix}/pip.conf", f"{prefix}/pip.ini")
    if named:
        yield named


def uv_files(environ: Mapping[str, str], folder: Path | None) -> Iterator[str]:
    """Yield the paths of the configuration files of uv, on any system: of the machine, of the user, of the project.

    They need not exist.
    """
    home = environ.get("HOME") or environ.get("USERPROFILE", "")
    yield from ("/etc/uv/uv.toml", f"{environ.get('XDG_CONFIG_HOME') or home + '/.config'}/uv/uv.toml")
    if environ.get("APPDATA"):
        yield f"{environ['APPDATA']}/uv/uv.toml"
    if folder is not None:
        yield from (f"{folder}/uv.toml", f"{folder}/pyproject.toml")


def _of_pip(text: str) -> list[str]:
    read = configparser.RawConfigParser(strict=False)
    try:
        read.read_string(text)
    except configparser.Error:
        return []
    sections = [dict(read.items(name)) for name in read.sections() if name in ("global", "install", "download")]
    keys = ("index-url", "extra-index-url", "index_url", "extra_index_url")
    return [url for section in sections for key in keys for url in _URL.findall(section.get(key, ""))]


def _of_toml(text: str, *, whole: bool) -> list[str]:
    """Return the addresses of indexes in a TOML text. It is read line by line, because Python 3.10 has no TOML parser."""
    parts, here = [""], whole
    for line in text.splitlines():
        if line.startswith("["):
            here = bool(_TABLE.match(line.strip()))
        if here:
            parts.append(line)
    return [url for match in _KEY.finditer("\n".join(parts)) for url in _URL.findall(match["value"])]


def bare(url: str) -> str:
    """Return an address without name and password; of an address that cannot be read only the beginning, "https://"."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.partition("://")[0] + "://"
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
