"""Where the frame is made: golden cases, and cases where it is not for parts of the function."""

from __future__ import annotations

import pytest

from brolga.regalloc.allocate import allocate
from brolga.regalloc.checker import check
from brolga.regalloc.errors import CheckError
from brolga.regalloc.operand import (
    ANY_LOCATION,
    ANY_REGISTER,
    DEF,
    FIRST_SPILL_SLOT,
    GPR,
    MOVE_COPY,
    USE,
    XMM,
    Allocation,
    Code,
    MachineBlock,
    Move,
    Shape,
)
from brolga.regalloc.policy import Policy
from brolga.regalloc.printer import print_code

from .machines import LARGE, LARGE_CALL_CLOBBERS
from .shapes import BINARY, TEST, UNARY, Builder

ARGUMENT = Shape([DEF], [7])
CALL = Shape([DEF, USE], [0, 7], None, LARGE_CALL_CLOBBERS & ~1)
CALL_WITHOUT_RESULT = Shape([USE], [7], None, LARGE_CALL_CLOBBERS)
RETURN = Shape([USE], [0])


def framed(code: Code) -> list[int]:
    """The blocks with the frame, if it is made on some paths only; checked."""
    allocation = allocate(code, LARGE)
    check(code, LARGE, allocation)
    return [b for b, has in enumerate(allocation.framed) if has]


def allocated(code: Code) -> list[str]:
    allocation = allocate(code, LARGE)
    check(code, LARGE, allocation)
    return [line.rstrip() for line in print_code(code, allocation).splitlines()]


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip("\n").splitlines()]


class Early(Builder):
    """A function with one argument that returns early on one path. `block` is the start of the other, which calls."""

    def __init__(self, frequency: float = 0.5) -> None:
        super().__init__()
        self.argument = self.emit(ARGUMENT, self.vreg())
        self.out, self.slow, self.join = self.new_block(), self.new_block(), self.new_block()
        self.slow.frequency = frequency
        self.out.frequency = 1 - frequency
        self.emit(TEST, self.argument)

    def both(self) -> None:
        self.branch(self.out, self.slow)
        self.block = self.out
        self.result = self.param(self.join)
        self.jump(self.join, self.constant())
        self.block = self.slow

    def end(self, result: int) -> Code:
        self.jump(self.join, result)
        self.block = self.join
        self.emit(RETURN, self.result)
        return self.finish()


def test_early_exit() -> None:
    """The argument waits in its register until the call; the result is in no callee-saved register where the paths meet."""
    b = Early()
    b.both()
    first = b.value(CALL, b.argument)
    code = b.end(b.value(BINARY, first, b.argument))
    assert allocated(code) == lines(
        """
block0: without frame
  v0=r7 <-                                 ; r7 <-
  <- v0                                    ; <- r7
  <-                                       ; <-
  -> block1 block2
block1: without frame  ; from block0
  v2 <-                                    ; r0 <-
  <-                                       ; <-
  -> block3 v2
block2:  ; from block0
    move r3 = r7 (v0)
  v3=r0 <- v0=r7 ! r1 r2 r6 r7 r8 r9 r10 r11 x0 x1 x2 x3 x4 x5 x6 x7 x8 x9 x10 x11 x12 x13 x14 ; r0 <- r7
  v4=op1 <- v3, v0                         ; r0 <- r0, r3
  <-                                       ; <-
  -> block3 v4
block3: without frame v1  ; from block1 block2
  <- v1=r0                                 ; <- r0
"""
    )
    policy = Policy()
    policy.shrink_wrapping = False
    assert allocate(code, LARGE, policy).framed == []


def test_what_is_made_before_the_paths_part_waits_too() -> None:
    b = Early()
    x = b.value(UNARY, b.argument)
    b.both()
    first = b.value(CALL, b.argument)
    assert framed(b.end(b.value(BINARY, first, x))) == [2]


def test_calls_that_nothing_lives_across_need_no_frame() -> None:
    b = Early()
    b.both()
    assert framed(b.end(b.value(CALL, b.argument))) == []
    b = Early()
    b.both()
    b.emit(CALL_WITHOUT_RESULT, b.argument)
    again = b.constant()
    allocation = allocate(b.end(again), LARGE)
    assert allocation.framed == [] and not allocation.used_registers & LARGE.callee_saved


def test_spill_slots_need_the_frame() -> None:
    b = Early()
    b.both()
    values = [b.value() for _ in range(20)]
    total = values[0]
    for v in values[1:]:
        total = b.value(Shape([DEF, USE, USE], [ANY_REGISTER, ANY_REGISTER, ANY_LOCATION]), total, v)
    assert framed(b.end(total)) == [2]


def test_what_the_client_says() -> None:
    b = Early()
    b.both()
    b.slow.needs_frame = True
    first = b.value(CALL, b.argument)
    code = b.end(b.value(BINARY, first, b.argument))
    b.out.needs_frame = False
    assert framed(code) == [2]
    b.join.needs_frame = True  # now both ways need it
    assert framed(code) == []


def test_not_where_the_entry_needs_it() -> None:
    b = Early()
    first = b.value(CALL, b.argument)
    b.emit(TEST, b.argument)
    b.both()
    assert framed(b.end(first)) == []


def test_not_where_most_paths_need_it() -> None:
    for frequency, expected in ((0.6, [2]), (0.9, []), (0.999, [])):
        b = Early(frequency)
        b.both()
        first = b.value(CALL, b.argument)
        assert framed(b.end(b.value(BINARY, first, b.argument))) == expected, frequency


def test_not_where_all_paths_need_it() -> None:
    b = Early()
    b.branch(b.out, b.slow)
    for block in (b.out, b.slow):
        b.block = block
        first = b.value(CALL, b.argument)
        b.emit(RETURN, b.value(BINARY, first, b.argument))
    b.code.blocks.pop()
    assert framed(b.finish()) == []


def loop(b: Builder, inside: bool) -> MachineBlock:
    """A loop behind the current block, with a call that something lives across: in the loop or, not `inside`, behind it."""
    x = b.value()
    header, body, latch, after = b.new_block(1), b.new_block(1), b.new_block(1), b.new_block()
    header.frequency = body.frequency = latch.frequency = 5.0
    after.frequency = 0.5
    i = b.param(header)
    b.jump(header, x)
    b.block = header
    b.emit(TEST, i)
    b.branch(body, after)
    b.block = body
    n = b.value(CALL, i) if inside else b.value(UNARY, i)
    b.emit(TEST, x)
    b.jump(latch)
    b.block = latch
    b.jump(header, n)
    b.block = after
    return header


def test_the_frame_is_not_made_in_a_loop() -> None:
    """All blocks of the loop have it, though only one needs it."""
    b = Early()
    b.both()
    header = loop(b, True)
    has = framed(b.end(b.constant()))
    assert {2, header.number, header.number + 1, header.number + 2} <= set(has)
    assert 0 not in has and b.out.number not in has and b.join.number not in has


def test_a_loop_without_calls_needs_no_frame() -> None:
    b = Builder()
    x = b.value()
    header = loop(b, False)
    b.block.frequency = 1.0
    out, slow = b.new_block(), b.new_block()
    out.frequency = slow.frequency = 0.5
    b.emit(TEST, x)
    b.branch(out, slow)
    b.block = slow
    first = b.value(CALL, x)
    b.emit(RETURN, b.value(BINARY, first, x))
    b.block = out
    b.emit(RETURN, x)
    assert framed(b.finish()) == [slow.number] and header.loop_depth == 1


def test_a_function_that_is_a_loop_has_the_frame_at_the_entry() -> None:
    b = Builder()
    x = b.value()
    b.emit(CALL_WITHOUT_RESULT, x)
    loop(b, True)
    b.emit(TEST, x)
    assert framed(b.finish()) == []


def two_calls(between: float) -> tuple[Code, int]:
    """Two paths with calls, one behind the other, and a block between them; its number."""
    b = Early(0.1)
    b.both()
    middle, out, slow, join = b.join, b.new_block(), b.new_block(), b.new_block()
    middle.frequency = between
    slow.frequency = 0.1 * between
    out.frequency = 0.9 * between
    join.frequency = between
    first = b.value(CALL, b.argument)
    b.jump(middle, b.value(BINARY, first, b.argument))
    b.block = middle
    b.emit(TEST, b.result)
    b.branch(out, slow)
    b.block = out
    result = b.param(join)
    b.jump(join, b.constant())
    b.block = slow
    second = b.value(CALL, b.result)
    b.jump(join, b.value(BINARY, second, b.result))
    b.block = join
    b.emit(RETURN, result)
    return b.finish(), middle.number


def test_the_frame_is_taken_down_and_made_again() -> None:
    code, middle = two_calls(1.0)
    assert framed(code) == [2, middle + 2]


def held_through(register_class: int) -> tuple[Code, list[int]]:
    """Behind the call a block from which most paths return; what lives across the call is used on the other. The numbers of the
    blocks where it lives."""
    b = Early()
    b.both()
    slow, through, often, rarely = b.block, b.new_block(), b.new_block(), b.new_block()
    often.frequency, rarely.frequency = 0.9, 0.01
    held = b.value(register_class=register_class)
    b.emit(CALL_WITHOUT_RESULT, b.argument)
    b.jump(through)
    b.block = through
    b.emit(TEST, b.constant())
    b.branch(often, rarely)
    b.block = often
    b.jump(b.join, b.constant())
    b.block = rarely
    b.emit(TEST, held)
    return b.end(b.constant()), [slow.number, through.number, rarely.number]


def test_blocks_that_do_nothing_with_what_the_frame_holds_have_it() -> None:
    """Though it would be cheaper to make the frame again behind them: a callee-saved register, then a slot."""
    for register_class in (GPR, XMM):
        code, way = held_through(register_class)
        has = framed(code)
        assert set(way) <= set(has) and 0 not in has


# The checker --------------------------------------------------------------------------------------------------------------


def early() -> tuple[Code, Allocation]:
    b = Early()
    b.both()
    first = b.value(CALL, b.argument)
    code = b.end(b.value(BINARY, first, b.argument))
    return code, allocate(code, LARGE)


def rejected(code: Code, allocation: Allocation, message: str) -> None:
    with pytest.raises(CheckError, match=message):
        check(code, LARGE, allocation)


def test_checker_wants_the_frame_where_registers_are_written() -> None:
    code, allocation = early()
    check(code, LARGE, allocation)
    allocation.framed = [False] * 4
    rejected(code, allocation, "r3 is written without the frame")


def test_checker_wants_the_frame_where_slots_are_written() -> None:
    code, allocation = early()
    allocation.spill_slots = 1
    allocation.moves[0][1] = [Move(MOVE_COPY, 7, FIRST_SPILL_SLOT, 0)]
    rejected(code, allocation, "slot0 is written without the frame")


def test_checker_knows_what_is_lost() -> None:
    """A value in a callee-saved register, or in a slot, does not get over the place where the frame is taken down."""
    code, allocation = early()
    allocation.framed = [False, False, True, False]
    code.blocks[3].insts.insert(0, code.blocks[2].insts[1])  # reads r3
    code.blocks[2].insts.pop(1)
    rejected(code, allocation, "v0 is not in r3, which holds nothing")


def test_checker_wants_a_place_for_the_change() -> None:
    b = Builder()
    x = b.emit(ARGUMENT, b.vreg())
    left, right, join = b.new_block(), b.new_block(), b.new_block()
    b.branch(left, right)
    for b.block in (left, right):
        b.jump(join)
    b.block = join
    b.emit(RETURN, x)
    code = b.finish()
    allocation = allocate(code, LARGE)
    code.blocks[0].succs.append(join.number)
    join.preds.append(0)
    allocation.framed = [True, True, True, False]
    rejected(code, allocation, "no place for the frame between block0 and block3")


def test_checker_wants_the_frame_where_the_client_does() -> None:
    code, allocation = early()
    code.blocks[1].needs_frame = True
    rejected(code, allocation, "block1 needs the frame")
