"""Read requirement lines: those of requirements.txt, of a list in another file, and of a typed `pip install`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

import msgspec
from packaging.utils import canonicalize_name

from attn_doctor.knowledge import built_packages
from attn_doctor.model.project_file import ProjectFile, Said, Wish
from attn_doctor.model.requirements import Requirement, read_requirement, read_wheel_name

_INDEX = re.compile(r"download\.pytorch\.org/whl/(?:nightly/)?(?P<flavour>cu\d{2,3}|cpu|xpu|rocm\d+\.\d+(?:\.\d+)?)\b")
_WITH_VALUE = {
    "-r", "--requirement", "-c", "--constraint", "-i", "--index-url", "--extra-index-url", "-f", "--find-links", "-t", "--target",
    "--python", "-p", "--prefix", "--root", "--cache-dir", "--index", "--default-index", "--torch-backend", "--platform",
    "--trusted-host", "--index-strategy", "--timeout", "--retries", "--config-settings", "-C", "--no-binary", "--only-binary",
}  # fmt: skip


def wish_of(text: str, line: int) -> Wish | None:
    """Return the package that a requirement requests; None for any other text, and for a requirement whose marker is for macOS alone.

    The text can also be the file name or the address of a wheel. `line`: its number in the file, from 1.
    """
    bare = text.strip()
    address = bare.partition(" @ ")[2].strip() or bare
    path = address.partition("#")[0].partition("?")[0]
    if path.endswith(".whl"):
        wheel = read_wheel_name(path)
        if wheel is None:
            return None
        version = path.rpartition("/")[2].replace("%2B", "+").split("-")[1]
        return Wish(name=wheel.name, text=address, line=line, version=version)
    requirement = read_requirement(bare)
    if requirement is None:
        return _folder(bare, line)
    if requirement.marker is not None and not _may_hold(str(requirement.marker)):
        return None
    return Wish(name=canonicalize_name(requirement.name), text=bare, line=line, version=exact(requirement))


def _folder(text: str, line: int) -> Wish | None:
    """Return the known package whose sources lie in a folder of the project: "submodules/simple-knn"; None for any other text."""
    path = re.fullmatch(r"(?:-e |--editable )?(?:file:)?(?P<path>\.{0,2}/?[\w.-]+(?:/[\w.-]+)+)/?", text)
    name = canonicalize_name(path["path"].rpartition("/")[2]) if path else ""
    return Wish(name=name, text=text, line=line) if path and built_packages.row_of(name) else None


def _may_hold(marker: str) -> bool:
    """Return whether an environment marker can be true on Linux or Windows. A requirement for macOS alone is not judged."""
    return not re.search(r"(?:sys_platform|platform_system)\s*==\s*['\"](?:darwin|Darwin)['\"]", marker)


def exact(requirement: Requirement) -> str | None:
    """Return the only version that a requirement allows: "2.5.8" for "==2.5.8", "2.5" for "==2.5.*"; None for a range."""
    pinned = [s.version for s in requirement.specifier if s.operator in ("==", "===")]
    return pinned[0].removesuffix(".*") if len(pinned) == 1 else None


def flavour_of(text: str, line: int) -> Said | None:
    """Return the flavour of torch ("cu121", "cpu") if the text names an index of PyTorch; else None."""
    found = _INDEX.search(text)
    return Said(value=found["flavour"], line=line) if found else None


def read(text: str, file: str) -> ProjectFile:
    """Read a requirements.txt or constraints.txt."""
    wishes, flavour = [], None
    for number, line in enumerate(text.splitlines(), 1):
        bare = re.sub(r"(?:^|\s)#.*", "", line).strip().removesuffix("\\").strip()
        flavour = flavour_of(bare, number) or flavour
        bare = re.sub(r"\s--hash=\S+", "", bare)
        if bare and not bare.startswith("-") and (wish := wish_of(bare, number)):
            wishes.append(wish)
    return ProjectFile(file=file, kind="requirements", wishes=tuple(wishes), flavour=flavour)


def of_command(words: Sequence[str], line: int) -> Iterator[Wish]:
    """Yield the packages that an install command requests.

    `words`: the words after `pip install`, `uv pip install` or `uv add`; options and their values are skipped. `line`: the line
    of the command in its file, from 1; it is stored in each Wish.
    """
    skip, isolated = False, "--no-build-isolation" not in words
    for word in words:
        if skip or word.startswith("-"):
            skip = not skip and word in _WITH_VALUE
            continue
        if wish := wish_of(word, line):
            yield msgspec.structs.replace(wish, isolated=isolated)


def words_of(command: str) -> list[str]:
    """Split a shell command into words. An unclosed quote is an ordinary character."""
    try:
        return shlex.split(command, comments=False, posix=True)
    except ValueError:
        return command.split()
