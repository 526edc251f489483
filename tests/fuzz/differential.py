"""Differential fuzzer: random modules on Brolga and on wasmtime, or the IR interpreter, must do the same.

    python tests/fuzz/differential.py --count 2000 --seed 1     2,000 modules of each generator
    python tests/fuzz/differential.py --generator smith         only those from `wasm-tools smith`
    python tests/fuzz/differential.py --against interpreter     machine code against the IR that it was made from
    python tests/fuzz/differential.py --fuel                    with fuel, of which both must leave the same
    python tests/fuzz/differential.py FILES...                  these modules (.wat or .wasm)

Modules that differ are kept in --keep (default: found/) and the exit status is 1. Reduce one with
`wasm-tools shrink`, and put it into tests/fuzz/regressions/ when it is fixed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import comparison
import effects
import idioms
import programs
import smith
import wasmtime
from worker_pool import Outcome, run_isolated

SECONDS: Final = 20.0
CONFIGURATIONS: Final = 6  # in which a file is checked
WRITERS: Final = {"programs": programs.generate, "effects": effects.generate, "idioms": idioms.generate}
GENERATORS: Final = ("smith", *WRITERS)
REFERENCES: Final = ("wasmtime", "interpreter")


class Seed(NamedTuple):
    """A module of a generator, and the engine that Brolga is compared with."""

    generator: str
    number: int
    against: str
    fuel: bool

    def module(self, canonical_nans: bool = False) -> bytes:
        writer = WRITERS.get(self.generator)
        if writer is not None:
            return bytes(wasmtime.wat2wasm(writer(self.number)))
        return smith.generate(self.number, {"canonicalize-nans": True} if canonical_nans else None)


def check_seed(seed: Seed) -> str:
    """Compare the module of a seed; the report is empty if both engines agree."""
    engines = ("brolga", seed.against)
    difference = comparison.first_difference(seed.module(), seed.number, engines, seed.fuel)
    if difference and seed.generator == "smith" and not smith.options(seed.number)["canonicalize-nans"]:
        # Payloads of NaNs are free: what differs must differ with canonical ones too.
        return comparison.first_difference(seed.module(canonical_nans=True), seed.number, engines, seed.fuel) or ""
    return difference or ""


def check_file(name: str) -> str:
    """Compare a module in several configurations of Brolga, without fuel and with it."""
    data = Path(name).read_bytes()
    wasm = data if data[:4] == b"\0asm" else bytes(wasmtime.wat2wasm(data))
    ways = [(seed, fuel) for seed in range(CONFIGURATIONS) for fuel in (False, True)]
    return next(filter(None, (comparison.first_difference(wasm, seed, fuel=fuel) for seed, fuel in ways)), "")


def main() -> int:
    parser = argparse.ArgumentParser(description="Differential fuzzer.")
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--count", type=int, default=200, help="modules of each generator")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first module; the others follow")
    parser.add_argument("--generator", choices=GENERATORS)
    parser.add_argument("--against", choices=REFERENCES, default=REFERENCES[0])
    parser.add_argument("--fuel", action="store_true", help="consume fuel, and compare what is left of it")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so much time")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("found"))
    options = parser.parse_args()
    start = time.monotonic()
    generators = [options.generator] if options.generator else list(GENERATORS)
    numbers = range(options.seed, options.seed + options.count)
    seeds = [Seed(name, number, options.against, options.fuel) for number in numbers for name in generators]
    outcomes: Iterator[Outcome[Seed]] | Iterator[Outcome[str]]
    if options.files:
        outcomes = run_isolated(check_file, [str(file) for file in options.files], options.workers, SECONDS)
    else:
        outcomes = run_isolated(check_seed, seeds, options.workers, SECONDS)
    differences = checked = 0
    for item, report, failure in outcomes:
        checked += 1
        if failure or report:
            differences += 1
            name = item if isinstance(item, str) else f"{item.generator}-{item.number}"
            print(f"{name}: {failure or report}", flush=True)
            if not isinstance(item, str):
                options.keep.mkdir(exist_ok=True)
                (options.keep / f"{name}.wasm").write_bytes(item.module())
        if time.monotonic() - start > options.seconds:
            break
    print(f"{checked} modules, {differences} with differences, {time.monotonic() - start:.0f} s")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
