"""Starting the Python threads that the runtime needs, from wherever it needs them."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable

from ..platform.interface import PlatformError


def start_thread(run: Callable[[], None]) -> None:
    """Call this in a new thread, which does not keep the process alive. PlatformError if the system has no thread for it.

    `threading.Thread` takes locks and waits for the new thread, which needs them too: a signal handler that came while its own thread
    holds one would wait for ever.
    """
    # As `threading` does, where debuggers and profilers put their own.
    start: Callable[[Callable[[], None], tuple[()]], int] = getattr(
        threading, "_start_new_thread", _thread.start_new_thread
    )
    try:
        start(run, ())
    except (RuntimeError, MemoryError) as error:
        raise PlatformError(f"the system refuses a thread: {error}") from error


def wake(semaphore: _thread.LockType) -> None:
    """Let go on who waits for this lock, now or the next time. Never waits: that is all that the lock is for."""
    try:
        semaphore.release()
    except RuntimeError:  # it was woken already
        pass


def new_semaphore() -> _thread.LockType:
    """A lock that nobody gets until somebody calls `wake`."""
    lock = _thread.allocate_lock()
    lock.acquire()
    return lock
