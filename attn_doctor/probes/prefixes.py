"""The target's folders as far as its files tell them: its prefix, the one behind a virtual environment, site-packages."""

from __future__ import annotations

import re
from pathlib import Path

from attn_doctor.probes.root import Root


def prefixes_of(prefix: str | None) -> list[str]:
    """The target's folder, and behind a virtual environment the one of the interpreter that made it."""
    if prefix is None:
        return []
    try:
        settings = (Path(prefix) / "pyvenv.cfg").read_text("utf-8", "replace")
    except OSError:
        return [prefix]
    home = re.search(r"^home\s*=\s*(.+)$", settings, re.MULTILINE)
    return [prefix, str(Path(home[1].strip()).parent)] if home else [prefix]


def site_packages(tree: Root, prefix: str | None) -> str | None:
    """Where the target's packages are installed, else its folder. None where there is no such folder."""
    if prefix is None or not tree.is_dir(prefix):
        return None
    folders = [f"{prefix}/lib/{name}" for name in tree.entries(f"{prefix}/lib") if name.startswith("python3")]
    places = [
        f"{folder}/{name}" for folder in (*folders, f"{prefix}/Lib") for name in ("site-packages", "dist-packages")
    ]
    return next((place for place in places if tree.is_dir(place)), prefix)
