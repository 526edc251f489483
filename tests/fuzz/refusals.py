"""What happens when the system says no: each of the main paths runs again and again, and each time another request is refused.

    python tests/fuzz/refusals.py [--of system|memory] [--scenario NAME] [--platform linux|minimal] [--step N] [--span N] [--first N]

`system`: calls of the C library and of Python's modules for it (mmap, mprotect, pthread_create, memfd_create ...) fail, one at a
time. `memory`: allocations of the interpreter fail (`_testcapi.set_nomemory`), `span` at a time.

Each attempt has a process of its own, forked from one that has everything ready. What is refused must end in a BrolgaError or a
MemoryError, or go unnoticed; then everything works: the same call again, others in the same store, new stores and modules,
on another thread, in a forked process. Anything else is a failure: a crash, ten seconds without an end, another error, a wrong
result, a descriptor that was left open.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import errno
import mmap
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, final

import brolga
from brolga import Config, Engine, Func, FuncType, Instance, Module, Store, Trap, TrapCode, ValType, WasiConfig

MODULE: Final = """
(module
  (import "" "host" (func $host (param i32) (result i32)))
  (import "" "wait" (func $wait (param i32) (result i32)))
  (memory (export "memory") 1 100)
  (table (export "table") 2 100 funcref)
  (global (export "global") (mut i32) (i32.const 5))
  (data (i32.const 8) "abc")
  (elem (i32.const 0) func $add)
  (func $add (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add)
  (func (export "host") (param i32) (result i32) local.get 0 call $host)
  (func (export "wait") (param i32) (result i32) local.get 0 call $wait)
  (func (export "indirect") (param i32) (result i32)
    (call_indirect (param i32 i32) (result i32) (local.get 0) (i32.const 1) (i32.const 0)))
  (func (export "load") (param i32) (result i32) local.get 0 i32.load8_u)
  (func (export "grow") (param i32) (result i32) local.get 0 memory.grow)
  (func (export "grow_table") (param i32) (result i32) ref.null func local.get 0 table.grow 0)
  (func (export "divide") (param i32 i32) (result i32) local.get 0 local.get 1 i32.div_s)
  (func $deep (export "deep") (param i32) (result i32) local.get 0 call $deep)
  (func (export "loop") loop br 0 end))
"""
COMMAND: Final = """
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\\10\\00\\00\\00\\06\\00\\00\\00") (data (i32.const 16) "hello\\n")
  (func (export "write") (result i32) (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 100)))
  (func (export "random") (result i32)
    (i32.add (call $random (i32.const 200) (i32.const 10)) (call $time (i32.const 1) (i64.const 0) (i32.const 304)))))
"""
I32: Final = ValType.i32()
PATIENCE: Final = 10  # seconds
DONE: Final = 7  # exit codes of attempts
NOT_REACHED: Final = 8
MOST_FAILURES: Final = 10  # of one series
# What CPython 3.11 itself, and the package of the assembler, make of a refusal of memory.
NOT_OURS: Final = (
    "returned NULL without setting an exception",
    "error return without exception set",
    "can't allocate lock",
    "deallocated bytearray object has exported buffers",
    "'Ks' object has no attribute '_ksh'",
    "del _active[get_ident()]",  # a thread that could not begin, for which Thread.start waits for ever
    "KeyError: <Thread(",
    "was never awaited",
    "threads = set(_enumerate())",  # in a forked child
)


class Failure(Exception):
    """Something came out wrong."""


def expect(condition: object, message: str) -> None:
    if not condition:
        raise Failure(message)


def expect_trap(code: TrapCode, function: Callable[..., Any], *args: Any, **keywords: Any) -> None:
    try:
        result = function(*args, **keywords)
    except Trap as trap:
        expect(trap.trap_code is code, f"trapped with {trap.trap_code} and not {code}")
        if not isinstance(trap, brolga.WasmTimeout):
            str(trap)
    else:
        raise Failure(f"no trap, but {result!r}")


class World:
    """Modules and a store with instances of them."""

    def __init__(self, binaries: tuple[bytes, bytes], platform: str) -> None:
        config = Config()
        config.platform = platform
        self.platform = platform
        self.binaries = binaries
        self.engine = Engine(config)
        self.store = Store(self.engine)
        self.instance = self.instantiate(self.store, Module(self.engine, binaries[0]))
        wasi = WasiConfig()
        wasi.stdout_custom = lambda data: None
        self.wasi = brolga.load(binaries[1], store=self.store, wasi=wasi)
        self.bound = brolga.load(binaries[1], engine=self.engine)

    def instantiate(self, store: Store, module: Module) -> Any:
        async def wait(value: int) -> int:
            await asyncio.sleep(0)
            return value + 1

        type = FuncType([I32], [I32])
        host = Func(store, type, lambda value: self.called(store, value))
        return Instance(store, module, [host, Func(store, type, wait)]).exports(store)

    def called(self, store: Store, value: int) -> int:
        return value + 1

    def call(self, name: str, *args: object, **keywords: Any) -> Any:
        return self.instance[name](self.store, *args, **keywords)


# Scenarios. They leave the world such that they can be run again.


def _calls(world: World) -> None:
    expect(world.call("add", 3, 4) == 7, "add")
    expect(world.call("indirect", 3) == 4, "indirect")
    expect(world.call("load", 9) == ord("b"), "load")


def _callbacks(world: World) -> None:
    for _ in range(12):  # until there are routines by signature
        expect(world.call("host", 3) == 4, "host")


def _traps(world: World) -> None:
    expect_trap(TrapCode.MEMORY_OUT_OF_BOUNDS, world.call, "load", 1 << 30)
    expect_trap(TrapCode.INTEGER_DIVISION_BY_ZERO, world.call, "divide", 1, 0)
    expect_trap(TrapCode.STACK_OVERFLOW, world.call, "deep", 1)


def _growth(world: World) -> None:
    memory, table = world.instance["memory"], world.instance["table"]
    pages, elements = memory.size(world.store), table.size(world.store)
    expect(world.call("grow", 1) in (pages, -1), "grow")
    expect(memory.size(world.store) in (pages, pages + 1), "size")
    expect(world.call("grow_table", 1) in (elements, -1), "grow_table")
    memory.grow(world.store, 1)
    table.grow(world.store, 1, None)
    expect(memory.read(world.store, 8, 11) == b"abc", "read")
    memory.write(world.store, b"\0", memory.data_len(world.store) - 1)


def _instances(world: World) -> None:
    store = Store(world.engine)
    exports = world.instantiate(store, Module(world.engine, world.binaries[0]))
    expect(exports["add"](store, 5, 6) == 11, "add")
    expect(exports["host"](store, 5) == 6, "host")
    expect(exports["memory"].read(store, 8, 11) == b"abc", "read")
    expect_trap(TrapCode.MEMORY_OUT_OF_BOUNDS, exports["load"], store, 1 << 30)
    expect_trap(TrapCode.STACK_OVERFLOW, exports["deep"], store, 1)
    store.close()


def _serialised(world: World) -> None:
    module = Module.deserialize(world.engine, Module(world.engine, world.binaries[0]).serialize())
    store = Store(world.engine)
    expect(world.instantiate(store, module)["add"](store, 5, 6) == 11, "add")


def _wasi(world: World) -> None:
    expect(world.wasi.write() in (0, 48), "write")  # ENOMEM
    expect(world.wasi.random() == 0, "random")


def _timeouts(world: World) -> None:
    expect_trap(TrapCode.INTERRUPT, world.call, "loop", timeout=0.02)
    expect(world.call("add", 1, 1, timeout=20) == 2, "add")


def _threads(world: World) -> None:
    failed: list[BaseException] = []

    def work() -> None:
        try:
            _instances(world)
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def _suspended(world: World) -> None:
    if world.platform == "minimal":
        return
    coroutine = world.instance["wait"].call_async(world.store, 4)
    try:
        while True:
            coroutine.send(None)
    except StopIteration as end:
        expect(end.value == 5, "wait")
    finally:
        coroutine.close()


def _forks(world: World) -> None:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            _calls(world)
            _instances(world)
            status = 0
        except (brolga.BrolgaError, MemoryError):
            status = 0
        finally:
            os._exit(status)
    expect(os.waitpid(pid, 0)[1] == 0, "child")


def _load(world: World) -> None:
    it = brolga.load(world.binaries[1], engine=world.engine)
    expect(it.random() == 0, "random")
    with it:
        pass


def _first(world: World) -> None:
    """In a process that has no machine."""
    _calls(World(world.binaries, world.platform))


SCENARIOS: Final[dict[str, Callable[[World], None]]] = {
    "calls": _calls,
    "callbacks": _callbacks,
    "traps": _traps,
    "growth": _growth,
    "instances": _instances,
    "serialised": _serialised,
    "wasi": _wasi,
    "timeouts": _timeouts,
    "threads": _threads,
    "suspended": _suspended,
    "forks": _forks,
    "load": _load,
    "first": _first,
}


# Refusing.


@final
class Refusals:
    """Of calls of the system: those with the numbers `first` up to `first + span`, from 0."""

    def __init__(self, first: int, span: int) -> None:
        self.first = first
        self.span = span
        self.count = 0
        self.refused = ""

    def refuses(self, name: str) -> bool:
        number = self.count
        self.count += 1
        if self.first <= number < self.first + self.span:
            self.refused += " " + name
            return True
        return False


# What a function of the C library returns when it is refused.
_REFUSED: Final = {
    "mmap": (1 << 64) - 1,
    "mremap": (1 << 64) - 1,
    "mprotect": -1,
    "munmap": -1,
    "madvise": -1,
    "sigaltstack": -1,
    "pthread_create": errno.EAGAIN,
    "pthread_getattr_np": errno.ENOMEM,
}


class _Library:
    """The C library, which refuses."""

    def __init__(self, library: ctypes.CDLL, refusals: Refusals) -> None:
        self._library = library
        self._refusals = refusals

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._library, name)
        if name not in _REFUSED:
            return function

        def call(*args: Any) -> Any:
            if self._refusals.refuses(name):
                ctypes.set_errno(errno.ENOMEM)
                return _REFUSED[name]
            return function(*args)

        return call


def _refusing(refusals: Refusals, name: str, function: Callable[..., Any], error: Exception) -> Callable[..., Any]:
    def call(*args: Any, **keywords: Any) -> Any:
        if refusals.refuses(name):
            raise error
        return function(*args, **keywords)

    return call


@contextmanager
def refusing_system(refusals: Refusals) -> Iterator[None]:
    from brolga.runtime.platform import linux

    full = OSError(errno.ENOMEM, "refused")
    places: list[tuple[Any, str, Any]] = [
        (linux, "libc", _Library(linux.libc, refusals)),
        (os, "memfd_create", _refusing(refusals, "memfd_create", os.memfd_create, OSError(errno.EMFILE, "refused"))),
        (os, "ftruncate", _refusing(refusals, "ftruncate", os.ftruncate, full)),
        (os, "pwrite", _refusing(refusals, "pwrite", os.pwrite, full)),
        (mmap, "mmap", _refusing(refusals, "mmap.mmap", mmap.mmap, full)),
        (
            threading,
            "_start_new_thread",
            _refusing(refusals, "thread", threading._start_new_thread, RuntimeError("can't start new thread")),  # type: ignore[attr-defined]
        ),
    ]
    before = [(where, name, getattr(where, name)) for where, name, _ in places]
    for where, name, what in places:
        setattr(where, name, what)
    try:
        yield
    finally:
        for where, name, what in before:
            setattr(where, name, what)


@contextmanager
def refusing_memory(refusals: Refusals) -> Iterator[None]:
    import _testcapi

    _testcapi.set_nomemory(refusals.first + 1, refusals.first + 1 + refusals.span)
    try:
        yield
    finally:
        _testcapi.remove_mem_hooks()


WAYS: Final = {"system": refusing_system, "memory": refusing_memory}


# Attempts.


def _descriptors() -> list[str]:
    return os.listdir("/proc/self/fd")


def _usual(world: World) -> None:
    for scenario in (_calls, _callbacks, _traps, _growth, _instances, _threads, _suspended, _wasi):
        scenario(world)


def _attempt(world: World, name: str, way: str, refusals: Refusals) -> int:
    """Run a scenario with refusals, then without. The exit code of the process."""
    scenario = SCENARIOS[name]
    allowed: BaseException | None = None
    descriptors = len(_descriptors())
    try:
        with WAYS[way](refusals):
            scenario(world)
    except (brolga.BrolgaError, MemoryError) as error:
        allowed = error
    except RuntimeError as error:
        if "can't start new thread" not in str(error) or name != "threads":  # the scenario's own
            raise
        allowed = error
    reached = allowed is not None or bool(refusals.refused)
    allowed = None
    scenario(world)
    if name == "first":
        world = World(world.binaries, world.platform)
    _usual(world)
    expect(len(_descriptors()) <= descriptors, f"descriptors: {_descriptors()}")
    return DONE if reached else NOT_REACHED


def _in_child(work: Callable[[], int]) -> tuple[int, str]:
    """The exit status of a forked process that does this, and what it says."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(read)
            os.dup2(write, 2)
            signal.alarm(PATIENCE)
            status = work()
        except BaseException:  # noqa: BLE001
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(status)
    os.close(write)
    with open(read, "rb") as file:
        text = file.read().decode(errors="replace")
    return os.waitpid(pid, 0)[1], text


def series(
    world: World, name: str, way: str, first: int = 0, step: int = 1, span: int = 1, last: int = 1 << 30
) -> list[str]:
    """Attempts with one refusal after the other, until there are no more. What went wrong."""
    found: list[str] = []
    beyond = 0
    attempts = 0
    for number in range(first, last, step):
        if len(found) >= MOST_FAILURES:
            break
        refusals = Refusals(number, span)
        status, text = _in_child(lambda refusals=refusals: _attempt(world, name, way, refusals))  # type: ignore[misc]
        attempts += 1
        if status == NOT_REACHED << 8:
            beyond += 1
            if way == "system" or beyond > 30:
                break
            continue
        beyond = 0
        if (status >= 256 or status == signal.SIGALRM) and any(words in text for words in NOT_OURS):
            continue
        if status != DONE << 8:
            kind = "hang" if status == signal.SIGALRM else f"signal {status}" if status < 256 else "wrong"
            found.append(f"{name}, {way} {number}+{span}: {kind}\n{text}")
        elif text.strip():
            found.append(f"{name}, {way} {number}+{span}: printed\n{text}")
    print(f"{name}, {way}: {attempts} attempts, {len(found)} failures", flush=True)
    return found


def new_world(binaries: tuple[bytes, bytes], platform: str, name: str) -> World:
    if name != "first":
        return World(binaries, platform)
    world = World.__new__(World)
    world.binaries, world.platform = binaries, platform
    return world


def run(name: str, way: str, platform: str, **limits: int) -> list[str]:
    """A series in a process of its own."""
    binaries = bytes(brolga.wat2wasm(MODULE)), bytes(brolga.wat2wasm(COMMAND))
    world = new_world(binaries, platform, name)
    if way == "memory" and name != "first":  # else most of what is refused is the compiler's
        SCENARIOS[name](world)
        _usual(world)
    return series(world, name, way, **limits)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--of", choices=WAYS, action="append")
    parser.add_argument("--scenario", choices=SCENARIOS, action="append")
    parser.add_argument("--platform", default="linux", choices=("linux", "minimal"))
    parser.add_argument("--step", type=int, default=1)
    parser.add_argument("--span", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--last", type=int, default=1 << 30)
    options = parser.parse_args()
    limits = {name: getattr(options, name) for name in ("first", "step", "span", "last")}
    failures = 0
    for way in options.of or WAYS:
        for name in options.scenario or SCENARIOS:
            pid = os.fork()  # each series begins in the same state
            if pid == 0:
                found = run(name, way, options.platform, **limits)
                for text in found:
                    print(text, flush=True)
                os._exit(bool(found))
            failures += os.waitpid(pid, 0)[1] != 0
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())
