"""Parallel moves against what they mean, exhaustively for few locations."""

from __future__ import annotations

import itertools

import pytest

from brolga.regalloc.moves import ParallelMoves, resolve
from brolga.regalloc.operand import MOVE_COPY, MOVE_EXCHANGE, MOVE_REMAT

SCRATCH_VECTOR = 31
SCRATCH_SLOT = 99


def run(sources: list[int], destinations: list[int]) -> tuple[dict[int, str], set[int], int]:
    """What locations hold after the resolved moves, which were written, and how many exchanges there were."""
    parallel = ParallelMoves()
    for i, (source, destination) in enumerate(zip(sources, destinations, strict=True)):
        parallel.copy(source, destination, i)
    held = {location: f"old{location}" for location in {*sources, *destinations}}
    written = set()
    exchanges = 0
    for move in resolve(parallel, SCRATCH_VECTOR, SCRATCH_SLOT):
        if move.kind == MOVE_EXCHANGE:
            assert max(move.source, move.destination) < 16
            held[move.source], held[move.destination] = held[move.destination], held[move.source]
            written |= {move.source, move.destination}
            exchanges += 1
        else:
            assert move.kind == MOVE_COPY
            if move.source >= 32 and move.destination >= 32:  # the client copies slots through it
                held[SCRATCH_VECTOR] = "lost"
            held[move.destination] = held[move.source]
            written.add(move.destination)
    return held, written, exchanges


@pytest.mark.parametrize(
    "locations", [[0, 1, 2, 3], [16, 17, 18, 19], [32, 33, 34, 35], [0, 1, 32, 33], [16, 17, 32, 33], [16, 32, 17, 33]]
)
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_all_moves_among_four_locations(locations: list[int], count: int) -> None:
    for destinations in itertools.combinations(locations, count):
        for sources in itertools.product(locations, repeat=count):
            held, written, exchanges = run(list(sources), list(destinations))
            for source, destination in zip(sources, destinations, strict=True):
                assert held[destination] == f"old{source}", (sources, destinations)
            for location in set(locations) - set(destinations):
                assert held.get(location, f"old{location}") == f"old{location}", (sources, destinations)
            assert written <= {*destinations, SCRATCH_VECTOR, SCRATCH_SLOT}
            if locations[0] > 0:
                assert exchanges == 0


def test_a_copy_is_emitted_once_and_not_onto_itself() -> None:
    parallel = ParallelMoves()
    parallel.copy(0, 0, 5)
    parallel.copy(1, 2, 6)
    parallel.copy(1, 3, 6)
    moves = resolve(parallel, SCRATCH_VECTOR, SCRATCH_SLOT)
    assert sorted((m.kind, m.source, m.destination, m.vreg) for m in moves) == [(MOVE_COPY, 1, 2, 6), (MOVE_COPY, 1, 3, 6)]


def test_a_cycle_of_general_registers_takes_exchanges_only() -> None:
    _, written, exchanges = run([1, 2, 3, 0], [0, 1, 2, 3])
    assert exchanges == 3
    assert written == {0, 1, 2, 3}


def test_constants_are_made_after_their_register_has_been_read() -> None:
    parallel = ParallelMoves()
    parallel.remat(0, 7)
    parallel.copy(0, 1, 5)
    moves = resolve(parallel, SCRATCH_VECTOR, SCRATCH_SLOT)
    assert [m.kind for m in moves] == [MOVE_COPY, MOVE_REMAT]
