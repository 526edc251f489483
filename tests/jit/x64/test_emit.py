"""Emission of functions put together by hand, most of them run: frames, moves, traps and side tables."""

from __future__ import annotations

import struct
from bisect import bisect_right

import pytest

from brolga.ir import trap_codes
from brolga.ir.source_loc import inlined_loc
from brolga.jit.code import RELOC_FUNC, RELOC_TRAP
from brolga.jit.settings import Settings
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
)
from brolga.regalloc.operand import MOVE_COPY, MOVE_EXCHANGE, MOVE_REMAT, Move

from .machine import RET, SIGNALS, SLOT, Machine, Program, copy, cs, double, inst, text

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
    program.block(
        [inst(x.MOV64, [RAX], 0, stack_argument), inst(x.SUB64, [RCX, RCX, RAX]), inst(x.MOV64, [RAX, RCX]), RET]
    )
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
