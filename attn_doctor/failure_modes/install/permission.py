"""The program that installs is not allowed to write to the folder.

What it is
    The environment, the cache or a folder of the build belongs to another user. Or the system does not allow pip to
    change the system's Python.

How it shows
    "[Errno 13] Permission denied: '/usr/lib/python3/dist-packages/...'", "[Errno 30] Read-only file system",
    "Consider using the `--user` option or check the permissions", "[WinError 5]", "error:
    externally-managed-environment", "EnvironmentNotWritableError" (conda). If a library is on a disk that is mounted
    noexec: "failed to map segment from shared object".

Why it happens
    pip of the system's Python is used without a virtual environment; or an earlier `sudo pip` left files of root; or
    conda is shared between users; or the container runs as another user; or /tmp is mounted noexec.

What to do
    Create a virtual environment and install into it. Do not use sudo with pip.

How to reproduce
    `attn-doctor reproduce permission` installs into an environment on a read-only file system. It downloads nothing.

References
    https://peps.python.org/pep-0668/
    https://packaging.python.org/en/latest/guides/installing-using-pip-and-virtual-environments/
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, every, known, some
from attn_doctor.failure_modes.recipe import PIP, ReadOnly, Recipe, Wheel
from attn_doctor.failure_modes.shared import building, files_in_use
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity, fact

_INSTALLING = r"(?:site-packages|dist-packages|/usr/|/opt/|/root/|\.cache|\.local|[Cc]onda|\\Python|Program Files|/pip|/tmp|cache|triton|\.so\b|/nvidia)"

MODE = FailureMode(
    code="AD211",
    slug="permission",
    title="No permission to write to a folder, or to run a program",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    explains=(building.FAILED,),
    signs=(
        Sign(
            pattern=rf"\[Errno (?:13|30)\](?!.{{0,300}}nvcc')[^']{{0,60}}'(?P<path>[^']{{0,300}}{_INSTALLING}[^']{{0,300}})'",
            literal="[Errno ",
            sample="ERROR: Could not install packages due to an OSError: [Errno 13] Permission denied: "
            "'/usr/local/lib/python3.11/site-packages/flash_attn'",
        ),
        Sign(
            pattern=r"\[Errno (?:13|30)\](?!.{0,300}nvcc')",
            literal="[Errno ",
            sample="PermissionError: [Errno 13] Permission denied: 'build'",
            strength="hint",
        ),
        Sign(
            pattern=r"Consider using the `--user` option or check the permissions|^Check the permissions",
            literal="heck the permissions",
            sample="Consider using the `--user` option or check the permissions.",
        ),
        Sign(
            pattern=r"externally-managed-environment",
            literal="externally-managed-environment",
            sample="error: externally-managed-environment",
        ),
        Sign(
            pattern=r"The interpreter at .{0,300} is externally managed",
            literal="is externally managed",
            sample="error: The interpreter at /usr is externally managed, and indicates the following:",
        ),
        Sign(
            pattern=r"EnvironmentNotWritableError",
            literal="EnvironmentNotWritableError",
            sample="EnvironmentNotWritableError: The current user does not have write permissions to the target environment.",
        ),
        *files_in_use.SIGNS,
        Sign(
            pattern=r"\[WinError 5\]",
            literal="[WinError 5]",
            sample="ERROR: Could not install packages due to an OSError: [WinError 5] Access is denied",
        ),
        Sign(
            pattern=r"\(os error (?:13|5)\)",
            literal="(os error ",
            sample="  Caused by: failed to create directory `/root/.cache/uv`: Permission denied (os error 13)",
        ),
        Sign(
            pattern=r"failed to map segment from shared object",
            literal="failed to map segment from shared object",
            sample="ImportError: /tmp/flash_attn_2_cuda.so: failed to map segment from shared object",
        ),
    ),
    recipe=Recipe(
        does="installs into an environment on a read-only file system",
        of=(Wheel(name="small", version="1.0"), ReadOnly(path="{site}")),
        run=((*PIP, "install", "--no-deps", "--no-index", "{folder}/small-1.0-py3-none-any.whl"),),
        shows="Errno (13|30)",
        seconds=6,
    ),
)


def detect(facts: Facts) -> Hit | None:
    target = facts.interpreter
    if not every(
        lambda: not building.works(facts),
        lambda: some(lambda: known(target.writable) is False, lambda: known(target.externally_managed) is True),
    ):
        return None
    if target.externally_managed is True:
        return Hit(
            message=f"{target.python} is the system's Python, which pip may not change: use a virtual environment.",
            evidence=(fact(facts, "interpreter.externally_managed"),),
            severity=Severity.INFO,
        )
    return Hit(
        message=f"You may not write to {target.site_packages}: nothing can be installed into this Python.",
        evidence=(fact(facts, "interpreter.writable"),),
    )


class OfCache(Variant, frozen=True, kw_only=True):
    """Hold how to move a cache, or a folder of settings, that could not be written."""

    variable: str  # that names another folder for it: "TRITON_CACHE_DIR"
    folder: str  # the name of the new folder: "triton"


class NotRunnable(Variant, frozen=True, kw_only=True):
    """Hold the program of a package that may not be run: its files were copied without their permissions."""

    program: str


# A part of the path -> the variable that moves the folder. The program runs as a user whose home is missing or belongs to another.
_MOVED = (
    (".triton", "TRITON_CACHE_DIR", "triton"),
    ("torchinductor", "TORCHINDUCTOR_CACHE_DIR", "torchinductor"),
    ("torch_extensions", "TORCH_EXTENSIONS_DIR", "torch_extensions"),
    ("huggingface", "HF_HOME", "huggingface"),
    (".cache/torch", "TORCH_HOME", "torch"),
    (".cache/vllm", "VLLM_CACHE_ROOT", "vllm"),
    ("Ultralytics", "YOLO_CONFIG_DIR", "ultralytics"),
    ("matplotlib", "MPLCONFIGDIR", "matplotlib"),
    ("/.cache'", "XDG_CACHE_HOME", "cache"),
    ("/.config'", "XDG_CONFIG_HOME", "config"),
)
_RUN = re.compile(r"/(?:ptxas(?:-blackwell)?|cuobjdump|nvdisasm|ninja|gcc)$")


def _of_use(path: str, quoted: str) -> Variant | None:
    """Return the variant for a cache that a running program writes, or a program that may not be run; None for an installation.

    `path`: the file that was refused. `quoted`: the same path with the quotation mark that ends it in the log.
    """
    if _RUN.search(path):
        return NotRunnable(program=path)
    found = next(((name, folder) for part, name, folder in _MOVED if part in quoted), None)
    return OfCache(variable=found[0], folder=found[1]) if found else None


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if any("map segment" in m.text for m in seen.matches):
        return Hit(message="A library could not be loaded: its disk is mounted noexec.", evidence=evidence)
    if (used := files_in_use.told(seen)) is not None:
        return used
    path = seen.group("path")
    if path:
        return Hit(
            message=f"There was no permission to use {path}.",
            evidence=evidence,
            variant=_of_use(path, f"{path}'"),
            severity=_severity(path),
        )
    if any("externally" in m.text for m in seen.matches):
        return Hit(message="pip refused to change the system's Python.", evidence=evidence)
    if not any(m.strength == "proof" or building.in_build(seen, m) for m in seen.matches):
        return None  # the file belongs to another program
    return Hit(message="There was no permission to write to a folder or file.", evidence=evidence)


def _severity(path: str) -> Severity | None:
    """Return the severity of a program that stopped in use; None for an installation, which MODE decides."""
    return Severity.ERROR if _of_use(path, f"{path}'") is not None else None


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, files_in_use.InUse):
        return files_in_use.fixes(facts, hit.variant)
    if isinstance(hit.variant, NotRunnable):
        allowed = commands.by_hand(
            ("chmod", "+x", hit.variant.program), "it was copied or unpacked without its permission to run", "one file"
        )
        return (Fix(title="Allow the program to run", steps=(allowed,), verify=commands.check(facts)),)
    if isinstance(hit.variant, OfCache):
        elsewhere = commands.variable(
            hit.variant.variable,
            f"/tmp/{hit.variant.folder}",  # noqa: S108 - a path for a command
            "a folder that every user may make; it is set before the program starts (docker: -e, compose: environment). The old folder belongs to another user: `sudo chown -R $USER FOLDER` "
            "gives it back",
        )
        return (
            Fix(title="Put the folder where this user may write", steps=(elsewhere,), verify=commands.check(facts)),
        )
    windows = facts.system.os == "windows"
    make = commands.run(
        (*commands.starting(facts), "-m", "venv", ".venv"),
        why="creates an environment of your own, to which you can write",
        changes="a new folder .venv",
        risk="none",
        undo=("rm", "-r", ".venv"),
    )
    activate = ".venv\\Scripts\\activate" if windows else ". .venv/bin/activate"
    use = commands.by_hand((), f"activate it ({activate}), and install into it again", "this shell")
    verify = (
        "attn-doctor",
        "check",
        "--target",
        ".venv\\Scripts\\python.exe" if windows else ".venv/bin/python",
        "--no-trial",
    )
    return (Fix(title="Use a virtual environment", steps=(make, use), verify=verify),)
