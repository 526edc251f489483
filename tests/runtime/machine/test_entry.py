"""Entry points: fast and slow path agree, refusals, exceptions, lifetime."""

from __future__ import annotations

import gc
import itertools
import math
import weakref

import pytest

from brolga.ir import trap_codes
from brolga.ir.errors import WasmtimeError
from brolga.jit.wasm.types import EXTERNREF, F32, F64, I32, I64, FuncType
from brolga.runtime.machine import EntryPoint, enable_vectorcall, from_bits, to_bits, values
from brolga.runtime.machine import entry as entry_module
from brolga.runtime.machine.entry_code import has_fast_entry
from brolga.runtime.machine.entry_layout import BY_STORE

from .test_calls import SIGNATURES, shuffle_code
from .world import WasmTrap, World, call_import, function, i32_i32, nothing


@enable_vectorcall
class Func(EntryPoint):
    __slots__ = ()


class Store:
    pass


class Other:
    def __init__(self, store: Store) -> None:
        self._store = store


def entry(world: World, func: int, type: FuncType, store: object) -> Func:
    result = Func()
    result._lead(world.machine, world.record(func, type), type, store, world)
    return result


@pytest.fixture(params=["linux", "minimal"])
def platform(request: pytest.FixtureRequest) -> str:
    return str(request.param)


INTS = [0, 1, -1, 2**30 - 1, 2**30, 1 - 2**30, -(2**30), 2**31 - 1, 2**31, -(2**31), 2**32 - 1]
LONGS = [*INTS, 2**32, 2**60, 2**63 - 1, -(2**63), 2**63, 2**64 - 1]
FLOATS = [0.0, -0.0, 1.5, -2.25, 1e308, 1e-310, math.inf, -math.inf, 3.4028236e38]
VALUES = {I32: INTS, I64: LONGS, F32: FLOATS, F64: FLOATS}


def values_for(types: tuple[int, ...], offset: int) -> list[object]:
    return [VALUES[t][(i * 3 + offset) % len(VALUES[t])] for i, t in enumerate(types)]


def expected(type: FuncType, values: list[object]) -> object:
    results = [from_bits(t, to_bits(t, value)) for t, value in zip(type.params, values)][::-1]
    return None if not results else results[0] if len(results) == 1 else results


@pytest.mark.parametrize("types", SIGNATURES, ids=len)
def test_values_pass(platform: str, types: tuple[int, ...]) -> None:
    type = FuncType(types, types[::-1])
    store = Store()
    world = World([function(0, shuffle_code(type))], platform)
    func = entry(world, 0, type, store)
    for offset in range(16):
        values = values_for(types, offset)
        wanted = repr(expected(type, values))  # tells -0.0 from 0.0
        assert repr(func(store, *values)) == wanted  # slow for a few calls, then fast
        assert repr(entry_module.slow_call(func, store, *values)) == wanted
        assert repr(func(Other(store), *values)) == wanted


def test_most_signatures_are_fast() -> None:
    assert has_fast_entry(FuncType((I32, I64, F32, F64) * 8, (I32, F64) * 8))
    assert not has_fast_entry(FuncType((I32,) * 33, ()))
    assert not has_fast_entry(FuncType((), (I32,) * 17))
    assert not has_fast_entry(FuncType((EXTERNREF,), ()))


def test_fast_path_is_taken(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    """Ints and floats do not go through Python."""
    type = FuncType((I32, I64, F32, F64), (F64, F32, I64, I32))
    store = Store()
    world = World([function(0, shuffle_code(type))], platform)
    func = entry(world, 0, type, store)
    for _ in range(entry_module.CALLS_UNTIL_FAST):
        assert func(store, 1, 2, 3.0, 4.0) == [4.0, 3.0, 2, 1]
    monkeypatch.setattr(world.machine, "call_raw", None)
    assert func(store, -1, -2, 0.5, 4.5) == [4.5, 0.5, -2, -1]
    with pytest.raises(TypeError):
        func(store, True, 2, 3.0, 4.0)


class Index:
    def __index__(self) -> int:
        return 41


@pytest.mark.parametrize(("value", "result"), [(True, 2), (Index(), 42)])
def test_other_kinds_of_ints(value: object, result: int) -> None:
    store = Store()
    world = World([function(0, "lea eax, [rdi + 1]\n ret")])
    assert entry(world, 0, i32_i32, store)(store, value) == result


@pytest.mark.parametrize("value", [1.0, "1", None, object()])
def test_bad_i32_is_refused(platform: str, value: object) -> None:
    store = Store()
    world = World([function(0, "lea eax, [rdi + 1]\n ret")], platform)
    world.machine.entry_code(i32_i32, BY_STORE, make=True)
    func = entry(world, 0, i32_i32, store)
    with pytest.raises((TypeError, WasmtimeError)):
        func(store, value)
    assert not world.state.running
    assert func(store, 1) == 2


@pytest.mark.parametrize("value", [2**32, -(2**31) - 1, 2**63, 2**64, -(2**63), 10**30, -1])
def test_ints_are_taken_modulo(platform: str, value: int) -> None:
    """As wasmtime-py does."""
    store = Store()
    world = World([function(0, "mov eax, edi\n ret"), function(1, "mov rax, rdi\n ret")], platform)
    for index, type, bits in ((0, i32_i32, 32), (1, FuncType((I64,), (I64,)), 64)):
        func = entry(world, index, type, store)
        half = 1 << (bits - 1)
        for _ in range(20):  # the slow way, and the fast one
            assert func(store, value) == (value + half) % (2 * half) - half


@pytest.mark.parametrize("value", [1.0, "1"])
def test_bad_i64_is_refused(value: object) -> None:
    store = Store()
    world = World([function(0, "lea rax, [rdi + 1]\n ret")])
    with pytest.raises((TypeError, WasmtimeError)):
        entry(world, 0, FuncType((I64,), (I64,)), store)(store, value)


def test_ints_are_floats_where_floats_are_wanted() -> None:
    store = Store()
    world = World([function(0, "ret")])
    assert entry(world, 0, FuncType((F64,), (F64,)), store)(store, 3) == 3.0
    with pytest.raises(TypeError):
        entry(world, 0, FuncType((F64,), (F64,)), store)(store, "3")


@pytest.mark.parametrize("args", [(), ("store",), ("store", 1, 2), ("store",) + (1,) * 3000, (1, "store"), (None, 1)])
def test_wrong_arguments_are_refused(platform: str, args: tuple[object, ...]) -> None:
    store = Store()
    world = World([function(0, "lea eax, [rdi + 1]\n ret")], platform)
    func = entry(world, 0, i32_i32, store)
    world.machine.entry_code(i32_i32, BY_STORE, make=True)
    for tried in (func, entry(world, 0, i32_i32, store)):
        with pytest.raises((TypeError, WasmtimeError)):
            tried(*(store if arg == "store" else arg for arg in args))
    with pytest.raises((TypeError, WasmtimeError)):
        func(*(store if arg == "store" else arg for arg in args))
    with pytest.raises((TypeError, WasmtimeError)):
        func(store, 1, name=2)
    with pytest.raises((TypeError, WasmtimeError)):
        func(store, x=1)
    assert func(store, 1) == 2


def test_unbound_entry_point_is_refused() -> None:
    with pytest.raises(TypeError):
        Func()(None)


def test_all_ways_of_calling() -> None:
    store = Store()
    world = World([function(0, "lea eax, [rdi + 1]\n ret")])
    func = entry(world, 0, i32_i32, store)

    class Sub(Func):
        pass

    sub = Sub()
    sub._lead(world.machine, world.record(0, i32_i32), i32_i32, store, world)
    for f in (func, sub):
        for _ in range(entry_module.CALLS_UNTIL_FAST + 1):
            assert f(store, 1) == 2
        assert f(*[store, 1]) == 2
        assert f.__call__(store, 1) == 2
        assert list(map(f, itertools.repeat(store), [1, 2])) == [2, 3]


def test_traps_and_exceptions(platform: str) -> None:
    store = Store()
    unreachable = function(0, "trap: call 0", traps={"trap": trap_codes.UNREACHABLE}, calls={"trap": -1})
    calls = function(1, f"push rbp\n{call_import()}\n pop rbp\n ret", {"start": 0})
    world = World([unreachable, calls], platform)

    def host() -> None:
        raise KeyError("host")

    world.import_function(nothing, host)
    traps, raises = entry(world, 0, nothing, store), entry(world, 1, nothing, store)
    for _ in range(2 * entry_module.CALLS_UNTIL_FAST):
        with pytest.raises(WasmTrap):
            traps(store)
        with pytest.raises(KeyError):
            raises(store)


def test_references_go_through_converters(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()

    def to_python(given: object, bits: int, type: int) -> object:
        assert (given, type) == (store, EXTERNREF)
        return f"reference {bits}"

    def from_python(given: object, value: object, type: int) -> int:
        assert (given, type) == (store, EXTERNREF)
        return int(str(value))

    monkeypatch.setattr(values, "_reference_to_python", to_python)
    monkeypatch.setattr(values, "_reference_from_python", from_python)
    world = World([function(0, "mov rax, rdi\n ret")])
    func = entry(world, 0, FuncType((EXTERNREF,), (EXTERNREF,)), store)
    assert func(store, "1234567890123") == "reference 1234567890123"


def test_entry_point_keeps_its_owner_and_is_collected() -> None:
    store = Store()
    world = World([function(0, "lea eax, [rdi + 1]\n ret")])
    func = entry(world, 0, i32_i32, store)
    alive = weakref.ref(world)
    world.func = func  # type: ignore[attr-defined]  # a cycle
    del world
    gc.collect()
    assert func(store, 5) == 6
    assert alive() is not None
    del func
    gc.collect()
    assert alive() is None
