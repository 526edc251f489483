"""Random functions in IR, as text. They end: loops count up to a small bound. Some trap.

What NaN a float operation gives is not part of the contract, so a float whose bits could be seen (stored, cast, passed on) is replaced
by a fixed NaN if it may be an arithmetic one.
"""

from __future__ import annotations

import random
from typing import Final

from brolga.ir.opcodes import FCC_NAMES, ICC_NAMES
from brolga.ir.types import F32, F64, I32, I64, TYPE_NAMES

from ..ir.functions import EDGES
from .native import FREE

TYPES: Final = [I32, I64, F32, F64]
BINARY: Final = {
    "i": ["iadd", "iadd", "isub", "imul", "band", "bor", "bxor", "ishl", "ushr", "sshr", "rotl", "rotr", "umulhi", "smulhi"],
    "f": ["fadd", "fsub", "fmul", "fdiv", "fmin", "fmax"],
}
DIVISIONS: Final = ["sdiv", "udiv", "srem", "urem"]
UNARY: Final = {
    "i": ["clz", "ctz", "popcnt", "sextend8", "sextend16"],
    "f": ["fceil", "ffloor", "ftrunc", "fnearest", "fsqrt"],
}
LOADS: Final = {
    I32: ["load", "uload8", "sload8", "uload16", "sload16"],
    I64: ["load", "uload8", "sload8", "uload16", "sload16", "uload32", "sload32"],
    F32: ["load"],
    F64: ["load"],
}
STORES: Final = {
    I32: ["store", "istore8", "istore16"],
    I64: ["store", "istore8", "istore16", "istore32"],
    F32: ["store"],
    F64: ["store"],
}
TRAPS: Final = ["unreachable", "bad_sig", "table_oob", "int_ovf"]


class Signature:
    def __init__(self, params: list[int], results: list[int]) -> None:
        self.params = params
        self.results = results

    def text(self) -> str:
        params = ", ".join(TYPE_NAMES[type] for type in self.params)
        results = ", ".join(TYPE_NAMES[type] for type in self.results)
        return f"({params}) -> {results}" if results else f"({params})"


class Generator:
    """Makes one function that may call those of `callees` (index and signature)."""

    def __init__(self, rng: random.Random, size: int, callees: list[tuple[int, Signature]]) -> None:
        self.rng = rng
        self.left = size
        self.callees = callees
        self.lines: list[str] = []
        self.values = 0
        self.blocks = 0
        self.depth = 0
        self.env: dict[int, list[int]] = {type: [] for type in TYPES}
        self.dirty: set[int] = set()
        self.used: set[int] = set()
        self.signature = Signature([], [])
        self.float_share = rng.choice([0.0, 0.2, 0.5])
        self.recent = rng.choice([1, 3, 8])

    # Pieces

    def new(self, type: int, text: str, dirty: bool = False) -> int:
        value = self.values
        self.values += 1
        self.lines.append(f"  v{value} = {text}")
        self.env[type].append(value)
        if dirty:
            self.dirty.add(value)
        return value

    def type(self) -> int:
        rng = self.rng
        return rng.choice([F32, F64]) if rng.random() < self.float_share else rng.choice([I32, I32, I64])

    def any(self, type: int) -> int:
        values = self.env[type]
        if not values or self.rng.random() < 0.15:
            return self.constant(type)
        roll = self.rng.random()
        if roll < 0.4:
            value = self.rng.choice(values[-self.recent :])
        elif roll < 0.8:
            value = next((value for value in reversed(values) if value not in self.used), values[-1])
        else:
            value = self.rng.choice(values)
        self.used.add(value)
        return value

    def constant(self, type: int) -> int:
        rng = self.rng
        bits = rng.choice(EDGES[type]) if rng.random() < 0.7 else rng.randrange(256)
        if type in (I32, I64):
            return self.new(type, f"iconst.{TYPE_NAMES[type]} {bits}")
        return self.new(type, f"fconst.{TYPE_NAMES[type]} {bits:#x}")

    def clean(self, type: int) -> int:
        """A value whose bits are defined."""
        value = self.any(type)
        if value not in self.dirty:
            return value
        name = TYPE_NAMES[type]
        nan = self.new(type, f"fconst.{name} {0x7FC00000 if type == F32 else 0x7FF8 << 48:#x}")
        ordered = self.new(I32, f"fcmp.{name} eq v{value}, v{value}")
        return self.new(type, f"select.{name} v{ordered}, v{value}, v{nan}")

    def index(self) -> int:
        """An address that is mostly inside of memory."""
        rng = self.rng
        roll = rng.random()
        if roll < 0.01:
            return self.any(I32)
        mask = self.new(I32, f"iconst.i32 {rng.choice([0xFF, 0x7F, 0x3F0, 0xFC])}")
        index = self.new(I32, f"band.i32 v{self.any(I32)}, v{mask}")
        if roll < 0.3:
            return index
        if roll < 0.4:
            reduced = self.new(I64, f"uextend.i64.i32 v{index}")
            return self.new(I32, f"ireduce.i32.i64 v{reduced}")
        if roll < 0.8:
            count = self.new(I32, f"iconst.i32 {rng.randrange(4)}")
            index = self.new(I32, f"ishl.i32 v{index}, v{count}")
        if roll > 0.5:
            other = self.new(I32, f"band.i32 v{self.any(I32)}, v{mask}")
            pair = [index, other]
            rng.shuffle(pair)
            index = self.new(I32, f"iadd.i32 v{pair[0]}, v{pair[1]}")
        if roll > 0.65:
            bits = rng.choice([4, 8, 100, 0xFFFF_FFFC, 0xFFFF_FFF0])
            constant = self.new(I32, f"iconst.i32 {bits}")
            index = self.new(I32, f"iadd.i32 v{index}, v{constant}")
        return index

    def offset(self) -> int:
        rng = self.rng
        if rng.random() < 0.6:
            return 0
        return rng.choice([1, 4, 8, 64, 200]) if rng.random() < 0.99 else rng.choice([0x7FFF_FFF0, 0x8000_0000, 0xFFFF_FFFF])

    def condition(self) -> int:
        rng = self.rng
        roll = rng.random()
        if roll < 0.2:
            return self.any(I32)
        if roll < 0.35:
            type = rng.choice([I32, I64])
            name = TYPE_NAMES[type]
            masked = self.new(type, f"band.{name} v{self.any(type)}, v{self.any(type)}")
            zero = self.new(type, f"iconst.{name} 0")
            return self.new(I32, f"icmp.{name} {rng.choice(ICC_NAMES)} v{masked}, v{zero}")
        return self.compare(self.type())

    def compare(self, type: int) -> int:
        name = TYPE_NAMES[type]
        if type in (I32, I64):
            cc = self.rng.choice(ICC_NAMES)
            return self.new(I32, f"icmp.{name} {cc} v{self.any(type)}, v{self.any(type)}")
        cc = self.rng.choice(FCC_NAMES)
        return self.new(I32, f"fcmp.{name} {cc} v{self.any(type)}, v{self.any(type)}")

    # Statements

    def operation(self) -> None:
        rng = self.rng
        type = self.type()
        name = TYPE_NAMES[type]
        integer = type in (I32, I64)
        bank = "i" if integer else "f"
        roll = rng.random()
        if roll < 0.4:
            self.new(type, f"{rng.choice(BINARY[bank])}.{name} v{self.any(type)}, v{self.any(type)}", not integer)
        elif roll < 0.48:
            self.new(type, f"{rng.choice(UNARY[bank])}.{name} v{self.any(type)}", not integer)
        elif roll < 0.55:
            self.compare(type)
        elif roll < 0.62:
            x, y = self.any(type), self.any(type)
            self.new(type, f"select.{name} v{self.condition()}, v{x}, v{y}", x in self.dirty or y in self.dirty)
        elif roll < 0.75:
            self.conversion()
        elif integer:
            constant = rng.choice([1, 2, 3, 4, 5, 9, 15, 0xFF, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFE])
            y = self.new(type, f"iconst.{name} {constant}")
            self.new(type, f"{rng.choice(BINARY['i'])}.{name} v{self.any(type)}, v{y}")
        else:
            x = self.any(type)
            if rng.random() < 0.5:
                self.new(type, f"fcopysign.{name} v{x}, v{self.clean(type)}", x in self.dirty)
            else:
                self.new(type, f"{rng.choice(['fabs', 'fneg'])}.{name} v{x}", x in self.dirty)

    def conversion(self) -> None:
        rng = self.rng
        roll = rng.randrange(10)
        if roll < 2:
            self.new(I32, f"ireduce.i32.i64 v{self.any(I64)}")
        elif roll < 4:
            self.new(I64, f"{rng.choice(['uextend', 'sextend'])}.i64.i32 v{self.any(I32)}")
        elif roll == 4:
            self.new(I64, f"sextend32.i64 v{self.any(I64)}")
        elif roll == 5:
            source, result = rng.choice([I32, I64]), rng.choice([F32, F64])
            op = rng.choice(["fcvt_from_sint", "fcvt_from_uint"])
            self.new(result, f"{op}.{TYPE_NAMES[result]}.{TYPE_NAMES[source]} v{self.any(source)}")
        elif roll == 6:
            source, result = rng.choice([F32, F64]), rng.choice([I32, I64])
            op = rng.choice(["fcvt_to_sint_sat", "fcvt_to_uint_sat"])
            self.new(result, f"{op}.{TYPE_NAMES[result]}.{TYPE_NAMES[source]} v{self.any(source)}")
        elif roll == 7:
            self.new(F64, f"fpromote.f64.f32 v{self.any(F32)}", True)
        elif roll == 8:
            self.new(F32, f"fdemote.f32.f64 v{self.any(F64)}", True)
        else:
            result, source = rng.choice([(I32, F32), (F32, I32), (I64, F64), (F64, I64)])
            self.new(result, f"bitcast.{TYPE_NAMES[result]}.{TYPE_NAMES[source]} v{self.clean(source)}")

    def memory(self) -> None:
        rng = self.rng
        type = self.type()
        name = TYPE_NAMES[type]
        roll = rng.random()
        if roll < 0.45:
            index = self.index()
            self.new(type, f"{rng.choice(LOADS[type])}.{name} v{index}+{self.offset()}")
        elif roll < 0.65:
            value, index = self.clean(type), self.index()
            self.lines.append(f"  {rng.choice(STORES[type])}.{name} v{index}+{self.offset()}, v{value}")
        elif roll < 0.78 and type in (I32, I64):
            self.modify(type)
        elif roll < 0.86:
            self.new(type, f"ctx_load.{name} {FREE + 8 * rng.randrange(16)}")
        elif roll < 0.93:
            value = self.clean(type)
            self.lines.append(f"  ctx_store.{name} {FREE + 8 * rng.randrange(16)}, v{value}")
        else:
            self.pointer(type)

    def modify(self, type: int) -> None:
        rng = self.rng
        name = TYPE_NAMES[type]
        index, offset = self.index(), self.offset()
        load, store = rng.choice(
            [("load", "store"), ("uload8", "istore8"), ("sload8", "istore8"), ("uload16", "istore16"), ("uload16", "istore8")]
        )
        old = self.new(type, f"{load}.{name} v{index}+{offset}")
        pair = [old, self.any(type)]
        if rng.random() < 0.3:
            pair.reverse()
        op = rng.choice(["iadd", "isub", "band", "bor", "bxor"])
        new = self.new(type, f"{op}.{name} v{pair[0]}, v{pair[1]}")
        self.lines.append(f"  {store}.{name} v{index}+{offset}, v{new}")
        if rng.random() < 0.7:
            self.env[type].remove(old)
            self.env[type].remove(new)

    def pointer(self, type: int) -> None:
        rng = self.rng
        name = TYPE_NAMES[type]
        base = self.new(I64, "context.i64")
        self.env[I64].remove(base)  # addresses differ from run to run
        index = self.index_of_pointer()
        address = self.new(I64, f"iadd.i64 v{base}, v{index}")
        self.env[I64].remove(address)
        if rng.random() < 0.5:
            self.new(type, f"ptr_load.{name} v{address}+{FREE}")
        else:
            self.lines.append(f"  ptr_store.{name} v{address}+{FREE}, v{self.clean(type)}")

    def index_of_pointer(self) -> int:
        mask = self.new(I32, "iconst.i32 15")
        index = self.new(I32, f"band.i32 v{self.any(I32)}, v{mask}")
        wide = self.new(I64, f"uextend.i64.i32 v{index}")
        count = self.new(I64, f"iconst.i64 {self.rng.choice([2, 3])}")
        return self.new(I64, f"ishl.i64 v{wide}, v{count}")

    def trapping(self) -> None:
        rng = self.rng
        roll = rng.random()
        if roll < 0.5:
            type = rng.choice([I32, I64])
            name = TYPE_NAMES[type]
            divisor = self.any(type)
            if rng.random() < 0.8:
                one = self.new(type, f"iconst.{name} {rng.choice([1, 2, 0xFF00_0001])}")
                divisor = self.new(type, f"bor.{name} v{divisor}, v{one}")
            self.new(type, f"{rng.choice(DIVISIONS)}.{name} v{self.any(type)}, v{divisor}")
        elif roll < 0.7:
            source, result = rng.choice([F32, F64]), rng.choice([I32, I64])
            op = rng.choice(["fcvt_to_sint", "fcvt_to_uint"])
            small = self.new(I32, "iconst.i32 65535")
            index = self.new(I32, f"band.i32 v{self.any(I32)}, v{small}")
            value = self.new(source, f"fcvt_from_uint.{TYPE_NAMES[source]}.i32 v{index}")
            if rng.random() < 0.2:
                value = self.any(source)
            self.new(result, f"{op}.{TYPE_NAMES[result]}.{TYPE_NAMES[source]} v{value}")
        else:
            type = rng.choice([I32, I64])
            rare = self.new(type, f"iconst.{TYPE_NAMES[type]} {rng.choice([77, 123456])}")
            condition = self.new(I32, f"icmp.{TYPE_NAMES[type]} eq v{self.any(type)}, v{rare}")
            self.lines.append(f"  trapnz v{condition}, {rng.choice(TRAPS)}")

    def call(self) -> None:
        if not self.callees:
            return
        index, signature = self.rng.choice(self.callees)
        args = ", ".join(f"v{self.clean(type)}" for type in signature.params)
        number = [i for i, _ in self.callees].index(index)
        kind = "call_builtin" if index >= 1000 else "call"
        text = f"{kind} fn{index % 1000} sig{number}({args})"
        if not signature.results:
            self.lines.append(f"  {text}")
            return
        results = []
        for type in signature.results:
            results.append(self.values)
            self.env[type].append(self.values)
            self.values += 1
        self.lines.append(f"  {', '.join(f'v{value}' for value in results)} = {text}")

    # Control

    def snapshot(self) -> dict[int, list[int]]:
        return {type: list(values) for type, values in self.env.items()}

    def block(self, number: int, types: list[int], cold: bool = False) -> list[int]:
        params = []
        for type in types:
            params.append(self.values)
            self.env[type].append(self.values)
            if type in (F32, F64):
                self.dirty.add(self.values)
            self.values += 1
        text = ", ".join(f"v{value}: {TYPE_NAMES[type]}" for value, type in zip(params, types, strict=True))
        self.lines.append(f"block{number}{' cold' if cold else ''}{f'({text})' if params else ''}:")
        return params

    def new_block(self) -> int:
        self.blocks += 1
        return self.blocks

    def target(self, number: int, values: list[int]) -> str:
        return f"block{number}({', '.join(f'v{value}' for value in values)})" if values else f"block{number}"

    def merge_types(self) -> list[int]:
        return [self.type() for _ in range(self.rng.choice([0, 1, 1, 2, 3]))]

    def branch(self) -> None:
        """if, if-else, or a conditional jump to the join, perhaps with a cold or returning arm."""
        rng = self.rng
        condition = self.condition()
        types = self.merge_types()
        join = self.new_block()
        before = self.snapshot()
        first = self.new_block()
        direct = rng.random() < 0.4
        if direct:
            passed = [self.any(type) for type in types]
            before = self.snapshot()
            targets = [self.target(first, []), self.target(join, passed)]
        else:
            second = self.new_block()
            targets = [self.target(first, []), self.target(second, [])]
        if rng.random() < 0.5:
            targets.reverse()
        self.lines.append(f"  brif v{condition}, {', '.join(targets)}")
        arms = [first] if direct else [first, second]
        for arm in arms:
            self.env = {type: list(values) for type, values in before.items()}
            self.block(arm, [], rng.random() < 0.1)
            self.statements(rng.randrange(1, 6))
            if direct and rng.random() < 0.2:
                self.finish()
            else:
                self.lines.append(f"  jump {self.target(join, [self.any(type) for type in types])}")
        self.env = before
        self.block(join, types)

    def loop(self) -> None:
        rng = self.rng
        types = self.merge_types()
        head, body, out = self.new_block(), self.new_block(), self.new_block()
        zero = self.new(I32, "iconst.i32 0")
        self.lines.append(f"  jump {self.target(head, [zero, *[self.any(type) for type in types]])}")
        params = self.block(head, [I32, *types])
        self.env[I32].remove(params[0])
        self.statements(rng.randrange(3))
        bound = self.new(I32, f"iconst.i32 {rng.randrange(1, 6)}")
        one = self.new(I32, "iconst.i32 1")
        rotated = rng.random() < 0.5
        out_types = self.merge_types()
        if rotated:
            self.lines.append(f"  jump block{body}")
        else:
            more = self.new(I32, f"icmp.i32 ult v{params[0]}, v{bound}")
            passed = [self.any(type) for type in out_types]
            at_head = self.snapshot()
            self.lines.append(f"  brif v{more}, block{body}, {self.target(out, passed)}")
        self.block(body, [])
        self.env[I32].append(params[0])
        self.statements(rng.randrange(1, 6))
        counter = self.new(I32, f"iadd.i32 v{params[0]}, v{one}")
        again = [counter, *[self.any(type) for type in types]]
        if rotated:
            more = self.new(I32, f"icmp.i32 ult v{counter}, v{bound}")
            passed = [self.any(type) for type in out_types]
            self.lines.append(f"  brif v{more}, {self.target(head, again)}, {self.target(out, passed)}")
        else:
            self.lines.append(f"  jump {self.target(head, again)}")
            self.env = at_head
        self.block(out, out_types)

    def switch(self) -> None:
        rng = self.rng
        types = self.merge_types()
        join = self.new_block()
        index = self.any(I32)
        if rng.random() < 0.8:
            mask = self.new(I32, f"iconst.i32 {rng.choice([1, 3, 7])}")
            index = self.new(I32, f"band.i32 v{index}, v{mask}")
        passed = [self.any(type) for type in types]
        arms = [self.new_block() for _ in range(rng.randrange(1, 4))]
        targets = [self.target(rng.choice(arms), []) for _ in range(rng.randrange(1, 6))]
        targets += [self.target(arm, []) for arm in arms]
        targets += [self.target(join, passed)] * rng.randrange(2)
        rng.shuffle(targets)
        self.lines.append(f"  br_table v{index}, {', '.join(targets[:-1])}, default {targets[-1]}")
        before = self.snapshot()
        for arm in arms:
            self.env = {type: list(values) for type, values in before.items()}
            self.block(arm, [], rng.random() < 0.1)
            self.statements(rng.randrange(1, 4))
            self.lines.append(f"  jump {self.target(join, [self.any(type) for type in types])}")
        self.env = before
        self.block(join, types)

    def statements(self, count: int) -> None:
        for _ in range(count):
            if self.left <= 0:
                return
            self.left -= 1
            roll = self.rng.random()
            if self.depth < 4 and roll < 0.16:
                self.depth += 1
                self.rng.choice([self.branch, self.branch, self.loop, self.switch])()
                self.depth -= 1
            elif roll < 0.2:
                self.call()
            elif roll < 0.25:
                self.trapping()
            elif roll < 0.5:
                self.memory()
            else:
                self.operation()

    def finish(self) -> None:
        results = ", ".join(f"v{self.clean(type)}" for type in self.signature.results)
        self.lines.append(f"  return {results}".rstrip())

    def generate(self, index: int, signature: Signature) -> str:
        self.signature = signature
        lines = [f"function f{index} {index}{signature.text()} {{"]
        lines += [f"    sig{number} = {callee.text()}" for number, (_, callee) in enumerate(self.callees)]
        self.block(0, signature.params)
        self.dirty.clear()
        self.statements(10_000)
        self.finish()
        return "\n".join([*lines, *self.lines, "}"]) + "\n"


def random_signature(rng: random.Random) -> Signature:
    params = [rng.choice(TYPES) for _ in range(rng.choice([0, 1, 2, 3, 5, 9, 20]))]
    return Signature(params, [rng.choice(TYPES) for _ in range(rng.choice([0, 1, 1, 1, 2, 4, 7, 12]))])


def random_program(seed: int, size: int = 60) -> tuple[list[str], Signature]:
    """A few functions, the last of which calls the others; its signature. Function 1000 is a builtin."""
    rng = random.Random(seed)
    texts: list[str] = []
    callees: list[tuple[int, Signature]] = []
    for index in [1000, *range(rng.randrange(3))]:
        signature = random_signature(rng)
        texts.append(Generator(rng, rng.randrange(2, 12), list(callees)).generate(index, signature))
        callees.append((index, signature))
    signature = Signature([rng.choice(TYPES) for _ in range(rng.randrange(1, 8))], [rng.choice(TYPES) for _ in range(3)])
    texts.append(Generator(rng, rng.randrange(5, size), list(callees)).generate(10, signature))
    return texts, signature
