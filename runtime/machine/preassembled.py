"""Hand-written machine code, kept from one process to the next, beside the bytecode of this package.

A routine has a name, which says all that its text depends on but for the source and for the addresses named in it. Those differ
from process to process, so the bytes are kept with fixups: places where an address stands, or the distance to it. They are
found by assembling the text again with each address moved by its own small distance, and proven by assembling it with all
addresses elsewhere. Text for which that fails is not kept. As with bytecode, nothing is written where Python may not write it,
and whatever is wrong with the file makes it not be there.
"""

from __future__ import annotations

import atexit
import marshal
import os
import stat
import sys
from collections.abc import Callable, Mapping
from typing import Final

from brolga.jit import builtins
from brolga.jit.cache_format import DIGEST_SIZE, digest
from brolga.jit.wasm import types as wasm_types
from brolga.jit.x64 import abi

from ..build import marks_of
from ..platform import linux

ABSOLUTE: Final = 8  # sizes of the fields, which tell their kinds: an address, or the distance from the field's end
NEAR: Final = 4
SHORT: Final = 1

_MOST_ADDRESSES: Final = 200  # each has its own distance below 256
_LARGEST_ADDEND: Final = 1 << 16
_MOST_ROUTINES: Final = 1000
_MOST_NEW: Final = 200  # of one process, which assembles them again when it ends
_ELSEWHERE: Final = 0x1234_5000
_HEADER: Final = b"brolga routines 2\n"

Fixup = tuple[int, int, str, int]  # place, size, name, addend
Routine = tuple[bytes, tuple[Fixup, ...]]
# The text with an address for each name, assembled to stand at an address.
Assemble = Callable[[Mapping[str, int], int], bytes]


class OutOfReachError(Exception):
    """An address is not known, or too far for the field that is to hold the distance."""


def link(routine: Routine, addresses: Mapping[str, int], base: int) -> bytes:
    """The bytes for these addresses. Raises OutOfReachError."""
    code, fixups = routine
    if not fixups:
        return code
    linked = bytearray(code)
    for place, size, name, addend in fixups:
        if name not in addresses:
            raise OutOfReachError
        value = addresses[name] + addend
        if size != ABSOLUTE:
            value -= base + place + size
        try:
            linked[place : place + size] = value.to_bytes(size, "little", signed=size != ABSOLUTE)
        except OverflowError as error:
            raise OutOfReachError from error
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
    try:
        proof = link(routine, elsewhere, base + _ELSEWHERE + 64)
    except OutOfReachError:  # so it would be seen
        return routine
    return routine if proof == assemble(elsewhere, base + _ELSEWHERE + 64) else None


class Shelf:
    """Routines by name, in a file. They are forgotten if they come from another `source`, which is empty if nothing tells it from
    others: then none are kept."""

    def __init__(self, path: str, source: Callable[[], str]) -> None:
        self._path = path
        self._source = source
        self._first_source: str | None = None  # when a routine was first wanted: texts are imported after that
        self._routines: dict[str, Routine] | None = None
        self._new: dict[str, Callable[[], Routine | None]] = {}

    def find(self, name: str) -> Routine | None:
        """The routine, if it is there."""
        if self._routines is None:
            self._routines = self._read()
        routine = self._routines.get(name)
        return routine if routine is not None and _is_routine(routine) else None

    def add(self, name: str, make: Callable[[], Routine | None]) -> None:
        """Keep what `make` yields when the shelf is written."""
        if self._first_source is None:
            self._first_source = self._source()
        if len(self._new) < _MOST_NEW:
            self._new.setdefault(name, make)

    def _read(self) -> dict[str, Routine]:
        if self._first_source is None:
            self._first_source = self._source()
        data = _read_private(self._path)
        start = len(_HEADER) + DIGEST_SIZE
        if not data.startswith(_HEADER) or digest(data[start:]) != data[len(_HEADER) : start]:
            return {}
        try:
            content = marshal.loads(data[start:])
        except (ValueError, TypeError, EOFError):
            return {}
        if not (isinstance(content, tuple) and len(content) == 2 and isinstance(content[1], dict)):
            return {}
        source, routines = content
        return routines if source and source == self._first_source else {}

    def write(self) -> None:
        """Write what is new, with what is there."""
        if not self._new or sys.dont_write_bytecode or not self._path:
            return
        new, self._new = self._new, {}
        found = self._source()
        if not found or found != self._first_source:
            return  # some texts may be of the one, and some of the other
        routines = self._read()  # others may have written
        if len(routines) + len(new) > _MOST_ROUTINES:
            routines.clear()  # most are of settings that are not used any more
        for name, make in new.items():
            routine = make()
            if routine is not None:
                routines[name] = routine
        data = marshal.dumps((found, routines))
        temporary = f"{self._path}.{os.getpid()}"
        try:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            try:
                with open(temporary, "xb", opener=_open_private) as file:
                    file.write(_HEADER + digest(data) + data)
                os.replace(temporary, self._path)
            except BaseException:
                if os.path.exists(temporary):
                    os.unlink(temporary)
                raise
        except OSError:
            pass


# What is read is run: as with code of the cache, only what nobody else could have written. An installation may be root's.


def _read_private(path: str) -> bytes:
    """The bytes of a regular file that is this user's or root's, and that no others may write to; else none."""
    try:
        with open(path, "rb", opener=_open_no_link) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                return b""
            return file.read() if status.st_uid in (0, os.geteuid()) else b""
    except OSError:
        return b""


def _open_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)


def _is_routine(thing: object) -> bool:
    """Whether something that was read is what `link` takes."""
    if not (isinstance(thing, tuple) and len(thing) == 2 and isinstance(thing[0], bytes)):
        return False
    code, fixups = thing
    return isinstance(fixups, tuple) and all(_is_fixup(fixup, len(code)) for fixup in fixups)


def _is_fixup(thing: object, length: int) -> bool:
    if not (isinstance(thing, tuple) and len(thing) == 4):
        return False
    place, size, name, addend = thing
    numbers = isinstance(place, int) and isinstance(addend, int) and size in (ABSOLUTE, NEAR, SHORT)
    return numbers and isinstance(name, str) and 0 <= place <= length - size


def _beside_bytecode() -> str:
    """In the directory of this module's bytecode, for this version of Python."""
    cached = __spec__.cached if __spec__ is not None else None
    return os.path.splitext(cached)[0] + ".routines" if cached else ""


def _source() -> str:
    """Of the texts, and of what they are made with: numbers that they have from elsewhere, and where arguments are."""
    return marks_of("runtime/machine", modules=(abi, builtins, linux, wasm_types))


SHELF: Final = Shelf(_beside_bytecode(), _source)
atexit.register(SHELF.write)
