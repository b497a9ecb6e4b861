"""Predict the facts of a machine after the steps of a fix. Pure.

A fact that a step may change in an unknown way becomes unknown, and no rule finds a failure in an unknown fact. So a failure that
is found in the predicted facts and in the present ones is not repaired by the steps. A failure that is found only in the
predicted facts is caused by the steps.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from packaging.utils import canonicalize_name

from attn_doctor.failure_modes.shared.culprit import culprit
from attn_doctor.judging.chosen_versions import LATER, have, version_of
from attn_doctor.knowledge import pytorch
from attn_doctor.knowledge.wheel_key import key_of
from attn_doctor.model.facts import (
    Distribution,
    Facts,
    FlashAttention,
    Import,
    ModelFile,
    Record,
    Torch,
    Unknown,
    Variable,
    Yolo,
    all_unknown,
)
from attn_doctor.model.requirements import allows, read_requirement
from attn_doctor.model.steps import AddPip, Install, Remove, Run, RunByHand, SetVariable, Step, Uninstall, name_of

Versions = Mapping[str, str | None]  # normal name -> version; None: removed


class After(Record, frozen=True, kw_only=True):
    """Hold the predicted facts. `vague`: some step has an effect that is not known (a command, work by hand, a variable)."""

    facts: Facts
    vague: bool


def after(facts: Facts, steps: Iterable[Step], told: Mapping[int, Versions] | None = None) -> After:
    """Return the facts after these steps. `told`: the versions that the installer predicted, by the index of the step."""
    vague = False
    for place, step in enumerate(steps):
        if isinstance(step, Install | Uninstall):
            said = (told or {}).get(place)
            facts = _packages(facts, step, said)
        elif isinstance(step, SetVariable):
            facts, unclear = _variable(facts, step)
            vague = vague or unclear
        elif isinstance(step, Remove):
            facts = _without_remnants(facts, step)
        elif isinstance(step, Run | RunByHand):
            facts = _by_conda(facts, step)
            vague = True
        elif isinstance(step, AddPip):
            facts = _with(facts, "interpreter", installers=Unknown(LATER))
    return After(facts=facts, vague=vague)


def as_installed_now(facts: Facts, then: Facts) -> Facts:
    """Return the predicted facts `then`, with the packages, torch, flash-attn and ultralytics of the present `facts`.

    What only an import of torch shows (importable, its devices, ...) is taken from `then`: it stays unknown if the
    steps made it unknown.
    """
    seen = {name: getattr(then.torch, name) for name in _SEEN_OF_TORCH}
    return msgspec.structs.replace(
        then,
        packages=facts.packages,
        torch=msgspec.structs.replace(facts.torch, **seen),
        flash_attention=facts.flash_attention,
        yolo=facts.yolo,
    )


# Fields of `torch` that are known only by running torch.
_SEEN_OF_TORCH = (
    "importable",
    "fault",
    "works_without",
    "available",
    "cuda_fault",
    "cuda_error",
    "devices",
    "numpy_bridge",
    "numpy_error",
)


def _with(facts: Facts, section: str, **fields: Any) -> Facts:
    record = msgspec.structs.replace(getattr(facts, section), **fields)
    return msgspec.structs.replace(facts, **{section: record})


# --- packages


def _packages(facts: Facts, step: Install | Uninstall, told: Versions | None) -> Facts:
    listed = facts.packages.distributions
    if isinstance(listed, Unknown):
        return _touched(facts, step.names())
    ends: dict[str, str | Unknown | None] = {}
    if isinstance(step, Uninstall):
        ends = dict.fromkeys(step.names())
    elif told is not None:
        ends = dict(told)
    if isinstance(step, Install):
        for text in step.requirements:
            name = name_of(text)
            if name is not None and name not in ends:
                ends[name] = version_of(text, step, have(listed, name))
        if told is None and "torch" in ends and not step.no_deps:
            ends = {**ends, **_with_torch(ends, step, listed)}
    return _recorded(_touched(facts, ends, ends), ends, listed, removal=isinstance(step, Uninstall))


_CONDAS = ("conda", "mamba", "micromamba")
_OF_CONDA = {"pytorch": "torch", "pytorch-gpu": "torch"}


def _by_conda(facts: Facts, step: Run | RunByHand) -> Facts:
    """Return the facts after a command of conda: the versions of its packages, and of all that comes with torch, become unknown."""
    words = step.argv[2:] if step.argv[1:2] == ("install",) and step.argv[0] in _CONDAS else ()
    names = {_OF_CONDA.get(word, word) for text in words if (word := re.split("[=<>]", text)[0])}
    listed = facts.packages.distributions
    if isinstance(listed, Unknown) or "torch" not in names:
        return facts
    again = [d.name for d in listed if d.name in names or re.fullmatch("nvidia-.*|.*triton", d.name)]
    ends: dict[str, str | Unknown | None] = dict.fromkeys(("torch", *again), Unknown(LATER))
    return _recorded(_touched(facts, ends, ends), ends, listed, removal=False)


def _with_torch(
    ends: Mapping[str, str | Unknown | None], step: Install, listed: tuple[Distribution, ...]
) -> dict[str, str | Unknown | None]:
    """Return the versions of the packages that an installer adds together with a torch.

    These are the packages that torch pins, and a torchvision that fits torch. `ends`: the versions that are known so far.
    """
    made: dict[str, str | Unknown | None] = {
        d.name: Unknown(LATER) for d in listed if d.name not in ends and re.fullmatch("nvidia-.*|.*triton", d.name)
    }
    torch = ends["torch"]
    for text in step.requirements:
        if text == "torchvision" and isinstance(torch, str):
            made[text] = pytorch.torchvision_for(torch)
        elif text in ("torchvision", "torchaudio"):
            made[text] = Unknown(LATER)
    return made


def _recorded(
    facts: Facts, ends: Mapping[str, str | Unknown | None], listed: tuple[Distribution, ...], *, removal: bool
) -> Facts:
    """Put the versions into the list of packages. If the list has a package twice, its first record is removed or replaced."""
    left = list(listed)
    for name in ends:
        first = next((d for d in left if d.name == name), None)
        if first is not None:
            left.remove(first)
    come = [
        Distribution(name=name, version=version, location=Unknown(LATER), installer="pip", files_missing=0)
        for name, version in ends.items()
        if version is not None
    ]
    packages = facts.packages
    doubled = packages.duplicates
    if removal and isinstance(doubled, tuple):
        doubled = tuple(text for text in doubled if text.partition(" ")[0] not in ends)
    conflicts = packages.conflicts
    if isinstance(conflicts, tuple):
        conflicts = tuple(
            msgspec.structs.replace(c, found=_found(c.requires, c.found, ends))
            for c in conflicts
            if not _settled(c.package, c.requires, ends)
        )
    broken = packages.broken
    if isinstance(broken, tuple):
        broken = tuple(text for text in broken if canonicalize_name(text.split("-")[0].lstrip("~")) not in ends)
    return _with(
        facts,
        "packages",
        distributions=(*come, *left),
        duplicates=doubled,
        conflicts=conflicts,
        broken=broken,
    )


def _settled(package: str, requires: str, ends: Mapping[str, str | Unknown | None]) -> bool:
    """Return whether a requirement is met after the steps; True also if that is not known. `ends`: the versions after the steps."""
    if canonicalize_name(package.partition(" ")[0]) in ends:
        return True
    asked = read_requirement(requires)
    name = name_of(requires)
    if asked is None or name is None or name not in ends:
        return False
    end = ends[name]
    return isinstance(end, Unknown) or (end is not None and allows(asked.specifier, end) is True)


def _found(requires: str, found: str | None, ends: Mapping[str, str | Unknown | None]) -> str | None:
    end = ends.get(name_of(requires) or "", found)
    return end if isinstance(end, str) else None if end is None else found


# --- what depends on packages


def _touched(facts: Facts, names: Iterable[str], ends: Mapping[str, str | Unknown | None] | None = None) -> Facts:
    """Return the facts after changes to these packages: every fact that depends on one of them becomes unknown."""
    touched = set(names)
    wide = any(name in ("torch", "numpy", "triton") or name.startswith("nvidia-") for name in touched)
    before = facts
    if "torch" in touched:
        facts = msgspec.structs.replace(facts, torch=_torch(facts, (ends or {}).get("torch", Unknown(LATER))))
    elif wide or "numpy" in touched:
        facts = _with(facts, "torch", numpy_bridge=Unknown(LATER), numpy_error=Unknown(LATER), available=Unknown(LATER))
    if facts.torch.importable is not True or wide:
        facts = _if_not_to_blame_elsewhere(facts, before, touched)
    if wide:
        facts = msgspec.structs.replace(facts, binaries=Unknown(LATER))
    if "flash-attn" in touched or "flash-attn-4" in touched or "flash-attn-3" in touched:
        facts = msgspec.structs.replace(
            facts, flash_attention=_flash_attention(facts, ends or {}), binaries=Unknown(LATER)
        )
    if "ultralytics" in touched:
        facts = msgspec.structs.replace(facts, yolo=all_unknown(Yolo, LATER), models=_models(facts))
    return _imports(facts, before, touched, wide=wide)


def _models(facts: Facts) -> tuple[ModelFile, ...] | Unknown:
    """Return the weights files after ultralytics was changed.

    It is unknown whether the new ultralytics has all classes that they name.
    """
    if isinstance(facts.models, Unknown):
        return facts.models
    return tuple(msgspec.structs.replace(file, absent=Unknown(LATER)) for file in facts.models)


def _if_not_to_blame_elsewhere(facts: Facts, before: Facts, touched: set[str]) -> Facts:
    """Return the facts in which the result of importing torch is unknown, because a step changed it.

    The import stays failed if its cause is another package, which no step changes.
    """
    fault = before.torch.fault
    if before.torch.importable is False and fault is not None and _stays(before, fault, "torch", touched):
        return _with(facts, "torch", importable=False, fault=fault)
    return _with(facts, "torch", importable=Unknown(LATER), fault=None, works_without=Unknown(LATER))


def _stays(facts: Facts, fault: Any, importing: str, touched: set[str]) -> bool:
    """Return whether a fault remains after the steps, because an installed package that no step changes causes it."""
    blamed = culprit(facts, fault, importing)
    listed = facts.packages.distributions
    if blamed is None or blamed.distribution is None or isinstance(listed, Unknown):
        return False
    is_installed = any(d.name == blamed.distribution for d in listed)
    return is_installed and blamed.distribution not in touched and blamed.distribution != "torch"


def _imports(facts: Facts, before: Facts, touched: set[str], *, wide: bool) -> Facts:
    """Return the facts in which the results of imports are unknown.

    A failed import stays failed if its cause is a package that no step changes.
    """
    if isinstance(facts.imports, Unknown):
        return facts

    def again(tried: Import) -> Import:
        same = tried.ok is True and not wide and canonicalize_name(tried.module.partition(".")[0]) not in touched
        if same or (tried.fault is not None and _stays(before, tried.fault, tried.module, touched)):
            return tried
        return Import(module=tried.module, ok=Unknown(LATER))

    return msgspec.structs.replace(facts, imports=tuple(map(again, facts.imports)))


def _torch(facts: Facts, version: str | Unknown | None) -> Torch:
    """Return the facts that the version of a torch contains: "2.8.0+cu128" means CUDA 12.8.

    A version without such a part is PyPI's build, whose CUDA the tables contain.
    """
    made = all_unknown(Torch, LATER)
    if version is None:
        return msgspec.structs.replace(made, version=None, cuda=None, hip=None, shim=None, location=None)
    if isinstance(version, Unknown):
        return made
    local = version.partition("+")[2]
    cuda: Any = Unknown(LATER)
    if local.startswith("cu") and local[2:].isdigit():
        cuda = f"{local[2:-1]}.{local[-1]}"
    elif local == "cpu":
        cuda = None
    elif not local and not _another_index(facts):
        platform = key_of(facts).platform
        cuda = pytorch.pypi_cuda(version, platform) if isinstance(platform, str) else cuda
    hip: Any = Unknown(LATER) if local.startswith(("rocm", "git")) else None
    return msgspec.structs.replace(made, version=version, shim=None, cuda=cuda, hip=hip)


def _another_index(facts: Facts) -> bool:
    """Return whether the settings name an index besides PyPI, so that the installer may take a package from there."""
    names = (
        "PIP_INDEX_URL",
        "PIP_EXTRA_INDEX_URL",
        "PIP_FIND_LINKS",
        "UV_INDEX_URL",
        "UV_DEFAULT_INDEX",
        "UV_EXTRA_INDEX_URL",
    )
    listed = facts.environment
    return isinstance(listed, Unknown) or any(v.name in names for v in listed)


# The local version of an official wheel, as setup.py writes it since 2.7.0: +cu12torch2.8cxx11abiTRUE.
_OFFICIAL = re.compile(r"(?i)cu(\d{2})torch(\d+\.\d+)cxx11abi(true|false)$")


def _flash_attention(facts: Facts, ends: Mapping[str, str | Unknown | None]) -> FlashAttention:
    made = all_unknown(FlashAttention, LATER)
    old = facts.flash_attention
    fields = {"flash-attn": "version", "flash-attn-3": "fa3", "flash-attn-4": "fa4"}
    known: dict[str, Any] = {field: ends.get(name, getattr(old, field)) for name, field in fields.items()}
    if known["version"] is None:
        known |= {"modules": (), "namespace_only": False, "wheel_torch": None, "wheel_cuda": None, "wheel_abi": None}
    elif isinstance(known["version"], str):
        wheel = _OFFICIAL.search(known["version"])
        if wheel:
            known |= {"wheel_torch": wheel[2], "wheel_cuda": wheel[1], "wheel_abi": wheel[3].upper() == "TRUE"}
    return msgspec.structs.replace(made, **known)


# --- variables and files

# Variables that rules read from `facts.environment`, and that change no other fact.
_OF_BUILDS = ("MAX_JOBS", "NVCC_THREADS", "FLASH_ATTN_CUDA_ARCHS", "TORCH_CUDA_ARCH_LIST")


def _variable(facts: Facts, step: SetVariable) -> tuple[Facts, bool]:
    """Return the facts after a variable was set, and whether the effect of the variable is unknown."""
    listed = facts.environment
    if isinstance(listed, Unknown):
        return facts, True
    if next((v.value for v in listed if v.name == step.name), None) == step.value:
        return facts, False  # the variable has this value already
    others = [v for v in listed if v.name != step.name]
    new = [] if step.value is None else [Variable(name=step.name, value=step.value)]
    facts = msgspec.structs.replace(facts, environment=(*others, *new))
    if step.name in _OF_BUILDS:
        return facts, False
    return facts, True


def _without_remnants(facts: Facts, step: Remove) -> Facts:
    gone = {path.replace("\\", "/").rpartition("/")[2] for path in step.paths}
    kept = {
        field: tuple(text for text in value if text not in gone)
        for field in ("remnants", "broken")
        if isinstance(value := getattr(facts.packages, field), tuple)
    }
    return _with(facts, "packages", **kept)
