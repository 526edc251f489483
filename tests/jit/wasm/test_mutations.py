"""Acceptance of broken modules compared with `wasm-tools validate`.

What Brolga accepts, wasm-tools must accept with all features on; what it refuses, wasm-tools must refuse with only those
features on that Brolga has. (Between the two lie encodings of Wasm 3.0 that Brolga reads, or knows and refuses by name.)
"""

from __future__ import annotations

import random
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from brolga.ir.errors import DecodeError, LimitError, UnsupportedError, ValidationError
from brolga.jit.wasm.decode import decode
from brolga.jit.wasm.validate import validate
from brolga.runtime.text import wasm_tools, wat2wasm

SEEDS: Final = 40
MUTANTS: Final = 4  # a seed
OURS: Final = "-all,wasm2,-simd,extended-const"
ALL: Final = "all"
TEXT: Final = (Path(__file__).parents[2] / "filetests" / "wasm").glob("*.wat")
SOURCES: Final = sorted(TEXT)


def accepted_by_tools(data: bytes, features: str) -> bool:
    done = subprocess.run(
        [wasm_tools(), "validate", f"--features={features}"], input=data, capture_output=True, check=False
    )
    return done.returncode == 0


@cache
def source(place: int) -> bytes:
    return bytes(wat2wasm(SOURCES[place].read_bytes()))


def mutant(rng: random.Random) -> bytes:
    data = bytearray(source(rng.randrange(len(SOURCES))))
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        place = rng.randrange(8, len(data))
        match rng.randrange(4):
            case 0:
                data[place] ^= 1 << rng.randrange(8)
            case 1:
                data[place] = rng.choice([0x00, 0x01, 0x0B, 0x40, 0x6F, 0x70, 0x7C, 0x7F, 0x80, 0xFC, 0xFF])
            case 2:
                del data[place]
            case 3:
                data.insert(place, rng.randrange(256))
    return bytes(data)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_agrees_with_wasm_tools(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(MUTANTS):
        data = mutant(rng)
        try:
            validate(decode(data))
        except LimitError:
            continue
        except UnsupportedError as error:
            assert not accepted_by_tools(data, OURS), f"refused: {error}: {data.hex()}"
        except (DecodeError, ValidationError) as error:
            assert 0 <= error.offset <= len(data)
            assert not accepted_by_tools(data, OURS), f"refused: {error}: {data.hex()}"
        else:
            assert accepted_by_tools(data, ALL), f"accepted: {data.hex()}"


def test_the_sources_are_accepted() -> None:
    for place in range(len(SOURCES)):
        validate(decode(source(place)))
        assert accepted_by_tools(source(place), OURS)
