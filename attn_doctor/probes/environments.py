"""Find the project whose environment a Python is, by the files that uv, Poetry, PDM and pixi leave."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from attn_doctor.probes.prefixes import prefix_of
from attn_doctor.system import files

LOCKS = ("poetry.lock", "pdm.lock", "pixi.lock", "uv.lock")


def owner(folder: Path, prefix: str, environ: Mapping[str, str]) -> tuple[Path | None, tuple[str, ...]]:
    """Return the folder of the project whose environment `prefix` is, and its lock files; None and () if there is none.

    `folder` is the current folder. A lock file counts only if its tool would use this same environment.
    """
    real = Path(os.path.realpath(prefix))
    for place in dict.fromkeys(_places(folder, real)):
        locks = tuple(
            name for name in LOCKS if (place / name).is_file() and _is_environment(name, place, real, environ)
        )
        if locks:
            return place, locks
    return None, ()


def _places(folder: Path, prefix: Path) -> Iterator[Path]:
    """Yield the folders in which the project can be.

    They are the folder that contains the environment, pixi's project, the current folder and its parents.
    """
    yield prefix.parent
    if prefix.parent.name == "envs" and prefix.parent.parent.name == ".pixi":
        yield prefix.parent.parent.parent
    here = Path(os.path.realpath(folder))
    yield from (here, *here.parents)


def _is_environment(lock: str, project: Path, prefix: Path, environ: Mapping[str, str]) -> bool:
    if lock == "pixi.lock":
        return prefix.is_relative_to(project / ".pixi" / "envs")
    if lock == "uv.lock":  # https://docs.astral.sh/uv/concepts/projects/config/#project-environment-path
        return prefix == Path(os.path.realpath(project / environ.get("UV_PROJECT_ENVIRONMENT", ".venv")))
    if prefix == project / ".venv":
        return True
    return _named_by_poetry(project, prefix) if lock == "poetry.lock" else _named_by_pdm(project, prefix)


def _named_by_poetry(project: Path, prefix: Path) -> bool:
    """Return whether Poetry made this environment for this folder: its name contains a hash of the folder.

    `EnvManager.generate_env_name`, https://github.com/python-poetry/poetry/blob/main/src/poetry/utils/env/env_manager.py
    """
    digest = hashlib.sha256(os.path.normcase(str(project)).encode()).digest()
    return f"-{base64.urlsafe_b64encode(digest).decode()[:8]}-py" in prefix.name


def _named_by_pdm(project: Path, prefix: Path) -> bool:
    """Return whether PDM works with this environment here: .pdm-python names its interpreter.

    https://pdm-project.org/latest/usage/project/#choose-a-python-interpreter
    """
    try:
        python = Path(files.text(project / ".pdm-python", 4096).strip())
    except OSError:
        return False
    return Path(os.path.realpath(prefix_of(str(python)))) == prefix
