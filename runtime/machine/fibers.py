"""Calls that can be suspended while an async host function runs.

    call_async ──▶ Fiber.run ──▶ wasm, on a stack of its own ──▶ host function, which returns an awaitable
        ▲             ▲                                                    │
        │ await       └──────────── returns False, suspended ◀─────────────┘ `suspend`
        ▼
    event loop, other tasks, calls into other stores

The awaitable is awaited by the coroutine that `call_async` is, with no wasm below it; then `run` goes on with its result. What it
raises ends the call without going back: nothing on a wasm stack needs to be undone. A store with a suspended call lets no other
begin. Where wasm has no stacks of its own there are no fibers.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any, Final, final

from brolga.ir.errors import WasmtimeError
from brolga.ir.trap_codes import INTERRUPT
from brolga.jit.vmctx import FUNC_VMCTX
from brolga.jit.wasm.types import FuncType

from . import layout as L
from .awaitables import ToResults
from .calls import call_layout, read_results, write_args, write_results
from .lifetime import Unique, exiting
from .state import StoreState
from .timeouts import Deadline
from .traps import interruption, report_passing

if TYPE_CHECKING:
    from .machine import Machine

_u64 = ctypes.c_uint64.from_address
_RECORD: Final = ctypes.c_uint64 * (L.FIBER_SIZE // 8)


@final
class Fiber(Unique):
    """One call of a wasm function that can be suspended."""

    __slots__ = (
        "_awaitable",
        "_buffer",
        "_layout",
        "_machine",
        "_memory",
        "_result_layout",
        "_stack",
        "_state",
        "_to_results",
        "_waits",
        "address",
        "deadline",
    )

    def __init__(self, machine: Machine, state: StoreState, record: int, type: FuncType, args: Sequence[int]) -> None:
        if not machine.platform.stacks:
            raise WasmtimeError(
                f"calls cannot be suspended on the platform `{machine.name}`: wasm has no stacks of its own there"
            )
        self._machine = machine
        self._state = state
        self._layout = call_layout(type)
        self._buffer = write_args(self._layout, list(args))
        self._stack = machine.stacks.take()
        self._awaitable: Awaitable[object] | None = None
        self._waits = False
        self.deadline: Deadline | None = None  # lives as long as machine code may write into its record
        self._memory = memory = _RECORD()
        memory[L.FIBER_CONTEXT // 8] = _u64(record + FUNC_VMCTX).value
        memory[L.FIBER_RECORD // 8] = record
        memory[L.FIBER_BUFFER // 8] = ctypes.addressof(self._buffer)
        memory[L.FIBER_STACK_LOW // 8] = self._stack
        memory[L.FIBER_STACK_HIGH // 8] = self._stack + L.STACK_SIZE
        self.address: Final = ctypes.addressof(memory)  # of the fiber record

    def run(self) -> bool:
        """Begin the call, or go on with it. True if it has returned, False if it is suspended. Raises what leaves wasm."""
        state = self._state
        outer, state.fiber = state.fiber, self
        self._waits = False
        limit = state.stack_limit
        if state.suspended is self:
            state.suspended = None
        try:
            return self._machine.run_fiber(self.address) == 0
        finally:
            state.fiber = outer
            state.stack_limit = limit

    @property
    def innermost(self) -> bool:
        """Whether the store's innermost activation is this call's."""
        return _u64(self._state.address + L.STATE_ACTIVATION).value == self._memory[L.FIBER_ACTIVATION // 8]

    def suspend(self, buffer: int, type: FuncType, awaitable: Awaitable[object], to_results: ToResults) -> None:
        """The host function called with the call buffer at `buffer` has returned `awaitable`: what its dispatcher returns next
        leads to SUSPEND."""
        self._awaitable = awaitable
        self._waits = True
        self._result_layout = call_layout(type)
        self._to_results = to_results
        _u64(buffer + L.CALL_CONTEXT).value = self.address
        state = self._state
        state.suspended = self
        _u64(state.address + L.STATE_ENTRY_THREAD).value = self._machine.threads.nobody

    async def finish(self) -> list[int]:
        """Run the call to its end. The raw results."""
        while not self.run():
            awaitable, self._awaitable = self._awaitable, None
            assert awaitable is not None
            try:
                results = self._to_results(await awaitable)
            except BaseException as exception:
                report_passing(exception, self._wasm_stack)
                raise
            finally:
                del awaitable
            if self._state.refusal == INTERRUPT:
                raise interruption(self._wasm_stack, False)
            write_results(self._result_layout, self.address + L.FIBER_CALL, results)
        return read_results(self._layout, self._buffer)

    async def finish_within(self, seconds: float) -> list[int]:
        """As `finish`, with a timeout: awaiting ends in time under asyncio, else when it has ended by itself."""
        deadline = self.deadline = Deadline(self._state, seconds)
        asyncio: Any = sys.modules.get("asyncio")
        try:
            self._memory[L.FIBER_DEADLINE // 8] = deadline.address
            deadline.start()
            if asyncio is None or asyncio._get_running_loop() is None:
                return await self.finish()
            limit = asyncio.timeout(seconds)
            try:
                async with limit:
                    return await self.finish()
            except TimeoutError as error:
                if limit.expired() and isinstance(error.__cause__, asyncio.CancelledError):
                    raise interruption(self._wasm_stack, True) from None
                raise
        finally:
            deadline.finish()

    @property
    def _wasm_stack(self) -> int:
        """rsp of the suspended wasm, at the return address; 0 if it is not suspended."""
        if not self._waits:
            return 0
        return self._memory[(L.FIBER_CALL + L.CALL_STACK) // 8]

    def close(self) -> None:
        """The call has ended or is given up: give the stack back."""
        if self._state.suspended is self:
            self._state.suspended = None
        stack, self._stack = self._stack, 0
        if stack and not exiting():
            self._machine.stacks.give_back(stack)
