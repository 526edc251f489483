"""A picture of what run.py measured: each kernel's run time relative to wasmtime's.

    python benchmarks/plot.py REPORT.json FILE      FILE ends in .svg or .png
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

import matplotlib

matplotlib.use("Agg")
matplotlib.rcParams["svg.hashsalt"] = "brolga"  # names in the file do not depend on chance

from matplotlib import pyplot

OURS: Final = "brolga/wasmtime"
# Ratio, label, colour and mark of the others.
OTHERS: Final = (
    ("turbofan/wasmtime", "TurboFan", "#c2571a", "o"),
    ("native-novec/wasmtime", "native, not vectorised", "#2b7a3d", "^"),
)


def draw(report: dict[str, Any], file: Path) -> None:
    """Kernels are in the order of Brolga's ratio; bars have the 95 % interval; the mean is in the last row."""
    ours = report["ratios"][OURS]
    mean = report["mean_ratios"][OURS]
    names = sorted(ours, key=lambda name: -ours[name][0])
    rows = [(name, ours[name]) for name in names] + [("geometric mean", mean)]
    places = range(len(rows))
    values = [row[0] for _, row in rows]
    errors = [[row[0] - row[1] for _, row in rows], [row[2] - row[0] for _, row in rows]]
    figure, axes = pyplot.subplots(figsize=(8, 0.24 * len(rows) + 1.4), layout="constrained")
    colours = ["#3b6ea8"] * len(names) + ["#1f3d5c"]
    axes.barh(places, values, xerr=errors, color=colours, height=0.7, label="Brolga", error_kw={"lw": 0.8, "ecolor": "#444444"})
    largest = max([1.5, *[row[2] for _, row in rows]])
    for pair, label, colour, mark in OTHERS:
        if pair in report["ratios"]:
            found = {name: value[0] for name, value in report["ratios"][pair].items()}
            found["geometric mean"] = report["mean_ratios"][pair][0]
            points = [(found[name], place) for place, (name, _) in enumerate(rows) if name in found]
            axes.plot([x for x, _ in points], [y for _, y in points], mark, color=colour, label=label, markersize=4)
            largest = max(largest, *found.values())
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(places, [name for name, _ in rows], fontsize=8)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlim(0, 1.03 * largest)
    axes.set_xlabel("run time relative to wasmtime (less is faster)")
    figure.legend(fontsize=8, loc="outside lower center", ncols=3)
    figure.savefig(file, dpi=150, metadata={"Date": None} if file.suffix == ".svg" else None)
    pyplot.close(figure)


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))


if __name__ == "__main__":
    main()
