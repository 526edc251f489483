"""How long compilations look up now and then.

The compiler counts its work, in instructions that it has looked at. When it has done a certain amount, it calls the hook, which may run
anything and may raise to end the compilation: what a function needs is made anew for each, so nothing is left half done. Compiled by
mypyc the compiler runs no bytecode, at which CPython would let other threads run and call signal handlers: the hook is Python code, and
is where that happens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

STRIDE: Final = 4096  # instructions between two looks: some ten milliseconds of one phase, a fifth of that when compiled
BLOCK: Final = 4  # what a block counts where its instructions are not looked at


@final
class Work:
    """What is left to do before the next look. All threads that compile share it: it need not be exact."""

    __slots__ = ("left", "hook")

    def __init__(self) -> None:
        self.left = STRIDE
        self.hook: Callable[[], None] | None = None

    def look_up(self) -> None:
        self.left = STRIDE
        hook = self.hook
        if hook is not None:
            hook()


_WORK: Final = Work()


def set_hook(hook: Callable[[], None] | None) -> None:
    """Call this, from now on, each time when an amount of work is done."""
    _WORK.hook = hook


def spend(instructions: int) -> None:
    """So many instructions, or as much work as they make, are about to be looked at."""
    work = _WORK
    work.left -= instructions
    if work.left < 0:
        work.look_up()
