"""Builds that lack crypt.h, TH or OpenMP: the cure on each machine."""

from __future__ import annotations

import pytest
from told_cures import told

CRYPT = "{}/include/python3.8/Python.h:44:10: fatal error: crypt.h: No such file or directory\nerror: command '{}' failed with exit code 1\n"
CONDA = ("/opt/conda/envs/smooth", "/opt/conda/envs/smooth/bin/x86_64-conda-linux-gnu-cc")
GCC = ("/usr/local", "/usr/bin/gcc")


@pytest.mark.parametrize(
    ("system", "of", "first"),
    [
        (
            "",
            CONDA,
            [
                "conda install --prefix /opt/conda/envs/smooth --yes -c conda-forge libxcrypt",
                "sh -c export CPATH=/opt/conda/envs/smooth/include${CPATH:+:$CPATH}",
            ],
        ),
        ("Debian 12\n", GCC, ["sudo apt-get install -y libcrypt-dev"]),
        ("Fedora 41\n", GCC, ["sudo dnf install -y libxcrypt-devel"]),
    ],
)
def test_crypt_h_comes_from_where_the_python_is_from(system, of, first):
    answer = told(system + CRYPT.format(*of))
    assert answer.slug == "libcrypt-missing"
    assert answer.lines[0] == first


@pytest.mark.parametrize(
    ("system", "package"), [("Arch Linux\n", "libxcrypt-compat"), ("Rocky Linux 9.4\n", "libxcrypt-compat")]
)
def test_an_old_libcrypt_has_a_package_of_its_own(system, package):
    log = f"{system}python: error while loading shared libraries: libcrypt.so.1: cannot open shared object file: No such file or directory\n"
    assert told(log).lines[0][0].endswith(package)


def test_a_linker_without_libcrypt_gets_the_folder_of_libraries():
    log = "/opt/conda/envs/p/bin/x86_64-conda-linux-gnu-ld: cannot find -lcrypt\nerror: command '/opt/conda/envs/p/bin/x86_64-conda-linux-gnu-g++' failed with exit code 1\n"
    assert "LIBRARY_PATH" in told(log).lines[0][1]


TH = "{}:6:10: fatal error: THC/THC.h: No such file or directory\nerror: command '/usr/bin/g++' failed with exit code 1\n"


@pytest.mark.parametrize(
    ("file", "titles", "words"),
    [
        ("/w/DCNv2/src/cpu/dcn_v2_cpu.cpp", ["Use the operator of torchvision", "Take the port for a newer torch"], "deform_conv2d"),
        ("/w/maskrcnn_benchmark/csrc/nms.cpp", ["Use the operator of torchvision"], "roi_align"),
        ("/w/pointnet2/src/ball_query.cpp", [], "getCurrentCUDAStream"),
    ],
)  # fmt: skip
def test_the_operator_that_replaces_an_old_extension(file, titles, words):
    answer = told(f"RTX 5090, torch 2.8.0+cu128\n{TH.format(file)}")
    assert answer.slug == "torch-headers-removed"
    assert answer.titles == [*titles, "Port the sources to this torch"]
    assert words in answer.words
    assert file in answer.words
    assert "torch==1" not in answer.words  # it has no code for that GPU


OMP = "{0}clang: error: unsupported option '-fopenmp'\nerror: command '/usr/bin/clang' failed with exit code 1\nERROR: Failed building wheel for {1}\n"
MAC = "me@mac app % pip install {}\nbuild/temp.macosx-11.1-arm64-cpython-311/a.o\n"


def test_a_mac_builds_with_homebrews_clang_and_the_command_that_was_typed():
    answer = told(OMP.format(MAC.format("torch-cluster"), "torch-cluster"))
    assert answer.slug == "clang-without-openmp"
    assert answer.lines[0][0] == "brew install llvm libomp"
    assert any("CXX=" in line and "brew --prefix llvm" in line for line in answer.lines[0])
    assert answer.lines[0][-1] == "pip install torch-cluster"


def test_a_mac_does_without_xformers():
    answer = told(OMP.format(MAC.format("xformers"), "xformers"))
    assert answer.titles == ["Do without xformers", "Use Homebrew's clang"]


def test_an_environment_of_conda_gets_the_compilers_of_conda():
    log = "clang -I/Users/me/miniconda3/envs/p/include -c a.cpp\n" + OMP.format("", "scs")
    log += '  File "/Users/me/miniconda3/envs/p/lib/python3.11/site-packages/setuptools/x.py", line 3, in run\n'
    assert told(log).lines[0][0].endswith("-c conda-forge compilers llvm-openmp")


def test_a_clang_of_linux_gets_libomp():
    log = "Ubuntu 22.04\nx.cpp:4:10: fatal error: 'omp.h' file not found\nerror: command '/usr/bin/clang++-15' failed with exit code 1\n"
    assert told(log).lines[0] == ["sudo apt-get install -y libomp-dev"]
