"""The steps that install software of the system: the way of each distribution, container, toolkit and compiler."""

from __future__ import annotations

import io

from first_cures import READER
from platform_logs import BUILD, CU128, CU130, DOCKER, KEYRING, UNSET, by_apt
from whole_machines import machine

from attn_doctor.commands import cuda_toolkits, host_compilers, nvidia_drivers, places, system_tools
from attn_doctor.failure_modes.shared import pip_toolkit, toolkits
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.logs.stated_facts import facts_of_logs
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Goal
from attn_doctor.model.steps import SetVariable


def image_of(text: str) -> str:
    log = READER.read(io.BytesIO(text.encode()), "log")
    fixes = diagnose(facts_of_logs([log]), Goal.FLASH_ATTN, logs=(log,)).findings[0].fixes
    return " ".join(" ".join((*step.argv, step.why)) for fix in fixes for step in fix.steps)


def test_a_container_is_given_the_image_with_this_release_on_this_system():
    ubuntu, rocky = 'PRETTY_NAME="Ubuntu 22.04.4 LTS"\n', 'PRETTY_NAME="Rocky Linux 9.5"\n'
    assert "FROM nvidia/cuda:12.8.1-devel-ubuntu22.04 " in image_of(BUILD + ubuntu + CU128 + UNSET)
    assert "start from nvidia/cuda:13.0.1-devel-rockylinux9" in image_of(DOCKER + rocky + CU130 + UNSET)


# Machines, as few facts as decide.


def lines(facts: Facts, steps) -> list[str | None]:
    return [f"{s.name}={s.value}" if isinstance(s, SetVariable) else (" ".join(s.argv) or None) for s in steps]


def linux(name: str, version: str, **system_facts) -> dict:
    facts = {"os": "linux", "distribution": name, "distribution_version": version, "container": None, "wsl": None}
    return {**facts, **system_facts}


def test_a_compiler_comes_from_the_package_manager_of_the_distribution():
    of = {
        ("amzn", "2023"): ["sudo dnf install -y gcc gcc-c++ make"],
        ("rocky", "8.10"): ["sudo dnf install -y gcc gcc-c++ make"],
        ("sles", "15.6"): ["sudo zypper install -y gcc gcc-c++ make"],
        ("alpine", "3.20.1"): ["sudo apk add build-base"],
        ("arch", ""): ["sudo pacman -S --needed base-devel"],
        ("linuxmint", "22"): ["sudo apt-get install -y build-essential"],
    }
    for (name, version), wanted in of.items():
        facts = machine(system=linux(name, version))
        assert lines(facts, system_tools.compiler(facts)) == wanted


def test_a_distribution_before_dnf_gets_no_dnf():
    for name, version in (("centos", "7.9"), ("amzn", "2"), ("rhel", "7")):
        facts = machine(system=linux(name, version))
        assert "dnf" not in str(lines(facts, system_tools.compiler(facts)))


def test_root_types_no_sudo():
    facts = machine(system=linux("ubuntu", "24.04"), interpreter={"prefix": "/root/seg/.venv"})
    assert lines(facts, system_tools.compiler(facts)) == ["apt-get install -y build-essential"]


def test_a_distribution_that_is_not_known_is_told_the_ways_that_there_are():
    facts = machine(system={"os": {"unknown": "not said"}})
    (step,) = system_tools.compiler(facts)
    assert step.argv == ()
    assert "apt-get install -y build-essential (Debian, Ubuntu)" in step.why
    assert "Visual Studio" in step.why
    facts = machine(system={"os": "linux"})
    (line,) = lines(facts, system_tools.compiler(facts))
    assert (
        line
        == "sh -c command -v apt-get && sudo apt-get install -y build-essential || sudo dnf install -y gcc gcc-c++ make"
    )


def test_the_release_of_a_toolkit_fits_torch_the_gpu_and_the_compiler():
    def wanted(cuda, capability=None, gcc=None, floor=None, distribution=("ubuntu", "22.04")):
        facts = machine(
            system=linux(*distribution),
            torch={"version": "2.7.1", "cuda": cuda},
            graphics={"gpus": [{"index": 0, "compute_capability": capability}] if capability else []},
            toolchain={"compilers": [{"name": "g++", "path": "/usr/bin/g++", "version": gcc}] if gcc else []},
        )
        return cuda_toolkits.wanted(facts, floor)

    assert wanted("12.4") == (12, 4)
    assert wanted("12.4", capability="12.0") == (12, 8)  # the first nvcc of CUDA 12 that knows Blackwell
    assert wanted("12.4", gcc="14.2.0") == (12, 8)  # the first that takes gcc 14
    assert wanted("12.1", floor="12.3") == (12, 3)
    assert wanted("12.4", distribution=("ubuntu", "24.04")) == (12, 5)  # the first in that repository
    assert wanted("11.7") == (11, 8)
    assert wanted("13.0", distribution=("ubuntu", "20.04")) == (
        13,
        0,
    )  # not in that repository, and no other major will do
    assert cuda_toolkits.wanted(machine(system=linux("ubuntu", "22.04"))) is None


def test_a_release_without_a_repository_is_said_to_have_none():
    facts = machine(system=linux("ubuntu", "20.04"), torch={"version": "2.9.1", "cuda": "13.0"})
    (fix,) = cuda_toolkits.install(facts, (13, 0))
    assert fix.steps[0].argv == ()
    assert (
        "NVIDIA's repository for ubuntu 20.04 has no CUDA 13.0: conda install -c conda-forge cuda-toolkit=13.0"
        in fix.steps[0].why
    )
    musl = machine(system=linux("alpine", "3.20.1"), torch={"version": "2.7.1", "cuda": "12.8"})
    (fix,) = cuda_toolkits.install(musl, (12, 8))
    assert "NVIDIA has no CUDA for musl" in fix.steps[0].why


def test_pip_brings_a_toolkit_of_cuda_13_alone():
    def made(cuda, kind="venv"):
        return pip_toolkit.fix(
            machine(
                system=linux("ubuntu", "24.04", glibc="2.39"),
                torch={"version": "2.9.1", "cuda": cuda},
                interpreter={
                    "kind": kind,
                    "site_packages": "/v/lib/python3.12/site-packages",
                    "python": "/v/bin/python",
                },
            )
        )

    assert made("12.8") is None
    assert made("13.0", kind="conda") is None
    fix = made("13.0")
    assert fix.steps[0].requirements == (
        "nvidia-cuda-nvcc==13.0.*",
        "nvidia-nvvm==13.0.*",
        "nvidia-cuda-crt==13.0.*",
        "nvidia-cuda-cccl==13.0.*",
    )
    assert lines(machine(), fix.steps[1:]) == [
        "ln -s libcudart.so.13 /v/lib/python3.12/site-packages/nvidia/cu13/lib/libcudart.so",
        "CUDA_HOME=/v/lib/python3.12/site-packages/nvidia/cu13",
    ]


def test_a_toolkit_that_is_here_is_not_installed_again():
    kit = {"root": "/opt/cuda-12.6", "version": "12.6", "missing_headers": []}
    facts = machine(
        system=linux("ubuntu", "22.04"), torch={"version": "2.7.1", "cuda": "12.8"}, toolchain={"toolkits": [kit]}
    )
    assert lines(facts, toolkits.cures(facts)[0].steps) == ["CUDA_HOME=/opt/cuda-12.6"]
    half = {**kit, "missing_headers": ["cusparse.h"]}
    facts = machine(
        system=linux("ubuntu", "22.04"), torch={"version": "2.7.1", "cuda": "12.8"}, toolchain={"toolkits": [half]}
    )
    assert "sudo apt-get install -y cuda-toolkit-12-8" in lines(facts, toolkits.cures(facts)[-1].steps)


def test_an_older_gcc_is_one_that_the_distribution_has():
    def first(name, version, limit):
        facts = machine(system=linux(name, version))
        return lines(facts, host_compilers.at_most(facts, limit))[0]

    assert first("ubuntu", "22.04", 13) == "sudo apt-get install -y gcc-12 g++-12"  # it has no gcc 13
    assert first("debian", "12", 14) == "sudo apt-get install -y gcc-12 g++-12"
    assert first("rocky", "9.5", 13) == "sudo dnf install -y gcc-toolset-13"
    assert first("opensuse-leap", "15.6", 12) == "sudo zypper install -y gcc12 gcc12-c++"
    assert first("ubuntu", "18.04", 11) == "sudo add-apt-repository -y ppa:ubuntu-toolchain-r/test"


def test_without_a_compiler_a_program_may_do_without_torch_compile():
    text = "RuntimeError: Failed to find C compiler. Please specify via CC environment variable.\n"
    log = READER.read(io.BytesIO(text.encode()), "log")
    facts = facts_of_logs([log])
    fixes = diagnose(facts, Goal.FLASH_ATTN, logs=(log,)).findings[0].fixes
    assert lines(facts, fixes[1].steps) == ["TORCH_COMPILE_DISABLE=1"]


def test_a_notebook_without_a_gpu_is_told_where_to_choose_one():
    for service, menu in (("colab", "Runtime > Change runtime type"), ("kaggle", "Session options > Accelerator")):
        fix = nvidia_drivers.session_with_gpu(machine(system={"hosted": service, "container": "docker"}))
        assert menu in fix.steps[0].why
    assert nvidia_drivers.session_with_gpu(machine(system={"hosted": None})) is None


def test_a_cluster_is_told_by_its_environment_and_its_paths_and_a_container_is_none():
    assert places.on_cluster(machine(system={"modules": True}))
    assert places.on_cluster(machine(environment=[{"name": "SLURM_JOB_ID", "value": "7"}]))
    assert places.on_cluster(machine(interpreter={"prefix": "/cvmfs/soft.example.org/python/3.11"}))
    assert not places.on_cluster(machine(interpreter={"prefix": "/home/user/.venv"}))
    assert not places.on_cluster(machine(system={"modules": True, "container": "docker"}))


def test_a_distribution_that_is_made_of_an_ubuntu_takes_the_repository_of_that():
    def steps(name, version, cuda=(12, 6)):
        return lines(
            machine(system=linux(name, version)),
            cuda_toolkits.install(machine(system=linux(name, version)), cuda)[0].steps,
        )

    assert steps("linuxmint", "22.1") == [*by_apt("ubuntu2404", "12.6")[:4], "CUDA_HOME=/usr/local/cuda-12.6"]
    assert steps("linuxmint", "21.3")[0].endswith("ubuntu2204/x86_64/" + KEYRING)
    assert steps("pop", "22.04")[0].endswith("ubuntu2204/x86_64/" + KEYRING)
    assert steps("arch", "", (13, 2)) == ["sudo pacman -S cuda", "CUDA_HOME=/opt/cuda"]
