"""Tables of millions of elements: they take memory when they are used, what is done to them can be ended, and they are limited."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from brolga import (
    Engine,
    Instance,
    Limits,
    Module,
    Store,
    Table,
    TableType,
    Trap,
    ValType,
    WasmtimeError,
    WasmTimeout,
)
from brolga.runtime import table as tables
from brolga.runtime.platform.interface import PlatformError

MOST: Final = 10_000_000
SOON: Final = 5.0  # seconds: what takes longer has not been ended
TEXT: Final = """
(module
  (table (export "a") 10000000 10000000 funcref)
  (table $b 10000000 funcref)
  (table (export "growing") 0 10000000 funcref)
  (func $f (export "f"))
  (func $fill (table.fill 0 (i32.const 0) (ref.func $f) (i32.const 10000000)))
  (func (export "fill") (loop (call $fill) (br 0)))
  (func (export "copy") (loop (table.copy 0 $b (i32.const 0) (i32.const 0) (i32.const 10000000)) (br 0)))
  (func (export "move") (loop (table.copy 0 0 (i32.const 3) (i32.const 0) (i32.const 9999997)) (br 0)))
  (func (export "grow") (loop
    (if (i32.lt_s (table.grow 2 (ref.func $f) (i32.const 10000)) (i32.const 0)) (then (call $fill)))
    (br 0)))
  (elem declare func $f))
"""


def resident() -> int:
    """Bytes of memory that the process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.fixture(scope="module")
def module() -> tuple[Engine, Module]:
    engine = Engine()
    return engine, Module(engine, TEXT)


def test_what_is_not_used_takes_no_memory(engine: Engine) -> None:
    before = resident()
    store = Store(engine)
    Instance(store, Module(engine, "(module (table 10000000 funcref) (table 10000000 externref))"), [])
    table = Table(store, TableType(ValType.funcref(), Limits(1, None)), None)
    table.grow(store, MOST - 1, None)
    assert table.get(store, MOST - 1) is None and table.get(store, 0) is None
    assert resident() - before < 64 << 20


@pytest.mark.parametrize("name", ["fill", "copy", "move", "grow"])
def test_operators_end_with_the_time_of_their_call(module: tuple[Engine, Module], name: str) -> None:
    engine, code = module
    store = Store(engine)
    exports: Any = Instance(store, code, []).exports(store)
    ticks: list[float] = []
    done = threading.Event()

    def tick() -> None:
        while not done.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    began = time.monotonic()
    with pytest.raises(WasmTimeout):
        exports[name](store, timeout=0.1)
    assert time.monotonic() - began < SOON
    done.set()
    thread.join()
    assert len(ticks) > 3  # other threads run meanwhile
    exports["f"](store)


@pytest.mark.parametrize("element", ["funcref", "externref"])
def test_pieces(engine: Engine, element: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done in many pieces has the same result as in one."""
    text = f"""(module
      (table (export "t") 100 200 {element})
      (func (export "fill") (param i32 {element} i32) (table.fill 0 (local.get 0) (local.get 1) (local.get 2)))
      (func (export "copy") (param i32 i32 i32) (table.copy 0 0 (local.get 0) (local.get 1) (local.get 2)))
      (func (export "grow") (param {element} i32) (result i32) (table.grow 0 (local.get 0) (local.get 1)))
      (func (export "f")) (func (export "g")) (func (export "h")))"""
    monkeypatch.setattr(tables, "_PIECE", 7)
    store = Store(engine)
    exports: Any = Instance(store, Module(engine, text), []).exports(store)
    things = [exports[name] for name in "fgh"] if element == "funcref" else ["f", "g", "h"]
    table: Table = exports["t"]
    expected: list[object] = [None] * 100

    def same() -> None:
        assert [table.get(store, i) for i in range(len(expected))] == expected

    for start, thing, count in ((0, 0, 100), (3, 1, 20), (50, 2, 7), (99, 1, 1), (100, 0, 0)):
        exports["fill"](store, start, things[thing], count)
        expected[start : start + count] = [things[thing]] * count
        same()
    for to, start, count in ((0, 3, 60), (3, 0, 60), (10, 11, 80), (11, 10, 80), (5, 5, 50)):
        exports["copy"](store, to, start, count)
        expected[to : to + count] = expected[start : start + count]
        same()
    assert exports["grow"](store, things[2], 30) == 100
    expected += [things[2]] * 30
    assert table.grow(store, 40, None) == 130
    expected += [None] * 40
    same()
    for wrong in (lambda: exports["fill"](store, 100, None, 71), lambda: exports["copy"](store, 0, 100, 71)):
        with pytest.raises(Trap):
            wrong()
    same()


def test_growth_that_was_given_up_leaves_nulls(engine: Engine) -> None:
    """Elements that were prepared for growth which did not take place are not found by later growth."""
    store = Store(engine)
    table = Table(store, TableType(ValType.externref(), Limits(8, 50)), "first")
    data = table._table
    assert table.grow(store, 1, "x") == 8
    data._fill_unused(data._room, 9, 13, 1)
    assert table.grow(store, 6, None) == 9
    assert [table.get(store, i) for i in range(15)] == ["first"] * 8 + ["x"] + [None] * 6


def test_all_tables_of_a_store_are_limited(engine: Engine) -> None:
    store = Store(engine)
    two = Module(engine, "(module (table 10000000 funcref) (table 10000000 funcref))")
    Instance(store, two, [])
    for _ in range(3):
        with pytest.raises(WasmtimeError, match="the tables of a store have at most 33554432 elements"):
            Instance(store, two, [])
    kind = TableType(ValType.externref(), Limits(0, None))
    more, table = (Table(store, kind, None) for _ in range(2))
    more.grow(store, MOST, None)
    with pytest.raises(WasmtimeError, match="failed to grow"):
        table.grow(store, 1 << 22, None)
    other = Table(Store(engine), kind, None)  # which has tables of its own
    assert other._table.store_data.table_elements == [0]
    del more
    gc.collect()
    assert table.grow(store, 1 << 22, None) == 0


def test_many_large_tables_are_an_error(engine: Engine) -> None:
    before = resident()
    with pytest.raises(WasmtimeError, match="tables of a store"):
        Instance(Store(engine), Module(engine, f"(module {'(table 10000000 funcref)' * 2000})"), [])
    assert resident() - before < 64 << 20


def _no_memory(*_: object) -> Any:
    raise PlatformError("no memory")


@pytest.mark.parametrize(
    "make",
    [
        lambda store: Table(store, TableType(ValType.funcref(), Limits(100_000, None)), None),
        lambda store: Instance(store, Module(store.engine, "(module (table 100000 funcref))"), []),
    ],
)
def test_the_system_has_no_memory(
    engine: Engine, make: Callable[[Store], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(engine)
    table = Table(store, TableType(ValType.funcref(), Limits(10, None)), None)
    with monkeypatch.context() as patch:
        patch.setattr(type(engine.machine.platform), "allocate", _no_memory)
        with pytest.raises(WasmtimeError, match="failed to allocate a table of 100000 elements"):
            make(store)
        with pytest.raises(WasmtimeError, match="failed to grow table"):
            table.grow(store, 100_000, None)
    assert store._data.table_elements == [10]
    assert table.grow(store, 100_000, None) == 10
    make(store)
