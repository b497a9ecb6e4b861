"""Commands as data: argv for the installer of the target, and how an argv is shown so that it can be pasted. Pure."""

from __future__ import annotations

import re
import shlex

from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Fix, Step

_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
# Splatting, an alias, a list; and an unquoted -a.b or -a:b reaches a program as two words,
# https://github.com/PowerShell/PowerShell/issues/6291
_POWERSHELL_ODD = re.compile(r"^[@%]|,|^-.*[.:]")


def python(facts: Facts) -> str:
    """The target's own interpreter."""
    return facts.interpreter.python if isinstance(facts.interpreter.python, str) else "python"


def installer(facts: Facts) -> tuple[str, ...]:
    """The argv prefix that installs into this very target: its own pip, or uv where the target has no pip."""
    tools = facts.interpreter.installers
    names = () if isinstance(tools, Unknown) else tuple(t.split()[0] for t in tools)
    if "pip" not in names and ("uv" in names or facts.interpreter.kind == "uv"):
        return ("uv", "pip", "install", "--python", python(facts))
    return (python(facts), "-m", "pip", "install")


def install(
    facts: Facts,
    *requirements: str,
    why: str,
    changes: str,
    risk: str = "low",
    options: tuple[str, ...] = (),
    takes: str | None = None,
) -> Step:
    """A step that installs requirements with the target's installer."""
    return Step(argv=(*installer(facts), *options, *requirements), why=why, changes=changes, risk=risk, takes=takes)


def reinstall(
    facts: Facts,
    *requirements: str,
    why: str,
    changes: str,
    risk: str = "low",
    options: tuple[str, ...] = (),
    takes: str | None = None,
) -> tuple[Step, Step]:
    """Whole copies of these, and then what they need and is not there. Nothing else is put in again."""
    again = install(
        facts,
        *requirements,
        *options,
        why=why,
        changes=changes,
        risk=risk,
        options=("--force-reinstall", "--no-deps"),
        takes=takes,
    )
    needs = install(facts, *requirements, *options, why="what these need and is not there", changes="what is missing")
    return again, needs


def uninstall(facts: Facts, *names: str, why: str) -> Step:
    prefix = installer(facts)
    if prefix[0] == "uv":
        argv: tuple[str, ...] = ("uv", "pip", "uninstall", "--python", python(facts), *names)
    else:
        argv = (*prefix[:-1], "uninstall", "-y", *names)
    return Step(argv=argv, why=why, changes=f"removes {', '.join(names)}", risk="low")


def prepared(facts: Facts, fix: Fix) -> Fix:
    """The fix with pip put in first, where it needs the target's pip and there is none."""
    tools = facts.interpreter.installers
    pip = (python(facts), "-m", "pip")
    if (
        isinstance(tools, Unknown)
        or any(t.split()[0] == "pip" for t in tools)
        or not any(s.argv[:3] == pip for s in fix.steps)
    ):
        return fix
    first = Step(
        argv=(python(facts), "-m", "ensurepip", "--upgrade"),
        why="this environment has no pip",
        changes="adds pip",
        risk="low",
    )
    return Fix(title=fix.title, steps=(first, *fix.steps), verify=fix.verify)


def by_hand(argv: tuple[str, ...], why: str, changes: str, risk: str = "low", takes: str | None = None) -> Step:
    """A step outside the environment, which only the user can take: a driver, a system package, another machine."""
    return Step(argv=argv, why=why, changes=changes, risk=risk, kind="system", takes=takes)


def variable(name: str, value: str | None, why: str) -> Step:
    """A variable to set (or, for None, to unset) in the user's own shell."""
    argv = (name,) if value is None else (name, value)
    changes = "this shell's environment only"
    return Step(argv=argv, why=why, changes=changes, risk="none", kind="environment")


def check(facts: Facts, *options: str) -> tuple[str, ...]:
    """The argv by which a fix is verified: for the GPU that was stated, if one was."""
    gpus = facts.graphics.gpus
    stated = gpus[0].compute_capability if facts.graphics.stated is True and isinstance(gpus, tuple) and gpus else None
    gpu = ("--gpu", stated) if isinstance(stated, str) else ()
    return ("attn-doctor", "check", "--target", python(facts), *gpu, *(options or ("--no-trial",)))


def shown(step: Step, shell: str = "bash") -> str | None:
    """A step as one line for the given shell; None for a step that has no command."""
    if step.kind == "environment":
        return _assignment(step.argv, shell)
    return quoted(step.argv, shell) if step.argv else None


def quoted(argv: tuple[str, ...], shell: str = "bash") -> str:
    """An argv as a line of this shell: "bash" (any POSIX shell), "fish", "powershell" or "cmd"."""
    if shell == "powershell":
        words = [a if _PLAIN.fullmatch(a) and not _POWERSHELL_ODD.search(a) else _powershell(a) for a in argv]
        return ("& " if words and words[0].startswith("'") else "") + " ".join(words)
    if shell == "cmd":
        import subprocess

        return subprocess.list2cmdline(argv)
    if shell == "fish":
        # fish keeps backslashes inside single quotes only before ' and \, so both are escaped.
        return " ".join(
            a if _PLAIN.fullmatch(a) else "'" + a.replace("\\", "\\\\").replace("'", "\\'") + "'" for a in argv
        )
    return shlex.join(argv)


def _powershell(word: str) -> str:
    return "'" + word.replace("'", "''") + "'"


def _assignment(argv: tuple[str, ...], shell: str) -> str:
    name, value = argv[0], argv[1] if len(argv) > 1 else None
    if shell == "powershell":
        return f"Remove-Item Env:{name}" if value is None else f"$Env:{name} = {_powershell(value)}"
    if shell == "cmd":
        return f"set {name}=" if value is None else f'set "{name}={value}"'
    if shell == "fish":
        return f"set -e {name}" if value is None else f"set -gx {name} {quoted((value,), 'fish')}"
    return f"unset {name}" if value is None else f"export {name}={shlex.quote(value)}"


def shell_of(facts: Facts) -> str:
    """The kind of shell to print commands for."""
    name = facts.system.shell if isinstance(facts.system.shell, str) else ""
    if name in ("fish", "powershell", "cmd"):
        return name
    if name.startswith("pwsh"):
        return "powershell"
    return "powershell" if facts.system.os == "windows" and not name else "bash"
