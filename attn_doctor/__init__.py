"""An environment doctor for FlashAttention, SDPA and YOLOv12.

report = attn_doctor.examine(target="/path/to/python", trial=False)

with attn_doctor.attention("sdpa-flash"):
    YOLO("yolo12n.pt").train(...)
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing would cost --version more than Python itself does
if TYPE_CHECKING:
    from typing import Any

    from attn_doctor.report.model import Report

__version__ = "0.1.0"
__all__ = ["__version__", "examine"]


def examine(**options: Any) -> Report:
    """Examine a target and return the report; nothing is printed.

    The options are the fields of `attn_doctor.examination.Options`: target, goal, static, trial, trials, logs, facts,
    timeout, fail_on, ignore. Raises ValueError for a request that cannot be met and
    `attn_doctor.probes.gather.NoAnswer` for a target that does not answer at all.
    """
    from attn_doctor.examination import Options
    from attn_doctor.examination import examine as run

    return run(Options(**options))
