"""Wrong facts are planted, and code that checks what the compiler relies on must find them; so must the interpreter."""

from __future__ import annotations

import struct

import pytest

from brolga.ir.builder import FunctionBuilder
from brolga.ir.floats import from_float
from brolga.ir.function import Function, Inst
from brolga.ir.interpreter import InterpreterTrap, interpret
from brolga.ir.opcodes import ICC_ULT
from brolga.ir.parser import parse_function
from brolga.ir.passes import facts
from brolga.ir.rebuild import rebuild
from brolga.ir.signature import Signature
from brolga.ir.trap_codes import (
    FACT_CONVERTS,
    FACT_IN_TABLE,
    FACT_KEPT_REGISTERS,
    FACT_KNOWN_BITS,
    FACT_NO_WRAP,
    FACT_PASSED,
    FACT_SAME_LOAD,
    FACT_UNCHANGED,
    FACT_ZERO_EXTENDED,
    UNREACHABLE,
)
from brolga.ir.types import F32, F64, I32
from brolga.ir.verifier import verify
from brolga.jit.code import COMPILED
from brolga.jit.compile import compile_ir
from brolga.jit.debug import Knobs
from brolga.jit.settings import Settings
from brolga.jit.switches import builder_rules
from brolga.jit.transformations import SHRINK_WRAPPING
from brolga.jit.x64 import emit, lower_float
from brolga.jit.x64.abi import RAX, RSP
from brolga.jit.x64.buffer import CodeBuffer
from brolga.jit.x64.encode import encode
from brolga.jit.x64.frame import Frame, emit_epilogue
from brolga.jit.x64.insts import ADD64_I, MOV_TO_R15, SUB64_I
from brolga.jit.x64.lowering import Lowering

from ...ir.functions import TestEnvironment
from ..native import ALL_FEATURES, Native, Program, settings_for
from ..x64.epilogues import confused, forgetful

CHECKED = builder_rules(0, check_facts=True)
_interpreted_only = pytest.mark.skipif(COMPILED, reason="functions of the compiled compiler cannot be replaced")


def settings(platform: str = "gs") -> Settings:
    result = settings_for(platform, ALL_FEATURES)
    result.check_facts = True
    return result


def new_function(params: list[int], results: list[int]) -> tuple[Function, FunctionBuilder, list[int]]:
    function = Function("planted", 0, Signature(params, results), [])
    builder = FunctionBuilder(function, CHECKED)
    entry = builder.create_block()
    values = [builder.append_param(entry, param) for param in params]
    builder.switch_to_block(entry, None)
    return function, builder, values


def trap_of(function: Function, args: list[int]) -> int:
    """The code of the trap that the function ends with in the interpreter."""
    verify(function)
    with pytest.raises(InterpreterTrap) as trap:
        interpret(function, args, TestEnvironment([]))
    return trap.value.code


def outcome(native: Native, text: str, args: list[int], platform: str = "gs") -> object:
    program = Program(text)
    program.load(native, settings(platform))
    return program.run(native, 0, args)[0]


BYTE = """function byte 0(i32) -> i32 {
block0(v0: i32):
    v1 = uload8.i32 v0+0
    v2 = iconst.i32 1
    v3 = ishl.i32 v1, v2
    return v3
}
"""


@pytest.mark.parametrize("type", ["i32", "i64"])
def test_known_bits(running: Native, type: str) -> None:
    function = parse_function(
        BYTE.replace("load8.i32", f"load8.{type}")
        .replace("iconst.i32", f"iconst.{type}")
        .replace("shl.i32", f"shl.{type}")
        .replace("-> i32", f"-> {type}")
    )
    assert facts.known_bits(function) == {1: 0xFF, 3: 0x1FE}
    facts.insert_checks(function, {1: 0xFF, 3: 0x1FE})
    verify(function)
    assert interpret(function, [0], TestEnvironment([])) == [0x81 * 2]
    facts.insert_checks(function, {3: 0xFE})
    assert trap_of(function, [0]) == FACT_KNOWN_BITS
    program = Program(BYTE)
    program.load(running, settings())
    assert program.run(running, 0, [0])[0] == 0x81 * 2
    code = compile_ir(function, settings_for("gs"), Knobs({"BROLGA_VERIFY": "1"}))
    assert FACT_KNOWN_BITS in code.trap_codes


@_interpreted_only
def test_known_bits_of_the_analysis(running: Native, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "ones_by_definition", lambda defs, types, value: 0x0F)
    assert outcome(running, BYTE, [0]) == f"trap {FACT_KNOWN_BITS}"


@pytest.mark.parametrize("type", ["i32", "i64", "f32", "f64"])
def test_a_field_that_changes(running: Native, type: str) -> None:
    """Read twice as one that never does, with a store between."""
    text = f"""function changes 0(i64) -> {type} {{
block0(v0: i64):
    v1 = ctx_load.{type} 400 readonly
    ctx_store.i64 400, v0
    v2 = ctx_load.{type} 400 readonly
    return v2
}}
"""
    function = rebuild(parse_function(text.replace("400", "8")), CHECKED)
    assert trap_of(function, [1]) == FACT_UNCHANGED
    same = struct.unpack("<Q", TestEnvironment([]).context[8:16])[0]
    assert len(interpret(function, [same], TestEnvironment([]))) == 1
    pointers = (
        text.replace("ctx_load.", "ptr_load.")
        .replace(" 400 readonly", " v9+8 readonly")
        .replace("    v1 =", "    v9 = context.i64\n    v1 =")
        .replace("400", "8")
    )
    assert trap_of(rebuild(parse_function(pointers), CHECKED), [1]) == FACT_UNCHANGED
    compiled = compile_ir(function, settings(), Knobs({"BROLGA_VERIFY": "1"}))
    assert FACT_UNCHANGED in compiled.trap_codes


def test_a_check_that_has_not_passed() -> None:
    function, builder, (x, y) = new_function([I32, I32], [I32])
    condition = builder.icmp(ICC_ULT, I32, x, y)
    builder.trapnz(condition, UNREACHABLE)
    builder.trapnz(condition, UNREACHABLE)
    builder.ret([x])
    assert [inst.imm for inst in function.blocks[0].insts[1:3]] == [UNREACHABLE, FACT_PASSED]
    assert interpret(function, [2, 1], TestEnvironment([])) == [2]
    del function.blocks[0].insts[1]
    assert trap_of(function, [1, 2]) == FACT_PASSED


@pytest.mark.parametrize("platform", ["gs", "register", "minimal"])
def test_an_argument_that_is_not_zero_extended(running: Native, platform: str) -> None:
    text = "function extended 0(i32) -> i64 {\nblock0(v0: i32):\n    v1 = uextend.i64.i32 v0\n    return v1\n}\n"
    assert outcome(running, text, [7], platform) == 7
    assert outcome(running, text, [7 | 1 << 40], platform) == f"trap {FACT_ZERO_EXTENDED}"


def test_a_result_that_is_not_zero_extended(running: Native) -> None:
    """The callee was compiled for another signature."""
    text = """function caller 0(i64) -> i64 {
    sig0 = (i64) -> i32
block0(v0: i64):
    v1 = call fn1 sig0(v0)
    v2 = uextend.i64.i32 v1
    return v2
}
function callee 1(i64) -> i64 {
block0(v0: i64):
    return v0
}
"""
    assert outcome(running, text, [7]) == 7
    assert outcome(running, text, [1 << 32]) == f"trap {FACT_ZERO_EXTENDED}"


def _small(lo: Lowering, value: int) -> int:
    return 3


@_interpreted_only
@pytest.mark.parametrize(
    "sum",
    [
        "    v2 = iadd.i32 v0, v1\n",
        "    v3 = iconst.i32 3\n    v2 = ishl.i32 v0, v3\n",
        "    v3 = iconst.i32 0x7ffffff0\n    v2 = iadd.i32 v0, v3\n",
    ],
)
def test_an_address_that_wraps(running: Native, monkeypatch: pytest.MonkeyPatch, sum: str) -> None:
    text = f"function wraps 0(i32, i32) -> i32 {{\nblock0(v0: i32, v1: i32):\n{sum}    v9 = load.i32 v2+4\n    return v9\n}}\n"
    monkeypatch.setattr(Lowering, "upper_bound", _small)
    assert outcome(running, text, [0xF000_0000, 0x1000_0000]) == f"trap {FACT_NO_WRAP}"
    assert outcome(running, text, [0, 16]) != f"trap {FACT_NO_WRAP}"


@_interpreted_only
def test_an_index_outside_of_its_table(running: Native, monkeypatch: pytest.MonkeyPatch) -> None:
    text = """function outside 0(i32) -> i32 {
block0(v0: i32):
    br_table v0, block1, block2, block1, default block2
block1:
    return v0
block2:
    v1 = iconst.i32 77
    return v1
}
"""
    monkeypatch.setattr(Lowering, "upper_bound", _small)
    assert outcome(running, text, [2]) == 2
    assert outcome(running, text, [4]) == f"trap {FACT_IN_TABLE}"


@_interpreted_only
@pytest.mark.parametrize("operator", ["fcvt_to_sint.i32.f64", "fcvt_to_uint.i32.f64", "fcvt_to_sint.i64.f32"])
def test_a_float_out_of_range(running: Native, monkeypatch: pytest.MonkeyPatch, operator: str) -> None:
    _, result, operand = operator.split(".")
    text = f"function converted 0({operand}) -> {result} {{\nblock0(v0: {operand}):\n    v1 = {operator} v0\n    return v1\n}}\n"
    monkeypatch.setattr(lower_float, "always_converts", lambda lo, inst, signed: True)
    for value, expected in ((7.5, 7), (1e30, f"trap {FACT_CONVERTS}"), (float("nan"), f"trap {FACT_CONVERTS}")):
        bits = from_float(F64 if operand == "f64" else F32, value)
        assert outcome(running, text, [bits]) == expected


@_interpreted_only
@pytest.mark.parametrize("platform", ["gs", "register", "minimal"])
@pytest.mark.parametrize("type", ["i32", "i64", "f32", "f64"])
def test_a_load_that_a_store_changes(
    running: Native, monkeypatch: pytest.MonkeyPatch, type: str, platform: str
) -> None:
    """It is folded behind the store."""
    op = "fadd" if type[0] == "f" else "iadd"
    text = f"""function changed 0(i32, i32, {type}) -> {type} {{
block0(v0: i32, v1: i32, v2: {type}):
    v3 = load.{type} v0+0
    store.{type} v1+0, v2
    v4 = {op}.{type} v2, v3
    return v4
}}
"""
    monkeypatch.setattr(Lowering, "can_sink", _anything)
    assert outcome(running, text, [8, 16, 1], platform) != f"trap {FACT_SAME_LOAD}"
    assert outcome(running, text, [8, 8, 1], platform) == f"trap {FACT_SAME_LOAD}"


@_interpreted_only
def test_a_modified_place_that_a_store_changes(running: Native, monkeypatch: pytest.MonkeyPatch) -> None:
    text = """function modified 0(i32, i32) {
block0(v0: i32, v1: i32):
    v2 = load.i32 v0+0
    store.i32 v1+0, v1
    v3 = iadd.i32 v2, v1
    store.i32 v0+0, v3
    return
}
"""
    monkeypatch.setattr(Lowering, "can_sink", _anything)
    assert outcome(running, text, [8, 8]) == f"trap {FACT_SAME_LOAD}"


def _anything(lo: Lowering, value: int, inst: Inst) -> bool:
    return lo.uses[value] == 1


def test_no_checks_unless_wanted(running: Native) -> None:
    program = Program(BYTE)
    program.load(running, settings_for("gs", ALL_FEATURES))
    plain = len(program.compiled[0].code)
    program.load(running, settings())
    assert len(program.compiled[0].code) > plain


CALLS_TWICE = """function calls 0(i32, i32) -> i32 {
    sig0 = (i32) -> i32
block0(v0: i32, v1: i32):
    brif v0, block1, block2
block1:
    v2 = call fn1 sig0(v0)
    v3 = call fn1 sig0(v1)
    v4 = iadd.i32 v2, v3
    v5 = iadd.i32 v4, v1
    jump block3(v5)
block2:
    jump block3(v1)
block3(v6: i32):
    return v6
}
function callee 1(i32) -> i32 {
block0(v0: i32):
    return v0
}
"""


def _losing(buffer: CodeBuffer, frame: Frame) -> None:
    """An epilogue that changes the context."""
    emit_epilogue(buffer, frame)
    if frame.saved:
        encode(buffer, MOV_TO_R15, [RAX])


@_interpreted_only
@pytest.mark.parametrize("platform", ["gs", "register", "minimal"])
@pytest.mark.parametrize("shrink_wrapping", [False, True])
def test_registers_that_are_not_kept(
    running: Native, monkeypatch: pytest.MonkeyPatch, platform: str, shrink_wrapping: bool
) -> None:
    program = Program(CALLS_TWICE)
    checked = settings(platform)
    checked.off = 0 if shrink_wrapping else SHRINK_WRAPPING
    program.load(running, checked)
    assert [program.run(running, 0, args)[0] for args in ([0, 7], [2, 3])] == [7, 8]
    for epilogue in (forgetful, confused, _losing):
        monkeypatch.setattr(emit, "emit_epilogue", epilogue)
        program.load(running, checked)
        assert program.run(running, 0, [2, 3])[0] == f"trap {FACT_KEPT_REGISTERS}"
        assert program.run(running, 0, [0, 7])[0] == (7 if shrink_wrapping else f"trap {FACT_KEPT_REGISTERS}")


@_interpreted_only
def test_registers_that_are_not_saved(running: Native, monkeypatch: pytest.MonkeyPatch) -> None:
    def without(buffer: CodeBuffer, frame: Frame, settings: Settings) -> None:
        encode(buffer, SUB64_I, [RSP, RSP], frame.size - frame.kept_bytes)

    def undone(buffer: CodeBuffer, frame: Frame) -> None:
        encode(buffer, ADD64_I, [RSP, RSP], frame.size - frame.kept_bytes)

    monkeypatch.setattr(emit, "emit_prologue", without)
    monkeypatch.setattr(emit, "emit_epilogue", undone)
    program = Program(CALLS_TWICE)
    program.load(running, settings())
    assert program.run(running, 0, [2, 3])[0] == f"trap {FACT_KEPT_REGISTERS}"
