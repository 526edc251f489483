"""`brolga.load`: instances as Python objects."""

from __future__ import annotations

import copy
import gc
import inspect
import weakref
from pathlib import Path
from typing import Any

import pytest

import brolga
from brolga import Engine, Func, Global, LinkError, Store, Trap, WasmtimeError, WasmTimeout, wat2wasm

np = pytest.importorskip("numpy")

WAT = """(module
    (memory (export "memory") 1 20)
    (table (export "table") 3 5 funcref)
    (global (export "counter") (mut i32) (i32.const 5))
    (global (export "fixed") f64 (f64.const 2.5))
    (func $add (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add)
    (func (export "pair") (param i64) (result i64 f32) local.get 0 f32.const 1.5)
    (func (export "nothing"))
    (func (export "peek") (param i32) (result i32) local.get 0 i32.load8_u)
    (func (export "poke") (param i32 i32) local.get 0 local.get 1 i32.store8)
    (func (export "grow") (param i32) (result i32) local.get 0 memory.grow)
    (func (export "loop") (loop br 0))
    (func (export "close") (result i32) i32.const 11)
    (func (export "any") (param externref) (result externref) local.get 0)
    (func (export "trap") unreachable)
    (elem (i32.const 1) $add))"""


@pytest.fixture
def it(engine: Engine) -> Any:
    return brolga.load(WAT, engine=engine)


def test_functions(it: Any) -> None:
    for _ in range(30):  # the slow way, and the fast one
        assert it.add(2, 3) == 5
        assert it.add(2**32 - 1, 3) == 2
        assert it.pair(-4) == [-4, 1.5]
        assert it.nothing() is None
    assert it.any("x") == "x" and it.any(None) is None
    assert (it.add.__name__, str(it.add.type)) == ("add", "FuncType([i32, i32], [i32])")
    for args in ((), (1,), (1, 2, 3)):
        with pytest.raises(WasmtimeError, match="parameters provided: given .*, expected 2"):
            it.add(*args)
    with pytest.raises(TypeError, match="don't know how to convert 'x' to i32"):
        it.add(1, "x")
    with pytest.raises(TypeError):
        it.add(1, 2, other=3)
    with pytest.raises(Trap, match="unreachable"):
        it.trap()


def test_timeouts(it: Any) -> None:
    with pytest.raises(WasmTimeout):
        it.loop(timeout=0.05)
    assert it.add(1, 2, timeout=9) == 3


def test_names(it: Any) -> None:
    assert it.close() == 11  # exports come first
    assert it["add"] is it.add
    assert list(it)[:2] == ["memory", "table"] and len(it) == 14
    assert "counter" in dir(it) and "store" in dir(it)
    with pytest.raises(AttributeError):
        it.missing  # noqa: B018
    with pytest.raises(KeyError):
        it["missing"]


def test_globals_and_tables(it: Any) -> None:
    assert (it.counter.value, it.fixed.value) == (5, 2.5)
    it.counter.value = 9
    assert it.counter.value == 9
    with pytest.raises(WasmtimeError, match="immutable"):
        it.fixed.value = 1.0
    assert it.table[0] is None and it.table[1](4, 5) == 9 and len(it.table) == 3
    assert it.table.grow(2) == 3 and it.table[-1] is None
    with pytest.raises(IndexError):
        it.table[5]
    with pytest.raises(WasmtimeError):
        it.table.grow(1)


def test_memory_views_are_live(it: Any) -> None:
    view = memoryview(it.memory)
    array = np.frombuffer(it.memory, dtype=np.uint8)
    assert (len(view), view.format, view.readonly, len(it.memory)) == (65536, "B", False, 65536)
    it.poke(100, 7)
    assert (view[100], array[100], it.memory[100]) == (7, 7, 7)
    array[101] = 8
    assert it.peek(101) == 8 and view[101] == 8
    it.memory[200:203] = b"abc"
    it.memory.write(203, b"de")
    assert it.memory[200:205] == it.memory.read(200, 205) == b"abcde"
    with pytest.raises(IndexError):
        it.memory.write(65535, b"xy")
    with pytest.raises(IndexError):
        it.memory[65536]


def test_views_keep_their_length_when_the_memory_grows(it: Any) -> None:
    before = np.frombuffer(it.memory, dtype=np.uint32)
    before[1] = 77
    for _ in range(5):
        it.grow(2)
    assert it.memory.grow(1) == 11
    after = np.frombuffer(it.memory, dtype=np.uint32)
    assert (len(before), len(after), it.memory.pages) == (16384, 16384 * 12, 12)
    assert before[1] == after[1] == 77
    before[2] = 78  # still valid
    with pytest.raises(WasmtimeError, match="failed to grow memory by `100`"):
        it.memory.grow(100)


def test_views_outlive_the_instance(engine: Engine) -> None:
    it: Any = brolga.load(WAT, engine=engine)
    it.poke(5, 42)
    view = memoryview(it.memory)
    block = weakref.ref(it.memory._memory.block)
    with it:
        pass
    for use in (lambda: it.peek(5), lambda: memoryview(it.memory), lambda: it.memory[5], lambda: it.counter.value):
        with pytest.raises(ValueError, match="already closed"):
            use()
    assert view[5] == 42
    view[6] = 1
    assert block() is not None
    view.release()
    gc.collect()
    assert block() is None
    assert len(it.memory) == 0


def test_views_keep_a_dropped_instance_s_pages(engine: Engine) -> None:
    view = memoryview(brolga.load(WAT, engine=engine).memory)
    gc.collect()
    view[10] = 1
    assert view[10] == 1


def test_imports(engine: Engine) -> None:
    wat = """(module
        (import "env" "twice" (func $twice (param i32) (result i32)))
        (import "env" "base" (global $base i32))
        (import "other" "memory" (memory 1))
        (import "other" "add" (func $add (param i32 i32) (result i32)))
        (func (export "run") (param i32) (result i32)
            (call $add (call $twice (local.get 0)) (global.get $base)) (i32.add (i32.load8_u (i32.const 3)))))"""
    other: Any = brolga.load(WAT, engine=engine)
    other.memory[3] = 100
    it: Any = brolga.load(wat, {"env": {"twice": lambda x: 2 * x, "base": 1000}, "other": other})
    assert it.run(7) == 1114 and it.store is other.store

    class Space:
        base = Global(other.store, brolga.GlobalType(brolga.ValType.i32(), False), 1)

        @staticmethod
        def twice(x: int) -> int:
            return 2 * x

    assert brolga.load(wat, {"env": Space, "other": other}).run(0) == 101
    with pytest.raises(LinkError, match="unknown import: `env::base` has not been defined"):
        brolga.load(wat, {"env": {"twice": print}, "other": other})
    with pytest.raises(LinkError, match="unknown import: `env::twice`"):
        brolga.load(wat)
    with pytest.raises(TypeError, match="cannot be imported as `env::twice`"):
        brolga.load(wat, {"env": {"twice": 5}})


def test_sources(engine: Engine, tmp_path: Path) -> None:
    wat = '(module (func (export "f") (result i32) i32.const 6))'
    binary = bytes(wat2wasm(wat))
    (tmp_path / "a.wasm").write_bytes(binary)
    (tmp_path / "b.wat").write_text(wat)
    store = Store(engine)
    for source in (wat, wat.encode(), binary, bytearray(binary), str(tmp_path / "a.wasm"), tmp_path / "b.wat"):
        it = brolga.load(source, store=store)
        assert it.f() == 6 and it.store is store
    with pytest.raises(FileNotFoundError):
        brolga.load(tmp_path / "c.wasm")


def test_wasi_by_default(capfd: pytest.CaptureFixture[str]) -> None:
    wat = r"""(module
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "\10\00\00\00\06\00\00\00") (data (i32.const 16) "hello\n")
        (func (export "hello") (result i32) (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 32))))"""
    assert brolga.load(wat).hello() == 0
    assert capfd.readouterr().out == "hello\n"


def test_func_of_a_bound_function_is_the_same_one(it: Any) -> None:
    assert not isinstance(it.add, Func) and callable(it.add)
    assert inspect.signature(brolga.load).parameters["imports"].default is None


def test_functions_are_found_as_methods_are(it: Any, engine: Engine) -> None:
    """They are in the class of the module's instances, and what is called there is the function of the instance."""
    other: Any = brolga.load(WAT, engine=engine)
    cls: Any = type(it)
    assert it.add is it.add is it["add"] and other.add is not it.add
    for _ in range(30):
        assert cls.add(it, 2, 3) == it.add(2, 3) == it.add(2, 3, timeout=9) == 5
        it.poke(7, 1)
        assert (it.peek(7), other.peek(7)) == (1, 0)
    assert "add" in repr(cls.add) and "i32" in repr(cls.add)
    for arguments in ((), (other, 2, 3), (object(), 2, 3), (5,), (None, 1)):
        with pytest.raises(TypeError):
            cls.add(*arguments)
    with pytest.raises(AttributeError):
        cls.add(object.__new__(cls), 2, 3)  # there is no instance behind it

    class Derived(cls):  # type: ignore[misc]
        pass

    derived = object.__new__(Derived)
    with pytest.raises(AttributeError):
        derived.add(2, 3)
    it.add = lambda x, y: "mine"
    assert it.add(2, 3) == "mine" and cls.add(it, 2, 3) == 5


def test_nothing_else_becomes_an_instance(it: Any, engine: Engine) -> None:
    """Machine code finds the functions of an instance by its class, so that neither can be changed."""
    for _ in range(30):
        assert it.add(2, 3) == 5
    other: Any = brolga.load("(module)", engine=engine)
    with pytest.raises(TypeError):
        other.__class__ = type(it)
    with pytest.raises(TypeError):
        it.__class__ = type(other)
    with pytest.raises(TypeError):
        type(it).add = None
    with pytest.raises(TypeError):
        type("Mine", (), {})().__class__ = type(it)
    it._records = b""  # an attribute like any other
    twin = copy.copy(it)
    for _ in range(30):
        assert it.add(2, 3) == twin.add(2, 3) == type(it).add(twin, 2, 3) == 5


def test_functions_of_instances_do_not_need_their_attributes(engine: Engine) -> None:
    """Machine code goes on to find the functions, so that these must stay, with all that they use."""
    it: Any = brolga.load(WAT, engine=engine)
    store = weakref.ref(it.store)
    for _ in range(30):
        it.poke(5, 77)
    vars(it).clear()
    gc.collect()
    others = [brolga.load(WAT, engine=engine) for _ in range(3)]
    assert store() is not None
    assert [it.peek(5)] + [other.peek(5) for other in others] == [77, 0, 0, 0]
    with pytest.raises(AttributeError):
        it.peek("5")
    del it
    assert store() is None


def test_names_that_mean_something_to_python(engine: Engine) -> None:
    """They are attributes of the instance, where Python does not look for them."""
    names = [
        "__call__",
        "__getattr__",
        "__del__",
        "__len__",
        "__slots__",
        "__class__",
        "__dict__",
        "__hash__",
        "_records",
        "_store",
    ]
    text = "".join(f'(func (export "{name}") (result i32) i32.const {i})' for i, name in enumerate(names))
    it: Any = brolga.load(f"(module {text})", engine=engine)
    assert [it[name]() for name in names] == list(range(len(names)))
    assert len(it) == len(names) and isinstance(hash(it), int) and not callable(it)
    with pytest.raises(AttributeError):
        it.missing  # noqa: B018


def test_classes_of_instances_are_collected(engine: Engine) -> None:
    cls = weakref.ref(type(brolga.load(WAT, engine=engine)))
    gc.collect()
    assert cls() is None
