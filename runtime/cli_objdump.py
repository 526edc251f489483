"""`brolga objdump`: wasm operators, IR and machine code of functions, side by side.

A row for each wasm operator, in the order of the body, with the IR instructions and the machine instructions that came of
it; behind a call that was inlined the operators of the other body, with their share of this code. With a profile, each operator's
share of the time stands before it, that in all places together where its body was inlined. Machine instructions stand with the operator in force at
their place, so that moves and spills of the register allocator are where they were put; offsets show the order of the code.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from brolga.ir.errors import WasmtimeError
from brolga.ir.function import Function
from brolga.ir.printer import format_inst
from brolga.ir.source_loc import inlined_loc
from brolga.ir.trap_codes import TRAP_NAMES
from brolga.jit.cache_format import is_image
from brolga.jit.code import RELOC_FUNC, CompiledFunction
from brolga.jit.compile import compile_ir
from brolga.jit.wasm import types as wasm
from brolga.jit.wasm.locals import read_locals
from brolga.jit.wasm.operators import format_operator
from brolga.jit.wasm.translate import translate

from .cli_options import config
from .cli_run import read_source
from .engine import Engine
from .module import Module
from .profile import operator_shares
from .text import naming

_NARROW = 160  # columns where the output is not a terminal
_SHARE = 6  # columns of an operator's share of the time

Listing = dict[int, list[str]]  # lines by location of the wasm operator (ir/source_loc.py)


def objdump(options: argparse.Namespace) -> int:
    """Print the functions of the module, or the one that `--func` names."""
    engine = Engine(config(options))
    source = read_source(options.file)
    if is_image(source):
        raise WasmtimeError(f"{options.file} is compiled code: give the module that it was made of")
    with naming(options.file):
        module = Module(engine, source)
    shares = _shares(options.profile)
    console = Console(width=None if sys.stdout.isatty() else _NARROW, soft_wrap=False)
    for index in _chosen(module.decoded, options.func):
        function = translate(module.decoded, index, module.layout, engine.settings)
        code = compile_ir(function, engine.settings, keep=True)
        console.print(Text(_heading(module.decoded, index, code)))
        table = Table(box=None, pad_edge=False, show_lines=False)
        for title in (f"{'time':>{_SHARE}} wasm" if options.profile else "wasm", "IR", "x86-64"):
            table.add_column(title, no_wrap=True, overflow="ellipsis")
        for place, (operator, *others) in rows(module.decoded, index, function, code):
            if options.profile:
                share = f"{shares[place]:.1%}" if place in shares else ""
                operator = f"{share:>{_SHARE}} {operator}"
            table.add_row(*map(Text, [operator, *others]))
        console.print(table)
        console.print()
    return 0


def _chosen(decoded: wasm.Module, wanted: str | None) -> list[int]:
    defined = range(decoded.imported_funcs, decoded.imported_funcs + len(decoded.bodies))
    if wanted is None:
        return list(defined)
    exported = {export.index for export in decoded.exports if export.kind == wasm.EXTERN_FUNC and export.name == wanted}
    chosen = [
        index
        for index in defined
        if wanted in (decoded.func_name(index), decoded.names.funcs.get(index), str(index)) or index in exported
    ]
    if not chosen:
        raise WasmtimeError(f"no function {wanted}")
    return chosen


def _shares(path: str | None) -> dict[int, float]:
    if path is None:
        return {}
    with open(path, encoding="utf-8") as file:
        return operator_shares(file.read())


def _heading(decoded: wasm.Module, index: int, code: CompiledFunction) -> str:
    body = decoded.bodies[index - decoded.imported_funcs]
    return (
        f"func {index} {decoded.func_name(index)} {decoded.func_type(index)}: "
        f"{body.end - body.start} bytes of wasm, {code.code_size} of code, {len(code.code) - code.code_size} of constants"
    )


def rows(
    decoded: wasm.Module, index: int, function: Function, code: CompiledFunction
) -> Iterator[tuple[int, tuple[str, str, str]]]:
    """Offset of the operator and the cells of each row; -1 for the first one, which holds what belongs to no operator, and those of
    inlined bodies, which have their offset where they are the function's own."""
    ir, machine = _ir_lines(function), _machine_lines(code)
    yield -1, ("", "\n".join(ir.pop(-1, [])), "\n".join(machine.pop(-1, [])))
    yield from _body_rows(decoded, index, 0, "", function, ir, machine)


def _body_rows(
    decoded: wasm.Module, index: int, call: int, margin: str, function: Function, ir: Listing, machine: Listing
) -> Iterator[tuple[int, tuple[str, str, str]]]:
    """The operators of one body: that of `function`, or of one inlined for the call at `call`."""
    body = decoded.bodies[index - decoded.imported_funcs]
    _, _, position = read_locals(decoded, index)
    depth = 0
    while position < body.end:
        place = position
        text, position = format_operator(decoded.data, place)
        word = text.split()[0]
        if word in ("end", "else"):
            depth -= 1
        indent = margin + "  " * max(depth, 0)
        if word in ("block", "loop", "if", "else"):
            depth += 1
        key = inlined_loc(call, place)
        cells = f"{place:6x}  {indent}{text}", "\n".join(ir.get(key, [])), "\n".join(machine.get(key, []))
        yield (-1 if call else place), cells
        if not call and place in function.inlined:
            yield from _body_rows(decoded, function.inlined[place], place, indent + "| ", function, ir, machine)


def _ir_lines(function: Function) -> Listing:
    lines: Listing = {}
    for number in function.layout:
        block = function.blocks[number]
        params = ", ".join(f"v{value}" for value in block.params)
        label = f"block{number}({params}):" if params else f"block{number}:"
        for inst in block.insts:
            cell = lines.setdefault(inst.loc, [])
            if label:
                cell.append(label)
                label = ""
            cell.append("  " + format_inst(function, inst))
    return lines


def _machine_lines(code: CompiledFunction) -> Listing:
    capstone = importlib.import_module("capstone")
    engine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    traps = dict(zip(code.trap_offsets, code.trap_codes, strict=True))
    sources = dict(zip(code.source_offsets, code.source_locs, strict=True))
    calls = dict(zip(code.inline_offsets, code.inline_calls, strict=True))
    callees = {relocation.offset: relocation.target for relocation in code.relocations if relocation.kind == RELOC_FUNC}
    lines: Listing = {}
    place = call = -1
    for inst in engine.disasm(code.code[: code.code_size], 0):
        place = sources.get(inst.address, place)
        call = calls.get(inst.address, call)
        note = f"  ; {TRAP_NAMES[traps[inst.address]]}" if inst.address in traps else ""
        for offset in range(inst.address, inst.address + inst.size):
            if offset in callees:
                note += f"  ; func {callees[offset]}"
        lines.setdefault(place if call < 0 else inlined_loc(call, place), []).append(
            f"{inst.address:5x}  {inst.mnemonic} {inst.op_str}{note}".rstrip()
        )
    return lines
