"""Which module a distribution brings, where the two have different names, and which of them training cannot do without.

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

# Distributions whose requirements decide whether somebody can train with YOLO. A lack elsewhere is that package's own trouble.
TRAINING = ("torch", "torchvision", "ultralytics")

# Without these `yolo train` does not get through one epoch, though ultralytics itself may import: measured with ultralytics
# 8.3.78, 8.3.200 and 8.4.190 on 2026-11-29, each module taken away alone, one epoch of four images.
NEEDED_TO_TRAIN = frozenset(
    "matplotlib numpy opencv-python opencv-python-headless pandas pillow polars pyyaml scipy torch torchvision".split()
)
# With these taken away the same epoch ran.
NOT_NEEDED_TO_TRAIN = frozenset("nvidia-ml-py py-cpuinfo seaborn ultralytics-platform ultralytics-thop".split())


def module_of(distribution: str) -> str:
    """Return the top-level module of a distribution, by its normalised name: "opencv-python" brings "cv2"."""
    return MODULE_OF.get(distribution, distribution.replace("-", "_"))


def distribution_of(module: str) -> str:
    """Return the distribution that usually brings a top-level module: "cv2" comes with "opencv-python".

    pkg_resources came with setuptools until its release 82. https://setuptools.pypa.io/en/latest/history.html
    """
    if module == "pkg_resources":
        return "setuptools"
    usual = {"cv2": "opencv-python", "triton": "triton"}
    return usual.get(module) or next((d for d, m in MODULE_OF.items() if m == module), module.replace("_", "-"))
