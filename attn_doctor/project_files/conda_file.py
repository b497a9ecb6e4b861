"""Read conda's environment.yml."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from packaging.utils import canonicalize_name
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from attn_doctor.errors import NotExamined
from attn_doctor.model.facts import OsName
from attn_doctor.model.project_file import ProjectFile, Said, Wish
from attn_doctor.project_files.requirements import flavour_of, wish_of

_PYPI_NAMES = {"pytorch": "torch", "opencv": "opencv-python", "py-opencv": "opencv-python", "pytorch-gpu": "torch"}
# "pytorch=2.1.0=py3.10_cuda12.1_0", "conda-forge::numpy>=1.26", "python 3.10.*"
_SPEC = re.compile(
    r"^(?:[\w./-]+::)?(?P<name>[\w.-]+)\s*(?:(?P<operator>==?|[<>!~]=?)?\s*(?P<version>\d[\w.*+!-]*)(?:\s*=\s*(?P<build>[\w.*]+))?)?"
)


_DEEPEST = 100  # ruamel.yaml takes ten seconds for 3,000 open brackets, and then gives up


def parse(text: str, file: str) -> dict[str, Any] | None:
    """Return the YAML document of an environment.yml; None if the text has no list `dependencies`.

    Raises NotExamined, with the line, if it is not YAML.
    """
    if _depth(text) > _DEEPEST:
        raise NotExamined(f"{file} is no environment.yml: its values are nested too deeply")
    try:
        document = YAML(typ="rt").load(text)
    except RecursionError as error:
        raise NotExamined(f"{file} is no valid YAML: its values are nested too deeply") from error
    except (YAMLError, ValueError) as error:  # ValueError: a date such as 2024-99-99
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise NotExamined(
            f"{file} is no valid YAML{where}: {getattr(error, 'problem', None) or 'it cannot be read'}"
        ) from error
    if isinstance(document, dict) and isinstance(document.get("dependencies"), list):
        return document
    return None


def _depth(text: str) -> int:
    """Return the largest number of brackets that are open at once."""
    depth = deepest = 0
    for match in re.finditer(r"[][{}]", text):
        depth = depth + 1 if match[0] in "[{" else max(0, depth - 1)
        deepest = max(deepest, depth)
    return deepest


def read(document: dict[str, Any], file: str) -> ProjectFile:
    """Return the record of an environment.yml: conda's dependencies, and the list of pip's packages among them.

    `document`: what `parse` returned. `file`: the name of the file.
    """
    wishes, flavour = [], None
    for item, line in _items(document["dependencies"]):
        if isinstance(item, str) and (wish := _wish(item, line)):
            wishes.append(wish)
        elif isinstance(item, dict) and isinstance(item.get("pip"), list):
            for text, at in _items(item["pip"]):
                flavour = flavour_of(str(text), at) or flavour
                if wish := wish_of(str(text), at):
                    wishes.append(wish)
    python = next((w for w in wishes if w.name == "python" and w.version), None)
    return ProjectFile(
        file=file,
        kind="conda",
        wishes=tuple(w for w in wishes if w.name != "python"),
        python=Said(value=python.version, line=python.line) if python and python.version else None,
        flavour=flavour,
        os=_system(document.get("prefix")),
    )


def _system(prefix: Any) -> OsName | None:
    r"""Return the system on which the file was exported, by the folder of its environment: "C:\Users\..." or "/home/..."; None if it names none."""
    if not isinstance(prefix, str):
        return None
    if re.match(r"[A-Za-z]:[\\/]", prefix):
        return "windows"
    return "darwin" if prefix.startswith("/Users/") else "linux" if prefix.startswith(("/home/", "/root/")) else None


def _items(listed: Any) -> Iterator[tuple[Any, int]]:
    for index, item in enumerate(listed):
        yield item, listed.lc.item(index)[0] + 1


def _wish(text: str, line: int) -> Wish | None:
    found = _SPEC.match(text.strip())
    if found is None:
        return None
    name = canonicalize_name(found["name"])
    exact = found["version"] if found["operator"] in ("=", "==", None) else None
    return Wish(
        name=_PYPI_NAMES.get(name, name),
        text=text.strip(),
        line=line,
        version=exact.removesuffix("*").rstrip(".") if exact else None,
        conda=True,
        build=found["build"],
    )
