"""The command that stands in a log, given back with what has to differ; and sentences that are true of the system they are said of."""

from __future__ import annotations

import io

import pytest

from attn_doctor.examination.inputs import log_reader
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.logs.stated_facts import facts_of_logs
from attn_doctor.model.findings import Finding, Goal
from attn_doctor.model.steps import Step

FULL = "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"
NO_DRIVER = "RuntimeError: Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU"


def judged(*lines: str) -> Finding:
    logs = [log_reader().read(io.BytesIO("".join(f"{line}\n" for line in lines).encode()), "log")]
    return diagnose(facts_of_logs(logs), Goal.TRAIN, logs=logs).findings[0]


def first(*lines: str) -> Step:
    return judged(*lines).fixes[0].steps[0]


@pytest.mark.parametrize(
    ("typed", "again"),
    [
        (
            "yolo detect train data=a.yaml model=yolo12n.pt batch=64 device=0,1",
            "yolo detect train data=a.yaml model=yolo12n.pt batch=32 device=0,1",
        ),
        ("yolo train model=yolo12n.pt data=a.yaml", "yolo train model=yolo12n.pt data=a.yaml batch=8"),
        ("yolo task=detect mode=train model=yolo12n.pt", "yolo task=detect mode=train model=yolo12n.pt batch=8"),
        ("yolo detect train model=yolo12n.pt batch=-1", "yolo detect train model=yolo12n.pt batch=8"),
        (
            "python train.py --data a.yaml --batch-size 32 --img 640",
            "python train.py --data a.yaml --batch-size 16 --img 640",
        ),
        ("python train.py --batch 8", "python train.py --batch 4"),
        ("yolo detect predict model=yolo12n.pt", ""),
        ("python train.py --data a.yaml", ""),
        ("yolo train model='my model.pt' data=a.yaml", ""),
    ],
)
def test_a_training_is_repeated_with_half_of_its_batch(typed, again):
    assert " ".join(first(f"$ {typed}", FULL).argv) == again


@pytest.mark.parametrize(
    ("device", "alone"),
    [("device=0", True), ("device=0,1,2,3", False), ("device=[0, 1]", False), ("--device 0,1", False)],
)
def test_automatic_batches_are_for_one_gpu_alone(device, alone):
    """With several Ultralytics refuses batch=-1, or takes 16: https://github.com/ultralytics/ultralytics/issues/4610"""
    why = first(f"$ yolo train model=yolo12n.pt {device}", FULL).why
    assert ("batch=-1 lets Ultralytics choose, on one GPU" in why) is alone
    assert ("batch=-1 works only on one GPU" in why) is not alone


@pytest.mark.parametrize(
    ("typed", "again"),
    [
        ("docker run --rm --gpus 0 a:1 python t.py", "docker run --gpus all --rm a:1 python t.py"),
        ("docker run --rm --gpus=0 a:1", "docker run --gpus all --rm a:1"),
        ("sudo docker run -it a:1 bash", "sudo docker run --gpus all -it a:1 bash"),
        ("docker run --gpus device=3 a:1", "docker run --gpus all a:1"),
        ("docker run --gpus all a:1", "docker run --gpus all a:1"),
        ("docker run -it ... bash", "docker ps --no-trunc"),
        ("docker run -e X='a a:1", "docker run --gpus all a:1"),
    ],
)
def test_a_container_is_started_again_by_the_command_of_the_log(typed, again):
    assert " ".join(first(f"$ {typed}", NO_DRIVER).argv) == again


def test_a_long_command_ends_where_the_next_line_begins():
    """A terminal breaks long lines, and so the reader puts them together again."""
    long = "docker run --rm --gpus 0 " + "-v /srv/data/of/a/long/name:/data " * 4 + "trainer:2 python train.py"
    assert first(long, NO_DRIVER).argv[-2:] == ("python", "train.py")


@pytest.mark.parametrize(
    ("line", "slug"),
    [
        ("  C:\\p\\setup.py:78: UserWarning: flash_attn was requested, but nvcc was not found.", "cuda-home-unset"),
        (
            (
                "subprocess.CalledProcessError: Command '['C:\\\\p\\\\tcc.exe', 'C:\\\\Temp\\\\cuda_utils.c', '-lcuda']' returned "
                "non-zero exit status 1."
            ),
            "triton-libcuda-link",
        ),
    ],
)
def test_linux_is_not_told_of_to_windows(line, slug):
    finding = judged("PS C:\\p> python t.py", line)
    words = " ".join(
        [finding.message, *(f"{step.why} {' '.join(step.argv)}" for fix in finding.fixes for step in fix.steps)]
    )
    assert finding.slug == slug
    assert not [word for word in ("/usr/", "libcuda.so", "gcc", "ldconfig", "apt", "sudo") if word in words]


def test_no_torch_brings_triton_to_windows():
    """No wheel of torch for Windows asks for triton: triton-windows is installed by itself."""
    line = "ptxas fatal   : Value 'sm_120' is not defined for option 'gpu-name'"
    finding = judged("PS C:\\p> python t.py", "torch 2.6.0+cu126", line)
    newer = next(fix for fix in finding.fixes if fix.title == "Install a torch with a newer Triton")
    assert newer.steps[-1].argv[-3:] == ("install", "--upgrade", "triton-windows")
    assert "installs a newer Triton" not in newer.steps[0].why
