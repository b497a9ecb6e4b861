"""Every field that an issue form asks for is in the Markdown of a report: the table is at the top, one row a field.

The labels of PyTorch's and Ultralytics' programs are compared with the programs that are installed here.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import full_report
import msgspec
import pytest

from attn_doctor.model.facts import Facts, Fault, Import, Torch
from attn_doctor.report import markdown
from attn_doctor.report.folded_facts import folded
from attn_doctor.report.forms import FORMS, filled
from attn_doctor.report.issue_outline import for_an_issue
from attn_doctor.report.outline import outline

FIRST, FOLDED = "first", "folded"  # above the first folded part, or in one

# (form, the field in its words, a text that only this field has, where)
FIELDS = [
    # https://github.com/pytorch/pytorch/blob/main/torch/utils/collect_env.py
    ("pytorch", "describe the bug", "flash-attn 2.7.4 was built for another torch", FIRST),
    ("pytorch", "error message with the full traceback", "the log's own error", FIRST),
    ("pytorch", "example that shows it", "-c 'import flash_attn.flash_attn_interface'", FIRST),
    ("pytorch", "PyTorch version", "PyTorch version: 2.6.0+cu124", FIRST),
    ("pytorch", "is debug build", "Is debug build: no", FIRST),
    ("pytorch", "CUDA used to build PyTorch", "CUDA used to build PyTorch: 12.4", FIRST),
    ("pytorch", "ROCM used to build PyTorch", "ROCM used to build PyTorch: N/A", FIRST),
    ("pytorch", "OS", "OS: Ubuntu 22.04.5 LTS (x86_64)", FIRST),
    ("pytorch", "GCC version", "GCC version: 11.4.0", FIRST),
    ("pytorch", "Clang version", "Clang version: 14.0.6", FIRST),
    ("pytorch", "CMake version", "CMake version: 3.31.2", FIRST),
    ("pytorch", "Libc version", "Libc version: glibc-2.35", FIRST),
    ("pytorch", "Python version, with build", "Python version: 3.11.7 (main, Dec 8 2023, 18:56:57) [GCC 9.4.0] (64-bit runtime)", FIRST),
    ("pytorch", "Python platform", "Python platform: Linux-5.15.0-130-generic-x86_64-with-glibc2.35", FIRST),
    ("pytorch", "is CUDA available", "Is CUDA available: yes", FIRST),
    ("pytorch", "CUDA runtime version", "CUDA runtime version: 12.4.131 in /usr/local/cuda-12.4", FIRST),
    ("pytorch", "CUDA_MODULE_LOADING", "CUDA_MODULE_LOADING set to: CUDA_MODULE_LOADING=EAGER", FIRST),
    ("pytorch", "GPU models and configuration", "GPU 1: NVIDIA A100-SXM4-80GB, sm 8.0, 80.0 GiB, MIG on", FIRST),
    ("pytorch", "Nvidia driver version", "Nvidia driver version: 550.127.08", FIRST),
    ("pytorch", "cuDNN version", "cuDNN version: 90501", FIRST),
    ("pytorch", "is XPU available", "Is XPU available: no", FIRST),
    ("pytorch", "HIP runtime version", "HIP runtime version: 6.3.42131", FIRST),
    ("pytorch", "MIOpen runtime version", "MIOpen runtime version: 3.3.0", FIRST),
    ("pytorch", "is XNNPACK available", "Is XNNPACK available: yes", FIRST),
    ("pytorch", "caching allocator config", "Caching allocator config: PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True", FIRST),
    ("pytorch", "CPU: model", "Model name: AMD EPYC 7543 32-Core Processor", FIRST),
    ("pytorch", "CPU: vendor", "Vendor ID: AuthenticAMD", FIRST),
    ("pytorch", "CPU: family, model, stepping", "25, 1, 1", FIRST),
    ("pytorch", "CPU: count", "CPU(s): 64, 48 of them allowed", FIRST),
    ("pytorch", "CPU: threads, cores, sockets", "Thread(s) per core: 2", FIRST),
    ("pytorch", "CPU: caches", "L1d 32K, L3 262144K", FIRST),
    ("pytorch", "CPU: NUMA", "node 0: 0-63", FIRST),
    ("pytorch", "CPU: vulnerabilities", "spectre_v2: Mitigation; Retpolines", FIRST),
    ("pytorch", "CPU: flags", "Flags: sse4_2 avx avx2 fma", FIRST),
    ("pytorch", "relevant libraries: numpy", "[pip3] numpy==2.1.3", FIRST),
    ("pytorch", "relevant libraries: torchvision", "[pip3] torchvision==0.21.0", FIRST),
    ("pytorch", "relevant libraries: triton", "[pip3] triton==3.2.0", FIRST),
    ("pytorch", "relevant libraries: nvidia", "[pip3] nvidia-nccl-cu12==2.21.5", FIRST),
    ("pytorch", "relevant libraries: conda", "[conda] cuda-nvcc-12.4.131-0", FIRST),
    # https://github.com/ultralytics/ultralytics/blob/main/.github/ISSUE_TEMPLATE/bug-report.yml, `yolo checks`
    ("ultralytics", "search before asking", "I searched the issues", FIRST),
    ("ultralytics", "component", "## Ultralytics YOLO Component\n\nTrain", FIRST),
    ("ultralytics", "bug, with the full traceback", "the log's own error", FIRST),
    ("ultralytics", "version", "Ultralytics 8.3.63, torch 2.6.0+cu124", FIRST),
    ("ultralytics", "OS", "OS: Linux-5.15.0-130-generic-x86_64-with-glibc2.35", FIRST),
    ("ultralytics", "environment: notebook, docker", "Environment: Jupyter, in docker", FIRST),
    ("ultralytics", "Python", "Python: 3.11.7", FIRST),
    ("ultralytics", "install: pip or git", "Install: git", FIRST),
    ("ultralytics", "path", "Path: /srv/env/lib/python3.11/site-packages/ultralytics", FIRST),
    ("ultralytics", "RAM", "RAM: 128 GiB", FIRST),
    ("ultralytics", "disk", "Disk: 300 GiB of 400 GiB used", FIRST),
    ("ultralytics", "CPU", "CPU: AMD EPYC 7543 32-Core Processor", FIRST),
    ("ultralytics", "CPU count", "CPU count: 64", FIRST),
    ("ultralytics", "GPU", "GPU: GPU 0: NVIDIA A100-SXM4-80GB", FIRST),
    ("ultralytics", "GPU count", "GPU count: 2", FIRST),
    ("ultralytics", "CUDA", "CUDA: 12.4", FIRST),
    ("ultralytics", "requirements that are met", "ok numpy>=1.23.0: 2.1.3", FIRST),
    ("ultralytics", "requirements that are not met", "NOT MET py-cpuinfo: not installed", FIRST),
    ("ultralytics", "minimal reproducible example", "-c 'import flash_attn.flash_attn_interface'", FIRST),
    ("ultralytics", "additional: the command", "attn-doctor check --goal flash-attn", FIRST),
    ("ultralytics", "willing to submit a PR", "## Are you willing to submit a PR?", FIRST),
    ("ultralytics", "pillow, matplotlib", "matplotlib==3.9.2", FOLDED),
    # https://github.com/facebookresearch/xformers/blob/main/.github/ISSUE_TEMPLATE/bug-report.md
    ("xformers", "bug", "flash-attn 2.7.4 was built for another torch", FIRST),
    ("xformers", "command", "pip install flash-attn --no-build-isolation", FIRST),
    ("xformers", "to reproduce", "-c 'import flash_attn.flash_attn_interface'", FIRST),
    ("xformers", "error messages, stack traces", "the log's own error", FIRST),
    ("xformers", "expected behavior", "Expected: flash-attn imports and runs", FIRST),
    ("xformers", "PyTorch version", "PyTorch Version: 2.6.0+cu124", FIRST),
    ("xformers", "OS", "OS: Ubuntu 22.04.5 LTS (x86_64), Linux-5.15.0", FIRST),
    ("xformers", "how you installed PyTorch", "How you installed PyTorch: pip", FIRST),
    ("xformers", "build command", "Build command you used (if compiling from source): pip install flash-attn", FIRST),
    ("xformers", "Python version", "Python version: 3.11.7", FIRST),
    ("xformers", "CUDA/cuDNN version", "CUDA/cuDNN version: CUDA 12.4, cuDNN 90501; nvcc 12.4.131", FIRST),
    ("xformers", "GPU models and configuration", "GPU 0: NVIDIA A100-SXM4-80GB", FIRST),
    ("xformers", "any other relevant information", "xformers 0.0.29.post3, installed by pip", FIRST),
    ("xformers", "additional context: collect_env", "Is XNNPACK available: yes", FIRST),
    # https://github.com/flashinfer-ai/flashinfer/blob/main/flashinfer/collect_env.py: every part of the report without a form
    ("", "Python, executable", "/srv/env/bin/python", FOLDED),
    ("", "platform", "Linux-5.15.0-130-generic-x86\\_64-with-glibc2.35", FOLDED),
    ("", "libc", "glibc-2.35", FOLDED),
    ("", "container", "docker", FOLDED),
    ("", "driver", "550.127.08", FOLDED),
    ("", "CUDA_VISIBLE_DEVICES and other variables", "NCCL_DEBUG=INFO", FOLDED),
    ("", "variables of TORCH", "TORCH_CUDA_ARCH_LIST=8.6", FOLDED),
    ("", "variables of TRITON", "TRITON_CACHE_DIR=/srv/triton", FOLDED),
    ("", "variables of YOLO", "YOLO_VERBOSE=False", FOLDED),
    ("", "GPUs", "GPU 0: NVIDIA A100-SXM4-80GB, sm 8.0, 80.0 GiB", FOLDED),
    ("", "topology", "GPU 0 - GPU 1: NV12", FOLDED),
    ("", "nvcc on PATH", "/usr/local/cuda-12.4/bin/nvcc", FOLDED),
    ("", "CUDA_HOME", "CUDA_HOME=/usr/local/cuda-12.4", FOLDED),
    ("", "torch, its CUDA", "2.6.0+cu124", FOLDED),
    ("", "torch's ABI", "C++11 ABI | no", FOLDED),
    ("", "torch's archs", "sm\\_80, sm\\_90", FOLDED),
    ("", "torch.backends.cudnn.version()", "cuDNN | 90501", FOLDED),
    ("", "torch's file", "site-packages/torch", FOLDED),
    ("", "libraries that are loaded", "| libcudnn.so.9 | /opt/cudnn/lib/libcudnn.so.9 |", FOLDED),
    ("", "the same libraries on disk", "/usr/local/cuda/lib64/libcublas.so.12", FOLDED),
    ("", "libraries on disk that are not loaded", "On disk, and not loaded:\n\n```text\n" + full_report.SITE + "/nvidia/nccl/lib/libnccl.so.2", FOLDED),
    ("", "where loaded and installed differ", "libcudnn.so.9 was loaded from /opt/cudnn/lib/libcudnn.so.9", FOLDED),
    ("", "relevant packages: all", "opencv-python==4.10.0.84", FOLDED),
    ("", "MSVC", "19.39.33519", FOLDED),
    ("", "traceback of the import", "import flash_attn_2_cuda as flash_attn_gpu", FOLDED),
    ("", "the command that was typed", "$ attn-doctor check --goal flash-attn", FOLDED),
    ("", "notebook", "notebook | Jupyter", FOLDED),
    # No form: what the maintainers ask in threads (sources in report/forms.py)
    ("flash-attn", "GPU", "GPU 0: NVIDIA A100-SXM4-80GB", FIRST),
    ("flash-attn", "flash-attn, how it was installed", "flash-attn: 2.7.4, installed by pip", FIRST),
    ("flash-attn", "the import", "import flash_attn fails: ImportError: flash_attn_2_cuda.so: undefined symbol", FIRST),
    ("flash-attn", "torch", "torch: 2.6.0+cu124", FIRST),
    ("flash-attn", "torch.version.cuda", "CUDA of torch (torch.version.cuda): 12.4", FIRST),
    ("flash-attn", "ABI", "C++11 ABI of torch: no", FIRST),
    ("flash-attn", "nvcc --version", "nvcc: 12.4.131 in /usr/local/cuda-12.4", FIRST),
    ("flash-attn", "CUDA_HOME", "CUDA_HOME: /usr/local/cuda-12.4 (by CUDA_HOME)", FIRST),
    ("flash-attn", "compiler", "gcc / clang / MSVC: 11.4.0 / 14.0.6 / 19.39.33519", FIRST),
    ("flash-attn", "ninja", "1.11.1, 24.2, 0.45.1, 75.6.0", FIRST),
    ("flash-attn", "container image", "container: docker, nvidia/cuda:12.4.1-devel", FIRST),
    ("flash-attn", "MAX_JOBS", "MAX_JOBS=7", FIRST),
    ("flash-attn", "the command", "pip install flash-attn --no-build-isolation", FIRST),
    ("flash-attn", "the log", "the log's own error", FIRST),
    ("flash-attn", "pip list", "setuptools==75.6.0", FOLDED),
    ("yolov12", "GPU", "GPU 0: NVIDIA A100-SXM4-80GB, sm 8.0", FIRST),
    ("yolov12", "CUDA", "CUDA of torch, of the driver, of nvcc: 12.4, 12.4, 12.4.131", FIRST),
    ("yolov12", "import flash_attn", "import flash_attn fails: ImportError", FIRST),
    ("yolov12", "the hidden error", "on this device': ImportError: undefined symbol", FIRST),
    ("yolov12", "code", "ultralytics: 8.3.63 (fork), git", FIRST),
    ("yolov12", "attention", "AAttn, calls flash-attn, eager, layout qk+v", FIRST),
    ("yolov12", "pip list", "xformers==0.0.29.post3", FOLDED),
]  # fmt: skip


def page(form: str, torch: str = "") -> str:
    report = full_report.report()
    if torch:
        facts = msgspec.structs.replace(report.facts, torch=msgspec.structs.replace(report.facts.torch, version=torch))
        report = msgspec.structs.replace(report, facts=facts)
    arranged = for_an_issue(outline(report))
    return markdown.render(filled(FORMS[form], report, arranged) if form else [*arranged, *folded(report)])


PAGES = {form: page(form) for form in ("", *FORMS)}


@pytest.mark.parametrize(
    ("form", "field", "text", "where"), FIELDS, ids=[f"{f or 'any'}: {n}" for f, n, _, _ in FIELDS]
)
def test_a_field_of_a_form_is_in_the_page(form, field, text, where):
    first, _, rest = PAGES[form].partition("<details>")
    assert text in (first if where == FIRST else rest), field


def source_of(package: str, file: str) -> str:
    """Return the source of an installed module, without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        pytest.skip(f"{package} is not installed here")
    return (Path(spec.origin).parent / file).read_text(encoding="utf-8")


def test_the_labels_of_pytorch_are_those_that_its_own_program_prints_in_its_order():
    template = re.search(r'env_info_fmt = """(.*?)"""', source_of("torch", "utils/collect_env.py"), re.DOTALL)
    assert template is not None
    labels = re.findall(r"^([A-Za-z_ ]+):", template[1], re.MULTILINE)
    assert len(labels) > 15
    installed = re.search(r"__version__ = '(.+?)'", source_of("torch", "version.py"))
    assert installed is not None
    versions = page("pytorch", installed[1]).partition("## Versions")[2]
    places = [versions.find(f"\n{label}:") for label in labels]
    assert -1 not in places, labels[places.index(-1)]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("torch", "lines"),
    [
        ("2.14.1+rocm7.1", ["ROCM used to build PyTorch: N/A"]),
        ("2.15.0+rocm7.2", ["ROCm SDK used to build PyTorch: 7.2.1", "HIP used to build PyTorch: N/A"]),
    ],
)
def test_the_lines_of_rocm_have_the_labels_of_that_torch(torch, lines):
    said = page("pytorch", torch).splitlines()
    assert [
        line
        for line in said
        if line.endswith(tuple(lines)) or "ROCM used" in line or "HIP used" in line or "ROCm SDK" in line
    ] == lines


def test_the_labels_of_ultralytics_are_those_that_its_own_program_prints_in_its_order():
    body = source_of("ultralytics", "utils/checks.py").partition("info_dict = {")[2].partition("}\n")[0]
    labels = re.findall(r'^\s+"([A-Za-z ]+)":', body, re.MULTILINE)
    assert len(labels) > 8
    environment = PAGES["ultralytics"].partition("## Environment")[2]
    places = [environment.find(f"\n{label}: ") for label in labels]
    assert -1 not in places, labels[places.index(-1)]
    assert places == sorted(places)


@pytest.mark.parametrize("form", FORMS)
def test_a_form_names_its_source(form):
    assert FORMS[form].source.startswith(f"https://github.com/{FORMS[form].project}/")


def test_a_fact_that_is_not_known_says_why_and_no_field_is_left_out():
    bare = full_report.report(facts=Facts(), findings=(), trials=(), log_ends=())
    made = markdown.render(filled(FORMS["pytorch"], bare, ()))
    assert "cuDNN version: not recorded" in made
    assert "No import failed, and no log was given" in made


@pytest.mark.parametrize(
    ("failed", "line"),
    [
        ("numpy", "python -c 'import numpy'"),
        ("from:ultralytics:YOLO", "python -c 'from ultralytics import YOLO'"),
        ("checked:torchvision", "python -c 'import torchvision'"),
        ("flash_attn_2_cuda", "python -c 'import torch, flash_attn_2_cuda'"),
        ("library:/x/_C.so", "torch.ops.load_library("),
    ],
)
def test_the_shortest_command_that_shows_a_failed_import(failed, line):
    facts = Facts(imports=(Import(module="x", ok=False, failed=failed),))
    made = markdown.render(filled(FORMS["pytorch"], full_report.report(facts=facts), ()))
    assert line in made


def test_a_crash_is_shown_by_its_stack():
    torch = Torch(
        importable=False, fault=Fault(kind="signal", signal="SIGSEGV"), chatter="Fatal Python error: Segmentation fault"
    )
    made = markdown.render(filled(FORMS["pytorch"], full_report.report(facts=Facts(torch=torch), log_ends=()), ()))
    assert "importing torch: signal SIGSEGV\nFatal Python error: Segmentation fault" in made
