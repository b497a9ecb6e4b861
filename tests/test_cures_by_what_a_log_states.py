"""The first cure where it depends on what the log states of GPU, system, releases and files. Written by hand, one kind of machine a case."""

from __future__ import annotations

import pytest
from first_cures import cures, first

AMD_WHEEL = (
    "Guessing wheel URL:  https://github.com/Dao-AILab/flash-attention/releases/download/v2.7.3/"
    "flash_attn-2.7.3+rocm62torch2.5cxx11abiFALSE-cp311-cp311-linux_x86_64.whl\n"
    "Precompiled wheel not found. Building from source...\n"
)
NO_BINARY = '"hipErrorNoBinaryForGpu: Unable to find code object for all current devices!"\n'


@pytest.mark.parametrize(
    ("log", "slug", "says", "lines"),
    [
        pytest.param(
            AMD_WHEEL,
            "no-prebuilt-wheel",
            "+rocm62torch2.5",
            [
                "export FLASH_ATTENTION_TRITON_AMD_ENABLE=TRUE",
                "python3 -m pip install setuptools wheel packaging psutil ninja",
                "python3 -m pip install --force-reinstall --no-deps --no-build-isolation --no-cache-dir flash-attn",
            ],
            id="no wheel for ROCm",
        ),
        pytest.param(
            f"A laptop with Radeon RX 6800M, Ubuntu 22.04\n{NO_BINARY}",
            "rocm-gfx-not-in-build",
            "gfx1031 (Radeon RX 6800M)",
            ["export HSA_OVERRIDE_GFX_VERSION=10.3.0"],
            id="a laptop's card is another one than that of desktops",
        ),
    ],
)
def test_the_first_cure_is_for_what_the_log_states(log, slug, says, lines):
    _, finding = first(log)
    assert finding.slug == slug
    assert says in finding.message
    assert cures(log)[0] == lines
