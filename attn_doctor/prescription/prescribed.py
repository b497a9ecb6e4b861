"""Apply the prescription of `trial --tune` in this process: attention, threads, layout of the images and autocast, and undo it.

For the user's own program, like `prescribe`: the standard library, torch, `changes` and `exchange` only, Python 3.8.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from attn_doctor.prescription import prescription_file
from attn_doctor.prescription.changes.apply import Applied, structure_of
from attn_doctor.prescription.changes.table import CHANGES, PREDICTING, TRAINING
from attn_doctor.prescription.prescribe import AS_INSTALLED, AUTO, prescribe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from attn_doctor.prescription.prescribe import Attention


class Prescribed:
    """Control a prescription that is active in this process. It ends with its `with` statement, or at `restore()`."""

    def __init__(self, attention: Attention, applied: Applied, left_out: Iterable[tuple[str, str]]) -> None:
        self._attention = attention
        self._applied = applied
        self.left_out = dict(left_out)  # change -> why it is not active

    @property
    def backend(self) -> str:
        """Return the backend that computed the last attention, see `Attention.backend`."""
        return self._attention.backend

    @property
    def changes(self) -> dict[str, dict[str, Any]]:
        """Return the changes that are active, with their values: {"training": {"threads": 8}, "predicting": {}}."""
        return {TRAINING: dict(self._applied.settings[True]), PREDICTING: dict(self._applied.settings[False])}

    def restore(self) -> None:
        """Undo the prescription: restore the attention, the number of threads and every other setting."""
        self._applied.stop()
        self._attention.restore()

    def __enter__(self) -> Prescribed:
        return self

    def __exit__(self, *error: object) -> None:
        self.restore()

    def __repr__(self) -> str:
        return f"<attn_doctor.attention, prescribed, {self.changes!r}, left out {self.left_out!r}>"


def attention_of(prescription: Mapping[str, Any], without: Iterable[str] = ()) -> str:
    """Return the name of the backend to request; "auto" if training and predicting have different backends.

    `without`: names of changes to leave out. With "attention" among them, the result is the installed attention
    ("eager").
    """
    if "attention" in without:
        return AS_INSTALLED
    named = {prescription[what].get("attention", AS_INSTALLED) for what in (TRAINING, PREDICTING)}
    return next(iter(named)) if len(named) == 1 else AUTO


def apply(
    path: Path | None = None,
    device: str | None = None,
    *,
    without: Iterable[str] = (),
    now: bool = True,
    say: Callable[[str], None] | None = None,
) -> Prescribed:
    """Apply a prescription in this process until `restore`; by default the newest one of `trial --tune`.

    A running process cannot make every change: its allocator, its cores and the arguments of ultralytics stay.
    `left_out` of the result lists these changes with reasons. In a model of another structure only the attention is
    changed, after a check of the numbers for that model. `path`: the file of the prescription. `without`: names of
    changes to leave out. `device`, `now`, `say`: as for `prescribe`.

    Raises `prescription_file.Refused` for a prescription of another machine or torch, and the errors of `prescribe`.
    """
    without = tuple(without)
    found = prescription_file.read(path)
    prescription_file.refuse_other_torch(found, str(torch.__version__))
    attention = prescribe(attention_of(found, without), device, now=now, say=say)
    try:
        applied = in_process(found, without, say)
        applied.start()
    except BaseException:
        attention.restore()
        raise
    left = [(name, why) for name, why in prescription_file.left_out(found, os.environ) if name not in without]
    return Prescribed(attention, applied, [*left, *((name, "switched off") for name in without)])


def in_process(
    prescription: Mapping[str, Any], without: Iterable[str] = (), say: Callable[[str], None] | None = None
) -> Applied:
    """Return the changes of a prescription that are made inside a process, all but the attention. They are not yet active.

    They act only on a model of the structure, and on the GPU, of the prescription. `say` gets a sentence that says whether they do.
    """
    model = prescription.get("model") or {}

    said: set[str] = set()

    def fits(subject: Any) -> bool:
        right = structure_of(subject) == model.get("structure")
        gpu = prescription.get("gpu")
        if right and gpu and torch.cuda.is_initialized() and torch.cuda.get_device_name() != gpu:
            text = f"the prescription is for another GPU ({gpu}): only attention is exchanged"
            if say is not None and text not in said:
                said.add(text)
                say(text)
            return False
        text = (
            f"the prescription for {model.get('name')} is in force"
            if right
            else f"this {type(subject).__name__} is another model than that of the prescription ({model.get('name')}): "
            "only its attention is exchanged"
        )
        if say is not None and text not in said:  # a training has several copies of its model
            said.add(text)
            say(text)
        return right

    chosen = {
        what: {
            name: value
            for name, value in prescription[what].items()
            if CHANGES[name].how == "call" and name != "attention" and name not in without
        }
        for what in (TRAINING, PREDICTING)
    }
    device = str(prescription.get("device", "cpu")).partition(":")[0]
    return Applied(chosen[TRAINING], chosen[PREDICTING], fits, device)
