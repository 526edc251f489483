"""Random programs shaped like compiled code: locals that live across loops and calls, deep expressions, memory traffic.

`wasm-tools smith` covers the breadth of the format; these cover the compiler: every numeric operator in large
expressions, many values alive at once, addresses with constant parts, compares that feed branches, calls with many
arguments and results, and many of functions small enough to be inlined. A seed gives one module in text form. Programs end by themselves: a fuel counter in a global
is decremented in loops and functions. Before the bits of a float can be seen its NaN is made canonical.
"""

from __future__ import annotations

import random
from typing import Final

from brolga.jit.wasm import opcodes
from brolga.jit.wasm.types import VALUE_TYPE_NAMES

TYPES: Final = ("i32", "i64", "f32", "f64")
FUEL: Final = 1500
PAGES: Final = 2
MEMORY_MASK: Final = 0xFFFF  # most addresses are masked so: always inside

INTS: Final = [0, 1, 2, 3, 4, 5, 7, 8, 10, 12, 16, 24, 31, 32, 33, 63, 64, 100, 127, 128, 255, 256, 1000, 4096, 32767, 65535,
               65536, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0x1234_5678, 0x7FFF_FFFF_FFFF_FFFF, 1 << 63, (1 << 64) - 1,
               0x0102_0304_0506_0708, 0xFFFF_FFFF_0000_0000, (1 << 64) - 128, (1 << 64) - 129]  # fmt: skip
FLOATS: Final = ["0", "-0", "0.5", "1", "-1", "1.5", "2.5", "3", "10", "1e10", "-1e10", "2147483648", "4294967296",
                 "-2147483649", "9223372036854775808", "1e-40", "1e38", "-inf", "inf", "nan"]  # fmt: skip


def _is_dangerous(name: str) -> bool:
    kind = name.split(".")[1]
    return kind in ("div_s", "div_u", "rem_s", "rem_u") and name[0] == "i" or kind.startswith("trunc_f")


_NUMERIC: Final = [
    code
    for code in [*range(0x45, 0xC5), *range(opcodes.FC_BASE, opcodes.FC_BASE + 8)]
    if opcodes.OPERATOR_NAMES[code] and not opcodes.PROPOSALS[code]
]
_BY_RESULT: Final[dict[str, list[tuple[str, list[str]]]]] = {type: [] for type in TYPES}
for _code in _NUMERIC:
    _operands = [VALUE_TYPE_NAMES[_type] for _type in opcodes.OPERANDS[_code]]
    _BY_RESULT[VALUE_TYPE_NAMES[opcodes.RESULTS[_code][0]]].append((opcodes.OPERATOR_NAMES[_code], _operands))
# What compiled code is made of comes more often than the table's shares.
_COMMON: Final = {
    "i32": ["add", "sub", "mul", "and", "or", "xor", "shl", "shr_u", "shr_s"],
    "i64": ["add", "sub", "mul", "and", "or", "xor", "shl", "shr_u", "shr_s"],
    "f32": ["add", "sub", "mul", "div"],
    "f64": ["add", "sub", "mul", "div"],
}
_LOADS: Final = {
    "i32": ["i32.load", "i32.load8_u", "i32.load8_s", "i32.load16_u", "i32.load16_s"],
    "i64": ["i64.load", "i64.load8_u", "i64.load8_s", "i64.load16_u", "i64.load16_s", "i64.load32_u", "i64.load32_s"],
    "f32": ["f32.load"],
    "f64": ["f64.load"],
}
_STORES: Final = {
    "i32": ["i32.store", "i32.store8", "i32.store16"],
    "i64": ["i64.store", "i64.store8", "i64.store16", "i64.store32"],
    "f32": ["f32.store"],
    "f64": ["f64.store"],
}


class Signature:
    def __init__(self, params: list[str], results: list[str]) -> None:
        self.params = params
        self.results = results

    def text(self) -> str:
        params = f"(param {' '.join(self.params)})" if self.params else ""
        results = f"(result {' '.join(self.results)})" if self.results else ""
        return f"{params} {results}"


class Program:
    """The module of one seed."""

    def __init__(self, seed: int) -> None:
        self.choose = random.Random(f"program {seed}")
        choose = self.choose
        self.depth = choose.choice([2, 3, 4, 5])  # of expressions
        self.trapping = choose.random() < 0.3  # else it hardly ever traps, and gets further
        self.signatures = [self.signature() for _ in range(choose.randrange(2, 6))]
        self.functions = [choose.randrange(len(self.signatures)) for _ in range(choose.randrange(2, 6))]
        self.globals = [choose.choice(TYPES) for _ in range(choose.randrange(1, 6))]
        self.imports = [choose.randrange(len(self.signatures)) for _ in range(choose.randrange(0, 2))]
        self.types_of_functions = [*self.imports, *self.functions]
        self.leaves = [self.signature(4, 2) for _ in range(choose.randrange(0, 6))]
        self.table = [choose.randrange(len(self.types_of_functions)) for _ in range(6)]  # of 8, the rest is null

    def signature(self, most_params: int = 14, most_results: int = 5) -> Signature:
        choose = self.choose
        params = choose.choice([n for n in (0, 1, 2, 3, 4, 6, 9, 14) if n <= most_params])
        results = choose.choice([n for n in (0, 1, 1, 1, 1, 2, 3, 5) if n <= most_results])
        return Signature([choose.choice(TYPES) for _ in range(params)], [choose.choice(TYPES) for _ in range(results)])

    def text(self) -> str:
        types = [f"(type {s.text().join(['(func ', ')'])})" for s in self.signatures]
        imports = [f'(import "host" "{i}" (func (type {t})))' for i, t in enumerate(self.imports)]
        bodies = [Body(self, self.signatures[type], index).text(type) for index, type in enumerate(self.functions)]
        leaves = [Leaf(self, signature, index).text(0) for index, signature in enumerate(self.leaves)]
        entries = " ".join(str(function) for function in self.table)
        globals_ = [
            f'(global (export "g{i}") (mut {type}) ({type}.const {self.constant(type)}))'
            for i, type in enumerate(self.globals)
        ]
        return "\n".join(
            [
                "(module",
                *types,
                *imports,
                f'(memory (export "memory") {PAGES} {PAGES + 2})',
                f"(table 8 8 funcref) (elem (i32.const 0) func {entries})",
                *globals_,
                f"(global $fuel (mut i32) (i32.const {FUEL}))",
                '(data (i32.const 0) "\\00\\01\\02\\03\\ff\\fe\\80\\7fbrolga\\00\\00\\f0\\bf\\00\\00\\c0\\7f")',
                *bodies,
                *leaves,
                "(func $canonical32 (param f32) (result f32)",
                "  (select (local.get 0) (f32.const nan) (f32.eq (local.get 0) (local.get 0))))",
                "(func $canonical64 (param f64) (result f64)",
                "  (select (local.get 0) (f64.const nan) (f64.eq (local.get 0) (local.get 0))))",
                ")",
            ]
        )

    def constant(self, type: str) -> str:
        choose = self.choose
        if type[0] == "f":
            return choose.choice(FLOATS) if choose.random() < 0.7 else repr(choose.uniform(-1e4, 1e4))
        bits = int(type[1:])
        value = choose.choice(INTS) if choose.random() < 0.85 else choose.getrandbits(64)
        if choose.random() < 0.2:
            value = -value
        return str(value & (1 << bits) - 1)


class Body:
    """One function: locals of all types, statements over them, results."""

    def __init__(self, program: Program, signature: Signature, index: int) -> None:
        self.program = program
        self.index = index
        self.choose = program.choose
        self.signature = signature
        self.locals = [
            *signature.params,
            *(self.choose.choice(TYPES) for _ in range(self.choose.choice([2, 5, 10, 24]))),
        ]
        self.counters: list[str] = []  # of loops, in the order of their locals
        self.labels = 0

    def text(self, type: int) -> str:
        statements = self.statements(self.choose.randrange(3, 14), 0, [])
        results = [self.expression(result, self.program.depth) for result in self.signature.results]
        names = " ".join(self.locals[len(self.signature.params) :])
        counters = " ".join(f"(local ${name} i32)" for name in self.counters)
        return "\n".join(
            [
                f'(func (export "f{self.index}") (type {type}) (local {names}) {counters}',
                self.burn(),
                *statements,
                *results,
                ")",
            ]
        )

    @staticmethod
    def burn() -> str:
        return (
            "(if (i32.eqz (global.get $fuel)) (then (unreachable)))"
            "(global.set $fuel (i32.sub (global.get $fuel) (i32.const 1)))"
        )

    # Expressions

    def of_type(self, type: str) -> list[int]:
        return [index for index, other in enumerate(self.locals) if other == type]

    def leaf(self, type: str) -> str:
        places = self.of_type(type)
        if places and self.choose.random() < 0.75:
            return f"(local.get {self.choose.choice(places)})"
        places = [index for index, other in enumerate(self.program.globals) if other == type]
        if places and self.choose.random() < 0.4:
            return f"(global.get {self.choose.choice(places)})"
        return f"({type}.const {self.program.constant(type)})"

    def expression(self, type: str, depth: int) -> str:
        choose = self.choose
        if depth <= 0 or choose.random() < 0.12:
            return self.leaf(type)
        kind = choose.random()
        if kind < 0.62:
            return self.operation(type, depth)
        if kind < 0.77:
            return f"({choose.choice(_LOADS[type])} {self.memarg()} {self.address(depth - 1)})"
        if kind < 0.84:
            operands = [self.expression(type, depth - 1) for _ in range(2)]
            return f"(select {operands[0]} {operands[1]} {self.condition(depth - 1)})"
        if kind < 0.89:
            test = self.condition(depth - 1)
            branches = [self.expression(type, depth - 2) for _ in range(2)]
            return f"(if (result {type}) {test} (then {branches[0]}) (else {branches[1]}))"
        if kind < 0.90:
            return self.leaf_call([type]) or self.leaf(type)
        if kind < 0.93 and self.of_type(type):
            return f"(local.tee {choose.choice(self.of_type(type))} {self.expression(type, depth - 1)})"
        if kind < 0.95 and type == "i32":
            return choose.choice(["(memory.size)", f"(memory.grow (i32.const {choose.randrange(2)}))"])
        return self.call_for(type, depth) or self.leaf(type)

    def operation(self, type: str, depth: int) -> str:
        choose = self.choose
        if choose.random() < 0.45:
            name, types = f"{type}.{choose.choice(_COMMON[type])}", [type, type]
        else:
            name, types = choose.choice(_BY_RESULT[type])
            avoided = 0.6 if self.program.trapping or "trunc" not in name else 1.0
            if _is_dangerous(name) and choose.random() < avoided:
                name, types = f"{type}.{choose.choice(_COMMON[type])}", [type, type]
        operands = [self.expression(operand, depth - 1) for operand in types]
        if choose.random() < 0.25:
            operands[-1] = f"({types[-1]}.const {self.program.constant(types[-1])})"
        if "reinterpret_f" in name or name.endswith("copysign"):
            bits = types[-1][1:]
            operands[-1] = f"(call $canonical{bits} {operands[-1]})"
        if name.split(".")[1] in ("div_s", "div_u", "rem_s", "rem_u") and not self.program.trapping:
            divisor = f"({type}.or {operands[1]} ({type}.const {choose.choice([1, 2, 3, 8])}))"
            positive = f"({type}.shr_u {divisor} ({type}.const 1))"
            operands[1] = f"({type}.or {positive} ({type}.const 1))" if choose.random() < 0.6 else self.divisor(type)
        return f"({name} {' '.join(operands)})"

    def divisor(self, type: str) -> str:
        return f"({type}.const {self.choose.choice([1, 2, 3, 5, 7, 8, 10, 100, 641, 1000, 4096, 65536, 0x7FFF_FFFF, -3, -8])})"

    def condition(self, depth: int) -> str:
        tests = [
            (name, types)
            for name, types in _BY_RESULT["i32"]
            if name.split(".")[1][:2] in ("eq", "ne", "lt", "gt", "le", "ge")
        ]
        if self.choose.random() < 0.75:
            name, types = self.choose.choice(tests)
            return f"({name} {' '.join(self.expression(type, depth - 1) for type in types)})"
        return self.expression("i32", depth)

    def address(self, depth: int) -> str:
        choose = self.choose
        kind = choose.random()
        if kind < 0.1:
            return f"(i32.const {choose.randrange(MEMORY_MASK)})"
        if kind < 0.13 and self.program.trapping:
            return self.expression("i32", depth)  # may be anywhere
        masked = (
            f"(i32.and {self.expression('i32', depth - 1)} (i32.const {choose.choice([0xFF, 0xFFF, MEMORY_MASK])}))"
        )
        if kind < 0.4:
            return masked
        if kind < 0.7:
            index = f"(i32.and {self.expression('i32', depth - 1)} (i32.const 1023))"
            scaled = f"(i32.shl {index} (i32.const {choose.randrange(4)}))"
            return f"(i32.add {masked} {scaled})"
        if kind < 0.8:  # the sum wraps around
            return f"(i32.add (i32.or {masked} (i32.const 4096)) (i32.const {choose.choice([-1, -4, -100, -4096])}))"
        return f"(i32.add {masked} (i32.const {choose.choice([0, 4, 8, 100, 4096])}))"

    def memarg(self) -> str:
        offset = self.choose.choice([0, 0, 0, 0, 1, 4, 8, 16, 64, 1000, 4096, 10000, 65536, 0x7FFF_FFFF, 0xFFFF_FFF0])
        if offset > 10000 and not (self.program.trapping and self.choose.random() < 0.1):
            offset = 0
        return f"offset={offset}" if offset else ""

    def call_for(self, type: str, depth: int) -> str:
        """A call with this one result, direct or through the table, or ""."""
        fitting = [index for index, s in enumerate(self.program.signatures) if s.results == [type]]
        if not fitting:
            return ""
        return self.call(self.choose.choice(fitting), depth)

    def leaf_call(self, results: list[str], depth: int = 1) -> str:
        """A call of a small function with these results, or ""."""
        leaves = self.program.leaves
        fitting = [index for index, signature in enumerate(leaves) if signature.results == results]
        if not fitting:
            return ""
        index = self.choose.choice(fitting)
        arguments = [self.expression(param, depth) for param in leaves[index].params]
        return f"(call $leaf{index} {' '.join(arguments)})"

    def call(self, signature: int, depth: int) -> str:
        choose, program = self.choose, self.program
        arguments = " ".join(
            self.expression(param, min(depth - 2, 1)) for param in program.signatures[signature].params
        )
        # Recursion uses up the fuel: rare. Otherwise a function calls those before it.
        below = len(program.imports) + (self.index if choose.random() < 0.97 else len(program.functions))
        targets = [i for i, type in enumerate(program.types_of_functions[:below]) if type == signature]
        if targets and choose.random() < 0.75:
            return f"(call {choose.choice(targets)} {arguments})"
        entries = [i for i, function in enumerate(program.table) if function in targets]
        if program.trapping or not entries:
            index = f"(i32.and {self.expression('i32', 1)} (i32.const 7))"
        else:
            index, other = (f"(i32.const {choose.choice(entries)})" for _ in range(2))
            index = f"(select {index} {other} {self.condition(1)})"
        if not program.trapping and not entries:
            return f"{' '.join(f'({type}.const 0)' for type in program.signatures[signature].results)}"
        return f"(call_indirect (type {signature}) {arguments} {index})"

    # Statements. `labels` are the blocks around that a branch may leave, none of which has results.

    def statements(self, count: int, depth: int, labels: list[str]) -> list[str]:
        return [self.statement(depth, labels) for _ in range(count)]

    def label(self) -> str:
        self.labels += 1
        return f"$l{self.labels}"

    def statement(self, depth: int, labels: list[str]) -> str:
        choose, full = self.choose, self.program.depth
        kind = choose.random()
        if kind < 0.4 or depth > 3:
            place = choose.randrange(len(self.locals))
            return f"(local.set {place} {self.expression(self.locals[place], full)})"
        if kind < 0.55:
            type = choose.choice(TYPES)
            value = self.expression(type, full - 1)
            if type[0] == "f":
                value = f"(call $canonical{type[1:]} {value})"
            return f"({choose.choice(_STORES[type])} {self.memarg()} {self.address(2)} {value})"
        if kind < 0.62:
            place = choose.randrange(len(self.program.globals))
            return f"(global.set {place} {self.expression(self.program.globals[place], full)})"
        if kind < 0.74:
            then = " ".join(self.statements(choose.randrange(1, 4), depth + 1, labels))
            other = " ".join(self.statements(choose.randrange(0, 3), depth + 1, labels))
            return f"(if {self.condition(full - 1)} (then {then}) (else {other}))"
        if kind < 0.86:
            return self.loop(depth, labels)
        if kind < 0.90:
            name = self.label()
            inner = " ".join(self.statements(choose.randrange(1, 4), depth + 1, [*labels, name]))
            return f"(block {name} {inner})"
        if kind < 0.93 and labels:
            return f"(br_if {choose.choice(labels)} {self.condition(full - 1)})"
        if kind < 0.95:
            return self.switch(depth, labels)
        if kind < 0.96 and self.program.leaves:
            results = choose.choice(self.program.leaves).results
            return " ".join([self.leaf_call(results, 2), *self.take(results)])
        if kind < 0.97:
            signature = choose.randrange(len(self.program.signatures))
            results = self.program.signatures[signature].results
            return " ".join([self.call(signature, 2), *self.take(results)])
        return self.bulk()

    def take(self, results: list[str]) -> list[str]:
        """Pops the results of a call, into locals where there are some of the type."""
        taken = []
        for type in reversed(results):
            places = self.of_type(type)
            taken.append(f"(local.set {self.choose.choice(places)})" if places else "(drop)")
        return taken

    def loop(self, depth: int, labels: list[str]) -> str:
        choose = self.choose
        name, exit_label = self.label(), self.label()
        counter = f"c{len(self.counters)}"
        self.counters.append(counter)
        start, step, count = choose.choice([0, 1, -5, 100]), choose.choice([1, 1, 4, -1]), choose.randrange(1, 7)
        inner = " ".join(self.statements(choose.randrange(1, 5), depth + 1, [*labels, exit_label]))
        test = choose.choice(["ne", "ne", "lt_s" if step > 0 else "gt_s"])
        return (
            f"(local.set ${counter} (i32.const {start})) (block {exit_label} (loop {name} {self.burn()} {inner} "
            f"(br_if {name} (i32.{test} (local.tee ${counter} (i32.add (local.get ${counter}) (i32.const {step}))) "
            f"(i32.const {start + step * count})))))"
        )

    def switch(self, depth: int, labels: list[str]) -> str:
        """A br_table out of nested blocks, with code after each; some cases leave outer blocks."""
        choose = self.choose
        own = [self.label() for _ in range(choose.randrange(1, 5))]
        cases = " ".join(choose.choice([*own, *own, *labels]) for _ in range(choose.randrange(1, 9)))
        text = f"(br_table {cases} {choose.choice(own)} {self.expression('i32', 2)})"
        for name in own:
            text = f"(block {name} {text}) {self.statement(depth + 1, labels)}"
        return text

    def bulk(self) -> str:
        choose = self.choose
        low = "(i32.const 255)"
        size = choose.choice([f"(i32.const {choose.randrange(40)})", f"(i32.and {self.expression('i32', 1)} {low})"])
        if choose.random() < 0.5:
            return f"(memory.fill {self.address(2)} {self.expression('i32', 1)} {size})"
        return f"(memory.copy {self.address(2)} {self.address(2)} {size})"


class Leaf(Body):
    """A small function: a few statements and results, no loops, and hardly any calls."""

    def __init__(self, program: Program, signature: Signature, index: int) -> None:
        super().__init__(program, signature, index)
        self.locals = [*signature.params, *(self.choose.choice(TYPES) for _ in range(self.choose.choice([0, 0, 1, 2])))]

    def text(self, type: int) -> str:
        params, results = self.signature.params, self.signature.results
        statements = [self.small_statement() for _ in range(self.choose.choice([0, 0, 1, 1, 2]))]
        values = [self.expression(result, self.choose.choice([0, 1, 1, 2])) for result in results]
        if len(results) == 1 and self.choose.random() < 0.2:
            values = [f"(br_if 0 {values[0]} {self.condition(1)})"]
        head = f'(func $leaf{self.index} (export "leaf{self.index}") {self.signature.text()}'
        return "\n".join([f"{head} (local {' '.join(self.locals[len(params) :])})", *statements, *values, ")"])

    def small_statement(self) -> str:
        choose = self.choose
        kind = choose.random()
        if kind < 0.2 and self.locals:
            place = choose.randrange(len(self.locals))
            return f"(local.set {place} {self.expression(self.locals[place], 1)})"
        if kind < 0.35:
            place = choose.randrange(len(self.program.globals))
            return f"(global.set {place} {self.expression(self.program.globals[place], 1)})"
        if kind < 0.5:
            type = choose.choice(["i32", "i64"])
            return f"({choose.choice(_STORES[type])} {self.address(0)} {self.leaf(type)})"
        if kind < 0.75:
            values = " ".join(self.leaf(result) for result in self.signature.results)
            leave = choose.choice(["return", "return", "br 1"])
            return f"(if {self.condition(1)} (then ({leave} {values})))"
        if kind < 0.85:
            inner = f"(global.set 0 {self.expression(self.program.globals[0], 1)})"
            return f"(block (block (br_table 0 1 0 {self.leaf('i32')})) {inner})"
        if kind < 0.9:
            return f"(if {self.condition(1)} (then (unreachable)))" if self.program.trapping else "(nop)"
        return f"(block (br_if 0 {self.condition(1)}) (global.set 0 {self.leaf(self.program.globals[0])}))"

    def leaf_call(self, results: list[str], depth: int = 1) -> str:
        return ""

    def call_for(self, type: str, depth: int) -> str:
        return ""


def generate(seed: int) -> str:
    """The text of the program of `seed`."""
    return Program(seed).text()
