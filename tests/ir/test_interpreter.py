"""The interpreter on functions whose results are known, and its environment."""

from __future__ import annotations

import pytest

from brolga.ir.errors import InterpreterTrap
from brolga.ir.interpreter import Environment, StepLimitExceeded, interpret
from brolga.ir.parser import parse_function
from brolga.ir.trap_codes import INTEGER_DIVISION_BY_ZERO, MEMORY_OUT_OF_BOUNDS, UNREACHABLE


class Bytes(Environment):
    """A memory of 64 bytes, a context of 64 bytes at address 1000, and a function that reports how it was called."""

    step_limit = 2000

    def __init__(self) -> None:
        self.memory = bytearray(range(200, 264 - 8)) + bytearray(8)
        self.context = bytearray(64)

    def memory_load(self, memory: int, address: int, size: int) -> int:
        if address + size > len(self.memory):
            raise InterpreterTrap(MEMORY_OUT_OF_BOUNDS)
        return int.from_bytes(self.memory[address : address + size], "little")

    def memory_store(self, memory: int, address: int, size: int, bits: int) -> None:
        if address + size > len(self.memory):
            raise InterpreterTrap(MEMORY_OUT_OF_BOUNDS)
        self.memory[address : address + size] = bits.to_bytes(size, "little")

    def context_address(self) -> int:
        return 1000

    def raw_load(self, address: int, size: int) -> int:
        return int.from_bytes(self.context[address - 1000 : address - 1000 + size], "little")

    def raw_store(self, address: int, size: int, bits: int) -> None:
        self.context[address - 1000 : address - 1000 + size] = bits.to_bytes(size, "little")

    def call(self, func: int, args: list[int]) -> list[int]:
        return [func, sum(args)]

    def call_ptr(self, code: int, vmctx: int, signature: int, args: list[int]) -> list[int]:
        return [code + vmctx, signature]

    def call_builtin(self, number: int, args: list[int]) -> list[int]:
        return [number * 2, args[0]]


def run(body: str, args: list[int], params: str = "i32, i32", results: str = "i32") -> list[int]:
    text = f"function f 0({params}) -> {results} {{\n    sig0 = (i32) -> i32, i32\n{body}}}\n"
    return interpret(parse_function(text), args, Bytes())


FACTORIAL = """
block0(v0: i32, v1: i32):
    v2 = iconst.i32 1
    jump block1(v0, v2)
block1(v3: i32, v4: i32):
    v5 = imul.i32 v4, v3
    v6 = isub.i32 v3, v2
    brif v6, block1(v6, v5), block2(v5)
block2(v7: i32):
    return v7
"""


def test_a_loop_passes_its_parameters_at_once() -> None:
    assert run(FACTORIAL, [10, 0]) == [3628800]
    swap = """
block0(v0: i32, v1: i32):
    v2 = iconst.i32 3
    jump block1(v0, v1, v2)
block1(v3: i32, v4: i32, v5: i32):
    v6 = iconst.i32 1
    v7 = isub.i32 v5, v6
    brif v7, block1(v4, v3, v7), block2
block2:
    v8 = iconst.i32 100
    v9 = imul.i32 v3, v8
    v10 = iadd.i32 v9, v4
    return v10
"""
    assert run(swap, [7, 9]) == [709]


def test_endless_loops_end() -> None:
    with pytest.raises(StepLimitExceeded):
        run("block0(v0: i32, v1: i32):\n    jump block1\nblock1:\n    jump block1\n", [0, 0])


def test_loads_and_stores_have_the_width_and_sign_of_their_opcode() -> None:
    body = """
block0(v0: i32, v1: i32):
    v2 = sload8.i32 v0+1
    v3 = uload16.i32 v0+2
    istore16.i32 v0+56, v2
    v4 = load.i32 v0+55
    v5 = sload32.i64 v0+0
    return v2, v3, v4, v5
"""
    found = run(body, [0, 0], results="i32, i32, i32, i64")
    assert found == [0xFFFFFFC9, 0xCBCA, 0x00FFC9FF, 0xFFFFFFFFCBCAC9C8]


def test_traps_carry_their_code() -> None:
    for body, code in (
        ("    v2 = load.i32 v0+61\n    return v2\n", MEMORY_OUT_OF_BOUNDS),
        ("    v2 = udiv.i32 v1, v0\n    return v2\n", INTEGER_DIVISION_BY_ZERO),
        ("    trap unreachable\n", UNREACHABLE),
        ("    trapz v0, unreachable\n    return v0\n", UNREACHABLE),
        ("    trapnz v1, unreachable\n    return v0\n", UNREACHABLE),
    ):
        with pytest.raises(InterpreterTrap) as trap:
            run("block0(v0: i32, v1: i32):\n" + body, [0, 5])
        assert trap.value.code == code
    assert run("block0(v0: i32, v1: i32):\n    trapnz v0, unreachable\n    return v1\n", [0, 5]) == [5]


def test_context_and_calls_reach_the_environment() -> None:
    body = """
block0(v0: i32, v1: i32):
    v2 = context.i64
    ctx_store.i32 8, v1
    v3 = ptr_load.i32 v2+8
    ptr_store.i32 v2+12, v0
    v4 = ctx_load.i64 8
    v5, v6 = call fn3 sig0(v1)
    v7, v8 = call_ptr v2 v2 sig0(v1)
    v9, v10 = call_builtin fn4 sig0(v0)
    return v3, v4, v5, v6, v7, v8, v9, v10
"""
    results = "i32, i64, i32, i32, i32, i32, i32, i32"
    assert run(body, [1, 5], results=results) == [5, (1 << 32) + 5, 3, 5, 2000, 0, 8, 1]


def test_branch_tables_clamp_their_index() -> None:
    body = """
block0(v0: i32, v1: i32):
    v2 = iconst.i32 10
    v3 = iconst.i32 20
    br_table v0, block1(v2), block1(v3), default block1(v1)
block1(v4: i32):
    return v4
"""
    assert [run(body, [index, 99])[0] for index in (0, 1, 2, 0xFFFFFFFF)] == [10, 20, 99, 99]
