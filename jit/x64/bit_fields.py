"""Selection of fields of bits: (x >> k) & mask, as numbers, as indices, and signed.

Where x lives on, `rorx` (BMI2) brings the field down into a new register in one instruction; a shift needs a copy first. What it
rotates in above is masked off, or left behind by `movzx` and `movsx`.
"""

from __future__ import annotations

from typing import Final

from brolga.ir.function import Inst
from brolga.ir.opcodes import ICONST, SSHR, USHR
from brolga.ir.types import I32, TYPE_BITS, TYPE_MASK

from . import insts as m
from .lowering import Lowering

_SHR: Final[list[int]] = [-1, m.SHR32_I, m.SHR64_I]
_RORX: Final[list[int]] = [-1, m.RORX32, m.RORX64]


def field_of(lo: Lowering, shift: Inst) -> int:
    """The count, if `shift` is a right shift by a constant of which nobody else needs the result; or -1."""
    if (shift.op == USHR or shift.op == SSHR) and lo.uses[shift.result] == 1 and not lo.needed[shift.result]:
        count = lo.defs[shift.args[1]]
        if count.op == ICONST:
            return count.imm & (TYPE_BITS[shift.type] - 1)
    return -1


def brought_down(lo: Lowering, shift: Inst, count: int, width: int) -> int:
    """A vreg with the field of `width` bits from bit `count` of the operand of `shift` in its low bits, by `rorx`; or -1 if that
    saves nothing."""
    x = shift.args[0]
    if not lo.bit_fields or not lo.needed[x] or count == 0 or count + width > TYPE_BITS[shift.type]:
        return -1
    rotated = lo.gpr()
    lo.emit(_RORX[shift.type], [rotated, lo.use_low(x)], count)
    return rotated


def scaled_field(lo: Lowering, masked: Inst) -> tuple[int, int]:
    """A vreg and a scale that make the I32 `masked`, (x >> k) & mask, where the mask ends with one to three zeros: the shift goes
    further, and the address multiplies. (-1, 0) if it is not of that form. E.g. (x >> 6) & 0x3fc is ((x >> 8) & 0xff) * 4."""
    if lo.uses[masked.result] != 1 or lo.needed[masked.result]:
        return -1, 0
    mask = lo.iconst_of(masked.args[1])
    shift = lo.defs[masked.args[0]]
    if mask <= 0 or shift.op != USHR or shift.type != I32:
        return -1, 0
    scale = (mask & -mask).bit_length() - 1
    count = field_of(lo, shift)
    if not 1 <= scale <= 3 or count < 0 or count + scale >= 32:
        return -1, 0
    count += scale
    mask >>= scale
    rest = TYPE_MASK[I32] >> count
    if mask & rest != rest:
        field = brought_down(lo, shift, count, mask.bit_length())
        if field < 0:
            field = lo.gpr()
            lo.emit(_SHR[I32], [field, lo.use_low(shift.args[0])], count)
        result = lo.gpr()
        if mask == 0xFF:
            lo.emit(m.MOVZX32_8, [result, field])
        elif mask == 0xFFFF:
            lo.emit(m.MOVZX32_16, [result, field])
        else:
            lo.emit(m.AND32_I, [result, field], mask)
    else:
        result = lo.gpr()
        lo.emit(_SHR[I32], [result, lo.use_low(shift.args[0])], count)
    return result, scale
