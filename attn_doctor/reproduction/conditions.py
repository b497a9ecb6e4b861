"""Prepare the conditions of a run: hidden programs, the network, writable folders, and separate folders for apt."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from attn_doctor.failure_modes import recipe as of
from attn_doctor.reproduction import host_abilities
from attn_doctor.reproduction.ingredients import Bench, CannotReproduce

UBUNTU = "http://archive.ubuntu.com/ubuntu"


def without(bench: Bench, made: of.Without) -> None:
    """Set a PATH for the run on which the programs of the recipe (`made.programs`) are missing.

    A folder that contains one of them is replaced by a folder of links to all its other entries.
    """
    parts = []
    for number, part in enumerate(bench.surroundings.get("PATH", os.defpath).split(os.pathsep)):
        if not any((Path(part) / name).exists() for name in made.programs):
            parts.append(part)
            continue
        folder = bench.folder / "path" / str(number)
        folder.mkdir(parents=True)
        for entry in os.scandir(part):
            if entry.name not in made.programs:
                (folder / entry.name).symlink_to(entry.path)
        parts.append(str(folder))
    bench.variables["PATH"] = os.pathsep.join([str(bench.programs), *parts])


def hidden(bench: Bench, made: of.Hidden) -> None:
    """Hide files of a folder from the command of the recipe: those whose names match `made.names`.

    If there are no such files, nothing is done, and no namespace is needed.
    """
    folder = Path(bench.filled(made.folder)).resolve()  # /lib64 can be a link to /usr/lib64: hide that folder once
    entry = [str(folder), made.names]
    if entry not in bench.conditions.get("hidden", ()) and any(folder.glob(made.names)):
        bench.conditions.setdefault("hidden", []).append(entry)


def disk(bench: Bench, made: of.SmallDisk) -> None:
    """Put a small disk in memory in the place of a folder, as long as the command of the recipe runs.

    It is only noted here, and set up when the command starts.
    """
    path = bench.path(made.path)
    path.mkdir(parents=True, exist_ok=True)
    bench.conditions.setdefault("disks", []).append([str(path), made.megabytes, made.noexec])


def read_only(bench: Bench, made: of.ReadOnly) -> None:
    """Make a folder read-only as long as the command of the recipe runs."""
    bench.conditions.setdefault("read_only", []).append(str(bench.path(made.path)))


def memory(bench: Bench, made: of.Memory) -> None:
    """Limit the memory of the command of the recipe to `made.megabytes` MiB."""
    bench.conditions["memory"] = made.megabytes << 20


def network(bench: Bench, made: of.Network) -> None:
    """Take the network away from the command of the recipe, or put a stand-in server in the place of its hosts.

    Raises CannotReproduce if no certificate can be made.
    """
    bench.conditions["network"] = True
    if made.kind == "none":
        return
    folder = bench.folder / "network"
    names = " ".join(made.hosts)
    hosts = bench.write(folder / "hosts", f"127.0.0.1 localhost {names}\n")
    bench.conditions["files"] = [[str(hosts), "/etc/hosts"]]
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subject = ["-subj", f"/CN={made.hosts[0]}", "-addext", "subjectAltName=" + ",".join(f"DNS:{h}" for h in made.hosts)]
    files = ["-keyout", str(key), "-out", str(certificate)]
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2".split()
    bench.prepare("no certificate can be made", [*command, *files, *subject])
    server = bench.throwaway.program("server.py")
    bench.conditions["server"] = [sys.executable, "-I", str(server), made.kind, str(certificate), str(key)]
    if made.kind != "self-signed":
        bench.variables["SSL_CERT_FILE"] = str(certificate)


def nvcc(bench: Bench) -> None:
    """Use the machine's own nvcc. If it has none, install the package of the registry, which contains the whole compiler from CUDA 13 on.

    Raises CannotReproduce if that package has no nvcc for this machine.
    """
    if host_abilities.nvcc(bench.surroundings):
        return
    bench.install(["nvidia-cuda-nvcc", "nvidia-cuda-crt", "nvidia-nvvm", "nvidia-cuda-runtime"])
    found = next(bench.site.glob("nvidia/*/bin/nvcc"), None)
    if found is None:
        raise CannotReproduce("this machine has no nvcc, and the registry's package has none for it")
    bench.words["nvcc"] = str(found)


def apt(bench: Bench, made: of.Apt) -> None:
    """Set up an apt with lists, cache and status of its own. The files of the system's apt are neither read nor written."""
    folder = bench.folder / "apt"
    for name in ("state/lists/partial", "cache/archives/partial", "parts"):
        (folder / name).mkdir(parents=True)
    bench.write(folder / "status", "")
    bench.write(folder / "beside" / "Packages", made.packages)
    sources = [
        f"deb [trusted=yes arch=amd64] {UBUNTU} {made.release} main universe",  # only resolved, never installed
        f"deb [trusted=yes arch=amd64] file:{folder}/beside ./",
    ]
    bench.write(folder / "sources.list", "\n".join(sources) + "\n")
    settings = {
        "Dir::State": folder / "state",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": folder / "parts",
        "Dir::Etc::preferencesparts": folder / "parts",
        "APT::Architecture": "amd64",
        "APT::Architectures": "amd64",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
    }
    text = "".join(f'{name} "{value}";\n' for name, value in settings.items())
    bench.variables["APT_CONFIG"] = str(bench.write(folder / "apt.conf", text))
    bench.say(f"fetching the package lists of Ubuntu ({made.release})")
    bench.prepare(
        "the package lists of Ubuntu cannot be fetched",
        ["apt-get", "update", "-q"],
        APT_CONFIG=str(folder / "apt.conf"),
    )


def unneeded(bench: Bench) -> None:
    """Remove the tools that were only needed to prepare other ingredients."""
    for path in bench.gone:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
