"""Does the steps of a sequence, and judges what comes out of each."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import traceback
import types
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import brolga
from brolga import (
    BrolgaError,
    Config,
    Engine,
    Func,
    FuncType,
    Global,
    GlobalType,
    Instance,
    Limits,
    Linker,
    Memory,
    MemoryType,
    Module,
    Store,
    Table,
    TableType,
    ValType,
)

from . import guests, health
from .arguments import make
from .chooser import Chooser
from .disturbances import Alarm, Interruption, disturbed, starts_a_program
from .hostile import Hostile
from .judgement import EXPECTED, untyped, wrong_result
from .operations import RESULTS, perform
from .steps import Sequence, Step
from .world import World

MOST_DEPTH: Final = 3  # of steps within steps
CHILD_SECONDS: Final = 30
MUCH_FUEL: Final = 10**9
# Classes that are not for users to make: what is made of anything has anything for attributes.
INTERNAL: Final = frozenset({cls.__name__ for cls in RESULTS} | {"Caller", "InstancePre"})
BINARIES: Final[dict[str, bytes]] = {}  # of the modules of `guests.py`, made once for all processes
ARTIFACTS: Final[dict[str, bytes]] = {}


def prepare() -> None:
    for name, text in guests.TEXTS.items():
        BINARIES[name] = bytes(brolga.wat2wasm(text))


@types.coroutine
def _wait() -> Any:
    yield "waiting"


class Execution:
    """One sequence in this process. `log` is given each step before it is done."""

    def __init__(self, sequence: Sequence, world: World, log: Callable[[Step], None]) -> None:
        self.sequence = sequence
        self.world = world
        self.alarm = Alarm()
        self.done: Counter[str] = Counter()
        self._log = log
        self._depth = threading.local()
        self.disturbed = False

    # --- All steps --------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        steps, modes = self.sequence.steps, self.sequence.modes
        threads = (
            sorted({step.thread for step in steps}) if steps is not None else [0, 1, 2] if "threads" in modes else [0]
        )
        workers = [threading.Thread(target=self._work, args=(number,)) for number in threads if number]
        before = sys.getswitchinterval()
        if workers:
            sys.setswitchinterval(1e-6)
        for worker in workers:
            worker.start()
        self._work(0)
        for worker in workers:
            worker.join()
        sys.setswitchinterval(before)

    def _work(self, thread: int) -> None:
        try:
            if self.sequence.steps is not None:
                for step in self.sequence.steps:
                    if step.thread == thread:
                        self._log(step)
                        self.run_step(step)
            else:
                chooser = Chooser(self.world, self.sequence, thread)
                for _ in range(self.sequence.length):
                    step = chooser.step()
                    self._log(step)
                    self.run_step(step)
        except BaseException:  # noqa: BLE001  a mistake of the fuzzer
            self.world.fail(f"the fuzzer failed: {traceback.format_exc()}")

    def nested(self, steps: list[dict[str, Any]]) -> Callable[[], None]:
        """What does these steps."""

        def do() -> None:
            depth = getattr(self._depth, "value", 0)
            if depth < MOST_DEPTH:
                self._depth.value = depth + 1
                try:
                    for step in steps:
                        self.run_step(Step(**step))
                finally:
                    self._depth.value = depth

        return do

    # --- One step ---------------------------------------------------------------------------------------------------------

    def run_step(self, step: Step) -> None:
        world = self.world
        if self.disturbed and starts_a_program(step):
            return
        try:
            target = make(self, step.target) if step.target is not None else None
            args = [make(self, argument) for argument in step.args if argument[0] != "options"]
            keywords = {name: make(self, argument) for name, argument in step.keywords.items()}
        except KeyError:  # what it needs was not made
            self.done["left out"] += 1
            return
        except EXPECTED:  # making arguments uses the package too
            return
        if step.kind == "replace":
            world.patched = True
        if (
            step.kind == "bare"
            or "new" in (argument[0] for argument in step.args)
            or (step.kind in ("new", "init") and step.owner in INTERNAL)
        ):
            world.unmade = True
        if _wants_much(args) or _wants_much(list(keywords.values())):
            world.scarce = True
        owner, known = self._of(step)
        failed: BaseException | None = None
        result: object = None
        least = world.least_size(step.target)
        try:
            result = disturbed(self, step.disturbance, lambda: self._do(step, target, args, keywords))
        except BaseException as error:  # noqa: BLE001  judged below
            failed = error
        self.done[f"{step.kind} {step.owner}.{step.name}" if step.kind != "build" else "build"] += 1
        if failed is not None:
            reason = None if world.patched else untyped(failed, step, world, self.sequence)
            if reason:
                world.fail(reason)
            if isinstance(failed, BrolgaError) and random.random() < 0.1:
                world.add(step.label, failed)
            failed.__traceback__ = None
            return
        if step.right:
            reason = wrong_result(self.world, self.sequence, step, target, known, args, result, least)
            if reason:
                world.fail(f"wrong result: {reason}")
        world.add(step.label, result, owner)

    def _of(self, step: Step) -> tuple[str, str]:
        """The store that the step is about, and what is known of its function."""
        owner = known = ""
        for argument in [step.target, *step.args]:
            thing = self.world.things.get(argument[1]) if argument is not None and argument[0] == "ref" else None
            if thing is not None:
                owner = owner or thing.owner
                if argument is step.target:
                    known = thing.known
        return owner, known

    def _do(self, step: Step, target: Any, args: list[Any], keywords: dict[str, Any]) -> Any:
        if step.kind == "build":
            return self._build(step, target)
        if step.kind == "fork":
            return self._fork()
        if step.kind == "drive":
            return _drive(target, *args)
        return perform(step.kind, step.owner, step.name, target, args, keywords)

    # --- Steps of the fuzzer's own ----------------------------------------------------------------------------------------

    def _build(self, step: Step, target: Any) -> Any:
        """An instance of the module, in the way that the step says."""
        options = step.args[0][1]
        world, label, name = self.world, step.label, step.owner
        store = target if step.name == "same store" and isinstance(target, Store) else None
        if store is None:
            config = Config()
            config.consume_fuel = options["fuel"]
            config.epoch_interruption = options["epochs"]
            config.eager = options["eager"]
            config.cranelift_opt_level = "speed" if options["opt"] else "none"
            if options["stack"]:
                config.max_wasm_stack = options["stack"]
            if options["minimal"]:
                config.platform = "minimal"
            engine = Engine(config)
            world.add(f"{label}.engine", engine)
            store = Store(engine, world)
            if options["fuel"]:
                store.set_fuel(MUCH_FUEL)
            if options["epochs"]:
                store.set_epoch_deadline(10**6)
        world.add(f"{label}.store", store)
        owner = f"{label}.store"
        binary = BINARIES[name]
        if step.name == "load" and name not in ("shared", "wasi"):
            host = self.host_function("echo", [])
            world.add(label, brolga.load(binary, {"": {"host": host, "note": lambda *args: None}}, store=store), owner)
            return None
        module = Module(store.engine, binary)
        world.add(f"{label}.module", module, owner)
        linker = Linker(store.engine)
        world.add(f"{label}.linker", linker, owner)
        if name == "wasi":
            store.set_wasi(self._wasi())
            linker.define_wasi()
        if name in ("host", "start"):
            note = Func(store, FuncType([ValType.externref(), ValType.i64()], []), lambda *args: None)
            host = Func(store, FuncType([ValType.i32()], [ValType.i32()]), self.host_function("echo", []))
            linker.define(store, "", "host", host)
            linker.define(store, "", "note", note)
            world.add(f"{label}.host", host, owner)
        if name == "shared":
            shared = {
                "memory": Memory(store, MemoryType(Limits(1, 20))),
                "functions": Table(store, TableType(ValType.funcref(), Limits(2, 100)), None),
                "g64": Global(store, GlobalType(ValType.i64(), True), 64),
            }
            for item_name, item in shared.items():
                linker.define(store, "shared", item_name, item)
                world.add(f"{label}.{item_name}", item, owner, item_name)
        instance: Instance = linker.instantiate(store, module)
        world.add(f"{label}.instance", instance, owner)
        world.add(label, instance.exports(store), owner)
        return None

    def _wasi(self) -> brolga.WasiConfig:
        config = brolga.WasiConfig()
        config.argv = ["program", "argument"]
        config.stdout_custom = lambda data: None
        config.preopen_dir(str(self.world.directory / "directory"), "/guest")
        return config

    def _fork(self) -> None:
        """A child that looks whether all is well with it."""
        child = os.fork()
        if child == 0:
            status = 1
            try:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.alarm(CHILD_SECONDS)
                problems = health.of_process()
                if "threads" not in self.sequence.modes:
                    problems += health.of_world(self.world)
                for problem in problems:
                    os.write(2, f"in the child: {problem}\n".encode())
                status = 2 if problems else 0
            except BaseException:  # noqa: BLE001
                traceback.print_exc()
            finally:
                os._exit(status)
        while True:
            try:
                status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                break
            except Interruption:
                continue
        if status:
            self.world.fail(f"wrong result: a child ended with status {status}")

    def guest(self, name: str, form: str, place: int) -> Any:
        """A module as bytes or text, whole or damaged."""
        if form == "text":
            return guests.TEXTS[name]
        if form == "artifact":
            return Module(Engine(), BINARIES[name]).serialize()
        data = BINARIES[name]
        if form == "truncated":
            return data[: place % len(data)]
        if form == "changed":
            changed = bytearray(data)
            changed[place % len(data)] ^= 1 << place % 8
            return bytes(changed)
        return bytearray(data) if form == "bytearray" else data

    def host_function(self, kind: str, steps: list[dict[str, Any]]) -> Callable[..., Any]:
        told = self.nested(steps)
        error = Hostile("from a host function")

        def echo(*args: Any) -> Any:
            return args[0] if args else None

        def with_steps(*args: Any) -> Any:
            told()
            return args[0] if args else None

        def with_caller(*args: Any) -> Any:
            for arg in args[:1]:
                if isinstance(arg, brolga.Caller):
                    self.world.add("caller", arg)
            told()
            return next((arg for arg in args if isinstance(arg, int)), None)

        def fail(*args: Any) -> Any:
            raise error.with_traceback(None)

        async def asynchronous(*args: Any) -> Any:
            await _wait()
            return args[0] if args else None

        def end(*args: Any) -> Any:
            raise brolga.ExitTrap("the end", 3)

        return {
            "echo": echo,
            "steps": with_steps,
            "caller": with_caller,
            "raise": fail,
            "wrong": lambda *args: "wrong",
            "asynchronous": asynchronous,
            "exit": end,
        }[kind]


def _drive(coroutine: Any, times: int) -> None:
    """Let a suspended call go on so often; 0 ends it."""
    if not times:
        coroutine.close()
    for _ in range(times):
        try:
            coroutine.send(None)
        except StopIteration:
            return


def _wants_much(args: list[Any]) -> bool:
    """Whether a number is so large that memory may end."""
    return any(type(arg) is int and arg > 1 << 16 or isinstance(arg, (Limits, TableType, MemoryType)) for arg in args)
