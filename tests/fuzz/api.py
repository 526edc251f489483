"""Random sequences of all public operations, with right, odd and hostile arguments, from several threads, with signals, forks,
exceptions at random bytecodes and allocations that fail.

    python tests/fuzz/api.py --count 1000 --seed 1       sequences of these seeds
    python tests/fuzz/api.py --seconds 600               so long
    python tests/fuzz/api.py --replay found/api-17.json  what was kept of a failure; with --shrink also made shorter

Crashes, hangs (10 s), untyped errors, wrong results, and what is left behind (descriptors, threads, mappings, objects) are failures. Each is
made shorter, printed as a list of steps, and kept in --keep (default: found/); the exit status is 1.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from surface.disturbances import MODES
from surface.isolation import Outcome, prepare, run_all
from surface.shrinking import shrink
from surface.steps import Sequence

from brolga.jit.code import COMPILED

PLATFORMS: Final = [("linux", ""), ("linux", ""), ("linux", "reservations"), ("minimal", "")]


def of_seed(seed: int, modes: list[str] | None, platform: str | None, leave_out: list[str]) -> Sequence:
    """The sequence of a seed."""
    rng = random.Random(seed)
    chosen = [mode for mode in MODES if rng.random() < 0.25]
    if "memory" in chosen and "threads" in chosen:
        chosen.remove("threads")  # allocations fail in the whole process
    if "memory" in chosen and COMPILED:
        chosen.remove("memory")  # code compiled by mypyc ends the process when it gets no memory for an integer
    name, without = rng.choice(PLATFORMS)
    if platform is not None:
        name, _, without = platform.partition("-")
    return Sequence(seed, name, without, chosen if modes is None else modes, rng.choice([10, 40, 100]), leave_out)


def describe(outcome: Outcome) -> str:
    sequence = outcome.sequence
    where = f"{sequence.platform}{' without ' + sequence.without if sequence.without else ''}, {' and '.join(sequence.modes) or 'calm'}"
    lines = [f"seed {sequence.seed} ({where}): {outcome.failures[0]}"]
    lines += [f"    {failure}" for failure in outcome.failures[1:]]
    lines += [f"  {step}" for step in outcome.steps[-60:]]
    if outcome.report:
        lines += ["  standard error:", *(f"  | {line}" for line in outcome.report.splitlines()[-120:])]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="Random sequences of all public operations.")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1, help="seed of the first sequence; the others follow")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so much time")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--modes", nargs="*", choices=MODES, help="of all sequences; by default drawn from the seed")
    parser.add_argument("--platform", choices=["linux", "linux-reservations", "minimal"])
    parser.add_argument(
        "--leave-out",
        nargs="*",
        default=[],
        help="kinds of steps, operations (Class.name), names of errors: what is known",
    )
    parser.add_argument("--shrink-seconds", type=float, default=60.0, help="for each kind of failure")
    parser.add_argument("--keep", type=Path, default=Path("found"))
    parser.add_argument("--replay", type=Path)
    parser.add_argument("--times", type=int, default=1, help="how often to replay")
    options = parser.parse_args()
    start = time.monotonic()
    prepare()
    if options.replay:
        sequences: Iterator[Sequence] = iter([Sequence.from_text(options.replay.read_text())] * options.times)
    else:
        seeds = (
            itertools.count(options.seed)
            if options.seconds < float("inf")
            else range(options.seed, options.seed + options.count)
        )
        sequences = (of_seed(seed, options.modes, options.platform, options.leave_out) for seed in seeds)
    kinds: Counter[str] = Counter()
    done: Counter[str] = Counter()
    modes: Counter[str] = Counter()
    ran = 0
    for outcome in run_all(sequences, options.workers):
        ran += 1
        done.update(outcome.done)
        modes.update(outcome.sequence.modes or ["calm"])
        if outcome.failures:
            kinds[outcome.signature] += 1
            if kinds[outcome.signature] == 1:
                if not options.replay and options.shrink_seconds:
                    outcome = shrink(outcome, options.shrink_seconds)
                print(describe(outcome), flush=True)
                options.keep.mkdir(exist_ok=True)
                kept = options.keep / f"api-{outcome.sequence.seed}.json"
                kept.write_text(outcome.replayed().to_text())
                print(f"  kept: python {sys.argv[0]} --replay {kept}", flush=True)
            elif kinds[outcome.signature] < 20:
                print(f"seed {outcome.sequence.seed}: again {outcome.failures[0]}", flush=True)
        if time.monotonic() - start > options.seconds:
            break
    for kind, count in kinds.most_common():
        print(f"{count} times {kind}")
    print(", ".join(f"{mode} {count}" for mode, count in sorted(modes.items())))
    print(
        f"{ran} sequences, {done.total()} steps of {len(done)} kinds, {kinds.total()} failures, {time.monotonic() - start:.0f} s"
    )
    return 1 if kinds else 0


if __name__ == "__main__":
    sys.exit(main())
