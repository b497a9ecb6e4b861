"""Cure a DLL of Windows that was found and whose start failed (WinError 1114): another release of its package starts on the same machine. Pure.

torch 2.9.0's c10.dll fails so where 2.8.0 starts, on machines with an old Visual C++ runtime or with NumPy 1: https://github.com/pytorch/pytorch/issues/169429,
https://github.com/sdv-dev/SDMetrics/issues/802. onnx 1.16.2 and 1.17.0 fail so where 1.16.1 starts: https://github.com/onnx/onnx/issues/6267.
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.shared import torch_steps
from attn_doctor.logs.reader import Match
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.versions import pair

_FAILED = re.compile(
    r"WinError 1114|initialization routine failed|初始化例程失败|初始化常式失敗|Initialisierungsroutine|初期化ルーチン|процедуре инициализации|inicialización"
)
SENTENCE = "a DLL was found, and its start failed"
_STARTS = "2.8.0"  # torch
_FIRST_THAT_FAILS = (2, 9)
_ONNX = "1.16.1"


def said(matches: list[Match]) -> bool:
    """Return whether one of the lines says that a DLL was found and did not start (WinError 1114)."""
    return any(_FAILED.search(m.text) for m in matches)


def of_torch(facts: Facts) -> tuple[Fix, ...]:
    """Return the fix that installs the last torch before those that fail so; empty if the installed one is older, or not known."""
    version = facts.torch.version
    have = pair(version) if isinstance(version, str) else None
    if have is None or have < _FIRST_THAT_FAILS:
        return ()
    steps = torch_steps.release(facts, _STARTS, f"torch {_STARTS} starts on machines on which 2.9 and newer fail so")
    return (
        (Fix(title=f"If it still fails: install torch {_STARTS}", steps=steps, verify=commands.check(facts)),)
        if steps
        else ()
    )


def of_onnx(facts: Facts) -> Fix:
    """Return the fix that installs the onnx that starts with an older Visual C++ runtime."""
    step = commands.install(
        f"onnx=={_ONNX}",
        why=f"onnx {_ONNX} starts on machines on which 1.16.2 and 1.17 fail so; it has wheels for Python 3.8 to 3.12",
        changes="onnx",
    )
    return Fix(title=f"If it still fails: install onnx {_ONNX}", steps=(step,), verify=commands.check(facts))
