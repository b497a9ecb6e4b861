"""Define what the tests of cures of a platform share."""

from __future__ import annotations

REPOSITORIES = "https://developer.download.nvidia.com/compute/cuda/repos"
KEYRING = "cuda-keyring_1.1-1_all.deb"

UNSET = "      OSError: CUDA_HOME environment variable is not set. Please set it to your CUDA install root.\n"
CU128 = "      torch.__version__  = 2.7.1+cu128\n"
CU130 = "      torch.__version__  = 2.9.1+cu130\n"
DOCKER = "root@0123456789ab:/workspace# pip install mamba-ssm\n"
BUILD = "Step 6/9 : RUN pip install mamba-ssm --no-build-isolation\n ---> Running in 0123456789ab\n"


def by_apt(folder: str, cuda: str, sudo: str = "sudo ", arch: str = "x86_64") -> list[str]:
    return [
        f"wget {REPOSITORIES}/{folder}/{arch}/{KEYRING}",
        f"{sudo}dpkg -i {KEYRING}",
        f"{sudo}apt-get update",
        f"{sudo}apt-get install -y cuda-toolkit-{cuda.replace('.', '-')}",
        f"export CUDA_HOME=/usr/local/cuda-{cuda}",
    ]
