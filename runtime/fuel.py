"""The fuel of a store.

Code counts up from minus the fuel that there is (`brolga.jit.wasm.fuel`), in 64 bits with a sign, so that what is above 2^63 - 1
is kept aside here. What code uses up beyond what there was is forgiven: `left` is 0 then.
"""

from __future__ import annotations

import ctypes
from typing import Final, final

from .machine import StoreState
from .machine.layout import STATE_FUEL

_i64 = ctypes.c_int64.from_address

MOST_COUNTED: Final = (1 << 63) - 1
MOST_FUEL: Final = (1 << 64) - 1


@final
class StoreFuel:
    """How much fuel a store has, as its code sees it."""

    __slots__ = ("_reserve", "_state")

    def __init__(self, state: StoreState) -> None:
        self._state = state
        self._reserve = 0

    @property
    def left(self) -> int:
        return min(max(self._reserve - self.counter, 0), MOST_FUEL)

    @left.setter
    def left(self, fuel: int) -> None:
        fuel &= MOST_FUEL
        counted = min(fuel, MOST_COUNTED)
        self._reserve = fuel - counted
        self.counter = -counted

    @property
    def counter(self) -> int:
        """Minus the fuel that is left for code, or what it has used up beyond it."""
        return _i64(self._state.address + STATE_FUEL).value

    @counter.setter
    def counter(self, value: int) -> None:
        _i64(self._state.address + STATE_FUEL).value = value
