"""WSL 1 reaches no GPU: a log of it gets the whole way to WSL 2, and a log of it that wants no GPU gets nothing."""

from __future__ import annotations

import io

import pytest
from first_cures import READER, cures, first

from attn_doctor.judging.diagnose import diagnose
from attn_doctor.logs.stated_facts import facts_of_logs
from attn_doctor.model.findings import Goal, Severity

KERNEL = "Linux version 4.4.0-{}-Microsoft (Microsoft@Microsoft.com) (gcc version 5.4.0 (GCC) ) #488-Microsoft\n"
FAILS = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n"
CONVERT = ["wsl.exe --update", "wsl.exe --list --verbose", "wsl.exe --set-version Ubuntu 2", None]


@pytest.mark.parametrize(
    ("log", "lines"),
    [
        (KERNEL.format(18362) + FAILS, ["winver", *CONVERT, "/usr/lib/wsl/lib/nvidia-smi"]),
        (KERNEL.format(19045) + FAILS, [*CONVERT, "/usr/lib/wsl/lib/nvidia-smi"]),
        (
            KERNEL.format(19045) + "$ sudo apt install nvidia-driver-470\n$ nvidia-smi\nnvidia-smi does not work\n",
            [
                *CONVERT,
                'sudo apt-get purge -y "nvidia-*" "libnvidia-*"',
                "wsl.exe --shutdown",
                "/usr/lib/wsl/lib/nvidia-smi",
            ],
        ),
    ],
)
def test_the_whole_way_to_wsl_2(log: str, lines: list[str | None]) -> None:
    _, finding = first(log)
    assert finding.slug == "wsl2-driver-stub"
    assert finding.message.startswith("This is WSL 1 (its kernel is 4.4.0-")
    assert cures(log)[0] == lines


@pytest.mark.parametrize("build", [17763, 19043])
def test_an_old_windows_is_updated_first(build: int) -> None:
    _, finding = first(KERNEL.format(build) + FAILS)
    assert f"build {build}, too old" in finding.fixes[0].steps[0].why


@pytest.mark.parametrize("rest", ["$ python train.py\nEpoch 1: loss 0.3\n", "$ sudo apt-get install -y cuda\ndone\n"])
def test_a_log_of_wsl_1_without_an_error_is_no_fault(rest: str) -> None:
    log = READER.read(io.BytesIO((KERNEL.format(19045) + rest).encode()), "log")
    findings = diagnose(facts_of_logs([log]), Goal.TRAIN, logs=(log,)).findings
    assert all(finding.severity is Severity.INFO for finding in findings)
