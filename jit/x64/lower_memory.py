"""Selection of loads, stores and addresses.

Addresses of memory 0 by settings:

    gs            gs:[index + offset]. Without a static offset the address-size prefix makes the sum wrap at 32 bits as `iadd.i32` does,
                  so sums and shifts fold without a proof: gs:[x + y * 4 + 16]
    register      [r14 + index + offset]
    explicit      rec = [r15 + 8]; lea end, [index + offset + size]; cmp end, [rec + length]; ja trap; base = [rec];
                  then [base + index + offset]

With a static offset (or in r14) a sum or shift folds only where it provably does not wrap. Offsets of 2**31 and more are no
displacements: they are added in a register.
"""

from __future__ import annotations

from typing import Final

from brolga.ir.errors import CompileError
from brolga.ir.function import Inst
from brolga.ir.opcodes import (
    ACCESS_BYTES,
    BAND,
    BITCAST,
    BOR,
    BXOR,
    CONTEXT,
    CTX_LOAD,
    CTX_STORE,
    FCONST,
    IADD,
    ICONST,
    IREDUCE,
    ISHL,
    ISTORE8,
    ISTORE16,
    ISTORE32,
    ISUB,
    LOAD,
    OPCODE_COUNT,
    PTR_LOAD,
    PTR_STORE,
    SEXTEND,
    SEXTEND8,
    SEXTEND16,
    SEXTEND32,
    SLOAD8,
    SLOAD16,
    SLOAD32,
    STORE,
    UEXTEND,
    ULOAD8,
    ULOAD16,
    ULOAD32,
)
from brolga.ir.trap_codes import FACT_SAME_LOAD, MEMORY_OUT_OF_BOUNDS
from brolga.ir.types import F32, F64, I32, I64, IS_FLOAT, TYPE_BITS

from ..vmctx import CTX_MEMORY0_RECORD, MEMORY_BASE, MEMORY_LENGTH
from . import insts as m
from .abi import R14
from .bit_fields import scaled_field
from .fact_checks import check_no_wrap
from .inst import AMODE_REGISTERS, AMODE_VMCTX, NO_OPERAND, Amode
from .lowering import Lowering, fits_signed32, signed32

_NO_ROWS: Final[list[int]] = []

# Rows by opcode and type.
LOAD_ROWS: Final[list[list[int]]] = [_NO_ROWS] * OPCODE_COUNT
#                     void   I32           I64           F32      F64
LOAD_ROWS[LOAD] = [-1, m.MOV32, m.MOV64, m.MOVSS, m.MOVSD]
LOAD_ROWS[CTX_LOAD] = LOAD_ROWS[PTR_LOAD] = LOAD_ROWS[LOAD]
LOAD_ROWS[ULOAD8] = [-1, m.MOVZX32_8, m.MOVZX32_8]
LOAD_ROWS[SLOAD8] = [-1, m.MOVSX32_8, m.MOVSX64_8]
LOAD_ROWS[ULOAD16] = [-1, m.MOVZX32_16, m.MOVZX32_16]
LOAD_ROWS[SLOAD16] = [-1, m.MOVSX32_16, m.MOVSX64_16]
LOAD_ROWS[ULOAD32] = [-1, -1, m.MOV32]
LOAD_ROWS[SLOAD32] = [-1, -1, m.MOVSXD]

_BITS_STORED: Final[list[int]] = [0] * OPCODE_COUNT  # 0: those of the type
_BITS_STORED[ISTORE8] = 8
_BITS_STORED[ISTORE16] = 16
_BITS_STORED[ISTORE32] = 32

# Stores of registers and immediates, by bits.
_STORE_REG: Final[dict[int, int]] = {8: m.MOV8_MR, 16: m.MOV16_MR, 32: m.MOV32_MR, 64: m.MOV64_MR}
_STORE_IMM: Final[dict[int, int]] = {8: m.MOV8_MI, 16: m.MOV16_MI, 32: m.MOV32_MI, 64: m.MOV64_MI}

# Read-modify-write, by opcode of the operation and bits.
_MODIFY_REG: Final[dict[int, dict[int, int]]] = {
    IADD: {8: m.ADD8_MR, 16: m.ADD16_MR, 32: m.ADD32_MR, 64: m.ADD64_MR},
    ISUB: {8: m.SUB8_MR, 16: m.SUB16_MR, 32: m.SUB32_MR, 64: m.SUB64_MR},
    BAND: {8: m.AND8_MR, 16: m.AND16_MR, 32: m.AND32_MR, 64: m.AND64_MR},
    BOR: {8: m.OR8_MR, 16: m.OR16_MR, 32: m.OR32_MR, 64: m.OR64_MR},
    BXOR: {8: m.XOR8_MR, 16: m.XOR16_MR, 32: m.XOR32_MR, 64: m.XOR64_MR},
}
_MODIFY_IMM: Final[dict[int, dict[int, int]]] = {
    IADD: {8: m.ADD8_MI, 16: m.ADD16_MI, 32: m.ADD32_I, 64: m.ADD64_I},
    ISUB: {8: m.SUB8_MI, 16: m.SUB16_MI, 32: m.SUB32_I, 64: m.SUB64_I},
    BAND: {8: m.AND8_MI, 16: m.AND16_MI, 32: m.AND32_I, 64: m.AND64_I},
    BOR: {8: m.OR8_MI, 16: m.OR16_MI, 32: m.OR32_I, 64: m.OR64_I},
    BXOR: {8: m.XOR8_MI, 16: m.XOR16_MI, 32: m.XOR32_I, 64: m.XOR64_I},
}
# Which loads read just what a store writes.
_LOADS_OF: Final[dict[int, tuple[int, ...]]] = {
    STORE: (LOAD,),
    ISTORE8: (ULOAD8, SLOAD8),
    ISTORE16: (ULOAD16, SLOAD16),
    ISTORE32: (ULOAD32, SLOAD32),
    CTX_STORE: (CTX_LOAD,),
    PTR_STORE: (PTR_LOAD,),
}


# Addresses ------------------------------------------------------------------------------------------------------------


def sandbox_amode(lo: Lowering, inst: Inst, operands: list[int]) -> Amode:
    """The address of a LOAD or STORE of memory 0; its registers are appended to `operands`."""
    if inst.aux != 0:
        raise CompileError(f"memory {inst.aux}: only memory 0 is accessed directly")
    index = inst.args[0]
    offset = inst.imm
    if lo.explicit_bounds:
        return _checked_amode(lo, inst, operands)
    definition = lo.defs[index]
    op = definition.op
    if op == ICONST:
        offset += definition.imm
        if offset < 0x8000_0000:
            return Amode(AMODE_REGISTERS, NO_OPERAND, NO_OPERAND, 0, offset, -1 if lo.gs else R14, lo.gs)
        return _memory0(lo, operands, _wide_constant(lo, offset), 0)
    if offset >= 0x8000_0000:
        address = lo.gpr()
        lo.emit(m.ADD64, [address, _wide_constant(lo, offset), lo.use(index)])
        return _memory0(lo, operands, address, 0)
    if op == IADD or op == ISHL or op == IREDUCE:
        if offset == 0 and lo.gs and lo.wrapping_addresses:
            return _wrapping_amode(lo, index, operands)
        if lo.bounded_addresses:
            amode = _bounded_amode(lo, index, definition, offset, operands)
            if amode is not None:
                return amode
    elif op == BAND and lo.bounded_addresses and lo.bit_fields:
        vreg, scale = scaled_field(lo, definition)
        if scale > 0:
            return _memory0(lo, operands, vreg, offset, scale)
    return _memory0(lo, operands, lo.use(index), offset)


def _memory0(lo: Lowering, operands: list[int], index: int, offset: int, scale: int = 0) -> Amode:
    """Memory 0 at `index` (a vreg, zero-extended) * 2**scale + offset."""
    operands.append(index)
    position = len(operands) - 1
    if lo.gs:
        if scale == 0:
            return Amode(AMODE_REGISTERS, position, NO_OPERAND, 0, offset, -1, True)
        return Amode(AMODE_REGISTERS, NO_OPERAND, position, scale, offset, -1, True)
    return Amode(AMODE_REGISTERS, NO_OPERAND, position, scale, offset, R14)


def _wide_constant(lo: Lowering, bits: int) -> int:
    return lo.constant(I64, bits)


def _foldable(lo: Lowering, value: int) -> bool:
    """May the sum `value` be computed again in an address? Not if it will be in a register anyway."""
    return not lo.needed[value] and lo.uses[value] <= 3


def _small_shift(lo: Lowering, value: int) -> int:
    """The count of a left shift by 1, 2 or 3 that may be folded into an address, else 0."""
    inst = lo.defs[value]
    if inst.op == ISHL and not lo.needed[value]:
        count = lo.defs[inst.args[1]]
        if count.op == ICONST:
            bits = count.imm & (TYPE_BITS[inst.type] - 1)
            if bits <= 3:
                return bits
    return 0


def split_sum(lo: Lowering, value: int) -> tuple[int, int, int, int]:
    """`value` as base + (index << scale) + displacement: (base, index, scale, displacement); base and index are values or -1.

    The arithmetic has the width of the value's type, the displacement is signed and unlimited. What will be in a register
    anyway is not split.
    """
    defs = lo.defs
    displacement = 0
    inst = defs[value]
    if inst.op == IADD:
        constant = defs[inst.args[1]]
        if constant.op == ICONST and not lo.needed[value]:
            displacement = signed_constant(constant)
            value = inst.args[0]
            inst = defs[value]
    if inst.op == IADD and _foldable(lo, value):
        base, index, scale, more = split_pair(lo, inst.args[0], inst.args[1])
        return base, index, scale, displacement + more
    scale = _small_shift(lo, value)
    if scale > 0:
        return -1, inst.args[0], scale, displacement
    return value, -1, 0, displacement


def split_pair(lo: Lowering, x: int, y: int) -> tuple[int, int, int, int]:
    """x + y as base + (index << scale) + displacement."""
    defs = lo.defs
    scale = _small_shift(lo, y)
    if scale > 0:
        y = defs[y].args[0]
    else:
        scale = _small_shift(lo, x)
        if scale > 0:
            x, y = y, defs[x].args[0]
    inst = defs[x]
    if inst.op == IADD and not lo.needed[x]:
        constant = defs[inst.args[1]]
        if constant.op == ICONST:
            return inst.args[0], y, scale, signed_constant(constant)
    return x, y, scale, 0


def signed_constant(constant: Inst) -> int:
    """The integer constant as a signed number."""
    bits = constant.imm
    if constant.type == I32:
        return signed32(bits)
    return bits - (1 << 64) if bits >= 1 << 63 else bits


def registers_amode(
    lo: Lowering, base: int, index: int, scale: int, displacement: int, operands: list[int], gs: bool, address32: bool
) -> Amode:
    """[base + index * 2**scale + displacement] for values whose low bits suffice. Shift by one without base: base + base."""
    if base < 0 and scale == 1:
        base = index
        scale = 0
    base_position = index_position = NO_OPERAND
    if base >= 0:
        base_position = len(operands)
        operands.append(lo.use_low(base))
    if index >= 0:
        if index == base:
            index_position = base_position
        else:
            index_position = len(operands)
            operands.append(lo.use_low(index))
    return Amode(AMODE_REGISTERS, base_position, index_position, scale, displacement, -1, gs, address32)


def _wrapping_amode(lo: Lowering, value: int, operands: list[int]) -> Amode:
    base, index, scale, displacement = split_sum(lo, value)
    if index < 0 and displacement == 0 and lo.defs[base].op != IREDUCE:
        return _memory0(lo, operands, lo.use(base), 0)
    displacement &= 0xFFFF_FFFF
    return registers_amode(lo, base, index, scale, signed32(displacement), operands, True, True)


def _bounded_amode(lo: Lowering, value: int, inst: Inst, offset: int, operands: list[int]) -> Amode | None:
    """Fold a shift or a sum that cannot wrap."""
    if inst.op == ISHL:
        scale = _small_shift(lo, value)
        if scale > 0 and lo.upper_bound(inst.args[0]) << scale <= 0xFFFF_FFFF:
            if lo.checks_facts:
                check_no_wrap(lo, lo.use(inst.args[0]), -1, scale, 0)
            return _memory0(lo, operands, lo.use(inst.args[0]), offset, scale)
    elif inst.op == IADD and not lo.needed[value]:
        x, y = inst.args
        constant = lo.defs[y]
        bound = lo.upper_bound(x)
        if constant.op == ICONST:
            offset += constant.imm
            if bound + constant.imm <= 0xFFFF_FFFF and offset < 0x8000_0000:
                if lo.checks_facts:
                    check_no_wrap(lo, lo.use(x), -1, 0, constant.imm)
                return _memory0(lo, operands, lo.use(x), offset)
        elif lo.gs and bound + lo.upper_bound(y) <= 0xFFFF_FFFF:
            if lo.checks_facts:
                check_no_wrap(lo, lo.use(x), lo.use(y), 0, 0)
            operands.append(lo.use(x))
            operands.append(lo.use(y))
            return Amode(AMODE_REGISTERS, len(operands) - 2, len(operands) - 1, 0, offset, -1, True)
    return None


def _checked_amode(lo: Lowering, inst: Inst, operands: list[int]) -> Amode:
    """Compare the end of the access with the memory's length, which only grows; then the base from the record."""
    index = inst.args[0]
    offset = inst.imm
    size = ACCESS_BYTES[inst.op] or TYPE_BITS[inst.type] // 8
    record = lo.gpr()
    lo.emit_mem(m.MOV64, [record], Amode(AMODE_VMCTX, displacement=CTX_MEMORY0_RECORD))
    definition = lo.defs[index]
    vreg = -1
    if definition.op == ICONST:
        offset += definition.imm
    else:
        vreg = lo.use(index)
    if vreg < 0 and offset + size < 0x8000_0000:
        lo.emit_mem(m.CMP64_I, [record], Amode(AMODE_REGISTERS, 0, NO_OPERAND, 0, MEMORY_LENGTH), offset + size)
        lo.emit_trap(m.TRAP_IF, [], m.CC_B, MEMORY_OUT_OF_BOUNDS)
    else:
        if vreg < 0:
            end = _wide_constant(lo, offset + size)
        else:
            end = lo.gpr()
            if offset + size < 0x8000_0000:
                lo.emit_mem(m.LEA64, [end, vreg], Amode(AMODE_REGISTERS, 1, NO_OPERAND, 0, offset + size))
            else:
                lo.emit(m.ADD64, [end, _wide_constant(lo, offset + size), vreg])
        lo.emit_mem(m.CMP64, [end, record], Amode(AMODE_REGISTERS, 1, NO_OPERAND, 0, MEMORY_LENGTH))
        lo.emit_trap(m.TRAP_IF, [], m.CC_A, MEMORY_OUT_OF_BOUNDS)
    base = lo.gpr()
    lo.emit_mem(m.MOV64, [base, record], Amode(AMODE_REGISTERS, 1, NO_OPERAND, 0, MEMORY_BASE))
    if offset >= 0x8000_0000:
        sum = lo.gpr()
        lo.emit(m.ADD64, [sum, _wide_constant(lo, offset), base])
        base = sum
        offset = 0
    operands.append(base)
    if vreg < 0:
        return Amode(AMODE_REGISTERS, len(operands) - 1, NO_OPERAND, 0, offset)
    operands.append(vreg)
    return Amode(AMODE_REGISTERS, len(operands) - 2, len(operands) - 1, 0, offset)


def pointer_amode(lo: Lowering, address: int, offset: int, operands: list[int]) -> Amode:
    """The address of a PTR_LOAD or PTR_STORE."""
    inst = lo.defs[address]
    op = inst.op
    if (op == IADD or op == ISHL) and lo.pointer_addresses:
        base, index, scale, displacement = split_sum(lo, address)
        if -0x8000_0000 <= displacement + offset < 0x8000_0000:
            return registers_amode(lo, base, index, scale, displacement + offset, operands, False, False)
    elif op == CONTEXT:
        return Amode(AMODE_VMCTX, displacement=offset)
    operands.append(lo.use(address))
    return Amode(AMODE_REGISTERS, len(operands) - 1, NO_OPERAND, 0, offset)


def access_amode(lo: Lowering, inst: Inst, operands: list[int]) -> Amode:
    """The address of any load or store."""
    op = inst.op
    if op == CTX_LOAD or op == CTX_STORE:
        return Amode(AMODE_VMCTX, displacement=inst.imm)
    if op == PTR_LOAD or op == PTR_STORE:
        return pointer_amode(lo, inst.args[0], inst.imm, operands)
    return sandbox_amode(lo, inst, operands)


def access_trap(lo: Lowering, inst: Inst) -> int:
    """The trap code of the machine instruction that makes the access, or -1."""
    op = inst.op
    if lo.explicit_bounds or op == CTX_LOAD or op == CTX_STORE or op == PTR_LOAD or op == PTR_STORE:
        return -1
    return MEMORY_OUT_OF_BOUNDS


# Loads ----------------------------------------------------------------------------------------------------------------


def lower_load(lo: Lowering, inst: Inst) -> None:
    operands = [inst.result]
    amode = access_amode(lo, inst, operands)
    lo.emit_mem(LOAD_ROWS[inst.op][inst.type], operands, amode, 0, access_trap(lo, inst))


def emit_with_load(lo: Lowering, op: int, operands: list[int], value: int, imm: int = 0) -> None:
    """Emit row `op` with the load that defines `value`, which the caller has found sinkable, as its memory operand.

    `operands` are the others.
    """
    inst = lo.defs[value]
    lo.sink(value)
    loc = lo.loc
    lo.loc = inst.loc  # a fault belongs to the load
    if lo.checks_facts:
        _check_sunk(lo, inst)
    amode = access_amode(lo, inst, operands)
    lo.emit_mem(op, operands, amode, imm, access_trap(lo, inst))
    lo.loc = loc


def _check_sunk(lo: Lowering, inst: Inst) -> None:
    """The load gives here what it gives where it stands, where `repeat_sunk` makes it too: nothing between writes there."""
    early = lo.gpr()
    lo.early[inst.result] = early
    late = lo.gpr()
    _load_bits(lo, inst, late)
    lo.emit(m.CMP64, [late, early])
    lo.emit_trap(m.TRAP_IF, [], m.CC_NE, FACT_SAME_LOAD)


def repeat_sunk(lo: Lowering, inst: Inst) -> None:
    """The load that has been folded into its user, where it stands, if that is to be checked."""
    early = lo.early.get(inst.result, -1)
    if early >= 0:
        lo.loc = inst.loc
        _load_bits(lo, inst, early)


def _load_bits(lo: Lowering, inst: Inst, vreg: int) -> None:
    """The load into an integer register."""
    type = inst.type
    if IS_FLOAT[type]:
        type = I32 if type == F32 else I64
    operands = [vreg]
    amode = access_amode(lo, inst, operands)
    lo.emit_mem(LOAD_ROWS[inst.op][type], operands, amode, 0, access_trap(lo, inst))


def lower_context(lo: Lowering, inst: Inst) -> None:
    lo.emit(m.MOV_FROM_R15, [inst.result])


# Stores ---------------------------------------------------------------------------------------------------------------


def lower_store(lo: Lowering, inst: Inst) -> None:
    value = inst.args[-1]
    if _modify(lo, inst, value):
        return
    op, operands, imm = stored_value(lo, value, inst.type, _BITS_STORED[inst.op])
    amode = access_amode(lo, inst, operands)
    lo.emit_mem(op, operands, amode, imm, access_trap(lo, inst))


def stored_value(lo: Lowering, value: int, type: int, bits: int = 0) -> tuple[int, list[int], int]:
    """How to store (the low `bits` of) a value: row, operands before those of the address, immediate."""
    if bits == 0:
        bits = TYPE_BITS[type]
    inst = lo.defs[value]
    op = inst.op
    if op == ICONST or op == FCONST:
        if bits < 64 or fits_signed32(inst.imm):
            return _STORE_IMM[bits], [], inst.imm & ((1 << bits) - 1)
    elif op == BITCAST and lo.single(value) and bits == TYPE_BITS[type]:
        value = inst.args[0]
        type = inst.aux
    if type == F32:
        return m.MOVSS_MR, [lo.use(value)], 0
    if type == F64:
        return m.MOVSD_MR, [lo.use(value)], 0
    if bits < TYPE_BITS[type]:
        value = _low_source(lo, value, bits)
    return _STORE_REG[bits], [lo.use_low(value)], 0


def _low_source(lo: Lowering, value: int, bits: int) -> int:
    """A value with the same low `bits` as `value`, nearer to its origin."""
    while lo.low_bits and not lo.needed[value]:
        inst = lo.defs[value]
        op = inst.op
        if op == BAND:
            mask = lo.defs[inst.args[1]]
            low = (1 << bits) - 1
            if mask.op != ICONST or mask.imm & low != low:
                return value
        elif op == SEXTEND8:
            if bits > 8:
                return value
        elif op == SEXTEND16:
            if bits > 16:
                return value
        elif op != UEXTEND and op != SEXTEND and op != SEXTEND32 and op != IREDUCE:
            return value
        value = inst.args[0]
    return value


def _modify(lo: Lowering, inst: Inst, value: int) -> bool:
    """store (op (load a) x) a: the operation on memory, if the load and the operation have no other use."""
    operation = lo.defs[value]
    rows = _MODIFY_REG.get(operation.op)
    if rows is None or lo.uses[value] != 1 or not lo.modifies_memory:
        return False
    x, y = operation.args
    if not _reads_back(lo, inst, x):
        if operation.op == ISUB or not _reads_back(lo, inst, y):
            return False
        x, y = y, x
    bits = _BITS_STORED[inst.op] or TYPE_BITS[inst.type]
    constant = lo.defs[y]
    operands: list[int] = []
    imm = 0
    lo.sink(x)
    if lo.checks_facts:
        _check_sunk(lo, lo.defs[x])
    if constant.op == ICONST and (bits < 64 or fits_signed32(constant.imm)):
        op = _MODIFY_IMM[operation.op][bits]
        imm = constant.imm & ((1 << bits) - 1)
    else:
        op = rows[bits]
        operands.append(lo.use_low(y))
    amode = access_amode(lo, inst, operands)
    lo.emit_mem(op, operands, amode, imm, access_trap(lo, inst))
    return True


def _reads_back(lo: Lowering, store: Inst, value: int) -> bool:
    """Is `value` a sinkable load of what `store` overwrites?"""
    load = lo.defs[value]
    if load.op not in _LOADS_OF[store.op] or load.imm != store.imm or load.type != store.type:
        return False
    if load.args and load.args[0] != store.args[0]:
        return False
    return (load.aux == store.aux or store.op == CTX_STORE or store.op == PTR_STORE) and lo.can_sink(value, load)
