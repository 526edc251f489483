"""Random functions do the same before and after the rules and the passes, and survive printing and parsing."""

from __future__ import annotations

import random

import pytest

from brolga.ir.function import Function
from brolga.ir.parser import parse_function
from brolga.ir.printer import print_function
from brolga.ir.rebuild import rebuild
from brolga.ir.verifier import verify

from .functions import EDGES, ENDLESS, all_passes, clean_up, outcome
from .random_functions import random_function

SHAPES = {"one block": (1, 40), "few blocks": (6, 8), "many blocks": (25, 4), "empty blocks": (30, 1)}


def check_alike(original: Function, changed: Function, rng: random.Random) -> int:
    """Compare the outcomes on a few operands; the number of comparisons."""
    compared = 0
    for _ in range(6):
        args = [rng.choice(EDGES[type]) for type in original.signature.params]
        expected = outcome(original, args)
        if expected == ENDLESS:
            continue
        assert outcome(changed, args) == expected, f"differs for {args}:\n{print_function(original)}"
        compared += 1
    return compared


@pytest.mark.parametrize("seed", range(15))
@pytest.mark.parametrize("shape", SHAPES)
def test_rules_and_passes_keep_the_meaning(shape: str, seed: int) -> None:
    rng = random.Random(f"{shape} {seed}")
    original = random_function(rng, *SHAPES[shape])
    verify(original)
    text = print_function(original)
    assert print_function(parse_function(text)) == text

    changed = rebuild(original)
    verify(changed)
    check_alike(original, changed, rng)
    clean_up(changed)
    verify(changed)
    check_alike(original, changed, rng)

    again = rebuild(changed)
    all_passes(again)
    verify(again)
    check_alike(original, again, rng)


def test_enough_random_functions_end() -> None:
    """The comparison above would be empty if most functions ran for ever."""
    rng = random.Random(1)
    compared = sum(check_alike(f, f, rng) for f in (random_function(rng, *SHAPES["few blocks"]) for _ in range(20)))
    assert compared > 60
