"""The state of one function's translation: operand stack, locals and open constructs, as SSA values."""

from __future__ import annotations

from typing import Final, final

from brolga.ir.builder import FunctionBuilder
from brolga.ir.function import Block, Function, Signature

from ..builtins import BUILTIN_SIGNATURES
from ..vmctx import ContextLayout
from .types import IR_TYPE, FuncType, Module

FRAME_BLOCK: Final = 0
FRAME_LOOP: Final = 1
FRAME_IF: Final = 2
FRAME_FUNCTION: Final = 3


@final
class Frame:
    """An open construct.

    label        the block that branches to it go to: a loop's header, else the block after its end (none for the function)
    label_arity  how many operands a branch takes along
    results      IR types of what it leaves on the stack
    height       of the operand stack below its parameters
    set_locals   the locals that it sets: they are parameters of the label's block, before the operands
    dominator    the block in which it started, which dominates all that follows
    reached      whether a branch or the arm's end leads to the block after its end
    else_block   of an `if` whose `else` has not come yet
    params, saved_locals   of an `if`: the operands and the values of `set_locals` at its start
    """

    __slots__ = (
        "kind",
        "label",
        "label_arity",
        "results",
        "height",
        "set_locals",
        "dominator",
        "reached",
        "else_block",
        "params",
        "saved_locals",
    )

    def __init__(
        self,
        kind: int,
        label: Block,
        label_arity: int,
        results: list[int],
        height: int,
        set_locals: tuple[int, ...],
        dominator: Block,
    ) -> None:
        self.kind = kind
        self.label = label
        self.label_arity = label_arity
        self.results = results
        self.height = height
        self.set_locals = set_locals
        self.dominator = dominator
        self.reached = False
        self.else_block: Block | None = None
        self.params: list[int] = []
        self.saved_locals: list[int] = []


@final
class State:
    """`stack` and `locals` hold values; `frames` the open constructs, the function first; `construct` counts those begun."""

    __slots__ = (
        "module",
        "layout",
        "data",
        "builder",
        "stack",
        "locals",
        "frames",
        "set_locals",
        "construct",
        "builtin_signatures",
    )

    def __init__(
        self, module: Module, layout: ContextLayout, function: Function, set_locals: list[tuple[int, ...]]
    ) -> None:
        self.module = module
        self.layout = layout
        self.data = module.data
        self.builder = FunctionBuilder(function)
        self.stack: list[int] = []
        self.locals: list[int] = []
        self.frames: list[Frame] = []
        self.set_locals = set_locals
        self.construct = 0
        self.builtin_signatures = len(module.types)  # the number of builtin 0's signature

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
    return [ir_signature(type) for type in module.types] + BUILTIN_SIGNATURES
