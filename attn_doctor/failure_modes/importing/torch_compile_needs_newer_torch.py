"""torch.compile of this torch does not support this Python, or this system.

What it is
    torch.compile reads the bytecode of Python, which changes with every release of Python. A torch supports the Pythons that
    existed when it was made, for torch.compile often one release later than for everything else.

How it shows
    "RuntimeError: Dynamo is not supported on Python 3.12+", "Python 3.11+ not yet supported for torch.compile", "torch.compile is
    not supported on Python 3.14+", "Windows not yet supported for torch.compile", "torch.compile is not supported on Python built
    with GIL disabled".

Why it happens
    The Python is newer than the torch: torch.compile supports Python 3.11 since torch 2.1, 3.12 since 2.4, 3.13 since 2.6, and
    3.14 since 2.10. Torch before 2.4 has none for Windows. The program, or one of its packages, calls torch.compile.

What to do
    Install a newer torch, or use an older Python in a new environment, or run without torch.compile: TORCHDYNAMO_DISABLE=1.

How to reproduce
    There is no recipe: it needs a torch that is older than the Python, and the newest torch is not.

References
    https://github.com/pytorch/pytorch/releases/tag/v2.4.0
    https://github.com/pytorch/pytorch/releases/tag/v2.6.0
    https://github.com/pytorch/pytorch/releases/tag/v2.10.0
    https://docs.pytorch.org/docs/stable/user_guide/torch_compiler/torch.compiler_faq.html
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.failure_modes.shared import torch_steps
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity

_FIRST = {"3.11": "2.1", "3.12": "2.4", "3.13": "2.6", "3.14": "2.10"}

MODE = FailureMode(
    code="AD338",
    slug="torch-compile-needs-newer-torch",
    title="torch.compile does not support this Python yet",
    train=Severity.WARNING,
    flash_attn=Severity.WARNING,
    blocks=("compile", "flex"),
    signs=(
        Sign(
            pattern=r"(?:Dynamo|torch\.compile) is not supported on Python (?P<python>3\.\d{1,2})\+",
            literal=" is not supported on Python ",
            sample="RuntimeError: Dynamo is not supported on Python 3.12+",
        ),
        Sign(
            pattern=r"Python (?P<python>3\.\d{1,2})\+? not yet supported for torch\.compile",
            literal="not yet supported for torch.compile",
            sample="RuntimeError: Python 3.11+ not yet supported for torch.compile",
        ),
        Sign(
            pattern=r"(?P<windows>Windows) not yet supported for torch\.compile",
            literal="Windows not yet supported for torch.compile",
            sample="RuntimeError: Windows not yet supported for torch.compile",
        ),
        Sign(
            pattern=r"torch\.compile is not supported on Python (?P<threads>built with GIL disabled)",
            literal="built with GIL disabled",
            sample="RuntimeError: torch.compile is not supported on Python built with GIL disabled",
        ),
    ),
)
# There is no `detect`: most programs never call torch.compile.


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit:
    said = seen.captured()
    if "windows" in said:
        message = "torch.compile of this torch does not run on Windows; that of newer ones does."
    elif "threads" in said:
        message = "torch.compile of this torch does not run in a Python without the global lock (3.13t, 3.14t)."
    else:
        python = said.get("python", "")
        since = f": torch {_FIRST[python]} was the first whose torch.compile supports it." if python in _FIRST else "."
        message = f"torch.compile of this torch does not support Python {python}{since}"
    return Hit(message=message, evidence=evidence)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    off = commands.variable(
        "TORCHDYNAMO_DISABLE",
        "1",
        "the program then runs without torch.compile, with the same results; set it before Python starts",
    )
    without = Fix(title="Do without torch.compile", steps=(off,), verify=commands.check(facts))
    newer = torch_steps.newest(facts, "Install a newer torch", why="a newer torch supports newer Pythons")
    return (without, *newer)
