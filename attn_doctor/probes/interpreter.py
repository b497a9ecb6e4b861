"""Describe the target interpreter, from its inventory and from the differences under ``-I``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from attn_doctor.model.facts import Distribution, Interpreter, Unknown
from attn_doctor.probes.choose import Choice


def interpreter(
    choice: Choice,
    inventory: Mapping[str, Any],
    isolated: Sequence[Mapping[str, Any]] | Unknown,
    distributions: Sequence[Distribution],
    environ: Mapping[str, str] = os.environ,
) -> tuple[Interpreter, dict[str, str]]:
    """Return the section. `inventory`: the records of target/inventory.py by name. `isolated`: its modules under -I."""
    shown: dict[str, Any] = dict(inventory["interpreter"])
    shown["python"] = choice.python
    shown["why"] = choice.why
    record = msgspec.convert(shown, Interpreter)
    differs = isolated if isinstance(isolated, Unknown) else _differences(inventory["modules"], isolated)
    here = inventory.get("here", ())
    return (
        msgspec.structs.replace(
            record,
            installers=_installers(str(shown["prefix"]), distributions, environ),
            differs_isolated=differs,
            shadowed_here=Unknown(here["unknown"]) if isinstance(here, dict) else tuple(here),
            standard_hidden=tuple(inventory.get("standard", ())),
            broken_pth=tuple(inventory.get("pth", ())),
        ),
        {"": "the target itself, asked in a child", "differs_isolated": "a second child with -I"},
    )


def _differences(usual: Sequence[Mapping[str, Any]], isolated: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the modules that have another origin without PYTHONPATH and the user site."""
    alone = {m["name"]: m.get("origin") or m.get("folders") for m in isolated}
    found = []
    for module in usual:
        place = module.get("origin") or module.get("folders")
        if place and place != alone.get(module["name"]):
            instead = alone.get(module["name"])
            where = place if isinstance(place, str) else ", ".join(place)
            found.append(f"{module['name']}: {where}" + (f" hides {instead}" if instead else ""))
    return tuple(found)


def _installers(prefix: str, distributions: Sequence[Distribution], environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the tools that could install into this target, first the one that made it, where files show that."""
    found = []
    pip = next((d for d in distributions if d.name == "pip"), None)
    if pip:
        found.append(f"pip {pip.version}" if isinstance(pip.version, str) else "pip")
    for name in ("uv", "mamba", "micromamba", "conda", "pixi", "poetry", "pdm"):
        path = shutil.which(name, path=environ.get("PATH", os.defpath))
        if path or os.path.exists(Path(prefix) / "bin" / name):
            found.append(name)
    return tuple(found)
