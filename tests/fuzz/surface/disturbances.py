"""What happens to an operation from outside while it works: signals, exceptions at any bytecode, allocations that fail."""

from __future__ import annotations

import dis
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

import brolga

try:
    from _testcapi import remove_mem_hooks, set_nomemory  # not in every Python
except ImportError:
    set_nomemory = None

if TYPE_CHECKING:
    from .chooser import Chooser
    from .execution import Execution
    from .steps import Step

# What a sequence may have. Threads and signals change the whole run, the others single steps.
MODES: Final = ("threads", "signals", "forks", "exceptions", "memory")
# Where no signal arrives, and where CPython loses the exception that it has in its hands if a trace function raises.
CLEANUP: Final = frozenset(dis.opmap.get(name, -1) for name in ("PUSH_EXC_INFO", "POP_EXCEPT", "COPY", "RERAISE"))
PACKAGE: Final = os.path.dirname(brolga.__file__)


class Interruption(BaseException):
    """Raised in the middle of an operation."""


def draw_disturbance(chooser: Chooser, step: Step) -> list[Any] | None:
    """What shall happen to the step, as data."""
    rng = chooser.rng
    kinds = [mode for mode in chooser.modes if mode in ("signals", "exceptions", "memory")]
    if not kinds or rng.random() < 0.5 or step.kind in ("build", "fork") or starts_a_program(step):
        return None
    kind = rng.choice(kinds)
    if kind == "signals" and chooser.thread == 0:
        seconds = 10 ** rng.uniform(-5.5, -2.5)
        return ["signal", seconds, rng.random() < 0.5, chooser.nested(rng.randrange(3), "")]
    if kind == "exceptions":
        return ["exception", int(10 ** rng.uniform(0, 3.2))]
    if kind == "memory" and set_nomemory is not None:
        return ["memory", int(10 ** rng.uniform(0, 2.8)), rng.choice([1, 1, 2, 5])]
    return None


def starts_a_program(step: Step) -> bool:
    """Whether it translates text: an interrupted `subprocess.run` of CPython's leaves descriptors behind."""
    return step.name == "wat2wasm" or any(argument[0] in ("guest", "lie") for argument in step.args)


def disturbed(execution: Execution, disturbance: list[Any] | None, action: Callable[[], Any]) -> Any:
    """Do the action while that happens."""
    if disturbance is None:
        return action()
    kind, *rest = disturbance
    execution.disturbed = True
    try:
        if kind == "signal":
            return _signalled(execution, action, *rest)
        if kind == "exception":
            return _traced(action, *rest)
        return _without_memory(action, *rest)
    finally:
        execution.disturbed = False


class Alarm:
    """The handler of SIGALRM, and what it is to do."""

    def __init__(self) -> None:
        self.told: Callable[[], object] | None = None
        self.raises = False
        self.armed = False
        signal.signal(signal.SIGALRM, self._ring)

    def _ring(self, number: int, frame: FrameType | None) -> None:
        told, self.told = self.told, None
        if told is not None:
            told()
        if self.armed and self.raises:
            self.armed = False
            raise Interruption

    def set(self, seconds: float, told: Callable[[], object] | None, raises: bool) -> None:
        self.told, self.raises, self.armed = told, raises, True
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def end(self) -> None:
        self.armed = False
        self.told = None
        signal.setitimer(signal.ITIMER_REAL, 0)


def _signalled(
    execution: Execution, action: Callable[[], Any], seconds: float, raises: bool, steps: list[dict[str, Any]]
) -> Any:
    alarm = execution.alarm
    try:
        try:
            alarm.set(seconds, execution.nested(steps) if steps else None, raises)
            return action()
        finally:
            alarm.end()
    except Interruption:
        alarm.end()
        raise


def _traced(action: Callable[[], Any], count: int) -> Any:
    left = count

    def in_frame(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal left
        if event == "opcode":
            left -= 1
            if left <= 0 and frame.f_code.co_code[frame.f_lasti] not in CLEANUP:
                sys.settrace(None)
                raise Interruption
        return in_frame

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return in_frame

    sys.settrace(trace)
    try:
        return action()
    finally:
        sys.settrace(None)


def _without_memory(action: Callable[[], Any], start: int, count: int) -> Any:
    assert set_nomemory is not None
    try:
        set_nomemory(start, start + count)
        return action()
    finally:
        remove_mem_hooks()  # takes no memory itself
