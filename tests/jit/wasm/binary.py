"""Writing modules in the binary format, for tests that need bytes which no tool would write."""

from __future__ import annotations

from typing import Final

HEADER: Final = b"\0asm\1\0\0\0"
I32: Final = b"\x7f"
I64: Final = b"\x7e"
F64: Final = b"\x7c"
FUNCREF: Final = b"\x70"
END: Final = b"\x0b"


def leb(value: int) -> bytes:
    """Unsigned LEB128."""
    out = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        if not value:
            out.append(byte)
            return bytes(out)
        out.append(byte | 0x80)


def sleb(value: int) -> bytes:
    """Signed LEB128."""
    out = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        if value == (-1 if byte & 0x40 else 0):
            out.append(byte)
            return bytes(out)
        out.append(byte | 0x80)


def padded(data: bytes, size: int) -> bytes:
    """An unsigned LEB128 number made `size` bytes long."""
    out = bytearray(data)
    while len(out) < size:
        out[-1] |= 0x80
        out.append(0)
    return bytes(out)


def sized(content: bytes) -> bytes:
    return leb(len(content)) + content


def vector(items: list[bytes]) -> bytes:
    return leb(len(items)) + b"".join(items)


def name(text: str) -> bytes:
    return sized(text.encode())


def section(number: int, content: bytes) -> bytes:
    return bytes([number]) + sized(content)


def custom(title: str, content: bytes) -> bytes:
    return section(0, name(title) + content)


def types(*signatures: tuple[bytes, bytes]) -> bytes:
    """The type section: parameter and result types as strings of bytes."""
    return section(1, vector([b"\x60" + sized(params) + sized(results) for params, results in signatures]))


def functions(*type_indices: int) -> bytes:
    return section(3, vector([leb(index) for index in type_indices]))


def code(*bodies: bytes) -> bytes:
    """The code section. A body begins with its local declarations."""
    return section(10, vector([sized(body) for body in bodies]))


def local_decls(*groups: tuple[int, bytes]) -> bytes:
    return vector([leb(count) + type for count, type in groups])


def one_function(
    body: bytes, params: bytes = b"", results: bytes = b"", locals: bytes = b"\0", memory: int = -1
) -> bytes:
    """A module with one function; `body` comes without its last `end`."""
    memories = section(5, vector([b"\0" + leb(memory)])) if memory >= 0 else b""
    return HEADER + types((params, results)) + functions(0) + memories + code(locals + body + END)
