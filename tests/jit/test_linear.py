"""The work of the compiler for each operator does not depend on the size of the function.

Counted in executed lines of the compiler, so that it is the same on every machine and every day.
"""

from __future__ import annotations

import random
import sys
from types import FrameType
from typing import Any, Final

import pytest

from brolga.jit.code import COMPILED
from brolga.jit.compile import compile_function
from brolga.jit.debug import Knobs
from brolga.jit.settings import CPU_FEATURES, Settings
from brolga.jit.vmctx import ContextLayout
from brolga.jit.wasm.decode import decode
from brolga.runtime.text import wat2wasm

LOCALS: Final = 12


def _statement(choose: random.Random, depth: int) -> list[str]:
    """Operators that leave nothing on the stack."""
    a, b, c = (choose.randrange(LOCALS) for _ in range(3))
    kind = choose.random()
    if kind < 0.4:
        operation = choose.choice(("add", "sub", "mul", "xor", "shl"))
        return [f"local.get {a}", f"local.get {b}", f"i32.{operation}", f"local.set {c}"]
    if kind < 0.6:
        return [f"local.get {a}", "i32.load offset=8", f"local.set {b}"]
    if kind < 0.75:
        return [f"local.get {a}", f"local.get {b}", "i32.store"]
    inner = [operator for _ in range(2) for operator in _statement(choose, depth + 1)] if depth < 4 else ["nop"]
    if kind < 0.9:
        return [f"local.get {a}", "if", *inner, "else", f"local.get {b}", f"local.set {c}", "end"]
    return ["loop", *inner, f"local.get {a}", "i32.const 1", "i32.sub", f"local.tee {a}", "br_if 0", "end"]


def large_module(operators: int) -> bytes:
    """A module with one function of about so many operators."""
    choose = random.Random(1)
    body: list[str] = []
    while len(body) < operators:
        body += _statement(choose, 0)
    params = " ".join(["i32"] * LOCALS)
    return bytes(wat2wasm(f"(module (memory 1) (func (param {params})\n" + "\n".join(body) + "))"))


def _executed_lines(operators: int) -> int:
    """Lines that the compiler runs for a function of so many operators."""
    module = decode(large_module(operators))
    layout = ContextLayout(module)
    settings = Settings(features=frozenset(CPU_FEATURES))
    lines = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        compile_function(module, layout, 0, settings, Knobs({}))
    finally:
        sys.settrace(before)
    return lines


@pytest.mark.skipif(COMPILED, reason="counts lines of Python, which a compiled compiler does not run")
def test_lines_an_operator_do_not_grow_with_the_function() -> None:
    small = _executed_lines(500) / 500
    large = _executed_lines(8_000) / 8_000
    assert large < 1.1 * small
