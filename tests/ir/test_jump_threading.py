"""Jump threading keeps the meaning of random functions in which constants meet selections and branches."""

from __future__ import annotations

import random

import pytest

from brolga.ir.parser import parse_function
from brolga.ir.passes import jump_threading
from brolga.ir.printer import print_function
from brolga.ir.verifier import verify

from .test_random_functions import check_alike

CONSTANTS = [0, 1, -1, 2, 3, 7, 0x7FFF_FFFF, -0x8000_0000]
CONDITIONS = ["eq", "ne", "slt", "sge", "ult", "ugt"]
OPERATIONS = ["iadd", "band", "bor", "imul", "ishl"]


class Writer:
    """Text of a function: ways that bring constants and other values to a block, which selects and branches, several in a row or
    in a loop of three turns."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.lines: list[str] = []
        self.values = 2  # v0 and v1 are the function's parameters
        self.blocks = 1

    def value(self, text: str) -> str:
        name = f"v{self.values}"
        self.values += 1
        self.lines.append(f"    {name} = {text}")
        return name

    def param(self) -> str:
        self.values += 1
        return f"v{self.values - 1}"

    def block(self) -> str:
        self.blocks += 1
        return f"block{self.blocks - 1}"

    def passed(self, known: list[str], constants: list[str], count: int) -> str:
        return ", ".join([self.rng.choice(constants if self.rng.random() < 0.5 else known) for _ in range(count)])

    def meeting(self, known: list[str], constants: list[str]) -> list[str]:
        """Two to four ways to a block; the values known behind it."""
        rng = self.rng
        count = rng.randrange(1, 4)
        meeting = self.block()
        for _ in range(rng.randrange(1, 4)):
            further = self.block()
            condition = self.value(f"load.i32 {rng.choice(known)}+0")
            edges = [f"{meeting}({self.passed(known, constants, count)})", further]
            rng.shuffle(edges)
            self.lines += [f"    brif {condition}, {edges[0]}, {edges[1]}", f"{further}:"]
        self.lines.append(f"    jump {meeting}({self.passed(known, constants, count)})")
        params = [self.param() for _ in range(count)]
        self.lines.append(f"{meeting}({', '.join(f'{name}: i32' for name in params)}):")
        return known + self.head(params, known, constants)

    def head(self, params: list[str], known: list[str], constants: list[str], depth: int = 0) -> list[str]:
        """What is made of a block's parameters, and perhaps a branch to another such block; the values known in the end."""
        rng = self.rng
        made = list(params)
        for _ in range(rng.randrange(1, 6)):
            kind = rng.random()
            x = made[-1] if rng.random() < 0.5 else rng.choice(made)
            y = rng.choice(rng.choice([made, known, constants]))
            if kind < 0.3:
                made.append(self.value(f"icmp.i32 {rng.choice(CONDITIONS)} {x}, {y}"))
            elif kind < 0.65:
                made.append(self.value(f"select.i32 {x}, {y}, {rng.choice(known + made)}"))
            elif kind < 0.9:
                made.append(self.value(f"{rng.choice(OPERATIONS)}.i32 {x}, {y}"))
            elif kind < 0.95:
                made.append(self.value(f"iconst.i32 {rng.choice(CONSTANTS)}"))
            else:
                self.lines.append(f"    store.i32 {x}+0, {y}")
        if rng.random() < 0.5:
            return rng.sample(made, rng.randrange(1, len(made) + 1))
        other, further = self.block(), self.block()
        edges = [f"{other}({rng.choice(rng.choice([made, constants]))})", further]
        rng.shuffle(edges)
        self.lines += [f"    brif {made[-1]}, {edges[0]}, {edges[1]}", f"{further}:"]
        self.lines.append(f"    jump {other}({rng.choice(known if rng.random() < 0.7 else made)})")
        either = self.param()
        self.lines.append(f"{other}({either}: i32):")
        if depth < 2 and rng.random() < 0.5:
            return self.head([either], known, constants, depth + 1)
        return [either] if rng.random() < 0.7 else [either, rng.choice(made)]

    def function(self) -> str:
        rng = self.rng
        constants = [self.value(f"iconst.i32 {constant}") for constant in rng.sample(CONSTANTS, 4)]
        known = ["v0", "v1"]
        is_loop = rng.random() < 0.5
        if is_loop:
            turns, one = self.value("iconst.i32 3"), self.value("iconst.i32 -1")
            head = self.block()
            self.lines.append(f"    jump {head}({turns}, {self.passed(known, constants, 2)})")
            left, first, second = self.param(), self.param(), self.param()
            self.lines.append(f"{head}({left}: i32, {first}: i32, {second}: i32):")
            if rng.random() < 0.3:
                known += self.head([first], known, constants)
            known += [first, second]
        for _ in range(rng.randrange(1, 4)):
            known = self.meeting(known, constants)
        if is_loop:
            out = self.block()
            left = self.value(f"iadd.i32 {left}, {one}")
            self.lines.append(f"    brif {left}, {head}({left}, {self.passed(known, constants, 2)}), {out}")
            self.lines.append(f"{out}:")
        self.lines.append(f"    return {known[-1]}, {rng.choice(known)}, {rng.choice(known)}")
        body = "\n".join(self.lines)
        return f"function f 0(i32, i32) -> i32, i32, i32 {{\nblock0(v0: i32, v1: i32):\n{body}\n}}\n"


@pytest.mark.parametrize("part", range(4))
def test_meaning_is_kept(part: int) -> None:
    changed = compared = 0
    for seed in range(150 * part, 150 * (part + 1)):
        text = Writer(random.Random(seed)).function()
        original, function = parse_function(text), parse_function(text)
        verify(original)
        jump_threading.run(function)
        verify(function)
        if print_function(function) != print_function(original):
            changed += 1
            compared += check_alike(original, function, random.Random(seed))
    assert changed > 40 and compared > 200
