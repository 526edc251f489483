"""What breaks the allocator's contract is reported, and what looks hard but is not is allocated."""

from __future__ import annotations

import pytest

from brolga.regalloc.allocate import allocate
from brolga.regalloc.checker import check
from brolga.regalloc.errors import RegAllocError
from brolga.regalloc.operand import (
    ANY_LOCATION,
    ANY_REGISTER,
    DEF,
    EARLY,
    LATE,
    SAME_AS,
    USE,
    XMM,
    Code,
    MachineEnv,
    MachineInst,
    Shape,
)

from .machines import LARGE, SCRATCH, SMALL, SMALL_CALL_CLOBBERS
from .shapes import (
    CONSTANT,
    JUMP,
    TEST,
    Builder,
    all_live,
    loops_in_sequence,
    many_params,
    nested_loops,
    straight,
    table,
)


def allocate_and_check(code: Code, env: MachineEnv = SMALL) -> None:
    check(code, env, allocate(code, env))


def test_more_operands_than_registers() -> None:
    b = Builder()
    values = [b.value() for _ in range(6)]
    b.emit(Shape([USE] * 6, [ANY_REGISTER] * 6), *values)
    b.emit(JUMP)
    code = b.finish()
    with pytest.raises(RegAllocError, match="no register"):
        allocate(code, SMALL)
    allocate_and_check(code, LARGE)


def test_more_operands_than_registers_beside_fixed_ones() -> None:
    b = Builder()
    values = [b.value() for _ in range(6)]
    b.emit(Shape([USE] * 6, [0, 1, *[ANY_REGISTER] * 4]), *values)
    with pytest.raises(RegAllocError, match="too few registers"):
        allocate(b.finish(), SMALL)


def test_a_use_without_definition() -> None:
    b = Builder()
    v = b.vreg()
    b.emit(TEST, v)
    b.emit(TEST, b.value())
    with pytest.raises(RegAllocError):
        check(b.code, SMALL, allocate(b.finish(), SMALL))


def test_the_scratch_register_is_not_allocatable() -> None:
    with pytest.raises(RegAllocError, match="scratch"):
        allocate(straight(3), MachineEnv([[0, 1, 2], [16, SCRATCH]], 0, SCRATCH))


def test_blocks_that_are_not_reached_from_before() -> None:
    b = Builder()
    first, second = b.new_block(), b.new_block()
    b.emit(JUMP)
    for block, other in ((first, second), (second, first)):
        b.block = block
        b.jump(other)
    code = b.code
    code.idom = [-1, 0, 0]
    allocate(code, SMALL)  # what cannot be reached is not walked
    with pytest.raises(RegAllocError, match="not reached"):
        check(code, SMALL, allocate(code, SMALL))


@pytest.mark.parametrize("count", [1, 3, 5])
def test_every_register_may_be_used_at_once(count: int) -> None:
    b = Builder()
    values = [b.value() for _ in range(count)]
    b.emit(Shape([USE] * count, [ANY_REGISTER] * count), *values)
    b.emit(Shape([USE] * count, SMALL.preferred[0][:count]), *reversed(values))
    b.emit(Shape([DEF] * count, SMALL.preferred[0][:count]), *[b.vreg() for _ in range(count)])
    b.emit(TEST, values[0])
    allocate_and_check(b.finish())


def test_one_value_in_many_places() -> None:
    b = Builder()
    v = b.value()
    for late in (EARLY, LATE):
        shape = Shape([USE] * 5, [0, 1, 2, ANY_REGISTER, ANY_LOCATION], [EARLY, EARLY, late, late, EARLY])
        b.emit(shape, v, v, v, v, v)
    b.emit(TEST, v)
    allocate_and_check(b.finish())


def test_values_in_memory_at_a_call_with_many_operands() -> None:
    b = Builder()
    values = [b.value() for _ in range(30)]
    b.emit(Shape([USE] * 30, [ANY_LOCATION] * 30, None, SMALL_CALL_CLOBBERS), *values)
    for v in values[::2]:
        b.emit(TEST, v)
    b.emit(JUMP)
    allocate_and_check(b.finish())


def test_constants_in_memory_at_a_call_with_many_operands() -> None:
    b = Builder()
    values = [b.constant() for _ in range(30)]
    b.emit(Shape([USE] * 30, [ANY_LOCATION] * 30, None, SMALL_CALL_CLOBBERS), *values)
    b.emit(TEST, values[0])
    allocate_and_check(b.finish())


def test_constants_as_arguments_of_parameters_in_memory() -> None:
    b = Builder()
    target = b.new_block()
    params = [b.param(target) for _ in range(12)]
    b.jump(target, *[b.constant() for _ in range(12)])
    b.block = target
    for v in params:
        b.emit(TEST, v)
    b.emit(JUMP)
    allocate_and_check(b.finish())


def test_parameters_change_places_in_registers_and_memory() -> None:
    for count in (2, 4, 5, 9):
        allocate_and_check(many_params(count))


def test_a_definition_tied_to_a_fixed_use() -> None:
    b = Builder()
    x, y = b.value(), b.value()
    b.emit(Shape([DEF, DEF, USE, USE], [SAME_AS - 2, SAME_AS - 3, 0, ANY_REGISTER]), b.vreg(), b.vreg(), x, y)
    b.emit(TEST, x)
    b.emit(TEST, y)
    allocate_and_check(b.finish())


def test_two_definitions_tied_to_one_value() -> None:
    b = Builder()
    x = b.value()
    first, second = b.vreg(), b.vreg()
    b.emit(Shape([DEF, DEF, USE, USE], [SAME_AS - 2, SAME_AS - 3, ANY_REGISTER, ANY_REGISTER]), first, second, x, x)
    for v in (first, second):
        b.emit(TEST, v)
    b.emit(JUMP)
    allocate_and_check(b.finish())


def test_a_register_outside_the_allocatable_ones_may_be_fixed() -> None:
    b = Builder()
    v, w = b.value(), b.vreg()
    b.emit(Shape([DEF, USE], [15, 15]), w, v)
    b.emit(TEST, v)
    b.emit(Shape([USE], [14]), w)
    allocate_and_check(b.finish())


@pytest.mark.parametrize(
    "code",
    [
        straight(3000),
        all_live(3000),
        loops_in_sequence(100, 300),
        loops_in_sequence(50, 200, XMM),
        nested_loops(60, 100),
        many_params(500),
        table(800),
    ],
    ids=["straight", "all_live", "loops", "vector_loops", "nested", "params", "table"],
)
def test_large_shapes(code: Code) -> None:
    allocate_and_check(code, LARGE)


def test_hostile_sizes() -> None:
    """What takes time or memory in the square of its size would not get through this."""
    for code in (all_live(30000), loops_in_sequence(1000, 10000), nested_loops(400, 1000)):
        allocation = allocate(code, LARGE)
        assert len(allocation.moves) == len(code.blocks)


def test_an_empty_function() -> None:
    b = Builder()
    b.emit(JUMP)
    code = b.finish()
    allocation = allocate(code, SMALL)
    assert (allocation.spill_slots, allocation.used_registers, allocation.moves) == (0, 0, [{}])


def test_a_definition_in_the_terminator_is_stored_later() -> None:
    b = Builder()
    v = b.vreg(XMM)
    target, other = b.new_block(), b.new_block()
    b.branch(target, other)
    b.code.blocks[0].insts[-1] = MachineInst([v], CONSTANT)
    for block in (target, other):
        b.block = block
        b.emit(Shape([], [], None, SMALL_CALL_CLOBBERS))
        b.emit(TEST, v)
        b.emit(JUMP)
    allocate_and_check(b.finish())
