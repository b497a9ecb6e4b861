"""Find out what this machine has for reproductions: compilers, namespaces, tools. Nothing is changed."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from attn_doctor import child
from attn_doctor.system import platforms

_NVCC = ("/usr/local/cuda/bin/nvcc",)
# Variables that change how something is built, found or installed. They are removed for a reproduction.
_FOREIGN = re.compile(
    r"(?:PYTHON|CUDA|NVCC|NVIDIA_|FLASH_ATT|TORCH|TRITON|LD_|DYLD_|CONDA|VIRTUAL_ENV|MAX_JOBS|ATTN_DOCTOR|YOLO_|APT_|"
    r"PIP_(?:TARGET|USER|PREFIX|ROOT|REQUIRE|NO_(?!INDEX)|ONLY|CONSTRAINT|REQUIREMENT|BREAK)|(?:CC|CXX|C(?:XX|PP)?FLAGS|LDFLAGS)$)"
)


def program(name: str) -> str | None:
    return shutil.which(name)


def nvcc(environ: Mapping[str, str]) -> str | None:
    """Return the path of a real nvcc of this machine; None if there is none."""
    home = environ.get("CUDA_HOME") or environ.get("CUDA_PATH")
    places = [shutil.which("nvcc", path=environ.get("PATH")), f"{home}/bin/nvcc" if home else None, *_NVCC]
    return next((place for place in places if place and os.access(place, os.X_OK)), None)


@functools.cache
def namespaces_refused(*, network: bool = False) -> str | None:
    """Return why a process cannot make its own namespaces on this machine; None if it can. `network`: one without network too."""
    if not platforms.LINUX:
        return "namespaces exist only on Linux"
    with tempfile.TemporaryDirectory() as folder:
        refusal = Path(folder) / "refusal"
        conditions = {
            "refusal": str(refusal),
            "spare": folder,
            "disks": [[f"{folder}/disk", 1, False]],
            "network": network,
        }
        text = (resources.files("attn_doctor.reproduction") / "programs" / "namespace_launcher.py").read_text("utf-8")
        done = child.command([sys.executable, "-I", "-c", text, json.dumps(conditions), "true"])
        if done.returncode == 0:
            return None
        said = refusal.read_text() if refusal.exists() else done.stderr.strip()[-200:]
        return f"only root can make namespaces on this machine ({said})"


def run_environ(environ: Mapping[str, str], folder: Path, programs: Path) -> dict[str, str]:
    """Return the variables of a run: those of the user, with caches in `folder`, without those that change the result.

    `programs`: the folder that comes first on PATH.
    """
    kept = {name: value for name, value in environ.items() if not _FOREIGN.match(name)}
    caches = "TORCH_EXTENSIONS_DIR TORCHINDUCTOR_CACHE_DIR TRITON_CACHE_DIR CUDA_CACHE_PATH HF_HOME MPLCONFIGDIR YOLO_CONFIG_DIR"
    return {
        **kept,
        **{name: str(folder / "cache" / name.lower()) for name in caches.split()},
        "PATH": os.pathsep.join([str(programs), environ.get("PATH", os.defpath)]),
        "TMPDIR": str(folder / "tmp"),
        "TEMP": str(folder / "tmp"),
        "TMP": str(folder / "tmp"),
        "LC_ALL": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",  # no bytecode is written into the target's torch
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_PROGRESS_BAR": "off",
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
    }
