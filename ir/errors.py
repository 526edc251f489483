"""Exceptions of the whole project, declared in the lowest package.

    BrolgaError
    ├── WasmtimeError          everything but traps, under the name that users of the embedding API catch
    │   ├── DecodeError        the bytes are malformed (offset)
    │   ├── ValidationError    the module is invalid (function, offset)
    │   ├── UnsupportedError   a proposal or feature that is not implemented, named (offset)
    │   ├── LimitError         a documented implementation limit is exceeded (offset)
    │   ├── ParseError         the text of an IR function is wrong (line)
    │   ├── CompileError       a bug of the compiler, with the function's name and the pass
    │   ├── VerifierError      the IR breaks an invariant (a list of findings)
    │   ├── RegAllocError      the allocator failed, or the checker refuted its result
    │   ├── CodeFormatError    serialised code cannot be used: damaged, or of another version, CPU or configuration
    │   ├── LinkError          imports do not match (spec word: unlinkable)
    │   └── ExitTrap           raised by runtime, defined there
    ├── InterpreterTrap        raised by the IR interpreter and by integer and float arithmetic that traps
    └── Trap                   raised by runtime, defined there

Messages of the first three leaves use the words of the WebAssembly test suite.
"""

from __future__ import annotations

from .trap_codes import TRAP_MESSAGES


class BrolgaError(Exception):
    """Base of all exceptions that Brolga raises on purpose."""


class WasmtimeError(BrolgaError):
    """Any failure that is not a trap, under the name by which users of the PyPI package `wasmtime` catch it."""


class _LocatedError(WasmtimeError):
    """An error in a module: `message`, byte `offset` in the module, and `func` index where known (-1 otherwise)."""

    def __init__(self, message: str, offset: int = -1, func: int = -1) -> None:
        self.message = message
        self.offset = offset
        self.func = func
        where = f" (at offset 0x{offset:x})" if offset >= 0 else ""
        if func >= 0:
            where = f" in function {func}{where}"
        super().__init__(message + where)


class DecodeError(_LocatedError):
    """The module is malformed."""


class ValidationError(_LocatedError):
    """The module is well formed and invalid."""


class UnsupportedError(_LocatedError):
    """The module needs a proposal or feature that Brolga does not implement; the message names it."""


class LimitError(_LocatedError):
    """The module exceeds a documented implementation limit; the message names it."""


class ParseError(WasmtimeError):
    """Text that is not an IR function: message and 1-based line."""

    def __init__(self, message: str, line: int) -> None:
        self.line = line
        super().__init__(f"line {line}: {message}")


class CompileError(WasmtimeError):
    """The compiler failed on a valid function: a bug. The message names pass and function."""


class VerifierError(WasmtimeError):
    """The IR breaks invariants; `findings` has one (entity, text, message) each."""

    def __init__(self, findings: list[tuple[str, str, str]]) -> None:
        self.findings = findings
        super().__init__("\n".join(f"{entity}: {text}: {message}" for entity, text, message in findings))


class RegAllocError(WasmtimeError):
    """Register allocation failed or its result was refuted: a bug."""


class CodeFormatError(WasmtimeError):
    """Serialised code that cannot be used; the message names the reason."""


class LinkError(WasmtimeError):
    """Imports do not fit what was given for them (unlinkable)."""


class InterpreterTrap(BrolgaError):
    """Execution of IR in the interpreter trapped: `code` is one of `trap_codes`."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(TRAP_MESSAGES[code])
