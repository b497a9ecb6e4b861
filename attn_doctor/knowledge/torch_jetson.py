"""Choose NVIDIA's torch for a Jetson by its JetPack: the index or the wheel, or in words where it is. Pure."""

from __future__ import annotations

from attn_doctor.knowledge.rows import JetsonTorch
from attn_doctor.knowledge.tables import load
from attn_doctor.knowledge.torch_machine import Choice, Machine, NoTorch
from attn_doctor.model.versions import pair

GUIDE = "https://docs.nvidia.com/deeplearning/frameworks/install-pytorch-jetson-platform/index.html"


def of_board(machine: Machine) -> Choice | NoTorch:
    """Return the index with NVIDIA's torch for the JetPack of the board; NoTorch, with advice, if there is none.

    Reasons for NoTorch: the table lacks the JetPack, it is not known, NVIDIA's torch is for another Python, or NVIDIA
    has a wheel or a page and no index. The registry's torch is for servers, and finds no GPU on most boards.
    """
    title = "Install NVIDIA's torch for this JetPack"
    have = pair(machine.jetpack) if machine.jetpack else None
    row = next(
        (r for r in load(JetsonTorch) if have and (pair(r.first) or have) <= have <= (pair(r.last) or have)), None
    )
    if row is None:
        seen = (
            f"JetPack {machine.jetpack}"
            if machine.jetpack
            else "your JetPack (cat /etc/nv_tegra_release shows its release)"
        )
        words = f"take the torch and torchvision for {seen} that NVIDIA names: {GUIDE}; PyPI's are not for this board"
        return NoTorch(title=title, words=words)
    if machine.python is not None and machine.python != row.python:
        words = f"NVIDIA's torch for JetPack {machine.jetpack} is for Python {row.python}, here {machine.python}: make an environment with that Python, then take it from {row.url}"
        return NoTorch(title=title, words=words)
    if not row.index:
        if row.wheel is not None:
            words = f"NVIDIA's build for JetPack {machine.jetpack} and Python {row.python}; how: {GUIDE}"
            fetch = row.url if row.url.endswith(".whl") else None
            wheel = row.wheel if fetch else f"{row.url}{row.wheel}"
            return NoTorch(title=title, words=words, wheel=wheel, fetch=fetch, torchvision=row.torchvision)
        words = f"take the wheel for JetPack {machine.jetpack} and Python {row.python} from {row.url}; how: {GUIDE}"
        return NoTorch(title=title, words=words)
    return Choice(
        torch=None,
        torchvision=None,
        flavour=None,
        index_url=row.url,
        why=f"NVIDIA's builds for JetPack {machine.jetpack}, with code for this board",
        doubt=row.note or f"where the index lacks it: {GUIDE}",
        takes="1 to 3 GB",
    )
