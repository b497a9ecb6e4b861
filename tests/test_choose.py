"""Which Python is the patient."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from attn_doctor.errors import NoAnswer
from attn_doctor.probes.choose import choose, is_holder


def environment(folder: Path, holds_torch: bool = False) -> Path:
    (folder / "bin").mkdir(parents=True)
    for name in ("python", "python3"):
        (folder / "bin" / name).symlink_to(sys.executable)
    packages = folder / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    if holds_torch:
        (packages / "torch").mkdir()
    return folder


def test_the_active_environment_wins_over_conda_and_path(tmp_path):
    venv, conda, other = (environment(tmp_path / name) for name in ("venv", "conda", "other"))
    environ = {"VIRTUAL_ENV": str(venv), "CONDA_PREFIX": str(conda), "PATH": str(other / "bin")}
    own = str(tmp_path / "nowhere")
    assert choose(None, environ, own).python == str(venv / "bin" / "python")
    del environ["VIRTUAL_ENV"]
    assert choose(None, environ, own).python == str(conda / "bin" / "python")
    del environ["CONDA_PREFIX"]
    chosen = choose(None, environ, own)
    assert chosen.python == str(other / "bin" / "python")
    assert "PATH" in chosen.why


def test_an_environment_that_no_longer_exists_is_passed_over(tmp_path):
    other = environment(tmp_path / "other")
    environ = {"VIRTUAL_ENV": str(tmp_path / "removed"), "PATH": str(other / "bin")}
    assert choose(None, environ, str(tmp_path)).python == str(other / "bin" / "python")


@pytest.mark.parametrize("mark", ["pipx_metadata.json", "uv-receipt.toml"])
def test_an_environment_that_only_holds_the_doctor_is_never_the_patient(tmp_path, mark):
    holder, real = environment(tmp_path / "holder", holds_torch=False), environment(tmp_path / "real")
    (holder / mark).write_text("{}")
    environ = {"VIRTUAL_ENV": str(holder), "PATH": f"{holder / 'bin'}:{real / 'bin'}"}
    assert choose(None, environ, str(holder), str(holder / "bin" / "python")).python == str(real / "bin" / "python")


def test_a_throw_away_environment_of_uvx_is_a_holder_unless_it_holds_torch(tmp_path):
    assert is_holder(str(environment(tmp_path / "cache" / "archive-v0" / "x1")))
    assert not is_holder(str(environment(tmp_path / "cache" / "archive-v0" / "x2", holds_torch=True)))


def test_the_own_environment_is_the_patient_when_it_holds_torch(tmp_path):
    """`.venv/bin/attn-doctor check` without activating: nobody means the system's Python then."""
    own, other = environment(tmp_path / "own", holds_torch=True), environment(tmp_path / "other")
    chosen = choose(None, {"PATH": str(other / "bin")}, str(own), str(own / "bin" / "python"))
    assert chosen.python == str(own / "bin" / "python")


def test_nothing_else_found(tmp_path):
    chosen = choose(None, {"PATH": str(tmp_path)}, str(tmp_path / "own"), "/own/python")
    assert chosen.python == "/own/python"
    assert "no other Python" in chosen.why


def test_a_named_target_is_taken_or_refused_in_one_sentence(tmp_path):
    venv = environment(tmp_path / "venv")
    python = str(venv / "bin" / "python")
    assert choose(python, {}).python == python
    assert choose("python", {"PATH": str(venv / "bin")}).python == python
    with pytest.raises(NoAnswer, match=f"did you mean {python}"):
        choose(str(venv), {})
    with pytest.raises(NoAnswer, match="there is no Python in it"):
        choose(str(tmp_path), {})
    with pytest.raises(NoAnswer, match="does not exist"):
        choose(str(tmp_path / "missing"), {})
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    with pytest.raises(NoAnswer, match="not executable"):
        choose(str(text), {})
