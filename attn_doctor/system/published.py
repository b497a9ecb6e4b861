"""Return the addresses where attn-doctor is published, from the metadata of its own package and from nowhere else.

If the metadata have no address, attn-doctor prints none. A fork that is published elsewhere changes `[project.urls]` of
pyproject.toml. The labels are those of https://packaging.python.org/en/latest/specifications/well-known-project-urls/.
"""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path


@functools.cache
def _addresses() -> dict[str, str]:
    """Return the addresses by label. A label has small letters only: "bugtracker" for "Bug Tracker".

    Empty: there are no addresses, or the package was not installed. The file is read here, because importlib.metadata loads a
    parser for mail: 10 ms in every examination that finds something.
    """
    pairs = (
        line.removeprefix("Project-URL:").partition(",")[::2] for line in _headers() if line.startswith("Project-URL:")
    )
    return {"".join(filter(str.isalnum, label.lower())): address.strip() for label, address in pairs}


def _headers() -> list[str]:
    """Return the header lines in the METADATA of attn-doctor, from the first dist-info of attn-doctor on sys.path."""
    for folder in filter(os.path.isabs, sys.path):
        try:
            for file in Path(folder).glob("attn_doctor-*.dist-info/METADATA"):
                return file.read_text("utf-8", "replace").partition("\n\n")[0].splitlines()
        except OSError:
            continue
    return []


def issues() -> str | None:
    """Return the address to which a failure of attn-doctor is reported; None if the metadata have none."""
    found = _addresses()
    return found.get("issues") or found.get("bugtracker") or found.get("tracker")


def page(slug: str) -> str:
    """Return the address of the page of a failure mode; an empty text if the metadata have none."""
    docs = _addresses().get("documentation", "")
    return f"{docs.rstrip('/')}/failure-modes/{slug}.md" if docs else ""
