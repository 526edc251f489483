"""What is dropped is given back; what is still needed stays."""

from __future__ import annotations

import ctypes
import gc
import os
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from brolga import (
    Engine,
    Func,
    FuncType,
    Global,
    GlobalType,
    Instance,
    Limits,
    Linker,
    Module,
    Store,
    Table,
    TableType,
    Trap,
    ValType,
    WasiConfig,
    load,
)

_TEXT = """(module (import "" "f" (func $f (param i32) (result i32)))
    (memory (export "m") 1) (data (i32.const 5) "data") (table (export "t") 10 funcref) (elem (i32.const 0) func $f $g)
    (global (export "e") (mut externref) (ref.null extern))
    (func $g (export "g") (param i32) (result i32) (call $f (i32.load8_u (local.get 0)))))"""


class Witness:
    """An object whose life can be watched."""


def _mappings() -> int:
    with open("/proc/self/maps", encoding="ascii") as maps:
        return sum(1 for _ in maps)


def _resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def _use(engine: Engine, module: Module, witness: object = None) -> None:
    store = Store(engine)
    add = Func(store, FuncType([ValType.i32()], [ValType.i32()]), lambda x: x + 1)
    exports: Any = Instance(store, module, [add]).exports(store)
    assert exports["g"](store, 5) == ord("d") + 1
    exports["e"].set_value(store, witness)
    exports["m"].grow(store, 1)
    exports["t"].set(store, 3, exports["g"])


def test_ten_thousand_instantiations_leave_nothing(engine: Engine) -> None:
    module = Module(engine, _TEXT)
    gc.collect()
    gc.disable()  # nothing may need the cyclic collector
    try:
        for _ in range(500):
            _use(engine, module)
        mappings, resident, descriptors = _mappings(), _resident(), len(os.listdir("/proc/self/fd"))
        for _ in range(10_000):
            _use(engine, module)
        assert _mappings() <= mappings + 2
        assert len(os.listdir("/proc/self/fd")) <= descriptors
        assert _resident() <= resident + (2 << 20)
    finally:
        gc.enable()


def test_modules_give_their_code_back(engine: Engine) -> None:
    def cycle() -> None:
        store = Store(engine)
        module = Module(engine, '(module (func (export "f") (result i32) i32.const 1))')
        assert Instance(store, module, []).exports(store)["f"](store) == 1  # type: ignore[operator]

    for _ in range(20):
        cycle()
    before = _mappings(), _resident()
    for _ in range(200):
        cycle()
    assert _mappings() <= before[0] + 2
    assert _resident() <= before[1] + (2 << 20)


def test_objects_referred_to_live_as_long_as_the_store(engine: Engine) -> None:
    module = Module(engine, _TEXT)
    store = Store(engine)
    add = Func(store, FuncType([ValType.i32()], [ValType.i32()]), lambda x: x + 1)
    exports: Any = Instance(store, module, [add]).exports(store)
    witness = Witness()
    gone = weakref.ref(witness)
    exports["e"].set_value(store, witness)
    del witness
    gc.collect()
    assert gone() is exports["e"].value(store)
    del exports, add, store
    assert gone() is None


def test_store_gc_lets_go_of_what_no_global_or_table_refers_to(store: Store) -> None:
    extern = ValType.externref()
    kept = Global(store, GlobalType(extern, True), None)
    table = Table(store, TableType(extern, Limits(2, None)), None)
    identity: Any = Instance(
        store,
        Module(store.engine, '(module (func (export "f") (param externref) (result externref) local.get 0))'),
        [],
    ).exports(store)["f"]
    references = []
    for place in ("global", "table", "nowhere"):
        witness = Witness()
        references.append(weakref.ref(witness))
        assert identity(store, witness) is witness
        if place == "global":
            kept.set_value(store, witness)
        elif place == "table":
            table.set(store, 1, witness)
        del witness
    assert all(reference() is not None for reference in references)
    store.gc()
    assert [reference() is not None for reference in references] == [True, True, False]
    assert kept.value(store) is references[0]() and table.get(store, 1) is references[1]()
    kept.set_value(store, None)
    del table
    store.gc()
    assert [reference() for reference in references] == [None, None, None]


def test_functions_in_tables_outlive_the_names_of_their_instances(engine: Engine) -> None:
    store = Store(engine)
    table = Table(store, TableType(ValType.funcref(), Limits(2, None)), None)

    def fill() -> None:
        module = Module(
            engine,
            """(module (import "" "t" (table 2 funcref)) (memory 1) (data (i32.const 0) "\\2a")
                (func $f (result i32) (i32.load8_u (i32.const 0))) (elem (i32.const 0) func $f))""",
        )
        Instance(store, module, [table])
        table.set(store, 1, Func(store, FuncType([], [ValType.i32()]), lambda: 43))

    fill()
    gc.collect()
    for _ in range(50):  # so that freed memory would be used again
        Module(engine, "(module (func (result i32) i32.const 1))")
    caller: Any = Instance(
        store,
        Module(
            engine,
            """(module (import "" "t" (table 2 funcref))
                (func (export "call") (param i32) (result i32) local.get 0 call_indirect (result i32)))""",
        ),
        [table],
    ).exports(store)["call"]
    assert [caller(store, index) for index in range(2)] == [42, 43]


def test_a_function_keeps_its_store_and_module(engine: Engine) -> None:
    def make() -> tuple[Any, Callable[[], object]]:
        store = Store(engine)
        module = Module(engine, '(module (memory 1) (func (export "f") (result i32) memory.size))')
        return Instance(store, module, []).exports(store)["f"], weakref.ref(store)

    func, reference = make()
    gc.collect()
    store = reference()
    assert store is not None and func(store) == 1
    del store, func
    gc.collect()
    assert reference() is None


def test_cycles_through_host_functions_are_collected(engine: Engine) -> None:
    def make() -> weakref.ref[Witness]:
        store = Store(engine)
        witness = Witness()
        host = Func(store, FuncType([], []), lambda: (store, witness))
        Instance(store, Module(engine, '(module (import "" "" (func)))'), [host])
        return weakref.ref(witness)

    gone = make()
    gc.collect()
    assert gone() is None


def test_wasi_instances_leave_nothing(engine: Engine, tmp_path: Any) -> None:
    module = Module(
        engine,
        """(module (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "random_get" (func $r (param i32 i32) (result i32)))
            (memory (export "memory") 1) (func (export "_start") (drop (call $r (i32.const 0) (i32.const 8)))))""",
    )
    linker = Linker(engine)
    linker.define_wasi()

    def cycle() -> None:
        store = Store(engine)
        config = WasiConfig()
        config.preopen_dir(str(tmp_path), "/")
        store.set_wasi(config)
        start: Any = linker.instantiate(store, module).exports(store)["_start"]
        start(store)

    gc.collect()
    gc.disable()
    try:
        for _ in range(50):
            cycle()
        before = _mappings(), _resident(), len(os.listdir("/proc/self/fd"))
        for _ in range(1000):
            cycle()
        assert _mappings() <= before[0] + 2
        assert _resident() <= before[1] + (2 << 20)
        assert len(os.listdir("/proc/self/fd")) <= before[2]
    finally:
        gc.enable()


def test_bytes_of_a_module_stay_where_they_are(engine: Engine) -> None:
    module = Module(engine, '(module (memory (export "m") 1) (data "somewhere"))')
    place = module.decoded.data.index(b"somewhere")
    assert ctypes.string_at(module._loaded.data_address + place, 9) == b"somewhere"


@pytest.mark.parametrize("pages", [1, 300])
def test_memories_are_zero_when_used_again(engine: Engine, pages: int) -> None:
    module = Module(engine, f'(module (memory (export "m") {pages}))')
    for _ in range(5):
        store = Store(engine)
        memory: Any = Instance(store, module, []).exports(store)["m"]
        assert not any(memory.read(store, -65536))
        assert not any(memory.read(store, 0, 65536))
        memory.write(store, b"x" * 65536, -65536)
        memory.write(store, b"y" * 65536, 0)


_FINAL = """(module (import "" "f" (func $f)) (memory (export "memory") 1 3) (table $t 1 9 funcref)
    (func (export "put") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
    (func (export "get") (param i32) (result i32) (i32.load8_u (local.get 0)))
    (func (export "grow") (result i32)
        (i32.mul (memory.grow (i32.const 1)) (table.grow $t (ref.null func) (i32.const 1))))
    (func (export "out") call $f)
    (func $deep (export "fail") unreachable))"""


class _Box:
    last: Any
    called = 0

    def f(self) -> None:
        self.called += 1


class _Last:
    """Its finaliser uses the instance that it refers to, and brings everything back."""

    def __init__(self, instance: Any, found: list[Any]) -> None:
        self.instance = instance
        self.found = found

    def __del__(self) -> None:
        self.found += [self.use(), self]

    def use(self) -> list[Any]:
        it = self.instance
        it.put(70, it.get(70) + 1)
        it.out()
        with pytest.raises(Trap) as caught:
            it.fail()
        return [it.get(70), it.memory[70], it.grow(), [frame.func_index for frame in caught.value.frames]]


def test_finalisers_in_a_cycle_use_wasm_and_bring_it_back(engine: Engine) -> None:
    """The garbage collector calls all finalisers of a cycle before it frees anything. Those of the store's parts come first here,
    since they are older, and must not have given back code, memory and state."""
    found: list[Any] = []

    def make() -> None:
        box = _Box()
        instance = load(_FINAL, {"": box}, engine=engine)
        instance.put(70, 5)
        box.last = _Last(instance, found)

    gc.collect()
    gc.disable()
    try:
        make()
        gc.collect()
    finally:
        gc.enable()
    expected, last = found
    assert expected == [6, 6, 1, [5]]
    others = [load(_FINAL, {"": _Box()}, engine=engine) for _ in range(3)]
    for other in others:
        other.put(70, 99)
    assert last.use() == [7, 7, 4, [5]]
    assert [other.get(70) for other in others] == [99] * 3
    assert last.instance.store._state.address not in [other.store._state.address for other in others]


def test_a_cycle_with_a_store_is_given_back(engine: Engine) -> None:
    def make(times: int) -> list[tuple[int, int]]:
        for _ in range(times):
            box = _Box()
            box.last = load(_FINAL, {"": box}, engine=engine)
            box.last.put(70, 5)
            del box
            gc.collect()
        return engine.machine.arena.used()

    make(2)
    before, mappings = make(1), _mappings()
    assert make(5) == before
    assert _mappings() <= mappings
