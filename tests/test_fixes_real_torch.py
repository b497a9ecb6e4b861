"""Plans on environments with the real torch 2.2.2, made ill in five ways: gigabytes, and minutes for each.

Everything comes from the package index that pip is set up for.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from snapshots import snapshot as whole_snapshot
from targets import site_packages

from attn_doctor.fixes.hardlink_copy import copy_tree

TORCH, VISION, NUMPY = "2.2.2", "0.17.2", "1.26.4"
pytestmark = [
    pytest.mark.heavy,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(sys.version_info >= (3, 13), reason=f"torch {TORCH} has no wheels for Python 3.13"),
]


def snapshot(prefix: Path) -> dict:
    return whole_snapshot(prefix, hashed_below=16 << 20)


def environ(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV", "CONDA_"))}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", **more}


def pip(prefix: Path, *argv: str, **more: str) -> None:
    subprocess.run([str(prefix / "bin" / "python"), "-m", "pip", *argv, "-q"], check=True, env=environ(**more))


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """A whole and healthy environment, of which every patient is a copy by hard links."""
    prefix = tmp_path_factory.mktemp("base") / "env"
    subprocess.run([sys.executable, "-m", "venv", str(prefix)], check=True)
    pip(
        prefix,
        "install",
        f"torch=={TORCH}",
        f"torchvision=={VISION}",
        f"numpy=={NUMPY}",
        "ultralytics==8.4.190",
        "setuptools",
        "wheel",
    )
    return prefix


def numpy_2(prefix: Path) -> None:
    pip(prefix, "install", "--no-deps", "numpy==2.2.6")


def other_torchvision(prefix: Path) -> None:
    pip(prefix, "install", "--no-deps", "torchvision==0.18.1")


def library_lost(prefix: Path) -> None:
    next(site_packages(prefix).glob("nvidia/cudnn/lib/libcudnn.so.8")).unlink()


def torch_recorded_twice(prefix: Path) -> None:
    site = site_packages(prefix)
    info = next(site.glob("torch-*.dist-info"))
    other = site / "torch-2.1.2.dist-info"
    shutil.copytree(info, other)
    for name, old, new in (
        ("METADATA", f"Version: {TORCH}", "Version: 2.1.2"),
        ("RECORD", f"torch-{TORCH}.dist-info/", "torch-2.1.2.dist-info/"),
    ):
        text = (other / name).read_text().replace(old, new)
        (other / name).unlink()
        (other / name).write_text(text)


def hollow_flash_attn(prefix: Path) -> None:
    pip(prefix, "install", "packaging", "psutil", "ninja", "einops")
    skip = {"FLASH_ATTENTION_SKIP_CUDA_BUILD": "TRUE", "FLASH_ATTENTION_FORCE_BUILD": "TRUE"}
    pip(prefix, "install", "--no-build-isolation", "--no-deps", "flash-attn==2.8.3", **skip)


WELL = {
    numpy_2: "import torch; torch.ones(1).numpy()",
    other_torchvision: "import torch, torchvision; torchvision.ops.nms(torch.rand(1, 4), torch.rand(1), 0.5)",
    library_lost: "import torch",
    torch_recorded_twice: "import importlib.metadata as m; assert [d.version for d in m.distributions() if d.metadata['Name'] == 'torch'] == "
    f"['{TORCH}']; import torch",
    hollow_flash_attn: "import importlib.util as u; assert u.find_spec('flash_attn') is None",
}


def well(prefix: Path, code: str) -> bool:
    argv = [str(prefix / "bin" / "python"), "-W", "ignore", "-c", code]
    return subprocess.run(argv, capture_output=True, env=environ(), cwd="/").returncode == 0


def doctor(prefix: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    argv = (sys.executable, "-m", "attn_doctor", "fix", *argv, "--target", str(prefix / "bin" / "python"))
    return subprocess.run(argv, capture_output=True, text=True, env=environ(), cwd=prefix.parent)


@pytest.mark.parametrize("make_ill", list(WELL), ids=lambda f: f.__name__)
def test_a_plan_verifies_cures_and_is_undone_file_for_file(base, tmp_path, make_ill):
    prefix = tmp_path / "env"
    copy_tree(base, prefix)
    make_ill(prefix)
    before = snapshot(prefix)
    assert not well(prefix, WELL[make_ill])
    done = doctor(prefix, "--suggest", "--verify", "--json", "-")
    assert done.returncode == 0, done.stderr
    way = json.loads(done.stdout)["plan"]["ways"][0]
    print(f"\n{make_ill.__name__}: {way['title']}: {way['attempt']['summary']} ({way['attempt']['seconds']} s)")
    assert snapshot(prefix) == before
    began = time.monotonic()
    done = doctor(prefix, "--apply", "--yes", "--way", way["name"], "--json", "-")
    assert json.loads(done.stdout)["applied"]["outcome"] == "applied", done.stdout[-2000:]
    print(f"applied in {time.monotonic() - began:.0f} s")
    assert well(prefix, WELL[make_ill])
    began = time.monotonic()
    assert doctor(prefix, "--undo").returncode == 0
    print(f"undone in {time.monotonic() - began:.1f} s")
    assert snapshot(prefix) == before


def test_killed_at_twenty_moments(base, tmp_path):
    prefix = tmp_path / "env"
    copy_tree(base, prefix)
    numpy_2(prefix)
    before, chance = snapshot(prefix), random.Random(5)
    argv = [
        sys.executable,
        "-m",
        "attn_doctor",
        "fix",
        "--apply",
        "--yes",
        "--offline",
        "--target",
        str(prefix / "bin" / "python"),
    ]
    began = time.monotonic()
    subprocess.run(argv, check=True, capture_output=True, env=environ(), cwd=tmp_path)
    whole = time.monotonic() - began
    assert doctor(prefix, "--undo").returncode == 0
    restored = 0
    for _ in range(20):
        process = subprocess.Popen(
            argv, env=environ(), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        time.sleep(chance.uniform(0, whole))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        restored += doctor(prefix, "--undo").returncode == 0
        shutil.rmtree(prefix / ".attn-doctor", ignore_errors=True)
        assert snapshot(prefix) == before
    print(f"\nkilled 20 times within {whole:.0f} s: {restored} had something to undo")
    assert restored > 3
