"""Threads, the GIL and the watchdog. Timing is only ever used as a generous limit."""

from __future__ import annotations

import ctypes
import os
import random
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from brolga.ir import trap_codes
from brolga.jit.code import CompiledFunction
from brolga.runtime.machine import layout as L

from ..bytecodes import call_at_each_switch, raise_at_each_bytecode
from .loops import ENDLESS, ENDLESS_POLL, SUM, endless
from .scripts import run
from .test_entry import Store, entry
from .world import WasmTrap, World, call_import, function, i32_i32, nothing, u64, when_running


def test_other_threads_run_during_a_long_call(platform: str) -> None:
    world = endless(platform)
    counted = 0

    def count() -> None:
        nonlocal counted
        for _ in range(20):
            time.sleep(0.005)
            counted += 1
        world.state.interrupt()

    thread = when_running(world, count)
    with pytest.raises(WasmTrap):
        world.call(0, nothing)
    thread.join()
    assert counted == 20


def test_store_is_refused_to_a_second_thread(platform: str) -> None:
    world = World(
        [function(0, ENDLESS if platform == "linux" else ENDLESS_POLL), function(1, "mov eax, edi\n ret")], platform
    )
    store = Store()
    fast = entry(world, 1, i32_i32, store)
    errors: list[str] = []

    def other() -> None:
        for call in (lambda: world.call(1, i32_i32, 1), lambda: fast(store, 1)):
            try:
                call()
            except RuntimeError as error:
                errors.append(str(error))
        world.state.interrupt()

    thread = when_running(world, other)
    with pytest.raises(WasmTrap):
        world.call(0, nothing)
    thread.join()
    assert errors == ["the store is in use on another thread"] * 2
    assert world.call(1, i32_i32, 1) == [1]


def test_store_may_change_threads(platform: str) -> None:
    world = World([function(0, "lea eax, [rdi + 1]\n ret")], platform)
    results: list[list[int]] = []
    for i in range(20):
        thread = threading.Thread(target=lambda i=i: results.append(world.call(0, i32_i32, i)))  # type: ignore[misc]
        thread.start()
        thread.join()
    assert results == [[i + 1] for i in range(20)]
    assert world.call(0, i32_i32, 1) == [2]


def test_threads_give_their_stacks_back() -> None:
    world = World([function(0, "lea eax, [rdi + 1]\n ret")])
    machine = world.machine

    def use() -> None:
        threads = [threading.Thread(target=lambda: World([function(0, "ret")]).call(0, nothing)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    use()
    records = len(machine.threads.all())
    for _ in range(10):
        use()
    assert len(machine.threads.all()) <= records + 4  # as many as run at the same time
    free = [record for record in machine.threads.all() if L_free(record)]
    assert free
    for record in free:
        assert u64(record + L.THREAD_FS).value == 0
        assert u64(record + L.THREAD_STATE).value == 0


def L_free(record: int) -> bool:
    return bool(u64(record + L.THREAD_DEPTH).value >> 32)


def test_threads_under_random_interrupts() -> None:
    """Traps, exceptions, nested calls and interrupts on several threads at once, results right throughout."""
    count = 50_000
    body = SUM
    reference = World([function(0, body)]).call(0, i32_i32, count)
    stop = time.monotonic() + 3
    failures: list[BaseException] = []
    worlds: list[World] = []
    interrupted = [0] * 4

    def work(k: int) -> None:
        rnd = random.Random(k)
        depth = 0
        world = World(
            [
                function(0, body),
                function(1, f"push rbp\n{call_import()}\n pop rbp\n ret"),
                function(2, "trap: ud2", traps={"trap": trap_codes.UNREACHABLE}),
                function(3, "push rbx\nto: call 0\n pop rbx\n ret", {"start": 8}, calls={"to": 3}),
                function(4, ENDLESS),
            ]
        )

        def host(x: int) -> int:
            nonlocal depth
            choice = rnd.random()
            if choice < 0.2:
                raise KeyError(x)
            if choice < 0.7 and depth < 10:
                depth += 1
                try:
                    return world.call(1, i32_i32, x)[0]
                finally:
                    depth -= 1
            return x

        world.import_function(i32_i32, host)
        worlds.append(world)
        while time.monotonic() < stop:
            func = rnd.choice((0, 0, 1, 1, 1, 2, 3, 4))
            try:
                if func == 0:
                    assert world.call(0, i32_i32, count) == reference
                elif func == 1:
                    assert world.call(1, i32_i32, 7) == [7]
                else:
                    world.call(func, nothing)
                    raise AssertionError(func)
            except WasmTrap as trap:
                if trap.code == trap_codes.INTERRUPT:
                    interrupted[k] += 1
                elif trap.code != {2: trap_codes.UNREACHABLE, 3: trap_codes.STACK_OVERFLOW}[func]:
                    raise
            except KeyError:
                assert func == 1

    def guarded(k: int) -> None:
        try:
            work(k)
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.001)
        for world in worlds:
            world.state.interrupt()
    assert failures == []
    assert all(interrupted)


def test_watchdog_sleeps_and_wakes(platform: str) -> None:
    """Without wasm it parks; a long call after that still lets other threads run."""
    world = endless(platform)
    parked = ctypes.c_uint32.from_address(world.machine._cells + L.CELL_PARKED)
    for _ in range(2):
        when_running(world, world.state.interrupt)
        with pytest.raises(WasmTrap):
            world.call(0, nothing)
        limit = time.monotonic() + 20
        while not parked.value:
            assert time.monotonic() < limit
            time.sleep(0.01)
        time.sleep(0.01)


def while_attaching(world: World, monkeypatch: pytest.MonkeyPatch, action: Callable[[], object]) -> None:
    """Do something in the midst of this thread's next entry, as another thread could that gets the GIL there."""
    current = world.machine.threads.current
    caller = threading.current_thread()

    def attach_and_act() -> int:
        record = current()
        if threading.current_thread() is caller:
            action()
        return record

    monkeypatch.setattr(world.machine.threads, "current", attach_and_act)


def test_a_thread_that_enters_while_another_one_attaches(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world = endless(platform)
    traps: list[int] = []

    def run() -> None:
        with pytest.raises(WasmTrap) as caught:
            world.call(0, nothing)
        traps.append(caught.value.code)

    thread = threading.Thread(target=run)

    def enter() -> None:
        thread.start()
        while not world.state.running:
            time.sleep(0.001)

    while_attaching(world, monkeypatch, enter)
    with pytest.raises(RuntimeError, match="in use on another thread"):
        world.call(0, nothing)
    world.state.interrupt()
    thread.join()
    assert traps == [trap_codes.INTERRUPT]


def test_closing_while_a_thread_attaches(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world = endless(platform)
    while_attaching(world, monkeypatch, world.state.close)
    with pytest.raises(ValueError, match="closed"):
        world.call(0, nothing)


# --- Threads that the system refuses, and what comes in while one is attached


@pytest.mark.parametrize("refusal", ["RuntimeError", "MemoryError"])
def test_no_thread_for_the_watchdog(platform: str, refusal: str) -> None:
    """The first calls raise. When there is a thread again, it looks after long calls."""
    run(f"""
        from brolga.ir.errors import BrolgaError
        from brolga.runtime.platform.interface import PlatformError
        def refuse(*args):
            raise {refusal}("no thread")
        def refuse_native(code):
            raise PlatformError("the system refuses a thread")
        from tests.runtime.machine.loops import ENDLESS_POLL
        body = "again: jmp again" if {platform!r} == "linux" else ENDLESS_POLL
        world = World([function(0, "lea eax, [rdi + 1]\\n ret"), function(1, body)], {platform!r})
        real, native = threading._start_new_thread, world.machine.platform.start_thread
        threading._start_new_thread, world.machine.platform.start_thread = refuse, refuse_native
        for _ in range(3):
            try:
                world.call(0, i32_i32, 1)
                raise AssertionError
            except BrolgaError as error:
                assert "thread" in str(error)
            assert not world.state.running
        threading._start_new_thread, world.machine.platform.start_thread = real, native
        assert world.call(0, i32_i32, 1) == [2]
        when_running(world, world.state.interrupt)   # another Python thread gets its turn
        try:
            world.call(1, nothing)
            raise AssertionError
        except WasmTrap as error:
            assert error.code == trap_codes.INTERRUPT
    """)


def test_a_second_watchdog_ends_itself(platform: str) -> None:
    world = endless(platform)
    when_running(world, world.state.interrupt)
    with pytest.raises(WasmTrap):
        world.call(0, nothing)
    before = len(os.listdir("/proc/self/task"))
    watchdog = world.machine._watchdog
    for _ in range(5):
        watchdog._started = False
        watchdog.start()
    end = time.monotonic() + 60
    while len(os.listdir("/proc/self/task")) > before:
        assert time.monotonic() < end
        time.sleep(0.01)


def in_new_threads(world: World, numbers: Callable[[Callable[[], object]], Iterator[int]]) -> int:
    """Run a call in threads that have never entered wasm, and something in its middle; each once."""
    tries = 0
    more = True

    def work() -> None:
        nonlocal more
        more = next(iter(numbers(lambda: world.call(0, i32_i32, 1))), None) is not None
        assert world.call(0, i32_i32, 1) == [2]
        if world.machine.platform.stacks:
            with pytest.raises(WasmTrap) as caught:  # the signal handler has a stack of its own
                world.call(1, i32_i32, 1)
            assert caught.value.code == trap_codes.STACK_OVERFLOW
        done.append(1)

    done: list[int] = []
    while more and tries < 1000:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        tries += 1
        assert len(done) == tries
    return tries


def test_calls_in_the_middle_of_attaching_a_thread(platform: str) -> None:
    world = World([function(0, "lea eax, [rdi + 1]\n ret"), deep()], platform)
    count = 0

    def numbers(call: Callable[[], object]) -> Iterator[int]:
        nonlocal count
        count += 1
        return call_at_each_switch(call, lambda: world.call(0, i32_i32, 1), first=count - 1)

    assert in_new_threads(world, numbers) > 20


def test_exceptions_in_the_middle_of_attaching_a_thread(platform: str) -> None:
    world = World([function(0, "lea eax, [rdi + 1]\n ret"), deep()], platform)
    count = 0

    def numbers(call: Callable[[], object]) -> Iterator[int]:
        nonlocal count
        count += 5
        return raise_at_each_bytecode(call, first=count)

    in_new_threads(world, numbers)
    records = len(world.machine.threads.all())
    count = 2
    assert in_new_threads(world, numbers) > 20
    assert len(world.machine.threads.all()) <= records + 2


def deep() -> CompiledFunction:
    return function(1, "push rbx\nto: call 0\n pop rbx\n ret", {"start": 8}, calls={"to": 1})


def test_a_poller_that_is_woken_before_it_waits_goes_on() -> None:
    """Who has woken it has set the flag back and may have left wasm again: if it waited then, nobody would wake it any more."""
    from brolga.runtime.machine.watchdog import Watchdog

    class Semaphore:
        def __init__(self) -> None:
            self.waits: list[tuple[object, ...]] = []

        def acquire(self, *args: object) -> bool:
            self.waits.append(args)
            parked.value = 0  # as who wakes it does
            return True

    class NobodyInWasm:
        def in_wasm(self) -> list[int]:
            return []

    parked = ctypes.c_uint32()
    watchdog = object.__new__(Watchdog)
    watchdog._parked = parked
    watchdog._semaphore = semaphore = Semaphore()  # type: ignore[assignment]
    watchdog._threads = NobodyInWasm()  # type: ignore[assignment]
    watchdog._park()
    assert len(semaphore.waits) == 1 and len(semaphore.waits[0]) == 2, "with a limit"
