"""`SharedMemory`: memories that belong to no store. Modules that use them are refused, so that only the host does."""

from __future__ import annotations

import ctypes
from typing import final

from brolga.ir.errors import WasmtimeError
from brolga.jit.wasm.types import MAX_PAGES, PAGE_SIZE

from .arguments import index_of, instance_of, refuse_second_init
from .engine import Engine
from .machine import MemoryBlock
from .machine.changes import DONE, REFUSED
from .managed import SlottedManaged
from .types import MemoryType


@final
class SharedMemory(SlottedManaged):
    """A shared linear memory."""

    __slots__ = ("_block", "_type")

    def __init__(self, engine: Engine, ty: MemoryType) -> None:
        refuse_second_init(self, "_block")
        engine = instance_of(Engine, engine, "an Engine")
        ty = instance_of(MemoryType, ty, "a MemoryType")
        if not ty.is_shared:
            raise WasmtimeError("shared memory must have the `shared` flag enabled on its memory type")
        if not engine.shared_memory:
            raise WasmtimeError("shared memory support is disabled for this engine -- see `Config::shared_memory`")
        limits = ty.limits
        if ty.is_64 or ty.page_size != PAGE_SIZE or limits.max is None:
            raise WasmtimeError("memories with 64-bit indices or pages of one byte are not supported")
        pages = min(limits.max, MAX_PAGES)
        try:
            self._block: MemoryBlock = engine.machine.new_memory(limits.min * PAGE_SIZE, pages * PAGE_SIZE)
        except MemoryError as error:
            raise WasmtimeError(f"failed to allocate a memory of {limits.min} pages: {error}") from error
        self._type = MemoryType(limits, shared=True)

    def type(self) -> MemoryType:
        """Its type as it was made."""
        return self._type

    def grow(self, delta: int) -> int:
        """Add `delta` pages; returns the size before, in pages."""
        delta = index_of(delta)
        if delta < 0:
            raise WasmtimeError("cannot grow by negative amount")
        while True:
            before = self._block.length
            outcome = self._block.grow_from(before, before + delta * PAGE_SIZE) if delta else DONE
            if outcome == DONE:
                return before // PAGE_SIZE
            if outcome == REFUSED:
                raise WasmtimeError(f"failed to grow memory by `{delta}`")

    def size(self) -> int:
        """Size in pages."""
        return self._block.length // PAGE_SIZE

    def data_ptr(self) -> ctypes._Pointer[ctypes.c_ubyte]:
        """Pointer to the first byte. Accesses through it are not checked; it keeps the bytes where they are as long as it lives."""
        keeper = memoryview(self._block)  # from here on they do not move
        pointer = ctypes.cast(self._block.base, ctypes.POINTER(ctypes.c_ubyte))
        pointer.__dict__["keeper"] = keeper
        return pointer

    def data_len(self) -> int:
        """Size in bytes."""
        return self._block.length
