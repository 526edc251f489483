"""Fuel of bulk operators whose length comes from somewhere: what is constant for Wasmtime is constant here."""

from __future__ import annotations

import random

import pytest

pytest.importorskip("wasmtime")

from .test_fuel import PREFIX, same_for_all_amounts

FILL = "i32.const 8 i32.const 1 local.get 4 memory.fill"  # with the length that `local.set 4` got
LENGTH = f"local.set 4 {FILL}"

BODIES = {
    "result of a block": f"(block (result i32) (i32.const 4)) {LENGTH}",
    "result of a block that one leaves": f"(block (result i32) (br_if 0 (i32.const 4) (local.get 0)) drop (i32.const 4)) {LENGTH}",
    "result of a block, the same value twice": f"""(local.set 1 (i32.const 4))
        (block (result i32) (br_if 0 (local.get 1) (local.get 0)) drop (local.get 1)) {LENGTH}""",
    "result of a block that is only left": f"(block (result i32) (br 0 (i32.const 4))) {LENGTH}",
    "result of a loop": f"(loop (result i32) (i32.const 4)) {LENGTH}",
    "operand of a loop": f"(i32.const 4) (loop (param i32) {LENGTH})",
    "operand of a loop that repeats": f"""(i32.const 4) (loop (param i32) {LENGTH} (local.get 4)
        (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))) drop) {FILL}""",
    "operand of a block": f"(i32.const 4) (block (param i32) {LENGTH})",
    "operand of an if": f"(i32.const 4) (if (param i32) (local.get 0) (then {LENGTH}) (else drop)) {FILL}",
    "operand that an if gives back": f"(i32.const 4) (if (param i32) (result i32) (local.get 0) (then nop)) {LENGTH}",
    "operand that one arm changes": f"""(i32.const 4) (if (param i32) (result i32) (local.get 0)
        (then drop (i32.const 5))) {LENGTH}""",
    "arm that does not go on": f"(if (result i32) (local.get 0) (then (i32.const 4)) (else (unreachable))) {LENGTH}",
    "second arm after one that does not go on": f"""(i32.const 4) (if (param i32) (result i32) (i32.eqz (local.get 0))
        (then drop (i32.const 7) (return)) (else)) {LENGTH}""",
    "both arms": f"(if (result i32) (local.get 0) (then (i32.const 4)) (else (i32.const 4))) {LENGTH}",
    "past other operators": f"(i32.const 4) (global.set $x (i32.const 2)) (call $leaf) nop {LENGTH}",
    "past constructs": f"(i32.const 4) (if (local.get 0) (then (nop))) (loop (nop)) (block (br 0)) {LENGTH}",
    "past a branch that may be taken": f"(block (result i32) (i32.const 4) (br_if 0 (local.get 0)) {LENGTH} (i32.const 3)) drop",
    "select": f"(select (i32.const 4) (i32.const 4) (local.get 0)) {LENGTH}",
    "set before a loop that does not repeat": f"(i32.const 4) local.set 4 (loop {FILL}) {FILL}",
    "set before a loop that repeats": f"""(i32.const 4) local.set 4 (loop {FILL}
        (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) {FILL}""",
    "set before a loop that repeats and does not mention it": f"""(i32.const 4) local.set 4
        (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) {FILL}""",
    "set before loops within each other": f"""(i32.const 4) local.set 4 (loop (loop {FILL}) {FILL}
        (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) {FILL}""",
    "targets of br_table": f"""(block (result i32) (block (result i32)
        (br_table 0 1 0 (i32.const 4) (local.get 0))) {LENGTH} (i32.const 3)) {LENGTH}""",
    "the only target of br_table": f"(block (result i32) (br_table 0 0 0 (i32.const 4) (local.get 0))) {LENGTH}",
    "behind br_table": f"""(i32.const 4) local.set 4 (block (block (br_table 0 1 1 0 (local.get 0))) {FILL}) {FILL}""",
    "fresh locals": f"(block (result i32) (br_if 0 (local.get 1) (local.get 0)) drop (local.get 2)) {LENGTH}",
    "fresh locals declared apart": f"(block (result i32) (br_if 0 (local.get 1) (local.get 0)) drop (local.get 3)) {LENGTH}",
    "after an access outside of any memory": f"""(local.set 4 (i32.const 4)) (if (local.get 0) (then {FILL})
        (else (drop (i32.load offset=262141 (i32.const 0))) (local.set 4 (local.get 0)))) {FILL}""",
}  # fmt: skip


def module_of(body: str) -> str:
    # Locals: 0 is the parameter, 1 and 2 are declared together, so are 3 and 4.
    return f'(module {PREFIX} (func (export "f") (param i32) (local i32 i32) (local i32 i32) {body}))'


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_where_a_constant_may_come_from(body: str) -> None:
    same_for_all_amounts(module_of(body), [2])


OTHERS = (  # operators of which Wasmtime makes several blocks
    "i32.const 2 call_indirect $t (type $none)",
    "i32.const 2 table.get $t drop",
    "i32.const 3 i32.const 2 table.get $t table.set $t",
    "i32.const 8 i32.const 16 i32.const 4 memory.copy",
    "local.get 0 memory.grow drop",
)


class Author:
    """Writes bodies at random in which constants of 0 to 6 take many ways to bulk operators. Loops end: each counts down."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.labels: list[
            int
        ] = []  # what a branch to each construct takes along, -1 for those that nothing shall branch to

    def number(self) -> str:
        """Leaves one number on the stack."""
        choice = self.random.randrange(9)
        if choice < 3:
            return f"i32.const {self.random.randrange(7)}"
        if choice < 6:
            return f"local.get {self.random.randrange(1, 5)}"
        if choice == 6:
            return f"i32.const {self.random.randrange(7)} local.tee {self.random.randrange(1, 5)}"
        return "local.get 0 i32.const 1 i32.and"

    def branch(self) -> str:
        """May branch; leaves the stack as it is."""
        targets = [depth for depth, count in enumerate(reversed(self.labels)) if count >= 0]
        if not targets:
            return "nop"
        depth = self.random.choice(targets)
        operands = [self.number() for _ in range(self.labels[-1 - depth])]
        condition = self.random.choice(["local.get 0", "global.get $x", "local.get 0 i32.eqz"])
        text = f"{' '.join(operands)} {condition} br_if {depth} {'drop ' * len(operands)}"
        return text if self.random.randrange(3) else f"local.get 0 if {' '.join(operands)} br {depth + 1} end"

    def construct(self, depth: int) -> str:
        """Leaves one number on the stack."""
        kind = self.random.choice(["block", "loop", "if", "if param"])
        self.labels.append(-1 if kind == "loop" else 1)
        first = f"{self.statements(depth - 1)} {self.number()}"
        second = f"{self.statements(depth - 1)} {self.number()}"
        leaves = self.random.choice(["", "", "", "br 0"] if kind != "loop" else [""])
        self.labels.pop()
        if kind == "block":
            return f"block (result i32) {first} {leaves} end"
        if kind == "loop":
            again = "global.get $x i32.const 1 i32.sub global.set $x global.get $x i32.const 0 i32.gt_s br_if 0"
            return f"i32.const 3 loop (param i32) (result i32) {self.random.choice(['drop', 'local.set 3'])} {first} {self.random.choice([again, ''])} end"
        if kind == "if":
            return f"{self.number()} if (result i32) {first} {leaves} else {second} end"
        arm = "" if self.random.randrange(2) else "else"
        return f"{self.number()} local.get 0 if (param i32) (result i32) {self.random.choice(['nop', 'drop ' + first])} {arm} end"

    def statements(self, depth: int) -> str:
        return " ".join(self.statement(depth) for _ in range(self.random.randrange(1, 5)))

    def statement(self, depth: int) -> str:
        choice = self.random.randrange(9)
        if choice == 8:
            return self.random.choice(OTHERS)
        if choice == 0 or depth == 0:
            return f"{self.number()} local.set {self.random.randrange(1, 5)}"
        if choice == 1:
            return self.branch()
        length = self.construct(depth) if choice < 5 else f"{self.number()} {self.statement(depth - 1)}"
        return f"i32.const 8 i32.const 1 {length} memory.fill"


@pytest.mark.parametrize("seed", range(24))
def test_by_chance(seed: int) -> None:
    same_for_all_amounts(module_of(Author(seed).statements(3)), [seed % 3])
