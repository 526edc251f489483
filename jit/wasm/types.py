"""Types of WebAssembly and the shape of a decoded module (spec: Structure, Modules).

Value types are their binary codes: 0x7F i32, 0x7E i64, 0x7D f32, 0x7C f64, 0x70 funcref, 0x6F externref.
References are I64 in the IR.
"""

from __future__ import annotations

from typing import Final, final

from brolga.ir import types as ir_types
from brolga.ir.errors import UnsupportedError
from brolga.ir.signature import Signature
from brolga.ir.text import printable

from .names import Names

I32: Final = 0x7F
I64: Final = 0x7E
F32: Final = 0x7D
F64: Final = 0x7C
V128: Final = 0x7B
FUNCREF: Final = 0x70
EXTERNREF: Final = 0x6F

VALUE_TYPE_NAMES: Final[dict[int, str]] = {
    I32: "i32",
    I64: "i64",
    F32: "f32",
    F64: "f64",
    V128: "v128",
    FUNCREF: "funcref",
    EXTERNREF: "externref",
}
IR_TYPE: Final[dict[int, int]] = {
    I32: ir_types.I32,
    I64: ir_types.I64,
    F32: ir_types.F32,
    F64: ir_types.F64,
    V128: ir_types.V128,
    FUNCREF: ir_types.I64,
    EXTERNREF: ir_types.I64,
}

# Typed function references are understood so far that a module which is wrong is refused for that and not for using them. A
# reference to heap type `h`, which is HEAP_FUNC, HEAP_EXTERN or HEAP_DEFINED + a type index, has the code
# TYPED_REF + 2 * h + (1 if it may be null); those that have a shorter name (funcref, externref) have the code above.
TYPED_REF: Final = 0x100
HEAP_FUNC: Final = 0
HEAP_EXTERN: Final = 1
HEAP_DEFINED: Final = 2
BOTTOM_REF: Final = 0xFF  # below all references: what unreachable code yields where a reference is wanted


def typed_ref(heap: int, nullable: bool) -> int:
    if nullable and heap < HEAP_DEFINED:
        return FUNCREF if heap == HEAP_FUNC else EXTERNREF
    return TYPED_REF + 2 * heap + (1 if nullable else 0)


def heap_of(type: int) -> int:
    """The heap type of a reference type other than BOTTOM_REF."""
    if type >= TYPED_REF:
        return (type - TYPED_REF) >> 1
    return HEAP_FUNC if type == FUNCREF else HEAP_EXTERN


def type_name(type: int) -> str:
    if type < TYPED_REF:
        return VALUE_TYPE_NAMES.get(type, "a value")
    heap = heap_of(type)
    name = ["func", "extern"][heap] if heap < HEAP_DEFINED else str(heap - HEAP_DEFINED)
    return f"(ref {'null ' if type & 1 else ''}{name})"


EXTERN_FUNC: Final = 0
EXTERN_TABLE: Final = 1
EXTERN_MEMORY: Final = 2
EXTERN_GLOBAL: Final = 3
EXTERN_TAG: Final = 4

PAGE_SIZE: Final = 65536
MAX_PAGES: Final = 65536


@final
class FuncType:
    """Parameter and result value types. Equal and hashable by structure."""

    __slots__ = ("params", "results")

    def __init__(self, params: tuple[int, ...], results: tuple[int, ...]) -> None:
        self.params = params
        self.results = results

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FuncType) and self.params == other.params and self.results == other.results

    def __hash__(self) -> int:
        return hash((self.params, self.results))

    def __repr__(self) -> str:
        params = " ".join([type_name(type) for type in self.params])
        results = " ".join([type_name(type) for type in self.results])
        return f"[{params}] -> [{results}]"


@final
class Limits:
    """`maximum` is -1 if there is none. `loc`, here and below, is the offset in the module's bytes, -1 if there are none."""

    __slots__ = ("minimum", "maximum", "loc")

    def __init__(self, minimum: int, maximum: int = -1, loc: int = -1) -> None:
        self.minimum = minimum
        self.maximum = maximum
        self.loc = loc


@final
class TableType:
    __slots__ = ("element", "limits")

    def __init__(self, element: int, limits: Limits) -> None:
        self.element = element
        self.limits = limits


@final
class MemoryType:
    """Limits in pages of 64 KiB."""

    __slots__ = ("limits",)

    def __init__(self, limits: Limits) -> None:
        self.limits = limits


@final
class GlobalType:
    __slots__ = ("type", "mutable")

    def __init__(self, type: int, mutable: bool) -> None:
        self.type = type
        self.mutable = mutable


ExternType = FuncType | TableType | MemoryType | GlobalType


@final
class Import:
    """`kind` is EXTERN_*; for functions `type_index` is the index of `type` in the module's types, else -1."""

    __slots__ = ("module", "name", "kind", "type", "type_index", "loc")

    def __init__(
        self, module: str, name: str, kind: int, type: ExternType, type_index: int = -1, loc: int = -1
    ) -> None:
        self.module = module
        self.name = name
        self.kind = kind
        self.type = type
        self.type_index = type_index
        self.loc = loc

    @property
    def shown(self) -> str:
        """Its two names, to be shown."""
        return f"{printable(self.module)}::{printable(self.name)}"


@final
class Export:
    __slots__ = ("name", "kind", "index", "loc")

    def __init__(self, name: str, kind: int, index: int, loc: int = -1) -> None:
        self.name = name
        self.kind = kind
        self.index = index
        self.loc = loc


# Operators of constant expressions, as (operator, operand) pairs in evaluation order (a stack program).
CONST_VALUE: Final = 0  # operand: the value's bits, type by its own wasm value type: (CONST_VALUE, bits, type)
CONST_GLOBAL_GET: Final = 1
CONST_REF_NULL: Final = 2
CONST_REF_FUNC: Final = 3
CONST_ADD: Final = 4
CONST_SUB: Final = 5
CONST_MUL: Final = 6


@final
class ConstOp:
    """One step of a constant expression. `operand`: bits, global or function index; `type`: value type (width of the
    arithmetic of CONST_ADD, CONST_SUB and CONST_MUL)."""

    __slots__ = ("op", "operand", "type", "loc")

    def __init__(self, op: int, operand: int, type: int, loc: int = -1) -> None:
        self.op = op
        self.operand = operand
        self.type = type
        self.loc = loc


ConstExpr = list[ConstOp]


@final
class Global:
    __slots__ = ("type", "init", "loc")

    def __init__(self, type: GlobalType, init: ConstExpr, loc: int = -1) -> None:
        self.type = type
        self.init = init
        self.loc = loc


SEGMENT_ACTIVE: Final = 0
SEGMENT_PASSIVE: Final = 1
SEGMENT_DECLARED: Final = 2


@final
class ElementSegment:
    """`items`: one constant expression an element."""

    __slots__ = ("mode", "table", "offset", "type", "items", "loc")

    def __init__(
        self, mode: int, table: int, offset: ConstExpr, type: int, items: list[ConstExpr], loc: int = -1
    ) -> None:
        self.mode = mode
        self.table = table
        self.offset = offset
        self.type = type
        self.items = items
        self.loc = loc


@final
class DataSegment:
    """The bytes are `module.data[start:end]`."""

    __slots__ = ("mode", "memory", "offset", "start", "end", "loc")

    def __init__(self, mode: int, memory: int, offset: ConstExpr, start: int, end: int, loc: int = -1) -> None:
        self.mode = mode
        self.memory = memory
        self.offset = offset
        self.start = start
        self.end = end
        self.loc = loc


@final
class FunctionBody:
    """A defined function: `start` is the offset of its local declarations in the module's bytes, `end` one past its `end`."""

    __slots__ = ("type_index", "start", "end")

    def __init__(self, type_index: int, start: int, end: int) -> None:
        self.type_index = type_index
        self.start = start
        self.end = end


@final
class CustomSection:
    __slots__ = ("name", "start", "end")

    def __init__(self, name: str, start: int, end: int) -> None:
        self.name = name
        self.start = start
        self.end = end


@final
class Module:
    """A decoded (and, after `validate`, valid) module over its bytes `data`.

    Index spaces hold imports first: `func_types[i]` is the type index of function i, `table_types[i]`, `memory_types[i]`,
    `global_types[i]` likewise. `bodies[i]` is defined function `imported_funcs + i`.
    `escaping` is the sorted list of *defined* functions whose reference may be taken (exports, element segments, global
    initialisers, `ref.func`), which are those that get a function record in the instance context.
    """

    __slots__ = (
        "data",
        "types",
        "imports",
        "func_types",
        "func_locs",
        "table_types",
        "memory_types",
        "global_types",
        "imported_funcs",
        "imported_tables",
        "imported_memories",
        "imported_globals",
        "globals",
        "exports",
        "start",
        "start_loc",
        "elements",
        "data_segments",
        "data_count",
        "bodies",
        "customs",
        "declared_refs",
        "escaping",
        "_names",
        "signatures",
        "inlinable",
        "tags",
        "refusal",
    )

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.types: list[FuncType] = []
        self.imports: list[Import] = []
        self.func_types: list[int] = []
        self.func_locs: list[int] = []  # offsets of the type indices of functions
        self.table_types: list[TableType] = []
        self.memory_types: list[MemoryType] = []
        self.global_types: list[GlobalType] = []
        self.imported_funcs = 0
        self.imported_tables = 0
        self.imported_memories = 0
        self.imported_globals = 0
        self.globals: list[Global] = []  # defined ones
        self.exports: list[Export] = []
        self.start = -1
        self.start_loc = -1
        self.elements: list[ElementSegment] = []
        self.data_segments: list[DataSegment] = []
        self.data_count = -1
        self.bodies: list[FunctionBody] = []
        self.customs: list[CustomSection] = []
        self.declared_refs: set[int] = set()  # functions that ref.func may name (spec: C.refs)
        self.escaping: list[int] = []
        self._names: Names | None = None
        self.signatures: list[Signature] = []  # of the IR, made by translation for all functions
        self.inlinable: dict[int, int] = {}  # which calls of a function may be inlined, once one was seen: inline.py

        self.tags: list[int] = []  # type indices; a module that has any is refused
        # The first use of a proposal that is not implemented, if it was possible to read on: then `validate` raises it after
        # all else is found valid.
        self.refusal: UnsupportedError | None = None

    def refuse(self, refusal: UnsupportedError | None) -> None:
        if self.refusal is None:
            self.refusal = refusal

    def func_type(self, index: int) -> FuncType:
        """The type of a function by its index in the module's index space."""
        return self.types[self.func_types[index]]

    @property
    def names(self) -> Names:
        """What the name section says."""
        names = self._names
        if names is None:
            names = Names()
            for custom in self.customs:
                if custom.name == "name":
                    names.read(self.data, custom.start, custom.end)
            self._names = names
        return names

    def func_name(self, index: int) -> str:
        """The function's name from the name section, to be shown, or `wasm-function[index]`."""
        name = self.names.funcs.get(index)
        return f"wasm-function[{index}]" if name is None else printable(name)
