"""Interruption, Python's signals, the watchdog and the GIL, threads. Timing is only ever used as a generous limit."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from brolga.ir import trap_codes
from brolga.jit import builtins
from brolga.jit.code import CompiledFunction
from brolga.jit.vmctx import ACTIVATION_INTERRUPT, CTX_BUILTINS
from brolga.runtime.machine import layout as L

from .test_entry import Store, entry
from .world import WasmTrap, World, call_import, function, i32_i32, nothing, u64, when_running

POLL = f"""
    mov rax, [r15]
    cmp dword ptr [rax + {ACTIVATION_INTERRUPT}], 0
    je no_interrupt
    mov rax, [r15 + {CTX_BUILTINS}]
    call [rax + {8 * builtins.INTERRUPT_POLL}]
no_interrupt:
"""
# State in every kind of register, the flags and the red zone; the result depends on all of it.
SUM = """
    push rbx
    push rbp
    push r12
    push r13
    push r14
    xor eax, eax
    xor ebx, ebx
    mov ebp, 3
    mov r8d, 5
    mov r9d, 7
    mov r10d, 11
    mov r11d, 13
    mov r12d, 17
    mov r13d, 19
    mov r14d, 23
    mov edx, 29
    mov esi, 31
    mov ecx, 1
    cvtsi2sd xmm1, ecx
    vcvtsi2sd xmm2, xmm2, edi
    vinsertf128 ymm2, ymm2, xmm1, 1
    pxor xmm0, xmm0
    vxorpd ymm5, ymm5, ymm5
    vinsertf128 ymm6, ymm5, xmm1, 1
loop:
    imul eax, eax, 1664525
    add eax, 1013904223
    adc ebx, 0
    mov [rsp - 64], ebx
    lea rbp, [rbp + rbp*2]
    add r8, rbp
    xor r9, r8
    rol r10, 7
    add r10, r9
    sub r11, r10
    add r12, r11
    xor r13, r12
    add r14, r13
    add rdx, r14
    xor rsi, rdx
    addsd xmm0, xmm1
    vaddpd ymm5, ymm5, ymm6
    vaddpd ymm2, ymm2, ymm2
    vextractf128 xmm3, ymm2, 1
    vaddsd xmm2, xmm3, xmm1
    vinsertf128 ymm2, ymm2, xmm1, 1
    mov ebx, [rsp - 64]
    dec edi
    jnz loop
    cvttsd2si ecx, xmm0
    add eax, ecx
    add eax, ebx
    add eax, esi
    vmovd ecx, xmm2
    add eax, ecx
    vextractf128 xmm5, ymm5, 1
    cvttsd2si ecx, xmm5
    add eax, ecx
    vzeroupper
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret
"""
# A poll is a call: only callee-saved registers and the stack keep their values.
POLLED_SUM = f"""
    push rbx
    push r12
    xor ebx, ebx
    mov r12d, edi
again:
    imul ebx, ebx, 1664525
    add ebx, 1013904223
    {POLL}
    dec r12d
    jnz again
    mov eax, ebx
    pop r12
    pop rbx
    ret
"""
ENDLESS = "start: jmp start\n"
ENDLESS_POLL = f"again:\n{POLL}\n jmp again\n"
HOST_LOOP = f"push rbp\nagain:\n mov edi, 1\n{call_import()}\n jmp again"


@pytest.fixture(params=["linux", "minimal"])
def platform(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def summing(platform: str) -> CompiledFunction:
    return function(0, SUM if platform == "linux" else POLLED_SUM)


def endless(platform: str) -> World:
    return World([function(0, ENDLESS if platform == "linux" else ENDLESS_POLL)], platform)


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
    in_wasm = world.machine.in_wasm

    def look() -> list[int]:
        found = in_wasm()
        if threading.current_thread().name == "brolga-poll" and not found:
            looking.set()
            while not world.state.running and not done.is_set():
                time.sleep(0.001)
        return found

    def rescue() -> None:
        rescued.set()
        ctypes.c_uint32.from_address(world.state.address + L.STATE_INTERRUPT).value = 1

    monkeypatch.setattr(sys.modules[type(world.machine).__module__], "IDLE_POLLS", 0)
    monkeypatch.setattr(world.machine, "in_wasm", look)
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
    start_watchdog = world.machine._start_watchdog
    caller = threading.current_thread()

    def start_and_act() -> None:
        start_watchdog()
        if threading.current_thread() is caller:
            action()

    monkeypatch.setattr(world.machine, "_start_watchdog", start_and_act)


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
