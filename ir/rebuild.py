"""Replaying a function through the builder, so that all rules apply to it again.

    block0(v0: i32):                       block0(v0: i32):
        v1 = iconst.i32 8                      v1 = iconst.i32 3
        v2 = udiv.i32 v0, v1           =>      v2 = ushr.i32 v0, v1
        return v2                              return v2

Input: any valid function. Output: a new function of the same name and signature, which shares `signatures` with
the old one. Values and blocks are numbered afresh, in dominance order; the layout keeps the old order, without
unreachable blocks.
"""

from __future__ import annotations

from .builder import FunctionBuilder
from .dominator_tree import DominatorTree
from .function import NO_VALUE, Block, Function, Inst
from .inst_builder import Rules
from .opcodes import (
    BINARY,
    BR_TABLE_,
    BRANCH_,
    BUILTIN_,
    CALL_,
    CALL_PTR_,
    CALLS,
    COMPARE,
    CONST,
    CONTEXT_,
    CONVERT,
    CTX_LOAD_,
    CTX_STORE_,
    FLAGS,
    FORMATS,
    ICMP,
    ICONST,
    JUMP_,
    LOAD_,
    PTR_LOAD_,
    PTR_STORE_,
    RETURN_,
    SELECT_,
    STORE_,
    TRAP_,
    TRAP_IF_,
    TRAPNZ,
    UNARY,
)
from .rules.tables import RULES


def rebuild(function: Function, rules: Rules = RULES) -> Function:
    """A copy of `function`, simplified by `rules`."""
    result = Function(function.name, function.index, function.signature, function.signatures)
    result.inlined = function.inlined
    builder = FunctionBuilder(result, rules)
    tree = DominatorTree(function)
    values = [NO_VALUE] * len(function.value_types)  # old value -> new value
    blocks: list[Block | None] = [None] * len(function.blocks)  # old block -> new block
    order = tree.preorder()
    for number in order:
        old = function.blocks[number]
        new = builder.create_block(old.cold)
        blocks[number] = new
        for param in old.params:
            values[param] = builder.append_param(new, function.value_types[param])

    cut = [False] * len(function.blocks)  # an unconditional trap came before the terminator, here or in a dominator
    for number in order:
        dominator = tree.idom[number]
        if number != dominator and cut[dominator]:
            cut[number] = True
            continue
        block = blocks[number]
        assert block is not None
        builder.switch_to_block(block, blocks[dominator] if number != dominator else None)
        for inst in function.blocks[number].insts:
            builder.loc = inst.loc
            _replay(builder, function, inst, values, blocks)
            if builder.terminated:
                cut[number] = inst is not function.blocks[number].insts[-1]
                break

    result.layout = []
    for number in function.layout:
        block = blocks[number]
        if block is not None and not (cut[number] and not block.insts):
            result.layout.append(block.number)
    return result


def _replay(
    builder: FunctionBuilder, function: Function, inst: Inst, values: list[int], blocks: list[Block | None]
) -> None:
    """Request `inst` from the builder."""
    op = inst.op
    form = FORMATS[op]
    type = inst.type
    args = [values[arg] for arg in inst.args]
    if form >= JUMP_:
        _replay_terminator(builder, inst, form, args, values, blocks)
        return
    value = NO_VALUE
    if form == CONST:
        value = builder.iconst(type, inst.imm) if op == ICONST else builder.fconst(type, inst.imm)
    elif form == UNARY:
        value = builder.unary(op, type, args[0])
    elif form == BINARY:
        value = builder.binary(op, type, args[0], args[1])
    elif form == COMPARE:
        if op == ICMP:
            value = builder.icmp(inst.imm, inst.aux, args[0], args[1])
        else:
            value = builder.fcmp(inst.imm, inst.aux, args[0], args[1])
    elif form == CONVERT:
        value = builder.convert(op, type, inst.aux, args[0])
    elif form == SELECT_:
        value = builder.select(type, args[0], args[1], args[2])
    elif form == LOAD_:
        value = builder.load(op, type, args[0], inst.imm, inst.aux)
    elif form == STORE_:
        builder.store(op, type, args[0], args[1], inst.imm, inst.aux)
    elif form == CTX_LOAD_:
        value = builder.ctx_load(type, inst.imm, inst.aux == 1)
    elif form == CTX_STORE_:
        builder.ctx_store(type, inst.imm, args[0])
    elif form == PTR_LOAD_:
        value = builder.ptr_load(type, args[0], inst.imm, inst.aux == 1)
    elif form == PTR_STORE_:
        builder.ptr_store(type, args[0], args[1], inst.imm)
    elif form == CONTEXT_:
        value = builder.context()
    elif form == CALL_:
        value = builder.call(inst.imm, inst.aux, args)
    elif form == CALL_PTR_:
        value = builder.call_ptr(inst.aux, args[0], args[1], args[2:])
    elif form == BUILTIN_:
        value = builder.call_builtin(inst.imm, inst.aux, args)
    else:
        assert form == TRAP_IF_
        if op == TRAPNZ:
            builder.trapnz(args[0], inst.imm)
        else:
            builder.trapz(args[0], inst.imm)
    if inst.result != NO_VALUE:
        count = function.result_count(inst) if FLAGS[op] & CALLS else 1
        for position in range(count):
            values[inst.result + position] = value + position


def _replay_terminator(
    builder: FunctionBuilder, inst: Inst, form: int, args: list[int], values: list[int], blocks: list[Block | None]
) -> None:
    targets: list[tuple[Block, list[int]]] = []
    for target in inst.targets:
        block = blocks[target.block]
        assert block is not None
        targets.append((block, [values[arg] for arg in target.args]))
    if form == JUMP_:
        builder.jump(targets[0][0], targets[0][1])
    elif form == BRANCH_:
        builder.brif(args[0], targets[0][0], targets[0][1], targets[1][0], targets[1][1])
    elif form == BR_TABLE_:
        builder.br_table(args[0], targets)
    elif form == RETURN_:
        builder.ret(args)
    else:
        assert form == TRAP_
        builder.trap(inst.imm)
