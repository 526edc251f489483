"""From a trap in machine code to a Python exception.

A program may catch traps by the thousand: what can be found out later is left to whoever asks.
"""

from __future__ import annotations

import ctypes
from bisect import bisect_right
from collections.abc import Callable, Sequence
from struct import Struct
from threading import get_ident, main_thread
from typing import Final, final

from brolga.ir.errors import BrolgaError, ClosedError
from brolga.ir.trap_codes import INTERRUPT, STACK_OVERFLOW, TRAP_MESSAGES
from brolga.jit.code import CompiledFunction

from . import layout as L
from .code import Place, find_place
from .state import CLOSED, StoreState

_u64 = ctypes.c_uint64.from_address

_TRAP: Final = Struct("<QQQiI")  # from STATE_TRAP_PC to STATE_TRAP_RETURN
_STACK_GUARD: Final = L.STACK_GUARD
_TrapRecord = ctypes.c_ubyte * _TRAP.size

MOST_FRAMES: Final = 20  # of a backtrace, as in Wasmtime: a stack overflow would have tens of thousands


@final
class Frame:
    """One wasm frame: `owner` of the code space (as given to `Machine.new_code_space`), function index in the module's index
    space, and where in which code. Which operator that is need not be known before somebody asks, unless another function's body
    was inlined there: `call` is the operator that it stands for."""

    __slots__ = ("_call", "_function", "_place", "func", "owner")

    def __init__(self, owner: object, func: int, function: CompiledFunction | None, place: int, call: int = -1) -> None:
        self.owner = owner
        self.func = func
        self._function = function
        self._place = place
        self._call = call

    @property
    def offset(self) -> int:
        """The offset of the operator in the module's bytes, -1 if it is unknown."""
        if self._call >= 0:
            return self._call
        function = self._function
        if function is None:
            return -1
        position = bisect_right(function.source_offsets, self._place) - 1
        return function.source_locs[position] if position >= 0 else -1


# Where a machine frame is: the owner of the code, the place in it. Many traps are caught without a look at their frames, which are
# made of this.
Site = tuple[object, Place]

# Makes the exception of a trap: code of `brolga.ir.trap_codes`, sites from the innermost outwards (own activation only), address of
# the faulting access or 0, and whether it is an INTERRUPT because of a timeout.
TrapFactory = Callable[[int, list[Site], int, bool], BaseException]
ExceptionHook = Callable[[BaseException, list[Site]], None]


def frames_of(sites: Sequence[Site]) -> list[Frame]:
    """The frames of a backtrace, of which a body that was inlined has one of its own; at most MOST_FRAMES."""
    frames: list[Frame] = []
    for owner, (function, func, place, _) in sites:
        call = -1
        if function is not None and function.inline_offsets:
            position = bisect_right(function.inline_offsets, place) - 1
            if position >= 0 and function.inline_calls[position] >= 0:
                call = function.inline_calls[position]
                frames.append(Frame(owner, function.inline_funcs[position], function, place))
        frames.append(Frame(owner, func, function, place, call))
    return frames[:MOST_FRAMES]


class UnexpectedFault(BrolgaError):
    """Compiled code faulted where it must not: a bug of the compiler, or memory was unmapped under it."""


def _plain_trap(code: int, sites: list[Site], address: int, timed_out: bool) -> BaseException:
    return BrolgaError(TRAP_MESSAGES[code])


_factory: TrapFactory = _plain_trap
_hook: ExceptionHook | None = None


def set_trap_factory(factory: TrapFactory) -> None:
    """Set, for the whole process, what makes the exception that a trap raises."""
    global _factory
    _factory = factory


def set_exception_hook(hook: ExceptionHook | None) -> None:
    """Set what is told of each exception that a host function or builtin raises through wasm, with the sites that it
    crosses (of this activation). The exception itself goes on unchanged (the hook may add a note)."""
    global _hook
    _hook = hook


def report_passing(exception: BaseException, wasm_stack: int) -> None:
    """A host function called with rsp = `wasm_stack` (at the return address) raises."""
    if _hook is not None:
        _hook(exception, unwind(_u64(wasm_stack).value, wasm_stack + 8, 1))


def trap(state: StoreState) -> BaseException:
    """The exception of the trap that is recorded in the state. Called by the trap exit, on the native stack, with the
    dead wasm frames still in place."""
    record = state.trap_record
    if record is None:
        record = state.trap_record = _TrapRecord.from_address(state.address + L.STATE_TRAP_PC)
    pc, stack, fault, code, returns = _TRAP.unpack_from(record)
    sites = unwind(pc, stack, returns)
    if code < 0:
        code = sites[0][1][3] if sites else -1
        # Code reaches below its frame by less than the guard area, so few other faults are that near.
        if fault and -_STACK_GUARD <= fault - stack <= _STACK_GUARD and _is_in_guard(state, fault):
            code = STACK_OVERFLOW
        if code < 0:
            raise UnexpectedFault(f"unexpected fault at pc {pc:#x}, address {fault:#x}, in {_describe(sites)}")
    if code == INTERRUPT and ends_with_interpreter():
        return end_of_thread()
    return _factory(code, sites, fault, code == INTERRUPT and state.timed_out)


# Other daemon threads vanish when the interpreter ends. Those in wasm cannot simply be left there, and what ends them is nobody's
# concern: SystemExit is what `threading` passes over in silence.

_interpreter_ends = False


def note_end_of_interpreter() -> None:
    """From now on no other thread than the main one may be in wasm."""
    global _interpreter_ends
    _interpreter_ends = True


def ends_with_interpreter() -> bool:
    """Whether the interpreter ends, and the calling thread with it."""
    return _interpreter_ends and get_ident() != main_thread().ident


def end_of_thread() -> SystemExit:
    return SystemExit("the interpreter is shutting down")


def interruption(wasm_stack: int, timed_out: bool) -> BaseException:
    """The exception that ends a call which is suspended with rsp = `wasm_stack` (at the return address), or 0: not in wasm."""
    if ends_with_interpreter():
        return end_of_thread()
    sites = unwind(_u64(wasm_stack).value, wasm_stack + 8, 1) if wasm_stack else []
    return _factory(INTERRUPT, sites, 0, timed_out)


def refuse_entry(reason: int) -> None:
    """Raise what an entry raises that is kept out, `StoreState.refusal` says why."""
    if reason == CLOSED:
        raise ClosedError("already closed")
    raise _factory(reason, [], 0, False)


def _describe(sites: list[Site]) -> str:
    if not sites:
        return "no known function"
    frame = frames_of(sites)[0]
    return f"function {frame.func} at offset {frame.offset:#x}"


def _is_in_guard(state: StoreState, address: int) -> bool:
    """Whether the address is in the guard area of the wasm stack that the state ran on."""
    low: int = _u64(_u64(state.address + L.STATE_THREAD).value + L.THREAD_STACK_LOW).value
    return low - _STACK_GUARD <= address < low


def unwind(pc: int, stack: int, returns: int) -> list[Site]:
    """The wasm frames from the innermost outwards, up to the entry of the activation.

    `stack` is rsp when the instruction at `pc` began; unless `returns` is 0, `pc` is a return address that has been taken off the
    stack. Only the inner MOST_FRAMES are looked at.
    """
    sites: list[Site] = []
    # What holds for a return address is what held for the call before it.
    address = pc - 1 if returns else pc
    while len(sites) < MOST_FRAMES and (known := find_place(address)) is not None:
        place, frame_size, owner = known
        sites.append((owner(), place))
        stack += frame_size
        address = _u64(stack).value - 1
        stack += 8
    return sites
