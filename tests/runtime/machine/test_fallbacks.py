"""Systems that refuse something, and what is loaded at all."""

from __future__ import annotations

import subprocess
import sys

import pytest

from .scripts import run

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


def test_running_out_of_address_space() -> None:
    """Memories get less of it, and when there is nothing left an error; then all is as before."""
    run("""
        m = machine()
        blocks = []
        try:
            while len(blocks) < 50_000:
                blocks.append(m.new_memory(65536, 1 << 32))
        except MemoryError:
            pass
        else:
            raise AssertionError
        guarded = sum([block.guarded for block in blocks])
        assert 1000 < guarded < len(blocks) - 10
        assert all([block.grow(1 << 20) for block in blocks[:3] + blocks[-3:]])
        assert len(bytes(15 << 20))  # the rest of the program has some left
        blocks.clear()
        assert m.new_memory(65536, 65536).guarded
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
