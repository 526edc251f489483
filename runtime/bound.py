"""`load`: a module instance as a Python object, whose exports are attributes and need no store argument."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self, cast, final

from brolga.ir.errors import ArgumentTypeError, LinkError, WasmtimeError
from brolga.jit.wasm import types as wasm

from .arguments import MadeWithArguments, buffer_of, described, index_of, instance_of, refuse_second_init, unmade
from .functions import Func, HostDefinition
from .globals import Global, GlobalData, set_global
from .instance import InstanceData, instantiate
from .machine import (
    EntryPoint,
    Machine,
    MemoryBlock,
    any_machine,
    enable_method_calls,
    enable_vectorcall,
    forbid_changes,
    from_bits,
)
from .machine.buffers import bind_buffer, buffer_type
from .memory import Memory, MemoryData
from .module import Module
from .store import Store, enter, same_store
from .table import Table, TableData, grow_table
from .types import FuncType, GlobalType, ValType
from .values import value_to_bits
from .wasi.context import WasiConfig
from .wasi.functions import FUNCTIONS, MODULE_NAME

Imports = Mapping[str, Any]


@enable_vectorcall
class BoundFunc(EntryPoint, MadeWithArguments):
    """A function of wasm, called as a Python function; `timeout=` ends a call after so many seconds with WasmTimeout."""

    __slots__ = ("__name__", "_type")
    __name__: str
    _type: wasm.FuncType

    @classmethod
    def _of(cls, store: Store, record: int, type: wasm.FuncType, name: str) -> BoundFunc:
        func = object.__new__(cls)
        func._type = type
        func.__name__ = name
        func._lead(store._machine, record, type, store, store, bound=True)
        return func

    if TYPE_CHECKING:

        def __call__(self, *params: Any, timeout: float | None = None) -> Any: ...

    async def call_async(self, *params: Any, timeout: float | None = None) -> Any:
        """Call the function and wait for `async def` host functions that it calls; other tasks go on meanwhile. The store is
        busy until this has ended: other calls into it raise WasmtimeError."""
        return await self._call_async(params, timeout)

    @property
    def type(self) -> FuncType:
        """Types of parameters and results."""
        return FuncType._wrap(self._type)

    def __repr__(self) -> str:
        return f"<wasm function {self.__name__}: {self._type}>"


@final
@enable_method_calls
class _ExportedFunc(EntryPoint, MadeWithArguments):
    """A function in the class of a module's instances: `it.name(...)` calls that of `it`, `it.name` is its BoundFunc."""

    __slots__ = ("__name__", "_class")
    __name__: str
    _class: type[BoundInstance]

    @classmethod
    def _of(cls, machine: Machine, type: wasm.FuncType, owner: type[BoundInstance], place: int, name: str) -> Self:
        func = object.__new__(cls)
        func.__name__ = name
        func._class = owner
        func._lead_method(machine, type, owner, place)
        return func

    def __get__(self, instance: object, owner: object = None) -> Any:
        if instance is None:
            return self
        if not issubclass(type(instance), self._class):
            raise ArgumentTypeError(f"{self!r} does not belong to {described(instance)}")
        assert isinstance(instance, BoundInstance)
        try:
            exports = instance._exports
        except AttributeError:
            raise unmade(instance) from None
        return exports[self.__name__]

    def __repr__(self) -> str:
        return f"<wasm function {self.__name__} of instances: {self._entry_type}>"


if TYPE_CHECKING:
    from .instance import Importable

    class _Exporter:
        def __buffer__(self, flags: int, /) -> memoryview: ...
else:
    _Exporter = buffer_type(any_machine())


@final
class BoundMemory(_Exporter, MadeWithArguments):
    """A linear memory. `memoryview(memory)`, `numpy.frombuffer(memory)` and the like give live views without a copy.

    A view keeps its length when the memory grows, and stays valid when the instance is closed or dropped.
    """

    __slots__ = ("__weakref__", "_block", "_memory", "_store")
    _store: Store
    _memory: MemoryData
    _block: MemoryBlock | None

    def __init__(self) -> None:
        raise ArgumentTypeError("memories are made by instances")

    @classmethod
    def _of(cls, store: Store, memory: MemoryData) -> Self:
        made = object.__new__(cls)
        made._store = store
        made._memory = memory
        made._block = memory.block
        memory.exporter = weakref.ref(made)
        bind_buffer(made, made._block)
        return made

    def _detach(self) -> None:
        """The store is closed."""
        bind_buffer(self, None)
        self._block = None

    def __len__(self) -> int:
        """Size in bytes."""
        return self._memory.length

    def _live(self) -> memoryview:
        """The bytes as they are now."""
        same_store(self._store, self._memory.store_data)
        return self._memory.view()

    def __getitem__(self, index: int | slice) -> Any:
        """A byte as an int, or a copy of a range as bytes."""
        view = self._memory._view  # None if the memory has grown or is closed
        if view is None:
            view = self._live()
        return bytes(view[index]) if isinstance(index, slice) else view[index_of(index)]

    def __setitem__(self, index: int | slice, value: Any) -> None:
        if not isinstance(index, slice):
            index = index_of(index)
        memory = self._memory
        view = memory._view
        if view is None or memory.store_data.running:
            enter(self._store, memory.store_data)
            view = memory.view()
        view[index] = value

    def read(self, start: int | None = 0, stop: int | None = None) -> bytes:
        """A copy of the bytes [start:stop]."""
        start, stop = (place if place is None else index_of(place) for place in (start, stop))
        return bytes(self._live()[start:stop])

    def write(self, start: int, data: bytes | bytearray | memoryview) -> None:
        """Put bytes at `start`. IndexError if they do not fit."""
        start = index_of(start)
        with buffer_of(data) as source:
            given = source.cast("B") if source.c_contiguous else source.tobytes()
            enter(self._store, self._memory.store_data)
            view = self._memory.view()
            if not 0 <= start <= len(view) - len(given):
                raise IndexError("index out of range")
            view[start : start + len(given)] = given
            del given

    @property
    def pages(self) -> int:
        """Size in pages of 64 KiB."""
        return self._memory.pages

    def grow(self, pages: int) -> int:
        """Add pages; returns the size before."""
        pages = index_of(pages)  # first: it may be an object that closes the store
        if pages < 0:
            raise WasmtimeError("cannot grow by negative amount")
        enter(self._store, self._memory.store_data)
        before = self._memory.grow(pages)
        if before < 0:
            raise WasmtimeError(f"failed to grow memory by `{pages}`")
        return before

    def __repr__(self) -> str:
        return f"<wasm memory of {self.pages} pages>"


@final
class BoundTable(MadeWithArguments):
    """A table, as a sequence of functions or other Python objects; None for null."""

    __slots__ = ("_store", "_table")

    def __init__(self, store: Store, table: TableData) -> None:
        refuse_second_init(self, "_table")
        table = instance_of(TableData, table, "the data of a table")
        store = instance_of(Store, store, "a Store")
        self._store = store
        self._table = table

    def __len__(self) -> int:
        return self._table.length

    def _checked(self, index: int) -> int:
        index = index_of(index)
        length = self._table.length
        if not -length <= index < length:
            raise IndexError("table index out of range")
        return index % length

    def __getitem__(self, index: int) -> Any:
        index = self._checked(index)  # first: it may be an object that closes the store
        store = enter(self._store, self._table.store_data)
        item = from_bits(self._table.element, self._table.get(index), store)
        return BoundFunc._of(store, item._record, item._type, "") if type(item) is Func else item

    def __setitem__(self, index: int, value: Any) -> None:
        index = self._checked(index)
        store = enter(self._store, self._table.store_data)
        claim = None
        try:
            if self._table.element == wasm.EXTERNREF:
                claim = store._state.claim()  # `Store.gc` does not know the number yet
            self._table.set(index, value_to_bits(store, self._table.element, value))
        finally:
            if claim:
                claim.clear()

    def grow(self, count: int, value: Any = None) -> int:
        """Add elements; returns the length before."""
        count = index_of(count)
        return grow_table(enter(self._store, self._table.store_data), self._table, count, value)


@final
class BoundGlobal(MadeWithArguments):
    """A global variable with the attribute `value`."""

    __slots__ = ("_global", "_store")

    def __init__(self, store: Store, data: GlobalData) -> None:
        refuse_second_init(self, "_global")
        data = instance_of(GlobalData, data, "the data of a global")
        store = instance_of(Store, store, "a Store")
        self._store = store
        self._global = data

    @property
    def value(self) -> Any:
        return from_bits(self._global.code, self._global.bits, self._store._store)

    @value.setter
    def value(self, value: Any) -> None:
        set_global(enter(self._store, self._global.store_data), self._global, value)

    def __repr__(self) -> str:
        return f"<wasm global {self.value!r}>"


BoundExtern = BoundFunc | BoundMemory | BoundTable | BoundGlobal


class _Records:
    """Its first slot (they are in alphabetical order) has the addresses of the records of all exported functions, for
    `_ExportedFunc`; the second one keeps the store, which owns these, whatever becomes of the attributes. Machine code believes what it
    finds there, so that nothing but `__init__` below sets them: as attributes they are not to be had."""

    __slots__ = ("_records", "_store")


_set_records = _Records.__dict__["_records"].__set__
_get_records = _Records.__dict__["_records"].__get__
_set_store = _Records.__dict__["_store"].__set__
for _slot in _Records.__slots__:
    delattr(_Records, _slot)


class BoundInstance(_Records, MadeWithArguments):
    """An instance whose exports are attributes (and items, for names that are no identifiers or that this class uses itself).

    `store` is the store that it lives in; `close`, or the end of a `with` block, closes that.

    The instances of each module have a class of their own, where functions are found as methods are. Names that
    mean something to this class or to Python stay with the instance.
    """

    _exports: dict[str, BoundExtern]
    _owner: Store

    def __init__(self, store: Store, data: InstanceData) -> None:
        data = instance_of(InstanceData, data, "the data of an instance")
        store = same_store(store, data.store_data)
        try:
            _get_records(self)
        except AttributeError:  # as it is to be
            pass
        else:
            raise WasmtimeError("this instance has been made already")
        exports = {export.name: _bind(store, data, export) for export in data.module.decoded.exports}
        records = [f._entry_record.to_bytes(8, "little") for f in exports.values() if isinstance(f, BoundFunc)]
        _set_records(self, b"".join(records))
        _set_store(self, store)
        self.store = store
        cls = type(self)
        for name, export in exports.items():
            if hasattr(BoundInstance, name):
                self.__dict__[name] = export
            elif name not in cls.__dict__:
                setattr(self, name, export)
        self._exports = exports
        self._owner = store

    def __copy__(self) -> Self:
        """Another object for the same instance, whose attributes may be set apart. It does not know the addresses of functions, which are
        found by name then."""
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        return copy

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def close(self) -> None:
        """Close the store: memories are given back when no view of them is left, all other use raises ValueError."""
        self._owner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._owner.close()

    def __getitem__(self, name: str) -> Any:
        try:
            return self._exports[name]
        except TypeError as error:  # no name at all
            raise ArgumentTypeError(str(error)) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._exports)

    def __len__(self) -> int:
        return len(self._exports)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._exports})

    def __repr__(self) -> str:
        return f"<wasm instance with {', '.join(self._exports) or 'no exports'}>"


def _class_of(module: Module) -> type[BoundInstance]:
    """The class of the module's instances. It refers to nothing of them, since classes are only freed by the cyclic garbage collector."""
    decoded = module.decoded
    cls = type("BoundInstance", (BoundInstance,), {"__slots__": (), "__module__": __name__})
    functions = [export for export in decoded.exports if export.kind == wasm.EXTERN_FUNC]
    for place, export in enumerate(functions):
        name = export.name
        if not hasattr(BoundInstance, name) and not (name.startswith("__") and name.endswith("__")):
            type_ = decoded.func_type(export.index)
            setattr(cls, name, _ExportedFunc._of(module.engine.machine, type_, cls, place, name))
    forbid_changes(cls)
    return cls


def _bind(store: Store, data: InstanceData, export: wasm.Export) -> BoundExtern:
    index = export.index
    if export.kind == wasm.EXTERN_FUNC:
        return BoundFunc._of(store, data.function_record(index), data.module.decoded.func_type(index), export.name)
    if export.kind == wasm.EXTERN_MEMORY:
        return bound_memory(store, data.memories[index])
    if export.kind == wasm.EXTERN_TABLE:
        return BoundTable(store, data.tables[index])
    return BoundGlobal(store, data.globals[index])


def bound_memory(store: Store, memory: MemoryData) -> BoundMemory:
    """The object for a memory: the same one as long as somebody has it."""
    exporter = memory.exporter() if memory.exporter is not None else None
    return BoundMemory._of(store, memory) if exporter is None else exporter


def bind_instance(module: Module, store: Store | None, imports: Imports, wasi: WasiConfig | None) -> BoundInstance:
    """Instantiate `module`: what `load` does when it has the module."""
    decoded = module.decoded
    if store is None:
        store = store_of_spaces(imports) or Store(module.engine)
    uses_wasi = MODULE_NAME not in imports and any(wanted.module == MODULE_NAME for wanted in decoded.imports)
    if wasi is None and uses_wasi and store._data.wasi is None:
        wasi = WasiConfig()
        wasi.inherit_stdout()
        wasi.inherit_stderr()
    if wasi is not None:
        store.set_wasi(wasi)
    items = [_importable(store, imports, wanted) for wanted in decoded.imports]
    return _class_of(module)(store, instantiate(store, module._loaded, items))


def store_of_spaces(imports: Imports) -> Store | None:
    """The store of the first instance whose exports are imported."""
    for space in imports.values():
        if issubclass(type(space), BoundInstance):
            owner: Store = space._owner
            return owner
    return None


def _importable(store: Store, imports: Imports, wanted: wasm.Import) -> Importable:
    """What is given for an import, as an object of the store."""
    name = wanted.name
    space = imports.get(wanted.module)
    if space is None and wanted.module == MODULE_NAME and wanted.name in FUNCTIONS:
        return FUNCTIONS[wanted.name]
    try:
        if issubclass(type(space), (Mapping, BoundInstance)):
            item = cast(Any, space)[name]
        elif space is None or (name.startswith("__") and name.endswith("__")):
            raise KeyError(name)  # what Python itself calls by name is not for modules, which may name anything
        else:
            item = getattr(space, name)
    except (KeyError, AttributeError):
        raise LinkError(f"unknown import: `{wanted.shown}` has not been defined") from None
    kind = type(item)  # not what it says that it is
    if issubclass(kind, BoundFunc):
        owner = item._entry_owner
        assert isinstance(owner, Store)
        return Func._of(owner, item._entry_record, item._type)
    if issubclass(kind, BoundMemory):
        return Memory._wrap(item._memory)
    if issubclass(kind, BoundTable):
        return Table._wrap(item._table)
    if issubclass(kind, BoundGlobal):
        return Global._wrap(item._global)
    if isinstance(wanted.type, wasm.FuncType) and not issubclass(kind, Func) and callable(item):
        return HostDefinition(FuncType._wrap(wanted.type), item, False)
    if isinstance(wanted.type, wasm.GlobalType) and not issubclass(kind, Global):
        return Global(store, GlobalType(ValType._of(wanted.type.type), wanted.type.mutable), item)
    if not issubclass(kind, (Func, Memory, Table, Global)):
        raise ArgumentTypeError(f"{described(item)} cannot be imported as `{wanted.shown}`")
    return cast("Importable", item)
