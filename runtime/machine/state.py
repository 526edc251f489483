"""The activation state of a store."""

from __future__ import annotations

import ctypes
from collections import deque
from typing import TYPE_CHECKING, Final

from . import layout as L
from .arena import exiting

if TYPE_CHECKING:
    from .machine import Machine

STATES_A_BLOCK: Final = 32

_u32 = ctypes.c_uint32.from_address
_u64 = ctypes.c_uint64.from_address

# Memory of states is reused and never freed: the watchdog may look at a state at any time.
_blocks: list[object] = []
_free: deque[int] = deque()


def _allocate() -> int:
    try:
        return _free.pop()
    except IndexError:
        block = (ctypes.c_uint64 * (L.STATE_SIZE // 8 * STATES_A_BLOCK))()
        _blocks.append(block)
        start = ctypes.addressof(block)
        _free.extend(start + L.STATE_SIZE * i for i in range(1, STATES_A_BLOCK))
        return start


class StoreState:
    """What machine code must know of one store: goes into CTX_ACTIVATION of every context of the store.

    A store runs on one thread at a time; a call from a second thread raises RuntimeError. Keep the object alive as long as
    any context that points to it.
    """

    __slots__ = ("__weakref__", "address", "machine")

    def __init__(self, machine: Machine) -> None:
        self.machine: Final = machine
        self.address: Final = _allocate()  # of the activation state
        ctypes.memset(self.address, 0, L.STATE_SIZE)
        _u64(self.address + L.STATE_THREAD).value = machine.threads.nobody
        _u64(self.address + L.STATE_OBJECT).value = id(self)

    @property
    def running(self) -> bool:
        """Whether wasm of this store (or a host function called by it) is on some thread's stack."""
        return _u64(self.address + L.STATE_ACTIVATION).value != 0

    def interrupt(self) -> None:
        """From any thread: end every activation that is running now with an INTERRUPT trap. Later ones are not affected."""
        address = self.address
        _u64(address + L.STATE_REQUEST).value = _u64(address + L.STATE_COUNTER).value
        _u32(address + L.STATE_INTERRUPT).value = 1
        if self.running:
            self.machine.kick(_u64(address + L.STATE_THREAD).value)

    def __del__(self) -> None:
        if not exiting():
            _free.append(self.address)
