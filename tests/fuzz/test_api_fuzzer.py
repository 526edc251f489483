"""The fuzzer of the API sees the faults that are planted here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

HERE: Final = Path(__file__).resolve().parent
COUNT: Final = 10

_PROGRAM: Final = """
import ctypes, os, struct, sys, threading, time
sys.path.insert(0, {here!r})
import api, brolga
from brolga import Memory, Store
def planted(action):
    "Does something else each third time."
    calls = []
    def method(self, *args, **keywords):
        calls.append(0)
        return action(self, *args, **keywords) if len(calls) % 3 == 0 else before(self, *args, **keywords)
    return method
{plant}
sys.argv = ["api.py", "--count", {count!r}, "--modes", "--shrink-seconds", "0", "--keep", {keep!r}]
sys.exit(api.main())
"""
# What is done instead of `Memory.size`, and what the fuzzer says.
_INSTEAD: Final = {
    "crash": ("ctypes.string_at(0)", "crash: SIGSEGV"),
    "untyped error": ("struct.pack('B', 1000)", "ubyte format requires"),
    "wrong size": ("-1", "wrong result"),
    "descriptor": ("os.dup(0)", "leaked descriptors"),
    "thread": (
        "threading.Thread(target=time.sleep, args=(1000,), daemon=True).start() or before(self, *args)",
        "leaked threads",
    ),
    "object": ("kept.append(args[0]) or before(self, *args)", "leaked Store"),
    "collector": ("__import__('gc').disable() or before(self, *args)", "the garbage collector is off"),
}


@pytest.mark.parametrize("kind", _INSTEAD)
def test_planted_faults_are_found(kind: str, tmp_path: Path) -> None:
    action, message = _INSTEAD[kind]
    plant = f"kept = []\nbefore = Memory.size\nMemory.size = planted(lambda self, *args: {action})"
    text = _PROGRAM.format(here=str(HERE), plant=plant, count=str(COUNT), keep=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", text], check=False, capture_output=True, text=True, timeout=500)
    assert done.returncode == 1, done.stdout + done.stderr
    assert message in done.stdout
