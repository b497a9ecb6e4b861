"""Measure how fast logs are read, in megabytes per second of processor time, for several kinds of logs.

    python benchmarks/log_speed.py [--megabytes 64]

The aim is 50 MB/s on one core for logs whose lines repeat. Text without repeated lines, most of them about errors,
is slower; no real log of a gigabyte is like that. Times are of the processor, so that other programs on the
machine disturb them less; the peak of memory is that of the whole process.
"""

from __future__ import annotations

import argparse
import io
import random
import resource
import time
from collections.abc import Iterator
from pathlib import Path

from attn_doctor.examination.inputs import log_reader

LOGS = Path(__file__).parents[1] / "fixtures" / "logs"


def kinds(size: int) -> Iterator[tuple[str, bytes]]:
    """Yield logs of about `size` bytes, with a description."""
    chance = random.Random(1)
    recorded = b"".join(path.read_bytes() for path in sorted(LOGS.glob("*/*.log")))
    yield "failures, one recorded log after the other", recorded * (size // len(recorded) + 1)
    yield "a training run", b"".join(_epochs(size))
    yield "a build: long commands", _build() * (size // len(_build()) + 1)
    yield "a service: times and addresses", b"".join(_service(size, chance))
    yield "wrapped at 100 columns", b"".join(_wrapped(size))
    yield (
        "a progress bar without a line's end",
        b"\r".join(b" %d%%|####    | %d/1000" % (n % 100, n) for n in range(size // 24)),
    )
    yield "no line ends at all", b"x" * size
    yield (
        "colours in every word",
        b"".join(b"\x1b[3%dmstep\x1b[0m \x1b[1m%d\x1b[0m ok\n" % (n % 8, n) for n in range(size // 34)),
    )
    yield "UTF-16", "".join(f"step {n} of a run took {n % 7} s\r\n" for n in range(size // 64)).encode("utf-16")
    yield "a sign on every line, and no two alike", b"".join(_signs(size, chance))
    words = recorded.split()
    yield "words of failures, at random", b"".join(_words(size, words, chance))


def _epochs(size: int) -> Iterator[bytes]:
    line = b"      %3d/300      4.2G      1.%03d      0.9%02d      1.2%02d        %3d        640: 100%%|####| 458/458 [01:0%d<00:00]\n"
    for n in range(size // 96):
        yield line % (n % 300, n % 1000, n % 100, n % 77, n % 211, n % 10)


def _build() -> bytes:
    folders = " ".join(f"-I/home/user/v/site-packages/torch/include/part{n}" for n in range(30))
    files = [
        f"flash_{way}_hdim{dim}_{kind}_sm80"
        for way in ("fwd", "bwd")
        for dim in (32, 64, 128)
        for kind in ("fp16", "bf16")
    ]
    lines = [
        f"[{n}/73] /usr/local/cuda/bin/nvcc {folders} -c csrc/{name}.cu -o build/{name}.o"
        for n, name in enumerate(files)
    ]
    return "\n".join(lines).encode() + b"\n"


def _service(size: int, chance: random.Random) -> Iterator[bytes]:
    for n in range(size // 90):
        address, loss = chance.getrandbits(64), chance.random()
        yield b"2026-11-20 12:%02d:33,%03d INFO worker %016x took batch %d at loss=%f\n" % (
            n % 60,
            n % 1000,
            address,
            n,
            loss,
        )


def _wrapped(size: int) -> Iterator[bytes]:
    text = b" ".join(_epochs(20_000)).replace(b"\n", b"; then the next one: ")
    parts = [text[at : at + 100] for at in range(0, len(text), 100)]
    for n in range(size // 101):
        yield parts[n % len(parts)] + b"\n"


def _signs(size: int, chance: random.Random) -> Iterator[bytes]:
    for n in range(size // 110):
        yield (
            b"ERROR: No matching distribution found for p%x (No such file or directory: '/x/%x'), but you have %d\n"
            % (
                chance.getrandbits(40),
                chance.getrandbits(40),
                n,
            )
        )


def _words(size: int, words: list[bytes], chance: random.Random) -> Iterator[bytes]:
    written = 0
    while written < size:
        line = b" ".join(chance.choices(words, k=10)) + b"\n"
        written += len(line)
        yield line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=32)
    size = parser.parse_args().megabytes << 20
    started = time.process_time()
    reader = log_reader()
    print(f"{len(reader.patterns)} signs, made ready in {time.process_time() - started:.2f} s")
    for name, data in kinds(size):
        started = time.process_time()
        log = reader.read(io.BytesIO(data), name)
        seconds = time.process_time() - started
        print(f"{len(data) / 1e6 / seconds:8.0f} MB/s  {name} ({log.lines} lines, {len(log.matches)} matches kept)")
    print(
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:8.0f} MB    peak memory, the logs themselves included"
    )


if __name__ == "__main__":
    main()
