"""What compiles a module's functions when they are needed, and gives memory back when large ones have been compiled."""

from __future__ import annotations

import atexit
import ctypes
import gc
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from operator import methodcaller
from typing import Final, final
from weakref import ref

from brolga.jit.code import CompiledFunction
from brolga.jit.settings import Settings
from brolga.jit.vmctx import ContextLayout
from brolga.jit.wasm import types as wasm

from .machine.code import any_missing
from .machine.compiling import look_up, look_up_while_compiling
from .machine.late import import_late

_PARTS: Final = (
    "ir.builder",
    "jit.wasm.translate",
    "jit.x64.lower_memory",
    "jit.x64.lower",
    "regalloc.allocate",
    "jit.x64.emit",
)
LARGE_BODY: Final = 16 << 10  # bytes of wasm, some 9,000 operators, which take 6 MB


def give_memory_back() -> None:
    """Let the system have the memory that compiling a large function has left free.

    An arena of Python's allocator is released when nothing in it is in use. What lives on and lies among the rest are the compiler's
    tables and objects in the interpreter's free lists (thousands of tuples), which only a collection of the oldest generation
    empties. With all objects frozen it has nothing to look at, so it takes no time and runs nobody's finalisers; young objects come
    out of it in the oldest generation.
    """
    from brolga.jit.compile import forget_tables  # it is there: something was compiled

    forget_tables()
    if gc.get_freeze_count() == 0:  # else they are somebody's, who wants them to stay so
        gc.freeze()
        try:
            gc.collect()
        finally:
            gc.unfreeze()
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of the GNU C library
    if malloc_trim is not None:
        malloc_trim(0)


class _Pause(ctypes.Structure):
    """While one of these lives, the collector is off."""


class _PauseRef(ref[_Pause]):
    """Enables the collector when the pause is gone."""

    __slots__ = ()
    enable_collector = staticmethod(gc.enable)


# The callback of such a reference, which it is given. No Python code runs, which an exception of a signal handler could keep from doing its
# work, and nothing is allocated, which could fail.
_enable_collector: Final = methodcaller("enable_collector")


@final
class _CollectorPause:
    """Keeps the cyclic garbage collector off while any thread compiles: compiling makes many objects and no cycles. `with
    collector_paused():` around the work.

    The collector is on again when the last view of the pause is gone. The interpreter keeps it on the stack of the frame that has
    the `with`, so it goes at the end and by any exception, wherever that comes.
    """

    __slots__ = ("_pause", "large")

    def __init__(self) -> None:
        self._pause: _PauseRef | None = None
        self.large = False  # something large has been compiled meanwhile

    def __call__(self) -> memoryview:
        return memoryview(self._running() or self._begin())

    def _running(self) -> _Pause | None:
        return None if self._pause is None else self._pause()

    def _begin(self) -> _Pause:
        pause = _Pause()
        try:
            if gc.isenabled():
                self._pause = _PauseRef(pause, _enable_collector)
                gc.disable()
            return pause
        except BaseException:  # its traceback may be kept, and this frame with it
            del pause
            raise

    def end(self) -> None:
        """In the child of a fork: threads that were compiling are not there any more."""
        if self._running() is not None:
            self._pause = None
            gc.enable()

    def give_memory_back(self) -> None:
        """If something large has been compiled and nothing else is about to be."""
        if self.large and self._running() is None:
            self.large = False
            give_memory_back()


collector_paused = _CollectorPause()
os.register_at_fork(after_in_child=collector_paused.end)


@cache
def _compiler() -> Callable[[wasm.Module, ContextLayout, int, Settings], CompiledFunction]:
    """The compiler is imported when there is something to compile. That takes a tenth of a second, and the call that waits for it may
    be to end."""
    look_up_while_compiling()
    import_late(*[f"brolga.{part}" for part in _PARTS], "brolga.jit.compile", meanwhile=look_up)
    from brolga.jit.compile import compile_function

    return compile_function


def _at_exit() -> None:
    """Finalisers of what lives until the interpreter ends may call functions for the first time, when no import works any more: what
    they may want is imported now, if there are functions that are not compiled."""
    if any_missing():
        with suppress(Exception):  # nobody has asked for it
            _compiler()


atexit.register(_at_exit)


@final
class Compilation:
    """What it takes to compile a module's functions. Refers to no code, so that code may refer to it."""

    __slots__ = ("decoded", "layout", "settings")

    def __init__(self, decoded: wasm.Module, settings: Settings) -> None:
        self.decoded = decoded
        self.layout = ContextLayout(decoded)
        self.settings = settings

    def compile(self, func: int) -> CompiledFunction:
        """Machine code of the function with this index."""
        compile_function = _compiler()
        body = self.decoded.bodies[func - self.decoded.imported_funcs]
        with collector_paused():
            if body.end - body.start >= LARGE_BODY:
                collector_paused.large = True
            function = compile_function(self.decoded, self.layout, func, self.settings)
        collector_paused.give_memory_back()
        return function
