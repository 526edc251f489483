"""live_locals.py against a direct computation: liveness by iteration over the control-flow graph of random bodies."""

from __future__ import annotations

import random
from typing import Final

import pytest

from brolga.ir.errors import LimitError
from brolga.ir.verifier import verify
from brolga.jit.settings import Settings
from brolga.jit.vmctx import ContextLayout
from brolga.jit.wasm.decode import decode
from brolga.jit.wasm.live_locals import Constructs, analyse_constructs
from brolga.jit.wasm.translate import translate
from brolga.jit.wasm.validate import validate

from .binary import END, I32, leb, local_decls, one_function

LOCALS: Final = 6
GET, SET, TEE, BR, BR_IF, BR_TABLE, BLOCK, LOOP, IF, ELSE, RETURN = 0x20, 0x21, 0x22, 0x0C, 0x0D, 0x0E, 2, 3, 4, 5, 0x0F
CLOSE: Final = 0x0B
CONST: Final = b"\x41\0"

# A body as a list of operators: (opcode, operands). Conditions and values are constants, which the analysis does not look at.
Body = list[tuple[int, list[int]]]


def random_body(rng: random.Random, size: int) -> Body:
    body: Body = []
    depth = 0
    openers: list[int] = []
    for _ in range(size):
        match rng.randrange(12):
            case 0 | 1 | 2:
                body.append((GET, [rng.randrange(LOCALS)]))
            case 3 | 4 | 5:
                body.append((rng.choice([SET, TEE]), [rng.randrange(LOCALS)]))
            case 6:
                body.append((rng.choice([BR_IF, BR_IF, BR]), [rng.randint(0, depth)]))
            case 7 if rng.random() < 0.5:
                body.append((BR_TABLE, [rng.randint(0, depth) for _ in range(rng.randint(1, 4))]))
            case 8 if rng.random() < 0.2:
                body.append((RETURN, []))
            case 9 | 10 if depth < 6:
                openers.append(rng.choice([BLOCK, LOOP, IF]))
                body.append((openers[-1], []))
                depth += 1
            case 11 if depth:
                if openers[-1] == IF and rng.random() < 0.6:
                    openers[-1] = ELSE
                    body.append((ELSE, []))
                else:
                    openers.pop()
                    depth -= 1
                    body.append((CLOSE, []))
    return body + [(CLOSE, [])] * depth


def encode(body: Body) -> bytes:
    out = b""
    for op, operands in body:
        if op in (SET, TEE, BR_IF, BR_TABLE, IF):
            out += CONST
        if op == BR_TABLE:
            out += bytes([op, len(operands) - 1, *operands])
        elif op in (BLOCK, LOOP, IF):
            out += bytes([op, 0x40])
        else:
            out += bytes([op, *operands])
        if op in (GET, TEE):
            out += b"\x1a"
    return one_function(out, locals=local_decls((LOCALS, I32)))


class Reference:
    """The construct tree of a body and the locals live before each operator."""

    def __init__(self, body: Body) -> None:
        self.starts: list[int] = []  # by construct: the place of its opener
        self.ends: dict[int, int] = {}
        self.elses: dict[int, int] = {}
        around: list[list[int]] = []  # by place: the constructs around, innermost last
        open_starts: list[int] = []
        for place, (op, _) in enumerate(body):
            if op in (BLOCK, LOOP, IF):
                self.starts.append(place)
                open_starts.append(place)
            elif op == ELSE:
                self.elses[open_starts[-1]] = place
            around.append(list(open_starts))
            if op == CLOSE:
                self.ends[open_starts.pop()] = place
        self.live = [frozenset[int]()] * (len(body) + 1)
        successors = [self._successors(body, place, around[place]) for place in range(len(body))]
        changed = True
        while changed:
            changed = False
            for place in range(len(body) - 1, -1, -1):
                live = frozenset[int]().union(*[self.live[other] for other in successors[place]])
                op, operands = body[place]
                if op == GET:
                    live |= {operands[0]}
                elif op in (SET, TEE):
                    live -= {operands[0]}
                if live != self.live[place]:
                    self.live[place] = live
                    changed = True

    def _label(self, body: Body, around: list[int], depth: int) -> int:
        """Where a branch goes; the end of the body for the function's label."""
        if depth == len(around):
            return len(body)
        start = around[-1 - depth]
        return start + 1 if body[start][0] == LOOP else self.ends_later(body, start)

    def ends_later(self, body: Body, start: int) -> int:
        depth = 0
        for place in range(start, len(body)):
            depth += (body[place][0] in (BLOCK, LOOP, IF)) - (body[place][0] == CLOSE)
            if depth == 0:
                return place + 1
        raise AssertionError("no end")

    def _successors(self, body: Body, place: int, around: list[int]) -> list[int]:
        op, operands = body[place]
        if op == RETURN:
            return []
        if op == BR or op == BR_TABLE:
            return [self._label(body, around, depth) for depth in operands]
        if op == BR_IF:
            return [place + 1, self._label(body, around, operands[0])]
        if op == IF:
            otherwise = self._else_place(body, place)
            return [place + 1, otherwise]
        if op == ELSE:  # reached from the first arm
            return [self.ends_later(body, around[-1])]
        return [place + 1]

    def _else_place(self, body: Body, start: int) -> int:
        depth = 0
        for place in range(start, len(body)):
            op = body[place][0]
            if op == ELSE and depth == 1:
                return place + 1
            depth += (op in (BLOCK, LOOP, IF)) - (op == CLOSE)
            if depth == 0:
                return place + 1
        raise AssertionError("no end")


def sets_within(body: Body, start: int, end: int) -> set[int]:
    return {operands[0] for op, operands in body[start:end] if op in (SET, TEE)}


def constructs_of(data: bytes) -> Constructs:
    module = decode(data)
    validate(module)
    return analyse_constructs(module, 0)


@pytest.mark.parametrize("seed", range(120))
def test_nothing_live_is_left_out(seed: int) -> None:
    rng = random.Random(seed)
    body = random_body(rng, rng.choice([10, 30, 100]))
    data = encode(body)
    found = constructs_of(data)
    reference = Reference(body)
    assert len(found.merged) == len(reference.starts)
    for number, start in enumerate(reference.starts):
        end = reference.ends_later(body, start)
        sets = sets_within(body, start, end)
        place = start + 1 if body[start][0] == LOOP else end
        if body[start][0] == IF or found.branches[number]:
            assert sets & reference.live[place] <= set(found.merged[number]) <= sets
        if body[start][0] == IF:
            assert found.has_else[number] == (start in reference.elses)
            if found.has_else[number]:
                live = reference.live[reference.elses[start] + 1]
                assert sets & live <= set(found.restored[number]) <= sets
        assert found.merged[number] == sorted(found.merged[number])
    module = decode(data)
    verify(translate(module, 0, ContextLayout(module), Settings()))


@pytest.mark.parametrize("seed", range(60))
def test_without_nested_loops_nothing_dead_is_left_in(seed: int) -> None:
    """Within loops the analysis takes what is live at the header as live everywhere; elsewhere it is exact."""
    rng = random.Random(seed)
    body = [(BLOCK if op == LOOP else op, operands) for op, operands in random_body(rng, 60)]
    found = constructs_of(encode(body))
    reference = Reference(body)
    for number, start in enumerate(reference.starts):
        end = reference.ends_later(body, start)
        if body[start][0] == IF or found.branches[number]:
            assert set(found.merged[number]) == sets_within(body, start, end) & reference.live[end]


def test_many_locals() -> None:
    """Masks of many bits are taken apart in another way than those of few."""
    for locals in (1, 255, 256, 257, 4_000):
        setting = b"".join(CONST + b"\x21" + leb(local) for local in range(0, locals, 3))
        reading = b"".join(b"\x20" + leb(local) + b"\x1a" for local in range(0, locals, 2))
        body = b"\x02\x40" + setting + CONST + b"\x0d\0" + END + reading
        found = constructs_of(one_function(body, locals=local_decls((locals, I32))))
        assert found.merged == [list(range(0, locals, 6))]


def test_limit_of_merged_locals() -> None:
    """1,000 blocks around code that sets 5,000 locals: each block would merge all of them."""
    setting = b"".join(CONST + b"\x21" + leb(local) for local in range(5_000))
    reading = b"".join(b"\x20" + leb(local) + b"\x1a" for local in range(5_000))
    depth = 1_000
    body = b"\x02\x40" * depth + setting + (CONST + b"\x0d\0" + END) * depth + reading
    with pytest.raises(LimitError, match="merge more than 4000000 locals") as caught:
        constructs_of(one_function(body, locals=local_decls((5_000, I32))))
    assert caught.value.func == 0
    # If they are not read afterwards, nothing is merged.
    found = constructs_of(one_function(body[: -len(reading)], locals=local_decls((5_000, I32))))
    assert not any(found.merged)


def test_limit_of_constructs_times_locals() -> None:
    blocks = (b"\x02\x40" + END) * 30_000
    body = blocks + CONST + b"\x21" + leb(49_999)
    with pytest.raises(LimitError, match="30000 blocks, loops and ifs with 49999 locals"):
        constructs_of(one_function(body, locals=local_decls((50_000, I32))))
    constructs_of(one_function(blocks + CONST + b"\x21\0", locals=local_decls((50_000, I32))))
