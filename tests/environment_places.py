"""Describe the folders of an environment, for the tests of plans that are applied."""

from __future__ import annotations

from pathlib import Path

from attn_doctor.fixes.target_paths import Places


def places_of(prefix: Path, **values) -> Places:
    """The folders of an environment that need not be one."""
    packages = str(prefix / "lib" / "python3.11" / "site-packages")
    given = {
        "python": str(prefix / "bin" / "python"),
        "version": "3.11",
        "base": "/usr/bin/python3",
        "prefix": str(prefix),
        "base_prefix": "/usr",
        "purelib": packages,
        "platlib": packages,
        "scripts": str(prefix / "bin"),
        "data": str(prefix),
        **values,
    }
    return Places(**given)
