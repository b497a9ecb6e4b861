"""The lines of fixes that ask the installed torch when they run: they are run here, with a torch and an installer that only say what they are."""

from __future__ import annotations

import subprocess
import sys

import pytest

from attn_doctor.failure_modes.shared import vision_of_any_torch
from attn_doctor.model.facts import Facts, Interpreter, Project, System

SAYS_ITS_WORDS = "import sys\nprint(' '.join(sys.argv[1:]))\n"


def answer(tmp_path, line, version, cuda):
    """Return what the installer was asked for by a line that starts Python, where this torch is installed."""
    (tmp_path / "torch.py").write_text(f"class version:\n    cuda = {cuda!r}\n__version__ = {version!r}\n")
    (tmp_path / "pip.py").write_text(SAYS_ITS_WORDS)
    done = subprocess.run([sys.executable, *line[1:]], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("version", "cuda", "asked"),
    [
        ("2.3.1+cu118", "11.8", "torch==2.3.1 --index-url https://download.pytorch.org/whl/cu118"),
        ("2.7.0+cpu", None, "torch==2.7.0 --index-url https://download.pytorch.org/whl/cpu"),
        ("2.4.0+rocm6.1", None, "torch==2.4.0 --index-url https://download.pytorch.org/whl/rocm6.1"),
        ("2.1.2", "12.1", "torch==2.1.2 --index-url https://download.pytorch.org/whl/cu121"),
        ("1.13.0", None, "torch==1.13.0 --index-url https://download.pytorch.org/whl/cpu"),
    ],
)
def test_the_torchvision_is_that_of_the_torch_that_is_there(tmp_path, version, cuda, asked):
    gone, line = vision_of_any_torch.steps(Facts(grade="stated"))
    assert gone.requirements == ("torchvision",)
    assert line.argv[0] == "python"
    assert answer(tmp_path, line.argv, version, cuda) == f"install torchvision {asked}"


def test_the_line_has_no_sign_that_a_shell_reads():
    program = vision_of_any_torch.steps(Facts(grade="stated"))[1].argv[-1]
    assert not set(program) & set('"$`%\\{}!\n')


def test_a_project_a_board_and_an_old_python_get_another_line():
    for other in (
        Facts(grade="stated", project=Project(locks=("poetry.lock",))),
        Facts(grade="stated", system=System(board="jetson")),
        Facts(grade="stated", interpreter=Interpreter(version="3.7.9")),
    ):
        assert vision_of_any_torch.steps(other) == ()


def test_an_environment_of_uv_is_filled_by_uv():
    of_uv = Facts(grade="stated", interpreter=Interpreter(installers=("uv 0.8.3",)))
    assert "['uv', 'pip', 'install', '--python', sys.executable, " in vision_of_any_torch.steps(of_uv)[1].argv[-1]
