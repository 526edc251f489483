"""Something that comes in at each bytecode of the runtime in turn, as signal handlers may."""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable, Iterator
from functools import cache
from types import CodeType, FrameType
from typing import Any

import brolga.runtime.engine

_OURS = brolga.runtime.engine.__file__.rsplit("/", 2)[0]


class Came(BaseException):
    """What is raised in the middle of a call, as Ctrl-C raises KeyboardInterrupt."""


def come() -> None:
    raise Came


def raise_at_each_bytecode(call: Callable[[], object], step: int = 1, first: int = 0) -> Iterator[int]:
    """Run `call` again and again; each time `Came` is raised before another bytecode of the runtime's or compiler's, the first, the
    second and so on (or with larger steps), until there are no more. Yields the number after each call."""
    number = first
    while _run(call, come, number, None):
        yield number
        number += step


def call_at_each_switch(
    call: Callable[[], object], come: Callable[[], object], step: int = 1, first: int = 0
) -> Iterator[int]:
    """As `raise_at_each_bytecode`; `come` is called, and only where CPython runs signal handlers and switches threads."""
    number = first
    while _run(call, come, number, _switches):
        yield number
        number += step


@cache
def _switches(code: CodeType) -> frozenset[int]:
    """Offsets of the bytecodes before which handlers run: where functions begin, behind calls, at jumps back."""
    offsets = set()
    behind_call = False
    for instruction in dis.get_instructions(code):
        if behind_call or instruction.opname == "RESUME" or "JUMP_BACKWARD" in instruction.opname:
            offsets.add(instruction.offset)
        behind_call = instruction.opname in ("CALL", "CALL_FUNCTION_EX", "CALL_KW")
    return frozenset(offsets)


def _run(
    call: Callable[[], object],
    come: Callable[[], object],
    number: int,
    where: Callable[[CodeType], frozenset[int]] | None,
) -> bool:
    """Whether it came to that bytecode."""
    left = number

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal left
        if event == "call":
            if not frame.f_code.co_filename.startswith(_OURS):
                return None
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        elif event == "opcode" and (where is None or frame.f_lasti in where(frame.f_code)):
            left -= 1
            if left == -1:
                sys.settrace(None)
                come()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except Came:
        pass
    finally:
        sys.settrace(before)
    return left < 0
