"""Python callables as wasm functions and as builtins."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, cast

from brolga.ir.errors import ArgumentTypeError, WasmtimeError
from brolga.jit.vmctx import (
    CTX_ACTIVATION,
    CTX_MEMORY0_BASE,
    FUNC_CODE,
    FUNC_RECORD_SIZE,
    FUNC_SELF,
    FUNC_SIGNATURE,
    FUNC_VMCTX,
)
from brolga.jit.wasm.types import FuncType

from ..arguments import described
from . import layout as L
from .awaitables import is_async, is_awaitable, suspend
from .calls import call_layout, read_args, write_results
from .entry_layout import NUMBERS
from .signatures import signature_number
from .state import StoreState
from .values import from_bits, to_bits

if TYPE_CHECKING:
    from .machine import Machine

_u32 = ctypes.c_uint32.from_address
_u64 = ctypes.c_uint64.from_address

CALLS_UNTIL_FAST: Final = 10

# Given the address of a call buffer: leaves results there and returns None, or returns True to suspend the call.
Dispatch = Callable[[int], bool | None]
# The same for the second half of a call: given also what the Python function has returned.
Finish = Callable[[int, object], bool | None]


_class_of: Final = type


def results_to_bits(type: FuncType, value: object, store: object) -> list[int]:
    """Raw results of what a host function returned; TypeError or WasmtimeError if it does not fit."""
    types = type.results
    if not types:
        if value is not None:
            raise WasmtimeError("callback produced results when it shouldn't")
        return []
    if len(types) == 1:
        return [to_bits(types[0], value, store)]
    if not issubclass(_class_of(value), Sequence) or issubclass(_class_of(value), (str, bytes)):
        raise ArgumentTypeError(
            f"a host function of type {type} must return a sequence of {len(types)} values, not {described(value)}"
        )
    items = list(islice(cast("Sequence[object]", value), len(types) + 1))  # its length may be another each time
    if len(items) != len(types):
        raise WasmtimeError("callback produced wrong number of results")
    return [to_bits(t, item, store) for t, item in zip(types, items, strict=True)]


def _raw_results(count: int, value: Any) -> list[int]:
    if count == 0:
        return []
    if count == 1:
        return [value]
    return list(value)


def _raw_dispatch(type: FuncType, function: Callable[..., object]) -> Dispatch:
    """What the generic routine calls for a function that takes and gives raw values."""
    layout = call_layout(type)
    count = len(type.results)

    def call(buffer: int) -> None:
        write_results(layout, buffer, _raw_results(count, function(*read_args(layout, buffer))))

    return call


def _dispatch(type: FuncType, function: Callable[..., object], store: object, finish: Finish) -> Dispatch:
    """What the generic routine calls: converts between the call buffer and `function`."""
    layout = call_layout(type)
    params = type.params

    def call(buffer: int) -> bool | None:
        bits = read_args(layout, buffer)
        return finish(buffer, function(*[from_bits(t, value, store) for t, value in zip(params, bits)]))

    return call


def _warming(dispatch: Dispatch, context: int, machine: Machine, type: FuncType) -> Dispatch:
    """`dispatch`, which after some calls gives way to the routine by signature."""
    left = CALLS_UNTIL_FAST

    def call(buffer: int) -> bool | None:
        nonlocal left
        left -= 1
        if left == 0:
            _u64(context + L.HOST_FAST).value = machine.host_code(type, make=True)
        return dispatch(buffer)

    return call


def _finish(type: FuncType, state: StoreState, store: object, asynchronous: bool) -> Finish:
    """What a routine by signature calls with a result that it does not take itself. A function that is not declared as `async`
    may return something to wait for too, unless it may return any object."""
    layout = call_layout(type)
    waits = asynchronous or len(type.results) != 1 or type.results[0] in NUMBERS

    def to_results(value: object) -> list[int]:
        return results_to_bits(type, value, store)

    def finish(buffer: int, value: object) -> bool | None:
        if waits and is_awaitable(value):
            suspend(state, buffer, type, value, to_results)
            return True
        write_results(layout, buffer, results_to_bits(type, value, store))
        return None

    return finish


def builtin_dispatch(type: FuncType, function: Callable[..., int | None]) -> Dispatch:
    """As `_dispatch`, for a builtin: the function gets the address of the caller's context first, and raw values."""
    layout = call_layout(type)
    has_result = bool(type.results)

    def call(buffer: int) -> None:
        result = function(_u64(buffer + L.CALL_CONTEXT).value, *read_args(layout, buffer))
        if has_result:
            assert result is not None
            write_results(layout, buffer, [result])

    return call


class HostFunction:
    """A Python callable with a function record. Made by `Machine.new_host_function`. Keep it alive while the record is in use."""

    __slots__ = ("_context", "_dispatch", "_function", "_record", "_results", "_signature", "_state", "record", "type")

    def __init__(
        self,
        machine: Machine,
        state: StoreState,
        store: object,
        type: FuncType,
        function: Callable[..., object],
        raw: bool,
    ) -> None:
        self.type: Final = type
        self._state = state
        self._function = function
        self._results = _finish(type, state, store, is_async(function))
        self._context = (ctypes.c_uint64 * (L.HOST_SIZE // 8))()
        context = ctypes.addressof(self._context)
        if raw:
            self._dispatch = _raw_dispatch(type, function)
        else:
            self._dispatch = _warming(_dispatch(type, function, store, self._results), context, machine, type)
            _u64(context + L.HOST_FAST).value = machine.host_code(type)
        _u64(context + CTX_ACTIVATION).value = state.address
        _u64(context + CTX_MEMORY0_BASE).value = 0
        _u64(context + L.HOST_DISPATCH).value = id(self._dispatch)
        _u64(context + L.HOST_CALLABLE).value = id(function)
        _u64(context + L.HOST_RESULTS).value = id(self._results)
        self._record = (ctypes.c_uint64 * (FUNC_RECORD_SIZE // 8))()
        # Address of its function record {code, vmctx, signature id, itself}: copy it into contexts and tables.
        self.record: Final = ctypes.addressof(self._record)
        _u64(self.record + FUNC_CODE).value = machine.host_entry
        _u64(self.record + FUNC_VMCTX).value = context
        _u32(self.record + FUNC_SIGNATURE).value, self._signature = signature_number(type)
        _u64(self.record + FUNC_SELF).value = self.record
