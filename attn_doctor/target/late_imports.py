# What a training imports late, after `import ultralytics` has worked, and what of it is as it was installed. Runs before imports.py, whose
# `found` it calls.
import re

# Requirements of ultralytics and torch, in the order of use: distribution, modules. matplotlib.pyplot makes a font cache for seconds: the
# three modules load the same libraries. "sources:DISTRIBUTION": its files that are not as RECORD says are compiled, not run:
# a backend that somebody changed may need a GTK that nobody needs here.
REQUIREMENTS = [
    ("matplotlib", ["matplotlib", "matplotlib.ft2font", "matplotlib.transforms", "sources:matplotlib"]),
    ("polars", ["polars"]),
    ("pandas", ["pandas"]),
    ("scipy", ["scipy"]),
    ("sympy", ["sympy"]),
    ("pillow", ["PIL.Image", "sources:pillow"]),
    ("pyyaml", ["yaml"]),
    ("requests", ["requests"]),
    ("psutil", ["psutil"]),
    ("tqdm", ["tqdm"]),
]
# "optional:MODULE": ultralytics catches ImportError, and nothing else, around the import.
OPTIONAL = "optional:"
THOP = OPTIONAL + "thop"  # imports torch, so it is tried after torch

# The packages that a training reports to, if they are installed: package, module in ultralytics.utils.callbacks, name in ultralytics' settings.
# ultralytics catches ImportError and AssertionError around their import (for TensorBoard a few more): any other error ends the training.
LOGGERS = [
    ("clearml", "clearml", "clearml"),
    ("comet_ml", "comet", "comet"),
    ("dvclive", "dvc", "dvc"),
    ("mlflow", "mlflow", "mlflow"),
    ("neptune", "neptune", "neptune"),
    ("ray", "raytune", "raytune"),
    ("tensorboard", "tensorboard", "tensorboard"),
    ("wandb", "wb", "wandb"),
]


def required():
    """Return those modules of REQUIREMENTS that exist and that the installed ultralytics requires, and sympy, which torch requires."""
    try:
        import importlib.metadata

        lines = importlib.metadata.requires("ultralytics") or []
    except Exception:  # noqa: BLE001 - damaged metadata may raise anything
        lines = []
    asked = {re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0].lower() for line in lines if "extra ==" not in line}
    wanted = [(name, names) for name, names in REQUIREMENTS if name in asked or name == "sympy"]
    return [module for _, names in wanted if found(names[0].split(".")[0]) is not None for module in names]


def installed_loggers():
    """Return those rows of LOGGERS whose package is installed."""
    return [row for row in LOGGERS if found(row[0]) is not None]


def own_settings():
    """Return the text of the user's settings of ultralytics; "" if there is none. Called before YOLO_CONFIG_DIR is changed."""
    home = os.path.expanduser("~")
    folders = (
        [os.environ["YOLO_CONFIG_DIR"]]
        if os.environ.get("YOLO_CONFIG_DIR")
        else [
            os.environ.get("XDG_CONFIG_HOME"),
            os.path.join(home, ".config"),
            os.path.join(home, "AppData", "Roaming"),
            os.path.join(home, "Library", "Application Support"),
        ]
    )
    for folder in folders:
        for name in ("settings.json", "settings.yaml"):
            try:
                path = os.path.join(os.path.expanduser(folder or ""), "Ultralytics", name)
                if folder and os.path.isfile(path):
                    with open(path, "rb") as opened:
                        return opened.read(100000).decode("utf-8", "replace")
            except (OSError, ValueError):
                continue
    return ""


def loggers(settings):
    """Return, as `attempt` imports them, the modules of the installed loggers that a training loads. `settings`: the user's, as text.

    ultralytics' settings in memory are set as the user's, because releases before 8.4 ask them inside each module.
    """
    try:
        from ultralytics.utils import SETTINGS
    except ImportError:  # a release before 8.0.136
        return []
    names = []
    for _, module, key in installed_loggers():
        said = re.search(r"(?m)^\W*" + key + r"\W{1,4}(true|false)\b", settings)
        if said:
            dict.__setitem__(SETTINGS, key, said.group(1) == "true")
        if SETTINGS.get(key) is True:
            names.append(OPTIONAL + "ultralytics.utils.callbacks." + module)
    return names


def as_installed(distribution):
    """Return whether all .py files of a distribution have the digest that its RECORD states, and all libraries the size. False without a RECORD.

    Importing torchvision takes half as long as importing torch, and loading its library shows most of its faults.
    Missing or changed files are found here in milliseconds, and torchvision is imported only in that case.
    """
    try:
        import importlib.metadata

        files = importlib.metadata.files(distribution)
        return files is not None and all(unchanged(file) for file in files if is_code(file))
    except Exception:  # noqa: BLE001 - what cannot be told is not as it was installed
        return False


def changed_sources(distribution):
    """Yield (module, path) of each .py file of a distribution that is there and is not as RECORD says.

    A missing file shows nothing: images are made smaller by deleting the tests of packages.
    """
    try:
        import importlib.metadata

        files = importlib.metadata.files(distribution) or []
    except Exception:  # noqa: BLE001 - damaged metadata may raise anything
        files = []
    for file in files:
        try:
            changed = file.suffix == ".py" and not unchanged(file)
        except Exception:  # noqa: BLE001 - it is missing, or cannot be read
            changed = False
        if changed:
            yield ".".join(file.with_suffix("").parts), str(file.locate())


def is_code(file):
    """Return whether a file is source code or a library: "x.py", "_C.so", "libjpeg.1f3a.so.8"."""
    return file.suffix == ".py" or ".so" in file.suffixes


def unchanged(file):
    """Return whether a file of importlib.metadata is what RECORD says. A file that RECORD says nothing of is unchanged."""
    where = str(file.locate())
    if file.suffix != ".py" or file.hash is None:  # too large to be read, and loaded anyway
        return file.size is None or os.stat(where).st_size == file.size
    import base64
    import hashlib

    with open(where, "rb") as opened:
        digest = hashlib.new(file.hash.mode, opened.read()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii") == file.hash.value
