# What a training imports late, after `import ultralytics` has worked. Runs before imports.py, whose `found` it calls.
import re

# Requirements of ultralytics and torch, in the order of use: distribution, modules. matplotlib.pyplot makes a font cache for seconds: the
# three modules before it load the same libraries, and it is imported only if a file has changed.
REQUIREMENTS = [
    ("matplotlib", ["matplotlib", "matplotlib.ft2font", "matplotlib.transforms", "checked:matplotlib.pyplot"]),
    ("polars", ["polars"]),
    ("pandas", ["pandas"]),
    ("scipy", ["scipy"]),
    ("sympy", ["sympy"]),
    ("pillow", ["PIL.Image"]),
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
    top = lambda name: name.rpartition(":")[2].split(".")[0]
    return [module for _, names in wanted if found(top(names[0])) is not None for module in names]


def installed_loggers():
    """Return those rows of LOGGERS whose package is installed."""
    return [row for row in LOGGERS if found(row[0]) is not None]


def own_settings():
    """Return the text of the user's settings of ultralytics; "" if there is none. Called before YOLO_CONFIG_DIR is changed."""
    home = os.path.expanduser("~")
    folders = [
        os.environ.get("YOLO_CONFIG_DIR"),
        os.environ.get("XDG_CONFIG_HOME"),
        os.path.join(home, ".config"),
        os.path.join(home, "AppData", "Roaming"),
        os.path.join(home, "Library", "Application Support"),
    ]
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
