"""Forks, and the end of the process, while wasm runs."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from .scripts import PRELUDE, ROOT, run

# --- fork


FORK = """
    def in_child(work):
        pid = os.fork()
        if pid == 0:
            try:
                work()
                os._exit(7)
            finally:
                os._exit(1)
        assert os.waitpid(pid, 0)[1] == 7 << 8
"""


@pytest.mark.parametrize("platform", ["linux", "minimal"])
def test_fork_has_code_of_its_own(platform: str) -> None:
    """What the child compiles, patches and gives back does not change the parent's code, nor the other way round."""
    run(
        textwrap.dedent(FORK)
        + textwrap.dedent(f"""
        platform = {platform!r}
        def constant(value):
            return World([function(i, f"mov eax, {{value + i}}\\n ret") for i in range(50)], platform, eager=False)
        def check(world, value):
            assert [world.call(i, i32_i32, 1)[0] for i in range(50)] == list(range(value, value + 50))
        old = constant(1000)
        assert old.call(0, i32_i32, 1) == [1000]
        read, write = os.pipe()
        def child():
            os.read(read, 1)              # until the parent has compiled in the same place
            mine = constant(2000)
            check(mine, 2000)
            check(old, 1000)
            del globals()["old"]
            check(constant(4000), 4000)   # in the place of `old`
        pid = os.fork()
        if pid == 0:
            try:
                child()
                os._exit(7)
            finally:
                os._exit(1)
        mine = constant(3000)
        check(mine, 3000)
        os.write(write, b"x")
        assert os.waitpid(pid, 0)[1] == 7 << 8
        check(mine, 3000)
        check(old, 1000)
    """)
    )


def test_child_has_traps_watchdog_and_interrupts() -> None:
    run(
        textwrap.dedent(FORK)
        + textwrap.dedent("""
        world = World(CODE)
        assert trap(world) == OOB
        def child():
            assert trap(world) == OOB
            assert trap(world, 6) == trap_codes.STACK_OVERFLOW
            when_running(world, world.state.interrupt)   # runs only if the watchdog has the GIL released
            try:
                world.call(3, nothing)
            except WasmTrap as error:
                assert error.code == trap_codes.INTERRUPT
            try:
                when_running(world, lambda: os.kill(os.getpid(), signal.SIGINT))
                world.call(3, nothing)
            except KeyboardInterrupt:
                return
        in_child(child)
        in_child(child)
        assert trap(world) == OOB
    """)
    )


@pytest.mark.parametrize("platform", ["linux", "minimal"])
def test_fork_within_a_host_function(platform: str) -> None:
    run(f"""
        world = World(CODE, {platform!r})
        main = os.getpid()
        def host(x):
            pid = os.fork()
            if pid == 0:
                assert world.call(2, i32_i32, 1) == [2]
                other = World(CODE, {platform!r})
                assert other.call(2, i32_i32, 1) == [2]
                return x + 100
            assert os.waitpid(pid, 0)[1] == 7 << 8
            return x
        world.import_function(i32_i32, host)
        result = world.call(4, i32_i32, 5)
        if os.getpid() != main:
            os._exit(7 if result == [105] and world.call(2, i32_i32, 1) == [2] else 1)
        assert result == [5]
    """)


def test_fork_while_other_threads_are_in_wasm() -> None:
    run(
        textwrap.dedent(FORK)
        + textwrap.dedent("""
        busy = World(CODE)
        def work():
            try:
                busy.call(3, nothing)
            except WasmTrap:
                pass
        thread = threading.Thread(target=work)
        thread.start()
        while not busy.state.running:
            time.sleep(0.001)
        world = World(CODE)
        def child():
            assert world.call(2, i32_i32, 1) == [2]
            assert trap(world) == OOB
            assert World(CODE).call(2, i32_i32, 1) == [2]
            time.sleep(0.02)
        in_child(child)
        busy.state.interrupt()
        thread.join()
    """)
    )


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(method: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        PRELUDE
        + textwrap.dedent(f"""
        import multiprocessing

        def work(x):
            world = World(CODE)
            assert trap(world) == OOB
            return world.call(2, i32_i32, x)[0]

        if __name__ == "__main__":
            assert work(1) == 2
            with multiprocessing.get_context({method!r}).Pool(2) as pool:
                assert pool.map(work, range(10)) == list(range(1, 11))
            assert work(1) == 2
    """)
    )
    command = [sys.executable, str(script)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    result = subprocess.run(
        command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr


# --- Exit


@pytest.mark.parametrize("platform", ["linux", "minimal"])
@pytest.mark.parametrize("func", [3, 5], ids=["endless", "host calls"])
def test_exit_with_a_daemon_thread_in_wasm(platform: str, func: int) -> None:
    if platform == "minimal" and func == 3:
        pytest.skip("an endless loop without polls cannot be interrupted there")
    result = run(f"""
        world = World(CODE, {platform!r})
        world.import_function(i32_i32, lambda x: x)
        threading.Thread(target=lambda: world.call({func}, i32_i32, 1), daemon=True).start()
        time.sleep(0.1)
        print("exiting", flush=True)
    """)
    assert result.stdout == "exiting\n"


@pytest.mark.parametrize("platform", ["linux", "minimal"])
def test_no_thread_enters_wasm_after_the_others_were_interrupted(platform: str) -> None:
    """Exit functions that were registered before run after ours."""
    first = """
        import atexit, threading, time
        late = threading.Event()
        def call():
            late.wait()
            try:
                world.call(3, nothing)
            except SystemExit as error:
                print(error)
        def at_exit():
            late.set()
            thread.join(60)
            assert world.call(2, i32_i32, 1) == [2]  # the main thread may
        atexit.register(at_exit)
    """
    script = f"""
        world = World(CODE, {platform!r})
        assert world.call(2, i32_i32, 1) == [2]
        thread = threading.Thread(target=call, daemon=True)
        thread.start()
    """
    assert run(script, first=first).stdout == "the interpreter is shutting down\n"


def test_exit_while_a_host_function_sleeps() -> None:
    """Its wasm frames are still on a stack when the interpreter is gone."""
    run("""
        world = World(CODE)
        world.import_function(i32_i32, lambda x: time.sleep(0.2))
        threading.Thread(target=lambda: world.call(4, i32_i32, 1), daemon=True).start()
        time.sleep(0.1)
        class AtTheEnd:
            def __del__(self, sleep=time.sleep):
                sleep(0.3)
        sys.modules["at_the_end"] = AtTheEnd()
    """)


def test_watchdog_outlives_the_interpreter() -> None:
    """Its cells and records are not freed: memory that is given back to the system would show."""
    run("""
        world = World(CODE)
        when_running(world, world.state.interrupt)
        try:
            world.call(3, nothing)
        except WasmTrap:
            pass
        class AtTheEnd:
            def __del__(self, trim=ctypes.CDLL(None).malloc_trim, sleep=time.sleep):
                trim(0)
                sleep(0.05)
        sys.modules["at_the_end"] = AtTheEnd()
    """)


def test_exit_within_wasm() -> None:
    run(
        """
        world = World(CODE)
        world.import_function(i32_i32, lambda x: sys.exit(3))
        world.call(4, i32_i32, 1)
    """,
        3,
    )
    run(
        """
        world = World(CODE)
        world.import_function(i32_i32, lambda x: os._exit(4))
        world.call(4, i32_i32, 1)
    """,
        4,
    )
