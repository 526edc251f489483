"""What may end the process if it goes wrong: each script runs in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Final

import pytest

from brolga.jit.code import COMPILED

_PRELUDE: Final = """
import faulthandler, gc, os, signal, sys, threading, time
from brolga import *
store = Store()
engine = store.engine
I32 = ValType.i32()

def instance(text, imports=()):
    return Instance(store, Module(engine, text), list(imports)).exports(store)

def outcome(function, *args, **keywords):
    try:
        return function(*args, **keywords)
    except Exception as error:
        return type(error).__name__

callback = lambda: None
host = Func(store, FuncType([], []), lambda: callback())
CALLS = instance('(module (import "" "" (func)) (memory 1) (func (export "f") call 0) (func (export "t") (drop (i32.load (i32.const -1)))) (func (export "s") call 2))', [host])
call = lambda: CALLS["f"](store)
trap = lambda: CALLS["t"](store)
LOOP = load('(module (func (export "f") loop br 0 end) (func (export "g")))')
"""
# The thread stands in the middle of an import until the process has forked. (Not in the finder: that holds the lock that fork takes.)
_IMPORTING = """
from importlib.machinery import PathFinder
begun, forked = threading.Event(), threading.Event()
class Slow:
    def find_spec(name, path=None, target=None):
        if name == "NAME" and threading.current_thread() is thread:
            spec = PathFinder.find_spec(name, path, target)
            execute = spec.loader.exec_module
            spec.loader.exec_module = lambda module: (begun.set(), forked.wait(10), execute(module))
            return spec
sys.meta_path.insert(0, Slow)
thread = threading.Thread(target=lambda: LOOP.g())
thread.start()
assert begun.wait(10), "it was imported before"
pid = os.fork()
if not pid:
    signal.alarm(20)
    result = outcome(LOOP.g)
    if result is not None:
        print(result, file=sys.stderr, flush=True)
    os._exit(7 if result is None else 1)
forked.set()
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""

RISKY: Final[dict[str, tuple[str, str]]] = {
    "recursion without Python's limit": (
        """
sys.setrecursionlimit(10**6)
callback = call
print(outcome(call), outcome(call))
callback = lambda: None
print(call())
""",
        "Trap Trap\nNone",
    ),
    "recursion on a thread with a small stack": (
        """
if not store._machine.platform.stacks:
    print("Trap Trap")  # there a native stack has at least a MiB
else:
    threading.stack_size(256 << 10)
    callback = call
    thread = threading.Thread(target=lambda: print(outcome(call), outcome(call)))
    thread.start()
    thread.join()
""",
        "Trap Trap",
    ),
    "recursion of wasm on a thread with a small stack": (
        """
threading.stack_size(2 << 20)
thread = threading.Thread(target=lambda: print(outcome(CALLS["s"], store), outcome(trap)))
thread.start()
thread.join()
""",
        "Trap Trap",
    ),
    "timeouts that are no times": (
        """
print([outcome(LOOP.g, timeout=seconds) for seconds in (float("nan"), float("inf"), 1e300, 10**400, "1", 1)])
print([outcome(LOOP.f, timeout=seconds) for seconds in (-1, 0, -float("inf"), 1e-9, 0.01)])
print(all(outcome(LOOP.f, timeout=0) == "WasmTimeout" for _ in range(200)))
""",
        (
            "['ArgumentValueError', None, None, None, 'ArgumentTypeError', None]\n"
            "['WasmTimeout', 'WasmTimeout', 'WasmTimeout', 'WasmTimeout', 'WasmTimeout']\nTrue"
        ),
    ),
    "faulthandler comes and goes": (
        """
null = open(os.devnull, "w")
seen = []
def toggle():
    (faulthandler.disable if faulthandler.is_enabled() else lambda: faulthandler.enable(null))()
for n in range(50):
    toggle()
    instance("(module)")
    callback = [toggle, lambda: None, trap][n % 3]
    seen += [outcome(call), outcome(trap), outcome(CALLS["s"], store)]
print(sorted(set(map(str, seen))))
""",
        "['None', 'Trap']",
    ),
    "tracebacks are dumped while wasm runs": (
        """
# faulthandler looks at the frames of other threads as they are: it crashes, without any wasm, if they run Python just then.
null = open(os.devnull, "w")
callback = lambda: faulthandler.dump_traceback(null)
for _ in range(20):
    call()
    outcome(trap)
outcome(LOOP.f, timeout=0.1)
for _ in range(3):
    faulthandler.dump_traceback_later(0.1, file=null)
    print(outcome(LOOP.f, timeout=0.3))
    faulthandler.cancel_dump_traceback_later()
faulthandler.register(signal.SIGUSR1, null, all_threads=False, chain=False)
threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1)).start()
print(outcome(LOOP.f, timeout=0.2))
""",
        "\n".join(["WasmTimeout"] * 4),
    ),
    "signals in callbacks": (
        """
seen = []
signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(outcome(trap)))
def callback():
    for _ in range(5):
        os.kill(os.getpid(), signal.SIGUSR1)
for _ in range(50):
    call()
print(set(seen))
class Stop(BaseException): pass
def stop(number, frame): raise Stop
signal.signal(signal.SIGUSR1, stop)
for _ in range(50):
    try:
        call()
        print("no")
    except Stop:
        pass
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
print(call())
""",
        "{'Trap'}\nNone",
    ),
    "fork in callbacks": (
        """
def fork():
    pid = os.fork()
    if not pid:
        outcome(trap)
        os._exit(7 if outcome(LOOP.f, timeout=0.05) == "WasmTimeout" else 1)
    seen.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
seen = []
callback = fork
for _ in range(12):
    call()
print(seen == [7] * 12, outcome(trap))
""",
        "True Trap",
    ),
    "fork while another thread imports the compiler": (_IMPORTING.replace("NAME", "brolga.jit.compile"), "7"),
    "fork while another thread imports what the compiler needs": (_IMPORTING.replace("NAME", "json.scanner"), "7"),
    "a store used from two threads": (
        """
it = load('(module (memory (export "m") 1 100) (table (export "t") 10 10000 funcref) (elem (i32.const 0) func $k) (func $k (result i32) i32.const 1)'
          '(func (export "f") loop (drop (call_indirect (result i32) (i32.const 0))) (drop (i32.load (i32.const 65532))) br 0 end) (func (export "g")))')
thread = threading.Thread(target=lambda: print(outcome(it.f)))
thread.start()
while not it.store._state.running:
    time.sleep(0.001)
seen = {outcome(action) for _ in range(100) for action in (
    lambda: it.m.grow(1), lambda: it.t.grow(10), lambda: it.t.__setitem__(0, None), it.g, it.store.close,
    lambda: Instance(it.store, Module(it.store.engine, "(module)"), []),
    lambda: Memory._wrap(it.m._memory).grow(it.store, 1), lambda: Table._wrap(it.t._table).set(it.store, 0, None))}
it.store.interrupt()
thread.join()
print(sorted(seen), it.m.grow(1), it.t.grow(10))
""",
        "Trap\n['StoreInUseError', 'WasmtimeError'] 1 10",
    ),
    "closing while others try to enter": (
        """
for _ in range(200):
    it = load('(module (memory (export "m") 1) (func (export "f") (result i32) (i32.load (i32.const 8))))')
    results = set()
    threads = [threading.Thread(target=lambda: [results.add(outcome(it.f)) for _ in range(20)]) for _ in range(3)]
    for thread in threads:
        thread.start()
    while outcome(it.store.close):
        pass
    for thread in threads:
        thread.join()
    assert results <= {0, "ClosedError", "StoreInUseError"}, results
print("done")
""",
        "done",
    ),
    "copies": (
        """
import copy, pickle
it = load('(module (memory (export "m") 1) (table (export "t") 1 funcref) (global (export "g") i32 (i32.const 4)) (func (export "f")))')
seen = set()
for thing in (it, it.m, it.t, it.g, it.f, it.store, CALLS, engine):
    for function in (copy.copy, copy.deepcopy, pickle.dumps):
        result = outcome(function, thing)
        seen.add("TypeError" if result in ("PicklingError", "ArgumentTypeError") else result if isinstance(result, str) else None)
        if type(result).__name__ == "BoundMemory":
            assert outcome(bytes, result) == "ClosedError"
        del result
        gc.collect()
print(sorted(map(str, seen)), len(bytes(it.m)), it.f())
""",
        "['None', 'TypeError'] 65536 None",
    ),
}


@pytest.mark.parametrize("name", RISKY)
@pytest.mark.parametrize("platform", ["linux", "minimal"])
def test_in_a_process_of_its_own(platform: str, name: str) -> None:
    if COMPILED and "what the compiler needs" in name:
        pytest.skip(
            "the body of a module that mypyc compiled runs once in a process and in its children: half run, it stays so"
        )
    code, expected = RISKY[name]
    done = subprocess.run(
        [sys.executable, "-c", _PRELUDE + code],
        env={**os.environ, "BROLGA_PLATFORM": platform},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, expected), done.stderr
