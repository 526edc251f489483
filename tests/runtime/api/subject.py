"""A module with something of everything, for hosts that misuse it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from brolga import (
    Engine,
    Func,
    FuncType,
    Instance,
    Module,
    Store,
    ValType,
)

I32 = ValType.i32()

SUBJECT: Final = """
(module
  (import "" "host" (func $host (param i32) (result i32)))
  (memory (export "memory") 1 4)
  (table (export "table") 4 8 funcref)
  (table (export "objects") 2 8 externref)
  (global (export "constant") i32 (i32.const 5))
  (global (export "variable") (mut i32) (i32.const 6))
  (elem (i32.const 0) func $seven)
  (func $seven (export "seven") (result i32) i32.const 7)
  (func (export "i32") (param i32) (result i32) local.get 0)
  (func (export "i64") (param i64) (result i64) local.get 0)
  (func (export "f32") (param f32) (result f32) local.get 0)
  (func (export "f64") (param f64) (result f64) local.get 0)
  (func (export "two") (param i32 i64) (result i64 i32) local.get 1 local.get 0)
  (func (export "object") (param externref) (result externref) local.get 0)
  (func (export "function") (param funcref) (result funcref) local.get 0)
  (func (export "host") (param i32) (result i32) local.get 0 call $host)
  (func (export "indirect") (param i32) (result i32) local.get 0 call_indirect (result i32))
  (func (export "load") (param i32) (result i32) local.get 0 i32.load)
  (func (export "grow") (param i32) (result i32) local.get 0 memory.grow)
  (func (export "grow_table") (param i32) (result i32) ref.null func local.get 0 table.grow 0))
"""


class World:
    """An instance of SUBJECT whose host function calls `callback`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.store = Store(engine)
        self.callback: Callable[[int], Any] = lambda value: value + 1
        self.host = Func(self.store, FuncType([I32], [I32]), lambda value: self.callback(value))
        self.instance = Instance(self.store, Module(engine, SUBJECT), [self.host])
        self.exports: Any = self.instance.exports(self.store)

    def call(self, name: str, *args: object) -> Any:
        return self.exports[name](self.store, *args)

    def works(self) -> bool:
        """Whether everything is as usual."""
        self.callback = lambda value: value + 1
        return bool(
            self.call("host", 1) == 2
            and self.call("seven") == self.call("indirect", 0) == 7
            and self.call("load", 65532) == 0
            and Instance(self.store, Module(self.engine, "(module)"), [])
        )


class Indexed:
    """An object that says that it is an index, of this value; or raises it."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __index__(self) -> int:
        if isinstance(self.value, BaseException):
            raise self.value
        return self.value  # type: ignore[return-value]
