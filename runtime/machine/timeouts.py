"""Timeouts of calls: one thread that waits for the earliest deadline and interrupts the call that has missed it."""

from __future__ import annotations

import ctypes
import os
import threading
from heapq import heapify, heappop, heappush
from time import monotonic
from typing import Final, final

from . import layout as L
from .state import StoreState

_u64 = ctypes.c_uint64.from_address

MOST_FINISHED: Final = 64  # deadlines of finished calls that are kept before the heap is cleaned


@final
class Deadline:
    """The time by which a call must have ended. Make it before the call, `finish` it after the call."""

    __slots__ = ("_before", "_done", "_first", "_request", "_state", "time")

    def __init__(self, state: StoreState, seconds: float) -> None:
        self.time: Final = monotonic() + seconds
        if self.time != self.time:
            raise ValueError("the timeout is not a number")
        self._first = _u64(state.address + L.STATE_COUNTER).value + 1  # number of the call's activation
        self._state = state
        self._done = False
        self._request = -1  # what was asked for when the time was over
        self._before = 0
        _queue.add(self)

    def __lt__(self, other: Deadline) -> bool:
        return self.time < other.time

    @property
    def done(self) -> bool:
        return self._done

    def expire(self) -> None:
        """Called with the queue's lock held: end the call, and with it what runs inside of it."""
        if not self._done:
            state = self._state
            self._before = _u64(state.address + L.STATE_REQUEST).value
            self._request = max(self._first, _u64(state.address + L.STATE_COUNTER).value)  # it need not have begun
            state.timed_out = True
            state.interrupt(self._request)

    def finish(self) -> None:
        """The call has ended. A request that came too late, or was for this call only, is withdrawn, for activations around it."""
        with _queue.lock:
            self._done = True
            _queue.finished += 1
            if self._request >= 0:
                self._state.timed_out = False
                request = _u64(self._state.address + L.STATE_REQUEST)
                if request.value == self._request:
                    request.value = self._before


@final
class _Queue:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.finished = 0
        self._changed = threading.Condition(self.lock)
        self._heap: list[Deadline] = []
        self._thread: threading.Thread | None = None

    def add(self, deadline: Deadline) -> None:
        with self.lock:
            if self.finished > MOST_FINISHED and 2 * self.finished > len(self._heap):
                self._heap = [other for other in self._heap if not other.done]
                heapify(self._heap)
                self.finished = 0
            heappush(self._heap, deadline)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="brolga-timeouts", daemon=True)
                self._thread.start()
            elif self._heap[0] is deadline:
                self._changed.notify()

    def _run(self) -> None:
        with self.lock:
            while True:
                while self._heap and self._heap[0].time <= monotonic():
                    heappop(self._heap).expire()
                now = monotonic()
                self._changed.wait(min(self._heap[0].time - now, threading.TIMEOUT_MAX) if self._heap else None)


_queue = _Queue()


def _after_fork_in_child() -> None:
    """The thread is not in the child, and the calls of other threads are not."""
    global _queue
    _queue = _Queue()


os.register_at_fork(after_in_child=_after_fork_in_child)
