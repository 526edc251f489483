"""The thread that looks after long calls: it gives other Python threads their turn, and lets signal handlers run.

Where the platform has signals and threads, it is native (WATCHDOG in `signals`). Elsewhere it is a Python thread, which sets the flags
that code polls. It starts with the first entry, and sleeps while nobody is in wasm.
"""

from __future__ import annotations

import ctypes
from time import sleep
from typing import Any, Final, final

from ..platform.interface import Platform
from . import layout as L
from .helper_threads import new_semaphore, start_thread
from .threads import ThreadRecords

POLL_SECONDS: Final = 0.005
IDLE_POLLS: Final = 20

_u32 = ctypes.c_uint32.from_address
_u64 = ctypes.c_uint64.from_address


@final
class Watchdog:
    """The watchdog of one machine."""

    __slots__ = ("_parked", "_platform", "_runs", "_semaphore", "_started", "_threads", "code", "wake")

    def __init__(self, platform: Platform, cells: int, threads: ThreadRecords) -> None:
        self._platform = platform
        self._threads = threads
        self._parked = _u32(cells + L.CELL_PARKED)
        self._runs = _u32(cells + L.CELL_WATCHDOG)  # set by the thread itself: a second one ends at once
        self._parked.value = 1
        self._started = False
        self._semaphore = new_semaphore()
        # Called by WAKE where the thread is a Python thread. No Python function, so that no signal handler runs there whose exception
        # would be lost. It raises RuntimeError if the thread is awake.
        self.wake: Final = self._semaphore.release
        self.code = 0  # address of WATCHDOG, if it is native

    def start(self) -> None:
        """Start it if it does not run. PlatformError if the system has no thread for it: then the next call tries again."""
        if not self._started:
            if self.code:
                self._platform.start_thread(self.code)
            else:
                start_thread(self._poll)
            self._started = True

    def _poll(self) -> None:
        """Every few milliseconds let the running activations look for what wants them."""
        if self._runs.value:
            return
        self._runs.value = 1
        while True:
            try:
                self._poll_until_idle()
                self._park()
            except MemoryError:
                sleep(POLL_SECONDS)

    def _poll_until_idle(self) -> None:
        idle = 0
        while idle <= IDLE_POLLS:
            self._semaphore.acquire(True, POLL_SECONDS)
            running = self._threads.in_wasm()
            for record in running:
                if state := _u64(record + L.THREAD_STATE).value:
                    _u32(state + L.STATE_INTERRUPT).value = 1
            idle = 0 if running else idle + 1

    def _park(self) -> None:
        self._parked.value = 1
        # Who came in without seeing that we are parked is seen after this. Who has woken us has set the flag back, perhaps has left
        # already, and nobody would wake us again.
        woken = self._semaphore.acquire(True, POLL_SECONDS)
        if not woken and not self._threads.in_wasm():
            self._semaphore.acquire()
        self._parked.value = 0

    def after_fork_in_child(self) -> None:
        """The thread is not in the child, and may have been anywhere in the semaphore."""
        self._parked.value = 1
        self._runs.value = 0
        self._started = False
        semaphore: Any = self._semaphore
        semaphore._at_fork_reinit()
        semaphore.acquire()
