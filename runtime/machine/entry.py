"""Calling wasm functions from Python at C speed.

The type is made with PyType_FromSpec, because a class statement gives no vectorcall slot: an instance begins with the address of
its vectorcall function, the address of the function record, and the store to compare with. Subclasses made by class statements
keep the slot, but Python 3.11 does not let them inherit the flag that says so: `enable_vectorcall` sets it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from brolga.ir.errors import ArgumentTypeError, WasmtimeError
from brolga.jit.wasm.types import VALUE_TYPE_NAMES, FuncType

from ..arguments import described, unmade
from ..platform.c_calls import typed
from .entry_layout import BOUND, BY_STORE, BYTES_OF_OBJECT, ENTRY_SIZE, ENTRY_VECTORCALL, METHOD
from .heap_types import (
    PY_TP_MEMBERS,
    READONLY,
    T_PYSSIZET,
    TPFLAGS_BASETYPE,
    TPFLAGS_DEFAULT,
    member_table,
    type_from_spec,
)
from .late import import_late
from .lifetime import exiting
from .state import state_of
from .traps import interruption
from .values import from_bits, to_bits

if TYPE_CHECKING:
    from .machine import Machine
    from .timeouts import Deadline

_u64 = ctypes.c_uint64.from_address
_ENTRY: Final = ctypes.c_uint64 * 3  # vectorcall, record, store


TPFLAGS_HAVE_VECTORCALL: Final = 1 << 11
TPFLAGS_IMMUTABLETYPE: Final = 1 << 8
TPFLAGS_METHOD_DESCRIPTOR: Final = 1 << 17
PY_TP_CALL: Final = 50
TP_FLAGS_OFFSET: Final = 168  # of the field tp_flags in PyTypeObject

_api = ctypes.pythonapi
_api.PyType_GetFlags.restype = ctypes.c_ulong
_api.PyType_GetFlags.argtypes = [ctypes.py_object]
_api.PyType_Modified.restype = None
_api.PyType_Modified.argtypes = [ctypes.py_object]
_get_flags: Final = typed(_api.PyType_GetFlags)
_type_modified: Final = typed(_api.PyType_Modified)

CALLS_UNTIL_FAST: Final = 3


def _make_type() -> Any:
    members = member_table((b"__vectorcalloffset__", T_PYSSIZET, ENTRY_VECTORCALL, READONLY))
    call = ctypes.cast(_api.PyVectorcall_Call, ctypes.c_void_p).value or 0
    flags = TPFLAGS_DEFAULT | TPFLAGS_BASETYPE | TPFLAGS_HAVE_VECTORCALL
    name = b"brolga.runtime.machine.entry.NativeEntryPoint"
    return type_from_spec(name, ENTRY_SIZE, flags, [(PY_TP_MEMBERS, members), (PY_TP_CALL, call)])


T = TypeVar("T", bound=type)


def enable_vectorcall(cls: T) -> T:
    """Class decorator: instances of this subclass of EntryPoint are called as fast as those of EntryPoint itself."""
    return _add_flags(cls, TPFLAGS_HAVE_VECTORCALL)


def enable_method_calls(cls: T) -> T:
    """Class decorator: where instances of this subclass of EntryPoint are attributes of a class, `x.name(...)` calls them with `x`
    as first argument, as it calls functions, and makes no bound method. (CPython specializes that for descriptors of types that
    never change.)"""
    return _add_flags(cls, TPFLAGS_HAVE_VECTORCALL | TPFLAGS_METHOD_DESCRIPTOR | TPFLAGS_IMMUTABLETYPE)


def forbid_changes(cls: type[object]) -> None:
    """Make a class immutable, as those of C are. Then no object can become an instance of it by assignment to `__class__` either."""
    _add_flags(cls, TPFLAGS_IMMUTABLETYPE)


def _add_flags(cls: T, added: int) -> T:
    flags = ctypes.c_ulong.from_address(id(cls) + TP_FLAGS_OFFSET)
    if flags.value != _get_flags(cls):
        return cls  # another layout of types: calls go through tp_call, which is slower and does the same
    flags.value |= added
    _type_modified(cls)
    return cls


if TYPE_CHECKING:

    class _NativeEntryPoint:
        __slots__ = ()
else:
    _NativeEntryPoint = _make_type()


@enable_vectorcall
class EntryPoint(_NativeEntryPoint):
    """Base class of `Func`: a wasm function that Python calls as `func(store, *args)`.

    `_lead` must be called once, before the first call. Derive `class Func(EntryPoint)` with `__slots__` and apply
    `enable_vectorcall` to it. A call converts arguments and results as `values` says: no result gives None, one the value,
    several a list. The call is refused with WasmtimeError for a wrong number of arguments or another store, with TypeError for
    a wrong type.
    """

    __slots__ = (
        "__weakref__",
        "_entry_calls",
        "_entry_kind",
        "_entry_owner",
        "_entry_record",
        "_entry_store",
        "_entry_type",
        "_machine",
    )
    _machine: Machine
    _entry_type: FuncType
    _entry_store: object
    _entry_owner: object
    _entry_record: int
    _entry_calls: int  # so far, by the slow way
    _entry_kind: int

    if TYPE_CHECKING:
        __call__: Callable[..., object]

    def _lead(
        self, machine: Machine, record: int, type: FuncType, store: object, owner: object, bound: bool = False
    ) -> None:
        """Lead calls to the function record at address `record`.

        `store` is what a call must give as first argument (compared by identity; an object whose attribute `_store` is `store`,
        like a Caller, will do too); if `bound`, calls give none. `owner` is kept alive: it must own the record, the context and the code.
        """
        self._entry_record = record
        self._fill(machine, BOUND if bound else BY_STORE, type, record, store, owner)

    def _lead_method(self, machine: Machine, type: FuncType, cls: type[object], place: int) -> None:
        """Lead calls whose first argument is an instance of `cls` to that function record whose address is word `place` of the bytes object
        in the first slot of the instance. Other calls, also of subclasses, go to what `__get__` returns."""
        self._fill(machine, METHOD, type, BYTES_OF_OBJECT + 8 * place, cls, cls)

    def _fill(self, machine: Machine, kind: int, type: FuncType, word: int, store: object, owner: object) -> None:
        self._machine = machine
        self._entry_kind = kind
        self._entry_type = type
        self._entry_store = store
        self._entry_owner = owner
        self._entry_calls = 0
        _ENTRY.from_address(id(self) + ENTRY_VECTORCALL)[:] = [machine.entry_code(type, kind), word, id(store)]

    async def _call_async(self, args: tuple[object, ...], timeout: float | None) -> Any:
        """A call that waits for async host functions, with the arguments of an ordinary call."""
        import_late(f"{__package__}.fibers")  # few programs suspend calls
        from .fibers import Fiber

        seconds = None if timeout is None else _timeouts().to_seconds(timeout)
        type, store, record = self._looked_at()
        fiber = Fiber(self._machine, state_of(record), record, type, _arguments(self, args, "call_async"))
        try:
            results = await (fiber.finish() if seconds is None else fiber.finish_within(seconds))
        finally:
            fiber.close()
        return _results(type, results, store)

    def _looked_at(self) -> tuple[FuncType, object, int]:
        """What a call works with from its beginning to its end: type, store, record."""
        try:
            return self._entry_type, self._entry_store, self._entry_record
        except AttributeError:
            raise unmade(self) from None


@cache
def _timeouts() -> ModuleType:
    """Few programs limit the time of calls. Those that did may do so when the interpreter ends, and no import works any more."""
    import_late(f"{__package__}.timeouts")
    from . import timeouts

    return timeouts


def slow_call(func: EntryPoint, /, *args: object, timeout: float | None = None, **named: object) -> object:
    """What an entry does with Python's help: any signature, any kind of argument, timeouts, and the errors."""
    func._entry_calls += 1
    if func._entry_calls == CALLS_UNTIL_FAST:
        code = func._machine.entry_code(func._entry_type, func._entry_kind, make=True)
        _u64(id(func) + ENTRY_VECTORCALL).value = code
    if named:
        args = _with_store(func, args, named)
    if func._entry_kind == METHOD:
        return _call_method(func, args, timeout)
    # When the interpreter ends no other thread runs, so nothing could end a call in time.
    seconds = None if timeout is None or exiting() else _timeouts().to_seconds(timeout)
    type, store, record = func._looked_at()
    bits = _arguments(func, args, "__call__")
    if seconds is None:
        results = func._machine.call_raw(record, type, bits)
    else:
        state = state_of(record)
        if seconds <= 0 and not state.refusal:  # over before it begins: not even what must be compiled for it is
            raise interruption(0, True)
        deadline: Deadline = _timeouts().Deadline(state, seconds)
        try:
            deadline.start()
            results = func._machine.call_raw(record, type, bits, deadline.address)
        finally:
            deadline.finish()
    return _results(type, results, store)


def _call_method(func: Any, args: tuple[object, ...], timeout: float | None) -> object:
    if not args:
        raise ArgumentTypeError(f"unbound method {func!r} needs an argument")
    return slow_call(func.__get__(args[0]), *args[1:], timeout=timeout)


def _with_store(func: EntryPoint, args: tuple[object, ...], named: dict[str, object]) -> tuple[object, ...]:
    """The arguments of a call that names the store, as those of the package `wasmtime` may."""
    for name in named:
        if name != "store" or func._entry_kind != BY_STORE:
            raise ArgumentTypeError(f"{type(func).__name__}.__call__() got an unexpected keyword argument {name!r}")
    if args:
        raise ArgumentTypeError("Func.__call__() got multiple values for argument 'store'")
    return (named["store"],)


def _arguments(func: EntryPoint, args: tuple[object, ...], method: str) -> list[int]:
    """The raw arguments of a call, or the error for what does not fit."""
    type = func._entry_type
    bound = func._entry_kind == BOUND
    if not args and not bound:
        raise ArgumentTypeError(f"Func.{method}() missing 1 required positional argument: 'store'")
    values = args if bound else args[1:]
    given, expected = len(values), len(type.params)
    if given != expected:
        many = "many" if given > expected else "few"
        raise WasmtimeError(f"too {many} parameters provided: given {given}, expected {expected}")
    if not bound and args[0] is not func._entry_store:
        store: Any = args[0]
        try:
            of_storelike = store._store
        except AttributeError:
            raise ArgumentTypeError(f"expected a Store, not {described(store)}") from None
        if of_storelike is not func._entry_store:
            raise WasmtimeError("function used with the wrong store")
    bits = []
    for i, (value_type, value) in enumerate(zip(type.params, values)):
        try:
            bits.append(to_bits(value_type, value, func._entry_store))
        except ArgumentTypeError as error:
            error.add_note(f"for parameter {i} of type {VALUE_TYPE_NAMES[value_type]}")
            raise
    return bits


def _results(type: FuncType, results: list[int], store: object) -> object:
    """The value of a call with these raw results."""
    converted = [from_bits(t, result, store) for t, result in zip(type.results, results)]
    return None if not converted else converted[0] if len(converted) == 1 else converted
