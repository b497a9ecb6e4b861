"""The first cure where it depends on what the log states of GPU, system, releases and files. Written by hand, one kind of machine a case."""

from __future__ import annotations

import pytest
from first_cures import cures, first

AMD_WHEEL = (
    "Guessing wheel URL:  https://github.com/Dao-AILab/flash-attention/releases/download/v2.7.3/"
    "flash_attn-2.7.3+rocm62torch2.5cxx11abiFALSE-cp311-cp311-linux_x86_64.whl\n"
    "Precompiled wheel not found. Building from source...\n"
)
XFORMERS = "WARNING[XFORMERS]: xFormers can't load C++/CUDA extensions. xFormers was built for:\n"
NO_DRIVER = "RuntimeError: Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and installed a driver\n"
JP6 = "--index-url https://pypi.jetson-ai-lab.io/jp6/cu126"
OF_MAMBA = "https://github.com/state-spaces/mamba/releases/download"
CU118 = "--index-url https://download.pytorch.org/whl/cu118"
NO_BINARY = '"hipErrorNoBinaryForGpu: Unable to find code object for all current devices!"\n'


@pytest.mark.parametrize(
    ("log", "slug", "says", "lines"),
    [
        pytest.param(
            AMD_WHEEL,
            "no-prebuilt-wheel",
            "+rocm62torch2.5",
            [
                "export FLASH_ATTENTION_TRITON_AMD_ENABLE=TRUE",
                "python3 -m pip install setuptools wheel packaging psutil ninja",
                "python3 -m pip install --force-reinstall --no-deps --no-build-isolation --no-cache-dir flash-attn",
            ],
            id="no wheel for ROCm",
        ),
        pytest.param(
            f"A laptop with Radeon RX 6800M, Ubuntu 22.04\n{NO_BINARY}",
            "rocm-gfx-not-in-build",
            "gfx1031 (Radeon RX 6800M)",
            ["export HSA_OVERRIDE_GFX_VERSION=10.3.0"],
            id="a laptop's card is another one than that of desktops",
        ),
        pytest.param(
            "`Collecting mamba-ssm\n  Using cached mamba_ssm-2.2.4.tar.gz (91 kB)\n  Getting requirements to build wheel ... error\n"
            "  × Getting requirements to build wheel did not run successfully.\n  │ exit code: 1\n"
            '    File "/srv/x/lib/python3.11/site-packages/pip/_vendor/pyproject_hooks/_in_process/_in_process.py", line 143, in get_requires_for_build_wheel\n'
            "      return hook(config_settings)\n",
            "torch-missing-at-build",
            "pip asks mamba-ssm for its build requirements",
            None,
            id="a build in isolation, cut off below a code mark",
        ),
        pytest.param(
            f"{XFORMERS}    PyTorch 2.1.2+cu118 with CUDA 1108 (you have 2.1.2+cpu)\n    Python  3.10.11 (you have 3.10.9)\n",
            "torch-cpu-build",
            "2.1.2+cpu, is a CPU build",
            [
                f'python -m pip install --force-reinstall --no-deps torch==2.1.2 torchvision==0.16.2 "numpy<2" {CU118}',
                f'python -m pip install torch==2.1.2 torchvision==0.16.2 "numpy<2" {CU118}',
            ],
            id="the CUDA that xformers was built for",
        ),
        pytest.param(
            f"{XFORMERS}    PyTorch 2.1.0+cu121 with CUDA 1201 (you have 2.0.0+cu118)\n    Python  3.10.11 (you have 3.10.9)\n",
            "abi-mismatch-torch-version",
            "built for torch 2.1.0+cu121, and torch 2.0.0+cu118 is installed",
            ["python -m pip install --force-reinstall --no-deps xformers==0.0.19"],
            id="xformers for a torch older than PyTorch's index of it",
        ),
        pytest.param(
            f"I use a MacBook Pro M3\n{XFORMERS}    PyTorch 2.3.0 with CUDA None (you have 2.3.0)\n",
            "macos-unsupported",
            "xformers has no code for a Mac",
            ["python3 -m pip uninstall -y xformers", None],
            id="xformers on a Mac",
        ),
        pytest.param(
            'File "D:\\work\\VMamba\\models\\csm.py", line 8, in forward\n'
            "NameError: name 'selective_scan_cuda_oflex' is not defined\n",
            "extension-not-built",
            "selective_scan_cuda_oflex, the compiled part of VMamba",
            ["python -m pip install --no-build-isolation .\\kernels\\selective_scan"],
            id="a part that a project builds from its own folder, under Windows",
        ),
        pytest.param(
            "My laptop: Windows 11, I am using an integrated Intel GPU\n"
            "Error CUDA driver version is insufficient for CUDA runtime version at line 90 in file D:\\b\\bitsandbytes\\csrc\\ops.cu\n",
            "driver-too-old",
            "the GPU there is from Intel",
            ["nvidia-smi", None],
            id="a driver is asked for where there is no NVIDIA GPU",
        ),
        pytest.param(
            f"GPU: Intel(R) UHD Graphics 620\n{NO_DRIVER}",
            "driver-missing",
            "the GPU there is from Intel",
            ["nvidia-smi", None],
            id="the same, from a form",
        ),
        pytest.param(
            f'File "/content/app/run.py", line 4\n{NO_DRIVER}',
            "driver-missing",
            "No NVIDIA driver works",
            [None],
            id="a session of Colab without a GPU",
        ),
        pytest.param(
            f'web-1  | starting\nweb-1  |   File "/srv/app.py", line 7, in <module>\nweb-1  | {NO_DRIVER}web-1 exited with code 1\n',
            "container-without-gpu",
            "was not given the GPU",
            ["nvidia-smi", None, "docker compose up -d --force-recreate"],
            id="a service of docker compose",
        ),
        pytest.param(
            "On my Jetson, torch-2.3.0a0+6ddf5cf85e.nv24.04.14026654-cp310-cp310-linux_aarch64.whl, JetPack: 6\n"
            "RuntimeError: CUDA error: no kernel image is available for execution on the device\n",
            "no-kernel-image",
            "A library has no code for the Jetson's GPU",
            [
                'python3 -c "import torch; print(torch.cuda.get_device_capability(), torch.cuda.get_arch_list())"',
                "export TORCH_CUDA_ARCH_LIST=8.7",
                "python3 -m pip install --no-build-isolation --no-cache-dir --force-reinstall --no-deps .",
            ],
            id="a library that was compiled on a Jetson",
        ),
        pytest.param(
            "I installed causal_conv1d from https://pypi.jetson-ai-lab.io/jp6/cu126, pytorch version is `2.5.0a0+872d972e41.nv24.8`\n"
            "ImportError: /srv/v/lib/python3.10/site-packages/causal_conv1d_cuda.cpython-310-aarch64-linux-gnu.so: undefined symbol: "
            "_ZN3c104cuda9SetDeviceEab\n",
            "abi-mismatch-torch-version",
            "was built for torch 2.8 or newer",
            [
                f"/srv/v/bin/python3 -m pip install --force-reinstall --no-deps torch==2.8.0 torchvision==0.23.0 {JP6}",
                f"/srv/v/bin/python3 -m pip install torch==2.8.0 torchvision==0.23.0 {JP6}",
            ],
            id="a wheel of the Jetson's index beside another torch",
        ),
        pytest.param(
            'torch version 2.4.1\nPython 3.10.13\nI installed "mamba_ssm-2.2.2+cu122torch2.4cxx11abiTRUE-cp310-cp310-linux_x86_64.whl" by pip\n'
            "ImportError: /srv/v/lib/python3.10/site-packages/selective_scan_cuda.cpython-310-x86_64-linux-gnu.so: undefined symbol: "
            "_ZN3c107WarningC1ESt7variantIJNS0_11UserWarningENS0_18DeprecationWarningEEERKNS_14SourceLocationENSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEEb\n",
            "abi-mismatch-cxx11",
            "mamba-ssm was built with the C++11 ABI",
            [
                f"/srv/v/bin/python3 -m pip install --force-reinstall --no-deps {OF_MAMBA}/v2.2.2/mamba_ssm-2.2.2+cu122torch2.4cxx11abiFALSE-cp310-cp310-linux_x86_64.whl"
            ],
            id="the same wheel for the other ABI, named in words",
        ),
        pytest.param(
            "conda install pytorch pytorch-cuda=12.1 -c pytorch -c nvidia\n"
            "ImportError: /srv/conda/envs/seg/lib/python3.11/site-packages/torch/lib/libtorch_cuda.so: undefined symbol: "
            "cusparseSpMM_preprocess_x, version libcusparse.so.12\n",
            "ld-library-path-shadowing",
            "torch is from conda",
            ["conda install --prefix /srv/conda/envs/seg --yes nvidia/label/cuda-12.1.1::libcusparse"],
            id="a library of another CUDA beside conda's torch",
        ),
        pytest.param(
            "GLIBCXX error on our cluster\n"
            '  File "/srv/v/lib/python3.11/site-packages/flash_attn/__init__.py", line 3, in <module>\n'
            "    from flash_attn.flash_attn_interface import (\n",
            "glibcxx-too-old",
            "The log is cut: somebody names GLIBCXX there",
            ['/srv/v/bin/python3 -c "import torch, flash_attn"', None],
            id="GLIBCXX in words, above a traceback that is cut",
        ),
        pytest.param(
            "pip install flash_attn-2.8.1+cu129torch2.8-cp311-cp311-linux_x86_64.whl\n"
            "ImportError: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.32' not found (required by "
            "/srv/v/lib/python3.11/site-packages/flash_attn_2_cuda.cpython-311-x86_64-linux-gnu.so)\n",
            "glibc-too-old",
            "built for glibc 2.32 or newer",
            [
                "/srv/v/bin/python3 -m pip install setuptools wheel packaging psutil ninja",
                "export MAX_JOBS=2",
                "export FLASH_ATTENTION_FORCE_BUILD=TRUE",
                "/srv/v/bin/python3 -m pip install --force-reinstall --no-deps --no-build-isolation --no-cache-dir flash-attn==2.8.1",
            ],
            id="a wheel of others for a torch without older wheels",
        ),
    ],
)
def test_the_first_cure_is_for_what_the_log_states(log, slug, says, lines):
    _, finding = first(log)
    assert finding.slug == slug
    assert says in finding.message
    assert lines is None or cures(log)[0] == lines


def test_a_compiler_that_is_missing_beside_an_old_cuda_is_the_one_that_its_nvcc_accepts():
    log = (
        "CUDA_HOME = C:\\Program Files\\NVIDIA GPU Computing Toolkit\\CUDA\\v{}\n"
        'error: Microsoft Visual C++ 14.0 or greater is required. Get it with "Microsoft C++ Build Tools"\n'
    )
    old, new = (str(cures(log.format(version))[-1][0]) for version in ("11.8", "12.4"))
    assert "Component.VC.14.38.17.8.x86.x64" in old
    assert "Workload.VCTools" in old
    assert "Component.VC" not in new
    assert "Workload.VCTools" in new


def test_a_setup_that_takes_no_wheel_for_an_old_torch_gets_a_toolkit_first():
    asked = "/tmp/x/setup.py:119: UserWarning: mamba_ssm was requested, but nvcc was not found.  Are you sure your environment has nvcc available?\n"
    assert "MAMBA_SKIP_CUDA_BUILD" not in str(cures(f"PyTorch Version: 1.13.1+cu117\n{asked}"))
    assert "MAMBA_SKIP_CUDA_BUILD" in str(cures(f"PyTorch Version: 2.0.1+cu118\n{asked}")[0])
