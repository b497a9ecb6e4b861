"""Compilers and other build tools, and CUDA libraries on the library path, against scripts that stand for the tools."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from build_tools import probe
from kit import Machine, ubuntu

from attn_doctor.model.facts import Compiler, Shadow, Unknown
from attn_doctor.probes.toolchain import toolchain

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="fake tools are shell scripts")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return ubuntu(Machine(tmp_path / "machine"))


def test_compilers(machine):
    machine.script("/usr/bin/gcc-13", "echo 'gcc-13 (Ubuntu 13.2.0-23ubuntu4) 13.2.0'\n")
    machine.script("/usr/bin/g++-13", "echo 'g++-13 (Ubuntu 13.2.0-23ubuntu4) 13.2.0'\n")
    machine.script("/opt/gcc-11/bin/gcc", "echo 'gcc (GCC) 11.4.1 20230605 (Red Hat 11.4.1-2)'\n")
    machine.script("/usr/bin/clang++", "echo 'Ubuntu clang version 18.1.3 (1ubuntu1)'\n")
    machine.link("/usr/bin/gcc", "gcc-13")
    machine.link("/usr/bin/g++", "g++-13")
    machine.link("/usr/bin/c++", "/etc/alternatives/c++")
    machine.link("/etc/alternatives/c++", "/usr/bin/g++")
    machine.environ |= {"CC": "ccache /opt/gcc-11/bin/gcc -m64"}
    assert probe(machine).compilers == (
        Compiler(name="gcc", path="/opt/gcc-11/bin/gcc", version="11.4.1"),
        Compiler(name="gcc", path="/usr/bin/gcc", version="13.2.0"),
        Compiler(name="g++", path="/usr/bin/g++", version="13.2.0"),
        Compiler(name="clang++", path="/usr/bin/clang++", version="18.1.3"),
    )


def test_a_gcc_that_is_clang_is_called_clang(machine):
    machine.script("/usr/bin/gcc", "echo 'Apple clang version 15.0.0 (clang-1500.3.9.4)'\n")
    assert [(c.name, c.version) for c in probe(machine).compilers] == [("clang", "15.0.0")]


def test_a_compiler_that_cc_names_and_that_is_not_there(machine):
    machine.environ["CC"] = "gcc-12"
    assert probe(machine).compilers == (Compiler(name="gcc-12", path="gcc-12", version=None),)


def test_tools_and_one_that_does_not_work(machine):
    machine.tools(ninja="1.11.1.git.kitware.jobserver-1", git="git version 2.43.0")
    machine.script("/usr/bin/cmake", "echo \"ImportError: No module named 'cmake'\" >&2; exit 1\n")
    found = probe(machine)
    assert (found.ninja, found.git) == ("1.11.1", "2.43.0")
    why = "`/usr/bin/cmake --version` names none; it prints: ImportError: No module named 'cmake'"
    assert found.cmake == Unknown(why)


def test_library_path_entries_with_cuda_libraries(machine):
    machine.library("/usr/local/cuda-11.8/lib64/libcudart.so.11.0")
    machine.library("/usr/local/cuda-11.8/lib64/libnvJitLink.so.12")
    machine.library("/usr/local/cuda-11.8/lib64/libnvvm.so")
    machine.library("/opt/lib/libcurl.so.4")
    machine.environ["LD_LIBRARY_PATH"] = "/usr/local/cuda-11.8/lib64::/opt/lib:/gone:/usr/local/cuda-11.8/lib64"
    assert probe(machine).library_path == (
        Shadow(folder="/usr/local/cuda-11.8/lib64", libraries=("libcudart.so.11.0", "libnvJitLink.so.12")),
    )


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_gcc_of_this_machine():
    found = next(c for c in toolchain(Path("/"), os.environ)[0].compilers if c.name == "gcc")
    said = subprocess.run(["gcc", "-dumpfullversion", "-dumpversion"], capture_output=True, text=True, check=True)
    assert found.version == said.stdout.strip()


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="needs a CUDA toolkit")
def test_nvcc_of_this_machine():
    found = toolchain(Path("/"), os.environ)[0]
    said = subprocess.run(["nvcc", "--version"], capture_output=True, text=True, check=True).stdout
    first = next(t for t in found.toolkits if any(by.startswith("PATH") for by in t.found_by))
    assert first.version == re.search(r"release (\S+),", said)[1]
    assert Path(first.root, "include", "cuda_runtime.h").exists()
    assert first.archs
