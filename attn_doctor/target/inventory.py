# The target and the packages in it, from metadata and files only: no module outside the stdlib is imported.
import glob
import importlib.machinery
import importlib.util
import platform
import re
import site
import sysconfig

STDLIB_OFTEN_HIDDEN = (
    "abc ast asyncio base64 calendar code collections copy csv dataclasses datetime email enum functools glob html http "
    "inspect io json logging math numbers operator os pickle platform profile queue random re secrets select signal "
    "socket stat statistics string struct subprocess tempfile test threading time token tokenize trace types typing "
    "uuid warnings weakref xml zipfile"
).split()
WATCHED = CONFIG["watched"]  # top-level modules whose origin matters
HERE = CONFIG.get("here")  # the user's current folder: this process runs in another one
# Further imports of ultralytics: https://github.com/ultralytics/ultralytics/blob/main/pyproject.toml
IMPORTED_BY_ULTRALYTICS = (
    "PIL certifi charset_normalizer contourpy cpuinfo cycler dateutil dill filelock fonttools fsspec hub_sdk idna jinja2 "
    "kiwisolver markupsafe matplotlib mpmath networkx pandas polars psutil py pyparsing requests scipy seaborn six sympy thop "
    "tqdm typing_extensions ultralytics_thop urllib3 yaml"
).split()
# Python imports these before any program begins: a file of that name cannot hide them.
IMPORTED_AT_START = "_collections_abc _sitebuiltins abc codecs encodings genericpath io os posixpath site stat".split()


# An examination that runs nothing of the target has computed the path (target/search_path.py) and uses that one.
ALONE = globals().get("SEARCH_PATH") is not None
PATH = SEARCH_PATH if ALONE else sys.path  # noqa: F821


MODULE_OF = CONFIG.get("module_of", {})  # modules that have another name than their distribution
TRAINING = CONFIG.get("training", ())  # distributions whose requirements decide whether YOLO can train


def find(name, path=None):
    """Find the origin of a top-level module, without importing it.

    All finders of this interpreter are asked, as `import` asks them: only a finder of its own may know an editable
    installation.
    https://setuptools.pypa.io/en/latest/userguide/development_mode.html
    Where nothing of the target may run, only the folders of a path are searched: `path`, or the computed one.
    """
    try:
        spec = importlib.machinery.PathFinder.find_spec(name, path or PATH) if ALONE else importlib.util.find_spec(name)
    except Exception as error:  # noqa: BLE001 - a foreign finder may raise anything
        return {"name": name, "error": repr(error)}
    if spec is None:
        return {"name": name, "origin": editable(name), "namespace": False}
    folders = [str(p) for p in spec.submodule_search_locations or ()]
    return {
        "name": name,
        "origin": spec.origin if spec.has_location else None,
        "namespace": spec.loader is None or not spec.has_location,
        "folders": folders,
    }


def editable(name):
    """Return the file of a module that only an import hook finds, if the hook's table could be read; else None."""
    place = EDITABLE.get(name) if ALONE else None  # noqa: F821
    if not isinstance(place, str):
        return None
    files = [os.path.join(place, "__init__.py"), place, place + ".py"]
    return next((file for file in files if os.path.isfile(file)), None)


def kind_of_environment():
    if os.path.isdir(os.path.join(sys.prefix, "conda-meta")):
        return "pixi" if os.sep + ".pixi" + os.sep in sys.prefix + os.sep else "conda"
    if sys.prefix != sys.base_prefix:
        try:
            with open(os.path.join(sys.prefix, "pyvenv.cfg"), encoding="utf-8", errors="replace") as file:
                return "uv" if any(line.split("=")[0].strip() == "uv" for line in file) else "venv"
        except OSError:
            return "venv"
    if sys.prefix in ("/usr", "/usr/local") or sys.prefix.startswith("/Library/Frameworks"):
        return "system"
    return "standalone"


def has_user_site():
    user = USER_SITE if ALONE else site.getusersitepackages() if site.ENABLE_USER_SITE else None  # noqa: F821
    return bool(user and os.path.isdir(user))


def interpreter():
    paths = sysconfig.get_paths()
    purelib = paths["purelib"]
    include = paths["include"]
    return {
        "python": sys.executable,
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "bits": 64 if sys.maxsize > 2**32 else 32,
        "tag": "{}{}{}".format(
            {"cpython": "cp", "pypy": "pp"}.get(sys.implementation.name, sys.implementation.name),
            sys.version_info[0],
            sys.version_info[1],
        )
        + ("t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""),
        "platform": sysconfig.get_platform(),
        "extension_suffix": sysconfig.get_config_var("EXT_SUFFIX"),
        "prefix": sys.prefix,
        "base_prefix": sys.base_prefix,
        "kind": kind_of_environment(),
        # https://packaging.python.org/en/latest/specifications/externally-managed-environments/
        "externally_managed": sys.prefix == sys.base_prefix
        and os.path.exists(os.path.join(paths["stdlib"], "EXTERNALLY-MANAGED")),
        "site_packages": purelib,
        "writable": os.access(purelib if os.path.isdir(purelib) else sys.prefix, os.W_OK),
        "user_site": has_user_site(),
        "headers": os.path.exists(os.path.join(include, "Python.h")),
    }


def present_modules(found):
    """Return the requirements of TRAINING that no distribution meets by name, but whose module exists.

    conda and opencv-python-headless bring cv2 too. Each name is normalised: "opencv-python".
    """
    names = {normal(item["name"]) for item in found}
    present = set()
    for item in found:
        if normal(item["name"]) not in TRAINING:
            continue
        for text in item["requires"]:
            match = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", text)
            wanted = normal(match.group()) if match else None
            if wanted is None or wanted in names or "extra ==" in text:
                continue
            module = find(MODULE_OF.get(wanted, wanted.replace("-", "_")))
            if module.get("origin"):
                present.add(wanted)
    return sorted(present)


def normal(name):
    """Normalise a distribution's name. https://packaging.python.org/en/latest/specifications/name-normalization/"""
    return re.sub(r"[-_.]+", "-", name).lower()


def metadata_of(folder):
    """Return name, version and requirements of a dist-info or egg-info, reading its header lines only."""
    name = version = None
    requires = []
    for file_name in ("METADATA", "PKG-INFO"):
        try:
            with open(os.path.join(folder, file_name), encoding="utf-8", errors="replace") as file:
                for line in file:
                    if not line.strip():
                        break
                    if line.startswith("Name:"):
                        name = line[5:].strip()
                    elif line.startswith("Version:"):
                        version = line[8:].strip()
                    elif line.startswith("Requires-Dist:"):
                        requires.append(line[14:].strip())
            return name, version, requires
        except OSError:
            continue
    return None, None, requires


def first_line(folder, file_name):
    try:
        with open(os.path.join(folder, file_name), encoding="utf-8", errors="replace") as file:
            return file.readline().strip() or None
    except OSError:
        return None


def wheel_tags(folder):
    try:
        with open(os.path.join(folder, "WHEEL"), encoding="utf-8", errors="replace") as file:
            return [line[4:].strip() for line in file if line.startswith("Tag:")]
    except OSError:
        return []


def direct_url(folder):
    try:
        with open(os.path.join(folder, "direct_url.json"), encoding="utf-8") as file:
            return json.load(file).get("url")
    except (OSError, ValueError, AttributeError):
        return None


def distributions():
    found, remnants, broken = [], [], []
    for entry in dict.fromkeys(os.path.realpath(p) for p in PATH if p and os.path.isdir(p)):
        try:
            names = sorted(os.listdir(entry))
        except OSError:
            continue
        for base in names:
            if base.startswith("~"):
                # pip gives a package this name while it replaces it; a remnant shows an interrupted removal.
                remnants.append(os.path.join(entry, base))
                continue
            if not base.endswith((".dist-info", ".egg-info")):
                continue
            folder = os.path.join(entry, base)
            if not os.path.isdir(folder):
                continue
            name, version, requires = metadata_of(folder)
            if not name or not version:
                broken.append(folder)
                continue
            found.append(
                {
                    "name": name,
                    "version": version,
                    "location": entry,
                    "folder": folder,
                    "installer": first_line(folder, "INSTALLER"),
                    "direct_url": direct_url(folder),
                    "wheel_tags": wheel_tags(folder),
                    "requires": requires,
                }
            )
    return {"found": found, "remnants": remnants, "broken": broken, "present": present_modules(found)}


def first_of_all(name):
    """Return whether Python finds a module before it searches the path: built in, frozen, or imported at its start."""
    if name in sys.builtin_module_names or name in IMPORTED_AT_START:
        return True
    try:
        return importlib.machinery.FrozenImporter.find_spec(name) is not None
    except ImportError:
        return False


def module_name(entry):
    """Return the module of a file: json for "json.py" and "json.cpython-311-x86_64-linux-gnu.so"."""
    for suffix in sorted(importlib.machinery.all_suffixes(), key=len, reverse=True):
        if entry.endswith(suffix):
            return entry[: -len(suffix)]
    return None


def hidden_here():
    """Return the entries of the current folder that a program started there would import instead of real modules."""
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
        return hidden  # this folder is on the path of every program: nothing is hidden, it is the installation
    for entry in entries:
        if installed_from(entry):
            continue
        if entry in names and os.path.isdir(os.path.join(HERE, entry)):
            has_code = os.path.exists(os.path.join(HERE, entry, "__init__.py"))
            # A folder without __init__.py hides no installed package: a regular package has precedence over a
            # namespace.
            if (has_code and not first_of_all(entry)) or (entry in WATCHED and find(entry).get("origin") is None):
                hidden.append(entry + "/")
        else:
            name = module_name(entry)
            if name in names and not first_of_all(name):
                hidden.append(entry)
    return hidden


def standard_hidden():
    """Return the files and folders on PYTHONPATH that hide modules of the standard library."""
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
    """Return whether the installed module comes from this very file or folder: a checkout installed with -e."""
    name = module_name(entry) or entry
    # For the name "ultralytics.egg-info", a finder would import ultralytics first.
    origin = None if "." in name else find(name).get("origin")
    if not origin or not os.path.exists(origin):
        return False
    place = os.path.realpath(os.path.join(HERE, entry))
    return os.path.realpath(origin) == place or os.path.realpath(origin).startswith(place + os.sep)


def broken_pth():
    """Return the .pth lines that name missing folders, or whose import fails, judged as text only."""
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


with section("interpreter"):
    tell("interpreter", interpreter())
with section("modules"):
    tell("modules", [find(name) for name in WATCHED])
if not CONFIG.get("modules_only"):
    with section("path"):
        tell("path", PATH)
    if ALONE:
        with section("isolated"):
            tell("isolated", [find(name, ISOLATED_PATH) for name in WATCHED])  # noqa: F821
        with section("not-run"):
            tell("not-run", NOT_RUN)  # noqa: F821
    with section("here"):
        tell("here", hidden_here())
    with section("standard"):
        tell("standard", standard_hidden())
    with section("pth"):
        tell("pth", broken_pth())
    with section("distributions"):
        tell("distributions", distributions())
    with section("markers"):
        full = platform.python_version()
        tell(
            "markers",
            {
                "implementation_name": sys.implementation.name,
                "implementation_version": full,
                "os_name": os.name,
                "platform_machine": platform.machine(),
                "platform_python_implementation": platform.python_implementation(),
                "platform_release": platform.release(),
                "platform_system": platform.system(),
                "platform_version": platform.version(),
                "python_full_version": full,
                "python_version": ".".join(platform.python_version_tuple()[:2]),
                "sys_platform": sys.platform,
            },
        )
