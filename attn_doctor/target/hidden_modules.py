# Finds files that hide a module of the same name, in the current folder and on PYTHONPATH; and .pth lines that name no existing folder.
# Runs before inventory.py. The functions are called later, and use its find(), PATH and WATCHED.
import glob
import importlib.machinery

STDLIB_OFTEN_HIDDEN = (
    "abc ast asyncio base64 calendar code collections copy csv dataclasses datetime email enum functools glob html http "
    "inspect io json logging math numbers operator os pickle platform profile queue random re secrets select signal "
    "socket stat statistics string struct subprocess tempfile test threading time token tokenize trace types typing "
    "uuid warnings weakref xml zipfile"
).split()
HERE = CONFIG.get("here")  # the current folder of the user; this process runs in another folder
# What ultralytics imports beside those: https://github.com/ultralytics/ultralytics/blob/main/pyproject.toml
IMPORTED_BY_ULTRALYTICS = (
    "PIL certifi charset_normalizer contourpy cpuinfo cycler dateutil dill filelock fonttools fsspec hub_sdk idna jinja2 "
    "kiwisolver markupsafe matplotlib mpmath networkx pandas polars psutil py pyparsing requests scipy seaborn six sympy thop "
    "tqdm typing_extensions ultralytics_thop urllib3 yaml"
).split()
# Python imports these before any program begins, so a file of that name hides nothing.
IMPORTED_AT_START = "_collections_abc _sitebuiltins abc codecs encodings genericpath io os posixpath site stat".split()


def first_of_all(name):
    """Return whether Python loads a module without searching the path: built in, frozen, or imported at Python's start."""
    if name in sys.builtin_module_names or name in IMPORTED_AT_START:
        return True
    try:
        return importlib.machinery.FrozenImporter.find_spec(name) is not None
    except ImportError:
        return False


def module_name(entry):
    """Return the module name under which a file would be imported: "json" for "json.py" and for "json.cpython-311-x86_64-linux-gnu.so".

    None if it is no file of a module.
    """
    for suffix in sorted(importlib.machinery.all_suffixes(), key=len, reverse=True):
        if entry.endswith(suffix):
            return entry[: -len(suffix)]
    return None


def hidden_here():
    """Return the files and folders of the current folder that a program there would import instead of an installed module.

    A folder ends with "/". The result is an unknown if the current folder cannot be named or read.
    """
    names = set(WATCHED) | set(IMPORTED_BY_ULTRALYTICS) | set(getattr(sys, "stdlib_module_names", STDLIB_OFTEN_HIDDEN))
    if HERE is None:
        return unknown("the current folder cannot be named")
    try:
        entries = sorted(os.listdir(HERE))
    except OSError:
        return unknown("the current folder cannot be read")
    hidden = []
    inside = {os.path.realpath(p) for p in PATH if p}
    if os.path.realpath(HERE) in inside:
        return hidden  # the folder is on the path in any case: its files are the installation, and hide nothing
    for entry in entries:
        if installed_from(entry):
            continue
        if entry in names and os.path.isdir(os.path.join(HERE, entry)):
            has_code = os.path.exists(os.path.join(HERE, entry, "__init__.py"))
            # A folder without __init__.py hides nothing that is installed: a regular package wins over a namespace.
            if (has_code and not first_of_all(entry)) or (entry in WATCHED and find(entry).get("origin") is None):
                hidden.append(entry + "/")
        else:
            name = module_name(entry)
            if name in names and not first_of_all(name):
                hidden.append(entry)
    return hidden


def standard_hidden():
    """Return the files and folders on PYTHONPATH that hide a module of the standard library with the same name."""
    names = set(getattr(sys, "stdlib_module_names", STDLIB_OFTEN_HIDDEN))
    inside = {os.path.realpath(p) for p in sysconfig.get_paths().values()}
    hidden = []
    for entry in dict.fromkeys(os.environ.get("PYTHONPATH", "").split(os.pathsep)):
        if not os.path.isabs(entry) or os.path.realpath(entry) in inside:
            continue
        try:
            found = sorted(os.listdir(entry))
        except OSError:
            continue
        for name in found:
            path = os.path.join(entry, name)
            module = name if os.path.exists(os.path.join(path, "__init__.py")) else module_name(name)
            if module in names and not first_of_all(module):
                hidden.append(path)
    return hidden


def installed_from(entry):
    """Return whether this file or folder is itself the installed module, as after `pip install -e` of a checkout."""
    name = module_name(entry) or entry
    # To find "ultralytics.egg-info", a finder would import ultralytics first.
    origin = None if "." in name else find(name).get("origin")
    if not origin or not os.path.exists(origin):
        return False
    place = os.path.realpath(os.path.join(HERE, entry))
    return os.path.realpath(origin) == place or os.path.realpath(origin).startswith(place + os.sep)


def broken_pth():
    """Return the .pth lines that name a path that does not exist, as "FILE.pth: LINE". Lines that import something are left out."""
    problems = []
    for entry in dict.fromkeys(os.path.realpath(p) for p in PATH if p and "-packages" in p):
        for path in sorted(glob.glob(os.path.join(glob.escape(entry), "*.pth"))):
            try:
                with open(path, encoding="utf-8", errors="replace") as file:
                    lines = file.read().splitlines()
            except OSError:
                continue
            for line in lines:
                line = line.strip()
                if not line or line.startswith(("#", "import ", "import\t")):
                    continue
                if not os.path.exists(os.path.join(entry, line)):
                    problems.append("{}: {}".format(os.path.basename(path), line))
    return problems
