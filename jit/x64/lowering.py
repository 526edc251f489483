"""The state of instruction selection, and what its rules are written with.

Selection walks blocks and instructions backwards (see lower.py), so that the uses of a value are seen before its definition.
Inside the lowering of one IR instruction, machine instructions are emitted in the order of execution.

A vreg is numbered as its IR value. Temporaries come after them. Values without a vreg of their own:

    constants   made by a move at each use, or once before the outermost loop around their uses
    uextend     the vreg of its operand: an I32 is zero-extended in its register

`use` gives the vreg of a value, `use_low` that of a value of which only the low 32 bits are read if it is an I32 (`ireduce` needs no
instruction then).

Folding. A pure definition may be folded into any number of users, which repeat its work. A load is folded (`can_sink`) only
into its only user, if that is itself selected once, in the same block, and nothing that stands between them could be observed to
change places with it: no write; for accesses that may trap, no trap of another kind either.
"""

from __future__ import annotations

from typing import Final, final

from brolga.ir.function import Function, Inst
from brolga.ir.opcodes import (
    CALLS,
    CAN_TRAP,
    CTX_LOAD,
    FCONST,
    FLAGS,
    IADD,
    ICONST,
    IREDUCE,
    ISHL,
    LOAD,
    OPCODE_COUNT,
    PTR_LOAD,
    READS,
    TERMINATOR,
    UEXTEND,
    WRITES,
)
from brolga.ir.rules.known_bits import ones_by_definition
from brolga.ir.types import F32, I32, I64, IS_FLOAT
from brolga.ir.work import spend
from brolga.regalloc.operand import GPR, XMM, Code

from .. import transformations as t
from ..settings import BOUNDS_EXPLICIT, BOUNDS_GUARD, MEMORY_BASE_GS, Settings
from .block_order import NO_BLOCK, BlockOrder
from .inst import AMODE_CONSTANT, Amode
from .inst import Inst as MachInst
from .insts import MOV32_I, MOV64_I, MOVSD, MOVSS, SHAPE_MEM, SHAPE_REG, ZERO32, ZEROPS
from .vcode import VCode

PARAM: Final = OPCODE_COUNT  # opcode of the pseudo instruction that defines block parameters in `defs`
OPAQUE: Final = OPCODE_COUNT + 1  # in `defs`, of constants that no rule of selection is to see: always in registers
PARAM_INST: Final = Inst(PARAM, 0, [])  # in `defs`, also of values whose definition has been passed

# What `use` has to do for a value, by the opcode of its definition.
_USE_VREG: Final = 0
_USE_OPERAND: Final = 1  # uextend
_USE_CONSTANT: Final = 2
_USE_REDUCED: Final = 3  # ireduce
USE_KIND: Final[list[int]] = [_USE_VREG] * (OPCODE_COUNT + 2)
USE_KIND[UEXTEND] = _USE_OPERAND
USE_KIND[IREDUCE] = _USE_REDUCED
USE_KIND[ICONST] = USE_KIND[FCONST] = USE_KIND[OPAQUE] = _USE_CONSTANT

# What an instruction means for the order of effects, by opcode.
ORDER_PURE: Final = 0
ORDER_READ: Final = 1  # ctx_load, ptr_load
ORDER_SANDBOXED_READ: Final = 2  # may trap; such traps may change places among each other
ORDER_TRAP: Final = 3
ORDER_WRITE: Final = 4
ORDER_END: Final = 5


def _order_of(flags: int) -> int:
    if flags & TERMINATOR:
        return ORDER_END
    if flags & (WRITES | CALLS):
        return ORDER_WRITE
    if flags & READS:
        return ORDER_SANDBOXED_READ if flags & CAN_TRAP else ORDER_READ
    return ORDER_TRAP if flags & CAN_TRAP else ORDER_PURE


ORDER: Final[list[int]] = [_order_of(flags) for flags in FLAGS]

_SUNK: Final = -1  # in `load_order`: folded into its user

_HOISTED_FLOATS: Final = 8


def signed32(bits: int) -> int:
    """The I32 constant `bits` as a signed number."""
    return bits - 0x1_0000_0000 if bits >= 0x8000_0000 else bits


def fits_signed32(bits: int) -> bool:
    """May the I64 constant `bits` be an immediate?"""
    return bits < 0x8000_0000 or bits >= 0xFFFF_FFFF_8000_0000


@final
class Lowering:
    """One function's selection.

    defs        by value: its definition; op PARAM for block parameters
    uses        by value: how many operands name it
    needed      by vreg: some machine instruction uses it
    load_order  by value of a load: the state of `write_order` or `trap_order` where it stands, or _SUNK
    write_order, trap_order   how many writes (writes and traps) came before the current instruction, over all blocks
    out         the current block, last instruction first
    loc         offset of the wasm operator that is lowered
    hoist_to    the block at whose end constants had better be made, or NO_BLOCK: here
    flags_for   the value whose definition, right before the branch that tests it, has to set the flags for that
    many_floats there are more float constants than registers for them in a loop: better read from memory where that is possible
    hoisted     by block: the instructions that make constants at its end
    use_kind    USE_KIND, but for what is switched off; `hides_integers`, `hides_floats`: constants are OPAQUE

    checks_facts  Settings.check_facts; `early`: by value of a folded load, the vreg of another load where it stood

    The bools from `folds_loads` on say which transformations are not switched off (transformations.py).
    """

    __slots__ = (
        "function",
        "settings",
        "vcode",
        "code",
        "flags_for",
        "many_floats",
        "order",
        "defs",
        "uses",
        "needed",
        "load_order",
        "write_order",
        "trap_order",
        "out",
        "loc",
        "hoist_to",
        "hoisted",
        "block",
        "gs",
        "explicit_bounds",
        "keeps_base",
        "signals",
        "sse41",
        "popcnt",
        "lzcnt",
        "bmi1",
        "bmi2",
        "avx",
        "checks_facts",
        "early",
        "use_kind",
        "hides_integers",
        "hides_floats",
        "hoists",
        "rematerializes",
        "folds_loads",
        "modifies_memory",
        "wrapping_addresses",
        "bounded_addresses",
        "pointer_addresses",
        "lea",
        "low_bits",
        "fuses_compares",
        "tests_bits",
        "reuses_flags",
        "bit_manipulation",
        "bit_fields",
        "float_min_max",
        "float_masks",
        "twofold_selects",
        "guarded_conversions",
        "clamped_conversions",
        "omits_division_checks",
        "omits_table_clamps",
        "_context_slot",
        "_end_orders",
        "_hoisted_vregs",
    )

    def __init__(self, function: Function, settings: Settings, vcode: VCode, order: BlockOrder) -> None:
        self.function = function
        self.settings = settings
        self.vcode = vcode
        self.code: Code = vcode.code
        self.order = order
        features = settings.features
        self.gs = settings.memory_base == MEMORY_BASE_GS
        self.explicit_bounds = settings.bounds != BOUNDS_GUARD
        self.keeps_base = settings.bounds != BOUNDS_EXPLICIT
        self.signals = settings.signals
        self.sse41 = "sse41" in features
        self.popcnt = "popcnt" in features
        self.lzcnt = "lzcnt" in features
        self.bmi1 = "bmi1" in features
        self.bmi2 = "bmi2" in features
        self.avx = "avx" in features

        values = len(function.value_types)
        self.code.vreg_class = [XMM if IS_FLOAT[type] else GPR for type in function.value_types]
        self.code.remat = [None] * values
        self.code.hints = [-1] * values
        self.defs: list[Inst] = [PARAM_INST] * values
        self.uses = [0] * values
        self.needed = [False] * values
        self.load_order = [0] * values
        self.write_order = 0
        self.trap_order = 0
        self.flags_for = -1
        self.many_floats = False
        self.out: list[MachInst] = []
        self.loc = -1
        self.block = 0
        self.hoist_to = NO_BLOCK
        self.hoisted: dict[int, list[MachInst]] = {}
        self._hoisted_vregs: dict[tuple[int, int, int], int] = {}
        self._context_slot = -1
        self._end_orders: list[int] = []
        self.checks_facts = settings.check_facts
        self.early: dict[int, int] = {}
        self._read_switches(settings.off)
        self._scan()

    def _read_switches(self, off: int) -> None:
        self.use_kind = USE_KIND
        self.low_bits = not off & t.LOW_BITS
        if off & (t.LOW_BITS | t.FREE_EXTENSION):
            self.use_kind = USE_KIND[:]
            if off & t.LOW_BITS:
                self.use_kind[IREDUCE] = _USE_VREG
            if off & t.FREE_EXTENSION:
                self.use_kind[UEXTEND] = _USE_VREG
        self.hides_integers = bool(off & t.IMMEDIATES)
        self.hides_floats = bool(off & t.POOL_OPERANDS)
        self.hoists = not off & t.HOISTED_CONSTANTS
        self.rematerializes = not off & t.REMATERIALIZATION
        self.folds_loads = not off & t.FOLDED_LOADS
        self.modifies_memory = not off & t.MODIFIED_MEMORY
        self.wrapping_addresses = not off & t.WRAPPING_ADDRESSES
        self.bounded_addresses = not off & t.BOUNDED_ADDRESSES
        self.pointer_addresses = not off & t.POINTER_ADDRESSES
        self.lea = not off & t.LEA
        self.fuses_compares = not off & t.FUSED_COMPARES
        self.tests_bits = not off & t.TESTED_BITS
        self.reuses_flags = not off & t.REUSED_FLAGS and not self.checks_facts  # checks would come between
        self.bit_manipulation = self.bmi1 and not off & t.BIT_MANIPULATION
        self.bit_fields = self.bmi2 and not off & t.BIT_FIELDS
        self.float_min_max = not off & t.FLOAT_MIN_MAX
        self.float_masks = not off & t.FLOAT_MASKS
        self.twofold_selects = not off & t.TWOFOLD_SELECTS and not off & t.FUSED_COMPARES
        self.guarded_conversions = not off & t.GUARDED_CONVERSIONS
        self.clamped_conversions = not off & t.CLAMPED_CONVERSIONS
        self.omits_division_checks = not off & t.DIVISION_CHECKS
        self.omits_table_clamps = not off & t.TABLE_CLAMPS

    def _scan(self) -> None:
        """One forward pass: definitions, numbers of uses, the order of effects.

        Sums that are passed back to the head of a loop are in a register while the loop runs: no use computes them again.
        """
        defs = self.defs
        uses = self.uses
        load_order = self.load_order
        blocks = self.function.blocks
        ends = self._end_orders
        writes = traps = 0
        float_constants = 0
        needed = self.needed
        started = [False] * len(blocks)
        carried_sums = not self.settings.off & t.CARRIED_SUMS
        for number in self.order.ir_block:
            if number == NO_BLOCK:
                ends.append(0)
                ends.append(0)
                continue
            started[number] = True
            writes += 1
            traps += 1
            insts = blocks[number].insts
            spend(len(insts))
            for inst in insts:
                for arg in inst.args:
                    uses[arg] += 1
                order = ORDER[inst.op]
                result = inst.result
                if result >= 0:
                    defs[result] = inst
                if order == ORDER_PURE:
                    if inst.op == FCONST:
                        float_constants += 1
                        if self.hides_floats:
                            defs[result] = Inst(OPAQUE, inst.type, inst.args, inst.imm)
                    elif inst.op == ICONST and self.hides_integers:
                        defs[result] = Inst(OPAQUE, inst.type, inst.args, inst.imm)
                elif order == ORDER_READ:
                    load_order[result] = writes
                elif order == ORDER_SANDBOXED_READ:
                    load_order[result] = traps
                elif order == ORDER_TRAP:
                    traps += 1
                elif order == ORDER_WRITE:
                    writes += 1
                    traps += 1
                    for extra in range(1, self.function.result_count(inst)):
                        defs[result + extra] = inst
                else:
                    for target in inst.targets:
                        passed_back = target.args and carried_sums and started[target.block]
                        for arg in target.args:
                            uses[arg] += 1
                            if passed_back and (defs[arg].op == IADD or defs[arg].op == ISHL):
                                needed[arg] = True
            ends.append(writes)
            ends.append(traps)
        self.many_floats = float_constants > _HOISTED_FLOATS

    def start_block(self, number: int) -> None:
        """Go to the end of machine block `number`."""
        self.block = number
        self.out = []
        self.write_order = self._end_orders[2 * number]
        self.trap_order = self._end_orders[2 * number + 1]
        self.hoist_to = self.order.hoist[number] if self.hoists else NO_BLOCK

    # Vregs

    def gpr(self) -> int:
        """A new vreg for an integer."""
        self.needed.append(True)
        return self.code.new_vreg(GPR)

    def xmm(self) -> int:
        """A new vreg for a float."""
        self.needed.append(True)
        return self.code.new_vreg(XMM)

    def use(self, value: int) -> int:
        """The vreg that holds `value`, all of it."""
        while True:
            inst = self.defs[value]
            kind = self.use_kind[inst.op]
            if kind == _USE_VREG or kind == _USE_REDUCED:
                self.needed[value] = True
                return value
            if kind == _USE_CONSTANT:
                return self.constant(inst.type, inst.imm)
            value = inst.args[0]

    def use_low(self, value: int) -> int:
        """The vreg that holds `value`; if it is an I32, any bits above its 32."""
        while True:
            inst = self.defs[value]
            kind = self.use_kind[inst.op]
            if kind == _USE_VREG:
                self.needed[value] = True
                return value
            if kind == _USE_CONSTANT:
                return self.constant(inst.type, inst.imm)
            if kind == _USE_OPERAND and self.function.value_types[value] == I64:
                return self.use(inst.args[0])
            value = inst.args[0]

    def constant(self, type: int, bits: int) -> int:
        """A vreg with a constant, made here or before the loop."""
        if type == I32 or type == I64:
            if bits == 0:
                vreg = self.gpr()
                self.emit(ZERO32, [vreg])
                return vreg
            if bits <= (0xFFFF_FFFF if type == I32 else 0x7FFF_FFFF) or self.hoist_to == NO_BLOCK:
                vreg = self.gpr()
                op = MOV32_I if bits <= 0xFFFF_FFFF else MOV64_I
                inst = MachInst(op, [vreg], SHAPE_REG[op], bits)
                if self.rematerializes:
                    self.code.remat[vreg] = inst
                inst.loc = self.loc
                self.out.append(inst)
                return vreg
        elif self.hoist_to == NO_BLOCK:
            vreg = self.xmm()
            self.out.append(self._make_constant(vreg, type, bits))
            return vreg
        key = (self.hoist_to, type, bits)
        vreg = self._hoisted_vregs.get(key, -1)
        if vreg < 0:
            vreg = self.gpr() if type == I64 else self.xmm()
            self._hoisted_vregs[key] = vreg
            self.hoisted.setdefault(self.hoist_to, []).append(self._make_constant(vreg, type, bits))
        return vreg

    def _make_constant(self, vreg: int, type: int, bits: int) -> MachInst:
        if type == I64:
            inst = MachInst(MOV64_I, [vreg], SHAPE_REG[MOV64_I], bits)
        elif bits == 0:
            inst = MachInst(ZEROPS, [vreg], SHAPE_REG[ZEROPS])
        else:
            op, size = (MOVSS, 4) if type == F32 else (MOVSD, 8)
            amode = Amode(AMODE_CONSTANT, displacement=self.vcode.constant(bits, size))
            inst = MachInst(op, [vreg], SHAPE_MEM[op], 0, amode)
        inst.loc = self.loc
        if self.rematerializes:
            self.code.remat[vreg] = inst
        return inst

    def context_slot(self) -> int:
        """The frame slot that keeps r15 during a call into another context, in the current block."""
        self.code.blocks[self.block].needs_frame = True
        if self._context_slot < 0:
            self._context_slot = self.vcode.new_slot()
        return self._context_slot

    # Definitions

    def iconst_of(self, value: int) -> int:
        """The bits of the integer constant `value`, or -1 if it is none."""
        inst = self.defs[value]
        return inst.imm if inst.op == ICONST else -1

    def immediate(self, value: int) -> int:
        """The bits of the integer constant `value` if they fit an immediate of 32 bits, signed in an I64; or -1."""
        inst = self.defs[value]
        if inst.op == ICONST and (inst.type == I32 or fits_signed32(inst.imm)):
            return inst.imm
        return -1

    def single(self, value: int) -> bool:
        """Is there only one use?"""
        return self.uses[value] == 1

    def can_sink(self, value: int, inst: Inst) -> bool:
        """May the load `inst`, which defines `value`, move to the current instruction, which alone uses it?

        `needed` is set already where a later instruction has repeated the work of the only user.
        """
        if self.uses[value] != 1 or self.needed[value] or not self.folds_loads:
            return False
        if ORDER[inst.op] == ORDER_READ:
            return self.load_order[value] == self.write_order
        return self.load_order[value] == self.trap_order

    def sinkable_load(self, value: int) -> bool:
        """Is `value` a load of all the bits of its type that can be folded into the current instruction?"""
        inst = self.defs[value]
        op = inst.op
        return (op == LOAD or op == CTX_LOAD or op == PTR_LOAD) and self.can_sink(value, inst)

    def sink(self, value: int) -> None:
        """The load that defines `value` is made by its user."""
        self.load_order[value] = _SUNK

    def is_sunk(self, value: int) -> bool:
        return self.load_order[value] == _SUNK

    def upper_bound(self, value: int) -> int:
        """A number that the integer `value`, as unsigned, does not exceed."""
        return ones_by_definition(self.defs, self.function.value_types, value)

    # Emission

    def emit(self, op: int, operands: list[int], imm: int = 0) -> None:
        """Append row `op` without memory operand."""
        self.out.append(MachInst(op, operands, SHAPE_REG[op], imm, None, -1, -1, self.loc))

    def emit_mem(self, op: int, operands: list[int], amode: Amode, imm: int = 0, trap: int = -1) -> None:
        """Append row `op` with a memory operand, whose registers are already in `operands`."""
        self.out.append(MachInst(op, operands, SHAPE_MEM[op], imm, amode, -1, trap, self.loc))

    def emit_trap(self, op: int, operands: list[int], imm: int, trap: int) -> None:
        """Append row `op`, which may trap."""
        self.out.append(MachInst(op, operands, SHAPE_REG[op], imm, None, -1, trap, self.loc))

    def pool_float(self, type: int, bits: int) -> Amode:
        """The address of a float constant."""
        return Amode(AMODE_CONSTANT, displacement=self.vcode.constant(bits, 4 if type == F32 else 8))

    def pool_mask(self, type: int, bits: int) -> Amode:
        """The address of 16 bytes, `bits` in each lane of `type`."""
        lanes = bits * 0x1_0000_0001_0000_0001_0000_0001 if type == F32 else bits << 64 | bits
        return Amode(AMODE_CONSTANT, displacement=self.vcode.constant(lanes, 16))

