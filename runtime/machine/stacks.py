"""Wasm stacks: one a thread, and one for each call that can be suspended."""

from __future__ import annotations

from typing import Final, final

from ..platform.interface import Platform, PlatformError
from . import layout as L

MOST_FREE_STACKS: Final = 64
MOST_WARM_STACKS: Final = 4  # of them keep all their pages
KEPT_OF_STACK: Final = 16 << 10  # bytes at its beginning whose pages a free stack keeps


@final
class StackPool:
    """Wasm stacks, each above a guard area; some free ones are kept."""

    __slots__ = ("_free", "_platform")

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._free: list[int] = []

    def take(self) -> int:
        """The lowest accessible address of a stack. PlatformError if the system refuses."""
        try:
            return self._free.pop()
        except IndexError:
            return allocate_stack(self._platform)

    def give_back(self, low: int) -> None:
        free = len(self._free)
        if free < MOST_FREE_STACKS:
            if free >= MOST_WARM_STACKS:
                self._platform.discard(low, L.STACK_SIZE - KEPT_OF_STACK)
            self._free.append(low)
        else:
            self._platform.unreserve(low - L.STACK_GUARD, L.STACK_GUARD + L.STACK_SIZE)


def allocate_stack(platform: Platform) -> int:
    """The lowest accessible address of a new stack of STACK_SIZE bytes."""
    guard = platform.reserve(L.STACK_GUARD + L.STACK_SIZE)
    low = guard + L.STACK_GUARD
    if not platform.commit(low, L.STACK_SIZE):
        platform.unreserve(guard, L.STACK_GUARD + L.STACK_SIZE)
        raise PlatformError("no memory for a stack")
    return low
