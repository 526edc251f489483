from __future__ import annotations

import pytest

from brolga.ir.errors import DecodeError, LimitError, UnsupportedError, ValidationError
from brolga.jit.wasm import limits
from brolga.jit.wasm.decode import decode
from brolga.jit.wasm.reader import read_s32, read_s33, read_s64, read_u32, read_u64
from brolga.jit.wasm.types import CONST_ADD, CONST_GLOBAL_GET, CONST_MUL, CONST_VALUE, Module
from brolga.jit.wasm.validate import validate

from . import binary
from .binary import (
    END,
    FUNCREF,
    HEADER,
    I32,
    code,
    custom,
    functions,
    leb,
    local_decls,
    name,
    padded,
    section,
    sleb,
    types,
    vector,
)

UNSIGNED = [(read_u32, 32), (read_u64, 64)]
SIGNED = [(read_s32, 32), (read_s33, 33), (read_s64, 64)]


@pytest.mark.parametrize(("read", "bits"), UNSIGNED)
def test_unsigned_numbers_of_every_length(read: object, bits: int) -> None:
    assert callable(read)
    for shift in range(bits):
        for value in {1 << shift, (1 << shift) - 1, (2 << shift) - 1}:
            for size in range(len(leb(value)), -(-bits // 7) + 1):
                data = padded(leb(value), size)
                assert read(b"\xff" + data + b"\xff", 1) == (value, 1 + size)
    with pytest.raises(DecodeError, match="integer too large"):
        read(leb(1 << bits), 0)
    with pytest.raises(DecodeError, match="integer representation too long"):
        read(padded(b"\0", -(-bits // 7) + 1), 0)
    for size in range(1, -(-bits // 7)):
        with pytest.raises(IndexError):
            read(b"\x80" * size, 0)


@pytest.mark.parametrize(("read", "bits"), SIGNED)
def test_signed_numbers_of_every_length(read: object, bits: int) -> None:
    assert callable(read)
    longest = -(-bits // 7)
    for shift in range(bits - 1):
        for value in {1 << shift, (1 << shift) - 1, -(1 << shift), -(1 << shift) - 1}:
            data = sleb(value)
            for size in range(len(data), longest + 1):
                fill = 0x7F if value < 0 else 0
                longer = bytearray(data)
                while len(longer) < size:
                    longer[-1] |= 0x80
                    longer.append(fill)
                assert read(b"\xff" + bytes(longer) + b"\xff", 1) == (value, 1 + size)
    for value in (1 << (bits - 1), -(1 << (bits - 1)) - 1):
        with pytest.raises(DecodeError, match="integer too large"):
            read(sleb(value), 0)
    with pytest.raises(DecodeError, match="integer representation too long"):
        read(b"\x80" * longest + b"\0", 0)


def test_custom_sections_are_kept() -> None:
    data = HEADER + custom("one", b"abc") + types() + custom("", b"") + custom("one", b"d")
    module = decode(data)
    assert [(entry.name, data[entry.start : entry.end]) for entry in module.customs] == [
        ("one", b"abc"),
        ("", b""),
        ("one", b"d"),
    ]


def names_section(*subsections: tuple[int, bytes]) -> bytes:
    return custom("name", b"".join(bytes([kind]) + binary.sized(content) for kind, content in subsections))


def name_map(*names: tuple[int, str]) -> bytes:
    return vector([leb(index) + name(text) for index, text in names])


def test_names() -> None:
    local_names = vector([leb(3) + name_map((0, "x"), (5, "y")), leb(4) + name_map()])
    module = decode(
        HEADER
        + names_section((0, name("m")), (1, name_map((3, "f"), (4, "gé"))), (2, local_names), (9, b"unknown to us"))
    )
    assert module.names.module == "m"
    assert module.names.funcs == {3: "f", 4: "gé"}
    assert module.names.locals == {3: {0: "x", 5: "y"}, 4: {}}
    assert module.func_name(3) == "f"
    assert module.func_name(1) == "wasm-function[1]"


@pytest.mark.parametrize(
    "content",
    [
        names_section((0, name("m")), (1, leb(2) + leb(3) + name("f"))),  # one of two names
        names_section((0, name("m")), (1, name_map((3, "f")) + b"\x80")) + names_section((1, b"\x80")),
        custom("name", b"\0" + binary.sized(name("m")) + b"\1" + binary.sized(name_map((3, "f"))) + b"\2\x7f"),
        names_section((0, name("m")), (1, name_map((3, "f"))), (2, b"\1\0\1\0\1\xff")),  # not UTF-8
    ],
)
def test_a_malformed_name_section_only_loses_names(content: bytes) -> None:
    module = decode(HEADER + content)
    assert (module.names.module, module.names.funcs) == ("m", {3: "f"})


def globals_module(*entries: tuple[bytes, bool, bytes]) -> bytes:
    content = [type + bytes([mutable]) + init + END for type, mutable, init in entries]
    return HEADER + section(6, vector(content))


def test_extended_constant_expressions() -> None:
    expression = b"\x23\0" + b"\x41" + sleb(-3) + b"\x6c" + b"\x23\0" + b"\x6a"  # g0 * -3 + g0
    module = decode(globals_module((I32, False, b"\x41\x05"), (I32, False, expression)))
    validate(module)
    steps = [(op.op, op.operand) for op in module.globals[1].init]
    assert steps == [
        (CONST_GLOBAL_GET, 0),
        (CONST_VALUE, 2**32 - 3),
        (CONST_MUL, 0),
        (CONST_GLOBAL_GET, 0),
        (CONST_ADD, 0),
    ]
    assert module.globals[1].init[1].loc == data_offset(module, b"\x41" + sleb(-3))


def data_offset(module: Module, bytes_of_operator: bytes) -> int:
    return module.data.index(bytes_of_operator)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([(I32, False, b"\x23\0")], "unknown global 0"),  # itself
        ([(I32, True, b"\x41\0"), (I32, False, b"\x23\0")], "constant expression required: global 0 is mutable"),
        ([(I32, False, b"\x23\1"), (I32, False, b"\x41\0")], "unknown global 1"),  # a later one
        ([(I32, False, b"\x41\0\x42\0\x6a")], "type mismatch"),
        ([(I32, False, b"\x41\0\x6a")], "type mismatch"),
        ([(I32, False, b"\x41\0\x41\0")], "type mismatch"),
        ([(I32, False, b"")], "type mismatch"),
        ([(binary.I64, False, b"\x41\0")], "type mismatch"),
        ([(I32, False, b"\x41\0\x45")], "constant expression required"),  # i32.eqz
        ([(FUNCREF, False, b"\xd2\0")], "unknown function 0"),
        ([(FUNCREF, False, b"\xd0\x6f")], "type mismatch"),
    ],
)
def test_invalid_constant_expressions(entries: list[tuple[bytes, bool, bytes]], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        validate(decode(globals_module(*entries)))
    assert caught.value.message.startswith(message)
    assert caught.value.offset >= 8


@pytest.mark.parametrize(
    ("data", "offset", "message"),
    [
        (HEADER + b"\1\5\1\x60", 9, "length out of bounds"),
        (HEADER + section(1, b"\1\x61\0\0"), 11, "malformed definition type"),
        (HEADER + section(1, b"\1\x60\1\x01\0"), 13, "malformed value type"),
        (HEADER + section(7, vector([name("a") + b"\x07\0"])), 13, "malformed export kind"),
        (HEADER + section(9, b"\1\x08"), 11, "malformed elements segment kind"),
        (HEADER + section(9, b"\1\1\1\0"), 12, "malformed element kind"),
        (HEADER + section(11, b"\1\3\0"), 11, "malformed data segment kind"),
        (HEADER + section(6, b"\1\x7f\2\x41\0\x0b"), 12, "malformed mutability"),
        (HEADER + section(2, vector([name("\x61") + b"\1\xff\0\0"])), 14, "malformed UTF-8 encoding"),
        (
            HEADER + custom("ok", b"") + section(3, b"\0") + section(1, b"\0"),
            16,
            "unexpected content after last section",
        ),
        (HEADER + section(6, b"\1\xd0"), 11, "malformed value type"),
        (HEADER + section(6, b"\1\x70\0\xd0\x60\x0b"), 14, "malformed heap type"),
        (HEADER + section(6, b"\1\x7f\0\x27\x0b"), 13, "illegal opcode 27"),
        (HEADER + section(6, b"\1\x7f\0\x41\0"), 15, "unexpected end"),
    ],
)
def test_errors_say_where(data: bytes, offset: int, message: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(data)
    assert caught.value.message.startswith(message)
    assert caught.value.offset == offset


def test_a_component_is_told_apart() -> None:
    with pytest.raises(UnsupportedError, match="component"):
        decode(b"\0asm\x0d\0\1\0")


@pytest.mark.parametrize(
    ("content", "proposal"),
    [
        (types((b"\x7b", b"")), "SIMD"),
        (types((b"\x6e", b"")), "garbage collection"),
        (types((b"\x69", b"")), "exception handling"),
        (section(1, b"\1\x60\1\x63\x70\0"), "typed function references"),
        (section(1, b"\1\x60\0\1\x64\0"), "typed function references"),
        (section(1, b"\1\x5f\1\x7f\0"), "garbage collection"),
        (section(1, b"\1\x4e\0"), "garbage collection"),
        (section(5, b"\1\3\0\1"), "threads"),
        (section(5, b"\1\4\0"), "memory64"),
        (section(5, b"\2\0\0\0\0"), "multiple memories"),
        (section(4, b"\1\x40\0\x70\0\0\xd0\x70\x0b"), "typed function references"),
        (types((b"", b"")) + section(13, b"\1\0\0"), "exception handling"),
        (types((b"", b"")) + section(2, vector([name("a") + name("b") + b"\4\0\0"])), "exception handling"),
        (section(6, b"\1\x70\0\xd0\x6e\x0b"), "garbage collection"),
        (section(6, b"\1\x7f\0\xfd\x0c" + bytes(16) + b"\x0b"), "SIMD"),
        (section(6, b"\1\x7f\0\xfb\x1c\x0b"), "garbage collection"),
    ],
)
def test_unsupported_proposals_are_refused_by_name(content: bytes, proposal: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        validate(decode(HEADER + content))
    assert caught.value.message.startswith(proposal)
    assert caught.value.offset >= 8


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (types((I32 * 1001, b"")), "1001 parameters"),
        (types((b"", I32 * 1001)), "1001 results"),
        (section(1, leb(1_000_001) + bytes(1_000_001)), "1000001 types"),
        (section(2, leb(1_000_001) + bytes(1_000_001)), "1000001 imports"),
        (section(3, leb(1_000_001) + bytes(1_000_001)), "1000001 functions"),
        (section(7, leb(1_000_001) + bytes(1_000_001)), "1000001 exports"),
        (section(6, leb(1_000_001) + bytes(1_000_001)), "1000001 globals"),
        (section(4, leb(100_001) + bytes(100_001)), "100001 tables"),
        (section(9, leb(100_001) + bytes(100_001)), "100001 element segments"),
        (section(9, b"\1\1\0" + leb(10_000_001) + bytes(10_000_001)), "10000001 elements"),
        (section(11, leb(100_001) + bytes(100_001)), "100001 data segments"),
        (section(7, b"\1" + leb(100_001) + b"a" * 100_001), "name of 100001 bytes"),
        (types((b"", b"")) + functions(0) + code(bytes(7_654_322)), "function of 7654322 bytes"),
    ],
)
def test_limits(content: bytes, words: str) -> None:
    with pytest.raises(LimitError) as caught:
        decode(HEADER + content)
    assert words in caught.value.message
    assert "limit" in caught.value.message


@pytest.mark.parametrize("number", [1, 2, 3, 4, 6, 7, 9, 11])
def test_more_elements_than_bytes_are_malformed_and_no_matter_of_limits(number: int) -> None:
    with pytest.raises(DecodeError, match="length out of bounds"):
        decode(HEADER + section(number, leb(0xFFFF_FFFF)))


def test_what_is_at_a_limit_is_accepted() -> None:
    longest = vector([name("a" * limits.MAX_NAME_BYTES) + b"\0\0"])
    params = I32 * limits.MAX_PARAMS
    module = decode(
        HEADER
        + types((params, I32 * limits.MAX_RESULTS), (b"", b""))
        + functions(1)
        + section(7, longest)
        + code(local_decls((limits.MAX_LOCALS, I32)) + END)
    )
    validate(module)


def test_function_references_of_a_segment_are_shared() -> None:
    """A table of ten million entries that all name one function must not take a gigabyte."""
    module = decode(
        HEADER + types((b"", b"")) + functions(0) + section(9, b"\1\1\0" + vector([b"\0"] * 1000)) + code(b"\0\x0b")
    )
    items = module.elements[0].items
    assert len(items) == 1000
    assert all(item is items[0] for item in items)
