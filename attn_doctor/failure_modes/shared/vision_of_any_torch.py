"""Make the steps that install the torchvision for an installed torch whose release no log names: the line asks torch when it runs. Pure."""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.commands.installers import chosen, own
from attn_doctor.commands.target_python import of_system
from attn_doctor.failure_modes.shared.torch_facts import machine_of
from attn_doctor.knowledge import torch_choice
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import pair

# Each torchvision asks for one release of torch, torch==2.6.0 (https://github.com/pytorch/vision#installation), so the installer finds it by
# that release. conda's torch has no build in its version, but in torch.version.cuda. Double quotes and $ would need an escape in some shell.
_PROGRAM = (
    "import subprocess, sys, torch; v, _, b = torch.__version__.partition('+'); "
    "b = b or ('cu' + torch.version.cuda.replace('.', '') if torch.version.cuda else 'cpu'); "
    "subprocess.check_call([{installer}, 'torchvision', 'torch==' + v, '--index-url', '{wheels}/' + b])"
)
_INSTALLERS = {
    "pip": "sys.executable, '-m', 'pip', 'install'",
    "uv": "'uv', 'pip', 'install', '--python', sys.executable",
}
_FIRST_PYTHON = (3, 8)  # PyTorch's indexes have no torch for an older Python that asks for its torchvision in this way


def steps(facts: Facts) -> tuple[Step, ...]:
    """Return the steps for pip, uv and conda; empty for a board, for a project's own tool, and for a Python that pip refuses to change."""
    tool, python = chosen(facts)[0], machine_of(facts).python
    locks = facts.project.locks
    able = tool in ("pip", "uv", "conda", "mamba", "micromamba") and (isinstance(locks, Unknown) or not locks)
    old = python is not None and (pair(python) or _FIRST_PYTHON) < _FIRST_PYTHON
    if not able or old or places.jetson(facts) or of_system(facts):
        return ()
    program = _PROGRAM.format(installer=_INSTALLERS[own(facts)], wheels=torch_choice.index_of("").rstrip("/"))
    gone = commands.uninstall("torchvision", why="it was built for another torch; torch itself stays")
    added = commands.by_hand(
        (*commands.starting(facts), "-c", program),
        "asks the installed torch for its release and its build, and installs the torchvision that was built for it",
        "torchvision",
        "low",
        takes="about 10 MB",
    )
    return gone, added
