"""The operator table, against wasm-tools' assembler, and what derives from it."""

from __future__ import annotations

import pytest

from brolga.ir.opcodes import ICC_EQ
from brolga.jit.wasm import opcodes, translate_table
from brolga.jit.wasm.decode import decode
from brolga.jit.wasm.locals import read_locals
from brolga.jit.wasm.opcodes import (
    ALIGNMENT,
    FIXED_SIGNATURE,
    IMMEDIATES,
    MEMARG,
    NONE,
    OPERANDS,
    OPERATOR_COUNT,
    OPERATOR_NAMES,
    PROPOSALS,
    RESULTS,
)
from brolga.jit.wasm.operators import format_operator, read_immediates, read_opcode
from brolga.jit.wasm.types import VALUE_TYPE_NAMES, Module
from brolga.jit.wasm.validate import validate
from brolga.runtime.text import wat2wasm

OPERATORS = [op for op in range(OPERATOR_COUNT) if OPERATOR_NAMES[op] and not PROPOSALS[op]]

# Text and listing of the operators with immediates.
WITH_IMMEDIATES = [
    ("block (result i32) i32.const 0 end drop", "block (result i32)", [0x7F]),
    ("block end", "block", [0x40]),
    ("loop (type 1) end", "loop (type 1)", [0x81]),
    ("if (result f64) f64.const 0 else f64.const 1 end drop", "if (result f64)", [0x7C]),
    ("br 0", "br 0", [0]),
    ("br_if 0", "br_if 0", [0]),
    ("br_table 0 0 0", "br_table 0 0 0", [0, 0, 0]),
    ("call 1", "call 1", [1]),
    ("call_indirect 1 (type 1)", "call_indirect 1 (type 1)", [1, 1]),
    ("select (result i64)", "select (result i64)", [0x7E]),
    ("local.get 200", "local.get 200", [200]),
    ("global.set 0", "global.set 0", [0]),
    ("table.get 1", "table.get 1", [1]),
    ("i64.load32_u offset=300 align=2", "i64.load32_u offset=300 align=2", [1, 300]),
    ("memory.size", "memory.size 0", [0]),
    ("i32.const -2147483648", "i32.const -2147483648", [-(2**31)]),
    ("i64.const -9223372036854775808", "i64.const -9223372036854775808", [-(2**63)]),
    ("f32.const -1.5", "f32.const -1.5", [0xBFC0_0000]),
    ("f64.const inf", "f64.const inf", [0x7FF0_0000_0000_0000]),
    ("ref.null extern", "ref.null extern", [0x6F]),
    ("ref.func 0", "ref.func 0", [0]),
    ("memory.init 1", "memory.init 1 0", [1, 0]),
    ("data.drop 1", "data.drop 1", [1]),
    ("memory.copy", "memory.copy 0 0", [0, 0]),
    ("memory.fill", "memory.fill 0", [0]),
    ("table.init 1 2", "table.init 2 1", [2, 1]),
    ("elem.drop 2", "elem.drop 2", [2]),
    ("table.copy 1 0", "table.copy 1 0", [1, 0]),
    ("table.grow 1", "table.grow 1", [1]),
]


def module_with(body: str, results: str = "") -> Module:
    text = f"""(module
        (type (func {results})) (type (func))
        (func {results} {"(local i32)" * 201} {body})
        (func (type 1))
        (table 1 funcref) (table 1 funcref) (memory 1) (global (mut i32) (i32.const 0))
        (elem declare func 0 1) (elem func 0) (elem func 1)
        (data "") (data ""))"""
    return decode(bytes(wat2wasm(text)))


def first_operator(module: Module) -> int:
    return read_locals(module, 0)[2]


@pytest.mark.parametrize("op", [op for op in OPERATORS if IMMEDIATES[op] == NONE], ids=lambda op: OPERATOR_NAMES[op])
def test_operators_without_immediates(op: int) -> None:
    name = OPERATOR_NAMES[op]
    if op in (opcodes.ELSE, opcodes.END):
        pytest.skip("not an operator by itself in the text format")
    module = module_with(f"unreachable {name}")
    pos = first_operator(module)
    assert read_opcode(module.data, pos + 1) == (op, module.bodies[0].end - 1)
    assert format_operator(module.data, pos + 1) == (name, module.bodies[0].end - 1)


@pytest.mark.parametrize("op", [op for op in OPERATORS if FIXED_SIGNATURE[op]], ids=lambda op: OPERATOR_NAMES[op])
def test_signatures(op: int) -> None:
    """wasm-tools and the validator agree that the operator turns these operands into these results, and not into more."""
    name = OPERATOR_NAMES[op]
    extra = {"memory.init": " 0", "data.drop": " 0", "table.init": " 0", "elem.drop": " 0"}.get(name, "")
    extra += {opcodes.CONST_I32: " 0", opcodes.CONST_I64: " 0", opcodes.CONST_F32: " 0", opcodes.CONST_F64: " 0"}.get(
        IMMEDIATES[op], ""
    )
    constants = " ".join(f"{VALUE_TYPE_NAMES[type]}.const 0" for type in OPERANDS[op])
    results = "".join(f"(result {VALUE_TYPE_NAMES[type]})" for type in RESULTS[op])
    module = module_with(f"{constants} {name}{extra}", results)
    validate(module)
    assert len(RESULTS[op]) <= 1


@pytest.mark.parametrize("op", [op for op in OPERATORS if IMMEDIATES[op] == MEMARG], ids=lambda op: OPERATOR_NAMES[op])
def test_natural_alignment(op: int) -> None:
    """Without a word about it the text format means the natural alignment."""
    module = module_with(f"unreachable {OPERATOR_NAMES[op]} offset=5")
    pos = first_operator(module) + 1
    assert read_immediates(module.data, pos + 1, op)[0] == [ALIGNMENT[op], 5]


@pytest.mark.parametrize(("text", "listing", "immediates"), WITH_IMMEDIATES, ids=[row[0] for row in WITH_IMMEDIATES])
def test_immediates(text: str, listing: str, immediates: list[int]) -> None:
    module = module_with(f"unreachable {text} unreachable")
    pos = first_operator(module) + 1
    op, after = read_opcode(module.data, pos)
    values, after = read_immediates(module.data, after, op)
    assert values == immediates
    assert format_operator(module.data, pos) == (listing, after)
    validate(module)


def test_every_numeric_operator_has_a_translation() -> None:
    for op in OPERATORS:
        prefix = OPERATOR_NAMES[op].split(".")[0]
        if prefix in ("i32", "i64", "f32", "f64") and not OPERATOR_NAMES[op].endswith(".const"):
            assert translate_table.KIND[op] != translate_table.OTHER, OPERATOR_NAMES[op]
        else:
            assert translate_table.KIND[op] == translate_table.OTHER, OPERATOR_NAMES[op]
    assert translate_table.OP[opcodes.I32_EQ] == ICC_EQ
