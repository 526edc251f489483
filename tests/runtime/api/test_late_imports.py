"""What is imported late may be wanted by a signal handler that comes in the middle of its import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from brolga import wat2wasm

_ROOT = Path(__file__).resolve().parents[3]

_TEXT = """(module (import "h" "f" (func $f (param i32) (result i32)))
    (func (export "one") (param i32) (result i32) (call $f (local.get 0)))
    (func (export "two") (param i32 f64 i64) (result i32) (local.get 0)))"""
_SCRIPT = """
import importlib.machinery, os, signal, sys, threading, time
import brolga

target = sys.argv[1]
TEXT = sys.argv[3]
if target == "subprocess":
    BINARY = TEXT
else:
    BINARY = bytes.fromhex(sys.argv[2])
came, results, seen = [], [], []

def use():
    it = brolga.load(BINARY, {"h": {"f": lambda x: x + 1}})
    for _ in range(20):
        assert it.one(1) == 2
        assert it.two(1, 2.0, 3) == 1
    assert it.one(1, timeout=60) == 2
    if it.store._machine.platform.stacks:
        coroutine = it.one.call_async(1, timeout=60)
        try:
            coroutine.send(None)
        except StopIteration as stop:
            assert stop.value == 2
    results.append(1)

def handler(number, frame):
    came.append(1)
    use()

signal.signal(signal.SIGUSR1, handler)
main = threading.main_thread().ident

class Loader:
    def __init__(self, loader):
        self.create_module, self.exec = loader.create_module, loader.exec_module
    def exec_module(self, module):
        signal.pthread_kill(main, signal.SIGUSR1)
        end = time.monotonic() + 0.2
        while not came and time.monotonic() < end:
            time.sleep(0.001)
        self.exec(module)

class Finder:
    def find_spec(self, name, path=None, found=None):
        if name == target and not seen:
            seen.append(1)
            spec = importlib.machinery.PathFinder.find_spec(name, path)
            spec.loader = Loader(spec.loader)
            return spec

sys.meta_path.insert(0, Finder())
use()
assert seen and came and len(results) == 2, (seen, came, results)
"""


@pytest.mark.parametrize("platform", ["linux", "minimal"])
@pytest.mark.parametrize(
    "target",
    [
        "brolga.runtime.machine.timeouts",
        "brolga.runtime.machine.fibers",
        "brolga.jit.wasm.decode",
        "brolga.ir.builder",
        "brolga.jit.compile",
        "brolga.jit.x64.emit",
        "subprocess",
    ],
)
def test_a_signal_handler_that_wants_what_is_being_imported(platform: str, target: str) -> None:
    if platform == "minimal" and target.endswith("fibers"):
        pytest.skip("nothing can wait there")
    environment = {**os.environ, "PYTHONPATH": str(_ROOT / "src"), "BROLGA_PLATFORM": platform}
    command = [sys.executable, "-c", _SCRIPT, target, wat2wasm(_TEXT).hex(), _TEXT]
    result = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stderr) == (0, ""), result.stderr
