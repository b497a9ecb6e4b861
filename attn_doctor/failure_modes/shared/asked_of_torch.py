"""Make the line that asks the installed torch for its release when it runs, and then installs a package for it. Pure.

The line is one Python program: bash, cmd, PowerShell and a cell of a notebook keep an answer in different ways, and all of them start Python.
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.commands.installers import chosen, own
from attn_doctor.commands.target_python import of_system
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.steps import Step

# The program stands in double quotes: " $ % ` would need an escape in some shell.
_BY_PIP = "sys.executable, {}'-m', 'pip', 'install'"
_BY_UV = "'uv', 'pip', 'install', '--python', sys.executable"


def able(facts: Facts) -> bool:
    """Return whether the line that asks torch can be used in this environment.

    Four conditions: the tool is pip, uv or conda; the project has no known lock file; the machine is no Jetson; the Python does not
    belong to the operating system (PEP 668). Example: False for Ubuntu's own Python.
    """
    locks = facts.project.locks
    own_files = not isinstance(locks, Unknown) and bool(locks)
    named = chosen(facts)[0] in ("pip", "uv", "conda", "mamba", "micromamba")
    return named and not own_files and not places.jetson(facts) and not of_system(facts)


def install(
    facts: Facts, asked: str, words: str, *, why: str, changes: str, imports: str = "torch", takes: str | None = None
) -> Step:
    """Return the step that asks torch for its release when it runs, and then installs a package for it.

    `asked`: statements that read torch ("v = torch.__version__"). `words`: the rest of the command, as items of a list.

    `imports`: another module than torch, if torch itself is replaced: Windows does not replace a DLL that a program has loaded.
    """
    starting = commands.starting(facts)
    # The portable Python is started with -s, which leaves out the packages in the user's home folder. pip is started in the same way.
    without_user_packages = "'-s', " if "-s" in starting else ""
    argv = _BY_UV if own(facts) == "uv" else _BY_PIP.format(without_user_packages)
    program = f"import subprocess, sys, {imports}; {asked}; subprocess.check_call([{argv}, {words}])"
    return commands.by_hand((*starting, "-c", program), why, changes, "low", takes=takes)
