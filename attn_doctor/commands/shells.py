"""Write a command as one line for the place into which it is typed: a shell, a cell of a notebook, a Dockerfile. Pure."""

from __future__ import annotations

import re
import shlex

from attn_doctor.commands import places
from attn_doctor.model.facts import Facts
from attn_doctor.model.steps import SetVariable, Step

_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
_PLAIN_ON_WINDOWS = re.compile(r"[A-Za-z0-9_@%+=:,./\\-]+")
_NO_SIGNS = re.compile(r"[ !#&-_a-~]+")  # ASCII without " $ % `, which PowerShell or cmd reads inside of double quotes
# PowerShell reads @x as splatting, % as an alias, a comma as a list. An unquoted -a.b or -a:b (not -3.11) reaches a program as two words,
# https://github.com/PowerShell/PowerShell/issues/6291
_POWERSHELL_ODD = re.compile(r"^[@%]|,|^-(?!\d).*[.:]")
# https://learn.microsoft.com/windows-server/administration/windows-commands/cmd, "Remarks"
_CMD_ODD = re.compile(r"[&<>()@^|\[\]]")
# Characters that sh, cmd and PowerShell leave as they are in double quotes. Not among them: " $ % ` \, and !, which bash expands.
_IN_DOUBLE_QUOTES = re.compile(r"[ #&-\[\]-_a-~]+")
_SCRIPT = 3  # `sh -c SCRIPT` has three words
# Programs that run on the host: they are not written into a Dockerfile.
_OF_THE_HOST = ("attn-doctor", "docker", "podman", "wsl.exe", "nvidia-smi", "FROM")


def shown(step: Step, shell: str = "bash") -> str | None:
    """Return a step as one line for the given shell; None for a step without a command.

    `shell`: a shell of `quoted`, "notebook" (a cell of Jupyter, Colab or Kaggle) or "dockerfile". If the step names a
    file for the output, the line ends with `> FILE 2>&1`, which all of these accept.
    """
    line = _line(step, shell)
    return line if line is None or step.into is None else f"{line} > {quoted((step.into,), shell)} 2>&1"


def in_powershell(step: Step, shell: str) -> str | None:
    """Return in words how a line made for "windows" must be changed in PowerShell.

    None if cmd and PowerShell run the same line, if the step has no command, and for any other `shell`.
    """
    line = shown(step, shell)
    other = shown(step, "powershell") if shell == "windows" else line
    if line is None or other is None or line == other:
        return None
    if isinstance(step, SetVariable):
        other = other.replace(" = ", "=", 1)  # without spaces, so that no line break splits it
    return "in PowerShell write & and a space before it" if other == f"& {line}" else f"in PowerShell: {other}"


def _line(step: Step, shell: str) -> str | None:
    if isinstance(step, SetVariable):
        return _assignment(step.name, step.value, shell)
    if not step.argv:
        return None
    script = step.argv[:2] == ("sh", "-c") and len(step.argv) == _SCRIPT
    if script and (kept := _exported(step.argv[2], shell)) is not None:
        return kept
    if script and shell not in ("powershell", "cmd", "windows"):
        # A pipe, or two commands of which the second needs the first: a POSIX shell reads the words as they are.
        return {"notebook": "!", "dockerfile": "RUN "}.get(shell, "") + step.argv[2]
    typed = starts_container(step.argv)
    if shell == "notebook":
        # %pip is the pip of the notebook's own Python; `python` on PATH may be another one.
        # https://ipython.readthedocs.io/en/stable/interactive/magics.html#magic-pip
        own = step.argv[1:3] == ("-m", "pip") and step.argv[0] in ("python", "python3")
        return f"%{quoted(step.argv[2:])}" if own else f"!{quoted(step.argv, typed=typed)}"
    if shell == "dockerfile" and step.argv[0] not in _OF_THE_HOST:
        return f"RUN {quoted(step.argv)}"
    return quoted(step.argv, shell, typed=typed)


_EXPORT = re.compile(r"export (?P<name>[A-Z][A-Z0-9_]*)=(?P<quote>\"?)(?P<value>[^\s\";&|]+|\$\([^()]+\))(?P=quote)")


def _exported(script: str, shell: str) -> str | None:
    """Return the line for a notebook or a Dockerfile that does what `export NAME=VALUE` does in a shell; None for other scripts and shells.

    There each line starts a shell of its own, so that what it exports is gone after it.
    """
    found = _EXPORT.fullmatch(script) if shell in ("notebook", "dockerfile") else None
    if found is None or "${" in found["value"]:
        return None
    name, value = found["name"], found["value"]
    if shell == "dockerfile":
        return None if value.startswith("$(") else f'ENV {name}="{value.replace("$HOME", "/root")}"'
    if value.startswith("$("):
        return f'import os, subprocess; os.environ["{name}"] = subprocess.getoutput({value[2:-1]!r})'
    return f'import os; os.environ["{name}"] = os.path.expandvars("{value}")'


def starts_container(argv: tuple[str, ...]) -> bool:
    """Return whether this is a `docker run` or `podman run`: its words are those of the line that the user typed."""
    bare = argv[1:] if argv[:1] == ("sudo",) else argv
    return bare[:2] in (("docker", "run"), ("podman", "run"))


def quoted(argv: tuple[str, ...], shell: str = "bash", *, typed: bool = False) -> str:
    """Return an argv as a line of this shell: "bash" (any POSIX shell), "fish", "powershell", "cmd" or "windows" (cmd or PowerShell).

    Words are put in double quotes if double quotes are enough: such a line runs in all shells but fish. `typed`: the words are from a
    line that the user typed, so $(pwd), $HOME and the like in them stay for the shell. In all other words they are ordinary characters.
    """
    if shell == "windows":
        # Lines for PowerShell that begin with no quotation mark run in cmd too, where all quotes are double.
        line = quoted(argv, "powershell", typed=typed)
        return line if not line.startswith("& ") and "'" not in line else quoted(argv, "cmd")
    if shell == "powershell":
        words = [_for_powershell(a, typed=typed) for a in argv]
        return ("& " if words and words[0][:1] in ("'", '"') else "") + " ".join(words)
    if shell == "cmd":
        return " ".join(map(_cmd, argv))
    if shell == "fish":
        # fish keeps backslashes inside single quotes only before ' and \, so both are escaped.
        return " ".join(
            a if _PLAIN.fullmatch(a) else "'" + a.replace("\\", "\\\\").replace("'", "\\'") + "'" for a in argv
        )
    return " ".join(_posix(a, typed=typed) for a in argv)


# What a person's own line leaves to the shell, such as the folders in `docker run -v $(pwd):/work`: these and no others are expanded.
_EXPANDED = re.compile(r"\$\(pwd\)|\$\{?(?:PWD|HOME|USER)\b\}?|\$\(id -[ug]\)")


def _posix(word: str, *, typed: bool) -> str:
    plain = shlex.quote(word)
    rest = _EXPANDED.sub("", word)
    if typed and rest != word and (not rest or _IN_DOUBLE_QUOTES.fullmatch(rest)):
        return f'"{word}"'
    return plain if plain == word or not _IN_DOUBLE_QUOTES.fullmatch(word) else f'"{word}"'


def _cmd(word: str) -> str:
    """Return a word for cmd. Outside of quotes cmd redirects at < and >, and joins commands at & and |."""
    import subprocess

    plain = subprocess.list2cmdline((word,))
    if plain == word and _CMD_ODD.search(word):
        ends = len(word) - len(word.rstrip("\\"))
        return '"' + word + "\\" * ends + '"'
    return plain


def _for_powershell(word: str, *, typed: bool) -> str:
    """Return a word for PowerShell.

    It is in double quotes if nothing in it needs an escape, because cmd can run such a line too.
    """
    if _PLAIN_ON_WINDOWS.fullmatch(word) and not _POWERSHELL_ODD.search(word):
        return word
    rest = re.sub(r"\$\{?(?:PWD|HOME)\b\}?", "", word) if typed else word
    if rest != word and (not rest or _NO_SIGNS.fullmatch(rest)):
        return f'"{word}"'
    return f'"{word}"' if _NO_SIGNS.fullmatch(word) and not word.endswith("\\") else _powershell(word)


def _powershell(word: str) -> str:
    # Four more characters than ' end such a word: CharExtensions.IsSingleQuote of PowerShell's tokenizer.
    return "'" + re.sub("['‘’‚‛]", r"\g<0>\g<0>", word) + "'"


def _assignment(name: str, value: str | None, shell: str) -> str:
    if shell == "powershell":
        return f"Remove-Item Env:{name}" if value is None else f"$Env:{name} = {_powershell(value)}"
    if shell in ("cmd", "windows"):
        return f"set {name}=" if value is None else f'set "{name}={value}"'
    if shell == "fish":
        return f"set -e {name}" if value is None else f"set -gx {name} {quoted((value,), 'fish')}"
    if shell == "notebook":
        # %env reads the rest of the line as it is, and cannot unset: https://ipython.readthedocs.io/en/stable/interactive/magics.html
        return f'import os; os.environ.pop("{name}", None)' if value is None else f"%env {name}={value}"
    if shell == "dockerfile":
        # A variable of the base image can be emptied, not removed: https://docs.docker.com/reference/dockerfile/#env
        return f'ENV {name}="{(value or "").replace(chr(92), chr(92) * 2).replace(chr(34), chr(92) + chr(34))}"'
    return f"unset {name}" if value is None else f"export {name}={shlex.quote(value)}"


def shell_of(facts: Facts) -> str:
    """Return the kind of shell to print commands for: "bash", "fish", "powershell", "cmd", "windows", and two others.

    "windows" means: cmd or PowerShell, it is not known which. "bash" stands for any other shell, and for one that is
    not known. The two others: "notebook" (a cell of Jupyter, Colab or Kaggle) and "dockerfile".
    """
    if places.container(facts) == places.BUILD:
        return "dockerfile"
    if places.hosted(facts) in ("colab", "kaggle"):
        return "notebook"
    name = facts.system.shell if isinstance(facts.system.shell, str) else ""
    if name in ("fish", "powershell", "cmd", "notebook", "dockerfile"):
        return name
    if name.startswith("pwsh"):
        return "powershell"
    return "windows" if facts.system.os == "windows" and not name else "bash"


def kept(name: str, value: str, shell: str) -> str | None:
    """Return the line that sets a variable for all new prompts of this user; None if the shell has a start file for that (.bashrc).

    `setx` runs in cmd and in PowerShell: https://learn.microsoft.com/windows-server/administration/windows-commands/setx
    """
    if shell == "powershell":
        return f"[Environment]::SetEnvironmentVariable('{name}', {_powershell(value)}, 'User')"
    return f'setx {name} "{value}"' if shell in ("cmd", "windows") else None
