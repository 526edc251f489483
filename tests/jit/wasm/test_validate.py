from __future__ import annotations

import pytest

from brolga.ir.errors import DecodeError, LimitError, UnsupportedError, ValidationError
from brolga.jit.wasm import limits
from brolga.jit.wasm.decode import decode
from brolga.jit.wasm.opcodes import (
    CALL_REF,
    IMMEDIATES,
    OPERATOR_COUNT,
    OPERATOR_NAMES,
    PROPOSALS,
    REF_AS_NON_NULL,
    REFUSED,
)
from brolga.jit.wasm.validate import validate, validate_declarations, validate_function
from brolga.runtime.text import wat2wasm

from .binary import (
    END,
    F64,
    HEADER,
    I32,
    I64,
    code,
    custom,
    functions,
    leb,
    local_decls,
    one_function,
    section,
    types,
    vector,
)

VOID_BLOCK = b"\x02\x40"
LOOP = b"\x03\x40"
DROP = b"\x1a"
UNREACHABLE = b"\x00"


def check(data: bytes) -> None:
    validate(decode(data))


def check_text(text: str) -> None:
    check(bytes(wat2wasm(text)))


def body_start(data: bytes) -> int:
    return decode(data).bodies[0].start


@pytest.mark.parametrize(
    ("before", "operator", "message"),
    [
        (b"", b"\x20\1", "unknown local 1"),
        (b"\x41\0", b"\x21\x80\x02", "unknown local 256"),
        (b"", b"\x23\0", "unknown global 0"),
        (b"", b"\x10\7", "unknown function 7"),
        (b"", b"\x0c\1", "unknown label 1"),
        (b"\x41\0", b"\x0d\2", "unknown label 2"),
        (b"\x41\0", b"\x0e\1\0\3", "unknown label 3"),
        (b"\x41\0", b"\x11\0\0", "unknown table 0"),
        (b"", b"\x02\5", "unknown type 5"),
        (b"\x41\0", b"\x28\2\0", "unknown memory 0"),
        (b"", b"\x3f\0", "unknown memory 0"),
        (b"", b"\xd2\0", "undeclared function reference 0"),
        (b"", b"\xd2\7", "unknown function 7"),
        (b"", b"\xfc\x0d\0", "unknown elem segment 0"),
        (b"", b"\xfc\x10\2", "unknown table 2"),
        (b"", b"\x6a", "type mismatch: expected i32, found nothing"),
        (b"\x42\0", b"\x45", "type mismatch: expected i32, found i64"),
        (b"\x41\0\x41\0\x41\0", b"\x1c\2\x7f\x7f", "invalid result arity"),
        (b"\xd0\x70\xd0\x70\x41\0", b"\x1b", "type mismatch: select without type on references"),
        (b"\x41\0", b"\xd1", "type mismatch: expected a reference, found i32"),
        (b"\x41\0", b"\x0b", "type mismatch: values remaining on stack at end of block"),
    ],
)
def test_invalid_operators(before: bytes, operator: bytes, message: str) -> None:
    data = one_function(before + operator)
    with pytest.raises(ValidationError) as caught:
        check(data)
    assert caught.value.message.startswith(message)
    assert caught.value.offset == body_start(data) + 1 + len(before)
    assert caught.value.func == 0


@pytest.mark.parametrize(
    ("operator", "message"),
    [
        (b"\x41\x80\x80\x80\x80\x80\0", "integer representation too long"),
        (b"\x41\xff\xff\xff\xff\x1f", "integer too large"),
        (b"\x42" + b"\xff" * 9 + b"\x02", "integer too large"),
        (b"\x20\x80\x80\x80\x80\x10", "integer too large"),
        (b"\x27", "illegal opcode 27"),
        (b"\xff", "illegal opcode ff"),
        (b"\xfc\x1f", "illegal opcode fc 1f"),
        (b"\xfc\x80\x7d", "illegal opcode fc 3e80"),
        (b"\x05", "END opcode expected"),
        (b"\x02\xc0\x7f", "malformed block type"),
        (b"\x02\x7a", "malformed value type"),
        (b"\xfc\x09\0", "data count section required"),
        (b"\x0b\x01", "section size mismatch"),
    ],
)
def test_malformed_operators(operator: bytes, message: str) -> None:
    data = one_function(UNREACHABLE + operator)
    with pytest.raises(DecodeError) as caught:
        check(data)
    assert caught.value.message.startswith(message)
    assert caught.value.func == 0
    assert caught.value.offset >= body_start(data)


@pytest.mark.parametrize("body", [b"\0", b"\0" + VOID_BLOCK + END, b"\0" + UNREACHABLE + b"\x41"])
def test_bodies_that_end_too_early(body: bytes) -> None:
    before = HEADER + types((b"", b"")) + functions(0, 0)
    whole = b"\0" + END
    for data, message in [
        (before + code(body, whole), "END opcode expected"),
        (before + code(whole, body), "unexpected end of section or function"),
        (before + code(whole, body) + custom("", b""), "section size mismatch"),
    ]:
        with pytest.raises(DecodeError) as caught:
            check(data)
        assert caught.value.message.startswith(message)


@pytest.mark.parametrize("op", [op for op in range(OPERATOR_COUNT) if PROPOSALS[op]], ids=lambda op: OPERATOR_NAMES[op])
def test_operators_of_other_proposals_are_refused_by_name(op: int) -> None:
    encoded = bytes([op]) if op < 0x100 else b"\xfc" + leb(op - 0x100)
    immediates = b"\0" if op == CALL_REF else b""
    with pytest.raises(UnsupportedError) as caught:
        check(one_function(UNREACHABLE + encoded + immediates + DROP))
    assert caught.value.message == f"{PROPOSALS[op]}: {OPERATOR_NAMES[op]}"
    assert caught.value.func == 0
    # Those that are understood are refused only if the module is valid otherwise.
    if IMMEDIATES[op] != REFUSED:
        assert op in (CALL_REF, REF_AS_NON_NULL)
        with pytest.raises(ValidationError, match="unknown function 9"):
            check(one_function(UNREACHABLE + encoded + immediates + b"\x10\x09"))


VALID_UNREACHABLE = [
    "i32.add drop",
    "select drop",
    "i64.const 0 i32.const 0 select drop",
    "br_table 0 0",
    "i64.const 2 i32.const 1 br_table 0",
    "block (result i32) unreachable br_table 0 0 end drop",
    "drop drop",
    "local.set 0",
    "local.tee 0 drop",
    "call 0 drop",
    "if (result i32) i32.const 1 else unreachable end drop",
    "loop (param i32) (result f32) drop f32.const 0 end drop",
    "ref.is_null drop",
    "block (result i64) br 1 end drop",
    "f32.const 0 i64.const 1 return",
    "br_if 0",
    "block (result i32 i64) unreachable br_if 0 end drop drop",
]


@pytest.mark.parametrize("body", VALID_UNREACHABLE)
def test_unreachable_code_that_is_valid(body: str) -> None:
    check_text(f"(module (func (param i64) (result i32) unreachable) (func (local i64) unreachable {body}))")


INVALID_UNREACHABLE = [
    "i64.const 0 i32.add drop",
    "i64.const 0 i32.const 0 select i32.eqz drop",
    "i32.const 0 i64.const 0 i32.const 0 select drop",
    "ref.null func i32.const 0 select drop",
    "i32.const 1 local.set 0",
    "block i32.const 1 end",
    "block (result i32) i64.const 1 end drop",
    "block i32.add end",
    "block (result i32) block br_table 0 1 end unreachable end drop",
    "f32.const 0 call 0 drop",
    "i32.const 0 ref.is_null drop",
    "if (result i32) i64.const 0 else i32.const 0 end drop",
    "i64.const 1 br_if 0",
]


@pytest.mark.parametrize("body", INVALID_UNREACHABLE)
def test_unreachable_code_that_is_invalid(body: str) -> None:
    with pytest.raises(ValidationError, match="type mismatch"):
        check_text(f"(module (func (param i64) (result i32) unreachable) (func (local i64) unreachable {body}))")


def test_references_and_escaping_functions() -> None:
    data = wat2wasm(
        """(module
             (import "" "f" (func $imported))
             (global funcref (ref.func $global))
             (table 2 funcref)
             (elem (i32.const 0) $element $imported)
             (elem declare func $declared)
             (func $unused)
             (func $global) (func $element) (func $declared)
             (func (export "e") ref.func $declared drop ref.func $imported drop))"""
    )
    module = decode(bytes(data))
    validate(module)
    assert module.declared_refs == {0, 2, 3, 4, 5}
    assert module.escaping == [2, 3, 4, 5]


def test_bodies_one_by_one() -> None:
    data = HEADER + types((b"", b"")) + functions(0, 0) + code(b"\0" + END, b"\0\x6a" + END)
    module = decode(data)
    validate_declarations(module)
    validate_function(module, 0)
    with pytest.raises(ValidationError) as caught:
        validate_function(module, 1)
    assert caught.value.func == 1
    assert str(
        caught.value
    ) == f"type mismatch: expected i32, found nothing in function 1 (at offset 0x{len(data) - 2:x})" or (
        "in function 1" in str(caught.value)
    )


def test_memory_arguments() -> None:
    load = b"\x41\0\x28"
    check(one_function(load + b"\2\0" + DROP, memory=1))
    check(one_function(load + b"\x82\x80\x80\x80\0" + b"\xff\xff\xff\xff\x8f\x80\x80\x80\x80\0" + DROP, memory=1))
    with pytest.raises(ValidationError, match="alignment must not be larger than natural"):
        check(one_function(load + b"\3\0" + DROP, memory=1))
    with pytest.raises(ValidationError, match="offset out of range"):
        check(one_function(load + b"\2" + leb(1 << 32) + DROP, memory=1))
    with pytest.raises(DecodeError, match="malformed memop flags"):
        check(one_function(load + b"\x80\1\0" + DROP, memory=1))
    with pytest.raises(UnsupportedError, match="multiple memories: memory index of i32.load"):
        check(one_function(load + b"\x42\0\0" + DROP, memory=1))
    with pytest.raises(ValidationError, match="unknown memory 1"):
        check(one_function(load + b"\x42\1\0" + DROP, memory=1))


def test_locals() -> None:
    groups = local_decls((0, I32), (2, I64), (0, F64), (1, F64))
    for local, opcode in ((1, 0x7C), (2, 0x7C), (3, 0xA0)):  # i64.add, i64.add, f64.add; 0 is the parameter
        get = b"\x20" + leb(local)
        check(one_function(get + get + bytes([opcode]) + DROP, params=I32, locals=groups))
    with pytest.raises(ValidationError, match="unknown local 4"):
        check(one_function(b"\x20\4" + DROP, params=I32, locals=groups))


def test_locals_that_a_short_body_declares_in_excess() -> None:
    """They are not listed one by one, and yet known."""
    groups = local_decls((20_000, I32), (20_000, I64), (9_999, F64))
    for local, opcode in ((0, 0x45), (20_000, 0x45), (20_001, 0x50), (40_000, 0x50), (49_999, 0x9F)):
        get = b"\x20" + leb(local)
        check(one_function(get + bytes([opcode]) + DROP, params=I32, locals=groups))
        with pytest.raises(ValidationError, match="type mismatch"):
            check(one_function(get + b"\x91" + DROP, params=I32, locals=groups))  # f32.sqrt
    with pytest.raises(ValidationError, match="unknown local 50000"):
        check(one_function(b"\x20" + leb(50_000) + DROP, params=I32, locals=groups))
    with pytest.raises(LimitError, match="50001 locals, the limit is 50000"):
        check(one_function(b"", params=I32 * 2, locals=groups))
    with pytest.raises(DecodeError, match="too many locals"):
        check(one_function(b"", locals=local_decls((0xFFFF_FFFF, I32), (1, I32))))


def test_locals_without_default_value() -> None:
    """They need a proposal that is refused; but a body that reads one before setting any is invalid."""
    decls = local_decls((1, I32), (1, b"\x64\x70"), (1, I32), (1, b"\x63\x70"))
    for body in (b"", b"\x20\0\x1a", b"\x20\2\x1a", b"\xd0\x70\x21\1\x20\1\x1a", b"\x06\x20\1"):
        with pytest.raises(UnsupportedError, match="typed function references"):
            check(one_function(body, locals=decls))
    with pytest.raises(ValidationError, match="uninitialized local 1"):
        check(one_function(b"\x20\0\x1a\x20\1\x1a", locals=decls))


def test_nesting_limit() -> None:
    depth = limits.MAX_NESTING
    check(one_function(VOID_BLOCK * depth + END * depth))
    with pytest.raises(LimitError, match="nesting exceeds the limit of 10000"):
        check(one_function(VOID_BLOCK * (depth + 1) + END * (depth + 1)))


def test_br_table_limit() -> None:
    count = limits.MAX_BR_TABLE_TARGETS
    check(one_function(b"\x41\0\x0e" + leb(count) + bytes(count + 1)))
    with pytest.raises(LimitError, match="65521 br_table targets, the limit is 65520"):
        check(one_function(b"\x41\0\x0e" + leb(count + 1) + bytes(count + 2)))


def test_module_level_errors_have_offsets() -> None:
    data = HEADER + types((b"", I32)) + functions(0) + section(8, b"\0") + code(b"\0\x41\0" + END)
    with pytest.raises(ValidationError, match="start function") as caught:
        check(data)
    assert caught.value.offset == data.index(b"\x08\x01\0") + 2
    data = HEADER + types((b"", b"")) + functions(0, 3) + code(b"\0" + END, b"\0" + END)
    with pytest.raises(ValidationError, match="unknown type 3") as caught:
        check(data)
    assert caught.value.offset == data.index(b"\x03\x03\x02\0\3") + 4
    data = HEADER + section(5, vector([b"\1\2\1"]))
    with pytest.raises(ValidationError, match="size minimum must not be greater than maximum") as caught:
        check(data)
    assert caught.value.offset == 11
