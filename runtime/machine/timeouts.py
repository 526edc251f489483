"""Timeouts of calls: one thread that waits for the earliest deadline and interrupts the call that has missed it.

A deadline belongs to an activation, and machine code says which: the entry writes its number into the deadline's record when it has
begun, and that it has ended when it leaves, by whatever way. So a call that is refused interrupts nobody, and an exception that a
signal handler raises leaves nothing behind wherever it comes: a deadline without a running activation means nothing.

When the time is over, the activation and those inside of it are asked to end. What was asked for before is kept in the record, and the
entry puts it back when it leaves: activations around it go on.

No locks: calls with timeouts are made by signal handlers and finalisers too, which come in between any two steps. New deadlines go
into a deque, whose operations are single steps; all else is the thread's own.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections import deque
from heapq import heapify, heappop, heappush, heapreplace
from itertools import count
from math import inf, isnan, ldexp
from time import monotonic, sleep
from typing import Final, final
from weakref import ref

from brolga.ir.errors import ArgumentTypeError, ArgumentValueError

from ..platform.interface import PlatformError
from . import layout as L
from .helper_threads import new_semaphore, start_thread, wake
from .state import StoreState

_u32 = ctypes.c_uint32.from_address
_u64 = ctypes.c_uint64.from_address

_Record: Final = ctypes.c_uint64 * (L.DEADLINE_SIZE // 8)
_ACTIVATION: Final = L.DEADLINE_ACTIVATION // 8
_BEFORE: Final = L.DEADLINE_BEFORE // 8
_EXPIRED: Final = L.DEADLINE_EXPIRED // 8

SECONDS_UNTIL_NEXT_LOOK: Final = 0.005  # at a call whose time is over, but which cannot be interrupted yet
MOST_NEW: Final = 1000  # deadlines that the thread does not know yet
MOST_FINISHED: Final = 1000  # deadlines in the heap that mean nothing any more, if there are more of them than others

# Time, a number that tells entries with equal times apart, the deadline.
_Entry = tuple[float, int, "ref[Deadline]"]
_serial: Final = count()


def to_seconds(timeout: object) -> float:
    """A timeout as it was given, as a float. TypeError if it is no number, ValueError if it is not one."""
    try:
        seconds = ldexp(timeout, 0)  # type: ignore[arg-type]  # as `float`, but no text
    except OverflowError:
        return inf if timeout > 0 else -inf  # type: ignore[operator]  # an int
    except TypeError:
        raise ArgumentTypeError(f"a timeout is a number of seconds, not {type(timeout).__name__}") from None
    if isnan(seconds):
        raise ArgumentValueError("the timeout is not a number")
    return seconds


@final
class Deadline:
    """The time by which a call must have ended. Make it, `start` it, begin the call with its `address`, `finish` it after the call."""

    __slots__ = ("__weakref__", "_entry", "_record", "address", "last", "state", "thread", "time")

    def __init__(self, state: StoreState, seconds: float) -> None:
        self._record = _Record()
        self.address: Final = ctypes.addressof(self._record)  # of the deadline record
        self.state: Final = state
        self.thread: Final = threading.get_ident()
        self.time: Final = monotonic() + seconds
        self.last = 0  # the activations up to this number were asked to end
        self._entry: _Entry = (self.time, next(_serial), ref(self))

    def start(self) -> None:
        """From now on the time counts. PlatformError if there is no thread that looks at it."""
        if self.time != inf:
            _queue.add(self._entry)

    @property
    def activation(self) -> int:
        """Number of the activation: 0 if it has not begun, more than any if it has ended."""
        return self._record[_ACTIVATION]

    @property
    def ended(self) -> bool:
        return self._record[_ACTIVATION] == L.DEADLINE_ENDED

    def ask_before(self, last: int) -> None:
        """Somebody else asks the activations up to this number to end: that stays when the call has ended."""
        if self._record[_BEFORE] < last:  # noqa: PLR1730 - nothing is called in between
            self._record[_BEFORE] = last

    def expire(self) -> bool:
        """End the call, and with it what runs inside of it. False if that is to be tried again. Called by one thread only."""
        record, state = self._record, self.state
        request = _u64(state.address + L.STATE_REQUEST)
        counter = _u64(state.address + L.STATE_COUNTER)
        interrupt = _u32(state.address + L.STATE_INTERRUPT)
        while True:
            before = state.expired
            others = [other for other in before if not other.ended]
            activation = self.activation
            if activation == L.DEADLINE_ENDED:
                return True
            # One that runs inside of this call ends first: it puts back what was asked for before.
            if activation == 0 or any(other.activation > activation for other in others):
                return False
            after = (*others, self)
            # From here on nothing is called: behind each call the activation may end.
            if state.expired is before and record[_ACTIVATION] == activation:
                record[_BEFORE] = asked = request.value
                record[_EXPIRED] = 1
                self.last = last = counter.value
                state.expired = after
                if asked < last:
                    request.value = last
                interrupt.value = 1
                break
        state.kick()
        return True

    def finish(self) -> None:
        """The call has ended. Nothing depends on this but how long the deadline is in the way of others."""
        _queue.remove(self._entry)
        request = _u64(self.state.address + L.STATE_REQUEST)
        record = self._record
        # Only if the machine code has not: the call was given up while it was suspended.
        if record[_ACTIVATION] != L.DEADLINE_ENDED:
            record[_ACTIVATION] = L.DEADLINE_ENDED
            if record[_EXPIRED]:
                request.value = record[_BEFORE]
        if self.last:
            self.state.forget_expired()


@final
class _Queue:
    """The deadlines that the thread knows, or is about to know."""

    def __init__(self) -> None:
        self._new: deque[_Entry] = deque()
        self._heap: list[_Entry] = []  # the thread's own
        self._most = MOST_FINISHED  # entries in the heap before it is cleaned
        self._semaphore = new_semaphore()
        self._wakes_at = -inf  # when the thread looks next: it has not begun
        self._started = False
        self._runs = False

    def add(self, entry: _Entry) -> None:
        self._new.append(entry)
        if not self._started:
            start_thread(self._run)
            self._started = True  # not before: the next call tries it again
        elif entry[0] < self._wakes_at or len(self._new) > MOST_NEW:
            wake(self._semaphore)

    def remove(self, entry: _Entry) -> None:
        """Of those that the thread does not know, the last: nearly all calls end before the next begins."""
        new = self._new
        if new and new[-1] is entry:
            new.pop()

    def _run(self) -> None:
        if self._runs:  # an exception came after the thread had started, and another was started
            return
        self._runs = True
        while True:
            try:
                self._semaphore.acquire(True, self._turn())
            except MemoryError:
                sleep(SECONDS_UNTIL_NEXT_LOOK)

    def _turn(self) -> float:
        """Do what is to be done now. How many seconds there is nothing else to do; -1: for ever."""
        new, heap = self._new, self._heap
        while new:
            entry = new[0]
            heappush(heap, entry)  # first: a child of a fork that comes in between finds it in both rather than in none
            if new and new[0] is entry:
                new.popleft()
        if len(heap) > self._most:
            heap[:] = [entry for entry in heap if (deadline := entry[2]()) is not None and not deadline.ended]
            heapify(heap)
            self._most = 2 * len(heap) + MOST_FINISHED
        now = monotonic()
        while heap and heap[0][0] <= now:
            _, serial, reference = heap[0]
            if _expire(reference):
                heappop(heap)
            else:
                heapreplace(heap, (now + SECONDS_UNTIL_NEXT_LOOK, serial, reference))
        self._wakes_at = heap[0][0] if heap else inf
        if new:  # perhaps before it could be seen when we wake
            return 0
        return min(max(self._wakes_at - monotonic(), 0), threading.TIMEOUT_MAX) if heap else -1

    def after_fork_in_child(self) -> None:
        """The thread is not in the child, and the calls of other threads are not. Those of the forking thread go on."""
        here = threading.get_ident()
        entries = {entry[1]: entry for entry in (*self._heap, *self._new)}
        kept = [(entry, deadline) for entry in entries.values() if (deadline := entry[2]()) is not None]
        kept = [(entry, deadline) for entry, deadline in kept if deadline.thread == here and not deadline.ended]
        self._new.clear()
        self._new.extend([entry for entry, _ in kept])
        self._heap = []
        self._semaphore = new_semaphore()
        self._wakes_at = -inf
        self._started = self._runs = False
        if kept:
            try:
                start_thread(self._run)
                self._started = True
            except PlatformError:  # rather now than never
                for _, deadline in kept:
                    deadline.expire()


def _expire(reference: ref[Deadline]) -> bool:
    deadline = reference()
    return deadline is None or deadline.expire()


_queue: Final = _Queue()
os.register_at_fork(after_in_child=_queue.after_fork_in_child)
