"""A real sshd on 127.0.0.1, or in a network namespace: own port, own keys, own configuration, in a temporary folder; and a `ssh` on PATH that uses them."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

SSHD = shutil.which("sshd", path="/usr/sbin:/sbin:" + os.environ.get("PATH", ""))


def free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return made.getsockname()[1]


class Sshd:
    def __init__(self, folder: Path, address: str = "127.0.0.1", within: Sequence[str] = ()) -> None:
        self.folder = folder
        self.address = address
        self.port = free_port()
        self.hosts: dict[str, dict[str, str]] = {}
        for name in ("host", "user"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name],
                check=True,
                stdin=subprocess.DEVNULL,
            )
        shutil.copy(folder / "user.pub", folder / "authorized")
        (folder / "sshd.conf").write_text(
            f"Port {self.port}\nListenAddress {address}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
            f"PidFile {folder}/sshd.pid\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
            "PermitUserEnvironment no\nAcceptEnv NODE_*\n"
        )
        Path("/run/sshd").mkdir(exist_ok=True)
        with (folder / "log").open("wb") as log:
            argv = [*within, SSHD, "-D", "-e", "-f", folder / "sshd.conf"]
            self.daemon = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection((address, self.port), 1):
                break
            time.sleep(0.05)

    def host(self, name: str, **options: str) -> None:
        """Add a host of this name to the ssh_config: it is this sshd, unless `options` say otherwise."""
        self.hosts[name] = {"HostName": self.address, "Port": str(self.port), **options}

    def path(self) -> str:
        """Write the ssh_config, and a `ssh` that reads it. Returns a PATH."""
        text = "".join(
            f"Host {name}\n" + "".join(f"  {key} {value}\n" for key, value in options.items())
            for name, options in self.hosts.items()
        )
        common = f"Host *\n  IdentityFile {self.folder}/user\n  IdentitiesOnly yes\n  UserKnownHostsFile {self.folder}/known\n  StrictHostKeyChecking accept-new\n"
        (self.folder / "ssh.conf").write_text(text + common)
        program = self.folder / "bin" / "ssh"
        program.parent.mkdir(exist_ok=True)
        real = shutil.which("ssh", path="/usr/bin:/bin:/usr/local/bin")
        program.write_text(f'#!/bin/sh\nexec {real} -F {self.folder}/ssh.conf "$@"\n')
        program.chmod(0o755)
        return f"{program.parent}{os.pathsep}{os.environ['PATH']}"


@contextlib.contextmanager
def sshd(folder: Path, address: str = "127.0.0.1", within: Sequence[str] = ()) -> Iterator[Sshd]:
    """Start an sshd. `within`: the beginning of a command line that runs in a network namespace, where `address` is."""
    made = Sshd(folder, address, within)
    try:
        yield made
    finally:
        made.daemon.terminate()
        made.daemon.wait(10)
