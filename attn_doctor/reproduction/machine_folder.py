"""Make a folder with the files of a Linux machine: the root of a simulated machine."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

LIBRARIES = "/usr/lib/x86_64-linux-gnu"
# Debian's folder for a driver. It is not LIBRARIES, because a child of attn-doctor searches this folder first, and would load
# the simulated libc in LIBRARIES: a few bytes that only look like a library.
DRIVER = f"{LIBRARIES}/nvidia/current"
_MACHINES = {"x86_64": (62, 0x0303), "aarch64": (183, 0x0A03), "i386": (3, 0x0003), "x32": (62, 0x0803)}
_HEADERS = (
    "cuda.h cuda_runtime.h cuda_fp16.h cuda_bf16.h cuda_fp8.h cublas_v2.h cublasLt.h cusparse.h cusolverDn.h nv/target "
    "thrust/complex.h"
).split()


class Machine:
    """Build a simulated machine in a folder, which is empty at first.

    Probes read its files below `root`, and its variables in `environ`.
    """

    def __init__(self, root: Path, machine: str = "x86_64") -> None:
        self.root = root
        self.environ = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/home/user", "SHELL": "/bin/bash"}
        self._cached: list[tuple[str, str]] = []
        self.folder("/tmp")  # noqa: S108 - of the played machine
        self.folder("/sys/bus/pci/devices")
        self.folder("/sys/module")
        self.file("/proc/sys/kernel/arch", machine)
        self.kernel("6.8.0-45-generic")
        self.mounts([("/", "ext4", "rw,relatime")])
        self.groups(["0::/"])

    def path(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def folder(self, path: str) -> Path:
        self.path(path).mkdir(parents=True, exist_ok=True)
        return self.path(path)

    def file(self, path: str, content: str | bytes = "") -> Path:
        file = self.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    def link(self, path: str, target: str) -> None:
        """Write a symbolic link. An absolute target is a path of the simulated machine."""
        file = self.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.symlink_to(target)

    def script(self, path: str, text: str) -> Path:
        """Write a program of the machine: a script, which is really run."""
        file = self.file(path, "#!/bin/sh\n" + text)
        file.chmod(0o755)
        return file

    def library(self, path: str, content: bytes = b"", machine: str = "x86_64") -> None:
        """Write a shared library that has only the bytes that a loader reads before it maps a file."""
        code = _MACHINES[machine][0]
        bits = 1 if machine in ("i386", "x32") else 2
        self.file(
            path, b"\x7fELF" + bytes([bits, 1, 1]) + bytes(9) + struct.pack("<HHI", 3, code, 1) + bytes(40) + content
        )

    def cache(self, entries: Iterable[tuple[str, str]], machine: str = "x86_64") -> None:
        """Add (soname, path) to /etc/ld.so.cache, in the format that glibc has written since 2.32."""
        self._cached += entries
        strings, table = b"", b""
        start = 48 + 24 * len(self._cached)
        for soname, path in self._cached:
            name_at, path_at = start + len(strings), start + len(strings) + len(soname) + 1
            table += struct.pack("<iIIIQ", _MACHINES[machine][1], name_at, path_at, 0, 0)
            strings += soname.encode() + b"\0" + path.encode() + b"\0"
        head = b"glibc-ld.so.cache1.1" + struct.pack("<IIB3xI12x", len(self._cached), len(strings), 2, 0)
        self.file("/etc/ld.so.cache", head + table + strings)

    def kernel(self, release: str) -> None:
        self.file("/proc/sys/kernel/osrelease", release + "\n")

    def mounts(self, lines: Sequence[tuple[str, ...]]) -> None:
        """Write the mounts. Each line: mount point, type, options[, root inside the file system[, options of the file system]]."""
        text = ""
        for number, line in enumerate(lines):
            point, kind, options = line[:3]
            inside = line[3] if len(line) > 3 else "/"
            text += f"{number + 20} 1 8:{number} {inside} {point} {options} shared:1 - {kind} none {line[4] if len(line) > 4 else 'rw'}\n"
        self.file("/proc/self/mountinfo", text)

    def groups(self, lines: Sequence[str]) -> None:
        self.file("/proc/self/cgroup", "".join(f"{line}\n" for line in lines))

    def memory(self, total_gib: float, available_gib: float, swap_gib: float = 0.0) -> None:
        kib = {"MemTotal": total_gib, "MemFree": 1.0, "MemAvailable": available_gib, "SwapTotal": swap_gib}
        self.file("/proc/meminfo", "".join(f"{k}:   {round(v * 1024**2)} kB\n" for k, v in kib.items()))

    def processors(self, count: int, model: str = "A Processor", flags: str = "fma avx2", allowed: str = "") -> None:
        block = "processor\t: {}\nmodel name\t: " + model + "\nflags\t\t: " + flags + "\n\n"
        self.file("/proc/cpuinfo", "".join(block.format(n) for n in range(count)))
        self.file("/proc/self/status", f"Name:\tx\nCpus_allowed_list:\t{allowed or f'0-{count - 1}'}\n")

    def pci(self, vendor: str, device: str, pci_class: str = "0300", driver: str | None = None) -> None:
        slot = f"/sys/bus/pci/devices/0000:{len(list(self.path('/sys/bus/pci/devices').iterdir())):02x}:00.0"
        self.file(f"{slot}/vendor", f"0x{vendor}\n")
        self.file(f"{slot}/device", f"0x{device}\n")
        self.file(f"{slot}/class", f"0x{pci_class}00\n")
        if driver:
            self.folder(f"/sys/bus/pci/drivers/{driver}")
            self.link(f"{slot}/driver", f"../../../../bus/pci/drivers/{driver}")

    def driver(self, version: str, nodes: Sequence[str] = ("nvidia0", "nvidiactl", "nvidia-uvm")) -> None:
        """Write the kernel's part of an NVIDIA driver: its module, and the device nodes that a program opens."""
        self.file("/sys/module/nvidia/version", f"{version}\n")
        banner = f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {version}  Tue Mar 12 23:53:41 UTC 2024\n"
        self.file("/proc/driver/nvidia/version", banner + "GCC version:  gcc version 12.3.0\n")
        for node in nodes:
            self.file(f"/dev/{node}")

    def knows(self, folder: str) -> None:
        """Add the driver's libraries in this folder to the loader's cache."""
        present = [n for n in ("libcuda.so.1", "libnvidia-ml.so.1") if self.path(f"{folder}/{n}").exists()]
        self.cache([(name, f"{folder}/{name}") for name in present])

    def toolkit(
        self,
        root: str,
        version: str,
        *,
        missing: Sequence[str] = (),
        archs: Sequence[int] = (75, 80, 86, 89, 90),
        max_gcc: int = 13,
        nvcc: bool = True,
    ) -> None:
        """Write the files of a simulated CUDA toolkit. Its nvcc is a script that prints what a real nvcc of this version prints."""
        for header in set(_HEADERS) - set(missing):
            self.file(f"{root}/include/{header}")
        if "crt/host_config.h" not in missing:
            limit = f"#if __GNUC__ > {max_gcc}\n#error -- unsupported GNU version!\n#endif\n"
            self.file(f"{root}/include/crt/host_config.h", limit)
        release = f"Cuda compilation tools, release {version}, V{version}.99"
        if nvcc:
            listed = "".join(f"compute_{a}\\n" for a in archs)
            self.script(
                f"{root}/bin/nvcc",
                'case "$1" in\n'
                f"--version|-V) echo 'nvcc: NVIDIA (R) Cuda compiler driver'; echo '{release}';;\n"
                f"--list-gpu-arch) printf '{listed}';;\n"
                f"--dryrun) echo '#$ _HERE_={root}/bin' >&2;;\n"
                "*) exit 1;;\nesac\n",
            )

    def tools(self, **versions: str) -> None:
        """Write programs in /usr/bin that print a text: `tools(gcc="gcc 12.3", g_plus_plus="g++ 12")` for gcc and g++."""
        for name, text in versions.items():
            self.script(f"/usr/bin/{name.replace('_plus', '+')}", f"echo '{text}'\n")


M = TypeVar("M", bound=Machine)


def debian(machine: M, version: str = "12", glibc: str = "2.36", glibcxx: str = "3.4.30") -> M:
    """Write the files of a Debian into a machine, and return it."""
    return _distribution(
        machine, f"Debian GNU/Linux {version}", name="debian", version=version, glibc=glibc, glibcxx=glibcxx
    )


def ubuntu(machine: M, version: str = "22.04", glibc: str = "2.35", glibcxx: str = "3.4.30") -> M:
    """Write the files of an Ubuntu into a machine, and return it."""
    return _distribution(machine, f"Ubuntu {version} LTS", name="ubuntu", version=version, glibc=glibc, glibcxx=glibcxx)


def alpine(machine: M, version: str = "3.20.3", musl: str = "1.2.5-r0") -> M:
    """Write the files of an Alpine Linux into a machine, and return it."""
    _release(machine, {"ID": "alpine", "VERSION_ID": version, "PRETTY_NAME": f'"Alpine Linux v{version[:4]}"'})
    machine.library("/lib/ld-musl-x86_64.so.1")
    machine.file("/lib/apk/db/installed", f"C:Q1\nP:musl\nV:{musl}\nA:x86_64\n\nC:Q2\nP:busybox\nV:1.36.1-r29\n\n")
    return _hardware(machine)


def wsl2(machine: M) -> M:
    """Write the files that Microsoft's kernel and WSL leave in a distribution. `stub_drivers` makes the driver's libraries."""
    machine.kernel("5.15.153.1-microsoft-standard-WSL2")
    machine.folder("/usr/lib/wsl/lib")
    machine.file("/dev/dxg")
    machine.environ |= {"WSL_DISTRO_NAME": "Ubuntu-22.04", "WSL_INTEROP": "/run/WSL/8_interop"}
    return machine


def _distribution(machine: M, title: str, *, name: str, version: str, glibc: str, glibcxx: str) -> M:
    _release(machine, {"ID": name, "VERSION_ID": f'"{version}"', "PRETTY_NAME": f'"{title}"'})
    banner = f"GNU C Library ({title}) stable release version {glibc}.\n"
    machine.library(f"{LIBRARIES}/libc.so.6", banner.encode())
    newest = int(glibcxx.rpartition(".")[2])
    names = [f"GLIBCXX_3.4.{n}" for n in range(1, newest + 1)] + ["CXXABI_1.3", "CXXABI_1.3.13", "CXXABI_FLOAT128"]
    machine.library(f"{LIBRARIES}/libstdc++.so.6.0.{newest}", ("\0" + "\0".join(names) + "\0").encode())
    machine.link(f"{LIBRARIES}/libstdc++.so.6", f"libstdc++.so.6.0.{newest}")
    machine.link("/lib", "usr/lib")
    libraries = ("libc.so.6", "libstdc++.so.6")
    machine.cache([(library, f"/lib/x86_64-linux-gnu/{library}") for library in libraries])
    return _hardware(machine)


def _hardware(machine: M) -> M:
    machine.memory(32.0, 28.0, 2.0)
    machine.processors(8)
    return machine


def _release(machine: Machine, values: Mapping[str, str]) -> None:
    machine.file("/etc/os-release", "".join(f"{key}={value}\n" for key, value in values.items()))
