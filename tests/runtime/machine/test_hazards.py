"""What else lives in a process: other signal handlers, libraries that change the floating-point mode or gs."""

from __future__ import annotations

import ctypes
import signal
import textwrap

import pytest

from brolga.runtime.machine import machine

from .scripts import run

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


def test_faulthandler_in_front_dumps_once_and_execution_goes_on() -> None:
    """As if C code had enabled it: it takes itself away, and raises the signal again."""
    result = run("""
        from brolga.runtime.machine.handler_code import LATER
        world = World(CODE)
        assert trap(world) == OOB
        faulthandler.enable()
        theirs = world.machine._handlers.cells[LATER // 8 + signal.SIGSEGV]
        world.machine.platform.set_handler(signal.SIGSEGV, theirs, world.machine.platform.handler(signal.SIGSEGV)[1])
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


CHANGES = {
    "faulthandler disabled": "faulthandler.disable()",
    "faulthandler enabled": "faulthandler.enable()",
    "faulthandler enabled and disabled": "faulthandler.enable(); faulthandler.disable()",
    "faulthandler of a user signal": "faulthandler.register(signal.SIGURG); faulthandler.unregister(signal.SIGURG)",
    "all reset": "for n in CATCHABLE: signal.signal(n, signal.SIG_DFL)",
    "all ignored": "for n in CATCHABLE: signal.signal(n, signal.SIG_IGN)",
    "all in Python": "for n in CATCHABLE: signal.signal(n, lambda number, frame: None)",
    "all reset through the C library": """
        for n in CATCHABLE:
            ctypes.CDLL(None).signal(n, ctypes.c_void_p(0))
        World(CODE), machine().take_first_place()""",
    "all blocked": "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())",
    "mask set": "signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())",
    "by another name": "from signal import signal as f; f(signal.SIGSEGV, signal.SIG_DFL)",
    "by the inner name": "import _signal; _signal.signal(signal.SIGSEGV, _signal.SIG_DFL)",
    "no room for signals": "import resource; resource.setrlimit(resource.RLIMIT_SIGPENDING, (0, 0))",
}


@pytest.mark.parametrize(
    ("change", "enabled"),
    [(change, False) for change in CHANGES] + [(change, True) for change in CHANGES if "faulthandler" in change],
)
def test_handlers_and_masks_that_the_program_changes(change: str, enabled: bool) -> None:
    """The next call traps, a loop can be ended, on this thread and on others, and nothing is printed."""
    lines = textwrap.indent(textwrap.dedent(CHANGES[change]).strip(), " " * 8)
    result = run(
        """
        CATCHABLE = [signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGURG, signal.SIGRTMAX, signal.SIGRTMIN]
        world, endless = World(CODE), World(CODE)
        def use():
            assert trap(world) == OOB and trap(world, 1) == trap_codes.UNREACHABLE
            when_running(endless, endless.state.interrupt)
            try:
                endless.call(3, nothing)
            except WasmTrap as error:
                assert error.code == trap_codes.INTERRUPT
        def change():
LINES
        use()
        change()
        use()
        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
        use()
        print("done")
        """.replace("LINES", textwrap.indent(lines, " " * 4)),
        first="import faulthandler; faulthandler.enable()\n" if enabled else "",
    )
    assert result.stdout == "done\n"
    assert not result.stderr


@pytest.mark.parametrize("action", ["SIG_DFL", "SIG_IGN"])
def test_a_fault_that_is_not_ours_still_ends_the_process(action: str) -> None:
    """Also when its signal is ignored, as the kernel does it."""
    run(
        f"""
        world = World(CODE)
        trap(world)
        signal.signal(signal.SIGSEGV, signal.{action})
        trap(world)
        ctypes.string_at(0)
        """,
        -signal.SIGSEGV,
    )


def test_handlers_of_the_signal_that_we_use() -> None:
    """A Python handler for it runs when somebody else sends it."""
    run(
        """
        world = World(CODE)
        hits = []
        signal.signal(signal.SIGURG, lambda number, frame: hits.append(number))
        os.kill(os.getpid(), signal.SIGURG)
        for _ in range(1000):
            if hits: break
            time.sleep(0.01)
        assert hits == [signal.SIGURG]
        when_running(world, world.state.interrupt)
        try:
            world.call(3, nothing)
        except WasmTrap as error:
            assert error.code == trap_codes.INTERRUPT
        """
    )


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


# --- What the kernel restores when a handler returns: a fault of compiled code leaves its handler by a jump where nothing of it is wanted


def test_rounding_mode_of_the_x87_after_a_fault() -> None:
    run("""
        world = World(CODE)
        libm = ctypes.CDLL("libm.so.6")
        upward = 0x800
        for mode in (0, upward, 0):
            libm.fesetround(mode)
            for _ in range(3):
                assert trap(world) == OOB
                assert libm.fegetround() == mode
    """)


def test_protection_keys_after_a_fault() -> None:
    run("""
        world = World(CODE)
        libc = ctypes.CDLL(None)
        key = libc.pkey_alloc(0, 0) if hasattr(libc, "pkey_alloc") else -1
        if key < 0:  # neither all kernels nor all CPUs have them
            sys.exit(0)
        assert trap(world) == OOB
        for rights in (0, 1, 2, 3):
            libc.pkey_set(key, rights)
            for _ in range(3):
                assert trap(world) == OOB
                assert libc.pkey_get(key) == rights
    """)


def test_alternate_stack_that_disarms_itself() -> None:
    """The kernel takes it away while a handler runs on it."""
    run("""
        class Stack(ctypes.Structure):
            _fields_ = [("address", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]
        libc = ctypes.CDLL(None)
        disarms = ctypes.c_int(1 << 31).value
        size = 1 << 18
        memory = ctypes.create_string_buffer(size)
        stack = Stack(ctypes.addressof(memory), disarms, size)
        assert libc.sigaltstack(ctypes.byref(stack), None) == 0
        world = World(CODE)
        for _ in range(3):
            assert trap(world) == OOB
            assert trap(world, 6) == trap_codes.STACK_OVERFLOW
            now = Stack()
            assert libc.sigaltstack(None, ctypes.byref(now)) == 0
            assert (now.address, now.flags, now.size) == (stack.address, disarms, size)
    """)


def test_handler_that_calls_ours_goes_on_after_it() -> None:
    run("""
        m = machine()
        world = World(CODE)
        assert trap(world) == OOB
        ours, flags = m.platform.handler(signal.SIGSEGV)
        calls = ctypes.c_uint64()
        theirs = m.emit(f"sub rsp, 8\\n mov rax, {ours:#x}\\n call rax\\n add rsp, 8\\n"
                        f" mov rax, {ctypes.addressof(calls):#x}\\n inc qword ptr [rax]\\n ret")
        m.platform.set_handler(signal.SIGSEGV, theirs, flags)
        for count in range(1, 4):
            assert trap(world) == OOB
            assert calls.value == count
    """)


def test_mask_of_signals_after_a_fault() -> None:
    run("""
        world = World(CODE)
        mask = {signal.SIGUSR1, signal.SIGTERM}
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for func in (0, 1, 6, 0):
            trap(world, func)
            assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask
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


def test_fs_base_names_the_thread() -> None:
    """At the fs base stands its own address, which is also what pthread_self gives: so it differs between threads."""
    pthread_self = ctypes.CDLL(None).pthread_self
    pthread_self.restype = ctypes.c_ulong
    read = ctypes.CFUNCTYPE(ctypes.c_ulong)(machine().emit("{FS_BASE_TO_RCX}\n mov rax, rcx\n ret"))
    assert read() == pthread_self()
