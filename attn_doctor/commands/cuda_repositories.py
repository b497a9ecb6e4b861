"""Find NVIDIA's repository of packages for a distribution, and the commands that add it. Pure.

https://docs.nvidia.com/cuda/cuda-installation-guide-linux/
"""

from __future__ import annotations

from typing import NamedTuple

from attn_doctor.commands import places
from attn_doctor.model.facts import Facts
from attn_doctor.model.versions import pair

Version = tuple[int, int]
ADDRESS = "https://developer.download.nvidia.com/compute/cuda/repos"


class Repository(NamedTuple):
    """Describe a repository of NVIDIA: its folder, and its oldest and newest CUDA release. `newest` None: it still gets new releases."""

    folder: str
    oldest: Version
    newest: Version | None = None


_LIKE_RHEL = ("rhel", "rocky", "almalinux", "centos", "ol")
_OF_UBUNTU = {
    "20.04": Repository("ubuntu2004", (11, 0), (12, 9)),
    "22.04": Repository("ubuntu2204", (11, 7)),
    "24.04": Repository("ubuntu2404", (12, 5)),
    "26.04": Repository("ubuntu2604", (13, 3)),
}
# Distributions made from Ubuntu, with their major version -> the Ubuntu release: https://linuxmint.com/download_all.php, https://support.system76.com,
# https://help.zorin.com/docs/getting-started/, https://elementary.io/docs
_BASES = {
    ("linuxmint", 21): "22.04",
    ("linuxmint", 22): "24.04",
    ("pop", 22): "22.04",
    ("pop", 24): "24.04",
    ("zorin", 17): "22.04",
    ("zorin", 18): "24.04",
    ("elementary", 7): "22.04",
    ("elementary", 8): "24.04",
}
_BY_MAJOR = {
    ("debian", 11): Repository("debian11", (11, 5), (12, 9)),
    ("debian", 12): Repository("debian12", (12, 3)),
    ("debian", 13): Repository("debian13", (13, 1)),
    ("rhel", 8): Repository("rhel8", (11, 0)),
    ("rhel", 9): Repository("rhel9", (11, 7)),
    ("rhel", 10): Repository("rhel10", (13, 0)),
    ("amzn", 2023): Repository("amzn2023", (12, 4)),
    ("fedora", 39): Repository("fedora39", (12, 4), (12, 6)),
    ("fedora", 41): Repository("fedora41", (12, 8), (12, 9)),
    ("fedora", 42): Repository("fedora42", (13, 0), (13, 1)),
    ("fedora", 43): Repository("fedora43", (13, 2)),
    ("opensuse-leap", 15): Repository("opensuse15", (11, 0)),
    ("sles", 15): Repository("sles15", (11, 0)),
}
WSL = Repository("wsl-ubuntu", (11, 0))
_DNF5 = 41  # the first Fedora whose `dnf config-manager` is dnf5's


def repository(facts: Facts) -> Repository | None:
    """Return NVIDIA's repository for this release of the distribution; None if there is none, or if the release is not known."""
    if places.wsl(facts):
        return WSL if places.manager(facts) in ("apt-get", None) else None
    name, text = facts.system.distribution, facts.system.distribution_version
    if not isinstance(name, str) or not isinstance(text, str):
        return None
    if name == "ubuntu":
        return _OF_UBUNTU.get(text[:5])
    release = pair(text)
    base = _BASES.get((name, release[0])) if release else None
    if base is not None:
        return _OF_UBUNTU[base]
    return _BY_MAJOR.get(("rhel" if name in _LIKE_RHEL else name, release[0])) if release else None


def set_up(facts: Facts, name: str, manager: str) -> tuple[tuple[tuple[str, ...], str], ...]:
    """Return (command, reason) for each command that adds NVIDIA's repository to the package manager.

    `name`: the folder of the repository, "ubuntu2204". `manager`: "apt-get", "dnf" or "zypper".
    """
    folder = f"{ADDRESS}/{name}/{'sbsa' if places.architecture(facts) == 'aarch64' else 'x86_64'}"
    root = places.as_root
    if manager == "apt-get":
        keyring = "cuda-keyring_1.1-1_all.deb"
        line = "apt-get update && apt-get install -y wget ca-certificates"
        tools = ((("sh", "-c", line), "container images contain neither apt's package lists nor wget"),)
        return (
            *(tools if places.container(facts) else ()),
            (("wget", f"{folder}/{keyring}"), "NVIDIA's repository for this release, and its key"),
            (root(facts, "dpkg", "-i", keyring), "sets that repository up"),
            (root(facts, "apt-get", "update"), "reads its list of packages"),
        )
    file = f"{folder}/cuda-{name}.repo"
    if manager == "zypper":
        return ((root(facts, "zypper", "addrepo", file), "NVIDIA's repository for this release"),)
    new = facts.system.distribution == "fedora" and (pair(str(facts.system.distribution_version)) or (0, 0))[0] >= _DNF5
    add = ("addrepo", f"--from-repofile={file}") if new else ("--add-repo", file)
    plugin = (
        ((root(facts, "dnf", "install", "-y", "dnf-plugins-core"), "brings `dnf config-manager`"),) if not new else ()
    )
    return *plugin, (root(facts, "dnf", "config-manager", *add), "NVIDIA's repository for this release")
