"""Choose the changes of the table that fit a machine, and their values. Pure, except that allocators are searched for on the disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from attn_doctor.model.facts import Facts
from attn_doctor.prescription.changes.table import CHANGES, PRELOADED, is_allowed
from attn_doctor.trials.tuning.rows import NotTried

_FOLDERS = ("lib", "lib64", "usr/lib", "usr/lib64", "usr/local/lib", "usr/local/lib64", "opt/homebrew/lib")
_PATTERNS = {
    "tcmalloc": ("libtcmalloc_minimal.so*", "libtcmalloc.so*"),
    "jemalloc": ("libjemalloc.so*",),
}


class Fitting(NamedTuple):
    """Hold the changes that fit, with their values, and the changes that do not fit, with the reason."""

    values: dict[str, Any]
    not_tried: tuple[NotTried, ...]


def fitting(
    facts: Facts,
    about: Mapping[str, Any],
    *,
    what: str,
    device: str,
    attention: str | None,
    level: str,
    asked: Sequence[str] = (),
    libraries: Mapping[str, str] | None = None,
) -> Fitting:
    """Return the changes that fit this machine for one kind of pass, in the order of the table.

    `what`: "training" or "predicting". `about`: the properties that a process of the target reported (target/tuning_worker.py).
    `attention`: the best backend of a trial. `level`: how far the numbers are allowed to change; changes of the kind "precision"
    are always measured, but combined only if the level allows it. `asked`: the slow changes that the user named. `libraries`: the
    installed allocators, see `allocators`.
    """
    values: dict[str, Any] = {}
    missing: list[NotTried] = []
    for name, change in CHANGES.items():
        if what not in change.passes:
            continue
        found = _value(name, _Here(facts, about, device, attention, libraries or {}))
        if isinstance(found, _Not):
            missing.append(NotTried(change=name, why=found.why))
        elif change.slow and name not in asked:
            missing.append(NotTried(change=name, why=f"it takes minutes before it helps: --try {name} measures it"))
        elif not is_allowed(name, level) and change.numbers == "rounding":
            missing.append(
                NotTried(change=name, why="it changes the order of float32 sums: --allow rounding measures it")
            )
        else:
            values[name] = found
    return Fitting(values, tuple(missing))


class _Not(NamedTuple):
    why: str


class _Here(NamedTuple):
    facts: Facts
    about: Mapping[str, Any]
    device: str
    attention: str | None
    libraries: Mapping[str, str]


def _value(name: str, here: _Here) -> Any:
    facts, about, device, attention, libraries = here
    on_cpu, on_cuda = device == "cpu", device.startswith("cuda")
    if name == "attention":
        return attention if attention not in (None, "eager") else _Not("no other backend is right and faster here")
    if name in ("cudnn-benchmark", "tf32", "nondeterministic", "half"):
        return True if on_cuda else _Not("it needs an NVIDIA GPU")
    if name == "compile":
        return True if about.get("compiler") else _Not("there is no C++ compiler")
    if name == "channels-last":
        return True
    if name == "bf16":
        return _bf16(facts, on_cpu=on_cpu, on_cuda=on_cuda)
    if not on_cpu:
        return _Not(f"it helps only on a CPU, and the model runs on {device}")
    if name == "threads":
        physical, now = len(about["cores"]), about["threads"]
        return (
            physical
            if physical > now
            else _Not(f"ultralytics uses {now} threads, and {physical} physical cores are available")
        )
    if name == "pinning":
        return _cores(about)
    if name == "heap":
        glibc = isinstance(facts.system.glibc, str)
        return True if glibc else _Not("the C library is not glibc")
    if name in PRELOADED:
        return libraries.get(name) or _Not("it is not installed")
    if name == "huge-pages":
        return True if facts.system.os == "linux" else _Not("only Linux has them")
    raise AssertionError(name)


def _bf16(facts: Facts, *, on_cpu: bool, on_cuda: bool) -> Any:
    if on_cuda:
        return True
    if not on_cpu:
        return _Not("it needs a CPU or an NVIDIA GPU")
    if facts.cpu.amx is True or facts.cpu.bf16 is True:
        return True
    return _Not("the processor has neither AMX nor AVX512-BF16: bfloat16 would be slower")


def _cores(about: Mapping[str, Any]) -> Any:
    """Return one hardware thread of each physical core of one memory node.

    Pinning helps only if a thread could also run on a second memory node, or on the second hardware thread of a core.
    """
    nodes: list[list[int]] = about["nodes"]
    groups: list[list[int]] = about["cores"]
    shared = any(len(group) > 1 for group in groups)
    if len(nodes) < 2 and not shared:
        return _Not("there is one memory node, and no core is shared by two hardware threads")
    largest = sorted(nodes, key=len)[-1:] if len(nodes) > 1 else groups
    node = {core for some in largest for core in some}
    return [min(node.intersection(group)) for group in groups if node.intersection(group)]


def allocators(root: str, prefix: str | None) -> dict[str, str]:
    """Return the installed allocators with their libraries: {"tcmalloc": "/usr/lib/libtcmalloc.so.4"}.

    Searches below the folder `root` and in the environment at `prefix` (None: in none), and prefers the environment.
    """
    places = [Path(prefix) / "lib"] if prefix else []
    for folder in _FOLDERS:
        place = Path(root) / folder
        places += [place, *sorted(place.glob("*-linux-*"))]
    found: dict[str, str] = {}
    for name, patterns in _PATTERNS.items():
        files = [file for pattern in patterns for place in places for file in sorted(place.glob(pattern))]
        if files:
            found[name] = str(files[0])
    return found
