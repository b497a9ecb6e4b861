"""Give the steps that let the loader find the CUDA libraries that NVIDIA's wheels put into a Python environment. Pure.

They lie in site-packages/nvidia/*/lib (on Windows bin), where no loader looks by itself: https://github.com/SYSTRAN/faster-whisper#gpu
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.model.facts import Facts
from attn_doctor.model.steps import Step

_FOLDERS = 'glob.glob(sysconfig.get_paths()["purelib"] + "/nvidia/*/lib")'


def on_the_path(facts: Facts, why: str, *, torch: bool = False, dll: bool = False) -> tuple[Step, ...]:
    """Return the step that puts the folders of these wheels on the path of the loader. `torch`: and torch/lib. `dll`: it is Windows."""
    site = facts.interpreter.site_packages
    if facts.system.os == "windows" or dll:
        if not isinstance(site, str):
            words = "put the folders nvidia\\cublas\\bin and nvidia\\cudnn\\bin of site-packages on PATH, and start the program again"
            return (commands.by_hand((), words, "PATH of this prompt", "none"),)
        value = f"{site}\\nvidia\\cublas\\bin;{site}\\nvidia\\cudnn\\bin;%PATH%"
        return (commands.variable("PATH", value, why),)
    python = commands.quoted(commands.starting(facts))
    own = '[sysconfig.get_paths()["purelib"] + "/torch/lib"] + ' if torch else ""
    program = f'import glob, sysconfig; print(":".join({own}{_FOLDERS}))'
    line = f"export LD_LIBRARY_PATH=\"$({python} -c '{program}'):$LD_LIBRARY_PATH\""
    return (commands.by_hand(("sh", "-c", line), why, "LD_LIBRARY_PATH, in this shell alone", "none"),)
