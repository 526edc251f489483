"""What a process keeps of the memory that compiling a large function took."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Final

import pytest

from brolga.jit.settings import CPU_FEATURES, Settings
from brolga.jit.wasm.decode import decode
from brolga.runtime.compilation import LARGE_BODY, Compilation, collector_paused, give_memory_back
from tests.jit.test_linear import large_module

from ..bytecodes import Came, call_at_each_switch, come, raise_at_each_bytecode

_OPERATORS: Final = 30_000
_KEPT_BLOCKS: Final = 500  # without giving memory back: 6,000
_KEPT_BYTES: Final = 200  # for each operator; without giving memory back: 260, 600 with a compiled compiler

_CHILD: Final = """
from tests.runtime.api import test_compilation
test_compilation.report_resident()
"""


def _subject() -> Compilation:
    """Of one large function."""
    return Compilation(decode(large_module(_OPERATORS)), Settings(features=frozenset(CPU_FEATURES)))


def _resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def report_resident() -> None:
    """In a process of its own: by how much compiling the function makes it larger, for each operator."""
    compilation = _subject()
    small = Compilation(decode(large_module(1_000)), compilation.settings)
    small.compile(0)
    before = _resident()
    compilation.compile(0)
    print((_resident() - before) / _OPERATORS)


def test_no_objects_stay() -> None:
    compilation = _subject()
    (body,) = compilation.decoded.bodies
    assert body.end - body.start >= LARGE_BODY
    compilation.compile(0)
    before = sys.getallocatedblocks()
    compilation.compile(0)
    assert sys.getallocatedblocks() <= before + _KEPT_BLOCKS


def test_pages_are_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", _CHILD], check=True, stdout=subprocess.PIPE, text=True)
    assert float(done.stdout) <= _KEPT_BYTES


def test_collector_is_as_it_was() -> None:
    compilation = _subject()
    finalised: list[int] = []

    class Cycle:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            finalised.append(1)

    compilation.compile(0)
    assert gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        Cycle()
        compilation.compile(0)
        assert not gc.isenabled()
        assert not finalised  # compiling runs no code of others
        assert gc.get_freeze_count() == 0
    finally:
        gc.enable()
    gc.collect()
    assert finalised == [1]


def test_what_others_have_frozen_stays_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gc, "get_freeze_count", lambda: 7)
    monkeypatch.setattr(gc, "unfreeze", lambda: pytest.fail("unfrozen"))
    give_memory_back()


# --- The collector is off while something is compiled


def test_the_collector_is_off_while_anything_is_compiled() -> None:
    with collector_paused():
        with collector_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    gc.disable()
    try:
        with collector_paused():
            pass
        assert not gc.isenabled()  # it was off before
    finally:
        gc.enable()


def test_the_collector_is_on_after_an_exception_at_any_bytecode() -> None:
    """Where signal handlers run, even while the exception is kept, with its traceback and all frames."""
    compilation = Compilation(decode(large_module(10)), Settings(features=frozenset(CPU_FEATURES)))
    compilation.compile(0)
    kept: list[BaseException] = []

    def compile() -> None:
        try:
            compilation.compile(0)
        except Came as error:
            kept.append(error)
            raise

    def check(numbers: Iterator[int], most: int) -> int:
        number = 0
        for number in islice(numbers, most):
            assert gc.isenabled(), number
        return number

    for numbers, few in (
        (partial(raise_at_each_bytecode, lambda: compilation.compile(0)), 60),
        (partial(call_at_each_switch, compile, come), 15),
    ):
        check(numbers(), few)
        last = 0
        for step in (3989, 199, 17, 1):  # to the last of all
            last = check(numbers(step=step, first=last), 100)
    assert len(kept) > 20


def test_the_collector_is_on_after_allocations_that_fail() -> None:
    testcapi = pytest.importorskip("_testcapi")
    for first in range(1, 40):
        for count in (1, 2, 5):
            try:
                testcapi.set_nomemory(first, first + count)
                try:
                    with collector_paused():
                        pass
                finally:
                    testcapi.remove_mem_hooks()
            except MemoryError:
                pass
            assert gc.isenabled(), (first, count)
