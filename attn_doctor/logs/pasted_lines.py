"""Recognise the lines that a person writes or pastes below an error: versions, GPUs, lists of packages, sentences about themselves.

Such a line is no output of the program that failed: it does not show that the program went on. Pure.
"""

from __future__ import annotations

import re

_LONGEST = 200  # characters: a longer line that names a version is a line of a program

# A row of `pip list`, `pip freeze`, `conda list` or collect_env, and the heads of such lists.
_ROW = re.compile(
    r"^(?:\[(?:pip3?|conda)\] )?[A-Za-z][\w.-]*(?:\s{2,}v?\d[\w.+!-]*(?:\s+\S+){0,3}|==\d[\w.+!-]*|\s@\s\S+)$"
    r"|^Package\s+Version|^# (?:packages in environment|Name\s+Version)|^-e \S+$|^(?:Name|Version|Location|Summary|Requires|Required-by): "
)
# Rows and frames of nvidia-smi, and rows of collect_env, `yolo checks` and lscpu.
_TABLE = re.compile(
    r"^[|+].*[|+]$|^(?:Setup complete|Collecting environment information|Versions of relevant libraries)\b"
    r"|^(?:OS|GCC|Clang|CMake|Libc|Python|cuDNN|PyTorch|Nvidia|CUDA|HIP|ROCM|MIOpen|GPU|CPU|RAM|Disk|Install|Environment|Is \w+|CUDA_MODULE_LOADING|"
    r"(?:Debug|Caching|Architecture|Byte Order|Vendor|Model|Thread|Core|Socket|Stepping|Flags|BogoMIPS|Virtualization|L\d\w?|NUMA|Address)\b[\w() ./-]{0,30})"
    r"(?: [\w/() -]{1,40})?(?::|\s{2,})"
)
# A heading of a form, a fence of Markdown, or a banner of ultralytics that the reporter pasted.
_HEADING = re.compile(
    r"^#{1,6} \S|^```\w*$|^<!--|^\*\*[^*]{2,40}\*\*:?$|^(?:[Ee]nvironment|[Vv]ersions?|[Ss]ystem(?: info)?|[Ss]etup|[Hh]ardware|[Cc]onfig(?:uration)?|环境|環境)\s?[:：]?$"
)
_BANNER = re.compile(r"^(?:Ultralytics|YOLO\w{0,4})\b.{0,40}\b(?:Python-3|torch[- ]\d)")
# A command that shows versions, with its prompt.
_ASKED = re.compile(
    r"^(?:\([\w.-]+\) ?)?(?:[^$#>\n]{0,80}[$#>] ?|[!%])?(?:(?:python[\d.]* -m )?(?:pip3?|uv pip|conda|mamba) (?:list|freeze|show)|nvidia-smi|nvcc (?:-V|--version)|"
    r"python[\d.]* (?:-V|--version)|uname -a|lsb_release|cat /etc/|yolo checks|python[\d.]* -m torch\.utils\.collect_env)\b"
)
# "torch 2.4", "CUDA 12.4, Ubuntu 22.04": names of products with versions or GPUs, and few other words.
_PRODUCT = (
    r"(?:(?:py)?torch\w*|python|cuda|cudnn|driver|nvcc|gcc|g\+\+|ubuntu|debian|windows|win1[01]|wsl2?|macos|os|linux|kernel|gpus?|flash[-_ ]?attn|flash[-_ ]attention|"
    r"ultralytics|yolov?\d*|triton(?:-windows)?|xformers|transformers|numpy|jetpack|rtx|gtx|geforce|tesla|nvidia|quadro|显卡|系统|版本)"
)
_VERSIONS = re.compile(
    rf"^[-*•>\s]*(?:my |our )?{_PRODUCT}\b[ \w.:：=+/()*`'-]{{0,60}}(?:[,;，；|/&]\s?[ \w.:：=+()*`'-]{{1,60}}){{0,8}}\.?$",
    re.IGNORECASE,
)
_PERSON = re.compile(
    r"\b(?:I|I'm|I’m|I've|I’ve|my|My|we|We|our|Our|anyone|Anyone|anybody|somebody|[Tt]hanks|[Tt]hank you|[Hh]elp)\b|[？?]$|^(?:请问|求助|谢谢|怎么|如何)"
)
# Words of a program that works on.
_PROGRAM = re.compile(
    r"^(?:Downloading|Collecting|Using cached|Installing|Requirement already|Successfully|Building|Processing|Loading|Looking in|Preparing|Running|Found existing|"
    r"Uninstalling|Attempting|Saving|Resuming|Starting)\b|\b(?:INFO|DEBUG|WARNING|ERROR|CRITICAL|FATAL|Epoch|epoch|\w*Warning:)|\d%|it/s"
)


def is_pasted(text: str, *, states_a_fact: bool) -> bool:
    """Return whether a person wrote or pasted this line below an error.

    `text`: the line without prefixes. `states_a_fact`: the reader found a version, a GPU or a system in it.
    """
    if _PROGRAM.search(text):
        return False
    if _ROW.match(text) or _TABLE.match(text) or _HEADING.match(text) or _BANNER.match(text) or _ASKED.match(text):
        return True
    return len(text) <= _LONGEST and (states_a_fact or bool(_VERSIONS.match(text)) or bool(_PERSON.search(text)))
