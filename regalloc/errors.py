"""What the allocator raises. Either means a bug, in the client's code or here; never something about the user's program."""

from __future__ import annotations

from typing import final


class RegAllocError(Exception):
    """The code breaks an invariant of `operand`, or its constraints cannot be met."""


@final
class CheckError(RegAllocError):
    """The checker found that an allocation does not compute what the code says."""
