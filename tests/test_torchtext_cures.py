"""torchtext has ended: each torch after 2.3 has none."""

from __future__ import annotations

import pytest
from told_cures import told

LOG = (
    "$ pip install torch torchtext\nSuccessfully installed torch-{torch} torchtext-{text}\n$ python train.py\n"
    "Traceback (most recent call last):\n"
    '  File "/home/mia/env/lib/python3.11/site-packages/torchtext/_extension.py", line 50, in _load_lib\n'
    "    torch.ops.load_library(path)\n"
    "OSError: /home/mia/env/lib/python3.11/site-packages/torchtext/lib/libtorchtext.so: undefined symbol: _ZN5torch3jit17parseSchemaOrNameERKSs\n"
)


@pytest.mark.parametrize(
    ("torch", "text", "line"),
    [
        ("2.4.0", "0.18.0", "torchtext==0.18.0"),
        ("2.6.0", "0.18.0", "torchtext==0.18.0"),
        ("2.1.2", "0.18.0", "torchtext==0.16.2"),
        ("2.3.1", "0.17.2", "torchtext==0.18.0"),
    ],
)
def test_the_release_for_this_torch_or_the_last_torch_with_one(torch, text, line):
    found = told(LOG.format(torch=torch, text=text))
    lines = found.lines[0]
    assert found.slug in ("abi-mismatch-torch-version", "abi-mismatch-cxx11")
    assert line in lines[-1]
    assert "download.pytorch.org" not in lines[-1], "its wheels are on PyPI"
    older = any("torch==2.3.1" in one for one in lines)
    assert older == (torch in ("2.4.0", "2.6.0"))
