"""Send the parcel to nodes through the standard input of a program (ssh, srun), and read the answer of each node.

Time, number and memory have limits.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import queue
import re
import secrets
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import msgspec

from attn_doctor.child.reading import Reader
from attn_doctor.child.starting import Started, start
from attn_doctor.errors import NotExamined
from attn_doctor.fleet.engines.asked import Asked
from attn_doctor.fleet.engines.parcel import how_to_add, parcel
from attn_doctor.model.fleet import Node, NodeAnswer, NodeEnd
from attn_doctor.model.foreign_text import text
from attn_doctor.system import threads

AT_ONCE = 32  # programs that run at the same time
SLACK = 20.0  # seconds beside those of the check: to connect, to send the parcel, and to bring the answer back
_TO_END = 2.0  # seconds
MOST_ANSWER = 64 << 20  # bytes: a packed report has about 30,000
# Quotes that mean the same in sh, csh and fish: ssh gives the command to the shell of the account.
COMMAND = """python3 -c 'import sys; exec(sys.stdin.buffer.readline())'"""
_LOADER = """
import os, sys, tempfile
data = sys.stdin.buffer.read({length})
if len(data) < {length}:
    sys.exit("the parcel did not arrive whole")
number, path = tempfile.mkstemp(prefix="attn-doctor-", suffix=".pyz")
with os.fdopen(number, "wb") as file:
    file.write(data)
os.environ["ATTN_DOCTOR_PARCEL"] = path
os.execv(sys.executable, [sys.executable, "-I", "-B", path] + {arguments!r})
"""


class _Said(msgspec.Struct, frozen=True):
    end: NodeEnd
    said: str
    seconds: float
    report: str


class Failed(NamedTuple):
    """Describe how a node ended whose program ended without an answer."""

    end: NodeEnd
    said: str


def arguments(word: str, asked: Asked, target: str, *, hold: bool) -> list[str]:
    """Return the arguments of the parcel, which `begin` lists. `word`: marks the answer. `target`: the node's Python, or an empty text."""
    return [word, f"{asked.deadline:g}", "hold" if hold else "free", target, *asked.check]


def read(node: Node, word: str, output: str) -> NodeAnswer | None:
    """Return the answer of a node in its output: the text between the two lines that contain `word`.

    None: there is no complete answer. An answer that cannot be unpacked becomes "unreadable".
    """
    found = re.search(
        rf"^attn-doctor-answer {word} begin$(.*?)^attn-doctor-answer {word} end$", output, re.MULTILINE | re.DOTALL
    )
    if not found:
        return None
    try:
        said = msgspec.json.decode(_unpacked("".join(found[1].split())), type=_Said)
    except (ValueError, zlib.error, binascii.Error) as error:
        return NodeAnswer(node=node, end="unreadable", said=f"its answer arrived damaged ({error})")
    report = said.report.encode() if said.end == "answered" else None
    words = text(said.said)
    if lacks := re.search(r"Python (3\.\d+) on (\w+) lacks msgspec", words):
        words += f". This brings it to the next run: {how_to_add(lacks[1], f'manylinux2014_{lacks[2]}')}"
    return NodeAnswer(node=node, end=said.end, report=report, said=words, seconds=said.seconds)


def _unpacked(packed: str) -> bytes:
    """Return the unpacked bytes, at most MOST_ANSWER: a few packed bytes can become gigabytes."""
    unpacking = zlib.decompressobj()
    data = unpacking.decompress(base64.b64decode(packed, validate=True), MOST_ANSWER)
    if not unpacking.eof:
        raise ValueError("more than a report can hold, or less than was sent")
    return data


def over_stdin(
    stop: threading.Event,
    *,
    node: Node,
    argv: Sequence[str],
    asked: Asked,
    failed: Callable[[int | None, str], Failed],
    wait: float = 0.0,
) -> NodeAnswer:
    """Run a program that runs COMMAND on a node, and return the node's answer.

    `failed`: if no answer came, it returns the meaning of an exit code and of the program's last words. `wait`: seconds that the
    program may need before the check begins. The standard input stays open until the end: if it closes, the node ends its check.
    """
    word, target = secrets.token_hex(8), node.labels.get(asked.target_from or "", "")
    data = parcel()
    loader = _LOADER.format(length=len(data), arguments=arguments(word, asked, target, hold=True))
    began = time.monotonic()
    try:
        begun = start(argv, None, {"LC_ALL": "C"}, largest_file=None)
    except OSError as error:
        return NodeAnswer(node=node, end="refused", said=f"{argv[0]} cannot be started: {error}")
    reader = Reader(begun, None, None, MOST_ANSWER)
    threads.start(lambda: _write(begun, f"exec({loader!r})\n".encode() + data))
    late = False
    while not begun.ended() and not reader.flooded and not stop.is_set():
        if time.monotonic() - began > wait + asked.deadline + SLACK:
            late = True
            break
        if reader.ended.wait(0.05):
            time.sleep(0.01)  # the output ends just before the program does
    begun.process.terminate()  # srun then ends its job; SIGKILL alone would leave it to Slurm's own time limits
    begun.ends_within(_TO_END)
    begun.end()
    reader.finish()
    with contextlib.suppress(OSError):
        begun.process.stdin.close()  # type: ignore[union-attr]
    if answer := read(node, word, reader.output):
        return answer
    seconds = round(time.monotonic() - began, 1)
    if late:
        return NodeAnswer(node=node, end="silent", said=f"nothing came from it within {seconds:g} s", seconds=seconds)
    end, said = failed(begun.process.returncode, reader.chatter)
    return NodeAnswer(node=node, end=end, said=text(said), seconds=seconds)


def _write(begun: Started, data: bytes) -> None:
    try:
        begun.process.stdin.write(data)  # type: ignore[union-attr]
        begun.process.stdin.flush()  # type: ignore[union-attr]
    except (OSError, ValueError):
        pass  # the program ended before it had read all: its exit code and its words give the reason


def all_at_once(jobs: Sequence[Callable[[threading.Event], NodeAnswer]]) -> Iterator[NodeAnswer]:
    """Yield the result of each job as soon as it ends. At most AT_ONCE jobs run at the same time.

    If the caller stops early, all jobs end.
    """
    stop = threading.Event()
    answers: queue.Queue[NodeAnswer | BaseException] = queue.Queue()

    def work(job: Callable[[threading.Event], NodeAnswer]) -> None:
        try:
            answers.put(job(stop))
        except BaseException as error:  # noqa: BLE001 - raised again where the answers are read
            answers.put(error)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            for job in jobs:
                pool.submit(work, job)
            for _ in jobs:
                answer = answers.get()
                if isinstance(answer, BaseException):
                    raise answer
                yield answer
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


def last_words(chatter: str) -> str:
    """Return the end (300 characters) of the last line that is not empty; an empty text if there is none."""
    lines = [line.strip() for line in chatter.strip().splitlines() if line.strip()]
    return lines[-1][-300:] if lines else ""


def known(asked: Asked, names: Sequence[str], scheduler: str) -> Iterator[NodeAnswer]:
    """Yield an answer "refused" for every requested node that the scheduler does not have.

    `names`: the nodes that it has. `scheduler`: its name in a sentence, "Slurm".
    """
    for name in asked.nodes:
        if name not in names:
            yield NodeAnswer(node=Node(name=name), end="refused", said=f"{scheduler} has no node of this name")


def program(name: str, comes_with: str) -> str:
    """Return the path of a program of the scheduler. Raises NotExamined if it is not on PATH. `comes_with`: how the user gets it."""
    import shutil

    found = shutil.which(name)
    if not found:
        raise NotExamined(f"{name} is not on PATH: {comes_with}")
    return found
