"""Compiling on behalf of a call, which may be asked to end meanwhile.

The compiler looks up now and then (`brolga.ir.work`). What it calls then is Python code, so that other threads get their turn and
signal handlers run; and if the call for which a function is compiled is to end, compiling ends.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from brolga.ir.work import set_hook

from .state import StoreState
from .traps import interruption


class CompilationEnded(BaseException):
    """The call that waits for the code is to end. No error of the compiler's, which it would report as such."""


class _Waiting(threading.local):
    """For whom the thread compiles."""

    state: StoreState | None = None


_waiting = _Waiting()


def look_up() -> None:
    """Raise if the call is to end for which this thread compiles."""
    state = _waiting.state
    if state is not None and state.end_is_wanted:
        raise CompilationEnded


def look_up_while_compiling() -> None:
    """Call this when the compiler has been imported."""
    set_hook(look_up)


def compile_for(state: StoreState, compile: Callable[[], int]) -> int:
    """What `compile` returns, for the innermost activation of the state. The interrupt trap if that is to end before the code is
    there. A handler of a signal that comes meanwhile may make calls, for which something is compiled too."""
    outer = _waiting.state
    try:
        _waiting.state = state
        return compile()
    except CompilationEnded:
        raise interruption(0, state.timed_out) from None
    finally:
        _waiting.state = outer


@contextmanager
def compiling_for_nobody() -> Iterator[None]:
    """Around compiling that no call waits for: a handler of a signal, or a finaliser, may make a module in the middle of compiling for a
    call, whose end does not concern it."""
    outer = _waiting.state
    try:
        _waiting.state = None
        yield
    finally:
        _waiting.state = outer
