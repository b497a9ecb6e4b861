"""Run work in threads that nobody has to wait for.

A read of a file on a network drive that is gone never returns, and cannot be interrupted. `concurrent.futures` waits for such a thread when
Python ends; a daemon thread is left behind.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as LateResult
from typing import TypeVar

T = TypeVar("T")


def start(work: Callable[[], T]) -> Future[T]:
    """Start `work` in a daemon thread. Its result, or its exception, is in the Future. Raises RuntimeError if no thread can be started."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again by whoever asks for the result
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def within(seconds: float, work: Callable[[], T]) -> T:
    """Return the result of `work`. Raises its exception, or TimeoutError after `seconds`; then `work` continues in its thread."""
    try:
        return start(work).result(seconds)
    except LateResult as error:  # a class of its own until Python 3.11
        raise TimeoutError(f"no result in {seconds:g} s") from error
