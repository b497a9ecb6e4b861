"""The first cure uses what the log itself names: the module, the folder of libcuda, the pod, the build of an image, the program."""

from __future__ import annotations

import pytest
from first_cures import cures

BUS = "RuntimeError: DataLoader worker (pid 9) is killed by signal: Bus error.\n"
FULL = '#9 88.1 OSError: [Errno 28] No space left on device\nERROR: failed to solve: process "/bin/sh -c pip install torch" did not complete successfully: exit code: 1\n'
AMPERE = "RuntimeError: FlashAttention only supports Ampere GPUs or newer.\n"


@pytest.mark.parametrize(
    ("log", "starts"),
    [
        pytest.param(
            "$ module load gcc/12 nccl/2.18.3\nImportError: /srv/e/lib/python3.11/site-packages/torch/lib/libtorch_cuda.so: undefined symbol: ncclCommWindowRegister\n",
            "module unload nccl",
            id="the module that has the library",
        ),
        pytest.param(
            "AssertionError: libcuda.so cannot found!\nPossible files are located at ['/usr/lib64/nvidia/libcuda.so.1'].Please create a symlink\n",
            'f=/usr/lib64/nvidia/libcuda.so.1; [ -e "$f" ]',
            id="the folder of libcuda",
        ),
        pytest.param(
            "/usr/bin/ld: cannot find -lcuda: No such file or directory\n",
            "f=$(/sbin/ldconfig -p | awk",
            id="the folder of libcuda is asked for",
        ),
        pytest.param(FULL, "docker system df", id="a full disk in a build of an image"),
        pytest.param(
            '  File "/srv/e/lib/python3.12/site-packages/vllm/v1/worker/gpu_model_runner.py", line 80, in forward\n'
            + AMPERE,
            "export VLLM_ATTENTION_BACKEND=TRITON_ATTN",
            id="vLLM has its own flash-attn",
        ),
        pytest.param(
            "C:\\w> pip install flash_attn-2.8.2-cp312-cp312-win_amd64.whl\nversion https://git-lfs.github.com/spec/v1\n"
            "ERROR: Wheel 'flash-attn' located at C:\\w\\flash_attn-2.8.2-cp312-cp312-win_amd64.whl is invalid.\n",
            "attn-doctor wheels --online",
            id="a pointer of Git LFS",
        ),
    ],
)
def test_the_first_command_uses_the_fact(log: str, starts: str) -> None:
    first = cures(log)[0][0]
    assert first is not None
    assert first.startswith(starts), first


def test_a_pod_gets_no_command_of_docker() -> None:
    lines = cures(f"$ kubectl logs train-0\n{BUS}")
    assert not [line for fix in lines for line in fix if line and "docker" in line]


def test_outside_of_kubernetes_docker_is_still_named() -> None:
    assert any("--shm-size" in (line or "") for fix in cures(BUS) for line in fix)
