"""Every value-producing opcode and type as machine code, on edge cases, against the interpreter: operands in registers, constant, in
memory; results as numbers, as conditions; with all CPU features, without any, and without each one."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import pytest

from brolga.ir.opcodes import (
    BINARY,
    BITCAST,
    COMPARE,
    CONVERT,
    FCC_NAMES,
    FCMP,
    FCVT_FROM_SINT,
    FORMATS,
    ICC_NAMES,
    OPCODE_NAMES,
    TYPE_CLASSES,
    UNARY,
)
from brolga.ir.types import F32, F64, I32, I64, IS_FLOAT, TYPE_NAMES
from brolga.jit.settings import CPU_FEATURES

from ...ir.functions import EDGES
from ..native import ALL_FEATURES, FREE, PLATFORMS, Native, Program, settings_for

TYPES = {"i": [I32, I64], "f": [F32, F64], "i32": [I32], "i64": [I64], "f32": [F32], "f64": [F64]}
FEATURE_SETS = {"all": ALL_FEATURES, "none": frozenset[str](), "sse41": frozenset({"sse41"})}
FEATURE_SETS |= {f"no_{name}": ALL_FEATURES - {name} for name in CPU_FEATURES if name not in ("fma", "sse41")}
SAMPLES = 80  # pairs of operands for each function


def operations() -> Iterator[tuple[str, list[int], int]]:
    """(name with types, types of the operands, type of the result)"""
    for op, form in enumerate(FORMATS):
        name = OPCODE_NAMES[op]
        if form == UNARY or form == BINARY:
            for type in TYPES[TYPE_CLASSES[op]]:
                yield f"{name}.{TYPE_NAMES[type]}", [type] * (1 if form == UNARY else 2), type
        elif form == COMPARE:
            conditions = FCC_NAMES if op == FCMP else ICC_NAMES
            for type, cc in itertools.product([F32, F64] if op == FCMP else [I32, I64], conditions):
                yield f"{name}.{TYPE_NAMES[type]} {cc}", [type, type], I32
        elif form == CONVERT:
            for result, source in conversions(op):
                yield f"{name}.{TYPE_NAMES[result]}.{TYPE_NAMES[source]}", [source], result


def conversions(op: int) -> list[tuple[int, int]]:
    """(type of the result, type of the operand)"""
    name = OPCODE_NAMES[op]
    if op == BITCAST:
        return [(I32, F32), (F32, I32), (I64, F64), (F64, I64)]
    if name.startswith("fcvt_to"):
        return list(itertools.product([I32, I64], [F32, F64]))
    if op >= FCVT_FROM_SINT and name.startswith("fcvt_from"):
        return list(itertools.product([F32, F64], [I32, I64]))
    fixed = {
        "ireduce": (I32, I64),
        "uextend": (I64, I32),
        "sextend": (I64, I32),
        "fpromote": (F64, F32),
        "fdemote": (F32, F64),
    }
    return [fixed[name]]


OPERATIONS = list(operations())


def test_all_are_here() -> None:
    names = {text.split(".")[0] for text, _, _ in OPERATIONS}
    forms = (UNARY, BINARY, COMPARE, CONVERT)
    assert names == {OPCODE_NAMES[op] for op, form in enumerate(FORMATS) if form in forms}


def constant(type: int, bits: int) -> str:
    return f"fconst.{TYPE_NAMES[type]} {bits:#x}" if IS_FLOAT[type] else f"iconst.{TYPE_NAMES[type]} {bits}"


def write(name: str, operands: list[int], result: int, places: list[int | str]) -> str:
    """A function of the operands; `places`: "register", "memory" (at its position), "context", "live" (used later as well), or the bits
    of a constant."""
    types = [TYPE_NAMES[type] for type in operands]
    params = ", ".join(f"v{i}: {type}" for i, type in enumerate(types))
    lines = [f"function f 0({', '.join(types)}) -> {TYPE_NAMES[result]}, {types[0]} {{", f"block0({params}):"]
    lines.append("  v10 = iconst.i32 64")
    names = []
    for i, (type, place) in enumerate(zip(operands, places, strict=True)):
        if place == "memory":
            lines.append(f"  store.{types[i]} v10+{16 * i}, v{i}")
        elif place == "context":
            lines.append(f"  ctx_store.{types[i]} {FREE + 16 * i}, v{i}")
    for i, (type, place) in enumerate(zip(operands, places, strict=True)):
        if place == "memory":
            lines.append(f"  v{20 + i} = load.{types[i]} v10+{16 * i}")
        elif place == "context":
            lines.append(f"  v{20 + i} = ctx_load.{types[i]} {FREE + 16 * i}")
        elif isinstance(place, int):
            lines.append(f"  v{20 + i} = {constant(type, place)}")
        names.append(f"v{i}" if place in ("register", "live") else f"v{20 + i}")
    lines.append(f"  v30 = {name} {', '.join(names)}")
    kept = "v0" if "live" in places else "v31"
    if kept == "v31":
        lines.append(f"  v31 = {constant(operands[0], 0)}")
    lines.append(f"  return v30, {kept}")
    return "\n".join(lines) + "\n}\n"


def variants(name: str, operands: list[int]) -> Iterator[list[int | str]]:
    """Where the operands are."""
    if len(operands) == 1:
        yield from (["register"], ["memory"], ["live"])
        return
    yield from (["register", "register"], ["live", "register"], ["register", "memory"], ["memory", "register"])
    yield from (["live", "live"], ["context", "context"])
    rng = random.Random(name)
    edges = EDGES[operands[1]]
    some = edges if name.split(".")[0] in ("ishl", "rotl", "imul", "band") else rng.sample(edges, 6)
    for bits in some:
        yield [rng.choice(["register", "live", "memory"]), bits]
    yield [rng.choice(edges), "register"]


def samples(operands: list[int], places: list[int | str], rng: random.Random) -> list[list[int]]:
    columns = [EDGES[type] if not isinstance(place, int) else [0] for type, place in zip(operands, places, strict=True)]
    rows = [list(row) for row in itertools.product(*columns)]
    return rows if len(rows) <= SAMPLES else rng.sample(rows, SAMPLES)


def compare(native: Native, program: Program, rows: list[list[int]]) -> None:
    for args in rows:
        expected = program.interpret(native, 0, args)
        result = program.run(native, 0, args)
        assert result == expected, (
            f"{program.texts[0]} for {[hex(arg) for arg in args]}: {result[:2]}, not {expected[:2]}"
        )


@pytest.mark.parametrize("name, operands, result", OPERATIONS, ids=[name for name, _, _ in OPERATIONS])
def test_operation(running: Native, name: str, operands: list[int], result: int) -> None:
    rng = random.Random(name)
    for places in variants(name, operands):
        program = Program(write(name, operands, result, places))
        rows = samples(operands, places, rng)
        program.load(running, settings_for("gs"))
        compare(running, program, rows)
        program.load(
            running, settings_for(rng.choice(["register", "minimal"]), rng.choice(list(FEATURE_SETS.values())))
        )
        compare(running, program, rng.sample(rows, min(len(rows), 30)))


FEATURE_OPS = [
    (name, operands, result)
    for name, operands, result in OPERATIONS
    if name.split(".")[0] in (
        "clz", "ctz", "popcnt", "ishl", "ushr", "sshr", "rotl", "rotr", "fceil", "ffloor", "ftrunc", "fnearest", "umulhi", "smulhi",
        "fadd", "fsub", "fabs", "fneg", "fcopysign", "fsqrt", "fmin", "fcvt_from_uint", "fcvt_from_sint", "fpromote", "fdemote",
    )
]  # fmt: skip


@pytest.mark.parametrize("features", FEATURE_SETS)
@pytest.mark.parametrize("name, operands, result", FEATURE_OPS, ids=[name for name, _, _ in FEATURE_OPS])
def test_features(running: Native, name: str, operands: list[int], result: int, features: str) -> None:
    rng = random.Random(name + features)
    place: list[int | str] = [rng.choice(["register", "live", "memory"]) for _ in operands]
    program = Program(write(name, operands, result, place))
    program.load(running, settings_for(rng.choice(list(PLATFORMS)), FEATURE_SETS[features]))
    compare(running, program, samples(operands, place, rng))


CONDITIONS = [(name, operands) for name, operands, _ in OPERATIONS if "cmp" in name]


@pytest.mark.parametrize("name, operands", CONDITIONS, ids=[name for name, _ in CONDITIONS])
def test_conditions(running: Native, name: str, operands: list[int]) -> None:
    """Comparisons tested by branches, selects of both banks and traps, once and inverted."""
    types = [TYPE_NAMES[type] for type in operands]
    text = f"""
function f 0({types[0]}, {types[1]}) -> i32, i64, f64, i32 {{
block0(v0: {types[0]}, v1: {types[1]}):
  v2 = {name} v0, v1
  v3 = iconst.i32 0
  v4 = icmp.i32 eq v2, v3
  v5 = iconst.i64 5
  v6 = iconst.i64 -6
  v7 = select.i64 v2, v5, v6
  v8 = fconst.f64 0x4000000000000000
  v9 = fconst.f64 0x4010000000000000
  v10 = select.f64 v4, v8, v9
  v11 = select.i64 v4, v5, v7
  v12 = iadd.i64 v7, v11
  brif v2, block1, block2
block1:
  v13 = iconst.i32 17
  jump block3(v13)
block2:
  v14 = iconst.i32 18
  v15 = icmp.i32 ne v4, v3
  trapz v15, unreachable
  jump block3(v14)
block3(v16: i32):
  return v16, v12, v10, v4
}}
function g 1({types[0]}, {types[1]}) -> i32 {{
block0(v0: {types[0]}, v1: {types[1]}):
  v2 = {name} v0, v1
  trapnz v2, bad_sig
  v3 = {name} v0, v0
  brif v3, block1, block2
block1:
  v4 = iconst.i32 1
  return v4
block2:
  v5 = iconst.i32 2
  return v5
}}
"""
    program = Program(text)
    rng = random.Random(name)
    rows = samples(operands, ["register", "register"], rng)
    for platform in PLATFORMS:
        program.load(running, settings_for(platform, rng.choice([ALL_FEATURES, FEATURE_SETS["none"]])))
        for args in rows:
            for index in (0, 1):
                assert program.run(running, index, args) == program.interpret(running, index, args), (index, args)
