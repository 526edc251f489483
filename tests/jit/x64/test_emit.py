"""Emission of functions put together by hand, most of them run."""

from __future__ import annotations

import itertools
import math
import random
import struct
from bisect import bisect_right

import capstone
import pytest

from brolga.ir import trap_codes
from brolga.ir.source_loc import inlined_loc
from brolga.jit.code import RELOC_FUNC, RELOC_TRAP, CompiledFunction
from brolga.jit.settings import Settings
from brolga.jit.transformations import ROTATED_LOOPS
from brolga.jit.vmctx import ACTIVATION_STACK_LIMIT
from brolga.jit.x64 import insts as x
from brolga.jit.x64.abi import R10, R12, R13, R14, RAX, RBP, RBX, RCX, RDI, RDX, RSI, RSP, XMM0
from brolga.jit.x64.inst import (
    AMODE_CONSTANT,
    AMODE_INCOMING,
    AMODE_OUTGOING,
    AMODE_REGISTERS,
    AMODE_SLOT,
    AMODE_VMCTX,
    Amode,
    Inst,
)
from brolga.regalloc.operand import FIRST_SPILL_SLOT, MOVE_COPY, MOVE_EXCHANGE, MOVE_REMAT, Move

from .machine import Machine, Program, copy, inst

cs = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
SLOT = FIRST_SPILL_SLOT
RET = inst(x.RET, [])
SIGNALS = Settings()


@pytest.fixture(scope="module")
def machine() -> Machine:
    return Machine()


def text(function: CompiledFunction) -> list[str]:
    return [f"{i.mnemonic} {i.op_str}".strip() for i in cs.disasm(function.code[: function.code_size], 0)]


# Frames -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("saved", [[], [RBX], [RBX, RBP, R12, R13, R14]])
@pytest.mark.parametrize("slots", [0, 1, 511, 512, 513, 2000, 4095, 4096, 4097, 6000])
@pytest.mark.parametrize("guard", [True, False])
def test_frame_table_holds_at_every_instruction(machine: Machine, saved: list[int], slots: int, guard: bool) -> None:
    program = Program()
    program.spill_slots = slots
    program.used_registers = sum(1 << register for register in saved) | 1 << RAX
    insts = [inst(x.MOV64_I, [register], register) for register in saved]
    # Two returns, the second after the code of the first, where the frame is full again.
    program.block([*insts, inst(x.TEST64, [RDI, RDI]), inst(x.BRANCH, [], x.CC_E)], [1, 2])
    program.block([inst(x.MOV64, [RAX, RDI]), RET])
    program.block([inst(x.MOV64_I, [RAX], 5), inst(x.MOV64, [RAX, RAX]), RET])
    function = program.emit(Settings(stack_guard=guard, signals=False))
    address = machine.load(function)
    activation = struct.pack("<Q", 0) * 4
    machine.context[:8] = struct.pack("<Q", machine.put(activation))
    visited: set[int] = set()
    for argument in (0, 1):
        steps = machine.single_step(address, function, [argument])
        assert not steps.wrong
        assert steps.preserved
        visited |= set(steps.offsets)
        assert machine.call(address, [argument]).gpr == (5 if argument else 0)
    not_run = {i.address for i in cs.disasm(function.code[: function.code_size], 0)} - visited
    assert len(not_run) == (0 if guard else 2)  # the overflow stub


def test_large_frames_touch_each_page() -> None:
    for slots in (512, 513, 1024, 1025, 4096, 5000):
        program = Program()
        program.spill_slots = slots
        program.block([RET])
        function = program.emit(SIGNALS)
        lines = text(function)
        probes = [line for line in lines if line.startswith("test dword ptr")]
        pages = 8 * slots // 4096 if 8 * slots > 4096 else 0
        if pages <= 8:
            assert probes == [f"test dword ptr [rsp - {page * 4096:#x}], eax" for page in range(1, pages + 1)]
        else:
            assert probes == ["test dword ptr [r10], eax"]
            assert f"lea r11, [rsp - {pages * 4096:#x}]" in lines
        assert list(function.trap_codes) == [trap_codes.STACK_OVERFLOW] * len(probes)


def test_stack_limit(machine: Machine) -> None:
    program = Program()
    program.spill_slots = 100
    program.block([inst(x.LEA64, [RAX], 0, Amode(AMODE_OUTGOING)), RET])
    function = program.emit(Settings(stack_guard=False, signals=False))
    address = machine.load(function)
    activation = machine.put(bytes(64))
    machine.context[:8] = struct.pack("<Q", activation)
    lowest = machine.call(address).gpr
    at = activation - machine.address + ACTIVATION_STACK_LIMIT
    for limit, code in ((lowest, -1), (lowest + 8, trap_codes.STACK_OVERFLOW), ((1 << 63), trap_codes.STACK_OVERFLOW)):
        machine.memory[at : at + 8] = struct.pack("<Q", limit)
        assert machine.call(address).trap(function) == code
    offset = function.trap_offsets[function.trap_codes.index(trap_codes.STACK_OVERFLOW)]
    index = max(i for i, o in enumerate(function.frame_offsets) if o <= offset)
    assert function.frame_sizes[index] == 0


def early_exit(spill_slots: int = 3) -> Program:
    """Block 1 has the frame; 2 is a way around it; they meet in 3, which reads a stack argument."""
    program = Program()
    program.spill_slots = spill_slots
    program.used_registers = 1 << RBX | 1 << R12
    program.block([inst(x.TEST64, [RDI, RDI]), inst(x.BRANCH, [], x.CC_E)], [2, 1])
    stack_argument = Amode(AMODE_INCOMING, displacement=0)
    use = [inst(x.MOV64_I, [RBX], 5), inst(x.MOV64_I, [R12], 6), inst(x.MOV64, [RCX], 0, stack_argument)]
    program.block([*use, inst(x.ADD64, [RCX, RCX, RBX]), inst(x.JMP, [])], [3])
    program.block([inst(x.MOV64, [RCX], 0, stack_argument), inst(x.JMP, [])], [3])
    program.block([inst(x.MOV64, [RAX], 0, stack_argument), inst(x.SUB64, [RCX, RCX, RAX]), inst(x.MOV64, [RAX, RCX]), RET])
    program.moves[1][3] = [copy(SLOT, RBX), copy(SLOT + spill_slots - 1, R12)]
    program.framed = [False, True, False, False]
    return program


@pytest.mark.parametrize("limit", [False, True])
def test_frame_on_one_path(machine: Machine, limit: bool) -> None:
    function = early_exit().emit(Settings(stack_limit=limit, signals=False))
    address = machine.load(function)
    machine.context[:8] = struct.pack("<Q", machine.put(bytes(32)))
    executed = []
    for argument, result in ((0, 0), (1, 5)):
        steps = machine.single_step(address, function, [argument])
        assert not steps.wrong
        assert steps.preserved
        executed.append(set(steps.offsets))
        assert machine.call(address, [argument]).gpr == result
    saves = {i.address for i in cs.disasm(function.code[: function.code_size], 0) if i.mnemonic in ("push", "pop")}
    assert len(saves) == 4
    assert not saves & executed[0] and saves < executed[1]


def test_frames_that_need_registers_are_made_at_the_entry() -> None:
    """A loop over many pages counts in r10 and r11, which blocks may use."""
    assert text(early_exit(4096).emit(SIGNALS))[0] == "test rdi, rdi"
    assert text(early_exit(4608).emit(SIGNALS))[0] == "push rbx"
    assert text(early_exit(4608).emit(Settings(stack_guard=False, signals=False)))[4] == "test rdi, rdi"


def test_blocks_that_change_the_frame_are_not_skipped() -> None:
    program = Program()
    program.used_registers = 1 << RBX
    program.block([inst(x.BRANCH, [], x.CC_E)], [1, 2])
    program.block([inst(x.JMP, [])], [3])
    program.block([inst(x.JMP, [])], [3])
    program.block([inst(x.MOV32_I, [RBX], 1), RET])
    program.framed = [False, False, True, True]
    assert text(program.emit(SIGNALS)) == ["jne 5", *["push rbx", "jmp 6"], "push rbx", "mov ebx, 1", "pop rbx", "ret"]


def test_returns_with_and_without_the_frame() -> None:
    """A jump to a return without the frame, out of a block with it, takes the frame down."""
    program = Program()
    program.used_registers = 1 << RBX
    program.block([inst(x.BRANCH, [], x.CC_E)], [1, 2])
    program.block([inst(x.MOV32_I, [RAX], 1), inst(x.JMP, [])], [3])
    program.block([inst(x.MOV32_I, [RBX], 2), inst(x.JMP, [])], [3])
    program.block([RET])
    program.framed = [False, False, True, False]
    lines = text(program.emit(SIGNALS))
    assert lines[1:] == [*["mov eax, 1", "ret"], *["push rbx", "mov ebx, 2", "pop rbx", "ret"]]


def test_traps_with_and_without_the_frame() -> None:
    """One place in wasm, two sizes of the frame: two stubs."""
    program = early_exit()
    for block in (1, 3):
        program.vcode.code.blocks[block].insts.insert(
            0, inst(x.TRAP_IF, [], x.CC_E, None, trap_codes.INTEGER_OVERFLOW, 11)
        )
    program.moves[1] = {}
    function = program.emit(SIGNALS)
    sizes = [function.frame_sizes[bisect_right(function.frame_offsets, at) - 1] for at in function.trap_offsets]
    assert sizes == [40, 0]


def test_frame_areas_do_not_overlap(machine: Machine) -> None:
    program = Program()
    program.vcode.outgoing_bytes = 20
    slots = [program.vcode.new_slot() for _ in range(2)]
    program.spill_slots = 2
    areas = [Amode(AMODE_OUTGOING, displacement=8 * i) for i in range(3)]
    areas += [Amode(AMODE_SLOT, displacement=i) for i in slots]
    write = [inst(x.MOV64_MI, [], i + 1, amode) for i, amode in enumerate(areas)]
    write += [inst(x.MOV64_I, [RCX], 100), inst(x.MOV64_I, [RDX], 1000)]
    read = [inst(x.MOV64_I, [RAX], 0)]
    read += [inst(x.ADD64, [RAX, RAX], 0, amode) for amode in areas]
    read += [inst(x.ADD64, [RAX, RAX, SLOT]), inst(x.ADD64, [RAX, RAX, SLOT + 1]), RET]
    program.block([*write, *read])
    program.moves[0][len(write)] = [copy(SLOT, RCX), copy(SLOT + 1, RDX)]
    program.used_registers = 1 << RBX
    address = machine.load(program.emit())
    assert machine.call(address).gpr == 1 + 2 + 3 + 4 + 5 + 1100


def test_stack_arguments_and_results(machine: Machine) -> None:
    callee = Program()
    callee.spill_slots = 3
    callee.used_registers = 1 << RBX | 1 << R12
    callee.block(
        [
            inst(x.MOV64, [RAX], 0, Amode(AMODE_INCOMING)),
            inst(x.SUB64, [RAX, RAX], 0, Amode(AMODE_INCOMING, displacement=8)),
            inst(x.MOV64_MR, [RAX], 0, Amode(AMODE_INCOMING, displacement=16)),
            RET,
        ]
    )
    callee_address = machine.load(callee.emit())
    for op in (x.CALL, x.CALL_RM):
        caller = Program()
        caller.vcode.reserve_outgoing(24)
        caller.vcode.reserve_outgoing(8)
        call = inst(x.CALL, [], 3) if op == x.CALL else inst(x.CALL_RM, [RDX], 0)
        if op == x.CALL_RM:
            call.operands, call.locations, call.imm = [0, 1, 2], [RAX, RDI, RDX], 2
        caller.block(
            [
                inst(x.MOV64_MR, [RDI], 0, Amode(AMODE_OUTGOING)),
                inst(x.MOV64_MR, [RSI], 0, Amode(AMODE_OUTGOING, displacement=8)),
                call,
                inst(x.MOV64_I, [RAX], 0),
                inst(x.MOV64, [RAX], 0, Amode(AMODE_OUTGOING, displacement=16)),
                RET,
            ]
        )
        function = caller.emit()
        if op == x.CALL:
            assert [(r.kind, r.target) for r in function.relocations] == [(RELOC_FUNC, 3)]
        address = machine.load(function, {3: callee_address})
        assert machine.call(address, [1000, 1, callee_address]).gpr == 999


# Moves ------------------------------------------------------------------------------------------------------------


def test_moves_of_all_kinds(machine: Machine) -> None:
    program = Program()
    program.spill_slots = 40
    code = program.vcode.code
    code.new_vreg(0)
    constant = code.new_vreg(0)
    code.remat[constant] = inst(x.MOV64_I, [9], 0x123456789ABC)
    pooled = code.new_vreg(1)
    number = program.vcode.constant(struct.unpack("<Q", struct.pack("<d", 2.5))[0], 8)
    code.remat[pooled] = inst(x.MOVSD, [16], 0, Amode(AMODE_CONSTANT, displacement=number))
    program.block([RET])
    program.moves[0][0] = [
        copy(SLOT, RDI),
        copy(SLOT + 39, SLOT),  # through xmm15
        copy(RCX, SLOT + 39),
        copy(R10, RCX),
        copy(R10, R10),
        Move(MOVE_EXCHANGE, R10, RSI, 0),  # rsi: first argument, r10: second
        copy(RAX, RSI),
        Move(MOVE_REMAT, -1, RDX, constant),
        copy(XMM0 + 3, XMM0),
        Move(MOVE_REMAT, -1, XMM0, pooled),
        copy(SLOT + 1, XMM0),
        copy(XMM0 + 9, SLOT + 1),
        copy(XMM0 + 1, XMM0 + 9),
    ]
    program.vcode.code.blocks[0].insts[:0] = []
    check = program.vcode.code.blocks[0]
    check.insts = [
        inst(x.SUB64, [RAX, RAX, R10]),
        inst(x.SUB64, [RAX, RAX, RDX]),
        inst(x.ADDSD, [XMM0, XMM0, XMM0 + 1]),
        inst(x.ADDSD, [XMM0, XMM0, XMM0 + 3]),
        RET,
    ]
    result = machine.call(machine.load(program.emit()), [77, 5], [struct.pack("<d", 100.0)])
    assert result.gpr == (77 - 5 - 0x123456789ABC) % (1 << 64)
    assert result.f64 == 105.0


def test_moves_leave_the_flags_alone(machine: Machine) -> None:
    program = Program()
    program.spill_slots = 2
    code = program.vcode.code
    vreg = code.new_vreg(0)
    code.remat[vreg] = inst(x.MOV32_I, [9], 0)
    setter = [inst(x.MOV64_I, [RAX], 1), inst(x.CMP64, [RDI, RSI])]
    program.block([*setter, inst(x.SETCC_LOW, [RAX, RAX], x.CC_B), RET])
    program.moves[0][2] = [
        copy(SLOT, RDI),
        copy(SLOT + 1, SLOT),
        copy(RCX, RDI),
        Move(MOVE_EXCHANGE, RCX, RDI, 0),
        Move(MOVE_REMAT, -1, RDX, vreg),
        copy(XMM0 + 1, XMM0),
    ]
    address = machine.load(program.emit())
    assert machine.call(address, [1, 2]).gpr == 1
    assert machine.call(address, [2, 1]).gpr == 0


def test_needless_copies_are_left_out() -> None:
    program = Program()
    program.block(
        [
            inst(x.MOV64, [RAX, RAX]),
            inst(x.MOVAPS, [XMM0, XMM0]),
            inst(x.MOV32, [RCX, RCX]),  # clears the upper half
            inst(x.XMM_CMOV, [XMM0, XMM0, XMM0], 3),
            RET,
        ]
    )
    program.moves[0][1] = [Move(MOVE_COPY, RDX, RDX, 0)]
    assert text(program.emit(SIGNALS)) == ["mov ecx, ecx", "ret"]


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


def double(value: float) -> bytes:
    return struct.pack("<d", value)


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
    program.block([*body, *[inst(x.MOV32_I, [RAX], 2)] * 3, *[inst(x.NOP, [])] * size, inst(x.BRANCH, [], x.CC_E)], [2, 3])
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


# Traps and side tables --------------------------------------------------------------------------------------------


def test_where_traps_are_noted() -> None:
    load = inst(x.MOV32, [RAX, RDI], 0, Amode(AMODE_REGISTERS, 1), trap_codes.MEMORY_OUT_OF_BOUNDS, 10)
    same = [inst(x.TRAP_IF, [], cc, None, trap_codes.INTEGER_OVERFLOW, 11) for cc in (x.CC_E, x.CC_NE_OR_P)]
    other_code = inst(x.TRAP_IF, [], x.CC_B, None, trap_codes.BAD_SIGNATURE, 11)
    other_loc = inst(x.TRAP_IF, [], x.CC_B, None, trap_codes.BAD_SIGNATURE, 12)
    convert = inst(x.CVTSI2SD32, [XMM0, RDI], 0, Amode(AMODE_REGISTERS, 1), trap_codes.MEMORY_OUT_OF_BOUNDS, 13)
    program = Program()
    program.block([load, *same, other_code, other_loc, convert, inst(x.TRAP, [], 0, None, trap_codes.UNREACHABLE, 14)])
    function = program.emit(SIGNALS)
    code = {i.address: i for i in cs.disasm(function.code, 0)}
    at = dict(zip(function.trap_offsets, function.trap_codes, strict=True))
    assert list(function.trap_offsets) == sorted(at)
    assert [(code[o].mnemonic, c) for o, c in at.items()] == [
        ("mov", trap_codes.MEMORY_OUT_OF_BOUNDS),
        ("cvtsi2sd", trap_codes.MEMORY_OUT_OF_BOUNDS),
        ("call", trap_codes.UNREACHABLE),
        ("call", trap_codes.INTEGER_OVERFLOW),
        ("call", trap_codes.BAD_SIGNATURE),
        ("call", trap_codes.BAD_SIGNATURE),
    ]

    def loc(offset: int) -> int:
        return [l for o, l in zip(function.source_offsets, function.source_locs, strict=True) if o <= offset][-1]

    assert [loc(offset) for offset in at] == [10, 13, 14, 11, 11, 12]
    assert list(function.source_locs) == [-1, 10, 11, 12, 13, 14, 11, 11, 12, -1]
    *branches, last = [i for i in code.values() if i.mnemonic[0] == "j"]
    targets = [int(i.op_str, 0) for i in branches]
    assert [at[target] for target in targets] == [trap_codes.INTEGER_OVERFLOW] * 3 + [trap_codes.BAD_SIGNATURE] * 2
    assert {int(i.op_str, 0) for i in code.values() if i.mnemonic == "call"} == {last.address}
    assert [(r.kind, r.offset) for r in function.relocations] == [(RELOC_TRAP, last.address + 1)]
    assert (list(function.frame_offsets), list(function.frame_sizes)) == ([0], [0])


def test_where_bodies_were_inlined() -> None:
    """Location and call of each instruction, out of line too; two calls of one function in a row are two."""
    first, second = inlined_loc(0x30, 0x10), inlined_loc(0x40, 0x10)
    program = Program()
    program.vcode.inlined = {0x30: 5, 0x40: 5}
    program.block(
        [
            inst(x.MOV32_I, [RAX], 1, None, -1, 0x20),
            inst(x.TRAP_IF, [], x.CC_E, None, trap_codes.INTEGER_OVERFLOW, first),
            inst(x.TRAP_IF, [], x.CC_NE, None, trap_codes.INTEGER_OVERFLOW, second),
            inst(x.TRAP, [], 0, None, trap_codes.UNREACHABLE, 0x50),
        ]
    )
    function = program.emit(SIGNALS)
    assert list(function.source_locs) == [-1, 0x20, 0x10, 0x10, 0x50, 0x10, 0x10, -1]
    places = dict(zip(function.inline_offsets, zip(function.inline_calls, function.inline_funcs)))
    expected = [(0x30, 5), (0x40, 5), (-1, -1), (0x30, 5), (0x40, 5), (-1, -1)]
    assert places == dict(zip(function.source_offsets[2:], expected, strict=True))
    assert list(function.inline_offsets) == sorted(places)


def test_traps_are_calls(machine: Machine) -> None:
    program = Program()
    program.spill_slots = 3
    program.used_registers = 1 << RBX
    program.block(
        [
            inst(x.TEST64, [RDI, RDI]),
            inst(x.TRAP_IF, [], x.CC_E, None, trap_codes.INTEGER_DIVISION_BY_ZERO, 1),
            inst(x.CMP64_I, [RDI], 5),
            inst(x.TRAP_IF, [], x.CC_E, None, trap_codes.NULL_REFERENCE, 2),
            inst(x.TRAP, [], 0, None, trap_codes.UNREACHABLE, 3),
        ]
    )
    function = program.emit()
    assert [r.kind for r in function.relocations] == [RELOC_TRAP]
    address = machine.load(function)
    codes = [machine.call(address, [value]).trap(function) for value in (0, 5, 6)]
    assert codes == [trap_codes.INTEGER_DIVISION_BY_ZERO, trap_codes.NULL_REFERENCE, trap_codes.UNREACHABLE]
    assert max(function.trap_offsets) < function.code_size


def test_false_dependencies_are_broken() -> None:
    memory = Amode(AMODE_VMCTX, displacement=8)
    program = Program()
    program.block(
        [
            inst(x.SQRTSD, [XMM0 + 1, XMM0 + 2]),
            inst(x.SQRTSD, [XMM0 + 1, XMM0 + 1]),
            inst(x.SQRTSD, [XMM0 + 1], 0, memory),
            inst(x.CVTSI2SD64, [XMM0 + 3, RAX]),
            inst(x.VSQRTSD, [XMM0 + 1, XMM0 + 2]),
            inst(x.VSQRTSD, [XMM0 + 1], 0, memory),
            inst(x.VSQRTSD, [XMM0 + 1, SLOT]),
            inst(x.VCVTSI2SD64, [XMM0 + 3, RAX]),
            RET,
        ]
    )
    program.spill_slots = 1
    assert text(program.emit(SIGNALS))[1:-2] == [
        "xorps xmm1, xmm1",
        "sqrtsd xmm1, xmm2",
        "sqrtsd xmm1, xmm1",
        "xorps xmm1, xmm1",
        "sqrtsd xmm1, qword ptr [r15 + 8]",
        "xorps xmm3, xmm3",
        "cvtsi2sd xmm3, rax",
        "vsqrtsd xmm1, xmm2, xmm2",
        "vsqrtsd xmm1, xmm15, qword ptr [r15 + 8]",
        "vsqrtsd xmm1, xmm15, qword ptr [rsp]",
        "vcvtsi2sd xmm3, xmm15, rax",
    ]


def test_constants_in_use_are_emitted(machine: Machine) -> None:
    program = Program()
    constant = program.vcode.constant
    assert constant(5, 8) == constant(5, 8) != constant(5, 4)
    mask = constant((1 << 127) - 1 - (1 << 126), 16)
    program.block(
        [
            inst(x.MOVSD, [XMM0 + 1], 0, Amode(AMODE_CONSTANT, displacement=constant(0xBFF8 << 48, 8))),
            inst(x.ADDSD, [XMM0, XMM0, XMM0 + 1]),
            inst(x.ANDPS, [XMM0, XMM0], 0, Amode(AMODE_CONSTANT, displacement=mask)),
            RET,
        ]
    )
    function = program.emit()
    assert len(function.code) == (function.code_size + 15) // 16 * 16 + 24
    assert machine.call(machine.load(function), [], [double(0.5)]).f64 == -1.0


def test_rsp_is_restored() -> None:
    program = Program()
    program.vcode.fixed_slots = 1
    program.used_registers = 1 << RBX | 1 << RBP | 1 << RSP
    program.block([RET])
    lines = text(program.emit(SIGNALS))
    assert lines == ["push rbx", "push rbp", "sub rsp, 8", "add rsp, 8", "pop rbp", "pop rbx", "ret"]
