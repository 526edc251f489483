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
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Protocol, final

from brolga.ir.errors import ArgumentTypeError, ClosedError, WasmtimeError

from .arguments import index_of, instance_of, int_of, refuse_second_init
from .engine import Engine
from .machine import HostFunction, Machine
from .machine.lifetime import Unique
from .managed import Managed
from .values import ExternRefs

if TYPE_CHECKING:
    from .fuel import StoreFuel
    from .functions import Func
    from .instance import InstanceData
    from .memory import MemoryData
    from .wasi.context import WasiConfig, WasiContext

    class ExternHolder(Protocol):
        """A table or global of type externref."""

        def extern_numbers(self) -> Iterable[int]:
            """The references in it."""


# What few programs use is imported when it is used, and then held: no import works any more when the interpreter ends, where
# finalisers may use it again.


@cache
def _fuel_class() -> type[StoreFuel]:
    from .fuel import StoreFuel

    return StoreFuel


@cache
def _wasi_class() -> type[WasiConfig]:
    from .wasi.context import WasiConfig

    return WasiConfig


# Kinds of what a store refers to weakly.
HOST_MEMORY: Final = 0
EXTERN_HOLDER: Final = 1  # a table or global of type externref


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


@final
class StoreData(Unique):
    """What host functions and converters of references need of a store."""

    __slots__ = (
        "closed",
        "externs",
        "funcs",
        "instance_count",
        "limits",
        "memory_count",
        "running",
        "state",
        "store",
        "table_count",
        "table_elements",
        "wasi",
        "_added",
        "_most_added",
        "_noted",
    )

    def __init__(self, store: Store) -> None:
        self.store = weakref.ref(store)
        self.state = store._state
        self.running = store._state.activation  # true while code runs
        self.externs = ExternRefs()
        self.funcs: dict[int, weakref.ref[Func]] = {}  # by address of the record, which lasts as long as the store
        # What may go before the store: a chain of kind, weak reference and rest, how much was added since it was walked, and when it is.
        self._noted: Any = None
        self._added = 0
        self._most_added = 64
        self.wasi: WasiContext | None = None
        self.closed = False  # all that closing a store gives up is given up
        self.limits = StoreLimits()
        self.table_elements = [0]  # of all tables
        self.instance_count = self.memory_count = self.table_count = 0

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

    def note(self, kind: int, thing: MemoryData | ExternHolder) -> None:
        """Refer to a thing weakly. Signal handlers may do that between any two steps: what is noted changes in one."""
        reference = weakref.ref(thing)
        self._noted = kind, reference, self._noted
        self._added += 1
        if self._added > self._most_added:
            self.noted(kind)

    def noted(self, kind: int) -> list[Any]:
        """The things of this kind that are alive. What is not is forgotten."""
        while True:
            before = chain = self._noted
            found = []
            while chain is not None:
                thing = chain[1]()
                if thing is not None:
                    found.append((chain[0], thing))
                chain = chain[2]
            alive: Any = None
            for of_kind, thing in reversed(found):
                alive = of_kind, weakref.ref(thing), alive
            most = len(found) + 64
            things = [thing for of_kind, thing in found if of_kind == kind]
            if self._noted is before:
                self._noted, self._added, self._most_added = alive, 0, most
                return things

    def count_module(self, memories: int, tables: int) -> None:
        """An instance is about to be made of a module that defines so many. What the host makes by itself does not count. As in
        Wasmtime, what is counted stays so if something else is refused."""
        limits = self.limits
        self.instance_count = _counted("instance", self.instance_count, 1, limits.instances)
        self.memory_count = _counted("memory", self.memory_count, memories, limits.memories)
        self.table_count = _counted("table", self.table_count, tables, limits.tables)


def _counted(kind: str, before: int, more: int, limit: int) -> int:
    count = before + more
    if 0 <= limit < count:
        raise WasmtimeError(f"resource limit exceeded: {kind} count too high at {count}")
    return count


class Storelike(Protocol):
    """A store, or what stands for one while a host function runs: a Caller, a StoreContext."""

    @property
    def _store(self) -> Store: ...

    @property
    def _data(self) -> StoreData: ...


class StandsForStore:
    """Base of a store and of what stands for one."""

    __slots__ = ()


@final
class StoreContext(StandsForStore):
    """What stands for a store for a while."""

    __slots__ = ("_context_store",)

    def __init__(self, ptr: Store) -> None:
        self._context_store: Store | None = instance_of(Store, ptr, "a Store")

    @property
    def _store(self) -> Store:
        try:
            store = self._context_store
        except AttributeError:
            store = None
        if store is None:
            raise ClosedError("caller is no longer valid")
        return store

    @property
    def _data(self) -> StoreData:
        return self._store._data

    def _invalidate(self) -> None:
        self._context_store = None


def _signed(number: int) -> int:
    """The lowest 64 bits, as a number with a sign."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


@final
class Store(Managed, StandsForStore, Unique):
    """A group of instances that may share memories, tables, globals and functions, for use by one thread at a time."""

    __slots__ = (
        "__weakref__",
        "_closed",
        "_data",
        "_epoch",
        "_fuel",
        "_hosts",
        "_instances",
        "_machine",
        "_settings",
        "_state",
        "_user_data",
        "engine",
    )

    def __init__(self, engine: Engine | None = None, data: Any = None) -> None:
        refuse_second_init(self, "_state")
        engine = Engine() if engine is None else instance_of(Engine, engine, "an Engine")
        self.engine = engine
        self._user_data = data
        self._machine: Machine = engine.machine
        self._settings = engine.settings
        self._epoch = engine.epoch
        self._state = engine.machine.new_state()
        if engine.max_stack:
            self._state.max_stack = engine.max_stack
        self._fuel: StoreFuel | None = None
        if engine.settings.fuel:
            self._fuel = _fuel_class()(self._state)
        self._data = StoreData(self)
        self._instances: list[InstanceData] = []
        self._hosts: list[HostFunction] = []
        if self._epoch is not None:
            self._epoch.set_deadline(self._state, 0)
        self._closed = False

    @property
    def _store(self) -> Store:
        try:
            if not self._closed:
                return self
        except AttributeError:  # `__init__` has not run: it is as one that is closed
            pass
        raise ClosedError("already closed")

    def _entered(self) -> StoreData:
        """What changes the store begins with this: it is not closed, and its code does not run on another thread."""
        data = self._store._data
        data.state.check_thread()
        return data

    def close(self) -> None:
        """Give up memories and files; every later use of the store and what belongs to it raises ValueError. Views of a memory
        that are still alive keep its pages. WasmtimeError if code of the store is running; a call that waits for an async host
        function ends with ValueError when it would go on."""
        if not self._is_made():
            return
        data = self._data
        if self._closed and data.closed:
            return
        self._state.close()
        self._closed = True
        # From here on nothing fails; what is interrupted is done again by the next call.
        for instance in self._instances:
            for memory in instance.memories:
                memory.close()
        for host_memory in data.noted(HOST_MEMORY):
            host_memory.close()
        data.externs.forget()
        self._user_data = None
        wasi = data.wasi
        if wasi is not None:
            wasi.close()
        empty = StoreData(self)
        empty.closed = True
        data.wasi = None
        self._data = empty  # what belongs to the store no longer takes it for its own

    def _is_made(self) -> bool:
        return hasattr(self, "_closed")

    def ptr(self) -> Store:
        """The store, if it is not closed."""
        return self._store

    def data(self) -> Any:
        """What was given as `data`."""
        return self._store._user_data

    def set_wasi(self, wasi: WasiConfig) -> None:
        """Let WASI functions that instances of this store import work as configured. Uses the configuration up."""
        wasi = instance_of(_wasi_class(), wasi, "a WasiConfig")
        data, state = self._entered(), self._state
        context = wasi._context()
        context.ended = lambda: state.end_is_wanted
        data.wasi = context

    def set_limits(
        self, memory_size: int = -1, table_elements: int = -1, instances: int = -1, tables: int = -1, memories: int = -1
    ) -> None:
        """Limit the bytes of each memory, the elements of each table, how many instances there may be, and how many tables and
        memories the modules of instances define; no limit where the number is negative."""
        given = (memory_size, table_elements, instances, tables, memories)
        limits = StoreLimits(*(_signed(int_of(limit)) for limit in given))
        self._entered().limits = limits

    def set_fuel(self, fuel: int) -> None:
        """Let code of this store use up `fuel` units from now on: as a rule one for each operator that it executes, and one for
        each byte or element that a bulk operator handles. With nothing left it ends with a trap. A new store has none.
        WasmtimeError unless `Config.consume_fuel` is set. Of negative and larger numbers the lowest 64 bits count."""
        fuel = int_of(fuel)
        tank = self._store._fuel
        if tank is None:
            raise WasmtimeError("fuel is not configured in this store")
        self._entered()
        tank.left = fuel

    def get_fuel(self) -> int:
        """How much of the fuel is left. While code runs, that is as of its last call of a function. WasmtimeError unless
        `Config.consume_fuel` is set."""
        tank = self._store._fuel
        if tank is None:
            raise WasmtimeError("fuel is not configured in this store")
        return tank.left

    def set_epoch_deadline(self, ticks_after_current: int) -> None:
        """Let code of this store run until the engine's epoch has been incremented that many times from now. Then it ends with
        an interrupt trap. Without effect unless `Config.epoch_interruption` is set."""
        ticks = index_of(ticks_after_current)
        epoch = self._store._epoch
        if epoch is not None:
            epoch.set_deadline(self._state, ticks)

    def set_wasi_http(self) -> None:
        """Refused: it is for components."""
        raise WasmtimeError("the component model is not supported")

    def gc(self) -> None:
        """Let go of Python objects that no global and no table of this store refers to any more. Nothing happens while
        its code runs, which may hold references."""
        state = self._store._state
        if state.running or state.suspended is not None:
            state.check_thread()
            return
        claim = None
        try:
            claim = state.claim()
            if claim is not None:  # else this is a signal handler in the middle of something
                self._collect()
        finally:
            if claim:
                claim.clear()

    def _collect(self) -> None:
        data = self._data
        counter = data.state.counter
        while True:
            # Signal handlers may store objects, or run code that moves references.
            asked, entries = data.externs.asked, counter.value
            numbers: set[int] = set()
            for holder in data.noted(EXTERN_HOLDER):
                numbers.update(holder.extern_numbers())
            if data.externs.keep(numbers, asked, counter, entries):
                return

    def interrupt(self) -> None:
        """From any thread: end what runs in this store now, with a trap."""
        if self._is_made():
            self._state.interrupt()


def store_of(storelike: Any) -> Store:
    """The store that is given, or that what is given stands for."""
    if not issubclass(type(storelike), StandsForStore):
        raise ArgumentTypeError("expected a Store")
    store: Store = storelike._store
    return store


def enter(storelike: Storelike, data: StoreData) -> Store:
    """What every operation on a store begins with: the store, after a check that the object with this `data` is from it, and that its
    code does not run on another thread. What programs do in loops does so only if a look at these two tells that there is something
    to say. Whoever takes several steps claims the store in addition."""
    store = same_store(storelike, data)
    if data.running:
        data.state.check_thread()
    return store


def same_store(storelike: Storelike, data: StoreData) -> Store:
    """The store, after a check that the object with this `data` is from it."""
    try:
        if type(storelike) is Store and storelike._data is data:  # what it nearly always is; a closed one has other data
            return storelike
    except AttributeError:  # it has not been made
        pass
    store = store_of(storelike)
    if store._data is not data:
        raise WasmtimeError("object used with the wrong store")
    return store
