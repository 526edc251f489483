"""Pages of linear memories."""

from __future__ import annotations


class MemoryBlock:
    """One linear memory: its bytes, and its memory record {base, length} for machine code.

    Made by `Machine.new_memory`. On platforms with reservations the base never changes; otherwise `grow` may move it.
    """

    @property
    def record(self) -> int:
        """Address of the memory record."""
        raise NotImplementedError

    @property
    def base(self) -> int:
        raise NotImplementedError

    @property
    def length(self) -> int:
        """Bytes accessible now."""
        raise NotImplementedError

    def grow(self, length: int) -> bool:
        """Make it `length` bytes (new ones zero). False if the system refuses or `length` exceeds the maximum."""
        raise NotImplementedError

    def release(self) -> None:
        """Give the pages back. The record's length becomes 0. Must not be called while code may still use it; called by the
        finaliser otherwise."""
        raise NotImplementedError
