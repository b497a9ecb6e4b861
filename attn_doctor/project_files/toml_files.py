"""Read pyproject.toml, and the lock files of uv, poetry and PDM."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from packaging.utils import canonicalize_name

from attn_doctor.errors import NotExamined
from attn_doctor.model.project_file import ProjectFile, Said, Wish
from attn_doctor.model.requirements import allowed
from attn_doctor.project_files.requirements import flavour_of, wish_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def parse(text: str, file: str) -> dict[str, Any]:
    """Return the document. Raises NotExamined, with the place of the error, if the text is not TOML."""
    try:
        document: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise NotExamined(f"{file} is no valid TOML: {error}") from error
    except RecursionError as error:
        raise NotExamined(f"{file} is no valid TOML: its values are nested too deeply") from error
    return document


def is_lock(document: Mapping[str, Any]) -> bool:
    """Return whether a document is a lock file: a list of packages with their versions."""
    packages = document.get("package")
    return isinstance(packages, list) and all(isinstance(p, dict) and "name" in p for p in packages)


def lock(document: Mapping[str, Any], text: str, file: str) -> ProjectFile:
    """Read uv.lock, poetry.lock or pdm.lock: all packages, each with its version."""
    lines = _places(text)
    wishes = []
    for package in document["package"]:
        name, version = canonicalize_name(str(package["name"])), package.get("version")
        if isinstance(version, str):
            source = package.get("source")
            address = source.get("url") or source.get("registry") if isinstance(source, dict) else None
            build = flavour_of(str(address), 1) if address else None
            full = f"{version}+{build.value}" if build and "+" not in version and name.startswith("torch") else version
            wishes.append(Wish(name=name, text=f"{name}=={full}", line=lines.get(name, 1), version=full))
    python = document.get("requires-python")
    metadata = document.get("metadata")
    if python is None and isinstance(metadata, dict):
        python = metadata.get("python-versions") or metadata.get("requires_python")
    return ProjectFile(file=file, kind="lock", wishes=tuple(wishes), whole=True, python=_python(python, text))


def pyproject(document: Mapping[str, Any], text: str, file: str) -> ProjectFile:
    """Read pyproject.toml: [project], dependency groups, and poetry's own table."""
    lines = text.splitlines()
    project = _table(document, "project")
    wishes = [
        wish
        for value in _texts([project.get("dependencies"), project.get("optional-dependencies"), document.get("dependency-groups")])
        if (wish := wish_of(value, line_with(lines, value)))
    ]  # fmt: skip
    poetry = _table(document, "tool", "poetry")
    wishes += _of_poetry(poetry, lines)
    python = project.get("requires-python") or _table(poetry, "dependencies").get("python")
    return ProjectFile(
        file=file,
        kind="pyproject",
        wishes=tuple(wishes),
        python=_python(python, text),
        flavour=_index(document, text),
    )


def _of_poetry(poetry: Mapping[str, Any], lines: list[str]) -> Iterator[Wish]:
    groups = [_table(group, "dependencies") for group in _table(poetry, "group").values() if isinstance(group, dict)]
    for table in (_table(poetry, "dependencies"), *groups):
        for name, value in table.items():
            line = next((n for n, text in enumerate(lines, 1) if text.strip().startswith(name)), 1)
            version = value.get("version") if isinstance(value, dict) else value
            address = value.get("url") if isinstance(value, dict) else None
            if isinstance(address, str) and (wish := wish_of(address, line)):
                yield wish
            elif isinstance(version, str) and name != "python":
                pinned = version.removeprefix("==").strip() if re.fullmatch(r"(?:==)?\s*\d[\w.+]*", version) else None
                yield Wish(name=canonicalize_name(name), text=f"{name} {version}", line=line, version=pinned)


def _index(document: Mapping[str, Any], text: str) -> Said | None:
    """Return the flavour of the PyTorch index in the tables of uv or poetry; None if there is no such index, or several."""
    tables = [_table(document, "tool", "uv").get("index"), _table(document, "tool", "poetry").get("source")]
    found = [f for value in _texts(tables) if (f := flavour_of(value, line_with(text.splitlines(), value)))]
    return found[0] if len({f.value for f in found}) == 1 else None


def _python(value: object, text: str) -> Said | None:
    """Return the version of Python if a specifier allows only one: "3.12" for "==3.12.*" and for ">=3.12,<3.13"."""
    if not isinstance(value, str):
        return None
    asked = re.sub(r"^[~^](?=\d)", "~=", value) if value[:1] in "~^" else value
    minors = [
        f"3.{minor}" for minor in range(6, 21) if any(allowed(asked, f"3.{minor}.{patch}") for patch in (0, 9, 99))
    ]
    return Said(value=minors[0], line=line_with(text.splitlines(), value)) if len(minors) == 1 else None


def _table(document: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    for key in keys:
        found = document.get(key)
        if not isinstance(found, dict):
            return {}
        document = found
    return document


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for item in value.values() for text in _texts(item))
    elif isinstance(value, Iterable):
        yield from (text for item in value for text in _texts(item))


def line_with(lines: Sequence[str], value: str) -> int:
    """Return the number of the first line that contains a text; 1 if no line does."""
    return next((number for number, line in enumerate(lines, 1) if value in line), 1)


def _places(text: str) -> dict[str, int]:
    """Return the line of each package's name in a lock file."""
    found: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.match(r'name = "([^"]+)"', line):
            found.setdefault(canonicalize_name(match[1]), number)
    return found
