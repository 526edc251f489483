"""What compiles a module's functions when they are needed, and gives memory back when large ones have been compiled."""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Final, final

from brolga.jit.code import CompiledFunction
from brolga.jit.settings import Settings
from brolga.jit.vmctx import ContextLayout
from brolga.jit.wasm import types as wasm

from .machine.compiling import look_up, look_up_while_compiling

_PARTS: Final = ("ir.builder", "jit.wasm.translate", "jit.x64.lower_memory", "jit.x64.lower", "regalloc.allocate", "jit.x64.emit")
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


@final
class _CollectorPause:
    """Keeps the cyclic garbage collector off while any thread compiles: compiling makes many objects and no cycles. `large`: something
    large has been compiled meanwhile.
    """

    __slots__ = ("_depth", "_was_enabled", "large")

    def __init__(self) -> None:
        self._depth = 0
        self._was_enabled = False
        self.large = False

    @contextmanager
    def __call__(self) -> Iterator[None]:
        if self._depth == 0:
            self._was_enabled = gc.isenabled()
            gc.disable()
        self._depth += 1
        try:
            yield
        finally:
            self._depth = max(self._depth - 1, 0)
            if self._depth == 0:
                try:
                    if self.large:
                        self.large = False
                        give_memory_back()
                finally:
                    if self._was_enabled:
                        gc.enable()

    def end(self) -> None:
        """In the child of a fork: threads that were compiling are not there any more."""
        if self._depth and self._was_enabled:
            gc.enable()
        self._depth = 0


collector_paused = _CollectorPause()
os.register_at_fork(after_in_child=collector_paused.end)


@cache
def _compiler() -> Callable[[wasm.Module, ContextLayout, int, Settings], CompiledFunction]:
    """The compiler is imported when there is something to compile. In parts, since that takes a tenth of a second, and the call that
    waits for it may be to end."""
    look_up_while_compiling()
    for part in _PARTS:
        import_module(f"brolga.{part}")
        look_up()
    from brolga.jit.compile import compile_function

    return compile_function


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
            return compile_function(self.decoded, self.layout, func, self.settings)
