"""A log without an error whose last word is that torch computes on the CPU, although the log shows a GPU."""

from __future__ import annotations

import pytest

JETSON = "mia@nx:~$ uname -r\n5.10.120-tegra\n"
AMD = "Device: AMD Radeon RX 6800 XT\nName: gfx1030\n"
ASK = 'mia@nx:~$ python -c "import torch; print(torch.__version__, torch.cuda.is_available(), torch.version.cuda)"\n'
BANNER = "Ultralytics 8.3.40 Python-3.10.12 torch-2.3.1 CPU (Cortex-A78AE)\n"


def finding(log):
    from attn_doctor.examination.inputs import as_log
    from attn_doctor.judging.diagnose import diagnose
    from attn_doctor.logs.stated_facts import as_facts, stated_facts
    from attn_doctor.model.facts import Facts
    from attn_doctor.model.findings import Goal

    read = as_log(log, "log")
    facts = as_facts(stated_facts([read]), Facts(grade="stated")).facts
    return next((f for f in diagnose(facts, Goal.TRAIN, logs=[read]).findings if f.severity != "info"), None)


def test_the_banner_of_ultralytics_on_a_jetson():
    found = finding(JETSON + "mia@nx:~$ yolo predict model=yolo11n.pt\n" + BANNER)
    assert found.slug == "torch-cpu-build"
    assert found.message.startswith("torch 2.3.1 does not use the GPU of this Jetson")


def test_the_image_for_arm_is_replaced_by_that_for_a_jetson_in_the_users_own_line():
    log = (
        "# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: t186ref, EABI: aarch64\n"
        "mia@nx:~$ sudo docker run -it --rm --runtime nvidia -v $(pwd):/work ultralytics/ultralytics:latest-arm64\n"
        "root@4f1c:/ultralytics# yolo predict\n" + BANNER
    )
    first = finding(log).fixes[0]
    argv = ("sudo", "docker", "run", "-it", "--rm", "--runtime", "nvidia", "-v", "$(pwd):/work")
    assert first.steps[0].argv == (*argv, "ultralytics/ultralytics:latest-jetson-jetpack5")


def test_false_with_a_cuda_build_beside_an_amd_card():
    found = finding(AMD + ASK + "2.4.1+cu121 False 12.1\n")
    assert found.message == (
        "torch 2.4.1+cu121 is a build for CUDA, and the GPU is one of AMD: torch sees no GPU. It takes the ROCm build."
    )
    assert any("whl/rocm" in " ".join(step.argv) for step in found.fixes[0].steps)


def test_false_with_a_cpu_build_beside_an_nvidia_card():
    found = finding("NVIDIA GeForce RTX 3070\n" + ASK + "2.4.1+cpu False None\n")
    assert found.slug in ("torch-cpu-build", "torch-sees-no-gpu")
    assert "2.4.1+cpu" in found.message


@pytest.mark.parametrize(
    "log",
    [
        JETSON + "mia@nx:~$ yolo predict device=cpu\n" + BANNER,
        JETSON + ASK + "2.3.0 True 12.2\n",
        JETSON + BANNER.replace("torch-2.3.1 CPU", "torch-2.3.0 CUDA:0"),
        BANNER.replace("Cortex-A78AE", "Intel Core i7-9750H"),
        ASK + "2.4.1+cpu False None\n",
    ],
    ids=["the CPU was asked for", "True", "CUDA in the banner", "no GPU is shown", "a CPU build and no GPU"],
)
def test_no_finding(log):
    found = finding(log)
    assert found is None or found.slug != "torch-sees-no-gpu"
