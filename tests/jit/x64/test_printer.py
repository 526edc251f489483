"""Text of machine code before and after allocation."""

from __future__ import annotations

from brolga.ir import trap_codes
from brolga.jit.x64 import insts as x
from brolga.jit.x64.abi import RAX, RCX, RDI, RDX
from brolga.jit.x64.inst import AMODE_CONSTANT, AMODE_INCOMING, AMODE_REGISTERS, AMODE_SLOT, AMODE_VMCTX, Amode, Inst
from brolga.jit.x64.printer import print_allocated, print_inst, print_vcode
from brolga.jit.x64.vcode import VCode
from brolga.regalloc.operand import (
    DEF,
    FIRST_SPILL_SLOT,
    MOVE_EXCHANGE,
    MOVE_REMAT,
    USE,
    Allocation,
    Code,
    MachineBlock,
    Move,
    Shape,
)

from .machine import copy


def make() -> VCode:
    """Two blocks, a loop, and an exit; every kind of operand."""
    code = Code("f")
    vcode = VCode(0, code)
    for _ in range(12):
        code.new_vreg(0)
    code.remat[5] = Inst(x.MOV32_I, [5], x.SHAPE_REG[x.MOV32_I], 0x1234)
    call = Inst(x.CALL, [6, 7], Shape([DEF, USE], [RAX, RDI]), 3)
    ret = Inst(x.RET, [6], Shape([USE], [RAX]))
    load = Amode(AMODE_REGISTERS, 2, 3, 2, 16, gs=True, address32=True)
    contents: list[list[Inst]] = [
        [call, Inst(x.JMP, [], x.SHAPE_REG[x.JMP])],
        [
            Inst(x.ADD32, [1, 0, 2, 3], x.SHAPE_MEM[x.ADD32], 0, load, -1, trap_codes.MEMORY_OUT_OF_BOUNDS, 0x1F3),
            Inst(x.IDIV64, [0, 1, 2, 3, 4], x.SHAPE_REG[x.IDIV64]),
            Inst(x.CMP32_I, [1], x.SHAPE_REG[x.CMP32_I], 0xFFFF_FFFF),
            Inst(x.BRANCH, [], x.SHAPE_REG[x.BRANCH], x.CC_NE),
        ],
        [ret],
    ]
    for number, insts in enumerate(contents):
        block = MachineBlock(number)
        block.insts.extend(insts)
        code.blocks.append(block)
    code.blocks[0].succs, code.blocks[0].branch_args = [1], [6]
    code.blocks[1].succs, code.blocks[1].preds, code.blocks[1].params = [1, 2], [0, 1], [9]
    code.blocks[1].loop_depth = 1
    code.blocks[2].preds = [1]
    vcode.cold = [False, False, True]
    return vcode


BEFORE = """\
block0: ; passes v6
    v6=rax <- call func3 (v7=rdi)
    jmp block1
block1: (v9) <- block0 block1 ; depth 1
    add.32 v1:v0, dword ptr addr32 gs:[v2 + v3*4 + 0x10]    ; @1f3 trap heap_oob
    idiv.64 v0:v2=rax, v1:v3=rdx, v4?
    cmp.32 v1?, -1
    br ne, block1, block2
block2: <- block1 ; cold
    ret (v6=rax)
"""

AFTER = """\
block0: ; passes v6
    ~ mov slot1, rcx    ; v0
    ~ xchg rdx, rcx
    ~ mov ecx, 0x1234
    call func3
    jmp block1
block1: (v9) <- block0 block1 ; depth 1
    add eax, dword ptr gs:[ecx + edx*4 + 0x10]    ; @1f3 trap heap_oob
    idiv qword ptr [slot0]
    cmp r9d, -1
    br ne, block1, block2
block2: <- block1 ; cold
    ret
"""


def test_before_and_after_allocation() -> None:
    vcode = make()
    assert print_vcode(vcode) == BEFORE
    locations = [
        [[RAX, RDI], []],
        [[RAX, RAX, RCX, RDX], [RAX, RDX, RAX, RDX, FIRST_SPILL_SLOT], [9], []],
        [[RAX]],
    ]
    for block, places in zip(vcode.code.blocks, locations, strict=True):
        for inst, place in zip(block.insts, places, strict=True):
            inst.locations = place
    moves = [copy(FIRST_SPILL_SLOT + 1, RCX), Move(MOVE_EXCHANGE, RCX, RDX, 0), Move(MOVE_REMAT, -1, RCX, 5)]
    assert print_allocated(vcode, Allocation([{0: moves}, {}, {}], 2, 0)) == AFTER


def test_addresses() -> None:
    vcode = make()
    number = vcode.constant(0x3FF0_0000, 4)
    texts = {
        "[r15 + 0x28]": Amode(AMODE_VMCTX, displacement=40),
        "[incoming + 8]": Amode(AMODE_INCOMING, displacement=8),
        "[fixed2]": Amode(AMODE_SLOT, displacement=2),
        "[0x3ff00000]": Amode(AMODE_CONSTANT, displacement=number),
        "[v8 - 0x80]": Amode(AMODE_REGISTERS, 1, displacement=-128),
        "[v8*8 + 1]": Amode(AMODE_REGISTERS, -1, 1, 3, 1),
        "[r14 + v8]": Amode(AMODE_REGISTERS, -1, 1, fixed_base=14),
        "gs:[0x100]": Amode(AMODE_REGISTERS, displacement=256, gs=True),
    }
    for text, amode in texts.items():
        inst = Inst(x.MOV64, [7, 8], x.SHAPE_MEM[x.MOV64], 0, amode)
        assert print_inst(vcode, inst) == f"mov.64 v7, qword ptr {text}"
