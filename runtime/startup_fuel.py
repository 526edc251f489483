"""What the instantiation of a module costs in fuel.

In Wasmtime a function made by the compiler does, when a module is instantiated, what could not be done ahead of time, and it pays
like any other function (`translate_module_startup` in crates/cranelift/src/func_environ.rs; what is done ahead of time is in
crates/environ/src/compile/module_environ.rs). Here no such function runs, but the costs are the same.
"""

from __future__ import annotations

from typing import Final, final

from brolga.ir import trap_codes
from brolga.jit.wasm import types as wasm
from brolga.jit.wasm.limits import SMALL_LENGTH
from brolga.jit.wasm.types import PAGE_SIZE

from .fuel import StoreFuel
from .trap import Trap

MAX_TABLE_IMAGE: Final = 1 << 20  # elements
MAX_SPARSE_IMAGE: Final = 16 << 20  # bytes from the first to the last of a memory image that is not half full
_EXPRESSIONS: Final = 4  # flag of an element segment: its elements are expressions


@final
class StartupPlan:
    """What Wasmtime's function does for a module.

    needed       whether there is such a function
    values       the cost of evaluating globals and passive element segments
    tables       of each active element segment, in order: its cost, 0 if it is done ahead of time
    memories     of each active data segment: the same
    image        whether there is an image of a memory, made ahead of time
    """

    __slots__ = ("image", "memories", "needed", "starts", "tables", "values")

    def __init__(self, module: wasm.Module) -> None:
        self.starts = module.start >= 0
        computed = [definition.init for definition in module.globals if not _is_number(definition.init)]
        passive = [segment for segment in module.elements if segment.mode == wasm.SEGMENT_PASSIVE]
        self.values = sum(map(len, computed)) + sum(_cost_of_items(module, segment) for segment in passive)
        self.tables = _table_costs(module)
        active = [segment for segment in module.data_segments if segment.mode == wasm.SEGMENT_ACTIVE]
        ahead = _can_be_image(module, active)
        self.image = ahead and any(segment.end > segment.start for segment in active)
        self.memories = [0 if ahead else len(s.offset) + s.end - s.start for s in active]
        self.needed = self.starts or bool(computed or passive or (active and not ahead)) or any(self.tables)


@final
class StartupFuel:
    """What one instantiation pays. Like code, it writes the store's counter only at certain points: a trap before the next one
    costs nothing."""

    __slots__ = ("_counter", "_fuel", "_memory", "_pending", "_plan", "_table")

    def __init__(self, fuel: StoreFuel, plan: StartupPlan) -> None:
        """Enter the function, evaluate globals and passive segments."""
        self._fuel = fuel
        self._plan = plan
        self._counter = fuel.counter
        self._pending = 1
        self._table = self._memory = 0  # which segment is the next
        if plan.needed:
            self._check()
        self._pending += plan.values

    def table_segment(self, segment: wasm.ElementSegment) -> None:
        """The next active element segment has been applied."""
        cost = self._plan.tables[self._table]
        self._table += 1
        self._pending += cost
        if cost and len(segment.items) > SMALL_LENGTH:
            self._check()

    def memory_segment(self) -> None:
        """The next active data segment has been applied."""
        cost = self._plan.memories[self._memory]
        self._memory += 1
        self._pending += cost
        if cost:
            self._check()

    def end(self) -> None:
        """Everything is done but for the call of the start function."""
        if self._plan.image:
            self._pending = 0  # it counts where the image would be copied, but that is skipped
        if self._plan.needed:
            self._fuel.counter = self._counter + self._pending + self._plan.starts

    def _check(self) -> None:
        self._counter += self._pending
        self._pending = 0
        if self._counter >= 0:
            self._fuel.counter = self._counter
            raise Trap._of(trap_codes.OUT_OF_FUEL)


def _is_number(expression: wasm.ConstExpr) -> bool:
    return len(expression) == 1 and expression[0].op == wasm.CONST_VALUE


def _has_expressions(module: wasm.Module, segment: wasm.ElementSegment) -> bool:
    return module.data[segment.loc] & _EXPRESSIONS != 0


def _cost_of_items(module: wasm.Module, segment: wasm.ElementSegment) -> int:
    return sum(map(len, segment.items)) if _has_expressions(module, segment) else 0


def _table_costs(module: wasm.Module) -> list[int]:
    costs: list[int] = []
    ahead = True  # segments from the first on may be in the image of a table
    for segment in module.elements:
        if segment.mode == wasm.SEGMENT_ACTIVE:
            ahead = ahead and _can_be_in_image(module, segment)
            cost = len(segment.offset) + len(segment.items) + _cost_of_items(module, segment)
            costs.append(0 if ahead else cost)
    return costs


def _can_be_in_image(module: wasm.Module, segment: wasm.ElementSegment) -> bool:
    if segment.table < module.imported_tables or not _is_number(segment.offset) or _has_expressions(module, segment):
        return False
    type = module.table_types[segment.table]
    end = segment.offset[0].operand + len(segment.items)
    return end <= min(type.limits.minimum, MAX_TABLE_IMAGE) and type.element == wasm.FUNCREF


def _can_be_image(module: wasm.Module, active: list[wasm.DataSegment]) -> bool:
    """Whether an image of the memory is all that these segments come to."""
    if not active:
        return True
    size, first, last = 0, 1 << 32, 0
    for segment in active:
        if segment.memory < module.imported_memories or not _is_number(segment.offset):
            return False
        start = segment.offset[0].operand
        length = segment.end - segment.start
        if start + length > module.memory_types[segment.memory].limits.minimum * PAGE_SIZE:
            return False
        if length:
            size, first, last = size + length, min(first, start), max(last, start + length)
    return last - first < max(2 * size, MAX_SPARSE_IMAGE)
