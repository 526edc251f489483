"""What locations hold for certain at each point of the code: the state of the checker's data flow analysis.

A state of its own for each block would take blocks times slots. There is one state, changed in place, that follows the dominator
tree like a scoped table: a block begins with what holds at the end of its immediate dominator, but for the locations written on
a way from there to here, and when all blocks that it dominates have been visited, its changes are undone. What is kept of a
block are the locations that differ from the end of its dominator.

    visit(b): enter(b), then fill, forget, empty by its instructions, leave(b), visit(each child of b), undo(b)

Blocks are visited in rounds. Facts about a predecessor (by an edge that goes back) are those of the round before, in the first
round none, which stands for everything; they only become fewer, until nothing changes: the greatest fixed point.
"""

from __future__ import annotations

from typing import Final, final

from .dominators import DominatorTree
from .operand import MachineBlock

NOTHING: Final[frozenset[int]] = frozenset()


@final
class Facts:
    """`holds[location]`: the vregs whose value the location has, never an empty set. `places` is its inverse."""

    __slots__ = (
        "blocks",
        "tree",
        "holds",
        "places",
        "changes",
        "entries",
        "exits",
        "arrivals",
        "undone",
        "mark",
        "meets",
    )

    def __init__(self, blocks: list[MachineBlock], tree: DominatorTree) -> None:
        count = len(blocks)
        self.blocks = blocks
        self.tree = tree
        self.holds: dict[int, frozenset[int]] = {}
        self.places: dict[int, set[int]] = {}
        self.changes: dict[
            int, frozenset[int]
        ] = {}  # of the block that is being visited: what its locations held before
        # By block: what differs at its entry, and at its end, from the end of its immediate dominator.
        self.entries: list[dict[int, frozenset[int]] | None] = [None] * count
        self.exits: list[dict[int, frozenset[int]] | None] = [None] * count
        self.arrivals: list[list[frozenset[int]]] = [
            [] for _ in range(count)
        ]  # where each branch argument is at the end
        self.undone: list[dict[int, frozenset[int]]] = [self.changes] * count
        self.mark = [0] * count
        self.meets = 0

    # A block's visit.

    def enter(self, b: int) -> bool:
        """Begin the visit, with the state at the end of b's immediate dominator. True if other things hold than last time."""
        entry = self._meet(b)
        self.changes = {}
        for location, vregs in entry.items():
            self.fill(location, vregs)
        changed = entry != self.entries[b]
        self.entries[b] = entry
        return changed

    def leave(self, b: int) -> None:
        holds = self.holds
        places = self.places
        self.undone[b] = self.changes
        # What held nothing and holds nothing never will hold anything, in later rounds.
        self.exits[b] = {
            location: holds.get(location, NOTHING)
            for location, before in self.changes.items()
            if before or location in holds
        }
        self.arrivals[b] = [frozenset(places.get(v, NOTHING)) for v in self.blocks[b].branch_args]

    def undo(self, b: int) -> None:
        """Back to the end of b's immediate dominator."""
        self.changes = {}
        for location, before in self.undone[b].items():
            self.fill(location, before)

    # Changes.

    def fill(self, location: int, vregs: frozenset[int]) -> None:
        """Set what the location holds."""
        before = self.holds.get(location, NOTHING)
        if location not in self.changes:
            self.changes[location] = before
        places = self.places
        for v in before:
            places[v].discard(location)
        if vregs:
            self.holds[location] = vregs
            for v in vregs:
                if v in places:
                    places[v].add(location)
                else:
                    places[v] = {location}
        elif before:
            del self.holds[location]

    def empty(self, location: int) -> None:
        if location in self.holds:
            self.fill(location, NOTHING)

    def forget(self, v: int) -> None:
        """v gets a new value."""
        locations = self.places.get(v)
        if locations:
            for location in list(locations):
                self.fill(location, self.holds[location] - {v})

    def at(self, location: int) -> frozenset[int]:
        return self.holds.get(location, NOTHING)

    # Where paths meet.

    def _meet(self, b: int) -> dict[int, frozenset[int]]:
        """What holds at the entry of b and not at the end of its immediate dominator, and the other way round."""
        preds = self.tree.preds[b]
        entry: dict[int, frozenset[int]] = {} if len(preds) < 2 else self._meet_of_paths(b, preds)
        params = self.blocks[b].params
        if not params:
            return entry
        holds = self.holds
        for p in params:  # values of another round are gone
            for location in self.places.get(p, NOTHING):
                entry.setdefault(location, holds[location])
        for location, vregs in entry.items():
            if not vregs.isdisjoint(params):
                entry[location] = vregs.difference(params)
        arrivals = [self.arrivals[p] for p in preds if self.exits[p] is not None]
        for k, p in enumerate(params):
            arrived = arrivals[0][k]
            for one in arrivals[1:]:
                arrived &= one[k]
            for location in arrived:
                known = entry.get(location)
                entry[location] = (holds.get(location, NOTHING) if known is None else known) | {p}
        return entry

    def _meet_of_paths(self, b: int, preds: list[int]) -> dict[int, frozenset[int]]:
        """The same without parameters: from the predecessors up the dominator tree, each block on the way once. What a block
        wrote counts if it may still be there at a predecessor, that is, unless all ways down from it overwrite it."""
        idom = self.tree.idom
        place = self.tree.place
        mark = self.mark
        exits = self.exits
        dominator = idom[b]
        self.meets += 1
        on_the_way: list[int] = []
        ends: set[int] = set()
        for p in preds:
            if exits[p] is None:
                continue
            ends.add(p)
            while p != dominator and mark[p] != self.meets:
                mark[p] = self.meets
                on_the_way.append(p)
                p = idom[p]
        # A block comes behind its dominator in reverse postorder.
        on_the_way.sort(key=place.__getitem__, reverse=True)
        entry: dict[int, frozenset[int]] = {}
        overwritten: dict[int, set[int]] = {}  # by block: the locations written on all ways from it
        for p in on_the_way:
            below: set[int] = set() if p in ends else overwritten.pop(p)
            written = exits[p]
            assert written is not None
            for location, vregs in written.items():
                if location not in below:
                    known = entry.get(location)
                    entry[location] = vregs if known is None else known & vregs
            below.update(written)
            parent = idom[p]
            others = overwritten.get(parent)
            overwritten[parent] = below if others is None else others & below
        everywhere = set() if dominator in ends else overwritten.get(dominator, set())
        for location, vregs in list(entry.items()):
            before = self.holds.get(location, NOTHING)
            if location not in everywhere:
                vregs &= before
                entry[location] = vregs
            if not vregs and not before:
                del entry[location]
        return entry
