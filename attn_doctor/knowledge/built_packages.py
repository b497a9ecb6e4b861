"""Answer questions about packages other than flash-attn that have CUDA code and need torch.

The questions: which finished wheels exist, and which packages and how much memory a build needs.
"""

from __future__ import annotations

import functools
import re
from fnmatch import fnmatchcase

from attn_doctor.knowledge.rows import BuiltPackage
from attn_doctor.knowledge.tables import load
from attn_doctor.model.versions import local, pair

# Distributions that the setup of a torch extension usually imports: torch's own BuildExtension needs ninja and packaging.
# https://docs.pytorch.org/docs/stable/cpp_extension.html
USUAL = ("setuptools", "wheel", "packaging", "ninja", "torch")
_USUAL_GIGABYTES = 4
# Packages without compiled code: if a compiled library fails below their frames, the library belongs to another package.
WITHOUT_CODE = frozenset(
    "transformers diffusers accelerate peft trl timm lightning pytorch-lightning ultralytics huggingface-hub sentence-transformers "
    "optimum datasets open-clip-torch kornia gradio comfyui llmcompressor sglang open-webui importlib torchrun".split()
)


@functools.cache
def _rows() -> dict[str, BuiltPackage]:
    return {name: row for row in load(BuiltPackage) for name in (row.name, *row.also)}


def row_of(name: str) -> BuiltPackage | None:
    """Return the row of a package, by its normalised name ("mamba-ssm"); None if the table lacks it."""
    return _rows().get(name)


def needs_torch(name: str) -> bool:
    """Return whether installers compile this package from its sources, and its setup.py imports torch."""
    row = row_of(name)
    return (
        row is not None
        and row.wheels in ("releases", "links", "none")
        and "torch" in row.imports
        and not row.only_wheels
    )


def imports(name: str | None) -> tuple[str, ...]:
    """Return the distributions that a package's setup.py imports.

    USUAL if the table lacks the package, or if its name is not known (None).
    """
    row = row_of(name) if name else None
    return row.imports if row else USUAL


def gigabytes(name: str | None) -> int:
    """Return the memory in GB that one compiler process of a package's build needs at most; 4 if the table lacks the package."""
    row = row_of(name) if name else None
    return row.gigabytes if row else _USUAL_GIGABYTES


def of_module(name: str) -> str | None:
    """Return the package that installs an extension module: "mamba-ssm" for "selective-scan-cuda"; None if no package of the table does."""
    rows = load(BuiltPackage)
    found = next((row for row in rows for known in row.extensions if fnmatchcase(name, known)), None)
    return found.name if found else None


def wheel_index(row: BuiltPackage, torch: str, flavour: str | None) -> str | None:
    """Return the address of the index, or of the page of links, with the wheels for this torch ("2.5.1+cu124").

    None if the package's wheels are elsewhere (PyPI, a page for people) or do not exist. `flavour`: "cu124", used if the version
    of torch has no local part. None also if both lack the flavour.
    """
    minor, flavour = pair(torch), local(torch) or flavour
    if row.url is None or row.wheels not in ("index", "pytorch-index", "links") or minor is None or flavour is None:
        return None
    return row.url.format(torch=f"{minor[0]}{minor[1]}", minor=f"{minor[0]}.{minor[1]}", flavour=flavour)


def is_page(url: str) -> bool:
    """Return whether this address is a page of wheels for pip's --find-links that the table names, for any torch and CUDA."""
    pages = [re.escape(row.url) for row in load(BuiltPackage) if row.wheels == "links" and row.url]
    return any(
        re.fullmatch(page.replace(r"\{minor\}", r"\d+\.\d+").replace(r"\{flavour\}", r"(?:cu\d{2,3}|cpu)"), url)
        for page in pages
    )


def for_old_torch(row: BuiltPackage | None, torch: str | None) -> str | None:
    """Return the last release of a package that works with this torch, "2.2.2"; None if the newest one does, or if torch is not known."""
    minor = pair(torch) if torch else None
    known = row.last_before.items() if row is not None and minor is not None else ()
    return next((release for first, release in known if minor is not None and minor < (pair(first) or minor)), None)


def pinned(row: BuiltPackage, torch: str, flavour: str | None) -> str | None:
    """Return the requirement of the release that was built for this torch ("2.8.0+cu128"): "torchcodec==0.7.*".

    None if no release is listed, or if the requirement contains the flavour ("cu128"), and neither `torch` nor `flavour` has it.
    """
    minor, flavour = pair(torch), local(torch) or flavour
    release = row.pins.get(f"{minor[0]}.{minor[1]}") if minor else None
    if minor is None or release is None or (row.pin is not None and flavour is None):
        return None
    if row.pin is None:
        return f"{row.name}=={release}"
    return row.pin.format(release=release, digits=f"{minor[0]}{minor[1]}", flavour=flavour)
