"""`Linker`: names for what modules import."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, final

from brolga.ir.errors import LinkError, WasmtimeError
from brolga.ir.text import printable
from brolga.jit.wasm import types as wasm

from .arguments import instance_of, refuse_second_init, text_of
from .config import write_only
from .engine import Engine
from .functions import Func, HostDefinition
from .globals import Global
from .instance import Instance, check_engine, check_extern, instantiate
from .managed import SlottedManaged
from .memory import Memory, MemoryData
from .module import LoadedModule, Module
from .store import Store, Storelike, store_of
from .table import Table, TableData
from .trap import Trap
from .types import FuncType, GlobalType, ValType
from .wasi.function import WasiFunction

if TYPE_CHECKING:
    from .instance import AsExtern, Importable


@cache  # no import works any more when the interpreter ends
def _wasi_functions() -> tuple[str, dict[str, WasiFunction]]:
    """Not all programs use WASI."""
    from .wasi.functions import FUNCTIONS, MODULE_NAME

    return MODULE_NAME, FUNCTIONS


@final
class Linker(SlottedManaged):
    """Definitions by module and name, from which imports are satisfied."""

    __slots__ = ("_definitions", "_shadowing", "engine")

    def __init__(self, engine: Engine) -> None:
        refuse_second_init(self, "_definitions")
        self.engine = instance_of(Engine, engine, "an Engine")
        self._definitions: dict[tuple[str, str], Importable] = {}
        self._shadowing = False

    @write_only
    def allow_shadowing(self, allow: bool) -> None:
        """Whether a definition may replace one of the same name."""
        self._shadowing = bool(allow)

    def _add(self, module: str, name: str, item: Importable) -> None:
        module, name = text_of(module), text_of(name)
        if not self._shadowing and (module, name) in self._definitions:
            raise LinkError(f"import of `{printable(module)}::{printable(name)}` defined twice")
        self._definitions[module, name] = item

    def define(self, store: Storelike, module: str, name: str, item: AsExtern) -> None:
        """Give a name to an object of the store."""
        store_of(store)
        check_extern(item)
        self._add(module, name, item)

    def define_func(
        self, module: str, name: str, ty: FuncType, func: Callable[..., Any], access_caller: bool = False
    ) -> None:
        """Give a name to a Python function; each store that needs it gets a Func of its own."""
        self._add(module, name, HostDefinition(ty, func, access_caller))

    def define_instance(self, store: Storelike, name: str, instance: Instance) -> None:
        """Define all exports of an instance under the module name `name`."""
        instance = instance_of(Instance, instance, "an `Instance`")
        name = text_of(name)
        for export, item in instance.exports(store).items():
            self._add(name, export, item)

    def define_wasi(self) -> None:
        """Define the functions of WASI preview 1."""
        module_name, functions = _wasi_functions()
        for name, function in functions.items():
            self._add(module_name, name, function)

    def define_module(self, store: Storelike, name: str, module: Module) -> None:
        """Define the exports of a module, instantiated now. If it is a WASI command (it exports `_start`), each call of
        an exported function gets an instance of its own."""
        module = instance_of(Module, module, "a `Module`")
        name = text_of(name)
        store_of(store)
        if not any(export.name == "_start" for export in module.decoded.exports):
            instance = self.instantiate(store, module)
            self.define_instance(store, name, instance)
            initialise = instance.exports(store).get("_initialize")
            if isinstance(initialise, Func):
                initialise(store)
            return
        check_engine(store._store, module._loaded)
        imports = self._resolve(module)
        for export in module.decoded.exports:
            if export.kind == wasm.EXTERN_FUNC:
                type = FuncType._wrap(module.decoded.func_type(export.index))
                self._add(name, export.name, HostDefinition(type, _command(module._loaded, imports, export), True))

    def instantiate(self, store: Storelike, module: Module) -> Instance:
        """A new instance whose imports are what is defined here."""
        module = instance_of(Module, module, "a `Module`")
        return Instance._wrap(instantiate(store_of(store), module._loaded, self._resolve(module)))

    def instantiate_pre(self, module: Module) -> InstancePre:
        """Look the imports up once, to instantiate several times."""
        module = instance_of(Module, module, "a `Module`")
        return InstancePre._of(module, self._resolve(module))

    def _resolve(self, module: Module) -> list[Importable]:
        found: list[Importable] = []
        for wanted in module.decoded.imports:
            item = self._definitions.get((wanted.module, wanted.name))
            if item is None:
                raise LinkError(f"unknown import: `{wanted.shown}` has not been defined")
            found.append(item)
        return found

    def get(self, store: Storelike, module: str, name: str) -> AsExtern:
        """What is defined under that name."""
        owner = store_of(store)
        item = self._definitions.get((text_of(module), text_of(name)))
        if item is None:
            raise WasmtimeError("item not defined in linker")
        if isinstance(item, WasiFunction):
            raise WasmtimeError("functions of WASI can only be called by instances, on whose memory they work")
        return _bound(owner, item) if isinstance(item, HostDefinition) else item

    def get_default(self, store: Storelike, name: str) -> Func:
        """The default export of a module defined here: the export named "", `_start`, or else a function of nothing."""
        name = text_of(name)
        for candidate in ("", "_start"):
            item = self._definitions.get((name, candidate))
            if item is not None:
                found = self.get(store, name, candidate)
                if isinstance(found, Func):
                    return found
        return Func(store_of(store), FuncType([], []), lambda: None)

    def define_unknown_imports_as_traps(self, module: Module) -> None:
        """Define the functions that `module` imports and that are not defined here as ones that trap."""
        for wanted, type in self._unknown(module):
            if isinstance(type, wasm.FuncType):
                self._add(wanted.module, wanted.name, HostDefinition(FuncType._wrap(type), _unknown(wanted), False))

    def define_unknown_imports_as_default_values(self, store: Storelike, module: Module) -> None:
        """Define what `module` imports and is not defined here: functions that return zero and null, objects of the least
        size with such contents."""
        owner = store_of(store)
        for wanted, type in self._unknown(module):
            self._add(wanted.module, wanted.name, _default(owner, type))

    def _unknown(self, module: Module) -> Iterator[tuple[wasm.Import, wasm.ExternType]]:
        module = instance_of(Module, module, "a `Module`")
        for wanted in module.decoded.imports:
            if (wanted.module, wanted.name) not in self._definitions:
                yield wanted, wanted.type


@final
class InstancePre(SlottedManaged):
    """A module with its imports found, to be instantiated many times."""

    __slots__ = ("_engine", "_imports", "_loaded")
    _engine: Engine
    _imports: list[Importable]
    _loaded: LoadedModule

    @classmethod
    def _of(cls, module: Module, imports: list[Importable]) -> InstancePre:
        pre = cls.__new__(cls)
        pre._engine = module.engine
        pre._loaded = module._loaded
        pre._imports = imports
        return pre

    @property
    def module(self) -> Module:
        return Module._wrap(self._engine, self._loaded)

    def instantiate(self, store: Storelike) -> Instance:
        """A new instance in the store."""
        return Instance._wrap(instantiate(store_of(store), self._loaded, self._imports))


def _bound(store: Store, definition: HostDefinition) -> Func:
    """A definition as a function of the store, for calls by the host."""
    host = definition.function(store)
    store._hosts.append(host)
    return Func._of(store, host.record, definition.type)


def _command(module: LoadedModule, imports: list[Importable], export: wasm.Export) -> Callable[..., Any]:
    def call(caller: Storelike, *args: Any) -> Any:
        store = caller._store
        function = instantiate(store, module, imports).wrap(store, export)
        assert isinstance(function, Func)
        return function(store, *args)

    return call


def _unknown(wanted: wasm.Import) -> Callable[..., Any]:
    def trap(*args: Any) -> Any:
        raise Trap(f"unknown import: `{wanted.shown}` has not been defined")

    return trap


def _default(store: Store, type: wasm.ExternType) -> Importable:
    if isinstance(type, wasm.FuncType):
        values = [_zero(code) for code in type.results]
        result = None if not values else values[0] if len(values) == 1 else values
        return HostDefinition(FuncType._wrap(type), lambda *args: result, False)
    if isinstance(type, wasm.MemoryType):
        return Memory._wrap(MemoryData(store._data, type.limits.minimum, type.limits.maximum))
    if isinstance(type, wasm.TableType):
        return Table._wrap(TableData(store._data, type.element, type.limits.minimum, type.limits.maximum))
    return Global(store, GlobalType(ValType._of(type.type), type.mutable), _zero(type.type))


def _zero(code: int) -> object:
    return 0 if code in (wasm.I32, wasm.I64) else 0.0 if code in (wasm.F32, wasm.F64) else None
