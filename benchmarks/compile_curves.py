"""Compile cost against size: microseconds an operator for functions of 100 to 50,000 operators, and for modules of 10 to
10,000 functions of 100 operators.

    python benchmarks/compile_curves.py [--also PYTHON] [--rounds N] [--json REPORT] FILE      FILE ends in .svg or .png

Beside the Brolga of this environment and wasmtime, that of another one: `--also .venv-compiled/bin/python`, whose Brolga is
compiled by mypyc (`make install`). Each point is measured in a process of its own, all of them in turn, round by round;
figures are CPU time on one thread, the least of the rounds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent))

import compile_cost
import matplotlib
import synthetic

matplotlib.use("Agg")
matplotlib.rcParams["svg.hashsalt"] = "brolga"  # names in the file do not depend on chance

from matplotlib import pyplot

from brolga.jit.code import COMPILED

SIZES: Final = (100, 300, 1_000, 3_000, 10_000, 20_000, 50_000)  # operators a function
TOTAL: Final = 50_000  # operators in each of these modules
COUNTS: Final = (10, 30, 100, 300, 1_000, 3_000, 10_000)  # functions a module
EACH: Final = 100  # operators in each of these functions

WASMTIME: Final = "wasmtime"
# Label, colour and mark by what is measured.
STYLES: Final = {
    "interpreted": ("Brolga in CPython", "#3b6ea8", "o"),
    "compiled": ("Brolga compiled by mypyc", "#1f3d5c", "s"),
    WASMTIME: ("wasmtime", "#c2571a", "^"),
}

Curves = dict[str, dict[str, dict[int, float]]]  # by axis, what is measured, place on the axis


def point(file: Path) -> tuple[str, float]:
    """The build that runs here, and microseconds an operator for the module."""
    compile_cost.best([synthetic.module(1_000, 1)], compile_cost.LARGE, 1)  # what is made once does not count
    cost = compile_cost.best([file.read_bytes()], 1 << 40, 1)
    return "compiled" if COMPILED else "interpreted", cost.total


def measure(pythons: list[str], modules: dict[str, dict[int, Path]], rounds: int) -> Curves:
    curves: Curves = {axis: {} for axis in modules}
    for _ in range(rounds):
        for axis, files in modules.items():
            for place, file in files.items():
                found: list[tuple[str, float]] = []
                for python in pythons:
                    done = subprocess.run([python, __file__, "--point", str(file)], check=True, stdout=subprocess.PIPE)
                    found.append(tuple(json.loads(done.stdout)))
                data = file.read_bytes()
                operators = compile_cost.count_all_operators(data)
                found.append((WASMTIME, compile_cost.measure_wasmtime([data]) / operators))
                for name, value in found:
                    least = curves[axis].setdefault(name, {})
                    least[place] = min(value, least.get(place, value))
    return curves


def draw(curves: Curves, file: Path) -> None:
    figure, both = pyplot.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    for axes, (axis, lines) in zip(both, curves.items(), strict=True):
        for name, (label, colour, mark) in STYLES.items():
            if name in lines:
                axes.plot(
                    list(lines[name]), list(lines[name].values()), marker=mark, color=colour, label=label, markersize=4
                )
        axes.set_xscale("log")
        axes.set_xlabel(axis)
        axes.grid(axis="y", linewidth=0.4)
    both[0].set_ylim(bottom=0)
    both[0].set_ylabel("microseconds an operator")
    both[0].legend(fontsize=8)
    figure.savefig(file, dpi=150, metadata={"Date": None} if file.suffix == ".svg" else None)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compile cost against size.")
    parser.add_argument("file", type=Path, nargs="?", metavar="FILE")
    parser.add_argument("--also", metavar="PYTHON", help="an environment with another Brolga")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--points", type=int, default=len(SIZES), help="of each curve, from the left")
    parser.add_argument("--json", type=Path, metavar="REPORT")
    parser.add_argument("--point", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.point:
        print(json.dumps(point(options.point)))
        return
    if options.file is None:
        parser.error("where to?")
    with tempfile.TemporaryDirectory() as directory:
        modules: dict[str, dict[int, Path]] = {"operators in each function": {}, "functions in the module": {}}
        for number, (axis, places) in enumerate(zip(modules, (SIZES, COUNTS), strict=True)):
            for place in places[: options.points]:
                file = modules[axis][place] = Path(directory) / f"{number}-{place}.wasm"
                size, functions = (place, max(1, TOTAL // place)) if number == 0 else (EACH, place)
                file.write_bytes(synthetic.module(size, functions))
        curves = measure([sys.executable, *([options.also] if options.also else [])], modules, options.rounds)
    for axis, lines in curves.items():
        print(axis)
        for name, line in lines.items():
            print(f"  {name:12}", "  ".join(f"{place:,}: {value:.1f}" for place, value in line.items()))
    if options.json:
        options.json.write_text(json.dumps(curves, indent=2) + "\n")
    draw(curves, options.file)


if __name__ == "__main__":
    main()
