"""Cures that repeat what the user typed, or that name the very folder, compiler or release of their log."""

from __future__ import annotations

import pytest
from first_cures import cures, first

KILLED = "c++: fatal error: Killed signal terminated program cc1plus\n"
MKL = "ImportError: {0}/libmkl_gf_lp64.so: undefined symbol: mkl_lapack_sgelqf\n"


def test_a_build_by_the_users_own_setup_py_is_repeated_by_that_command():
    text = "Jetson Nano\n$ python3 setup.py install\nbuilding 'torchvision._C' extension\n" + KILLED
    lines = cures(text)[0]
    assert lines[0] == "export MAX_JOBS=1"
    assert lines[-1] == "python3 setup.py install"
    assert not any("pip install" in (line or "") for line in lines)


def test_swap_is_a_line_of_linux_and_words_elsewhere():
    swap = "sudo fallocate -l 8G /swap-for-builds && sudo chmod 600 /swap-for-builds && sudo mkswap /swap-for-builds && sudo swapon /swap-for-builds"
    assert swap in cures("Ubuntu 22.04\n$ python setup.py develop\n" + KILLED)[0]
    in_image = "docker run -it trainer bash\nroot@4728a09607c1:/op# python setup.py develop\n" + KILLED
    assert not any("swapon" in (line or "") for line in cures(in_image)[0])


def test_the_typed_docker_run_keeps_its_options():
    text = (
        "$ docker run --gpus all -v $PWD/in:/in seg:1 python p.py\n"
        "RuntimeError: unable to write to file </torch_9_1>: No space left on device (28)\n"
    )
    assert cures(text)[0] == ["docker run --shm-size=8g --gpus all -v $PWD/in:/in seg:1 python p.py"]
    again = text.replace("--gpus all", "--shm-size 256m")
    assert cures(again)[0] == ["docker run --shm-size=8g -v $PWD/in:/in seg:1 python p.py"]


def test_operators_among_the_sources_are_compiled_there_again():
    text = "ImportError: /home/me/det/ops/nms_cuda.cpython-37m-x86_64-linux-gnu.so: undefined symbol: _ZN2at7getTypeERKNS_6TensorE\n"
    assert cures(text)[0][:2] == ['find /home/me/det/ops -maxdepth 1 -name "*.so" -delete', "rm -rf build"]
    installed = text.replace("/home/me/det/ops", "/v/lib/python3.7/site-packages/det")
    assert not any("find" in (line or "") for lines in cures(installed) for line in lines)


def test_flash_attn_2_8_beside_an_older_torch_becomes_2_7():
    text = (
        "torch==2.5.1\n"
        '  File "/v/lib/python3.11/site-packages/flash_attn/ops/triton/rotary.py", line 159, in apply_rotary\n'
        "AttributeError: module 'torch.library' has no attribute 'wrap_triton'\n"
    )
    assert cures(text)[0] == ["python -m pip install --no-build-isolation flash-attn==2.7.4.post1"]


def test_cudnn_of_an_old_torch_comes_from_conda():
    text = (
        '  File "/opt/anaconda3/envs/c/lib/python3.6/site-packages/torch/backends/cudnn/__init__.py", line 46, in _libcudnn\n'
        "RuntimeError: cuDNN version mismatch: PyTorch was compiled against 7102 but linked against 7605\n"
    )
    assert cures(text)[0] == ["conda install --prefix /opt/anaconda3/envs/c --yes cudnn=7.1.2"]


@pytest.mark.parametrize(
    ("folder", "title"),
    [
        ("/opt/intel/mkl/lib/intel64", "Remove that MKL from LD_LIBRARY_PATH"),
        ("/apps/easybuild/imkl/2018/lib", "Remove that MKL from LD_LIBRARY_PATH"),
        ("/home/me/anaconda3/envs/w/lib", "Install the MKL that torch expects"),
        ("/home/me/miniconda3/envs/intel/lib", "Install the MKL that torch expects"),
    ],
)
def test_whose_mkl_it_is_decides(folder, title):
    assert first(MKL.format(folder))[1].fixes[0].title == title


@pytest.mark.parametrize(
    ("said", "package"),
    [("We need GCC 5 or later", "gxx_linux-64=7"), ("We need GCC 9 or later", "gxx_linux-64=11")],
)
def test_gcc_is_one_that_the_nvcc_of_that_time_accepts(said, package):
    text = (
        f'/opt/anaconda3/envs/p/lib/python3.6/site-packages/torch/include/c10/util/C++17.h:16:2: error: #error "You\'re trying to build PyTorch with a too old version of GCC. {said}."\n'
        "error: command 'gcc' failed with exit status 1\n"
    )
    assert any(package in (line or "") for line in cures(text)[0])


def test_a_toolkit_older_than_conda_s_packages_comes_by_the_runfile():
    text = (
        '  File "/opt/anaconda3/envs/o/lib/python3.8/site-packages/torch/utils/cpp_extension.py", line 781, in _check_cuda_version\n'
        "RuntimeError:\nThe detected CUDA version (12.4) mismatches the version that was used to compile\nPyTorch (10.2). Please make sure to use the same CUDA versions.\n"
    )
    first_way, other = cures(text)
    assert str(first_way[0]).startswith(
        "wget https://developer.download.nvidia.com/compute/cuda/10.2/Prod/local_installers/cuda_10.2.89_440.33.01_linux.run"
    )
    assert str(first_way[0]).endswith(
        ' && sh cuda_10.2.89_440.33.01_linux.run --silent --toolkit --toolkitpath="$HOME/cuda-10.2"'
    )
    assert "whl/cu124" in (other[0] or "")


def test_the_sdk_goes_into_the_visual_studio_that_ran():
    text = (
        r"C:\Program Files\Microsoft Visual Studio\2019\Professional\VC\Tools\MSVC\14.29.30133\include\cerrno(12): fatal error C1083: "
        "Cannot open include file: 'errno.h': No such file or directory\n"
    )
    line = cures(text)[0][0] or ""
    assert (
        "Product.Professional --channelId VisualStudio.16.Release --add Microsoft.VisualStudio.Workload.NativeDesktop"
        in line
    )


def test_an_old_driver_gets_the_newest_torch_that_it_runs():
    text = (
        "$ conda env create -f env.yml\nNVIDIA-SMI 410.72       Driver Version: 410.72       CUDA Version: 10.0\n"
        '  File "/opt/anaconda3/envs/r/lib/python3.7/site-packages/torch/cuda/__init__.py", line 75, in _check_driver\n'
        "AssertionError: Torch not compiled with CUDA enabled\n"
    )
    assert "torch==1.7.1+cu92" in (cures(text)[0][0] or "")


def test_a_python_that_a_program_brought_gets_its_headers():
    text = (
        "D:\\Pack\\system\\python>.\\python.exe test.py\n"
        "D:\\Pack\\system\\python\\lib\\site-packages\\triton\\windows_utils.py:315: UserWarning: Failed to find Python libs.\n"
        "C:/Temp/cuda_utils.c:14: error: include file 'Python.h' not found\n"
    )
    assert "tar.exe -xf python.zip -C D:\\Pack\\system\\python" in (cures(text)[0][1] or "")


def test_a_kernel_of_a_package_and_not_of_torch_is_compiled_again():
    text = (
        "pytorch version: 2.6.0+cu126\nDevice: cuda:0 NVIDIA GeForce RTX 2070\n"
        '  File "/v/lib/python3.12/site-packages/my_raster/render.py", line 24, in rasterize\n'
        "    out = my_raster_kernel.rasterize_image(points, faces)\n"
        "RuntimeError: CUDA error: no kernel image is available for execution on the device\n"
    )
    lines = cures(text)[0]
    assert "export TORCH_CUDA_ARCH_LIST=7.5" in lines
    assert not any("torch==" in (line or "") for line in lines)
