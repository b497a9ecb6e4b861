r"""Find the command that starts a log's Python in the user's shell: "python", "python3.10", "C:\proj\venv\Scripts\python.exe".

Pure. If the environment is not active, `python -m pip` would start another Python: the command must then be the path of the
environment's Python.
"""

from __future__ import annotations

import re
from typing import Any

from attn_doctor.model.stated_facts import Stated, StatedFacts

_WORD = re.compile(
    r"^(?:(?:sudo(?: -[EH])?|time|env|nohup|[A-Za-z_]\w*=\S*|\$env:\w+ ?= ?\S+;|set \w+=\S+ ?&&) +|[!%]|& ?)*"
    r"(?P<folder>(?:[^\s'\"]*[\\/])?)(?P<name>python|pip|py)(?P<version>3?(?:\.\d{1,2})?)(?:\.exe)?(?: -(?P<launched>3\.\d{1,2}))?(?= |$)"
)
_OF_AN_ENVIRONMENT = ("venv", "uv", "conda", "pixi", "pipx")
# A folder in the current one with another name than .venv: uv finds it only if it is active or named, https://docs.astral.sh/uv/pip/environments/
_BESIDE = re.compile(r"(?!\.venv$)(?![A-Za-z]:)[^/\\][^\\]*")
_CUT = re.compile(r"[<>*\[\]{}$%…]|\.\.\.|\bx{3,}\b|\bX{3,}\b|\bREDACTED\b")  # a path in which somebody hid a name


def interpreter(stated: StatedFacts) -> Stated[str] | None:
    """Return the command (a path or a name) that starts the Python of a log, with its line; None if it is unknown.

    The first known of these counts: a typed path; the active environment; a typed name; the folder of the environment.
    """
    if _value(stated.surroundings) in ("colab", "kaggle"):
        return None  # commands in a cell use the notebook's own Python
    os, kind = _value(stated.os), _value(stated.environment_kind)
    command = stated.command if isinstance(stated.command, Stated) else None
    typed = _WORD.match(command.value) if command else None
    if command and typed and typed["folder"] and typed["name"] != "py":
        name = "python" if typed["name"] == "pip" else typed["name"] + typed["version"]
        exe = ".exe" if os == "windows" or "\\" in typed["folder"] else ""
        return _at(command, typed["folder"] + name + exe)
    place = stated.environment if isinstance(stated.environment, Stated) else stated.prompt
    if _is_active(stated) and kind != "user":
        return _at(place, "python") if isinstance(place, Stated) else None
    if command and typed and kind != "user" and typed["name"] != "py":
        # Windows has python.exe, and no python3.exe: https://docs.python.org/3/using/windows.html
        version = "" if os == "windows" and typed["version"] == "3" else typed["version"]
        if typed["name"] == "python" or version or os == "windows" or kind in _OF_AN_ENVIRONMENT:
            return _at(command, "python" + version)
    return _in_folder(stated, os, kind)


def in_venv(python: str) -> bool:
    r"""Return whether a path ends like the Python of a virtual environment: bin/python or Scripts\python.exe (so does /usr/bin/python)."""
    return re.search(r"[\\/](?:Scripts|bin)[\\/]python[\d.]*(?:\.exe)?$", python) is not None


def _value(fact: object) -> str | None:
    return fact.value if isinstance(fact, Stated) else None


def _at(source: Stated[Any], word: str) -> Stated[str]:
    return Stated(value=word, place=source.place, how="implied")


def _is_active(stated: StatedFacts) -> bool:
    """Return whether the prompt shows that the environment of the log is active: "(venv) $".

    For venv and uv the prompt often shows the name of the project's folder, so any name except "base" counts. For conda the name must
    be that of the environment ("base" outside the folder envs). False if the log shows no prompt.
    """
    prompt, folder = _value(stated.prompt), _value(stated.environment)
    if prompt is None:
        return False
    name = re.split(r"[\\/]", folder.rstrip("\\/"))[-1] if folder else None
    if name is None or name == prompt:
        return True
    if _value(stated.environment_kind) == "conda":
        return prompt == "base" and "envs" not in re.split(r"[\\/]", str(folder))
    return prompt != "base"


def _in_folder(stated: StatedFacts, os: str | None, kind: str | None) -> Stated[str] | None:
    """Return the path of the Python in the folder of the environment, or the name of a Python of the system ("python3.10").

    None if the folder is not known, or if its Python must be started in another way (uv, pixi, conda on Windows).
    """
    environment, of = stated.environment, stated.environment_kind
    if isinstance(of, Stated) and kind in ("user", "system") and os != "windows":
        label = re.search(r"(?:[Pp]ython/?|Versions/)(3\.\d{1,2})(?:/|t/)", of.place.text)
        return _at(of, f"python{label[1]}") if label else None
    if (
        isinstance(of, Stated)
        and kind == "user"
        and (store := re.search(r"Foundation\.Python\.(3\.\d{1,2})_", of.place.text))
    ):
        return _at(of, f"python{store[1]}")  # the name that the Microsoft Store puts on PATH
    if not isinstance(environment, Stated) or _CUT.search(environment.value) or kind == "pixi":
        return None
    folder = environment.value.rstrip("\\/")
    if environment.how == "said" and _value(stated.installer) == "uv" and not _BESIDE.fullmatch(folder):
        return None  # uv finds the environment by itself
    if os == "windows" or re.match(r"[A-Za-z]:|[^/]*\\", folder):
        if kind == "conda":
            return None  # conda's Python finds its libraries only in the active environment
        folder = folder.replace("/", "\\")  # cmd reads a / in the name of a program as an option
        inside = "" if kind in ("standalone", "system") else "Scripts\\"
        return _at(environment, f"{folder}\\{inside}python.exe")
    return _at(environment, f"{folder}/bin/python" + ("3" if kind in (None, "standalone") else ""))
