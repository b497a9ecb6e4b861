"""The shell does not find a command that pip installed, such as yolo.

What it is
    pip writes the command of a package (yolo, torchrun, accelerate) into the folder bin or Scripts of its Python. The
    shell looks for commands only in the folders of PATH, and that folder is not in PATH. Or the package is not
    installed for that Python.

How it shows
    "zsh: command not found: yolo", "bash: yolo: command not found", "'yolo' is not recognized as an internal or external command", "The term
    'yolo' is not recognized as the name of a cmdlet".

Why it happens
    pip installed the package with --user (pip does this by itself if it may not write to its Python): the command is
    in ~/.local/bin, ~/Library/Python/3.9/bin or %APPDATA%/Python/Python311/Scripts. Or the environment is not
    activated.

What to do
    If you use an environment, activate it. Else add the folder of the command to PATH, or start the same program through
    Python, which needs no PATH.

How to reproduce
    There is no recipe: attn-doctor starts programs by their full path. `env PATH=/usr/bin:/bin yolo` shows it if yolo
    is in neither folder.

References
    https://docs.python.org/3/using/cmdline.html
    https://packaging.python.org/en/latest/tutorials/installing-packages/#installing-to-the-user-site
    https://github.com/ultralytics/ultralytics/issues/6281
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared.torch_facts import version_here
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity

_COMMANDS = r"(?P<command>yolo|ultralytics|torchrun|accelerate|deepspeed|transformers-cli|vllm)"
# The beginning of the sentence that cmd.exe prints after the command's name, in several languages.
_CMD = (
    r"(?:is not recogni[sz]ed as an internal|不是内部或外部命令|不是內部或外部命令|не является внутренней|ist entweder falsch|n'est pas reconnu en tant que|"
    r"no se reconoce como un comando|não é reconhecido como um comando|nie jest rozpoznawan|内部コマンドまたは外部コマンド|은\(는\) 내부 또는 외부 명령|iç ya da dış komut)"
)
_LOOK = {  # the Python that starts the same program
    "torchrun": ("-m", "torch.distributed.run"),
    "accelerate": ("-m", "accelerate.commands.accelerate_cli"),
}
_YOLO = ("-c", "from ultralytics.cfg import entrypoint; entrypoint()")

MODE = FailureMode(
    code="AD220",
    slug="command-not-on-path",
    title="The shell does not find a command that pip installed",
    train=Severity.ERROR,
    flash_attn=Severity.WARNING,
    signs=(
        Sign(
            pattern=rf"(?:^|[\s:]){_COMMANDS}: (?:command )?not found\b",
            literal="not found",
            sample="bash: yolo: command not found",
        ),
        Sign(
            pattern=rf"command not found: {_COMMANDS}\b",
            literal="command not found: ",
            sample="zsh: command not found: yolo",
        ),
        Sign(
            pattern=rf"Unknown command:? '?{_COMMANDS}\b",
            literal="Unknown command",
            sample="fish: Unknown command: yolo",
        ),
        *(
            Sign(pattern=rf"['\"“]?\b{_COMMANDS}['\"”]? ?{_CMD}", literal=word, sample=sample)
            for word, sample in (
                ("yolo", "'yolo' is not recognized as an internal or external command,"),
                ("torchrun", "'torchrun' is not recognized as an internal or external command,"),
                ("accelerate", "'accelerate' 不是内部或外部命令，也不是可运行的程序"),
            )
        ),
        # PowerShell, in several languages: "yolo : The term 'yolo' is not recognized"
        Sign(
            pattern=rf"^{_COMMANDS} ?: .{{0,60}}['\"“«„]{_COMMANDS.replace('command', 'again')}",
            literal=" : ",
            sample="yolo : The term 'yolo' is not recognized as the name of a cmdlet, function, script file, or operable program.",
        ),
        # pip says where it put the command, or where the package is. These lines are not errors.
        Sign(
            pattern=r"WARNING: The scripts? .{1,200} (?:is|are) installed in '(?P<bin>[^']{1,300})' which (?:is|are) not on PATH",
            literal="not on PATH",
            sample="WARNING: The scripts ultralytics and yolo are installed in '/home/user/.local/bin' which is not on PATH.",
            strength="context",
        ),
        Sign(
            pattern=r"ultralytics in (?P<base>/\S{1,200})/lib/python(?:3\.\d{1,2})?/site-packages",
            literal="ultralytics in /",
            sample="Requirement already satisfied: ultralytics in /home/user/.local/lib/python3.10/site-packages (8.3.2)",
            strength="context",
        ),
    ),
)
# There is no `detect`: attn-doctor sees only the PATH of the shell that started it.


class NotFound(Variant, frozen=True, kw_only=True):
    """Hold the command that the shell did not find ("yolo"), and its folder ("/home/me/.local/bin"; None if the log does not name it)."""

    command: str
    folder: str | None


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    proofs = [m for m in seen.matches if m.strength == "proof"]
    if not proofs:
        return None
    command = proofs[0].groups["command"]
    base = seen.group("base")
    folder = seen.group("bin") or (f"{base}/bin" if base else None)
    there = _installed(facts, command)
    why = (
        f"pip put it into {folder}, which is not on PATH"
        if folder
        else f"{_package(command)} is installed there, and the folder of its commands is not on PATH"
        if there
        else "its folder is not on PATH, or it is not installed"
    )
    return Hit(
        message=f"The shell does not find the command {command}: {why}.",
        evidence=evidence,
        variant=NotFound(command=command, folder=folder),
        confidence=Confidence.HIGH if folder else Confidence.MEDIUM,
        severity=Severity.ERROR,
    )


def _package(command: str) -> str:
    return {"yolo": "ultralytics", "torchrun": "torch"}.get(command, command)


def _installed(facts: Facts, command: str) -> bool:
    """Return whether the package that contains the command is known to be installed. False also if that is not known."""
    package = _package(command)
    if package == "ultralytics" and isinstance(facts.yolo.version, str):
        return True
    return version_here(facts, package) is not None


def _of_the_notebook(facts: Facts, command: str) -> Fix:
    """Return the fix for a cell: `!` starts a shell with the PATH of the notebook's server, which lacks the folder of the kernel's Python.

    https://jakevdp.github.io/blog/2017/12/05/installing-python-packages-from-jupyter/
    """
    line = 'import os, sys; os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]'
    step = commands.by_hand(
        (),
        f"run this line in a cell of its own, then the cell with !{command} again:  {line}",
        "PATH of this notebook, until its kernel restarts",
        "none",
    )
    return Fix(title="Put the folder of the notebook's Python on PATH", steps=(step,), verify=commands.check(facts))


def _for_every_command(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes for the page, where neither the command nor its folder is known."""
    verify = commands.check(facts)
    python = commands.starting(facts)
    active = commands.by_hand(
        ("sh", "-c", ". .venv/bin/activate"),
        "if your environment is the folder .venv. On Windows: .venv\\Scripts\\activate. An environment of conda: conda activate NAME",
        "this shell alone",
        "none",
    )
    look = commands.by_hand(
        (*python, "-m", "pip", "show", "-f", "ultralytics"),
        "lists under Files the path of yolo, relative to the folder at Location. torchrun is a command of the package torch, accelerate of accelerate. If the "
        "package is not found, install it with this Python",
        "nothing",
        "none",
    )
    path = commands.in_front(
        facts,
        "PATH",
        "$HOME/.local/bin",
        "the folder that the first command showed; ~/.local/bin is the usual one for pip install --user",
    )
    starts = tuple(
        commands.by_hand(
            (*python, *words),
            f"does the same as {command}: add the arguments of {command} at the end",
            "nothing",
            "none",
        )
        for command, words in (("yolo", _YOLO), *_LOOK.items())
    )
    return (
        Fix(title="Activate the environment", steps=(active,), verify=verify),
        Fix(title="Put the folder of the command on PATH", steps=(look, path), verify=verify),
        Fix(title="Start the program through Python", steps=starts, verify=verify),
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if not isinstance(hit.variant, NotFound):
        return _for_every_command(facts)
    verify = commands.check(facts)
    command, folder = hit.variant.command, hit.variant.folder
    package = _package(command)
    python = commands.starting(facts)
    there = _installed(facts, command)
    made = []
    if folder is None and facts.system.shell == "notebook" and there:
        made.append(_of_the_notebook(facts, command))
    elif folder is None and not there:
        look = commands.by_hand(
            (*python, "-m", "pip", "show", "-f", package),
            f"lists under Files the path of {command}, relative to the folder at Location: add its folder to PATH, or activate the environment. "
            f"If {package} is not found, install it with this Python",
            "nothing",
            "none",
        )
        made.append(Fix(title=f"Look where {command} is", steps=(look,), verify=verify))
    elif folder is not None and facts.system.os != "windows":
        put = commands.in_front(
            facts,
            "PATH",
            folder,
            "only for this shell; to keep it, add the same line at the end of ~/.zshrc or ~/.bashrc",
        )
        made.append(Fix(title="Put the folder on PATH", steps=(put,), verify=verify))
    through = _YOLO if package == "ultralytics" else _LOOK.get(command)
    if through:
        start = commands.by_hand(
            (*python, *through),
            f"does the same as {command}, and needs no PATH: add the arguments of {command} at the end",
            "nothing",
            "none",
        )
        made.append(Fix(title=f"Start {command} through Python", steps=(start,), verify=verify))
    if folder is not None and facts.system.os == "windows":
        words = f"Windows, Settings, 'Edit environment variables for your account': add {folder} to Path, and open a new prompt"
        made.append(
            Fix(
                title="Put the folder on PATH",
                steps=(commands.by_hand((), words, "PATH of your account"),),
                verify=verify,
            )
        )
    return tuple(made)
