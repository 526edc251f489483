"""The state of one function's translation: operand stack, locals and open constructs, as SSA values."""

from __future__ import annotations

from typing import Final, final

from brolga.ir.builder import FunctionBuilder
from brolga.ir.errors import LimitError
from brolga.ir.function import Block
from brolga.ir.signature import Signature
from brolga.ir.source_loc import LOC_MASK

from ..builtins import BUILTIN_SIGNATURES
from ..vmctx import ContextLayout
from .fuel_costs import Fuel
from .inline import Inliner
from .limits import MAX_PASSED_VALUES
from .live_locals import analyse_constructs
from .types import IR_TYPE, FuncType, Module

FRAME_BLOCK: Final = 0
FRAME_LOOP: Final = 1
FRAME_IF: Final = 2
FRAME_FUNCTION: Final = 3
FRAME_INLINED: Final = 4  # the body of a function that stands for a call: a block to the operators in it


_NO_VALUES: Final[list[int]] = []


@final
class Frame:
    """An open construct.

    label_arity  how many operands a branch takes along
    results      IR types of what it leaves on the stack
    height       of the operand stack below its parameters
    merged       the locals that are parameters of the label's block, before the operands
    start        the block in which it started, which dominates all that follows
    label        the block that branches to it go to: a loop's header, else the block after its end. None before the first
                 branch, and always for the function
    join         but for loops: the nearest known dominator of all blocks that lead to the label, None if none does
    else_block   of an `if`: what its `else` starts with, None if there is none or it is unreachable
    params       of an `if` with an else: the operands at its start
    restored, saved   of an `if` with an else: the locals that it needs as they were at the start, and their values then
    """

    __slots__ = (
        "kind",
        "label_arity",
        "results",
        "height",
        "merged",
        "start",
        "label",
        "join",
        "else_block",
        "params",
        "restored",
        "saved",
    )

    def __init__(
        self, kind: int, label_arity: int, results: list[int], height: int, merged: list[int], start: Block
    ) -> None:
        self.kind = kind
        self.label_arity = label_arity
        self.results = results
        self.height = height
        self.merged = merged
        self.start = start
        self.label: Block | None = None
        self.join: Block | None = None
        self.else_block: Block | None = None
        self.params = _NO_VALUES
        self.restored = _NO_VALUES
        self.saved = _NO_VALUES


@final
class State:
    """`stack` and `locals` hold values; `frames` the open constructs, the function first; `construct` counts those begun, `passed`
    the values that branches and calls pass on; `site` is 0, or what the location of an inlined body's operators has in its upper
    bits (ir/source_loc.py)."""

    __slots__ = (
        "module",
        "layout",
        "data",
        "builder",
        "stack",
        "locals",
        "frames",
        "constructs",
        "construct",
        "fuel",
        "passed",
        "site",
        "all_live",
        "inliner",
        "builtin_signatures",
    )

    def __init__(
        self, module: Module, layout: ContextLayout, builder: FunctionBuilder, index: int, all_live: bool
    ) -> None:
        """Of the body of function `index`; `all_live` as for `analyse_constructs`."""
        self.module = module
        self.layout = layout
        self.data = module.data
        self.builder = builder
        self.stack: list[int] = []
        self.locals: list[int] = []
        self.frames: list[Frame] = []
        self.constructs = analyse_constructs(module, index, all_live)
        self.all_live = all_live
        self.construct = 0
        self.fuel: Fuel | None = None  # where fuel is accounted for
        self.passed = 0
        self.site = 0
        self.inliner: Inliner | None = None  # where calls may be inlined
        self.builtin_signatures = len(module.types)  # the number of builtin 0's signature

    def count_passed(self, count: int) -> None:
        """The size of the IR is linear in the size of the body but for these."""
        self.passed += count
        if self.passed > MAX_PASSED_VALUES:
            raise LimitError(
                f"branches and calls pass more than {MAX_PASSED_VALUES} values",
                self.builder.loc & LOC_MASK,
                self.builder.function.index,
            )

    def pop_values(self, count: int) -> list[int]:
        """Take the topmost `count` operands, the deepest first."""
        if count == 0:
            return []
        stack = self.stack
        values = stack[-count:]
        del stack[-count:]
        return values

    def call_builtin(self, number: int, args: list[int]) -> int:
        """Call runtime routine `number`; its result, or NO_VALUE."""
        return self.builder.call_builtin(number, self.builtin_signatures + number, args)


def ir_types_of(types: tuple[int, ...]) -> list[int]:
    """IR types of wasm value types."""
    return [IR_TYPE[type] for type in types]


def ir_signature(type: FuncType) -> Signature:
    return Signature(ir_types_of(type.params), ir_types_of(type.results))


def signatures_of(module: Module) -> list[Signature]:
    """What calls of a module's functions refer to: signatures by type index, then those of the builtins."""
    signatures = module.signatures
    if not signatures:
        signatures = [ir_signature(type) for type in module.types] + BUILTIN_SIGNATURES
        module.signatures = signatures
    return signatures
