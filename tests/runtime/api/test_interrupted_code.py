"""Signal handlers that change what the code they have interrupted is about to use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

PLATFORMS: Final = ({}, {"BROLGA_WITHOUT": "reservations"}, {"BROLGA_PLATFORM": "minimal"})
_FIRST: Final = "import brolga, signal, sys\nfrom brolga import BrolgaError, Trap\n"


def run(script: str, environment: dict[str, str], limit: int = 0) -> str:
    first = f"import resource\nresource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))\n" if limit else ""
    done = subprocess.run(
        [sys.executable, "-c", _FIRST + first + script],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[3],
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    return done.stdout


ELEMENTS: Final = """
it = brolga.load('''(module
  (table (export "table") 2 3 funcref)
  (global (export "called") (mut i32) (i32.const 0))
  (type $one (func (param i32) (result i32)))
  (type $other (func (param i64 i64) (result i64)))
  (func $f (type $one) local.get 0)
  (func $g (type $other) (global.set 0 (i32.const 1)) local.get 1)
  (elem (i32.const 0) $f $g)
  (func (export "loop")
    (loop $l
      (drop (call_indirect (type $one) (i32.const 5) (i32.const 0)))
      (br $l)))
  (func (export "set") (table.set 0 (i32.const 0) (table.get 0 (i32.const 1)))))''')
table = brolga.Table._wrap(it.table._table)
f, g = table.get(it.store, 0), table.get(it.store, 1)
ways = [lambda: table.set(it.store, 0, g), it.set]
def handler(*_):
    ways[trial % 2]()
signal.signal(signal.SIGALRM, handler)
it.set()
for trial in range(400):
    table.set(it.store, 0, f)
    signal.setitimer(signal.ITIMER_REAL, 0.0005 + 0.000013 * (trial % 37))
    try:
        it.loop()
    except Trap as trap:
        assert trap.trap_code is brolga.TrapCode.BAD_SIGNATURE, trap
    assert it.called.value == 0, "a function was called by another type than its own"
table.set(it.store, 0, f)
assert table._table._outgrown == ()
"""


@pytest.mark.parametrize("environment", PLATFORMS)
def test_an_element_changes_between_the_check_of_its_type_and_the_call(environment: dict[str, str]) -> None:
    run(ELEMENTS, environment)


GROWTH: Final = """
it = brolga.load('''(module
  (memory (export "memory") 1 60000)
  (func (export "count") (param i32)
    (loop
      (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 1)))
      (i32.store (i32.const 60000) (i32.add (i32.load (i32.const 60000)) (i32.const 1)))
      (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))''')
grown = refused = interrupted = 0
def handler(*_):
    global grown, refused, interrupted
    interrupted += bool(it.store._state.interrupted_in_code)
    try:
        it.memory.grow(it.memory.pages // 2 if grown < 20 else 1)
        grown += 1
    except BrolgaError:
        refused += 1
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
counted = 0
for _ in range(10):
    it.count(6_000_000)
    counted += 6_000_000
signal.setitimer(signal.ITIMER_REAL, 0)
for place in (8, 60000):
    assert int.from_bytes(it.memory.read(place, place + 4), "little") == counted
assert len(it.memory) == it.memory.pages << 16
print(grown, refused, interrupted)
"""


@pytest.mark.parametrize("environment", PLATFORMS)
@pytest.mark.parametrize("limit", [0, 2 << 30])
def test_a_memory_grows_under_code_that_uses_it(environment: dict[str, str], limit: int) -> None:
    """Where it would have to move, growth is refused."""
    grown, _, interrupted = map(int, run(GROWTH, environment, limit).split())
    assert grown
    assert environment == PLATFORMS[2] or interrupted
