"""Reading the text form of a function (grammar: printer.py). `print_function(parse_function(t)) == t` for printed text.

Value and block numbers of the text are kept, so gaps are allowed: numbers never defined belong to no instruction.
"""

from __future__ import annotations

import json
import re
from typing import Final, final

from .errors import ParseError
from .function import NO_TARGETS, NO_VALUE, Block, Function, Inst, Target
from .opcodes import (
    BINARY,
    BR_TABLE_,
    BRANCH_,
    BUILTIN_,
    CALL_,
    CALL_PTR_,
    COMPARE,
    CONST,
    CONTEXT_,
    CONVERT,
    CTX_LOAD_,
    CTX_STORE_,
    FCC_NAMES,
    FORMATS,
    ICC_NAMES,
    ICMP,
    JUMP_,
    LOAD_,
    OPCODE_BY_NAME,
    PTR_LOAD_,
    PTR_STORE_,
    RETURN_,
    SELECT_,
    STORE_,
    TRAP_,
    TRAP_IF_,
    UNARY,
)
from .signature import Signature
from .source_loc import parse_loc
from .trap_codes import TRAP_BY_NAME
from .types import I32, TYPE_BY_NAME, TYPE_MASK, VOID

_TOKEN: Final = re.compile(
    r'\s*("(?:[^"\\]|\\.)*"|->|@[0-9a-f]+(?:/[0-9a-f]+)?|0x[0-9a-f]+|-?[0-9]+|[A-Za-z_][\w.]*|[(){}:=,+])'
)
_VALUE: Final = re.compile(r"v([0-9]+)\Z")
_BLOCK: Final = re.compile(r"block([0-9]+)\Z")
_NUMBERED: Final = re.compile(r"(?:sig|fn|m)([0-9]+)\Z")


@final
class _Line:
    """Tokens of one line, read from left to right."""

    __slots__ = ("tokens", "position", "number")

    def __init__(self, text: str, number: int) -> None:
        self.number = number
        self.position = 0
        self.tokens: list[str] = []
        at = 0
        text = text.rstrip()
        while at < len(text) and not text[at:].lstrip().startswith(";"):
            match = _TOKEN.match(text, at)
            if match is None:
                raise ParseError(f"unexpected {text[at:].strip()!r}", number)
            self.tokens.append(match.group(1))
            at = match.end()

    def fail(self, what: str) -> ParseError:
        found = self.peek()
        return ParseError(
            f"expected {what}, found {found!r}" if found else f"expected {what} before the end of the line", self.number
        )

    def peek(self) -> str:
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def next(self, what: str) -> str:
        token = self.peek()
        if not token:
            raise self.fail(what)
        self.position += 1
        return token

    def accept(self, token: str) -> bool:
        if self.peek() == token:
            self.position += 1
            return True
        return False

    def expect(self, token: str) -> None:
        if not self.accept(token):
            raise self.fail(repr(token))

    def integer(self) -> int:
        try:
            value = int(self.peek(), 0)
        except ValueError:
            raise self.fail("a number") from None
        self.position += 1
        return value

    def _matched(self, pattern: re.Pattern[str], what: str) -> int:
        match = pattern.match(self.peek())
        if match is None:
            raise self.fail(what)
        self.position += 1
        return int(match.group(1))

    def value(self) -> int:
        return self._matched(_VALUE, "a value")

    def block(self) -> int:
        return self._matched(_BLOCK, "a block")

    def numbered(self, prefix: str) -> int:
        if not self.peek().startswith(prefix):
            raise self.fail(f"{prefix}N")
        return self._matched(_NUMBERED, f"{prefix}N")

    def type(self) -> int:
        token = self.peek()
        if token not in TYPE_BY_NAME or token == "void":
            raise self.fail("a type")
        self.position += 1
        return TYPE_BY_NAME[token]

    def values(self) -> list[int]:
        """Values separated by commas; possibly none."""
        found: list[int] = []
        while _VALUE.match(self.peek()):
            found.append(self.value())
            if not self.accept(","):
                break
        return found

    def arguments(self) -> list[int]:
        """Values in parentheses, which may be left out."""
        if not self.accept("("):
            return []
        found = self.values()
        self.expect(")")
        return found

    def target(self) -> Target:
        block = self.block()
        return Target(block, self.arguments())

    def signature(self) -> Signature:
        self.expect("(")
        params = self._types()
        self.expect(")")
        return Signature(params, self._types() if self.accept("->") else [])

    def _types(self) -> list[int]:
        found: list[int] = []
        while self.peek() in TYPE_BY_NAME:
            found.append(self.type())
            if not self.accept(","):
                break
        return found

    def end(self) -> None:
        if self.peek():
            raise self.fail("the end of the line")


def parse_function(text: str) -> Function:
    """The only function in `text`. Raises ParseError."""
    functions = parse_functions(text)
    if len(functions) != 1:
        raise ParseError(f"expected one function, found {len(functions)}", 1)
    return functions[0]


def parse_functions(text: str) -> list[Function]:
    """All functions in `text`, in order. Raises ParseError."""
    functions: list[Function] = []
    function: Function | None = None
    block: Block | None = None
    for number, raw in enumerate(text.splitlines(), 1):
        line = _Line(raw, number)
        if not line.tokens:
            continue
        if function is None:
            line.expect("function")
            name = line.next("a name")
            if name.startswith('"'):
                name = json.loads(name)
            function = Function(name, line.integer(), line.signature(), [])
            line.expect("{")
            block = None
        elif line.accept("}"):
            functions.append(function)
            function = None
        elif line.peek().startswith("sig"):
            if line.numbered("sig") != len(function.signatures):
                raise ParseError(f"signatures must be numbered from 0, expected sig{len(function.signatures)}", number)
            line.expect("=")
            function.signatures.append(line.signature())
        elif _BLOCK.match(line.peek()):
            block = _parse_block(function, line)
        elif block is None:
            raise line.fail("a block")
        else:
            block.insts.append(_parse_inst(function, line))
        line.end()
    if function is not None:
        raise ParseError("expected '}' before the end of the text", len(text.splitlines()))
    return functions


def _parse_block(function: Function, line: _Line) -> Block:
    number = line.block()
    while len(function.blocks) <= number:
        function.new_block()
    if number in function.layout:
        raise ParseError(f"block{number} is defined twice", line.number)
    block = function.blocks[number]
    function.layout.append(number)
    block.cold = line.accept("cold")
    if line.accept("("):
        while not line.accept(")"):
            value = line.value()
            line.expect(":")
            _define(function, value, line.type(), line)
            block.params.append(value)
            if line.peek() != ")":
                line.expect(",")
    line.expect(":")
    return block


def _define(function: Function, value: int, type: int, line: _Line) -> None:
    types = function.value_types
    while len(types) <= value:
        types.append(VOID)
    if types[value] != VOID:
        raise ParseError(f"v{value} is defined twice", line.number)
    types[value] = type


def _parse_inst(function: Function, line: _Line) -> Inst:
    loc = parse_loc(line.next("an offset")[1:]) if line.peek().startswith("@") else -1
    results = line.values()
    if results:
        line.expect("=")
    for position, value in enumerate(results):
        if value != results[0] + position:
            raise ParseError("the results of an instruction must be consecutive values", line.number)
    words = line.next("an instruction").split(".")
    if words[0] not in OPCODE_BY_NAME:
        raise ParseError(f"unknown instruction {words[0]!r}", line.number)
    types: list[int] = []
    for word in words[1:]:
        if word not in TYPE_BY_NAME:
            raise ParseError(f"unknown type {word!r}", line.number)
        types.append(TYPE_BY_NAME[word])
    inst = _parse_operands(function, OPCODE_BY_NAME[words[0]], types, line)
    inst.loc = loc
    result_types = [inst.type]
    if FORMATS[inst.op] in (CALL_, CALL_PTR_, BUILTIN_):
        if inst.aux >= len(function.signatures):
            raise ParseError(f"sig{inst.aux} is not declared", line.number)
        result_types = function.signatures[inst.aux].results
        inst.type = result_types[0] if result_types else VOID
    if len(results) > len(result_types) or (results and inst.type == VOID):
        raise ParseError(f"{words[0]} has {len(result_types)} results, not {len(results)}", line.number)
    if results:
        inst.result = results[0]
        for value, type in zip(results, result_types, strict=False):
            _define(function, value, type, line)
    return inst


def _parse_operands(function: Function, op: int, types: list[int], line: _Line) -> Inst:
    form = FORMATS[op]
    typed = form not in (CALL_, CALL_PTR_, BUILTIN_, TRAP_IF_, TRAP_, JUMP_, BRANCH_, BR_TABLE_, RETURN_)
    if len(types) != (2 if form == CONVERT else 1 if typed else 0):
        raise ParseError("wrong number of types after the instruction's name", line.number)
    type = types[0] if types else VOID
    args: list[int] = []
    imm = aux = 0
    targets = NO_TARGETS
    if form == CONST:
        imm = line.integer() & TYPE_MASK[type]
    elif form in (UNARY, BINARY, SELECT_, RETURN_):
        args = line.values()
    elif form == COMPARE:
        names = ICC_NAMES if op == ICMP else FCC_NAMES
        if line.peek() not in names:
            raise line.fail("a condition")
        imm = names.index(line.next("a condition"))
        args = line.values()
        type, aux = I32, type
    elif form == CONVERT:
        args = line.values()
        aux = types[1]
    elif form in (LOAD_, STORE_, PTR_LOAD_, PTR_STORE_):
        args = [line.value()]
        line.expect("+")
        imm = line.integer()
        if form in (LOAD_, STORE_):
            aux = line.numbered("m") if line.peek().startswith("m") else 0
        elif form == PTR_LOAD_:
            aux = int(line.accept("readonly"))
        if form in (STORE_, PTR_STORE_):
            line.expect(",")
            args.append(line.value())
    elif form == CTX_LOAD_:
        imm = line.integer()
        aux = int(line.accept("readonly"))
    elif form == CTX_STORE_:
        imm = line.integer()
        line.expect(",")
        args = [line.value()]
    elif form in (CALL_, BUILTIN_):
        imm = line.numbered("fn")
        aux = line.numbered("sig")
        args = line.arguments()
    elif form == CALL_PTR_:
        args = [line.value(), line.value()]
        aux = line.numbered("sig")
        args += line.arguments()
    elif form in (TRAP_IF_, TRAP_):
        if form == TRAP_IF_:
            args = [line.value()]
            line.expect(",")
        name = line.next("a trap code")
        if name not in TRAP_BY_NAME:
            raise ParseError(f"unknown trap code {name!r}", line.number)
        imm = TRAP_BY_NAME[name]
    elif form in (JUMP_, BRANCH_, BR_TABLE_):
        if form != JUMP_:
            args = [line.value()]
            line.expect(",")
        targets = _parse_targets(line, form == BR_TABLE_)
    else:
        assert form == CONTEXT_
    return Inst(op, type, args, imm, aux, NO_VALUE, -1, targets)


def _parse_targets(line: _Line, table: bool) -> list[Target]:
    targets: list[Target] = []
    while True:
        last = table and line.accept("default")
        targets.append(line.target())
        if last or not line.accept(","):
            if table and not last:
                raise line.fail("'default'")
            return targets
