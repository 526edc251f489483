"""What else lives in a process: other signal handlers, forks, exits, libraries that change the floating-point mode, hardened systems.

Each test runs a script in a process of its own, which may die.
"""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from brolga.runtime.machine import machine

ROOT = Path(__file__).resolve().parents[3]
PRELUDE = """
import ctypes, faulthandler, os, signal, sys, threading, time
from tests.runtime.machine.world import *
from tests.runtime.machine.world import World, WasmTrap, function, call_import, i32_i32, nothing, u64, when_running
from brolga.runtime.machine import machine, set_trap_factory
from brolga.ir import trap_codes

set_trap_factory(WasmTrap)
CODE = [
    function(0, "trap: mov eax, gs:[rdi + 0x20000]\\n ret", {"start": 0}, {"trap": trap_codes.MEMORY_OUT_OF_BOUNDS}),
    function(1, "trap: ud2", {"start": 0}, {"trap": trap_codes.UNREACHABLE}),
    function(2, "lea eax, [rdi + 1]\\n ret"),
    function(3, "again: jmp again"),
    function(4, f"push rbp\\n{call_import()}\\n pop rbp\\n ret"),
    function(5, f"push rbp\\nagain: {call_import()}\\n jmp again"),
    function(6, "push rbx\\nto: call 0\\n pop rbx\\n ret", {"start": 8}, calls={"to": 6}),
]

def trap(world, func=0):
    try:
        world.call(func, i32_i32, 5)
    except WasmTrap as error:
        return error.code
    raise AssertionError("no trap")

OOB = trap_codes.MEMORY_OUT_OF_BOUNDS
"""


def run(script: str, status: int = 0, first: str = "") -> subprocess.CompletedProcess[str]:
    """Run a script, `first` before anything is imported; its exit status must be `status`."""
    command = [sys.executable, "-c", textwrap.dedent(first) + PRELUDE + textwrap.dedent(script)]
    result = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == status, result.stdout + result.stderr
    return result


CRASH = "ctypes.string_at(16)"  # a fault outside of wasm


# --- Other handlers


def test_faulthandler_enabled_before() -> None:
    result = run("""
        faulthandler.enable()
        world = World(CODE)
        assert trap(world) == trap(world) == OOB
        assert trap(world, 1) == trap_codes.UNREACHABLE
        assert trap(world, 6) == trap_codes.STACK_OVERFLOW
    """)
    assert "Fatal Python error" not in result.stderr


def test_faulthandler_enabled_after_dumps_once_and_execution_goes_on() -> None:
    result = run("""
        world = World(CODE)
        assert trap(world) == OOB
        faulthandler.enable()
        for _ in range(3):
            assert trap(world) == OOB
    """)
    assert result.stderr.count("Fatal Python error") == 1


def test_taking_first_place_avoids_the_dump() -> None:
    result = run("""
        world = World(CODE)
        faulthandler.enable()
        world.machine.take_first_place()
        for _ in range(3):
            assert trap(world) == OOB
            assert trap(world, 1) == trap_codes.UNREACHABLE
    """)
    assert "Fatal Python error" not in result.stderr


@pytest.mark.parametrize(
    ("setup", "dumps"),
    [
        ("", 0),
        ("faulthandler.enable(); World(CODE)", 1),
        ("World(CODE); faulthandler.enable()", 1),
        ("World(CODE); faulthandler.enable(); machine().take_first_place()", 1),
        ("World(CODE); faulthandler.enable(); machine().take_first_place(); faulthandler.disable()", 0),
    ],
    ids=["none", "before", "after", "first place", "disabled again"],
)
@pytest.mark.parametrize("entered", [False, True])
def test_faults_elsewhere_still_crash(setup: str, dumps: int, entered: bool) -> None:
    """Once per installed faulthandler a dump, then death by the signal: also in a host function."""
    script = f"""
        world = World(CODE)
        {setup}
        if {entered}:
            world.import_function(i32_i32, lambda x: {CRASH})
            world.call(4, i32_i32, 1)
        {CRASH}
    """
    result = run(script, -signal.SIGSEGV)
    assert result.stderr.count("Fatal Python error") == dumps


def test_signal_sent_from_outside_kills() -> None:
    run("World(CODE).call(2, i32_i32, 1); os.kill(os.getpid(), signal.SIGSEGV); time.sleep(5)", -signal.SIGSEGV)
    run("World(CODE).call(2, i32_i32, 1); os.kill(os.getpid(), signal.SIGFPE); time.sleep(5)", -signal.SIGFPE)


def test_signal_sent_from_outside_kills_within_wasm() -> None:
    script = """
        world = World(CODE)
        when_running(world, lambda: os.kill(os.getpid(), signal.SIGSEGV))
        world.call(3, nothing)
    """
    run(script, -signal.SIGSEGV)


def test_other_runtime_with_its_own_handlers() -> None:
    pytest.importorskip("wasmtime")
    run("""
        import wasmtime
        def theirs():
            store = wasmtime.Store()
            module = wasmtime.Module(store.engine, '(module (func (export "f") unreachable)'
                ' (memory 1) (func (export "g") (drop (i32.load (i32.const 100000)))))')
            exports = wasmtime.Instance(store, module, []).exports(store)
            for name in ("f", "g"):
                try:
                    exports[name](store)
                except wasmtime.Trap:
                    continue
                raise AssertionError
        world = World(CODE)
        for _ in range(3):
            assert trap(world) == OOB
            theirs()
            assert trap(world, 1) == trap_codes.UNREACHABLE
            assert trap(world, 6) == trap_codes.STACK_OVERFLOW
            machine().take_first_place()
    """)


def test_other_runtime_with_the_same_trap_again_and_again() -> None:
    """The handler that we chain to leads the thread elsewhere: no reason to take its faults for one that it cannot cure."""
    pytest.importorskip("wasmtime")
    run("""
        world = World(CODE)
        assert trap(world) == OOB
        import wasmtime
        store = wasmtime.Store()
        module = wasmtime.Module(store.engine, '(module (func (export "f") unreachable))')
        theirs = wasmtime.Instance(store, module, []).exports(store)["f"]
        def catch():
            try:
                theirs(store)
            except wasmtime.Trap:
                return
            raise AssertionError
        catch()
        machine().take_first_place()
        for _ in range(2500):
            catch()
    """)


@pytest.mark.parametrize(
    "replace",
    [
        "signal.signal(signal.SIGINT, signal.default_int_handler)",
        "asyncio.run(asyncio.sleep(0))",
        "signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGINT, signal.default_int_handler)",
    ],
)
def test_ctrl_c_after_the_handler_was_replaced(replace: str) -> None:
    """Whoever has set a handler meanwhile: the next Ctrl-C ends wasm at once."""
    run(f"""
        import asyncio
        world = World(CODE)
        for _ in range(2):
            {replace}
            try:
                when_running(world, lambda: os.kill(os.getpid(), signal.SIGINT))
                world.call(3, nothing)
            except KeyboardInterrupt:
                continue
            raise AssertionError
    """)


def test_ctrl_c_within_asyncio_run() -> None:
    """asyncio's own handler cancels the main task instead of raising, so wasm goes on until it ends by itself."""
    run("""
        import asyncio
        world = World(CODE)
        world.import_function(i32_i32, lambda x: x)
        handled = []
        async def main():
            signal.signal(signal.SIGINT, lambda number, frame: (handled.append(number), world.state.interrupt()))
            try:
                when_running(world, lambda: os.kill(os.getpid(), signal.SIGINT))
                world.call(3, nothing)
            except WasmTrap as error:
                assert error.code == trap_codes.INTERRUPT
                return
            raise AssertionError
        asyncio.run(main())
        assert handled == [signal.SIGINT]
    """)


def test_signals_interrupt_system_calls_as_before() -> None:
    """The handler in front of CPython's does not restart system calls: a sleep still ends by an exception of a handler."""
    run("""
        world = World(CODE)
        when_running(world, world.state.interrupt)
        try:
            world.call(3, nothing)
        except WasmTrap:
            pass
        try:
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
            time.sleep(30)
        except KeyboardInterrupt:
            sys.exit(0)
        raise AssertionError
    """)


def test_ignored_interrupt_stays_ignored() -> None:
    run("""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        world = World(CODE)
        when_running(world, lambda: os.kill(os.getpid(), signal.SIGINT))
        when_running(world, world.state.interrupt, 0.1)
        try:
            world.call(3, nothing)
        except WasmTrap as error:
            assert error.code == trap_codes.INTERRUPT
    """)


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
            except RuntimeError as error:
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


def test_thread_that_blocks_all_signals() -> None:
    """Traps and interrupts need their signals: they are unblocked when a thread enters."""
    run("""
        world = World(CODE)
        results = []
        def work():
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            results.append(trap(world))
            when_running(world, world.state.interrupt)
            try:
                world.call(3, nothing)
            except WasmTrap as error:
                results.append(error.code)
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert results == [OOB, trap_codes.INTERRUPT]
    """)


# --- Floating-point mode and gs


def test_floating_point_mode_of_others(  # libraries built with -ffast-math set FTZ and DAZ for the whole thread
) -> None:
    run("""
        from brolga.jit.wasm.types import FuncType, F64, I32
        m = machine()
        set_mode = m.emit("push rdi\\n ldmxcsr [rsp]\\n pop rdi\\n ret")
        get_mode = m.emit("push rdi\\n stmxcsr [rsp]\\n pop rax\\n ret")
        set_mode = ctypes.CFUNCTYPE(None, ctypes.c_uint64)(set_mode)
        get_mode = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_uint64)(get_mode)
        f64 = FuncType((F64,), (F64,))
        world = World([
            function(0, "sub rsp, 8\\n stmxcsr [rsp]\\n pop rax\\n ret"),
            function(1, f"push rbp\\n{call_import()}\\n sub rsp, 8\\n stmxcsr [rsp]\\n pop rax\\n pop rbp\\n ret"),
        ])
        mode_of = FuncType((), (I32,))
        for mode in (0x1f80, 0x9fc0, 0x3f80, 0x1f80):
            set_mode(mode)
            assert world.call(0, mode_of)[0] & 0xffc0 == 0x1f80
            assert get_mode(0) & 0xffc0 == mode
        world.import_function(i32_i32, lambda x: set_mode(0x9fc0) or x)
        assert world.call(1, i32_i32, 1)[0] & 0xffc0 == 0x1f80
    """)


def test_gs_of_somebody_else_is_restored() -> None:
    run("""
        m = machine()
        if not m.platform.gs_base:
            sys.exit(0)
        set_gs = ctypes.CFUNCTYPE(None, ctypes.c_uint64)(m.emit("wrgsbase rdi\\n ret"))
        get_gs = ctypes.CFUNCTYPE(ctypes.c_uint64)(m.emit("rdgsbase rax\\n ret"))
        world = World(CODE)
        world.call(2, i32_i32, 1)
        set_gs(0x12345000)
        world.call(2, i32_i32, 1)
        assert get_gs() == 0x12345000
        assert trap(world) == OOB
        assert get_gs() == 0x12345000
        world.import_function(i32_i32, lambda x: world.call(2, i32_i32, x)[0])
        world.call(4, i32_i32, 1)
        assert get_gs() == 0x12345000
    """)


# --- Systems that refuse something


FALLBACKS = ("memfd", "gs", "reservations", "memfd,gs,reservations")


@pytest.mark.parametrize("without", FALLBACKS)
def test_fallbacks(without: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROLGA_WITHOUT", without)
    run("""
        from brolga.jit.settings import *
        without = os.environ["BROLGA_WITHOUT"]
        m = machine()
        settings = m.settings()
        assert ("brolga-code" in open("/proc/self/maps").read()) == ("memfd" not in without)
        assert (settings.bounds == BOUNDS_GUARD) == ("reservations" not in without)
        assert (settings.memory_base == MEMORY_BASE_REGISTER) == ("gs" in without or "reservations" in without)
        LOAD = "mov eax, gs:[rdi]" if settings.memory_base == MEMORY_BASE_GS else "mov eax, [r14 + rdi]"
        world = World([
            function(0, "mov rcx, [r15 + 8]\\n mov rcx, [rcx]\\n mov eax, [rcx + rdi]\\n ret"),
            function(1, "trap: ud2", traps={"trap": trap_codes.UNREACHABLE}),
            function(2, f"{LOAD}\\n ret"),
            function(3, f"push rbp\\n push rdi\\n{call_import()}\\n pop rdi\\n pop rbp\\n{LOAD}\\n ret"),
            function(4, "again: jmp again"),
        ])
        ctypes.c_uint32.from_address(world.memory.base + 8).value = 1234
        assert world.call(0, i32_i32, 8) == [1234]
        assert trap(world, 1) == trap_codes.UNREACHABLE
        if settings.bounds == BOUNDS_GUARD:
            assert world.call(2, i32_i32, 8) == [1234]
            if settings.memory_base == MEMORY_BASE_REGISTER:
                world.import_function(i32_i32, lambda x: x)
                assert world.call(3, i32_i32, 8) == [1234]
        for _ in range(3):
            when_running(world, world.state.interrupt)
            try:
                world.call(4, nothing)
            except WasmTrap as error:
                assert error.code == trap_codes.INTERRUPT
        pid = os.fork()
        if pid == 0:
            os._exit(0 if World([function(0, "mov eax, 5\\n ret")]).call(0, i32_i32, 0) == [5] else 1)
        assert os.waitpid(pid, 0)[1] == 0
        assert world.call(0, i32_i32, 8) == [1234]
    """)


@pytest.mark.parametrize("without", FALLBACKS)
def test_compiled_code_with_fallbacks(without: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROLGA_WITHOUT", without)
    run("""
        import brolga
        store = brolga.Store()
        other = brolga.Instance(store, brolga.Module(store.engine, '''(module
            (memory 1) (data (i32.const 0) "!ab!")
            (func (export "get") (param i32) (result i32) (i32.load (local.get 0))))'''), [])
        module = brolga.Module(store.engine, '''(module
            (import "" "host" (func $host (param i32) (result i32)))
            (import "" "get" (func $get (param i32) (result i32)))
            (memory 1 3) (data (i32.const 65532) "xyz#")
            (func (export "sum") (param i32) (result i32)
              (i32.add (call $get (i32.const 0)) (i32.add (call $host (i32.const 100)) (i32.load (local.get 0)))))
            (func (export "grow") (result i32) (memory.grow (i32.const 1)))
            (func $deep (export "deep") (call $deep)))''')
        host = brolga.Func(store, brolga.FuncType([brolga.ValType.i32()], [brolga.ValType.i32()]), lambda x: x + 1)
        exports = brolga.Instance(store, module, [host, other.exports(store)["get"]]).exports(store)
        theirs, ours = (int.from_bytes(data, "little") for data in (b"!ab!", b"xyz#"))
        for _ in range(20):
            assert exports["sum"](store, 65532) == theirs + 101 + ours
            for address in (65533, -1, 65536):
                try:
                    exports["sum"](store, address)
                except WasmTrap as error:
                    assert error.code == OOB
                else:
                    raise AssertionError(address)
        assert exports["grow"](store) == 1
        assert exports["sum"](store, 65536) == theirs + 101
        assert exports["sum"](store, 65532) == theirs + 101 + ours
        try:
            exports["deep"](store)
        except WasmTrap as error:
            assert error.code == trap_codes.STACK_OVERFLOW
        else:
            raise AssertionError
    """)


def test_small_address_space() -> None:
    """With `ulimit -v` there is no room for a reservation: bounds are compared instead."""
    run("""
        import resource
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        m = machine()
        from brolga.jit.settings import BOUNDS_EXPLICIT
        assert m.settings().bounds == BOUNDS_EXPLICIT
        world = World(CODE)
        assert world.call(2, i32_i32, 1) == [2]
        assert trap(world, 1) == trap_codes.UNREACHABLE
    """)


def test_running_out_of_address_space_is_an_error() -> None:
    run("""
        m = machine()
        blocks = []
        try:
            for _ in range(20000):
                blocks.append(m.new_memory(0, 65536))
        except MemoryError:
            assert len(blocks) > 1000
            blocks.clear()
            m.new_memory(65536, 65536).release()
            sys.exit(0)
        raise AssertionError
    """)


def test_import_does_not_load_the_assembler() -> None:
    result = subprocess.run(
        [sys.executable, "-c", "import brolga, sys; print('keystone' in sys.modules)"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert result.stdout == "False\n"


def test_fs_base_names_the_thread() -> None:
    """At the fs base stands its own address, which is also what pthread_self gives: so it differs between threads."""
    pthread_self = ctypes.CDLL(None).pthread_self
    pthread_self.restype = ctypes.c_ulong
    read = ctypes.CFUNCTYPE(ctypes.c_ulong)(machine().emit("{FS_BASE_TO_RCX}\n mov rax, rcx\n ret"))
    assert read() == pthread_self()
