"""Interruption and Python's signals. Timing is only ever used as a generous limit."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from brolga.ir import trap_codes
from brolga.runtime.machine import layout as L
from brolga.runtime.machine import watchdog

from .loops import ENDLESS, ENDLESS_POLL, HOST_LOOP, POLL, endless, summing
from .world import WasmTrap, World, call_import, function, i32_i32, nothing, when_running


@pytest.fixture
def alarm() -> Iterator[list[int]]:
    """SIGALRM calls a Python handler that appends to the list; the timer is left to the test."""
    hits: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: hits.append(number))
    yield hits
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_interrupt_from_another_thread(platform: str) -> None:
    world = endless(platform)
    for _ in range(3):
        when_running(world, world.state.interrupt)
        with pytest.raises(WasmTrap) as caught:
            world.call(0, nothing)
        assert caught.value.code == trap_codes.INTERRUPT
        assert [func for func, _ in caught.value.frames] == [0]
        assert not world.state.running


def test_interrupt_of_a_store_that_does_not_run_does_nothing(platform: str) -> None:
    poll = POLL if platform == "minimal" else ""
    world = World([function(0, f"push rbx\n mov ebx, edi\n {poll}\n lea eax, [rbx + 1]\n pop rbx\n ret")], platform)
    world.state.interrupt()
    assert world.call(0, i32_i32, 1) == [2]
    assert world.call(0, i32_i32, 1) == [2]


def test_interrupt_in_a_host_function(platform: str) -> None:
    world = World([function(0, f"push rbp\n{call_import()}\n pop rbp\n ret", {"start": 8})], platform)

    def host(x: int) -> int:
        world.state.interrupt()
        return x

    world.import_function(i32_i32, host)
    with pytest.raises(WasmTrap) as caught:
        world.call(0, i32_i32, 1)
    assert caught.value.code == trap_codes.INTERRUPT
    assert [func for func, _ in caught.value.frames] == [0]


def test_interrupt_ends_outer_activations_too(platform: str) -> None:
    world = World(
        [
            function(0, f"push rbp\n{call_import()}\n pop rbp\n ret"),
            function(1, ENDLESS if platform == "linux" else ENDLESS_POLL),
        ],
        platform,
    )
    inner: list[int] = []

    def host(x: int) -> int:
        try:
            world.call(1, nothing)
        except WasmTrap as trap:
            inner.append(trap.code)
        return x

    world.import_function(i32_i32, host)
    when_running(world, world.state.interrupt)
    with pytest.raises(WasmTrap) as caught:
        world.call(0, i32_i32, 1)
    assert inner == [trap_codes.INTERRUPT]
    assert caught.value.code == trap_codes.INTERRUPT


def test_interrupts_are_not_lost(platform: str) -> None:
    """Requests at random moments, each for the activation that runs then: the endless one ends every time."""
    world = World([function(0, HOST_LOOP), function(1, ENDLESS if platform == "linux" else ENDLESS_POLL)], platform)
    world.import_function(i32_i32, lambda x: x)
    rounds = 100 if platform == "linux" else 30
    number = [0]
    done = threading.Event()

    def interrupter() -> None:
        seen = 0
        rnd = random.Random(1)
        while not done.is_set():
            if number[0] != seen and world.state.running:
                seen = number[0]
                for _ in range(rnd.randrange(200)):
                    pass
                world.state.interrupt()

    thread = threading.Thread(target=interrupter)
    thread.start()
    for i in range(rounds):
        number[0] += 1
        with pytest.raises(WasmTrap) as caught:
            world.call(i % 2, nothing)
        assert caught.value.code == trap_codes.INTERRUPT
    done.set()
    thread.join()


def test_python_signal_handlers_run_and_wasm_goes_on(platform: str, alarm: list[int]) -> None:
    world = World([summing(platform)], platform)
    count = 1_000_000
    expected = world.call(0, i32_i32, count)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    for _ in range(10_000):
        assert world.call(0, i32_i32, count) == expected
        if len(alarm) > 100:
            break
    else:
        pytest.fail(f"{len(alarm)} signals")


def test_handler_that_raises_ends_wasm(platform: str) -> None:
    class Timeout(Exception):
        pass

    def handler(number: int, frame: object) -> None:
        raise Timeout

    world = endless(platform)
    before = signal.signal(signal.SIGALRM, handler)
    try:
        for _ in range(3):
            with pytest.raises(Timeout):
                signal.setitimer(signal.ITIMER_REAL, 0.02)
                world.call(0, nothing)
            assert not world.state.running
    finally:
        signal.signal(signal.SIGALRM, before)


def test_who_comes_in_while_the_poll_thread_goes_to_sleep_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has looked and seen nobody; wasm is entered, and needs not wake it; it goes to sleep."""

    class Timeout(Exception):
        pass

    def handler(number: int, frame: object) -> None:
        raise Timeout

    world = endless("minimal")
    quick = World([function(0, "ret")], "minimal")
    looking, done, rescued = threading.Event(), threading.Event(), threading.Event()
    in_wasm = world.machine.threads.in_wasm

    def look() -> list[int]:
        found = in_wasm()
        if threading.get_ident() != threading.main_thread().ident and not found:
            looking.set()
            while not world.state.running and not done.is_set():
                time.sleep(0.001)
        return found

    def rescue() -> None:
        rescued.set()
        ctypes.c_uint32.from_address(world.state.address + L.STATE_INTERRUPT).value = 1

    monkeypatch.setattr(watchdog, "IDLE_POLLS", 0)
    monkeypatch.setattr(world.machine.threads, "in_wasm", look)
    timer = threading.Timer(30, rescue)
    before = signal.signal(signal.SIGALRM, handler)
    try:
        while not looking.wait(0.01):
            quick.call(0, nothing)  # wakes it if it sleeps
        timer.start()
        with pytest.raises(Timeout):
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            world.call(0, nothing)
        assert not rescued.is_set()
    finally:
        done.set()
        timer.cancel()
        signal.signal(signal.SIGALRM, before)


def test_handlers_set_during_a_call_are_noticed(platform: str) -> None:
    """A Python handler that sets another one puts CPython's in place of ours, after the GIL has been released."""

    class Timeout(Exception):
        pass

    def second(number: int, frame: object) -> None:
        raise Timeout

    def first(number: int, frame: object) -> None:
        signal.signal(signal.SIGALRM, second)
        signal.setitimer(signal.ITIMER_REAL, 0.05)

    world = endless(platform)
    before = signal.signal(signal.SIGALRM, first)
    try:
        with pytest.raises(Timeout):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            world.call(0, nothing)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_signal_before_a_call_does_not_hide_handlers_set_after_it() -> None:
    """It sends the thread to the safepoint at once, where the GIL is released; the handlers must have been looked at."""

    class Timeout(Exception):
        pass

    def handler(number: int, frame: object) -> None:
        raise Timeout

    world = endless("linux")
    waits = ctypes.c_uint32.from_address(world.machine.threads.current() + L.THREAD_SIGNALS)
    before = signal.signal(signal.SIGALRM, handler)
    try:
        waits.value = 1
        with pytest.raises(Timeout):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            world.call(0, nothing)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_signal_on_the_way_into_wasm_is_not_lost(alarm: list[int]) -> None:
    """It is noted before the thread is in wasm, so that the watchdog sends it to the safepoint when it is."""
    world = World([summing("linux")], "linux")
    waits = ctypes.c_uint32.from_address(world.machine.threads.current() + L.THREAD_SIGNALS)
    for _ in range(10_000):  # until the watchdog has put our handler in place
        world.call(0, i32_i32, 1_000_000)
        waits.value = 0
        signal.raise_signal(signal.SIGALRM)
        if waits.value:
            break
    else:
        pytest.fail("signals outside of wasm are not noted")


def test_ctrl_c(platform: str) -> None:
    world = endless(platform)
    for delay in (0.0, 0.03):
        with pytest.raises(KeyboardInterrupt):
            threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT)).start()
            world.call(0, nothing)


def test_signal_on_another_thread_reaches_the_main_thread() -> None:
    """A handler of the main thread runs at once although the system gave the signal to a different thread."""
    world = endless("linux")
    with pytest.raises(KeyboardInterrupt):
        thread = when_running(world, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGINT))
        world.call(0, nothing)
    thread.join()


def test_handler_may_call_wasm(platform: str) -> None:
    """The nested activation uses the stack below the interrupted frames."""
    use_stack = "lea rax, [rsp - 4096]\n clear: mov qword ptr [rax], -1\n add rax, 8\n cmp rax, rsp\n jb clear\n mov eax, edi\n ret"
    world = World([summing(platform), function(1, use_stack)], platform)
    count = 1_000_000
    expected = world.call(0, i32_i32, count)
    calls = 0

    def handler(number: int, frame: object) -> None:
        nonlocal calls
        assert world.call(1, i32_i32, 5) == [5]
        calls += 1

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        while calls < 30:
            assert world.call(0, i32_i32, count) == expected
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("raises", [False, True])
def test_a_handler_can_tell_whether_it_came_between_two_instructions(platform: str, raises: bool) -> None:
    """Also after it has called wasm itself; and nothing is left of it when the handler has ended the call."""

    class Timeout(Exception):
        pass

    world = World([endless(platform).functions[0], function(1, "mov eax, edi\n ret")], platform)
    seen = []

    def handler(number: int, frame: object) -> None:
        seen.append(world.state.interrupted_in_code)
        world.call(1, i32_i32, 1)
        seen.append(world.state.interrupted_in_code)
        if raises:
            raise Timeout
        world.state.interrupt()

    before = signal.signal(signal.SIGALRM, handler)
    try:
        assert not world.state.interrupted_in_code
        with pytest.raises(Timeout if raises else WasmTrap):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            world.call(0, nothing)
        assert seen == [True, True]
        assert not world.state.interrupted_in_code
    finally:
        signal.signal(signal.SIGALRM, before)
