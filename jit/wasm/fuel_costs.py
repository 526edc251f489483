"""What the operators of a body cost in fuel, found in one pass over its bytes.

The accounting is Wasmtime's (crates/cranelift/src/func_environ.rs and crates/environ/src/tunables.rs): an operator costs 1, those
of FREE nothing, and bulk operators 1 more for each byte or element that they handle. A function counts what it passes and pays
at certain operators, its stops; so all that translation needs to know is how much has been passed at each of these.

Whether the length of a bulk operator is a constant matters, because small constants are paid without a look at what is left. Mostly
it is an `i32.const` right before, or something computed; where it may be otherwise, fuel_constants.py finds out.
"""

from __future__ import annotations

from typing import Final, final

from brolga.ir.work import STRIDE, spend

from . import opcodes as wasm
from .fuel_constants import find_constants
from .fuel_variables import NOT_CONSTANT
from .locals import read_locals
from .opcodes import ALIGNMENT, IMMEDIATES, LABEL, LOCAL, MEMARG, NONE, OPERATOR_COUNT, RESULTS
from .operators import read_immediates, read_opcode
from .translate_table import KIND, LOAD, OTHER, STORE
from .types import Module

PAGE_SIZE: Final = 65536

FREE: Final = (
    wasm.NOP,
    wasm.DROP,
    wasm.BLOCK_OP,
    wasm.LOOP,
    wasm.UNREACHABLE,
    wasm.RETURN,
    wasm.ELSE,
    wasm.END,
)
BULK: Final = (
    wasm.MEMORY_GROW,
    wasm.MEMORY_FILL,
    wasm.MEMORY_COPY,
    wasm.MEMORY_INIT,
    wasm.TABLE_GROW,
    wasm.TABLE_FILL,
    wasm.TABLE_COPY,
    wasm.TABLE_INIT,
)
STOPS: Final = (
    wasm.UNREACHABLE,
    wasm.RETURN,
    wasm.CALL,
    wasm.CALL_INDIRECT,
    wasm.LOOP,
    wasm.IF,
    wasm.ELSE,
    wasm.END,
    wasm.BR,
    wasm.BR_IF,
    wasm.BR_TABLE,
    *BULK,
)

_COST: Final[list[int]] = [0 if op in FREE else 1 for op in range(OPERATOR_COUNT)]
_IS_STOP: Final[list[bool]] = [op in STOPS for op in range(OPERATOR_COUNT)]
_IS_BULK: Final[list[bool]] = [op in BULK for op in range(OPERATOR_COUNT)]

# As KIND, but all loads and stores come to `translate_metered`.
_KIND_OF_STOPS: Final[list[int]] = [OTHER if kind == LOAD or kind == STORE else kind for kind in KIND]


@final
class FuelCosts:
    """The lists' keys are offsets of operators in the module's bytes.

    passed    of each stop: the cost of all operators of the body up to it, itself included
    lengths   of each bulk operator: its length if that is constant, else NOT_CONSTANT
    outside   the loads and stores that are outside of every memory of this type. They are stops, too.
    """

    __slots__ = ("passed", "lengths", "outside")

    def __init__(self) -> None:
        self.passed: dict[int, int] = {}
        self.lengths: dict[int, int] = {}
        self.outside: set[int] = set()


@final
class Fuel:
    """Of one function: its costs, the number of the local that is the counter, and what is not yet in that.

    paid    what of `costs.passed` has been added
    extra   constant lengths of bulk operators, which are to be added at the next stop
    kinds   which operators the translation sees as which kind
    """

    __slots__ = ("costs", "local", "paid", "extra", "kinds")

    def __init__(self, costs: FuelCosts, local: int) -> None:
        self.costs = costs
        self.local = local
        self.paid = 0
        self.extra = 0
        self.kinds = _KIND_OF_STOPS if costs.outside else KIND

    def skip_to(self, loc: int) -> None:
        """The code up to the stop at `loc` is not reached."""
        self.paid = self.costs.passed[loc]
        self.extra = 0


def fuel_costs(module: Module, index: int) -> FuelCosts:
    """Of the valid body of defined function `index` (index space)."""
    result = FuelCosts()
    if not _count(module, index, result):
        find_constants(module, index, result.lengths, result.outside)
    return result


def _count(module: Module, index: int, result: FuelCosts) -> bool:
    """Fill `result`, with constants that stand right before their operator. False if there may be other ones: but for an
    operator that computes something, what is right before need not be what made the topmost operand."""
    data = module.data
    end = module.bodies[index - module.imported_funcs].end
    _, _, pos = read_locals(module, index)
    memory_size = 1 << 32
    if module.memory_types and module.memory_types[0].limits.maximum >= 0:
        memory_size = PAGE_SIZE * module.memory_types[0].limits.maximum
    costs = _COST
    stops = _IS_STOP
    kinds = IMMEDIATES
    total = 0
    complete = True
    previous = wasm.NOP
    constant = NOT_CONSTANT
    look_up_at = pos + STRIDE
    while pos < end:
        if pos >= look_up_at:
            look_up_at = pos + STRIDE
            spend(STRIDE // 4)
        start = pos
        op = data[pos]
        if op == wasm.PREFIX_FC:
            op, pos = read_opcode(data, pos)
        else:
            pos += 1
        total += costs[op]
        kind = kinds[op]
        if stops[op]:
            result.passed[start] = total
            if _IS_BULK[op]:
                result.lengths[start] = constant if previous == wasm.I32_CONST else NOT_CONSTANT
                if previous != wasm.I32_CONST and not RESULTS[previous]:
                    complete = False
        if kind == NONE:
            pass
        elif kind == LOCAL or kind == LABEL:
            while data[pos] >= 0x80:
                pos += 1
            pos += 1
        else:
            values, pos = read_immediates(data, pos, op)
            if op == wasm.I32_CONST:
                constant = values[0] & 0xFFFF_FFFF
            elif kind == MEMARG and values[1] + (1 << ALIGNMENT[op]) > memory_size:
                result.passed[start] = total
                result.outside.add(start)
        previous = op
    return complete
