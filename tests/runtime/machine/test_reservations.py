"""Reservations that are used again: zero, and not accessible beyond the memory's length."""

from __future__ import annotations

import ctypes

import pytest

from brolga.runtime.machine import machine
from brolga.runtime.machine.memory import ReservedMemory

from .scripts import run

PAGE = 65536


def accessible(address: int, size: int) -> bool:
    """Whether the kernel may read these bytes."""
    libc = ctypes.CDLL(None, use_errno=True)
    vec = (ctypes.c_ubyte * (size // 4096))()
    if libc.mincore(ctypes.c_void_p(address), ctypes.c_size_t(size), vec) != 0:
        return False
    with open("/proc/self/maps") as maps:
        for line in maps:
            area, flags = line.split()[:2]
            start, end = (int(part, 16) for part in area.split("-"))
            if start <= address < end:
                return flags.startswith("rw")
    return False


@pytest.mark.parametrize(("first", "second"), [(2, 2), (4, 1), (1, 4), (3, 0), (0, 2)])
def test_reused_reservations(first: int, second: int) -> None:
    host = machine("linux")
    memory = host.new_memory(first * PAGE, 10 * PAGE)
    if not isinstance(memory, ReservedMemory):
        pytest.skip("no reservations here")
    base = memory.base
    ctypes.memset(base, 0xFF, first * PAGE)
    memory.release()
    memory = host.new_memory(second * PAGE, 10 * PAGE)
    assert (memory.base, memory.length) == (base, second * PAGE)
    assert ctypes.string_at(base, second * PAGE) == bytes(second * PAGE)
    assert not accessible(base + second * PAGE, PAGE)
    assert memory.grow(5 * PAGE)
    assert ctypes.string_at(base, 5 * PAGE) == bytes(5 * PAGE)
    assert not accessible(base + 5 * PAGE, PAGE)


@pytest.mark.parametrize("replaces", [True, False])
def test_wiped_where_the_system_does_not_discard(replaces: bool) -> None:
    """It does not for pages that are locked."""
    run(f"""
        from brolga.runtime.platform import linux
        real_map = linux._map
        class Library:
            def __getattr__(self, name):
                return getattr(linux._library, name)
            def madvise(self, address, size, advice):
                return -1
        linux.libc = Library()
        if not {replaces}:
            linux._map = lambda address, *rest: 0 if address else real_map(address, *rest)
        m = machine()
        for length in (3, 1, 2, 3, 1, 4):
            memory = m.new_memory(length << 16, 10 << 16)
            for size in (length << 16, 5 << 16):
                assert memory.grow(size)
                assert not any(ctypes.string_at(memory.base, size))
            ctypes.memset(memory.base, 7, size)
            memory.release()
    """)
