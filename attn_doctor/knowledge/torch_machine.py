"""Define the properties of a machine that decide which torch runs, and the answers of `torch_choice`. Judges nothing."""

from __future__ import annotations

from typing import Literal

from attn_doctor.model.facts import Board, OsName, Record
from attn_doctor.model.versions import pair

Maker = Literal["nvidia", "amd", "intel", "none", "unknown"]


class Machine(Record, frozen=True, kw_only=True):
    """Hold the properties of a machine that decide which torch runs there.

    None: not known; for `rocm` and `board` also "there is none".
    """

    os: OsName | None = None
    machine: str | None = None  # "x86_64", "aarch64"; "arm64" on macOS. That of the Python: wheels are chosen by it
    translated: bool = False  # a Python for x86_64 on a Mac with Apple silicon, which runs it under Rosetta
    maker: Maker = "unknown"
    board: Board | None = None
    jetpack: str | None = None  # "6.2"
    wsl: bool = False
    capabilities: tuple[str, ...] = ()  # of the NVIDIA GPUs that programs see, "8.6"
    gfx: tuple[str, ...] = ()  # of the AMD GPUs, "gfx1100"
    driver: str | None = None  # "550.54.14"
    driver_os: OsName = "linux"  # under WSL the driver is that of Windows
    driver_cuda: str | None = None  # the newest CUDA that the driver supports: "12.4"
    assumed_cuda: str = "12.0"  # of a driver that is not known: the least that torch's newest builds need
    rocm: str | None = None  # "6.4.1"
    python: str | None = None  # "3.12"; "3.13t" is free-threaded
    glibc: str | None = None
    musl: bool = False
    before: str | None = None  # programs of this machine do not run with this minor of torch or a newer one: "2.6"

    @property
    def platform(self) -> str:
        """Return the platform of this machine as the names of wheels write it: "linux_x86_64".

        For Linux and Windows only: macOS, and a system that is not known, get the name for Linux.
        """
        arm = (self.machine or "").lower() in ("aarch64", "arm64")
        if self.os == "windows":
            return "win_arm64" if arm else "win_amd64"
        return "linux_aarch64" if arm else "linux_x86_64"

    @property
    def narrow(self) -> bool:
        """Return whether the Python is a 32-bit Python. No wheel of torch is for such a Python."""
        return (self.machine or "").lower() in ("x86", "i386", "i486", "i586", "i686", "armv6l", "armv7l")

    @property
    def knows_driver(self) -> bool:
        return self.driver is not None or self.driver_cuda is not None


LAST_TORCHTEXT = "0.18.0"  # for torch 2.3; its development has ended: https://docs.pytorch.org/text/stable/


class Choice(Record, frozen=True, kw_only=True):
    """Hold a torch to install, and the packages that belong to it."""

    torch: str | None  # "2.14.1"; None: what its index has
    torchvision: str | None
    # The last part of the index's address: "cu126", "cpu", "rocm7.2", "xpu"; None: on macOS, or for NVIDIA's own index
    flavour: str | None
    index_url: str | None  # None: the registry's default is this build
    why: str  # the reason, without a subject: "built for CUDA 12.6, with code for compute capability 8.9"
    cuda: str | None = None  # "12.6"; None: no CUDA build, or NVIDIA's own index
    beside: tuple[str, ...] = ()  # requirements of other packages, "numpy<2"
    doubt: str | None = None  # what is not known, and how to find it out
    takes: str = "3 to 5 GB"  # of the disk
    # False: the Python is not known, so the installer chooses the newest release of the index for this Python
    pinned: bool = True
    below: str | None = None  # if not pinned: torch has to be older than this minor, "2.6"; None: no bound

    def requirements(self, *names: str) -> tuple[str, ...]:
        """Return the requirements of these packages ("torchaudio"), each fit for the chosen torch; without names, of torch and torchvision.

        Those in `beside` follow: ("torch==2.1.2", "torchvision==0.16.2", "numpy<2"). If the choice is not `pinned`, the
        names have an upper bound by `below`, or none.
        """
        names = names or ("torch", "torchvision")
        if not self.pinned:
            return (*(f"{name}{self._bound(name)}" for name in names), *self.beside)
        versions = {
            "torch": self.torch,
            "torchvision": self.torchvision,
            "torchaudio": self._torchaudio(),
            "torchtext": self._torchtext(),
        }
        return (*(exactly(name, versions.get(name)) for name in names), *self.beside)

    def _bound(self, name: str) -> str:
        """Return the upper bound for a package without a fixed version.

        Below torch 2.6 that is "<0.21" for torchvision.
        """
        minor = pair(self.below) if self.below else None
        if minor is None:
            return ""
        if name == "torchvision" and minor[0] == 2:
            return f"<0.{minor[1] + 15}"
        return f"<{self.below}" if name in ("torch", "torchaudio") else ""

    @property
    def name(self) -> str:
        """Return the words for this torch in a title: "torch 2.14.1", or "a torch" if the installer chooses the version."""
        return f"torch {self.torch}" if self.pinned and self.torch else "a torch"

    @property
    def build(self) -> str:
        """Return the version with its build, "2.14.1+cu126".

        If there is no fixed version: the source, "of NVIDIA" or "of cu126".
        """
        if self.torch is None:
            return "of NVIDIA"
        if not self.pinned:
            return f"of {self.flavour or 'its index'}"
        return f"{self.torch}+{self.flavour}" if self.flavour else self.torch

    def _torchaudio(self) -> str | None:
        """Return the version of torchaudio for this torch: the same number up to 2.11, the last release of torchaudio.

        2.11 uses torch's stable ABI. https://github.com/pytorch/audio/issues/3902
        """
        if self.torch is not None and self.torch.startswith("1."):  # torchaudio 0.13.1 is that of torch 1.13.1
            return "0.7.2" if self.torch == "1.7.1" else f"0.{self.torch.partition('.')[2]}"
        minor = pair(self.torch) if self.torch else None
        if minor is None:
            return None
        return self.torch if minor <= (2, 11) else "2.11.0"

    def _torchtext(self) -> str | None:
        """Return the version of torchtext for this torch. It is the version of torchvision; torch 2.3 is the last torch that has a torchtext.

        There is no 0.18.1: https://github.com/pytorch/pytorch/wiki/PyTorch-Versions, https://github.com/pytorch/text/issues/2253
        """
        minor = pair(self.torch) if self.torch else None
        if minor is None or not (2, 0) <= minor <= (2, 3):
            return None
        return LAST_TORCHTEXT if minor == (2, 3) else self.torchvision


class NoTorch(Record, frozen=True, kw_only=True):
    """Report that no wheel of PyTorch fits: the advice in words, and NVIDIA's own wheel if one is known."""

    title: str  # of the fix: "Install NVIDIA's torch for this JetPack"
    words: str
    wheel: str | None = None  # the address of NVIDIA's own wheel, or its file name if it has to be fetched
    fetch: str | None = (
        None  # the address from which that file is fetched, where the address does not end with its name
    )
    torchvision: str | None = None  # the release that belongs to it: "0.19.0"
    elsewhere: bool = False  # nothing can be installed in this system: the work goes on in another one


def exactly(name: str, version: str | None) -> str:
    """Return the requirement of one version; the name alone if no version is known."""
    return f"{name}=={version}" if version else name
