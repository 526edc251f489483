"""What a change did: run time, compile cost and code size of two versions of Brolga, in one run.

    python benchmarks/compare.py BASE [--rounds N] [--json FILE] [KERNELS...]

BASE is any name that git has for a commit; its sources are unpacked into a temporary directory, and the other version is the
working tree. Each is a process of its own, both from sources, whatever is installed. Rounds alternate: in each, both compile the
kernel's module and call its function. Ratios are those of the working tree to BASE, below 1 if the change made something
faster or smaller, with 95 % intervals by the bootstrap over the rounds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent))

from kernels import BY_NAME, KERNELS, Kernel
from peer import Peer
from rich.console import Console
from rich.table import Table
from sampling import Ratio, geometric_mean, mean_ratio, ratio

ROOT: Final = Path(__file__).resolve().parent.parent


class Compared(NamedTuple):
    """Of one kernel: seconds of each round and bytes of code; first of the working tree, then of the base."""

    run: tuple[list[float], list[float]]
    compile: tuple[list[float], list[float]]
    bytes: tuple[int, int]

    def row(self) -> tuple[Ratio, Ratio, float]:
        """Ratios of run time, compile cost and code size."""
        return ratio(*self.run), ratio(*self.compile), self.bytes[0] / self.bytes[1]


def unpack(base: str, directory: Path) -> None:
    """The sources of the commit, without changing the repository."""
    archive = directory / "base.tar"
    subprocess.run(["git", "archive", "-o", str(archive), base, "--"], cwd=ROOT, check=True)
    with tarfile.open(archive) as sources:
        sources.extractall(directory, filter="tar")


def compare(kernel: Kernel, peers: list[Peer], rounds: int) -> Compared:
    compiling: list[list[float]] = [[], []]
    running: list[list[float]] = [[], []]
    sizes = [0, 0]
    checksums = set()
    for _ in range(rounds):
        for which, peer in enumerate(peers):
            loaded = peer.ask("load", file=str(kernel.wasm))
            compiling[which].append(loaded["seconds"])
            sizes[which] = loaded["bytes"]
            peer.ask("call", n=1)  # instantiates
            called = peer.ask("call", n=kernel.n)
            running[which].append(called["seconds"])
            checksums.add(called["result"])
    if len(checksums) != 1:
        sys.exit(f"{kernel.name}: checksums differ")
    return Compared((running[0], running[1]), (compiling[0], compiling[1]), (sizes[0], sizes[1]))


def print_table(found: dict[str, Compared], base: str) -> None:
    table = Table(title=f"working tree / {base}")
    for heading in ("kernel", "ms", "run time", "compile ms", "compile cost", "bytes", "code size"):
        table.add_column(heading, justify="left" if heading == "kernel" else "right")
    for name, kernel in found.items():
        run, compile, size = kernel.row()
        style = "red" if run.low > 1.02 else "green" if run.high < 0.98 else ""
        table.add_row(
            name,
            f"{1e3 * sorted(kernel.run[0])[len(kernel.run[0]) // 2]:.1f}",
            str(run),
            f"{1e3 * sorted(kernel.compile[0])[len(kernel.compile[0]) // 2]:.1f}",
            str(compile),
            str(kernel.bytes[0]),
            f"{size:.3f}",
            style=style,
        )
    table.add_section()
    run, compile = mean_ratio([each.run for each in found.values()]), mean_ratio([each.compile for each in found.values()])
    size = geometric_mean([each.bytes[0] / each.bytes[1] for each in found.values()])
    table.add_row("geometric mean", "", str(run), "", str(compile), "", f"{size:.3f}")
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description="What a change did.")
    parser.add_argument("base", help="a commit")
    parser.add_argument("kernels", nargs="*", metavar="KERNEL", help=f"default: all of {', '.join(BY_NAME)}")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_intermixed_args()
    for name in options.kernels:
        if name not in BY_NAME:
            parser.error(f"{name} is none of {', '.join(BY_NAME)}")
    kernels = [BY_NAME[name] for name in options.kernels] or list(KERNELS)
    with tempfile.TemporaryDirectory() as directory:
        unpack(options.base, Path(directory))
        peers = [Peer("brolga", {"PYTHONPATH": str(root / "src")}) for root in (ROOT, Path(directory))]
        try:
            found = {kernel.name: compare(kernel, peers, options.rounds) for kernel in kernels}
        finally:
            for peer in peers:
                peer.close()
    print_table(found, options.base)
    if options.json:
        report = {name: {**kernel._asdict(), "ratios": kernel.row()} for name, kernel in found.items()}
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
