from __future__ import annotations

import copy
import gc
import pickle
import re
from typing import Any

import pytest

from brolga import Engine, ExitTrap, Frame, Func, Instance, Module, Store, Trap, TrapCode
from brolga.ir.passes import facts
from brolga.jit.code import COMPILED

_KINDS = [
    ("unreachable", TrapCode.UNREACHABLE, "unreachable"),
    ("i32.const 1 i32.const 0 i32.div_s drop", TrapCode.INTEGER_DIVISION_BY_ZERO, "integer divide by zero"),
    ("i64.const 1 i64.const 0 i64.rem_u drop", TrapCode.INTEGER_DIVISION_BY_ZERO, "integer divide by zero"),
    ("i32.const 0x80000000 i32.const -1 i32.div_s drop", TrapCode.INTEGER_OVERFLOW, "integer overflow"),
    ("f32.const nan i32.trunc_f32_s drop", TrapCode.BAD_CONVERSION_TO_INTEGER, "invalid conversion to integer"),
    ("f64.const 1e30 i32.trunc_f64_s drop", TrapCode.INTEGER_OVERFLOW, "integer overflow"),
    ("i32.const 65533 i32.load drop", TrapCode.MEMORY_OUT_OF_BOUNDS, "out of bounds memory access"),
    (
        "i32.const -1 i32.const 0 i32.store8 offset=4294967295",
        TrapCode.MEMORY_OUT_OF_BOUNDS,
        "out of bounds memory access",
    ),
    (
        "i32.const 65536 i32.const 0 i32.const 1 memory.fill",
        TrapCode.MEMORY_OUT_OF_BOUNDS,
        "out of bounds memory access",
    ),
    ("i32.const 9 table.get 0 drop", TrapCode.TABLE_OUT_OF_BOUNDS, "out of bounds table access"),
    ("i32.const 9 call_indirect", TrapCode.TABLE_OUT_OF_BOUNDS, "undefined element"),
    ("i32.const 0 call_indirect", TrapCode.INDIRECT_CALL_TO_NULL, "uninitialized element"),
    ("i32.const 1 call_indirect (param) (result i32) drop", TrapCode.BAD_SIGNATURE, "indirect call type mismatch"),
    ("call $deep", TrapCode.STACK_OVERFLOW, "call stack exhausted"),
]


@pytest.mark.parametrize(("body", "code", "reason"), _KINDS)
def test_kinds(store: Store, body: str, code: TrapCode, reason: str) -> None:
    module = Module(
        store.engine,
        f"""(module (memory 1) (table 2 funcref) (elem (i32.const 1) func $deep)
            (func $deep call $deep) (func (export "run") {body}) (func (export "fine") (result i32) i32.const 5))""",
    )
    exports = Instance(store, module, []).exports(store)
    for _ in range(2):
        with pytest.raises(Trap) as caught:
            exports["run"](store)
        assert (caught.value.trap_code, caught.value.reason) == (code, reason)
        assert caught.value.frames
    assert exports["fine"](store) == 5


def test_backtraces(store: Store) -> None:
    module = Module(
        store.engine,
        """(module $m
            (func $inner (param i32) local.get 0 if unreachable end)
            (func (param i32) local.get 0 call $inner)
            (func $outer (export "run") (param i32) local.get 0 call 1 nop))""",
    )
    run: Any = Instance(store, module, []).exports(store)["run"]
    run(store, 0)
    with pytest.raises(Trap) as caught:
        run(store, 1)
    frames = caught.value.frames
    assert all(type(frame) is Frame for frame in frames)
    assert [frame.func_index for frame in frames] == [0, 1, 2]
    assert [frame.func_name for frame in frames] == ["inner", None, "outer"]
    assert [frame.module_name for frame in frames] == ["m"] * 3
    data = module.decoded.data
    assert data[frames[0].module_offset] == 0x00  # unreachable
    assert [data[frame.module_offset] for frame in frames[1:]] == [0x10, 0x10]  # call
    for frame in frames:
        body = module.decoded.bodies[frame.func_index]
        assert frame.func_offset == frame.module_offset - body.start > 0
    assert str(caught.value) == "\n".join(
        [
            "error while executing at wasm backtrace:",
            f"    0: {frames[0].module_offset:#8x} - m!inner",
            f"    1: {frames[1].module_offset:#8x} - m!<wasm function 1>",
            f"    2: {frames[2].module_offset:#8x} - m!outer",
            "",
            "Caused by:",
            "    wasm trap: unreachable",
        ]
    )


def test_backtraces_end_after_twenty_frames(store: Store) -> None:
    module = Module(
        store.engine,
        """(module $m (func $down (export "run") (param i32)
            local.get 0 if local.get 0 i32.const 1 i32.sub call $down else unreachable end))""",
    )
    run: Any = Instance(store, module, []).exports(store)["run"]
    for calls, expected in ((18, 19), (19, 20), (20, 20), (3000, 20)):
        with pytest.raises(Trap) as caught:
            run(store, calls)
        frames = caught.value.frames
        assert len(frames) == expected
        assert str(caught.value).count("m!down") == expected
        assert module.decoded.data[frames[0].module_offset] == 0x00  # unreachable: the inner frames are kept


def test_frames_of_a_stack_overflow_have_offsets_in_their_function(store: Store) -> None:
    module = Module(store.engine, '(module (func (param i64)) (func $f (export "run") call $f))')
    run: Any = Instance(store, module, []).exports(store)["run"]
    with pytest.raises(Trap) as caught:
        run(store)
    body = module.decoded.bodies[1]
    assert len(caught.value.frames) == 20
    for frame in caught.value.frames:
        assert body.start <= frame.module_offset < body.end and frame.func_offset >= 0


def test_backtraces_of_nested_calls_hold_their_own_part(store: Store) -> None:
    from brolga import Func, FuncType

    exports: Any = {}
    host = Func(store, FuncType([], []), lambda: exports["inner"](store))
    module = Module(
        store.engine,
        """(module (import "" "" (func $host))
            (func $inner (export "inner") unreachable) (func $outer (export "outer") call $host))""",
    )
    exports = Instance(store, module, [host]).exports(store)
    with pytest.raises(Trap) as caught:
        exports["outer"](store)
    assert [frame.func_name for frame in caught.value.frames] == ["inner"]


def test_traps_made_by_hand() -> None:
    trap = Trap("my reason")
    assert (trap.message, str(trap), trap.frames, trap.trap_code) == ("my reason", "my reason", [], None)


def test_deep_recursion_through_the_host(store: Store) -> None:
    from brolga import Func, FuncType

    exports: Any = {}
    host = Func(store, FuncType([], []), lambda: exports["run"](store))
    module = Module(store.engine, '(module (import "" "" (func $host)) (func (export "run") call $host))')
    exports = Instance(store, module, [host]).exports(store)
    with pytest.raises((RecursionError, Trap)):
        exports["run"](store)


def test_exceptions_pickle(store: Store) -> None:
    """As they must to leave a worker process."""
    exit_trap = pickle.loads(pickle.dumps(ExitTrap("exit", 3)))
    assert (str(exit_trap), exit_trap.code) == ("exit", 3)
    function: Any = Instance(store, Module(store.engine, '(module (func (export "f") unreachable))'), [])
    with pytest.raises(Trap) as caught:
        function.exports(store)["f"](store)
    trap = pickle.loads(pickle.dumps(caught.value))
    assert trap.trap_code == TrapCode.UNREACHABLE
    assert str(trap) == str(caught.value)
    assert [frame.func_index for frame in trap.frames] == [0]


def test_pickled_and_copied_with_frames(store: Store) -> None:
    text = '(module $m (func $f (export "run") nop unreachable))'
    run: Any = Instance(store, Module(store.engine, text), []).exports(store)["run"]
    for copied in (lambda trap: pickle.loads(pickle.dumps(trap)), copy.copy, copy.deepcopy):
        with pytest.raises(Trap) as caught:
            run(store)
        again = copied(caught.value)
        assert (again.message, again.trap_code) == (caught.value.message, TrapCode.UNREACHABLE)
        assert [str(frame) for frame in again.frames] == [str(frame) for frame in caught.value.frames]
        assert [frame.func_name for frame in again.frames] == ["f"]


def test_frames_outlive_module_and_store() -> None:
    store = Store()
    text = '(module $m (func $f (export "run") unreachable))'
    run: Any = Instance(store, Module(store.engine, text), []).exports(store)["run"]
    with pytest.raises(Trap) as caught:
        run(store)
    trap = caught.value.with_traceback(None)
    del run, store, caught
    gc.collect()
    assert [(frame.func_name, frame.module_name) for frame in trap.frames] == [("f", "m")]


@pytest.mark.skipif(COMPILED, reason="functions of the compiled compiler cannot be replaced")
def test_a_fact_that_does_not_hold_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With BROLGA_CHECK=1 what the compiler relied on is checked: here a wrong fact about the bits of a byte."""
    monkeypatch.setenv("BROLGA_CHECK", "1")
    monkeypatch.setattr(facts, "ones_by_definition", lambda defs, types, value: 0x7F)
    text = """(module (memory 1) (data (i32.const 0) "\\80")
        (func $byte (export "byte") (result i32) (i32.load8_u (i32.const 0))))"""
    store = Store(Engine())
    module = Module(store.engine, text)
    function = Instance(store, module, []).exports(store)["byte"]
    assert isinstance(function, Func)
    with pytest.raises(Trap) as caught:
        function(store)
    assert caught.value.trap_code is None
    assert re.fullmatch(
        r"error while executing at wasm backtrace:\n    0: +0x[0-9a-f]+ - <unknown>!byte\n\n"
        r"Caused by:\n    compiler fact does not hold: bits that are zero",
        str(caught.value),
    )
