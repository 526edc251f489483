"""Random valid functions, made of raw instructions: no rule of the builder has touched them."""

from __future__ import annotations

import random

from brolga.ir import opcodes as op
from brolga.ir.dominator_tree import UNREACHABLE, DominatorTree
from brolga.ir.function import NO_TARGETS, NO_VALUE, Function, Inst, Target
from brolga.ir.signature import Signature
from brolga.ir.trap_codes import TRAP_NAMES
from brolga.ir.types import F32, F64, I32, I64, IS_FLOAT, TYPE_BITS, TYPE_NAMES, VOID

from .functions import EDGES

TYPES = [I32, I32, I32, I64, I64, F32, F64]
SIGNATURES = [
    Signature([I32], [I32]),
    Signature([I64, F64], [I64, F32]),
    Signature([], []),
    Signature([F32, I32], [F64, I32, I64]),
]
_CONVERSIONS = [  # opcode, type, operand type
    (op.IREDUCE, I32, I64),
    (op.UEXTEND, I64, I32),
    (op.SEXTEND, I64, I32),
    (op.FPROMOTE, F64, F32),
    (op.FDEMOTE, F32, F64),
    (op.BITCAST, I32, F32),
    (op.BITCAST, F32, I32),
    (op.BITCAST, I64, F64),
    (op.BITCAST, F64, I64),
]
for _integer in (I32, I64):
    for _float in (F32, F64):
        _CONVERSIONS += [(opcode, _float, _integer) for opcode in (op.FCVT_FROM_SINT, op.FCVT_FROM_UINT)]
        _CONVERSIONS += [(opcode, _integer, _float) for opcode in (op.FCVT_TO_SINT_SAT, op.FCVT_TO_UINT_SAT)]
        _CONVERSIONS += [(opcode, _integer, _float) for opcode in (op.FCVT_TO_SINT, op.FCVT_TO_UINT)]


def _fits(opcode: int, type: int) -> bool:
    types = op.TYPE_CLASSES[opcode]
    return types == "any" or types == ("f" if IS_FLOAT[type] else "i") or types == TYPE_NAMES[type]


def _opcodes(form: int, type: int) -> list[int]:
    return [n for n in range(op.OPCODE_COUNT) if op.FORMATS[n] == form and _fits(n, type)]


_BINARY = {type: _opcodes(op.BINARY, type) for type in (I32, I64, F32, F64)}
_UNARY = {type: _opcodes(op.UNARY, type) for type in (I32, I64, F32, F64)}
_LOADS = {type: _opcodes(op.LOAD_, type) for type in (I32, I64, F32, F64)}
_STORES = {type: _opcodes(op.STORE_, type) for type in (I32, I64, F32, F64)}


class _Maker:
    def __init__(self, rng: random.Random, function: Function) -> None:
        self.rng = rng
        self.function = function
        self.insts: list[Inst] = []
        self.available: list[int] = []

    def emit(self, opcode: int, type: int, args: list[int], imm: int = 0, aux: int = 0) -> int:
        value = self.function.new_value(type)
        self.insts.append(Inst(opcode, type, args, imm, aux, value, len(self.insts)))
        self.available.append(value)
        return value

    def effect(self, opcode: int, type: int, args: list[int], imm: int = 0, aux: int = 0) -> None:
        self.insts.append(Inst(opcode, type, args, imm, aux, NO_VALUE, len(self.insts)))

    def constant(self, type: int) -> int:
        rng = self.rng
        bits = rng.choice(EDGES[type]) if rng.random() < 0.9 else rng.getrandbits(TYPE_BITS[type])
        return self.emit(op.FCONST if IS_FLOAT[type] else op.ICONST, type, [], bits)

    def operand(self, type: int) -> int:
        """An available value of the type, recent ones preferred, or a new constant."""
        rng = self.rng
        if rng.random() < 0.7:
            types = self.function.value_types
            for _ in range(6):
                if self.available:
                    place = int(len(self.available) * rng.random() ** 0.4)
                    value = self.available[min(place, len(self.available) - 1)]
                    if types[value] == type:
                        return value
        return self.constant(type)

    def instruction(self) -> None:
        rng = self.rng
        type = rng.choice(TYPES)
        kind = rng.random()
        if kind < 0.40:
            self.emit(rng.choice(_BINARY[type]), type, [self.operand(type), self.operand(type)])
        elif kind < 0.48:
            self.emit(rng.choice(_UNARY[type]), type, [self.operand(type)])
        elif kind < 0.60:
            names = op.FCC_NAMES if IS_FLOAT[type] else op.ICC_NAMES
            args = [self.operand(type), self.operand(type)]
            self.emit(op.FCMP if IS_FLOAT[type] else op.ICMP, I32, args, rng.randrange(len(names)), type)
        elif kind < 0.70:
            opcode, type, from_type = rng.choice(_CONVERSIONS)
            self.emit(opcode, type, [self.operand(from_type)], 0, from_type)
        elif kind < 0.78:
            self.emit(op.SELECT, type, [self.operand(I32), self.operand(type), self.operand(type)])
        elif kind < 0.84:
            self.emit(rng.choice(_LOADS[type]), type, [self.address()], rng.randrange(16))
        elif kind < 0.88:
            self.effect(rng.choice(_STORES[type]), type, [self.address(), self.operand(type)], rng.randrange(16))
        elif kind < 0.91:
            self.emit(op.CTX_LOAD, type, [], 8 * rng.randrange(4), rng.randrange(2))
        elif kind < 0.93:
            self.effect(op.CTX_STORE, type, [self.operand(type)], 32 + 8 * rng.randrange(4))
        elif kind < 0.95:
            address = self.emit(op.CONTEXT, I64, [])
            self.emit(op.PTR_LOAD, type, [address], 8 * rng.randrange(4), rng.randrange(2))
        elif kind < 0.97:
            self.call()
        else:
            condition = self.operand(I32)
            self.effect(rng.choice([op.TRAPNZ, op.TRAPZ]), VOID, [condition], rng.randrange(len(TRAP_NAMES)))

    def address(self) -> int:
        """Mostly within the memory of the tests' environment."""
        if self.rng.random() < 0.2:
            return self.operand(I32)
        mask = self.emit(op.ICONST, I32, [], 31)
        return self.emit(op.BAND, I32, [self.operand(I32), mask])

    def call(self) -> None:
        number = self.rng.randrange(len(SIGNATURES))
        signature = SIGNATURES[number]
        args = [self.operand(type) for type in signature.params]
        opcode = self.rng.choice([op.CALL, op.CALL_BUILTIN, op.CALL_PTR])
        if opcode == op.CALL_PTR:
            args = [self.operand(I64), self.operand(I64), *args]
        if not signature.results:
            self.effect(opcode, VOID, args, number, number)
            return
        self.emit(opcode, signature.results[0], args, number, number)
        for type in signature.results[1:]:
            self.available.append(self.function.new_value(type))

    def terminate(self, targets: list[int]) -> None:
        rng = self.rng
        function = self.function
        if not targets:
            if rng.random() < 0.9:
                args = [self.operand(type) for type in function.signature.results]
                self.insts.append(Inst(op.RETURN, VOID, args, targets=NO_TARGETS))
            else:
                self.insts.append(Inst(op.TRAP, VOID, [], rng.randrange(len(TRAP_NAMES))))
            return
        conditions = [self.operand(I32)] if len(targets) > 1 else []
        made: list[Target] = []
        for number in targets:
            params = function.blocks[number].params
            made.append(Target(number, [self.operand(function.value_types[param]) for param in params]))
        opcode = [op.JUMP, op.BRIF][len(targets) - 1] if len(targets) < 3 else op.BR_TABLE
        self.insts.append(Inst(opcode, VOID, conditions, targets=made))


def random_function(rng: random.Random, block_count: int, size: int) -> Function:
    """A function of `block_count` blocks, not all reachable, with up to `size` instructions each. It may not end."""
    params = [rng.choice(TYPES) for _ in range(rng.randrange(1, 5))]
    results = [rng.choice(TYPES) for _ in range(rng.randrange(1, 4))]
    function = Function("random", 0, Signature(params, results), SIGNATURES)
    edges: list[list[int]] = []
    for number in range(block_count):
        block = function.new_block()
        function.layout.append(number)
        block.cold = rng.random() < 0.1
        types = params if number == 0 else [rng.choice(TYPES) for _ in range(max(0, rng.randrange(-1, 4)))]
        for type in types:
            function.append_param(block, type)
        count = rng.choice([0, 1, 1, 2, 2, 2, 3, 4])
        if number + 1 >= block_count:
            count = 0 if block_count == 1 else min(count, 1)
        later = range(number + 1, block_count)
        targets: list[int] = []
        for _ in range(count):
            backwards = number > 0 and (not later or rng.random() < 0.2)
            targets.append(rng.randrange(1, number + 1) if backwards else rng.choice(later))
        edges.append(targets)
        block.insts = [Inst(op.BR_TABLE, VOID, [], targets=[Target(target, []) for target in targets])]
    tree = DominatorTree(function)
    known: list[list[int]] = [[] for _ in range(block_count)]
    reachable = tree.preorder()
    for number in [*reachable, *(n for n in range(block_count) if tree.idom[n] == UNREACHABLE)]:
        block = function.blocks[number]
        maker = _Maker(rng, function)
        if number != 0 and tree.idom[number] != UNREACHABLE:
            maker.available = known[tree.idom[number]].copy()
        maker.available += block.params
        for _ in range(rng.randrange(size + 1)):
            maker.instruction()
        maker.terminate(edges[number])
        block.insts = maker.insts
        known[number] = maker.available
    return function
