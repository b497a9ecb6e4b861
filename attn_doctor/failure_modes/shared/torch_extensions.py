"""Cure packages that were compiled for a torch with another CUDA, and that torch loads with `torch.ops.load_library`: an OSError shows this.

PyTorch Geometric's wheels: https://github.com/pyg-team/pytorch_geometric/issues/3367. torchtext, torchaudio and torchvision have one release for
each torch: https://github.com/pytorch/text#installation, https://github.com/boson-ai/higgs-audio/issues/177.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Sign
from attn_doctor.failure_modes.shared import subject, wheel_fixes
from attn_doctor.knowledge import built_packages
from attn_doctor.logs.reader import Match
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.versions import local, pair

_GEOMETRIC = ("torch-scatter", "torch-sparse", "torch-cluster", "torch-spline-conv")
_NAMED = r"torch[_-](?:scatter|sparse|cluster|spline[_-]conv)"
_LIBRARY = r"lib(?:cudart|cublas\w*|cusparse|cusolver|cufft|curand|nvrtc)\.so\.(?P<other_cuda>\d+(?:\.\d+)?)"
_CHAIN = 60  # lines of a traceback at most
_FIRST_TEXT = 15  # torchtext 0.15 is for torch 2.0, 0.16 for 2.1
_LAST_TORCH = (2, 3)  # the last torch with a torchtext

SIGNS = (
    Sign(
        pattern=rf"OSError: (?P<unloaded>{_LIBRARY}): cannot open shared object file",
        literal="OSError: lib",
        sample="OSError: libcudart.so.10.2: cannot open shared object file: No such file or directory",
        strength="hint",
    ),
    Sign(
        pattern=r"(?P<own_loader>_load_global_deps)",
        literal="_load_global_deps",
        sample='  File "/v/lib/python3.9/site-packages/torch/__init__.py", line 176, in _load_global_deps',
        strength="context",
    ),
    Sign(
        pattern=r"(?P<loads>(?:torch\.ops\.|in )load_library\b)",
        literal="load_library",
        sample="    torch.ops.load_library(spec.origin)",
        strength="context",
    ),
    Sign(
        pattern=rf"(?:-packages[\\/](?P<framed>{_NAMED}|torch(?:text|audio|vision))[\\/]|^(?:>>> |-+> ?\d+ |\s+)?(?:import|from) (?P<imported>{_NAMED}|torch_geometric|torch(?:text|audio|vision)|dgl|torchmetrics)\b)",
        literal="torch",
        sample="----> 2 from torch_geometric.data import Data",
        strength="context",
    ),
    Sign(
        pattern=rf"\bpip[\d.]* install\b.{{0,200}}?(?<!\w)(?P<got>{_NAMED})\b",
        literal="install",
        sample="!pip install torch-scatter -f https://data.pyg.org/whl/torch-1.9.0+cu111.html",
        strength="context",
    ),
)


class Loaded(msgspec.Struct, frozen=True):
    """Describe a library that was not found while a package was loaded: "libcudart.so.10.2", its CUDA, the packages, the lines that show it."""

    library: str
    cuda: str
    packages: tuple[str, ...]  # empty: not known
    lines: tuple[Match, ...]
    by_loader: bool  # the traceback shows that torch loaded an extension


def told(facts: Facts, matches: Sequence[Match]) -> Loaded | None:
    """Return the library that a package needs and torch does not bring; None if torch's own loader raised the error, or if that is not known."""
    for match in matches:
        library = match.groups.get("unloaded")
        if library is None:
            continue
        above = [m for m in matches if m.file == match.file and 0 < match.line - m.line <= _CHAIN]
        loads = any("loads" in m.groups for m in above)
        framed = [m.groups["framed"] for m in above if m.groups.get("framed")]
        imported = [m.groups["imported"] for m in above if m.groups.get("imported")]
        cuda, ours = match.groups["other_cuda"], facts.torch.cuda
        if any("own_loader" in m.groups for m in above) and not loads:
            continue
        another = isinstance(ours, str) and _runtime(ours) != _runtime(cuda)
        if not loads and not framed and not (another and library.startswith("libcudart")):
            continue
        got = [m.groups["got"] for m in matches if m.groups.get("got")]
        return Loaded(library, cuda, _packages(framed[-1:] or imported[-1:], got), (match,), loads or bool(framed))
    return None


def _runtime(cuda: str) -> tuple[int, int]:
    """Return what the name of libcudart shows of a CUDA: (10, 2) for 10.2, (11, 0) for every 11 and (12, 0) for every 12."""
    major, minor = (*(int(part) for part in cuda.split(".")[:2]), 0)[:2]
    return (major, minor if major < 11 else 0)


def _packages(found: Sequence[str], got: Sequence[str]) -> tuple[str, ...]:
    """Return the packages to install again. An import of torch_geometric loads all packages that torch_geometric uses."""
    names = [name.replace("_", "-") for name in found]
    if any(name == "torch-geometric" or name in _GEOMETRIC for name in names):
        others = [name.replace("_", "-") for name in got]
        return tuple(dict.fromkeys((*(n for n in names if n in _GEOMETRIC), *others))) or _GEOMETRIC[:2]
    if not names:
        return tuple(dict.fromkeys(name.replace("_", "-") for name in got))
    return tuple(name for name in names if re.fullmatch(r"torch(?:text|audio|vision)", name))


def fixes(facts: Facts, packages: tuple[str, ...]) -> tuple[Fix, ...]:
    """Return the fixes that install the packages again, for the torch that is installed."""
    because = "it was built for a torch with another CUDA"
    if not packages:
        return wheel_fixes.fixes(facts, because)
    if packages == ("torchtext",):
        return (_text(facts),)
    row, torch = built_packages.row_of(packages[0]), facts.torch.version
    page = built_packages.wheel_index(row, torch, _flavour(facts)) if row and isinstance(torch, str) else None
    if page is None:
        of = msgspec.structs.replace(facts.subject, package=packages[0], asked=None)
        return wheel_fixes.fixes(msgspec.structs.replace(facts, subject=of), because)
    step = commands.install(
        *packages,
        find_links=page,
        reinstall=True,
        no_deps=True,
        no_cache=True,
        no_build_isolation=True,
        why=f"the wheels for torch {torch}{'' if local(str(torch)) else f' and CUDA {facts.torch.cuda}'}, not from pip's cache. If the page has no wheel of a package, pip "
        "compiles it: that needs an nvcc of the same CUDA. Then start the notebook's kernel or the program again",
        changes=", ".join(packages),
        takes="a minute",
    )
    title = (
        f"Install {packages[0]} again, for this torch"
        if len(packages) == 1
        else "Install these packages again, for this torch"
    )
    return (Fix(title=title, steps=(step,), verify=subject.verify(facts)),)


def _flavour(facts: Facts) -> str | None:
    cuda = facts.torch.cuda
    return f"cu{cuda.replace('.', '')}" if isinstance(cuda, str) else None


def _text(facts: Facts) -> Fix:
    """Return the fix that installs the torchtext for this torch. torchtext ended with 0.18, for torch 2.3."""
    torch = pair(facts.torch.version) if isinstance(facts.torch.version, str) else None
    verify = commands.check(facts)
    if torch is None or torch > _LAST_TORCH:
        words = (
            "torchtext ended with 0.18, for torch 2.3, and a newer torch has none: remove its import, or install the torch that your torchtext was built for "
            "(https://github.com/pytorch/text#installation has the pairs)"
        )
        return Fix(
            title="Use a torchtext for this torch", steps=(commands.by_hand((), words, "torchtext"),), verify=verify
        )
    minor = torch[1] + (1 if torch[0] == 1 else _FIRST_TEXT)
    step = commands.install(
        f"torchtext==0.{minor}.*",
        reinstall=True,
        no_deps=True,
        no_cache=True,
        why=f"the releases of torchtext for torch {torch[0]}.{torch[1]}",
        changes="torchtext",
    )
    return Fix(title=f"Install torchtext 0.{minor}, for this torch", steps=(step,), verify=verify)
