"""WASI functions as functions of an instance: they work on its exported memory and on its store's WASI context."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from brolga.ir.errors import WasmtimeError

from ..machine import HostFunction
from .function import WasiFunction
from .guest import GuestMemory

if TYPE_CHECKING:
    from ..memory import MemoryData
    from ..store import Store, StoreData


_NO_BYTES: Final = memoryview(b"")
_NO_GUEST: Final = GuestMemory(_NO_BYTES)


@final
class GuestView:
    """The memory that an instance exports under the name `memory`, set when the instance has it."""

    __slots__ = ("_guest", "_view", "memory")

    def __init__(self) -> None:
        self.memory: MemoryData | None = None
        self._view = _NO_BYTES
        self._guest = _NO_GUEST

    def guest(self) -> GuestMemory:
        """The memory as it is now."""
        if self.memory is None:
            raise WasmtimeError("missing required memory export")
        view = self.memory.view()
        if view is not self._view:
            self._view = view
            self._guest = GuestMemory(view)
        return self._guest


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
