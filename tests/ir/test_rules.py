"""The builder's rules against the arithmetic of each opcode, over many constants and operands.

The goldens (filetests/opt) show what each rule makes; here it is checked that nothing changes its value.
"""

from __future__ import annotations

import random

import pytest

from brolga.ir import opcodes as op
from brolga.ir.builder import FunctionBuilder
from brolga.ir.errors import InterpreterTrap
from brolga.ir.evaluate import EVAL_BINARY, EVAL_CONVERT, EVAL_UNARY
from brolga.ir.function import Function
from brolga.ir.integers import icmp
from brolga.ir.interpreter import Environment, interpret
from brolga.ir.signature import Signature
from brolga.ir.types import I32, I64, TYPE_BITS, TYPE_MASK
from brolga.ir.verifier import verify

from .functions import EDGES

INTEGER_BINARY = [n for n in range(op.OPCODE_COUNT) if op.FORMATS[n] == op.BINARY and op.TYPE_CLASSES[n] == "i"]
DIVISIONS = [op.SDIV, op.UDIV, op.SREM, op.UREM]


def names(opcodes: list[int]) -> list[str]:
    return [op.OPCODE_NAMES[opcode] for opcode in opcodes]


def one_parameter(type: int, result: int) -> tuple[FunctionBuilder, int]:
    """A builder in the first block of a function of one parameter, and that."""
    function = Function("f", 0, Signature([type], [result]), [])
    builder = FunctionBuilder(function)
    block = builder.create_block()
    param = builder.append_param(block, type)
    builder.switch_to_block(block, None)
    return builder, param


def finish(builder: FunctionBuilder, result: int) -> Function:
    if not builder.terminated:
        builder.ret([result])
    verify(builder.function)
    return builder.function


def run(function: Function, x: int) -> int | str:
    try:
        return interpret(function, [x], Environment())[0]
    except InterpreterTrap as trap:
        return f"trap {trap.code}"


def evaluated(opcode: int, type: int, x: int, y: int) -> int | str:
    try:
        return EVAL_BINARY[opcode](type, x, y)
    except InterpreterTrap as trap:
        return f"trap {trap.code}"


@pytest.mark.parametrize("type", [I32, I64])
@pytest.mark.parametrize("opcode", INTEGER_BINARY, ids=names(INTEGER_BINARY))
def test_operation_with_a_constant(opcode: int, type: int) -> None:
    for k in EDGES[type]:
        builder, x = one_parameter(type, type)
        right = finish(builder, builder.binary(opcode, type, x, builder.iconst(type, k)))
        builder, x = one_parameter(type, type)
        left = finish(builder, builder.binary(opcode, type, builder.iconst(type, k), x))
        for value in EDGES[type]:
            assert run(right, value) == evaluated(opcode, type, value, k), f"{value:#x}, {k:#x}"
            assert run(left, value) == evaluated(opcode, type, k, value), f"{k:#x}, {value:#x}"


@pytest.mark.parametrize("type", [I32, I64])
@pytest.mark.parametrize("opcode", DIVISIONS, ids=names(DIVISIONS))
def test_division_by_a_constant(opcode: int, type: int) -> None:
    """Random divisors of every length; dividends around multiples of them, where a wrong reciprocal shows."""
    rng = random.Random(opcode)
    bits = TYPE_BITS[type]
    mask = TYPE_MASK[type]
    divisors = [*range(1, 40), *(-d & mask for d in range(1, 40))]
    for length in range(2, bits + 1):
        divisors += [rng.getrandbits(length) | 1 << (length - 1) for _ in range(3)]
        divisors += [(1 << length) - 1 & mask, (1 << (length - 1)) + 1]
    for d in divisors:
        builder, x = one_parameter(type, type)
        function = finish(builder, builder.binary(opcode, type, x, builder.iconst(type, d)))
        used = {inst.op for block in function.blocks for inst in block.insts}
        assert opcode not in used, "the division is still there"
        half = 1 << (bits - 1)
        values = [0, 1, d - 1, d, mask, mask - 1, half, half - 1, half + 1]
        for _ in range(8):
            multiple = d * rng.randrange(mask // d + 1)
            values += [multiple - 1, multiple, multiple + 1]
        for value in values:
            value &= mask
            assert run(function, value) == evaluated(opcode, type, value, d), f"{value:#x} by {d:#x}"


@pytest.mark.parametrize("type", [I32, I64])
@pytest.mark.parametrize("first", INTEGER_BINARY, ids=names(INTEGER_BINARY))
def test_two_operations_with_constants(first: int, type: int) -> None:
    rng = random.Random(first)
    for second in INTEGER_BINARY:
        for _ in range(6):
            c, k = rng.choice(EDGES[type]), rng.choice(EDGES[type])
            swap_first, swap_second = rng.random() < 0.3, rng.random() < 0.3
            builder, x = one_parameter(type, type)
            constant = builder.iconst(type, c)
            inner = builder.binary(first, type, constant, x) if swap_first else builder.binary(first, type, x, constant)
            outer = inner
            if not builder.terminated:
                constant = builder.iconst(type, k)
                args = (constant, inner) if swap_second else (inner, constant)
                outer = builder.binary(second, type, *args)
            function = finish(builder, outer)
            for value in rng.sample(EDGES[type], 8):
                expected = evaluated(first, type, *((c, value) if swap_first else (value, c)))
                if isinstance(expected, int):
                    expected = evaluated(second, type, *((k, expected) if swap_second else (expected, k)))
                text = f"{op.OPCODE_NAMES[first]} {c:#x} {swap_first}, {op.OPCODE_NAMES[second]} {k:#x} {swap_second}"
                assert run(function, value) == expected, f"{text}: {value:#x}"


UNARY = [op.CLZ, op.CTZ, op.POPCNT, op.SEXTEND8, op.SEXTEND16]
CONVERSIONS = [(op.UEXTEND, I64, I32), (op.SEXTEND, I64, I32), (op.IREDUCE, I32, I64)]


@pytest.mark.parametrize("type", [I32, I64])
@pytest.mark.parametrize("cc", range(len(op.ICC_NAMES)), ids=op.ICC_NAMES)
def test_comparison_of_an_operation_with_a_constant(cc: int, type: int) -> None:
    """Of values whose range is known, and of those whose operation a comparison looks through."""
    rng = random.Random(cc)
    for k in EDGES[type]:
        for c in rng.sample(EDGES[type], 4):
            for inner in [*INTEGER_BINARY, *UNARY, *CONVERSIONS]:
                if isinstance(inner, tuple):
                    conversion, to_type, from_type = inner
                    if to_type != type:
                        continue
                    builder, x = one_parameter(from_type, I32)
                    operand = builder.convert(conversion, to_type, from_type, x)
                else:
                    from_type = type
                    builder, x = one_parameter(type, I32)
                    if inner in UNARY:
                        operand = builder.unary(inner, type, x)
                    elif inner in DIVISIONS:
                        continue
                    else:
                        operand = builder.binary(inner, type, x, builder.iconst(type, c))
                function = finish(builder, builder.icmp(cc, type, operand, builder.iconst(type, k)))
                for value in rng.sample(EDGES[from_type], 3):
                    if isinstance(inner, tuple):
                        left = EVAL_CONVERT[conversion](to_type, from_type, value)
                    elif inner in UNARY:
                        left = EVAL_UNARY[inner](type, value)
                    else:
                        left = EVAL_BINARY[inner](type, value, c)
                    assert run(function, value) == int(icmp(cc, type, left, k)), f"{inner} {c:#x} {k:#x}: {value:#x}"


def test_a_chain_of_additions_stays_one_addition() -> None:
    builder, x = one_parameter(I32, I32)
    value = x
    for _ in range(5000):
        value = builder.binary(op.IADD, I32, value, builder.iconst(I32, 3))
    function = finish(builder, value)
    assert run(function, 1) == 15001
    assert builder.defs[value].args[0] == x
