"""Wheels for tests: an archive with these members and a dist-info of its own."""

from __future__ import annotations

import base64
import hashlib
import sys
import zipfile
from pathlib import Path

TAG = f"cp{sys.version_info[0]}{sys.version_info[1]}"
NAME = f"probe_attn-1.0-{TAG}-{TAG}-linux_x86_64.whl"


def packed(
    path: Path, files: dict[str, bytes], *, metadata: str = "Name: probe-attn\nVersion: 1.0\n", listed: bool = True
) -> Path:
    """A wheel with these members and its own dist-info."""
    name, version = path.name.split("-")[:2]
    info = f"{name}-{version}.dist-info"
    members = {**files, f"{info}/METADATA": b"Metadata-Version: 2.1\n" + metadata.encode(), f"{info}/WHEEL": f"Wheel-Version: 1.0\nTag: {TAG}-{TAG}-linux_x86_64\n".encode()}  # fmt: skip
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
        lines = [record_line(member, content) for member, content in members.items()] if listed else []
        archive.writestr(f"{info}/RECORD", "".join(f"{line}\n" for line in (*lines, f"{info}/RECORD,,")))
    return path


def record_line(member: str, content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{member},sha256={digest},{len(content)}"
