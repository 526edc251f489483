"""Golden tests: the files in tests/filetests.

The first line of a file names the kind of test: `; test opt`. A kind is a function from the text of a case to the
expected output, in the table KINDS. In a file of IR each function is a case; its expected output is the block of
comment lines right behind its closing brace. Elsewhere the whole file is one case, and the output is the block of
comment lines (`;` or `;;`) at its end, behind an empty line.

`; test transformation NAME STAGE` are cases of transformation_cases.py.

BROLGA_BLESS=1 rewrites the expected output instead of comparing.
"""

from __future__ import annotations

import itertools
import os
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from brolga.ir.errors import ParseError, VerifierError
from brolga.ir.floats import from_float
from brolga.ir.function import Function
from brolga.ir.parser import parse_function
from brolga.ir.printer import print_function
from brolga.ir.rebuild import rebuild
from brolga.ir.trap_codes import TRAP_NAMES
from brolga.ir.types import F32, F64, IS_FLOAT, TYPE_MASK
from brolga.ir.verifier import verify
from brolga.jit.settings import Settings
from brolga.jit.transformations import TRANSFORMATIONS
from brolga.jit.vmctx import ContextLayout
from brolga.jit.wasm.decode import decode
from brolga.jit.wasm.translate import translate
from brolga.jit.wasm.validate import validate
from brolga.jit.x64.lower import lower
from brolga.jit.x64.printer import print_vcode
from brolga.runtime.text import wat2wasm

from . import transformation_cases
from .ir.functions import EDGES, clean_up, outcome, result_or_trap
from .jit.native import ALL_FEATURES, settings_for

ROOT: Final = Path(__file__).resolve().parent / "filetests"
BLESS: Final = os.environ.get("BROLGA_BLESS") == "1"


# Kinds. Each takes the text of the case and the output expected so far, and returns the output.


def run_parser(text: str, expected: list[str]) -> list[str]:
    """What is printed after parsing, which must be a fixed point; or the error."""
    try:
        printed = print_function(parse_function(text), locs=True)
    except ParseError as error:
        return [f"error: {error}"]
    assert print_function(parse_function(printed), locs=True) == printed
    return printed.splitlines()


def run_verifier(text: str, expected: list[str]) -> list[str]:
    """The verifier's findings, or `ok`."""
    try:
        verify(parse_function(text))
    except VerifierError as error:
        return str(error).splitlines()
    return ["ok"]


def optimize(text: str) -> tuple[Function, Function]:
    """A function, and what the builder's rules and the cleanup passes make of it."""
    original = parse_function(text)
    verify(original)
    result = rebuild(original)
    verify(result)
    clean_up(result)
    verify(result)
    return original, result


def run_opt(text: str, expected: list[str]) -> list[str]:
    """The function after the builder's rules and the cleanup passes; both must behave alike."""
    original, result = optimize(text)
    for args in operands(original):
        assert outcome(result, args) == outcome(original, args), f"differs for {[hex(arg) for arg in args]}"
    return print_function(result).splitlines()


def operands(function: Function) -> list[list[int]]:
    """Arguments for a function: all combinations of edge cases, or 1000 of them."""
    columns = [EDGES[type] for type in function.signature.params]
    if len(columns) <= 2:
        return [list(row) for row in itertools.product(*columns)]
    rng = random.Random(len(columns))
    return [[rng.choice(column) for column in columns] for _ in range(1000)]


def run_interpreter(text: str, expected: list[str]) -> list[str]:
    """Each expected line names a call, `(1, 0xff, -0.5) -> ...`; the output has its results in hexadecimal, or its
    trap."""
    function = parse_function(text)
    verify(function)
    lines: list[str] = []
    for line in expected:
        match = re.match(r"\((.*?)\)", line)
        assert match is not None, f"not a call: {line}"
        words = [word.strip() for word in match.group(1).split(",") if word.strip()]
        args = [read_operand(type, word) for type, word in zip(function.signature.params, words, strict=True)]
        results = result_or_trap(function, args)
        if isinstance(results, int):
            lines.append(f"({match.group(1)}) -> trap {TRAP_NAMES[results]}")
        else:
            lines.append(f"({match.group(1)}) -> {', '.join(hex(bits) for bits in results)}".rstrip())
    return lines


def read_operand(type: int, word: str) -> int:
    """An integer, hexadecimal bits, or a decimal fraction for a float."""
    if IS_FLOAT[type] and not word.startswith("0x"):
        assert type == F32 or type == F64
        return from_float(type, float(word))
    return int(word, 0) & TYPE_MASK[type]


def run_wasm(text: str, expected: list[str]) -> list[str]:
    """The IR of each function of a module in text format, as translation makes it, without signatures that it does
    not use."""
    module = decode(bytes(wat2wasm(text)))
    validate(module)
    layout = ContextLayout(module)
    lines: list[str] = []
    for index in range(module.imported_funcs, len(module.func_types)):
        function = translate(module, index, layout, Settings())
        verify(function)
        printed = print_function(function).splitlines()
        declared = [line for line in printed if re.match(r" *sig\d+ = ", line)]
        used = set(re.findall(r"\bsig\d+\b", "\n".join(line for line in printed if line not in declared)))
        lines += [line for line in printed if line not in declared or line.split()[0] in used]
    return lines


def print_lowered(text: str, platform: str, features: frozenset[str]) -> list[str]:
    function = parse_function(text)
    verify(function)
    return print_vcode(lower(function, settings_for(platform, features))).splitlines()


def run_lower(text: str, expected: list[str]) -> list[str]:
    """Machine instructions over virtual registers: memory at gs, all CPU features."""
    return print_lowered(text, "gs", ALL_FEATURES)


def run_lower_baseline(text: str, expected: list[str]) -> list[str]:
    """None of the optional CPU features."""
    return print_lowered(text, "gs", frozenset())


def run_lower_register(text: str, expected: list[str]) -> list[str]:
    """Memory at r14."""
    return print_lowered(text, "register", ALL_FEATURES)


def run_lower_minimal(text: str, expected: list[str]) -> list[str]:
    """Explicit checks and polls."""
    return print_lowered(text, "minimal", ALL_FEATURES)


KINDS: Final[dict[str, Callable[[str, list[str]], list[str]]]] = {
    "parser": run_parser,
    "verifier": run_verifier,
    "opt": run_opt,
    "run": run_interpreter,
    "lower": run_lower,
    "lower_baseline": run_lower_baseline,
    "lower_register": run_lower_register,
    "lower_minimal": run_lower_minimal,
    "wasm": run_wasm,
}


# The runner.


def split_cases(lines: list[str], per_function: bool) -> list[tuple[list[str], list[str], list[str]]]:
    """(text kept as it stands, the case's own lines at its end, expected output) for each case. What follows the last
    case has no output."""
    cases: list[tuple[list[str], list[str], list[str]]] = []
    if not per_function:
        end = len(lines)
        while end > 0 and lines[end - 1].startswith(";"):
            end -= 1
        return [([], lines[:end], lines[end:])]
    kept: list[str] = []
    case: list[str] = []
    position = 0
    while position < len(lines):
        line = lines[position]
        position += 1
        if not case and not line.startswith("function"):
            kept.append(line)
            continue
        case.append(line)
        if line == "}":
            start = position
            while position < len(lines) and lines[position].startswith(";"):
                position += 1
            cases.append((kept, case, lines[start:position]))
            kept = []
            case = []
    assert not case, "the last function has no end"
    cases.append((kept, [], []))
    return cases


TRANSFORMATION_FILES: Final = sorted((ROOT / "transformations").iterdir())


@pytest.mark.parametrize("name", [row.name for row in TRANSFORMATIONS])
def test_each_transformation_has_cases_where_it_applies_and_where_not(name: str) -> None:
    applies = other = 0
    for path in TRANSFORMATION_FILES:
        lines = path.read_text().splitlines()
        if lines[0].split()[3] == name:
            applies += sum(line.lstrip("; ") == transformation_cases.OFF for line in lines)
            other += sum(line.lstrip("; ") == transformation_cases.SAME for line in lines)
    assert applies, f"no file in {ROOT.name}/transformations shows what {name} does"
    assert other, f"no file in {ROOT.name}/transformations shows where {name} does not apply"


FILES: Final = sorted(path for path in ROOT.rglob("*") if path.is_file())


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(ROOT)) for path in FILES])
def test_file(path: Path) -> None:
    lines = path.read_text().splitlines()
    header = re.match(r";+ test (\w+)", lines[0])
    assert header is not None, "the first line must be `; test KIND`, or `; test transformation NAME STAGE`"
    kind = KINDS.get(header.group(1))
    words = lines[0].split()
    marker = ";;" if lines[0].startswith(";;") else ";"
    written: list[str] = []
    found = 0
    for kept, case, expected in split_cases(lines, path.suffix == ".ir"):
        written += kept
        if not case:
            continue
        found += 1
        old = [line.removeprefix(marker).removeprefix(" ") for line in expected]
        text = "\n".join(case) + "\n"
        new = kind(text, old) if kind is not None else transformation_cases.compare(text, words[3], words[4])
        if not BLESS:
            assert new == old, case[0]
        written += [*case, *(f"{marker} {line}".rstrip() for line in new)]
    assert found, "the file has no case"
    if BLESS:
        path.write_text("\n".join(written) + "\n")
