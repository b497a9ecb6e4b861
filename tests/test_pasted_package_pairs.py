"""A list of installed packages in which two releases do not belong together is judged; lists whose releases belong together are left alone."""

from __future__ import annotations

import io

import pytest

from attn_doctor.examination.inputs import log_reader
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.logs.not_a_log import checked
from attn_doctor.logs.stated_facts import facts_of_logs
from attn_doctor.model.findings import Diagnosis, Goal, Severity

READER = log_reader()


def frozen(*rows: str) -> str:
    usual = (
        "certifi==2024.8.30",
        "filelock==3.15.4",
        "Jinja2==3.1.4",
        "numpy==1.26.4",
        "sympy==1.12",
        "urllib3==2.2.2",
    )
    return "\n".join(sorted((*usual, *rows), key=str.lower)) + "\n"


def listed(*rows: str, prompt: str = "$ pip list") -> str:
    usual = ("certifi 2024.8.30", "filelock 3.15.4", "Jinja2 3.1.4", "numpy 1.26.4", "sympy 1.12", "urllib3 2.2.2")
    pairs = (row.split() for row in sorted((*usual, *rows), key=str.lower))
    return f"{prompt}\nPackage            Version\n------------------ ------------\n" + "".join(
        f"{name:18} {version}\n" for name, version in pairs
    )


def conda(*rows: str) -> str:
    head = "# packages in environment at /opt/miniforge3/envs/seg:\n#\n# Name                    Version                   Build  Channel\n"
    usual = (
        "_libgcc_mutex 0.1 main",
        "numpy 1.26.4 py310hb13e2d6_0 conda-forge",
        "python 3.10.14 hd12c33a_0_cpython conda-forge",
    )
    ordered = sorted((*usual, *rows, "xz 5.2.6 h166bdaf_0 conda-forge"), key=str.lower)
    return head + "".join("   ".join(row.split()) + "\n" for row in ordered)


def info(built: str, have: str, release: str = "0.0.27.post2") -> str:
    return (
        f"xFormers {release}\nmemory_efficient_attention.cutlassF:               unavailable\nis_triton_available:                               True\n"
        f"pytorch.version:                                   {have}\npytorch.cuda:                                      available\n"
        f"gpu.compute_capability:                            8.9\nbuild.python_version:                              3.10.14\n"
        f"build.torch_version:                               {built}\nbuild.env.TORCH_CUDA_ARCH_LIST:                    6.0+PTX 7.0 7.5 8.0+PTX 9.0a\n"
        "build.nvcc_version:                                12.1.66\nsource.privacy:                                    open source\n"
    )


WINDOWS = "(ai) PS C:\\work> pip list"
PYTORCH = "pytorch 2.2.2 py3.10_cuda12.1_cudnn8.9.2_0 pytorch"

ILL = {
    "bitsandbytes under Windows": (listed("bitsandbytes 0.39.1", "torch 2.0.1+cu118", prompt=WINDOWS), "bitsandbytes-library-missing", "bitsandbytes>=0.43"),
    "two ONNX Runtimes": (listed("torch 2.4.1", "onnxruntime 1.17.3", "onnxruntime-gpu 1.17.1"), "onnxruntime-without-gpu", "onnxruntime-gpu==1.17.1"),
    "two ONNX Runtimes in pip freeze": (frozen("torch==2.4.1", "onnxruntime==1.22.0", "onnxruntime-gpu==1.22.0"), "onnxruntime-without-gpu", "onnxruntime-gpu==1.22.0"),
    "MKL of conda-forge": (conda(PYTORCH, "mkl 2024.1.0 ha957f24_693 conda-forge"), "mkl-does-not-fit", "mkl<2024.1"),
    "MKL beside a CPU build": (
        conda("pytorch 1.13.1 py3.10_cpu_0 pytorch", "mkl 2025.0.0 hacee8c2_941"), "mkl-does-not-fit", "mkl<2024.1"),
    "torchaudio": (frozen("torch==2.6.0+cu124", "torchaudio==2.5.1+cu124"), "abi-mismatch-torch-version", "torchaudio==2.6.0"),
    "an old torchaudio": (listed("torch 1.13.1+cu117", "torchaudio 0.12.1"), "abi-mismatch-torch-version", "torchaudio==0.13.1"),
    "torchtext": (frozen("torch==2.2.2", "torchtext==0.16.2"), "abi-mismatch-torch-version", "torchtext"),
    "xformers": (listed("torch 2.5.1+cu121", "xformers 0.0.27.post2", prompt=WINDOWS), "abi-mismatch-torch-version", "xformers"),
    "xformers.info": (info("2.6.0+cu124", "2.5.1+cu124", "0.0.29.post3"), "abi-mismatch-torch-version", "xformers"),
    "two OpenCVs": (listed("torch 2.4.1", "opencv-python 4.10.0.84", "opencv-python-headless 4.8.1.78"), "environment-pollution", "opencv-python==4.10.0.84"),
}  # fmt: skip

HEALTHY = {
    "bitsandbytes 0.43 under Windows": listed("bitsandbytes 0.43.0", "torch 2.2.1+cu121", prompt=WINDOWS),
    "bitsandbytes under Linux": listed("bitsandbytes 0.41.1", "torch 2.1.2+cu121", "triton 2.1.0"),
    # A wheel that somebody built for Windows.
    "bitsandbytes by its address": frozen(
        "bitsandbytes @ https://example.org/bitsandbytes-0.41.1-py3-none-win_amd64.whl", "torch==2.1.2+cu121"
    ),
    "one ONNX Runtime": listed("onnxruntime-gpu 1.19.2", "torch 2.4.1"),
    "an MKL of its time": conda(PYTORCH, "mkl 2023.1.0 h213fc3f_46344"),
    "a newer torch of the channel": conda("pytorch 2.5.1 py3.10_cuda12.4_cudnn9.1.0_0 pytorch", "mkl 2024.2.2 ha957f24_16 conda-forge"),
    "conda-forge's torch": conda("pytorch 2.3.1 cuda120_py310h2c91c31_301 conda-forge", "mkl 2024.1.0 ha957f24_693 conda-forge"),
    "pip's torch and conda's MKL": conda("torch 2.1.2 pypi_0 pypi", "mkl 2024.2.2 ha957f24_16 conda-forge"),
    "torchaudio of another patch": frozen("torch==2.2.1", "torchaudio==2.2.2"),
    "torchaudio 2.11, which demands no torch": frozen("torch==2.14.1", "torchaudio==2.11.0"),
    "torchaudio with an own torch": frozen("torch==2.3.0a0+6ddf5cf85e.nv24.4", "torchaudio==2.2.0"),
    "xformers": frozen("torch==2.5.1", "xformers==0.0.28.post3"),
    "xformers of an own build": frozen("torch==2.3.1", "xformers==0.0.28+7a04357.d20240822"),
    "xformers for torch 2.10 and newer": frozen("torch==2.13.0", "xformers==0.0.35"),
    "xformers of conda": conda(PYTORCH, "xformers 0.0.23 py310_cu12.1.0_pyt2.2.2 xformers"),
    "xformers.info": info("2.4.0+cu121", "2.4.0+cu121"),
    "xformers.info of an own build": info("2.3.1+cu121", "2.3.1+cu121"),
    "two OpenCVs of one release, as in Colab": listed("torch 2.4.1", "opencv-contrib-python 4.10.0.84", "opencv-python 4.10.0.84", "opencv-python-headless 4.10.0.84"),
}  # fmt: skip


def judged(text: str) -> Diagnosis:
    log = READER.read(checked(io.BytesIO(text.encode()), "env.txt"), "env.txt")
    return diagnose(facts_of_logs([log]), Goal.TRAIN, logs=[log])


@pytest.mark.parametrize("name", ILL)
def test_the_pair_is_named_with_its_cure(name):
    text, slug, cure = ILL[name]
    first = judged(text).findings[0]
    assert (first.slug, first.root_cause) == (slug, True)
    assert any(e.kind == "log" and e.file == "env.txt" and e.line for e in first.evidence) or first.evidence
    argv = [word for fix in first.fixes[:1] for step in fix.steps for word in getattr(step, "argv", ())]
    assert any(word.startswith(cure) for word in argv), argv


@pytest.mark.parametrize("name", HEALTHY)
def test_releases_that_belong_together_are_left_alone(name):
    loud = {f.slug for f in judged(HEALTHY[name]).findings if f.severity is not Severity.INFO}
    assert loud == set(), name
