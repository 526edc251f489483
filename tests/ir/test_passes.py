"""Each pass on a small function, before and after."""

from __future__ import annotations

import pytest

from brolga.ir.builder import FunctionBuilder
from brolga.ir.function import Block, Function
from brolga.ir.opcodes import LOAD
from brolga.ir.parser import parse_function
from brolga.ir.passes import block_params, branches, dce, induction, unreachable
from brolga.ir.printer import print_function
from brolga.ir.signature import Signature
from brolga.ir.types import I32
from brolga.ir.verifier import verify

HEAD = "function f 0(i32) -> i32 {\n"
PASSES = {
    "unreachable": unreachable,
    "block_params": block_params,
    "dce": dce,
    "branches": branches,
    "induction": induction,
}

CASES = {
    "unreachable: blocks in a cycle of their own go": (
        """\
block0(v0: i32):
    jump block3
block1:
    jump block2
block2:
    jump block1
block3:
    return v0
""",
        """\
block0(v0: i32):
    jump block3
block3:
    return v0
""",
    ),
    "block_params: a parameter passed around a loop is its first value": (
        """\
block0(v0: i32):
    v1 = iconst.i32 1
    jump block1(v1, v0)
block1(v2: i32, v3: i32):
    v4 = iadd.i32 v3, v2
    brif v4, block1(v2, v4), block2(v3)
block2(v5: i32):
    return v5
""",
        """\
block0(v0: i32):
    v1 = iconst.i32 1
    jump block1(v0)
block1(v3: i32):
    v4 = iadd.i32 v3, v1
    brif v4, block1(v4), block2
block2:
    return v3
""",
    ),
    "block_params: two loops that pass a value to each other": (
        """\
block0(v0: i32):
    jump block1(v0)
block1(v1: i32):
    jump block2(v1)
block2(v2: i32):
    brif v2, block2(v2), block3(v2)
block3(v3: i32):
    brif v3, block1(v3), block4(v3)
block4(v4: i32):
    return v4
""",
        """\
block0(v0: i32):
    jump block1
block1:
    jump block2
block2:
    brif v0, block2, block3
block3:
    brif v0, block1, block4
block4:
    return v0
""",
    ),
    "dce: effects stay, loads that may trap too; a counter that only counts goes": (
        """\
block0(v0: i32):
    v1 = iconst.i32 1
    v2 = load.i32 v0+0
    v3 = ctx_load.i32 64
    v9 = sdiv.i32 v0, v0
    jump block1(v0, v1)
block1(v4: i32, v5: i32):
    v6 = iadd.i32 v5, v1
    v7 = isub.i32 v4, v1
    brif v7, block1(v7, v6), block2
block2:
    return v0
""",
        """\
block0(v0: i32):
    v1 = iconst.i32 1
    v2 = load.i32 v0+0
    v9 = sdiv.i32 v0, v0
    jump block1(v0)
block1(v4: i32):
    v7 = isub.i32 v4, v1
    brif v7, block1(v7), block2
block2:
    return v0
""",
    ),
    "branches: empty blocks are passed by, only predecessors merged with": (
        """\
block0(v0: i32):
    jump block5
block5:
    v1 = iconst.i32 1
    brif v0, block1, block2
block1:
    jump block6
block6:
    jump block3
block2:
    brif v1, block3, block4
block3:
    jump block7
block7:
    return v1
block4:
    trap unreachable
""",
        """\
block0(v0: i32):
    v1 = iconst.i32 1
    brif v0, block7, block2
block2:
    brif v1, block7, block4
block7:
    return v1
block4:
    trap unreachable
""",
    ),
    "branches: an empty block passes its own parameters on, and others": (
        """\
block0(v0: i32):
    v1 = iconst.i32 1
    brif v0, block1(v0, v1), block2
block2:
    brif v1, block1(v1, v0), block3
block1(v2: i32, v3: i32):
    jump block4(v3, v1)
block3:
    jump block4(v0, v0)
block4(v4: i32, v5: i32):
    v6 = iadd.i32 v4, v5
    return v6
""",
        """\
block0(v0: i32):
    v1 = iconst.i32 1
    brif v0, block4(v1, v1), block2
block2:
    brif v1, block4(v0, v1), block3
block3:
    jump block4(v0, v0)
block4(v4: i32, v5: i32):
    v6 = iadd.i32 v4, v5
    return v6
""",
    ),
    "branches: the parameters of an empty block are used beyond it": (
        """\
block0(v0: i32):
    brif v0, block1(v0), block2
block1(v1: i32):
    jump block3
block2:
    v2 = iconst.i32 1
    jump block1(v2)
block3:
    return v1
""",
        """\
block0(v0: i32):
    brif v0, block1(v0), block2
block1(v1: i32):
    return v1
block2:
    v2 = iconst.i32 1
    jump block1(v2)
""",
    ),
    "branches: equal targets make a jump": (
        """\
block0(v0: i32):
    br_table v0, block1, block2, default block3
block1:
    jump block3
block2:
    jump block3
block3:
    return v0
""",
        """\
block0(v0: i32):
    return v0
""",
    ),
    "branches: endless empty loops stay endless": (
        """\
block0(v0: i32):
    brif v0, block1, block3
block1:
    jump block2
block2:
    jump block1
block3:
    jump block3
""",
        """\
block0(v0: i32):
    brif v0, block1, block3
block1:
    jump block1
block3:
    jump block3
""",
    ),
    "induction: the old value is used behind the loop": (
        """\
block0(v0: i32):
    v1 = iconst.i32 4
    jump block1(v0)
block1(v2: i32):
    v3 = iadd.i32 v2, v1
    v4 = load.i32 v3+8
    brif v4, block1(v3), block2
block2:
    v5 = imul.i32 v2, v2
    return v5
""",
        """\
block0(v0: i32):
    v1 = iconst.i32 4
    jump block1(v0)
block1(v2: i32):
    v3 = iadd.i32 v2, v1
    v4 = load.i32 v3+8
    brif v4, block1(v3), block2
block2:
    v6 = iconst.i32 -4
    v7 = iadd.i32 v3, v6
    v5 = imul.i32 v7, v7
    return v5
""",
    ),
    "induction: two old values are passed to where another path comes in": (
        """\
block0(v0: i32):
    v1 = iconst.i32 1
    v2 = iconst.i32 -1
    brif v0, block1(v0, v0), block2(v0, v0)
block1(v3: i32, v4: i32):
    v5 = iadd.i32 v3, v1
    v6 = iadd.i32 v4, v2
    v7 = load.i32 v5+0
    brif v7, block1(v5, v6), block2(v3, v4)
block2(v8: i32, v9: i32):
    v10 = isub.i32 v8, v9
    return v10
""",
        """\
block0(v0: i32):
    v1 = iconst.i32 1
    v2 = iconst.i32 -1
    brif v0, block1(v0, v0), block2(v0, v0)
block1(v3: i32, v4: i32):
    v5 = iadd.i32 v3, v1
    v6 = iadd.i32 v4, v2
    v7 = load.i32 v5+0
    brif v7, block1(v5, v6), block3
block3:
    v11 = iconst.i32 -1
    v12 = iadd.i32 v5, v11
    v13 = iconst.i32 1
    v14 = iadd.i32 v6, v13
    jump block2(v12, v14)
block2(v8: i32, v9: i32):
    v10 = isub.i32 v8, v9
    return v10
""",
    ),
    "induction: sums and addresses in the loop": (
        """\
block0(v0: i32):
    v1 = iconst.i32 8
    v2 = iconst.i32 -4
    jump block1(v0)
block1(v3: i32):
    v4 = iadd.i32 v3, v1
    v5 = iadd.i32 v3, v2
    v6 = load.i32 v3+0
    store.i32 v5+16, v6
    brif v6, block1(v4), block2
block2:
    return v6
""",
        """\
block0(v0: i32):
    v1 = iconst.i32 8
    v2 = iconst.i32 -4
    jump block1(v0)
block1(v3: i32):
    v4 = iadd.i32 v3, v1
    v7 = iconst.i32 -12
    v5 = iadd.i32 v4, v7
    v8 = iconst.i32 -8
    v9 = iadd.i32 v4, v8
    v6 = load.i32 v9+0
    store.i32 v5+16, v6
    brif v6, block1(v4), block2
block2:
    return v6
""",
    ),
}

UNCHANGED = {
    "induction: nothing behind the step": """\
block0(v0: i32):
    v1 = iconst.i32 4
    jump block1(v0)
block1(v2: i32):
    v3 = load.i32 v2+8
    v4 = iadd.i32 v2, v1
    brif v3, block1(v4), block2
block2:
    return v4
""",
    "induction: another use behind the step stays in the loop": """\
block0(v0: i32):
    v1 = iconst.i32 4
    jump block1(v0)
block1(v2: i32):
    v3 = iadd.i32 v2, v1
    v4 = imul.i32 v2, v3
    brif v4, block1(v3), block2
block2:
    return v2
""",
    "induction: an address with an offset, which may not wrap": """\
block0(v0: i32):
    v1 = iconst.i32 4
    jump block1(v0)
block1(v2: i32):
    v3 = iadd.i32 v2, v1
    v4 = load.i32 v2+8
    brif v4, block1(v3), block2
block2:
    return v2
""",
    "induction: the old value is stored": """\
block0(v0: i32):
    v1 = iconst.i32 4
    jump block1(v0)
block1(v2: i32):
    v3 = iadd.i32 v2, v1
    store.i32 v2+0, v2
    brif v3, block1(v3), block2
block2:
    return v3
""",
    "induction: the step is no constant": """\
block0(v0: i32):
    jump block1(v0)
block1(v1: i32):
    v2 = iadd.i32 v1, v0
    v3 = load.i32 v2+0
    brif v3, block1(v2), block2
block2:
    return v1
""",
    "induction: the loop is left in front of the step too": """\
block0(v0: i32):
    v1 = iconst.i32 4
    jump block1(v0)
block1(v2: i32):
    v3 = load.i32 v2+0
    brif v3, block2, block3
block2:
    v4 = iadd.i32 v2, v1
    v5 = load.i32 v4+0
    brif v5, block1(v4), block3
block3:
    return v2
""",
    "induction: the old value becomes another parameter": """\
block0(v0: i32):
    v1 = iconst.i32 4
    jump block1(v0, v0)
block1(v2: i32, v3: i32):
    v4 = iadd.i32 v2, v1
    brif v3, block1(v4, v2), block2
block2:
    return v2
""",
    "induction: two ways back to the head": """\
block0(v0: i32):
    v1 = iconst.i32 4
    jump block1(v0)
block1(v2: i32):
    v3 = iadd.i32 v2, v1
    v4 = load.i32 v3+0
    brif v4, block1(v3), block2
block2:
    brif v3, block1(v0), block3
block3:
    return v2
""",
    "induction: too many places": """\
block0(v0: i32):
    v1 = iconst.i32 4
    jump block1(v0)
block1(v2: i32):
    v3 = iadd.i32 v2, v1
    v4 = load.i32 v3+0
    brif v4, block1(v3), block2
block2:
    brif v2, block3, block4
block3:
    brif v2, block5, block6
block4:
    return v2
block5:
    return v2
block6:
    return v2
""",
    "block_params: different values stay": """\
block0(v0: i32):
    v1 = iconst.i32 1
    brif v0, block1(v0), block1(v1)
block1(v2: i32):
    return v2
""",
    "branches: an empty block stays if others would have to pass more": """\
block0(v0: i32):
    br_table v0, block1, block1, default block2
block1:
    jump block3(v0, v0)
block2:
    v1 = iconst.i32 1
    jump block3(v1, v1)
block3(v2: i32, v3: i32):
    v4 = iadd.i32 v2, v3
    return v4
""",
    "branches: the parameters of an empty block before a loop are used in the loop": """\
block0(v0: i32):
    v1 = iconst.i32 1
    brif v0, block1, block2
block1:
    jump block3(v0)
block2:
    jump block3(v1)
block3(v2: i32):
    jump block4(v1)
block4(v3: i32):
    v4 = iadd.i32 v3, v2
    brif v4, block4(v4), block5
block5:
    return v2
""",
    "branches: an empty loop header stays": """\
block0(v0: i32):
    brif v0, block1, block4
block1:
    jump block2
block2:
    brif v0, block2, block3
block3:
    brif v0, block1, block4
block4:
    return v0
""",
}


def _check(name: str, before: str, after: str) -> None:
    function = parse_function(HEAD + before + "}\n")
    verify(function)
    PASSES[name.split(":")[0]].run(function)
    verify(function)
    assert print_function(function) == HEAD + after + "}\n"


@pytest.mark.parametrize("name", CASES)
def test_pass(name: str) -> None:
    _check(name, *CASES[name])


@pytest.mark.parametrize("name", UNCHANGED)
def test_pass_that_changes_nothing(name: str) -> None:
    _check(name, UNCHANGED[name], UNCHANGED[name])


def test_long_chains_of_empty_blocks_take_linear_work() -> None:
    count = 4000
    lines = ["block0(v0: i32):", "    jump block1"]
    for number in range(1, count):
        lines += [f"block{number}:", f"    jump block{number + 1}"]
    lines += [f"block{count}:", "    return v0", "}"]
    function = parse_function(HEAD + "\n".join(lines))
    branches.run(function)
    assert print_function(function) == HEAD + "block0(v0: i32):\n    return v0\n}\n"


def nested_loops(depth: int, joins: int) -> Function:
    """`depth` loops, each in the one before, around a row of joins; all their parameters stand for one value."""
    function = Function("nest", 0, Signature([I32], [I32]), [])
    builder = FunctionBuilder(function)
    block = builder.create_block()
    first = value = builder.append_param(block, I32)
    builder.switch_to_block(block, None)
    headers: list[Block] = []
    for _ in range(depth):
        header = builder.create_block()
        builder.jump(header, [value])
        builder.switch_to_block(header, block)
        block = header
        value = builder.append_param(header, I32)
        headers.append(header)
    for offset in range(joins):
        side, join = builder.create_block(), builder.create_block()
        builder.brif(builder.load(LOAD, I32, first, offset), side, [], join, [value])
        builder.switch_to_block(side, block)
        builder.jump(join, [value])
        builder.switch_to_block(join, block)
        block = join
        value = builder.append_param(join, I32)
    for header in reversed(headers):
        after = builder.create_block()
        builder.brif(builder.load(LOAD, I32, first, 0), header, [value], after, [])
        builder.switch_to_block(after, block)
        block = after
    builder.ret([value])
    return function


@pytest.mark.parametrize(("depth", "joins"), [(1, 0), (3, 2), (200, 200), (3000, 1000)])
def test_a_value_that_goes_through_nested_loops_unchanged(depth: int, joins: int) -> None:
    function = nested_loops(depth, joins)
    block_params.run(function)
    params = [param for block in function.blocks[1:] for param in block.params]
    if depth <= 200:
        verify(function)
        assert params == []
        assert function.blocks[function.layout[-1]].insts[-1].args == [0]
    else:  # the work is limited, but most are gone all the same
        assert len(params) < depth


def test_two_values_exchanged_in_a_loop_keep_their_parameters() -> None:
    text = """\
function f 0(i32, i32) -> i32 {
block0(v0: i32, v1: i32):
    jump block1(v0, v1)
block1(v2: i32, v3: i32):
    brif v2, block1(v3, v2), block2
block2:
    return v3
}
"""
    function = parse_function(text)
    block_params.run(function)
    assert print_function(function) == text
