"""From a trap in machine code to a Python exception."""

from __future__ import annotations

import ctypes
from bisect import bisect_right
from collections.abc import Callable
from struct import Struct
from typing import Final, final

from brolga.ir.errors import BrolgaError
from brolga.ir.trap_codes import INTERRUPT, STACK_OVERFLOW, TRAP_MESSAGES
from brolga.jit.code import CompiledFunction

from . import layout as L
from .code import find_code
from .state import CLOSED, StoreState

_u64 = ctypes.c_uint64.from_address

_TRAP: Final = Struct("<QQQiI")  # from STATE_TRAP_PC to STATE_TRAP_RETURN

MOST_FRAMES: Final = 20  # of a backtrace, as in Wasmtime: a stack overflow would have tens of thousands


@final
class Frame:
    """One wasm frame: `owner` of the code space (as given to `Machine.new_code_space`), function index in the module's index
    space, and where in its code. Which operator that is need not be known before somebody asks."""

    __slots__ = ("_function", "_place", "func", "owner")

    def __init__(self, owner: object, func: int, function: CompiledFunction | None, place: int) -> None:
        self.owner = owner
        self.func = func
        self._function = function
        self._place = place

    @property
    def offset(self) -> int:
        """The offset of the operator in the module's bytes, -1 if it is unknown."""
        function = self._function
        return -1 if function is None else _in_force(function.source_offsets, function.source_locs, self._place, -1)

    def trap_code(self) -> int:
        """The trap code of the faulting instruction or call of the trap routine that stands here; -1 if there is none."""
        function, place = self._function, self._place
        if function is None:
            return -1
        position = bisect_right(function.trap_offsets, place) - 1
        if position < 0 or function.trap_offsets[position] != place:
            return -1
        return function.trap_codes[position]


@final
class TrapInfo:
    """A trap: `code` of `brolga.ir.trap_codes`, the frames from the innermost outwards (own activation only), and the
    address of the faulting access or 0."""

    __slots__ = ("address", "code", "frames", "timed_out")

    def __init__(self, code: int, frames: list[Frame], address: int = 0, timed_out: bool = False) -> None:
        self.code = code
        self.frames = frames
        self.address = address
        self.timed_out = timed_out  # an INTERRUPT because of a timeout


TrapFactory = Callable[[TrapInfo], BaseException]
ExceptionHook = Callable[[BaseException, list[Frame]], None]


class UnexpectedFault(BrolgaError):
    """Compiled code faulted where it must not: a bug of the compiler, or memory was unmapped under it."""


def _plain_trap(info: TrapInfo) -> BaseException:
    return BrolgaError(TRAP_MESSAGES[info.code])


_factory: TrapFactory = _plain_trap
_hook: ExceptionHook | None = None


def set_trap_factory(factory: TrapFactory) -> None:
    """Set, for the whole process, what makes the exception that a trap raises."""
    global _factory
    _factory = factory


def set_exception_hook(hook: ExceptionHook | None) -> None:
    """Set what is told of each exception that a host function or builtin raises through wasm, with the wasm frames it
    crosses (of this activation). The exception itself goes on unchanged (the hook may add a note)."""
    global _hook
    _hook = hook


def report_passing(exception: BaseException, wasm_stack: int) -> None:
    """A host function called with rsp = `wasm_stack` (at the return address) raises."""
    if _hook is not None:
        _hook(exception, unwind(_u64(wasm_stack).value, wasm_stack + 8, True))


def raise_trap(state: StoreState) -> None:
    """Raise the exception of the trap that is recorded in the state. Called by the trap exit, on the native stack, with the
    dead wasm frames still in place."""
    pc, stack, fault, code, returns = _TRAP.unpack(ctypes.string_at(state.address + L.STATE_TRAP_PC, _TRAP.size))
    frames = unwind(pc, stack, returns != 0)
    if code < 0:
        code = frames[0].trap_code() if frames else -1
        if fault and _is_in_guard(state, fault):
            code = STACK_OVERFLOW
    if code < 0:
        raise UnexpectedFault(f"unexpected fault at pc {pc:#x}, address {fault:#x}, in {_describe(frames)}")
    raise _factory(TrapInfo(code, frames, fault, code == INTERRUPT and state.timed_out))


def interruption(wasm_stack: int, timed_out: bool) -> BaseException:
    """The exception that ends a call which is suspended with rsp = `wasm_stack` (at the return address), or 0: not in wasm."""
    frames = unwind(_u64(wasm_stack).value, wasm_stack + 8, True) if wasm_stack else []
    return _factory(TrapInfo(INTERRUPT, frames, 0, timed_out))


def refuse_entry(reason: int) -> None:
    """Raise what an entry raises that `StoreState.refuse` keeps out."""
    if reason == CLOSED:
        raise ValueError("already closed")
    raise _factory(TrapInfo(reason, []))


def _describe(frames: list[Frame]) -> str:
    return f"function {frames[0].func} at offset {frames[0].offset:#x}" if frames else "no known function"


def _is_in_guard(state: StoreState, address: int) -> bool:
    """Whether the address is in the guard area of the wasm stack that the state ran on."""
    low: int = _u64(_u64(state.address + L.STATE_THREAD).value + L.THREAD_STACK_LOW).value
    return low - L.STACK_GUARD <= address < low


def _in_force(offsets: list[int], values: list[int], offset: int, otherwise: int) -> int:
    position = bisect_right(offsets, offset) - 1
    return values[position] if position >= 0 else otherwise


def unwind(pc: int, stack: int, returns: bool) -> list[Frame]:
    """The wasm frames from the innermost outwards, up to the entry of the activation.

    `stack` is rsp when the instruction at `pc` began; with `returns`, `pc` is a return address that has been taken off the stack.
    Only the inner MOST_FRAMES are looked at.
    """
    frames: list[Frame] = []
    while len(frames) < MOST_FRAMES:
        # What holds for a return address is what held for the call before it.
        found = find_code(pc - 1 if returns else pc)
        if found is None:
            break
        space, function, func, offset = found
        frames.append(Frame(space.owner, func, function, offset))
        if function is not None:
            stack += _in_force(function.frame_offsets, function.frame_sizes, offset, 0)
        pc = _u64(stack).value
        stack += 8
        returns = True
    return frames
