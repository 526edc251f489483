"""The text of a function, which `parser.parse_function` reads back.

Grammar (a line each; `;` starts a comment; types i32 i64 f32 f64 v128):

    function NAME INDEX(TYPE, ...) -> TYPE, ... {
        sigN = (TYPE, ...) -> TYPE, ...                the signatures that calls use
    blockN cold(vN: TYPE, ...):                        `cold` and the parameters are optional
        [@LOC] [vN, ... =] instruction                 LOC: of the wasm operator, as in source_loc.py
    }

Instructions by format (see opcodes.py); T is the type of the result or of the stored value:

    CONST      iconst.T N                    fconst.T 0xBITS
    UNARY      clz.T vN
    BINARY     iadd.T vN, vN
    COMPARE    icmp.T slt vN, vN             T: the type of the operands
    CONVERT    uextend.T.FROM vN
    SELECT     select.T vN, vN, vN
    LOAD       uload8.T vN+OFFSET [mM]       STORE    istore8.T vN+OFFSET [mM], vN
    CTX_LOAD   ctx_load.T OFFSET [readonly]  CTX_STORE  ctx_store.T OFFSET, vN
    PTR_LOAD   ptr_load.T vN+OFFSET [readonly]  PTR_STORE  ptr_store.T vN+OFFSET, vN
    CONTEXT    context.i64
    CALL       call fnN sigN(vN, ...)        BUILTIN  call_builtin fnN sigN(vN, ...)
    CALL_PTR   call_ptr vCODE vCTX sigN(vN, ...)
    TRAP_IF    trapnz vN, heap_oob           TRAP     trap heap_oob
    JUMP       jump blockN(vN, ...)          BRANCH   brif vN, blockN(...), blockN(...)
    BR_TABLE   br_table vN, blockN(...), ..., default blockN(...)
    RETURN     return vN, ...

NAME is a JSON string unless it is a plain word. `memory` is printed as mM only if it is not memory 0.
"""

from __future__ import annotations

import json
import re
from typing import Final

from .function import Function, Inst, Target
from .integers import signed
from .opcodes import (
    BINARY,
    BR_TABLE_,
    BRANCH_,
    BUILTIN_,
    CALL_,
    CALL_PTR_,
    COMPARE,
    CONST,
    CONTEXT_,
    CONVERT,
    CTX_LOAD_,
    CTX_STORE_,
    FCC_NAMES,
    FORMATS,
    ICC_NAMES,
    ICMP,
    ICONST,
    JUMP_,
    LOAD_,
    OPCODE_NAMES,
    PTR_LOAD_,
    PTR_STORE_,
    RETURN_,
    SELECT_,
    STORE_,
    TRAP_,
    TRAP_IF_,
    UNARY,
)
from .signature import Signature
from .source_loc import format_loc
from .trap_codes import TRAP_NAMES
from .types import TYPE_NAMES

_PLAIN_NAME: Final = re.compile(r"[A-Za-z_][\w.]*\Z")


def print_function(function: Function, locs: bool = False) -> str:
    """`function` as text; with the wasm offset of each instruction if `locs`."""
    name = function.name if _PLAIN_NAME.match(function.name) else json.dumps(function.name)
    lines = [f"function {name} {function.index}{format_signature(function.signature)} {{"]
    for number, signature in enumerate(function.signatures):
        lines.append(f"    sig{number} = {format_signature(signature)}")
    for number in function.layout:
        block = function.blocks[number]
        params = ", ".join(f"v{value}: {TYPE_NAMES[function.value_types[value]]}" for value in block.params)
        cold = " cold" if block.cold else ""
        lines.append(f"block{number}{cold}({params}):" if params else f"block{number}{cold}:")
        for inst in block.insts:
            where = f"@{format_loc(inst.loc)} " if locs and inst.loc >= 0 else ""
            lines.append(f"    {where}{format_inst(function, inst)}")
    lines.append("}")
    return "\n".join(lines) + "\n"


def format_signature(signature: Signature) -> str:
    """`(i32, i64) -> f32, f64`; the arrow is left out if there are no results."""
    params = ", ".join(TYPE_NAMES[type] for type in signature.params)
    results = ", ".join(TYPE_NAMES[type] for type in signature.results)
    return f"({params}) -> {results}" if results else f"({params})"


def format_inst(function: Function, inst: Inst) -> str:
    """One instruction as text, with its results."""
    count = function.result_count(inst)
    if count == 0:
        return _format_operation(inst)
    results = ", ".join(f"v{inst.result + position}" for position in range(count))
    return f"{results} = {_format_operation(inst)}"


def _values(values: list[int]) -> str:
    return ", ".join(f"v{value}" for value in values)


def _target(target: Target) -> str:
    return f"block{target.block}({_values(target.args)})" if target.args else f"block{target.block}"


def _address(inst: Inst) -> str:
    return f"v{inst.args[0]}+{inst.imm}"


def _integer(inst: Inst) -> str:
    """A small constant as a signed decimal number, others as hexadecimal bits."""
    value = signed(inst.type, inst.imm)
    return str(value) if -0x1_0000 <= value <= 0x1_0000 else hex(inst.imm)


def _format_operation(inst: Inst) -> str:
    name = OPCODE_NAMES[inst.op]
    args = inst.args
    type = TYPE_NAMES[inst.type]
    form = FORMATS[inst.op]
    if form == CONST:
        return f"{name}.{type} {_integer(inst) if inst.op == ICONST else hex(inst.imm)}"
    if form == UNARY or form == BINARY or form == SELECT_:
        return f"{name}.{type} {_values(args)}"
    if form == COMPARE:
        condition = ICC_NAMES[inst.imm] if inst.op == ICMP else FCC_NAMES[inst.imm]
        return f"{name}.{TYPE_NAMES[inst.aux]} {condition} {_values(args)}"
    if form == CONVERT:
        return f"{name}.{type}.{TYPE_NAMES[inst.aux]} {_values(args)}"
    if form == LOAD_ or form == STORE_:
        memory = f" m{inst.aux}" if inst.aux else ""
        value = f", v{args[1]}" if form == STORE_ else ""
        return f"{name}.{type} {_address(inst)}{memory}{value}"
    if form == CTX_LOAD_:
        return f"{name}.{type} {inst.imm}{' readonly' if inst.aux else ''}"
    if form == CTX_STORE_:
        return f"{name}.{type} {inst.imm}, v{args[0]}"
    if form == PTR_LOAD_:
        return f"{name}.{type} {_address(inst)}{' readonly' if inst.aux else ''}"
    if form == PTR_STORE_:
        return f"{name}.{type} {_address(inst)}, v{args[1]}"
    if form == CONTEXT_:
        return f"{name}.{type}"
    if form == CALL_ or form == BUILTIN_:
        return f"{name} fn{inst.imm} sig{inst.aux}({_values(args)})"
    if form == CALL_PTR_:
        return f"{name} v{args[0]} v{args[1]} sig{inst.aux}({_values(args[2:])})"
    if form == TRAP_IF_:
        return f"{name} v{args[0]}, {TRAP_NAMES[inst.imm]}"
    if form == TRAP_:
        return f"{name} {TRAP_NAMES[inst.imm]}"
    if form == JUMP_:
        return f"{name} {_target(inst.targets[0])}"
    if form == BRANCH_:
        return f"{name} v{args[0]}, {_target(inst.targets[0])}, {_target(inst.targets[1])}"
    if form == BR_TABLE_:
        cases = "".join(f"{_target(target)}, " for target in inst.targets[:-1])
        return f"{name} v{args[0]}, {cases}default {_target(inst.targets[-1])}"
    if form == RETURN_:
        return f"{name} {_values(args)}" if args else name
    raise AssertionError(f"{name} has no printed form")
