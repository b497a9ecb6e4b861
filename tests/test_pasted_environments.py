"""A pasted environment is a machine: what it states is judged, what it leaves out is named, and a healthy one is left alone."""

from __future__ import annotations

import io
import json

import pytest

from attn_doctor.cli import run
from attn_doctor.examination.inputs import log_reader
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.logs.not_a_log import checked
from attn_doctor.logs.stated_facts import facts_of_logs, is_environment
from attn_doctor.model.facts import Unknown
from attn_doctor.model.findings import Diagnosis, Goal, Severity

READER = log_reader()

COLLECT_ENV = """\
Collecting environment information...
PyTorch version: {torch}
Is debug build: False
CUDA used to build PyTorch: {cuda}
ROCM used to build PyTorch: N/A

OS: Ubuntu 22.04.4 LTS (x86_64)
GCC version: (Ubuntu 11.4.0-1ubuntu1~22.04) 11.4.0
Libc version: glibc-2.35

Python version: 3.10.12 (main, Mar 22 2024, 16:50:05) [GCC 11.4.0] (64-bit runtime)
Python platform: Linux-5.15.0-107-generic-x86_64-with-glibc2.35
Is CUDA available: True
GPU models and configuration: GPU 0: {gpu}
Nvidia driver version: {driver}

Versions of relevant libraries:
[pip3] numpy=={numpy}
[pip3] torch=={torch}
[pip3] torchvision=={torchvision}
[conda] Could not collect
"""
SOUND = {
    "torch": "2.3.1+cu121", "cuda": "12.1", "gpu": "NVIDIA GeForce RTX 4070", "driver": "550.54.14",
    "numpy": "1.26.4", "torchvision": "0.18.1+cu121",
}  # fmt: skip

PIP_LIST = """\
(yolo) PS C:\\work> pip list
Package            Version
------------------ ----------------
certifi            2024.7.4
colorama           0.4.6
filelock           3.15.4
numpy              {numpy}
opencv-python      4.10.0.84
pillow             10.4.0
pip                24.2
setuptools         72.1.0
torch              {torch}
torchvision        {torchvision}
typing_extensions  4.12.2
ultralytics        8.3.40
urllib3            2.2.2
"""
FREEZE = """\
certifi==2024.7.4
flash-attn=={flash}
matplotlib==3.9.0
numpy==1.26.4
nvidia-cudnn-cu12==8.9.2.26
nvidia-nccl-cu12==2.20.5
pillow==10.4.0
torch=={torch}
torchvision=={torchvision}
triton=={triton}
ultralytics==8.3.40
urllib3==2.2.2
"""
CONDA_LIST = """\
# packages in environment at /opt/miniforge3/envs/seg:
#
# Name                    Version                   Build  Channel
_libgcc_mutex             0.1                 conda_forge    conda-forge
numpy                     {numpy}           py310hb13e2d6_0    conda-forge
python                    3.10.14         hd12c33a_0_cpython    conda-forge
pytorch                   2.2.2           py3.10_cuda12.1_cudnn8.9.2_0    pytorch
torchvision               {torchvision}         py310_cu121    pytorch
ultralytics               8.3.40                   pypi_0    pypi
xz                        5.2.6                h166bdaf_0    conda-forge
"""
SMI = """\
+-----------------------------------------------------------------------------+
| NVIDIA-SMI {driver}   Driver Version: {driver}   CUDA Version: {cuda}     |
|-------------------------------+----------------------+----------------------+
|   0  {gpu}  On   | 00000000:01:00.0 Off |                  N/A |
"""
CHECKS = """\
Ultralytics 8.3.40 🚀 Python-3.11.9 torch-{torch} CUDA:0 (NVIDIA GeForce RTX 3060, 12288MiB)
Setup complete ✅ (16 CPUs, 31.8 GB RAM, 200.0/931.5 GB disk)

OS                  Linux-6.5.0-41-generic-x86_64-with-glibc2.35
Environment         Linux
Python              3.11.9
CUDA                12.1

numpy               ✅ {numpy}>=1.23.0
torch               ✅ {torch}>=1.8.0
torchvision         ✅ {torchvision}>=0.9.0
"""


def judged(text: str, goal: Goal = Goal.TRAIN) -> Diagnosis:
    log = READER.read(checked(io.BytesIO(text.encode()), "env.txt"), "env.txt")
    return diagnose(facts_of_logs([log]), goal, logs=[log])


def loud(text: str, goal: Goal = Goal.TRAIN) -> set[str]:
    return {finding.slug for finding in judged(text, goal).findings if finding.severity is not Severity.INFO}


ILL = {
    "an old driver": (
        COLLECT_ENV.format(**SOUND | {"driver": "470.199.02"}).replace("CUDA available: True", "CUDA available: False"), "driver-too-old"),
    "a torch that was built without CUDA, beside a GPU": (
        ("Collecting environment information...\nPyTorch version: 2.9.1\nCUDA used to build PyTorch: None\nROCM used to build PyTorch: N/A\n"
        "OS: Ubuntu 24.04.1 LTS (aarch64)\nPython platform: Linux-6.8.0-1013-nvidia-64k-aarch64-with-glibc2.39\nIs CUDA available: False\n"
        "GPU models and configuration: GPU 0: NVIDIA GH200 480GB\nNvidia driver version: 580.95.05\n"), "torch-cpu-build"),
    "torchvision of another torch": (COLLECT_ENV.format(**SOUND | {"torchvision": "0.17.0+cu121"}), "torchvision-mismatch"),
    "a GPU that is newer than torch": (
        COLLECT_ENV.format(**SOUND | {"gpu": "NVIDIA GeForce RTX 5080", "driver": "570.86.10"}), "no-kernel-image"),
    "NumPy 2 before torch 2.3, under Windows": (
        PIP_LIST.format(torch="2.2.2+cu121", torchvision="0.17.2+cu121", numpy="2.1.0"), "numpy-abi"),
    "torchvision of pip list": (PIP_LIST.format(torch="2.4.1+cu124", torchvision="0.18.1+cu121", numpy="1.26.4"), "torchvision-mismatch"),
    "flash-attn for another torch": (
        FREEZE.format(flash="2.6.3+cu123torch2.4cxx11abiFALSE", torch="2.3.1", torchvision="0.18.1", triton="2.3.1"),
        "abi-mismatch-torch-version"),
    "a CPU torchvision beside a nightly for CUDA": (
        COLLECT_ENV.format(**SOUND | {"torch": "2.4.0.dev20240512+cu121", "torchvision": "0.19.0.dev20240512+cpu"}), "torchvision-mismatch"),
    "a released torchvision in NVIDIA's image": (
        COLLECT_ENV.format(**SOUND | {"torch": "2.3.0a0+6ddf5cf85e.nv24.4", "torchvision": "0.16.2"}), "torchvision-mismatch"),
    "triton of another torch": (FREEZE.format(flash="2.6.3", torch="2.3.1", torchvision="0.18.1", triton="2.0.0"), "triton-version-mismatch"),
    "torchvision of conda list": (CONDA_LIST.format(torchvision="0.15.2", numpy="1.26.4"), "torchvision-mismatch"),
    "an old driver beside a list": (
        SMI.format(driver="450.80.02", cuda="11.0", gpu="Tesla V100-SXM2-16GB") + CONDA_LIST.format(torchvision="0.17.2", numpy="1.26.4"),
        "driver-too-old"),
    "torchvision of yolo checks": (CHECKS.format(torch="2.3.1+cu121", torchvision="0.20.1+cu121", numpy="1.26.4"), "torchvision-mismatch"),
}  # fmt: skip

HEALTHY = {
    "collect_env": COLLECT_ENV.format(**SOUND),
    "pip list": PIP_LIST.format(torch="2.4.1+cu124", torchvision="0.19.1+cu124", numpy="1.26.4"),
    "pip freeze": FREEZE.format(flash="2.6.3", torch="2.3.1", torchvision="0.18.1", triton="2.3.1"),
    "conda list": CONDA_LIST.format(torchvision="0.17.2", numpy="1.26.4"),
    "nvidia-smi": SMI.format(driver="550.54.14", cuda="12.4", gpu="NVIDIA GeForce RTX 4070"),
    "an old driver alone": SMI.format(driver="450.80.02", cuda="11.0", gpu="Tesla V100-SXM2-16GB"),
    "yolo checks": CHECKS.format(torch="2.3.1+cu121", torchvision="0.18.1+cu121", numpy="1.26.4"),
    # torch and torchvision of one night: the number of torchvision is that of the release before.
    "nightlies": COLLECT_ENV.format(
        **SOUND | {"torch": "2.6.0.dev20241112+cu124", "cuda": "12.4", "torchvision": "0.20.0.dev20241112+cu124"}
    ),
    # Both were compiled, each from a commit: behind the "+" are two commits, and no builds.
    "sources": COLLECT_ENV.format(
        **SOUND | {"torch": "2.4.0a0+gitee1b680", "cuda": "N/A", "torchvision": "0.19.0a0+48b1edf"}
    ),
    "NVIDIA's image": COLLECT_ENV.format(
        **SOUND | {"torch": "2.3.0a0+6ddf5cf85e.nv24.4", "cuda": "12.4", "torchvision": "0.18.0a0"}
    ),
    # Whoever has a nightly torch may have compiled the sources of a released torchvision for it.
    "a release beside a nightly": COLLECT_ENV.format(**SOUND | {"torch": "2.4.0.dev20240512+cu121"}),
}


@pytest.mark.parametrize("name", ILL)
def test_what_it_states_is_judged(name):
    text, slug = ILL[name]
    assert slug in loud(text, Goal.FLASH_ATTN), name
    finding = next(f for f in judged(text, Goal.FLASH_ATTN).findings if f.slug == slug)
    assert finding.certainty.value == "predicted"
    assert all(e.file == "env.txt" and e.line for e in finding.evidence if e.kind == "log")
    assert any(e.kind == "log" for e in finding.evidence)


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_one_is_left_alone(name):
    assert loud(HEALTHY[name]) == set(), name


def test_a_list_that_may_be_cut_says_nothing_of_what_is_not_in_it():
    whole = PIP_LIST.format(torch="2.4.1+cu124", torchvision="0.19.1+cu124", numpy="1.26.4")
    cut = whole[: whole.index("setuptools")]
    grepped = "\n".join(line for line in whole.splitlines() if "o" in line and "torch" not in line)
    for text in (cut, grepped):
        facts = facts_of_logs([READER.read(io.BytesIO(text.encode()), "env.txt")])
        assert isinstance(facts.packages.distributions, Unknown)
        assert isinstance(facts.torch.version, Unknown)
    facts = facts_of_logs([READER.read(io.BytesIO(whole.encode()), "env.txt")])
    assert facts.flash_attention.version is None


def test_pip_freeze_leaves_out_pip_and_its_tools():
    text = HEALTHY["pip freeze"]
    facts = facts_of_logs([READER.read(io.BytesIO(text.encode()), "env.txt")])
    listed = {d.name: d.version for d in facts.packages.distributions}
    assert isinstance(listed["setuptools"], Unknown)
    assert listed["numpy"] == "1.26.4"


def test_an_environment_with_an_error_is_a_log():
    text = (
        COLLECT_ENV.format(**SOUND | {"driver": "470.199.02"})
        + "Traceback (most recent call last):\n  File \"a.py\", line 1\nKeyError: 'x'\n"
    )
    log = READER.read(io.BytesIO(text.encode()), "env.txt")
    assert not is_environment([log])
    assert "driver-too-old" not in loud(text)


def test_the_command_names_what_would_decide(tmp_path, capsys):
    path = tmp_path / "list.txt"
    path.write_text(HEALTHY["pip list"], encoding="utf-8")
    assert run(["diagnose", str(path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "state keeps training from working. Not stated: Python, the GPU, the NVIDIA driver." in said


def test_an_ill_one_ends_with_1_and_its_lines(tmp_path, capsys):
    path = tmp_path / "env.txt"
    path.write_text(ILL["an old driver"][0], encoding="utf-8")
    assert run(["diagnose", str(path), "--json", "-"]) == 1
    first = json.loads(capsys.readouterr().out)["findings"][0]
    assert first["slug"] == "driver-too-old"
    assert [e["line"] for e in first["evidence"]] == [15, 19]  # collect_env names torch twice: the last one counts


def test_collect_env_of_torch_2_15_names_hip_in_a_line_of_its_own():
    """A GPU of AMD, and a torch whose version does not tell its build: only the new line does."""
    text = (
        "Collecting environment information...\nPyTorch version: 2.15.0\nIs debug build: False\nCUDA used to build PyTorch: N/A\n"
        "ROCm SDK used to build PyTorch: 7.2.1\nHIP used to build PyTorch: 7.2.53211\n\nOS: Ubuntu 24.04.1 LTS (x86_64)\n"
        "Python platform: Linux-6.8.0-60-generic-x86_64-with-glibc2.39\n"
    )
    log = READER.read(checked(io.BytesIO(text.encode()), "env.txt"), "env.txt")
    assert str(facts_of_logs([log]).torch.hip).startswith("7.2")


def test_a_released_torchvision_beside_a_nightly_torch_is_named_without_alarm():
    found = next(f for f in judged(HEALTHY["a release beside a nightly"]).findings if f.slug == "torchvision-mismatch")
    assert found.severity is Severity.INFO
    assert (
        found.message
        == "torchvision 0.18.1+cu121 was released for another torch, and 2.4.0.dev20240512+cu121 is no release: they fit only if torchvision "
        "was compiled for it."
    )
