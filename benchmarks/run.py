"""Run time of generated code: Brolga, wasmtime (Cranelift), Node (TurboFan), native C, and, if asked for, ppci.

    python benchmarks/run.py [--rounds N] [--engines LIST] [--json FILE] [--plot FILE] [KERNELS...]

Each kernel's wasm runs on the engines, its C source compiled natively with and without vectorising. Each engine is a process of
its own (see peer.py); what is not installed is left out. After one call for the checksum, which must be the same everywhere,
rounds go over all engines in turn, so that a disturbance of the machine hits all of them. Figures are medians of the processor
time of single calls, +- half the distance of the quartiles; ratios, below 1 if the first is faster, have 95 % intervals by the
bootstrap over the rounds (see sampling.py). The last row is the geometric mean.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any, Final, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent))

from build import build_native
from kernels import BY_NAME, KERNELS, Kernel
from peer import ENGINES, OPTIONAL, Peer, PeerError, absence
from rich.console import Console
from rich.table import Table
from sampling import Ratio, geometric_mean, mean_ratio, ratio, spread

REFERENCES: Final = ("wasmtime", "turbofan")  # whom Brolga is compared with
ALLOWED: Final = 1.15  # of a reference's time: a kernel surely above it is shown in red


class Measured(NamedTuple):
    """Of one kernel: seconds of each round, of the compilation, and bytes of code, by engine."""

    samples: dict[str, list[float]]
    compile_seconds: dict[str, float]
    code_bytes: dict[str, int | None]


def load(kernel: Kernel, peer: Peer, directory: Path) -> dict[str, Any]:
    if peer.engine.startswith("native"):
        return peer.ask("load", file=str(build_native(kernel, directory, vectorise=peer.engine == "native")))
    return peer.ask("load", file=str(kernel.wasm))


def prepare(kernel: Kernel, peers: dict[str, Peer], directory: Path, notes: list[str]) -> Measured:
    """Have the peers compile the kernel, and compare checksums. What an optional peer cannot do is noted and left out."""
    measured = Measured({}, {}, {})
    checksums: dict[str, int] = {}
    for engine, peer in peers.items():
        try:
            loaded = load(kernel, peer, directory)
            checksum: int = peer.ask("call", n=kernel.n)["result"]
        except PeerError as error:
            if engine not in OPTIONAL:
                raise
            notes.append(f"{kernel.name}: {error}")
            peer.close()
            peers[engine] = Peer(engine)
            continue
        if engine in OPTIONAL and checksum not in checksums.values():
            notes.append(f"{kernel.name}: {engine} computes another checksum")
            continue
        checksums[engine] = checksum
        measured.samples[engine] = []
        measured.compile_seconds[engine] = loaded["seconds"]
        measured.code_bytes[engine] = loaded["bytes"]
    if len(set(checksums.values())) != 1:
        sys.exit(f"{kernel.name}: checksums differ: {checksums}")
    return measured


def measure(kernels: list[Kernel], engines: list[str], rounds: int, notes: list[str]) -> dict[str, Measured]:
    results: dict[str, Measured] = {}
    peers = {engine: Peer(engine) for engine in engines}
    try:
        with tempfile.TemporaryDirectory() as directory:
            for kernel in kernels:
                found = results[kernel.name] = prepare(kernel, peers, Path(directory), notes)
                for _ in range(rounds):
                    for engine, sample in found.samples.items():
                        sample.append(peers[engine].ask("call", n=kernel.n)["seconds"])
    finally:
        for peer in peers.values():
            peer.close()
    return results


def comparisons(engines: list[str]) -> list[tuple[str, str]]:
    """The ratios to show: Brolga to each reference with intervals first, then the others to the first reference."""
    references = [engine for engine in REFERENCES if engine in engines]
    found: list[tuple[str, str]] = [("brolga", reference) for reference in references] if "brolga" in engines else []
    if references:
        found += [(engine, references[0]) for engine in engines if engine not in ("brolga", references[0])]
    return found


def ratios(results: dict[str, Measured], pair: tuple[str, str]) -> dict[str, Ratio]:
    """By kernel that both engines ran."""
    engine, reference = pair
    return {
        name: ratio(found.samples[engine], found.samples[reference])
        for name, found in results.items()
        if engine in found.samples and reference in found.samples
    }


def mean(results: dict[str, Measured], pair: tuple[str, str]) -> Ratio:
    engine, reference = pair
    every = [found.samples for found in results.values() if engine in found.samples and reference in found.samples]
    return mean_ratio([(samples[engine], samples[reference]) for samples in every])


def cell(value: Ratio, pair: tuple[str, str]) -> str:
    if pair[0] != "brolga":
        return f"{value.value:.2f}"
    return f"[red]{value}[/red]" if value.low > ALLOWED else str(value)


def print_run_times(results: dict[str, Measured], engines: list[str], console: Console) -> None:
    pairs = comparisons(engines)
    by_pair = {pair: ratios(results, pair) for pair in pairs}
    table = Table(title="run time")
    table.add_column("kernel")
    for engine in engines[:2]:
        table.add_column(f"{engine} ms", justify="right")
    for engine, reference in pairs:
        table.add_column(f"{engine} / {reference}", justify="right", style="bold" if engine == "brolga" else "")
    for name, found in results.items():
        samples = [found.samples[engine] for engine in engines[:2]]
        cells = [f"{statistics.median(sample) * 1e3:.1f} +-{spread(sample):.0%}" for sample in samples]
        cells += [cell(by_pair[pair][name], pair) if name in by_pair[pair] else "-" for pair in pairs]
        table.add_row(name, *cells)
    table.add_section()
    means = [cell(mean(results, pair), pair) if by_pair[pair] else "-" for pair in pairs]
    table.add_row("geometric mean", *[""] * len(engines[:2]), *means)
    console.print(table)
    for pair in pairs:
        if pair[0] == "brolga":
            worst = sorted(by_pair[pair].items(), key=lambda item: -item[1].value)[:5]
            console.print(f"slowest against {pair[1]}: {', '.join(f'{name} {value}' for name, value in worst)}")


def print_compilation(results: dict[str, Measured], engines: list[str], console: Console) -> None:
    compilers = [engine for engine in engines if not engine.startswith("native")]
    sizes = [engine for engine in compilers if any(found.code_bytes.get(engine) for found in results.values())]
    table = Table(title="compilation of the whole module on one core")
    table.add_column("kernel")
    for heading in [f"{engine} ms" for engine in compilers] + [f"{engine} bytes" for engine in sizes]:
        table.add_column(heading, justify="right")
    for name, found in results.items():
        times = [found.compile_seconds.get(engine) for engine in compilers]
        cells = [f"{seconds * 1e3:.1f}" if seconds is not None else "-" for seconds in times]
        table.add_row(name, *cells, *[f"{found.code_bytes.get(engine, '-')}" for engine in sizes])
    console.print(table)


def report(results: dict[str, Measured], engines: list[str], rounds: int, notes: list[str]) -> dict[str, Any]:
    """All that was measured, for --json and for plot.py. Ratios are lists of value, low and high."""
    pairs = comparisons(engines)
    seconds = {
        name: {engine: statistics.median(sample) for engine, sample in found.samples.items()} for name, found in results.items()
    }
    first = REFERENCES[0]
    together = [engine for engine in engines if first in engines and all(engine in row for row in seconds.values())]
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "rounds": rounds,
        "seconds": seconds,
        "spread": {name: {e: spread(sample) for e, sample in found.samples.items()} for name, found in results.items()},
        "samples": {name: found.samples for name, found in results.items()},
        "compile_seconds": {name: found.compile_seconds for name, found in results.items()},
        "code_bytes": {name: found.code_bytes for name, found in results.items()},
        "ratios": {"/".join(pair): ratios(results, pair) for pair in pairs},
        "mean_ratios": {"/".join(pair): mean(results, pair) for pair in pairs if ratios(results, pair)},
        "geometric_mean_ratio": {
            engine: geometric_mean([row[engine] / row[first] for row in seconds.values()]) for engine in together
        },
        "notes": notes,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Run time of generated code.")
    parser.add_argument("kernels", nargs="*", metavar="KERNEL", help=f"default: all of {', '.join(BY_NAME)}")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--engines", help=f"comma-separated, of {', '.join(ENGINES)}; default: all but {', '.join(OPTIONAL)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was measured to FILE too")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the ratios into FILE (.svg or .png); needs matplotlib")
    options = parser.parse_intermixed_args()
    wanted = options.engines.split(",") if options.engines else [name for name in ENGINES if name not in OPTIONAL]
    for name, known in [(name, BY_NAME) for name in options.kernels] + [(name, ENGINES) for name in wanted]:
        if name not in known:
            parser.error(f"{name} is none of {', '.join(known)}")
    engines = [engine for engine in ENGINES if engine in wanted and not absence(engine)]
    notes = [f"{engine} is left out: {absence(engine)}" for engine in wanted if absence(engine)]
    results = measure([BY_NAME[name] for name in options.kernels] or list(KERNELS), engines, options.rounds, notes)
    console = Console(width=None if sys.stdout.isatty() else 180)
    print_run_times(results, engines, console)
    print_compilation(results, engines, console)
    for note in notes:
        console.print(note, markup=False)
    found = report(results, engines, options.rounds, notes)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    if options.plot:
        from plot import draw

        draw(found, options.plot)


if __name__ == "__main__":
    main()
