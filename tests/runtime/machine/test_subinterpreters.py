"""Subinterpreters are refused at the door, and the main interpreter does not notice."""

from __future__ import annotations

import pytest

from .scripts import run

_SCRIPT = """
    try:
        import _interpreters as interpreters
    except ImportError:
        import _xxsubinterpreters as interpreters

    lines = (
        "for word in 'refused', 'again':",
        "    try:",
        "        import brolga.runtime.engine",
        "    except ImportError as error:",
        "        print(word if 'main interpreter' in str(error) else error, flush=True)",
    )
    CODE_TO_RUN = chr(10).join(lines)

    def create(isolated):
        try:
            return interpreters.create(isolated=isolated)
        except TypeError:                          # newer ones
            return interpreters.create("isolated" if isolated else "legacy")

    def use_in_subinterpreters():
        for isolated in (True, False, True, False):
            other = create(isolated)
            interpreters.run_string(other, CODE_TO_RUN)
            interpreters.destroy(other)
"""


@pytest.mark.parametrize("first", [True, False], ids=["main first", "main later"])
def test_subinterpreters_are_refused(first: bool) -> None:
    before = "world = World(CODE); assert trap(world) == OOB" if first else ""
    after = """
    world = World(CODE)
    assert trap(world) == OOB and trap(world, 6) == trap_codes.STACK_OVERFLOW
    when_running(world, world.state.interrupt)
    try:
        world.call(3, nothing)
    except WasmTrap as error:
        assert error.code == trap_codes.INTERRUPT
    use_in_subinterpreters()
    assert trap(world) == OOB
    """
    result = run(f"{_SCRIPT}\n    {before}\n    use_in_subinterpreters()\n{after}")
    assert result.stdout == "refused\nagain\n" * 8
