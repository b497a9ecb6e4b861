"""A file of yours in the current folder has the name of a module that training imports.

What it is
    `python train.py` puts the folder of train.py before everything that is installed. A file torch.py, yaml.py or queue.py there is
    imported instead of the real module.

How it shows
    "AttributeError: module 'torch' has no attribute ...", "ImportError: cannot import name 'X' from 'yaml' (/home/you/project/yaml.py)",
    "partially initialized module": only for programs that are started in that folder. The same import works elsewhere.

Why it happens
    A script has the name of the package that it uses (`torch.py`, `ultralytics.py`), or the name of a module of the standard
    library (`queue.py`, `types.py`).

What to do
    Rename the file, and remove the folder __pycache__ beside it. A clone of ultralytics in that folder hides the installed
    ultralytics in the same way: install the clone (`pip install -e .` inside it) or start your program from another folder.

How to reproduce
    `attn-doctor reproduce shadowed-by-folder` imports torch where a file of yours has that name. It downloads nothing.

References
    https://docs.python.org/3/library/sys_path_init.html
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit
from attn_doctor.failure_modes.recipe import File, Recipe
from attn_doctor.knowledge.modules import NEEDED_TO_TRAIN, module_of
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix, Goal, Severity, fact

MODE = FailureMode(
    code="AD318",
    slug="shadowed-by-folder",
    title="A file in the current folder hides a module",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    recipe=Recipe(
        does="imports torch where a file of yours has that name",
        of=(File(path="{folder}/torch.py", text="print('mine')\n"),),
        run=(("{python}", "-c", "import torch; torch.nn"),),
        shows="module 'torch' has no attribute 'nn'",
        examine=("--static",),
        goal=Goal.TRAIN,
        seconds=2,
    ),
)

_TORCH_AND_YOLO = frozenset({module_of(name) for name in NEEDED_TO_TRAIN} | {"ultralytics"})


def detect(facts: Facts) -> Hit | None:
    """Compare the names in the folder with the modules that torch and ultralytics load, and with those that every training needs."""
    hidden = _hidden(facts)
    if not hidden:
        return None
    files = [name for name in hidden if not name.endswith("/")]
    names = ", ".join(hidden[:6])
    modules = ", ".join(dict.fromkeys(module_name(name) for name in hidden[:6]))
    return Hit(
        message=f"{names} in the current folder: a program that is started here imports "
        f"{'it' if len(hidden) == 1 else 'them'} instead of the installed {modules}.",
        evidence=(fact(facts, "interpreter.shadowed_here", f"in the current folder: {names}"),),
        # A folder with code is mostly a clone of the package. Then the clone runs instead of the package that was
        # examined, and may work.
        severity=None if files else Severity.WARNING,
    )


def _hidden(facts: Facts) -> list[str]:
    here, loaded = facts.interpreter.shadowed_here, facts.interpreter.shadows_loaded
    seen = loaded if isinstance(loaded, tuple) else ()
    entries = here if isinstance(here, tuple) else ()
    return [name for name in entries if name in seen or module_name(name) in _TORCH_AND_YOLO]


def module_name(entry: str) -> str:
    """Return the module that an entry of the folder stands in for: "queue" for "queue.py", "torch" for "torch/"."""
    return entry.rstrip("/").partition(".")[0]


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    names = ", ".join(_hidden(facts)[:6])
    step = commands.by_hand(
        (),
        f"rename {names}: it hides the installed module from every program that is started here",
        "a file of yours",
    )
    return (Fix(title=f"Rename {names}", steps=(step,), verify=commands.check(facts)),)
