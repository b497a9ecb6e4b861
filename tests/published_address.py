"""Metadata of attn-doctor as if it were published at an address, for tests of its links."""

from __future__ import annotations

from pathlib import Path

DOCS = "https://code.example/o/attn-doctor/blob/main/docs"
ISSUES = "https://code.example/o/attn-doctor/issues"


def metadata(folder: Path, *addresses: str) -> Path:
    """Write a dist-info with these lines of Project-URL; the folder, first on sys.path, stands for the installed package."""
    info = folder / "attn_doctor-0.1.0.dist-info"
    info.mkdir(parents=True)
    lines = [
        "Metadata-Version: 2.4",
        "Name: attn-doctor",
        "Version: 0.1.0",
        *(f"Project-URL: {one}" for one in addresses),
    ]
    (info / "METADATA").write_text("\n".join(lines) + "\n\nthe README\nProject-URL: Issues, https://not.example\n")
    return folder
