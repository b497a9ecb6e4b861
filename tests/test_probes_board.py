"""Which board this is, which JetPack it runs, which service runs it, and which indexes are configured: on folders that stand for machines."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit import Machine, ubuntu

from attn_doctor.knowledge.jetson import jetpack_of
from attn_doctor.model.facts import Pin, Unknown
from attn_doctor.probes.indexes import settings
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
    told = settings(
        root, {"HOME": "/home/user", "UV_INDEX": "a=https://named.example/simple"}, "/venv", Path("/project")
    )
    assert told.indexes == (
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
    assert settings(root, {}, "/venv", None).indexes == ()


def test_folders_of_wheels_constraints_and_switches_of_variables_and_files(tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    (project / "requirements.txt").write_text("ultralytics\n-c pinned.txt  # ours\n")
    (project / "pinned.txt").write_text("# none newer\ntorch==2.5.1\n")
    (project / "pyproject.toml").write_text(
        '[tool.uv]\nconstraint-dependencies = [\n  "numpy<2",\n  "torch[opt]>=2.4",\n]\noverride-dependencies = ["triton==3.1.0"]\n'
        '[tool.uv.pip]\nno-index = false\n[tool.black]\nfind-links = "no"\n'
    )
    root = files(
        tmp_path / "machine",
        **{
            "etc/pip.conf": "[global]\nfind-links =\n  /srv/wheels\n  https://bot:secret@wheels.example/page\nno-index = true\n",
            "home/user/limits.txt": "numpy==1.26.4\n-e .\n",
            "etc/uv/uv.toml": 'offline = true\nfind-links = ["/srv/uv"]\n',
        },
    )
    environ = {
        "HOME": "/home/user",
        "PIP_CONSTRAINT": "/home/user/limits.txt https://limits.example/c.txt",
        "UV_FIND_LINKS": "/srv/one,/srv/two",
        "UV_NO_INDEX": "0",
        "PIP_NO_INDEX": "1",
    }
    told = settings(root, environ, "/venv", project)
    assert told.find_links == ("/srv/one", "/srv/two", "/srv/wheels", "https://wheels.example/page", "/srv/uv")
    assert told.no_index == ("PIP_NO_INDEX", "/etc/pip.conf", "/etc/uv/uv.toml")
    toml = str(project / "pyproject.toml")
    assert told.constraints == (
        Pin(file=f"{toml}, constraint-dependencies", line=3, requirement="numpy<2"),
        Pin(file=f"{toml}, constraint-dependencies", line=4, requirement="torch[opt]>=2.4"),
        Pin(file=f"{toml}, override-dependencies", line=6, requirement="triton==3.1.0"),
        Pin(file="/home/user/limits.txt (PIP_CONSTRAINT)", line=1, requirement="numpy==1.26.4"),
        Pin(file=f"{project / 'pinned.txt'} (requirements.txt)", line=2, requirement="torch==2.5.1"),
    )
    assert settings(files(tmp_path / "bare"), {}, "/venv", None) == ((), (), (), ())
