"""The pass on induction variables keeps the meaning of random loops."""

from __future__ import annotations

import random

import pytest

from brolga.ir.parser import parse_function
from brolga.ir.passes import induction
from brolga.ir.printer import print_function
from brolga.ir.verifier import verify

from .test_random_functions import check_alike

STEPS = [1, 4, -4, 8, 0x7FFF_FFFF, -0x8000_0000]


class Writer:
    """Text of a function with one loop of a few turns, or two nested ones, which may be left in the middle and at the end."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.lines: list[str] = []
        self.values = 2  # v0 and v1 are the function's parameters

    def value(self, text: str) -> str:
        name = f"v{self.values}"
        self.values += 1
        self.lines.append(f"    {name} = {text}")
        return name

    def param(self) -> str:
        self.values += 1
        return f"v{self.values - 1}"

    def constant(self, number: int) -> str:
        return self.value(f"iconst.i32 {number}")

    def work(self, old: list[str], new: list[str], total: str) -> str:
        """Uses of old and new values; what they give is added to `total`."""
        rng = self.rng
        for _ in range(rng.randrange(3)):
            known = rng.choice(old + new)
            kind = rng.random()
            if kind < 0.4:
                found = self.value(f"iadd.i32 {known}, {self.constant(rng.choice(STEPS))}")
            elif kind < 0.7:
                found = self.value(f"load.i32 {known}+0")
            elif kind < 0.85 and new:
                self.lines.append(f"    store.i32 {known}+0, {rng.choice(new)}")
                continue
            else:
                found = self.value(f"imul.i32 {rng.choice(new or old)}, {total}")
            total = self.value(f"ixor.i32 {total}, {found}".replace("ixor", "bxor"))
        return total

    def function(self) -> str:
        rng = self.rng
        count = rng.randrange(1, 4)
        zero, one, turns = self.constant(0), self.constant(1), self.constant(rng.randrange(1, 6))
        minus_one = self.constant(-1)
        start = [rng.choice(["v0", "v1", zero, one]) for _ in range(count)]
        self.lines.append(f"    jump block1({', '.join([*start, turns, zero])})")
        old = [self.param() for _ in range(count)]
        left, total = self.param(), self.param()
        self.lines.append(f"block1({', '.join(f'{name}: i32' for name in [*old, left, total])}):")
        new: list[str] = []
        for name in old:
            total = self.work(old[len(new) :], new, total)
            step = self.constant(rng.choice(STEPS)) if rng.random() < 0.9 else "v1"
            new.append(self.value(f"iadd.i32 {name}, {step}"))
        left = self.value(f"iadd.i32 {left}, {minus_one}")
        if rng.random() < 0.5:
            condition = self.value(f"load.i32 {rng.choice(new)}+0")
            passed = [rng.choice(old + new), rng.choice(old + new), total]
            self.lines += [f"    brif {condition}, block2, block4({', '.join(passed)})", "block2:"]
            total = self.work([], new, total)
        out = [rng.choice(old + new), rng.choice(old + new), total]
        back = ", ".join([*new, left, total])
        if rng.random() < 0.5:
            self.lines.append(f"    brif {left}, block1({back}), block4({', '.join(out)})")
        else:
            self.lines += [f"    brif {left}, block1({back}), block3", "block3:"]
            total = self.work(old, new, total)
            self.lines.append(f"    jump block4({', '.join([*out[:2], total])})")
        a, b, c = self.param(), self.param(), self.param()
        self.lines.append(f"block4({a}: i32, {b}: i32, {c}: i32):")
        self.lines.append(f"    return {a}, {b}, {c}")
        body = "\n".join(self.lines)
        return f"function f 0(i32, i32) -> i32, i32, i32 {{\nblock0(v0: i32, v1: i32):\n{body}\n}}\n"


@pytest.mark.parametrize("part", range(4))
def test_meaning_is_kept(part: int) -> None:
    changed = compared = kept = 0
    for seed in range(100 * part, 100 * (part + 1)):
        text = Writer(random.Random(seed)).function()
        original, function = parse_function(text), parse_function(text)
        verify(original)
        induction.run(function)
        verify(function)
        if print_function(function) != print_function(original):
            changed += 1
            kept += function.analysis is not None  # no edge was split
            compared += check_alike(original, function, random.Random(seed))
    assert changed > 20 and compared > 200 and 0 < kept < changed
