"""Read from files the board of this machine, its JetPack, and the notebook service that runs it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from attn_doctor.knowledge.jetson import jetpack_of
from attn_doctor.model.facts import Board, Hosted, Text, Unknown
from attn_doctor.probes.root import PACKAGES, Root

# Variables that only these services set. Colab and Kaggle: their images; SageMaker: sagemaker-training-toolkit, ENVIRONMENT_VARIABLES.md.
_SERVICES: tuple[tuple[Hosted, tuple[str, ...]], ...] = (
    ("colab", ("COLAB_RELEASE_TAG", "COLAB_GPU", "COLAB_BACKEND_VERSION")),
    ("kaggle", ("KAGGLE_KERNEL_RUN_TYPE", "KAGGLE_URL_BASE")),
    ("sagemaker", ("SM_CURRENT_HOST", "SM_MODEL_DIR", "SAGEMAKER_INTERNAL_IMAGE_URI")),
)
_OF_SAGEMAKER = "/opt/ml/metadata/resource-metadata.json"  # SageMaker's notebook instances and Studio have this file


class Place(NamedTuple):
    """Hold what is special about the machine or the service on which attn-doctor runs."""

    board: Board | None  # "jetson", "dgx-spark"
    jetpack: Text  # "6.2"; None: no Jetson
    hosted: Hosted | None  # "colab", "kaggle", "sagemaker"
    notebook: str | None  # "Jupyter"; None: a terminal


def place(tree: Root, environ: Mapping[str, str]) -> Place:
    """Return the board, the JetPack version, the notebook service and the kind of notebook.

    Each is None if the machine has none.
    """
    board = _board(tree)
    hosted = _hosted(tree, environ)
    return Place(board, _jetpack(tree) if board == "jetson" else None, hosted, _notebook(environ, hosted))


def _board(tree: Root) -> Board | None:
    # The device tree of a Jetson names its chip: "nvidia,p3737-0000+p3701-0005\0nvidia,tegra234". Containers see it too.
    for folder in ("/proc/device-tree", "/sys/firmware/devicetree/base"):
        if "nvidia,tegra" in (tree.text(f"{folder}/compatible") or ""):
            return "jetson"
    kernel = tree.text("/proc/sys/kernel/osrelease") or ""
    if kernel.endswith("-tegra") or tree.exists("/etc/nv_tegra_release"):
        return "jetson"
    # Other makers build the DGX Spark's board too, under their own names; the name of the GPU is the same.
    folder = "/proc/driver/nvidia/gpus"
    cards = [tree.text(f"{folder}/{name}/information") or "" for name in tree.entries(folder)]
    named = (tree.text("/sys/class/dmi/id/product_name") or "").replace("_", " ")
    if "DGX Spark" in named or any(re.search(r"^Model:\s+NVIDIA GB10\b", card, re.MULTILINE) for card in cards):
        return "dgx-spark"
    return None


def _jetpack(tree: Root) -> Text:
    """Return the version of JetPack: of the package nvidia-jetpack, else the one that belongs to the release of Jetson Linux."""
    status = tree.text("/var/lib/dpkg/status", PACKAGES) or ""
    package = re.search(r"^Package: nvidia-jetpack\n(?:.+\n)*?Version: (\d+(?:\.\d+)+)", status, re.MULTILINE)
    if package:
        return package[1]
    # "# R36 (release), REVISION: 4.3, GCID: ..."
    release = re.search(r"R(\d+) \(release\), REVISION: ([\d.]+)", tree.text("/etc/nv_tegra_release") or "")
    found = jetpack_of(f"{release[1]}.{release[2]}") if release else None
    return found or Unknown("neither the package nvidia-jetpack nor /etc/nv_tegra_release says which JetPack this is")


def _notebook(environ: Mapping[str, str], hosted: Hosted | None) -> str | None:
    """Return the kind of notebook in which this command was typed; None for a terminal.

    Two variables show it: Jupyter starts each kernel with JPY_PARENT_PID (jupyter_client, launcher.py), and a kernel names its
    own backend of matplotlib in MPLBACKEND (ipykernel, kernelapp.py). Programs that a notebook starts inherit both.
    """
    if "JPY_PARENT_PID" in environ or "_inline" in environ.get("MPLBACKEND", ""):
        return {"colab": "Colab", "kaggle": "Kaggle", "sagemaker": "SageMaker"}.get(hosted or "", "Jupyter")
    return None


def _hosted(tree: Root, environ: Mapping[str, str]) -> Hosted | None:
    for name, variables in _SERVICES:
        if any(variable in environ for variable in variables):
            return name
    return "sagemaker" if tree.exists(_OF_SAGEMAKER) else None
