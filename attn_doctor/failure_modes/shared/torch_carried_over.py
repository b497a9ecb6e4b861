"""Name the way to torch for a machine that reaches no index: wheels that are fetched elsewhere and carried over. Pure."""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.shared.torch_facts import machine_of
from attn_doctor.knowledge import torch_choice
from attn_doctor.knowledge.torch_choice import Choice, Machine, NoTorch
from attn_doctor.model.facts import Facts
from attn_doctor.model.steps import Step


def carried_over(facts: Facts) -> tuple[Step, ...]:
    """Return the steps for a machine that reaches no index: fetch the wheels elsewhere, copy them here, install them.

    The command of the other machine names this one's Python and platform, so that it may be any machine with pip.
    """
    machine = machine_of(facts)
    found = torch_choice.choose(machine)
    if isinstance(found, NoTorch):
        return (commands.by_hand((), found.words, "torch and torchvision"),)
    wanted = found.requirements()
    tags: tuple[str, ...] = ()
    if machine.python and machine.os:
        tag = {"windows": "win_amd64", "darwin": "macosx_14_0_arm64"}.get(
            machine.os
        ) or "manylinux_2_28_" + machine.platform.removeprefix("linux_")
        tags = ("--only-binary=:all:", "--python-version", machine.python, "--platform", tag)
    index = ("--index-url", found.index_url) if found.index_url else ()
    files = f"the files are {_wheel_names(found, machine)} and those of what they need"
    return (
        commands.by_hand(
            ("python", "-m", "pip", "download", "-d", "wheels", *tags, *wanted, *index),
            f"on a machine that has internet; {files}" + (f"; {found.doubt}" if found.doubt else ""),
            "a folder of wheels, there",
            "none",
            takes=found.takes,
        ),
        commands.by_hand((), "copy the folder wheels to this machine", "the folder wheels, here", "none"),
        commands.install(
            *wanted, from_folder="wheels", why="from the folder that was carried over", changes="torch and torchvision"
        ),
    )


def _wheel_names(found: Choice, machine: Machine) -> str:
    """Return the names of the two large files, as the index has them: "torch-2.14.1+cu126-cp312-cp312-manylinux_2_28_x86_64.whl"."""
    build = f"+{found.flavour}" if found.flavour and found.index_url else ""
    tag = f"cp{machine.python.rstrip('t').replace('.', '')}" if machine.python else "cp..."
    return " and ".join(
        f"{name}-{version}{build}-{tag}-*.whl"
        for name, version in (("torch", found.torch), ("torchvision", found.torchvision))
        if version
    )
