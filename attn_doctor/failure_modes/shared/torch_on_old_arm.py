"""Cure an illegal instruction in torch itself on a small ARM board: some releases of torch use instructions that old ARM CPUs lack. Pure.

The wheels of torch 2.4.0 for aarch64 use LSE (ARMv8.1), in the library of ARM's Compute Library: they end with SIGILL on a Cortex-A53 or
Cortex-A72 (Raspberry Pi 3 and 4, Jetson Nano, i.MX 8M), and 2.3.1 runs: https://github.com/pytorch/pytorch/issues/132032,
https://github.com/ultralytics/ultralytics/issues/15835. 2.6.0 has the same with SVE: https://github.com/pytorch/pytorch/issues/146792. 2.10.0 has it
again, and 2.11 not: https://github.com/pytorch/pytorch/issues/176993.
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Sign
from attn_doctor.failure_modes.shared import torch_steps
from attn_doctor.knowledge import torch_choice
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.versions import pair

_RUNS = "2.3.1"  # the last release before the first that ends so
_AGAIN = (2, 11)  # the release after which the newest one runs on ARMv8.0 again
_NEAR = 12  # lines between the error of faulthandler and its frames

SIGNS = (
    Sign(
        pattern=r"File \"[^\"]{0,300}[\\/](?:site|dist)-packages[\\/](?P<frame>[\w-]+)[\\/][^\"]{0,200}\", line \d+ in \w",
        literal="-packages/",
        sample='  File "/home/mia/env/lib/python3.11/site-packages/torch/nn/modules/linear.py", line 125 in forward',
        strength="context",
    ),
    Sign(
        pattern=r"(?P<frame>torch)(?:\.libs|/lib)/(?:libarm_compute|libtorch_cpu|libtorch_python|libc10)",
        literal="torch",
        sample="0x0000007feb8c1450 in ?? () from /home/mia/env/lib/python3.11/site-packages/torch/lib/../../torch.libs/libarm_compute-84b761c0.so",
        strength="context",
    ),
)


def ends_in_torch(seen: Seen) -> bool:
    """Return whether the frame in which the program ended is torch's: the first frame below faulthandler's error, or gdb's."""
    frames = [m for m in seen.matches if m.groups.get("frame")]
    if not frames:
        return False
    ends = [m.line for m in seen.matches if "Fatal Python error" in m.text or "SIGILL" in m.text]
    near = [m for m in frames if any(0 < m.line - line <= _NEAR for line in ends)] or frames
    return near[0].groups["frame"] == "torch"


def fixes(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes: an older torch that runs on every 64-bit ARM CPU; and the newest one, unless 2.11 or newer is installed."""
    verify = commands.check(facts)
    have = pair(facts.torch.version) if isinstance(facts.torch.version, str) else None
    same = torch_choice.same(_RUNS, "torchvision")
    older = commands.install(
        *same,
        why=f"torch {_RUNS} runs on a Cortex-A53 and A72 (Raspberry Pi 3 and 4); the wheels of 2.4.0, 2.6.0 and 2.10.0 use instructions that these CPUs do not have. "
        "It has wheels for Python 3.8 to 3.12",
        changes="torch and torchvision",
        risk="medium",
    )
    any_release = torch_steps.bare("torchvision")
    newer = commands.install(
        *any_release,
        upgrade=True,
        why=f"for a newer Python: from torch {_AGAIN[0]}.{_AGAIN[1]} on the wheels were made for such CPUs again",
        changes="torch and torchvision",
        risk="medium",
    )
    first = Fix(title=f"Install torch {_RUNS}, which runs on this CPU", steps=(older,), verify=verify)
    second = Fix(title="Install the newest torch", steps=(newer,), verify=verify)
    return (first, second) if have is None or have < _AGAIN else (first,)
