"""An environment doctor for FlashAttention, SDPA and YOLOv12.

report = attn_doctor.examine(target="/path/to/python", trial=False)

with attn_doctor.attention("sdpa-flash"):
    YOLO("yolo12n.pt").train(...)
"""

# No `from __future__ import annotations`: __future__ is a module like any other, and sys.path is not clean yet (see own_path).
TYPE_CHECKING = False  # `import typing` would take longer than all the rest of --version
if TYPE_CHECKING:
    from typing import Any

    from attn_doctor.prescription.prescribe import Attention
    from attn_doctor.prescription.prescribed import Prescribed
    from attn_doctor.report.notebook import Examination

__version__ = "0.1.0"
__all__ = ["__version__", "attention", "examine"]


def examine(**options: "Any") -> "Examination":
    """Examine a target and return the report; nothing is printed. As the last line of a notebook's cell, the report shows itself.

    The options are the fields of `attn_doctor.examination.Options`: target, goal, static, trial, trials, logs, facts,
    timeout, fail_on, ignore, environ. Raises ValueError for a request that cannot be met and
    `attn_doctor.errors.NoAnswer`, a RuntimeError, for a target that does not answer or is not a Python.
    """
    from attn_doctor.examination import Options, examine_for_a_program
    from attn_doctor.report.notebook import shown

    return shown(examine_for_a_program(Options(**options)))


def attention(backend: str = "auto", device: "str | None" = None) -> "Attention | Prescribed":
    """Replace the YOLO attention of this process by a backend, for a `with` block or until `restore()`.

    Each kind of call is checked first: its numbers are compared with float64.

    `backend`: a name of attn-doctor's ("sdpa-flash", ...), "auto", or "prescribed". `device`: the device on which it is checked.
    "prescribed" applies the prescription that `attn-doctor trial --tune` made for this machine, as far as a running process can
    change it; `.left_out` of the result lists the rest, with reasons. Weights and checkpoints are not changed. Imports torch and
    ultralytics. Raises as `attn_doctor.prescription.prescribe` and `.prescribed` do.
    """
    if backend == "prescribed":
        from attn_doctor.prescription.prescribed import apply

        return apply(device=device)
    from attn_doctor.prescription.prescribe import prescribe

    return prescribe(backend, device)
