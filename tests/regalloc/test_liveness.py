"""Order, loops, live sets and next uses."""

from __future__ import annotations

import pytest

from brolga.regalloc.liveness import LOOP_EXIT, NEVER, Liveness
from brolga.regalloc.loops import NO_LOOP, Flow
from brolga.regalloc.operand import DEF, GPR, Code

from .machines import LARGE, LARGE_CALL_CLOBBERS
from .random_code import random_code
from .shapes import BINARY, TEST, UNARY, Builder, loops_in_sequence, nested_loops


def analysed(code: Code) -> tuple[Flow, Liveness]:
    flow = Flow(code.blocks)
    return flow, Liveness(code, flow)


def live_sets(code: Code) -> list[set[int]]:
    """Live-in sets by plain iteration over sets."""
    live: list[set[int]] = [set() for _ in code.blocks]
    changed = True
    while changed:
        changed = False
        for block in reversed(code.blocks):
            now: set[int] = set()
            for s in block.succs:
                now |= live[s]
            now |= set(block.branch_args)
            for inst in reversed(block.insts):
                kinds = inst.shape.kinds
                for i, v in enumerate(inst.operands):
                    if i < len(kinds) and kinds[i] == DEF:
                        now.discard(v)
                for i, v in enumerate(inst.operands):
                    if i >= len(kinds) or kinds[i] != DEF:
                        now.add(v)
            now -= set(block.params)
            if now != live[block.number]:
                live[block.number] = now
                changed = True
    return live


@pytest.mark.parametrize("blocks", [3, 10, 40])
def test_live_sets_of_random_code(blocks: int) -> None:
    """Reducible and irreducible graphs, in any order of blocks."""
    irreducible = loops = 0
    for seed in range(120):
        code = random_code(seed, LARGE, LARGE_CALL_CLOBBERS, blocks=blocks, insts=6, reach=20)
        flow, live = analysed(code)
        irreducible += not flow.reducible
        loops += len(flow.headers)
        expected = live_sets(code)
        for b in flow.order:
            dead = live.begin_block(b)
            found = {live.vreg_of[n] for n in range(len(live.vreg_of)) if live.live_in[b] >> n & 1}
            assert found == expected[b], (seed, b)
            for v in found:
                assert live.last[v] == (live.exposed[b][v] if v in dead else NEVER)
                assert bool(live.gpr_mask >> live.number[v] & 1) == (code.vreg_class[v] == GPR)
            live.end_block(dead)
    assert loops > 0
    assert blocks < 40 or irreducible > 0


def test_masks_are_as_long_as_values_are_alive_at_once() -> None:
    """A thousand loops one after the other, each with values of its own that live across its blocks; then with as many values
    through all of them.
    """
    few, many = loops_in_sequence(1000, 2), loops_in_sequence(1000, 100)
    _, live = analysed(few)
    assert len(live.across) > 1000
    assert max(mask.bit_length() for mask in live.live_in) < 10
    _, live = analysed(many)
    assert 100 <= max(mask.bit_length() for mask in live.live_in) < 110


def test_a_bit_is_not_shared_in_a_loop_that_a_value_lives_around() -> None:
    """The block behind the loop comes before the loop's other block in the order: what it uses lives there too."""
    b = Builder()
    outside = b.value()
    header, latch, after = b.new_block(), b.new_block(), b.new_block(1)
    b.jump(header)
    b.block = header
    b.branch(after, latch)
    b.block = latch
    inside = b.value()
    more = b.new_block()
    b.jump(more)
    b.block = more
    b.emit(TEST, inside)
    b.jump(header)
    b.block = after
    b.emit(TEST, outside)
    code = b.finish()
    flow, live = analysed(code)
    assert flow.rank[after.number] < flow.rank[latch.number]
    assert live.number[outside] != live.number[inside]
    assert live.live_in[more.number] == 1 << live.number[outside] | 1 << live.number[inside]


def test_order_has_a_predecessor_before_each_block() -> None:
    for seed in range(100):
        code = random_code(seed, LARGE, LARGE_CALL_CLOBBERS, blocks=30, insts=1, reach=4)
        flow = Flow(code.blocks)
        assert sorted(flow.order) == list(range(len(code.blocks)))
        for b in flow.order[1:]:
            assert any(flow.rank[p] < flow.rank[b] for p in code.blocks[b].preds)
            assert flow.rank[code.idom[b]] < flow.rank[b]


def test_nested_loops() -> None:
    code = nested_loops(3, 2)
    flow, live = analysed(code)
    assert len(flow.headers) == 3
    depth = []
    for b in range(len(code.blocks)):
        loop, count = flow.loop_of[b], 0
        while loop != NO_LOOP:
            loop, count = flow.parents[loop], count + 1
        depth.append(count)
    assert depth == [0, 1, 1, 2, 2, 3, 3, 2, 1, 0]
    for loop, parent in enumerate(flow.parents):
        if parent != NO_LOOP:
            assert live.loop_start[parent] < live.loop_start[loop] < live.loop_end[loop] <= live.loop_end[parent]


def test_loops_stay_together_in_the_order() -> None:
    """A loop's exit comes after its body, whichever successor is first."""
    for swap in (False, True):
        b = Builder()
        header, body, after = b.new_block(1), b.new_block(1), b.new_block()
        b.jump(header)
        b.block = header
        b.branch(*([after, body] if swap else [body, after]))
        b.block = body
        b.jump(header)
        b.block = after
        b.emit(TEST, b.value())
        assert Flow(b.finish().blocks).order == [0, header.number, body.number, after.number]


def test_cold_blocks() -> None:
    b = Builder()
    cold, hot = b.new_block(), b.new_block()
    cold.frequency = 0.001
    b.branch(cold, hot)
    for block in (cold, hot):
        b.block = block
        b.emit(TEST, b.value())
    assert Flow(b.finish().blocks).cold == [False, True, False]


def test_next_uses() -> None:
    """In a loop, after it, around it."""
    b = Builder()
    used, unused, after_only = b.value(), b.value(), b.value()  # positions 1, 2, 3
    header, latch, after = b.new_block(1), b.new_block(1), b.new_block()
    b.emit(TEST, used)  # 4
    b.jump(header)  # 5
    b.block = header  # entry at 6
    b.emit(TEST, used)  # 7
    local = b.value()  # 8
    b.emit(TEST, local)  # 9
    b.branch(latch, after)  # 10
    b.block = latch  # 11
    b.jump(header)  # 12
    b.block = after  # 13
    b.emit(TEST, after_only)  # 14
    b.emit(TEST, used)  # 15
    b.emit(TEST, b.value())
    code = b.finish()
    flow, live = analysed(code)
    loop = flow.loop_of[header.number]
    assert (live.base[header.number], live.loop_start[loop], live.loop_end[loop]) == (6, 6, 13)
    assert live.next_use(used, 1, NO_LOOP) == 4
    assert live.next_use(used, 4, NO_LOOP) == 7
    assert live.next_use(used, 6, loop) == 7
    assert live.next_use(used, 7, loop) == 13 + 7 - 6
    assert live.next_use(after_only, 8, loop) == 14 + LOOP_EXIT
    assert live.next_use(local, 8, loop) == 9
    assert live.next_use(unused, 8, loop) >= NEVER
    assert live.loop_used[loop] >> live.number[used] & 1
    assert not live.loop_used[loop] >> live.number[after_only] & 1


def test_cold_uses_of_outer_values_do_not_count() -> None:
    b = Builder()
    v = b.value()
    cold, hot = b.new_block(), b.new_block()
    cold.frequency = 0.001
    b.branch(cold, hot)
    b.block = cold
    b.emit(TEST, v)
    b.emit(TEST, b.value())
    b.block = hot
    b.emit(TEST, b.value())
    _, live = analysed(b.finish())
    assert live.next_use(v, 1, NO_LOOP) >= NEVER
    assert live.live_in[cold.number]


def test_wishes_go_back_through_chains() -> None:
    """What is made of a value in place is passed to the parameter, so the value wants the parameter's register."""
    b = Builder()
    target = b.new_block()
    p = b.param(target)
    x, y = b.value(), b.value()
    z = b.value(BINARY, x, y)
    w = b.value(UNARY, z)
    b.emit(TEST, y)
    b.jump(target, w)
    b.block = target
    b.emit(TEST, p)
    _, live = analysed(b.finish())
    assert [live.flows_to[v] for v in (x, z, w, y)] == [p, p, p, -1]
    assert live.tied_to[x] == z


def test_many_values_through_many_loops() -> None:
    """20,000 values live through 1,000 loops: nothing may be done for each value in each block."""
    code = loops_in_sequence(1000, 20000)
    _, live = analysed(code)
    assert live.live_in[-1].bit_count() == 20000
