"""The machine that a command examines: `--here`, a folder that stands for a machine, and the environment of the options."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from kit.machine import Machine, alpine
from targets import add_metadata, make_target, torch_of

from attn_doctor.examination import Options, facts_of

ROOT = Path(__file__).parents[1]

posix = pytest.mark.skipif(os.name != "posix", reason="the targets are shell scripts")

TORCH = "Tensor = object\n__version__ = '2.6.0+cpu'\n"


def doctor(*argv: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "attn_doctor", *argv],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, **environ},
        timeout=60,
    )


def words(text: str) -> str:
    """The text without the line breaks of a terminal."""
    return " ".join(text.split())


# --- --here


@pytest.fixture(scope="module")
def without_torch(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("target") / "env"
    python = make_target(folder)
    add_metadata(folder, "ultralytics", "8.3.0")
    return str(python)


@posix
def test_list_here_names_what_is_met_here_and_nothing_else(without_torch, tmp_path):
    healthy = str(torch_of(tmp_path / "env", "", cuda=None))
    met = {}
    for target in (without_torch, healthy):
        done = doctor("list", "--here", "--target", target, "--json", "-")
        assert (done.returncode, done.stderr) == (0, "")
        met[target] = {mode["slug"] for mode in json.loads(done.stdout)}
    assert "torch-missing" in met[without_torch]
    assert "torch-missing" not in met[healthy]
    everything = {mode["slug"] for mode in json.loads(doctor("list", "--json", "-").stdout)}
    assert met[without_torch] < everything


@posix
def test_diagnose_here_says_where_a_log_and_the_machine_disagree(tmp_path):
    """The log is of torch 2.9.0; the target has 2.6.0."""
    target = torch_of(tmp_path / "env", TORCH, cuda=None)
    log = tmp_path / "log"
    log.write_text("torch.__version__  = 2.9.0\nModuleNotFoundError: No module named 'packaging'\n")
    said = f"{log}:1 shows torch 2.9.0, this machine has 2.6.0+cpu: the log is from another machine, or from an earlier time"
    here = doctor("diagnose", str(log), "--here", "--target", str(target), COLUMNS="300")
    alone = doctor("diagnose", str(log), COLUMNS="300")
    assert (here.returncode, alone.returncode) == (1, 1)
    assert (said in words(here.stdout), said in words(alone.stdout)) == (True, False)
    log.write_text(log.read_text().replace("2.9.0", "2.6.1"))
    assert "shows torch" not in doctor("diagnose", str(log), "--here", "--target", str(target)).stdout


# --- one root and one environment, for every command


@pytest.mark.skipif(sys.platform != "linux", reason="the machine is a Linux one")
def test_a_folder_that_stands_for_a_machine_is_examined_by_every_command(tmp_path):
    """The machine has musl, a card and an old driver. No machine that runs the tests has all of them."""
    target = str(torch_of(tmp_path / "env", "", cuda=None))
    machine = alpine(Machine(tmp_path / "machine"))
    machine.pci("10de", "2684")
    machine.driver("470.82.01")
    log = tmp_path / "log"
    log.write_text(
        "NVIDIA-SMI 555.42.06  Driver Version: 555.42.06\nModuleNotFoundError: No module named 'packaging'\n"
    )

    def told(*argv: str) -> str:
        done = doctor(*argv, "--target", target, ATTN_DOCTOR_ROOT=str(machine.root), COLUMNS="300")
        assert (done.returncode in (0, 1), "Traceback" in done.stderr) == (True, False), done.stderr
        return done.stdout

    assert json.loads(told("check", "--no-trial", "--json", "-"))["facts"]["system"]["distribution"] == "alpine"
    assert json.loads(told("wheels", "--json", "-"))["key"]["glibc"] is None
    assert "torch-cpu-build" in [mode["slug"] for mode in json.loads(told("list", "--here", "--json", "-"))]
    assert "torch-cpu-build" in told("fix", "--suggest", "--offline", "--json", "-")
    assert "shows the driver 555.42.06, this machine has 470.82.01" in words(told("diagnose", str(log), "--here"))


@posix
def test_the_environment_that_is_examined_is_the_one_of_the_options(tmp_path):
    """PYTHONPATH of the options brings a module; nothing of the environment of this process reaches the target."""
    target = torch_of(tmp_path / "env", TORCH, cuda=None)
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "einops.py").write_text("import os\nassert 'ATTN_DOCTOR_TEST' not in os.environ\n")
    before = dict(os.environ)
    os.environ["ATTN_DOCTOR_TEST"] = "1"
    try:
        environ = {"PATH": os.defpath, "PYTHONPATH": str(tmp_path / "beside"), "MAX_JOBS": "7"}
        facts = facts_of(Options(target=str(target), environ=environ))
        assert os.environ["ATTN_DOCTOR_TEST"] == "1"
    finally:
        os.environ.clear()
        os.environ.update(before)
    variables = {variable.name: variable.value for variable in facts.environment}
    assert variables == {"PYTHONPATH": str(tmp_path / "beside"), "MAX_JOBS": "7"}
    assert facts.interpreter.differs_isolated == (f"einops: {tmp_path / 'beside' / 'einops.py'}",)


WANTS_A_GPU = {
    "ValueError: Invalid CUDA 'device=0' requested. Use 'device=cpu' or pass valid CUDA device(s) if available, i.e. 'device=0' or "
    "'device=0,1,2,3' for Multi-GPU.\n\ntorch.cuda.is_available(): False\ntorch.cuda.device_count(): 0\n"
    "os.environ['CUDA_VISIBLE_DEVICES']: None": ("torch-sees-no-gpu", "device 0"),
    "AssertionError: Torch not compiled with CUDA enabled": ("torch-cpu-build", "CUDA"),
    "RuntimeError: Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU": (
        "driver-missing",
        "CUDA",
    ),
    "RuntimeError: No CUDA GPUs are available": ("driver-missing", "CUDA"),
    "RuntimeError: CUDA error: no CUDA-capable device is detected": ("driver-missing", "CUDA"),
}


@pytest.mark.parametrize("line", WANTS_A_GPU, ids=lambda line: line[:40])
@pytest.mark.parametrize("machine", ["laptop-without-gpu", "server-without-gpu"])
def test_a_program_that_wants_a_gpu_on_a_machine_that_was_seen_to_have_none(line, machine, tmp_path):
    """The machine says why: no driver and no build of torch is named as a cure, and no command that is not there."""
    slug, asked = WANTS_A_GPU[line]
    (tmp_path / "run.log").write_text(line + "\n")
    facts = ROOT / "fixtures" / "machines" / machine / "facts.json"
    done = doctor("diagnose", str(tmp_path / "run.log"), "--goal", "train", "--facts", str(facts), "--json", "-")
    found = next(f for f in json.loads(done.stdout)["findings"] if f["root_cause"])
    assert (done.returncode, found["slug"], found["confidence"]) == (1, slug, "high")
    assert found["message"] == f"The program asked for {asked}, and this machine has no GPU that torch can use."
    assert [fix["title"] for fix in found["fixes"]] == ["Compute on the CPU, or run the program where there is a GPU"]
    assert ("XPU" in done.stdout) == (machine == "laptop-without-gpu")  # its graphics are of Intel


def test_on_a_machine_with_a_gpu_the_same_lines_are_judged_as_before(tmp_path):
    (tmp_path / "run.log").write_text("AssertionError: Torch not compiled with CUDA enabled\n")
    facts = ROOT / "fixtures" / "machines" / "rtx-4090-healthy-cu132" / "facts.json"
    done = doctor("diagnose", str(tmp_path / "run.log"), "--goal", "train", "--facts", str(facts), "--json", "-")
    assert "no GPU that torch can use" not in done.stdout
