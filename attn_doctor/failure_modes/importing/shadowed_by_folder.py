"""A file or folder of yours has the same name as a module that a program imports.

What it is
    `python train.py` searches the folder of train.py before the installed packages. If this folder contains a file torch.py, yaml.py or
    queue.py, Python imports your file instead of the real module.

How it shows
    "AttributeError: module 'torch' has no attribute ...", "module 'random' has no attribute 'randint'", "ImportError: cannot import name 'X' from 'yaml' (/home/you/project/yaml.py)",
    "partially initialized module". Only programs that are started in that folder fail; in another folder the same import works. If a
    folder without `__init__.py` is the cause: "cannot import name 'LLM' from 'vllm' (unknown location)". Python 3.13 adds "consider
    renaming '/home/you/project/numpy.py' if it has the same name as a library you intended to import".

Why it happens
    A script has the name of the package that it uses (`torch.py`, `ultralytics.py`), or the name of a module of the standard
    library (`queue.py`, `types.py`). Or a folder has such a name: a clone of vllm's repository is a folder `vllm` beside your script.
    This folder has no `__init__.py`, so Python imports an empty package of that name. The same happens with a folder that stayed in
    site-packages when a package was removed.

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

import re

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.recipe import File, Recipe
from attn_doctor.failure_modes.shared import always_there
from attn_doctor.knowledge.modules import NEEDED_TO_TRAIN, module_of
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Goal, Severity, fact
from attn_doctor.model.steps import Step

# Modules of the standard library whose names users often give to files of their own.
_STDLIB = (
    "abc|calendar|code|collections|copy|email|enum|inspect|io|json|logging|math|numbers|operator|parser|platform|profile|queue|"
    "random|secrets|select|signal|socket|statistics|string|struct|time|token|tokenize|types|warnings"
)
# Names that these modules have had in every Python since 3.7: if such a name is missing, Python imported another module.
_ALWAYS = (
    r"abc' has no attribute 'ABC|code' has no attribute 'InteractiveConsole|collections' has no attribute '(?:OrderedDict|"
    r"namedtuple|defaultdict|deque)|copy' has no attribute '(?:copy|deepcopy)|email' has no attribute 'message_from_string|"
    r"enum' has no attribute '(?:Enum|IntEnum)|inspect' has no attribute '(?:signature|isclass|getmembers)|io' has no attribute "
    r"'(?:BytesIO|StringIO)|json' has no attribute '(?:loads?|dumps?)|logging' has no attribute '(?:getLogger|Logger|handlers)|"
    r"math' has no attribute '(?:sqrt|pi|floor)|numbers' has no attribute '(?:Number|Integral)|operator' has no attribute "
    r"'(?:itemgetter|attrgetter)|platform' has no attribute '(?:system|machine|python_version)|queue' has no attribute 'Queue|"
    r"random' has no attribute '(?:Random|random|seed|randint|choice|shuffle)|select' has no attribute 'select|signal' has no "
    r"attribute 'signal|socket' has no attribute 'socket|statistics' has no attribute 'mean|string' has no attribute "
    r"'(?:ascii_letters|digits|Template)|struct' has no attribute '(?:pack|unpack|Struct)|time' has no attribute '(?:time|sleep)|"
    r"types' has no attribute '(?:ModuleType|FunctionType|MethodType|SimpleNamespace|GenericAlias)|warnings' has no attribute 'warn"
)
_OTHERS = r"(?:torch|flash_attn|google|nvidia|azure|zope|backports|mpl_toolkits|ruamel|opentelemetry|sphinxcontrib|jaraco|hydra_plugins)'"

MODE = FailureMode(
    code="AD318",
    slug="shadowed-by-folder",
    title="A file in the current folder hides a module",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    signs=(
        # A folder without __init__.py. Other failure modes report it for torch and flash_attn. Packages that consist of several
        # distributions (google, nvidia) are such folders in a healthy environment too: for them another distribution is missing.
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
        # A file of the user hides a module of the standard library.
        Sign(
            pattern=r"since it has the same name as the standard library module named '(?P<shadow>\w+)'",
            literal="since it has the same name as",
            sample="(consider renaming '/home/user/random.py' since it has the same name as the standard library module named 'random')",
        ),
        Sign(
            pattern=rf"cannot import name '\w+' from '(?P<shadow>{_STDLIB})' \((?![^)]{{0,300}}lib/python\d)(?P<path>[^)]{{1,300}})\)",
            literal="cannot import name '",
            sample="ImportError: cannot import name 'Random' from 'random' (/home/user/work/random.py)",
        ),
        Sign(
            pattern=rf"partially initialized module '(?P<shadow>{_STDLIB})' has no attribute '\w+'|module '(?P<hidden>{_ALWAYS})'",
            literal="' has no attribute '",
            sample="AttributeError: module 'types' has no attribute 'GenericAlias'",
        ),
        # Of any module: they count if the log shows a program of the user with the name of that module.
        Sign(
            pattern=r"module '(?P<lacks>[A-Za-z_]\w*)' has no attribute '\w+'",
            literal="' has no attribute '",
            sample="module 'tensorrt' has no attribute '__version__'",
            strength="hint",
        ),
        # Names that these packages have had in every release: another file or folder was imported, or the package is damaged.
        *(
            Sign(
                pattern=rf"module '(?P<owner>{module})' has no attribute '(?P<always>{names})'",
                literal=f"module '{module}'",
                sample=f"AttributeError: module '{module}' has no attribute '{names.partition('|')[0]}'",
                strength="hint",
            )
            for module, names in always_there.NAMES.items()
        ),
        Sign(
            pattern=r"cannot import name '\w+' from (?:partially initialized module )?'(?P<lacks>[A-Za-z_]\w*)'",
            literal="cannot import name '",
            sample="ImportError: cannot import name 'Workbook' from partially initialized module 'openpyxl' (most likely due to a circular import)",
            strength="hint",
        ),
        Sign(
            pattern=r"No module named '(?P<lacks>[A-Za-z_]\w*)\.[\w.]+'; '(?P=lacks)' is not a package",
            literal="' is not a package",
            sample="ModuleNotFoundError: No module named 'onnx.helper'; 'onnx' is not a package",
            strength="hint",
        ),
        Sign(
            pattern=r"(?:^|[>$#%!] ?)(?:\S{0,200}[\\/])?py(?:thon)?[\d.]*(?:\.exe)?\"? (?:-[\w.]+ ){0,3}(?P<typed>\"?(?:[^\s\"]{0,200}[\\/])?[A-Za-z_]\w*\.py)\b",
            literal=".py",
            sample="(env) C:\\proj> python tensorrt.py --half",
            strength="context",
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
    """Find names in the current folder that hide modules which torch, ultralytics or every training needs."""
    hidden = _hidden(facts)
    if not hidden:
        return None
    files = [name for name in hidden if not name.endswith("/")]
    names = ", ".join(hidden[:6])
    modules = ", ".join(dict.fromkeys(module_name(name) for name in hidden[:6]))
    return Hit(
        message=f"The current folder contains {names}: a program that is started here imports "
        f"{'it' if len(hidden) == 1 else 'them'} instead of the installed {modules}.",
        evidence=(fact(facts, "interpreter.shadowed_here", f"in the current folder: {names}"),),
        # A folder with code is in most cases a clone of the package. The clone runs instead of the examined package, and may work.
        severity=None if files else Severity.WARNING,
    )


def _hidden(facts: Facts) -> list[str]:
    here, loaded = facts.interpreter.shadowed_here, facts.interpreter.shadows_loaded
    seen = loaded if isinstance(loaded, tuple) else ()
    entries = here if isinstance(here, tuple) else ()
    return [name for name in entries if name in seen or module_name(name) in _TORCH_AND_YOLO]


def module_name(entry: str) -> str:
    """Return the module that an entry of the folder hides: "queue" for "queue.py", "torch" for "torch/"."""
    return entry.rstrip("/").partition(".")[0]


class Namespace(Variant, frozen=True, kw_only=True):
    """Hold the module for which Python found only a folder without `__init__.py`."""

    module: str


class Standard(Variant, frozen=True, kw_only=True):
    """Hold the module of the standard library that a file hides, and the file; `file` is None if the log does not name it."""

    module: str
    file: str | None


class Named(Variant, frozen=True, kw_only=True):
    """Hold the user's file that has the name of a library, as Python itself reports."""

    file: str


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    standard = seen.group("shadow") or (seen.group("hidden") or "").partition("'")[0]
    if standard:
        where = seen.group("path")
        return Hit(
            message=f"{f'The file {where}' if where else f'A file {standard}.py'} hides the module {standard} of the standard library.",
            evidence=evidence,
            variant=Standard(module=standard, file=where),
        )
    file = seen.group("file")
    if file:
        module = file.replace("\\", "/").rpartition("/")[2].removesuffix(".py")
        return Hit(
            message=f"Python imported {file} instead of the installed {module}.",
            evidence=evidence,
            variant=Named(file=file),
        )
    named = seen.group("namespace")
    if named is None:
        return _of_the_program(seen) or always_there.hit(facts, seen)
    return Hit(
        message=f"Python imported a folder {named} without an __init__.py as the package {named}: {seen.group('name')} is not in it.",
        evidence=evidence,
        confidence=Confidence.MEDIUM,
        variant=Namespace(module=named),
    )


_FRAME_OF = re.compile(r"File \"(?P<file>[^\"]{1,300}\.py)\"")
_INSTALLED = re.compile(r"(?:site|dist)-packages|[\\/][Ll]ib[\\/](?!.*[\\/]src[\\/])|lib/python3|\.zip[\\/]")


def _of_the_program(seen: Seen) -> Hit | None:
    """Return the hit if a program of the user has the name of the module that lacks something: Python imports the program itself."""
    for match in seen.matches:
        module = match.groups.get("lacks")
        if module in (None, "flash_attn"):  # flash-attn-stub-namespace reports that one
            continue
        typed = [m.groups["typed"].strip('"') for m in seen.matches if "typed" in m.groups and m.file == match.file]
        log = next(log for log in seen.logs if log.file == match.file)
        frames = [found["file"] for m in log.about("a frame") if (found := _FRAME_OF.search(m.text))]
        own = [f for f in (*frames, *typed) if _stem(f) == module and not _INSTALLED.search(f)]
        if own:
            return Hit(
                message=f"The file {own[0]} has the name of the module {module}: Python imports this file in place of the installed {module}.",
                evidence=(Evidence(kind="log", file=match.file, line=match.line, text=match.text),),
                variant=Named(file=own[0]),
                explains=("torch-install-broken", "requirements-missing", "ultralytics-broken"),
                severity=Severity.ERROR,
            )
    return None


def _stem(file: str) -> str:
    return file.replace("\\", "/").rpartition("/")[2].removesuffix(".py")


def _of_namespace(facts: Facts, module: str) -> tuple[Fix, ...]:
    asks = commands.by_hand(
        (*commands.starting(facts), "-c", f"import {module}; print(list({module}.__path__))"),
        f"run this command in the folder of the program that failed: it prints the folder that Python imports as {module}",
        "nothing",
        "none",
    )
    away = commands.by_hand(
        (),
        f"if the printed folder is yours, for example a clone: rename it, or start the program from another folder. Python also searches the folder "
        f"of the script, so move the script out of the folder that contains {module}",
        "a folder of yours",
    )
    rest = commands.by_hand(
        (),
        f"if the printed folder is in site-packages, it stayed there when a package was removed: remove it, and install {module} again as before",
        module,
    )
    title = f"Find the folder that hides {module}, and rename or remove it"
    return (Fix(title=title, steps=(asks, away, rest), verify=(*commands.starting(facts), "-c", f"import {module}")),)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, always_there.Lost):
        return always_there.fixes(facts, hit.variant)
    if isinstance(hit.variant, Namespace):
        return _of_namespace(facts, hit.variant.module)
    if isinstance(hit.variant, Standard) and hit.variant.file is None:
        return (_find(facts, hit.variant.module),)
    named = hit.variant.file if isinstance(hit.variant, Named | Standard) else None
    hidden = [named] if named else _hidden(facts)[:6]
    if not hidden:
        return (_find(facts, "torch"),)
    names = ", ".join(hidden)
    why = "it hides the installed module from every program that is started in this folder"
    if named:
        steps = (_renamed(facts, named, f"{why}; if your own programs import it, write the new name into them"),)
    else:
        steps = (commands.by_hand((), f"rename {names}: {why}", "a file of yours"),)
    return (Fix(title=f"Rename {names}", steps=steps, verify=commands.check(facts)),)


def _renamed(facts: Facts, file: str, why: str) -> Step:
    """Return the step that gives a file of the user another name: "my_random.py" for "random.py"."""
    folder, name = re.fullmatch(r"(.*[\\/])?([^\\/]*)", file, re.DOTALL).groups()  # type: ignore[union-attr]
    if facts.system.os == "windows":
        return commands.by_hand(("cmd", "/c", "ren", file, f"my_{name}"), why, "the name of a file of yours")
    return commands.by_hand(("mv", file, f"{folder or ''}my_{name}"), why, "the name of a file of yours")


def _find(facts: Facts, module: str) -> Fix:
    """Return the fix for a log that does not name the file: let Python print which file it imports as `module`, and rename that file."""
    look = commands.by_hand(
        (*commands.starting(facts), "-c", f"import {module}; print({module}.__file__)"),
        f"run this command in the folder of the program that failed: it prints the file that Python imports as {module}. Rename that file, but not if it "
        "is in Python's own folder lib",
        "nothing",
        "none",
    )
    return Fix(title=f"Rename the file {module}.py of your project", steps=(look,), verify=commands.check(facts))
