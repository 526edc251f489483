"""Reference semantics of the IR: runs a function on raw bits. The oracle of tests and fuzzers.

`interpret(function, args, environment)` takes and returns raw bits (unsigned ints of the types' widths; floats as
their bits). All that lies outside the function (memory, the instance context, other functions) is reached through
`Environment`, which a client subclasses. A trap raises InterpreterTrap, exhausted steps raise StepLimitExceeded.

NaN payloads are not part of the contract: results that are NaN may differ from machine code in sign and payload,
where wasm leaves them open.
"""

from __future__ import annotations

from typing import final

from .errors import BrolgaError, InterpreterTrap
from .evaluate import EVAL_BINARY, EVAL_CONVERT, EVAL_UNARY
from .floats import fcmp
from .function import NO_VALUE, Function, Inst
from .integers import icmp, sign_extend
from .opcodes import (
    ACCESS_BYTES,
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
    FORMATS,
    ICMP,
    JUMP_,
    LOAD_,
    OPCODE_NAMES,
    PTR_LOAD_,
    PTR_STORE_,
    RETURN_,
    SELECT_,
    SLOAD8,
    SLOAD16,
    SLOAD32,
    STORE_,
    TRAP_,
    TRAP_IF_,
    TRAPNZ,
    UNARY,
)
from .types import TYPE_BITS, TYPE_MASK

__all__ = ["Environment", "InterpreterTrap", "StepLimitExceeded", "interpret"]


class StepLimitExceeded(BrolgaError):
    """The interpreter ran for as many instructions as it was allowed."""


class Environment:
    """What a function can reach. Every method raises until it is overridden; `step_limit` bounds one `interpret` call.

    Addresses and contents are unsigned ints, sizes bytes; memory is little-endian.
    """

    step_limit = 1_000_000

    def memory_load(self, memory: int, address: int, size: int) -> int:
        """Sandboxed read at `address` (index + offset, may exceed 2**32). Raises
        InterpreterTrap(MEMORY_OUT_OF_BOUNDS)."""
        raise AssertionError("the environment has no memory")

    def memory_store(self, memory: int, address: int, size: int, bits: int) -> None:
        raise AssertionError("the environment has no memory")

    def context_address(self) -> int:
        """Address of the instance context."""
        raise AssertionError("the environment has no context")

    def raw_load(self, address: int, size: int) -> int:
        """Trusted read by `ctx_load` and `ptr_load`."""
        raise AssertionError("the environment has no raw memory")

    def raw_store(self, address: int, size: int, bits: int) -> None:
        raise AssertionError("the environment has no raw memory")

    def call(self, func: int, args: list[int]) -> list[int]:
        raise AssertionError("the environment has no functions")

    def call_ptr(self, code: int, vmctx: int, signature: int, args: list[int]) -> list[int]:
        """`signature` is a number in the calling function's `signatures`."""
        raise AssertionError("the environment has no functions")

    def call_builtin(self, number: int, args: list[int]) -> list[int]:
        raise AssertionError("the environment has no builtins")


def interpret(function: Function, args: list[int], environment: Environment) -> list[int]:
    """Results of `function` for `args`. Raises InterpreterTrap, StepLimitExceeded, and what the environment raises."""
    return _Frame(function, environment).run(args)


@final
class _Frame:
    """One activation: the value of each SSA value."""

    __slots__ = ("function", "environment", "values")

    def __init__(self, function: Function, environment: Environment) -> None:
        self.function = function
        self.environment = environment
        self.values = [0] * len(function.value_types)

    def run(self, args: list[int]) -> list[int]:
        function = self.function
        values = self.values
        steps = self.environment.step_limit
        block = function.blocks[function.layout[0]]
        if len(args) != len(block.params):
            raise ValueError(f"{function.name} takes {len(block.params)} arguments, not {len(args)}")
        for param, bits in zip(block.params, args, strict=True):
            values[param] = bits
        while True:
            steps -= len(block.insts)
            if steps < 0:
                raise StepLimitExceeded(f"{function.name} ran for {self.environment.step_limit} instructions")
            for inst in block.insts[:-1]:
                self._execute(inst)
            last = block.insts[-1]
            form = FORMATS[last.op]
            if form == JUMP_:
                choice = 0
            elif form == BRANCH_:
                choice = 0 if values[last.args[0]] else 1
            elif form == BR_TABLE_:
                choice = min(values[last.args[0]], len(last.targets) - 1)
            elif form == RETURN_:
                return [values[value] for value in last.args]
            else:
                assert form == TRAP_
                raise InterpreterTrap(last.imm)
            target = last.targets[choice]
            block = function.blocks[target.block]
            passed = [values[value] for value in target.args]
            for param, bits in zip(block.params, passed, strict=True):
                values[param] = bits

    def _execute(self, inst: Inst) -> None:
        values = self.values
        args = inst.args
        op = inst.op
        form = FORMATS[op]
        if form == CONST:
            result = inst.imm
        elif form == BINARY:
            result = EVAL_BINARY[op](inst.type, values[args[0]], values[args[1]])
        elif form == UNARY:
            result = EVAL_UNARY[op](inst.type, values[args[0]])
        elif form == COMPARE:
            compare = icmp if op == ICMP else fcmp
            result = int(compare(inst.imm, inst.aux, values[args[0]], values[args[1]]))
        elif form == CONVERT:
            result = EVAL_CONVERT[op](inst.type, inst.aux, values[args[0]])
        elif form == SELECT_:
            result = values[args[1]] if values[args[0]] else values[args[2]]
        elif form == TRAP_IF_:
            if (values[args[0]] != 0) == (op == TRAPNZ):
                raise InterpreterTrap(inst.imm)
            return
        elif form == CALL_ or form == CALL_PTR_ or form == BUILTIN_:
            self._call(inst, form)
            return
        else:
            self._access(inst, form)
            return
        if result >> TYPE_BITS[inst.type]:
            raise AssertionError(f"{OPCODE_NAMES[inst.op]} gives {result:#x}, which is no value of its type")
        values[inst.result] = result

    def _access(self, inst: Inst, form: int) -> None:
        """Loads, stores and the context's address."""
        values = self.values
        args = inst.args
        environment = self.environment
        size = ACCESS_BYTES[inst.op] or TYPE_BITS[inst.type] // 8
        if form == LOAD_:
            bits = environment.memory_load(inst.aux, values[args[0]] + inst.imm, size)
            if inst.op == SLOAD8 or inst.op == SLOAD16 or inst.op == SLOAD32:
                bits = sign_extend(bits, size * 8, inst.type)
            values[inst.result] = bits
        elif form == STORE_:
            bits = values[args[1]] & ((1 << size * 8) - 1)
            environment.memory_store(inst.aux, values[args[0]] + inst.imm, size, bits)
        elif form == CTX_LOAD_:
            values[inst.result] = environment.raw_load(environment.context_address() + inst.imm, size)
        elif form == CTX_STORE_:
            environment.raw_store(environment.context_address() + inst.imm, size, values[args[0]])
        elif form == PTR_LOAD_:
            values[inst.result] = environment.raw_load(values[args[0]] + inst.imm, size)
        elif form == PTR_STORE_:
            environment.raw_store(values[args[0]] + inst.imm, size, values[args[1]])
        elif form == CONTEXT_:
            values[inst.result] = environment.context_address()
        else:
            raise AssertionError(f"{OPCODE_NAMES[inst.op]} cannot be executed")

    def _call(self, inst: Inst, form: int) -> None:
        values = self.values
        args = [values[value] for value in inst.args]
        if form == CALL_:
            results = self.environment.call(inst.imm, args)
        elif form == BUILTIN_:
            results = self.environment.call_builtin(inst.imm, args)
        else:
            results = self.environment.call_ptr(args[0], args[1], inst.aux, args[2:])
        types = self.function.signatures[inst.aux].results
        if len(results) != len(types):
            raise ValueError(f"the environment returned {len(results)} results where {len(types)} are declared")
        if inst.result != NO_VALUE:
            for position, (type, bits) in enumerate(zip(types, results, strict=True)):
                values[inst.result + position] = bits & TYPE_MASK[type]
