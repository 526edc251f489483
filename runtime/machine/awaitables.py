"""Which host functions, and which of their results, are to be awaited, and what a host call does then. Calls that wait are those of
`fibers`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import CoroutineType, FunctionType, MethodType
from typing import Any, Final

from brolga.ir.errors import WasmtimeError
from brolga.jit.wasm.types import FuncType

from .state import StoreState

_CO_COROUTINE: Final = 0x80
_WITHOUT_AWAIT: Final = frozenset((int, float, type(None), bool, list, tuple))  # results that need no closer look

# Given what an awaitable yields, the raw results.
ToResults = Callable[[object], list[int]]


def is_async(function: Any) -> bool:
    """Whether this callable is an `async def` function, bound or partially applied or as the `__call__` of a class."""
    while True:
        if isinstance(function, MethodType):
            function = function.__func__
        elif isinstance(function, FunctionType):
            return function.__code__.co_flags & _CO_COROUTINE != 0
        elif isinstance(function, partial):
            function = function.func
        else:
            method = type(function).__call__
            return isinstance(method, FunctionType) and method.__code__.co_flags & _CO_COROUTINE != 0


def is_awaitable(value: object) -> bool:
    """Whether a host function has returned something to wait for."""
    kind = type(value)
    return kind not in _WITHOUT_AWAIT and hasattr(kind, "__await__")


def suspend(state: StoreState, buffer: int, type: FuncType, awaitable: Any, to_results: ToResults) -> None:
    """Prepare the innermost call of the store to be suspended, or raise WasmtimeError if it cannot be."""
    fiber = state.fiber
    if fiber is not None and fiber.innermost:
        fiber.suspend(buffer, type, awaitable, to_results)
        return
    if isinstance(awaitable, CoroutineType):
        awaitable.close()
    if fiber is None:
        raise WasmtimeError("an async host function was called by a call that cannot wait: make it with `call_async`")
    raise WasmtimeError(
        "an async host function was called by a synchronous call, made by a host function that `call_async` called"
    )
