"""Random WASI programs: what is outside of the preopens stays unread, untold and unchanged, and wasmtime answers the same.

    python tests/fuzz/wasi.py --count 2000 --seed 1     2,000 programs
    python tests/fuzz/wasi.py --minutes 60              for an hour
    python tests/fuzz/wasi.py --race                    only programs with a second process that moves files about
    python tests/fuzz/wasi.py FILES...                  these programs (in Python: PROGRAM = Program(...))

Each program runs in a worker process: on Brolga with the kernel resolving paths, on Brolga with the walk in a world that differs
only outside of the preopens, and on wasmtime. The answers, what is left in memory and the trees must be the same. A program that fails
is cut down, printed, and kept in --keep (default: found/); the exit status is 1.
"""

from __future__ import annotations

import argparse
import runpy
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import wasi_programs
import wasi_swapper
from wasi_differences import known
from wasi_programs import Call, Entry, Preopen, Program
from wasi_runs import Answer, Run, run_ours, run_theirs
from wasi_worlds import World
from worker_pool import run_isolated

SECONDS: Final = 40.0  # for a program; its calls are limited themselves
ROUNDS: Final = 30  # of a program in a race
TRIALS: Final = 150  # when one is cut down


class Job(NamedTuple):
    """A program of a seed, or one that is given."""

    seed: int
    race: bool | None = None
    given: Program | None = None
    known: bool = True  # differences to wasmtime that are known do not count

    def program(self) -> Program:
        return self.given or wasi_programs.generate(self.seed, self.race)


def check(job: Job) -> str:
    """The first thing that is wrong with a program: a line that says what, then details; or nothing."""
    program = job.program()
    if program.race:
        return _check_race(program)
    worlds = [World(program, program.outside)]
    try:
        ours = run_ours(worlds[0], program.by_kernel)
        if wrong := _own_faults(ours):
            return wrong
        worlds.append(World(program, program.other))
        others = run_ours(worlds[1], not program.by_kernel)
        if (wrong := _own_faults(others)) or (wrong := _first_difference(ours, others)):
            if not wrong.startswith("untyped"):
                wrong = _attributed(program, wrong)
            return wrong
        if all((preopen.dir_perms, preopen.file_perms) in ((3, 3), (1, 1)) for preopen in program.preopens):
            worlds.append(World(program, program.outside))
            cut = len(ours.answers) - (ours.answers[-1:] != [] and ours.answers[-1].result == "timeout")
            theirs = run_theirs(worlds[2], cut)
            return _against_wasmtime(program, ours, theirs, job.known)
        return ""
    finally:
        for world in worlds:
            world.remove()


def _own_faults(run: Run) -> str:
    faults = run.faults + run.leaks() + run.world.changes()
    return _described(faults[0], run.answers) if faults else ""


def _attributed(program: Program, wrong: str) -> str:
    """What differs between the kernel and the walk is told apart from what differs with the outside."""
    world = World(program, program.outside)
    try:
        again = World(program, program.outside)
        try:
            wrong2 = _first_difference(run_ours(world, program.by_kernel), run_ours(again, not program.by_kernel))
        finally:
            again.remove()
    finally:
        world.remove()
    ways = ("kernel", "walk") if program.by_kernel else ("walk", "kernel")
    if wrong2:
        return f"{' and '.join(ways)} differ: {wrong2}"
    return f"depends on what is outside ({ways[1]}, or either): {wrong}"


def _first_difference(left: Run, right: Run) -> str:
    for index, (a, b) in enumerate(zip(left.answers, right.answers, strict=False)):
        if "timeout" in (a.result, b.result) and a.result != b.result:
            return ""  # one of them was slow
        if a.result != b.result:
            return _described(f"{a.call.name}: {a.result} and {b.result}", left.answers[: index + 1])
        if a.memory != b.memory:
            return _described(f"{a.call.name}: {a.result}, memory", left.answers[: index + 1], _bytes(a, b))
    return _different_ends(left, right)


def _different_ends(left: Run, right: Run) -> str:
    if left.output != right.output:
        return _described(f"output: {left.output} and {right.output}", left.answers)
    one, other = left.world.tree(), right.world.tree()
    for path in sorted({*one, *other}):
        if one.get(path) != other.get(path):
            return _described(f"tree: {path}\n    {one.get(path)}\n    {other.get(path)}", left.answers)
    return ""


def _against_wasmtime(program: Program, ours: Run, theirs: Run, allow: bool) -> str:
    for index, (a, b) in enumerate(zip(ours.answers, theirs.answers, strict=False)):
        if a.result == b.result and a.memory == b.memory:
            continue
        if allow and known(program, a, b):
            if "success" in (a.result, b.result) or a.memory != b.memory:
                return ""  # from here on they are in different states
            continue
        if a.result != b.result:
            detail = f"  ours: {a.detail}\n  theirs: {b.detail}"
            return _described(f"{a.call.name}: {a.result}, wasmtime {b.result}", ours.answers[: index + 1], detail)
        return _described(
            f"{a.call.name}: {a.result}, memory unlike wasmtime's", ours.answers[: index + 1], _bytes(a, b)
        )
    if len(theirs.answers) == len(ours.answers) and (wrong := _different_ends(ours, theirs)):
        return f"unlike wasmtime: {wrong}"
    return ""


def _bytes(a: Answer, b: Answer) -> str:
    at = next(i for i in range(len(a.memory)) if a.memory[i] != b.memory[i]) & ~7
    return f"  at {at:#x}: {a.memory[at : at + 64].hex(' ', 8)}\n  and     {b.memory[at : at + 64].hex(' ', 8)}"


def _described(what: str, answers: list[Answer], detail: str = "") -> str:
    steps = [f"    {_call_text(answer.call)} -> {answer.result}" for answer in answers]
    return "\n".join([what, *steps, *([detail] if detail else [])])


def _call_text(call: Call) -> str:
    """A call with its paths in place of their addresses."""
    written = dict(call.writes)
    args, numbers = [], iter(call.args)
    for arg in numbers:
        assert isinstance(arg, int)
        data = written.get(arg)
        if data is not None and arg in wasi_programs.PATHS:
            next(numbers)
            args.append(repr(data if len(data) < 60 else data[:20] + b"... %d" % len(data)))
        else:
            args.append(str(arg) if arg < 1000 else hex(arg))
    return f"{call.name}({', '.join(args)})"


_swapper: subprocess.Popen[bytes] | None = None


def _check_race(program: Program) -> str:
    """Run a program again and again while the swapper moves files about in its tree."""
    global _swapper
    if _swapper is None:
        command = [sys.executable, "-S", wasi_swapper.__file__]
        _swapper = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert _swapper.stdin is not None and _swapper.stdout is not None
    world = World(program, program.outside)
    try:
        _swapper.stdin.write(f"start {world.base}/in/p/race\n".encode())
        _swapper.stdin.flush()
        try:
            run = run_ours(world, program.by_kernel, ROUNDS)
        finally:
            _swapper.stdin.write(b"stop\n")
            _swapper.stdin.flush()
            _swapper.stdout.readline()
        wrong = _own_faults(run)
        return f"in a race: {wrong}" if wrong else ""
    finally:
        world.remove()


class _Shrinking:
    """Makes smaller and smaller programs that still fail: without half of the calls, a quarter, single ones, then so with the files."""

    def __init__(self, program: Program, report: str) -> None:
        self.program = program
        self.report = report
        self._first = report.partition("\n")[0]
        self._accepted = False

    def run(self) -> None:
        trials = run_isolated(check, self._candidates(), 1, SECONDS)
        for _, (job, report, failure) in zip(range(TRIALS), trials, strict=False):
            found = failure or report
            self._accepted = found.partition("\n")[0] == self._first
            if self._accepted:
                self.program, self.report = job.program(), found

    def _candidates(self) -> Iterator[Job]:
        for field in ("calls", "inside", "outside", "other"):
            size = max(1, len(getattr(self.program, field)) // 2)
            while size:
                at = 0
                while at < len(getattr(self.program, field)):
                    items = getattr(self.program, field)
                    candidate = self.program._replace(**{field: items[:at] + items[at + size :]})
                    yield Job(0, given=candidate)
                    if not self._accepted:
                        at += size
                size //= 2


def source(program: Program, report: str) -> str:
    """A program as a Python file that this script takes."""
    lines = [f"# {line}".rstrip() for line in report.splitlines()]
    opened = "Opened, " if "Opened(" in repr(program.calls) else ""
    lines += [f"from wasi_programs import Call, Entry, {opened}Preopen, Program", "", "PROGRAM = Program("]
    for field, value in zip(Program._fields, program, strict=True):
        if isinstance(value, list):
            lines += [f"    {field}=[", *[f"        {_literal(item)}," for item in value], "    ],"]
        else:
            lines.append(f"    {field}={value!r},")
    return "\n".join([*lines, ")", ""])


def _literal(item: Entry | Preopen | Call) -> str:
    """Without the defaults at the end."""
    values = list(item)
    defaults = [type(item)._field_defaults.get(field, ...) for field in item._fields]
    while values and values[-1] == defaults[len(values) - 1]:
        values.pop()
    return f"{type(item).__name__}({', '.join(map(repr, values))})"


def _jobs(options: argparse.Namespace) -> Iterator[Job]:
    race = True if options.race else None
    number = options.seed
    until = time.monotonic() + 60 * options.minutes if options.minutes else float("inf")
    while time.monotonic() < until and (options.minutes or number < options.seed + options.count):
        yield Job(number, race, None, not options.strict)
        number += 1


def _given(files: Iterable[Path]) -> Iterator[Job]:
    for file in files:
        program: Any = runpy.run_path(str(file))["PROGRAM"]
        yield Job(0, given=program)


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzzer of WASI.")
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1, help="seed of the first program; the others follow")
    parser.add_argument("--minutes", type=float, default=0.0, help="run for so long instead")
    parser.add_argument("--race", action="store_true", help="only races")
    parser.add_argument("--strict", action="store_true", help="known differences to wasmtime count, too")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--no-shrink", action="store_true")
    parser.add_argument("--keep", type=Path, default=Path("found"))
    options = parser.parse_args()
    start = time.monotonic()
    seen: Counter[str] = Counter()
    checked = 0
    for job, report, failure in run_isolated(
        check, _given(options.files) if options.files else _jobs(options), options.workers, SECONDS
    ):
        checked += 1
        wrong = failure or report
        if not wrong:
            continue
        first = wrong.partition("\n")[0]
        seen[first] += 1
        if seen[first] > 1:
            continue
        print(f"seed {job.seed}: {wrong}\n", flush=True)
        program = job.program()
        if not options.no_shrink and not options.files:
            shrinking = _Shrinking(program, wrong)
            shrinking.run()
            program, wrong = shrinking.program, shrinking.report
            options.keep.mkdir(exist_ok=True)
            file = options.keep / f"wasi-{job.seed}.py"
            file.write_text(source(program, wrong))
            print(f"cut down, in {file}: {wrong}\n", flush=True)
    for first, number in seen.most_common():
        print(f"{number:6} {first}")
    print(f"{checked} programs, {seen.total()} failed, {time.monotonic() - start:.0f} s")
    return 1 if seen else 0


if __name__ == "__main__":
    sys.exit(main())
