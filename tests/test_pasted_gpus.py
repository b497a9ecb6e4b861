"""GPU, driver and toolkit in pasted environments: what torch has no code for, what it was not built for, and what is well."""

from __future__ import annotations

import io
import json

import pytest

from attn_doctor.cli import run
from attn_doctor.examination.inputs import log_reader
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.logs.stated_facts import facts_of_logs
from attn_doctor.model.findings import Goal, Severity

READER = log_reader()

COLLECT_ENV = """\
Collecting environment information...
PyTorch version: {torch}
CUDA used to build PyTorch: {cuda}
ROCM used to build PyTorch: N/A

OS: Microsoft Windows 11 Home (10.0.22631 64-bit)
Python version: 3.11.9 (tags/v3.11.9:de54cf5, Apr  2 2024, 10:12:12) [MSC v.1938 64 bit (AMD64)] (64-bit runtime)
Python platform: Windows-10-10.0.22631-SP0
Is CUDA available: True
GPU models and configuration: GPU 0: {gpu}
Nvidia driver version: {driver}

Versions of relevant libraries:
[pip3] numpy==1.26.4
[pip3] torch=={torch}
[pip3] torchvision=={torchvision}
"""
SMI = """\
$ nvidia-smi
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI {driver}              Driver Version: {driver}      CUDA Version: {cuda}     |
|-----------------------------------------+------------------------+----------------------+
|   0  {gpu}        Off |   00000000:0B:00.0  On |                  N/A |
+-----------------------------------------------------------------------------------------+
"""
DS_REPORT = """\
DeepSpeed C++/CUDA extension op report
ninja .................. [OKAY]
fused_adam ............. [NO] ....... [OKAY]
DeepSpeed general environment info:
torch install path ............... ['/opt/venv/lib/python3.11/site-packages/torch']
torch version .................... {torch}
deepspeed info ................... 0.16.2, unknown, unknown
torch cuda version ............... {cuda}
torch hip version ................ None
nvcc version ..................... {nvcc}
deepspeed wheel compiled w. ...... torch 0.0, cuda 0.0
"""


def said(text):
    logs = [READER.read(io.BytesIO(text.encode()), "pasted.txt")]
    findings = diagnose(facts_of_logs(logs), Goal.TRAIN, logs=logs).findings
    return {one.slug: one for one in findings if one.severity is not Severity.INFO}


@pytest.mark.parametrize(
    ("gpu", "torch", "cuda", "torchvision", "slug"),
    [
        ("NVIDIA GeForce RTX 5060 Laptop GPU", "2.5.1+cu121", "12.1", "0.20.1+cu121", "no-kernel-image"),
        ("NVIDIA GeForce RTX 5090", "2.6.0+cu126", "12.6", "0.21.0+cu126", "no-kernel-image"),
        ("NVIDIA GeForce RTX 5090", "2.7.1+cu128", "12.8", "0.22.1+cu128", None),
        # Wheels for Windows keep Pascal where those for Linux have dropped it: nobody has read them, so nothing is said.
        ("NVIDIA GeForce GTX 1080", "2.7.1+cu128", "12.8", "0.22.1+cu128", None),
        ("NVIDIA GeForce RTX 4060", "2.6.0+cu124", "12.4", "0.21.0+cu124", None),
    ],
)
def test_a_card_newer_than_the_wheel_for_windows(gpu, torch, cuda, torchvision, slug):
    found = said(COLLECT_ENV.format(gpu=gpu, driver="576.88", torch=torch, cuda=cuda, torchvision=torchvision))
    assert set(found) == ({slug} if slug else set())
    if slug:
        steps = [step for step in found[slug].fixes[0].steps if step.argv]
        assert any("cu128" in word for word in steps[0].argv)


@pytest.mark.parametrize("options", ["-W ignore ", "-X utf8 ", "-Wignore -E ", ""])
def test_options_of_python_before_the_typed_code(options):
    typed = f'$ python {options}-c "import torch; print(torch.__version__, torch.cuda.is_available())"\n2.10.0+cu130 False\n'
    found = said(SMI.format(driver="550.90", cuda="12.4", gpu="NVIDIA GeForce RTX 3080") + typed)
    assert set(found) == {"driver-too-old"}


@pytest.mark.parametrize(
    ("version", "hip", "available", "slugs"),
    [
        ("2.5.1+rocm6.2", "6.2.41133-dd7f95766", "False", {"torch-cpu-build"}),
        # ROCm sees a GPU: this machine has an AMD card besides the one that nvidia-smi shows.
        ("2.5.1+rocm6.2", "6.2.41133-dd7f95766", "True", set()),
    ],
)
def test_a_torch_for_amd_beside_an_nvidia_card(version, hip, available, slugs):
    typed = (
        '$ python -c "import torch; print(torch.__version__); print(torch.version.hip); print(torch.cuda.is_available())"\n'
        f"{version}\n{hip}\n{available}\n"
    )
    found = said(SMI.format(driver="560.35", cuda="12.6", gpu="NVIDIA GeForce RTX 4070") + typed)
    assert set(found) == slugs
    if slugs:
        assert "built for AMD GPUs" in found["torch-cpu-build"].message
        assert "rocm" not in " ".join(word for step in found["torch-cpu-build"].fixes[0].steps for word in step.argv)


@pytest.mark.parametrize(
    ("torch", "cuda", "nvcc", "slugs"),
    [
        ("2.6.0+cu118", "11.8", "12.4", {"nvcc-torch-cuda-mismatch"}),
        ("2.9.1+cu130", "13.0", "12.8", {"nvcc-torch-cuda-mismatch"}),
        ("2.6.0+cu124", "12.4", "12.1", set()),
    ],
)
def test_the_toolkit_with_which_deepspeed_would_compile(torch, cuda, nvcc, slugs):
    found = said("$ ds_report\n" + DS_REPORT.format(torch=torch, cuda=cuda, nvcc=nvcc))
    assert set(found) == slugs
    assert all(one.severity is Severity.WARNING for one in found.values())


@pytest.mark.parametrize(
    ("gpu", "slugs"), [("NVIDIA GeForce GTX 1070", {"no-kernel-image"}), ("NVIDIA GeForce RTX 2060", set())]
)
def test_a_card_older_than_the_wheel_for_linux(gpu, slugs):
    typed = '$ python -c "import torch; print(torch.__version__, torch.version.cuda)"\n2.7.1+cu128 12.8\n'
    assert set(said(SMI.format(driver="570.133.07", cuda="12.8", gpu=gpu) + typed)) == slugs


@pytest.mark.parametrize(("python", "slugs"), [("3.12.4", {"wheel-platform-mismatch"}), ("3.10.14", set())])
def test_the_wheel_of_a_requirement_for_another_python(python, slugs, tmp_path, capsys):
    wheel = "https://github.com/Dao-AILab/flash-attention/releases/download/v2.7.3/flash_attn-2.7.3+cu12torch2.5cxx11abiFALSE-cp310-cp310-linux_x86_64.whl"
    path = tmp_path / "requirements.txt"
    path.write_text(
        f"# Python {python}, Linux x86_64\ntorch==2.5.1\ntorchvision==0.20.1\nnumpy==1.26.4\n{wheel}\n", "utf-8"
    )
    run(["diagnose", str(path), "--json", "-"])
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert {one["slug"] for one in findings if one["severity"] != "info"} == slugs


CHECKS = """\
Ultralytics 8.3.202 🚀 Python-3.11.9 torch-{torch} CUDA:0 (NVIDIA GeForce {gpu}, 16311MiB)
Setup complete ✅ (16 CPUs, 31.7 GB RAM, 201.3/930.5 GB disk)

OS                  Windows-10-10.0.19045-SP0
Environment         Windows
Python              3.11.9
Install             pip
Path                D:\\train\\env\\Lib\\site-packages\\ultralytics
GPU                 NVIDIA GeForce {gpu}, 16311MiB
GPU count           1

numpy               ✅ 1.26.4>=1.23.0
"""


@pytest.mark.parametrize(
    ("torch", "gpu", "slugs"),
    [
        ("2.5.1+cu121", "RTX 5060 Ti", ["no-kernel-image"]),
        ("2.7.1+cu118", "RTX 5070", ["no-kernel-image"]),
        ("2.8.0+cu128", "RTX 5060 Ti", []),
        ("2.5.1+cu121", "RTX 4060 Ti", []),
    ],
)
def test_yolo_checks_of_windows_names_no_processor_and_decides_all_the_same(torch, gpu, slugs):
    """No NVIDIA GPU is in a Windows machine with an ARM processor."""
    assert list(said(CHECKS.format(torch=torch, gpu=gpu))) == slugs
