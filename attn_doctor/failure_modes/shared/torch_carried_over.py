"""Make the steps that install torch on a machine without access to a package index: download the wheels elsewhere and copy them. Pure."""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.shared.torch_facts import machine_of
from attn_doctor.knowledge import torch_choice
from attn_doctor.knowledge.torch_choice import Choice, Machine, NoTorch
from attn_doctor.model.facts import Facts
from attn_doctor.model.steps import Step


def carried_over(facts: Facts) -> tuple[Step, ...]:
    """Return three steps: download the wheels on another machine, copy them to this machine, install them. If no torch fits: a text.

    The other machine needs the same system and Python, because pip chooses requirements for the machine on which it runs.
    """
    machine = machine_of(facts)
    found = torch_choice.choose(machine)
    if isinstance(found, NoTorch):
        return (commands.by_hand((), found.words, "torch and torchvision", elsewhere=found.elsewhere),)
    wanted = found.requirements()
    index = ("--index-url", found.index_url) if found.index_url else ()
    system = {"windows": "Windows", "darwin": "macOS", "linux": "Linux"}.get(machine.os or "", "the same system")
    python = f"Python {machine.python}" if machine.python else "the same Python"
    where = f"on a machine with internet, {system} and {python}: downloads {_files(found, machine)} and what they need"
    return (
        commands.by_hand(
            ("python", "-m", "pip", "download", "-d", "wheels", *wanted, *index),
            f"{where}; {found.doubt}" if found.doubt else where,
            "a folder of wheels, on that machine",
            "none",
            takes=found.takes,
        ),
        commands.by_hand((), "copy the folder wheels to this machine", "the folder wheels, on this machine", "none"),
        commands.install(
            *wanted, from_folder="wheels", why="from the folder that you copied", changes="torch and torchvision"
        ),
    )


def _files(found: Choice, machine: Machine) -> str:
    """Return the names of the two large files on the index: "torch-2.14.1+cu126-cp312-*.whl"."""
    build = f"+{found.flavour}" if found.flavour and found.index_url else ""
    tag = f"cp{machine.python.rstrip('t').replace('.', '')}-*" if machine.python else "*"
    return f"torch-{found.torch or '*'}{build}-{tag}.whl, torchvision-{found.torchvision or '*'}{build}-*.whl"
