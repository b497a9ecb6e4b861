"""Find the compiled extensions for attention on a target's sys.path, by their file names only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from attn_doctor.probes.root import Root

# Module -> file name in the folder of its package.
KNOWN = (
    "torch._C",
    "flash_attn_2_cuda",
    "flash_attn_cuda",
    "flash_attn_3_cuda",
    "flashattn_hopper_cuda",
    "flash_attn_3._C",
    "torchvision._C",
    "torchvision._C_stable",
    "xformers._C",
    "xformers._C_flashattention",
    "triton._C.libtriton",
)


def installed(path: Sequence[str], suffix: str | None, root: Root | None = None) -> dict[str, str]:
    """Return the file of each module of KNOWN that exists.

    `path` is sys.path; `suffix` is the target's own suffix of extension modules.

    A module can have several files. Then the one counts that Python would import. If their names are all for another Python, the
    first counts.
    """
    tree = root or Root()
    found = {}
    for module in KNOWN:
        *packages, name = module.split(".")
        fitting = [f"{name}{ending}" for ending in (suffix, ".abi3.so", ".so", ".pyd") if ending]
        files = [
            f"{folder}/{entry}"
            for folder in ("/".join([place, *packages]) for place in path if place)
            for entry in tree.entries(folder)
            if re.fullmatch(rf"{re.escape(name)}(?:\.[^.]+)?\.(?:so|pyd)", entry)
        ]
        if files:
            files.sort(key=lambda file: _rank(Path(file).name, fitting))  # stable: earlier folders stay in front
            found[module] = files[0]
    return found


def _rank(name: str, fitting: list[str]) -> int:
    return fitting.index(name) if name in fitting else len(fitting)
