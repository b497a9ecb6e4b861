"""Find what a reproduction takes from the target: its base interpreter, and its torch if that imports. Only reads."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from attn_doctor import child
from attn_doctor.model.foreign_text import text as text_of
from attn_doctor.probes.answer import NoAnswer, introduce

# No file is written into the target, not even bytecode.
_READ_ONLY = {"PYTHONDONTWRITEBYTECODE": "1"}


class BorrowedTorch(NamedTuple):
    """The target's torch: the paths that belong to it, by distribution."""

    version: str
    cuda: str | None
    entries: dict[str, tuple[str, ...]]  # distribution -> paths in site-packages

    @property
    def build(self) -> str:
        return "cuda" if self.cuda else "cpu"


class Lender(NamedTuple):
    """The values of the target that a reproduction uses."""

    python: str
    base: str
    version: tuple[int, int]
    suffix: str  # of its extension modules
    torch: BorrowedTorch | None
    why_no_torch: str = ""


def ask(python: str, timeout: float = 120.0, *, torch: bool = True, besides: Iterable[str] = ()) -> Lender:
    """Return the interpreter and torch of this Python. Raises NoTarget, NoAnswer.

    `torch`: import its torch once, to see that it works. `besides`: further distributions to take from it.
    """
    mark = secrets.token_hex(8)
    text = (resources.files("attn_doctor.reproduction") / "programs" / "list_torch_files.py").read_text("utf-8")
    done = child.command([python, "-c", text, mark, *besides], deadline=timeout, environment=_READ_ONLY)
    line = next((line for line in done.stdout.splitlines() if line.startswith(mark)), None)
    if line is None:
        introduce(python, timeout)
        last = done.stderr.strip().splitlines()[-1:] or ["no output"]
        raise NoAnswer(f"{text_of(python)} does not list its packages: {last[0]}")
    said = json.loads(line[len(mark) :])
    lender = Lender(python, said["base"], (said["version"][0], said["version"][1]), said["suffix"], None)
    if not torch:
        return lender
    found, why = _torch(said, python, timeout)
    return lender._replace(torch=found, why_no_torch=why)


def _torch(said: dict[str, Any], python: str, timeout: float) -> tuple[BorrowedTorch | None, str]:
    if said["torch"] is None:
        known = "torch" in said["entries"]
        return None, "its torch is not in one place (an editable install)" if known else "it has no torch"
    if said["hip"]:
        return None, "its torch is a ROCm build"
    done = child.command([python, "-c", "import torch"], deadline=timeout, environment=_READ_ONLY)
    if done.returncode != 0:
        return None, "its torch does not import"
    return BorrowedTorch(
        said["torch"], said["cuda"], {name: tuple(paths) for name, paths in said["entries"].items()}
    ), ""


def lay_out(torch: BorrowedTorch, folder: Path, without: tuple[str, ...] = ()) -> None:
    """Make a folder of links from which this torch and its requirements can be imported, and nothing else."""
    folder.mkdir(parents=True)
    for name, paths in torch.entries.items():
        if name in without:
            continue
        for path in paths:
            link = folder / Path(path).name
            if not link.is_symlink():  # several distributions share nvidia/
                link.symlink_to(path)
