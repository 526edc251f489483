"""Which locals need a value of their own where control flow meets.

Where ways into a place meet (a loop's start, the end of a block or if), a local needs a block parameter only if it is set within
the construct, so that the ways may bring different values, and live there, so that one of them will be read. Bodies as LLVM
makes them have hundreds of locals of which few are live at a time; this leaves a fourth of the parameters that looking at sets
alone would.

Two passes. The first, over the bytes, keeps what matters: uses of locals, branches and constructs. The second goes backwards
over these and computes liveness with bit masks. Control flow is structured, so one pass is enough even for loops: that a branch
back to a loop's header makes the locals live which are live at the header is left out at first, which changes nothing at the
header itself; within the loop all of these are then taken as live (Boissinot et al. 2011, "A Non-Iterative Data-Flow Algorithm
for Computing Liveness Sets in Strict SSA Programs").
"""

from __future__ import annotations

from typing import Final, final

from brolga.ir.errors import LimitError
from brolga.ir.work import STRIDE, spend

from .limits import MAX_CONSTRUCT_LOCALS, MAX_MERGED_LOCALS
from .locals import read_locals
from .opcodes import (
    BLOCK,
    BLOCK_OP,
    BR,
    BR_IF,
    BR_TABLE,
    CALL_TABLE,
    CONST_I32,
    CONST_I64,
    DATA,
    ELEM,
    ELSE,
    END,
    FUNC,
    FUNC_REF,
    GLOBAL,
    HEAP_TYPE,
    IF,
    IMMEDIATES,
    LABEL,
    LABELS,
    LOCAL,
    LOCAL_GET,
    LOCAL_SET,
    LOOP,
    MEMARG,
    MEMORY,
    NONE,
    OPERATOR_COUNT,
    PREFIX_FC,
    RETURN,
    TABLE,
    UNREACHABLE,
)
from .operators import read_immediates, read_opcode
from .reader import read_u32
from .types import Module

# How the first pass steps over an operator.
_PLAIN: Final = 0  # no immediates
_ONE: Final = 1  # one number, of no interest
_TWO: Final = 2
_LOCAL: Final = 3
_LABEL: Final = 4
_OPEN: Final = 5
_EVENT: Final = 6  # no immediates, but of interest
_OTHER: Final = 7

_STEP_BY_IMMEDIATES: Final[dict[int, int]] = {
    NONE: _PLAIN,
    CONST_I32: _ONE,
    CONST_I64: _ONE,
    FUNC: _ONE,
    FUNC_REF: _ONE,
    GLOBAL: _ONE,
    TABLE: _ONE,
    MEMORY: _ONE,
    HEAP_TYPE: _ONE,
    DATA: _ONE,
    ELEM: _ONE,
    MEMARG: _TWO,
    CALL_TABLE: _TWO,
    LOCAL: _LOCAL,
    LABEL: _LABEL,
    BLOCK: _OPEN,
}


def _step(op: int) -> int:
    if op in (ELSE, END, RETURN, UNREACHABLE):
        return _EVENT
    return _OTHER if op == PREFIX_FC else _STEP_BY_IMMEDIATES.get(IMMEDIATES[op], _OTHER)


_STEPS: Final[list[int]] = [_step(op) for op in range(OPERATOR_COUNT)]


@final
class Constructs:
    """What translation wants to know about blocks, loops and ifs; the lists go by their order of appearance.

    merged     locals, ascending, that are parameters of the block that a branch to the construct leads to
    restored   of an if with an else: the locals that the `else` needs as they were before the first arm
    branches   how many branches to the construct there are, unreachable ones included (a br_table counts once)
    has_else   of an if
    """

    __slots__ = ("merged", "restored", "branches", "has_else")

    def __init__(self) -> None:
        self.merged: list[list[int]] = []
        self.restored: list[list[int]] = []
        self.branches: list[int] = []
        self.has_else: list[bool] = []


@final
class _Open:
    """A construct on the way back from its `end` to its start."""

    __slots__ = ("op", "depth", "label_live", "live_after", "sets", "branches", "has_else", "else_live")

    def __init__(self, op: int, depth: int, label_live: int, live_after: int) -> None:
        self.op = op
        self.depth = depth  # how many constructs are around it; the body itself has -1
        self.label_live = label_live  # what a branch to it makes live
        self.live_after = live_after
        self.sets = 0
        self.branches = 0
        self.has_else = False
        self.else_live = 0


_NO_LOCALS: Final[list[int]] = []


def analyse_constructs(module: Module, index: int, all_live: bool = False) -> Constructs:
    """Of the valid body of function `index`; as if all locals were live everywhere, if that is wanted. Raises LimitError."""
    events: list[int] = []  # operators; local.tee as local.set
    operands: list[int] = []  # local, label depth, number in `tables`, or at `end` the operator that it closes
    tables: list[list[int]] = []
    count = _read_events(module, index, events, operands, tables)
    result = Constructs()
    if count == 0:
        return result
    highest = max(
        [operands[i] for i in range(len(events)) if events[i] == LOCAL_GET or events[i] == LOCAL_SET], default=0
    )
    if count * highest > MAX_CONSTRUCT_LOCALS:
        body = module.bodies[index - module.imported_funcs]
        raise LimitError(
            f"{count} blocks, loops and ifs with {highest} locals exceed the limit of {MAX_CONSTRUCT_LOCALS}",
            body.start,
            index,
        )
    done = _find_live(events, operands, tables)
    if all_live:
        for construct in done:
            construct.live_after = -1
            construct.else_live = -1
    _place_parameters(module, index, done, result)
    return result


def _read_events(module: Module, index: int, events: list[int], operands: list[int], tables: list[list[int]]) -> int:
    """Fill the lists from the body's bytes; the number of constructs in it."""
    data = module.data
    end = module.bodies[index - module.imported_funcs].end
    _, _, pos = read_locals(module, index)
    openers: list[int] = [BLOCK_OP]
    count = 0
    steps = _STEPS
    look_up_at = pos + STRIDE
    while pos < end:
        if pos >= look_up_at:
            look_up_at = pos + STRIDE
            spend(STRIDE // 4)
        op = data[pos]
        pos += 1
        step = steps[op]
        if step == _PLAIN:
            continue
        if step == _LOCAL or step == _LABEL:
            x = data[pos]
            pos += 1
            if x >= 0x80:
                x, pos = read_u32(data, pos - 1)
            events.append(min(op, LOCAL_SET))
            operands.append(x)
        elif step == _ONE:
            while data[pos] >= 0x80:
                pos += 1
            pos += 1
        elif step == _TWO:
            while data[pos] >= 0x80:
                pos += 1
            pos += 1
            while data[pos] >= 0x80:
                pos += 1
            pos += 1
        elif step == _EVENT:
            events.append(op)
            operands.append(openers.pop() if op == END else 0)
        elif step == _OPEN:
            while data[pos] >= 0x80:
                pos += 1
            pos += 1
            events.append(op)
            operands.append(0)
            openers.append(op)
            count += 1
        else:
            op, pos = read_opcode(data, pos - 1)
            values, pos = read_immediates(data, pos, op)
            if IMMEDIATES[op] == LABELS:
                events.append(BR_TABLE)
                operands.append(len(tables))
                tables.append(list(set(values)))
    return count


def _find_live(events: list[int], operands: list[int], tables: list[list[int]]) -> list[_Open]:
    """The constructs in reverse order of appearance. `live_after` of a loop becomes what is live at its header."""
    done: list[_Open] = []
    opened: list[_Open] = []
    live = 0
    place = len(events)
    while place > 0:
        place -= 1
        if not place % STRIDE:
            spend(STRIDE // 2)
        event = events[place]
        if event == LOCAL_GET:
            live |= 1 << operands[place]
        elif event == LOCAL_SET:
            bit = 1 << operands[place]
            opened[-1].sets |= bit
            if live & bit:
                live ^= bit
        elif event == BR_IF or event == BR:
            target = opened[-1 - operands[place]]
            target.branches += 1
            if event == BR:
                live = target.label_live
            else:
                live |= target.label_live
        elif event == END:
            label_live = 0 if operands[place] == LOOP else live
            opened.append(_Open(operands[place], len(opened) - 1, label_live, live))
        elif event == BR_TABLE:
            live = 0
            for depth in tables[operands[place]]:
                target = opened[-1 - depth]
                target.branches += 1
                live |= target.label_live
        elif event == ELSE:
            target = opened[-1]
            target.has_else = True
            target.else_live = live
            live = target.live_after
        elif event == RETURN or event == UNREACHABLE:
            live = 0
        else:
            target = opened.pop()
            if event == LOOP:
                target.live_after = live
            elif event == IF:
                live |= target.else_live if target.has_else else target.live_after
            opened[-1].sets |= target.sets
            done.append(target)
    return done


def _place_parameters(module: Module, index: int, done: list[_Open], result: Constructs) -> None:
    """Fill `result` from the constructs, which are in reverse order."""
    around: list[int] = []  # by depth: what is live at the headers of the loops around and of the construct itself
    total = 0
    for construct in reversed(done):
        del around[construct.depth :]
        live = around[-1] if around else 0
        if construct.op == LOOP:
            live |= construct.live_after
        around.append(live)
        merged = _NO_LOCALS
        restored = _NO_LOCALS
        if construct.op == IF or construct.branches != 0:
            merged = _locals_of(construct.sets & (live | construct.live_after))
            if construct.has_else:
                restored = _locals_of(construct.sets & (live | construct.else_live))
            total += len(merged) + len(restored)
            if total > MAX_MERGED_LOCALS:
                body = module.bodies[index - module.imported_funcs]
                raise LimitError(f"blocks, loops and ifs merge more than {MAX_MERGED_LOCALS} locals", body.start, index)
        result.merged.append(merged)
        result.restored.append(restored)
        result.branches.append(construct.branches)
        result.has_else.append(construct.has_else)


_NARROW: Final = 256  # bits; wider masks are taken apart as text, which is linear in their width


def _locals_of(mask: int) -> list[int]:
    """The numbers of the bits that are set, ascending."""
    if mask == 0:
        return _NO_LOCALS
    found: list[int] = []
    if mask.bit_length() <= _NARROW:
        while mask != 0:
            lowest = mask & -mask
            found.append(lowest.bit_length() - 1)
            mask ^= lowest
        return found
    digits = bin(mask)
    last = len(digits) - 1
    place = digits.rfind("1")
    while place >= 0:
        found.append(last - place)
        place = digits.rfind("1", 0, place)
    return found
