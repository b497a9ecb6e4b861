"""Make the steps that install the torchvision for an installed torch whose release no log names: the line asks torch when it runs. Pure."""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.shared import asked_of_torch
from attn_doctor.failure_modes.shared.torch_facts import machine_of
from attn_doctor.knowledge import torch_choice
from attn_doctor.model.facts import Facts
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import pair

# Each torchvision asks for one release of torch, torch==2.6.0 (https://github.com/pytorch/vision#installation), so the installer finds it by
# that release. conda's torch has no build in its version, but in torch.version.cuda.
_ASKED = (
    "v, _, b = torch.__version__.partition('+'); "
    "b = b or ('cu' + torch.version.cuda.replace('.', '') if torch.version.cuda else 'cpu')"
)
_FIRST_PYTHON = (3, 8)  # PyTorch's indexes have no torch for an older Python that asks for its torchvision in this way


def steps(facts: Facts) -> tuple[Step, ...]:
    """Return the steps for pip, uv and conda; empty for a board, for a project's own tool, and for a Python that pip refuses to change."""
    python = machine_of(facts).python
    if not asked_of_torch.able(facts) or (python is not None and (pair(python) or _FIRST_PYTHON) < _FIRST_PYTHON):
        return ()
    gone = commands.uninstall("torchvision", why="it was built for another torch; torch itself stays")
    wheels = torch_choice.index_of("").rstrip("/")
    added = asked_of_torch.install(
        facts,
        _ASKED,
        f"'torchvision', 'torch==' + v, '--index-url', '{wheels}/' + b",
        why="asks the installed torch for its release and its build, and installs the torchvision that was built for it",
        changes="torchvision",
        takes="about 10 MB",
    )
    return gone, added
