"""A Windows whose WSL has no GPU gets a newer Windows, and no driver."""

from __future__ import annotations

import pytest
from told_cures import told

LOG = """Microsoft Windows [Version 10.0.{build}.1]
Linux version 5.4.72-microsoft-standard-WSL2 (oe-user@oe-host) (gcc version 8.2.0 (GCC)) #1 SMP
$ python train.py
RuntimeError: No CUDA GPUs are available
"""


@pytest.mark.parametrize("build", ["21354", "21999", "20000", "19042", "19043"])
def test_windows_is_updated(build: str) -> None:
    answer = told(LOG.format(build=build))
    assert answer.slug == "wsl2-driver-stub"
    assert build in answer.message
    assert answer.titles == ["Update Windows, then WSL"]
    assert "wsl.exe --update" in answer.lines[0]
    assert "nvidia.com/drivers" not in answer.words


@pytest.mark.parametrize("build", ["19044", "19045", "22000", "22631", "26100"])
def test_a_windows_that_has_gpus_in_wsl_keeps_its_build(build: str) -> None:
    assert told(LOG.format(build=build)).titles[0] == "Update the driver in Windows"


def test_the_build_alone_shows_no_wsl() -> None:
    log = "Microsoft Windows [Version 10.0.21354.1]\nRuntimeError: No CUDA GPUs are available\n"
    assert told(log).slug != "wsl2-driver-stub"
