"""The command that starts a container again is the person's own, with sudo and all; a pod has no such command."""

from __future__ import annotations

import pytest
from first_cures import cures, first

NO_DRIVER = "RuntimeError: Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU\n"
BUS = "ERROR: Unexpected bus error encountered in worker. This might be caused by insufficient shared memory (shm).\n"
NO_KFD = "ROCk module is loaded\nUnable to open /dev/kfd read-write: No such file or directory\n"
NO_START = (
    "UserWarning: CUDA initialization: CUDA unknown error - this may be due to an incorrectly set up environment\n"
)


@pytest.mark.parametrize(
    ("log", "lines"),
    [
        (
            f"$ sudo docker run -it --name seg trainer:3 bash\n{NO_DRIVER}",
            ["sudo docker run --gpus all -it --name seg trainer:3 bash"],
        ),
        (f"sudo podman run -it trainer:3\n{NO_DRIVER}", ["sudo podman run --device nvidia.com/gpu=all -it trainer:3"]),
        (
            f"docker run -v $PWD/data:/data trainer:3 python train.py\n{NO_DRIVER}",
            ["docker run --gpus all -v $PWD/data:/data trainer:3 python train.py"],
        ),
        (
            f"$ sudo docker run -it my-rocm-image\nroot@4728a09607c1:/# rocminfo\n{NO_KFD}",
            ["sudo docker run --device=/dev/kfd --device=/dev/dri --group-add video -it my-rocm-image"],
        ),
        (
            f"sudo docker run --shm-size 1g --gpus all trainer:3 python train.py\n{BUS}",
            ["sudo docker run --shm-size=8g --gpus all trainer:3 python train.py"],
        ),
        (
            f"root@4728a09607c1:/work# python train.py\n{BUS}",
            ["docker ps --no-trunc", "docker run --shm-size=8g IMAGE"],
        ),
        (
            f"$ python train.py\n{BUS}",
            ["df -h /dev/shm", "docker ps --no-trunc", "docker run --shm-size=8g IMAGE"],
        ),
        (
            f"sudo docker run --gpus all -it trainer:3\nroot@4728a09607c1:/# python train.py\n{NO_START}",
            [
                "nvidia-smi && sudo modprobe nvidia_uvm && sudo nvidia-modprobe -u -c=0",
                "sudo docker run --gpus all -it trainer:3",
            ],
        ),
    ],
)
def test_the_persons_own_command_starts_the_container_again(log: str, lines: list[str]) -> None:
    assert cures(log)[0] == lines


@pytest.mark.parametrize(
    "words", ["kubernetes pod", "Running in a k8s pod", "[pod/trainer-0/main] start", "$ kubectl logs trainer-0"]
)
def test_a_pod_gets_its_memory_by_its_file(words: str) -> None:
    _, finding = first(f"{words}\n{BUS}")
    pod, fewer = finding.fixes
    said = "\n".join(step.why for step in pod.steps)
    assert "volumes: [{name: shm, emptyDir: {medium: Memory, sizeLimit: 8Gi}}]" in said
    assert "volumeMounts: [{name: shm, mountPath: /dev/shm}]" in said
    assert cures(f"{words}\n{BUS}")[0] == [None, None, "kubectl replace --force -f pod.yaml", "df -h /dev/shm"]
    assert fewer.title == "Use fewer workers"


def test_pods_of_other_things_are_no_pods_of_kubernetes() -> None:
    _, finding = first(f"the pod of whales in the pictures\n{BUS}")
    assert finding.fixes[0].title == "Give the container more shared memory"


def test_the_notebook_of_a_hub_first_takes_fewer_workers() -> None:
    _, finding = first(
        f'  File "/srv/conda/envs/notebook/lib/python3.11/site-packages/torch/x.py", line 2, in f\n{BUS}'
    )
    fewer, hub = finding.fixes
    assert fewer.title == "Use fewer workers"
    assert "extraVolumeMounts" in hub.steps[0].why


def test_nccl_is_not_told_to_take_fewer_workers() -> None:
    text = "NCCL WARN Error while creating shared memory segment /dev/shm/nccl-x1Y2z3 (size 9637888)\n"
    _, finding = first(text)
    assert "NCCL" in finding.message
    assert cures(text)[1] == ["export NCCL_SHM_DISABLE=1"]


def test_a_user_of_a_cluster_asks_for_a_gpu_and_needs_no_sudo() -> None:
    (cure,) = cures(
        "[me@login1 x]$ module load rocm/6.1\n[me@login1 x]$ rocminfo\nROCk module is loaded\nUnable to open /dev/kfd read-write: Permission denied\n"
    )
    assert cure == ["ls -l /dev/kfd /dev/dri; id -nG", "srun --gres=gpu:1 --pty bash"]


def test_a_start_without_memory_is_tried_with_one_gpu_first() -> None:
    text = "UserWarning: CUDA initialization: Unexpected error from cudaGetDeviceCount(). Error 2: out of memory (Triggered internally at CUDAFunctions.cpp:108.)\n"
    assert cures(text)[0] == ["export CUDA_VISIBLE_DEVICES=0", "nvidia-smi"]
