"""A torch of an index that has no wheels for the system: ROCm on Windows, CUDA on a Mac."""

from __future__ import annotations

import pytest
from told_cures import told

NONE = "Looking in indexes: https://download.pytorch.org/whl/{0}\nERROR: Could not find a version that satisfies the requirement torch (from versions: none)\nERROR: No matching distribution found for torch\n"
LISTED = "ERROR: Could not find a version that satisfies the requirement torch==2.3.1+{0} (from versions: 2.2.2, 2.3.1, 2.4.0)\nERROR: No matching distribution found for torch==2.3.1+{0}\n"
UV = "$ uv pip install torch\n  ╰─▶ Because torch==2.5.1+{0} has no wheels with a matching platform tag (e.g., `{1}`) and you require torch==2.5.1+{0}\n"


@pytest.mark.parametrize("log", [NONE.format("rocm6.1"), LISTED.format("rocm6.0"), UV.format("rocm6.2", "win_amd64")])
def test_rocm_for_windows_is_amds_or_linux(log):
    answer = told("PS C:\\app> pip install torch\n" + log)
    assert answer.slug == "python-too-new-no-wheel"
    assert answer.titles == [
        "Install AMD's torch for Windows",
        "Use Linux, in WSL2 or beside Windows",
        "Use the card by DirectML",
        "Compute on the CPU",
    ]
    assert "rocm.docs.amd.com" in answer.words
    assert "whl/cu1" not in answer.words


@pytest.mark.parametrize("log", [NONE.format("cu121"), LISTED.format("cu121"), UV.format("cu124", "macosx_15_0_arm64")])
def test_a_mac_takes_the_default_index(log):
    answer = told("macOS 14.4, M2\n" + log)
    assert answer.titles == ["Install torch from the default index"]
    assert answer.lines[0][0].endswith("install torch")


@pytest.mark.parametrize(
    ("system", "log"),
    [
        ("Ubuntu 24.04\n", NONE.format("rocm9.9")),
        ("PS C:\\app> pip install torch\n", NONE.format("cu999")),
        ("PS C:\\app> pip install torch\n", LISTED.format("cu999")),
    ],
)
def test_an_index_for_that_system_is_another_failure(system, log):
    assert "ROCm builds are" not in told(system + log).message
