"""A program that calls the package by its name is told its own switch: without the package it would end at its import."""

from __future__ import annotations

import pytest
from told_cures import told

REFUSED = "RuntimeError: FlashAttention only supports Ampere GPUs or newer.\n"
CALL = '  File "/data/{}", line 61, in forward\n    out = flash_attn_varlen_qkvpacked_func(\n'


def test_the_detectors_class_is_changed_in_their_configuration() -> None:
    log = (
        '  File "/data/Far3D/projects/mmdet3d_plugin/models/utils/petr_transformer.py", line 88, in forward\n' + REFUSED
    )
    answer = told(log)
    assert answer.slug == "gpu-arch-unsupported-by-flash-attn"
    (lines,) = answer.lines
    assert "grep -rl PETRMultiheadFlashAttention /data/Far3D/projects/configs | xargs -r sed" in lines[0]
    assert "uninstall" not in answer.words


@pytest.mark.parametrize(
    ("file", "title"),
    [
        ("net/model/attn.py", "Switch flash-attn off in the program"),
        (
            "v/lib/python3.10/site-packages/transformers/models/qwen2/modeling_qwen2.py",
            "Let transformers use PyTorch's own attention",
        ),
        ("v/lib/python3.10/site-packages/ultralytics/nn/modules/block.py", "Remove flash-attn"),
    ],
)
def test_who_calls_decides(file: str, title: str) -> None:
    assert told(CALL.format(file) + REFUSED).titles[0] == title


XFORMERS = """pipe.enable_xformers_memory_efficient_attention()
NotImplementedError                       Traceback (most recent call last)
NotImplementedError: No operator found for `memory_efficient_attention_forward` with inputs:
`fa2F@2.5.7` is not supported because:
    xFormers wasn't build with CUDA support
    requires device with capability > (8, 0) but your GPU has capability (6, 1) (too old)
"""


def test_the_call_goes_and_the_cell_is_a_notebooks() -> None:
    answer = told(XFORMERS)
    assert answer.slug == "extension-not-built"
    assert "delete the line pipe.enable_xformers_memory_efficient_attention()" in answer.words
    assert "uninstall" not in answer.words
    assert "restart the notebook" in answer.words
