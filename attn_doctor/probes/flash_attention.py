"""Read the packages that are installed under the name flash_attn. flash-attn 2, 3 and 4 share file names and overwrite each other's files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from attn_doctor.model.facts import Distribution, FlashAttention, Unknown
from attn_doctor.model.versions import flash_build, local
from attn_doctor.probes.ask import Answer

EXTENSIONS = ("flash_attn_2_cuda", "flash_attn_cuda", "flash_attn_3_cuda", "flash_attn_3/_C", "dropout_layer_norm")


def flash_attention(distributions: Iterable[Distribution], answer: Answer) -> tuple[FlashAttention, dict[str, str]]:
    """Return the facts of flash-attn, and the source of each field (see `probes`).

    The facts come from the installed distributions, and from files on the target's sys.path.
    """
    versions = {d.name: d.version for d in distributions}
    version = versions.get("flash-attn")
    wheel = _wheel_of(version if isinstance(version, str) else None, distributions)
    module = answer.module("flash_attn")
    cute = any(os.path.isdir(Path(folder) / "cute") for folder in module.folders)
    record = FlashAttention(
        version=version,
        modules=tuple(_extension_files(answer.path)),
        namespace_only=module.namespace if module.folders else None,
        fa3=versions.get("flash-attn-3") or ("no metadata" if answer.module("flash_attn_interface").origin else None),
        fa4=versions.get("flash-attn-4") if cute or "flash-attn-4" in versions else None,
        wheel_torch=wheel["torch"],
        wheel_cuda=wheel["cuda"],
        wheel_abi=wheel["abi"],
    )
    return record, {"": "metadata and files on the target's sys.path"}


def _wheel_of(version: str | None, distributions: Iterable[Distribution]) -> dict[str, Any]:
    """Return the build of the wheel, from its local version or from the name of the file that was installed."""
    texts = [local(version) if version else None]
    texts += [d.direct_url for d in distributions if d.name == "flash-attn" and isinstance(d.direct_url, str)]
    for text in texts:
        if build := flash_build(text):
            return {"torch": build.torch, "cuda": build.cuda, "abi": build.cxx11_abi}
    if version is None:
        return {"torch": None, "cuda": None, "abi": None}
    why = Unknown("its version has no local part that names the build (built on this machine, or by somebody else)")
    return {"torch": why, "cuda": why, "abi": why}


def _extension_files(path: Iterable[str]) -> list[str]:
    found = []
    for name in EXTENSIONS:
        for entry in path:
            folder = Path(entry)
            if any(folder.glob(f"{name}.*so")) or any(folder.glob(f"{name}.*pyd")):
                found.append(name.replace("/", "."))
                break
    return found
