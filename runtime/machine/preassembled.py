"""Hand-written machine code, kept from one process to the next, beside the bytecode of this package.

What the assembler makes of a text depends on the addresses named in it, which differ from process to process. So the bytes are
kept with fixups: places where an address stands, or the distance to it. They are found by assembling the text again with each
address moved by its own small distance, and proven by assembling it with all addresses elsewhere. Text for which that
fails is not kept. As with bytecode, nothing is written where Python may not write it, and whatever is wrong with the
file makes it not be there.
"""

from __future__ import annotations

import atexit
import marshal
import os
import sys
from collections.abc import Callable, Mapping
from typing import Final

from brolga.jit.cache_format import DIGEST_SIZE, digest

ABSOLUTE: Final = 8  # sizes of the fields, which tell their kinds: an address, or the distance from the field's end
NEAR: Final = 4
SHORT: Final = 1

_MOST_ADDRESSES: Final = 200  # each has its own distance below 256
_LARGEST_ADDEND: Final = 1 << 16
_MOST_ROUTINES: Final = 1000
_ELSEWHERE: Final = 0x1234_5000
_HEADER: Final = b"brolga routines 1\n"

Fixup = tuple[int, int, str, int]  # place, size, name, addend
Routine = tuple[bytes, tuple[Fixup, ...]]
# The text with an address for each name, assembled to stand at an address.
Assemble = Callable[[Mapping[str, int], int], bytes]


def link(routine: Routine, addresses: Mapping[str, int], base: int) -> bytes | None:
    """The bytes for these addresses. None if one is out of reach."""
    code, fixups = routine
    if not fixups:
        return code
    linked = bytearray(code)
    for place, size, name, addend in fixups:
        value = addresses[name] + addend
        if size != ABSOLUTE:
            value -= base + place + size
        try:
            linked[place : place + size] = value.to_bytes(size, "little", signed=size != ABSOLUTE)
        except OverflowError:
            return None
    return bytes(linked)


def analyse(assemble: Assemble, addresses: Mapping[str, int], base: int, code: bytes) -> Routine | None:
    """The routine whose bytes, for these addresses, are `code`. None if fixups cannot express it."""
    names = list(addresses)
    if len(names) > _MOST_ADDRESSES:
        return None
    moved = assemble({name: addresses[name] + i + 1 for i, name in enumerate(names)}, base)
    if len(moved) != len(code):
        return None
    fixups: list[Fixup] = []
    place = 0
    while place < len(code):
        difference = (moved[place] - code[place]) & 0xFF
        if difference == 0:
            place += 1
            continue
        if difference > len(names):
            return None
        name = names[difference - 1]
        for size in (ABSOLUTE, NEAR, SHORT):
            field = code[place : place + size]
            addend = int.from_bytes(field, "little", signed=size != ABSOLUTE) - addresses[name]
            if size != ABSOLUTE:
                addend += base + place + size
            if len(field) == size and -_LARGEST_ADDEND < addend < _LARGEST_ADDEND:
                fixups.append((place, size, name, addend))
                place += size
                break
        else:
            return None
    routine = (code, tuple(fixups))
    elsewhere = {name: address + _ELSEWHERE + 16 * i for i, (name, address) in enumerate(addresses.items())}
    proof = link(routine, elsewhere, base + _ELSEWHERE + 64)
    return routine if proof is None or proof == assemble(elsewhere, base + _ELSEWHERE + 64) else None


class Shelf:
    """Routines by the digest of their text, in a file."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._routines: dict[bytes, Routine] | None = None
        self._new: dict[bytes, Callable[[], Routine | None]] = {}

    def find(self, key: bytes) -> Routine | None:
        """The routine, if it is there."""
        if self._routines is None:
            self._routines = self._read()
        return self._routines.get(key)

    def add(self, key: bytes, make: Callable[[], Routine | None]) -> None:
        """Keep what `make` yields when the shelf is written."""
        self._new.setdefault(key, make)

    def _read(self) -> dict[bytes, Routine]:
        try:
            with open(self._path, "rb") as file:
                data = file.read()
        except OSError:
            return {}
        start = len(_HEADER) + DIGEST_SIZE
        if not data.startswith(_HEADER) or digest(data[start:]) != data[len(_HEADER) : start]:
            return {}
        routines: dict[bytes, Routine] = marshal.loads(data[start:])
        return routines

    def write(self) -> None:
        """Write what is new, with what is there."""
        if not self._new or sys.dont_write_bytecode or not self._path:
            return
        new, self._new = self._new, {}
        routines = self._read()  # others may have written
        if len(routines) + len(new) > _MOST_ROUTINES:
            routines.clear()  # most are of texts that have changed
        for key, make in new.items():
            routine = make()
            if routine is not None:
                routines[key] = routine
        data = marshal.dumps(routines)
        temporary = f"{self._path}.{os.getpid()}"
        try:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            try:
                with open(temporary, "xb") as file:
                    file.write(_HEADER + digest(data) + data)
                os.replace(temporary, self._path)
            except BaseException:
                if os.path.exists(temporary):
                    os.unlink(temporary)
                raise
        except OSError:
            pass


def _beside_bytecode() -> str:
    """In the directory of this module's bytecode, for this version of Python."""
    cached = __spec__.cached if __spec__ is not None else None
    return os.path.splitext(cached)[0] + ".routines" if cached else ""


SHELF: Final = Shelf(_beside_bytecode())
atexit.register(SHELF.write)
