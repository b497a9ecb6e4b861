"""Which board this is, which JetPack it runs, which service runs it, and which indexes are configured: on folders that stand for machines."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit import Machine, ubuntu

from attn_doctor.knowledge.jetson import jetpack_of
from attn_doctor.model.facts import Unknown
from attn_doctor.probes.indexes import indexes
from attn_doctor.probes.system import system

ORIN = "nvidia,p3737-0000+p3701-0005\0nvidia,p3701-0005\0nvidia,tegra234\0"
RELEASE = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8 01:49:37 UTC 2025\n"
DPKG = "Package: bash\nStatus: install ok installed\nVersion: 5.1\n\nPackage: nvidia-jetpack\nStatus: install ok installed\nVersion: 6.1+b123\n"


def files(tmp_path: Path, **texts: str) -> Path:
    """A folder that stands for a machine."""
    for name, text in texts.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def found(root: Path, **environ: str):
    return system(root, environ)[0]


@pytest.mark.parametrize(
    ("texts", "board", "jetpack"),
    [
        ({"proc/device-tree/compatible": ORIN, "etc/nv_tegra_release": RELEASE}, "jetson", "6.2"),
        ({"proc/device-tree/compatible": ORIN, "var/lib/dpkg/status": DPKG}, "jetson", "6.1"),
        ({"sys/firmware/devicetree/base/compatible": ORIN}, "jetson", "unknown"),  # in a container
        ({"proc/sys/kernel/osrelease": "6.8.12-tegra\n"}, "jetson", "unknown"),
        ({"sys/class/dmi/id/product_name": "NVIDIA_DGX_Spark\n"}, "dgx-spark", None),
        ({"proc/driver/nvidia/gpus/000f:01:00.0/information": "Model: \t\t NVIDIA GB10\nIRQ: 1\n"}, "dgx-spark", None),
        ({"proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t\t NVIDIA GB200\nIRQ: 1\n"}, None, None),
        ({"proc/device-tree/compatible": "raspberrypi,5-model-b\0brcm,bcm2712\0"}, None, None),
        ({"var/lib/dpkg/status": DPKG}, None, None),  # a PC with the SDK Manager's packages
    ],
)
def test_a_board_is_told_by_its_files(tmp_path, texts, board, jetpack):
    seen = found(files(tmp_path, **texts))
    assert seen.board == board
    assert ("unknown" if isinstance(seen.jetpack, Unknown) else seen.jetpack) == jetpack


@pytest.mark.parametrize(
    ("l4t", "jetpack"),
    [
        ("36.4.3", "6.2"),
        ("36.4.4", "6.2"),
        ("36.4", "6.1"),
        ("36.3", "6.0"),
        ("35.4.1", "5.1"),
        ("32.7.1", "4.6"),
        ("38.2", "7.0"),
    ],
)
def test_the_jetpack_of_a_release(l4t, jetpack):
    assert jetpack_of(l4t) == jetpack


@pytest.mark.parametrize("l4t", ["36", "28.1", "99.1", "none"])
def test_a_release_that_is_not_known_has_no_jetpack(l4t):
    assert jetpack_of(l4t) is None


@pytest.mark.parametrize(
    ("environ", "hosted"),
    [
        ({"COLAB_RELEASE_TAG": "release-colab_20261101"}, "colab"),
        ({"KAGGLE_KERNEL_RUN_TYPE": "Interactive"}, "kaggle"),
        ({"SM_CURRENT_HOST": "algo-1"}, "sagemaker"),
        ({"HOME": "/home/user"}, None),
    ],
)
def test_a_service_is_told_by_its_variables(tmp_path, environ, hosted):
    assert found(ubuntu(Machine(tmp_path / "machine")).root, **environ).hosted == hosted


def test_sagemaker_is_told_by_its_file(tmp_path):
    assert found(files(tmp_path, **{"opt/ml/metadata/resource-metadata.json": "{}"})).hosted == "sagemaker"


def test_indexes_of_variables_and_files_without_their_passwords(tmp_path):
    root = files(
        tmp_path,
        **{
            "etc/pip.conf": "[global]\nindex-url = https://bot:secret@nexus.example/simple\n",
            "home/user/.config/pip/pip.conf": "[install]\nextra-index-url =\n  https://one.example/simple\n  https://two.example/simple\n",
            "etc/uv/uv.toml": '[[index]]\nname = "site"\nurl = "https://uv.example/simple"\n[publish]\nurl = "https://no.example"\n',
            "project/pyproject.toml": '[project.urls]\nurl = "https://home.example"\n[[tool.uv.index]]\nurl = "https://torch.example/whl"\n',
        },
    )
    told = indexes(
        root, {"HOME": "/home/user", "UV_INDEX": "a=https://named.example/simple"}, "/venv", Path("/project")
    )
    assert told == (
        "https://named.example/simple",
        "https://nexus.example/simple",
        "https://one.example/simple",
        "https://two.example/simple",
        "https://uv.example/simple",
        "https://torch.example/whl",
    )


def test_a_file_that_is_no_configuration_names_no_index(tmp_path):
    root = files(
        tmp_path, **{"etc/pip.conf": "index-url = https://a.example\n\x00[", "etc/uv/uv.toml": "[[index\nurl = 3"}
    )
    assert indexes(root, {}, "/venv", None) == ()
