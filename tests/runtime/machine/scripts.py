"""Scripts about the machine, each in a process of its own, which may die."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

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
