"""fork while wasm runs: in host functions, in signal handlers, while other threads are in the middle of something. The child goes on."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from .scripts import ROOT

_PRELUDE = """
import asyncio, os, signal, sys, threading, time
import brolga

class Hang(Exception):
    pass

def status_of(pid):
    end = time.monotonic() + 30
    while time.monotonic() < end:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise Hang

config = brolga.Config()
config.eager = True  # no time limit is for the compiler
ENGINE = brolga.Engine(config)

def load(host, engine=ENGINE):
    return brolga.load('''(module (import "h" "f" (func $f))
        (func (export "run") (call $f) (loop (br 0)))
        (func (export "twice") (call $f) (call $f))
        (func (export "forever") (loop (br 0)))
        (func (export "one") (result i32) i32.const 1))''', {"h": {"f": host}}, store=brolga.Store(engine))

def interrupt_when_it_runs(it):
    def work():
        while not it.store._state.running:
            time.sleep(0.005)
        time.sleep(0.2)
        it.store.interrupt()
    threading.Thread(target=work).start()

def end_of(call):
    try:
        call()
    except BaseException as error:
        return type(error).__name__
    return "return"

def leave(right):
    os._exit(7 if right else 1)
"""


def run(platform: str, script: str, without: str = "") -> None:
    environment = {
        "PYTHONPATH": str(ROOT / "src"),
        "PATH": "/usr/bin:/bin",
        "BROLGA_PLATFORM": platform,
        "BROLGA_WITHOUT": without,
    }
    command = [sys.executable, "-c", _PRELUDE + textwrap.dedent(script)]
    result = subprocess.run(
        command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert (result.returncode, result.stderr) == (0, ""), result.stdout + result.stderr


def test_ctrl_c_in_the_child(platform: str) -> None:
    run(
        platform,
        """
        def fork():
            global pid
            read, write = os.pipe()
            pid = os.fork()
            if pid:
                os.read(read, 1)
            else:
                os.write(write, b"x")
        it = load(fork)
        interrupt_when_it_runs(it)
        end = end_of(it.run)
        if pid == 0:
            leave(end == "KeyboardInterrupt")
        assert end == "Trap"
        os.kill(pid, signal.SIGINT)
        assert status_of(pid) == 7
    """,
    )


def test_timeouts_of_the_forking_thread_stay(platform: str) -> None:
    """Those of the call under way, of one around it, and of later calls."""
    run(
        platform,
        """
        def fork():
            global pid
            pid = os.fork()
        it = load(fork)
        def inner():
            ends.append(end_of(lambda: it.run(timeout=0.2)))
        ends = []
        outer = load(inner)
        ends.append(end_of(lambda: outer.run(timeout=0.5)))
        ends.append(end_of(lambda: it.forever(timeout=0.05)))
        right = ends == ["WasmTimeout"] * 3
        if pid == 0:
            leave(right)
        assert right, ends
        assert status_of(pid) == 7
    """,
    )


def test_timeouts_of_other_threads_end_nothing_in_the_child(platform: str) -> None:
    run(
        platform,
        """
        entered, forked = threading.Event(), threading.Event()
        waits = load(lambda: (entered.set(), forked.wait()) and None)
        thread = threading.Thread(target=end_of, args=[lambda: waits.twice(timeout=0.2)])
        thread.start()
        entered.wait()
        pid = os.fork()
        if pid == 0:
            it = load(lambda: time.sleep(0.3))
            it.twice()
            leave(waits.one() == 1 and end_of(lambda: waits.forever(timeout=0.05)) == "WasmTimeout" and waits.store.close() is None)
        forked.set()
        thread.join()
        assert status_of(pid) == 7
        assert waits.one() == 1
    """,
    )


def test_threads_of_the_child_run(platform: str) -> None:
    run(
        platform,
        """
        def fork():
            global pid
            pid = os.fork()
            if pid == 0:
                threading.Thread(target=lambda: (time.sleep(0.1), it.store.interrupt())).start()
        it = load(fork)
        interrupt_when_it_runs(it)
        end = end_of(it.run)
        if pid == 0:
            leave(end == "Trap")
        assert end == "Trap" and status_of(pid) == 7
    """,
    )


def test_fork_on_another_thread(platform: str) -> None:
    """It is the child's main thread, to which signals go."""
    run(
        platform,
        """
        def fork():
            global pid
            read, write = os.pipe()
            pid = os.fork()
            if pid:
                os.read(read, 1)
            else:
                os.write(write, b"x")
        it, here = load(fork), load(lambda: None)
        here.one()
        def work():
            end = end_of(it.run)
            if pid == 0:
                leave(end == "KeyboardInterrupt" and end_of(lambda: here.forever(timeout=0.05)) == "WasmTimeout")
            ends.append(end)
        ends = []
        thread = threading.Thread(target=work)
        thread.start()
        while "pid" not in globals():
            time.sleep(0.01)
        time.sleep(0.1)
        it.store.interrupt()
        thread.join()
        assert ends == ["Trap"]
        os.kill(pid, signal.SIGINT)
        assert status_of(pid) == 7
    """,
    )


def test_fork_in_a_signal_handler_during_wasm(platform: str) -> None:
    run(
        platform,
        """
        pids = []
        def handler(number, frame):
            pids.append(os.fork())
        signal.signal(signal.SIGALRM, handler)
        it = load(lambda: None)
        it.one()
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        end = end_of(lambda: it.forever(timeout=0.3))
        right = end == "WasmTimeout" and end_of(lambda: it.forever(timeout=0.05)) == "WasmTimeout" and it.one() == 1
        if pids[-1] == 0:
            leave(right)
        assert right and status_of(pids[0]) == 7
    """,
    )


def test_children_of_children(platform: str) -> None:
    run(
        platform,
        """
        depth, pid = 0, 0
        def fork():
            global pid, depth
            while depth < 3:
                pid = os.fork()
                if pid:
                    return
                depth += 1
        it = load(fork)
        right = end_of(lambda: it.run(timeout=0.3)) == "WasmTimeout"
        if pid:
            right = status_of(pid) == 7 and right
        if depth:
            leave(right)
        assert right
    """,
    )


def test_fork_in_an_async_host_function() -> None:
    run(
        "linux",
        """
        async def fork():
            global pid
            pid = os.fork()
            await asyncio.sleep(0)
        def fork_before_it_waits():
            global pid
            pid = os.fork()
            return asyncio.sleep(0)
        for host in (fork, fork_before_it_waits):
            it = load(host)
            end = end_of(lambda: asyncio.run(it.run.call_async(timeout=0.2)))
            if pid == 0:
                leave(end == "WasmTimeout" and it.one() == 1)
            assert end == "WasmTimeout", end
            assert status_of(pid) == 7
    """,
    )


@pytest.mark.parametrize("timeout", [None, 60])
def test_no_thread_in_the_child(platform: str, timeout: float | None) -> None:
    """Then wasm ends there, since nothing else could end it."""
    run(
        platform,
        f"""
        from brolga.runtime.machine.machine import any_machine
        from brolga.runtime.platform.interface import PlatformError
        def refuse(*args):
            raise (PlatformError if any_machine().platform.threads else RuntimeError)("no threads")
        real, start = threading._start_new_thread, any_machine().platform.start_thread
        def fork():
            global pid
            threading._start_new_thread = any_machine().platform.start_thread = refuse
            pid = os.fork()
            threading._start_new_thread, any_machine().platform.start_thread = real, start
        it = load(fork)
        assert end_of(lambda: it.forever(timeout=0.01)) == "WasmTimeout"
        interrupt_when_it_runs(it)
        end = end_of(lambda: it.run(timeout={timeout}))
        if pid == 0:
            leave(end in ("Trap", "WasmTimeout") and end_of(lambda: it.forever(timeout=0.01)) == "WasmTimeout")
        assert end == "Trap" and status_of(pid) == 7
    """,
    )


@pytest.mark.parametrize("without", ["", "reservations"])
def test_fork_while_other_threads_are_in_the_middle_of_everything(platform: str, without: str) -> None:
    """Importing, compiling, assembling, setting deadlines, beginning epochs."""
    run(
        platform,
        """
        config = brolga.Config()
        config.epoch_interruption = True
        engine = brolga.Engine(config)
        lazy = brolga.Engine()
        stop = False
        def work():
            while not stop:
                it = load(lambda: None, lazy)
                it.twice()
                it.one(timeout=60)
                engine.increment_epoch()
                store = brolga.Store(engine)
                store.set_epoch_deadline(5)
        def in_child():
            work_once()
            leave(True)
        def work_once():
            it = load(lambda: None, lazy)
            it.twice()
            assert it.one(timeout=60) == 1
            assert end_of(lambda: it.forever(timeout=0.01)) == "WasmTimeout"
            engine.increment_epoch()
            brolga.Store(engine).set_epoch_deadline(1)
        threads = [threading.Thread(target=work, daemon=True) for _ in range(2)]
        for thread in threads:
            thread.start()
        pids = []
        for i in range(12):
            time.sleep(0.013)
            pid = os.fork()
            if pid == 0:
                try:
                    in_child()
                finally:
                    leave(False)
            pids.append(pid)
        stop = True
        for thread in threads:
            thread.join()
        assert [status_of(pid) for pid in pids] == [7] * len(pids)
    """,
        without,
    )
