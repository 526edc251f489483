"""Little address space: the arena leaves most of it to the program, memories without guard areas compare bounds."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[3]
PRELUDE: Final = '''
import resource, sys, threading
import brolga
from brolga.runtime.machine.machine import machine
from brolga.runtime.machine.memory import RESERVATION, ReservationPool
from brolga.runtime.platform.address_space import address_space_left

TEXT = """(module
    (memory (export "memory") 1 200)
    (func (export "get") (param i32) (result i32) (i32.load8_u (local.get 0)))
    (func (export "set") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "fill") (param i32 i32 i32) (memory.fill (local.get 0) (local.get 1) (local.get 2))))"""

def limit(size):
    resource.setrlimit(resource.RLIMIT_AS, (size, -1))

def traps(work, *args):
    try:
        work(*args)
    except brolga.Trap as trap:
        assert trap.trap_code == brolga.TrapCode.MEMORY_OUT_OF_BOUNDS
    else:
        raise AssertionError("no trap")

def block(instance):
    return instance.memory._memory.block

def check(instance, pages=1):
    end = 65536 * pages
    instance.set(end - 1, 7)
    assert instance.get(end - 1) == 7
    traps(instance.get, end)
    traps(instance.get, 0xFFFFFFFF)
    traps(instance.fill, end - 1, 1, 2)
    assert instance.grow(0) == pages
'''


def run(script: str, **environment: str) -> str:
    """What a script prints."""
    result = subprocess.run(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(script)],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, **environment},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("platform", ["linux", "minimal"])
@pytest.mark.parametrize("mebibytes", [300, 1000, 2240, 4500, 12_000, 20_000, 40_000])
def test_the_program_keeps_most_of_its_address_space(platform: str, mebibytes: int) -> None:
    """And everything works in what is there."""
    run(
        f"""
        limit({mebibytes} << 20)
        before = address_space_left()
        size = machine({platform!r}).arena.memory.size
        assert size * (2 if {platform!r} == "linux" else 1) <= before // 4
        heaps = 160 << 20 if before > 1 << 30 else 32 << 20  # what the C library reserves for those of two threads
        assert address_space_left() > before - before // 4 - heaps, (before, address_space_left(), size)
        instances = [brolga.load(TEXT) for _ in range(12)]
        for instance in instances:
            check(instance)
            assert instance.grow(9) == 1
            check(instance, 10)
        assert address_space_left() > before // 100
        threads = [threading.Thread(target=check, args=[instance, 10]) for instance in instances[:3]]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        """,
        BROLGA_PLATFORM=platform,
    )


def test_the_arena_takes_its_share_where_nothing_is_said() -> None:
    """As in sandboxes that refuse by rules of their own."""
    run("""
        from brolga.runtime.platform import linux
        left = 600 << 20
        real, give_back = linux._map, linux.LinuxPlatform._unmap_pair
        def map(address, size, protection, flags, file):
            global left
            if size > left or file < 0:
                return 0
            left -= size
            return real(address, size, protection, flags, file)
        def unmap(self, writable, executable, size):
            global left
            left += size * (bool(writable) + bool(executable))
            give_back(self, writable, executable, size)
        linux._map, linux.LinuxPlatform._unmap_pair = map, unmap
        machine()
        assert 400 << 20 < left < 600 << 20, left
    """)


def test_more_memories_than_there_is_address_space() -> None:
    run("""
        store = brolga.Store()
        module = brolga.Module(store.engine, TEXT)
        instances = [brolga.Instance(store, module, []).exports(store) for _ in range(16_500)]
        guarded = [exports["memory"]._memory.block.guarded for exports in instances]
        assert 16_000 < sum(guarded) < 16_400, sum(guarded)
        for exports in instances[:3] + instances[-100:]:
            traps(exports["get"], store, 65536)
            assert exports["grow"](store, 10) == 1
            exports["set"](store, 700_000, 5)
            assert exports["get"](store, 700_000) == 5
        check(brolga.load(TEXT))
        thread = threading.Thread(target=lambda: check(brolga.load(TEXT)))
        thread.start()
        thread.join()
        del instances, exports, store, module
        assert block(brolga.load(TEXT)).guarded
    """)


# What is not guarded beside what is: every second memory.
MIXED: Final = '''
real = ReservationPool.take
from brolga.runtime.platform.interface import PlatformError
guard = True
def take(self, *given):
    if guard: return real(self, *given)
    raise PlatformError("refused")
ReservationPool.take = take

def guarded(how, text, imports=None, store=None):
    global guard
    guard = how
    return brolga.load(text, imports, store=store)

CALLER = """(module
    (import "other" "get" (func $get (param i32) (result i32)))
    (import "other" "run" (func $run (param i32) (result i32)))
    (import "host" "call" (func $host (param i32) (result i32)))
    (import "other" "table" (table 4 funcref))
    (memory (export "memory") 1 200)
    (elem (i32.const 1) $own)
    (func $own (param i32) (result i32) (i32.load (local.get 0)))
    (func (export "get") (param i32) (result i32) (i32.load (local.get 0)))
    (func (export "set") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "both") (param i32) (result i32) (local $kept i32)
        (local.set $kept (i32.load (local.get 0)))
        (i32.add (i32.add (i32.mul (i32.const 100) (call $get (local.get 0)))
            (i32.mul (i32.const 1000) (call $host (local.get 0))))
          (i32.add (local.get $kept) (i32.load (local.get 0)))))
    (func (export "indirect") (param i32 i32) (result i32)
        (i32.add (i32.mul (i32.const 100) (call_indirect (param i32) (result i32) (local.get 1) (local.get 0)))
            (i32.load (local.get 1))))
    (func (export "around") (param i32) (result i32)
        (i32.add (i32.mul (i32.const 100) (call $run (local.get 0))) (i32.load (local.get 0)))))"""
CALLED = """(module
    (memory (export "memory") 1)
    (table (export "table") 4 funcref)
    (elem (i32.const 0) $get)
    (func $get (export "get") (param i32) (result i32) (i32.load (local.get 0)))
    (func (export "set") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
    (func (export "run") (param i32) (result i32)
        (i32.add (i32.mul (i32.const 10) (call_indirect (param i32) (result i32) (local.get 0) (i32.const 1)))
            (i32.load (local.get 0)))))"""
USER = """(module (import "other" "memory" (memory 1))
    (func (export "get") (param i32) (result i32) (i32.load (local.get 0)))
    (func (export "size") (result i32) (memory.size)))"""
'''


@pytest.mark.parametrize("without", ["", "gs"])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("second", [True, False])
def test_instances_with_and_without_guards_call_each_other(first: bool, second: bool, without: str) -> None:
    run(
        MIXED
        + textwrap.dedent(f"""
        store = brolga.Store()
        called = guarded({first}, CALLED, store=store)
        calls = lambda address: called.get(address) + caller.get(address)
        caller = guarded({second}, CALLER, {{"other": called, "host": {{"call": calls}}}}, store)
        assert block(called).guarded == {first} and block(caller).guarded == {second}
        for address in (8, 65532):
            called.set(address, 1)
            caller.set(address, 2)
            for _ in range(40):
                assert caller.both(address) == 100 + 3000 + 2 + 2
                assert caller.indirect(0, address) == 102
                assert caller.indirect(1, address) == 202
                assert caller.around(address) == 100 * (20 + 1) + 2
                assert called.get(address) == 1
        for address in (65533, 0xFFFFFFFF):
            for work in (called.get, caller.get, caller.both, caller.around, lambda a: caller.indirect(0, a)):
                traps(work, address)
        assert caller.grow(1) == 1
        caller.set(65536, 9)
        traps(caller.both, 65536)
        assert caller.get(65536) == 9
        """),
        BROLGA_WITHOUT=without,
    )


@pytest.mark.parametrize("without", ["", "gs"])
@pytest.mark.parametrize("first", [True, False])
def test_memories_that_are_imported(first: bool, without: str) -> None:
    run(
        MIXED
        + textwrap.dedent(f"""
        store = brolga.Store()
        owner = guarded({first}, TEXT, store=store)
        user = guarded(True, USER, {{"other": owner}}, store)
        copies = [guarded(True, USER, {{"other": brolga.load('(module (import "" "m" (memory 1)) (export "memory" (memory 0)))',
            {{"": {{"m": owner.memory}}}}, store=store)}}, store)]
        host = brolga.Memory(store, brolga.MemoryType(brolga.Limits(1, 5)))
        for one in (user, *copies):
            owner.set(65535, 77)
            assert one.get(65532) == 77 << 24
        view = memoryview(owner.memory)
        assert owner.grow(2) == 1
        view[9] = 4
        assert owner.get(9) == 4
        for one in (user, *copies):
            assert one.size() == 3
            assert one.get(131072) == 0
            traps(one.get, 3 * 65536 - 3)
        before = len(memoryview(owner.memory))
        owner.close()
        assert len(view) == 65536 and view[9] == 4
        """),
        BROLGA_WITHOUT=without,
    )


def test_growth_ends_where_the_reservation_does() -> None:
    run("""
        limit(40 << 30)
        kept = []
        while address_space_left() > 2 << 30:
            kept.append(brolga.load('(module (memory (export "memory") 1) (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))'))
        last = kept[-1]
        assert not block(last).guarded
        assert last.grow(65535) == -1
        assert last.grow(100) == 1
        try:
            last.memory.grow(65000)
        except brolga.WasmtimeError:
            pass
        assert last.grow(1) == 101
        # As much as it declares at most.
        it = brolga.load(TEXT)
        assert not block(it).guarded and it.grow(199) == 1 and it.grow(1) == -1
        check(it, 200)
    """)


def test_what_is_refused_altogether() -> None:
    run("""
        it = brolga.load(TEXT)
        check(it)
        limit(40 << 30)
        kept = [brolga.load(TEXT) for _ in range(10)]
        used = (40 << 30) - address_space_left()
        limit(used + (8 << 20))
        large = '(module (memory 1000))'
        for _ in range(3):
            try:
                brolga.load(large)
            except brolga.WasmtimeError as error:
                assert "failed to allocate a memory of 1000 pages" in str(error)
            else:
                raise AssertionError
        check(it)
        check(kept[-1])
        limit(-1)
        brolga.load(large)
        check(brolga.load(TEXT))
    """)
