"""Random functions as machine code against the interpreter, with random transformations switched off, and checks of facts. The seeds run here are fixed; `python -m tests.jit.lower.test_random_ir
FIRST COUNT` runs more."""

from __future__ import annotations

import random
import sys

import pytest

from brolga.jit.transformations import TRANSFORMATIONS, names_of

from ...ir.functions import EDGES
from ..native import ALL_FEATURES, CPU_FEATURES, PLATFORMS, Native, Program, settings_for
from ..random_ir import random_program


def run_seed(native: Native, seed: int, size: int = 60) -> None:
    texts, signature = random_program(seed, size)
    program = Program(texts)
    rng = random.Random(seed)
    rows = [[rng.choice(EDGES[type]) for type in signature.params] for _ in range(6)]
    for platform in PLATFORMS:
        features = ALL_FEATURES
        if rng.random() < 0.4:
            features = frozenset(name for name in CPU_FEATURES if rng.random() < 0.5)
        settings = settings_for(platform, features)
        share = rng.choice([0.0, 0.1, 0.5, 1.0])
        settings.off = sum([row.bit for row in TRANSFORMATIONS if rng.random() < share])
        settings.check_facts = rng.random() < 0.3
        program.load(native, settings)
        for args in rows:
            expected = program.interpret(native, 10, args)
            result = program.run(native, 10, args)
            where = f"seed {seed}, {platform}, {sorted(features)}, without {names_of(settings.off)}"
            assert result == expected, f"{where}, {[hex(a) for a in args]}"


@pytest.mark.parametrize("seed", range(60))
def test_random(running: Native, seed: int) -> None:
    run_seed(running, seed)


if __name__ == "__main__":
    first, count = int(sys.argv[1]), int(sys.argv[2])
    with Native() as machine:
        for seed in range(first, first + count):
            run_seed(machine, seed, random.Random(seed).choice([20, 60, 150, 400]))
    print(f"{count} programs without a difference")
