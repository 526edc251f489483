"""What compiles a module's functions when they are needed."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

from brolga.jit.code import CompiledFunction
from brolga.jit.settings import Settings
from brolga.jit.vmctx import ContextLayout
from brolga.jit.wasm import types as wasm


@final
class _CollectorPause:
    """Keeps the cyclic garbage collector off while any thread compiles: compiling makes many objects and no cycles."""

    __slots__ = ("_depth", "_was_enabled")

    def __init__(self) -> None:
        self._depth = 0
        self._was_enabled = False

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
            if self._depth == 0 and self._was_enabled:
                gc.enable()

    def end(self) -> None:
        """In the child of a fork: threads that were compiling are not there any more."""
        if self._depth and self._was_enabled:
            gc.enable()
        self._depth = 0


collector_paused = _CollectorPause()
os.register_at_fork(after_in_child=collector_paused.end)


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
        from brolga.jit.compile import compile_function  # the compiler is imported when there is something to compile

        with collector_paused():
            return compile_function(self.decoded, self.layout, func, self.settings)
