"""Decide one verdict for a wheel: the verdict of its main extensions. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from attn_doctor.model.facts import Binary, BinaryVerdict, Record, Unknown

_SHOWN = 3  # needs in one sentence
_ROCM = re.compile(r"lib(?:amdhip64|hip\w*|roc\w+|rccl|MIOpen)\.so")


class WholeWheel(Record, frozen=True, kw_only=True):
    """Hold the verdict on a wheel. The main extensions are those without which the package cannot be imported."""

    path: str
    verdict: BinaryVerdict | Unknown | None  # None: it has no compiled extension
    summary: str  # a sentence without its capital and its full stop
    main: tuple[str, ...]  # modules
    optional: int  # extensions beside them
    failing: tuple[str, ...]  # those of them that would not load


def parted(records: Sequence[Binary]) -> tuple[list[Binary], list[Binary]]:
    """Return (main extensions, others). The main ones are those at the top level, and a package's _C.

    If there are none of these, all are main. One exception: an extension that cannot be loaded is optional if it has a sibling
    that can. Example: bitsandbytes has a library for each CUDA, and loads one of them.
    """
    main = [r for r in records if "." not in r.module or re.fullmatch(r"\w+\._C(_\w+)?", r.module)]
    if not main:
        served = {_siblings(r.module) for r in records if r.verdict == "loads"}
        main = [r for r in records if r.verdict != "fails" or _siblings(r.module) not in served]
    return main, [r for r in records if r not in main]


def _siblings(module: str) -> str:
    """Return a key that is equal for libraries of which a program loads only one.

    For a module named lib...: its folder. For any other module: its name without digits.
    """
    folder, _, name = module.rpartition(".")
    return f"{folder}.lib" if name.startswith("lib") else re.sub(r"\d+", "", module)


def whole(path: str, records: Sequence[Binary]) -> WholeWheel:
    """Judge a wheel by the records of its extensions. A wheel that cannot be read has one record, with its own path."""
    main, others = parted(records)
    failing = [record for record in others if record.verdict == "fails"]
    verdict, words = _of_main(main)
    optional = _of_others(others, failing) if verdict == "loads" else ""
    return WholeWheel(
        path=path,
        verdict=verdict,
        summary=words + optional,
        main=tuple(record.module for record in main),
        optional=len(others),
        failing=tuple(record.module for record in failing),
    )


def _of_main(main: Sequence[Binary]) -> tuple[BinaryVerdict | Unknown | None, str]:
    its = "its main extension" if len(main) == 1 else f"its {len(main)} main extensions"
    bad = next((record for record in main if record.verdict == "fails"), None)
    if bad is not None:
        why = bad.because[0] if bad.because else "the reason is not known"
        if bad.cause in ("wheel-tag", "damaged"):
            return "fails", why
        named = its if len(main) == 1 else f"its extension {bad.module}"
        return "fails", f"{named} would not load: {why}"
    doubt = next((record.verdict for record in main if isinstance(record.verdict, Unknown)), None)
    if doubt is not None:
        return doubt, f"whether {its} would load is not known: {doubt.why}"
    if all(record.verdict is None for record in main):
        return None, main[0].because[0] if main and main[0].because else "it holds no compiled extension"
    return "loads", f"{its} would load"


def _of_others(others: Sequence[Binary], failing: Sequence[Binary]) -> str:
    """Return a part of a sentence about the optional extensions: "; 2 of 18 optional ones would not, and need CUDA 12"."""
    if not others:
        return ""
    unknown = sum(isinstance(record.verdict, Unknown) for record in others)
    doubt = f"; of {unknown} it is not known" if unknown else ""
    if not failing:
        if unknown:
            return f"; {len(others) - unknown} of {len(others)} optional ones too{doubt}"
        return ", and the optional one too" if len(others) == 1 else f", and all {len(others)} optional ones too"
    needs = list(dict.fromkeys(need for record in failing for need in _needs(record)))
    more = f" and {len(needs) - _SHOWN} more" if len(needs) > _SHOWN else ""
    verb = "needs" if len(failing) == 1 else "need"
    lacking = f", and {verb} {', '.join(needs[:_SHOWN])}{more}" if needs else ""
    return f"; {len(failing)} of {len(others)} optional ones would not{lacking}{doubt}"


def _needs(record: Binary) -> Iterator[str]:
    """Yield what an extension needs that cannot be loaded, in one or two words each: "CUDA 12", "libav.so.61", "torch 2.7"."""
    for need in () if isinstance(record.needs, Unknown) else record.needs:
        if need.found is None:
            cuda = re.search(r"-cu(\d\d)$", need.package) if isinstance(need.package, str) else None
            yield f"CUDA {cuda[1]}" if cuda else "ROCm" if _ROCM.match(need.name) else need.name
    if record.cause in ("torch-version", "cxx11-abi") and isinstance(record.built_for_torch, str):
        yield record.built_for_torch
    elif record.cause == "cxx11-abi":
        yield "the other C++ ABI"
    elif record.cause == "glibc" and isinstance(record.glibc, str):
        yield f"glibc {record.glibc}"
    elif record.cause == "glibcxx" and isinstance(record.glibcxx, str):
        yield f"GLIBCXX {record.glibcxx}"
