"""The objects that a sequence has made, by label, and what is known of them."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path
from typing import Any, Final, NamedTuple

import brolga

from .guests import FUNCTIONS, GLOBALS
from .operations import class_name
from .steps import Argument

MOST_ITEMS: Final = 4  # of a list, that get labels
MOST_HELD: Final = 150


class Thing(NamedTuple):
    """`kind` is the name of its class; `owner` the label of the store that it belongs to; `known` the name under which it was exported
    by a module of `guests.py`."""

    label: str
    kind: str
    value: Any
    owner: str = ""
    known: str = ""


class World:
    """Everything of one sequence. May be used by several threads."""

    def __init__(self, directory: Path) -> None:
        self.things: dict[str, Thing] = {}
        self.directory = directory
        self.failures: list[str] = []
        self.depth = threading.local()
        self.patched = False  # whether attributes of objects were replaced: then errors are of any kind
        self.scarce = False  # whether memory may end
        self.unmade = False  # whether there are objects without their attributes, made by `__new__` alone
        self.sacrificed = os.open(os.devnull, os.O_RDONLY)
        self._sizes: dict[str, int] = {}

    def fail(self, message: str) -> None:
        if len(self.failures) < 5:
            self.failures.append(message)

    # --- Labels -----------------------------------------------------------------------------------------------------------

    def find(self, label: str) -> Any:
        """The object with that label, or else one that was made for the same purpose; KeyError if there is none."""
        thing = self.things.get(label)
        if thing is not None:
            return thing.value
        raise KeyError(label)

    def snapshot(self) -> list[Thing]:
        while True:
            try:
                return list(self.things.values())
            except RuntimeError:  # another thread has made one
                continue

    def of_kind(self, *kinds: str) -> list[Thing]:
        return [thing for thing in self.snapshot() if thing.kind in kinds]

    def choose(self, rng: random.Random, kinds: tuple[str, ...], owner: str = "") -> Thing | None:
        """One of these kinds, from that store if there is one; later ones more often."""
        found = self.of_kind(*kinds)
        if owner:
            found = [thing for thing in found if thing.owner == owner or thing.label == owner] or found
        if not found:
            return None
        return found[min(len(found) - 1, int(len(found) * rng.random() ** 0.6))]

    def add(self, label: str, value: Any, owner: str = "", known: str = "") -> None:
        """Keep what a step has given, and what came with it."""
        if len(self.things) > MOST_HELD:
            return
        kind = class_name(value)
        if kind:
            if isinstance(value, brolga.Store):
                owner = label
            self.things[label] = Thing(label, kind, value, owner, known)
        elif hasattr(value, "cr_frame"):
            self.things[label] = Thing(label, "coroutine", value, owner, known)
        elif type(value) in (memoryview, bytearray, bytes):
            if len(value) < 1 << 20:
                self.things[label] = Thing(label, type(value).__name__, value, owner, known)
        elif type(value) in (list, tuple):
            for place, item in enumerate(value[:MOST_ITEMS]):
                if class_name(item):
                    self.add(f"{label}.{place}", item, owner)
        if kind in ("InstanceExports", "BoundInstance") and not self.unmade:
            for name in list(value)[:40]:
                self.add(f"{label}.{name}", value[name], owner, name if name in FUNCTIONS or name in GLOBALS else "")
            if kind == "BoundInstance":
                self.add(f"{label}.store", value.store)

    # --- What must hold at every moment -----------------------------------------------------------------------------------

    def least_size(self, target: Argument | None) -> int:
        """What the size of a memory or table was at least: they do not shrink."""
        return 0 if target is None else self._sizes.get(str(target), 0)

    def note_size(self, target: Argument | None, size: int) -> None:
        self._sizes[str(target)] = max(size, self.least_size(target))

    def close(self) -> None:
        self.things.clear()
        try:
            os.fstat(self.sacrificed)
            os.close(self.sacrificed)
        except OSError:
            self.fail("wrong result: a descriptor of the program was closed")
