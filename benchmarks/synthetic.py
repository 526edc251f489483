"""Synthetic modules for compile-time measurements: functions of a given number of operators.

The mix is that of compiled C: integer and float arithmetic on locals, loads and stores, branches, short loops.
"""

from __future__ import annotations

import random
from typing import Final

import wasmtime

INTS: Final = 16  # locals of each kind
DOUBLES: Final = 8
BINARY: Final = ("add", "sub", "mul", "and", "or", "xor", "shl", "shr_u")
FLOAT_BINARY: Final = ("add", "sub", "mul", "div")
COMPARES: Final = ("eq", "ne", "lt_s", "lt_u", "gt_s", "ge_u")


class _Function:
    """Text of a function's body, one operator a line, until `budget` operators are written."""

    def __init__(self, seed: int, budget: int) -> None:
        self.choose = random.Random(seed)
        self.budget = budget
        self.lines: list[str] = []

    def int_local(self) -> str:
        return f"local.get {self.choose.randrange(INTS)}"

    def double_local(self) -> str:
        return f"local.get {INTS + self.choose.randrange(DOUBLES)}"

    def address(self) -> list[str]:
        return [self.int_local(), "i32.const 2", "i32.shl"]

    def statement(self, depth: int) -> None:
        choose = self.choose
        kind = choose.random()
        target = choose.randrange(INTS)
        if kind < 0.3:
            operation = f"i32.{choose.choice(BINARY)}"
            right = self.int_local() if choose.random() < 0.6 else f"i32.const {choose.randrange(-1000, 1000)}"
            self.lines += [self.int_local(), right, operation, self.int_local(), f"i32.{choose.choice(BINARY)}"]
            self.lines.append(f"local.set {target}")
        elif kind < 0.5:
            self.lines += [*self.address(), f"i32.load offset={4 * choose.randrange(64)}", f"local.set {target}"]
        elif kind < 0.62:
            self.lines += [*self.address(), self.int_local(), f"i32.store offset={4 * choose.randrange(64)}"]
        elif kind < 0.75:
            self.lines += [self.double_local(), self.double_local(), f"f64.{choose.choice(FLOAT_BINARY)}"]
            self.lines.append(f"local.set {INTS + choose.randrange(DOUBLES)}")
        elif kind < 0.9 or depth >= 3:
            self.lines += [self.int_local(), self.int_local(), f"i32.{choose.choice(COMPARES)}", "if"]
            self.statements(depth + 1, choose.randrange(1, 4))
            if choose.random() < 0.5:
                self.lines.append("else")
                self.statements(depth + 1, choose.randrange(1, 4))
            self.lines.append("end")
        else:
            self.lines.append("loop")
            self.statements(depth + 1, choose.randrange(2, 8))
            self.lines += [f"local.get {target}", "i32.const 1", "i32.sub", f"local.tee {target}", "br_if 0", "end"]

    def statements(self, depth: int, count: int) -> None:
        for _ in range(count):
            if len(self.lines) < self.budget:
                self.statement(depth)

    def text(self) -> str:
        while len(self.lines) < self.budget:
            self.statement(0)
        names = " ".join(["i32"] * INTS + ["f64"] * DOUBLES)
        body = "\n".join([*self.lines, "local.get 0"])
        return f"(func (param {names}) (result i32)\n{body})"


def module(operators: int, functions: int) -> bytes:
    """`functions` functions of about `operators` operators each."""
    text = "\n".join(_Function(seed, operators - 2).text() for seed in range(functions))
    return bytes(wasmtime.wat2wasm(f"(module (memory 1)\n{text})"))
