"""Whether all is well: every store computes what it should or says why not, a new one works, nothing is left behind."""

from __future__ import annotations

import gc
import os
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from brolga import Config, Engine, Instance, Module, Store, Trap, TrapCode, WasmTimeout

from .judgement import where
from .world import Thing, World

PATIENCE: Final = 15.0  # seconds for what takes milliseconds
MOST_CHECKED: Final = 40
# Objects of these classes go with the last user of a store or module.
OWNED: Final = ("Store", "InstanceData", "LoadedModule", "MemoryData", "TableData", "Deadline", "Fiber")


def describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[-1] if str(error) else ''}"


def of_process(platform: str = "") -> list[str]:
    """What is wrong with a new engine and store."""
    try:
        config = Config()
        if platform:
            config.platform = platform
        store = Store(Engine(config))
        exports: Any = Instance(store, Module(store.engine, BINARY), []).exports(store)
        problems = []
        if exports["add"](store, 2, 3) != 5:
            problems.append("wrong result: add in a new store")
        try:
            exports["forever"](store, timeout=0.001)
            problems.append("wrong result: an endless loop has ended")
        except WasmTimeout:
            pass
        if exports["add"](store, 2, 3) != 5:
            problems.append("wrong result: add after a timeout")
        if not gc.isenabled():
            problems.append("left behind: the garbage collector is off")
        return problems
    except Exception as error:  # noqa: BLE001
        return [f"sick: a new store: {describe(error)} {where(error)}"]


BINARY: bytes = b""  # of the module "traps"


def of_world(world: World) -> list[str]:
    """What is wrong with what the sequence has made. Nothing else runs."""
    problems: list[str] = []
    for thing in world.of_kind("coroutine"):
        with suppress(BaseException):  # told to end, it may say why
            thing.value.close()
    seen: set[str] = set()
    for thing in world.snapshot()[-MOST_CHECKED * 5 :]:
        if len(seen) > MOST_CHECKED:
            break
        store = world.things.get(thing.owner)
        if store is None or not isinstance(store.value, Store):
            continue
        try:
            reason = _of_thing(thing, store.value, seen, world)
        except Exception as error:  # noqa: BLE001
            reason = f"sick: s{thing.label} ({thing.known or thing.kind}): {describe(error)}"
        if reason:
            problems.append(reason)
    return problems


def _is_closed(store: Any) -> bool:
    try:
        store.ptr()
    except ValueError:
        return True
    return False


def _of_thing(thing: Thing, store: Any, seen: set[str], world: World) -> str:
    if _is_closed(store):
        return ""
    if thing.known == "add" and thing.owner not in seen:
        seen.add(thing.owner)
        result = _patient(store, lambda: thing.value(*([store] if thing.kind == "Func" else []), 20, 22))
        return "" if result == 42 else f"wrong result: add gives {result!r} in s{thing.owner}"
    prefix = thing.label.rpartition(".")[0]
    if thing.kind == "Memory":
        size, length = thing.value.size(store), thing.value.data_len(store)
        if size * 65536 != length or len(thing.value.read(store, -8 if length else 0, None)) != min(8, length):
            return f"wrong result: sizes of the memory s{thing.label}: {size} pages, {length} bytes"
        pages = world.things.get(f"{prefix}.pages")
        if thing.known == "" and pages is not None and thing.label.endswith(".memory") and pages.kind == "Func":
            found = _patient(store, lambda: pages.value(store))
            if found != size:
                return f"wrong result: wasm sees {found} pages of the memory s{thing.label}, Python {size}"
            load = world.things[f"{prefix}.load"].value if f"{prefix}.load" in world.things else None
            if load is not None and length:
                found = _patient(store, lambda: load(store, length - 4))
                expected = int.from_bytes(thing.value.read(store, length - 4, length), "little", signed=True)
                if found != expected:
                    return f"wrong result: wasm reads {found} from the memory s{thing.label}, Python {expected}"
    if thing.kind == "Table":
        size = thing.value.size(store)
        if size:
            thing.value.get(store, size - 1)
        if thing.value.get(store, size) is not None:
            return f"wrong result: something behind the end of the table s{thing.label}"
    if thing.kind == "Global":
        thing.value.value(store)
    return ""


def _patient(store: Any, call: Any) -> Any:
    """The result of a call, after giving the store what it needs."""
    try:
        return call()
    except Trap as trap:
        if trap.trap_code is TrapCode.OUT_OF_FUEL:
            store.set_fuel(10**9)
        elif trap.trap_code is TrapCode.INTERRUPT and store._epoch is not None:
            store.set_epoch_deadline(10**6)
        else:
            raise
    return call()


class Figures(NamedTuple):
    """What must be as before."""

    mappings: int
    descriptors: int
    threads: int

    @classmethod
    def now(cls) -> Figures:
        mappings = Path("/proc/self/maps").read_bytes().count(b"\n")
        return cls(mappings, len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task")))

    def grown_since(self, before: Figures) -> list[str]:
        limits = Figures(200, 0, 0)  # 64 memories wait for their next use
        return [
            f"leaked {name}: {old} -> {new}"
            for name, old, new, limit in zip(self._fields, before, self, limits, strict=True)
            if new - old > limit
        ]


def owned_objects() -> Counter[str]:
    """How many objects there are of the classes of which none may be left."""
    gc.collect()
    gc.collect()
    return Counter(
        name
        for thing in gc.get_objects()
        if (name := type(thing).__name__) in OWNED and type(thing).__module__.startswith("brolga.")
    )
