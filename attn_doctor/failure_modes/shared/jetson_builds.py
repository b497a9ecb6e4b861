"""Compile torchvision or torchaudio on a Jetson, for NVIDIA's torch there, whose version the first line asks. Pure."""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Step


def vision(facts: Facts) -> tuple[Step, ...]:
    """Return the steps that compile torchvision on a Jetson: its number is that of torch, 15 higher in the second place."""
    asked = "import torch; v = torch.__version__.split('.'); print('0.' + str(int(v[1]) + (15 if v[0] == '2' else 1)))"
    look = commands.by_hand(
        ("sh", "-c", f"V=$({commands.quoted((*commands.starting(facts), '-c', asked))}); echo $V"),
        "keeps the release of torchvision for the torch there in V, and prints it: 0.20 for torch 2.5",
        "nothing",
        "none",
    )
    pip = (*commands.starting(facts), "-m", "pip", "install", "--force-reinstall", "--no-deps", "--no-build-isolation")
    line = f'{commands.quoted(pip)} "torchvision @ git+https://github.com/pytorch/vision.git@release/$V"'
    why = "there is no wheel of torchvision for NVIDIA's torch: this compiles it on the board (needs git)"
    return look, commands.by_hand(("sh", "-c", line), why, "the torchvision there", takes="20 to 60 minutes")


def audio(facts: Facts) -> Fix:
    """Return the fix that compiles torchaudio on a Jetson, for NVIDIA's torch, which PyPI's torchaudio does not fit.

    torchaudio has torch's number from 2.0 on; before, 0.13 belongs to torch 1.13. https://github.com/pytorch/audio#dependencies
    """
    asked = "import torch; v = torch.__version__.split('.'); print(('2.' if v[0] == '2' else '0.') + v[1])"
    look = commands.by_hand(
        ("sh", "-c", f"V=$({commands.quoted((*commands.starting(facts), '-c', asked))}); echo $V"),
        "keeps the release of torchaudio for the torch there in V, and prints it: 0.13 for torch 1.13",
        "nothing",
        "none",
    )
    pip = (*commands.starting(facts), "-m", "pip", "install", "--force-reinstall", "--no-deps", "--no-build-isolation")
    line = f'{commands.quoted(pip)} "torchaudio @ git+https://github.com/pytorch/audio.git@release/$V"'
    tools = commands.by_hand(
        places.as_root(facts, "apt-get", "install", "-y", "git", "cmake", "ninja-build"),
        "its build needs them",
        "build tools",
    )
    why = "PyPI's torchaudio is built for PyPI's torch: this compiles it on the board, for the torch there, which stays"
    made = commands.by_hand(("sh", "-c", line), why, "the torchaudio there", takes="20 to 60 minutes")
    return Fix(
        title="Keep the installed torch, and build the torchaudio for it",
        steps=(look, tools, made),
        verify=commands.check(facts),
    )
