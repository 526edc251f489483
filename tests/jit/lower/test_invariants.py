"""What selection promises to the allocator (regalloc/operand.py) and to emission (vcode.py), on random functions."""

from __future__ import annotations

import random

import pytest

from brolga.ir.parser import parse_function
from brolga.jit.x64 import insts as m
from brolga.jit.x64.inst import Inst
from brolga.jit.x64.lower import lower
from brolga.jit.x64.vcode import VCode
from brolga.regalloc.operand import ANY_LOCATION, ANY_REGISTER, DEF, EARLY, GPR, LATE, SAME_AS

from ..native import ALL_FEATURES, PLATFORMS, settings_for
from ..random_ir import random_program

TERMINATORS = (m.JMP, m.BRANCH, m.JMP_TABLE, m.RET, m.TRAP)
READS_FLAGS = (m.BRANCH, m.TRAP_IF, m.SETCC_ZX, m.CMOV32, m.CMOV64, m.XMM_CMOV)
# What may stand between an instruction that sets the flags and those that read them.
KEEPS_FLAGS = (m.MOV32_I, m.MOV64_I, m.MOVSS, m.MOVSD, m.ZEROPS, m.TRAP_IF, m.SETCC_ZX, m.CMOV32, m.CMOV64, m.XMM_CMOV)
SETS_FLAGS = {
    op
    for op, row in enumerate(m.ROWS)
    if row.mnemonic in ("cmp", "test", "ucomiss", "ucomisd", "bt", "add", "sub", "and", "or", "xor", "bsf", "bsr")
}


def check_blocks(vcode: VCode) -> None:
    blocks = vcode.code.blocks
    idom = vcode.code.idom
    assert idom[0] == -1 and not blocks[0].preds and not blocks[0].params
    for block in blocks:
        number = block.number
        assert number == 0 or block.preds, "unreachable"
        assert len(set(block.succs)) == len(block.succs)
        for succ in block.succs:
            assert blocks[succ].preds.count(number) == 1
            if len(block.succs) > 1:
                assert blocks[succ].preds == [number], "a critical edge"
        if len(block.succs) == 1:
            assert len(block.branch_args) == len(blocks[block.succs[0]].params)
            assert not block.insts[-1].operands
        else:
            assert not block.branch_args
            assert not any(blocks[succ].params for succ in block.succs)
        if number:
            assert idom[number] < number
            assert dominators(vcode)[number] == idom[number]
        kinds = [inst.op in TERMINATORS for inst in block.insts if isinstance(inst, Inst)]
        assert kinds[-1] and not any(kinds[:-1])
        last = block.insts[-1]
        assert isinstance(last, Inst)
        if last.op == m.JMP_TABLE:
            assert set(vcode.jump_tables[last.imm]) == set(block.succs)
        assert block.frequency > 0


def dominators(vcode: VCode) -> list[int]:
    """Immediate dominators by the sets of dominators."""
    blocks = vcode.code.blocks
    everything = set(range(len(blocks)))
    sets = [{0}] + [everything] * (len(blocks) - 1)
    changed = True
    while changed:
        changed = False
        for block in blocks[1:]:
            new = set.intersection(*(sets[pred] for pred in block.preds)) | {block.number}
            if new != sets[block.number]:
                sets[block.number] = new
                changed = True
    return [max(found - {number}, key=lambda d: len(sets[d]), default=-1) for number, found in enumerate(sets)]


def check_values(vcode: VCode) -> None:
    """One definition each, before the uses along every path; classes; constraints."""
    code = vcode.code
    defined: dict[int, tuple[int, int]] = {}
    for block in code.blocks:
        for param in block.params:
            assert param not in defined
            defined[param] = (block.number, -1)
        for position, inst in enumerate(block.insts):
            shape = inst.shape
            for vreg, kind in zip(inst.operands, shape.kinds, strict=False):
                if kind == DEF:
                    assert vreg not in defined
                    defined[vreg] = (block.number, position)
    dominates = dominance(vcode)
    for block in code.blocks:
        for position, inst in enumerate(block.insts):
            assert isinstance(inst, Inst)
            check_constraints(code.vreg_class, inst)
            uses = [v for v, kind in zip(inst.operands, inst.shape.kinds, strict=False) if kind != DEF]
            uses += inst.operands[len(inst.shape.kinds) :]
            for vreg in uses:
                at = defined[vreg]
                assert at[0] != block.number or at[1] < position
                assert at[0] in dominates[block.number]
        for vreg in block.branch_args:
            assert defined[vreg][0] in dominates[block.number]
    for remat in code.remat:
        if remat is not None:
            assert isinstance(remat, Inst) and remat.op in (m.MOV32_I, m.MOV64_I, m.MOVSS, m.MOVSD, m.ZEROPS)


def dominance(vcode: VCode) -> list[set[int]]:
    found: list[set[int]] = []
    for number, parent in enumerate(vcode.code.idom):
        found.append({number} | (found[parent] if parent >= 0 else set()))
    return found


def check_constraints(classes: list[int], inst: Inst) -> None:
    shape = inst.shape
    fixed: dict[int, set[int]] = {EARLY: set(), LATE: set()}
    for vreg, kind, constraint, position in zip(
        inst.operands, shape.kinds, shape.constraints, shape.positions, strict=False
    ):
        if constraint >= 0:
            assert (constraint < 16) == (classes[vreg] == GPR)
            assert constraint not in fixed[position]
            fixed[position].add(constraint)
            assert kind == DEF or position == EARLY or not shape.clobbers >> constraint & 1
        elif constraint <= SAME_AS:
            assert classes[inst.operands[SAME_AS - constraint]] == classes[vreg]
        else:
            assert constraint in (ANY_REGISTER, ANY_LOCATION)
    if inst.amode is not None:
        for place in (inst.amode.base, inst.amode.index):
            assert place < len(inst.operands)
            assert place < 0 or classes[inst.operands[place]] == GPR
        assert -0x8000_0000 <= inst.amode.displacement < 0x8000_0000


def check_flags(vcode: VCode) -> None:
    """Between what reads flags and what sets them, nothing changes them."""
    for block in vcode.code.blocks:
        for position, inst in enumerate(block.insts):
            assert isinstance(inst, Inst)
            if inst.op not in READS_FLAGS:
                continue
            before = position - 1
            while True:
                assert before >= 0
                other = block.insts[before]
                assert isinstance(other, Inst)
                if other.op in SETS_FLAGS:
                    break
                assert other.op in KEEPS_FLAGS, m.ROWS[other.op].mnemonic
                before -= 1


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("seed", range(25))
def test_invariants(seed: int, platform: str) -> None:
    texts, _ = random_program(seed + 500, 80)
    features = ALL_FEATURES if seed % 2 else frozenset[str]()
    for text in texts:
        vcode = lower(parse_function(text), settings_for(platform, features))
        check_blocks(vcode)
        check_values(vcode)
        check_flags(vcode)


def loops_are_contiguous(vcode: VCode) -> bool:
    """The blocks of each natural loop follow each other."""
    blocks = vcode.code.blocks
    dominates = dominance(vcode)
    for block in blocks:
        for head in block.succs:
            if head not in dominates[block.number]:
                continue
            body = {head, block.number}
            pending = [block.number]
            while pending:
                number = pending.pop()
                if number != head:
                    new = set(blocks[number].preds) - body
                    body |= new
                    pending += new
            span = range(min(body), max(body) + 1)
            members = [number for number in span if number in body]
            # Other loops with the same head may add to the loop, so only what is outside of every one of them is wrong.
            outside = [n for n in span if n not in body and blocks[n].loop_depth < blocks[head].loop_depth]
            if outside or min(members) != head:
                return False
    return True


@pytest.mark.parametrize("seed", range(40))
def test_loops_are_contiguous(seed: int) -> None:
    texts, _ = random_program(seed + 900, 120)
    random.Random(seed).shuffle(texts)
    for text in texts:
        assert loops_are_contiguous(lower(parse_function(text), settings_for("gs")))


def test_cost_is_linear() -> None:
    """Twice the function makes about twice the machine instructions and never more than a few for each of the IR's."""
    counts = []
    for size in (200, 400, 800):
        lines = ["function f 0(i32, i32) -> i32 {", "block0(v0: i32, v1: i32):"]
        for number in range(size):
            lines.append(f"  v{2 + 2 * number} = load.i32 v{1 + 2 * number}+{number}")
            lines.append(f"  v{3 + 2 * number} = iadd.i32 v{1 + 2 * number}, v{2 + 2 * number}")
        lines += [f"  return v{1 + 2 * size}", "}"]
        vcode = lower(parse_function("\n".join(lines)), settings_for("gs"))
        counts.append(sum(len(block.insts) for block in vcode.code.blocks))
    assert counts == [202, 402, 802]  # each load is folded into its sum
