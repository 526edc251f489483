"""One owner at a time: what two threads do to one store, or a signal handler to what it has interrupted."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from brolga import Engine, Func, FuncType, Instance, Module, Store, Trap, WasiConfig, WasmtimeError

from .two_threads import OPERATIONS

SECONDS: Final = 0.12
# What runs, and all that may come to it; what moves things, and what reads them.
PAIRS: Final = (
    *[("count", other) for other in ("write", "grow", "double", "read", "view", "instantiate", "close", "drop")],
    *[("indirect", other) for other in ("table.set another", "table.grow", "instantiate", "gc", "close")],
    *[("fill", other) for other in ("table.grow", "table.set", "copy")],
    *[("grow", other) for other in ("grow from wasm", "read", "write", "view", "close", "drop")],
    *[("table.grow", other) for other in ("table.grow", "table.set", "table.get", "grow table from wasm", "drop")],
    *[("objects", "gc"), ("object", "gc"), ("instantiate", "instantiate"), ("new", "gc"), ("close", "read")],
    *[("set_limits", "grow"), ("global", "count")],
)
PLATFORMS: Final = ({}, {"BROLGA_PLATFORM": "minimal"}, {"BROLGA_WITHOUT": "reservations"})


def run(who: str, first: str, second: str, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("two_threads.py")), who, str(SECONDS), first, second],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, f"{first}, {second}, {environment}: {done.returncode}\n{done.stderr}"


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_pairs(first: str, second: str) -> None:
    # Each pair on another platform, and as another kind of pair.
    number = PAIRS.index((first, second))
    run("threads", first, second, PLATFORMS[number % 3])
    run("signals", first, second, PLATFORMS[(number + 1) % 3])


def test_the_pairs_are_of_operations() -> None:
    assert {name for pair in PAIRS for name in pair} <= set(OPERATIONS)


# --- What is refused, and what is not ------------------------------------------------------------------------------------

TEXT: Final = """
(module
  (import "" "host" (func $host))
  (memory (export "memory") 1 9)
  (table (export "table") 2 9 funcref)
  (global (export "number") (mut i32) (i32.const 1))
  (func (export "run") call $host)
  (func $f (export "f")))
"""
# On another thread than the one that runs the store's code.
CHANGES: Final[dict[str, Callable[[Store, Any], object]]] = {
    "write": lambda s, it: it["memory"].write(s, b"x"),
    "grow": lambda s, it: it["memory"].grow(s, 1),
    "buffer": lambda s, it: it["memory"].get_buffer_ptr(s),
    "pointer": lambda s, it: it["memory"].data_ptr(s),
    "table.set": lambda s, it: it["table"].set(s, 0, None),
    "table.grow": lambda s, it: it["table"].grow(s, 1, None),
    "global": lambda s, it: it["number"].set_value(s, 5),
    "global by a value that is no int": lambda s, it: it["number"].set_value(s, True),
    "instantiate": lambda s, it: Instance(s, Module(s.engine, "(module)"), []),
    "call": lambda s, it: it["f"](s),
    "set_limits": lambda s, it: s.set_limits(),
    "set_wasi": lambda s, it: s.set_wasi(WasiConfig()),
    "gc": lambda s, it: s.gc(),
}
LOOKS: Final[dict[str, Callable[[Store, Any], object]]] = {
    "read": lambda s, it: it["memory"].read(s, 0, 5),
    "size": lambda s, it: it["memory"].size(s),
    "table.get": lambda s, it: it["table"].get(s, 0),
    "table.size": lambda s, it: it["table"].size(s),
    "value": lambda s, it: it["number"].value(s),
}


def elsewhere(operation: Callable[[], object]) -> object:
    """What it returns, or the exception that it raises, on another thread."""
    result: list[object] = []

    def work() -> None:
        try:
            result.append(operation())
        except Exception as error:  # noqa: BLE001
            result.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    return result[0]


@pytest.mark.parametrize("name", CHANGES)
def test_changes_while_code_runs_on_another_thread(engine: Engine, name: str) -> None:
    store = Store(engine)
    found: list[object] = []
    host = Func(store, FuncType([], []), lambda: found.append(elsewhere(lambda: CHANGES[name](store, it))))
    it: Any = Instance(store, Module(engine, TEXT), [host]).exports(store)
    it["run"](store)
    assert isinstance(found[0], RuntimeError) and "in use on another thread" in str(found[0])
    assert it["memory"].size(store) == 1 and it["table"].size(store) == 2 and it["number"].value(store) == 1
    CHANGES[name](store, it)
    it["f"](store)


def test_closing_while_code_runs_on_another_thread(engine: Engine) -> None:
    store = Store(engine)
    found: list[object] = []
    host = Func(store, FuncType([], []), lambda: found.append(elsewhere(store.close)))
    it: Any = Instance(store, Module(engine, TEXT), [host]).exports(store)
    it["run"](store)
    assert isinstance(found[0], WasmtimeError)
    it["f"](store)


@pytest.mark.parametrize("name", LOOKS)
def test_looks_while_code_runs_on_another_thread(engine: Engine, name: str) -> None:
    store = Store(engine)
    found: list[object] = []
    host = Func(store, FuncType([], []), lambda: found.append(elsewhere(lambda: LOOKS[name](store, it))))
    it: Any = Instance(store, Module(engine, TEXT), [host]).exports(store)
    it["run"](store)
    assert found == [LOOKS[name](store, it)]


def test_calls_while_a_module_is_instantiated_on_another_thread(engine: Engine) -> None:
    """The claim that instantiation has refuses them, and is gone afterwards, also when it fails."""
    store = Store(engine)
    host = Func(store, FuncType([], []), lambda: None)
    it: Any = Instance(store, Module(engine, TEXT), [host]).exports(store)
    it["f"](store)
    claim = store._state.claim()
    assert claim and store._state.claim() is None
    for operation in (
        lambda: it["f"](store),
        lambda: Instance(store, Module(engine, "(module)"), []),
        store.gc,
    ):
        error = elsewhere(operation)
        assert isinstance(error, RuntimeError) and "in use on another thread" in str(error)
    it["f"](store)
    with pytest.raises(WasmtimeError, match="running"):
        store.close()
    claim.clear()
    assert elsewhere(lambda: it["f"](store)) is None
    failing = Module(engine, '(module (import "" "" (func)) (memory 1) (data (i32.const 65536) "x") (start 0))')
    error = elsewhere(lambda: Instance(store, failing, [host]))
    assert isinstance(error, Trap)  # which is kept, as by who logs it
    it["f"](store)
    assert elsewhere(lambda: it["f"](store)) is None
    store.close()
