"""Find what a reproduction uses from the target: its base interpreter, and its torch if importing it works. Changes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib.metadata import PathDistribution
from pathlib import Path
from typing import NamedTuple

from packaging.utils import canonicalize_name

from attn_doctor import child
from attn_doctor.errors import NoAnswer
from attn_doctor.model import foreign_text
from attn_doctor.model.facts import Unknown
from attn_doctor.model.versions import pair
from attn_doctor.probes import ask as asking
from attn_doctor.probes.ask import Metadata
from attn_doctor.probes.torch import version_py


class BorrowedTorch(NamedTuple):
    """Hold the paths of the target's torch, by distribution."""

    version: str  # "2.8.0+cu128"
    cuda: str | None  # "12.8"; None: a CPU build
    entries: dict[str, tuple[str, ...]]  # distribution -> paths in site-packages

    @property
    def build(self) -> str:
        return "cuda" if self.cuda else "cpu"


class Lender(NamedTuple):
    """Hold the parts of the target that a reproduction uses."""

    python: str  # the path of the target
    base: str  # the path of its base interpreter
    version: tuple[int, int]  # (3, 11)
    suffix: str  # the file name ending of its extension modules
    torch: BorrowedTorch | None
    why_no_torch: str = ""  # "it has no torch"; empty: it was not asked for, or there is one


def ask(
    python: str, environ: Mapping[str, str], timeout: float = 120.0, *, torch: bool = True, besides: Iterable[str] = ()
) -> Lender:
    """Return the parts of this Python that a reproduction can use. Raises NoAnswer if it does not answer.

    `torch`: import its torch once, to see that it works. `besides`: further distributions to use.
    """
    answer = asking.ask(python, ("interpreter", "layout", *(("distributions",) if torch else ())), environ, timeout)
    layout, version, suffix = answer.layout, answer.interpreter.version, answer.interpreter.extension_suffix
    if isinstance(layout, Unknown):
        raise NoAnswer(foreign_text.text(python), f"does not say where its packages are: {layout.why}")
    lender = Lender(
        python, layout.base, pair(str(version)) or (0, 0), suffix if isinstance(suffix, str) else ".so", None
    )
    if not torch:
        return lender
    if isinstance(answer.distributions, Unknown):
        return lender._replace(why_no_torch=answer.distributions.why)
    installed: dict[str, Metadata] = {
        canonicalize_name(item.name): item for item in reversed(answer.distributions.found)
    }
    # torch uses numpy without requiring it in its metadata
    wanted = _closure(installed, ["torch", "numpy", *besides])
    found, why = _torch({name: _entries(installed[name]) for name in wanted}, python, environ, timeout)
    return lender._replace(torch=found, why_no_torch=why)


def _closure(installed: Mapping[str, Metadata], wanted: Iterable[str]) -> list[str]:
    """Return the names of the wanted distributions and of all their requirements, as far as they are installed."""
    waiting, names = [canonicalize_name(name) for name in wanted], list[str]()
    while waiting:
        name = waiting.pop()
        if name in names or name not in installed:
            continue
        names.append(name)
        requirements = [text for text in installed[name].requires if "extra ==" not in text]
        waiting += [canonicalize_name(re.split(r"[^\w.-]", text, maxsplit=1)[0]) for text in requirements]
    return names


def _entries(item: Metadata) -> tuple[str, ...]:
    """Return the absolute paths of a distribution's entries in site-packages: only the first part of each path, so a folder counts once."""
    files = PathDistribution(Path(item.folder)).files or ()
    tops = {file.parts[0] for file in files if file.parts}
    return tuple(sorted(str(Path(item.location, top)) for top in tops if top not in ("..", "__pycache__")))


def _torch(
    entries: dict[str, tuple[str, ...]], python: str, environ: Mapping[str, str], timeout: float
) -> tuple[BorrowedTorch | None, str]:
    folder = next((Path(path) for path in entries.get("torch", ()) if Path(path).name == "torch"), None)
    said = version_py(folder / "version.py") if folder else {}
    version = said.get("__version__")
    if version is None:
        known = "torch" in entries
        return None, "its torch is not in one place (an editable install)" if known else "it has no torch"
    if said.get("hip"):
        return None, "its torch is a ROCm build"
    done = child.command([python, "-c", "import torch"], deadline=timeout, environ=environ, changes=asking.QUIET)
    if done.returncode != 0:
        return None, "its torch does not import"
    return BorrowedTorch(version, said.get("cuda"), entries), ""


def lay_out(torch: BorrowedTorch, folder: Path, without: tuple[str, ...] = ()) -> None:
    """Make a folder of links from which this torch and its requirements can be imported, and nothing else.

    `without`: distributions to leave out.
    """
    folder.mkdir(parents=True)
    for name, paths in torch.entries.items():
        if name in without:
            continue
        for path in paths:
            link = folder / Path(path).name
            if not link.is_symlink():  # nvidia/ belongs to several distributions
                link.symlink_to(path)
