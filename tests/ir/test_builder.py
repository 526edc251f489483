"""FunctionBuilder: blocks, sharing by dominance, ends of blocks, calls, locations."""

from __future__ import annotations

from brolga.ir.builder import FunctionBuilder
from brolga.ir.function import NO_VALUE, Block, Function
from brolga.ir.opcodes import FADD, IADD, ICC_EQ, ICC_SLT, IMUL, SDIV, TRAP, TRAPNZ, UDIV
from brolga.ir.printer import print_function
from brolga.ir.signature import Signature
from brolga.ir.trap_codes import INTEGER_DIVISION_BY_ZERO, UNREACHABLE
from brolga.ir.types import F32, I32, I64
from brolga.ir.verifier import verify

SIGNATURES = [Signature([I32], [I32, I64]), Signature([], [])]


def start(params: list[int], results: list[int]) -> tuple[FunctionBuilder, Block]:
    builder = FunctionBuilder(Function("f", 0, Signature(params, results), SIGNATURES))
    entry = builder.create_block()
    for type in params:
        builder.append_param(entry, type)
    builder.switch_to_block(entry, None)
    return builder, entry


def test_values_are_shared_within_dominated_blocks_only() -> None:
    builder, entry = start([I32, I32], [])
    left, right, join = (builder.create_block() for _ in range(3))
    total = builder.binary(IADD, I32, 0, 1)
    builder.brif(total, left, [], right, [])

    builder.switch_to_block(left, entry)
    assert builder.binary(IADD, I32, 0, 1) == total
    product = builder.binary(IMUL, I32, 0, 1)
    nested = builder.create_block()
    builder.jump(nested, [])
    builder.switch_to_block(nested, left)
    assert builder.binary(IMUL, I32, 0, 1) == product
    builder.jump(join, [])

    builder.switch_to_block(right, entry)
    other = builder.binary(IMUL, I32, 0, 1)
    assert other != product
    builder.jump(join, [])

    builder.switch_to_block(join, entry)
    assert builder.binary(IADD, I32, 0, 1) == total
    assert builder.binary(IMUL, I32, 0, 1) not in (product, other)
    builder.ret([])
    verify(builder.function)


def test_without_a_dominator_only_the_entry_is_known_to_dominate() -> None:
    builder, entry = start([I32], [])
    total = builder.binary(IADD, I32, 0, 0)
    middle, end = builder.create_block(), builder.create_block()
    builder.jump(middle, [])
    builder.switch_to_block(middle, entry)
    product = builder.binary(IMUL, I32, 0, 0)
    builder.jump(end, [])
    builder.switch_to_block(end, None)
    assert builder.binary(IADD, I32, 0, 0) == total
    assert builder.binary(IMUL, I32, 0, 0) != product
    builder.ret([])
    verify(builder.function)


def test_a_dominator_may_be_left_and_come_back() -> None:
    """Not a preorder: the blocks on the way to the dominator become available again."""
    builder, entry = start([I32], [])
    first, second, inner = (builder.create_block() for _ in range(3))
    builder.brif(0, first, [], second, [])
    builder.switch_to_block(first, entry)
    product = builder.binary(IMUL, I32, 0, 0)
    builder.jump(inner, [])
    builder.switch_to_block(second, entry)
    builder.ret([])
    builder.switch_to_block(inner, first)
    assert builder.binary(IMUL, I32, 0, 0) == product
    builder.ret([])
    verify(builder.function)


def test_constants_of_different_types_are_different() -> None:
    builder, _ = start([], [])
    values = [builder.iconst(I32, 1), builder.iconst(I64, 1), builder.fconst(F32, 1)]
    assert len(set(values)) == 3
    assert builder.iconst(I32, 1) == values[0]


def test_division_by_zero_ends_the_block() -> None:
    builder, _ = start([I32], [I32])
    assert not builder.terminated
    builder.binary(UDIV, I32, 0, builder.iconst(I32, 0))
    assert builder.terminated
    last = builder.block.insts[-1]
    assert (last.op, last.imm) == (TRAP, INTEGER_DIVISION_BY_ZERO)
    verify(builder.function)


def test_smallest_integer_by_minus_one_ends_the_block() -> None:
    builder, _ = start([], [I32])
    builder.binary(SDIV, I32, builder.iconst(I32, 1 << 31), builder.iconst(I32, 0xFFFF_FFFF))
    assert builder.terminated
    verify(builder.function)


def test_a_new_block_is_not_terminated() -> None:
    builder, entry = start([I32], [])
    follower = builder.create_block()
    builder.trapnz(builder.iconst(I32, 1), UNREACHABLE)
    assert builder.terminated
    builder.switch_to_block(follower, entry)
    assert not builder.terminated
    builder.ret([])
    assert builder.terminated


def test_results_of_calls_are_consecutive() -> None:
    builder, _ = start([I32], [I64])
    first = builder.call(4, 0, [0])
    assert builder.function.value_types[first : first + 2] == [I32, I64]
    assert builder.call_builtin(2, 1, []) == NO_VALUE
    builder.ret([builder.binary(IADD, I64, first + 1, first + 1)])
    verify(builder.function)


def test_instructions_carry_the_location() -> None:
    builder, _ = start([I32], [])
    builder.loc = 0x20
    builder.trapz(0, UNREACHABLE)
    builder.loc = 0x24
    builder.ret([])
    assert [inst.loc for inst in builder.block.insts] == [0x20, 0x24]


def test_commutative_operations_have_their_operands_in_order() -> None:
    builder, _ = start([F32, F32], [F32])
    assert builder.binary(FADD, F32, 1, 0) == builder.binary(FADD, F32, 0, 1)


def test_conditions_see_through_comparisons_with_zero() -> None:
    builder, _ = start([I32, I32], [])
    less = builder.icmp(ICC_SLT, I32, 0, 1)
    zero = builder.iconst(I32, 0)
    builder.trapz(builder.icmp(ICC_EQ, I32, 0, zero), UNREACHABLE)
    last = builder.block.insts[-1]
    assert (last.op, last.args) == (TRAPNZ, [0])
    assert builder.condition(less) == (less, False)


def test_branch_arguments_are_kept() -> None:
    builder, entry = start([I32], [I32])
    target = builder.create_block(cold=True)
    value = builder.append_param(target, I32)
    builder.br_table(0, [(target, [0]), (entry, []), (target, [0])])
    builder.switch_to_block(target, entry)
    builder.ret([value])
    assert print_function(builder.function).splitlines()[-4:] == [
        "    br_table v0, block1(v0), block0, default block1(v0)",
        "block1 cold(v1: i32):",
        "    return v1",
        "}",
    ]
