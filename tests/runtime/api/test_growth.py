"""What is left of modules that are gone: nothing that grows with what they contained."""

from __future__ import annotations

import gc
import threading
from typing import Any, Final

import pytest

import brolga
from brolga import Engine, Func, FuncType, Instance, Module, Store, ValType
from brolga.jit.wasm import types as wasm
from brolga.jit.x64 import lower_call
from brolga.runtime.machine import signatures
from brolga.runtime.machine.calls import call_layout
from brolga.runtime.machine.signatures import signature_numbers, signature_type
from tests.runtime.machine.scripts import run

_CODES: Final = (wasm.I32, wasm.I64, wasm.F32, wasm.F64)
_NAMES: Final = ("i32", "i64", "f32", "f64")


def _digits(number: int, count: int) -> list[int]:
    return [number >> 2 * place & 3 for place in range(count)]


def _type(number: int) -> wasm.FuncType:
    """A function type that nothing else uses."""
    return wasm.FuncType(tuple(_CODES[digit] for digit in _digits(number, 30)), ())


def test_numbers_last_as_long_as_somebody_has_them() -> None:
    one, other = _type(1), _type(2)
    before = len(signatures._signatures), len(signatures._types)
    (first, second, third), hold = signature_numbers([one, other, _type(1)])
    assert first == third != second
    (again,), hold_again = signature_numbers([_type(1)])
    assert again == first
    assert signature_type(first) == one and signature_type(second) == other
    del hold
    assert signature_numbers([_type(1)])[0] == [first]
    assert second not in signatures._types
    (new,), hold = signature_numbers([_type(2)])
    assert new not in (first, second)
    del hold, hold_again
    assert (len(signatures._signatures), len(signatures._types)) == before


def test_numbers_run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    _, _hold = signature_numbers([wasm.FuncType((), ())])
    monkeypatch.setattr(signatures, "MOST_SIGNATURES", 0)
    before = len(signatures._signatures), len(signatures._types)
    with pytest.raises(brolga.LimitError, match="too many different function types"):
        signature_numbers([wasm.FuncType((), ()), _type(3)])
    assert (len(signatures._signatures), len(signatures._types)) == before
    signature_numbers([wasm.FuncType((), ())])


def test_threads_agree_about_numbers() -> None:
    stop = threading.Event()
    wrong: list[object] = []
    current: dict[int, list[int]] = {}

    def work(place: int) -> None:
        while not stop.is_set():
            numbers, hold = signature_numbers([_type(number) for number in range(20)])
            current[place] = numbers
            for other in list(current.values()):
                again, _ = signature_numbers([_type(number) for number in range(20)])
                if again != numbers or [signature_type(number) for number in numbers] != [_type(n) for n in range(20)]:
                    wrong.append((again, numbers, other))
            del hold

    before = len(signatures._signatures), len(signatures._types)
    threads = [threading.Thread(target=work, args=[place]) for place in range(4)]
    for thread in threads:
        thread.start()
    stop.wait(0.5)
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert (len(signatures._signatures), len(signatures._types)) == before


_TABLE: Final = """(module (type $t (func (param f64 f32 i64 f32 f64 f32) (result i32)))
    (table (export "table") 2 funcref) (elem (i32.const 0) $f) (func $f (type $t) (i32.const {0}))
    (func (export "call") (param i32) (result i32) (call_indirect (type $t) (f64.const 0) (f32.const 0) (i64.const 0) (f32.const 0)
        (f64.const 0) (f32.const 0) (local.get 0))))"""
_USER: Final = """(module (type $t (func (param f64 f32 i64 f32 f64 f32) (result i32)))
    (import "m" "table" (table 2 funcref)) (elem (i32.const 1) $f) (func $f (type $t) (i32.const 2)) (start $s) (func $s)
    (func (export "call") (param i32) (result i32) (call_indirect (type $t) (f64.const 0) (f32.const 0) (i64.const 0) (f32.const 0)
        (f64.const 0) (f32.const 0) (local.get 0))))"""


def _pair(store: Store) -> Any:
    first = brolga.load(_TABLE.format(1), store=store)
    return first, brolga.load(_USER, {"m": first}, store=store)


def test_types_of_instances_whose_modules_are_gone(engine: Engine) -> None:
    first, second = _pair(Store(engine))
    gc.collect()
    assert [first.call(0), first.call(1), second.call(0), second.call(1)] == [1, 2, 1, 2]
    del second
    gc.collect()
    third = brolga.load(_USER, {"m": first})  # others have the number still
    assert [first.call(0), first.call(1), third.call(0), third.call(1)] == [1, 2, 1, 2]


def test_types_of_what_a_finaliser_brings_back(engine: Engine) -> None:
    """The collector has found it to be garbage, and its weak references are gone."""
    back: list[Any] = []

    class Keeper:
        def __init__(self, *things: Any) -> None:
            self.things = things
            self.cycle = self

        def __del__(self) -> None:
            back.append(self.things)

    store = Store(engine)
    keeper = Keeper(store, *_pair(store))
    del keeper, store
    gc.collect()
    store, first, second = back.pop()
    third = brolga.load(_USER, {"m": first}, store=store)
    assert [one.call(place) for one in (first, second, third) for place in (0, 1)] == [1, 2] * 3


def test_types_of_host_functions(engine: Engine) -> None:
    before = len(signatures._signatures)
    kinds = (ValType.i32(), ValType.i64(), ValType.f32(), ValType.f64())
    for number in range(100):
        store = Store(engine)
        type = FuncType([kinds[digit] for digit in _digits(number, 30)], [])
        func = Func(store, type, lambda *args: None)
        func(store, *[0] * 30)
        del func, store
    gc.collect()
    assert len(signatures._signatures) <= before + 5


@pytest.mark.parametrize("platform", ["linux", "minimal"])
def test_modules_of_many_types_leave_nothing(platform: str) -> None:
    """It was 3 MiB each."""
    run(f"""
        import brolga
        def leb(n):
            return bytes([n & 127 | 128]) + leb(n >> 7) if n > 127 else bytes([n])
        def module(first, count=10_000):
            types = [b"\\x60\\x0b" + bytes([0x7F - (i >> 2 * j & 3) for j in range(11)]) + b"\\0" for i in range(first, first + count)]
            body = leb(count) + b"".join(types)
            return b"\\0asm\\1\\0\\0\\0\\1" + leb(len(body)) + body
        def resident():
            return int(open("/proc/self/statm").read().split()[1]) * 4096
        config = brolga.Config()
        config.platform = {platform!r}
        engine = brolga.Engine(config)
        for i in range(30):
            if i == 6:
                before = resident()
            brolga.Module(engine, module(10_000 * i))
        grown = resident() - before
        assert grown < 20 << 20, grown
    """)


def _signature_module(number: int, engine: Engine) -> None:
    """Call functions of new types often enough for routines of their own, from both sides."""
    store = Store(engine)
    params = [_NAMES[digit] for digit in _digits(number, 8)]
    text = " ".join(params)
    module = Module(
        engine,
        f"""(module (import "" "h" (func $h (param {text})))
            (func (export "f") (param {text}) (result {params[0]}) (local.get 0))
            (func (export "g") (call $h {" ".join(f"({name}.const 1)" for name in params)})))""",
    )
    kinds = {"i32": ValType.i32(), "i64": ValType.i64(), "f32": ValType.f32(), "f64": ValType.f64()}
    called: list[object] = []
    host = Func(store, FuncType([kinds[name] for name in params], []), lambda *args: called.append(args))
    exports: Any = Instance(store, module, [host]).exports(store)
    for _ in range(12):
        assert exports["f"](store, *[1] * 8) == 1
        exports["g"](store)
    assert called == [(1,) * 8] * 12


def test_routines_by_signature_leave_room_for_others(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is none, calls go the slow way, and nothing is kept of their types."""
    from brolga.jit.wasm.types import FuncType as Type

    here = engine.machine
    _signature_module(0x5A5A, engine)
    made = len(here._host_calls), [len(entries) for entries in here._entries]
    monkeypatch.setattr(here, "_room_kept", 1 << 30)
    room = here.arena.stub_room()
    for number in range(0x6000, 0x6010):
        _signature_module(number, engine)
    assert here.entry_code(Type((), ()), 0) in (*here._entries[0].values(), here._slow_call)
    assert (len(here._host_calls), [len(entries) for entries in here._entries]) == made
    assert here.arena.stub_room() == room


def test_tables_by_signature_are_bounded(engine: Engine) -> None:
    for number in range(1000):
        call_layout(_type(number))
    assert call_layout.cache_info().currsize <= 256
    for number in range(3 * lower_call.MAX_SHAPES):
        lower_call._shape(_digits(number, 8), [], 0)
    assert len(lower_call._shapes) <= lower_call.MAX_SHAPES


def test_room_is_kept_for_routines_that_come_late() -> None:
    """Those of suspended calls, when the types of others have taken what they may."""
    run("""
        import asyncio
        import brolga
        m = machine()
        m.arena.reserve_stub(m.arena.stub_room() - m._room_kept + 64)
        store = brolga.Store()
        async def wait():
            await asyncio.sleep(0)
            return 5
        host = brolga.Func(store, brolga.FuncType([], [brolga.ValType.i32()]), wait)
        module = brolga.Module(store.engine, '(module (import "" "wait" (func $wait (result i32))) (func (export "f") (result i32) (call $wait)))')
        f = brolga.Instance(store, module, [host]).exports(store)["f"]
        for _ in range(20):
            assert asyncio.run(f.call_async(store)) == 5
    """)
