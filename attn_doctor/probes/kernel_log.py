"""Read the errors that the NVIDIA driver wrote to the kernel log (Xid) since the machine started. Starts no program.

Lines look like "NVRM: Xid (PCI:0000:65:00): 48, pid=..., An uncorrectable double bit error ...". Sources: the ring buffer of the
kernel, which only root is allowed to read on most distributions, else the files of syslog.
https://docs.nvidia.com/deploy/xid-errors/
"""

from __future__ import annotations

import errno
import os
import re
import time

from attn_doctor.model.facts import Unknown, Xid
from attn_doctor.probes.root import Root
from attn_doctor.system import files

_XID = re.compile(rb"NVRM: Xid \((?:PCI:)?([0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2})[.0-9]*\): (\d{1,4})\b")
_STAMP = re.compile(rb"\d+,\d+,(\d+),")  # of a record of /dev/kmsg: level, number, microseconds since the start
_BOOT = b"Linux version "
_BUFFER = "/dev/kmsg"
_FILES = ("/var/log/kern.log", "/var/log/messages")
_MOST = 4 << 20  # bytes; the buffer of a kernel has 0.1 to 1 million
_SECONDS = 0.3
_RECORD = 8192  # the kernel writes no longer record


def xids(tree: Root) -> tuple[tuple[Xid, ...] | Unknown, str]:
    """Return the Xid errors since the machine started, one record for each number and GPU, and the path of the log.

    Unknown, with the reason, if no log can be read.
    """
    refused = []
    for path in (_BUFFER, *_FILES):
        try:
            text = _buffer(tree, path) if path == _BUFFER else _since_start(_tail(tree, path))
        except OSError as error:
            files.raise_if_exhausted(error)
            refused.append(f"{path}: {error.strerror}")
            continue
        return _counted(text, stamped=path == _BUFFER), path
    return Unknown(f"no kernel log may be read here ({'; '.join(refused)})"), _BUFFER


def _buffer(tree: Root, path: str) -> bytes:
    """Return the records in the ring buffer, without waiting for new ones."""
    descriptor = os.open(tree.at(path), os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        parts: list[bytes] = []
        size, end = 0, time.monotonic() + _SECONDS
        while size < _MOST and time.monotonic() < end:
            try:
                part = os.read(descriptor, _RECORD)
            except BlockingIOError:
                break  # the last record was read
            except OSError as error:
                if error.errno == errno.EPIPE:  # the record was overwritten meanwhile
                    continue
                raise
            if not part:
                break
            parts.append(part)
            size += len(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def _tail(tree: Root, path: str) -> bytes:
    with tree.at(path).open("rb") as stream:
        stream.seek(0, os.SEEK_END)
        stream.seek(max(stream.tell() - _MOST, 0))
        return stream.read(_MOST)


def _since_start(text: bytes) -> bytes:
    """Return the part of a log after the last start of the machine; all of it if the log shows no start."""
    return text[max(text.rfind(_BOOT), 0) :]


def _counted(text: bytes, *, stamped: bool) -> tuple[Xid, ...]:
    now = time.monotonic()  # Linux: seconds since the start, as the stamps of the buffer
    found: dict[tuple[str, int], Xid] = {}
    for line in text.splitlines():
        match = _XID.search(line)
        if match is None:
            continue
        domain, _, place = match[1].decode().lower().partition(":")
        bus, number = f"{int(domain, 16):04x}:{place}", int(match[2])
        stamp = _STAMP.match(line) if stamped else None
        ago = max(int(now - int(stamp[1]) / 1e6), 0) if stamp else Unknown("this log has no seconds since the start")
        before = found.get((bus, number))
        found[bus, number] = Xid(number=number, bus_id=bus, times=before.times + 1 if before else 1, seconds_ago=ago)
    return tuple(found[key] for key in sorted(found))
