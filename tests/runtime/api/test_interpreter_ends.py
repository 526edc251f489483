"""The end of the interpreter: daemon threads in wasm, and finalisers that call wasm. Nothing is printed, nothing hangs."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[3]
_PRELUDE = """
import sys, threading, time
import brolga
TEXT = '''(module (import "h" "f" (func $f))
    (func (export "forever") (loop (br 0)))
    (func (export "again") (loop (call $f) (br 0)))
    (func (export "one") (result i32) i32.const 1)
    (func (export "trap") unreachable)
    (func (export "deep") (param i32) (result i32)
        (if (result i32) (local.get 0) (then (i32.add (i32.load (i32.const 0)) (i32.const 7))) (else (i32.const 0))))
    (memory 1))'''
def load(host=lambda: None):
    return brolga.load(TEXT, {"h": {"f": host}})
def start(work):
    threading.Thread(target=work, daemon=True).start()
"""


@pytest.fixture(params=["linux", "minimal"])
def platform(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def output(platform: str, script: str) -> str:
    environment = {"PYTHONPATH": str(_ROOT / "src"), "PATH": "/usr/bin:/bin", "BROLGA_PLATFORM": platform}
    command = [sys.executable, "-c", _PRELUDE + textwrap.dedent(script)]
    result = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stderr) == (0, ""), result.stdout + result.stderr
    return result.stdout


@pytest.mark.parametrize(
    "work",
    [
        "it.forever()",
        "it.forever(timeout=60)",
        "it.again()",
        "[it.one() for _ in iter(int, 1)]",
        "[it.one(timeout=1) for _ in iter(int, 1)]",
        "[load().one() for _ in iter(int, 1)]",
    ],
)
def test_daemon_threads_end_in_silence(platform: str, work: str) -> None:
    output(
        platform,
        f"""
        it = load()
        for _ in range(2):
            start(lambda: {work.replace("it.", "load().")})
        start(lambda: {work})
        time.sleep(0.1)
    """,
    )


def test_a_function_that_waits_for_daemon_threads_when_the_interpreter_ends(platform: str) -> None:
    """It was registered before ours, and runs after it."""
    script = """
        import atexit
        it = load()
        thread = threading.Thread(target=lambda: [it.one() for _ in iter(int, 1)], daemon=True)
        ours = sys.modules["brolga.runtime.machine.machine"]._at_exit
        atexit.unregister(ours)
        atexit.register(lambda: (thread.join(60), print(thread.is_alive())))
        atexit.register(ours)
        thread.start()
        time.sleep(0.05)
    """
    assert output(platform, script) == "False\n"


@pytest.mark.parametrize("engine", ["", ", engine=brolga.Engine()"])
def test_first_calls_in_finalisers(platform: str, engine: str) -> None:
    """Of functions without a trap and with one, with a timeout, and of a host function."""
    script = f"""
        class AtTheEnd:
            def __init__(self):
                self.calls = 0
                self.it = brolga.load(TEXT, {{"h": {{"f": lambda: None}}}}{engine})
            def __del__(self, print=print, Trap=brolga.Trap):
                print(self.it.one(), self.it.deep(1), self.it.one(timeout=10))
                try:
                    self.it.trap()
                except Trap as error:
                    print(error.trap_code is not None, "unreachable" in str(error))
        kept = AtTheEnd()
        sys.modules["at_the_end"] = AtTheEnd()
        cycle = AtTheEnd()
        cycle.itself = cycle
    """
    assert output(platform, script) == "1 7 1\nTrue True\n" * 3


def test_nothing_is_imported_at_the_end_if_all_is_compiled(platform: str) -> None:
    script = """
        import atexit
        config = brolga.Config()
        it = brolga.load(TEXT, {"h": {"f": print}}, engine=brolga.Engine(config))
        module = brolga.Module(it.store.engine, TEXT)
        del module
        for name in ("one", "trap", "deep"):
            try:
                getattr(it, name)(*[1] * (name == "deep"))
            except brolga.Trap:
                pass
        del it
        before = set(sys.modules)
        class AtTheEnd:
            def __del__(self, print=print, modules=sys.modules, before=before):
                print([name for name in set(modules) - before if name.startswith("brolga")])
        kept = AtTheEnd()
    """
    assert output(platform, script) == "[]\n"
