"""Reading numbers, names and bytes of the binary format (spec: Binary Format, Values).

LEB128 numbers may be padded up to the size that their type needs at most, as the specification allows. The functions take
bytes and position and return value and next position; reading past the end of the bytes raises IndexError, which the
callers turn into "unexpected end". `Reader` is the same with a position of its own, for all that is not hot.

The first lines of each function read one or two bytes, as nearly all numbers have, and stand in each again: a call to a shared
function would cost more than they do.
"""

from __future__ import annotations

from typing import final

from brolga.ir.errors import DecodeError, LimitError, UnsupportedError

from .limits import MAX_NAME_BYTES

UNEXPECTED_END = "unexpected end of section or function"


def read_u32(data: bytes, pos: int) -> tuple[int, int]:
    byte = data[pos]
    if byte < 0x80:
        return byte, pos + 1
    second = data[pos + 1]
    if second < 0x80:
        return byte & 0x7F | second << 7, pos + 2
    return _read_unsigned(data, pos, 32)


def read_u64(data: bytes, pos: int) -> tuple[int, int]:
    byte = data[pos]
    if byte < 0x80:
        return byte, pos + 1
    return _read_unsigned(data, pos, 64)


def read_s32(data: bytes, pos: int) -> tuple[int, int]:
    byte = data[pos]
    if byte < 0x80:
        return (byte ^ 0x40) - 0x40, pos + 1
    second = data[pos + 1]
    if second < 0x80:
        return ((byte & 0x7F | second << 7) ^ 0x2000) - 0x2000, pos + 2
    return _read_signed(data, pos, 32)


def read_s33(data: bytes, pos: int) -> tuple[int, int]:
    return _read_signed(data, pos, 33)


def read_s64(data: bytes, pos: int) -> tuple[int, int]:
    byte = data[pos]
    if byte < 0x80:
        return (byte ^ 0x40) - 0x40, pos + 1
    second = data[pos + 1]
    if second < 0x80:
        return ((byte & 0x7F | second << 7) ^ 0x2000) - 0x2000, pos + 2
    return _read_signed(data, pos, 64)


def _read_unsigned(data: bytes, pos: int, bits: int) -> tuple[int, int]:
    start = pos
    shift = 0
    value = 0
    while shift < bits:
        byte = data[pos]
        pos += 1
        if shift + 7 > bits and (byte & 0x7F) >> (bits - shift):
            raise DecodeError("integer too large", start)
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, pos
        shift += 7
    raise DecodeError("integer representation too long", start)


def _read_signed(data: bytes, pos: int, bits: int) -> tuple[int, int]:
    start = pos
    shift = 0
    value = 0
    while shift < bits:
        byte = data[pos]
        pos += 1
        if shift + 7 > bits:
            # The unused bits of the last byte must repeat the sign bit.
            unused = (-1 << (bits - shift - 1)) & 0x7F
            if byte & unused != 0 and byte & unused != unused:
                raise DecodeError("integer too large", start)
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            if byte & 0x40:
                value -= 1 << shift
            return value, pos
    raise DecodeError("integer representation too long", start)


@final
class Reader:
    """A position in the module's bytes. Like the specification's decoder it sees the whole module: that a section
    ended where it says is checked afterwards, so running over an end is 'section size mismatch' or 'unexpected end'."""

    __slots__ = ("data", "pos", "end", "refusal")

    def __init__(self, data: bytes, pos: int, end: int) -> None:
        self.data = data
        self.pos = pos
        self.end = end
        self.refusal: UnsupportedError | None = None  # the first that was put off

    def refuse_later(self, message: str, loc: int) -> None:
        """Something unsupported was read that does not keep from reading on (Module.refusal)."""
        if self.refusal is None:
            self.refusal = UnsupportedError(message, loc)

    def byte(self) -> int:
        pos = self.pos
        if pos >= self.end:
            raise DecodeError(UNEXPECTED_END, pos)
        self.pos = pos + 1
        return self.data[pos]

    def u32(self) -> int:
        pos = self.pos
        if pos < self.end:
            byte = self.data[pos]
            if byte < 0x80:  # most are
                self.pos = pos + 1
                return byte
        try:
            value, self.pos = read_u32(self.data, pos)
        except IndexError:
            raise DecodeError(UNEXPECTED_END, pos) from None
        if self.pos > self.end:
            raise DecodeError(UNEXPECTED_END, pos)
        return value

    def u64(self) -> int:
        pos = self.pos
        try:
            value, self.pos = read_u64(self.data, pos)
        except IndexError:
            raise DecodeError(UNEXPECTED_END, pos) from None
        if self.pos > self.end:
            raise DecodeError(UNEXPECTED_END, pos)
        return value

    def signed(self, bits: int) -> int:
        pos = self.pos
        try:
            value, self.pos = _read_signed(self.data, pos, bits)
        except IndexError:
            raise DecodeError(UNEXPECTED_END, pos) from None
        if self.pos > self.end:
            raise DecodeError(UNEXPECTED_END, pos)
        return value

    def skip(self, count: int) -> int:
        """Step over `count` bytes; their start."""
        pos = self.pos
        if count > self.end - pos:
            raise DecodeError(UNEXPECTED_END, pos)
        self.pos = pos + count
        return pos

    def count(self, maximum: int, what: str) -> int:
        """The length of a vector of which at most `maximum` elements are accepted."""
        pos = self.pos
        value = self.u32()
        if value > maximum:
            if value > self.end - self.pos:  # no element takes less than a byte
                raise DecodeError("length out of bounds", pos)
            raise LimitError(f"{value} {what}, the limit is {maximum}", pos)
        return value

    def name(self) -> str:
        pos = self.pos
        size = self.u32()
        start = self.pos
        if size > self.end - start:
            raise DecodeError("length out of bounds", pos)
        if size > MAX_NAME_BYTES:
            raise LimitError(f"name of {size} bytes, the limit is {MAX_NAME_BYTES}", pos)
        self.pos = start + size
        try:
            return self.data[start : start + size].decode("utf-8")
        except UnicodeDecodeError as error:
            raise DecodeError("malformed UTF-8 encoding", start + error.start) from None
