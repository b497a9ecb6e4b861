"""Make the steps that let the loader find the CUDA libraries of NVIDIA's wheels in a Python environment. Pure.

These libraries are in site-packages/nvidia/*/lib (on Windows: bin). The loader does not search these folders without a variable:
https://github.com/SYSTRAN/faster-whisper#gpu
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.model.facts import Facts
from attn_doctor.model.steps import Step

_FOLDERS = 'glob.glob(sysconfig.get_paths()["purelib"] + "/nvidia/*/lib")'


def on_the_path(facts: Facts, why: str, *, torch: bool = False, dll: bool = False) -> tuple[Step, ...]:
    """Return the step that adds the folders of NVIDIA's wheels to LD_LIBRARY_PATH (Windows: PATH). `why`: the reason of the step.

    `torch`: also the folder torch/lib, not on Windows. `dll`: the system is Windows, even if the facts do not say so.
    """
    site = facts.interpreter.site_packages
    if facts.system.os == "windows" or dll:
        if not isinstance(site, str):
            words = "add the folders nvidia\\cublas\\bin and nvidia\\cudnn\\bin of site-packages to PATH, and start the program again"
            return (commands.by_hand((), words, "PATH of this prompt", "none"),)
        value = f"{site}\\nvidia\\cublas\\bin;{site}\\nvidia\\cudnn\\bin;%PATH%"
        return (commands.variable("PATH", value, why),)
    python = commands.quoted(commands.starting(facts))
    own = '[sysconfig.get_paths()["purelib"] + "/torch/lib"] + ' if torch else ""
    program = f'import glob, sysconfig; print(":".join({own}{_FOLDERS}))'
    line = f"export LD_LIBRARY_PATH=\"$({python} -c '{program}'):$LD_LIBRARY_PATH\""
    return (commands.by_hand(("sh", "-c", line), why, "LD_LIBRARY_PATH, only in this shell", "none"),)
