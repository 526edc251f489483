"""The guest's memory as the WASI functions see it: bounds-checked reads and writes of records and strings."""

from __future__ import annotations

from struct import Struct
from typing import Final, final

from brolga.ir.errors import WasmtimeError

from .abi import ILSEQ, WasiError

_U32: Final = Struct("<I")
_U64: Final = Struct("<Q")


class GuestFault(WasmtimeError):
    """The guest passed a pointer outside of its memory: as in the witx rules, the call traps."""


@final
class GuestMemory:
    """Little-endian access to `view`, a writable view of the bytes of the memory at the time of the call.

    Addresses of numbers and records must be aligned as C aligns them; the call traps otherwise.
    """

    __slots__ = ("_size", "view")

    def __init__(self, view: memoryview) -> None:
        self.view = view
        self._size = len(view)

    def slice(self, address: int, size: int) -> memoryview:
        """The bytes [address, address + size), checked, not copied."""
        if address + size > self._size:
            raise GuestFault(f"Pointer out of bounds: Region {{ start: {address}, len: {size} }}")
        return self.view[address : address + size]

    def read(self, address: int, size: int) -> bytes:
        return bytes(self.slice(address, size))

    def write(self, address: int, data: bytes) -> None:
        self.slice(address, len(data))[:] = data

    def pack(self, layout: Struct, address: int, *fields: int) -> None:
        """Write a record; its alignment is that of its largest field."""
        _aligned(address, 8 if "Q" in layout.format else 4)
        layout.pack_into(self.slice(address, layout.size), 0, *fields)

    def set_u32(self, address: int, value: int) -> None:
        _aligned(address, 4)
        _U32.pack_into(self.slice(address, 4), 0, value)

    def set_u64(self, address: int, value: int) -> None:
        _aligned(address, 8)
        _U64.pack_into(self.slice(address, 8), 0, value)

    def path(self, address: int, size: int) -> bytes:
        """A path name, which must be UTF-8."""
        path = self.read(address, size)
        try:
            path.decode("utf-8")
        except UnicodeDecodeError:
            raise WasiError(ILSEQ) from None
        return path

    def buffers(self, iovs: int, count: int) -> list[memoryview]:
        """The buffers of an array of `count` (address, length) pairs, empty ones left out."""
        _aligned(iovs, 4)
        pairs = memoryview(self.read(iovs, 8 * count)).cast("I")
        return [self.slice(pairs[i], pairs[i + 1]) for i in range(0, 2 * count, 2) if pairs[i + 1]]


def _aligned(address: int, alignment: int) -> None:
    if address % alignment:
        raise GuestFault(f"Pointer not aligned to {alignment}: {address}")
