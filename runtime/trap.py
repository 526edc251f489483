"""Traps and exits as Python exceptions."""

from __future__ import annotations

import atexit
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Self, final

from brolga.ir import trap_codes
from brolga.ir.errors import ArgumentTypeError, BrolgaError, WasmtimeError
from brolga.ir.text import printable

from . import machine
from .compilation import Compilation
from .machine.code import any_missing
from .managed import SlottedManaged

if TYPE_CHECKING:
    from .trap_code import TrapCode


@final
class Frame(SlottedManaged):
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

    def __reduce__(self) -> tuple[type[Frame], tuple[object, ...]]:
        start = self._func_start
        return Frame, (self._func_index, self._func_name, self._module_name, self._module_offset, start)

    def __str__(self) -> str:
        name = printable(self._func_name or "") or f"<wasm function {self._func_index}>"
        return f"{self._module_offset:#8x} - {printable(self._module_name or '') or '<unknown>'}!{name}"


def _public_frame(frame: machine.Frame) -> Frame:
    owner = frame.owner
    assert isinstance(owner, Compilation)
    decoded = owner.decoded
    body = decoded.bodies[frame.func - decoded.imported_funcs]
    name = decoded.names.funcs.get(frame.func)
    # What a function does before its first operator (the stack check, lazy compilation) is at its start.
    offset = frame.offset if frame.offset >= 0 else body.start
    return Frame(frame.func, name, decoded.names.module or None, offset, body.start)


class Trap(BrolgaError):
    """WebAssembly code ended abnormally, or a host function ended it with a trap of its own.

    `message` has the backtrace, if wasm was running, and the reason, which is also in `reason` alone.
    """

    # The code of `brolga.ir.trap_codes`, or -1, and the frames that it left through: one attribute, for each takes time.
    _origin: tuple[int, Sequence[machine.Site]] = (-1, ())
    _frames: list[Frame] | None = None  # the same for users, made when somebody asks

    def __init__(self, message: str) -> None:
        if not isinstance(message, str):
            raise ArgumentTypeError("expected a str")
        super().__init__(message)
        self.args = (message,)  # whatever classes derived from this and from another exception do

    @classmethod
    def _of(cls, code: int) -> Trap:
        """The trap for one of the IR's trap codes."""
        trap = cls.__new__(cls, trap_codes.TRAP_MESSAGES[code])
        trap._origin = code, ()
        return trap

    @property
    def reason(self) -> str:
        return str(self.args[0]) if self.args else ""

    @property
    def message(self) -> str:
        self.ptr()
        return self._text()

    def _text(self) -> str:
        is_wasm = 0 <= self._origin[0] < trap_codes.FIRST_FACT
        reason = f"wasm trap: {self.reason}" if is_wasm else self.reason
        frames = self._made_frames()
        if not frames:
            return reason
        lines = [f"    {number}: {frame}" for number, frame in enumerate(frames)]
        return "\n".join(["error while executing at wasm backtrace:", *lines, "", "Caused by:", f"    {reason}"])

    @property
    def frames(self) -> list[Frame]:
        """The backtrace, innermost function first."""
        self.ptr()
        return list(self._made_frames())

    def _made_frames(self) -> list[Frame]:
        if self._frames is None:
            self._frames = [_public_frame(frame) for frame in machine.frames_of(self._origin[1])]
        return self._frames

    @property
    def trap_code(self) -> TrapCode | None:
        """Why, or None for a trap that the host made."""
        self.ptr()
        return _public_codes().get(self._origin[0])

    def __str__(self) -> str:
        return self._text()  # also when it is closed: it may still be what a traceback ends with

    def _contents(self) -> dict[str, object]:
        """With the frames as users see them: those of the machine stand for code of this process."""
        return {**vars(self), "_frames": self._made_frames(), "_origin": (self._origin[0], ())}


@cache  # no import works any more when the interpreter ends
def _public_codes() -> dict[int, TrapCode]:
    """Fifty members of an Enum, which few programs look at."""
    from .trap_code import PUBLIC_CODES

    return PUBLIC_CODES


def _at_exit() -> None:
    """Finalisers that call functions for the first time may look at traps when no import works any more."""
    if any_missing():
        _public_codes()


atexit.register(_at_exit)


class WasmTimeout(Trap, TimeoutError):
    """A call took longer than its `timeout`."""

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        """Without this, OSError's `__new__` leaves all to `__init__`, and it takes two arguments for a number and a text."""
        exception = super().__new__(cls)
        exception.args = args
        return exception


class ExitTrap(WasmtimeError):
    """The program asked to exit (WASI's `proc_exit`) with the status `code`."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code
