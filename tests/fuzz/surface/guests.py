"""The modules that sequences work with, and what their functions must compute.

A function means the same wherever its name is exported. All end soon, whatever the arguments, but for those in `ENDLESS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple

_PURE: Final = """
  (func $add (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add)
  (func (export "add64") (param i64 i64) (result i64) local.get 0 local.get 1 i64.add)
  (func (export "half") (param f64) (result f64) local.get 0 f64.const 0.5 f64.mul)
  (func (export "negate") (param f32) (result f32) local.get 0 f32.neg)
  (func (export "swap") (param i32 i64) (result i64 i32) local.get 1 local.get 0)
  (func (export "nothing"))
  (func (export "fibonacci") (param $n i32) (result i64) (local $a i64) (local $b i64)
    (local.set $b (i64.const 1))
    (local.set $n (i32.and (local.get $n) (i32.const 63)))
    (block $end (loop $again
      (br_if $end (i32.eqz (local.get $n)))
      (local.get $b)
      (local.set $b (i64.add (local.get $a) (local.get $b)))
      (local.set $a)
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br $again)))
    local.get $a)"""

TEXTS: Final[dict[str, str]] = {
    "empty": "(module)",
    "pure": f"(module {_PURE})",
    "memory": f"""(module {_PURE}
  (memory (export "memory") 1 40)
  (data (i32.const 16) "sixteen bytes...")
  (data $more "passive")
  (func (export "load") (param i32) (result i32) local.get 0 i32.load)
  (func (export "store") (param i32 i32) local.get 0 local.get 1 i32.store)
  (func (export "grow") (param i32) (result i32) local.get 0 memory.grow)
  (func (export "pages") (result i32) memory.size)
  (func (export "fill") (param i32 i32 i32) local.get 0 local.get 1 local.get 2 memory.fill)
  (func (export "copy") (param i32 i32 i32) local.get 0 local.get 1 local.get 2 memory.copy)
  (func (export "init") (param i32 i32 i32) local.get 0 local.get 1 local.get 2 memory.init $more)
  (func (export "spin fill") (loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)) (br 0))))""",
    "table": f"""(module {_PURE}
  (type $ii_i (func (param i32 i32) (result i32)))
  (table $functions (export "functions") 4 300 funcref)
  (table $objects (export "objects") 4 300 externref)
  (elem (table $functions) (i32.const 0) func $add)
  (elem $passive func $add)
  (func (export "sum") (param $n i32) (result i32) (local $s i32)
    (local.set $n (i32.and (local.get $n) (i32.const 255)))
    (block $end (loop $again
      (br_if $end (i32.eqz (local.get $n)))
      (local.set $s (call_indirect (type $ii_i) (local.get $s) (local.get $n) (i32.const 0)))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br $again)))
    local.get $s)
  (func (export "indirect") (param i32 i32 i32) (result i32)
    (call_indirect (type $ii_i) (local.get 0) (local.get 1) (local.get 2)))
  (func (export "same") (param externref) (result externref) local.get 0)
  (func (export "same function") (param funcref) (result funcref) local.get 0)
  (func (export "get object") (param i32) (result externref) local.get 0 table.get $objects)
  (func (export "set object") (param i32 externref) local.get 0 local.get 1 table.set $objects)
  (func (export "grow objects") (param externref i32) (result i32) local.get 0 local.get 1 table.grow $objects)
  (func (export "grow functions") (param i32) (result i32) ref.null func local.get 0 table.grow $functions)
  (func (export "elements") (result i32) table.size $functions)
  (func (export "copy elements") (param i32 i32 i32)
    (table.copy $functions $functions (local.get 0) (local.get 1) (local.get 2)))
  (func (export "init elements") (param i32 i32 i32)
    (table.init $functions $passive (local.get 0) (local.get 1) (local.get 2))))""",
    "globals": f"""(module {_PURE}
  (global (export "g32") (mut i32) (i32.const 32))
  (global (export "g64") (mut i64) (i64.const 64))
  (global (export "f32") (mut f32) (f32.const 1.5))
  (global (export "f64") (mut f64) (f64.const 2.5))
  (global (export "object") (mut externref) (ref.null extern))
  (global (export "function") (mut funcref) (ref.null func))
  (global (export "fixed") i64 (i64.const -1))
  (func (export "read g32") (result i32) global.get 0)
  (func (export "read g64") (result i64) global.get 1)
  (func (export "write g64") (param i64) local.get 0 global.set 1)
  (func (export "read object") (result externref) global.get 4))""",
    "traps": f"""(module {_PURE}
  (func (export "divide") (param i32 i32) (result i32) local.get 0 local.get 1 i32.div_s)
  (func (export "unreachable") unreachable)
  (func $deep (export "deep") (param i32) (result i32) local.get 0 call $deep)
  (func (export "truncate") (param f64) (result i32) local.get 0 i32.trunc_f64_s)
  (func (export "forever") (loop (br 0)))
  (func (export "work") (param $n i32)
    (local.set $n (i32.and (local.get $n) (i32.const 0xfffff)))
    (block $end (loop $again
      (br_if $end (i32.eqz (local.get $n)))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br $again)))))""",
    "host": f"""(module
  (import "" "host" (func $host (param i32) (result i32)))
  (import "" "note" (func $note (param externref i64)))
  {_PURE}
  (memory (export "memory") 1 10)
  (table (export "functions") 2 100 funcref)
  (func (export "host") (param i32) (result i32) local.get 0 call $host)
  (func (export "note") (param externref i64) local.get 0 local.get 1 call $note)
  (func (export "host and memory") (param i32) (result i32)
    (i32.store (i32.const 8) (local.get 0))
    (drop (call $host (local.get 0)))
    (i32.load (i32.const 8)))
  (func (export "load") (param i32) (result i32) local.get 0 i32.load)
  (func (export "pages") (result i32) memory.size)
  (func (export "grow") (param i32) (result i32) local.get 0 memory.grow)
  (func (export "forever") (loop (drop (call $host (i32.const 1))) (br 0)))
  (elem declare func $host)
  (func (export "host function") (result funcref) ref.func $host))""",
    "shared": f"""(module
  (import "shared" "memory" (memory 1))
  (import "shared" "functions" (table 2 funcref))
  (import "shared" "g64" (global (mut i64)))
  {_PURE}
  (export "memory" (memory 0))
  (export "functions" (table 0))
  (export "g64" (global 0))
  (func (export "load") (param i32) (result i32) local.get 0 i32.load)
  (func (export "pages") (result i32) memory.size)
  (func (export "elements") (result i32) table.size 0)
  (func (export "read g64") (result i64) global.get 0)
  (func (export "grow") (param i32) (result i32) local.get 0 memory.grow))""",
    "start": """(module
  (import "" "host" (func $host (param i32) (result i32)))
  (memory (export "memory") 1 3)
  (func $start (i32.store (i32.const 0) (call $host (i32.const 7))))
  (func (export "load") (param i32) (result i32) local.get 0 i32.load)
  (start $start))""",
    "failing start": "(module (memory 1) (func $start unreachable) (start $start))",
    "wasi": f"""(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $arguments (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_get" (func $preopen (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  {_PURE}
  (memory (export "memory") 1 4)
  (data (i32.const 0) "\\10\\00\\00\\00\\05\\00\\00\\00\\00\\00\\00\\00hello")
  (func (export "fd_write") (param i32 i32 i32 i32) (result i32)
    local.get 0 local.get 1 local.get 2 local.get 3 call $write)
  (func (export "args_sizes_get") (param i32 i32) (result i32) local.get 0 local.get 1 call $arguments)
  (func (export "random_get") (param i32 i32) (result i32) local.get 0 local.get 1 call $random)
  (func (export "fd_prestat_get") (param i32 i32) (result i32) local.get 0 local.get 1 call $preopen)
  (func (export "fd_close") (param i32) (result i32) local.get 0 call $close)
  (func (export "proc_exit") (param i32) local.get 0 call $exit)
  (func (export "_initialize") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 12)))))""",
    "names": """(module
  (func (export "close")) (func (export "class") (result i32) i32.const 1) (func (export ""))
  (func (export "__init__")) (func (export "store")) (func (export "\\00"))
  (memory (export "__len__") 0) (global (export "__getitem__") i32 (i32.const 3)) (table (export "_records") 0 funcref))""",
}
ENDLESS: Final = frozenset({"forever", "spin fill"})
RECURSIVE: Final = frozenset({"deep"})  # all of the stack: fast, but for traces


class Known(NamedTuple):
    """Types of parameters, by name, and what the function computes; None if that depends on more than its arguments."""

    params: tuple[str, ...]
    compute: Callable[..., Any] | None = None


def _signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def _fibonacci(n: int) -> int:
    a, b = 0, 1
    for _ in range(n & 63):
        a, b = b, a + b
    return _signed(a, 64)


def _known(params: str, compute: Callable[..., Any] | None = None) -> Known:
    return Known(tuple(params.split()), compute)


FUNCTIONS: Final[dict[str, Known]] = {
    "add": _known("i32 i32", lambda a, b: _signed(a + b, 32)),
    "add64": _known("i64 i64", lambda a, b: _signed(a + b, 64)),
    "half": _known("f64", lambda a: a * 0.5),
    "negate": _known("f32"),
    "swap": _known("i32 i64", lambda a, b: [_signed(b, 64), _signed(a, 32)]),
    "nothing": _known("", lambda: None),
    "fibonacci": _known("i32", _fibonacci),
    "load": _known("i32"),
    "store": _known("i32 i32"),
    "grow": _known("i32"),
    "pages": _known(""),
    "fill": _known("i32 i32 i32"),
    "copy": _known("i32 i32 i32"),
    "init": _known("i32 i32 i32"),
    "spin fill": _known(""),
    "sum": _known("i32"),  # the table can be written
    "indirect": _known("i32 i32 i32"),
    "same": _known("externref", lambda a: a),
    "same function": _known("funcref", lambda a: a),
    "get object": _known("i32"),
    "set object": _known("i32 externref"),
    "grow objects": _known("externref i32"),
    "grow functions": _known("i32"),
    "elements": _known(""),
    "copy elements": _known("i32 i32 i32"),
    "init elements": _known("i32 i32 i32"),
    "read g32": _known(""),
    "read g64": _known(""),
    "write g64": _known("i64"),
    "read object": _known(""),
    "divide": _known("i32 i32"),
    "unreachable": _known(""),
    "deep": _known("i32"),
    "truncate": _known("f64"),
    "forever": _known(""),
    "work": _known("i32", lambda n: None),
    "host": _known("i32"),
    "note": _known("externref i64"),
    "host and memory": _known("i32"),
    "host function": _known(""),
    "fd_write": _known("i32 i32 i32 i32"),
    "args_sizes_get": _known("i32 i32"),
    "random_get": _known("i32 i32"),
    "fd_prestat_get": _known("i32 i32"),
    "fd_close": _known("i32"),
    "proc_exit": _known("i32"),
}
# Global variables of the modules, by the types of their contents.
GLOBALS: Final = {"g32": "i32", "g64": "i64", "f32": "f32", "f64": "f64", "object": "externref", "function": "funcref"}


def same_value(result: object, expected: object) -> bool:
    """Whether a result is what was computed: NaNs are equal."""
    if isinstance(expected, float) and isinstance(result, float) and math.isnan(expected):
        return math.isnan(result)
    return result is expected or (type(result) is type(expected) and bool(result == expected))
