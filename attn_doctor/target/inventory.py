# Describes the target and its installed packages, from metadata and files alone. Imports only the standard library.
# Runs after hidden_modules.py.
import importlib.machinery
import importlib.util
import platform
import re
import site
import sysconfig

WATCHED = CONFIG.get("watched", ())  # top-level modules whose place is reported

# With --static, target/search_path.py has computed the path, and it is used here.
ALONE = globals().get("SEARCH_PATH") is not None
PATH = SEARCH_PATH if ALONE else sys.path  # noqa: F821

MODULE_OF = CONFIG.get("module_of", {})  # distribution -> module, if their names differ
TRAINING = CONFIG.get("training", ())  # distributions whose requirements are needed for training


def find(name, path=None):
    """Return the place of a top-level module, without importing it: a dict with name, origin (the file, or None), namespace and folders.

    If a finder raises, the dict has name and error only. All finders of this interpreter are asked, as `import` asks them, because
    an editable installation can have a finder of its own.
    https://setuptools.pypa.io/en/latest/userguide/development_mode.html
    With --static only folders are searched: those of `path`, or those of the computed path.
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
    """Return the file of a module that only an import hook can find, read from the table of the hook; None if it has no such file.

    Without --static always None: the hook itself was asked.
    """
    place = EDITABLE.get(name) if ALONE else None  # noqa: F821
    if not isinstance(place, str):
        return None
    files = [os.path.join(place, "__init__.py"), place, place + ".py"]
    return next((file for file in files if os.path.isfile(file)), None)


def kind_of_environment():
    """Return what made this environment: "pixi", "conda", "pipx", "uv", "venv", "system" or "standalone"."""
    if os.path.isdir(os.path.join(sys.prefix, "conda-meta")):
        return "pixi" if os.sep + ".pixi" + os.sep in sys.prefix + os.sep else "conda"
    if sys.prefix != sys.base_prefix:
        if os.path.isfile(os.path.join(sys.prefix, "pipx_metadata.json")):
            return "pipx"
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


def platform_name():
    """Return what platform.platform() returns, without the process `uname -p` that it starts on POSIX."""
    if os.name == "nt":
        return platform.platform()
    system, _, release, _, machine = os.uname()
    if system == "Darwin":
        return "macOS-{}-{}".format(platform.mac_ver()[0], machine)
    return "{}-{}-{}-with-{}".format(system, release, machine, "".join(platform.libc_ver()))


def conda_packages():
    """Return conda's packages by the names of their records, "cudatoolkit-11.8.0-h6a678d5_0"; None outside of conda."""
    folder = os.path.join(sys.prefix, "conda-meta")
    try:
        return sorted(name[:-5] for name in os.listdir(folder) if name.endswith(".json"))[:2000]
    except OSError:
        return None


def interpreter():
    paths = sysconfig.get_paths()
    purelib = paths["purelib"]
    include = paths["include"]
    return {
        "python": sys.executable,
        "version": platform.python_version(),
        "build": " ".join(sys.version.split()),
        "platform_name": platform_name(),
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
    """Return the requirements of TRAINING whose module exists, although no distribution of that name is installed.

    Example: conda's opencv and opencv-python-headless contain cv2 too. The names are normalised: "opencv-python".
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
    """Return name, version and requirements of a dist-info or egg-info folder; name and version are None if they cannot be read.

    Only the header lines of its metadata are read.
    """
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
                # While pip replaces a package, it gives the old folder this name. A folder with such a name shows that a removal was interrupted.
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
    return {
        "found": found,
        "remnants": remnants,
        "broken": broken,
        "present": present_modules(found),
        "conda": conda_packages(),
    }


def markers():
    """Return the values for the environment markers of requirements. https://peps.python.org/pep-0508/"""
    full = platform.python_version()
    return {
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
    }


def base_interpreter():
    """Return the path of the interpreter from which the virtual environment was made; outside of one, the path of this interpreter."""
    version = "python{}.{}".format(*sys.version_info[:2])
    for name in ("bin/" + version + getattr(sys, "abiflags", ""), "bin/" + version, "python.exe"):
        path = os.path.join(sys.base_exec_prefix, name)
        if os.path.exists(path):
            return path
    return getattr(sys, "_base_executable", None) or sys.executable


def layout():
    """Return the folders of this environment into which an installer writes, its Python, its prefixes and sys.path."""
    paths = sysconfig.get_paths()
    user = [site.getusersitepackages(), os.path.join(site.getuserbase(), "bin")] if site.ENABLE_USER_SITE else []
    return {
        "python": sys.executable,
        "version": "{}.{}".format(*sys.version_info[:2]),
        "base": base_interpreter(),
        "prefix": sys.prefix,
        "base_prefix": sys.base_prefix,
        "purelib": paths["purelib"],
        "platlib": paths["platlib"],
        "scripts": paths["scripts"],
        "data": paths["data"],
        "path": sys.path,
        "user": user,
    }


ANSWERS = (  # name of a section -> the function that makes its record
    ("interpreter", interpreter),
    ("layout", layout),
    ("modules", lambda: [find(name) for name in WATCHED]),
    ("path", lambda: PATH),
    ("isolated", lambda: [find(name, ISOLATED_PATH) for name in WATCHED] if ALONE else None),  # noqa: F821
    ("not-run", lambda: NOT_RUN if ALONE else ()),  # noqa: F821
    ("here", hidden_here),
    ("standard", standard_hidden),
    ("pth", broken_pth),
    ("distributions", distributions),
    ("markers", markers),
)
for name, answer in ANSWERS:
    if name in CONFIG["ask"]:
        with section(name):
            tell(name, answer())
