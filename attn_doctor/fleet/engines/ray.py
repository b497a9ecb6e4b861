"""Check nodes by Ray. `ray_driver` runs in a process of its own; this module reads its output."""

from __future__ import annotations

import os
import queue
import secrets
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from attn_doctor import child
from attn_doctor.errors import NotExamined
from attn_doctor.fleet.engines import extras
from attn_doctor.fleet.engines.asked import Asked
from attn_doctor.fleet.engines.deliver import SLACK, known, read
from attn_doctor.fleet.engines.parcel import parcel
from attn_doctor.model.fleet import Node, NodeAnswer
from attn_doctor.model.foreign_text import text
from attn_doctor.system import leftovers, own_path, threads

_QUEUE = 60.0  # seconds at least that a task may wait for its node: Ray starts a Python there
_TO_CONNECT = 60.0  # seconds for the cluster to name its nodes: Ray itself tries for minutes
_SCRIPTS = ("target/channel.py", "fleet/engines/ray_driver.py")


def answers(where: str, asked: Asked, say: Callable[[str], None]) -> Iterator[NodeAnswer]:
    """Yield the answers of the nodes of a cluster. `where`: its address; empty: the cluster of this machine.

    Raises Refused if Ray is not in this environment, NotExamined if no cluster answers.
    """
    extras.need("ray")
    folder = leftovers.new_folder("ray-")
    if folder is None:
        raise NotExamined("no folder for temporary files is writable here")
    Path(folder, "parcel").write_bytes(parcel())
    Path(folder, "answers").mkdir()
    word = secrets.token_hex(8)
    said: queue.Queue[child.Message | child.Outcome | BaseException] = queue.Queue()
    stop = threading.Event()
    config = {
        "address": where,
        "folder": f"{folder}/answers",
        "parcel": f"{folder}/parcel",
        "word": word,
        "check": list(asked.check),
        "target_from": asked.target_from,
        "seconds": asked.deadline,
        "nodes": list(asked.nodes),
        "tries": asked.tries,
        "queue": queue_for(asked),
        "slack": SLACK,
    }

    def drive() -> None:
        try:
            said.put(
                child.run(
                    [sys.executable],
                    _SCRIPTS,
                    config=config,
                    deadline=_TO_CONNECT + queue_for(asked) + asked.deadline + 2 * SLACK,
                    # Ray finds the cluster of this machine by the folder for temporary files, which a child has of its own.
                    changes={
                        **own_path.environment(),
                        "RAY_TMPDIR": os.environ.get("RAY_TMPDIR") or tempfile.gettempdir(),
                    },
                    on_message=said.put,
                    stop=stop,
                )
            )
        except OSError as error:
            said.put(error)

    threads.start(drive)
    try:
        yield from _read(said, word, asked, say)
    finally:
        stop.set()


def queue_for(asked: Asked) -> float:
    """Return the seconds that Ray may need to start a task."""
    return max(_QUEUE, asked.deadline)


def _read(said: queue.Queue[Any], word: str, asked: Asked, say: Callable[[str], None]) -> Iterator[NodeAnswer]:
    """Yield an answer for each node that the driver names. Raises NotExamined if the driver fails before it names any."""
    waiting: dict[str, Node] = {}
    connected = False
    while True:
        try:
            message = said.get(timeout=None if connected else _TO_CONNECT)
        except queue.Empty:
            raise NotExamined(f"Ray's cluster did not answer within {_TO_CONNECT:g} s: is its address right?") from None
        if isinstance(message, OSError):
            raise NotExamined(f"Ray cannot be started here: {message}")
        if isinstance(message, child.Outcome):
            break
        if message.at != "fact":
            continue
        data = message.data
        match message.section:
            case "nodes":
                connected = True
                say(f"Nodes to check by Ray: {len(asked.nodes) or len(data)}.")
                yield from known(asked, data, "Ray")
            case "node":
                labels = {text(str(key)): text(str(value)) for key, value in data["labels"].items()}
                waiting[data["name"]] = Node(name=text(data["name"]), labels=labels)
            case "answer":
                node = waiting.pop(data["name"])
                output = Path(data["file"]).read_text("ascii", "replace")
                nothing = NodeAnswer(node=node, end="died", said="the check ended there without an answer")
                yield read(node, word, output) or nothing
            case "end":
                yield NodeAnswer(node=waiting.pop(data["name"]), end=data["end"], said=text(data["said"]))
            case "failed" if not connected:
                raise NotExamined(f"Ray: {text(data['type'])}: {text(data['words'])}")
    if message.fault and not connected:
        raise NotExamined(f"Ray ended before it named a node: {_last(message)}")
    for node in waiting.values():
        yield NodeAnswer(
            node=node, end="silent", said=f"Ray lost the cluster before this node answered: {_last(message)}"
        )


def _last(outcome: child.Outcome) -> str:
    """Return in a few words how the driver ended."""
    failed = outcome.facts("failed")
    if failed:
        return text(f"{failed[0]['type']}: {failed[0]['words']}")
    lines = [line for line in outcome.chatter.strip().splitlines() if line.strip()]
    return text(lines[-1][-300:]) if lines else (outcome.fault.kind if outcome.fault else "without a word")
