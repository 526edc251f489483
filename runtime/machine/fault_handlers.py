"""Installing the signal handlers whose machine code is in `signals`."""

from __future__ import annotations

import ctypes
import signal
import threading
from collections.abc import Iterator
from typing import Final

from ..platform.interface import Platform
from ..platform.linux import SA_NODEFER, SA_ONSTACK, SA_RESTART, SA_SIGINFO

FAULTS: Final = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)

# Cells of the fault handler, after one another: handlers by signal number.
ORIGINAL: Final = 0  # installed before us
LATER: Final = 65 * 8  # installed after us, when we took the first place back
LAST_PC: Final = 130 * 8  # the last fault that went to a later handler, and how many times in a row
LAST_ADDRESS: Final = 131 * 8
LAST_COUNT: Final = 132 * 8
HANDLER_CELLS: Final = 133 * 8


def _signals() -> Iterator[int]:
    """All signals; first the one that nearly always has a Python handler, for listing all takes time."""
    yield signal.SIGINT
    yield from signal.valid_signals()


class FaultHandlers:
    """The installed handlers of one machine."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self.cells = (ctypes.c_uint64 * (HANDLER_CELLS // 8))()
        self.diversion_signal = self._free_signal()

    def _free_signal(self) -> int:
        """The highest real-time signal that nobody handles."""
        for number in range(signal.SIGRTMAX, signal.SIGRTMIN, -1):
            if self._platform.handler(number)[0] == 0:
                return number
        return int(signal.SIGRTMAX)

    def cpython_handler(self) -> int:
        """Address of the C function that CPython installs for signals with Python handlers, or 0 if that cannot be known now."""
        for number in _signals():
            if callable(signal.getsignal(number)):
                return self._platform.handler(number)[0]
        if threading.current_thread() is not threading.main_thread():
            return 0
        before = signal.signal(self.diversion_signal, lambda number, frame: None)
        address = self._platform.handler(self.diversion_signal)[0]
        signal.signal(self.diversion_signal, before)
        return address

    def install(self, fault_handler: int, diversion_handler: int) -> None:
        self._fault_handler = fault_handler
        for number in FAULTS:
            self.cells[ORIGINAL // 8 + number] = self._platform.handler(number)[0]
            self._set(number)
        self._platform.set_handler(self.diversion_signal, diversion_handler, SA_SIGINFO | SA_ONSTACK | SA_RESTART)

    def _set(self, number: int) -> None:
        self._platform.set_handler(number, self._fault_handler, SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER)

    def take_first_place(self) -> None:
        """Be the first again where another handler was installed after ours; it gets what is not ours."""
        for number in FAULTS:
            address = self._platform.handler(number)[0]
            if address != self._fault_handler:
                self.cells[LATER // 8 + number] = address if address > 1 else 0
                self._set(number)
