"""Run several processes of the target, because some changes need a new process. Example: another allocator.

Only one process works at a time. Each process reads its orders as numbered files from its own folder, waits for the next file,
and answers on its channel. So two environments can be compared round by round, and a crash or a hang ends only one process.
"""

from __future__ import annotations

import json
import os
import queue
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from attn_doctor import child
from attn_doctor.model.facts import Fault
from attn_doctor.system import leftovers, threads
from attn_doctor.trials.process import COMMON, in_words, load, waiting_policy

SCRIPTS = (
    "target/keep_to_cores.py",
    *COMMON[1:],
    "prescription/changes/apply.py",
    "target/tuned_subject.py",
    "target/orders.py",
)
TUNING, RUNTIME = "target/tuning_worker.py", "target/runtime_worker.py"
_DAY = 24 * 3600.0


class Ended(Exception):
    """Report that a process of the bench ended. The text says how it ended."""


class Worker:
    """Control one process of the target, with its own environment variables.

    `timeout`: the seconds without a record after which the process is ended.
    """

    def __init__(
        self,
        python: Sequence[str],
        folder: Path,
        config: Mapping[str, Any],
        *,
        timeout: float,
        environ: Mapping[str, str] | None,
        changes: Mapping[str, str],
        script: str,
    ) -> None:
        self._folder = folder
        self._number = 0
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._stop = threading.Event()
        self._ended: str | None = None
        folder.mkdir()
        arguments = {"orders": str(folder), **config}

        def work() -> None:
            try:
                outcome = child.run(
                    python,
                    (COMMON[0], *SCRIPTS, script),
                    config=arguments,
                    deadline=_DAY,
                    quiet=timeout,
                    environ=environ,
                    changes=dict(changes),
                    on_message=self._take,
                    stop=self._stop,
                )
                self._ended = in_words(outcome.fault) if outcome.fault else "it ended"
            except OSError as error:
                self._ended = str(error)
            self._answers.put({})  # ends the wait in `ask`

        self._thread = threads.start(work)

    def _take(self, message: child.Message) -> None:
        if message.at == "fact" and message.section == "answer":
            self._answers.put(message.data)
        if message.at == "raised":
            self._ended = in_words(Fault(**message.data))

    def ask(self, **order: Any) -> dict[str, Any]:
        """Give an order and return the answer. Raises Ended if the process ended."""
        self._number += 1
        place = self._folder / f"{self._number}.json"
        half = place.with_suffix(".new")
        half.write_text(json.dumps(order), encoding="utf-8")
        half.replace(place)
        while True:
            answer = self._answers.get()
            if not answer:
                self._answers.put({})
                raise Ended(self._ended or "it ended")
            if answer.get("number") == self._number:
                return answer

    def end(self) -> None:
        """End the process, and wait until it is gone, for at most ten seconds."""
        self._stop.set()
        self._thread.join(10)


class Bench:
    """Start one worker for each requested environment. As a context manager it ends all workers."""

    def __init__(
        self,
        python: Sequence[str],
        config: Mapping[str, Any],
        *,
        timeout: float,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._python = python
        self._config = dict(config)
        self._timeout = timeout
        self._environ = environ
        self._temporary = tempfile.TemporaryDirectory(dir=leftovers.folder())
        self._workers: dict[str, Worker] = {}
        self.notes: list[str] = []

    def __enter__(self) -> Bench:
        self._waiting, self.notes = waiting_policy(
            os.environ if self._environ is None else self._environ, load(), os.cpu_count()
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers.values():
            worker.end()
        self._temporary.cleanup()

    def worker(
        self, variables: Mapping[str, str], cores: Sequence[int] = (), *, script: str = TUNING, **config: Any
    ) -> Worker:
        """Return the worker with these environment variables that runs only on these cores (empty: on all).

        `script`: what it runs last, `TUNING` or `RUNTIME`. `config`: more values for its scripts. The first call with the same
        arguments starts it.
        """
        name = json.dumps([dict(variables), list(cores), script, config], sort_keys=True)
        if name not in self._workers:
            # Each worker has its own folder: two that start together would write ultralytics' settings into the same file.
            place = Path(self._temporary.name) / str(len(self._workers))
            self._workers[name] = Worker(
                self._python,
                place,
                {**self._config, **config, "cores": list(cores)},
                timeout=self._timeout,
                environ=self._environ,
                changes={**child.harmless(str(place)), **self._waiting, **variables},
                script=script,
            )
        return self._workers[name]
