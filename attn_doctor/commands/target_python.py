"""Return the command that starts the target's Python, and the options that name the environment to uv. Pure.

On an examined machine the path of the interpreter is known. A log shows a path, an active environment, a tool of projects that
starts Python (`poetry run python`), or nothing.
"""

from __future__ import annotations

import re
import shlex

from attn_doctor.commands import places
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.versions import pair

Argv = tuple[str, ...]
_MANAGED = (3, 12)  # PEP 668. Debian 12's 3.11 is managed too, but its first pip lacks the option
# Lock file -> the command that starts the Python of its project. https://python-poetry.org/docs/cli/#run,
# https://pdm-project.org/latest/usage/scripts/, https://pixi.sh/latest/reference/cli/pixi/run/, https://docs.astral.sh/uv/reference/cli/#uv-run
_RUN: dict[str, Argv] = {
    "poetry.lock": ("poetry", "run", "python"),
    "pdm.lock": ("pdm", "run", "python"),
    "pixi.lock": ("pixi", "run", "python"),
    "uv.lock": ("uv", "run", "--no-sync", "python"),
}


_CONDA_RUN = re.compile(
    r"\b(?:conda|mamba|micromamba) run(?: (?:(?:-n|--name|-p|--prefix)[ =][\w./\\:-]+|--no-capture-output|--live-stream))+"
)
# ComfyUI's package runs its Python with -s: without it, pip finds packages of the user as already installed, which the program never sees.
# https://docs.comfy.org/installation/comfyui_portable_windows
_EMBEDDED = re.compile(r"(?:^|[\\/])python_embed+ed[\\/]python\.exe$")
# Prefixes into which uv installs only with --system: Pythons that are not environments, and conda's base.
_SYSTEM = re.compile(
    r"/usr(?:/local)?|/opt/homebrew.*|.*[\\/](?:ana|mini|mamba)?(?:conda|forge)\d?|.*[\\/]\.pyenv[\\/]versions[\\/].*|.*[\\/]Python3\d+|.*[\\/]uv[\\/]python[\\/].*"
)


def python(facts: Facts) -> str:
    """Return the target's own interpreter: its path, or its name on the PATH of the target."""
    if isinstance(facts.interpreter.python, str):
        return facts.interpreter.python
    if facts.grade == "stated" and (inside := _in_project(facts)):
        return inside
    # Ubuntu, Debian and macOS have no `python`; an environment on these systems has both names, no matter which tool made it.
    here = facts.grade == "stated" and facts.system.os in ("linux", "darwin") and places.hosted(facts) is None
    return "python3" if here and facts.interpreter.kind not in ("conda", "pixi") else "python"


def _in_project(facts: Facts) -> str | None:
    """Return the interpreter of a project of uv, PDM or pixi, whose environment lies in its folder; None for others."""
    locks, windows = facts.project.locks, facts.system.os == "windows"
    if isinstance(locks, Unknown):
        return None
    if "pixi.lock" in locks:
        return ".pixi\\envs\\default\\python.exe" if windows else ".pixi/envs/default/bin/python"
    if "uv.lock" in locks or "pdm.lock" in locks:
        return ".venv\\Scripts\\python.exe" if windows else ".venv/bin/python"
    return None


def starting(facts: Facts) -> Argv:
    """Return the command that starts the target's Python: its path, a name on PATH, or ("poetry", "run", "python")."""
    if facts.grade != "stated":
        return (python(facts),)
    if isinstance(facts.interpreter.python, str) and _EMBEDDED.search(facts.interpreter.python):
        return (facts.interpreter.python, "-s")
    if facts.system.shell == "notebook":
        return ("python",)  # of a cell: commands.shells makes %pip of it, the pip of the notebook's own Python
    command = facts.subject.command if isinstance(facts.subject.command, str) else ""
    if typed := _CONDA_RUN.search(command):
        return (*typed[0].split(), "python")
    if launched := re.match(r"py(?:\.exe)? (-3\.\d{1,2})\b", command):
        return ("py", launched[1])
    target, locks = facts.interpreter, facts.project.locks
    for lock in () if isinstance(locks, Unknown) else locks:
        if lock in _RUN:
            return _RUN[lock]
    if isinstance(target.python, str) or facts.system.os != "windows":
        return (python(facts),)
    tool = places.environment_tool(facts)
    if tool and tool != "pixi" and isinstance(target.prefix, str):
        # conda's Python finds the libraries of Library\bin (of ssl, for pip) only where its environment is active.
        return (tool, "run", "--prefix", target.prefix, "python")
    version = pair(target.version) if isinstance(target.version, str) else None
    if target.kind == "system" and isinstance(target.prefix, Unknown) and version:
        return (
            "py",
            f"-{version[0]}.{version[1]}",
        )  # packages of `pip install --user`: their folder does not show the Python
    return (python(facts),)


def yolo(facts: Facts) -> str:
    """Return the command of the target's own `yolo`.

    On PATH may be the `yolo` of another environment, or none.
    """
    return facts.yolo.program if isinstance(facts.yolo.program, str) else "yolo"


def training(facts: Facts, backend: str, model: str | None, imgsz: int | None, *more: str) -> Argv:
    """Return the command that trains with a backend, whole: coco8.yaml, which ultralytics downloads, stands for the user's data.

    `model`: a file or a name, by default "yolo12n.yaml". `imgsz`: pixels, by default 640. `more`: further arguments, "batch=1".
    """
    train = (
        yolo(facts),
        "detect",
        "train",
        f"model={model or 'yolo12n.yaml'}",
        "data=coco8.yaml",
        f"imgsz={imgsz or 640}",
    )
    return ("attn-doctor", "run", "--attention", backend, "--", *train, *more)


def examining(facts: Facts) -> Argv:
    """Return the command that examines the target. If its path is not known, `poetry run` or `conda run` starts attn-doctor in it."""
    words, own = starting(facts), ("attn-doctor", "check")
    known = isinstance(facts.interpreter.python, str) or _in_project(facts) is not None
    inside = not known and words[-1] == "python" and len(words) > 1
    return (*words[:-1], *own) if inside else (*own, "--target", python(facts))


def of_system(facts: Facts) -> bool:
    """Return whether pip and uv refuse this Python without --break-system-packages (PEP 668).

    For a log: the command in it has the option, or this is a Python of Debian, Ubuntu or Homebrew whose pip has the option.
    """
    target, command = facts.interpreter, facts.subject.command
    if isinstance(command, str) and "--break-system-packages" in command:
        return True
    if target.kind in ("venv", "uv", "conda", "pixi", "pipx"):
        return False
    if facts.grade != "stated" or isinstance(target.externally_managed, bool):
        return target.externally_managed is True
    version = pair(target.version) if isinstance(target.version, str) else None
    managed = isinstance(target.prefix, Unknown) or target.prefix in ("/usr", "/opt/homebrew")
    return (
        target.kind == "system"
        and facts.system.os in ("linux", "darwin")
        and places.hosted(facts) is None
        and managed
        and version is not None
        and version >= _MANAGED
    )


_NAMED = re.compile(r" (?:--python|-p)[ =](?P<python>[^\s'\"]+)")


def for_uv(facts: Facts) -> Argv:
    """Return the options that name the environment to `uv pip`; empty if uv finds the environment by itself.

    https://docs.astral.sh/uv/pip/environments/
    """
    command = facts.subject.command if isinstance(facts.subject.command, str) else ""
    typed = _NAMED.search(command) if "uv pip" in command else None
    if typed:
        return ("--python", typed["python"])
    if "--system" in command.split():
        return ("--system",)
    python, prefix = facts.interpreter.python, facts.interpreter.prefix
    if facts.grade != "stated" or (isinstance(python, str) and re.search(r"[\\/]", python) and "uv pip" not in command):
        return ("--python", python) if isinstance(python, str) else ()
    apart = facts.interpreter.kind == "system" or (isinstance(prefix, str) and _SYSTEM.fullmatch(prefix.rstrip("\\/")))
    if not apart or ("uv pip" in command and not isinstance(prefix, str)):
        return ()  # uv finds an active environment, and what the command of the log found; a bare name does not help uv
    named = isinstance(python, str) and python not in ("python", "python3")
    return ("--system", "--python", str(python)) if named else ("--system",)


_PROGRAM = re.compile(r"(?:python[\d.]*|yolo|torchrun|accelerate|deepspeed)(?:\.exe)? \S")


def program(facts: Facts) -> Argv:
    """Return the command of the program that failed, as it was typed; the word COMMAND if the log does not contain the complete command."""
    typed = facts.subject.command
    if (
        not isinstance(typed, str)
        or not _PROGRAM.match(typed)
        or re.search(r"\.\.\.|[|&;<>`$]| -m pip | setup\.py ", typed)
    ):
        return ("COMMAND",)
    try:
        return tuple(shlex.split(typed, posix=facts.system.os != "windows"))
    except ValueError:
        return ("COMMAND",)
