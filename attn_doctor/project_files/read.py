"""Recognise a project file by its name and its text, and read it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePath

from attn_doctor.model.project_file import ProjectFile
from attn_doctor.model.stated_facts import FEWEST_FROZEN
from attn_doctor.project_files import requirements

MOST = 32 << 20  # bytes; a lock file of a large project has some hundred thousand lines
_HEAD = 1 << 16  # characters at the start of a text, by which its format is recognised

_INSTRUCTION = re.compile(
    r"(?i)^\s*(?:FROM|RUN|CMD|LABEL|MAINTAINER|EXPOSE|ENV|ADD|COPY|ENTRYPOINT|VOLUME|USER|WORKDIR|ARG|ONBUILD|STOPSIGNAL|HEALTHCHECK|SHELL)\s+\S"
)
_NAME = r"[A-Za-z0-9][\w.-]*(?:\[[\w, .-]*\])?"
_REQUIREMENT = re.compile(
    rf"^\s*(?:{_NAME}\s*(?:\(?(?:===?|>=|<=|~=|!=|<|>)\s*[\w.*+!-]+(?:\s*,\s*(?:===?|>=|<=|~=|!=|<|>)\s*[\w.*+!-]+)*\)?|@\s*\S+)?"
    r"\s*(?:;.*)?(?:\s--hash=\S+)*\s*\\?(?:\s+#.*)?|-(?:[rcei]|f|-[a-z-]+)(?:[ =]\S+.*)?|--[a-z-]+.*|(?:git\+)?https?://\S+|\S+\.whl)\s*$"
)
_FROZEN = re.compile(rf"^{_NAME}(?:==[\w.!+-]+| @ \S+)\s*$|^-e \S+$")
_TOML = re.compile(
    r"^\[\[?(?:project|build-system|tool|dependency-groups|package)(?:[.:][\w.\"-]+)*\]\]?\s*$|^version = \d+\s*$"
)


def read(text: str, name: str) -> ProjectFile | None:
    """Return the record of a project file; None if the text is no project file.

    Raises NotExamined if its syntax is wrong. `name`: the name of the file, or words such as "standard input".
    """
    reader = _reader(text[:_HEAD], name)
    return reader(text, name) if reader else None


def might_be_one(head: str, name: str) -> bool:
    """Return whether a text may be a project file, by its name or by its first 64,000 characters."""
    return _reader(head[:_HEAD], name) is not None


def _reader(head: str, name: str) -> Callable[[str, str], ProjectFile | None] | None:
    base = PurePath(name.replace("\\", "/")).name.lower()
    # "#12 34.5 ERROR: ..." is no comment: the lines of a docker build begin like this.
    lines = [line for line in head.splitlines() if line.strip() and not re.match(r"\s*#(?!\d+ )", line)]
    if base.endswith((".toml", ".lock")) or _is_toml(lines):
        return _toml
    if base.startswith(("dockerfile", "containerfile")) or base.endswith(".dockerfile") or _is_dockerfile(lines):
        return _dockerfile
    if base.endswith((".yml", ".yaml")) or (
        re.search(r"(?m)^dependencies:\s*$", head) and re.match(r"[\w-]+\s*:", lines[0])
    ):
        return _conda
    if re.match(r"(?:requirements|constraints)[\w.-]*\.(?:txt|in)$", base) or _is_requirements(lines):
        return requirements.read
    return None


def _is_toml(lines: list[str]) -> bool:
    return (
        bool(lines) and bool(_TOML.match(lines[0])) and any(re.match(r"^\s*[\w\".-]+\s*=", line) for line in lines[1:])
    )


def _is_dockerfile(lines: list[str]) -> bool:
    """Return whether each line is an instruction of a Dockerfile, or a part of one.

    A text with other lines, such as a Dockerfile with a log behind it, is a log.
    """
    going, marker, starts = False, None, []
    for line in lines:
        if marker is not None:
            marker = None if line.strip() == marker else marker
        elif not going:
            starts.append(line)
            heredoc = re.search(r"<<-?\s*['\"]?(\w+)['\"]?", line)
            marker = heredoc[1] if heredoc else None
            going = line.rstrip().endswith(("\\", "`"))
        else:
            going = line.rstrip().endswith(("\\", "`"))
    first = starts and re.match(r"(?i)(?:FROM|ARG)\s+\S", starts[0])
    return bool(first) and len(starts) > 1 and all(_INSTRUCTION.match(line) for line in starts)


def _is_requirements(lines: list[str]) -> bool:
    """Return whether each line is a requirement.

    Many lines of the form "name==version" and no others are the output of `pip freeze`, and no project file.
    """
    if len(lines) >= FEWEST_FROZEN and all(_FROZEN.match(line) for line in lines):
        return False
    sure = any(re.search(r"[=<>~!]=|\s@\s|^\s*-r |^\s*--(?:extra-)?index-url", line) for line in lines)
    return sure and all(_REQUIREMENT.match(line) or line.lstrip().startswith("--hash=") for line in lines)


def _toml(text: str, name: str) -> ProjectFile | None:
    from attn_doctor.project_files import toml_files

    document = toml_files.parse(text, name)
    if toml_files.is_lock(document):
        return toml_files.lock(document, text, name)
    if {"project", "tool", "build-system", "dependency-groups"} & set(document):
        return toml_files.pyproject(document, text, name)
    return None


def _dockerfile(text: str, name: str) -> ProjectFile | None:
    from attn_doctor.project_files import dockerfile

    return dockerfile.read(text, name)


def _conda(text: str, name: str) -> ProjectFile | None:
    from attn_doctor.project_files import conda_file

    document = conda_file.parse(text, name)
    return None if document is None else conda_file.read(document, name)
