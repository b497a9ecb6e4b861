"""Define what a line with the name of a machine or a user looks like, for the lists of such lines.

The lists are `host_lines`, `host_commands`, `mount_lines` and `user_lines`; `program_lines` tries them.
"""

from __future__ import annotations

import re
from typing import NamedTuple

HOST = r"[A-Za-z][A-Za-z0-9.-]{1,100}"
LEAST_NUMBERED = r"(?=[a-zA-Z.-]{0,60}\d)"
# What has a number too, and is no machine: a card, a program with its version, an architecture, a type, a model, a place in a text.
_NO_MACHINE = (
    r"(?!cuda|cudnn|nccl|cu\d|sm-?[_\d]|compute[_\d]|torch|python|py\d|ubuntu|linux|windows|debian|rocm|gfx|localhost|macos|wsl|x86|amd64|arm64|aarch64|rtx|gtx|"
    r"[abhv]\d00|h20|l40|gb\d00|int\d|u?int\d|float\d|bfloat\d|b?f?fp?\d{1,2}\b|utf|ipv\d|gcc|clang|glibc|onnx|yolo|resnet|vllm|triton|conv\d|layer\d|[a-z]\d?\b|"
    r"(?:gpu|cpu|tpu|npu|xpu|rank|line|step|port|epoch|world|worker|stage|device|batch|page|part|fold|shard|split|split|version|v|level|chapter|section)[-_.]?\d*(?![A-Za-z0-9-]))"
)
# A name that is no word of a language: it has a digit. "redis://redis:6379" and "running on linux" stay.
NUMBERED = rf"{LEAST_NUMBERED}{_NO_MACHINE}{HOST}(?<![.-])"
# The same without a domain, as inside of a cluster.
LABEL = rf"(?=[a-zA-Z-]{{0,60}}\d){_NO_MACHINE}[A-Za-z][A-Za-z0-9-]{{1,62}}(?<!-)(?![\w.-])"
# As Slurm writes machines together: "box-[1-4],rack-7"
MACHINES = rf"{HOST}(?:\[[\d,-]{{1,60}}\])?(?:,{HOST}(?:\[[\d,-]{{1,60}}\])?){{0,64}}"
PERSON = r"[A-Za-z_][\w.-]{1,63}"


class Form(NamedTuple):
    """Describe a line with names. It is tried only on texts that have one of its hints.

    The group `many` has several names; each other group is a name.
    """

    of: str  # user, host or serial
    hints: tuple[str, ...]
    pattern: re.Pattern[str]
