"""Make attn_doctor/knowledge/cxx_names/torch_symbols.json, the exports of each torch minor, from wheels of an index.

    python scripts/refresh_torch_symbols.py --index URL --cache FOLDER

For the newest release of each torch minor it reads the exports of torch's own libraries; for several releases of
packages that are compiled against torch it reads their undefined symbols. It keeps the names that not all minors have.
A wheel is never stored: the script reads its zip directory and the needed members by range requests, and keeps only the lists of
names in the cache folder. The first run reads about 10 GB, a later run only new wheels.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import re
import sys
import tempfile
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

from attn_doctor.knowledge.cxx_names import torch_symbols
from attn_doctor.probes.binaries.elf import Elf
from attn_doctor.probes.binaries.mapped import DamagedFile, Mapped
from attn_doctor.probes.binaries.symbol_table import SymbolTable

FIRST_MINOR = Version("2.0")
TORCH_LIBRARIES = ("libc10", "libc10_cuda", "libtorch", "libtorch_cpu", "libtorch_cuda", "libtorch_python")
# Compiled against torch's C++ and published as wheels, with the first release for torch 2.
USERS = {
    "torchvision": "0.15",
    "torchaudio": "2.0",
    "xformers": "0.0.17",
    "vllm-flash-attn": "2.5",
    "fbgemm-gpu": "0.5",
    "torchao": "0.2",
    "torchcodec": "0.0.3",
}
PYTHONS = ("cp311", "cp310", "cp312", "cp39")
TARGET = Path(__file__).resolve().parent.parent / "attn_doctor" / "knowledge" / "cxx_names" / "torch_symbols.json"
_TIMEOUT = 120
_BLOCK = 1 << 20


class RemoteWheel:
    """Read a wheel at a URL by ranges."""

    def __init__(self, name: str, url: str, sha256: str | None) -> None:
        self.name, self.url, self.sha256 = name, url, sha256
        self.version = parse_wheel_filename(name)[1]

    def members(self) -> list[zipfile.ZipInfo]:
        with zipfile.ZipFile(io.BufferedReader(_Ranges(self.url), _BLOCK)) as archive:
            return archive.infolist()

    def unpack(self, member: zipfile.ZipInfo, target: io.BufferedIOBase) -> None:
        """Write one member, decompressed, to an open file."""
        header = _range(self.url, member.header_offset, 30)
        start = (
            member.header_offset
            + 30
            + int.from_bytes(header[26:28], "little")
            + int.from_bytes(header[28:30], "little")
        )
        inflate = zlib.decompressobj(-15)
        blocks = _blocks(self.url, start, member.compress_size)
        deflated = member.compress_type == zipfile.ZIP_DEFLATED
        target.writelines(inflate.decompress(block) if deflated else block for block in blocks)
        target.write(inflate.flush())


class _Ranges(io.RawIOBase):
    """Wrap a URL as a seekable file."""

    def __init__(self, url: str) -> None:
        self._url, self._at = url, 0
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_TIMEOUT) as answer:
            self._size = int(answer.headers["Content-Length"])

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        size = min(len(buffer), self._size - self._at)
        if size <= 0:
            return 0
        buffer[:size] = _range(self._url, self._at, size)
        self._at += size
        return size


def _range(url: str, start: int, size: int) -> bytes:
    return b"".join(_blocks(url, start, size))


def _blocks(url: str, start: int, size: int) -> Iterator[bytes]:
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-{start + size - 1}"})
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
        if answer.status != 206:
            raise SystemExit(f"{url} does not answer to range requests")
        while block := answer.read(_BLOCK):
            yield block


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if tag == "a" and name == "href" and value]


def wheels_of(index: str, project: str) -> list[RemoteWheel]:
    """Return the x86-64 Linux wheels of a project: one for each release, of the first Python in PYTHONS."""
    page = urllib.parse.urljoin(index.rstrip("/") + "/", project + "/")
    with urllib.request.urlopen(page, timeout=_TIMEOUT) as answer:
        links = _Links()
        links.feed(answer.read().decode())
    best: dict[Version, tuple[int, RemoteWheel]] = {}
    for link in links.found:
        url, _, fragment = urllib.parse.urljoin(page, link).partition("#")
        name = urllib.parse.unquote(url.rpartition("/")[2])
        try:
            _, version, _, tags = parse_wheel_filename(name)
        except InvalidWheelFilename:
            continue
        fits = [t for t in tags if t.platform.endswith("x86_64") and "linux" in t.platform]
        ranks = [_rank(t.interpreter, t.abi) for t in fits if _rank(t.interpreter, t.abi) is not None]
        if ranks and not version.is_prerelease:
            rank = min(r for r in ranks if r is not None)
            if version not in best or rank < best[version][0]:
                best[version] = (rank, RemoteWheel(name, url, fragment.removeprefix("sha256=") or None))
    return [wheel for _, (_, wheel) in sorted(best.items())]


def _rank(interpreter: str, abi: str) -> int | None:
    if abi in ("abi3", "none"):
        return 0
    return PYTHONS.index(interpreter) if interpreter in PYTHONS and abi == interpreter else None


def newest_of_minor(wheels: list[RemoteWheel]) -> dict[str, RemoteWheel]:
    found = {}
    for wheel in wheels:
        if wheel.version >= FIRST_MINOR:
            found[f"{wheel.version.major}.{wheel.version.minor}"] = wheel
    return found


def releases(wheels: list[RemoteWheel], first: str) -> list[RemoteWheel]:
    """Return the newest release of every minor. A project whose versions differ only in the third number: all its releases."""
    found = {w.version.release[:2] if any(w.version.release[:2]) else w.version.release: w for w in wheels}
    return [wheel for wheel in found.values() if wheel.version >= Version(first)]


def names_in(wheel: RemoteWheel, cache: Path, wanted: re.Pattern[str], *, exported: bool) -> dict[str, list[str]]:
    """Return the exported or the undefined names of each library, from the cache if they are in it."""
    kept = cache / f"{wheel.name}.{'exports' if exported else 'asks'}.json.gz"
    if kept.exists():
        return dict(json.loads(gzip.decompress(kept.read_bytes())))
    found = {}
    for member in wheel.members():
        if not wanted.search(member.filename):
            continue
        print(f"{wheel.name}: {member.filename} ({member.file_size >> 20} MiB)", file=sys.stderr)
        with tempfile.NamedTemporaryFile(dir=cache) as file:
            wheel.unpack(member, file)  # type: ignore[arg-type]
            file.flush()
            try:
                symbols = SymbolTable(Elf(Mapped.open(Path(file.name))))
                names = set(symbols.exported()) if exported else {u.name for u in symbols.undefined}
            except DamagedFile as damage:
                print(f"  {damage}", file=sys.stderr)
                continue
        found[member.filename] = sorted(n.decode("ascii", "replace") for n in names)
    kept.write_bytes(gzip.compress(json.dumps(found).encode()))
    return found


def worth_keeping(name: str, signature: str) -> bool:
    """Return whether a name is one of torch's own C++ or C names, and short enough.

    Very long templates do not distinguish the minors better than short names.
    """
    if name.startswith("_Z"):
        return torch_symbols.TORCH_NAME.match(name) is not None and len(signature) <= 240
    return name.startswith(("aoti_torch_", "torch_", "THP", "c10_"))


def spans(minors: list[str], covered: set[str]) -> str:
    """Return the ranges of minors, in the order of the list: "2.0-2.2 2.5-2.5"."""
    runs: list[list[str]] = []
    for minor in minors:
        if minor in covered:
            if runs and minors.index(runs[-1][-1]) + 1 == minors.index(minor):
                runs[-1][-1] = minor
            else:
                runs.append([minor, minor])
    return " ".join("-".join(run) for run in runs)


def select(exports: dict[str, dict[str, list[str]]], asked: set[str]) -> dict[str, list[str]]:
    """Return the names that not every minor has, by the minors that have them."""
    minors = list(exports)
    core = {
        name for libraries in exports.values() for path in libraries if "/libc10" in path for name in libraries[path]
    }
    covered: dict[str, set[str]] = {}
    for minor, libraries in exports.items():
        for name in {name for names in libraries.values() for name in names}:
            if name in core or name in asked:
                signature = torch_symbols.signature(name)
                if worth_keeping(name, signature):
                    covered.setdefault(signature, set()).add(minor)
    # The other C++ ABI spells a name differently: count a minor that has either spelling.
    for minor, libraries in exports.items():
        for name in {name for names in libraries.values() for name in names}:
            if torch_symbols.flavour(name) is not None and torch_symbols.TORCH_NAME.match(name):
                signature = torch_symbols.signature(name)
                if signature in covered:
                    covered[signature].add(minor)
    table: dict[str, list[str]] = {}
    for signature, here in sorted(covered.items()):
        if len(here) < len(minors):
            table.setdefault(spans(minors, here), []).append(signature)
    return dict(sorted(table.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--index", required=True, help="a package index in the form that pip accepts (PEP 503)")
    parser.add_argument("--cache", required=True, type=Path, help="folder for the lists of names")
    parser.add_argument("--date", required=True, help="the day of this check, YYYY-MM-DD")
    parser.add_argument("--output", type=Path, default=TARGET, help="where to write the table")
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    libraries = re.compile(rf"^torch/lib/(?:{'|'.join(TORCH_LIBRARIES)})\.so$")
    extensions = re.compile(r"^(?!.*\.libs/).*\.so$")
    chosen = newest_of_minor(wheels_of(arguments.index, "torch"))
    chosen = dict(sorted(chosen.items(), key=lambda item: Version(item[0])))
    exports = {m: names_in(w, arguments.cache, libraries, exported=True) for m, w in chosen.items()}
    asked: set[str] = set()
    for project, first in USERS.items():
        for wheel in releases(wheels_of(arguments.index, project), first):
            for names in names_in(wheel, arguments.cache, extensions, exported=False).values():
                asked.update(names)
    table = {
        "about": "Names that some torch minors export and others do not: see scripts/refresh_torch_symbols.py. "
        "Read in the x86-64 Linux wheels of PyPI named here.",
        "checked": arguments.date,
        "wheels": [{"torch": m, "wheel": w.name, "sha256": w.sha256} for m, w in chosen.items()],
        "symbols": select(exports, asked),
    }
    arguments.output.write_text(json.dumps(table, indent=1) + "\n")
    count = sum(map(len, table["symbols"].values()))  # type: ignore[attr-defined]
    print(f"{arguments.output}: {count} names, {arguments.output.stat().st_size >> 10} KiB", file=sys.stderr)


if __name__ == "__main__":
    main()
