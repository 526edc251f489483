"""Small IR functions for tests: parsing fragments, running, comparing two functions."""

from __future__ import annotations

import struct

from brolga.ir.errors import InterpreterTrap
from brolga.ir.floats import is_nan
from brolga.ir.function import Function
from brolga.ir.interpreter import Environment, StepLimitExceeded, interpret
from brolga.ir.passes import (
    block_params,
    branches,
    dce,
    induction,
    jump_threading,
    products,
    reassociation,
    unreachable,
)
from brolga.ir.signature import Signature
from brolga.ir.trap_codes import MEMORY_OUT_OF_BOUNDS
from brolga.ir.types import F32, F64, I32, I64, TYPE_MASK

EDGES_I32 = [0, 1, 2, 3, 7, 8, 31, 32, 33, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000]
EDGES_I32 += [0x7FFF_FFFE, 0x7FFF_FFFF, 0x8000_0000, 0x8000_0001, 0xFFFF_FF80, 0xFFFF_FFFE, 0xFFFF_FFFF]
EDGES_I64 = [*EDGES_I32[:-7], 63, 64, 65, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1 << 32, (1 << 32) + 1]
EDGES_I64 += [(1 << 63) - 2, (1 << 63) - 1, 1 << 63, (1 << 63) + 1, (1 << 64) - (1 << 31), (1 << 64) - 2, (1 << 64) - 1]
_FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.0, 1e-40, 1e10, -1e10, 2147483648.0, 4294967295.0]
_FLOATS += [9.2e18, 1.8446744073709552e19, -9.3e18, 1e38, float("inf"), float("-inf")]
EDGES_F32 = [struct.unpack("<I", struct.pack("<f", x))[0] for x in _FLOATS]
EDGES_F32 += [1, 0x7F_FFFF, 0x80_0000, 0x7F7F_FFFF, 0x7FC0_0000, 0xFFC0_0000, 0x7F80_0001, 0xFFA0_0000]
EDGES_F64 = [struct.unpack("<Q", struct.pack("<d", x))[0] for x in [*_FLOATS, 5e-324, 1e308, 1e-310, 3.4028236e38]]
EDGES_F64 += [0x7FF8 << 48, 0xFFF8 << 48, (0x7FF0 << 48) + 1, 0xFFF4 << 48]
EDGES = {I32: EDGES_I32, I64: EDGES_I64, F32: EDGES_F32, F64: EDGES_F64}


def clean_up(function: Function) -> None:
    """The passes that remove or skip something, in the compiler's order."""
    unreachable.run(function)
    block_params.run(function)
    dce.run(function)
    jump_threading.run(function)
    branches.run(function)


def all_passes(function: Function) -> None:
    clean_up(function)
    products.run(function)
    reassociation.run(function)
    induction.run(function)


class TestEnvironment(Environment):
    """64 bytes of memory filled with a pattern, a context, functions that combine their arguments, a log of calls.

    Function n has the signature n modulo the number of signatures.
    """

    __test__ = False
    step_limit = 20_000

    def __init__(self, signatures: list[Signature]) -> None:
        self.signatures = signatures
        self.memory = bytearray((37 * i + 0x81) & 0xFF for i in range(64))
        self.context = bytearray((91 * i + 5) & 0xFF for i in range(64))
        self.log: list[tuple[object, ...]] = []

    def memory_load(self, memory: int, address: int, size: int) -> int:
        if address + size > len(self.memory):
            raise InterpreterTrap(MEMORY_OUT_OF_BOUNDS)
        return int.from_bytes(self.memory[address : address + size], "little")

    def memory_store(self, memory: int, address: int, size: int, bits: int) -> None:
        if address + size > len(self.memory):
            raise InterpreterTrap(MEMORY_OUT_OF_BOUNDS)
        self.memory[address : address + size] = bits.to_bytes(size, "little")

    def context_address(self) -> int:
        return 0

    def raw_load(self, address: int, size: int) -> int:
        return int.from_bytes(self.context[address : address + size], "little")

    def raw_store(self, address: int, size: int, bits: int) -> None:
        self.context[address : address + size] = bits.to_bytes(size, "little")

    def call(self, func: int, args: list[int]) -> list[int]:
        self.log.append(("call", func, *args))
        results = self.signatures[func % len(self.signatures)].results
        seed = sum(args) * 0x9E37_79B9_7F4A_7C15 + func + len(self.log)
        return [seed * (place + 3) & TYPE_MASK[type] for place, type in enumerate(results)]

    def call_ptr(self, code: int, vmctx: int, signature: int, args: list[int]) -> list[int]:
        self.log.append(("call_ptr", code, vmctx))
        return self.call(signature, args)

    def call_builtin(self, number: int, args: list[int]) -> list[int]:
        self.log.append(("builtin",))
        return self.call(number, args)


def result_or_trap(function: Function, args: list[int]) -> list[int] | int:
    """The results, or the trap code."""
    try:
        return interpret(function, args, TestEnvironment(function.signatures))
    except InterpreterTrap as trap:
        return trap.code


ENDLESS = ("endless",)  # the outcome of a run that was broken off


def outcome(function: Function, args: list[int]) -> tuple[object, ...]:
    """Everything that a run of `function` shows: results or trap, memory, effects. NaNs of a type are alike."""
    environment = TestEnvironment(function.signatures)
    try:
        results = interpret(function, args, environment)
    except StepLimitExceeded:
        return ENDLESS
    except InterpreterTrap as trap:
        shown: list[object] = [f"trap {trap.code}"]
    else:
        shown = []
        for type, bits in zip(function.signature.results, results, strict=True):
            if type in (F32, F64) and is_nan(type, bits):
                assert type == F32 or type == F64
                shown.append("nan")
            else:
                shown.append(bits)
    return (*shown, bytes(environment.memory), bytes(environment.context), tuple(environment.log))
