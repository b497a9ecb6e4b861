"""Measure predicting with the runtimes to which a model can be exported: ONNX Runtime, OpenVINO, TensorRT, CoreML, TorchScript.

Ultralytics itself exports a copy of the weights in a temporary folder, and its own AutoBackend loads the result. Each runtime has its own
process, and is measured in turn with the model in torch. Nothing is installed: missing packages are named.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from attn_doctor import child
from attn_doctor.model.facts import Fault
from attn_doctor.model.trials import Gain
from attn_doctor.prescription.changes.table import PREDICTING, variables
from attn_doctor.system import leftovers
from attn_doctor.trials.paired_rounds import Race
from attn_doctor.trials.plan import model_file
from attn_doctor.trials.process import COMMON, in_words
from attn_doctor.trials.statistics import compare, decide, interval
from attn_doctor.trials.tuning.bench import RUNTIME, SCRIPTS, Bench, Ended, Worker
from attn_doctor.trials.tuning.judged import FLOAT32, SIXTEEN_BITS, judged
from attn_doctor.trials.tuning.rows import Checked, RuntimeRow

Say = Callable[[str], None]

SHIPPED = "torch as shipped"
SECONDS = 20.0  # seconds for the rounds of the allowed runtimes; the other runtimes get the same time
ROUNDS = 9
_DAY = 24 * 3600.0
_SIXTEEN = ("bfloat16", "float16")


class Runtime(NamedTuple):
    """Describe a runtime for exported files.

    `packages`: the packages that Ultralytics requires for it (engine/exporter.py, 8.4.190).
    """

    words: str
    modules: tuple[str, ...]  # the modules that exporting and running need
    packages: tuple[str, ...]  # the packages that contain the modules
    devices: tuple[str, ...] = ("cpu",)


RUNTIMES: dict[str, Runtime] = {
    "torchscript": Runtime("TorchScript", (), (), ("cpu", "cuda")),
    "onnx": Runtime("ONNX Runtime", ("onnx", "onnxruntime"), ("onnx", "onnxruntime", "onnxslim")),
    "openvino": Runtime("OpenVINO", ("openvino",), ("openvino",)),
    "engine": Runtime("TensorRT", ("tensorrt", "onnx"), ("tensorrt", "onnx", "onnxslim"), ("cuda",)),
    "coreml": Runtime("Core ML", ("coremltools",), ("coremltools",), ("mps",)),
}


# The ending of the exported file, which ultralytics writes beside the weights (export_formats in engine/exporter.py).
_SUFFIXES = {
    "torchscript": ".torchscript",
    "onnx": ".onnx",
    "openvino": "_openvino_model",
    "engine": ".engine",
    "coreml": ".mlpackage",
}


def exported_name(weights: str, name: str) -> str:
    """Return the path of the file that `yolo export` makes from a weights file: "a.onnx" for "a.pt" and "onnx"."""
    return weights.removesuffix(".pt") + _SUFFIXES[name]


def installed(device: str, modules: Sequence[str]) -> bool:
    """Return whether the target has a runtime for this device besides torch. `modules`: the modules that were found there."""
    return any(r.modules and set(r.modules) <= set(modules) for r in fitting_formats(device).values())


def absent_rows(device: str, modules: Sequence[str]) -> tuple[RuntimeRow, ...]:
    """Return a row for each runtime of this device that was not tried, because it is not installed."""
    return tuple(
        RuntimeRow(name=r.words, format=name, missing=tuple(sorted(set(r.modules) - set(modules))))
        for name, r in fitting_formats(device).items()
        if not set(r.modules) <= set(modules)
    )


def fitting_formats(device: str) -> dict[str, Runtime]:
    """Return the runtimes for a device ("cpu", "cuda:0", "mps"), by the name of their format: {"onnx": ...}.

    Core ML is one of "mps" only.
    """
    kind = device.partition(":")[0]
    return {name: runtime for name, runtime in RUNTIMES.items() if kind in runtime.devices}


def measure(
    python: Sequence[str],
    *,
    model: str,
    device: str,
    imgsz: int,
    level: str,
    changes: Mapping[str, Any],
    timeout: float,
    say: Say,
    environ: Mapping[str, str] | None = None,
) -> tuple[RuntimeRow, ...]:
    """Export a model to each installed runtime, measure it, and return a row for each, torch first, the missing runtimes last.

    `level`: how far the results of an advised runtime are allowed to differ ("same", "rounding", "precision"). `changes`: the
    best changes for torch, which get a row too. `timeout`: the seconds without a record after which a process is ended. Raises
    Ended if even torch does not run, and OSError if the interpreter cannot be started.
    """
    with tempfile.TemporaryDirectory(dir=leftovers.folder()) as folder:
        config = {
            "model": model_file(model),
            "device": device,
            "imgsz": imgsz,
            "seed": 0,
            "contiguous": [],
            "folder": folder,
        }
        exported = _export(python, config, timeout=timeout, say=say, environ=environ)
        if exported.weights is None:
            raise Ended(exported.faults.get("export", "the weights could not be saved"))
        config["model"] = exported.weights
        with Bench(python, {**config, "batch": 1}, timeout=timeout, environ=environ) as bench:
            return _measured(bench, exported, changes, level, say)


class _Exported(NamedTuple):
    weights: str | None
    absent: dict[str, list[str]]
    files: dict[str, tuple[str, float]]  # format -> (path, seconds)
    faults: dict[str, str]


def _export(
    python: Sequence[str], config: Mapping[str, Any], *, timeout: float, say: Say, environ: Mapping[str, str] | None
) -> _Exported:
    formats = {name: list(runtime.modules) for name, runtime in fitting_formats(config["device"]).items()}

    def tell(message: child.Message) -> None:
        if message.at == "begin" and message.section.startswith("export "):
            say(f"exporting: {message.section.removeprefix('export ')}")

    outcome = child.run(
        python,
        (COMMON[0], *SCRIPTS, "target/runtimes_export.py"),
        config={**config, "formats": formats, "cores": []},
        deadline=_DAY,
        quiet=max(timeout, 600.0),  # TensorRT tries kernels for minutes
        environ=environ,
        changes=child.harmless(str(config["folder"])),
        on_message=tell,
    )
    faults = {
        m.section.removeprefix("export "): in_words(Fault(**m.data)) for m in outcome.messages if m.at == "raised"
    }
    if outcome.fault and outcome.open_section:
        faults[outcome.open_section.removeprefix("export ")] = in_words(outcome.fault)
    saved = outcome.facts("saved")
    return _Exported(
        saved[0]["path"] if saved else None,
        (outcome.facts("absent") or [{}])[0],
        {fact["format"]: (fact["path"], fact["seconds"]) for fact in outcome.facts("exported")},
        faults,
    )


class _Entry(NamedTuple):
    row: RuntimeRow
    worker: Worker
    settings: dict[str, Any]

    def ask(self, do: str) -> dict[str, Any]:
        try:
            return self.worker.ask(do=do, what=PREDICTING, settings=self.settings)
        except Ended as error:
            return {"failed": f"the process ended: {error}"}


def _measured(
    bench: Bench, exported: _Exported, changes: Mapping[str, Any], level: str, say: Say
) -> tuple[RuntimeRow, ...]:
    torch = bench.worker({})
    entries = {SHIPPED: _Entry(RuntimeRow(name=SHIPPED), torch, {})}
    if changes:
        given: dict[str, str] = {}
        for change, value in changes.items():
            given.update(variables(change, value))
        name = "torch with " + ", ".join(changes)
        entries[name] = _Entry(RuntimeRow(name=name), bench.worker(given, changes.get("pinning") or ()), dict(changes))
    lost: list[RuntimeRow] = []
    for name, runtime in RUNTIMES.items():
        if exported.absent.get(name):
            lost.append(RuntimeRow(name=runtime.words, format=name, missing=tuple(exported.absent[name])))
        elif name in exported.files:
            for row, worker in _workers(bench, name, runtime, exported.files[name]):
                entries[row.name] = _Entry(row, worker, {})
        elif name in exported.faults:
            checked = Checked(status="failed", reason=f"the export failed: {exported.faults[name]}")
            lost.append(RuntimeRow(name=runtime.words, format=name, checked=checked))
    told = {name: entry.ask("about") for name, entry in entries.items()}
    if told[SHIPPED].get("failed"):
        raise Ended(told[SHIPPED]["failed"])
    rows: dict[str, RuntimeRow] = {}
    for name, entry in entries.items():
        say(f"predicting: checking {name}")
        precision = told[name].get("precision")
        most = SIXTEEN_BITS if precision in _SIXTEEN or "bf16" in entry.settings else FLOAT32
        seen = told[name] if told[name].get("failed") else entry.ask("check")
        checked = judged((), seen, rows[SHIPPED].checked if rows else None, most)
        rows[name] = msgspec.structs.replace(entry.row, precision=precision, checked=checked)
    right = [name for name in rows if name == SHIPPED or rows[name].checked.status == "ok"]
    # Runtimes that are not allowed are measured in separate rounds, so that an allowed one is never dropped because of them.
    first = [name for name in right if name == SHIPPED or _is_allowed(rows[name], level)]
    second = [SHIPPED, *(name for name in right if name not in first)]
    done = _with_times({name: rows[name] for name in first}, _race({n: entries[n] for n in first}, say))
    if len(second) > 1:
        others = _with_times({name: rows[name] for name in second}, _race({n: entries[n] for n in second}, say))
        done += [row for row in others if row.name != SHIPPED]
    wrong = [row for name, row in rows.items() if name not in right]
    return (*_with_advice(done, level), *wrong, *lost)


def _workers(bench: Bench, name: str, runtime: Runtime, file: tuple[str, float]) -> list[tuple[RuntimeRow, Worker]]:
    path, seconds = file
    ways = [(runtime.words, False)]
    if name == "openvino":
        ways.append((f"{runtime.words}, kept to float32", True))
    return [
        (
            RuntimeRow(name=words, format=name, export_seconds=round(seconds, 1), by_argument=not float32),
            bench.worker({}, script=RUNTIME, path=str(Path(path)), float32=float32),
        )
        for words, float32 in ways
    ]


def _race(entries: Mapping[str, _Entry], say: Say) -> Race:
    import time

    for entry in entries.values():
        entry.ask("time")  # a warm-up
    race = Race(list(entries), SHIPPED, ROUNDS, SECONDS, fixed=False)
    began = time.monotonic()
    another = bool(entries)
    while another:
        for name in list(race.left):
            say(f"predicting: measuring {name}")
            taken = entries[name].ask("time").get("ms")
            if isinstance(taken, (int, float)):
                race.add(name, float(taken))
            else:
                race.failed(name)
        another = race.end_round(time.monotonic() - began)
    return race


def _with_times(rows: Mapping[str, RuntimeRow], race: Race) -> list[RuntimeRow]:
    base = race.times.get(SHIPPED, [])
    whole = [name for name, taken in race.times.items() if name != SHIPPED and taken and len(taken) == len(base)]
    others = [name for name, taken in race.times.items() if name != SHIPPED and taken and name not in whole]
    gains: dict[str, Gain] = dict(
        zip(whole, decide([compare(base, race.times[name]) for name in whole], race.level, len(others)), strict=True)
    )
    for name in others:
        short = compare(base[: len(race.times[name])], race.times[name])
        gains[name] = msgspec.structs.replace(short, verdict="dropped")
    made = []
    for name, row in rows.items():
        taken = race.times.get(name) or []
        times = interval(taken) if taken else None
        made.append(msgspec.structs.replace(row, ms=times, gain=gains.get(name), samples=tuple(taken)))
    return made


def _is_allowed(row: RuntimeRow, level: str) -> bool:
    """Return whether a runtime can be advised: `yolo predict` can use it, and it changes numbers no more than `level` allows."""
    if row.precision in _SIXTEEN and level != "precision":
        return False
    return row.by_argument and (row.format is None or level != "same")


def _with_advice(rows: Sequence[RuntimeRow], level: str) -> list[RuntimeRow]:
    """Mark the fastest runtime whose numbers are right, that is allowed, and that is certainly faster than the model in torch."""
    fit = [
        row
        for row in rows
        if row.checked.status == "ok" and _is_allowed(row, level) and row.gain and row.gain.verdict == "faster"
    ]
    best = max(fit, key=lambda row: row.gain.ratio if row.gain else 0.0, default=None)
    return [msgspec.structs.replace(row, advised=row is best) for row in rows]
