"""The passes that shorten what a turn of a loop waits for keep the meaning of random loops."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from brolga.ir.function import Function
from brolga.ir.parser import parse_function
from brolga.ir.passes import products, reassociation
from brolga.ir.printer import print_function
from brolga.ir.verifier import verify

from .test_random_functions import check_alike

OPERATIONS = ["iadd", "iadd", "bxor", "band", "bor", "imul"]


class Writer:
    """Text of a function with one loop of a few turns, of one or two blocks, full of chains; sometimes with a call of two results."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.lines: list[str] = []
        self.values = 2  # v0 and v1 are the function's parameters

    def value(self, text: str) -> str:
        name = self.param()
        self.lines.append(f"    {name} = {text}")
        return name

    def param(self) -> str:
        self.values += 1
        return f"v{self.values - 1}"

    def work(self, known: list[str], counter: str, constant: str) -> None:
        """Appends to `known` what it makes."""
        rng = self.rng
        for _ in range(rng.randrange(1, 12)):
            kind = rng.random()
            if kind < 0.15:
                known.append(self.value(f"uload8.i32 {counter}+{rng.randrange(8)}"))
            elif kind < 0.2:
                factor = self.value(
                    f"iconst.i32 {rng.choice([3, 7, 9, 15, 17, 31, 33, 65, -1, 0x7FFF_FFFF, -0x7FFF_FFFF, 30])}"
                )
                known.append(self.value(f"imul.i32 {rng.choice(known)}, {factor}"))
            elif kind < 0.25:
                known.append(self.value(f"{rng.choice(['isub', 'ushr', 'rotl'])}.i32 {rng.choice(known)}, {constant}"))
            elif kind < 0.3:
                self.lines.append(f"    istore8.i32 {counter}+{rng.randrange(8)}, {rng.choice(known)}")
            elif kind < 0.35:
                first, second = self.param(), self.param()
                self.lines.append(f"    {first}, {second} = call fn3 sig1({rng.choice(known)})")
                known += [first, second]
            else:
                known.append(self.chain(known))

    def chain(self, known: list[str]) -> str:
        rng = self.rng
        op = rng.choice(OPERATIONS)
        parts = [rng.choice(known) for _ in range(rng.randrange(2, 8))]
        while len(parts) > 1:
            place = 0 if rng.random() < 0.7 else rng.randrange(len(parts) - 1)
            parts[place] = self.value(f"{op}.i32 {parts[place]}, {parts.pop(place + 1)}")
            if rng.random() < 0.05:
                known.append(parts[place])
        return parts[0]

    def function(self) -> str:
        rng = self.rng
        zero, one = self.value("iconst.i32 0"), self.value("iconst.i32 1")
        turns = self.value(f"iconst.i32 {rng.randrange(2, 7)}")
        constant = self.value("iconst.i32 5")
        count = rng.randrange(1, 4)
        self.lines.append(
            f"    jump block1({', '.join([zero, *[rng.choice(['v0', 'v1', one]) for _ in range(count)]])})"
        )
        counter, *old = [self.param() for _ in range(count + 1)]
        self.lines.append(f"block1({', '.join(f'{name}: i32' for name in [counter, *old])}):")
        known = [*old, "v0", "v1", counter]
        self.work(known, counter, constant)
        if rng.random() < 0.4:
            passed = [rng.choice(known) for _ in range(2)]
            self.lines.append(f"    brif {rng.choice(known)}, block3({passed[0]}), block2")
            self.lines.append("block2:")
            inner = known[:]
            self.work(inner, counter, constant)
            self.lines.append(f"    jump block3({rng.choice(inner)})")
            joined = self.param()
            self.lines.append(f"block3({joined}: i32):")
            known.append(joined)
            self.work(known, counter, constant)
        step = self.value(f"iadd.i32 {counter}, {one}")
        again = self.value(f"icmp.i32 ult {step}, {turns}")
        out = ", ".join(known[-3:])
        back = ", ".join([step, *[rng.choice(known[-3:]) for _ in range(count)]])
        self.lines.append(f"    brif {again}, block1({back}), block4({out})")
        results = [self.param() for _ in range(3)]
        self.lines.append(f"block4({', '.join(f'{name}: i32' for name in results)}):")
        self.lines.append(f"    return {', '.join(results)}")
        body = "\n".join(self.lines)
        head = "function f 0(i32, i32) -> i32, i32, i32 {\n    sig0 = ()\n    sig1 = (i32) -> i32, i32"
        return f"{head}\nblock0(v0: i32, v1: i32):\n{body}\n}}\n"


@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("runs", [products.run, reassociation.run], ids=["products", "reassociation"])
def test_meaning_is_kept(runs: Callable[[Function], None], part: int) -> None:
    changed = compared = 0
    for seed in range(100 * part, 100 * (part + 1)):
        text = Writer(random.Random(seed)).function()
        original, function = parse_function(text), parse_function(text)
        verify(original)
        runs(function)
        verify(function)
        if print_function(function) != print_function(original):
            changed += 1
            compared += check_alike(original, function, random.Random(seed))
    assert changed > 4 and compared > 20
