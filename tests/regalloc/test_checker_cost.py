"""The checker's work is linear in the code, however many slots are full in however many blocks.

Work is counted in lines of Python run; nothing is timed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from brolga.jit.code import COMPILED
from brolga.regalloc.allocate import allocate
from brolga.regalloc.checker import check
from brolga.regalloc.operand import Code

from .machines import SMALL
from .shapes import TEST, Builder


def lines_run(code: Code) -> int:
    """Lines that the checker runs for the code's allocation."""
    allocation = allocate(code, SMALL)
    assert allocation.spill_slots > len(code.blocks) // 8
    count = 0

    def on_line(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += 1
        return on_line

    before = sys.gettrace()
    sys.settrace(on_line)
    try:
        check(code, SMALL, allocation)
    finally:
        sys.settrace(before)
    return count


def full_slots(b: Builder, count: int) -> list[int]:
    return [b.value() for _ in range(count)]


def used(b: Builder, values: list[int]) -> Code:
    for v in values:
        b.emit(TEST, v)
    return b.finish()


def diamonds_in_a_row(size: int) -> Code:
    b = Builder()
    values = full_slots(b, size)
    for _ in range(size):
        arms = [b.new_block(), b.new_block()]
        join = b.new_block()
        b.branch(*arms)
        for arm in arms:
            b.block = arm
            b.value()
            b.jump(join)
        b.block = join
    return used(b, values)


def diamonds_in_diamonds(size: int) -> Code:
    """Each holds a value from before it and passes one on."""
    b = Builder()
    values = []
    others = []
    for _ in range(size):
        values.append(b.value())
        then, other = b.new_block(), b.new_block()
        others.append(other)
        b.branch(then, other)
        b.block = then
    result = b.value()
    for value, other in zip(reversed(values), reversed(others), strict=True):
        before = b.block
        join = b.new_block()
        b.block = before
        b.jump(join, result)
        b.block = other
        b.jump(join, b.value())
        result = b.param(join)
        b.block = join
        b.emit(TEST, value)
    return used(b, [result])


def branches_to_one_end(size: int) -> Code:
    b = Builder()
    values = full_slots(b, size)
    ends = []
    for _ in range(size):
        out, on = b.new_block(), b.new_block()
        b.branch(out, on)
        ends.append(out)
        b.block = on
    ends.append(b.block)
    end = b.new_block()
    for out in ends:
        b.block = out
        b.jump(end)
    b.block = end
    return used(b, values)


def loops_in_a_row(size: int) -> Code:
    b = Builder()
    values = full_slots(b, size)
    for _ in range(size):
        header, latch, after = b.new_block(1), b.new_block(1), b.new_block()
        b.jump(header)
        b.block = header
        b.value()
        b.branch(latch, after)
        b.block = latch
        b.jump(header)
        b.block = after
    return used(b, values)


@pytest.mark.skipif(COMPILED, reason="compiled code runs no lines")
@pytest.mark.parametrize(
    "shape",
    [diamonds_in_a_row, diamonds_in_diamonds, branches_to_one_end, loops_in_a_row],
    ids=lambda shape: shape.__name__,
)
def test_work_is_linear(shape: Callable[[int], Code]) -> None:
    assert lines_run(shape(240)) < 2.2 * lines_run(shape(120))
