"""Traps and exits as Python exceptions."""

from __future__ import annotations

from enum import Enum
from typing import Final, final

from brolga.ir import trap_codes
from brolga.ir.errors import BrolgaError, WasmtimeError


class TrapCode(Enum):
    """Why a trap happened; names and values as in wasmtime's C API."""

    STACK_OVERFLOW = 0
    MEMORY_OUT_OF_BOUNDS = 1
    HEAP_MISALIGNED = 2
    TABLE_OUT_OF_BOUNDS = 3
    INDIRECT_CALL_TO_NULL = 4
    BAD_SIGNATURE = 5
    INTEGER_OVERFLOW = 6
    INTEGER_DIVISION_BY_ZERO = 7
    BAD_CONVERSION_TO_INTEGER = 8
    UNREACHABLE = 9
    INTERRUPT = 10
    OUT_OF_FUEL = 11
    NULL_REFERENCE = 13


# Of the IR's trap codes; an index outside of a table is one kind for both instructions that it can happen in.
_PUBLIC_CODE: Final[dict[int, TrapCode]] = {
    trap_codes.STACK_OVERFLOW: TrapCode.STACK_OVERFLOW,
    trap_codes.MEMORY_OUT_OF_BOUNDS: TrapCode.MEMORY_OUT_OF_BOUNDS,
    trap_codes.TABLE_OUT_OF_BOUNDS: TrapCode.TABLE_OUT_OF_BOUNDS,
    trap_codes.INDIRECT_CALL_OUT_OF_BOUNDS: TrapCode.TABLE_OUT_OF_BOUNDS,
    trap_codes.INDIRECT_CALL_TO_NULL: TrapCode.INDIRECT_CALL_TO_NULL,
    trap_codes.BAD_SIGNATURE: TrapCode.BAD_SIGNATURE,
    trap_codes.INTEGER_OVERFLOW: TrapCode.INTEGER_OVERFLOW,
    trap_codes.INTEGER_DIVISION_BY_ZERO: TrapCode.INTEGER_DIVISION_BY_ZERO,
    trap_codes.BAD_CONVERSION_TO_INTEGER: TrapCode.BAD_CONVERSION_TO_INTEGER,
    trap_codes.UNREACHABLE: TrapCode.UNREACHABLE,
    trap_codes.INTERRUPT: TrapCode.INTERRUPT,
    trap_codes.OUT_OF_FUEL: TrapCode.OUT_OF_FUEL,
    trap_codes.NULL_REFERENCE: TrapCode.NULL_REFERENCE,
}


@final
class Frame:
    """One function of a wasm backtrace."""

    __slots__ = ("_func_index", "_func_name", "_func_start", "_module_name", "_module_offset")

    def __init__(
        self, func_index: int, func_name: str | None, module_name: str | None, module_offset: int, func_start: int
    ) -> None:
        self._func_index = func_index
        self._func_name = func_name
        self._module_name = module_name
        self._module_offset = module_offset
        self._func_start = func_start

    @property
    def func_index(self) -> int:
        """Index of the function in its module."""
        return self._func_index

    @property
    def func_name(self) -> str | None:
        """Name of the function, if the module has one for it."""
        return self._func_name

    @property
    def module_name(self) -> str | None:
        """Name of the module, if it has one."""
        return self._module_name

    @property
    def module_offset(self) -> int:
        """Offset of the operator in the bytes of the module."""
        return self._module_offset

    @property
    def func_offset(self) -> int:
        """Offset of the operator from the start of the function."""
        return self._module_offset - self._func_start

    def __str__(self) -> str:
        name = self._func_name or f"<wasm function {self._func_index}>"
        return f"{self._module_offset:#8x} - {self._module_name or '<unknown>'}!{name}"


class Trap(BrolgaError):
    """WebAssembly code ended abnormally, or a host function ended it with a trap of its own.

    `message` has the backtrace, if wasm was running, and the reason, which is also in `reason` alone.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.reason = message
        self._code = -1
        self._frames: list[Frame] = []

    @classmethod
    def _of(cls, code: int) -> Trap:
        """The trap for one of the IR's trap codes."""
        trap = cls(trap_codes.TRAP_MESSAGES[code])
        trap._code = code
        return trap

    @property
    def message(self) -> str:
        reason = self.reason if self._code < 0 else f"wasm trap: {self.reason}"
        if not self._frames:
            return reason
        lines = [f"    {number}: {frame}" for number, frame in enumerate(self._frames)]
        return "\n".join(["error while executing at wasm backtrace:", *lines, "", "Caused by:", f"    {reason}"])

    @property
    def frames(self) -> list[Frame]:
        """The backtrace, innermost function first."""
        return list(self._frames)

    @property
    def trap_code(self) -> TrapCode | None:
        """Why, or None for a trap that the host made."""
        return _PUBLIC_CODE.get(self._code)

    def __str__(self) -> str:
        return self.message


class ExitTrap(WasmtimeError):
    """The program asked to exit (WASI's `proc_exit`) with the status `code`."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code
