"""What a process keeps of the memory that compiling a large function took."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from typing import Final

import pytest

from brolga.jit.settings import CPU_FEATURES, Settings
from brolga.jit.wasm.decode import decode
from brolga.runtime.compilation import LARGE_BODY, Compilation, give_memory_back
from tests.jit.test_linear import large_module

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
