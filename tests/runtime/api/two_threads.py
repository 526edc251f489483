"""Two threads, or a thread and a signal handler, that use the same store: run as `two_threads.py WHO SECONDS FIRST SECOND`.

Every operation ends well or with an error that says what is wrong, and what can be counted is right in the end.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from brolga import BrolgaError, Engine, Instance, Limits, Memory, MemoryType, Module, Store, Table, TableType, ValType

PAGE: Final = 65536
TEXT: Final = """
(module
  (type $one (func (result i32)))
  (type $two (func (param i64 i64 i64) (result i64)))
  (memory (export "memory") 1 2000)
  (table (export "table") 8 60000 funcref)
  (table (export "objects") 4 60000 externref)
  (global (export "number") (mut i32) (i32.const 1))
  (global (export "object") (mut externref) (ref.null extern))
  (elem (i32.const 0) $f $g)
  (func $f (export "f") (type $one) i32.const 1)
  (func $g (export "g") (type $two) (i64.add (local.get 0) (i64.const 5)))
  (func (export "count") (param i32)
    (loop
      (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 1)))
      (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
  (func (export "indirect") (param i32)
    (loop
      (drop (call_indirect (type $one) (i32.const 0)))
      (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
  (func (export "grow") (result i32) (memory.grow (i32.const 1)))
  (func (export "pages") (result i32) memory.size)
  (func (export "grow_table") (result i32) (table.grow 0 (ref.func $f) (i32.const 1)))
  (func (export "fill") (table.fill 0 (i32.const 1) (ref.func $g) (i32.sub (table.size 0) (i32.const 1))))
  (func (export "copy") (table.copy 0 0 (i32.const 3) (i32.const 2) (i32.sub (table.size 0) (i32.const 3)))))
"""
SMALL: Final = (
    '(module (memory 1) (table 3 funcref) (func $f) (elem (i32.const 0) $f) (data (i32.const 0) "abc") (start $f))'
)
TURNS: Final = 30_000


class World:
    """A store with an instance, which is replaced by another one when it is used up."""

    def __init__(self, engine: Engine, module: Module, small: Module) -> None:
        self.engine = engine
        self.module = module
        self.small = small
        self.renew()

    def renew(self) -> None:
        store = Store(self.engine)
        it: Any = Instance(store, self.module, []).exports(store)
        self.now: tuple[Store, Any, list[int]] = store, it, [0]


def count(store: Store, it: Any, counted: list[int]) -> None:
    it["count"](store, TURNS)
    counted[0] += TURNS


Operation = Callable[[World, Store, Any, list[int]], object]
OPERATIONS: Final[dict[str, Operation]] = {
    "count": lambda w, s, it, n: count(s, it, n),
    "indirect": lambda w, s, it, n: it["indirect"](s, TURNS),
    "grow from wasm": lambda w, s, it, n: it["grow"](s),
    "grow table from wasm": lambda w, s, it, n: it["grow_table"](s),
    "fill": lambda w, s, it, n: it["fill"](s),
    "copy": lambda w, s, it, n: it["copy"](s),
    "read": lambda w, s, it, n: it["memory"].read(s, 0, 65536),
    "write": lambda w, s, it, n: it["memory"].write(s, b"x" * 1000, 1000),
    "view": lambda w, s, it, n: bytes(memoryview(it["memory"].get_buffer_ptr(s))[:100_000]),
    "grow": lambda w, s, it, n: it["memory"].grow(s, 1),
    "double": lambda w, s, it, n: it["memory"].grow(s, it["memory"].size(s)),
    "table.get": lambda w, s, it, n: it["table"].get(s, 1),
    "table.set": lambda w, s, it, n: it["table"].set(s, 1, it["f"]),
    "table.set another": lambda w, s, it, n: (it["table"].set(s, 0, it["g"]), it["table"].set(s, 0, it["f"])),
    "table.grow": lambda w, s, it, n: it["table"].grow(s, it["table"].size(s), it["f"]),
    "objects": lambda w, s, it, n: (it["objects"].set(s, 1, w), it["objects"].get(s, 1)),
    "global": lambda w, s, it, n: (it["number"].set_value(s, 7), it["number"].value(s)),
    "object": lambda w, s, it, n: (it["object"].set_value(s, w), it["object"].value(s)),
    "instantiate": lambda w, s, it, n: Instance(s, w.small, []),
    "new": lambda w, s, it, n: (
        Memory(s, MemoryType(Limits(1, 5))),
        Table(s, TableType(ValType.funcref(), Limits(3, 9)), it["f"]),
    ),
    "gc": lambda w, s, it, n: s.gc(),
    "set_limits": lambda w, s, it, n: s.set_limits(memory_size=2000 * PAGE),
    "close": lambda w, s, it, n: s.close(),
    "drop": lambda w, s, it, n: w.renew(),
}
CALLS: Final = ("count", "indirect", "grow from wasm", "grow table from wasm", "fill", "copy")


def attempt(world: World, operation: Operation) -> None:
    store, it, counted = world.now
    try:
        operation(world, store, it, counted)
    except (BrolgaError, RuntimeError) as error:
        if type(error) is RuntimeError and "in use on another thread" not in str(error):
            raise
        if isinstance(error, BrolgaError) and "failed to grow" in str(error):
            world.renew()
    except ValueError as error:
        assert str(error) == "already closed", error
        world.renew()


def check(world: World, exact: bool) -> None:
    """The store that is left is right."""
    store, it, counted = world.now
    try:
        pages = it["pages"](store)
        assert pages == it["memory"].size(store), pages
        content = it["memory"].read(store, 0, 12)
        if exact:
            assert int.from_bytes(content[8:12], "little") == counted[0] % 2**32, (content, counted)
        assert it["memory"].data_len(store) == len(it["memory"].read(store)) == pages * PAGE
        for i in range(it["table"].size(store)):
            it["table"].get(store, i)
        it["table"].set(store, 0, it["f"])
        it["indirect"](store, 10)
    except ValueError as error:
        assert str(error) == "already closed", error


def main() -> None:
    who, seconds = sys.argv[1], float(sys.argv[2])
    names = sys.argv[3:5]
    sys.setswitchinterval(1e-6)
    engine = Engine()
    world = World(engine, Module(engine, TEXT), Module(engine, SMALL))
    first, second = (OPERATIONS[name] for name in names)
    failures: list[BaseException] = []
    end = time.monotonic() + seconds

    def work(operation: Operation) -> None:
        try:
            while time.monotonic() < end:
                attempt(world, operation)
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    if who == "threads":
        threads = [threading.Thread(target=work, args=(operation,)) for operation in (first, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    else:
        busy = False

        def handler(*_: object) -> None:
            nonlocal busy
            if not busy:
                busy = True
                try:
                    attempt(world, second)
                except BaseException as error:  # noqa: BLE001
                    failures.append(error)
                busy = False

        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
        work(first)
        signal.setitimer(signal.ITIMER_REAL, 0)
        time.sleep(0.001)
    if failures:
        raise failures[0]
    check(world, "count" in names and names[0] != names[1])


if __name__ == "__main__":
    main()
