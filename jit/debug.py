"""Environment knobs and stage dumps of the compiler.

BROLGA_DUMP=STAGE,...     print stages: wasm, ir, the names of passes, vcode, regalloc, asm; or all
BROLGA_DUMP_FUNC=NAME     only of functions with this name or index
BROLGA_DUMP_DIR=DIR       one file per function and stage in DIR, in place of standard error; index.html has them side by side
BROLGA_VERIFY=1           verify the IR after translation and after every pass; prove each register allocation
BROLGA_TIME=1             print the time by phase when the process ends
BROLGA_OPT=0|1|2          override the optimisation level
"""

from __future__ import annotations

import atexit
import html
import importlib
import os
import re
import sys
from pathlib import Path
from typing import Final, final

from brolga.ir.function import Function
from brolga.ir.opcodes import OPCODE_NAMES
from brolga.ir.printer import print_function
from brolga.ir.trap_codes import TRAP_NAMES

from .code import CompiledFunction
from .phases import TIMES


@final
class Knobs:
    """What the environment asks for. Read once, at import; tests make their own."""

    __slots__ = ("dump", "dump_func", "dump_dir", "verify", "time", "opt_level")

    def __init__(self, environment: dict[str, str]) -> None:
        self.dump = frozenset(word for word in environment.get("BROLGA_DUMP", "").split(",") if word)
        self.dump_func = environment.get("BROLGA_DUMP_FUNC", "")
        self.dump_dir = environment.get("BROLGA_DUMP_DIR", "")
        self.verify = environment.get("BROLGA_VERIFY", "") not in ("", "0")
        self.time = environment.get("BROLGA_TIME", "") not in ("", "0")
        level = environment.get("BROLGA_OPT", "")
        if level not in ("", "0", "1", "2"):
            raise ValueError(f"BROLGA_OPT must be 0, 1 or 2, not {level!r}")
        self.opt_level = int(level) if level else -1

    def dumps(self, stage: str, function: Function) -> bool:
        """Whether `stage` of `function` is to be dumped."""
        if not self.dump or (stage not in self.dump and "all" not in self.dump):
            return False
        return not self.dump_func or self.dump_func in (function.name, str(function.index))


KNOBS: Final = Knobs(dict(os.environ))
_LONGEST_NAME: Final = 80  # characters of a function's name that a file's name has
_DUMP_NAME: Final = re.compile(r"[0-9]+\.\w*\.[0-9]{2,}\.\w+\.txt")


def _report_times() -> None:
    print(TIMES.report(), file=sys.stderr)


if KNOBS.time:
    atexit.register(_report_times)


def dump(knobs: Knobs, stage: str, function: Function, text: str) -> None:
    """Write the text of a stage to standard error or to a file in the dump directory."""
    if not knobs.dump_dir:
        sys.stderr.write(f"; {stage} of {function.name}\n{text}\n")
        return
    directory = Path(knobs.dump_dir)
    directory.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"\W+", "_", function.name)[:_LONGEST_NAME]
    stages = sorted(directory.glob(f"{function.index}.{name}.*.txt"))
    (directory / f"{function.index}.{name}.{len(stages):02}.{stage}.txt").write_text(text)
    _write_index(directory)


def _write_index(directory: Path) -> None:
    """index.html: a row for each function, its stages side by side."""
    rows: dict[str, list[str]] = {}
    paths = [path for path in directory.glob("*.txt") if _DUMP_NAME.fullmatch(path.name)]  # others may be there, too
    for path in sorted(paths, key=_file_order):
        function, stage = path.name.rsplit(".", 3)[0], path.name.rsplit(".", 3)[2]
        cell = f"<td><h3>{html.escape(stage)}</h3><pre>{html.escape(path.read_text())}</pre></td>"
        rows.setdefault(function, []).append(cell)
    body = "".join(
        f"<h2>{html.escape(name)}</h2><table><tr>{''.join(cells)}</tr></table>" for name, cells in rows.items()
    )
    style = "<style>td{vertical-align:top;padding-right:2em}pre{font-size:12px}</style>"
    (directory / "index.html").write_text(f"<!doctype html><meta charset=utf-8>{style}{body}")


def _file_order(path: Path) -> tuple[int, str]:
    return int(path.name.split(".", 1)[0]), path.name


def describe_ir(function: Function) -> str:
    """The IR with the wasm offsets of its instructions."""
    return print_function(function, locs=True)


def count_opcodes(function: Function) -> dict[str, int]:
    """How often each IR opcode occurs."""
    counts: dict[str, int] = {}
    for number in function.layout:
        for inst in function.blocks[number].insts:
            name = OPCODE_NAMES[inst.op]
            counts[name] = counts.get(name, 0) + 1
    return counts


def disassemble(code: CompiledFunction, address: int = 0) -> str:
    """Intel syntax, a line an instruction: offset, bytes, text; trap codes are noted where an instruction may trap."""
    capstone = importlib.import_module("capstone")  # a rare need, and slow to import
    traps = dict(zip(code.trap_offsets, code.trap_codes, strict=True))
    engine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    lines: list[str] = []
    for inst in engine.disasm(code.code[: code.code_size], address):
        offset = inst.address - address
        note = f"  ; trap: {TRAP_NAMES[traps[offset]]}" if offset in traps else ""
        lines.append(f"{offset:6x}  {inst.bytes.hex():24} {inst.mnemonic} {inst.op_str}{note}".rstrip())
    return "\n".join(lines) + "\n"
