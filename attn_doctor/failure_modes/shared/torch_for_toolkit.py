"""Make the steps that install a torch for the CUDA of a toolkit, because packages are compiled with it. Pure."""

from __future__ import annotations

import msgspec

from attn_doctor.failure_modes.shared import old_torch_steps, torch_steps
from attn_doctor.failure_modes.shared.torch_facts import machine_of, text
from attn_doctor.failure_modes.shared.torch_install import steps_of
from attn_doctor.knowledge import old_torch, pytorch, torch_choice
from attn_doctor.knowledge.torch_choice import Choice, NoTorch
from attn_doctor.knowledge.torch_machine import Machine
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import pair


def for_toolkit(facts: Facts, nvcc: str) -> tuple[Step, ...]:
    """Return the steps that install the minor release of the installed torch in a build for a toolkit's CUDA major.

    `nvcc`: the toolkit's release, "11.8"; a build for exactly this CUDA is preferred. Empty if torch is not known, or if this machine can
    run no such build.
    """
    version, major = text(facts.torch.version), (pair(nvcc) or (0, 0))[0]
    rows = sorted(
        (
            row
            for row in torch_choice.fitting_builds(_with_gpu(facts))
            if version and pair(row.torch) == pair(version) and (pair(row.cuda) or (1, 0))[0] == major
        ),
        key=lambda row: row.cuda != nvcc,
    )
    if version is None or not rows:
        return ()
    bare, cuda = version.partition("+")[0], rows[0].cuda
    return torch_steps.release(
        facts, bare, f"the same torch for CUDA {major}, as the toolkit; extensions have to be built again", cuda
    )


def _with_gpu(facts: Facts) -> Machine:
    """Return the machine. If no GPU is known, it gets an NVIDIA GPU, because the user compiles for CUDA."""
    machine = machine_of(facts)
    return msgspec.structs.replace(machine, maker="nvidia") if machine.maker in ("none", "unknown") else machine


def for_old_toolkit(facts: Facts, nvcc: str) -> tuple[Step, ...]:
    """Return the step that installs the last torch 1.x for the CUDA of an old toolkit (`nvcc`: "10.2").

    Empty if there is none, or if the Python here is too new for it.
    """
    found = old_torch.for_toolkit(nvcc, machine_of(facts))
    return old_torch_steps.steps(facts, found) if found else ()


def for_cuda_major(facts: Facts, major: int, nvcc: str | None = None) -> tuple[Step, ...]:
    """Return the steps that install the newest torch for a CUDA major, if the installed torch is not known; empty if there is none.

    `nvcc`: the release of the toolkit; a torch for exactly this CUDA is preferred.
    """
    rows = [r for r in torch_choice.fitting_builds(_with_gpu(facts)) if (pair(r.cuda) or (0, 0))[0] == major]
    rows.sort(key=lambda row: row.cuda != nvcc)
    latest = pytorch.release(rows[0].torch) if rows else Unknown("")
    if isinstance(latest, Unknown):
        return ()
    why = f"a torch for CUDA {major}, like the toolkit that is here"
    machine = machine_of(facts)
    found = torch_choice.choose_release(machine, latest.latest, rows[0].cuda)
    if isinstance(found, Choice) and machine.python is None:
        found = msgspec.structs.replace(found, pinned=False)
    if isinstance(found, NoTorch):
        return ()
    # A newer torch for another CUDA may be installed, and an installer would keep it.
    return steps_of(facts, found, why, reinstall=nvcc is not None or not found.pinned)
