"""Emission of functions put together by hand, most of them run: conditions, branches, where blocks stand."""

from __future__ import annotations

import itertools
import math
import random
import struct

import pytest

from brolga.ir import trap_codes
from brolga.jit.settings import Settings
from brolga.jit.transformations import ROTATED_LOOPS
from brolga.jit.x64 import insts as x
from brolga.jit.x64.abi import RAX, RCX, RDI, RDX, RSI, XMM0
from brolga.jit.x64.inst import (
    AMODE_VMCTX,
    Amode,
    Inst,
)

from .machine import RET, SIGNALS, Machine, Program, copy, cs, double, inst, text

# Conditions -------------------------------------------------------------------------------------------------------


def holds(cc: int, a: int, b: int) -> bool:
    """Whether the condition holds after `cmp a, b` of 64 bits."""
    difference = (a - b) % (1 << 64)
    signed = [v - (1 << 64) if v >> 63 else v for v in (a, b, difference)]
    overflow = signed[0] - signed[1] != signed[2]
    sign, zero, carry = bool(difference >> 63), difference == 0, a < b
    parity = (difference & 255).bit_count() % 2 == 0
    base = [overflow, carry, zero, carry or zero, sign, parity, sign != overflow, zero or sign != overflow]
    if cc == x.CC_E_AND_NP:
        return zero and not parity
    if cc == x.CC_NE_OR_P:
        return not zero or parity
    return base[cc >> 1] ^ bool(cc & 1)


COMPARED = [0, 1, 2, 3, 7, 100, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]
FLOATS = [0.0, -0.0, 1.0, 2.0, float("inf"), float("nan")]


def float_holds(cc: int, a: float, b: float) -> bool:
    """After `ucomisd a, b`, for the conditions that make sense."""
    unordered = math.isnan(a) or math.isnan(b)
    return {
        x.CC_E_AND_NP: a == b,
        x.CC_NE_OR_P: a != b,
        x.CC_A: a > b,
        x.CC_AE: a >= b,
        x.CC_B: a < b or unordered,
        x.CC_BE: a <= b or unordered,
        x.CC_P: unordered,
        x.CC_NP: not unordered,
    }[cc]


FLOAT_CCS = [x.CC_E_AND_NP, x.CC_NE_OR_P, x.CC_A, x.CC_AE, x.CC_B, x.CC_BE, x.CC_P, x.CC_NP]


def yes_no(program: Program, true_at: int, false_at: int) -> None:
    """Blocks that return 1 and 0, at these places after what is there already."""
    for number in range(len(program.vcode.code.blocks), 4):
        value = 1 if number == true_at else 0 if number == false_at else 9
        program.block([inst(x.MOV32_I, [RAX], value), inst(x.MOV64, [RAX, RAX]), RET])


@pytest.mark.parametrize("cc", range(18))
@pytest.mark.parametrize("places", [(1, 2), (2, 1), (2, 3)], ids=["true next", "false next", "neither next"])
def test_branch(machine: Machine, cc: int, places: tuple[int, int]) -> None:
    for compare, registers in ((x.CMP64, [RDI, RSI]), (x.UCOMISD, [XMM0, XMM0 + 1])):
        if compare == x.UCOMISD and cc not in FLOAT_CCS:
            continue
        program = Program()
        program.block([inst(compare, registers), inst(x.BRANCH, [], cc)], list(places))
        yes_no(program, *places)
        address = machine.load(program.emit())
        if compare == x.CMP64:
            for a, b in itertools.product(COMPARED, COMPARED):
                assert machine.call(address, [a, b]).gpr == holds(cc, a, b)
        else:
            for f, g in itertools.product(FLOATS, FLOATS):
                assert machine.call(address, [], [double(f), double(g)]).gpr == float_holds(cc, f, g)


def test_branches_use_what_is_next() -> None:
    for places, expected in (((1, 2), "jne"), ((2, 1), "je")):
        program = Program()
        program.block([inst(x.BRANCH, [], x.CC_E)], list(places))
        yes_no(program, *places)
        lines = text(program.emit(SIGNALS))
        assert lines[0].startswith(expected) and not any(line.startswith("jmp") for line in lines)


@pytest.mark.parametrize("cc", range(18))
def test_conditional_instructions(machine: Machine, cc: int) -> None:
    compare = inst(x.CMP64, [RDI, RSI])
    programs: list[tuple[list[Inst], int, int]] = [
        # instructions, result if the condition holds, if not
        ([inst(x.MOV64_I, [RAX], 5), compare, inst(x.TRAP_IF, [], cc, None, trap_codes.BAD_SIGNATURE, 33)], -1, 5),
    ]
    if cc < 16:
        programs.append(([inst(x.MOV64_I, [RAX], -1), compare, inst(x.SETCC_ZX, [RAX], cc)], 1, 0))
        programs.append(([inst(x.MOV64_I, [RAX], 0x700), compare, inst(x.SETCC, [RAX], cc)], 0x701, 0x700))
    if cc != x.CC_E_AND_NP:
        cmov = [inst(x.MOV64_I, [RAX], 6), inst(x.MOV64_I, [RCX], 7), compare]
        programs.append(([*cmov, inst(x.CMOV64, [RAX, RAX, RCX], cc)], 7, 6))
        programs.append(([*cmov, inst(x.CMOV32, [RAX, RAX], cc, Amode(AMODE_VMCTX, displacement=64))], 9, 6))
    for insts, yes, no in programs:
        program = Program()
        program.block([*insts, RET])
        function = program.emit()
        address = machine.load(function)
        machine.context[64:68] = struct.pack("<I", 9)
        for a, b in itertools.product(COMPARED, COMPARED):
            result = machine.call(address, [a, b])
            if holds(cc, a, b) and yes < 0:
                assert result.trap(function) == trap_codes.BAD_SIGNATURE
            else:
                assert (result.trapped_at, result.gpr) == (-1, yes if holds(cc, a, b) else no)

    program = Program()
    program.block(
        [compare, inst(x.XMM_CMOV, [XMM0 + 1, XMM0 + 1, XMM0 + 2], cc), inst(x.MOVAPS, [XMM0, XMM0 + 1]), RET]
    )
    address = machine.load(program.emit())
    for a, b in itertools.product(COMPARED, COMPARED):
        result = machine.call(address, [a, b], [double(1), double(2), double(3)])
        assert result.f64 == (3.0 if holds(cc, a, b) else 2.0)


# Control ----------------------------------------------------------------------------------------------------------


def test_jump_table(machine: Machine) -> None:
    program = Program()
    table = program.vcode.jump_table([3, 1, 1, 2])
    program.block([inst(x.JMP_TABLE, [RCX, RDX, RDI], table)], [3, 1, 2])
    for value in (11, 12, 13):
        program.block([inst(x.MOV32_I, [RAX], value), RET])
    address = machine.load(program.emit())
    assert [machine.call(address, [i]).gpr for i in range(4)] == [13, 11, 11, 12]


def test_jump_table_may_overwrite_its_index(machine: Machine) -> None:
    program = Program()
    table = program.vcode.jump_table([1, 2])
    program.block([inst(x.JMP_TABLE, [RCX, RDI, RDI], table)], [1, 2])
    program.block([inst(x.MOV32_I, [RAX], 1), RET])
    program.block([inst(x.JMP, [])], [3])  # left out: the table's entry leads to block 3
    program.block([inst(x.MOV32_I, [RAX], 2), RET])
    address = machine.load(program.emit())
    assert [machine.call(address, [i]).gpr for i in range(2)] == [1, 2]


def test_empty_blocks_are_left_out() -> None:
    program = Program()
    program.block([inst(x.BRANCH, [], x.CC_E)], [1, 3])
    program.block([inst(x.JMP, [])], [2])
    program.block([inst(x.JMP, [])], [4])
    program.block([inst(x.MOV32_I, [RAX], 1), inst(x.JMP, [])], [5])
    program.block([inst(x.MOV32_I, [RAX], 2), RET])
    program.block([inst(x.JMP, [])], [6])
    program.block([inst(x.MOV32_I, [RAX], 3), RET])
    function = program.emit(SIGNALS)
    assert text(function) == ["je 9", "mov eax, 1", "jmp 0xf", "mov eax, 2", "ret", "mov eax, 3", "ret"]


def test_block_with_moves_is_not_empty() -> None:
    program = Program()
    program.block([inst(x.BRANCH, [], x.CC_E)], [1, 2])
    program.block([inst(x.JMP, [])], [2])
    program.moves[1][0] = [copy(RAX, RCX)]
    program.block([RET])
    assert text(program.emit(SIGNALS)) == ["jne 5", "mov rax, rcx", "ret"]


def test_endless_loops_of_empty_blocks() -> None:
    program = Program()
    program.block([inst(x.BRANCH, [], x.CC_E)], [1, 4])
    program.block([inst(x.JMP, [])], [2])
    program.block([inst(x.JMP, [])], [3])
    program.block([inst(x.JMP, [])], [1])
    program.block([inst(x.JMP, [])], [4])
    lines = text(program.emit(SIGNALS))
    assert len(lines) == 3
    assert lines[1].startswith("jmp") and lines[2].startswith("jmp")


def test_random_forwarding() -> None:
    # Graphs of blocks that are empty or marked by a number: following the code gives the same marks as following the blocks.
    for seed in range(200):
        rng = random.Random(seed)
        count = rng.randrange(2, 12)
        program = Program()
        empty = [False] + [rng.random() < 0.6 for _ in range(count - 1)]
        succs = [rng.randrange(1, count) for _ in range(count)]
        for n in range(count):
            mark = [] if empty[n] else [inst(x.MOV32_I, [RAX], n + 100)]
            program.block([*mark, inst(x.JMP, [])], [succs[n]])
        code = {i.address: i for i in cs.disasm(program.emit(SIGNALS).code, 0)}
        expected, n = [], 0
        for _ in range(50):
            if not empty[n]:
                expected.append(n + 100)
            n = succs[n]
        found, at = [], 0
        for _ in range(200):
            i = code[at]
            at += i.size
            if i.mnemonic == "jmp":
                at = int(i.op_str, 0)
            else:
                found.append(int(i.op_str.split(", ")[1], 0))
        assert found[: len(expected)] == expected


def test_jump_to_a_return_returns() -> None:
    program = Program()
    program.spill_slots = 1
    program.block([inst(x.BRANCH, [], x.CC_E)], [1, 2])
    program.block([inst(x.MOV32_I, [RAX], 1), inst(x.JMP, [])], [3])
    program.block([inst(x.MOV32_I, [RAX], 2), inst(x.JMP, [])], [3])
    program.block([RET])
    lines = text(program.emit(SIGNALS))
    assert lines[1:] == ["jne 0x10", *["mov eax, 1", "add rsp, 8", "ret"], *["mov eax, 2", "add rsp, 8", "ret"]]


def test_cold_blocks_come_last() -> None:
    program = Program()
    program.block([inst(x.BRANCH, [], x.CC_E)], [1, 2])
    program.block([inst(x.MOV32_I, [RAX], 1), RET])
    program.block([inst(x.MOV32_I, [RAX], 2), RET])
    program.vcode.cold = [False, True]
    lines = text(program.emit(SIGNALS))
    assert [line for line in lines if line.startswith("mov")] == ["mov eax, 2", "mov eax, 1"]


@pytest.mark.parametrize("calls", [False, True])
@pytest.mark.parametrize("size", [1, 16])
def test_tight_loops_are_kept_in_a_window(calls: bool, size: int) -> None:
    """One of 24 bytes, which would begin at 20, is one; with more instructions, or with a call, it is not."""
    program = Program()
    program.block([*[inst(x.NOP, [])] * 20, inst(x.JMP, [])], [1])
    body = [inst(x.CALL, [], 0)] if calls else [inst(x.NOP, [])] * 5
    program.block(
        [*body, *[inst(x.MOV32_I, [RAX], 2)] * 3, *[inst(x.NOP, [])] * size, inst(x.BRANCH, [], x.CC_E)], [2, 3]
    )
    program.block([inst(x.JMP, [])], [1])
    program.block([RET])
    program.vcode.align = [False, True]
    code = list(cs.disasm(program.emit(SIGNALS).code, 0))
    start = next(i.address for i in code if i.mnemonic in ("mov", "call")) - (0 if calls else 5)
    assert start == (32 if size == 1 and not calls else 20)


@pytest.mark.parametrize("placed", [True, False])
def test_jumps_through_tables_are_kept_in_a_line(placed: bool) -> None:
    program = Program()
    program.block([*[inst(x.NOP, [])] * 46, inst(x.JMP, [])], [1])
    program.block([inst(x.MOV32_I, [RAX], 7), inst(x.JMP_TABLE, [RCX, RDX, RAX], 0)], [1, 2])
    program.block([RET])
    program.vcode.jump_tables.append([1, 2])
    program.vcode.align = [False, placed]
    code = list(cs.disasm(program.emit(SIGNALS).code, 0))
    assert next(i.address for i in code if i.mnemonic == "mov") == (64 if placed else 46)


def rotated(program: Program, off: int = 0) -> list[str]:
    return text(program.emit(Settings(off=off)))


def loop_with_moves() -> Program:
    """Counts rdi down to zero; rax is its value one turn ago."""
    program = Program()
    program.block([inst(x.MOV32_I, [RAX], 7), inst(x.JMP, [])], [1])
    program.block([inst(x.ADD64_I, [RDI, RDI], -1), inst(x.BRANCH, [], x.CC_E)], [3, 2])
    program.block([inst(x.JMP, [])], [1])
    program.block([RET])
    program.moves[2][0] = [copy(RAX, RDI)]
    return program


def test_the_end_of_a_loop_stands_in_front_of_its_head(machine: Machine) -> None:
    program = loop_with_moves()
    lines = rotated(program)
    assert lines == ["mov eax, 7", "jmp 0xa", "mov rax, rdi", "add rdi, -1", "jne 7", "ret"]
    address = machine.load(program.emit(SIGNALS))
    assert [machine.call(address, [turns]).gpr for turns in (1, 2, 5)] == [7, 1, 1]


def test_the_end_of_a_loop_stays_if_it_is_switched_off() -> None:
    lines = rotated(loop_with_moves(), ROTATED_LOOPS)
    assert lines == ["mov eax, 7", "add rdi, -1", "je 0x10", "mov rax, rdi", "jmp 5", "ret"]


def test_the_end_of_a_loop_that_is_moved_is_kept_together_with_it() -> None:
    program = loop_with_moves()
    program.vcode.code.blocks[0].insts[:0] = [inst(x.NOP, [])] * 18
    program.vcode.align = [False, True]
    lines = rotated(program)
    assert lines[18:20] == ["mov eax, 7", "jmp 0x23"]
    code = list(cs.disasm(program.emit(SIGNALS).code, 0))
    assert [i.address for i in code if i.mnemonic == "mov"] == [18, 32]


def test_ends_of_loops_that_stay() -> None:
    # Two ways back to the head.
    program = Program()
    program.block([inst(x.JMP, [])], [1])
    program.block([inst(x.ADD64_I, [RDI, RDI], -1), inst(x.BRANCH, [], x.CC_E)], [2, 3])
    program.block([inst(x.MOV32_I, [RAX], 1), inst(x.JMP, [])], [1])
    program.block([inst(x.MOV32_I, [RAX], 2), inst(x.JMP, [])], [1])
    assert [line for line in rotated(program) if line.startswith("mov")] == ["mov eax, 1", "mov eax, 2"]
    assert rotated(program) == rotated(program, ROTATED_LOOPS)
    # The block before it does not branch.
    program = Program()
    program.block([inst(x.JMP, [])], [1])
    program.block([inst(x.MOV32_I, [RAX], 1), inst(x.JMP, [])], [2])
    program.block([inst(x.MOV32_I, [RAX], 2), inst(x.JMP, [])], [1])
    assert rotated(program) == rotated(program, ROTATED_LOOPS)
