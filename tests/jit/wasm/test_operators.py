"""The operator table, against wasm-tools' assembler, and what derives from it."""

from __future__ import annotations

import subprocess

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
from brolga.runtime.text import wasm_tools, wat2wasm

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


def assemble(functions: dict[str, str]) -> Module:
    """A module with these functions (what stands in them, their results), then one more of type 1."""
    text = "".join(f"(func {results} {'(local i32)' * 201} {body})" for body, results in functions.items())
    environment = """(table 1 funcref) (table 1 funcref) (memory 1) (global (mut i32) (i32.const 0))
        (elem declare func 0 1) (elem func 0) (elem func 1) (data "") (data "")"""
    return decode(bytes(wat2wasm(f"(module (type (func (result i32))) (type (func)) {text} (func) {environment})")))


def second_operator(module: Module, index: int) -> int:
    """The place behind the `unreachable` with which the function begins."""
    return read_locals(module, index)[2] + 1


def test_operators_without_immediates() -> None:
    # `else` and `end` do not stand by themselves in the text format.
    tested = [op for op in OPERATORS if IMMEDIATES[op] == NONE and op not in (opcodes.ELSE, opcodes.END)]
    module = assemble({f"unreachable {OPERATOR_NAMES[op]}": "" for op in tested})
    for index, op in enumerate(tested):
        pos = second_operator(module, index)
        assert read_opcode(module.data, pos) == (op, module.bodies[index].end - 1), OPERATOR_NAMES[op]
        assert format_operator(module.data, pos) == (OPERATOR_NAMES[op], module.bodies[index].end - 1)


def test_signatures() -> None:
    """wasm-tools and the validator agree that the operators turn these operands into these results."""
    extra = {opcodes.CONST_I32: "0", opcodes.CONST_I64: "0", opcodes.CONST_F32: "0", opcodes.CONST_F64: "0"}
    extra |= {opcodes.DATA: "0", opcodes.DATA_MEMORY: "0", opcodes.ELEM: "0", opcodes.ELEM_TABLE: "0"}
    bodies: dict[str, str] = {}
    for op in OPERATORS:
        if FIXED_SIGNATURE[op]:
            constants = " ".join(f"{VALUE_TYPE_NAMES[type]}.const 0" for type in OPERANDS[op])
            results = "".join(f"(result {VALUE_TYPE_NAMES[type]})" for type in RESULTS[op])
            bodies[f"{constants} {OPERATOR_NAMES[op]} {extra.get(IMMEDIATES[op], '')}"] = results
    module = assemble(bodies)
    validate(module)
    done = subprocess.run([wasm_tools(), "validate", "-"], input=module.data, check=False)
    assert done.returncode == 0


def test_natural_alignment() -> None:
    """Without a word about it the text format means the natural alignment."""
    tested = [op for op in OPERATORS if IMMEDIATES[op] == MEMARG]
    module = assemble({f"unreachable {OPERATOR_NAMES[op]} offset=5": "" for op in tested})
    for index, op in enumerate(tested):
        immediates, _ = read_immediates(module.data, second_operator(module, index) + 1, op)
        assert immediates == [ALIGNMENT[op], 5], OPERATOR_NAMES[op]


def test_immediates() -> None:
    module = assemble({f"unreachable {text} unreachable": "" for text, _, _ in WITH_IMMEDIATES})
    for index, (text, listing, immediates) in enumerate(WITH_IMMEDIATES):
        pos = second_operator(module, index)
        op, after = read_opcode(module.data, pos)
        values, after = read_immediates(module.data, after, op)
        assert values == immediates, text
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
