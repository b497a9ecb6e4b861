"""The lines of fixes that ask the installed torch when they run: they are run here, with a torch and an installer that only say what they are."""

from __future__ import annotations

import subprocess
import sys

import pytest

from attn_doctor.commands import toolkit_of_torch
from attn_doctor.failure_modes.shared import triton_windows, vision_of_any_torch, windows_dll_cures
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


def of_toolkit(facts):
    return toolkit_of_torch.steps(facts)


@pytest.mark.parametrize(("cuda", "release"), [("11.3", "11.8"), ("11.8", "11.8"), ("12.4", "12.4"), (None, "None")])
def test_the_toolkit_is_of_the_torch_that_is_there_and_11_8_serves_each_cuda_11(tmp_path, cuda, release):
    (tmp_path / "torch.py").write_text(f"class version:\n    cuda = {cuda!r}\n")
    lines = [step.argv[-1] for step in of_toolkit(Facts(grade="stated"))]
    script = "\n".join(
        [lines[2].replace("python", sys.executable), lines[3].replace("sudo apt-get", "echo"), lines[4], "env"]
    )
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[:2] == [release, f"install -y cuda-toolkit-{release.replace('.', '-')}"]
    assert f"CUDA_HOME=/usr/local/cuda-{release}" in done.stdout


def conda(python):
    return Interpreter(kind="conda", prefix="/home/me/conda/envs/gan", version=python)


def test_an_environment_of_conda_gets_the_parts_of_one_release():
    line = of_toolkit(Facts(grade="stated", interpreter=conda("3.10")))[1].argv[-1]
    assert " -c nvidia/label/cuda-$RELEASE.0 -c conda-forge cuda-toolkit gxx_linux-64=11" in line


def test_python_3_7_has_only_torches_of_old_cudas():
    ask, line, home = of_toolkit(Facts(grade="stated", interpreter=conda("3.7")))
    assert "print(torch.version.cuda)" in ask.argv[-1]
    assert line.argv[-1].endswith(" -c conda-forge cudatoolkit-dev=$RELEASE gxx_linux-64=7")
    assert "CUDA 10.2" in line.why
    assert home.value == "/home/me/conda/envs/gan"


@pytest.mark.parametrize(("cuda", "release"), [("11.7", "11.8"), ("12.2", "12.2.2"), ("12.8", "12.8")])
def test_on_windows_the_line_starts_the_installer_of_that_release(tmp_path, cuda, release):
    line = next(
        step.argv for step in of_toolkit(Facts(grade="stated", system=System(os="windows"))) if "-c" in step.argv
    )
    (tmp_path / "torch.py").write_text(f"class version:\n    cuda = {cuda!r}\n")
    winget = tmp_path / "winget"
    winget.write_text(f"#!{sys.executable}\n{SAYS_ITS_WORDS}")
    winget.chmod(0o755)
    done = subprocess.run(
        [sys.executable, *line[1:]],
        cwd=tmp_path,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split()[-1] == release
    assert not set(line[-1]) & set('"$`%!')


def test_a_windows_whose_cuda_is_not_known_gets_the_msvc_that_each_cuda_accepts():
    old = of_toolkit(Facts(grade="stated", system=System(os="windows"), interpreter=Interpreter(version="3.8")))
    new = of_toolkit(Facts(grade="stated", system=System(os="windows"), interpreter=Interpreter(version="3.13")))
    assert "VC.14.38" in " ".join(old[0].argv)
    assert "VC.14.38" in " ".join(new[0].argv)  # torch for CUDA 11.8 exists for this Python, too
    assert any("CUDA_PATH" in step.why for step in new)


@pytest.mark.parametrize(("torch", "triton"), [("2.6.0+cu124", "3.2"), ("2.9.1+cu128", "3.5"), ("2.14.1", "3.8")])
def test_the_triton_for_windows_is_that_of_the_torch_that_is_there(tmp_path, torch, triton):
    (fix,) = triton_windows.fixes(Facts(grade="stated", system=System(os="windows")))
    assert answer(tmp_path, fix.steps[0].argv, torch, None) == f"install -U triton-windows=={triton}.*"
    assert not set(fix.steps[0].argv[-1]) & set('"$`%!')


def test_a_portable_python_gets_its_headers_too_and_none_of_the_users_packages():
    portable = Interpreter(python="D:\\comfy\\python_embeded\\python.exe")
    (fix,) = triton_windows.fixes(Facts(grade="stated", system=System(os="windows"), interpreter=portable))
    assert fix.steps[0].argv[:2] == ("D:\\comfy\\python_embeded\\python.exe", "-s")
    assert "[sys.executable, '-s', '-m', 'pip'" in fix.steps[0].argv[-1]
    assert fix.steps[-1].argv[0] == "tar.exe"


@pytest.mark.parametrize(
    ("torch", "asked"),
    [
        (
            "2.3.0",
            "install --force-reinstall --no-deps torch==2.3.0 --index-url https://download.pytorch.org/whl/cu121",
        ),
        (
            "2.8.0+cpu",
            "install --force-reinstall --no-deps torch==2.8.0 --index-url https://download.pytorch.org/whl/cu128",
        ),
        (
            "2.12.1",
            "install --force-reinstall --no-deps torch==2.12.1 --index-url https://download.pytorch.org/whl/cu126",
        ),
        ("2.4.1+cu121", None),
    ],
)
def test_a_cpu_build_is_replaced_without_an_import_of_it_and_a_cuda_build_stays(tmp_path, torch, asked):
    (fix,) = windows_dll_cures.cuda_build(Facts(grade="stated", system=System(os="windows")))
    about = tmp_path / f"torch-{torch}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: torch\nVersion: {torch}\n")
    (tmp_path / "torch.py").write_text("raise OSError\n")
    (tmp_path / "pip.py").write_text(SAYS_ITS_WORDS)
    line = [sys.executable, *fix.steps[0].argv[1:]]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip() or None, done.returncode) == (asked, 0 if asked else 1)
    assert asked or "torch is a CUDA build" in done.stderr
