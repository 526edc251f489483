"""Accounting of fuel in translation: what is counted, what is built, and that code without it has none of it."""

from __future__ import annotations

import pytest

from brolga.ir.function import Function
from brolga.ir.opcodes import PTR_STORE
from brolga.ir.trap_codes import OUT_OF_FUEL, TRAP_NAMES
from brolga.ir.verifier import verify
from brolga.jit.debug import describe_ir
from brolga.jit.settings import Settings
from brolga.jit.vmctx import ACTIVATION_FUEL, ContextLayout
from brolga.jit.wasm.decode import decode
from brolga.jit.wasm.fuel_costs import FuelCosts, fuel_costs
from brolga.jit.wasm.fuel_variables import NOT_CONSTANT
from brolga.jit.wasm.translate import translate
from brolga.jit.wasm.types import Module
from brolga.jit.wasm.validate import validate
from brolga.runtime.text import to_binary


def module(body: str) -> Module:
    text = f"""(module (memory 1 2) (table 1 funcref) (type $v (func))
        (func (param i32) (local i32 i64 i32) {body}) (func $g))"""
    decoded = decode(to_binary(text))
    validate(decoded)
    return decoded


def costs(body: str) -> FuelCosts:
    return fuel_costs(module(body), 0)


def function(body: str, fuel: bool = True) -> Function:
    decoded = module(body)
    built = translate(decoded, 0, ContextLayout(decoded), Settings(fuel=fuel))
    verify(built)
    return built


def lengths(body: str) -> list[int]:
    return list(costs(body).lengths.values())


FILL = "(memory.fill (i32.const 0) (i32.const 0) (local.get 1))"


def test_costs_at_stops() -> None:
    body = "nop (drop (i32.const 1)) (block (call $g)) (if (local.get 0) (then) (else (i32.const 1) (drop))) (return)"
    assert list(costs(body).passed.values()) == [
        2,  # call
        2,  # end of the block
        4,  # if
        4,  # else
        5,  # end of the if
        5,  # return
        5,  # end
    ]


def test_accesses_outside_of_every_memory() -> None:
    for text, outside in (
        ("(drop (i32.load offset=131068 (i32.const 0)))", 0),
        ("(drop (i32.load offset=131069 (i32.const 0)))", 1),
        ("(drop (i32.load8_u offset=131071 (i32.const 0)))", 0),
        ("(drop (i32.load8_u offset=131072 (i32.const 0)))", 1),
        ("(i64.store16 offset=131070 (i32.const 0) (i64.const 0))", 0),
        ("(i64.store16 offset=131071 (i32.const 0) (i64.const 0))", 1),
    ):
        assert len(costs(text).outside) == outside


@pytest.mark.parametrize(
    ("body", "length"),
    [
        ("(memory.fill (i32.const 0) (i32.const 0) (i32.const -1))", 0xFFFF_FFFF),
        (FILL, 0),
        ("(memory.fill (i32.const 0) (i32.const 0) (local.get 0))", NOT_CONSTANT),
        ("(local.set 1 (i32.const 7))" + FILL, 7),
        ("(local.set 1 (i32.add (i32.const 1) (i32.const 1)))" + FILL, NOT_CONSTANT),
        ("(local.set 3 (i32.const 7)) (local.set 1 (local.get 3))" + FILL, 7),
        ("(block (br_if 0 (local.get 0)) (local.set 1 (i32.const 7)))" + FILL, NOT_CONSTANT),
        ("(block (br_if 0 (local.get 0)) (local.set 3 (i32.const 7)))" + FILL, 0),
        ("(block (local.set 1 (i32.const 7)))" + FILL, 7),
        ("(if (local.get 0) (then (local.set 1 (i32.const 7))))" + FILL, NOT_CONSTANT),
        ("(if (local.get 0) (then (local.set 1 (i32.const 7)) (return)) (else (nop)))" + FILL, 0),
        ("(if (local.get 0) (then (local.set 1 (i32.const 7))) (else " + FILL + "))", 0),
        ("(loop " + FILL + " (br_if 0 (local.get 0)))", NOT_CONSTANT),
        ("(loop (br_if 0 (local.get 0)))" + FILL, NOT_CONSTANT),
        ("(loop (drop (local.get 1)) (br_if 0 (local.get 0)))" + FILL, 0),
        ("(loop (nop))" + FILL, 0),
        ("(loop (local.set 1 (i32.const 7)) " + FILL + " (br_if 0 (local.get 0)))", 7),
        ("(loop (local.set 1 (i32.const 7)) (br_if 0 (local.get 0)))" + FILL, 7),
        ("(block (br 0) (block (local.set 1 (i32.const 7))))" + FILL, 0),
        ("(block (br 0) (loop (if (i32.const 1) (then (local.set 1 (i32.const 7))) (else))))" + FILL, 0),
    ],
)  # fmt: skip
def test_constant_lengths(body: str, length: int) -> None:
    assert lengths(body) == [length]


def test_the_search_for_constants_is_bounded() -> None:
    """Finding a variable's definition across a chain of blocks takes a step for each; all of them here, 1,500,000."""
    count = 1_225
    names = " ".join(f"(local $l{number} i32)" for number in range(count))
    chain = "(br_if 0 (local.get 0))" * count
    reads = "".join(f"(drop (local.get $l{number}))" for number in range(count))
    assert lengths(f"{names} {chain} {FILL} {reads} {FILL}") == [0, NOT_CONSTANT]


def test_code_without_fuel_does_not_know_of_it() -> None:
    body = "(loop (call $g) (br_if 0 (local.get 0)))" + FILL
    text = describe_ir(function(body, fuel=False))
    assert TRAP_NAMES[OUT_OF_FUEL] not in text
    assert TRAP_NAMES[OUT_OF_FUEL] in describe_ir(function(body))


def writes(built: Function) -> int:
    """How often the counter is written, but for where it runs out."""
    count = 0
    for number in built.layout:
        block = built.blocks[number]
        if not block.cold:
            count += sum(inst.op == PTR_STORE and inst.imm == ACTIVATION_FUEL for inst in block.insts)
    return count


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ("", 1),
        ("(drop (i32.div_s (i32.const 1) (local.get 0)))", 1),
        ("(loop (br_if 0 (local.get 0)))", 1),
        ("(call $g)", 2),
        ("(br_if 0 (local.get 0))", 2),
        ("(block (br_table 0 1 (local.get 0)))", 2),
        ("(unreachable)", 1),
        ("(drop (i32.load offset=131069 (i32.const 0)))", 2),
        ("(block (br 0) (call $g))", 1),
    ],
)
def test_where_the_counter_is_written(body: str, count: int) -> None:
    assert writes(function(body)) == count
