"""A real Slurm of several nodes on this machine: slurmctld, a slurmd for each node, munge (Debian: slurm-wlm, munge; only root can start them)."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from real_sshd import free_port

PROGRAMS = ("slurmctld", "slurmd", "srun", "sinfo", "scontrol", "munged", "munge")
MISSING = [name for name in PROGRAMS if not shutil.which(name, path="/usr/sbin:" + os.environ.get("PATH", ""))]


class Slurm:
    """Nodes d1, d2, ...; `settings` are more lines of slurm.conf, `environ` what slurmd of a node is started with."""

    def __init__(
        self,
        folder: Path,
        nodes: int,
        settings: str = "",
        features: Mapping[str, str] | None = None,
        environ: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self.folder = folder
        self.conf = folder / "slurm.conf"
        self.names = [f"d{number}" for number in range(1, nodes + 1)]
        self.environ = environ or {}
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        host = socket.gethostname()
        for name in ("ctld", *self.names):
            (folder / name).mkdir(parents=True)
        key = folder / "munge.key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o400)
        folder.chmod(0o755)
        self.socket = folder / "munge.socket"
        lines = [
            "ClusterName=t",
            f"SlurmctldHost={host}(127.0.0.1)",
            "AuthType=auth/munge",
            f"AuthInfo=socket={self.socket}",
            "CredType=cred/munge",
            "SlurmUser=root",
            f"SlurmctldPort={free_port()}",
            f"StateSaveLocation={folder}/ctld",
            f"SlurmctldPidFile={folder}/ctld.pid",
            f"SlurmdPidFile={folder}/%n.pid",
            f"SlurmdSpoolDir={folder}/%n",
            "ProctrackType=proctrack/linuxproc",
            "TaskPlugin=task/none",
            "SelectType=select/cons_tres",
            "ReturnToService=2",
            "SlurmdParameters=config_overrides",
            "SlurmdTimeout=10",
            "KillWait=5",
            "MpiDefault=none",
            *settings.splitlines(),
        ]
        for name in self.names:
            feature = f" Feature={features[name]}" if features and name in features else ""
            lines.append(f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={free_port()} CPUs=2{feature}")
        lines.append(f"PartitionName=p Nodes={','.join(self.names)} Default=YES State=UP")
        self.conf.write_text("\n".join(lines) + "\n")
        self._start("munged", ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={self.socket}",
                               f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed"])  # fmt: skip
        self._until(self.socket.exists)
        self._start("ctld", ["slurmctld", "-D", "-f", str(self.conf)])
        for name in self.names:
            self.start_node(name)
        self._until(lambda: set(self.states().values()) == {"idle"})

    def start_node(self, name: str) -> None:
        self._start(name, ["slurmd", "-D", "-N", name, "-f", str(self.conf)], self.environ.get(name, {}))

    def _start(self, name: str, argv: Sequence[str], environ: Mapping[str, str] | None = None) -> None:
        path = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin:" + os.environ["PATH"]
        with (self.folder / f"{name}.log").open("wb") as log:
            self.daemons[name] = subprocess.Popen(
                argv,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PATH": path, **(environ or {})},
                start_new_session=True,
            )

    def _until(self, true, seconds: float = 40.0) -> None:
        until = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < until, {n: (self.folder / f"{n}.log").read_text()[-600:] for n in self.daemons}
            time.sleep(0.2)

    def run(self, *argv: str, **more) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv,
            env={**os.environ, "SLURM_CONF": str(self.conf)},
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
            **more,
        )

    def features_of(self, name: str) -> str:
        """The path that stands in a node's feature target=."""
        said = self.run("sinfo", "-h", "-n", name, "-o", "%f").stdout
        return dict(word.partition("=")[::2] for word in said.strip().split(","))["target"]

    def states(self) -> dict[str, str]:
        said = self.run("sinfo", "-N", "-h", "-o", "%N %T").stdout
        return dict(line.split() for line in said.splitlines())

    def kill(self, name: str) -> None:
        """End the slurmd of a node, and all that it runs, as a power cut does."""
        daemon = self.daemons[name]
        steps = [
            pid
            for pid in _all()
            if f"{self.folder}".encode() in _environ(pid) and f"SLURMD_NODENAME={name}".encode() in _environ(pid)
        ]
        stepds = [pid for pid in _all() if b"slurmstepd" in _cmdline(pid) and _parent(pid) in (1, daemon.pid)]
        for pid in (daemon.pid, *_of_node(stepds, steps), *steps):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        daemon.wait(10)

    def stop(self) -> None:
        for daemon in reversed(self.daemons.values()):
            if daemon.poll() is None:
                daemon.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(10)
            if daemon.poll() is None:
                daemon.kill()
                daemon.wait(10)


def _all() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _bytes(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _environ(pid: int) -> bytes:
    return _bytes(pid, "environ")


def _cmdline(pid: int) -> bytes:
    return _bytes(pid, "cmdline")


def _parent(pid: int) -> int:
    words = _bytes(pid, "stat").rpartition(b")")[2].split()
    return int(words[1]) if len(words) > 1 else -1


def _of_node(stepds: Sequence[int], steps: Sequence[int]) -> list[int]:
    """The slurmstepd above these processes."""
    above = set()
    for pid in steps:
        seen = pid
        while seen > 1:
            seen = _parent(seen)
            above.add(seen)
    return [pid for pid in stepds if pid in above]


@contextlib.contextmanager
def slurm(folder: Path, nodes: int, **more) -> Iterator[Slurm]:
    made = Slurm.__new__(Slurm)
    try:
        made.__init__(folder, nodes, **more)
        yield made
    finally:
        made.stop()
