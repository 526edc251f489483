"""Installing the signal handlers whose machine code is in `signals`, and keeping them installed.

Whatever a program does with handlers and masks, a trap must find ours. They are the first always, and what others install gets what is
not ours:
    `signal.signal`, `pthread_sigmask`, `faulthandler.enable` and their like end by putting ours back: their entries in CPython's
    method tables lead through `AFTER_CHANGE`, so that it does not matter by what name a program knows them;
    what C code changes is mended at instantiations, and by the watchdog before it sends a thread to the safepoint.
The diversion signal is SIGURG if nobody uses it: a standard signal needs no entry of the queue, of which there may be none left, and one
that is ignored by default ends no process when somebody resets all handlers.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import ctypes
import faulthandler
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Final

from ..platform.interface import Platform
from .handler_code import DIVERSION_FLAGS, FAULT_FLAGS, FAULTS, HANDLER_CELLS, ORIGINAL

# A PyCFunctionObject's pointer to its PyMethodDef, which begins with a name and the C function.
_DEFINITION: Final = 16
_FUNCTION_OF_DEFINITION: Final = 8

# C functions that change handlers or masks.
CHANGING: Final[tuple[object, ...]] = (
    _signal.signal,
    _signal.pthread_sigmask,
    faulthandler.enable,
    faulthandler.disable,
    faulthandler.register,
    faulthandler.unregister,
)

_u64 = ctypes.c_uint64.from_address


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
        self._entries: list[tuple[ctypes.c_uint64, int]] = []

    def _free_signal(self) -> int:
        """One that nobody handles: SIGURG, or else the highest real-time signal."""
        for number in (signal.SIGURG, *range(signal.SIGRTMAX, signal.SIGRTMIN, -1)):
            if self._platform.handler(number)[0] == 0:
                return int(number)
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

    @property
    def signals(self) -> list[int]:
        """Those that must reach threads in wasm."""
        return [*FAULTS, self.diversion_signal]

    @property
    def signal_set(self) -> int:
        """The same as bits of a mask."""
        return sum(1 << (number - 1) for number in self.signals)

    def watch(self, routine: Callable[[int], int]) -> None:
        """When they are installed, let the functions that change handlers lead through what `routine` gives for the address of each."""
        for function in CHANGING:
            entry = _u64(_u64(id(function) + _DEFINITION).value + _FUNCTION_OF_DEFINITION)
            self._entries.append((entry, routine(entry.value)))

    def install(self, fault_handler: int, diversion_handler: int) -> None:
        for number in FAULTS:
            self.cells[ORIGINAL // 8 + number] = self._platform.handler(number)[0]
            self._platform.set_handler(number, fault_handler, FAULT_FLAGS)
        self._platform.set_handler(self.diversion_signal, diversion_handler, DIVERSION_FLAGS)
        for entry, routine in self._entries:
            entry.value = routine
