"""Every access to a memory, table or global takes a store or what stands for one, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from brolga import (
    Caller,
    Engine,
    Func,
    FuncType,
    Global,
    GlobalType,
    Limits,
    Memory,
    MemoryType,
    Store,
    StoreContext,
    Table,
    TableType,
    Val,
    ValType,
    WasmtimeError,
)

Access = Callable[[Any], Any]


def _accesses(store: Store) -> dict[str, tuple[Access, Any]]:
    """By name: an access, given the store, and what it returns."""
    memory = Memory(store, MemoryType(Limits(2, None)))
    table = Table(store, TableType(ValType.externref(), Limits(3, None)), "x")
    functions = Table(store, TableType(ValType.funcref(), Limits(1, None)), None)
    function = Func(store, FuncType([], []), lambda: None)
    functions.set(store, 0, function)
    variable = Global(store, GlobalType(ValType.i32(), True), Val.i32(5))
    return {
        "memory.size": (memory.size, 2),
        "memory.data_len": (memory.data_len, 2 * 65536),
        "memory.read": (lambda s: memory.read(s, 0, 2), b"\0\0"),
        "memory.write": (lambda s: memory.write(s, b"\0", 0), 1),
        "memory.grow": (lambda s: memory.grow(s, 0), 2),
        "memory.page_size": (memory.page_size, 65536),
        "table.size": (table.size, 3),
        "table.get": (lambda s: table.get(s, 0), "x"),
        "table.get, funcref": (lambda s: functions.get(s, 0), function),
        "table.set": (lambda s: table.set(s, 1, "y"), None),
        "table.set, funcref": (lambda s: functions.set(s, 0, function), None),
        "global.value": (variable.value, 5),
        "global.set_value": (lambda s: variable.set_value(s, 5), None),
    }


NAMES = list(_accesses(Store()))


@pytest.mark.parametrize("name", NAMES)
def test_storelikes(engine: Engine, name: str) -> None:
    store = Store(engine)
    access, result = _accesses(store)[name]
    assert access(store) == result
    context = StoreContext(store)
    assert access(context) == result
    context._invalidate()
    with pytest.raises(ValueError, match="no longer valid"):
        access(context)

    callers: list[Caller] = []

    def host(caller: Caller) -> None:
        callers.append(caller)
        assert access(caller) == result

    Func(store, FuncType([], []), host, access_caller=True)(store)
    with pytest.raises(ValueError, match="no longer valid"):
        access(callers[0])


@pytest.mark.parametrize("name", NAMES)
def test_others(engine: Engine, name: str) -> None:
    store = Store(engine)
    access, _ = _accesses(store)[name]
    for other in (None, 5, object(), engine, access):
        with pytest.raises(TypeError, match="expected a Store"):
            access(other)
    with pytest.raises(WasmtimeError, match="wrong store"):
        access(Store(engine))
    store.close()
    with pytest.raises(ValueError, match="already closed"):
        access(store)
