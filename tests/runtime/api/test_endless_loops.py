"""Loops of each operator that leads out of compiled code, and single operators that take long, can be ended, and other Python threads run
meanwhile. What has been interrupted gives the same results as what has not."""

from __future__ import annotations

import signal
import threading
import time
from typing import Any, Final

import pytest

from brolga import Engine, FuncType, Instance, Linker, Module, Store, Trap, TrapCode, ValType, WasmTimeout
from brolga.runtime.machine.bulk import PIECE

LOOPS: Final = {
    "memory.fill": "(memory.fill (i32.const 0) (i32.const 1) (i32.const 0x100000))",
    "memory.fill of few bytes": "(memory.fill (i32.const 0) (i32.const 1) (local.get $few))",
    "memory.fill of no bytes": "(memory.fill (i32.const 0) (i32.const 1) (local.get $none))",
    "memory.fill of many bytes": "(memory.fill (i32.const 0) (i32.const 1) (i32.const 0x4000000))",
    "memory.copy": "(memory.copy (i32.const 0) (i32.const 0x100000) (i32.const 0x10000))",
    "memory.copy forwards": "(memory.copy (i32.const 0) (i32.const 8) (i32.const 0x3000000))",
    "memory.copy backwards": "(memory.copy (i32.const 8) (i32.const 0) (i32.const 0x3000000))",
    "memory.copy of few bytes": "(memory.copy (i32.const 0) (i32.const 100) (local.get $few))",
    "memory.init": "(memory.init $data (i32.const 0) (i32.const 0) (i32.const 10))",
    "data.drop": "(data.drop $data)",
    "memory.grow": "(drop (memory.grow (i32.const 0)))",
    "memory.size": "(drop (memory.size))",
    "table.get": "(drop (table.get $table (i32.const 0)))",
    "table.set": "(table.set $table (i32.const 0) (ref.null func))",
    "table.grow": "(drop (table.grow $table (ref.null func) (i32.const 0)))",
    "table.fill": "(table.fill $table (i32.const 0) (ref.func $one) (i32.const 100000))",
    "table.copy": "(table.copy $table $table (i32.const 1) (i32.const 0) (i32.const 99999))",
    "table.init": "(table.init $table $elements (i32.const 0) (i32.const 0) (i32.const 1))",
    "elem.drop": "(elem.drop $elements)",
    "host function": "(drop (call $python (i32.const 1)))",
    "host function in C": "(drop (call $c (i32.const 1)))",
    "indirect call of a host function in C": "(drop (call_indirect (param i32) (result i32) (i32.const 1) (i32.const 7)))",
    "call": "(drop (call $one (i32.const 1)))",
    "division": "(drop (i64.div_s (i64.const 1) (i64.extend_i32_u (local.get $few))))",
    "nothing": "",
}
TEXT: Final = """(module
  (import "" "python" (func $python (param i32) (result i32)))
  (import "" "c" (func $c (param i32) (result i32)))
  (memory 1024) (table $table 100000 funcref)
  (data $data "0123456789") (elem $elements func $one) (elem (i32.const 7) func $c)
  (func $one (param i32) (result i32) (local.get 0))
  (func (export "forever") (param $few i32) (param $none i32)
    (if (local.get $none) (then return))
    (loop %s (br 0))))"""


HANG: Final = 10  # seconds, where some milliseconds are usual


def forever(engine: Engine, body: str) -> tuple[Store, Any]:
    store = Store(engine)
    linker = Linker(engine)
    linker.define_func("", "python", FuncType([ValType.i32()], [ValType.i32()]), lambda x: x)
    linker.define_func("", "c", FuncType([ValType.i32()], [ValType.i32()]), abs)
    function: Any = linker.instantiate(store, Module(engine, TEXT % body)).exports(store)["forever"]
    function(store, 0, 1)  # is compiled
    return store, function


@pytest.mark.parametrize("operator", LOOPS)
def test_a_loop_ends_when_another_thread_says_so(engine: Engine, operator: str) -> None:
    """The thread needs some turns for that."""
    store, function = forever(engine, LOOPS[operator])

    def interrupt() -> None:
        turns = 0
        while turns < 10:
            turns += store._state.running
            time.sleep(0)
        store.interrupt()

    thread = threading.Thread(target=interrupt)
    thread.start()
    start = time.monotonic()
    with pytest.raises(Trap) as caught:
        function(store, 40, 0)
    thread.join()
    assert caught.value.trap_code == TrapCode.INTERRUPT
    assert [frame.func_index for frame in caught.value.frames] == [3]
    assert time.monotonic() - start < HANG


def test_a_large_fill_is_ended_in_the_middle(engine: Engine) -> None:
    """It writes four GiB, and not all of them here."""
    store = Store(engine)
    text = """(module (memory (export "memory") 0 65536)
      (func (export "grow") (result i32) (memory.grow (i32.const 65535)))
      (func (export "fill") (param i32) (memory.fill (local.get 0) (i32.const 7) (i32.const 0xffff0000))))"""
    exports: Any = Instance(store, Module(engine, text), []).exports(store)
    if exports["grow"](store) < 0:
        pytest.skip("no memory of this size")
    with pytest.raises(Trap):
        exports["fill"](store, 1)
    with pytest.raises(WasmTimeout) as caught:
        exports["fill"](store, 0, timeout=0.02)
    assert [frame.func_index for frame in caught.value.frames] == [1]
    memory = exports["memory"]
    assert memory.read(store, 0, 10) == bytes([7] * 10)
    assert memory.read(store, 0xFFFF_0000 - 10) == bytes(10)


SIZE: Final = 4 * PIECE + 777
MOVES: Final = f"""(module (memory (export "memory") 40) (data $data "{"abcdefghijk" * 30_000}")
  (func (export "rounds") (param $rounds i32)
    (loop
      (memory.fill (i32.const {SIZE + 2000}) (local.get $rounds) (i32.const {SIZE}))
      (memory.copy (i32.const 1) (i32.const 0) (i32.const {SIZE}))
      (memory.copy (i32.const 0) (i32.const 3) (i32.const {SIZE}))
      (memory.copy (i32.const 70) (i32.const 0) (i32.const {SIZE}))
      (memory.copy (i32.const 0) (i32.const 100) (i32.const {SIZE}))
      (memory.copy (i32.const {SIZE // 2}) (i32.const 0) (i32.const {SIZE // 2 + 100}))
      (memory.init $data (i32.const 50) (local.get $rounds) (i32.const {PIECE + 3}))
      (memory.copy (i32.const 7) (i32.const 50) (local.get $rounds))
      (br_if 0 (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1)))))))"""


def test_interrupted_moves_give_the_same_results(engine: Engine) -> None:
    """In the middle a signal handler runs, which calls wasm and drops and moves what it may."""
    store, module = Store(engine), Module(engine, MOVES)
    rounds = 60
    first = bytes(i * 31 & 0xFF for i in range(SIZE + 1000))
    expected: Any = Instance(store, module, []).exports(store)
    expected["memory"].write(store, first)
    expected["rounds"](store, rounds)
    hits = []

    def handler(number: int, frame: object) -> None:
        hits.append(number)
        small["rounds"](store, 1)

    before = signal.signal(signal.SIGALRM, handler)
    try:
        for _ in range(50):
            small: Any = Instance(store, module, []).exports(store)
            found: Any = Instance(store, module, []).exports(store)
            found["memory"].write(store, first)
            signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
            found["rounds"](store, rounds)
            signal.setitimer(signal.ITIMER_REAL, 0)
            assert found["memory"].read(store) == expected["memory"].read(store)
            if len(hits) > 100:
                break
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert hits


def test_a_segment_is_dropped_and_a_memory_grows_in_the_middle_of_moves(engine: Engine) -> None:
    """By a signal handler. What goes on reads the segment that it has begun to read, or traps before that."""
    store = Store(engine)
    text = f"""(module (memory (export "memory") 40) (data $data "{"x" * 100_000}")
      (func (export "drop") (data.drop $data) (drop (memory.grow (i32.const 1))))
      (func (export "init") (param $rounds i32)
        (loop
          (memory.init $data (i32.const 0) (i32.const 100) (i32.const 90000))
          (br_if 0 (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1)))))))"""
    module = Module(engine, text)
    exports: Any = None
    before = signal.signal(signal.SIGALRM, lambda number, frame: exports["drop"](store))
    try:
        for _ in range(30):
            exports = Instance(store, module, []).exports(store)
            exports["init"](store, 1)
            signal.setitimer(signal.ITIMER_REAL, 0.003)
            with pytest.raises(Trap, match="out of bounds"):
                exports["init"](store, 0)
            assert exports["memory"].read(store, 0, 90000) == b"x" * 90000
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_handlers_run_while_a_loop_calls_a_function_in_c(engine: Engine) -> None:
    """An exception of theirs ends it."""

    class Stop(Exception):
        pass

    def handler(number: int, frame: object) -> None:
        raise Stop

    store, function = forever(engine, LOOPS["host function in C"])
    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with pytest.raises(Stop):
            function(store, 40, 0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert not store._state.running
