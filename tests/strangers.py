"""Wheels of flash-attn as a stranger may have built them: real archives with a real extension, good ones and planted ones."""

from __future__ import annotations

import base64
import functools
import hashlib
import sys
import tempfile
import zipfile
from pathlib import Path

from extensions import SUFFIX, build, module
from kit import Machine, ubuntu
from patients import Patient, add_numpy
from wheelhouse import add_wheel, torch_files

from attn_doctor.knowledge import community_wheels
from attn_doctor.knowledge.community_wheels import CommunityWheel

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
TAG = f"cp{sys.version_info[0]}{sys.version_info[1]}"
TORCH, CUDA = "2.11.0", "13.0"  # for which flash-attn's authors have no wheel, and others have
_BUILDS = tempfile.TemporaryDirectory()


def listed() -> CommunityWheel:
    """The file of the table that is for the patient's key."""
    of = [
        wheel
        for wheel in community_wheels.community()
        if (wheel.package, wheel.torch, wheel.cuda, wheel.python) == ("flash_attn", "2.11", CUDA, PYTHON)
        and wheel.platform.startswith("manylinux")
        and wheel.platform.endswith("x86_64")
    ]
    return max(
        of, key=lambda wheel: ([int(n) for n in wheel.release.split(".")], [int(n) for n in wheel.tag[1:].split(".")])
    )


@functools.cache
def extension(*asks: str) -> bytes:
    """A real flash_attn_2_cuda that refers to these symbols and needs nothing else."""
    folder = Path(tempfile.mkdtemp(dir=_BUILDS.name))
    return build(folder / f"flash_attn_2_cuda{SUFFIX}", module("flash_attn_2_cuda", asks)).read_bytes()


def wheel(
    files: dict[str, bytes] | None = None,
    *,
    seen: Path | None = None,
    asks: tuple[str, ...] = (),
    tag: str = f"{TAG}-{TAG}",
    platform: str = "linux_x86_64",
    altered: str | None = None,
) -> bytes:
    """The content of a wheel of flash-attn 2.8.3. `seen`: a file to which its first import writes what it sees of its user.

    `asks`: symbols that its extension refers to. `tag`, `platform`: what WHEEL says of the Python and the system.
    `altered`: a member that was changed after RECORD was written.
    """
    spy = (
        "import json, os\n"
        f"with open({str(seen)!r}, 'a') as file:\n"
        "    file.write(json.dumps({'file': __file__, 'home': os.path.expanduser('~'), 'environ': dict(os.environ)}) + '\\n')\n"
        if seen
        else ""
    )
    members = {
        "flash_attn/__init__.py": b"__version__ = '2.8.3'\nfrom flash_attn.flash_attn_interface import flash_attn_func\n",
        "flash_attn/flash_attn_interface.py": f"{spy}import flash_attn_2_cuda\ndef flash_attn_func(q, k, v):\n    return q\n".encode(),
        f"flash_attn_2_cuda{SUFFIX}": extension(*asks),
        "flash_attn-2.8.3.dist-info/METADATA": b"Metadata-Version: 2.1\nName: flash-attn\nVersion: 2.8.3\nRequires-Dist: torch\nRequires-Dist: einops\n",
        "flash_attn-2.8.3.dist-info/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}-{platform}\n".encode(),
        **(files or {}),
    }
    path = Path(tempfile.mkdtemp(dir=_BUILDS.name), "x.whl")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content + b"\n" if name == altered else content)
        info = "flash_attn-2.8.3.dist-info/RECORD"
        lines = [f"{name},sha256={_digest(content)},{len(content)}\n" for name, content in members.items()]
        archive.writestr(info, "".join([*lines, f"{info},,\n"]))
    return path.read_bytes()


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def patient(folder: Path, *, card: bool = False) -> Patient:
    """An environment with a torch for which only strangers have a wheel. `card`: with a card, on which its torch computes nothing."""
    made = Patient(folder, goal="flash-attn")
    add_numpy(made)
    add_wheel(made.house, "torch", TORCH, torch_files(TORCH, CUDA, card=card), ["numpy"])
    add_wheel(made.house, "einops", "0.8.1")
    made.install("torch", "numpy")
    if card:
        made.gpu()
    else:
        machine = ubuntu(Machine(folder / "machine"))
        made.environ["ATTN_DOCTOR_ROOT"] = str(machine.root)
    return made
