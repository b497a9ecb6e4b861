"""Run nvidia-smi if NVML gave no answer: read its table of GPUs, or its message if it fails.

It can hang in the kernel, so it has a deadline of a few seconds.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from typing import NamedTuple

from attn_doctor import child
from attn_doctor.model.facts import Flag, Gpu, GpuClocks, GpuHealth, Number, Real, Text, Unknown, all_unknown
from attn_doctor.probes.nvml import NO_HEALTH, ended

# Old drivers lack the last fields, and then refuse the whole query.
_COLUMNS = ("index", "name", "uuid", "memory.total", "memory.free", "power.limit")
_NEWER = ("ecc.mode.current", "mig.mode.current", "compute_cap")
_ABSENT = ("[n/a]", "n/a", "[not supported]", "not supported")


class Answer(NamedTuple):
    """Hold the values that nvidia-smi printed. `error` is None if it worked, Unknown if it was not asked."""

    error: Text
    driver: Text  # "580.65.06"
    cuda: Text  # the newest CUDA that the driver supports: "13.0"
    gpus: tuple[Gpu, ...] | Unknown


def not_asked(because: str) -> Answer:
    """Return the answer of an nvidia-smi that was not run: every value is Unknown, with this reason."""
    why = Unknown(f"nvidia-smi was not asked: {because}")
    return Answer(why, why, why, why)


def ask(program: str, environ: Mapping[str, str], deadline: float) -> Answer:
    """Run nvidia-smi for a table of values, once more with fewer columns if it refuses the table, and then for its default output.

    After a run that hangs or crashes it is not run again. `program`: its path. `deadline`: seconds for each run.
    """
    rows: list[dict[str, str]] | None = None
    for columns in ((*_COLUMNS, *_NEWER), _COLUMNS):
        argv = [program, f"--query-gpu={','.join(columns)}", "--format=csv,noheader,nounits"]
        answer = child.command(argv, deadline=deadline, environ=environ)
        if answer.fault is None:
            rows = table(columns, answer.stdout)
            break
        if answer.fault.kind != "exited":
            return _failed(ended(answer.fault))
    plain = child.command([program], deadline=deadline, environ=environ)
    if plain.fault:
        words = (plain.stdout.strip() or plain.stderr.strip()).splitlines()
        return _failed(words[0].strip() if words else ended(plain.fault))
    # "CUDA UMD Version" and "KMD Version" since driver 610: https://docs.nvidia.com/deploy/nvidia-smi/index.html
    shown = re.search(r"CUDA (?:UMD )?Version:\s*(\d+\.\d+)", plain.stdout)
    driver = re.search(r"(?:Driver|KMD) Version:\s*(\d+(?:\.\d+)+)", plain.stdout)
    return Answer(
        error=None,
        driver=driver[1] if driver else Unknown("nvidia-smi shows none"),
        cuda=shown[1] if shown else Unknown("nvidia-smi shows none"),
        gpus=tuple(_gpu(row) for row in rows) if rows is not None else Unknown("nvidia-smi gives no table"),
    )


def _failed(error: str) -> Answer:
    why = Unknown(f"nvidia-smi: {error}")
    return Answer(error, why, why, why)


def table(columns: tuple[str, ...], text: str) -> list[dict[str, str]] | None:
    """Return the rows of nvidia-smi's CSV output, each as column -> value; None if the text is no such table."""
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines()) if row]
    except csv.Error:  # a NUL, or a cell of more than 128 kB
        return None
    if any(len(row) != len(columns) or not re.fullmatch(r"\d{1,9}", row[0], re.ASCII) for row in rows):
        return None
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _gpu(row: Mapping[str, str]) -> Gpu:
    def number(column: str, scale: int = 1) -> Real:
        text = row[column]
        if re.fullmatch(r"\d{1,15}(\.\d+)?", text, re.ASCII):
            return float(text) * scale
        return None if text.lower() in _ABSENT else Unknown(f"nvidia-smi says {text!r}")

    def count(column: str, scale: int) -> Number:
        value = number(column, scale)
        return int(value) if isinstance(value, float) else Unknown(f"nvidia-smi says {row[column]!r}")

    def flag(column: str) -> Flag:
        if column not in row:
            return Unknown("this nvidia-smi is too old to report it")
        known = {"enabled": True, "disabled": False, **dict.fromkeys(_ABSENT)}
        return known.get(row[column].lower(), Unknown(f"nvidia-smi says {row[column]!r}"))

    capability = row.get("compute_cap", "")
    return Gpu(
        index=int(row["index"]),
        name=row["name"],
        compute_capability=capability
        if re.fullmatch(r"\d+\.\d", capability)
        else Unknown("this nvidia-smi is too old to report it"),
        memory_bytes=count("memory.total", 1024**2),
        free_bytes=count("memory.free", 1024**2),
        uuid=row["uuid"],
        mig=flag("mig.mode.current"),
        mig_slices=Unknown("only NVML reports it"),
        ecc=flag("ecc.mode.current"),
        power_limit_watts=number("power.limit"),
        bus_id=Unknown(NO_HEALTH),
        health=all_unknown(GpuHealth, NO_HEALTH),
        clocks=all_unknown(GpuClocks, NO_HEALTH),
    )
