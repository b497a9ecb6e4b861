"""Say where attn-doctor is published: the addresses in the metadata of its own package, and nowhere else.

As long as the metadata have no address, attn-doctor prints none. A fork that is published elsewhere changes `[project.urls]` of pyproject.toml.
The labels are those of https://packaging.python.org/en/latest/specifications/well-known-project-urls/.
"""

from __future__ import annotations

import functools
import re


@functools.cache
def _addresses() -> dict[str, str]:
    """Return the addresses by label, in small letters without spaces. Empty: there are none, or the package was not installed."""
    import importlib.metadata

    try:
        lines = importlib.metadata.metadata("attn-doctor").get_all("Project-URL") or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    pairs = (line.partition(",")[::2] for line in lines)
    return {re.sub(r"[\W_]", "", label.lower()): address.strip() for label, address in pairs}


def issues() -> str | None:
    """Return the address to which a failure of attn-doctor is reported; None: there is none."""
    found = _addresses()
    return found.get("issues") or found.get("bugtracker") or found.get("tracker")


def page(slug: str) -> str:
    """Return the address of the page of a failure mode; an empty text: there is none."""
    docs = _addresses().get("documentation", "")
    return f"{docs.rstrip('/')}/failure-modes/{slug}.md" if docs else ""
