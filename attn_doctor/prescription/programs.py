"""Find out from a command line what kind of program it starts.

Pure, but for `interpreter`, which reads the first line of a script.

An installer or a build tool gets no prescription. The exchange would do nothing there, because it waits for an import of
ultralytics. But its variables would reach every Python of a build: PYTHONPATH puts a `sitecustomize` in front of the one by which
pip isolates a build, and some builds record PYTHONPATH. A build must be the same with `attn-doctor run` as without it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence

_INSTALLERS = set(
    "pip uv conda mamba micromamba poetry pdm pipenv pixi hatch rye pipx easy_install conda-build conda-lock apt apt-get dnf yum "
    "zypper apk pacman brew choco winget snap npm".split()
)
_BUILDERS = set(
    "nvcc hipcc make gmake nmake cmake ninja meson bazel gcc g++ cc c++ clang clang++ cl ld ccache docker podman buildah git".split()
)
_MODULES = set(  # `python -m NAME`
    "pip build uv poetry pdm pipenv pipx hatch installer ensurepip venv virtualenv setuptools wheel conda auditwheel cibuildwheel".split()
)
_RUN = "run"  # `uv run`, `poetry run`, `conda run`: what follows is a program like any other
_TAKE_VALUES = set("-W -X --check-hash-based-pycs".split())  # options of Python whose value is the next word
_PYTHON = re.compile(r"(?:python|pypy)[\d.]*[td]?|py")


def builder(argv: Sequence[str]) -> str | None:
    """Return the name of the installer or build tool that a command line starts; None if it starts another program.

    Examples: `pip3.11 install x` is pip, `python -m build` is build, `python setup.py install` is setup.py; `uv run yolo train`
    is None.
    """
    name = _name(argv[0])
    if _PYTHON.fullmatch(name):
        return _of_python(argv[1:])
    name = re.sub(r"^pip\d+(?:\.\d+)?$", "pip", name)
    if name in _BUILDERS:
        return name
    if name not in _INSTALLERS or _RUN in argv[1:4]:
        return None
    return name


def _of_python(words: Sequence[str]) -> str | None:
    for at, word in enumerate(words):
        if word == "-m":
            module = "".join(words[at + 1 : at + 2])
            return (
                builder([module, *words[at + 2 :]]) if module in _INSTALLERS else module if module in _MODULES else None
            )
        if word.startswith("-m"):
            return word[2:] if word[2:] in _MODULES else None
        if not word.startswith("-") and (at == 0 or words[at - 1] not in _TAKE_VALUES):
            return "setup.py" if os.path.basename(word) == "setup.py" else None  # noqa: PTH119
        if word in ("-c", "-"):
            return None
    return None


def _name(program: str) -> str:
    name = re.split(r"[\\/]", program)[-1].lower()
    return re.sub(r"\.(?:exe|cmd|bat)$", "", name)


def interpreter(argv: Sequence[str], environ: Mapping[str, str]) -> str | None:
    """Return the path of the Python that a command line runs; None if it is not known.

    A script such as `yolo` names it in its first line.
    """
    found = shutil.which(argv[0], path=environ.get("PATH", os.defpath))
    if found is None:
        return None
    if _PYTHON.fullmatch(_name(found)):
        return found
    try:
        with open(found, "rb") as file:  # noqa: PTH123
            first = file.readline(4096)
            second = file.readline(4096)
    except OSError:
        return None
    line = first if b"python" in first else second  # pip writes "#!/bin/sh" and "'''exec' /path/python" for a long path
    match = re.match(rb"^(?:#!\s*|'''exec'\s+)\"?(/[^\"\s]*(?:python|pypy)[\w.]*)\"?", line)
    return os.fsdecode(match[1]) if match and os.path.exists(match[1]) else None
