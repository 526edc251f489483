"""Random code made of what the compiler treats specially, and of what only looks like it.

Random operators hardly ever make these: fields of bits as numbers and as addresses, of values that live on or die; conversions of
floats behind tests of their range, right and almost right; selections by two comparisons; chains of one operation around loops; loops
whose counters are used in front of the step, behind it and behind the loop, with several ways out; early returns in front of calls, so
that the frame is made late; small functions with all that structured control can do. A seed gives one module in text form. The bits of a
NaN are never seen: floats are compared, converted, copied, and stored after $canonical.
"""

from __future__ import annotations

import random
from typing import Final

FUNCTIONS: Final = 8
PARAMS: Final = ["i32", "i32", "i32", "i64", "i64", "f32", "f64", "f64"]
LOCALS: Final = [*PARAMS, "i32", "i32", "i64", "i32", "f64"]
COUNTERS: Final = 6  # more locals, for loops

ICC: Final = ["eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u"]
FCC: Final = ["eq", "ne", "lt", "gt", "le", "ge"]
CONSTANTS: Final = [0, 1, 2, 3, 4, 7, 8, 16, 31, 32, 63, 100, 127, 128, 255, 256, 0x7FFF, 0xFFFF, 0x10000, 0x7FFF_FFFF, 0x8000_0000,
                    -1, -2, -4, -8, -128, -129]  # fmt: skip
# Of tests of the range: the limit itself, its neighbours, others.
SIGNED_LIMITS: Final = {
    "i32": ["2147483648", "2147483648", "2147483647", "2147483649", "2147483904", "4294967296", "1000", "-5", "nan"],
    "i64": ["9223372036854775808", "9223372036854775808", "9223372036854774784", "9223373136366403584", "100", "nan"],
}
UNSIGNED_LIMITS: Final = {
    "i32": ["4294967296", "4294967296", "4294967295", "4294967297", "4294967808", "9223372036854775808", "77", "inf"],
    "i64": ["18446744073709551616", "9223372036854775808", "4294967296"],
}
LOW_LIMITS: Final = ["0", "0", "-0", "-1", "-1e12", "nan"]

_HEAD: Final = r"""(module
  (import "host" "h" (func $host (param i32 i64) (result i32)))
  (type $t (func (param i32 i64) (result i32)))
  (memory (export "m") 1 3)
  (data (i32.const 0) "\01\02\83\04\f5\06\77\08\00\00\00\00\00\00\f0\3f\11\80\00\00\00\00\e0\41\00\00\00\00\00\00\f0\41")
  (global $g (export "g") (mut i32) (i32.const 5))
  (global $n (export "n") (mut i64) (i64.const 0))
  (global $fuel (mut i32) (i32.const 4000))
  (table 8 8 funcref)
  (elem (i32.const 0) func $host $log $recursive $log $host)
  (func $burn
    (if (i32.eqz (global.get $fuel)) (then (unreachable)))
    (global.set $fuel (i32.sub (global.get $fuel) (i32.const 1))))
  (func $log (param i32 i64) (result i32)
    (call $burn)
    (global.set $n (i64.add (i64.mul (global.get $n) (i64.const 31)) (i64.xor (local.get 1) (i64.extend_i32_u (local.get 0)))))
    (i32.store (i32.const 24) (local.get 0))
    (if (i32.eqz (local.get 0)) (then (return (i32.load8_s (i32.const 0)))))
    (i32.load16_u offset=20 (i32.and (local.get 0) (i32.const 7))))
  (func $recursive (param i32 i64) (result i32)
    (call $burn)
    (if (i32.lt_s (local.get 0) (i32.const 3)) (then (return (i32.wrap_i64 (local.get 1)))))
    (i32.add
      (call $recursive (i32.shr_u (local.get 0) (i32.const 2)) (i64.add (local.get 1) (i64.const 3)))
      (local.get 0)))
  (func $canonical32 (param f32) (result f32)
    (select (local.get 0) (f32.const nan) (f32.eq (local.get 0) (local.get 0))))
  (func $canonical64 (param f64) (result f64)
    (select (local.get 0) (f64.const nan) (f64.eq (local.get 0) (local.get 0))))
"""


class _Writer:
    """The text of one function after the other."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(f"idioms {seed}")
        self.locals: list[str] = []
        self.counters: list[int] = []  # not in use
        self.labels = 0
        self.leaves: list[tuple[list[str], list[str]]] = []  # parameters and results

    def module(self) -> str:
        choose = self.random
        for _ in range(choose.randrange(1, 6)):
            params = [choose.choice(["i32", "i64", "f64"]) for _ in range(choose.randrange(0, 4))]
            results = [choose.choice(["i32", "i64"]) for _ in range(choose.choice([0, 1, 1, 1, 2, 3]))]
            self.leaves.append((params, results))
        functions = [self.function(number) for number in range(FUNCTIONS)]
        leaves = [self.leaf(number) for number in range(len(self.leaves))]
        return _HEAD + "\n".join([*functions, *leaves]) + ")"

    def function(self, number: int) -> str:
        choose = self.random
        self.locals = [*LOCALS, *["i32"] * COUNTERS]
        self.counters = list(range(len(LOCALS), len(self.locals)))
        end = self.label()
        early = f"(if {self.condition()} (then (return {self.results()})))" if choose.random() < 0.6 else ""
        body = "\n    ".join([early, *[self.statement(0, [end]) for _ in range(choose.randrange(1, 6))]])
        head = f'(func (export "f{number}") (param {" ".join(PARAMS)}) (result i32 i64)'
        locals = f"(local {' '.join(self.locals[len(PARAMS) :])})"
        return f"  {head} {locals}\n    (block {end} {body})\n    {self.results()})"

    def results(self) -> str:
        return f"{self.value('i32', 1)} (i64.xor {self.value('i64', 1)} (i64.extend_i32_u {self.get('i32')}))"

    def local(self, type: str) -> int:
        return self.random.choice([index for index, other in enumerate(self.locals) if other == type])

    def get(self, type: str) -> str:
        if type not in self.locals:
            return self.constant(type)
        return f"(local.get {self.local(type)})"

    def constant(self, type: str) -> str:
        return f"({type}.const {self.random.choice(CONSTANTS)})"

    def label(self) -> str:
        self.labels += 1
        return f"$b{self.labels}"

    # Integers

    def value(self, type: str, depth: int = 0) -> str:
        choose = self.random
        if type[0] == "f":
            return self.float_value(type, depth)
        if depth > 2 or choose.random() < 0.2:
            return self.get(type) if choose.random() < 0.8 else self.constant(type)
        kind = choose.randrange(14)
        if kind < 4:
            return self.field(type, depth)
        if kind < 6:
            return self.load(type)
        if kind < 9:
            op = choose.choice(["add", "sub", "and", "or", "xor", "mul", "shl", "shr_u", "rotl"])
            right = self.constant(type) if choose.random() < 0.4 else self.value(type, depth + 1)
            return f"({type}.{op} {self.value(type, depth + 1)} {right})"
        if kind < 11:
            return f"(select {self.value(type, depth + 1)} {self.value(type, depth + 1)} {self.condition()})"
        if kind == 11:
            return self.conversion(type)
        if kind == 12 and type == "i32":
            return f"(i32.wrap_i64 {self.value('i64', depth + 1)})"
        if kind == 12:
            return f"(i64.extend_i32_{choose.choice('su')} {self.value('i32', depth + 1)})"
        return self.leaf_call(type) or self.conversion(type)

    def field(self, type: str, depth: int) -> str:
        """(x >> k) & mask, in one of its forms."""
        choose = self.random
        bits = int(type[1:])
        x = self.value(type, depth + 1) if depth == 0 else self.get(type)
        kind = choose.randrange(8)
        if kind == 0:
            left = choose.choice([4, 8, 16, 24, bits - 8, bits - 16])
            right = choose.choice([left, left + 1, bits - 8, bits - 16])
            shifted = f"({type}.shl {x} ({type}.const {left}))"
            return f"({type}.{choose.choice(['shr_s', 'shr_u'])} {shifted} ({type}.const {right}))"
        count = choose.choice([0, 1, 2, 3, 5, 7, 8, 15, 16, 23, 24, 29, 30, 31, 32, 33, 40, 48, 56, 60])
        shifted = f"({type}.{choose.choice(['shr_u', 'shr_u', 'shr_s', 'rotr'])} {x} ({type}.const {count}))"
        if kind < 3:
            return f"({type}.extend{8 * kind}_s {shifted})"
        width = choose.choice([1, 2, 4, 7, 8, 8, 8, 9, 12, 15, 16, 16, 24, 31, 32])
        mask = ((1 << width) - 1) << choose.choice([0, 0, 0, 1, 2, 3, 4]) & (1 << bits) - 1
        return f"({type}.and {shifted} ({type}.const {mask}))"

    def address(self, deep: bool = True) -> str:
        choose = self.random
        kind = choose.randrange(10)
        if kind < 4:
            mask = ((1 << choose.choice([4, 6, 8, 8, 10, 12])) - 1) << choose.choice([0, 1, 2, 2, 3, 3, 4])
            x = self.value("i32", 1) if deep and choose.random() < 0.3 else self.get("i32")
            count = choose.choice([0, 1, 2, 3, 6, 8, 14, 16, 22, 24, 27, 29, 30])
            return f"(i32.and (i32.shr_u {x} (i32.const {count})) (i32.const {mask}))"
        if kind == 4:
            return f"(i32.shl (i32.and {self.get('i32')} (i32.const 0xfff)) (i32.const {choose.randrange(4)}))"
        if kind == 5:
            return f"(i32.add {self.address(False)} (i32.const {choose.choice([-4, -1, 4, 8, 64])}))"
        if kind == 6:
            scaled = f"(i32.shl {self.address(False)} (i32.const {choose.randrange(4)}))"
            return f"(i32.add {self.address(False)} {scaled})"
        if kind == 7:
            mask = choose.choice([0xFF8, 0x7FFF, 0x1FFFF])
            return f"(i32.wrap_i64 (i64.and {self.get('i64')} (i64.const {mask})))"
        if kind == 8 and choose.random() < 0.3:
            return self.get("i32")
        return f"(i32.and {self.get('i32')} (i32.const {choose.choice([0x3F8, 0xFFFC, 0xFF])}))"

    def load(self, type: str) -> str:
        widths = {"i32": ["", "8_u", "8_s", "16_u", "16_s"], "i64": ["", "8_u", "16_s", "32_u", "32_s"]}
        width = self.random.choice(widths.get(type, [""]))
        return f"({type}.load{width} offset={self.random.choice([0, 0, 0, 4, 8, 1000])} {self.address()})"

    def condition(self, depth: int = 0) -> str:
        choose = self.random
        kind = choose.randrange(8)
        if kind < 3 or depth > 1:
            return self.comparison(depth)
        if kind < 6:
            return f"(i32.{choose.choice(['and', 'or'])} {self.condition(depth + 1)} {self.condition(depth + 1)})"
        if kind == 6:
            return f"(i32.eqz {self.condition(depth + 1)})"
        return self.value("i32", depth + 2)

    def comparison(self, depth: int) -> str:
        choose = self.random
        type = choose.choice(["i32", "i32", "i64", "f32", "f64", "f64"])
        if type[0] == "i":
            right = self.constant(type) if choose.random() < 0.5 else self.value(type, depth + 1)
            return f"({type}.{choose.choice(ICC)} {self.value(type, depth + 1)} {right})"
        left = choose.choice([self.get(type), self.get(type), f"({type}.abs {self.get(type)})", self.load(type)])
        right = f"({type}.const {choose.choice(['0', '-0', '1', 'nan', 'inf', '3e9'])})"
        return f"({type}.{choose.choice(FCC)} {left} {right if choose.random() < 0.4 else self.get(type)})"

    # Floats

    def float_value(self, type: str, depth: int) -> str:
        choose = self.random
        kind = choose.randrange(8)
        if kind < 3 or depth > 2:
            return self.get(type)
        if kind == 3:
            return self.load(type)
        if kind == 4:
            op = choose.choice(["add", "sub", "mul"])
            return f"({type}.{op} {self.float_value(type, depth + 1)} {self.get(type)})"
        if kind == 5:
            a, b = self.get(type), self.get(type)
            x, y = choose.choice([(a, b), (b, a)])
            return f"(select {x} {y} ({type}.{choose.choice(FCC)} {a} {b}))"
        if kind == 6:
            return f"(select {self.float_value(type, depth + 1)} {self.get(type)} {self.condition(1)})"
        return f"({type}.convert_i32_{choose.choice('su')} {self.value('i32', depth + 1)})"

    def conversion(self, type: str) -> str:
        """A conversion that traps, behind a test of the range."""
        choose = self.random
        operand = choose.choice(["f32", "f64", "f64"])
        x = self.get(operand)
        tested = x if choose.random() < 0.9 else self.get(operand)
        if choose.random() < 0.5:
            below = choose.choice(["lt", "lt", "lt", "le", "gt", "ge"])
            limit = f"({operand}.const {choose.choice(SIGNED_LIMITS[type])})"
            test = f"({operand}.{below} ({operand}.abs {tested}) {limit})"
            sign = choose.choice("sssu")
        else:
            limit = f"({operand}.const {choose.choice(UNSIGNED_LIMITS[type])})"
            parts = [
                f"({operand}.{choose.choice(['lt', 'lt', 'lt', 'le'])} {tested} {limit})",
                f"({operand}.{choose.choice(['ge', 'ge', 'gt'])} {tested} ({operand}.const {choose.choice(LOW_LIMITS)}))",
            ]
            choose.shuffle(parts)
            test = f"(i32.{choose.choice(['and', 'and', 'and', 'or'])} {' '.join(parts)})"
            sign = choose.choice("suuu")
        if choose.random() < 0.1:
            test = f"(i32.eqz {test})"
        between = f"(local.set {self.local(operand)} {self.get(operand)})" if choose.random() < 0.2 else ""
        converted = f"({type}.trunc_{operand}_{sign} {x})"
        other = choose.choice([f"({type}.const 0)", f"({type}.trunc_sat_{operand}_{sign} {x})"])
        if choose.random() < 0.2:
            return f"(block (result {type}) (drop (br_if 0 {other} (i32.eqz {test}))) {between} {converted})"
        if choose.random() < 0.1:
            converted, other = other, converted
        return f"(if (result {type}) {test} (then {between} {converted}) (else {other}))"

    # Statements. `out` are the labels of blocks around, which have no results.

    def statement(self, depth: int, out: list[str]) -> str:
        choose = self.random
        kind = choose.randrange(17)
        if kind < 5:
            return self.set()
        if kind < 7:
            return self.store()
        if kind == 7:
            return f"(local.set {self.local('i32')} {self.call()})"
        if kind == 8:
            index = choose.randrange(len(self.leaves))
            params, results = self.leaves[index]
            taken = " ".join([f"(local.set {self.local(type)})" for type in reversed(results)])
            return f"(call $leaf{index} {' '.join([self.value(param, 1) for param in params])}) {taken}"
        if kind < 10 and depth < 4:
            then = " ".join([self.statement(depth + 1, out) for _ in range(choose.randrange(1, 3))])
            other = " ".join([self.statement(depth + 1, out) for _ in range(choose.randrange(0, 2))])
            return f"(if {self.condition()} (then {then}) (else {other}))"
        if kind == 10:
            return f"(br_if {choose.choice(out)} {self.condition()})"
        if kind == 11:
            return f"(if {self.condition()} (then (return {self.results()})))"
        if kind < 14 and depth < 3:
            return self.loop(depth, out)
        if kind == 14:
            return self.search()
        if kind == 15:
            return self.sentinel(depth, out)
        index = f"(i32.and {self.get('i32')} (i32.const 7))"
        return f"(block (block (br_table 0 1 {choose.choice(out)} 0 {choose.choice(out)} 1 {index})) {self.set()})"

    def set(self) -> str:
        type = self.random.choice(["i32", "i32", "i64", "i64", "f64", "f32"])
        return f"(local.set {self.local(type)} {self.value(type)})"

    def store(self) -> str:
        choose = self.random
        type = choose.choice(["i32", "i32", "i64", "f32", "f64"])
        if type[0] == "f":
            return f"({type}.store {self.address()} (call $canonical{type[1:]} {self.value(type)}))"
        width = choose.choice(["", "8", "16", "32"][: 3 if type == "i32" else 4])
        return f"({type}.store{width} offset={choose.choice([0, 0, 4, 64])} {self.address()} {self.value(type)})"

    def call(self) -> str:
        choose = self.random
        arguments = f"{self.value('i32', 2)} {self.value('i64', 2)}"
        if choose.random() < 0.2:
            index = f"(i32.and {self.get('i32')} (i32.const {choose.choice([1, 3, 7])}))"
            return f"(call_indirect (type $t) {arguments} {index})"
        return f"(call {choose.choice(['$host', '$log', '$log', '$recursive'])} {arguments})"

    # Loops

    def loop(self, depth: int, out: list[str]) -> str:
        """A counter and other variables with steps; ways out in front of the steps and behind them; anything else between."""
        choose = self.random
        if not self.counters:
            return self.set()
        head, end = self.label(), self.label()
        counter = self.counters.pop()
        i = f"(local.get {counter})"
        steps = [f"(local.set {counter} (i32.add {i} (i32.const {choose.choice([1, 1, 4, 8, -1, -4])})))"]
        for share, type in ((0.5, "i32"), (0.4, "i64")):
            if choose.random() < share:
                place = self.local(type)
                step = f"({type}.const {choose.choice([1, 4, -1, -3, 16])})"
                steps.append(f"(local.set {place} ({type}.add (local.get {place}) {step}))")
        if choose.random() < 0.3:
            steps.append(f"(local.set {self.local('i32')} {i})")
        if choose.random() < 0.2:
            a, b = self.local("i32"), self.local("i32")
            steps.append(f"(local.get {a}) (local.set {a} (local.get {b})) (local.set {b})")
        choose.shuffle(steps)
        tests = [
            f"(i32.{choose.choice(ICC)} {i} {choose.choice([self.constant('i32'), self.get('i32')])})",
            f"(i32.{choose.choice(ICC)} (i32.load offset=4 (i32.and {i} (i32.const 0xffc))) {self.get('i32')})",
            f"(i32.load8_u (i32.add (i32.and {i} (i32.const 0xff)) (i32.const 1)))",
            self.condition(),
        ]
        inner = [self.statement(depth + 1, [*out, end]) for _ in range(choose.randrange(0, 3))]
        if choose.random() < 0.4:
            inner.append(self.accumulation(i))
        if choose.random() < 0.3:
            inner.append(f"(br_if {end} {choose.choice(tests)})")
        if choose.random() < 0.1:
            inner.append(f"(local.set {self.local('i32')} (memory.grow (i32.const {choose.randrange(2)})))")
        parts = [*steps, *inner] if choose.random() < 0.4 else [*inner, *steps]
        again = f"(br_if {head} {choose.choice(tests)})"
        if choose.random() < 0.3:
            again = f"(br_if {end} {choose.choice(tests)}) (br {head})"
        start = choose.choice(["(i32.const 0)", "(i32.const -8)", f"(i32.and {self.get('i32')} (i32.const 63))"])
        self.counters.append(counter)
        return (
            f"(local.set {counter} {start}) (block {end} (loop {head} (call $burn) {' '.join(parts)} {again})) "
            f"(local.set {self.local('i32')} {i})"
        )

    def accumulation(self, counter: str) -> str:
        """A chain of one operation, grouped at random, of the last result, what depends on the counter alone, and anything else."""
        choose = self.random
        type = choose.choice(["i32", "i32", "i64"])
        place = self.local(type)
        op = choose.choice(["add", "add", "xor", "xor", "and", "or", "mul", "sub"])
        early = f"({type}.load8_u offset=8 (i32.and {counter} (i32.const 0x3f)))"
        last = f"(local.get {place})"
        parts = [
            choose.choice([early, self.get(type), self.value(type, 2), last]) for _ in range(choose.randrange(2, 6))
        ]
        factor = choose.choice([3, 7, 9, 15, 17, 31, 33, 65, 127, 257, -1])
        parts.append(last if choose.random() < 0.6 else f"({type}.mul {last} ({type}.const {factor}))")
        choose.shuffle(parts)
        while len(parts) > 1:
            index = 0 if choose.random() < 0.6 else choose.randrange(len(parts) - 1)
            other = op if choose.random() < 0.9 else "add"
            joined = f"({type}.{other} {parts[index]} {parts.pop(index + 1)})"
            if choose.random() < 0.1:
                joined = f"(local.tee {self.local(type)} {joined})"
            parts[index] = joined
        return f"(local.set {place} {parts[0]})"

    def search(self) -> str:
        """A small loop that ends by itself, and what is left of its counter, old and new."""
        choose = self.random
        if len(self.counters) < 2:
            return self.set()
        i, old = (f"(local.get {counter})" for counter in self.counters[-2:])
        head, end = self.label(), self.label()
        step, start = choose.choice([1, 4, 8, -1]), choose.choice([0, 1, -8, 64])
        limit = start + step * choose.choice([3, 8, 20])
        type = choose.choice(["i32", "i32", "i64"])
        place = choose.choice([index for index, other in enumerate(LOCALS) if other == type])  # no counter
        at = choose.choice([i, old])
        loads = [
            f"(i32.load offset={choose.choice([0, 0, 4])} {at})",
            f"(i32.load8_u (i32.add {at} (i32.const {choose.choice([1, 8, step, -step])})))",
            f"(i32.load16_u (i32.and {at} (i32.const 0xff)))",
            f"(local.get {place})" if type == "i32" else f"(i32.wrap_i64 (local.get {place}))",
        ]
        body = [
            f"(local.set {self.counters[-1]} {i}) (local.set {self.counters[-2]} (i32.add {i} (i32.const {step})))",
            f"(local.set {place} ({type}.add (local.get {place}) ({type}.const {choose.choice([1, -1, 16])})))",
        ]
        choose.shuffle(body)
        value = choose.choice([self.constant("i32"), self.get("i32")])
        leave = f"(br_if {end} (i32.{choose.choice(ICC)} {choose.choice(loads)} {value}))"
        body.insert(choose.randrange(3), leave)
        if choose.random() < 0.3:
            body.append(f"(i32.store8 offset=300 (i32.and {at} (i32.const 63)) {choose.choice(loads)})")
        beyond = "lt_s" if step > 0 else "gt_s"
        again = choose.choice(
            [
                f"(br_if {head} (i32.ne {i} (i32.const {limit})))",
                f"(br_if {end} (i32.eq {i} (i32.const {limit}))) (br {head})",
                f"(br_if {head} (i32.{beyond} {i} (i32.const {limit})))",
                f"(br_if {head} (i32.{beyond} {old} (i32.const {limit})))",
            ]
        )
        after = [
            f"(local.set {self.local('i32')} {old})",
            f"(local.set {self.local('i32')} (i32.sub {i} {old}))",
            f"(i32.store offset=400 (i32.and {old} (i32.const 63)) {i})",
            f"(local.set {self.local('i64')} (i64.extend_i32_u {old}))",
        ]
        rest = " ".join(choose.sample(after, choose.randrange(1, 3)))
        first = f"(local.set {self.counters[-2]} (i32.const {start})) (local.set {self.counters[-1]} {self.get('i32')})"
        return f"{first} (block {end} (loop {head} {' '.join(body)} {again})) {rest}"

    def sentinel(self, depth: int, out: list[str]) -> str:
        """Ways that leave a constant or another value in a local, which is tested where they meet."""
        choose = self.random
        type = choose.choice(["i32", "i32", "i64", "f64"])
        place = self.local(type)
        end = self.label()
        constants = ["-1", "0", "1", "7"]
        ways = []
        for _ in range(choose.randrange(1, 4)):
            way = f"({type}.const {choose.choice(constants)})" if choose.random() < 0.8 else self.value(type, 2)
            ways.append(f"(local.set {place} {way}) (br_if {end} {self.condition(2)})")
        ways.append(f"(local.set {place} {self.value(type, 1)})")

        def test() -> str:
            operator = choose.choice(FCC if type == "f64" else ICC)
            beside = f"({type}.const {choose.choice(constants)})" if choose.random() < 0.7 else self.get(type)
            return f"({type}.{operator} (local.get {place}) {beside})"

        behind = []
        for _ in range(choose.randrange(1, 4)):
            condition = test() if choose.random() < 0.6 else f"(i32.{choose.choice(['and', 'or'])} {test()} {test()})"
            result = choose.choice([type, "i32", "i64"])
            operands = [f"(local.get {place})" if result == type else self.get(result), self.value(result, 2)]
            choose.shuffle(operands)
            behind.append(f"(local.set {self.local(result)} (select {operands[0]} {operands[1]} {condition}))")
        if choose.random() < 0.4:
            behind.append(f"(if {test()} (then {self.statement(depth + 2, out)}))")
        if choose.random() < 0.3:
            behind.append(f"(br_if {choose.choice(out)} {test()})")
        return f"(block {end} {' '.join(ways)}) {' '.join(behind)}"

    # Small functions

    def leaf_call(self, type: str) -> str:
        """A call of one with this result, or ""."""
        fitting = [index for index, (_, results) in enumerate(self.leaves) if results == [type]]
        if not fitting:
            return ""
        index = self.random.choice(fitting)
        return f"(call $leaf{index} {' '.join([self.get(param) for param in self.leaves[index][0]])})"

    def leaf(self, number: int) -> str:
        choose = self.random
        params, results = self.leaves[number]
        self.locals = [*params, *[choose.choice(["i32", "i64"]) for _ in range(choose.randrange(0, 3))]]
        statements = [self.leaf_statement(results) for _ in range(choose.choice([0, 1, 1, 2]))]
        last = " ".join([self.get(result) for result in results])
        kind = choose.randrange(5)
        if kind == 0:
            last = f"(return {last}) (unreachable)"
        elif kind == 1:
            last = f"{last} (br_if 0 {self.get('i32')})"
        elif kind == 2:
            last = f"{last} (br_table 0 0 0 {self.get('i32')})"
        signature = " ".join([*[f"(param {param})" for param in params], *[f"(result {result})" for result in results]])
        locals = f"(local {' '.join(self.locals[len(params) :])})"
        return f'  (func $leaf{number} (export "l{number}") {signature} {locals} {" ".join(statements)} {last})'

    def leaf_statement(self, results: list[str]) -> str:
        choose = self.random
        test = self.get("i32")
        values = " ".join([self.get(result) for result in results])
        kind = choose.randrange(6)
        if kind == 0:
            return f"(if {test} (then ({choose.choice(['return', 'br 1'])} {values})))"
        if kind == 1:
            return f"(if {test} (then (nop)) (else (return {values})))"
        if kind == 2:
            return f"(if {test} (then (unreachable)))"
        if kind == 3 and self.locals and (type := self.locals[-1])[0] == "i":
            place = len(self.locals) - 1
            return f"(local.set {place} ({type}.add (local.get {place}) {self.constant(type)}))"
        if kind == 4:
            return f"(block (br_table 0 1 0 1 {test}))" if not results else f"(block (br_if 0 {test}) (br 1 {values}))"
        return f"(global.set $g (i32.add (global.get $g) {test}))"


def generate(seed: int) -> str:
    """The text of a module."""
    return _Writer(seed).module()
