"""`Func`: functions of wasm and of the host, and `Caller`; what the machine has to know of references and traps."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, final

from brolga.ir.errors import ArgumentTypeError, ClosedError, LimitError, WasmtimeError
from brolga.ir.trap_codes import TRAP_MESSAGES
from brolga.jit.vmctx import FUNC_SIGNATURE
from brolga.jit.wasm import types as wasm
from brolga.jit.wasm.limits import MAX_PARAMS, MAX_RESULTS

from . import machine
from .arguments import MadeWithArguments, callable_of, described, instance_of, refuse_second_init, text_of, unmade
from .machine import EntryPoint, HostFunction, Site, enable_vectorcall, is_async
from .store import StandsForStore, Store, StoreData, Storelike, same_store
from .trap import Trap, WasmTimeout
from .types import FuncType

if TYPE_CHECKING:
    from .instance import AsExtern, InstanceData


@final
@enable_vectorcall
class Func(EntryPoint, MadeWithArguments):
    """A function: `func(store, *args)` calls it. No result gives None, one the value itself, several a list."""

    __slots__ = ("_definition", "_record", "_store_data", "_type")
    _record: int
    _type: wasm.FuncType
    _store_data: StoreData
    _definition: HostDefinition | None

    def __init__(self, store: Storelike, ty: FuncType, func: Callable[..., Any], access_caller: bool = False) -> None:
        """A function of type `ty` that calls the Python function `func`, with a `Caller` as first argument if
        `access_caller`."""
        refuse_second_init(self, "_record")
        store = instance_of(Store, store, "a Store")._store
        definition = HostDefinition(ty, func, access_caller)
        host = definition.function(store)
        store._hosts.append(host)
        self._bind(store, host.record, definition.type)
        self._definition = definition

    @classmethod
    def _of(cls, store: Store, record: int, type: wasm.FuncType) -> Func:
        """The function whose record is at this address, which `store` owns: the same object as long as somebody has it."""
        reference = store._data.funcs.get(record)
        func = None if reference is None else reference()
        if func is None:
            func = object.__new__(cls)
            func._bind(store, record, type)
            func._definition = None
        return func

    def _bind(self, store: Store, record: int, type: wasm.FuncType) -> None:
        self._record = record
        self._type = type
        self._store_data = store._data
        self._lead(store._machine, record, type, store, store)
        store._data.funcs[record] = weakref.ref(self)

    if TYPE_CHECKING:

        def __call__(self, store: Storelike, *params: Any, timeout: float | None = None) -> Any: ...

    async def call_async(self, store: Storelike, *params: Any, timeout: float | None = None) -> Any:
        """Call the function and wait for `async def` host functions that it calls; other tasks go on meanwhile. The store is
        busy until this has ended: other calls into it raise WasmtimeError."""
        return await self._call_async((store, *params), timeout)

    def type(self, store: Storelike) -> FuncType:
        try:
            type = self._type
        except AttributeError:
            raise unmade(self) from None
        same_store(store, self._store_data)
        return FuncType._wrap(type)


@final
class HostDefinition:
    """A Python function as it was given for import: made a function of a store when it is needed."""

    __slots__ = ("_access_caller", "_function", "type")

    def __init__(self, ty: FuncType, function: Callable[..., Any], access_caller: bool) -> None:
        ty = instance_of(FuncType, ty, "a FuncType")
        function = callable_of(function)
        if len(ty._type.params) > MAX_PARAMS or len(ty._type.results) > MAX_RESULTS:  # as in modules
            raise LimitError(f"a function has at most {MAX_PARAMS} parameters and {MAX_RESULTS} results")
        self.type = ty._type
        self._function = function
        self._access_caller = bool(access_caller)

    @property
    def needs_instance(self) -> bool:
        """Whether each instance that imports it needs a function of its own."""
        return self._access_caller

    def function(self, store: Store, instance: InstanceData | None = None) -> HostFunction:
        """The function for calls by `instance`, or by the host."""
        function = self._function
        if self._access_caller:
            function = _with_caller(function, store._data, instance)
        return store._machine.new_host_function(store._state, store._data, self.type, function)


def _with_caller(
    function: Callable[..., Any], store_data: StoreData, instance: InstanceData | None
) -> Callable[..., Any]:
    # The instance owns the host function that this becomes, so this must not own the instance.
    reference = None if instance is None else weakref.ref(instance)

    def new_caller() -> Caller:
        return Caller(store_data.owner(), reference() if reference is not None else None)

    def call(*args: Any) -> Any:
        caller = new_caller()
        try:
            return function(caller, *args)
        finally:
            caller._invalidate()

    async def call_async(*args: Any) -> Any:
        caller = new_caller()
        try:
            return await function(caller, *args)
        finally:
            caller._invalidate()

    return call_async if is_async(function) else call


@final
class Caller(StandsForStore):
    """Who called a host function: stands for the store while the call lasts, and has the exports of the calling instance."""

    __slots__ = ("_caller_store", "_instance")

    def __init__(self, store: Store, instance: InstanceData | None) -> None:
        self._caller_store: Store | None = store
        self._instance = instance

    @property
    def _store(self) -> Store:
        try:
            store = self._caller_store
        except AttributeError:
            store = None
        if store is None:
            raise ClosedError("caller is no longer valid")
        return store

    @property
    def _data(self) -> StoreData:
        return self._store._data

    def _invalidate(self) -> None:
        self._caller_store = None
        self._instance = None

    def __getitem__(self, name: str) -> AsExtern:
        """The export of that name of the calling instance, or KeyError."""
        item = self.get(name)
        if item is None:
            raise KeyError(f"failed to find export {name}")
        return item

    def get(self, name: str) -> AsExtern | None:
        """The export of that name of the calling instance, or None."""
        name = text_of(name)
        if self._instance is None or self._caller_store is None:
            return None
        return self._instance.export(self._caller_store, name)

    def data(self) -> Any:
        """The user's data of the store."""
        return self._store.data()


# The slots themselves, whatever classes derived from Func have under these names.
_func_data: Callable[[object], StoreData] = Func.__dict__["_store_data"].__get__
_func_record: Callable[[object], int] = Func.__dict__["_record"].__get__
_class_of = type


def reference_to_python(store: Any, bits: int, type: int) -> object:
    """The Python object of a reference; `store` is a store or its data."""
    data: StoreData = store._data
    if type == wasm.EXTERNREF:
        return data.externs.object(bits)
    if bits == 0:
        return None
    known = data.funcs.get(bits)
    func = known() if known is not None else None
    if func is not None:
        return func
    number = ctypes.c_uint32.from_address(bits + FUNC_SIGNATURE).value
    return Func._of(data.owner(), bits, machine.signature_type(number))


def reference_from_python(store: Any, value: object, type: int) -> int:
    """The reference to a Python object; TypeError if it is none of this type."""
    data: StoreData = store._data
    if type == wasm.EXTERNREF:
        return data.externs.number(value)
    if value is None:
        return 0
    try:
        if _class_of(value) is Func:  # not `isinstance`: what is returned is an address
            func_data, record = value._store_data, value._record
        elif issubclass(_class_of(value), Func):
            func_data, record = _func_data(value), _func_record(value)
        else:
            raise ArgumentTypeError(f"don't know how to convert {described(value)} to funcref")
    except AttributeError as error:
        raise error if isinstance(error, ArgumentTypeError) else unmade(value) from None
    if func_data is not data:
        raise WasmtimeError("function used with the wrong store")
    return record


def _make_trap(code: int, sites: list[Site], address: int, timed_out: bool) -> Trap:
    kind = WasmTimeout if timed_out else Trap
    trap = kind.__new__(kind, TRAP_MESSAGES[code])
    trap._origin = code, sites
    return trap


def _add_sites(exception: Any, sites: list[Site]) -> None:
    """A trap raised by a host function or a builtin gets the frames that it leaves through."""
    if issubclass(type(exception), Trap):
        code, crossed = exception._origin
        if not crossed:
            object.__setattr__(exception, "_origin", (code, sites))  # its class may have a way of its own


machine.set_reference_converters(reference_to_python, reference_from_python)
machine.set_trap_factory(_make_trap)
machine.set_exception_hook(_add_sites)
