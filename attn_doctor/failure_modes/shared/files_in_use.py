"""Read the words in which Windows refuses pip a file: another program uses it, or Python is that of Microsoft's Store. Pure.

pip renames a package to "~orch" before it removes it; a library that a program has loaded cannot be removed on Windows:
https://learn.microsoft.com/windows/win32/debug/system-error-codes--0-499- (5, 32), https://github.com/pypa/pip/issues/6892
"""

from __future__ import annotations

from typing import Literal

from attn_doctor import commands
from attn_doctor.commands import new_pythons
from attn_doctor.failure_modes.mode import Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix

SIGNS = (
    Sign(
        pattern=r"\[WinError (?:5|32)\].{0,80}?'[^']{0,300}\\~(?P<half>\w{1,40})\\",
        literal="[WinError ",
        sample="ERROR: Could not install packages due to an OSError: [WinError 5] Access is denied: 'C:\\\\v\\\\Lib\\\\site-packages\\\\~orch\\\\lib\\\\asmjit.dll'",
    ),
    Sign(
        pattern=r"\[WinError (?:5|32)\].{0,80}?'[^']{0,300}\.(?P<library>dll|pyd|exe)'",
        literal="[WinError ",
        sample="PermissionError: [WinError 5] Access is denied: 'C:\\\\v\\\\Lib\\\\site-packages\\\\cv2\\\\cv2.pyd'",
    ),
    Sign(
        pattern=r"\[WinError (?P<used>32)\]",
        literal="[WinError 32]",
        sample="OSError: [WinError 32] The process cannot access the file because it is being used by another process: 'C:\\\\Temp\\\\pip-unpack-1\\\\torch.whl'",
    ),
    Sign(
        pattern=r"\[WinError 5\].{0,80}?'[^']{0,200}(?P<store>WindowsApps|PythonSoftwareFoundation\.Python)",
        literal="[WinError 5]",
        sample="OSError: [WinError 5] Access is denied: 'C:\\\\Program Files\\\\WindowsApps\\\\PythonSoftwareFoundation.Python.3.12_3.12\\\\Lib\\\\site-packages\\\\x'",
    ),
)


class InUse(Variant, frozen=True, kw_only=True):
    """Hold why Windows refused: "program", another program has the file open; "store", the folder belongs to the Store's Python."""

    why: Literal["program", "store"]


def told(seen: Seen) -> Hit | None:
    """Return the hit for a file that another program uses, or that belongs to the Store's Python; None for other logs."""
    lines = building.lines([m for m in seen.matches if "WinError" in m.text])
    if seen.group("store") is not None:
        message = "This Python is from Microsoft's Store: its own folder (WindowsApps) cannot be written, and packages that install others by themselves fail there."
        return Hit(message=message, evidence=lines, variant=InUse(why="store"))
    half, library, used = seen.group("half"), seen.group("library"), seen.group("used")
    if half is None and library is None and used is None:
        return None
    message = "Windows did not let pip replace a file, because a program uses it: another Python, a notebook, an editor, the program itself, or a virus scanner."
    return Hit(message=message, evidence=lines, variant=InUse(why="program"))


def fixes(facts: Facts, found: InUse) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    if found.why == "store":
        python = facts.interpreter.version
        label = ".".join(python.split(".")[:2]) if isinstance(python, str) else "3.12"
        steps = new_pythons.another(facts, label, "the Python of python.org, in an environment of its own")
        return (Fix(title="Use the Python of python.org, in a virtual environment", steps=steps, verify=verify),)
    close = commands.by_hand(
        (),
        "close every program that uses this environment (notebooks, editors, the program itself; Task Manager shows those that are named python.exe), or restart Windows; then repeat your "
        "command, before you start any of them",
        "nothing",
        "none",
    )
    left = commands.by_hand(
        (),
        "delete the folders in site-packages whose name begins with ~ : they are the halves of packages that pip could not remove",
        "left-over folders",
        "low",
    )
    return (Fix(title="Close the programs that use the environment, and install again", steps=(close, left), verify=verify),)  # fmt: skip
