"""Which bodies may stand for calls, and how much a caller takes in."""

from __future__ import annotations

import pytest

from brolga.ir.opcodes import CALL, ICONST, JUMP, RETURN
from brolga.ir.source_loc import LOC_BITS, inlined_loc
from brolga.ir.verifier import verify
from brolga.jit.settings import Settings
from brolga.jit.vmctx import ContextLayout
from brolga.jit.wasm.decode import decode
from brolga.jit.wasm.inline import (
    ALL,
    IN_LOOPS,
    LARGE_BYTES,
    LARGE_OPERATORS,
    MAX_LOCALS,
    NONE,
    ROOM,
    SMALL_BYTES,
    SMALL_OPERATORS,
    inlinable,
)
from brolga.jit.wasm.translate import translate
from brolga.jit.wasm.types import Module
from brolga.jit.wasm.validate import validate
from brolga.runtime.text import to_binary


def module(text: str) -> Module:
    decoded = decode(to_binary(f'(module (import "" "" (func $host)) (memory 1) {text})'))
    validate(decoded)
    return decoded


def calls_of(text: str) -> int:
    """Which calls of the one function `text` may be inlined."""
    return inlinable(module(text), 1)


def test_limits() -> None:
    """A body of a function without locals has a byte for these and one for its end."""
    for size, expected in (
        (SMALL_BYTES, ALL),
        (SMALL_BYTES + 1, IN_LOOPS),
        (LARGE_BYTES, IN_LOOPS),
        (LARGE_BYTES + 1, NONE),
    ):
        assert calls_of(f"(func {'nop ' * (size - 2)})") == expected
    for count, expected in (
        (SMALL_OPERATORS, ALL),
        (SMALL_OPERATORS + 1, IN_LOOPS),
        (LARGE_OPERATORS, IN_LOOPS),
        (LARGE_OPERATORS + 1, NONE),
    ):
        assert calls_of(f"(func (param i32) (result i32) (local.get 0) {'i32.eqz ' * count})") == expected
    for count, expected in ((MAX_LOCALS, ALL), (MAX_LOCALS + 1, NONE)):
        assert calls_of(f"(func (param {'i32 ' * count}))") == expected
        assert calls_of(f"(func (param f64) (local {'i32 ' * (count - 1)}))") == expected


@pytest.mark.parametrize(
    "body",
    ["(call $host)", "(call 1)", "(loop)", "(call_indirect (i32.const 0))", "(if (i32.const 1) (then (call 1)))"],
)
def test_calls_and_loops_are_refused(body: str) -> None:
    assert calls_of(f"(func {body}) (table 1 funcref)") == NONE


def test_imported_functions_are_refused() -> None:
    assert inlinable(module(""), 0) == NONE


def test_larger_bodies_are_for_loops() -> None:
    """Those that something branches to."""
    leaf = f"(func $leaf (param i32) (result i32) (local.get 0) {'i32.popcnt ' * (SMALL_OPERATORS + 1)})"
    decoded = module(
        f"""{leaf} (func (param i32) (result i32)
            (drop (call $leaf (i32.const 1)))
            (loop (block (drop (call $leaf (i32.const 2)))) (br_if 0 (local.get 0)))
            (loop (drop (call $leaf (i32.const 3))))
            (call $leaf (i32.const 4)))"""
    )
    built = translate(decoded, 2, ContextLayout(decoded), Settings())
    verify(built)
    (call,) = built.inlined
    assert decoded.data[call - 2 : call] == b"\x41\x02"  # i32.const 2
    assert sum(inst.op == CALL for number in built.layout for inst in built.blocks[number].insts) == 3


def test_callers_have_room_for_so_much() -> None:
    """Which calls find room depends on their order only, and what is not reached takes none."""
    decoded = module(
        f"""(func $leaf (result i32) {"nop " * 16} (i32.const 7)) (func $small (result i32) (i32.const 5))
            (func (unreachable) {"(drop (call $leaf)) " * 100} )
            (func {"(drop (call $leaf)) " * 100} (drop (call $small)))"""
    )
    leaf, dead, caller = (decoded.bodies[place] for place in (0, 2, 3))
    room = ROOM + caller.end - caller.start
    built = translate(decoded, 4, ContextLayout(decoded), Settings())
    verify(built)
    fitting = room // (leaf.end - leaf.start)
    small = room % (leaf.end - leaf.start) >= 4
    assert 0 < fitting < 100 and list(built.inlined.values()) == [1] * fitting + [2] * small
    calls = [inst for inst in built.blocks[0].insts if inst.op == CALL]
    assert len(calls) == 101 - len(built.inlined)
    assert dead.end > dead.start and translate(decoded, 3, ContextLayout(decoded), Settings()).inlined == {}


def test_locations() -> None:
    """What comes of a body has operator and call; what is built behind it has its own operator again."""
    decoded = module(
        """(func $leaf (param i32) (result i32) (if (local.get 0) (then (return (i32.const 9)))) (i32.const 3))
           (func (param i32) (result i32) (i32.const 1) (drop) (call $leaf (local.get 0)))"""
    )
    built = translate(decoded, 2, ContextLayout(decoded), Settings())
    (call,) = built.inlined
    leaf, caller = decoded.bodies
    assert decoded.data[call] == 0x10 and caller.start < call < caller.end
    for number in built.layout:
        for inst in built.blocks[number].insts:
            if inst.op == ICONST and inst.imm == 1 or inst.op == RETURN:
                assert caller.start < inst.loc < caller.end
            else:
                assert leaf.start < inst.loc - inlined_loc(call, 0) < leaf.end, inst.op
    jumps = [b.insts[-1] for b in built.blocks if b.insts and b.insts[-1].op == JUMP]
    assert len(jumps) == 2 and all(jump.loc >> LOC_BITS == call for jump in jumps)
