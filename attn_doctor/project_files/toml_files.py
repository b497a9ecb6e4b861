"""Read pyproject.toml, and the lock files of uv, poetry and PDM."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from packaging.utils import canonicalize_name

from attn_doctor.errors import NotExamined
from attn_doctor.knowledge import old_torch
from attn_doctor.model.project_file import ProjectFile, Said, Wish
from attn_doctor.model.requirements import allowed
from attn_doctor.project_files.requirements import flavour_of, numpy_2, wish_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def parse(text: str, file: str) -> dict[str, Any]:
    """Return the document of a TOML file. Raises NotExamined, with the place of the error, if the text is not TOML.

    Of a lock file from which lines were cut, the packages are read one by one.
    """
    try:
        document: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        if (cut := _cut_lock(text)) is not None:
            return cut
        raise NotExamined(f"{file} is no valid TOML: {error}") from error
    except RecursionError as error:
        raise NotExamined(f"{file} is no valid TOML: its values are nested too deeply") from error
    return document


_CUT = "attn-doctor: lines are missing"
_SIMPLE = re.compile(r"^(?:name|version|requires-python) = \"[^\"]*\"\s*$|^source = \{[^{}]*\}\s*$")


def _cut_lock(text: str) -> dict[str, Any] | None:
    """Return the document of a lock file that is no valid TOML, because people cut it; None if it lists no package.

    Of a part that cannot be read, the lines with its name, version and source count.
    """
    head, *parts = re.split(r"(?m)^\[\[package\]\]\s*$", text)
    read = [found for part in parts if "name" in (found := _part(part))]
    if not read or not text.lstrip().startswith(("#", "version", "[[", "requires")):
        return None
    return {**_part(head), "package": read, _CUT: True}


def _part(text: str) -> dict[str, Any]:
    for lines in (text, "\n".join(line for line in text.splitlines() if _SIMPLE.match(line))):
        with contextlib.suppress(tomllib.TOMLDecodeError, RecursionError):
            found: dict[str, Any] = tomllib.loads(lines)
            return found
    return {}


def is_lock(document: Mapping[str, Any]) -> bool:
    """Return whether a document is a lock file: a list of packages with their versions."""
    packages = document.get("package")
    return isinstance(packages, list) and all(isinstance(p, dict) and "name" in p for p in packages)


def lock(document: Mapping[str, Any], text: str, file: str) -> ProjectFile:
    """Read uv.lock, poetry.lock or pdm.lock: all packages, each with its version."""
    lines = _places(text)
    wishes = []
    packages = document["package"]
    of_poetry = "content-hash" in _table(document, "metadata")
    names = [canonicalize_name(str(package["name"])) for package in packages]
    for package in packages:
        name, version = canonicalize_name(str(package["name"])), package.get("version")
        if isinstance(version, str):
            source = package.get("source")
            address = source.get("url") or source.get("registry") if isinstance(source, dict) else None
            build = flavour_of(str(address), 1) if address else None
            full = f"{version}+{build.value}" if build and "+" not in version and name.startswith("torch") else version
            # Of two entries, one is for another system: it is not known from where this system's file comes.
            pypi = _of_pypi(address, source is None and of_poetry) and names.count(name) == 1
            wishes.append(Wish(name=name, text=f"{name}=={full}", line=lines.get(name, 1), version=full, pypi=pypi))
    python = document.get("requires-python")
    metadata = document.get("metadata")
    if python is None and isinstance(metadata, dict):
        python = metadata.get("python-versions") or metadata.get("requires_python")
    whole = _CUT not in document and {canonicalize_name(name) for p in packages for name in _needs(p)} <= set(names)
    return ProjectFile(file=file, kind="lock", wishes=tuple(wishes), whole=whole, python=_python(python, text))


def _of_pypi(address: object, plain: bool) -> bool:
    return plain if address is None else isinstance(address, str) and address.startswith("https://pypi.org/simple")


def _needs(package: Mapping[str, Any]) -> Iterator[str]:
    """Yield the packages that an entry of uv.lock needs: if the list lacks one of them, the file was shortened."""
    needs = package.get("dependencies")
    for need in needs if isinstance(needs, list) else ():
        if isinstance(need, dict) and isinstance(need.get("name"), str):
            yield need["name"]


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
    wishes = list(_by_tool(document, wishes, text))
    if _alone(document):
        wishes = [msgspec.structs.replace(w, pypi=w.pypi or w.name in _BESIDE) for w in wishes]
    python = project.get("requires-python") or _table(poetry, "dependencies").get("python")
    torch = next((w.version for w in reversed(wishes) if w.name == "torch" and w.version), None)
    return ProjectFile(
        file=file,
        kind="pyproject",
        wishes=tuple(wishes),
        python=_python(python, text, torch),
        flavour=_index(document, text),
    )


# Settings by which a build sees torch, or by which a finished wheel is found.
_BUILT_WITH_TORCH = re.compile(r"isolation|extra-build-dependencies|find-links")


def _by_tool(document: Mapping[str, Any], wishes: Iterable[Wish], text: str) -> Iterator[Wish]:
    """Yield the requests, those of the main list with the tool that installs them."""
    tools = {"uv": "uv", "pdm": "PDM", "poetry": "Poetry"}
    tool = next((tools[name] for name in _table(document, "tool") if name in tools), None)
    main = set(_texts(_table(document, "project").get("dependencies")))
    required = {
        name
        for name, value in _table(document, "tool", "poetry", "dependencies").items()
        if not (isinstance(value, dict) and (value.get("optional") or value.get("url") or value.get("path")))
    }
    chosen = dict(_uv_sources(_table(document, "tool", "uv", "sources"), ("index", "url", "path")))
    isolated = not _BUILT_WITH_TORCH.search(text)
    for wish in wishes:
        by = tool if (wish.text in main or wish.name in required) and not chosen.get(wish.name) else None
        yield msgspec.structs.replace(wish, project_tool=by, isolated=isolated)


_BESIDE = ("torchvision", "torchaudio")


def _alone(document: Mapping[str, Any]) -> bool:
    """Return whether torch alone is taken from PyTorch's index: the index is explicit, and torchvision and torchaudio do not name it."""
    sources, poetry = _table(document, "tool", "uv", "sources"), _table(document, "tool", "poetry")
    tables = [_table(document, "tool", "uv").get("index"), poetry.get("source")]
    explicit = {
        index.get("name")
        for table in tables
        for index in (table if isinstance(table, list) else ())
        if isinstance(index, dict) and (index.get("explicit") is True or index.get("priority") == "explicit")
    }
    wished = _table(poetry, "dependencies")
    chosen = {**{n: v.get("source") for n, v in wished.items() if isinstance(v, dict)}, **dict(_uv_sources(sources))}
    return chosen.get("torch") in explicit and not any(chosen.get(name) for name in _BESIDE)


_ANYWHERE = ("index", "url", "path", "git")


def _uv_sources(sources: Mapping[str, Any], keys: Sequence[str] = _ANYWHERE) -> Iterator[tuple[str, Any]]:
    """Yield the name of each package, and its index or address, if one of these keys has it; else None."""
    for name, value in sources.items():
        first = value[0] if isinstance(value, list) and value else value
        if isinstance(first, dict):
            yield canonicalize_name(name), next((first[key] for key in keys if first.get(key)), None)


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
                lowest = re.match(r"(?:[~^]|>=)\s*(\d[\w.]*)", version)
                if name == "numpy" and lowest and numpy_2(lowest[1]):
                    pinned = lowest[1]
                yield Wish(name=canonicalize_name(name), text=f"{name} {version}", line=line, version=pinned)


def _index(document: Mapping[str, Any], text: str) -> Said | None:
    """Return the flavour of the PyTorch index in the tables of uv or poetry; None if there is no such index, or several."""
    tables = [_table(document, "tool", "uv").get("index"), _table(document, "tool", "poetry").get("source")]
    found = [f for value in _texts(tables) if (f := flavour_of(value, line_with(text.splitlines(), value)))]
    return found[0] if len({f.value for f in found}) == 1 else None


def _python(value: object, text: str, torch: str | None = None) -> Said | None:
    """Return the version of Python if a specifier allows only one: "3.12" for "==3.12.*" and for ">=3.12,<3.13".

    If it allows several and this torch has wheels for none of them, return the oldest: the file shows that torch cannot be installed.
    """
    if not isinstance(value, str):
        return None
    asked = re.sub(r"^[~^](?=\d)", "~=", value) if value[:1] in "~^" else value
    minors = [
        f"3.{minor}" for minor in range(6, 21) if any(allowed(asked, f"3.{minor}.{patch}") for patch in (0, 9, 99))
    ]
    wheels = old_torch.pythons(torch.partition("+")[0]) if torch else ()
    sure = len(minors) == 1 or (wheels and minors and not set(minors) & set(wheels))
    return Said(value=minors[0], line=line_with(text.splitlines(), value)) if sure else None


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
