"""Threads that enter wasm: their records, wasm stacks and alternate signal stacks.

A thread is attached on its first entry (and on each change of thread of a store). Its record is found again through a
thread-local object, whose end gives the stacks back: CPython drops thread-local objects when it clears the thread's state, on the
thread itself. Records are never freed, because handlers and watchdog walk through them; a free one serves a later thread.
"""

from __future__ import annotations

import ctypes
import signal
import threading
import weakref
from typing import Final

from ..platform.interface import Platform, PlatformError
from . import layout as L
from .lifetime import exiting, keep_forever
from .stacks import allocate_stack

RECORDS_A_BLOCK: Final = 16

_u32 = ctypes.c_uint32.from_address
_u64 = ctypes.c_uint64.from_address


class ThreadRecords:
    """All thread records of one machine, linked from CELL_THREADS of its cells."""

    def __init__(self, platform: Platform, cells: int) -> None:
        self._platform = platform
        self._cells = cells
        self._local = _Local()
        self.signals: list[int] = []  # that must reach threads in wasm
        self._unused: list[int] = []
        self.nobody: Final = self._new_record()  # the thread of states that never ran
        _u64(cells + L.CELL_MAIN).value = self.nobody

    def _new_record(self) -> int:
        try:
            return self._unused.pop()
        except IndexError:
            block = (ctypes.c_uint64 * (L.THREAD_SIZE // 8 * RECORDS_A_BLOCK))()
            keep_forever(block)
            start = ctypes.addressof(block)
            self._unused.extend(start + L.THREAD_SIZE * i for i in range(1, RECORDS_A_BLOCK))
            return start

    def all(self) -> list[int]:
        """Addresses of all linked records."""
        records = []
        record = _u64(self._cells + L.CELL_THREADS).value
        while record:
            records.append(record)
            record = _u64(record + L.THREAD_NEXT).value
        return records

    def in_wasm(self) -> list[int]:
        """Records of threads that are in wasm now, not in a host function."""
        return [record for record in self.all() if _u64(record + L.THREAD_STATE).value]

    def known(self) -> int:
        """The calling thread's record, 0 if it has none: it has never entered wasm then."""
        hold = self._local.hold
        return 0 if hold is None else hold.record

    def current(self) -> int:
        """The calling thread's record, with stacks; made if there is none."""
        hold = self._local.hold
        return self._attach() if hold is None else hold.record

    def end_disorder(self, record: int) -> bool:
        """Whether activations of the calling thread were left out of order, and none is left now: all of its stack is free."""
        if not _u32(record + L.THREAD_DISORDER).value or _u32(record + L.THREAD_DEPTH).value:
            return False
        _u64(record + L.THREAD_STACK).value = _u64(record + L.THREAD_STACK_HIGH).value
        _u32(record + L.THREAD_DISORDER).value = 0
        return True

    def _attach(self) -> int:
        hold = _Hold(self)  # first: whatever is raised from here on, it gives the record back
        if not self._take_free(hold):
            self._link(hold, self._new_record())
        self._prepare(hold.record)
        local = self._local
        if local.hold is None:  # nothing is called from here to the assignment
            local.hold = hold
            return hold.record
        del hold  # a signal handler that came meanwhile has attached the thread
        if self._platform.signals:
            self._give_alternate_stack(local.hold.record)
        return local.hold.record

    def _prepare(self, record: int) -> None:
        """Make the record that of the calling thread, with stacks."""
        _u32(record + L.THREAD_ID).value = threading.get_native_id()
        _u64(record + L.THREAD_STATE).value = 0
        _u32(record + L.THREAD_DEPTH).value = 0
        if self._platform.stacks and not _u64(record + L.THREAD_STACK_HIGH).value:
            self._allocate_stack(record)
        high = _u64(record + L.THREAD_STACK_HIGH).value
        _u64(record + L.THREAD_STACK).value = high
        _u64(record + L.THREAD_STACK_LOW).value = high - L.STACK_SIZE
        _u64(record + L.THREAD_STACK_LIMIT).value = high - L.STACK_SIZE + L.ENTRY_RESERVE
        if self._platform.stacks:
            native_low, native_high = self._platform.native_stack()
            _u64(record + L.THREAD_NATIVE_LOW).value = native_low
            _u64(record + L.THREAD_NATIVE_LIMIT).value = native_low + min(
                L.NATIVE_RESERVE, (native_high - native_low) // 2
            )
        if self._platform.signals:
            self._give_alternate_stack(record)
            # A fault while its signal is blocked ends the process.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self.signals)
        if threading.get_ident() == threading.main_thread().ident:
            _u64(self._cells + L.CELL_MAIN).value = record

    # Between looking at what several threads and signal handlers change and changing it nothing is called.

    def _take_free(self, hold: _Hold) -> bool:
        for record in self.all():
            free = _u32(record + L.THREAD_FREE)
            if free.value:
                free.value = 0
                hold.record = record
                return True
        return False

    def _link(self, hold: _Hold, record: int) -> None:
        head = _u64(self._cells + L.CELL_THREADS)
        after = _u64(record + L.THREAD_NEXT)
        hold.record = record
        after.value = head.value
        head.value = record

    def _allocate_stack(self, record: int) -> None:
        low = allocate_stack(self._platform)
        _u64(record + L.THREAD_STACK_HIGH).value = low + L.STACK_SIZE

    def _give_alternate_stack(self, record: int) -> None:
        """Handlers of faults must not run on the wasm stack. A large enough one of somebody else's is left alone."""
        needed = self._platform.alternate_stack_size()
        if self._platform.alternate_stack()[1] >= needed:
            return
        address = _u64(record + L.THREAD_ALTERNATE).value
        if not address:
            address = self._platform.reserve(needed)
            if not self._platform.commit(address, needed):
                self._platform.unreserve(address, needed)
                raise PlatformError("no memory for a signal stack")
            _u64(record + L.THREAD_ALTERNATE).value = address
        self._platform.set_alternate_stack(address, needed)

    def release(self, record: int, own_thread: bool) -> None:
        """The thread of the record has ended or forgets it. The stacks stay with the record, without memory behind them."""
        _u64(record + L.THREAD_FS).value = 0
        _u64(record + L.THREAD_STATE).value = 0
        main = _u64(self._cells + L.CELL_MAIN)
        if main.value == record:
            main.value = self.nobody
        if self._platform.signals and own_thread:
            alternate = _u64(record + L.THREAD_ALTERNATE).value
            if alternate and self._platform.alternate_stack()[0] == alternate:
                self._platform.clear_alternate_stack()
                self._platform.discard(alternate, self._platform.alternate_stack_size())
        high = _u64(record + L.THREAD_STACK_HIGH).value
        if high:
            self._platform.discard(high - L.STACK_SIZE, L.STACK_SIZE)
        _u32(record + L.THREAD_FREE).value = 1

    def after_fork_in_child(self) -> bool:
        """Only the forking thread lives on, which is the main thread then; its native id is new. Whether it has activations."""
        current = self.known()
        for record in self.all():
            if record != current and not _u32(record + L.THREAD_FREE).value:
                self.release(record, own_thread=False)
        _u64(self._cells + L.CELL_MAIN).value = current or self.nobody
        if not current:
            return False
        _u32(current + L.THREAD_ID).value = threading.get_native_id()
        _u64(current + L.THREAD_FS).value = 0  # so that the next entry attaches, and starts the watchdog
        return _u32(current + L.THREAD_DEPTH).value > 0


class _Hold:
    """Lives as long as the thread's Python state."""

    __slots__ = ("_ident", "_records", "record")

    def __init__(self, records: ThreadRecords) -> None:
        self.record = 0  # none yet
        self._ident = threading.get_ident()
        self._records = weakref.ref(records)

    def __del__(self) -> None:
        try:
            records = self._records()
        except AttributeError:  # there was no memory for it
            return
        # At exit the main thread clears the states of daemon threads, which may be in wasm; after a fork the child does so for
        # threads that it does not have.
        if records is not None and self.record and not exiting() and threading.get_ident() == self._ident:
            records.release(self.record, own_thread=True)


class _Local(threading.local):
    hold: _Hold | None = None
