"""`attn-doctor wheels --prove` on real archives with real extensions."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

from extensions import SUFFIX, build, module
from wheel_files import NAME, TAG, packed

from attn_doctor.wheels.proof import MEANING


def command(tmp_path: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "attn_doctor", "wheels", "--target", sys.executable, "--prove", *argv]
    return subprocess.run(line, capture_output=True, text=True, check=False, cwd=tmp_path)


def extension(tmp_path: Path, *asks: str) -> bytes:
    return build(tmp_path / "build" / f"probe_attn_cuda{SUFFIX}", module("probe_attn_cuda", asks)).read_bytes()


def test_the_command_on_a_file_that_fits(tmp_path):
    path = packed(tmp_path / NAME, {f"probe_attn_cuda{SUFFIX}": extension(tmp_path)})
    done = command(tmp_path, str(path))
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "✓ This file fits: its extension would load here, and its content agrees with its name." in said
    assert hashlib.sha256(path.read_bytes()).hexdigest() in said
    assert MEANING in said
    assert f"pip install {path}" in said


def test_the_command_on_a_file_with_a_missing_symbol(tmp_path):
    path = packed(tmp_path / NAME, {f"probe_attn_cuda{SUFFIX}": extension(tmp_path, "_ZN3c1010not_a_nameEv")})
    done = command(tmp_path, str(path), "--json", "-")
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert found["verdict"] == "refused"
    assert "c10::not_a_name()" in found["against"][0]


def test_the_command_on_a_file_whose_name_lies_about_its_abi(tmp_path):
    """The old std::string is in the symbol: RKSs. The name says that of the new one."""
    name = f"probe_attn-1.0+cu12torch2.2cxx11abiTRUE-{TAG}-{TAG}-linux_x86_64.whl"
    files = {f"probe_attn_cuda{SUFFIX}": extension(tmp_path, "_ZN3c106detail14torchCheckFailEPKcS2_jRKSs")}
    done = command(tmp_path, str(packed(tmp_path / name, files)), "--json", "-")
    assert done.returncode == 1, done.stderr
    assert (
        "its name says cxx11abiTRUE, and probe_attn_cuda was compiled with FALSE" in json.loads(done.stdout)["against"]
    )


def test_the_command_on_a_file_that_runs_code_at_startup(tmp_path):
    path = packed(tmp_path / NAME, {f"probe_attn_cuda{SUFFIX}": extension(tmp_path), "evil.pth": b"import os"})
    done = command(tmp_path, str(path))
    assert done.returncode == 1
    assert "it brings code that runs whenever Python starts: evil.pth" in " ".join(done.stdout.split())
    assert "pip install" not in done.stdout
    assert MEANING not in " ".join(done.stdout.split())


def test_the_command_on_what_is_no_wheel(tmp_path):
    (tmp_path / NAME).write_bytes(b"no archive")
    done = command(tmp_path, NAME)
    assert (done.returncode, "is no readable wheel" in done.stderr) == (2, True)
    gone = command(tmp_path, "gone.whl")
    assert (gone.returncode, "cannot be read: No such file" in gone.stderr) == (2, True)


def test_a_gpu_that_is_not_known_ends_the_command_before_anything_is_fetched(tmp_path):
    done = command(tmp_path, "https://127.0.0.1:9/a-1-py3-none-any.whl", "--gpu", "Voodoo")
    assert (done.returncode, "--gpu 'Voodoo' is neither" in done.stderr) == (2, True)
    assert "fetching" not in done.stderr
