"""Checks of what selection relies on, made in the code itself where Settings.check_facts says so: FACT_* of ir/trap_codes.py.

Facts about the bits of values are checked in the IR (ir/passes/facts.py). Here is what only machine code shows: registers, sums in
addresses, jump tables. Loads that are folded are checked where that is done (lower_memory.py). The checks set the flags.
"""

from __future__ import annotations

from brolga.ir.function import Inst
from brolga.ir.opcodes import CALLS, FLAGS
from brolga.ir.trap_codes import FACT_CONVERTS, FACT_IN_TABLE, FACT_NO_WRAP, FACT_ZERO_EXTENDED
from brolga.ir.types import I32

from . import insts as m
from .inst import AMODE_REGISTERS, NO_OPERAND, Amode
from .lowering import Lowering


def check_results(lo: Lowering, inst: Inst) -> None:
    """An I32 that `inst`, which has just been selected, defines is zero-extended in its register."""
    count = lo.function.result_count(inst) if FLAGS[inst.op] & CALLS else 1
    for value in range(inst.result, inst.result + count):
        check_zero_extended(lo, value)


def check_zero_extended(lo: Lowering, value: int) -> None:
    if lo.function.value_types[value] == I32 and lo.needed[value]:
        _check_upper_half(lo, value, FACT_ZERO_EXTENDED)


def _check_upper_half(lo: Lowering, vreg: int, code: int) -> None:
    """Trap if a bit above the lower 32 is set."""
    upper = lo.gpr()
    lo.emit(m.SHR64_I, [upper, vreg], 32)
    lo.emit_trap(m.TRAP_IF, [], m.CC_NE, code)


def check_no_wrap(lo: Lowering, x: int, y: int, scale: int, displacement: int) -> None:
    """The vregs (x << scale) + y + displacement, zero-extended, do not exceed 32 bits. `y` may be -1; with it, the scale is 0."""
    sum = lo.gpr()
    if y >= 0:
        lo.emit_mem(m.LEA64, [sum, x, y], Amode(AMODE_REGISTERS, 1, 2, 0, displacement))
    elif scale:
        lo.emit_mem(m.LEA64, [sum, x], Amode(AMODE_REGISTERS, NO_OPERAND, 1, scale, displacement))
    else:
        lo.emit_mem(m.LEA64, [sum, x], Amode(AMODE_REGISTERS, 1, NO_OPERAND, 0, displacement))
    _check_upper_half(lo, sum, FACT_NO_WRAP)


def check_in_table(lo: Lowering, index: int, last: int) -> None:
    """The vreg `index` is not greater than `last`."""
    lo.emit(m.CMP32_I, [index], last)
    lo.emit_trap(m.TRAP_IF, [], m.CC_A, FACT_IN_TABLE)


def check_converted(lo: Lowering, vreg: int, wide: bool) -> None:
    """`cvtts*2si` to 64 bits (`wide`) or 32 has not given the least integer, as it does for what is out of range; only that
    overflows when 1 is subtracted."""
    lo.emit(m.CMP64_I if wide else m.CMP32_I, [vreg], 1)
    lo.emit_trap(m.TRAP_IF, [], m.CC_O, FACT_CONVERTS)
