"""What the operators of a body cost in fuel, found in one pass over its bytes.

The accounting is Wasmtime's (crates/cranelift/src/func_environ.rs and crates/environ/src/tunables.rs): an operator costs 1, those
of FREE nothing, and bulk operators 1 more for each byte or element that they handle. A function counts what it passes and pays
at certain operators, its stops; so all that translation needs to know is how much has been passed at each of these.

Whether the length of a bulk operator is a constant matters, because small constants are paid without a look at what is left.
Constant is what Cranelift's front end takes for one when it gets to the operator: an `i32.const` right before, or a local
that holds the value of one; not what can be computed, and in a loop nothing that was set before the loop. It also follows
constants through results of blocks, past operators that stand between, and to where all but one of the ways that join are dead,
which is left out here: then the store is found empty at the operator, not at the next look.
"""

from __future__ import annotations

from typing import Final, final

from . import opcodes as wasm
from .locals import read_locals
from .opcodes import ALIGNMENT, BLOCK, IMMEDIATES, LABEL, LABELS, LOCAL, MEMARG, NONE, OPERATOR_COUNT
from .operators import read_immediates, read_opcode
from .translate_table import KIND, LOAD, OTHER, STORE
from .types import I32, Module

PAGE_SIZE: Final = 65536
NOT_CONSTANT: Final = -1

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


@final
class _Construct:
    """An open construct; `assigned` are the locals that it sets, `targeted` says whether a branch leads to its end."""

    __slots__ = ("op", "loop", "reachable", "targeted", "assigned", "before")

    def __init__(self, op: int, loop: int, reachable: bool) -> None:
        self.op = op
        self.loop = loop  # number of the innermost loop around it
        self.reachable = reachable
        self.targeted = False
        self.assigned: set[int] = set()
        self.before: dict[int, int] = {}  # what was known, at its start, of the locals that it sets


@final
class _Constants:
    """The locals that are known to be constant, as Cranelift's construction of SSA form knows it.

    A header is open for branches until the end of its loop, so that within the loop nothing is known of what was set before it;
    behind the loop, what the loop did not set is known again. Where ways join, what one of them set is unknown.
    """

    __slots__ = ("values", "loops", "constructs", "loop", "loop_count", "reachable")

    def __init__(self) -> None:
        self.values: dict[int, int] = {}
        self.loops: dict[int, int] = {}  # of each local in `values`: the innermost loop at the place where it was set
        self.constructs = [_Construct(wasm.BLOCK_OP, 0, True)]
        self.loop = 0
        self.loop_count = 0
        self.reachable = True

    def value_of(self, local: int) -> int:
        if local in self.values and self.loops[local] == self.loop:
            return self.values[local]
        return NOT_CONSTANT

    def assign(self, local: int, value: int) -> None:
        if not self.reachable:
            return
        construct = self.constructs[-1]
        if local not in construct.assigned:
            construct.assigned.add(local)
            known = self.value_of(local)
            if known != NOT_CONSTANT:
                construct.before[local] = known
        if value == NOT_CONSTANT:
            self.values.pop(local, None)
        else:
            self.values[local] = value
            self.loops[local] = self.loop

    def open(self, op: int) -> None:
        self.constructs.append(_Construct(op, self.loop, self.reachable))
        if op == wasm.LOOP:
            self.loop_count += 1
            self.loop = self.loop_count

    def second_arm(self) -> None:
        construct = self.constructs[-1]
        construct.targeted = construct.targeted or self.reachable
        self._forget(construct)
        self.reachable = construct.reachable
        for local, value in construct.before.items():
            self.values[local] = value
            self.loops[local] = self.loop
        construct.op = wasm.ELSE

    def close(self) -> None:
        construct = self.constructs.pop()
        if not self.constructs:
            return
        loop = self.loop
        self.loop = construct.loop
        if construct.op == wasm.LOOP:
            for local in construct.assigned:
                if local in self.values and self.loops[local] == loop:
                    self.loops[local] = self.loop
        elif construct.targeted or construct.op == wasm.IF:
            self._forget(construct)
            self.reachable = construct.reachable
        outer = self.constructs[-1]
        for local in construct.assigned:
            if local not in outer.assigned:
                outer.assigned.add(local)
                if local in construct.before and outer.loop == construct.loop:
                    outer.before[local] = construct.before[local]

    def branch(self, depth: int) -> None:
        self.constructs[-1 - depth].targeted = True

    def _forget(self, construct: _Construct) -> None:
        for local in construct.assigned:
            self.values.pop(local, None)


def fuel_costs(module: Module, index: int) -> FuelCosts:
    """Of the valid body of defined function `index` (index space)."""
    result = FuelCosts()
    if not _count(module, index, result):
        _find_constants(module, index, result)
    return result


def _count(module: Module, index: int, result: FuelCosts) -> bool:
    """Fill `result`, with constants that stand right before their operator. False if there may be other ones."""
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
    while pos < end:
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
                if previous == wasm.LOCAL_GET or previous == wasm.LOCAL_TEE:
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


def _find_constants(module: Module, index: int, result: FuelCosts) -> None:
    """Fill in lengths that come from locals."""
    data = module.data
    body = module.bodies[index - module.imported_funcs]
    group_ends, group_types, pos = read_locals(module, index)
    constants = _Constants()
    local = len(module.types[body.type_index].params)
    for group_end, group_type in zip(group_ends, group_types):
        if group_type == I32:
            for place in range(local, group_end):
                constants.values[place] = constants.loops[place] = 0
        local = max(local, group_end)
    top = NOT_CONSTANT  # what the top of the stack is
    dead = 0  # constructs begun in unreachable code
    while pos < body.end:
        start = pos
        op, pos = read_opcode(data, pos)
        values, pos = read_immediates(data, pos, op)
        kind = IMMEDIATES[op]
        if not constants.reachable:
            if kind == BLOCK:
                dead += 1
            elif op == wasm.END and dead > 0:
                dead -= 1
            elif op == wasm.END:
                constants.close()
            elif op == wasm.ELSE and dead == 0:
                constants.second_arm()
            top = NOT_CONSTANT
            continue
        if start in result.lengths:
            result.lengths[start] = top
        if op == wasm.I32_CONST:
            top = values[0] & 0xFFFF_FFFF
            continue
        if kind == LOCAL:
            if op == wasm.LOCAL_GET:
                top = constants.value_of(values[0])
            else:
                constants.assign(values[0], top)
                if op == wasm.LOCAL_SET:
                    top = NOT_CONSTANT
            continue
        if kind == BLOCK:
            constants.open(op)
        elif op == wasm.ELSE:
            constants.second_arm()
        elif op == wasm.END:
            constants.close()
        elif kind == LABEL or kind == LABELS:
            for depth in values:
                constants.branch(depth)
        if (
            op == wasm.BR
            or op == wasm.BR_TABLE
            or op == wasm.RETURN
            or op == wasm.UNREACHABLE
            or start in result.outside
        ):
            constants.reachable = False
        top = NOT_CONSTANT
