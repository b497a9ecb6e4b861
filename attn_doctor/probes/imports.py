"""Import torch, ultralytics and the extensions for attention in a child of the target, and make records of the results."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from attn_doctor import child
from attn_doctor.model.facts import Fault, Import, Interpreter, Torch, Unknown, Yolo
from attn_doctor.probes import second_look
from attn_doctor.probes.ask import describe
from attn_doctor.probes.torch import GPU_LIBRARY
from attn_doctor.system import leftovers


class Target(NamedTuple):
    """Describe the interpreter that imports, and the longest time without an answer (`timeout`, seconds)."""

    python: str
    environ: Mapping[str, str]
    timeout: float
    on_slow: Callable[[str], None] | None = None


def import_everything(target: Target) -> child.Outcome:
    """Import torch, ultralytics and the extensions for attention (target/imports.py lists them), and return their records.

    On Windows, which has no fork, each module but numpy and torch gets a child of its own. If the interpreter cannot be started, the
    result is empty.
    """
    try:
        outcome = _imports(target)
        for message in [m for m in outcome.messages if m.at == "later"]:  # Windows has no fork
            alone = _imports(target, only=[message.section])
            outcome.messages.extend(m for m in alone.messages if m.section == message.section)
            if alone.fault and alone.open_section == message.section:
                lost = {"module": message.section, "ok": False, "fault": msgspec.to_builtins(alone.fault)}
                outcome.messages.append(child.Message("fact", message.section, lost))
    except OSError:  # the inventory fails in the same way, and reports it
        return child.Outcome([], None, "", None, 0.0, None)
    return outcome


def _imports(
    target: Target,
    changes: Mapping[str, str | None] | None = None,
    only: Sequence[str] | None = None,
    deadline: float | None = None,
    stop: threading.Event | None = None,
) -> child.Outcome:
    """Import all modules, or only those in `only`, in a child. Raises OSError if the interpreter does not start."""
    quiet = min(target.timeout, deadline or target.timeout)
    with tempfile.TemporaryDirectory(dir=leftovers.folder()) as folder:
        return child.run(
            [target.python],
            ["target/channel.py", "target/forks.py", "target/late_imports.py", "target/imports.py"],
            config={
                "each": quiet * 0.9,  # seconds for each module, less than for the whole child
                "only": list(only) if only else None,
                "ultralytics_environment": child.harmless(folder),
                "libraries": GPU_LIBRARY,
            },
            deadline=deadline or target.timeout * 4,
            quiet=quiet,
            environ=target.environ,
            changes=changes,
            on_slow=None if only else target.on_slow,
            stop=stop,
        )


def look_again(target: Target, torch: Torch, imports: tuple[Import, ...], *, user_site: bool) -> dict[str, str | None]:
    """Return {module: setting without which its import works} for the failed imports: "PYTHONPATH"; None if there is no such setting.

    Starts no child if every import worked.
    """
    lost = [i.module for i in imports if i.ok is False]
    if torch.importable is False:
        lost = ["torch"]  # without torch no other module can be judged
    good = [i.seconds for i in imports if i.ok is True and isinstance(i.seconds, (int, float))]
    return second_look.look_again(
        lost,
        second_look.ways(target.environ, user_site=user_site),
        lambda changes, only, deadline, stop: _imports(target, changes, only, deadline, stop),
        good_seconds=max(good, default=None),
    )


def shadows_loaded(interpreter: Interpreter, outcome: child.Outcome) -> tuple[str, ...] | Unknown:
    """Return the files of the current folder whose module torch or ultralytics really loads: "queue.py", "torch/".

    Unknown if no import showed which modules are loaded.
    """
    if isinstance(interpreter.shadowed_here, Unknown):
        return interpreter.shadowed_here
    loaded = {name for names in outcome.facts("loaded") for name in names}
    for message in outcome.messages:
        if message.at == "fact" and isinstance(message.data, dict):
            loaded.update(message.data.get("loaded") or ())
    if not loaded:
        return Unknown("torch did not import, so nobody saw which modules it loads")
    return tuple(name for name in interpreter.shadowed_here if name.rstrip("/").partition(".")[0] in loaded)


def imported(outcome: child.Outcome) -> tuple[Import, ...]:
    """Return a record for each import. The import that was running when the child died has a record too."""
    records = [
        _import_record(m.data)
        for m in outcome.messages
        if m.at == "fact" and isinstance(m.data, dict) and isinstance(m.data.get("module"), str)
    ]
    open_section = outcome.open_section
    if outcome.fault and open_section and open_section not in ("torch", "torch facts", "cuda"):
        records.append(Import(module=open_section, ok=False, fault=outcome.fault))
    return tuple(records)


def _import_record(data: dict[str, Any]) -> Import:
    try:
        return msgspec.convert(data, Import)
    except msgspec.ValidationError as error:
        message = f"the target's record of the import cannot be understood ({error})"
        return Import(module=data["module"], ok=False, fault=Fault(kind="raised", type="BadRecord", message=message))


def behind_the_fork(yolo: Yolo, imports: tuple[Import, ...]) -> Yolo:
    """Return the record of ultralytics with the error that the yolov12 fork hides when flash_attn cannot be imported.

    The error is the one of our own import of flash_attn. The record of any other ultralytics is returned unchanged.
    """
    if yolo.kind != "fork":
        return yolo
    attempt = next((i for i in imports if i.module == "flash_attn"), None)
    if attempt is None:
        return msgspec.structs.replace(yolo, flash_error="ModuleNotFoundError: No module named 'flash_attn'")
    error = describe(attempt.fault) if attempt.fault else None
    return msgspec.structs.replace(yolo, flash_error=error)
