"""Name the options by which a program computes on the processor, for programs that stop, or compute wrongly, if only the GPU is hidden. Pure.

https://github.com/AUTOMATIC1111/stable-diffusion-webui/wiki/Command-Line-Arguments-and-Settings, https://docs.comfy.org/installation/comfyui_portable_windows
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.model.facts import Facts
from attn_doctor.model.steps import Step

_WEBUI = re.compile(
    r"^(?P<folder>.*[\\/](?:stable-diffusion-webui(?![\w.-]*forge)[\w.-]*|sd\.webui[\\/]webui))(?=[\\/])", re.IGNORECASE
)
_PORTABLE = re.compile(
    r"^(?P<folder>.*[\\/]ComfyUI_windows_portable[\w.-]*)(?=[\\/])|^\.\\python_embeded", re.IGNORECASE
)
_COMFY = re.compile(r"[\\/]ComfyUI(?=[\\/])")


def step(facts: Facts) -> Step | None:
    """Return the step that starts a program on the processor: the stable-diffusion WebUI, ComfyUI, ultralytics; None for any other program.

    The path of the Python shows the first two; ultralytics is recognised by the package that the facts are about.
    """
    python = facts.interpreter.python if isinstance(facts.interpreter.python, str) else ""
    prefix = facts.interpreter.prefix if isinstance(facts.interpreter.prefix, str) else ""
    windows = facts.system.os == "windows"
    for path in (python, prefix):
        if found := _WEBUI.search(path):
            options = ("--skip-torch-cuda-test", "--use-cpu", "all", "--no-half", "--precision", "full")
            lasting = (
                f"write them into webui-user.bat: set COMMANDLINE_ARGS={' '.join(options)}"
                if windows
                else f'write them into webui-user.sh: export COMMANDLINE_ARGS="{" ".join(options)}"'
            )
            why = f"in the folder {found['folder']}: starts the WebUI on the processor, without its test for a GPU. To keep these options, {lasting}"
            return commands.by_hand(("webui.bat" if windows else "./webui.sh", *options), why, "this start", "none")
        if found := _PORTABLE.search(path):
            where = f"in the folder {found['folder']}" if found["folder"] else "in the folder of the package"
            return commands.by_hand(
                (".\\run_cpu.bat",), f"{where}: starts ComfyUI on the processor", "this start", "none"
            )
        if _COMFY.search(path):
            argv = (*commands.starting(facts), "main.py", "--cpu")
            return commands.by_hand(argv, "in the folder of ComfyUI: starts it on the processor", "this start", "none")
    if facts.subject.package == "ultralytics":
        return commands.by_hand(
            (), 'add device=cpu to the command, or to the call: model.train(..., device="cpu")', "this start", "none"
        )
    return None
