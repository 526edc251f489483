"""Random straight-line code in which most operators may trap or have effects: what happened before a trap must be seen.

Loads and stores at few, overlapping places, some of them outside; divisions and conversions that trap; globals; calls that
write memory and globals; operations on memory. Selection folds loads into their users and operations into stores: here it
does so beside everything that it must not exchange them with. A seed gives one module in text form. Floats that were
computed are only converted, so the bits of a NaN are never seen.
"""

from __future__ import annotations

import random
from typing import Final

LOCALS: Final = ["i32", "i32", "i32", "i64", "i64", "i64", "f64", "f64", "f32"]
FUNCTIONS: Final = 12
DEPTH: Final = 4

_HEAD: Final = r"""(module
  (memory (export "m") 1)
  (data (i32.const 0) "\01\02\83\04\f5\06\77\08\00\00\00\00\00\00\f0\3f\11\80")
  (global $g32 (export "g32") (mut i32) (i32.const 5))
  (global $g64 (export "g64") (mut i64) (i64.const -7))
  (global $n (export "n") (mut i64) (i64.const 0))
  (func $log32 (param i32) (result i32)
    (global.set $n (i64.add (i64.mul (global.get $n) (i64.const 31)) (i64.extend_i32_u (local.get 0))))
    (i32.store (i32.const 24) (local.get 0))
    (i32.load8_s (i32.const 0)))
  (func $log64 (param i64) (result i64)
    (global.set $n (i64.add (i64.mul (global.get $n) (i64.const 37)) (local.get 0)))
    (i64.store (i32.const 32) (local.get 0))
    (i64.load16_u (i32.const 16)))
"""


class _Writer:
    """The text of one module's functions."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def local(self, type: str) -> int:
        return self.random.choice([index for index, other in enumerate(LOCALS) if other == type])

    def address(self, depth: int) -> str:
        choose = self.random
        kind = choose.randrange(8)
        if kind < 4:
            return f"(i32.and {self.value('i32', depth + 1)} (i32.const 0x3f8))"
        if kind == 4:
            return f"(i32.add (local.get {self.local('i32')}) (i32.const {choose.choice([0, 4, -4, 65528])}))"
        if kind == 5:
            index = f"(i32.and {self.value('i32', depth + 1)} (i32.const 0xff))"
            return f"(i32.shl {index} (i32.const {choose.choice([1, 2, 3])}))"
        if kind == 6:
            return f"(i32.const {choose.choice([0, 8, 1016, 65528, 65529, 65536])})"
        return f"(i32.and (local.get {self.local('i32')}) (i32.const 0x103f8))"

    def value(self, type: str, depth: int = 0) -> str:
        choose = self.random
        if depth >= DEPTH or choose.random() < 0.2:
            if choose.random() < 0.7:
                return f"(local.get {self.local(type)})"
            return f"({type}.const {choose.choice([0, 1, -1, 2, 3, 8, 255])})"
        if type in ("f32", "f64"):
            return self.float_value(type, depth + 1)
        kind = choose.randrange(12)
        if kind < 3:
            op = choose.choice(["add", "sub", "and", "or", "xor", "mul"])
        elif kind < 6:
            width = choose.choice(["", "", "8_u", "8_s", "16_u", "16_s"])
            return f"({type}.load{width} offset={choose.choice([0, 0, 4, 16])} {self.address(depth)})"
        elif kind == 6:
            op = choose.choice(["div_s", "div_u", "rem_s", "rem_u"])
        elif kind == 7:
            return f"({type}.trunc_f64_{choose.choice('su')} {self.value('f64', depth + 1)})"
        elif kind == 8:
            return f"(global.get $g{type[1:]})"
        elif kind == 9:
            return f"(call $log{type[1:]} {self.value(type, depth + 1)})"
        elif kind == 10 and type == "i32":
            op = choose.choice(["eq", "lt_s", "gt_u"])
        elif kind == 10:
            return f"(select {self.pair(type, depth)} {self.value('i32', depth + 1)})"
        elif type == "i32":
            return f"(i32.wrap_i64 {self.value('i64', depth + 1)})"
        else:
            return f"(i64.extend_i32_s {self.value('i32', depth + 1)})"
        return f"({type}.{op} {self.pair(type, depth)})"

    def pair(self, type: str, depth: int) -> str:
        return f"{self.value(type, depth + 1)} {self.value(type, depth + 1)}"

    def float_value(self, type: str, depth: int) -> str:
        choose = self.random
        kind = choose.randrange(5)
        if kind < 2:
            return f"({type}.{choose.choice(['add', 'sub', 'mul'])} {self.pair(type, depth)})"
        if kind == 2:
            return f"({type}.load {self.address(depth)})"
        if kind == 3:
            return f"({type}.convert_i32_s {self.value('i32', depth)})"
        return f"({type}.sqrt {self.value(type, depth)})"

    def float_copy(self, type: str) -> str:
        """A float that was not computed."""
        if self.random.random() < 0.5:
            return f"(local.get {self.local(type)})"
        return f"({type}.load {self.address(1)})"

    def statement(self) -> str:
        choose = self.random
        kind = choose.randrange(11)
        type = choose.choice(["i32", "i64"])
        if kind < 2:
            return f"(local.set {self.local(type)} {self.value(type)})"
        if kind < 5:
            width = choose.choice(["", "8", "16", "32"][: 3 if type == "i32" else 4])
            if choose.random() < 0.5:
                return self.operation_on_memory(type, width)
            offset = choose.choice([0, 4, 16])
            return f"({type}.store{width} offset={offset} {self.address(1)} {self.value(type)})"
        if kind == 5:
            float_type = choose.choice(["f32", "f64"])
            return f"({float_type}.store {self.address(1)} {self.float_copy(float_type)})"
        if kind == 6:
            float_type = choose.choice(["f32", "f64"])
            return f"(local.set {self.local(float_type)} {self.float_copy(float_type)})"
        if kind == 7:
            op = choose.choice(["add", "sub", "xor"])
            return f"(global.set $g32 (i32.{op} (global.get $g32) {self.value('i32')}))"
        if kind == 8:
            return f"(global.set $g64 {self.value('i64')})"
        if kind == 9:
            return f"(drop {self.value(choose.choice(['i32', 'i64', 'f64']))})"
        return f"(if {self.value('i32')} (then {self.statement()}) (else {self.statement()}))"

    def operation_on_memory(self, type: str, width: str) -> str:
        choose = self.random
        index = self.local("i32")
        offset = choose.choice([0, 4, 16])
        suffix = width + choose.choice(["_u", "_s"]) if width else ""
        operands = [f"({type}.load{suffix} offset={offset} (local.get {index}))", self.value(type, 2)]
        if choose.random() < 0.3:
            operands.reverse()
        op = choose.choice(["add", "sub", "and", "or", "xor"])
        return f"({type}.store{width} offset={offset} (local.get {index}) ({type}.{op} {' '.join(operands)}))"

    def function(self, number: int) -> str:
        params = " ".join(LOCALS)
        # Two small addresses: arguments alone would mostly be outside.
        small = (
            "(local.set 0 (i32.and (local.get 0) (i32.const 0x1f))) (local.set 1 (i32.and (local.get 1) (i32.const 7)))"
        )
        body = "\n    ".join([self.statement() for _ in range(self.random.randrange(1, 6))])
        result = "(i64.add (local.get 3) (i64.extend_i32_s (local.get 0)))"
        return f'  (func (export "f{number}") (param {params}) (result i64)\n    {small}\n    {body}\n    {result})'


def generate(seed: int) -> str:
    """The text of a module."""
    writer = _Writer(seed)
    return _HEAD + "\n".join([writer.function(number) for number in range(FUNCTIONS)]) + ")"
