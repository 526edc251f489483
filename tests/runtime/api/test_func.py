from __future__ import annotations

import math
import struct
from typing import Any

import pytest

from brolga import Caller, Engine, Func, FuncType, Instance, Memory, Module, Store, Trap, Val, ValType, WasmtimeError

I32, I64, F32, F64 = ValType.i32(), ValType.i64(), ValType.f32(), ValType.f64()
FUNCREF, EXTERNREF = ValType.funcref(), ValType.externref()


def _exports(store: Store, text: str, imports: list[Any] | None = None) -> Any:
    return Instance(store, Module(store.engine, text), imports or []).exports(store)


def test_arguments_and_results(store: Store) -> None:
    exports = _exports(
        store,
        """(module
            (func (export "none"))
            (func (export "one") (param i32) (result i32) local.get 0)
            (func (export "many") (param i32 i64 f32 f64) (result f64 f32 i64 i32)
                local.get 3 local.get 2 local.get 1 local.get 0))""",
    )
    assert exports["none"](store) is None
    assert exports["one"](store, -5) == -5
    assert exports["many"](store, -1, -(1 << 63), 0.5, math.pi) == [math.pi, 0.5, -(1 << 63), -1]
    assert exports["many"](store, Val.i32(3), Val.i64(4), Val.f32(1.5), Val.f64(2.5)) == [2.5, 1.5, 4, 3]
    assert exports["one"].type(store) == FuncType([I32], [I32])


def test_wrong_arguments(store: Store, engine: Engine) -> None:
    one = _exports(store, '(module (func (export "one") (param i32) (result i32) local.get 0))')["one"]
    for args in [(), (1, 2), ("1",), (None,), (1.5,)]:
        with pytest.raises((TypeError, WasmtimeError)):
            one(store, *args)
    with pytest.raises((TypeError, WasmtimeError)):
        one(Store(engine), 1)
    with pytest.raises((TypeError, WasmtimeError)):
        one(1)
    assert one(store, 8) == 8


def test_host_functions_are_called(store: Store) -> None:
    seen: list[tuple[Any, ...]] = []

    def host(*args: Any) -> Any:
        seen.append(args)
        return args[0] + 1

    func = Func(store, FuncType([I32, F64], [I32]), host)
    exports = _exports(
        store,
        """(module (import "" "" (func $f (param i32 f64) (result i32)))
            (func (export "call") (param i32) (result i32) local.get 0 f64.const 2.5 call $f))""",
        [func],
    )
    assert exports["call"](store, 41) == 42
    assert func(store, -3, 0.25) == -2
    assert seen == [(41, 2.5), (-3, 0.25)]


@pytest.mark.parametrize(
    ("results", "returned"),
    [([], 1), ([I32], None), ([I32], "x"), ([I32, I32], [1]), ([I32, I32], 5), ([F64], "a")],
)
def test_wrong_results_of_host_functions(store: Store, results: list[ValType], returned: object) -> None:
    func = Func(store, FuncType([], results), lambda: returned)
    with pytest.raises((TypeError, WasmtimeError, OverflowError)):
        func(store)


def test_several_results_of_a_host_function(store: Store) -> None:
    func = Func(store, FuncType([], [I32, F32]), lambda: (1, 2.5))
    assert func(store) == [1, 2.5]


def test_exceptions_of_host_functions_pass_through(store: Store) -> None:
    class Own(BaseException):
        pass

    error = Own("mine")

    def host() -> None:
        raise error

    exports = _exports(
        store,
        '(module (import "" "" (func $f)) (func (export "run") (call $f)))',
        [Func(store, FuncType([], []), host)],
    )
    with pytest.raises(Own) as caught:
        exports["run"](store)
    assert caught.value is error


def test_traps_of_host_functions_get_the_frames_they_leave(store: Store) -> None:
    def host() -> None:
        raise Trap("enough")

    exports = _exports(
        store,
        '(module (import "" "" (func $f)) (func $run (export "run") (call $f)))',
        [Func(store, FuncType([], []), host)],
    )
    with pytest.raises(Trap) as caught:
        exports["run"](store)
    assert caught.value.trap_code is None
    assert [frame.func_name for frame in caught.value.frames] == ["run"]
    assert caught.value.message.endswith("Caused by:\n    enough")


def test_caller(store: Store) -> None:
    kept: list[Caller] = []

    def host(caller: Caller, address: int) -> int:
        kept.append(caller)
        memory = caller["memory"]
        assert isinstance(memory, Memory)
        assert caller.get("nothing") is None
        with pytest.raises(KeyError):
            caller["nothing"]
        inner = caller["inner"]
        assert isinstance(inner, Func)
        return memory.read(caller, address, address + 1)[0] + inner(caller)

    func = Func(store, FuncType([I32], [I32]), host, access_caller=True)
    exports = _exports(
        store,
        """(module (import "" "" (func $f (param i32) (result i32)))
            (memory (export "memory") 1) (data (i32.const 3) "\\05")
            (func (export "inner") (result i32) i32.const 100)
            (func (export "run") (result i32) i32.const 3 call $f))""",
        [func],
    )
    assert exports["run"](store) == 105
    with pytest.raises(ValueError, match="no longer valid"):
        exports["memory"].read(kept[0], 0, 1)
    assert kept[0].get("memory") is None


def test_caller_without_an_instance(store: Store) -> None:
    func = Func(store, FuncType([], []), lambda caller: caller["memory"], access_caller=True)
    with pytest.raises(KeyError):
        func(store)


def test_references(store: Store) -> None:
    exports = _exports(
        store,
        """(module
            (func (export "extern") (param externref) (result externref) local.get 0)
            (func (export "func") (param funcref) (result funcref) local.get 0)
            (func $seven (result i32) i32.const 7)
            (elem declare func $seven)
            (func (export "seven") (result funcref) ref.func $seven)
            (func (export "is_null") (param externref funcref) (result i32 i32)
                local.get 0 ref.is_null local.get 1 ref.is_null))""",
    )
    for value in (object(), [], 0, False, "", exports):
        assert exports["extern"](store, value) is value
    assert exports["extern"](store, None) is None
    assert exports["func"](store, None) is None
    seven = exports["seven"](store)
    assert isinstance(seven, Func) and seven(store) == 7 and seven.type(store) == FuncType([], [I32])
    assert exports["func"](store, seven)(store) == 7
    assert exports["is_null"](store, None, seven) == [1, 0]
    assert exports["is_null"](store, 0, None) == [0, 1]
    with pytest.raises(TypeError):
        exports["func"](store, 5)


def test_functions_of_other_stores_are_refused(engine: Engine) -> None:
    stores = [Store(engine), Store(engine)]
    text = '(module (func (export "f") (param funcref)))'
    funcs = [_exports(store, text)["f"] for store in stores]
    with pytest.raises((TypeError, WasmtimeError)):
        funcs[0](stores[0], funcs[1])
    with pytest.raises(WasmtimeError, match="Store"):
        _exports(stores[0], '(module (import "" "" (func (param funcref))))', [funcs[1]])


def test_wasm_functions_through_host_functions(store: Store) -> None:
    """wasm -> host -> wasm -> host, with an exception from the innermost."""

    def host(depth: int) -> int:
        if depth == 0:
            raise LookupError("bottom")
        if depth == 1:
            return 1
        result: int = exports["go"](store, depth - 2)
        return result

    exports = _exports(
        store,
        """(module (import "" "" (func $f (param i32) (result i32)))
            (func (export "go") (param i32) (result i32) local.get 0 call $f i32.const 10 i32.add))""",
        [Func(store, FuncType([I32], [I32]), host)],
    )
    assert exports["go"](store, 5) == 31
    with pytest.raises(LookupError, match="bottom"):
        exports["go"](store, 6)
    assert exports["go"](store, 1) == 11


def test_nan_payloads_survive(store: Store) -> None:
    exports = _exports(
        store,
        """(module
            (func (export "bits") (param f64) (result i64) local.get 0 i64.reinterpret_f64)
            (func (export "nan") (result f64) f64.const nan:0x4000000001234))""",
    )
    value = exports["nan"](store)
    assert struct.unpack("<Q", struct.pack("<d", value))[0] & 0xFFFFF == 0x01234
    assert exports["bits"](store, value) & 0xFFFFF == 0x01234


def test_constructor_arguments(store: Store) -> None:
    with pytest.raises(TypeError, match="expected a Store"):
        Func(None, FuncType([], []), print)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="expected a FuncType"):
        Func(store, None, print)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="callable"):
        Func(store, FuncType([], []), 5)  # type: ignore[arg-type]


def test_references_to_one_function_are_one_object(store: Store) -> None:
    module = Module(
        store.engine,
        """(module (import "" "" (func $h)) (table (export "t") 2 funcref)
            (func $f (export "f")) (func $g) (elem (i32.const 0) $f $g)
            (func (export "h") (result funcref) ref.func $h) (elem declare func $h))""",
    )
    host = Func(store, FuncType([], []), lambda: None)
    exports: Any = Instance(store, module, [host]).exports(store)
    table = exports["t"]
    assert table.get(store, 0) is exports["f"] is not table.get(store, 1)
    kept = table.get(store, 1)
    assert table.get(store, 1) is kept
    assert exports["h"](store) is host
