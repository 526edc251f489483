"""The compiler's transformations: what each is called, what it does, where it comes from. Each can be switched off.

A transformation is whatever makes better code of code that would do. No transformation is what code cannot be right without (checks,
the order of moves), what only chooses among encodings of one instruction (`movzx` for `and` with 255, the length of an
immediate), what follows from a CPU feature (those are settings of their own), and how an algorithm orders what it does anyway
(which value is evicted).

`Settings.off` is a set of them, as a mask of the bits below; it is part of the key of cached code. Whoever makes an object that does
the work reads its bits once, into bools; ir and regalloc, which know nothing of this table, get theirs from `switches.py`. To add one: a row here, the bool, `tests/filetests/transformations/NAME`, and a line in
docs/transformations.md; tests look for all of them.

    brolga run -O lea=n,gvn=n FILE
    config.optimizations_off = ["lea", "gvn"]
    BROLGA_OFF=lea,gvn
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, final


@final
class Transformation:
    """A row of the table. `stage` is where it takes place: build, ir, select, layout, allocate or emit."""

    __slots__ = ("name", "stage", "what", "bit")

    def __init__(self, name: str, stage: str, what: str, bit: int) -> None:
        self.name = name
        self.stage = stage
        self.what = what
        self.bit = bit


TRANSFORMATIONS: Final[list[Transformation]] = []


def _row(name: str, stage: str, what: str) -> int:
    bit = 1 << len(TRANSFORMATIONS)
    TRANSFORMATIONS.append(Transformation(name, stage, what, bit))
    return bit


# fmt: off
LIVE_LOCALS: Final = _row("live_locals", "build", "only locals that are live and set where control flow meets become parameters")
INLINING: Final = _row("inlining", "build", "calls of small functions without calls and loops are replaced by their bodies")

# The families of rules: the modules in ir/rules.
FOLD: Final = _row("fold_rules", "build", "operations on constants are constants")
INTEGER: Final = _row("integer_rules", "build", "identities of sums, products and bitwise operations")
SHIFTS: Final = _row("shifts_rules", "build", "identities of shifts and rotations")
EXTEND: Final = _row("extend_rules", "build", "extensions of what is extended already, truncations of extensions")
COMPARE: Final = _row("compare_rules", "build", "comparisons that are decided, or simpler in another form")
SELECT: Final = _row("select_rules", "build", "selections that are decided, or a comparison")
DIVISION: Final = _row("division_rules", "build", "division by constants as multiplication and shifts")
FLOAT: Final = _row("float_rules", "build", "identities of float operations that are exact")

GVN: Final = _row("gvn", "build", "equal pure instructions, of which one dominates the other, are one")
SHARED_LOADS: Final = _row("shared_loads", "build", "equal loads of fields that never change are one")
SHARED_CHECKS: Final = _row("shared_checks", "build", "a check that has passed in a dominating block is left out")
SEEN_CONDITIONS: Final = _row("seen_conditions", "build", "branches and traps test what a comparison with zero compares")
FOLDED_BRANCHES: Final = _row("folded_branches", "build", "branches on constants, or with one target, become jumps")

UNREACHABLE: Final = _row("unreachable", "ir", "blocks that are not reached are removed")
BLOCK_PARAMS: Final = _row("block_params", "ir", "parameters that are always the same value are removed")
DCE: Final = _row("dce", "ir", "instructions and parameters that nothing needs are removed")
JUMP_THREADING: Final = _row("jump_threading", "ir", "edges whose constant arguments decide selections or a branch skip those")
BRANCHES: Final = _row("branches", "ir", "empty blocks are skipped, blocks with one predecessor merged into it")
PRODUCTS: Final = _row("products", "ir", "in loops, products with 2**k + 1 and 2**k - 1 that the next turn waits for are shifts and sums")
REASSOCIATION: Final = _row("reassociation", "ir", "in loops, chains of sums, products and bitwise operations in the order in which their parts are ready")
INDUCTION: Final = _row("induction", "ir", "old values of induction variables are computed from the new, which get their register")

IMMEDIATES: Final = _row("immediates", "select", "integer constants as immediates, displacements and shift counts")
POOL_OPERANDS: Final = _row("pool_operands", "select", "float constants as memory operands, and as special forms")
HOISTED_CONSTANTS: Final = _row("hoisted_constants", "select", "constants of a loop are made before the outermost one")
FOLDED_LOADS: Final = _row("folded_loads", "select", "a load with one use is a memory operand of its user")
MODIFIED_MEMORY: Final = _row("modified_memory", "select", "load, operation and store at one address are one instruction")
WRAPPING_ADDRESSES: Final = _row("wrapping_addresses", "select", "sums and shifts in addresses that wrap at 32 bits")
BOUNDED_ADDRESSES: Final = _row("bounded_addresses", "select", "sums and shifts that cannot wrap, in addresses of 64 bits")
CARRIED_SUMS: Final = _row("carried_sums", "select", "sums that are passed around a loop are not computed again in addresses")
POINTER_ADDRESSES: Final = _row("pointer_addresses", "select", "sums and shifts in addresses of the compiler's own accesses")
LEA: Final = _row("lea", "select", "sums, shifts and small products by the address unit, to a new register")
LOW_BITS: Final = _row("low_bits", "select", "truncations and masks are skipped where only low bits are read")
FREE_EXTENSION: Final = _row("free_extension", "select", "zero-extension of 32 bits, which registers hold zero-extended, costs nothing")
FUSED_COMPARES: Final = _row("fused_compares", "select", "comparisons set the flags for the branch, trap or selection that tests them")
TESTED_BITS: Final = _row("tested_bits", "select", "bitwise and compared with zero is a `test` or `bt`")
REUSED_FLAGS: Final = _row("reused_flags", "select", "a branch tests the flags of the operation before it")
BIT_MANIPULATION: Final = _row("bit_manipulation", "select", "patterns of BMI1: andn, blsr, blsi, blsmsk")
BIT_FIELDS: Final = _row("bit_fields", "select", "fields of bits are rotated down by rorx, and scaled by the address")
FLOAT_MIN_MAX: Final = _row("float_min_max", "select", "selection of the smaller or greater float as `minss`, `maxss`")
FLOAT_MASKS: Final = _row("float_masks", "select", "selection of floats by the mask of a float comparison, without a jump")
TWOFOLD_SELECTS: Final = _row("twofold_selects", "select", "selections by two comparisons are two conditional moves")
GUARDED_CONVERSIONS: Final = _row("guarded_conversions", "select", "no check where the branch into the block tests the range of the float")
CLAMPED_CONVERSIONS: Final = _row("clamped_conversions", "select", "floats that saturate as unsigned integers are clamped before they are converted")
DIVISION_CHECKS: Final = _row("division_checks", "select", "no check where divisor or dividend show that it passes")
TABLE_CLAMPS: Final = _row("table_clamps", "select", "no comparison where the index of a jump table is in its range")

COLD_BLOCKS: Final = _row("cold_blocks", "layout", "code that is not expected to run stands at the end")
LOOP_ALIGNMENT: Final = _row("loop_alignment", "layout", "short loops, and jumps through tables in loops, do not cross the ends of lines")

REMATERIALIZATION: Final = _row("rematerialization", "allocate", "constants are made again instead of spilled")
REGISTER_HINTS: Final = _row("register_hints", "allocate", "values go where a fixed operand ahead wants them")
PARAM_HINTS: Final = _row("param_hints", "allocate", "values go where the block parameter is that they are passed to")
CALL_AVOIDANCE: Final = _row("call_avoidance", "allocate", "values that live across calls avoid registers that those need")
EXCHANGED_OPERANDS: Final = _row("exchanged_operands", "allocate", "operands change places, so that the one that dies is overwritten")
SLOT_OPERANDS: Final = _row("slot_operands", "allocate", "spilled values are memory operands of instructions")
LOOP_ENTRIES: Final = _row("loop_entries", "allocate", "what a loop needs is loaded before it, the rest evicted before it")
MEMORY_PARAMS: Final = _row("memory_params", "allocate", "parameters whose arguments are in memory stay there")
SHARED_SLOTS: Final = _row("shared_slots", "allocate", "a parameter in memory and what is passed to it share a slot")
PLACED_STORES: Final = _row("placed_stores", "allocate", "spilled values are stored once, where that runs least often")
LATCH_MOVES: Final = _row("latch_moves", "allocate", "moves at the end of a loop stand before its branch")
SHRINK_WRAPPING: Final = _row("shrink_wrapping", "allocate", "registers are saved, and the frame is made, on paths that need it")

SKIPPED_JUMPS: Final = _row("skipped_jumps", "emit", "jumps to jumps lead to their end")
ROTATED_LOOPS: Final = _row("rotated_loops", "emit", "the last block of a loop stands in front of its head, without a jump")
REPEATED_RETURNS: Final = _row("repeated_returns", "emit", "a jump to a return is a return")
SHORT_BRANCHES: Final = _row("short_branches", "emit", "branches have their short form where the target is near")
# fmt: on

BY_NAME: Final[dict[str, Transformation]] = {row.name: row for row in TRANSFORMATIONS}
ALL_OFF: Final = (1 << len(TRANSFORMATIONS)) - 1


def mask_of(names: Iterable[str]) -> int:
    """The mask of transformations by name. Raises ValueError for a name that there is not."""
    mask = 0
    for name in names:
        row = BY_NAME.get(name)
        if row is None:
            raise ValueError(f"unknown optimization: {name}")
        mask |= row.bit
    return mask


def names_of(mask: int) -> list[str]:
    """The names of a mask, in the order of the table."""
    return [row.name for row in TRANSFORMATIONS if mask & row.bit]
