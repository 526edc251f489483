"""What hot code must not have: moves, loads and stores in loops that can do without."""

from __future__ import annotations

import pytest

from brolga.regalloc.allocate import allocate
from brolga.regalloc.checker import check
from brolga.regalloc.operand import (
    ANY_LOCATION,
    ANY_REGISTER,
    DEF,
    GPR,
    MOVE_REMAT,
    SAME_AS,
    USE,
    XMM,
    Allocation,
    Code,
    MachineEnv,
    Move,
    Shape,
)

from .machines import CALLEE_SAVED, LARGE, LARGE_CALL_CLOBBERS, SMALL, SMALL_CALL_CLOBBERS
from .shapes import BINARY, CONSTANT, TEST, THREE, UNARY, Builder, loops_in_sequence

COMPARE = Shape([USE, USE], [ANY_REGISTER, ANY_LOCATION])
COMMUTING = Shape([DEF, USE, USE], [SAME_AS - 1, ANY_REGISTER, ANY_LOCATION], commutes=True)
LEA = Shape([DEF], [ANY_REGISTER])
CALL = Shape([], [], None, LARGE_CALL_CLOBBERS)
SHIFT = Shape([DEF, USE, USE], [SAME_AS - 1, ANY_REGISTER, 1])
DIVIDE = Shape([DEF, DEF, USE, USE, USE], [0, 2, 0, 2, ANY_LOCATION])


class Loop:
    """for (i = start; i != n; i++): `header` is open for the body after construction; `close` ends it."""

    def __init__(self, b: Builder, depth: int, initial: list[int]) -> None:
        self.b = b
        self.depth = depth
        self.header = b.new_block(depth)
        self.params = [b.param(self.header, b.code.vreg_class[v]) for v in initial]
        self.n = b.value()
        self.counter = b.param(self.header)
        b.jump(self.header, *initial, b.value())
        b.block = self.header

    def close(self, *arguments: int) -> list[int]:
        """The result are the arguments: the values that the code after the loop sees."""
        b = self.b
        counter = b.value(UNARY, self.counter)
        b.emit(COMPARE, counter, self.n)
        latch, after = b.new_block(self.depth), b.new_block(self.depth - 1)
        b.branch(latch, after)
        b.block = latch
        b.jump(self.header, *arguments, counter)
        b.block = after
        return list(arguments)


def finish(b: Builder, *results: int, env: MachineEnv = LARGE) -> tuple[Code, Allocation]:
    for v in results:
        b.emit(TEST, v)
    b.emit(TEST, b.value())
    code = b.finish()
    allocation = allocate(code, env)
    check(code, env, allocation)
    return code, allocation


def moves_in_loops(code: Code, allocation: Allocation, depth: int = 1) -> list[Move]:
    return [
        move
        for block in code.blocks
        if block.loop_depth >= depth
        for moves in allocation.moves[block.number].values()
        for move in moves
    ]


def test_induction_variables_stay_in_place() -> None:
    b = Builder()
    loop = Loop(b, 1, [b.value() for _ in range(5)])
    after = loop.close(*[b.value(UNARY, p) for p in loop.params])
    assert moves_in_loops(*finish(b, *after)) == []


def test_a_value_made_without_tie_goes_where_the_parameter_was() -> None:
    b = Builder()
    loop = Loop(b, 1, [b.value(), b.value()])
    pointer, total = loop.params
    product = b.value(LEA, total, pointer)
    mixed = b.value(BINARY, product, pointer)
    after = loop.close(b.value(LEA, pointer), b.value(LEA, mixed))
    assert moves_in_loops(*finish(b, *after)) == []


def test_the_dying_input_of_a_commuting_instruction_is_overwritten() -> None:
    b = Builder()
    loop = Loop(b, 1, [b.value(), b.value()])
    pointer, total = loop.params
    loaded = b.value(LEA, pointer)
    new = b.value(COMMUTING, loaded, total)
    again = b.value(COMMUTING, pointer, new)
    after = loop.close(b.value(UNARY, pointer), again)
    assert moves_in_loops(*finish(b, *after)) == []


@pytest.mark.parametrize("exchanged", [False, True])
def test_what_a_parameter_wants_back_is_not_overwritten(exchanged: bool) -> None:
    """Two parameters take turns: the new value goes anywhere but where the next one has to be."""
    b = Builder()
    loop = Loop(b, 1, [b.value(), b.value()])
    older, newer = loop.params
    made = b.value(LEA, newer)
    next_value = b.value(COMMUTING, made, older) if exchanged else b.value(COMMUTING, older, made)
    after = loop.close(newer, next_value)
    assert len(moves_in_loops(*finish(b, *after))) == 2


def test_what_a_loop_finds_in_a_register_stays_there() -> None:
    """A copy of an invariant is overwritten, though the result would like the register: else the invariant would have to come back."""
    b = Builder()
    invariant = b.value()
    loop = Loop(b, 1, [b.value()])
    key = b.value(LEA, loop.params[0])
    mixed = b.value(COMMUTING, invariant, key)
    inner = b.new_block(1)
    found, skip = b.param(inner), b.new_block(1)
    direct = b.new_block(1)
    b.branch(direct, skip)
    b.block = skip
    other = b.value(LEA, key)
    b.jump(inner, other)
    b.block = direct
    b.jump(inner, mixed)
    b.block = inner
    b.emit(COMPARE, found, key)
    after = loop.close(b.value(UNARY, loop.params[0]))
    assert len(moves_in_loops(*finish(b, *after, invariant))) == 1


def test_sums_grow_in_place() -> None:
    """Whichever operand of an addition is the sum so far."""
    b = Builder()
    loop = Loop(b, 1, [b.value(), b.value()])
    pointer, total = loop.params
    loaded = [b.value(LEA, pointer) for _ in range(4)]
    for value in loaded:
        total = b.value(COMMUTING, value, total)
    after = loop.close(b.value(UNARY, pointer), total)
    assert moves_in_loops(*finish(b, *after)) == []


def test_a_value_for_the_next_iteration_and_for_the_end_takes_the_loop_s_register() -> None:
    """What is passed around the loop, and out of it to where another path comes in: the edge that runs more often decides."""
    b = Builder()
    end = b.new_block()
    result = b.param(end)
    enter, skip = b.new_block(), b.new_block()
    initial = b.value()
    b.branch(enter, skip)
    b.block = skip
    b.jump(end, b.value())
    b.block = enter
    loop = Loop(b, 1, [initial, b.value()])
    total, other = loop.params
    loaded = b.value(LEA, other)
    new = b.value(COMMUTING, loaded, total)
    after = loop.close(new, b.value(UNARY, other))
    b.jump(end, after[0])
    b.block = end
    assert moves_in_loops(*finish(b, result)) == []


def moves_in_latches(code: Code, allocation: Allocation) -> list[Move]:
    """Moves in blocks that do nothing but jump back."""
    return [
        move
        for block in code.blocks
        if len(block.insts) == 1 and block.succs and block.succs[0] < block.number
        for moves in allocation.moves[block.number].values()
        for move in moves
    ]


def test_the_end_of_a_loop_is_its_branch() -> None:
    """Parameters that change places need moves, but no block for them."""
    b = Builder()
    loop = Loop(b, 1, [b.value(), b.value()])
    first, second = loop.params
    loop.close(second, first)
    code, allocation = finish(b)
    assert len(moves_in_loops(code, allocation)) == 3
    assert moves_in_latches(code, allocation) == []


def test_what_the_way_out_needs_is_not_overwritten_before_the_branch() -> None:
    b = Builder()
    loop = Loop(b, 1, [b.value(), b.value()])
    first, second = loop.params
    loop.close(second, first)
    code, allocation = finish(b, first)
    assert len(moves_in_latches(code, allocation)) == 3


def test_what_the_compare_reads_is_overwritten_behind_it() -> None:
    b = Builder()
    loop = Loop(b, 1, [b.value(), b.value()])
    first, second = loop.params
    counter = b.value(UNARY, loop.counter)
    b.emit(COMPARE, counter, first)
    latch, after = b.new_block(1), b.new_block()
    b.branch(latch, after)
    b.block = latch
    b.jump(loop.header, second, first, counter)
    b.block = after
    code, allocation = finish(b)
    assert moves_in_latches(code, allocation) == []
    header = code.blocks[loop.header.number]
    assert len(allocation.moves[header.number][len(header.insts) - 1]) == 3


def test_paths_that_meet_agree() -> None:
    b = Builder()
    loop = Loop(b, 1, [b.value(), b.value()])
    first, second = loop.params
    left, right, merge = b.new_block(1), b.new_block(1), b.new_block(1)
    p = b.param(merge)
    b.branch(left, right)
    b.block = left
    one = b.value(BINARY, first, second)
    b.jump(merge, b.value(UNARY, one))
    b.block = right
    two = b.value(THREE, second, first)
    b.emit(TEST, two)
    b.jump(merge, b.value(UNARY, two))
    b.block = merge
    after = loop.close(p, b.value(UNARY, second))
    assert moves_in_loops(*finish(b, *after)) == []


def test_nested_loops() -> None:
    b = Builder()
    outer = Loop(b, 1, [b.value(), b.value()])
    inner = Loop(b, 2, outer.params)
    total, pointer = inner.params
    outer.close(*inner.close(b.value(BINARY, total, pointer), b.value(UNARY, pointer)))
    code, allocation = finish(b)
    assert moves_in_loops(code, allocation, 2) == []


def test_a_use_after_the_next_value_costs_one_move() -> None:
    b = Builder()
    loop = Loop(b, 1, [b.value()])
    new = b.value(UNARY, loop.params[0])
    b.emit(TEST, loop.params[0])
    loop.close(new)
    assert len(moves_in_loops(*finish(b))) == 1


def test_values_live_through_a_full_loop_are_spilled_around_it() -> None:
    b = Builder()
    through = [b.value() for _ in range(12)]
    loop = Loop(b, 1, [b.value() for _ in range(12)])
    loop.close(*[b.value(UNARY, p) for p in loop.params])
    code, allocation = finish(b, *through)
    assert allocation.spill_slots > 0
    assert moves_in_loops(code, allocation) == []


def test_values_live_through_a_loop_with_room_stay() -> None:
    b = Builder()
    through = [b.value() for _ in range(5)]
    loop = Loop(b, 1, [b.value() for _ in range(4)])
    loop.close(*[b.value(UNARY, p) for p in loop.params])
    code, allocation = finish(b, *through)
    assert allocation.spill_slots == 0
    assert moves_in_loops(code, allocation) == []


def test_values_evicted_before_a_loop_that_uses_them_are_loaded_before_it() -> None:
    b = Builder()
    invariant = [b.value() for _ in range(4)]
    for v in [b.value() for _ in range(12)]:
        b.emit(TEST, v)
    crowd = [b.value() for _ in range(12)]
    for v in crowd:
        b.emit(TEST, v)
    loop = Loop(b, 1, [b.value()])
    for v in invariant:
        b.emit(TEST, v)
    loop.close(b.value(UNARY, loop.params[0]))
    code, allocation = finish(b)
    assert allocation.spill_slots > 0
    assert moves_in_loops(code, allocation) == []


def test_what_crosses_calls_in_a_loop_is_callee_saved() -> None:
    b = Builder()
    loop = Loop(b, 1, [b.value(), b.value()])
    b.emit(CALL)
    loop.close(*[b.value(UNARY, p) for p in loop.params])
    code, allocation = finish(b)
    assert allocation.spill_slots == 0
    assert moves_in_loops(code, allocation) == []


def test_arguments_that_cross_a_call_in_a_loop_move_before_it() -> None:
    b = Builder()
    x, y = b.vreg(), b.vreg()
    b.emit(Shape([DEF, DEF], [7, 6]), x, y)
    loop = Loop(b, 1, [b.value()])
    b.emit(CALL)
    b.emit(TEST, x)
    b.emit(TEST, y)
    loop.close(b.value(UNARY, loop.params[0]))
    code, allocation = finish(b)
    assert moves_in_loops(code, allocation) == []


def test_callee_saved_registers_are_left_alone_without_calls() -> None:
    b = Builder()
    loop = Loop(b, 1, [b.value() for _ in range(5)])
    after = loop.close(*[b.value(UNARY, p) for p in loop.params])
    _, allocation = finish(b, *after)
    assert allocation.used_registers & CALLEE_SAVED == 0


def test_a_call_on_a_cold_path_does_not_disturb_the_loop() -> None:
    b = Builder()
    loop = Loop(b, 1, [b.value() for _ in range(8)])
    cold, join = b.new_block(1), b.new_block(1)
    go_on = b.new_block(1)
    cold.frequency = 0.001
    b.branch(cold, go_on)
    b.block = cold
    b.emit(CALL)
    b.jump(join)
    b.block = go_on
    b.jump(join)
    b.block = join
    after = loop.close(*[b.value(UNARY, p) for p in loop.params])
    code, allocation = finish(b, *after)
    assert allocation.spill_slots > 0
    for block in code.blocks:
        if block.frequency >= 1:
            assert not allocation.moves[block.number], block.number


def test_a_store_stands_where_it_runs_less_often() -> None:
    """A value of a loop that is spilled in the cold only is stored there."""
    b = Builder()
    loop = Loop(b, 1, [b.value(register_class=XMM)])
    v = b.value(register_class=XMM)
    cold, go_on, join = b.new_block(1), b.new_block(1), b.new_block(1)
    cold.frequency = 0.001
    b.branch(cold, go_on)
    b.block = cold
    b.emit(CALL)
    b.jump(join)
    b.block = go_on
    b.jump(join)
    b.block = join
    loop.close(b.value(BINARY, v, loop.params[0], register_class=XMM))
    code, allocation = finish(b)
    assert stores_of(code, allocation) == [(cold.number, 0)] * 2  # v and the parameter


def stores_of(code: Code, allocation: Allocation) -> list[tuple[int, int]]:
    """Block and position of each."""
    return [
        (block.number, index)
        for block in code.blocks
        for index, moves in allocation.moves[block.number].items()
        for move in moves
        if move.destination >= 32
    ]


def test_a_store_for_a_loop_stands_before_it() -> None:
    """Not behind the definition, which the path that leaves early shares, nor in the loop."""
    b = Builder()
    v = b.value(register_class=XMM)
    rare, done = b.new_block(), b.new_block()
    rare.frequency = 0.2
    b.branch(rare, done)
    b.block = done
    b.emit(TEST, b.value())
    b.block = rare
    loop = Loop(b, 1, [b.value()])
    b.emit(CALL)
    b.emit(TEST, v)
    loop.close(b.value(UNARY, loop.params[0]))
    code, allocation = finish(b)
    assert stores_of(code, allocation) == [(rare.number, len(rare.insts) - 1)]


def test_a_store_behind_another_is_dropped() -> None:
    b = Builder()
    v = b.value(register_class=XMM)
    rare, done, rarer = b.new_block(), b.new_block(), b.new_block()
    rare.frequency = rarer.frequency = 0.3
    b.branch(rare, done)
    b.block = done
    b.emit(TEST, b.value())
    b.block = rare
    for _ in range(2):
        b.emit(CALL)
        b.emit(TEST, v)
    b.jump(rarer)
    b.block = rarer
    b.emit(TEST, v)
    b.emit(CALL)
    b.emit(TEST, v)
    code, allocation = finish(b)
    assert stores_of(code, allocation) == [(rare.number, 0)]


def test_a_value_is_stored_once() -> None:
    b = Builder()
    v = b.value(register_class=XMM)
    for _ in range(3):
        b.emit(TEST, v)
        b.emit(CALL)
    b.emit(TEST, v)
    code, allocation = finish(b)
    loads = [m for moves in allocation.moves[0].values() for m in moves if m.source >= 32]
    assert stores_of(code, allocation) == [(0, 1)]
    assert len(loads) == 3


def test_constants_stay_in_registers_in_a_loop() -> None:
    b = Builder()
    constants = [b.constant(XMM) for _ in range(4)]
    loop = Loop(b, 1, [b.value(register_class=XMM)])
    total = loop.params[0]
    for c in constants:
        total = b.value(BINARY, total, c, register_class=XMM)
    loop.close(total)
    code, allocation = finish(b)
    assert moves_in_loops(code, allocation) == []


def test_constants_are_never_stored() -> None:
    b = Builder()
    constants = [b.constant(XMM) for _ in range(20)]
    for _ in range(2):
        for c in constants:
            b.emit(TEST, c)
    _, allocation = finish(b)
    moves = [m for moves in allocation.moves[0].values() for m in moves]
    assert moves and all(m.kind == MOVE_REMAT for m in moves)
    assert allocation.spill_slots == 0


def test_a_shift_count_that_does_not_change_stays_in_rcx() -> None:
    b = Builder()
    count = b.value()
    loop = Loop(b, 1, [b.value(), b.value()])
    loop.close(*[b.value(SHIFT, p, count) for p in loop.params])
    code, allocation = finish(b)
    assert moves_in_loops(code, allocation) == []


def test_values_that_cross_a_division_stay_out_of_its_registers() -> None:
    b = Builder()
    divisor, low, high = b.value(), b.value(), b.value()
    loop = Loop(b, 1, [b.value(), b.value(), b.value()])
    quotient, remainder = b.vreg(), b.vreg()
    b.emit(DIVIDE, quotient, remainder, low, high, divisor)
    loop.close(*[b.value(UNARY, p) for p in loop.params])
    code, allocation = finish(b)
    assert len(moves_in_loops(code, allocation)) == 2  # low and high to rax and rdx, which the division overwrites


def test_many_loops_in_sequence_do_not_reload_what_they_do_not_use() -> None:
    for register_class, through in ((GPR, 40), (XMM, 60)):
        code = loops_in_sequence(20, through, register_class)
        allocation = allocate(code, LARGE)
        check(code, LARGE, allocation)
        assert moves_in_loops(code, allocation) == []
        loads = [m for moves in allocation.moves for ms in moves.values() for m in ms if 32 <= m.source]
        assert len(loads) <= through


@pytest.mark.parametrize("count", [3, 8, 30])
def test_parameters_in_memory_share_slots_with_their_arguments(count: int) -> None:
    """A loop that passes more values round than there are registers, unchanged, copies nothing from slot to slot."""
    b = Builder()
    loop = Loop(b, 1, [b.value() for _ in range(count)])
    b.emit(Shape([], [], None, SMALL_CALL_CLOBBERS))
    loop.close(*loop.params)
    code, allocation = finish(b, *loop.params, env=SMALL)
    assert [m for m in moves_in_loops(code, allocation) if m.source >= 32 and m.destination >= 32] == []


def test_a_parameter_whose_arguments_are_in_memory_stays_there() -> None:
    """A value that calls have driven out is passed on in its slot: no load, and no copy to another slot."""
    b = Builder()
    left, right, merge = b.new_block(), b.new_block(), b.new_block()
    p = b.param(merge, XMM)
    v = b.value(register_class=XMM)
    b.branch(left, right)
    for block in (left, right):
        b.block = block
        b.emit(CALL)
        b.jump(merge, v)
    b.block = merge
    b.emit(CALL)
    code, allocation = finish(b, p)
    moves = [(block.number, m) for block in code.blocks for ms in allocation.moves[block.number].values() for m in ms]
    assert [number for number, m in moves if m.source >= 32] == [merge.number]
    assert [number for number, m in moves if m.destination >= 32] == [0]
    assert allocation.spill_slots == 1


def test_a_memory_operand_is_not_loaded_first() -> None:
    b = Builder()
    values = [b.value() for _ in range(20)]
    total = b.value()
    for v in values:
        total = b.value(COMMUTING, total, v)
    _, allocation = finish(b, total)
    loads = [m for moves in allocation.moves[0].values() for m in moves if m.source >= 32]
    assert loads == []
    assert allocation.spill_slots > 0


def test_unused_definitions_take_no_register_for_long() -> None:
    b = Builder()
    for _ in range(40):
        b.value(CONSTANT)
    _, allocation = finish(b)
    assert allocation.used_registers == 1
