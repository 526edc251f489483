"""Interrupt polls, stack checks and what selection refuses."""

from __future__ import annotations

import random
import struct

import pytest

from brolga.ir.errors import CompileError
from brolga.ir.parser import parse_function
from brolga.ir.trap_codes import STACK_OVERFLOW
from brolga.jit.vmctx import ACTIVATION_INTERRUPT, ACTIVATION_STACK_LIMIT
from brolga.jit.x64.lower import lower
from brolga.jit.x64.printer import print_vcode

from ...ir.functions import EDGES
from ..native import Native, Program, settings_for
from ..random_ir import random_program

LOOP = """
function f 0(i32, i64, f64) -> i64, f64 {
block0(v0: i32, v1: i64, v2: f64):
  v3 = iconst.i32 7
  v4 = band.i32 v0, v3
  jump block1(v4, v1, v2)
block1(v5: i32, v6: i64, v7: f64):
  v8 = iadd.i64 v6, v6
  v9 = fadd.f64 v7, v2
  v10 = iconst.i32 -1
  v11 = iadd.i32 v5, v10
  v12 = iconst.i32 0
  v13 = icmp.i32 sgt v11, v12
  brif v13, block1(v11, v8, v9), block2
block2:
  v14 = iadd.i64 v8, v1
  return v14, v9
}
"""


def test_polls_keep_registers(running: Native) -> None:
    """The builtin destroys all registers that a call may; it is called at the entry and in each round."""
    program = Program(LOOP)
    program.load(running, settings_for("minimal"))
    args = [5, 0x123456789ABCDEF, 0x3FF8 << 48]
    assert program.run(running, 0, args) == program.interpret(running, 0, args)
    assert running.polls() == 0
    struct.pack_into("<I", running.activation, ACTIVATION_INTERRUPT, 1)
    try:
        assert program.run(running, 0, args) == program.interpret(running, 0, args)
        assert running.polls() == 6
        for seed in range(20):
            texts, signature = random_program(seed)
            program = Program(texts)
            program.load(running, settings_for("minimal"))
            rng = random.Random(seed)
            args = [rng.choice(EDGES[type]) for type in signature.params]
            assert program.run(running, 10, args) == program.interpret(running, 10, args)
            assert running.polls() > 0
    finally:
        struct.pack_into("<I", running.activation, ACTIVATION_INTERRUPT, 0)


@pytest.mark.parametrize("platform, polls", [("gs", 0), ("register", 0), ("minimal", 2)])
def test_polls(platform: str, polls: int) -> None:
    """At the entry and at the head of the loop, where no signal interrupts."""
    text = print_vcode(lower(parse_function(LOOP), settings_for(platform)))
    assert text.count("poll") == polls


def test_stack_check(running: Native) -> None:
    text = """
function f 0(i32) -> i32 {
    sig0 = (i32) -> i32
block0(v0: i32):
  v1 = iconst.i32 1
  v2 = iadd.i32 v0, v1
  v3 = call fn0 sig0(v2)
  v4 = iadd.i32 v3, v2
  return v4
}
"""
    program = Program(text)
    loop = Program(LOOP)
    loop.load(running, settings_for("minimal"))
    loop.run(running, 0, [1, 1, 1])
    limit = running.stack_pointer() - 100_000
    program.load(running, settings_for("minimal"))
    struct.pack_into("<Q", running.activation, ACTIVATION_STACK_LIMIT, limit)
    try:
        assert program.run(running, 0, [1])[0] == f"trap {STACK_OVERFLOW}"
    finally:
        struct.pack_into("<Q", running.activation, ACTIVATION_STACK_LIMIT, 0)


def test_other_memories_are_refused() -> None:
    text = """
function f 0(i32) -> i32 {
block0(v0: i32):
  v1 = load.i32 v0+0 m1
  return v1
}
"""
    with pytest.raises(CompileError, match="memory 1"):
        lower(parse_function(text), settings_for("gs"))
