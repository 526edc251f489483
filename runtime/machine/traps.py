"""From a trap in machine code to a Python exception."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final


@final
class Frame:
    """One wasm frame: `owner` of the code space (as given to `Machine.new_code_space`), function index in the module's index
    space, and the offset of the operator in the module's bytes (-1 if unknown)."""

    __slots__ = ("func", "offset", "owner")

    def __init__(self, owner: object, func: int, offset: int) -> None:
        self.owner = owner
        self.func = func
        self.offset = offset


@final
class TrapInfo:
    """A trap: `code` of `brolga.ir.trap_codes`, the frames from the innermost outwards (own activation only), and the
    address of the faulting access or 0."""

    __slots__ = ("address", "code", "frames")

    def __init__(self, code: int, frames: list[Frame], address: int = 0) -> None:
        self.code: Final = code
        self.frames: Final = frames
        self.address: Final = address


TrapFactory = Callable[[TrapInfo], BaseException]
ExceptionHook = Callable[[BaseException, list[Frame]], None]


def set_trap_factory(factory: TrapFactory) -> None:
    """Set, for the whole process, what makes the exception that a trap raises."""
    raise NotImplementedError


def set_exception_hook(hook: ExceptionHook | None) -> None:
    """Set what is told of each exception that a host function or builtin raises through wasm, with the wasm frames it
    crosses (of this activation). The exception itself goes on unchanged (the hook may add a note)."""
    raise NotImplementedError
