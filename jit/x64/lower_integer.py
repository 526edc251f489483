"""Selection of integer arithmetic, bits, shifts and extensions."""

from __future__ import annotations

from typing import Final

from brolga.ir.function import Inst
from brolga.ir.opcodes import (
    BAND,
    BOR,
    BXOR,
    IADD,
    ICONST,
    IMUL,
    ISHL,
    ISUB,
    OPCODE_COUNT,
    ROTL,
    ROTR,
    SDIV,
    SEXTEND,
    SREM,
    SSHR,
    UDIV,
    UMULHI,
    USHR,
)
from brolga.ir.trap_codes import INTEGER_DIVISION_BY_ZERO
from brolga.ir.types import I32, I64, TYPE_BITS, TYPE_MASK
from brolga.regalloc.operand import ANY_REGISTER, DEF, EARLY, LATE, USE, Shape

from . import insts as m
from .abi import RAX, RDX
from .bit_fields import brought_down, field_of
from .block_order import NO_BLOCK
from .inst import Inst as MachInst
from .lower_memory import emit_with_load, registers_amode, signed_constant, split_pair, split_sum
from .lowering import Lowering, fits_signed32, signed32

# Rows by opcode and type: op r, r/m and op r, imm.
_REG: Final[list[list[int]]] = [[]] * OPCODE_COUNT
_IMM: Final[list[list[int]]] = [[]] * OPCODE_COUNT
_REG[IADD], _IMM[IADD] = [-1, m.ADD32, m.ADD64], [-1, m.ADD32_I, m.ADD64_I]
_REG[ISUB], _IMM[ISUB] = [-1, m.SUB32, m.SUB64], [-1, m.SUB32_I, m.SUB64_I]
_REG[BAND], _IMM[BAND] = [-1, m.AND32, m.AND64], [-1, m.AND32_I, m.AND64_I]
_REG[BOR], _IMM[BOR] = [-1, m.OR32, m.OR64], [-1, m.OR32_I, m.OR64_I]
_REG[BXOR], _IMM[BXOR] = [-1, m.XOR32, m.XOR64], [-1, m.XOR32_I, m.XOR64_I]
_REG[IMUL], _IMM[IMUL] = [-1, m.IMUL32, m.IMUL64], [-1, m.IMUL32_I, m.IMUL64_I]

# Operations that can set ZF and SF by their result.
SETS_FLAGS: Final[list[bool]] = [False] * (OPCODE_COUNT + 1)
SETS_FLAGS[IADD] = SETS_FLAGS[ISUB] = SETS_FLAGS[BAND] = SETS_FLAGS[BOR] = SETS_FLAGS[BXOR] = True

_LEA: Final[list[int]] = [-1, m.LEA32, m.LEA64]
_NEG: Final[list[int]] = [-1, m.NEG32, m.NEG64]
_NOT: Final[list[int]] = [-1, m.NOT32, m.NOT64]
_ANDN: Final[list[int]] = [-1, m.ANDN32, m.ANDN64]
_BLSR: Final[list[int]] = [-1, m.BLSR32, m.BLSR64]
_BLSI: Final[list[int]] = [-1, m.BLSI32, m.BLSI64]
_BLSMSK: Final[list[int]] = [-1, m.BLSMSK32, m.BLSMSK64]

# Shifts by opcode and type: by an immediate, by cl, by any register (BMI2).
_SHIFT_IMM: Final[list[list[int]]] = [[]] * OPCODE_COUNT
_SHIFT_CL: Final[list[list[int]]] = [[]] * OPCODE_COUNT
_SHIFT_X: Final[list[list[int]]] = [[]] * OPCODE_COUNT
_SHIFT_IMM[ISHL], _SHIFT_CL[ISHL] = [-1, m.SHL32_I, m.SHL64_I], [-1, m.SHL32_CL, m.SHL64_CL]
_SHIFT_IMM[USHR], _SHIFT_CL[USHR] = [-1, m.SHR32_I, m.SHR64_I], [-1, m.SHR32_CL, m.SHR64_CL]
_SHIFT_IMM[SSHR], _SHIFT_CL[SSHR] = [-1, m.SAR32_I, m.SAR64_I], [-1, m.SAR32_CL, m.SAR64_CL]
_SHIFT_IMM[ROTL], _SHIFT_CL[ROTL] = [-1, m.ROL32_I, m.ROL64_I], [-1, m.ROL32_CL, m.ROL64_CL]
_SHIFT_IMM[ROTR], _SHIFT_CL[ROTR] = [-1, m.ROR32_I, m.ROR64_I], [-1, m.ROR32_CL, m.ROR64_CL]
_SHIFT_X[ISHL] = [-1, m.SHLX32, m.SHLX64]
_SHIFT_X[USHR] = [-1, m.SHRX32, m.SHRX64]
_SHIFT_X[SSHR] = [-1, m.SARX32, m.SARX64]
_RORX: Final[list[int]] = [-1, m.RORX32, m.RORX64]

# [remainder, quotient, x, y]: the remainder's register is written before y is read.
_SREM_SHAPE: Final = Shape(
    [DEF, DEF, USE, USE], [RDX, RAX, RAX, ANY_REGISTER], [EARLY, LATE, EARLY, EARLY]
)


# Sums, products, bitwise operations -----------------------------------------------------------------------------------


def _binary(lo: Lowering, op: int, type: int, result: int, x: int, y: int, commutes: bool) -> None:
    """result = x op y, with y or, if the operation commutes, x in memory, and the operand that dies tied to the result."""
    row = _REG[op][type]
    if lo.sinkable_load(y):
        emit_with_load(lo, row, [result, lo.use_low(x)], y)
        return
    if commutes:
        if lo.sinkable_load(x):
            emit_with_load(lo, row, [result, lo.use_low(y)], x)
            return
        if lo.needed[x] and not lo.needed[y]:
            x, y = y, x
    lo.emit(row, [result, lo.use_low(x), lo.use_low(y)])


def _set_flags(lo: Lowering, inst: Inst) -> None:
    """The operation by the instruction that sets the flags, for the branch behind it."""
    x, y = inst.args
    op = inst.op
    imm = lo.immediate(y)
    if imm >= 0:
        lo.emit(_IMM[op][inst.type], [inst.result, lo.use_low(x)], imm)
    else:
        _binary(lo, op, inst.type, inst.result, x, y, op != ISUB)


def _emit_lea(lo: Lowering, type: int, result: int, base: int, index: int, scale: int, displacement: int) -> None:
    operands = [result]
    amode = registers_amode(lo, base, index, scale, displacement, operands, False, False)
    lo.emit_mem(_LEA[type], operands, amode)


def lower_iadd(lo: Lowering, inst: Inst) -> None:
    x, y = inst.args
    type = inst.type
    result = inst.result
    if lo.flags_for == result:
        _set_flags(lo, inst)
        return
    defs = lo.defs
    right = defs[y]
    if right.op == ICONST:
        if type == I32 or fits_signed32(right.imm):
            if (lo.needed[x] or defs[x].op == IADD or defs[x].op == ISHL) and _lower_sum(lo, inst):
                return
            lo.emit(_IMM[IADD][type], [result, lo.use_low(x)], right.imm)
            return
    elif not lo.sinkable_load(y) and not lo.sinkable_load(x) and _lower_sum(lo, inst):
        return
    _binary(lo, IADD, type, result, x, y, True)


def _lower_sum(lo: Lowering, inst: Inst) -> bool:
    """A sum as `lea`, if that saves an instruction: a shift or a second sum folds, or the operands live on."""
    if not lo.lea:
        return False
    x, y = inst.args
    x_lives = lo.needed[x]
    y_lives = lo.needed[y]
    right = lo.defs[y]
    if right.op == ICONST:
        base, index, scale, displacement = split_sum(lo, x)
        displacement += signed_constant(right)
        if index < 0 and base == x and not x_lives:
            return False
    else:
        base, index, scale, displacement = split_pair(lo, x, y)
        if scale == 0 and displacement == 0 and not (x_lives and y_lives):
            return False
    if inst.type == I32:
        displacement = signed32(displacement & 0xFFFF_FFFF)
    elif not -0x8000_0000 <= displacement < 0x8000_0000:
        return False
    _emit_lea(lo, inst.type, inst.result, base, index, scale, displacement)
    return True


def lower_isub(lo: Lowering, inst: Inst) -> None:
    if lo.flags_for == inst.result:
        _set_flags(lo, inst)
        return
    x, y = inst.args
    type = inst.type
    left = lo.defs[x]
    if left.op == ICONST:
        if left.imm == 0:
            lo.emit(_NEG[type], [inst.result, lo.use_low(y)])
            return
        if left.imm == TYPE_MASK[type]:
            lo.emit(_NOT[type], [inst.result, lo.use_low(y)])
            return
    imm = lo.immediate(y)
    if imm >= 0:
        lo.emit(_IMM[ISUB][type], [inst.result, lo.use_low(x)], imm)
        return
    _binary(lo, ISUB, type, inst.result, x, y, False)


def lower_imul(lo: Lowering, inst: Inst) -> None:
    """By 3, 5 and 9 as `lea`; other constants as `imul` with an immediate, which may read memory."""
    x, y = inst.args
    type = inst.type
    imm = lo.immediate(y)
    if imm < 0:
        _binary(lo, IMUL, type, inst.result, x, y, True)
        return
    if lo.lea and (imm == 3 or imm == 5 or imm == 9):
        _emit_lea(lo, type, inst.result, x, x, imm.bit_length() - 1, 0)
        return
    row = _IMM[IMUL][type]
    if lo.sinkable_load(x):
        emit_with_load(lo, row, [inst.result], x, imm)
    else:
        lo.emit(row, [inst.result, lo.use_low(x)], imm)


def lower_band(lo: Lowering, inst: Inst) -> None:
    if lo.flags_for == inst.result:
        _set_flags(lo, inst)
        return
    x, y = inst.args
    type = inst.type
    result = inst.result
    right = lo.defs[y]
    if right.op == ICONST:
        bits = right.imm
        source = _field(lo, x, bits.bit_length())
        if bits == 0xFF:
            lo.emit(m.MOVZX32_8, [result, source if source >= 0 else lo.use_low(x)])
        elif bits == 0xFFFF:
            lo.emit(m.MOVZX32_16, [result, source if source >= 0 else lo.use_low(x)])
        elif source >= 0:
            lo.emit(m.AND32_I, [result, source], bits)
        elif bits == 0xFFFF_FFFF:
            lo.emit(m.MOV32, [result, lo.use_low(x)])
        elif bits <= 0xFFFF_FFFF:  # also clears the upper half
            lo.emit(m.AND32_I, [result, lo.use_low(x)], bits)
        elif fits_signed32(bits):
            lo.emit(m.AND64_I, [result, lo.use(x)], bits)
        elif lo.hoist_to == NO_BLOCK and _is_power(~bits & TYPE_MASK[I64]):
            lo.emit(m.BTR64_I, [result, lo.use(x)], (~bits & TYPE_MASK[I64]).bit_length() - 1)
        else:
            _binary(lo, BAND, type, result, x, y, True)
        return
    if lo.bit_manipulation and (_lower_andn(lo, inst, x, y) or _lower_andn(lo, inst, y, x) or _lower_lowest_bit(lo, inst)):
        return
    _binary(lo, BAND, type, result, x, y, True)


def _field(lo: Lowering, x: int, width: int) -> int:
    """A vreg with the low `width` bits of `x`, a right shift of what lives on; or -1 if `x` had better be shifted."""
    shift = lo.defs[x]
    count = field_of(lo, shift)
    if count < 0 or width > 31:
        return -1
    return brought_down(lo, shift, count, width)


def _is_power(bits: int) -> bool:
    return bits != 0 and bits & (bits - 1) == 0


def _constant_operand(lo: Lowering, value: int, op: int, bits: int) -> int:
    """x if `value` is `op x bits` and is not needed in a register, else -1."""
    inst = lo.defs[value]
    if inst.op == op and not lo.needed[value]:
        constant = lo.defs[inst.args[1]]
        if constant.op == ICONST and constant.imm == bits & TYPE_MASK[inst.type]:
            return inst.args[0]
    return -1


def _lower_andn(lo: Lowering, inst: Inst, x: int, y: int) -> bool:
    """x & ~y"""
    inverted = _constant_operand(lo, y, BXOR, -1)
    if inverted < 0:
        return False
    operands = [inst.result, lo.use_low(inverted)]
    if lo.sinkable_load(x):
        emit_with_load(lo, _ANDN[inst.type], operands, x)
    else:
        operands.append(lo.use_low(x))
        lo.emit(_ANDN[inst.type], operands)
    return True


def _lower_lowest_bit(lo: Lowering, inst: Inst) -> bool:
    """x & (x - 1) and x & -x"""
    x, y = inst.args
    for _ in range(2):
        if _constant_operand(lo, y, IADD, -1) == x:
            lo.emit(_BLSR[inst.type], [inst.result, lo.use_low(x)])
            return True
        negated = lo.defs[y]
        if negated.op == ISUB and negated.args[1] == x and lo.iconst_of(negated.args[0]) == 0 and not lo.needed[y]:
            lo.emit(_BLSI[inst.type], [inst.result, lo.use_low(x)])
            return True
        x, y = y, x
    return False


def lower_bor(lo: Lowering, inst: Inst) -> None:
    if lo.flags_for == inst.result:
        _set_flags(lo, inst)
    else:
        _lower_or_xor(lo, inst, m.BTS64_I)


def lower_bxor(lo: Lowering, inst: Inst) -> None:
    if lo.flags_for == inst.result:
        _set_flags(lo, inst)
        return
    x, y = inst.args
    if lo.iconst_of(y) == TYPE_MASK[inst.type]:
        lo.emit(_NOT[inst.type], [inst.result, lo.use_low(x)])
        return
    if lo.bit_manipulation and _constant_operand(lo, y, IADD, -1) == x:
        lo.emit(_BLSMSK[inst.type], [inst.result, lo.use_low(x)])
        return
    if lo.bit_manipulation and _constant_operand(lo, x, IADD, -1) == y:
        lo.emit(_BLSMSK[inst.type], [inst.result, lo.use_low(y)])
        return
    _lower_or_xor(lo, inst, m.BTC64_I)


def _lower_or_xor(lo: Lowering, inst: Inst, single_bit: int) -> None:
    x, y = inst.args
    right = lo.defs[y]
    if right.op == ICONST:
        if inst.type == I32 or fits_signed32(right.imm):
            lo.emit(_IMM[inst.op][inst.type], [inst.result, lo.use_low(x)], right.imm)
            return
        if lo.hoist_to == NO_BLOCK and _is_power(right.imm):
            lo.emit(single_bit, [inst.result, lo.use(x)], right.imm.bit_length() - 1)
            return
    _binary(lo, inst.op, inst.type, inst.result, x, y, True)


def lower_mulhi(lo: Lowering, inst: Inst) -> None:
    """The upper half of a product: in 64 bits for I32, else by `mulx` (BMI2), `mul` or `imul`."""
    x, y = inst.args
    result = inst.result
    unsigned = inst.op == UMULHI
    if inst.type == I32:
        product = lo.gpr()
        left, right = _extended(lo, x, unsigned), _extended(lo, y, unsigned)
        lo.emit(m.IMUL64, [product, left, right])
        # An I32 is zero-extended, so the signed product is shifted like the unsigned one.
        lo.emit(m.SHR64_I, [result, product], 32)
        return
    low = lo.gpr()
    if lo.sinkable_load(x):
        x, y = y, x
    if unsigned and lo.bmi2:
        if lo.sinkable_load(y):
            emit_with_load(lo, m.MULX64, [result, low, lo.use(x)], y)
        else:
            lo.emit(m.MULX64, [result, low, lo.use(y), lo.use(x)])
        return
    row = m.MUL64 if unsigned else m.IMULH64
    if lo.sinkable_load(y):
        emit_with_load(lo, row, [low, result, lo.use(x)], y)
    else:
        lo.emit(row, [low, result, lo.use(x), lo.use(y)])


def _extended(lo: Lowering, value: int, unsigned: bool) -> int:
    """The I32 `value` in 64 bits."""
    constant = lo.iconst_of(value)
    if constant >= 0:
        return lo.constant(I64, constant if unsigned else signed32(constant) & TYPE_MASK[I64])
    if unsigned:
        return lo.use(value)
    extended = lo.gpr()
    lo.emit(m.MOVSXD, [extended, lo.use_low(value)])
    return extended


# Shifts, rotates, extensions ------------------------------------------------------------------------------------------


def lower_shift(lo: Lowering, inst: Inst) -> None:
    x, y = inst.args
    type = inst.type
    op = inst.op
    result = inst.result
    count = lo.defs[y]
    if count.op == ICONST:
        bits = count.imm & (TYPE_BITS[type] - 1)
        if op == ISHL and 1 <= bits <= 3 and lo.needed[x] and lo.lea:
            _emit_lea(lo, type, result, -1, x, bits, 0)
        elif lo.bmi2 and (op == ROTL or op == ROTR) and (lo.needed[x] or lo.sinkable_load(x)):
            if op == ROTL:
                bits = -bits & (TYPE_BITS[type] - 1)
            if lo.sinkable_load(x):
                emit_with_load(lo, _RORX[type], [result], x, bits)
            else:
                lo.emit(_RORX[type], [result, lo.use_low(x)], bits)
        else:
            lo.emit(_SHIFT_IMM[op][type], [result, lo.use_low(x)], bits)
        return
    if lo.bmi2 and op != ROTL and op != ROTR:
        row = _SHIFT_X[op][type]
        if lo.sinkable_load(x):
            emit_with_load(lo, row, [result, lo.use_low(y)], x)
        else:
            lo.emit(row, [result, lo.use_low(x), lo.use_low(y)])
        return
    lo.emit(_SHIFT_CL[op][type], [result, lo.use_low(x), lo.use_low(y)])


def lower_sextend8(lo: Lowering, inst: Inst) -> None:
    _sign_extend(lo, inst, m.MOVSX32_8 if inst.type == I32 else m.MOVSX64_8, 8)


def lower_sextend16(lo: Lowering, inst: Inst) -> None:
    _sign_extend(lo, inst, m.MOVSX32_16 if inst.type == I32 else m.MOVSX64_16, 16)


def _sign_extend(lo: Lowering, inst: Inst, row: int, width: int) -> None:
    x = inst.args[0]
    source = _field(lo, x, width)
    lo.emit(row, [inst.result, source if source >= 0 else lo.use_low(x)])


def lower_sextend(lo: Lowering, inst: Inst) -> None:
    """sextend, sextend32"""
    x = inst.args[0]
    if inst.op == SEXTEND and lo.sinkable_load(x):
        emit_with_load(lo, m.MOVSXD, [inst.result], x)
    else:
        lo.emit(m.MOVSXD, [inst.result, lo.use_low(x)])


def lower_ireduce(lo: Lowering, inst: Inst) -> None:
    lo.emit(m.MOV32, [inst.result, lo.use(inst.args[0])])


def lower_uextend(lo: Lowering, inst: Inst) -> None:
    """Asked for only where it is not the vreg of its operand."""
    lo.emit(m.MOV32, [inst.result, lo.use_low(inst.args[0])])


# Counting bits --------------------------------------------------------------------------------------------------------


def _emit_unary(lo: Lowering, row: int, inst: Inst) -> None:
    x = inst.args[0]
    if lo.sinkable_load(x):
        emit_with_load(lo, row, [inst.result], x)
    else:
        lo.emit(row, [inst.result, lo.use_low(x)])


def lower_clz(lo: Lowering, inst: Inst) -> None:
    """lzcnt, or bsr and the case of zero, where it leaves its result undefined and sets ZF."""
    wide = inst.type == I64
    if lo.lzcnt:
        _emit_unary(lo, m.LZCNT64 if wide else m.LZCNT32, inst)
        return
    last = TYPE_BITS[inst.type] - 1
    x = lo.use_low(inst.args[0])
    for_zero, position, chosen = lo.gpr(), lo.gpr(), lo.gpr()
    lo.emit(m.MOV32_I, [for_zero], 2 * last + 1)  # the number of bits, after the xor
    lo.emit(m.BSR64 if wide else m.BSR32, [position, x])
    lo.emit(m.CMOV32, [chosen, position, for_zero], m.CC_E)
    lo.emit(m.XOR32_I, [inst.result, chosen], last)


def lower_ctz(lo: Lowering, inst: Inst) -> None:
    wide = inst.type == I64
    if lo.bmi1:
        _emit_unary(lo, m.TZCNT64 if wide else m.TZCNT32, inst)
        return
    x = lo.use_low(inst.args[0])
    for_zero, position = lo.gpr(), lo.gpr()
    lo.emit(m.MOV32_I, [for_zero], TYPE_BITS[inst.type])
    lo.emit(m.BSF64 if wide else m.BSF32, [position, x])
    lo.emit(m.CMOV32, [inst.result, position, for_zero], m.CC_E)


def lower_popcnt(lo: Lowering, inst: Inst) -> None:
    """popcnt, or sums of the bits in fields of 2, 4 and 8 bits, and of the bytes by a product (Warren, "Hacker's Delight", 5-1)."""
    if lo.popcnt:
        _emit_unary(lo, m.POPCNT64 if inst.type == I64 else m.POPCNT32, inst)
    elif inst.type == I64:
        _popcnt64(lo, inst)
    else:
        _popcnt32(lo, inst)


def _popcnt32(lo: Lowering, inst: Inst) -> None:
    x = lo.use_low(inst.args[0])
    t = [lo.gpr() for _ in range(11)]
    lo.emit(m.MOV32, [t[0], x])
    lo.emit(m.SHR32_I, [t[1], t[0]], 1)
    lo.emit(m.AND32_I, [t[2], t[1]], 0x5555_5555)
    lo.emit(m.SUB32, [t[3], x, t[2]])
    lo.emit(m.AND32_I, [t[4], t[3]], 0x3333_3333)
    lo.emit(m.SHR32_I, [t[5], t[3]], 2)
    lo.emit(m.AND32_I, [t[6], t[5]], 0x3333_3333)
    lo.emit(m.ADD32, [t[7], t[4], t[6]])
    lo.emit(m.SHR32_I, [t[8], t[7]], 4)
    lo.emit(m.ADD32, [t[9], t[7], t[8]])
    lo.emit(m.AND32_I, [t[10], t[9]], 0x0F0F_0F0F)
    product = lo.gpr()
    lo.emit(m.IMUL32_I, [product, t[10]], 0x0101_0101)
    lo.emit(m.SHR32_I, [inst.result, product], 24)


def _popcnt64(lo: Lowering, inst: Inst) -> None:
    x = lo.use(inst.args[0])
    twos = lo.constant(I64, 0x5555_5555_5555_5555)
    fours = lo.constant(I64, 0x3333_3333_3333_3333)
    bytes_ = lo.constant(I64, 0x0F0F_0F0F_0F0F_0F0F)
    ones = lo.constant(I64, 0x0101_0101_0101_0101)
    t = [lo.gpr() for _ in range(11)]
    lo.emit(m.SHR64_I, [t[0], x], 1)
    lo.emit(m.AND64, [t[1], t[0], twos])
    lo.emit(m.SUB64, [t[2], x, t[1]])
    lo.emit(m.AND64, [t[3], t[2], fours])
    lo.emit(m.SHR64_I, [t[4], t[2]], 2)
    lo.emit(m.AND64, [t[5], t[4], fours])
    lo.emit(m.ADD64, [t[6], t[3], t[5]])
    lo.emit(m.SHR64_I, [t[7], t[6]], 4)
    lo.emit(m.ADD64, [t[8], t[6], t[7]])
    lo.emit(m.AND64, [t[9], t[8], bytes_])
    lo.emit(m.IMUL64, [t[10], t[9], ones])
    lo.emit(m.SHR64_I, [inst.result, t[10]], 56)


# Division -------------------------------------------------------------------------------------------------------------


def lower_division(lo: Lowering, inst: Inst) -> None:
    """`div` faults on a zero divisor. `idiv` does on an overflow too, which is found before: it is another trap, or none for `srem`.

    The divisor is not read from memory, where the instruction could fault for two reasons.
    """
    x, y = inst.args
    type = inst.type
    op = inst.op
    result = inst.result
    wide = type == I64
    divisor = lo.iconst_of(y)
    trap = INTEGER_DIVISION_BY_ZERO if divisor <= 0 or not lo.omits_division_checks else -1
    low = lo.use_low(x)
    right = lo.use_low(y)
    if trap >= 0 and not lo.signals:
        lo.emit(m.TEST64 if wide else m.TEST32, [right, right])
        lo.emit_trap(m.TRAP_IF, [], m.CC_E, trap)
    signed = op == SDIV or op == SREM
    if signed and _may_overflow(lo, x, y, type):
        if op == SREM:
            row = m.SREM64 if wide else m.SREM32
            lo.out.append(MachInst(row, [result, lo.gpr(), low, right], _SREM_SHAPE, 0, None, -1, trap, lo.loc))
            return
        lo.emit(m.SDIV_CHECK64 if wide else m.SDIV_CHECK32, [low, right])
    high = lo.gpr()
    if signed:
        lo.emit(m.CQO if wide else m.CDQ, [high, low])
        row = m.IDIV64 if wide else m.IDIV32
    else:
        lo.emit(m.ZERO32, [high])
        row = m.DIV64 if wide else m.DIV32
    other = lo.gpr()
    if op == SDIV or op == UDIV:
        lo.emit_trap(row, [result, other, low, high, right], 0, trap)
    else:
        lo.emit_trap(row, [other, result, low, high, right], 0, trap)


def _may_overflow(lo: Lowering, x: int, y: int, type: int) -> bool:
    """May x be the least integer and y be -1?"""
    if not lo.omits_division_checks:
        return True
    least = 1 << (TYPE_BITS[type] - 1)
    minus_one = TYPE_MASK[type]
    dividend = lo.defs[x]
    if dividend.op == ICONST and dividend.imm != least:
        return False
    return lo.upper_bound(y) == minus_one and (lo.defs[y].op != ICONST or lo.defs[y].imm == minus_one)
