"""Build the cures that install a damaged torch again, or another torch in its place."""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.shared import torch_here, torch_install, torch_steps
from attn_doctor.knowledge import pytorch
from attn_doctor.knowledge.torch_choice import Choice
from attn_doctor.knowledge.wheel_key import key_of
from attn_doctor.knowledge.yes_no_unknown import Answer
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import pair


def which(facts: Facts) -> Step:
    """Return the step that prints the path of the file that Python imports as torch. The step explains how to read that path."""
    argv = (*commands.starting(facts), "-c", "import torch; print(torch.__path__)")
    words = (
        "prints the folder that Python imports as torch. If it is a folder or file of your own, rename it; else delete it: pip did not remove it, "
        "or cannot write there"
    )
    return commands.by_hand(argv, words, "nothing", "none")


def without_own_file(facts: Facts) -> tuple[Fix, ...]:
    """Return the fix that renames a file or folder of the user called torch, which Python finds before the real torch; empty if there is none."""
    here = facts.interpreter.shadowed_here
    own = [name for name in here if name.split(".")[0].rstrip("/") == "torch"] if isinstance(here, tuple) else []
    if not own:
        return ()
    step = commands.by_hand(
        (),
        "rename it: Python finds it before the real torch if you start a program in this folder",
        "a file of yours",
    )
    return (Fix(title=f"Rename your own {own[0]}", steps=(step,), verify=commands.check(facts)),)


def afresh(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes that install the same torch again.

    If its build is not for this machine: the torch for this machine.
    """
    verify = commands.check(facts)
    again, everything = torch_here.again(facts), torch_here.again(facts, everything=True)
    if not again:
        return torch_steps.newest(facts, "Install torch afresh, in the build for this machine", reinstall=True)
    return (
        *torch_steps.fresh_runtime(facts),
        Fix(title="Install torch afresh", steps=again, verify=verify),
        Fix(title="Install torch and all that it needs afresh", steps=everything, verify=verify),
    )


def or_for_this_python(facts: Facts, whole: tuple[Fix, ...]) -> tuple[Fix, ...]:
    """Return `whole`, the fixes that install the same torch again, and the newest torch with wheels for this Python.

    The second alone, if the tables say that the installed torch has no wheels for this Python.
    """
    instead = _for_this_python(facts)
    if instead is None:
        return whole
    fixes, never = instead
    if never:
        return fixes
    titles = {fix.title for fix in whole}  # on a hosted notebook both lists contain the same first fix
    return (*whole, *(fix for fix in fixes if fix.title not in titles))


def _for_this_python(facts: Facts) -> tuple[tuple[Fix, ...], bool] | None:
    """Return (fixes, True if the tables say that the installed torch has no wheels for this Python).

    The fixes install the newest torch with wheels for this Python. None: the installed one is that torch, or its version, the Python or
    such a torch is not known, or the installed build is not for this machine.
    """
    python = key_of(facts).python
    found = torch_install.choice(facts)
    if not isinstance(python, str) or not isinstance(found, Choice) or found.torch is None:
        return None
    have = facts.torch.version if isinstance(facts.torch.version, str) else None
    if have is None or pair(have) == pair(found.torch) or not torch_here.suits(facts):
        return None
    served = pytorch.supports_python(have, python) if have else None
    never = isinstance(served, Answer) and not served.yes
    made = torch_steps.newest(
        facts,
        "Install a torch that is built for this Python",
        why=f"the newest torch that has wheels for Python {python}",
    )
    return made, never
