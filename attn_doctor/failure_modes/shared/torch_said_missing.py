"""Hold the signs of a setup that catches the missing torch, and says it in words of its own: DeepSpeed's, OpenMMLab's and many others. Pure.

Sources: https://github.com/deepspeedai/DeepSpeed/blob/master/setup.py, https://github.com/deepspeedai/DeepSpeed/issues/5441,
https://github.com/chengzeyi/stable-fast/issues/66
"""

from __future__ import annotations

from attn_doctor.failure_modes.mode import Sign

SIGNS = (
    Sign(
        pattern=r"(?P<caught>(?:[Uu]nable to import|[Cc]ould not import|[Cc]annot import|[Ff]ailed to import) (?:py)?torch\b(?![.\w]))",
        literal=" import ",
        sample="[WARNING] Unable to import torch, pre-compiling ops will be disabled.",
        strength="hint",
    ),
    Sign(
        pattern=r"(?P<caught>(?:cannot import name '(?:TORCH_MAJOR|TORCH_MINOR)' from '(?:deepspeed\.ops\.)?op_builder))",
        literal="cannot import name 'TORCH_M",
        sample="ImportError: cannot import name 'TORCH_MAJOR' from 'op_builder.builder' (/tmp/pip-install-x/deepspeed/op_builder/builder.py)",
        strength="hint",
    ),
    *(
        Sign(
            pattern=rf"(?P<caught>(?:\bError\b|ERROR|Exception|RuntimeError|ImportError|AssertionError)\b.{{0,120}}?\b(?:{words}))",
            literal=literal,
            sample=f"RuntimeError: {sample}",
            strength="hint",
        )
        for words, literal, sample in (
            (
                r"(?:[Pp]y)?[Tt]orch (?:is required|is needed|must be installed|has to be installed|needs to be installed|was not found|not found|is not installed)\b",
                "orch ",
                "PyTorch is required to build this package",
            ),
            (
                r"install (?:[Pp]y)?[Tt]orch (?:first|before|prior|manually)\b",
                "install ",
                "please install PyTorch first, then install this package again",
            ),
            (
                r"without (?:[Pp]y)?torch(?: being)? installed\b",
                " installed",
                "Unable to pre-compile ops without torch installed",
            ),
        )
    ),
)
