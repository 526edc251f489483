"""Functions whose bodies were inlined: what users see of them is what they see of calls."""

from __future__ import annotations

import ctypes
from collections import Counter
from typing import Any, Final

import pytest

import brolga
from brolga import Config, Engine, Func, FuncType, Instance, Module, Store, Trap, ValType
from brolga.jit.code import RELOC_FUNC, CompiledFunction
from brolga.runtime.profile import Profile, _is_division

wasmtime = pytest.importorskip("wasmtime")

# Each `run` gets 0 for a call that goes well and 1 for one that traps in a small function, or in what that calls.
_TRAPS: Final = {
    "unreachable": "(func $leaf (param i32) (if (local.get 0) (then (unreachable))))",
    "always": "(func $leaf (param i32) (unreachable))",
    "division": "(func $leaf (param i32) (drop (i32.div_u (i32.const 7) (i32.eqz (local.get 0)))))",
    "load": "(func $leaf (param i32) (drop (i32.load offset=65532 (i32.mul (local.get 0) (i32.const 4)))))",
    "store": "(func $leaf (param i32) (i64.store (i32.mul (local.get 0) (i32.const 65529)) (i64.const 3)))",
    "conversion": "(func $leaf (param i32) (drop (i32.trunc_f32_s (f32.div (f32.const 1) (f32.convert_i32_s "
    "(i32.sub (i32.const 1) (local.get 0)))))))",
    "routine": "(func $leaf (param i32) (memory.fill (i32.mul (local.get 0) (i32.const 65536)) (i32.const 1) (i32.const 9)))",
    "table": "(func $leaf (param i32) (drop (ref.is_null (table.get 0 (i32.mul (local.get 0) (i32.const 4))))))",
}
_TEXT: Final = """(module $m (memory 1) (table 4 externref) {leaf}
    (func $middle (param i32) (local i32)
        (loop (call $leaf (i32.const 0)) (br_if 0 (i32.lt_u (local.tee 1 (i32.add (local.get 1) (i32.const 1))) (i32.const 3))))
        (call $leaf (local.get 0))
        (call $leaf (i32.const 0)))
    (func $outer (export "run") (param i32) (nop) (call $middle (local.get 0))))"""


def frames_of(api: Any, engine: Any, text: str) -> tuple[list[tuple[int, str, int]], int]:
    """What a call that traps leaves: function, name and operator of each frame; and the start of the leaf's body."""
    store = api.Store(engine)
    run = api.Instance(store, api.Module(engine, text), []).exports(store)["run"]
    with pytest.raises(api.Trap) as caught:
        run(store, 1)
    frames = caught.value.frames
    start = frames[0].module_offset - frames[0].func_offset
    return [(f.func_index, f.func_name, f.module_offset) for f in frames], start


@pytest.mark.parametrize("kind", _TRAPS)
def test_backtraces_are_those_of_wasmtime(engine: Engine, kind: str) -> None:
    text = _TEXT.format(leaf=_TRAPS[kind])
    if kind == "always":
        text = text.replace("(call $leaf (i32.const 0))", "(nop)")
    ours, our_start = frames_of(brolga, engine, text)
    theirs, their_start = frames_of(wasmtime, wasmtime.Engine(), text)
    assert ours[1:] == theirs[1:] and ours[0][:2] == theirs[0][:2]
    # Where in the innermost function: wasmtime says the operator, but for a load its user.
    assert our_start == their_start and abs(ours[0][2] - theirs[0][2]) <= 3
    assert "leaf" in [name for _, name, _ in ours]


def compiled(engine: Engine, text: str) -> list[CompiledFunction]:
    module = Module(engine, text)
    module._loaded.compile_all()
    return module._loaded.space.compiled_functions()


def calls(function: CompiledFunction) -> list[int]:
    return [relocation.target for relocation in function.relocations if relocation.kind == RELOC_FUNC]


_LEAF: Final = """(module (func $leaf (param i32) (result i32) (i32.mul (local.get 0) (local.get 0)))
    (func (export "run") (param i32) (result i32) (call $leaf (local.get 0))))"""


def test_what_switches_it_off(engine: Engine) -> None:
    assert calls(compiled(engine, _LEAF)[1]) == []
    for option, value in (("cranelift_opt_level", "none"), ("consume_fuel", True), ("optimizations_off", ["inlining"])):
        config = Config()
        setattr(config, option, value)
        assert calls(compiled(Engine(config), _LEAF)[1]) == [0]


def test_a_stack_limit_holds_for_callers() -> None:
    config = Config()
    config.max_wasm_stack = 100_000
    engine = Engine(config)
    text = """(module (func $leaf (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
        (func $down (export "run") (param i32) (result i32) (call $down (call $leaf (local.get 0)))))"""
    store = Store(engine)
    run: Any = Instance(store, Module(engine, text), []).exports(store)["run"]
    with pytest.raises(Trap, match="call stack exhausted") as caught:
        run(store, 1)
    assert {frame.func_index for frame in caught.value.frames} == {1}


def test_backtraces_end_after_twenty_frames(engine: Engine) -> None:
    """Those of inlined bodies count."""
    text = """(module (func $leaf (param i32) (if (i32.eqz (local.get 0)) (then (unreachable))))
        (func $down (export "run") (param i32)
            (call $leaf (local.get 0)) (call $down (i32.sub (local.get 0) (i32.const 1)))))"""
    store = Store(engine)
    run: Any = Instance(store, Module(engine, text), []).exports(store)["run"]
    for depth, expected in ((0, 2), (17, 19), (18, 20), (19, 20), (40, 20)):
        with pytest.raises(Trap) as caught:
            run(store, depth)
        assert [frame.func_index for frame in caught.value.frames] == [0] + [1] * (expected - 1)


def test_functions_are_still_functions(engine: Engine) -> None:
    """Exported, in a table, and called by their importers they are what they were."""
    text = """(module (import "" "host" (func $host (param funcref)))
        (func $leaf (export "leaf") (param i32) (result i32) (i32.add (local.get 0) (i32.const 5)))
        (table (export "table") 1 funcref) (elem (i32.const 0) func $leaf)
        (func (export "run") (param i32) (result i32)
            (call $host (ref.func $leaf))
            (i32.add (call $leaf (local.get 0)) (call_indirect (param i32) (result i32) (local.get 0) (i32.const 0)))))"""
    store = Store(engine)
    given: list[Any] = []
    host = Func(store, FuncType([ValType.funcref()], []), given.append)
    exports: Any = Instance(store, Module(engine, text), [host]).exports(store)
    assert exports["run"](store, 3) == 16
    assert exports["leaf"](store, 3) == 8 == given[0](store, 3) == exports["table"].get(store, 0)(store, 3)


def test_profiles_tell_the_function_that_was_inlined() -> None:
    engine = Engine()
    text = """(module (func $leaf (param i32 i32) (result i32) (i32.div_u (i32.add (local.get 0) (i32.const 3)) (local.get 1)))
        (func $spin (export "run") (param $n i32) (result i32) (local $x i32)
            (loop
                (local.set $x (call $leaf (local.get $x) (i32.or (local.get $n) (i32.const 1))))
                (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
            (local.get $x)))"""
    store = Store(engine)
    module = Module(engine, text)
    run: Any = Instance(store, module, []).exports(store)["run"]
    run(store, 1)
    with Profile(engine) as profile:
        for _ in range(5):
            run(store, 20_000_000)
    by_name = {function.name: function for function in profile.functions}
    assert calls(module._loaded.space.compiled_functions()[0]) == []  # of the two only `spin` was compiled
    body = module.decoded.bodies[0]
    # The same for a processor that lets the signal come when the division has ended, and for one that gives it up.
    compiled = module._loaded.space.compiled_functions()[0]
    start = module._loaded.space.code_address(compiled.index)
    after = next(at for at in range(2, compiled.code_size) if _is_division(ctypes.string_at(start + at - 2, 2)))
    for address in (start + after - 1, start + after):
        sampled = Profile(engine)
        sampled._resolve(Counter({address: 3}))
        assert [(function.name, function.total) for function in sampled.functions] == [("leaf", 3)]
    assert by_name["leaf"].total > profile.samples / 4
    assert all(body.start < offset < body.end for offset in by_name["leaf"].operators)
