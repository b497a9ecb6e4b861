"""Train the cells of a study on a Ray cluster: each cell is a task with the cores or the GPU that it needs.

If the machine of a task is lost, the task is started again on another machine. attn-doctor must be installed in the Python of
every machine, and all machines must share the study's folder: a cell that moves to another machine finds its earlier state there.
Ray's own retries are not used: a task that sends its results one by one would send them twice.
https://docs.ray.io/en/latest/ray-core/ray-generators.html
"""

from __future__ import annotations

import functools
import importlib
import os
import platform
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from attn_doctor.errors import NotExamined, Refused
from attn_doctor.model.study import Event
from attn_doctor.study.training import Alive, Order, train
from attn_doctor.system import threads

TRIES = 4  # machines that a cell may lose before it counts as failed
_LOOK = 0.2  # seconds between two looks whether all threads have ended


class OnRay:
    """Train on a Ray cluster.

    `address`: of the cluster; None: the cluster that RAY_ADDRESS names, and if it is not set, a new cluster on this machine.
    `budget`: seconds; None: no limit. Raises Refused if Ray is not installed beside attn-doctor.
    """

    def __init__(self, address: str | None, budget: float | None) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
        try:
            self._ray: Any = importlib.import_module("ray")
        except ImportError as error:
            raise Refused("--on ray needs Ray beside attn-doctor: pip install 'attn-doctor[ray]'") from error
        self._address = address
        self._until = None if budget is None else time.time() + budget

    def train(self, orders: Sequence[Order], take: Callable[[Event], object], show: Callable[[Alive], object]) -> None:
        ours = not self._ray.is_initialized()
        if ours:
            try:
                self._ray.init(address=self._address, log_to_driver=False, logging_level="ERROR")
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise NotExamined(f"no Ray cluster answers at {self._address or 'this machine'}: {error}") from error
        try:
            self._train(orders, take, show)
        finally:
            if ours:
                self._ray.shutdown()

    def _train(self, orders: Sequence[Order], take: Callable[[Event], object], show: Callable[[Alive], object]) -> None:
        lock = threading.Lock()
        raised: list[BaseException] = []

        def one_at_a_time(event: Event) -> None:
            with lock:
                take(event)

        def follow(order: Order) -> None:
            try:
                self._follow(order, one_at_a_time, show)
            except BaseException as error:  # noqa: BLE001 - it is raised in the thread that waits
                raised.append(error)

        following = [threads.start(functools.partial(follow, order)) for order in orders]
        while any(task.is_alive() for task in following) and not raised:
            time.sleep(_LOOK)
        if raised:
            raise raised[0]

    def _follow(self, order: Order, take: Callable[[Event], object], show: Callable[[Alive], object]) -> None:
        """Train one cell; if its machine is lost, again on another machine."""
        errors = importlib.import_module("ray.exceptions")
        asked = {"num_cpus": order.design.threads or 1, "num_gpus": 1 if order.design.device.startswith("cuda") else 0}
        task = self._ray.remote(num_returns="streaming", max_retries=0, **asked)(_messages)
        said = ""
        for _ in range(TRIES):
            try:
                for reference in task.remote(msgspec.json.encode(order), self._until):
                    kind, content = self._ray.get(reference)
                    if kind == "alive":
                        show(msgspec.json.decode(content, type=Alive))
                    else:
                        take(msgspec.json.decode(content, type=Event))
            except errors.RayTaskError as error:  # our own code failed there: it would fail again
                said = str(error).strip().splitlines()[-1]
                break
            except errors.RayError as error:
                said = f"{TRIES} machines were lost while they trained it ({type(error).__name__})"
            else:
                return
        take(Event(at="end", arm=order.arm, seed=order.seed, state="failed", said=said))


def _messages(encoded: bytes, until: float | None) -> Iterator[tuple[str, bytes]]:
    """Train one cell in a process of Ray, and yield its events and its progress as JSON. `until`: seconds since 1970."""
    order = msgspec.json.decode(encoded, type=Order)
    left = None if until is None else until - time.time()
    if left is not None and left <= 0:
        return
    environ = dict(os.environ)
    environ.pop(
        "OMP_NUM_THREADS", None
    )  # Ray sets it to the cores of the task; the design says how many threads there are
    if "OMP_NUM_THREADS" in order.environ:
        environ["OMP_NUM_THREADS"] = order.environ["OMP_NUM_THREADS"]
    order = msgspec.structs.replace(order, environ=environ, seconds_left=left)
    node = importlib.import_module("ray").get_runtime_context().get_node_id()
    where = f"{platform.node()} {node[:8]}"
    sent: queue.Queue[tuple[str, bytes] | None] = queue.Queue()

    def take(event: Event) -> None:
        placed = msgspec.structs.replace(event, where=where) if event.at == "begin" else event
        sent.put(("event", msgspec.json.encode(placed)))

    def work() -> None:
        try:
            train(order, take, lambda sign: sent.put(("alive", msgspec.json.encode(sign))))
        finally:
            sent.put(None)

    threads.start(work)
    while (message := sent.get()) is not None:
        yield message
