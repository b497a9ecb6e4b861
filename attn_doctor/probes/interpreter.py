"""Make the facts of the target interpreter, from its answer and from the differences under `-I`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from attn_doctor.model.facts import ChosenPython, Distribution, Interpreter, Unknown
from attn_doctor.probes.ask import Answer, Module


def interpreter(
    choice: ChosenPython,
    answer: Answer,
    isolated: Sequence[Module] | Unknown,
    distributions: Sequence[Distribution],
    environ: Mapping[str, str],
) -> tuple[Interpreter, dict[str, str]]:
    """Return the facts of the interpreter, and the source of each field (see `probes`).

    `isolated`: the places of the same modules under -I.
    """
    record = msgspec.structs.replace(
        answer.interpreter,
        python=choice.python,
        why=choice.why,
        installers=_installers(str(answer.interpreter.prefix), distributions, environ),
        differs_isolated=_differences(answer.modules, isolated),
        shadowed_here=answer.here,
        standard_hidden=answer.standard,
        broken_pth=answer.pth,
    )
    return record, {"": "the target itself, asked in a child", "differs_isolated": "a second child with -I"}


def _differences(usual: Sequence[Module] | Unknown, isolated: Sequence[Module] | Unknown) -> tuple[str, ...] | Unknown:
    """Return the modules that come from another place without PYTHONPATH and the user site."""
    if isinstance(usual, Unknown):
        return usual
    if isinstance(isolated, Unknown):
        return isolated
    alone = {module.name: _place(module) for module in isolated}
    found = []
    for module in usual:
        place, instead = _place(module), alone.get(module.name)
        if place and place != instead:
            found.append(f"{module.name}: {place}" + (f" hides {instead}" if instead else ""))
    return tuple(found)


def _place(module: Module) -> str:
    return module.origin or ", ".join(module.folders)


def _installers(prefix: str, distributions: Sequence[Distribution], environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the tools that can install into this target: "pip 25.1", "uv". pip comes first, then those on PATH or in the environment."""
    found = []
    pip = next((d for d in distributions if d.name == "pip"), None)
    if pip:
        found.append(f"pip {pip.version}" if isinstance(pip.version, str) else "pip")
    for name in ("uv", "mamba", "micromamba", "conda", "pixi", "poetry", "pdm"):
        path = shutil.which(name, path=environ.get("PATH", os.defpath))
        if path or os.path.exists(Path(prefix) / "bin" / name):
            found.append(name)
    return tuple(found)
