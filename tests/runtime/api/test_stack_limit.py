"""`Config.max_wasm_stack`: how much stack a call may use."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from brolga import Config, Engine, Func, FuncType, Instance, Module, Store, Trap, TrapCode, ValType, WasmtimeError

DEEP = """
(module
  (import "" "host" (func $host (param i32) (result i32)))
  (func $f (export "f") (param i32) (result i32)
    (if (result i32) (local.get 0)
      (then (i32.add (i32.const 1) (call $f (i32.sub (local.get 0) (i32.const 1)))))
      (else (i32.const 0))))
  (func $g (export "g") (param i32) (result i32)
    (if (result i32) (local.get 0)
      (then (i32.add (i32.const 0) (call $g (i32.sub (local.get 0) (i32.const 1)))))
      (else (call $host (i32.const 0))))))
"""
MOST = 2 << 20


def engine(size: int | None, platform: str = "linux") -> Engine:
    config = Config()
    config.platform = platform
    if size is not None:
        config.max_wasm_stack = size
    return Engine(config)


class Subject:
    """An instance of DEEP whose host function is this one."""

    def __init__(self, made: Engine, host: Any = lambda number: number) -> None:
        self.store = Store(made)
        i32 = ValType.i32()
        import_ = Func(self.store, FuncType([i32], [i32]), host)
        self.exports = Instance(self.store, Module(made, DEEP), [import_]).exports(self.store)

    def call(self, name: str, depth: int) -> object:
        function = self.exports[name]
        assert isinstance(function, Func)
        return function(self.store, depth)

    def reaches(self, depth: int) -> bool:
        try:
            return self.call("f", depth) == depth
        except Trap as trap:
            assert trap.trap_code == TrapCode.STACK_OVERFLOW
            assert "call stack exhausted" in str(trap)
            return False

    def depth(self) -> int:
        """How deep a recursion may be."""
        low, high = -1, MOST
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.reaches(middle) else (low, middle - 1)
        return low


@pytest.mark.parametrize("platform", ["linux", "minimal"])
def test_depth_is_proportional_to_the_limit(platform: str) -> None:
    frame = MOST / Subject(engine(MOST, platform)).depth()
    assert 8 <= frame <= 64
    for size in (10_000, 65_536, 1 << 20):
        assert Subject(engine(size, platform)).depth() == pytest.approx(size / frame, rel=0.02)


@pytest.mark.parametrize("platform", ["linux", "minimal"])
def test_smallest_limit(platform: str) -> None:
    subject = Subject(engine(1, platform))
    assert not subject.reaches(0)
    assert Subject(engine(200, platform)).reaches(0)


@pytest.mark.parametrize("platform", ["linux", "minimal"])
def test_without_a_limit_there_is_as_much_as_by_default(platform: str) -> None:
    assert Subject(engine(None, platform)).depth() >= Subject(engine(1 << 20, platform)).depth()


def test_values() -> None:
    with pytest.raises(WasmtimeError, match="^max_wasm_stack size cannot be zero$"):
        engine(0)
    for size in (MOST + 1, 1 << 40, -1):
        with pytest.raises(WasmtimeError, match="^max_wasm_stack size cannot exceed the async_stack_size$"):
            engine(size)
    for wrong in ("1", 1.5, None):
        with pytest.raises(TypeError, match="expected an int"):
            Config().max_wasm_stack = wrong


def test_large_frames_count() -> None:
    """A function that needs more than the limit for itself does not begin."""
    made = engine(60_000)
    gets = " ".join(f"(local.get {i})" for i in range(1, 4001))
    sets = " ".join(f"(local.set {i} (i64.load offset={8 * i} (local.get 0)))" for i in range(1, 4001))
    adds = "(i64.add)" * 3999
    text = f"""(module (memory 1) (func (export "f") (param i32) (result i64) (local {"i64 " * 4000})
        {sets} (i64.store (local.get 0) (i64.const 1)) (call $g) {gets} {adds}) (func $g (memory.fill (i32.const 0) (i32.const 1) (i32.const 100))))"""
    for size, fits in ((60_000, True), (20_000, False)):
        made = engine(size)
        store = Store(made)
        f = Instance(store, Module(made, text), []).exports(store)["f"]
        assert isinstance(f, Func)
        if fits:
            assert f(store, 0) == 0
        else:
            with pytest.raises(Trap, match="call stack exhausted"):
                f(store, 0)


@pytest.mark.parametrize("platform", ["linux", "minimal"])
def test_calls_from_host_functions_count(platform: str) -> None:
    made = engine(1_000_000, platform)
    alone = Subject(made).depth()
    below: list[bool] = []

    def host(_: int) -> int:
        below.extend([outer.reaches(alone // 4), outer.reaches(alone - alone // 4)])
        return 0

    outer = Subject(made, host)
    outer.call("g", alone // 4)  # takes half of the stack
    assert below == [True, False]
    assert outer.depth() == pytest.approx(alone, rel=0.01)  # afterwards it is as before


def test_another_store_has_its_own_limit() -> None:
    large, small = engine(1 << 20), engine(50_000)
    alone = Subject(small).depth()
    found: list[int] = []

    def host(_: int) -> int:
        inner = Subject(small)
        found.append(inner.depth())
        return 0

    outer = Subject(large, host)
    outer.call("g", 4 * alone)
    assert found == [pytest.approx(alone, rel=0.02)]
    outer.call("f", 4 * alone)


def test_calls_that_can_be_suspended() -> None:
    """They run on stacks of their own, with the same limit."""
    made = engine(100_000)
    alone = Subject(made).depth()
    subject = Subject(made)
    f = subject.exports["f"]
    assert isinstance(f, Func)

    async def run(depth: int) -> object:
        return await f.call_async(subject.store, depth)

    assert asyncio.run(run(alone - alone // 20)) == alone - alone // 20
    with pytest.raises(Trap, match="call stack exhausted"):
        asyncio.run(run(alone + alone // 20))
    assert subject.depth() == pytest.approx(alone, rel=0.02)


def test_suspended_calls_keep_their_limit() -> None:
    made = engine(100_000)
    alone = Subject(made).depth()

    async def host(number: int) -> int:
        await asyncio.sleep(0)
        return number

    subject = Subject(made, host)
    g = subject.exports["g"]
    assert isinstance(g, Func)

    async def run() -> list[object]:
        return [await g.call_async(subject.store, depth) for depth in (alone // 2, 0, alone // 2)]

    assert asyncio.run(run()) == [0, 0, 0]
    assert subject.depth() == pytest.approx(alone, rel=0.02)


def test_code_with_and_without_a_limit_is_not_mixed_up() -> None:
    data = Module(engine(None), "(module (func))").serialize()
    with pytest.raises(WasmtimeError, match="compiled with other settings"):
        Module.deserialize(engine(1000), data)
