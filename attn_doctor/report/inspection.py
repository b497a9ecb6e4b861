"""Build the answer of `attn-doctor inspect` as data: for each file whether it can be loaded, and the reasons if not. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from attn_doctor.knowledge import gpu as question
from attn_doctor.knowledge.cxx_names.parser import demangle
from attn_doctor.knowledge.yes_no_unknown import Judgement
from attn_doctor.model.facts import Binary, ChosenPython, Unknown
from attn_doctor.wheels.whole import WholeWheel


def as_data(
    choice: ChosenPython,
    torch: str | None,
    records: Iterable[Binary],
    gpus: Sequence[str] = (),
    wheels: Iterable[WholeWheel] = (),
) -> dict[str, Any]:
    """Return plain data: the target, an entry for each wheel, and one for each extension.

    `torch`: the version in the target; None: it has none. `gpus`: compute capabilities, "8.9".
    """
    return {
        "target": {"python": choice.python, "why": choice.why, "torch": torch},
        "wheels": [_wheel(wheel) for wheel in wheels],
        "files": [_entry(record, gpus) for record in records],
    }


def _wheel(wheel: WholeWheel) -> dict[str, Any]:
    """Return one entry of `wheels`; its verdict is a word, as in `files`."""
    verdict = wheel.verdict if isinstance(wheel.verdict, str) else "unknown"
    return {**msgspec.to_builtins(wheel), "verdict": verdict}


def _entry(record: Binary, gpus: Sequence[str]) -> dict[str, Any]:
    """Return one entry of `files`: always the same keys, an unknown value as {"unknown": why}."""
    known = msgspec.to_builtins(record)
    needs = () if isinstance(record.needs, Unknown) else record.needs
    undefined = () if isinstance(record.undefined, Unknown) else record.undefined
    doubt = (record.verdict.why,) if isinstance(record.verdict, Unknown) else ()
    return {
        "path": record.path,
        "module": record.module,
        "verdict": record.verdict if isinstance(record.verdict, str) else "unknown",
        "cause": known["cause"],
        "because": [*doubt, *record.because],
        "missing": [{"library": n.name, "package": n.package} for n in needs if n.found is None],
        "undefined": [{"symbol": name, "name": demangle(name)} for name in undefined],
        "needs": known["needs"],
        "gpu_code": {
            "sm": known["sm"],
            "ptx": known["ptx"],
            "runs_on": {gpu: msgspec.to_builtins(runs_on(record, gpu)) for gpu in gpus},
        },
        "built_for_torch": known["built_for_torch"],
        "cxx11_abi": known["cxx11_abi"],
        "glibc": known["glibc"],
        "glibcxx": known["glibcxx"],
        "macos": known["macos"],
    }


def runs_on(record: Binary, gpu: str) -> Judgement:
    """Judge whether the GPU code of an extension runs on a compute capability ("8.9"); Unknown if it has none or it could not be read."""
    if isinstance(record.sm, Unknown) or isinstance(record.ptx, Unknown):
        return Unknown("its GPU code could not be read")
    names = [question.name(c) for c in record.sm] + [question.name(c, ptx=True) for c in record.ptx]
    return question.runs(names, gpu) if names else Unknown("it contains no GPU code")
