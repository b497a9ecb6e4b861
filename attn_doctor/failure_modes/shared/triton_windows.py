"""Choose the triton-windows for a torch, and make the fix that installs it. Pure.

https://github.com/triton-lang/triton-windows
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import system_tools
from attn_doctor.failure_modes.shared import asked_of_torch
from attn_doctor.knowledge import pytorch
from attn_doctor.knowledge.rows import TorchRelease
from attn_doctor.knowledge.tables import load
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Fix
from attn_doctor.model.machine import first_gpu
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import capability, pair

# The first and the newest triton-windows: from the table of its README, and from PyPI on 2026-11-29. Since 3.2 its releases have triton's numbers.
# https://github.com/triton-lang/triton-windows#3-pytorch
_FIRST, _NEWEST = (3, 1), (3, 8)
_FIRST_TORCH = (2, 4)
_UNKNOWN = "triton-windows<3.4"
_OF_TURING = "triton-windows<3.3"  # triton 3.3 dropped compute capability 7.5


def fixes(facts: Facts, *, upgrade: bool = False) -> tuple[Fix, ...]:
    """Return the fix that installs the triton-windows for this torch.

    Empty if there is no such release, or if the GPU is older than compute capability 7.5. `upgrade`: a triton-windows
    is installed already, of which the newest for this torch is wanted.
    """
    verify = commands.check(facts)
    gpu = first_gpu(facts)
    old = gpu is not None and capability(gpu[2]) <= (7, 5)
    if gpu is not None and capability(gpu[2]) < (7, 5):
        return ()
    row = pytorch.release(facts.torch.version) if isinstance(facts.torch.version, str) else Unknown("")
    look: tuple[Step, ...] = ()
    if isinstance(row, Unknown):
        if not old and asked_of_torch.able(facts) and commands.shell_of(facts) != "notebook":
            return (Fix(title="Install triton for Windows", steps=(_asked(facts), *_headers(facts)), verify=verify),)
        ask = (*commands.starting(facts), "-c", "import torch; print(torch.__version__)")
        look = (
            commands.by_hand(ask, "prints the torch, which decides the release in the next line", "nothing", "none"),
        )
        what = _UNKNOWN
        why = (
            "triton for Windows, for torch 2.7, which is an example: each torch needs its own release. Write `triton-windows<3.3` for torch 2.6, <3.5 for 2.8, "
            "<3.6 for 2.9, <3.7 for 2.10 and 2.11, <3.8 for 2.12 and 2.13, and no number for a newer torch"
        )
    else:
        minor = _of(row)
        if (pair(row.minor) or (0, 0)) < _FIRST_TORCH or minor > _NEWEST:
            return ()
        what = f"triton-windows=={minor[0]}.{minor[1]}.*"
        why = f"triton for Windows, in the release for torch {row.minor}; the package triton has no wheels for Windows"
    if old:
        look, what, why = (
            (),
            _OF_TURING,
            "the last releases that run on a GTX 16xx or RTX 20xx; with torch 2.7 and newer they may not work",
        )
    step = commands.install(what, upgrade=upgrade, why=why, changes="adds triton-windows")
    return (Fix(title="Install triton for Windows", steps=(*look, step, *_headers(facts)), verify=verify),)


def _asked(facts: Facts) -> Step:
    """Return the step for a torch of unknown release: the line asks torch for it. In IPython braces would be read as Python, so not in a notebook."""
    minors = {}
    for row in load(TorchRelease):
        torch, triton = pair(row.minor) or (0, 0), _of(row)
        if torch >= _FIRST_TORCH and triton <= _NEWEST:
            minors[torch[1]] = triton[1]
    last = minors[max(minors)]
    known = ", ".join(f"{torch}: {triton}" for torch, triton in minors.items() if triton != last)
    # A nightly of 2.6 was made for the triton of 2.5 during most of its time: torch's pin moves shortly before a release.
    # https://github.com/pytorch/pytorch/commits/main/.ci/docker/triton_version.txt
    asked = f"v = torch.__version__; t = {{{known}}}.get(int(v.split('.')[1]) - ('dev' in v), {last})"
    words = "'-U', 'triton-windows==3.' + str(t) + '.*'"
    why = "triton for Windows: asks the installed torch for its release, and installs the triton-windows that was built for it; the package triton has no wheels for Windows"
    return asked_of_torch.install(facts, asked, words, why=why, changes="adds triton-windows")


def _of(row: TorchRelease) -> tuple[int, int]:
    return max(pair(row.triton.removeprefix("triton").lstrip("=~")) or _FIRST, _FIRST)


def _headers(facts: Facts) -> tuple[Step, ...]:
    """Return the steps that add the headers to an embeddable Python: triton compiles its launcher with them.

    https://github.com/Comfy-Org/ComfyUI/pull/7200
    """
    return system_tools.python_headers(facts) if system_tools.portable(facts) else ()
