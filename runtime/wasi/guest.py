"""The guest's memory as the WASI functions see it: bounds-checked reads and writes of records and strings."""

from __future__ import annotations

from struct import Struct
from struct import error as struct_error
from typing import Final, final

from brolga.ir.errors import WasmtimeError

from .abi import ILSEQ, NAMETOOLONG, OVERFLOW, WasiError

MOST_BUFFERS: Final = 1024  # of one call: what `readv` and `writev` take
LONGEST_PATH: Final = 4095  # bytes: PATH_MAX without the zero at the end

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
        """Write a record; its alignment is that of its largest field. A number that its field cannot hold is an error of the call."""
        _aligned(address, 8 if "Q" in layout.format else 4)
        place = self.slice(address, layout.size)
        try:
            layout.pack_into(place, 0, *fields)
        except struct_error:
            raise WasiError(OVERFLOW) from None

    def set_u32(self, address: int, value: int) -> None:
        self.pack(_U32, address, value)

    def set_u64(self, address: int, value: int) -> None:
        self.pack(_U64, address, value)

    def path(self, address: int, size: int) -> bytes:
        """A path name, which must be UTF-8."""
        place = self.slice(address, size)
        if size > LONGEST_PATH:
            raise WasiError(NAMETOOLONG)
        path = bytes(place)
        try:
            path.decode("utf-8")
        except UnicodeDecodeError:
            raise WasiError(ILSEQ) from None
        return path

    def buffers(self, iovs: int, count: int) -> list[memoryview]:
        """The buffers of an array of `count` (address, length) pairs, of which the first MOST_BUFFERS are looked at: a call may
        handle less than it is asked for. Empty ones are left out."""
        _aligned(iovs, 4)
        array = self.slice(iovs, 8 * count)[: 8 * MOST_BUFFERS]
        pairs = memoryview(bytes(array)).cast("I")
        return [self.slice(pairs[i], pairs[i + 1]) for i in range(0, len(pairs), 2) if pairs[i + 1]]


def _aligned(address: int, alignment: int) -> None:
    if address % alignment:
        raise GuestFault(f"Pointer not aligned to {alignment}: {address}")
