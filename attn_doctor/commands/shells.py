"""Shows a command as one line of a shell, so that it can be pasted. Pure."""

from __future__ import annotations

import re
import shlex

from attn_doctor.model.facts import Facts
from attn_doctor.model.steps import SetVariable, Step

_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
# Splatting, an alias, a list; and an unquoted -a.b or -a:b reaches a program as two words,
# https://github.com/PowerShell/PowerShell/issues/6291
_POWERSHELL_ODD = re.compile(r"^[@%]|,|^-.*[.:]")


def shown(step: Step, shell: str = "bash") -> str | None:
    """Return a step as one line for the given shell; None for a step without a command."""
    if isinstance(step, SetVariable):
        return _assignment(step.name, step.value, shell)
    return quoted(step.argv, shell) if step.argv else None


def quoted(argv: tuple[str, ...], shell: str = "bash") -> str:
    """Return an argv as a line of this shell: "bash" (any POSIX shell), "fish", "powershell" or "cmd"."""
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


def _assignment(name: str, value: str | None, shell: str) -> str:
    if shell == "powershell":
        return f"Remove-Item Env:{name}" if value is None else f"$Env:{name} = {_powershell(value)}"
    if shell == "cmd":
        return f"set {name}=" if value is None else f'set "{name}={value}"'
    if shell == "fish":
        return f"set -e {name}" if value is None else f"set -gx {name} {quoted((value,), 'fish')}"
    return f"unset {name}" if value is None else f"export {name}={shlex.quote(value)}"


def shell_of(facts: Facts) -> str:
    """Return the kind of shell to print commands for."""
    name = facts.system.shell if isinstance(facts.system.shell, str) else ""
    if name in ("fish", "powershell", "cmd"):
        return name
    if name.startswith("pwsh"):
        return "powershell"
    return "powershell" if facts.system.os == "windows" and not name else "bash"
