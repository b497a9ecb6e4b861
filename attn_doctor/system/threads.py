"""Run work in threads that nobody has to wait for.

A read of a file on a network drive that is gone never returns, and cannot be interrupted. `concurrent.futures` waits for such a thread when
Python ends; a daemon thread is left behind.

With too little memory, `threading.Thread.start` waits for ever: the new thread ends before it says that it has begun
(https://github.com/python/cpython/issues/140746). A Task waits a few seconds. All that it needs afterwards exists before it starts, and its
end is the release of a lock, which needs no memory.
"""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")
_BEGINS_WITHIN = 10.0  # seconds: more than a thread needs to begin on the busiest machine
_running: set[Task[Any]] = set()


class Task(Generic[T]):
    """Run `work` in a thread, from now on. The result or the exception of `work` is stored.

    Raises RuntimeError if no thread can be started.
    """

    __slots__ = ("__weakref__", "_abandoned", "_begun", "_over", "_result", "error", "number")

    def __init__(self, work: Callable[[], T]) -> None:
        """Start the thread. `number`: its number, as `signal.pthread_kill` wants it."""
        self.error: BaseException | None = None
        self._result: list[T | None] = [None]
        self._abandoned = False
        self._begun, self._over = _thread.allocate_lock(), _thread.allocate_lock()
        self._begun.acquire()
        self._over.acquire()
        _running.add(self)
        try:
            self.number = _thread.start_new_thread(self._run, (work,))
        except BaseException:
            _running.discard(self)
            raise
        if not self._begun.acquire(timeout=_BEGINS_WITHIN):
            self._abandoned = True
            _running.discard(self)
            raise RuntimeError("can't start new thread: it ended before it began")

    def _run(self, work: Callable[[], T]) -> None:
        try:
            self._begun.release()
            if not self._abandoned:
                self._result[0] = work()
        except BaseException as error:  # noqa: BLE001 - raised again for whoever asks for the result
            self.error = error
        finally:
            self._over.release()
            _running.discard(self)

    def join(self, seconds: float | None = None) -> bool:
        """Wait for the end, at most `seconds`. Return whether the thread has ended."""
        ended = self._over.acquire(timeout=-1 if seconds is None else max(0.0, seconds))
        if ended:
            self._over.release()  # for the next who asks
        return ended

    def is_alive(self) -> bool:
        """Return whether the thread still runs."""
        return self._over.locked() and not self.join(0)

    def result(self, seconds: float | None = None) -> T:
        """Return the result of the work. Raises its exception, or TimeoutError after `seconds`; then the work continues."""
        if not self.join(seconds):
            raise TimeoutError(f"no result in {seconds:g} s")
        if self.error is not None:
            raise self.error
        return self._result[0]  # type: ignore[return-value] # written before the end


def start(work: Callable[[], T]) -> Task[T]:
    """Start `work` in a thread. Raises RuntimeError if no thread can be started."""
    return Task(work)


def within(seconds: float, work: Callable[[], T]) -> T:
    """Return the result of `work`. Raises its exception, or TimeoutError after `seconds`; then `work` continues in its thread."""
    return Task(work).result(seconds)


def running() -> tuple[Task[Any], ...]:
    """Return the tasks that have not ended."""
    return tuple(_running)


class Pool:
    """Run at most `most` pieces of work at the same time."""

    def __init__(self, most: int) -> None:
        """Prepare; no thread is started yet."""
        self._free = threading.Semaphore(most)

    def submit(self, work: Callable[..., T], *arguments: Any, **named: Any) -> Task[T]:
        """Start `work(*arguments, **named)` in a thread, which waits until it is its turn. Raises RuntimeError if no thread can be started."""

        def in_turn() -> T:
            with self._free:
                return work(*arguments, **named)

        return Task(in_turn)
