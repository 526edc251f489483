"""Parallel moves, made sequential.

Input: moves that all read before any of them writes. Destinations differ; a source may be read several times.
Output: `Move`s in an order that has the same effect.

A move is emitted once nobody has still to read its destination. What remains are cycles: general registers go round through a spare
one (moves are renamed away by the processor, exchanges are not), without one they are exchanged; vector registers go round
through the scratch vector register, and a cycle that touches spill slots through one more slot (the scratch vector
register is what the client copies slots with).
Constants are made again last, when their destinations have been read.
"""

from __future__ import annotations

from typing import final

from .operand import FIRST_SPILL_SLOT, FIRST_VECTOR_REGISTER, MOVE_COPY, MOVE_EXCHANGE, MOVE_REMAT, Move


@final
class ParallelMoves:
    """Parallel lists: `vregs[i]` goes from `sources[i]` to `destinations[i]`; those in `remats` are made in their destination."""

    __slots__ = ("sources", "destinations", "vregs", "remats")

    def __init__(self) -> None:
        self.sources: list[int] = []
        self.destinations: list[int] = []
        self.vregs: list[int] = []
        self.remats: list[Move] = []

    def copy(self, source: int, destination: int, vreg: int) -> None:
        self.sources.append(source)
        self.destinations.append(destination)
        self.vregs.append(vreg)

    def remat(self, destination: int, vreg: int) -> None:
        self.remats.append(Move(MOVE_REMAT, -1, destination, vreg))


def resolve(moves: ParallelMoves, scratch_vector: int, scratch_slot: int, spare: int = -1) -> list[Move]:
    """The moves in order. Writes `scratch_slot` only for a cycle through spill slots, and `spare`, a general register
    that nobody reads or writes (-1: there is none), only for a cycle of general registers.
    """
    sources = moves.sources
    destinations = moves.destinations
    vregs = moves.vregs
    if len(sources) == 1:
        if sources[0] == destinations[0]:
            return moves.remats
        return [Move(MOVE_COPY, sources[0], destinations[0], vregs[0]), *moves.remats]

    writer: dict[int, int] = {}  # destination -> index of its move, while that is to be done
    readers: dict[int, int] = {}  # source -> how many moves have still to read it
    for i, destination in enumerate(destinations):
        source = sources[i]
        if source != destination:
            writer[destination] = i
            readers[source] = readers.get(source, 0) + 1
    result: list[Move] = []
    ready = [i for destination, i in writer.items() if destination not in readers]
    while ready:
        i = ready.pop()
        source = sources[i]
        result.append(Move(MOVE_COPY, source, destinations[i], vregs[i]))
        del writer[destinations[i]]
        readers[source] -= 1
        if readers[source] == 0 and source in writer:
            ready.append(writer[source])

    while writer:
        first = next(iter(writer))
        cycle: list[int] = []  # indices; each move reads what the next one writes
        location = first
        widest = first
        narrowest = first
        while location in writer:
            i = writer.pop(location)
            cycle.append(i)
            location = sources[i]
            widest = max(widest, location)
            narrowest = min(narrowest, location)
        if widest < FIRST_VECTOR_REGISTER and spare < 0:
            for i in cycle[:-1]:
                result.append(Move(MOVE_EXCHANGE, sources[i], destinations[i], vregs[i]))
            continue
        scratch = scratch_slot
        if widest < FIRST_VECTOR_REGISTER:
            scratch = spare
        elif widest < FIRST_SPILL_SLOT and narrowest >= FIRST_VECTOR_REGISTER:
            scratch = scratch_vector
        last = cycle[-1]
        result.append(Move(MOVE_COPY, first, scratch, vregs[last]))
        for i in cycle[:-1]:
            result.append(Move(MOVE_COPY, sources[i], destinations[i], vregs[i]))
        result.append(Move(MOVE_COPY, scratch, destinations[last], vregs[last]))
    result.extend(moves.remats)
    return result
