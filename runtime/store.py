"""`Store`: what owns instances and everything made for them.

    Store ──▶ StoreState          the activation state that its code refers to
          ──▶ StoreData           externrefs, WASI, limits: what host functions need; refers to the store weakly
          ──▶ InstanceData ...    each with its context, memories, tables, code
          ──▶ HostFunction ...    functions that were made with this store

Nothing that a store owns refers back to it strongly, so that it goes, with all of that, when its last user lets go of it.
Funcs are such users: calling one needs the store.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol, final

from brolga.ir.errors import WasmtimeError

from .engine import Engine
from .machine import HostFunction
from .values import ExternRefs
from .wasi.context import WasiConfig, WasiContext

if TYPE_CHECKING:
    from .instance import InstanceData


@final
class StoreLimits:
    """How much a store may use; -1 where there is no limit."""

    __slots__ = ("instances", "memories", "memory_size", "table_elements", "tables")

    def __init__(
        self, memory_size: int = -1, table_elements: int = -1, instances: int = -1, tables: int = -1, memories: int = -1
    ) -> None:
        self.memory_size = memory_size
        self.table_elements = table_elements
        self.instances = instances
        self.tables = tables
        self.memories = memories


class ExternHolder(Protocol):
    """A table or global of type externref."""

    def extern_numbers(self) -> Iterable[int]:
        """The references in it."""


@final
class StoreData:
    """What host functions and converters of references need of a store."""

    __slots__ = ("externs", "holders", "limits", "memory_count", "store", "table_count", "wasi")

    def __init__(self, store: Store) -> None:
        self.store = weakref.ref(store)
        self.externs = ExternRefs()
        self.holders: list[weakref.ref[ExternHolder]] = []  # tables and globals that hold externrefs
        self.wasi: WasiContext | None = None
        self.limits = StoreLimits()
        self.memory_count = 0
        self.table_count = 0

    @property
    def _data(self) -> StoreData:
        """As a store's: converters are given the one or the other."""
        return self

    def owner(self) -> Store:
        """The store, which must be alive."""
        store = self.store()
        if store is None:
            raise WasmtimeError("the store is gone")
        return store

    def count_memory(self) -> None:
        """A memory is about to be made."""
        count = self.memory_count + 1
        if 0 <= self.limits.memories < count:
            raise WasmtimeError(f"resource limit exceeded: memory count too high at {count}")
        self.memory_count = count

    def count_table(self) -> None:
        """A table is about to be made."""
        count = self.table_count + 1
        if 0 <= self.limits.tables < count:
            raise WasmtimeError(f"resource limit exceeded: table count too high at {count}")
        self.table_count = count


class Storelike(Protocol):
    """A store, or what stands for one while a host function runs: a Caller."""

    @property
    def _store(self) -> Store: ...


@final
class Store:
    """A group of instances that may share memories, tables, globals and functions, for use by one thread at a time."""

    __slots__ = ("__weakref__", "_data", "_hosts", "_instances", "_state", "_user_data", "engine")

    def __init__(self, engine: Engine | None = None, data: Any = None) -> None:
        if engine is None:
            engine = Engine()
        elif not isinstance(engine, Engine):
            raise TypeError("expected an Engine")
        self.engine = engine
        self._user_data = data
        self._state = engine.machine.new_state()
        self._data = StoreData(self)
        self._instances: list[InstanceData] = []
        self._hosts: list[HostFunction] = []

    @property
    def _store(self) -> Store:
        return self

    def data(self) -> Any:
        """What was given as `data`."""
        return self._user_data

    def set_wasi(self, wasi: WasiConfig) -> None:
        """Let WASI functions that instances of this store import work as configured. Uses the configuration up."""
        if not isinstance(wasi, WasiConfig):
            raise TypeError("expected a WasiConfig")
        self._data.wasi = wasi._context()

    def set_limits(
        self, memory_size: int = -1, table_elements: int = -1, instances: int = -1, tables: int = -1, memories: int = -1
    ) -> None:
        """Limit the bytes of each memory, the elements of each table, and the number of things; -1: no limit."""
        self._data.limits = StoreLimits(memory_size, table_elements, instances, tables, memories)

    def gc(self) -> None:
        """Let go of Python objects that no global and no table of this store refers to any more. Nothing happens while
        its code runs, which may hold references."""
        if not self._state.running:
            data = self._data
            data.holders = [holder for holder in data.holders if holder() is not None]
            numbers: set[int] = set()
            for reference in data.holders:
                holder = reference()
                if holder is not None:
                    numbers.update(holder.extern_numbers())
            data.externs.keep(numbers)

    def interrupt(self) -> None:
        """From any thread: end what runs in this store now, with a trap."""
        self._state.interrupt()


def same_store(storelike: Storelike, data: StoreData) -> Store:
    """The store, after a check that the object with this `data` is from it."""
    try:
        store = storelike._store
    except AttributeError:
        raise TypeError("expected a Store") from None
    if store._data is not data:
        raise WasmtimeError("object used with the wrong store")
    return store
