"""Mixed work in many threads for a long time: nothing may crash, hang or come out wrong, and at the end memory, mappings, file
descriptors and threads are what they were after a warm-up.

    python tests/fuzz/soak.py [--minutes 10] [--threads 8] [--seed N] [--platform linux|minimal]

Each thread does one random action after another, each in a store of its own. Before the figures are taken all threads end.
"""

from __future__ import annotations

import argparse
import ctypes
import faulthandler
import gc
import os
import queue
import random
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import brolga
from brolga import Config, Engine, Func, FuncType, Instance, Linker, Module, Store, Trap, TrapCode, ValType, WasiConfig

MODULE: Final = """
(module
  (import "" "host" (func $host (param i32) (result i32)))
  (memory (export "memory") 1 40)
  (table (export "table") 2 funcref)
  (elem (i32.const 0) func $add)
  (func $add (param i32 i32) (result i32) local.get 0 local.get 1 i32.add)
  (func (export "sum") (param $n i32) (result i32) (local $s i32)
    (loop $again
      (local.set $s (call_indirect (param i32 i32) (result i32) (local.get $s) (local.get $n) (i32.const 0)))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    local.get $s)
  (func (export "host") (param i32) (result i32) local.get 0 call $host)
  (func (export "load") (param i32) (result i32) local.get 0 i32.load)
  (func (export "store") (param i32 i32) local.get 0 local.get 1 i32.store)
  (func (export "grow") (param i32) (result i32) local.get 0 memory.grow)
  (func (export "divide") (param i32 i32) (result i32) local.get 0 local.get 1 i32.div_s)
  (func $deep (export "deep") (param i32) (result i32) local.get 0 call $deep)
  (func (export "loop") loop br 0 end))
"""
COMMAND: Final = Path(__file__).resolve().parent.parent / "data" / "wasi" / "files.wasm"
I32: Final = ValType.i32()
PATIENCE: Final = 20.0  # seconds for what takes milliseconds


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
    else:
        raise Failure(f"no trap, but {result!r}")


class Figures(NamedTuple):
    """What must not grow."""

    kilobytes: int
    mappings: int
    descriptors: int
    threads: int

    @classmethod
    def now(cls) -> Figures:
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
        mappings = Path("/proc/self/maps").read_bytes().count(b"\n")
        return cls(resident, mappings, len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task")))

    def grown_since(self, before: Figures) -> list[str]:
        """What has grown by more than noise: heaps of threads come and go."""
        limits = Figures(before.kilobytes // 10 + 8192, 168, 2, 1)  # 64 memories wait for their next use
        return [
            f"{name}: {old} -> {new}"
            for name, old, new, limit in zip(self._fields, before, self, limits, strict=True)
            if new - old > limit
        ]


class Soak:
    def __init__(self, platform: str, directory: Path) -> None:
        config = Config()
        config.platform = platform
        self.platform = platform
        self.engine = Engine(config)
        self.module = Module(self.engine, MODULE)
        self.binary = brolga.wat2wasm(MODULE)
        self.command = Module.from_file(self.engine, COMMAND)
        self.directory = directory
        self.done: Counter[str] = Counter()
        self.failures: list[str] = []
        self._fork_lock = threading.Lock()
        self._interrupts: queue.SimpleQueue[Store | None] = queue.SimpleQueue()

    # --- Actions: methods whose names begin with `do_` --------------------------------------------------------------------

    def new(
        self, host: Callable[[int], Any] = lambda value: value + 1, module: Module | None = None
    ) -> tuple[Store, Any]:
        module = module or self.module
        store = Store(module.engine)
        exports = Instance(store, module, [Func(store, FuncType([I32], [I32]), host)]).exports(store)
        return store, exports

    def check(self, store: Store, exports: Any) -> None:
        expect(exports["sum"](store, 100) == 5050, "wrong sum")

    def do_instantiate(self, rng: random.Random) -> None:
        self.check(*self.new())

    def do_call(self, rng: random.Random) -> None:
        store, exports = self.new()
        for _ in range(rng.randrange(200)):
            self.check(store, exports)

    def do_compute(self, rng: random.Random) -> None:
        store, exports = self.new()
        n = rng.randrange(1, 3_000_000)
        expect(exports["sum"](store, n) == ctypes.c_int32(n * (n + 1) // 2).value, "wrong long sum")

    def do_trap(self, rng: random.Random) -> None:
        store, exports = self.new()
        for _ in range(rng.randrange(20)):
            expect_trap(TrapCode.MEMORY_OUT_OF_BOUNDS, exports["load"], store, -1)
            expect_trap(TrapCode.INTEGER_DIVISION_BY_ZERO, exports["divide"], store, 1, 0)
        expect_trap(TrapCode.STACK_OVERFLOW, exports["deep"], store, 1)
        self.check(store, exports)

    def do_grow(self, rng: random.Random) -> None:
        store, exports = self.new()
        memory = exports["memory"]
        memory.write(store, b"begin")
        for _ in range(rng.randrange(1, 6)):
            size = memory.size(store)
            pages = rng.randrange(1, 5)
            grown = exports["grow"](store, pages) if rng.random() < 0.5 else memory.grow(store, pages)
            expect(grown == size and memory.size(store) == size + pages, "wrong size")
            end = memory.data_len(store) - 4
            exports["store"](store, end, 77)
            expect(exports["load"](store, end) == 77, "wrong content")
        expect(memory.read(store, 0, 5) == b"begin", "content lost")

    def do_callback(self, rng: random.Random) -> None:
        store, exports = self.new(lambda value: exports["host"](store, value - 1) + 1 if value > 0 else 0)
        depth = rng.randrange(50)
        expect(exports["host"](store, depth) == depth, "wrong depth")

    def do_failing_callback(self, rng: random.Random) -> None:
        error = KeyError(rng.random())

        def fail(value: int) -> int:
            raise error

        store, exports = self.new(fail)
        for _ in range(20):
            try:
                exports["host"](store, 1)
            except KeyError as caught:
                expect(caught is error, "another error")
                caught.__traceback__ = None
            else:
                raise Failure("no error")

    def do_interrupt(self, rng: random.Random) -> None:
        store, exports = self.new()
        self._interrupts.put(store)
        expect_trap(TrapCode.INTERRUPT, self._until_interrupted, store, exports)
        self.check(store, exports)

    def _until_interrupted(self, store: Store, exports: Any) -> None:
        exports["loop"](store)

    def do_timeout(self, rng: random.Random) -> None:
        store, exports = self.new()
        expect_trap(TrapCode.INTERRUPT, exports["loop"], store, timeout=rng.random() * 0.01)
        expect(exports["sum"](store, 100, timeout=PATIENCE) == 5050, "wrong sum")

    def do_epoch(self, rng: random.Random) -> None:
        config = Config()
        config.platform = self.platform
        config.epoch_interruption = True
        engine = Engine(config)
        store, exports = self.new(module=Module(engine, self.binary))
        store.set_epoch_deadline(1)
        self.check(store, exports)
        timer = threading.Timer(0.005, engine.increment_epoch)
        timer.start()
        expect_trap(TrapCode.INTERRUPT, exports["loop"], store)
        timer.join()

    def do_fork(self, rng: random.Random) -> None:
        store, exports = self.new()
        with self._fork_lock:  # one child at a time is enough of a load
            child = os.fork()
            if not child:
                status = 1
                try:
                    faulthandler.dump_traceback_later(PATIENCE, exit=True)
                    self.check(store, exports)
                    expect_trap(TrapCode.MEMORY_OUT_OF_BOUNDS, exports["load"], store, -1)
                    self.check(*self.new(module=Module(self.engine, self.binary)))
                    expect_trap(TrapCode.INTERRUPT, exports["loop"], store, timeout=0.01)
                    status = 0
                finally:
                    os._exit(status)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        expect(status == 0, f"the child ended with status {status}")
        self.check(store, exports)

    def do_close(self, rng: random.Random) -> None:
        with Store(self.engine) as store:
            exports: Any = Instance(
                store, self.module, [Func(store, FuncType([I32], [I32]), lambda value: value)]
            ).exports(store)
            self.check(store, exports)
        try:
            exports["sum"](store, 1)
        except ValueError:
            pass
        else:
            raise Failure("a closed store was entered")

    def do_views(self, rng: random.Random) -> None:
        it: Any = brolga.load(self.binary, imports={"": {"host": lambda value: value}}, engine=self.engine)
        view = memoryview(it.memory)
        view[8:12] = b"abcd"
        expect(it.load(8) == int.from_bytes(b"abcd", "little"), "the view is of another memory")
        if rng.random() < 0.5:
            it.close()
        del it
        expect(bytes(view[8:12]) == b"abcd", "the view lost its pages")

    def do_serialize(self, rng: random.Random) -> None:
        code = Module(self.engine, self.binary).serialize()
        self.check(*self.new(module=Module.deserialize(self.engine, code)))

    def do_compile(self, rng: random.Random) -> None:
        self.check(*self.new(module=Module(self.engine, self.binary)))

    def do_cycle(self, rng: random.Random) -> None:
        held: list[object] = []
        store, exports = self.new(lambda value: len(held))
        held.extend((store, exports))
        expect(exports["host"](store, 1) == 2, "wrong result")

    def do_wasi(self, rng: random.Random) -> None:
        with tempfile.TemporaryDirectory(dir=self.directory) as directory:
            config = WasiConfig()
            config.argv = ["files", "/guest"]
            config.stdout_file = directory + "/output"
            (Path(directory) / "guest").mkdir()
            config.preopen_dir(directory + "/guest", "/guest")
            store = Store(self.engine)
            store.set_wasi(config)
            linker = Linker(self.engine)
            linker.define_wasi()
            exports: Any = linker.instantiate(store, self.command).exports(store)
            try:
                exports["_start"](store)
            except brolga.ExitTrap as exit:
                expect(exit.code == 0, f"the program ended with status {exit.code}")
            expect((Path(directory) / "output").stat().st_size > 0, "no output")

    # --- Running them -----------------------------------------------------------------------------------------------------

    def _interrupter(self) -> None:
        while (store := self._interrupts.get()) is not None:
            while not store._state.running:
                time.sleep(0.0005)
            store.interrupt()
            store = None

    def begin(self, rng: random.Random, threads: int) -> None:
        """All that happens for the first time, in many threads at once, and the memory that all threads need at once."""
        for name in dir(self):
            if name.startswith("do_") and not self.failures:
                workers = [threading.Thread(target=self._do, args=(name, rng)) for _ in range(threads)]
                interrupter = threading.Thread(target=self._interrupter)
                for thread in (*workers, interrupter):
                    thread.start()
                for worker in workers:
                    worker.join()
                self._interrupts.put(None)
                interrupter.join()

    def _do(self, name: str, rng: random.Random) -> None:
        try:
            getattr(self, name)(rng)
        except Exception as error:  # noqa: BLE001
            self.failures.append(f"{name}: {type(error).__name__}: {error}")
            traceback.print_exc()
        self.done[name] += 1

    def _work(self, seed: int, end: float) -> None:
        rng = random.Random(seed)
        actions = [name for name in dir(self) if name.startswith("do_")]
        while time.monotonic() < end and not self.failures:
            self._do(rng.choice(actions), rng)

    def phase(self, seconds: float, threads: int, seed: int) -> Figures:
        """Work for so long; then the figures."""
        end = time.monotonic() + seconds
        workers = [threading.Thread(target=self._work, args=(seed + n, end)) for n in range(threads)]
        interrupter = threading.Thread(target=self._interrupter)
        for thread in (*workers, interrupter):
            thread.start()
        for worker in workers:
            worker.join(max(0.0, end - time.monotonic()) + PATIENCE)
            if worker.is_alive():
                faulthandler.dump_traceback()
                print("a thread hangs", flush=True)
                os._exit(2)
        self._interrupts.put(None)
        interrupter.join()
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        return Figures.now()


def main() -> int:
    parser = argparse.ArgumentParser(description="Mixed work in many threads for a long time.")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--platform", choices=("linux", "minimal"), default="linux")
    options = parser.parse_args()
    seconds = options.minutes * 60
    with tempfile.TemporaryDirectory() as directory:
        soak = Soak(options.platform, Path(directory))
        soak.begin(random.Random(options.seed), options.threads)
        before = soak.phase(seconds * 0.2, options.threads, options.seed)
        warm = soak.done.total()
        print(f"after the warm-up, {warm} actions: {before}", flush=True)
        after = before
        for part in range(4):
            if not soak.failures:
                after = soak.phase(seconds * 0.2, options.threads, options.seed + 1000 * (part + 1))
                print(f"after {soak.done.total()} actions: {after}", flush=True)
    print(", ".join(f"{name.removeprefix('do_')} {count}" for name, count in sorted(soak.done.items())))
    for problem in (*soak.failures, *after.grown_since(before)):
        print(problem)
    return 1 if soak.failures or after.grown_since(before) else 0


if __name__ == "__main__":
    sys.exit(main())
