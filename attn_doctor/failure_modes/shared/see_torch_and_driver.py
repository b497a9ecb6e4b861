"""Make the steps that print which torch a program uses, and what the driver reports, if nobody knows why torch sees no GPU. Pure."""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.model.facts import Facts
from attn_doctor.model.machine import amd_gpus
from attn_doctor.model.steps import Step


def steps(facts: Facts, *, cuda_build: bool) -> tuple[Step, ...]:
    """Return the steps that print which torch the program uses, and the driver. `cuda_build`: torch is known to be built for CUDA."""
    argv = (
        *commands.starting(facts),
        "-c",
        "import torch; print(torch.__version__, torch.version.cuda, torch.cuda.is_available())",
    )
    where = (
        "run it with the Python that runs the program (a WebUI: venv\\Scripts\\python.exe in its folder; a portable one: "
        "python_embeded\\python.exe)"
        if facts.system.os == "windows"
        else "run it with the Python that runs the program"
    )
    if amd_gpus(facts):
        means = "a version without +rocm is not a build for AMD GPUs: in this case use the next fix"
    elif not cuda_build:
        means = "+cpu in the version, or no CUDA number after it, means a CPU build: install a CUDA build; a CUDA number and False: check the driver"
    else:
        means = (
            "True: the program uses another environment, or CUDA_VISIBLE_DEVICES hides the GPU; False: check the driver"
        )
    asked = commands.by_hand(argv, f"{where}: {means}", "nothing", "none")
    if amd_gpus(facts):
        return (asked,)
    smi = commands.by_hand(
        ("nvidia-smi",),
        "must list the GPU and, at its top, a CUDA Version that is not lower than torch's. If it fails, the driver is missing or the machine needs a "
        "restart. If there is no NVIDIA GPU, install nothing",
        "nothing",
        "none",
    )
    return asked, smi
