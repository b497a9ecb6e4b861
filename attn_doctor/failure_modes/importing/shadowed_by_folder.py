"""A file or a folder of yours has the name of a module that a program imports.

What it is
    `python train.py` puts the folder of train.py before everything that is installed. A file torch.py, yaml.py or queue.py there is
    imported instead of the real module.

How it shows
    "AttributeError: module 'torch' has no attribute ...", "ImportError: cannot import name 'X' from 'yaml' (/home/you/project/yaml.py)",
    "partially initialized module": only for programs that are started in that folder. The same import works elsewhere. A folder
    without `__init__.py` says "cannot import name 'LLM' from 'vllm' (unknown location)"; Python 3.13 adds "consider renaming
    '/home/you/project/numpy.py' if it has the same name as a library you intended to import".

Why it happens
    A script has the name of the package that it uses (`torch.py`, `ultralytics.py`), or the name of a module of the standard
    library (`queue.py`, `types.py`). Or a folder has it: a clone of vllm's repository is a folder `vllm` beside your script, and without
    `__init__.py` in it Python imports an empty package of that name. A folder that a removal left in site-packages does the same.

What to do
    Rename the file, and remove the folder __pycache__ beside it. A clone of ultralytics in that folder hides the installed
    ultralytics in the same way: install the clone (`pip install -e .` inside it) or start your program from another folder.

How to reproduce
    `attn-doctor reproduce shadowed-by-folder` imports torch where a file of yours has that name. It downloads nothing.

References
    https://docs.python.org/3/library/sys_path_init.html
    https://packaging.python.org/en/latest/guides/packaging-namespace-packages/
    https://docs.python.org/3/whatsnew/3.13.html#improved-error-messages
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.recipe import File, Recipe
from attn_doctor.knowledge.modules import NEEDED_TO_TRAIN, module_of
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Goal, Severity, fact

_OTHERS = r"(?:torch|flash_attn|google|nvidia|azure|zope|backports|mpl_toolkits|ruamel|opentelemetry|sphinxcontrib|jaraco|hydra_plugins)'"

MODE = FailureMode(
    code="AD318",
    slug="shadowed-by-folder",
    title="A file in the current folder hides a module",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    signs=(
        # A folder without __init__.py. torch and flash_attn have failure modes of their own for it; packages that are made of several
        # distributions (google, nvidia) are such folders also when nothing is wrong: there another distribution is missing.
        Sign(
            pattern=rf"cannot import name '(?P<name>\w+)' from '(?P<namespace>(?!{_OTHERS})[A-Za-z_]\w*)' \(unknown location\)",
            literal="(unknown location)",
            sample="ImportError: cannot import name 'LLM' from 'vllm' (unknown location)",
        ),
        Sign(
            pattern=r"\(consider renaming '(?P<file>[^']{1,300}\.py)' if it has the same name as a (?:library|third-party module) you intended",
            literal="if it has the same name as a ",
            sample="AttributeError: module 'numpy' has no attribute 'array' (consider renaming '/home/user/numpy.py' if it has the same name as a "
            "library you intended to import)",
        ),
    ),
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


class Namespace(Variant, frozen=True, kw_only=True):
    """Name the module that Python found as a folder without code."""

    module: str


class Named(Variant, frozen=True, kw_only=True):
    """Name the file of the user that Python itself says has the name of a library."""

    file: str


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    file = seen.group("file")
    if file:
        module = file.replace("\\", "/").rpartition("/")[2].removesuffix(".py")
        return Hit(
            message=f"Python imported {file} in the place of the installed {module}.",
            evidence=evidence,
            variant=Named(file=file),
        )
    named = seen.group("namespace")
    if named is None:
        return None
    return Hit(
        message=f"Python took a folder {named} without an __init__.py for the package {named}: {seen.group('name')} is not in it.",
        evidence=evidence,
        confidence=Confidence.MEDIUM,
        variant=Namespace(module=named),
    )


def _of_namespace(facts: Facts, module: str) -> tuple[Fix, ...]:
    asks = commands.by_hand(
        (*commands.starting(facts), "-c", f"import {module}; print(list({module}.__path__))"),
        f"run it in the folder of the program that failed: it prints the folder that Python takes for {module}",
        "nothing",
        "none",
    )
    away = commands.by_hand(
        (),
        f"where that is a folder of yours, such as a clone: rename it, or start the program from another folder. The folder of the script counts "
        f"too, so move the script out of the folder that holds {module}",
        "a folder of yours",
    )
    rest = commands.by_hand(
        (),
        f"where it is in site-packages, it was left by a removal: remove that folder, and install {module} again as it was installed before",
        module,
    )
    title = f"See which folder hides {module}, and leave it"
    return (Fix(title=title, steps=(asks, away, rest), verify=(*commands.starting(facts), "-c", f"import {module}")),)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, Namespace):
        return _of_namespace(facts, hit.variant.module)
    hidden = [hit.variant.file] if isinstance(hit.variant, Named) else _hidden(facts)[:6]
    names = ", ".join(hidden)
    step = commands.by_hand(
        (),
        f"rename {names}: it hides the installed module from every program that is started here",
        "a file of yours",
    )
    return (Fix(title=f"Rename {names}", steps=(step,), verify=commands.check(facts)),)
