"""The driver that each distribution gets for a card of before Turing and for a newer one: written by hand, read against the pages that
`attn_doctor/commands/nvidia_drivers.py`, `rpm_drivers.py` and `debian_drivers.py` name.
"""

from __future__ import annotations

import pytest
from whole_machines import machine

from attn_doctor.commands import nvidia_drivers
from attn_doctor.failure_modes.gpu import driver_missing
from attn_doctor.failure_modes.mode import Hit
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Install

REPOSITORIES = "https://developer.download.nvidia.com/compute/cuda/repos"


def linux(name: str, version: str, **more) -> dict:
    return {
        "os": "linux",
        "distribution": name,
        "distribution_version": version,
        "container": None,
        "wsl": None,
        **more,
    }


def lines(fix: Fix) -> list[str]:
    return [" ".join(step.argv) for step in fix.steps if not isinstance(step, Install)]


def commands(facts: Facts) -> list[str]:
    return lines(nvidia_drivers.install(facts)[0])


OLD_AND_NEW = {
    ("rhel", "9.4"): (
        ["dnf module enable -y nvidia-driver:580-dkms", "dnf install -y cuda-drivers"],
        ["dnf module enable -y nvidia-driver:open-dkms", "dnf install -y nvidia-open"],
    ),
    ("amzn", "2023"): (
        ["dnf module enable -y nvidia-driver:580-dkms", "dnf install -y cuda-drivers"],
        ["dnf module enable -y nvidia-driver:open-dkms", "dnf install -y nvidia-open"],
    ),
    (
        "almalinux",
        "10.0",
    ): (  # without streams of modules: the packages are locked to a branch, before they are installed
        ["dnf versionlock add *nvidia*580*", "dnf install -y kmod-nvidia-latest-dkms nvidia-driver nvidia-driver-cuda"],
        [f"dnf config-manager --add-repo {REPOSITORIES}/rhel10/x86_64/cuda-rhel10.repo", "dnf install -y nvidia-open"],
    ),
    ("fedora", "43"): (
        ["dnf install -y akmod-nvidia-580xx xorg-x11-drv-nvidia-580xx-cuda"],
        ["dnf install -y akmod-nvidia xorg-x11-drv-nvidia-cuda"],
    ),
    ("opensuse-leap", "15.6"): (
        ["zypper --gpg-auto-import-keys install -y cuda-drivers-580"],
        ["zypper --gpg-auto-import-keys install -y nvidia-open"],
    ),
    ("arch", ""): (["yay -S nvidia-580xx-dkms"], ["pacman -S nvidia-open"]),
    **{  # their own tool knows the card
        (name, "22"): ([tool], [tool])
        for name, tool in (
            ("linuxmint", "ubuntu-drivers install"),
            ("pop", "apt-get install -y system76-driver-nvidia"),
            ("kali", "apt-get install -y nvidia-driver linux-headers-amd64"),
            ("manjaro", "mhwd -a pci nonfree 0300"),
            ("cachyos", "chwd -a"),
            ("opensuse-tumbleweed", "zypper --gpg-auto-import-keys install-new-recommends --repo repo-non-free"),
        )
    },
}


@pytest.mark.parametrize(("name", "release"), OLD_AND_NEW)
@pytest.mark.parametrize(("old", "capability"), [(True, "6.1"), (False, "8.9")], ids=["Pascal", "Ada"])
def test_each_distribution_gets_the_driver_that_knows_the_card(name, release, old, capability):
    facts = machine(system=linux(name, release), graphics={"gpus": [{"index": 0, "compute_capability": capability}]})
    made = [line.removeprefix("sudo ") for line in commands(facts)]
    wanted = OLD_AND_NEW[name, release][0 if old else 1]
    assert made[-1] == "reboot"
    assert made[-1 - len(wanted) : -1] == wanted


def test_the_driver_of_a_dgx_spark_comes_with_its_system():
    facts = machine(system=linux("ubuntu", "24.04", board="dgx-spark", machine="aarch64"), graphics={"gpus": []})
    assert commands(facts) == ["sudo apt-get update", "sudo apt-get dist-upgrade -y", "sudo reboot"]


TURING = {"vendor": "10de", "device": "1f02", "pci_class": "0300"}
PASCAL = {"vendor": "10de", "device": "1b81", "pci_class": "0300"}


@pytest.mark.parametrize(
    ("release", "cuda", "card", "first"),
    [
        ("12", "13.0", TURING, "debian12/x86_64/cuda-keyring_1.1-1_all.deb"),  # Debian 12 has 535, CUDA 13 needs 580
        ("12", "12.1", TURING, "sudo apt-get install -y nvidia-driver linux-headers-amd64"),
        ("13", "12.6", TURING, "sudo apt-get install -y nvidia-driver linux-headers-amd64"),
        ("13", "13.0", TURING, "debian13/x86_64/cuda-keyring_1.1-1_all.deb"),
        ("11", "13.0", TURING, "sudo apt-get install -y nvidia-driver linux-headers-amd64"),  # no 580 for it anywhere
    ],
)
def test_a_driver_of_debian_is_one_that_the_torch_here_runs_on(release, cuda, card, first):
    facts = machine(system=linux("debian", release), graphics={"gpus": [], "pci": [card]}, torch={"cuda": cuda})
    assert commands(facts)[0].endswith(first)


def test_the_driver_of_nvidias_repository_is_one_for_the_card():
    def last(card):
        facts = machine(system=linux("debian", "12"), graphics={"gpus": [], "pci": [card]}, torch={"cuda": "13.0"})
        return commands(facts)[3]

    assert last(TURING) == "sudo apt-get install -y nvidia-open linux-headers-amd64"
    assert last(PASCAL) == "sudo apt-get install -y cuda-drivers-580 linux-headers-amd64"


@pytest.mark.parametrize(("release", "index", "place"), [("12", "cu126", 1), ("11", "cu118", 0)])
def test_the_archives_older_driver_comes_with_a_torch_that_it_runs(release, index, place):
    facts = machine(
        system=linux("debian", release, machine="x86_64"),
        graphics={"gpus": [], "pci": [TURING]},
        torch={"version": "2.9.1+cu130", "cuda": "13.0"},
        interpreter={"version": "3.11.2", "platform": "linux-x86_64"},
    )
    fix = driver_missing.fixes(facts, Hit(message="", evidence=()))[place]
    assert lines(fix)[0] == "sudo apt-get install -y nvidia-driver linux-headers-amd64"
    indexes = {str(step.index_url) for step in fix.steps if isinstance(step, Install)}
    assert len(indexes) == 1
    assert indexes.pop().endswith(index)
