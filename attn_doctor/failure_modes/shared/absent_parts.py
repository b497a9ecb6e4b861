"""Recognise a compiled part that is optional and absent: its module put None in its place, and the program fails where it is called. Pure.

mamba-ssm sets causal_conv1d_cuda to None if the import fails (mamba_ssm/ops/triton/ssd_combined.py):
https://github.com/state-spaces/mamba/issues/467, https://github.com/NVIDIA/Megatron-LM/issues/1798. PyTorch Geometric's packages ask for the
file of their compiled part, and None has no `origin`: https://github.com/rusty1s/pytorch_scatter/issues/205. AutoAWQ sets awq_ext to None
(awq/modules/linear/gemm.py).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from attn_doctor.failure_modes.mode import Sign
from attn_doctor.logs.reader import Match

_NEAR = 6  # lines from the source line to its error: a row of carets, or a line that the terminal broke, may be between

# The package, what is None in its absence, and a text that every such source line contains.
_PARTS = (
    ("causal-conv1d", r"causal_conv1d_(?:cuda|fn|fwd\w*|bwd\w*|update\w*)", "causal_conv1d_"),
    ("mamba-ssm", r"selective_scan_(?:fn|cuda)", "selective_scan_"),
    ("mamba-ssm", r"selective_state_update", "selective_state_update"),
    ("mamba-ssm", r"mamba_(?:inner_fn|chunk_scan_combined|split_conv1d_scan_combined)", "mamba_"),
    ("mamba-ssm", r"RMSNormGated", "RMSNormGated"),
    ("flash-attn", r"flash_attn_(?:\w*func|with_kvcache|(?:2_)?cuda)", "flash_attn_"),
    ("autoawq-kernels", r"awq_(?:v2_)?ext", "awq_"),
    ("natten", r"libnatten", "libnatten"),
    ("apex", r"Fused(?:LayerNorm|RMSNorm)|fused_layer_norm_cuda|amp_C", "used"),
)
# Functions of a compiled part whose names tell the package.
_FUNCTIONS = (
    ("causal-conv1d", r"causal_conv1d_\w+", "causal_conv1d_fwd"),
    ("autoawq-kernels", r"(?:gemm|gemmv2|gemv)_forward_cuda\w*", "gemm_forward_cuda"),
)
_FAMILY = r"torch_(?:scatter|sparse|cluster|spline_conv)"

SIGNS = (
    *(
        Sign(
            pattern=rf"AttributeError: 'NoneType' object has no attribute '(?P<lost>{pattern})'",
            literal="'NoneType' object has no attribute",
            sample=f"AttributeError: 'NoneType' object has no attribute '{name}'",
            strength="hint",
        )
        for _, pattern, name in _FUNCTIONS
    ),
    Sign(
        pattern=r"(?P<lost>AttributeError: 'NoneType' object has no attribute '(?:fwd|bwd|varlen_fwd|fwd_kvcache|origin)'|TypeError: 'NoneType' object is not callable)",
        literal="'NoneType' object ",
        sample="TypeError: 'NoneType' object is not callable",
        strength="hint",
    ),
    Sign(
        pattern=r"^(?:\[rank\d+\]: ?)?(?P<lost>AssertionError)$",
        literal="AssertionError",
        sample="AssertionError",
        strength="hint",
    ),
    *(
        Sign(
            pattern=rf"^(?:\[rank\d+\]: ?)?\s*(?:-+> ?\d+ )?(?:(?!def |class |from |import ).{{0,120}}?(?<!\w)(?P<none>{part})(?:\.\w+)?\(|assert (?P<needed>{part}) is not None)",
            literal=literal,
            sample=f"    assert {sample} is not None",
            strength="context",
        )
        for (_, part, literal), sample in zip(
            _PARTS,
            (
                "causal_conv1d_fn",
                "selective_scan_fn",
                "selective_state_update",
                "mamba_inner_fn",
                "RMSNormGated",
                "flash_attn_func",
                "awq_ext",
                "libnatten",
                "fused_layer_norm_cuda",
            ),
            strict=True,
        )
    ),
    Sign(
        pattern=rf"[\\/](?P<none>{_FAMILY})[\\/]__init__\.py",
        literal="__init__.py",
        sample='  File "/env/lib/python3.8/site-packages/torch_scatter/__init__.py", line 16, in <module>',
        strength="context",
    ),
)


class Absent(NamedTuple):
    """Describe a part that is None: its name ("causal_conv1d_fwd"), its package ("causal-conv1d"), and the lines that show it."""

    part: str
    package: str
    lines: tuple[Match, ...]


def mine(match: Match) -> bool:
    """Return whether a match is of the signs of this module."""
    return any(name in match.groups for name in ("lost", "none", "needed"))


def told(matches: Sequence[Match]) -> Absent | None:
    """Return the absent part that a log shows; None if it shows none.

    Either the error names a function of the part (causal_conv1d_fwd), or the error, about None or an assertion, is at
    most six lines below the source line that uses the part.
    """
    for match in matches:
        lost = match.groups.get("lost")
        if lost is None:
            continue
        named = next((package for package, pattern, _ in _FUNCTIONS if re.fullmatch(pattern, lost)), None)
        above = [m for m in matches if m.file == match.file and 0 < match.line - m.line <= _NEAR]
        wanted = "needed" if lost == "AssertionError" else "none"
        used = next((m for m in reversed(above) if m.groups.get(wanted)), None)
        if named is not None:
            return Absent(lost, named, (match,))
        if used is None:
            continue
        part = used.groups[wanted]
        family = re.fullmatch(_FAMILY, part) is not None
        if family is not ("'origin'" in lost):
            continue
        package = part.replace("_", "-") if family else _package(part)
        return Absent(part, package, (used, match))
    return None


def _package(part: str) -> str:
    return next(package for package, pattern, _ in _PARTS if re.fullmatch(pattern, part))
