"""Instances: allocation, linking of imports, initialisation (spec: Execution, Modules, Instantiation)."""

from __future__ import annotations

import faulthandler
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from struct import Struct
from time import monotonic
from typing import TYPE_CHECKING, Final, TypeVar, final

from brolga.ir import trap_codes
from brolga.ir.errors import ArgumentTypeError, LinkError, WasmtimeError
from brolga.jit.settings import BOUNDS_GUARD
from brolga.jit.vmctx import (
    CTX_ACTIVATION,
    CTX_BUILTINS,
    CTX_MEMORY0_BASE,
    CTX_MEMORY0_RECORD,
    FUNC_CODE,
    FUNC_RECORD_SIZE,
    FUNC_SELF,
)
from brolga.jit.wasm import types as wasm

from .arguments import MadeWithArguments, instance_of, list_of, refuse_second_init
from .builtins import builtin_table
from .functions import Func, HostDefinition
from .globals import Global, GlobalData
from .machine import CTX_DATA_SEGMENTS, CTX_INSTANCE, HostFunction, Machine, signature_numbers
from .machine.lifetime import Unique
from .machine.memory import address_of
from .memory import Memory, MemoryData
from .module import LoadedModule, Module
from .platform.c_calls import copy_bytes, read_bytes
from .store import Store, StoreData, Storelike, same_store, store_of
from .table import Table, TableData
from .trap import Trap
from .wasi.function import WasiFunction

_U64: Final = Struct("<Q")
_PAIR: Final = Struct("<QQ")
_RECORD: Final = Struct("<QQQQ")
# As indexes of words: a quotient of two names is computed each time.
_ACTIVATION: Final = CTX_ACTIVATION // 8
_BUILTINS: Final = CTX_BUILTINS // 8
_MEMORY0_RECORD: Final = CTX_MEMORY0_RECORD // 8
_MEMORY0_BASE: Final = CTX_MEMORY0_BASE // 8
_DATA_SEGMENTS: Final = CTX_DATA_SEGMENTS // 8
_INSTANCE: Final = CTX_INSTANCE // 8

_Owned = TypeVar("_Owned", Memory, Table, Global)

if TYPE_CHECKING:
    from .shared_memory import SharedMemory
    from .startup_fuel import StartupFuel
    from .tag import Tag
    from .wasi.link import GuestView

    AsExtern = Func | Table | Memory | Global | SharedMemory | Tag
    # What an import can be satisfied with: the last two become functions of the importing instance.
    Importable = AsExtern | HostDefinition | WasiFunction


# What few programs use is imported when it is used, and then held: no import works any more when the interpreter ends, where
# finalisers may use it again.


@cache
def _wasi_link() -> tuple[type[GuestView], Callable[[Store, GuestView, WasiFunction], HostFunction]]:
    from .wasi.link import GuestView, bind_wasi

    return GuestView, bind_wasi


@cache
def _startup_fuel() -> type[StartupFuel]:
    from .startup_fuel import StartupFuel

    return StartupFuel


@cache
def _unsupported() -> tuple[type[SharedMemory], type[Tag]]:
    """What no module that is accepted can import."""
    from .shared_memory import SharedMemory
    from .tag import Tag

    return SharedMemory, Tag


@final
class InstanceData(Unique):
    """An instance: its context (layout: `brolga.jit.vmctx`), and everything that the context refers to by address.

    Owned by its store, to which it does not refer.
    """

    __slots__ = (
        "__weakref__",
        "_context",
        "_export_names",
        "_keep",
        "_segments",
        "address",
        "elements",
        "globals",
        "guest",
        "memories",
        "module",
        "store_data",
        "tables",
    )

    def __init__(self, store: Store, module: LoadedModule, imports: Sequence[Importable]) -> None:
        """Link and allocate. Nothing of the module runs, nothing that is imported changes."""
        decoded, layout = module.decoded, module.layout
        self.module = module
        self.store_data: StoreData = store._data
        self._context, self.address, export = module.new_context()
        self._keep: list[object] = [export]
        self._export_names: dict[str, wasm.Export] | None = None
        self.memories: list[MemoryData] = []
        self.tables: list[TableData] = []
        self.globals: list[GlobalData] = []
        self.guest: GuestView | None = None  # if there are WASI functions
        if imports or decoded.imports:
            self._link(store, imports)
        data = store._data
        data.count_module(len(module.own_memories), len(module.own_tables))

        for memory_type in module.own_memories:
            limits = memory_type.limits
            self.memories.append(MemoryData(data, limits.minimum, limits.maximum))
        if self.memories and not self.memories[0].block.guarded and module.settings.bounds == BOUNDS_GUARD:
            self._compare_bounds()
        for table_type in module.own_tables:
            limits = table_type.limits
            self.tables.append(TableData(data, table_type.element, limits.minimum, limits.maximum))
        self._fill_context(store)
        for index, definition in enumerate(decoded.globals, decoded.imported_globals):
            type = definition.type
            cell = self.address + layout.own_global(index)
            variable = GlobalData(data, type.type, type.mutable, cell, export)
            variable.bits = self.evaluate(definition.init)
            self.globals.append(variable)
        self.elements: list[list[int]] = []
        if self.guest is not None and module.guest_memory >= 0:
            self.guest.memory = self.memories[module.guest_memory]

    def _link(self, store: Store, imports: Sequence[Importable]) -> None:
        decoded, layout, context = self.module.decoded, self.module.layout, self._context
        if len(imports) != len(decoded.imports):
            raise LinkError(f"expected {len(decoded.imports)} imports, found {len(imports)}")
        func = 0
        for wanted, item in zip(decoded.imports, imports, strict=True):
            type = wanted.type
            if isinstance(type, wasm.FuncType):
                record = self._link_function(store, wanted, type, item)
                offset = layout.imported_func(func)
                context[offset : offset + FUNC_RECORD_SIZE] = read_bytes(record, FUNC_RECORD_SIZE)
                func += 1
            elif isinstance(type, wasm.MemoryType):
                memory = _own(store, wanted, item, Memory)._memory
                if not _fits(type.limits, memory.pages, memory.maximum):
                    raise _wrong_limits(wanted, "memory", type.limits, memory.pages, memory.maximum)
                self.memories.append(memory)
            elif isinstance(type, wasm.TableType):
                table = _own(store, wanted, item, Table)._table
                if table.element != type.element:
                    raise _because(
                        wanted, f"table types incompatible: {_types_text('table', type.element, table.element)}"
                    )
                if not _fits(type.limits, table.length, table.maximum):
                    raise _wrong_limits(wanted, "table", type.limits, table.length, table.maximum)
                self.tables.append(table)
            else:
                data = _own(store, wanted, item, Global)._global
                if data.mutable != type.mutable:
                    kinds = ("immutable", "mutable")
                    reason = f"expected {kinds[type.mutable]} global, found {kinds[data.mutable]} global"
                    raise _because(wanted, f"global types incompatible: {reason}")
                if data.code != type.type:
                    raise _because(wanted, f"global types incompatible: {_types_text('global', type.type, data.code)}")
                _U64.pack_into(context, layout.imported_global(len(self.globals)), data.address)
                self.globals.append(data)

    def _link_function(self, store: Store, wanted: wasm.Import, type: wasm.FuncType, item: Importable) -> int:
        """The address of the function record of an import."""
        host: HostFunction
        if isinstance(item, Func):
            _check_store(store, item)
            if item._type != type:
                raise _wrong_type(wanted, type, item._type)
            definition = item._definition
            if definition is None or not definition.needs_instance:
                return item._record
            host = definition.function(store, self)
        elif isinstance(item, (HostDefinition, WasiFunction)):
            if item.type != type:
                raise _wrong_type(wanted, type, item.type)
            if isinstance(item, HostDefinition):
                host = item.function(store, self)
            else:
                guest_view, bind_wasi = _wasi_link()
                if self.guest is None:
                    self.guest = guest_view()
                host = bind_wasi(store, self.guest, item)
        else:
            raise _wrong_kind(wanted, "func", item)
        self._keep.append(host)
        return host.record

    def _compare_bounds(self) -> None:
        """The memory's end is not guarded: take the code that looks for it."""
        self.module = module = self.module.beside_guard()
        for func in module.decoded.escaping:
            _U64.pack_into(self._context, module.layout.escaping_func(func) + FUNC_CODE, module.space.pad(func))

    def _fill_context(self, store: Store) -> None:
        layout = self.module.layout
        words = memoryview(self._context).cast("Q")  # faster than packing
        words[_ACTIVATION] = store._state.address
        words[_BUILTINS] = builtin_table(store._machine).address
        words[_INSTANCE] = id(self)
        if self.memories:
            block = self.memories[0].block
            words[_MEMORY0_RECORD] = block.record
            words[_MEMORY0_BASE] = block.base
        for word, memory in enumerate(self.memories, layout.memories // 8):
            words[word] = memory.block.record
        for word, table in enumerate(self.tables, layout.tables // 8):
            words[word] = table.record
        if self.module.decoded.data_segments:
            words[_DATA_SEGMENTS] = self._segment_table()

    def _segment_table(self) -> int:
        """Address of the array of addresses and lengths of the passive data segments."""
        segments = self.module.decoded.data_segments
        self._segments = bytearray(_PAIR.size * len(segments))
        table, export = address_of(self._segments)
        self._keep.append(export)
        for index, segment in enumerate(segments):
            if segment.mode == wasm.SEGMENT_PASSIVE:
                place = self.module.data_address + segment.start
                _PAIR.pack_into(self._segments, index * _PAIR.size, place, segment.end - segment.start)
        return table

    def initialise(self, fuel: StartupFuel | None) -> None:
        """Apply element and data segments in order. A trap leaves in place what was done before it."""
        decoded = self.module.decoded
        self.elements = [[self.evaluate(item) for item in segment.items] for segment in decoded.elements]
        for index, segment in enumerate(decoded.elements):
            if segment.mode == wasm.SEGMENT_ACTIVE:
                references = self.elements[index]
                self.tables[segment.table].init(self.evaluate(segment.offset), references, 0, len(references))
                if fuel is not None:
                    fuel.table_segment(segment)
            if segment.mode != wasm.SEGMENT_PASSIVE:
                self.elements[index] = []
        for data in decoded.data_segments:
            if data.mode == wasm.SEGMENT_ACTIVE:
                block = self.memories[data.memory].block
                keeper = memoryview(block)  # a memory does not move while there is a view
                offset, length = self.evaluate(data.offset), data.end - data.start
                if offset + length > len(keeper):
                    raise Trap._of(trap_codes.MEMORY_OUT_OF_BOUNDS)
                copy_bytes(block.base + offset, self.module.data_address + data.start, length)
                del keeper
                if fuel is not None:
                    fuel.memory_segment()

    def run_start(self, store: Store, func: int) -> None:
        """Call the start function."""
        decoded = self.module.decoded
        type = decoded.func_type(func)
        if func < decoded.imported_funcs:
            record = self.function_record(func)
        else:  # it need not have a record in the context
            own = bytearray(FUNC_RECORD_SIZE)
            record, _ = address_of(own)
            (number,), _hold = signature_numbers((type,))
            _RECORD.pack_into(own, 0, self.module.space.pad(func), self.address, number, record)
        store._machine.call_raw(record, type, ())

    def function_record(self, func: int) -> int:
        """Address of the function record of an imported or escaping function: what a funcref is."""
        layout = self.module.layout
        if func < self.module.decoded.imported_funcs:
            record: int = _U64.unpack_from(self._context, layout.imported_func(func) + FUNC_SELF)[0]
            return record
        return self.address + layout.escaping_func(func)

    def evaluate(self, expression: wasm.ConstExpr) -> int:
        """The raw bits of a constant expression."""
        stack: list[int] = []
        for step in expression:
            op = step.op
            if op == wasm.CONST_VALUE:
                stack.append(step.operand)
            elif op == wasm.CONST_GLOBAL_GET:
                stack.append(self.globals[step.operand].bits)
            elif op == wasm.CONST_REF_NULL:
                stack.append(0)
            elif op == wasm.CONST_REF_FUNC:
                stack.append(self.function_record(step.operand))
            else:
                right, left = stack.pop(), stack.pop()
                mask = 0xFFFF_FFFF if step.type == wasm.I32 else 0xFFFF_FFFF_FFFF_FFFF
                value = left + right if op == wasm.CONST_ADD else left - right if op == wasm.CONST_SUB else left * right
                stack.append(value & mask)
        return stack.pop()

    def drop_data(self, segment: int) -> None:
        _PAIR.pack_into(self._segments, segment * _PAIR.size, 0, 0)

    def export(self, store: Store, name: str) -> AsExtern | None:
        """The export of that name, or None."""
        if self._export_names is None:
            self._export_names = {export.name: export for export in self.module.decoded.exports}
        export = self._export_names.get(name)
        return None if export is None else self.wrap(store, export)

    def wrap(self, store: Store, export: wasm.Export) -> AsExtern:
        """A new object for an export."""
        index = export.index
        if export.kind == wasm.EXTERN_FUNC:
            return Func._of(store, self.function_record(index), self.module.decoded.func_type(index))
        if export.kind == wasm.EXTERN_TABLE:
            return Table._wrap(self.tables[index])
        if export.kind == wasm.EXTERN_MEMORY:
            return Memory._wrap(self.memories[index])
        return Global._wrap(self.globals[index])


def _own(store: Store, wanted: wasm.Import, item: Importable, kind: type[_Owned]) -> _Owned:
    """The import as an object of the class that is wanted, which belongs to the store."""
    if not isinstance(item, kind):
        raise _wrong_kind(wanted, kind.__name__.lower(), item)
    _check_store(store, item)
    return item


def _check_store(store: Store, item: Func | Memory | Table | Global) -> None:
    data = (
        item._store_data
        if isinstance(item, Func)
        else item._memory.store_data
        if isinstance(item, Memory)
        else item._table.store_data
        if isinstance(item, Table)
        else item._global.store_data
    )
    if data is not store._data:
        raise WasmtimeError("cross-`Store` instantiation is not currently supported")


def _wrong_kind(wanted: wasm.Import, kind: str, item: Importable) -> LinkError:
    shared_memory, _ = _unsupported()
    found = (
        "function"
        if isinstance(item, (Func, HostDefinition, WasiFunction))
        else "shared memory"
        if isinstance(item, shared_memory)
        else type(item).__name__.lower()
    )
    return _because(wanted, f"expected {kind}, but found {found}")


def _because(wanted: wasm.Import, reason: str) -> LinkError:
    return LinkError(f"incompatible import type for `{wanted.shown}`\n\nCaused by:\n    {reason}\n")


def _func_text(type: wasm.FuncType) -> str:
    params = "".join(f" {wasm.VALUE_TYPE_NAMES[code]}" for code in type.params)
    results = "".join(f" {wasm.VALUE_TYPE_NAMES[code]}" for code in type.results)
    return f"(func{params and f' (param{params})'}{results and f' (result{results})'})"


def _wrong_type(wanted: wasm.Import, expected: wasm.FuncType, found: wasm.FuncType) -> LinkError:
    reason = f"expected type `{_func_text(expected)}`, found type `{_func_text(found)}`"
    return _because(wanted, f"types incompatible: {reason}")


def _wrong_limits(wanted: wasm.Import, kind: str, limits: wasm.Limits, size: int, maximum: int) -> LinkError:
    expected, found = _limits_text(limits.minimum, limits.maximum), _limits_text(size, maximum)
    reason = f"expected {kind} limits {expected} doesn't match provided {kind} limits {found}"
    return _because(wanted, f"{kind} types incompatible: {reason}")


def _types_text(kind: str, expected: int, found: int) -> str:
    names = wasm.VALUE_TYPE_NAMES
    return f"expected {kind} of type `{names[expected]}`, found {kind} of type `{names[found]}`"


def _limits_text(minimum: int, maximum: int) -> str:
    return f"(min: {minimum}, max: {'none' if maximum < 0 else maximum})"


def _fits(wanted: wasm.Limits, size: int, maximum: int) -> bool:
    """Whether a memory or table of this size and declared maximum may be imported with limits `wanted`."""
    return size >= wanted.minimum and (wanted.maximum < 0 or 0 <= maximum <= wanted.maximum)


_handlers_checked = (0.0, False)  # when, and whether faulthandler was on
CHECK_SECONDS: Final = 0.001


def _check_handlers(machine: Machine) -> None:
    """Make our signal handlers the first again if somebody has replaced them: faulthandler, most likely, and others within a
    millisecond."""
    global _handlers_checked
    now, faulthandler_on = monotonic(), faulthandler.is_enabled()
    last, was_on = _handlers_checked
    if faulthandler_on != was_on or not last <= now < last + CHECK_SECONDS:
        _handlers_checked = (now, faulthandler_on)
        machine.take_first_place()


def check_engine(store: Store, module: LoadedModule) -> None:
    """WasmtimeError unless the module's code is for the platform of the store's engine, and looks at what that limits. Otherwise
    the engines may differ."""
    wanted, found = store._settings, module.settings
    if module.machine is not store._machine:
        reason = "its platform is another one"
    elif wanted.fuel != found.fuel:
        reason = f"the module was compiled with{'' if found.fuel else 'out'} `consume_fuel`"
    elif wanted.stack_limit != found.stack_limit:
        reason = f"the module was compiled with{'' if found.stack_limit else 'out'} `max_wasm_stack`"
    else:
        return
    raise WasmtimeError(f"cross-`Engine` instantiation is not currently supported: {reason}")


def instantiate(store: Store, module: LoadedModule, imports: Sequence[Importable]) -> InstanceData:
    """A new instance in the store: linked, initialised, its start function run.

    The store owns it from the moment that something else may refer to it, so also after a trap on the way.
    """
    if module.settings is not store._settings:
        check_engine(store, module)
    _check_handlers(store._machine)
    claim = None
    try:
        claim = store._state.claim()
        return _instantiate(store._store, module, imports)
    finally:
        if claim:
            claim.clear()


def _instantiate(store: Store, module: LoadedModule, imports: Sequence[Importable]) -> InstanceData:
    """The same for who has a claim on the store: no other thread enters it, nobody closes it."""
    instance = InstanceData(store, module, imports)
    store._instances.append(instance)
    fuel = None
    if store._fuel is not None and module.startup is not None:
        fuel = _startup_fuel()(store._fuel, module.startup)
    decoded = module.decoded
    if decoded.elements or decoded.data_segments:
        instance.initialise(fuel)
    if fuel is not None:
        fuel.end()
    if decoded.start >= 0:
        instance.run_start(store, decoded.start)
    return instance


def check_extern(item: object) -> None:
    """TypeError unless it is something that a linker or an instance takes."""
    kind = type(item)  # not what it says that it is
    if not issubclass(kind, (Func, Table, Memory, Global)) and not issubclass(kind, _unsupported()):
        raise ArgumentTypeError("expected a Func, Global, Memory, SharedMemory, Tag, or Table")


@final
class Instance(MadeWithArguments):
    """A module brought to life in a store."""

    __slots__ = ("_data", "_exports")

    def __init__(self, store: Storelike, module: Module, imports: Sequence[AsExtern]) -> None:
        """Instantiate with `imports` in the order of the module's. Raises LinkError if they do not fit, Trap if
        initialisation traps, and what the start function raises."""
        refuse_second_init(self, "_data")
        module = instance_of(Module, module, "a `Module`")
        owner = store_of(store)
        items = list_of(imports, "a sequence of imports")
        for item in items:
            check_extern(item)
        self._data = instantiate(owner, module._loaded, items)
        self._exports: InstanceExports | None = None

    @classmethod
    def _wrap(cls, data: InstanceData) -> Instance:
        instance = object.__new__(cls)
        instance._data = data
        instance._exports = None
        return instance

    def exports(self, store: Storelike) -> InstanceExports:
        """The exports by name and, in `by_index`, in order."""
        owner = same_store(store, self._data.store_data)
        if self._exports is None:
            self._exports = InstanceExports._of(owner, self._data)
        return self._exports


@final
class InstanceExports(Mapping[str, "AsExtern"], MadeWithArguments):
    """The exports of an instance."""

    def __init__(self, store: Store, instance: InstanceData) -> None:
        refuse_second_init(self, "_by_name")
        instance = instance_of(InstanceData, instance, "the data of an instance")
        self._set(same_store(store, instance.store_data), instance)

    @classmethod
    def _of(cls, store: Store, instance: InstanceData) -> InstanceExports:
        exports = object.__new__(cls)
        exports._set(store, instance)
        return exports

    def _set(self, store: Store, instance: InstanceData) -> None:
        self._by_name = {export.name: instance.wrap(store, export) for export in instance.module.decoded.exports}

    @property
    def by_index(self) -> Sequence[AsExtern]:
        """The exports in order of their definition."""
        return tuple(self._by_name.values())

    def __getitem__(self, name: str) -> AsExtern:
        try:
            return self._by_name[name]
        except TypeError as error:  # no name at all
            raise ArgumentTypeError(str(error)) from error

    def __len__(self) -> int:
        return len(self._by_name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)
