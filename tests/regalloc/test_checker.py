"""The checker accepts right allocations and objects to wrong ones."""

from __future__ import annotations

import random

import pytest

from brolga.regalloc.allocate import allocate
from brolga.regalloc.checker import check
from brolga.regalloc.errors import CheckError
from brolga.regalloc.operand import (
    ANY_LOCATION,
    ANY_REGISTER,
    DEF,
    EARLY,
    LATE,
    MOVE_COPY,
    MOVE_EXCHANGE,
    MOVE_REMAT,
    SAME_AS,
    USE,
    Allocation,
    Code,
    Move,
    Shape,
)

from .machines import LARGE, LARGE_CALL_CLOBBERS, SCRATCH, SMALL, SMALL_CALL_CLOBBERS, mask
from .random_code import random_code
from .shapes import BINARY, CONSTANT, JUMP, TEST, Builder
from .simulator import trace_locations, trace_vregs

USED = mask([0, 1, 2, 3, 16, 17])


def allocation_of(code: Code, locations: list[list[int]], moves: dict[int, list[Move]] | None = None) -> Allocation:
    """An allocation by hand of code with one block."""
    for inst, where in zip(code.blocks[0].insts, locations, strict=True):
        inst.locations = where
    return Allocation([moves or {}], 2, USED)


def sum_of_two() -> Code:
    b = Builder()
    b.value(BINARY, b.value(), b.value())
    return b.finish()


def test_right_by_hand() -> None:
    code = sum_of_two()
    check(code, LARGE, allocation_of(code, [[0], [1], [0, 0, 1]]))
    check(code, LARGE, allocation_of(code, [[0], [1], [2, 2, 1]], {2: [Move(MOVE_COPY, 0, 2, 0)]}))


@pytest.mark.parametrize(
    ("locations", "message"),
    [
        ([[0], [0], [0, 0, 0]], "v0 is not in r0, which holds v1"),
        ([[0], [1], [2, 0, 1]], "not with operand 1"),
        ([[0], [1], [1, 1, 0]], "v0 is not in r1"),
        ([[0], [32], [0, 0, 32]], "not in a register"),
        ([[0], [16], [0, 0, 16]], "not for v1"),
        ([[0], [4], [0, 0, 4]], "not for v1"),
        ([[0], [5], [0, 0, 5]], "not among the used registers"),
        ([[0], [1], [0, 0]], "for 3 operands"),
    ],
)
def test_wrong_locations(locations: list[list[int]], message: str) -> None:
    code = sum_of_two()
    with pytest.raises(CheckError, match=message):
        check(code, LARGE, allocation_of(code, locations))


@pytest.mark.parametrize(
    ("move", "message"),
    [
        (Move(MOVE_COPY, 1, 0, 1), "v0 is not in r0, which holds v1"),
        (Move(MOVE_COPY, 2, 3, 0), "v0 is not in r2"),
        (Move(MOVE_COPY, 0, 34, 0), "there is no slot2"),
        (Move(MOVE_COPY, 0, 4, 0), "not allocatable"),
        (Move(MOVE_COPY, 0, 16, 0), "x0 is not for v0"),
        (Move(MOVE_COPY, 0, 6, 0), "not among the used registers"),
        (Move(MOVE_EXCHANGE, 0, 1, 0), "v0 is not in r0, which holds v1"),
        (Move(MOVE_EXCHANGE, 0, 32, 0), "exchange"),
        (Move(MOVE_REMAT, -1, 2, 0), "v0 cannot be made again"),
    ],
)
def test_wrong_moves(move: Move, message: str) -> None:
    code = sum_of_two()
    with pytest.raises(CheckError, match=message):
        check(code, LARGE, allocation_of(code, [[0], [1], [0, 0, 1]], {2: [move]}))


def test_a_move_after_the_last_instruction() -> None:
    code = sum_of_two()
    with pytest.raises(CheckError, match="instruction 3, which is not there"):
        check(code, LARGE, allocation_of(code, [[0], [1], [0, 0, 1]], {3: [Move(MOVE_COPY, 0, 2, 0)]}))


def test_the_scratch_vector_register_holds_nothing_across_instructions() -> None:
    b = Builder()
    x = b.value(register_class=1)
    b.emit(TEST, x)
    code = b.finish()
    moves = {1: [Move(MOVE_COPY, 16, SCRATCH, x), Move(MOVE_COPY, SCRATCH, 17, x)]}
    check(code, LARGE, allocation_of(code, [[16], [17]], moves))
    moves = {1: [Move(MOVE_COPY, 16, SCRATCH, x), Move(MOVE_COPY, 32, 33, x), Move(MOVE_COPY, SCRATCH, 17, x)]}
    with pytest.raises(CheckError):  # a copy between slots goes through it
        check(code, LARGE, allocation_of(code, [[16], [17]], moves))


@pytest.mark.parametrize(
    ("shape", "right", "wrong", "message"),
    [
        (Shape([USE], [2]), [2], [0], "not in r2"),
        (Shape([USE], [ANY_LOCATION]), [0], [32], "is not in slot0"),
        (Shape([DEF, USE], [ANY_REGISTER, ANY_REGISTER], [EARLY, EARLY]), [1, 0], [0, 0], "before it is read"),
        (Shape([DEF, USE], [ANY_REGISTER, ANY_REGISTER], [LATE, LATE]), [1, 0], [0, 0], "while it is needed"),
        (Shape([DEF, USE], [1, ANY_REGISTER], [LATE, LATE]), [1, 0], [1, 1], "while it is needed"),
        (Shape([USE], [ANY_REGISTER], [LATE], mask([1])), [0], [1], "clobbered while it is needed"),
        (Shape([DEF, USE], [ANY_REGISTER, ANY_REGISTER], None, mask([1])), [2, 1], [1, 0], "which is clobbered"),
        (Shape([DEF, USE], [SAME_AS - 1, 1]), [1, 1], [0, 1], "not with operand 1"),
    ],
)
def test_constraints(shape: Shape, right: list[int], wrong: list[int], message: str) -> None:
    for locations, bad in ((right, False), (wrong, True)):
        b = Builder()
        x = b.value()
        if len(shape.kinds) == 2:
            b.value(shape, x)
        else:
            b.emit(shape, x)
        code = b.finish()
        source = 3
        moves = {1: [Move(MOVE_COPY, source, locations[-1], x)]} if locations[-1] < 32 else None
        allocation = allocation_of(code, [[source], locations], moves)
        if bad:
            with pytest.raises(CheckError, match=message):
                check(code, LARGE, allocation)
        else:
            check(code, LARGE, allocation)


def test_two_definitions_in_one_register() -> None:
    b = Builder()
    b.emit(Shape([DEF, DEF], [ANY_REGISTER, ANY_REGISTER]), b.vreg(), b.vreg())
    code = b.finish()
    check(code, LARGE, allocation_of(code, [[0, 1]]))
    with pytest.raises(CheckError, match="another definition"):
        check(code, LARGE, allocation_of(code, [[1, 1]]))


def test_clobbers_destroy() -> None:
    b = Builder()
    x = b.value()
    b.emit(Shape([], [], None, mask([0])))
    b.emit(TEST, x)
    code = b.finish()
    check(code, LARGE, allocation_of(code, [[1], [], [1]]))
    with pytest.raises(CheckError, match="v0 is not in r0, which holds nothing"):
        check(code, LARGE, allocation_of(code, [[0], [], [0]]))


def loop_with_old_value() -> tuple[Code, int]:
    """A loop that uses its parameter after the next value is made; the moves of the back edge matter."""
    b = Builder()
    header, latch = b.new_block(1), b.new_block(1)
    p = b.param(header)
    b.jump(header, b.value())
    b.block = header
    n = b.value(CONSTANT)
    b.emit(TEST, p)
    exit_block = b.new_block()
    b.branch(latch, exit_block)
    b.block = latch
    b.jump(header, n)
    b.block = exit_block
    b.emit(JUMP)
    return b.finish(), n


def test_a_stale_value_of_the_round_before() -> None:
    code, n = loop_with_old_value()
    where = [[[0], []], [[1], [0], []], [[]], [[]]]
    for block, locations in zip(code.blocks, where, strict=True):
        for inst, location in zip(block.insts, locations, strict=True):
            inst.locations = location
    right = Allocation([{}, {}, {0: [Move(MOVE_COPY, 1, 0, n)]}, {}], 0, USED)
    check(code, LARGE, right)
    with pytest.raises(CheckError, match="v0 is not in r0"):
        check(code, LARGE, Allocation([{}, {}, {}, {}], 0, USED))


def diamond() -> Code:
    """v0 in the entry, something else in both arms, v0 used at the join."""
    b = Builder()
    x = b.value()
    arms = [b.new_block(), b.new_block()]
    join = b.new_block()
    b.branch(*arms)
    for arm in arms:
        b.block = arm
        b.value()
        b.jump(join)
    b.block = join
    b.emit(TEST, x)
    return b.finish()


@pytest.mark.parametrize(
    ("arms", "right"),
    [
        ([[], []], True),  # where it was before
        ([[Move(MOVE_COPY, 0, 1, 0)], [Move(MOVE_COPY, 0, 1, 0)]], True),  # moved on both ways
        ([[Move(MOVE_COPY, 0, 1, 0)], []], False),
        ([[], [Move(MOVE_COPY, 0, 1, 0)]], False),
    ],
)
def test_where_paths_meet(arms: list[list[Move]], right: bool) -> None:
    code = diamond()
    destination = 1 if arms[0] or arms[1] else 0
    for block, where in zip(code.blocks, [[[0], []], [[2], []], [[2], []], [[destination]]], strict=True):
        for inst, locations in zip(block.insts, where, strict=True):
            inst.locations = locations
    allocation = Allocation([{}, {1: arms[0]}, {1: arms[1]}, {}], 0, USED)
    if right:
        check(code, LARGE, allocation)
    else:
        with pytest.raises(CheckError, match="block3 instruction 0: v0 is not in r1, which holds nothing"):
            check(code, LARGE, allocation)


@pytest.mark.parametrize("arm", [1, 2])
def test_what_an_arm_overwrites_is_gone_where_paths_meet(arm: int) -> None:
    code = diamond()
    where = [[[0], []], [[2], []], [[2], []], [[0]]]
    where[arm][0] = [0]
    for block, of_block in zip(code.blocks, where, strict=True):
        for inst, locations in zip(block.insts, of_block, strict=True):
            inst.locations = locations
    with pytest.raises(CheckError, match="block3 instruction 0: v0 is not in r0, which holds nothing"):
        check(code, LARGE, Allocation([{}, {}, {}, {}], 0, USED))


@pytest.mark.parametrize(
    "idom",
    [
        [-1, 0, 0, 1],  # an edge goes round it
        [-1, 0, 0, 3],
        [-1, 2, 1, 0],
        [-1, -1, 0, 0],
        [1, 0, 0, 0],
    ],
)
def test_wrong_dominators(idom: list[int]) -> None:
    code = diamond()
    allocation = allocate(code, LARGE)
    check(code, LARGE, allocation)
    if idom[0] == 1:  # an edge to the entry
        code.blocks[1].succs.append(0)
        idom[0] = -1
    code.idom = idom
    with pytest.raises(CheckError, match="is not dominated by"):
        check(code, LARGE, allocation)


def test_dominators_need_not_be_the_nearest() -> None:
    b = Builder()
    x = b.value()
    for _ in range(2):
        block = b.new_block()
        b.jump(block)
        b.block = block
    b.emit(TEST, x)
    code = b.finish()
    allocation = allocate(code, LARGE)
    assert code.idom == [-1, 0, 1]
    code.idom = [-1, 0, 0]
    check(code, LARGE, allocation)


def mutate(rnd: random.Random, code: Code, allocation: Allocation) -> bool:
    """Break something, at random. False if there was nothing to break."""
    places = [(b, index) for b, moves in enumerate(allocation.moves) for index in moves]
    insts = [inst for block in code.blocks for inst in block.insts if inst.locations]
    choice = rnd.random()
    if choice < 0.4 and places:
        b, index = rnd.choice(places)
        moves = allocation.moves[b][index]
        if rnd.random() < 0.5:
            del moves[rnd.randrange(len(moves))]
        elif len(moves) > 1:
            i = rnd.randrange(len(moves) - 1)
            moves[i], moves[i + 1] = moves[i + 1], moves[i]
        else:
            moves[0].source, moves[0].destination = moves[0].destination, moves[0].source
        return True
    if not insts:
        return False
    inst = rnd.choice(insts)
    i = rnd.randrange(len(inst.locations))
    location = inst.locations[i]
    same_bank = [x for x in (range(16) if location < 16 else range(16, 31)) if x != location]
    inst.locations[i] = rnd.choice(same_bank)
    return True


def test_whatever_changes_the_behaviour_is_found() -> None:
    found = 0
    for seed in range(300):
        env, clobbers = (SMALL, SMALL_CALL_CLOBBERS) if seed % 2 else (LARGE, LARGE_CALL_CLOBBERS)
        code = random_code(seed, env, clobbers, blocks=8, insts=8, reach=12)
        before = [trace_vregs(code, path) for path in range(4)]
        allocation = allocate(code, env)
        allocation.used_registers = (1 << 32) - 1
        if not mutate(random.Random(seed), code, allocation):
            continue
        if all(trace_locations(code, allocation, path, SCRATCH) == before[path] for path in range(4)):
            continue
        with pytest.raises(CheckError):
            check(code, env, allocation)
        found += 1
    assert found > 70
