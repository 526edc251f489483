"""WASI functions as functions of an instance: they work on its exported memory and on its store's WASI context."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from brolga.ir.errors import WasmtimeError

from ..machine import HostFunction
from .function import WasiFunction
from .guest import GuestMemory

if TYPE_CHECKING:
    from ..memory import MemoryData
    from ..store import Store, StoreData


@final
class GuestView:
    """The memory that an instance exports under the name `memory`, set when the instance has it."""

    __slots__ = ("memory",)

    def __init__(self) -> None:
        self.memory: MemoryData | None = None

    def guest(self) -> GuestMemory:
        """The memory as it is now."""
        memory = self.memory
        if memory is None:
            raise WasmtimeError("missing required memory export")
        guest = memory.guest
        if not isinstance(guest, GuestMemory):
            view = memory.view()
            guest = GuestMemory(view)
            if view is memory._view:  # else it has grown meanwhile
                memory.guest = guest
        return guest


def bind_wasi(store: Store, view: GuestView, function: WasiFunction) -> HostFunction:
    """The function of one instance."""
    data: StoreData = store._data

    def call(*args: int) -> int | None:
        if data.wasi is None:
            raise WasmtimeError("WASI is not configured in this store: Store.set_wasi does it")
        return function.call(data.wasi, view.guest(), args)

    def exit(*args: int) -> None:
        call(*args)

    target = call if function.type.results else exit
    return store._machine.new_host_function(store._state, data, function.type, target, raw=True)
