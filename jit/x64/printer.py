"""Text of machine instructions, over virtual registers and over allocated ones, for dumps and golden tests.

Over virtual registers, the width stands behind the mnemonic and an operand that is read and written shows both, `v5:v3`:

    block1: (v7) <- block0 block2 ; depth 1
        add.32 v5:v3, dword ptr gs:[v1 + 16]    ; @1f3 trap heap_oob
        br ne, block1, block2

Over locations, it is Intel's syntax; operands that the encoding does not name are left out; moves of the allocator are
marked with `~`. Slots are `slot3`, constants are shown by their bits.
"""

from __future__ import annotations

from typing import Final

from brolga.ir.source_loc import format_loc
from brolga.ir.trap_codes import TRAP_NAMES
from brolga.regalloc.operand import (
    ANY_LOCATION,
    DEF,
    FIRST_SPILL_SLOT,
    FIRST_VECTOR_REGISTER,
    MOVE_COPY,
    MOVE_EXCHANGE,
    Allocation,
    MachineBlock,
    Move,
)

from .inst import (
    AMODE_CONSTANT,
    AMODE_INCOMING,
    AMODE_OUTGOING,
    AMODE_REGISTERS,
    AMODE_SLOT,
    AMODE_VMCTX,
    Amode,
    Inst,
)
from .insts import (
    ARGS,
    BRANCH,
    CALL,
    CALL_CONTEXT,
    CALL_RM,
    CC_NAMES,
    JMP,
    JMP_TABLE,
    RET,
    ROWS,
    SHAPE_MEM,
    SHAPE_REG,
    SREM32,
    SREM64,
)
from .regs import REG64, location_name, register_name
from .row import (
    KIND_CC,
    KIND_IMM,
    KIND_MEM,
    KIND_NAMED,
    KIND_REG,
    KIND_RM,
    KIND_XM,
    ROLE_USE,
    ROLE_USE_DEF,
    OperandSpec,
    Row,
)
from .vcode import VCode

# Rows whose operands are as the client makes them.
_CLIENT_SHAPES: Final = frozenset((ARGS, CALL, CALL_CONTEXT, CALL_RM, RET, SREM32, SREM64))

_POINTER: Final = {8: "byte ptr ", 16: "word ptr ", 32: "dword ptr ", 64: "qword ptr ", 128: "xmmword ptr "}


def print_vcode(vcode: VCode) -> str:
    """The code before allocation."""
    lines: list[str] = []
    for block in vcode.code.blocks:
        lines.append(_block_head(vcode, block))
        lines += ["    " + print_inst(vcode, inst, block) for inst in block.insts if isinstance(inst, Inst)]
    return "\n".join(lines) + "\n"


def print_allocated(vcode: VCode, allocation: Allocation) -> str:
    """The code after allocation, with the allocator's moves."""
    lines: list[str] = []
    for block in vcode.code.blocks:
        head = _block_head(vcode, block)
        if allocation.framed and not allocation.framed[block.number]:
            head += (", " if " ; " in head else " ; ") + "without frame"
        lines.append(head)
        moves = allocation.moves[block.number]
        for position, inst in enumerate(block.insts):
            lines += ["    ~ " + print_move(vcode, move) for move in moves.get(position, [])]
            assert isinstance(inst, Inst)
            lines.append("    " + print_inst(vcode, inst, block, inst.locations))
    return "\n".join(lines) + "\n"


def print_move(vcode: VCode, move: Move) -> str:
    source, destination = location_name(move.source), location_name(move.destination)
    if move.kind == MOVE_EXCHANGE:
        return f"xchg {destination}, {source}"
    if move.kind == MOVE_COPY:
        vector = FIRST_VECTOR_REGISTER <= min(move.source, move.destination) < FIRST_SPILL_SLOT
        return f"{'movaps' if vector else 'mov'} {destination}, {source}    ; v{move.vreg}"
    inst = vcode.code.remat[move.vreg]
    assert isinstance(inst, Inst)
    return print_inst(vcode, inst, None, [move.destination])


def print_inst(
    vcode: VCode | None, inst: Inst, block: MachineBlock | None = None, locations: list[int] | None = None
) -> str:
    """One instruction; over virtual registers if `locations` is None."""
    op = inst.op
    row = ROWS[op]
    if op in _CLIENT_SHAPES:
        text = _call(vcode, inst, row, locations)
    elif op == JMP:
        text = f"jmp block{block.succs[0]}" if block else "jmp"
    elif op == BRANCH:
        text = f"br {CC_NAMES[inst.imm]}"
        if block:
            text += f", block{block.succs[0]}, block{block.succs[1]}"
    else:
        text = _plain(vcode, inst, row, locations)
        if op == JMP_TABLE and vcode:
            text += ", [" + " ".join([f"block{n}" for n in vcode.jump_tables[inst.imm]]) + "]"
    comments = ""
    if inst.loc >= 0:
        comments += f" @{format_loc(inst.loc)}"
    if inst.trap >= 0:
        comments += f" trap {TRAP_NAMES[inst.trap]}"
    return f"{text}    ;{comments}" if comments else text


def _block_head(vcode: VCode, block: MachineBlock) -> str:
    number = block.number
    text = f"block{number}:"
    if block.params:
        text += " (" + " ".join([f"v{param}" for param in block.params]) + ")"
    if block.preds:
        text += " <- " + " ".join([f"block{pred}" for pred in block.preds])
    notes = []
    if block.branch_args:
        notes.append("passes " + " ".join([f"v{arg}" for arg in block.branch_args]))
    if block.loop_depth:
        notes.append(f"depth {block.loop_depth}")
    if number < len(vcode.cold) and vcode.cold[number]:
        notes.append("cold")
    if number < len(vcode.align) and vcode.align[number]:
        notes.append("aligned")
    return f"{text} ; {', '.join(notes)}" if notes else text


def _plain(vcode: VCode | None, inst: Inst, row: Row, locations: list[int] | None) -> str:
    """Operands in the order of the row's text."""
    memory = inst.amode is not None
    shape = SHAPE_MEM[inst.op] if memory else SHAPE_REG[inst.op]
    definition = 0
    use = shape.kinds.count(DEF)
    mnemonic = row.mnemonic
    texts: list[str] = []
    for spec in row.operands:
        if spec.kind == KIND_CC:
            mnemonic += CC_NAMES[inst.imm]
        elif spec.kind == KIND_IMM:
            texts.append(_immediate(inst.imm, spec, row))
        elif spec.kind == KIND_NAMED:
            texts.append(REG64[spec.fixed])
        elif spec.kind == KIND_MEM or memory and spec.kind in (KIND_RM, KIND_XM):
            assert inst.amode is not None
            texts.append(_POINTER.get(spec.width, "") + _address(vcode, inst.amode, inst.operands, locations))
        else:
            at, other = definition, -1
            if spec.role == ROLE_USE:
                at = use
                use += 1
            else:
                definition += 1
                if spec.role == ROLE_USE_DEF:
                    other = use
                    use += 1
            if locations is None:
                text = f"v{inst.operands[at]}" + (f":v{inst.operands[other]}" if other >= 0 else "")
                if spec.fixed >= 0:
                    text += "=" + register_name(spec.fixed, spec.width)
                elif shape.constraints[at] == ANY_LOCATION:
                    text += "?"
                texts.append(text)
            elif spec.fixed < 0 or spec.width == 8:  # cl is written, rax and rdx are not
                texts.append(_location(locations[at], spec))
    if locations is None:
        widths = [spec.width for spec in row.operands if spec.kind in (KIND_REG, KIND_RM)]
        if widths:
            mnemonic += f".{widths[0]}"
    elif row.encoding_text.endswith("/rr"):
        texts += texts
    return f"{mnemonic} {', '.join(texts)}" if texts else mnemonic


def _call(vcode: VCode | None, inst: Inst, row: Row, locations: list[int] | None) -> str:
    """Operands by their constraints: `v9=rax <- call func3 (v3=rdi)`."""
    text = row.mnemonic
    if inst.op == CALL:
        text += f" func{inst.imm}"
    elif inst.op == CALL_RM and inst.amode is not None:
        text += " qword ptr " + _address(vcode, inst.amode, inst.operands, locations)
    elif inst.op in (CALL_RM, CALL_CONTEXT):
        text += f" v{inst.operands[inst.imm]}" if locations is None else " " + location_name(locations[inst.imm])
    if inst.op == CALL_CONTEXT:
        context = inst.imm + 1
        text += f", v{inst.operands[context]}" if locations is None else ", " + location_name(locations[context])
    if locations is not None:
        if inst.op in (SREM32, SREM64):
            text += " " + location_name(locations[3])
        return text
    shape = inst.shape
    definitions: list[str] = []
    uses: list[str] = []
    for vreg, kind, constraint in zip(inst.operands, shape.kinds, shape.constraints, strict=False):
        operand = f"v{vreg}={location_name(constraint)}" if constraint >= 0 else f"v{vreg}"
        (definitions if kind == DEF else uses).append(operand)
    if definitions:
        text = f"{' '.join(definitions)} <- {text}"
    return f"{text} ({' '.join(uses)})" if uses else text


def _immediate(imm: int, spec: OperandSpec, row: Row) -> str:
    if spec.signed:
        width = row.imm_width
        if imm >> (width - 1) > 0:
            imm -= 1 << width
    return str(imm) if -10 < imm < 10 else hex(imm)


def _location(location: int, spec: OperandSpec) -> str:
    if location >= FIRST_SPILL_SLOT:
        return _POINTER.get(spec.width, "") + f"[{location_name(location)}]"
    return register_name(location, spec.width or 128)


def _address(vcode: VCode | None, amode: Amode, operands: list[int], locations: list[int] | None) -> str:
    displacement = amode.displacement
    parts: list[str] = []
    kind = amode.kind
    if kind == AMODE_CONSTANT:
        return f"[{vcode.constants[displacement]:#x}]" if vcode else f"[constant{displacement}]"
    if kind == AMODE_SLOT:
        return f"[fixed{displacement}]"
    if kind == AMODE_VMCTX:
        parts.append("r15")
    elif kind == AMODE_OUTGOING:
        parts.append("rsp")
    elif kind == AMODE_INCOMING:
        parts.append("incoming")
    else:
        assert kind == AMODE_REGISTERS
        width = 32 if amode.address32 else 64
        if amode.base >= 0:
            parts.append(
                f"v{operands[amode.base]}" if locations is None else register_name(locations[amode.base], width)
            )
        elif amode.fixed_base >= 0:
            parts.append(register_name(amode.fixed_base, width))
        if amode.index >= 0:
            name = f"v{operands[amode.index]}" if locations is None else register_name(locations[amode.index], width)
            parts.append(name if amode.scale == 0 else f"{name}*{1 << amode.scale}")
    text = " + ".join(parts)
    if not parts:
        text = str(displacement) if -10 < displacement < 10 else hex(displacement)
    elif displacement:
        magnitude = abs(displacement)
        text += " + " if displacement > 0 else " - "
        text += str(magnitude) if magnitude < 10 else hex(magnitude)
    prefix = "gs:" if amode.gs else ""
    if amode.address32 and locations is None:
        prefix = "addr32 " + prefix
    return f"{prefix}[{text}]"
