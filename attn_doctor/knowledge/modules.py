"""Map distributions to their modules if the names differ, and list the modules that training needs.

Sources: the distributions' own metadata (top-level modules of their wheels), read on 2026-11-29.
"""

from __future__ import annotations

MODULE_OF = {
    "gitpython": "git",
    "nvidia-ml-py": "pynvml",
    "opencv-contrib-python": "cv2",
    "opencv-contrib-python-headless": "cv2",
    "opencv-python": "cv2",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "protobuf": "google",
    "py-cpuinfo": "cpuinfo",
    "python-dateutil": "dateutil",
    "pytorch-triton": "triton",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
    "ultralytics-thop": "thop",
}

# Distributions whose requirements decide whether YOLO can train. A missing requirement of another package does not matter.
TRAINING = ("torch", "torchvision", "ultralytics")

# If one of these is missing, `yolo train` fails within one epoch, although ultralytics itself may import. Measured with ultralytics
# 8.3.78, 8.3.200 and 8.4.190 on 2026-11-29: one module removed at a time, one epoch of four images.
NEEDED_TO_TRAIN = frozenset(
    "matplotlib numpy opencv-python opencv-python-headless pandas pillow polars pyyaml scipy sympy torch torchvision mpmath".split()
)
# Without one of these the same epoch ran, if this ultralytics imports without it (8.3.78 does not import without psutil,
# requests and tqdm).
NOT_NEEDED_TO_TRAIN = frozenset(
    "filelock fsspec jinja2 networkx nvidia-ml-py psutil py-cpuinfo requests seaborn setuptools tqdm triton ultralytics-platform "
    "ultralytics-thop".split()
)


def module_of(distribution: str) -> str:
    """Return the top-level module of a distribution, given its normalised name: "cv2" for "opencv-python".

    For a distribution that MODULE_OF lacks: its own name, with underscores.
    """
    return MODULE_OF.get(distribution, distribution.replace("-", "_"))


# Direct and indirect requirements of torch and ultralytics whose module has the name of its distribution.
OF_TRAINING = frozenset(
    "certifi charset_normalizer contourpy cycler filelock fsspec idna jinja2 kiwisolver markupsafe matplotlib mpmath networkx numpy "
    "packaging pandas polars psutil pyparsing pytz requests scipy seaborn setuptools six sympy torch torchvision tqdm triton "
    "typing_extensions tzdata urllib3".split()
)


def distribution_of(module: str) -> str | None:
    """Return the distribution that usually installs a top-level module: "opencv-python" for "cv2".

    None: no requirement of torch or ultralytics has a module of this name. A package of that name on PyPI can
    be something else. pkg_resources left setuptools with release 82: https://setuptools.pypa.io/en/latest/history.html
    """
    if module == "pkg_resources":
        return "setuptools"
    if module == "cv2":
        return "opencv-python"
    if module in OF_TRAINING:
        return module.replace("_", "-")
    return next((distribution for distribution, brought in MODULE_OF.items() if brought == module), None)
