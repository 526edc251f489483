"""The activation state of a store."""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Collection
from sys import getrefcount
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final

from brolga.ir.errors import StoreInUseError, WasmtimeError
from brolga.ir.trap_codes import INTERRUPT
from brolga.jit.vmctx import CTX_ACTIVATION, FUNC_VMCTX

from . import layout as L
from .lifetime import Unique, hold, keep_forever

if TYPE_CHECKING:
    from .fibers import Fiber
    from .machine import Machine
    from .timeouts import Deadline

STATES_A_BLOCK: Final = 32
CLOSED: Final = -1  # a reason to refuse entries: the store is closed

_State: Final = ctypes.c_char * L.STATE_SIZE
_u32 = ctypes.c_uint32.from_address
_u64 = ctypes.c_uint64.from_address

# An activation state, with the fields that Python looks at without a call: STATE_ACTIVATION, STATE_THREAD, STATE_ENTRY_THREAD,
# STATE_AT_SAFEPOINT.
_Fields = tuple[int, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint32]

# Memory of states is reused and never freed: the watchdog may look at a state at any time.
_blocks: list[int] = []
_unused: deque[int] = deque()
_free: deque[_Fields] = deque()


def _allocate() -> _Fields:
    try:
        return _free.pop()
    except IndexError:
        address = _unused_address()
        return (
            address,
            _u64(address + L.STATE_ACTIVATION),
            _u64(address + L.STATE_THREAD),
            _u64(address + L.STATE_ENTRY_THREAD),
            _u32(address + L.STATE_AT_SAFEPOINT),
        )


def _unused_address() -> int:
    try:
        return _unused.pop()
    except IndexError:
        block = (ctypes.c_uint64 * (L.STATE_SIZE // 8 * STATES_A_BLOCK))()
        keep_forever(block)
        start = ctypes.addressof(block)
        _blocks.append(start)
        _unused.extend(start + L.STATE_SIZE * i for i in range(1, STATES_A_BLOCK))
        return start


def in_use() -> StoreInUseError:
    """What is raised on a thread where a store must not be used now."""
    return StoreInUseError("the store is in use on another thread")


# Who uses a store for several steps: the thread's number, until that is taken out of the list, or nobody but the state refers to it: a claim
# ends with the frame that has it, whatever an exception has kept that from doing.
Claim = list[int]
_ABANDONED: Final = 3  # references to a claim that only the state has, when its count is asked for


def request_end_of_all() -> None:
    """Ask every activation that is on some thread's stack now to end as soon as it can."""
    for start in _blocks:
        for address in range(start, start + L.STATE_SIZE * STATES_A_BLOCK, L.STATE_SIZE):
            if _u64(address + L.STATE_ACTIVATION).value:
                request_end(address)


def abandon_activations(nobody: int, current: Collection[int]) -> None:
    """In the child of a fork: there are no activations but those on the thread with the records `current`. The stores of others are
    free."""
    for start in _blocks:
        for address in range(start, start + L.STATE_SIZE * STATES_A_BLOCK, L.STATE_SIZE):
            thread = _u64(address + L.STATE_THREAD)
            if _u64(address + L.STATE_ACTIVATION).value and thread.value not in current:
                thread.value = _u64(address + L.STATE_ENTRY_THREAD).value = nobody
                _u64(address + L.STATE_ACTIVATION).value = _u64(address + L.STATE_PYTHON).value = 0


def forget_activations(thread: int) -> None:
    """The thread with this record has no activations: what states know of some was left behind out of order."""
    for start in _blocks:
        for address in range(start, start + L.STATE_SIZE * STATES_A_BLOCK, L.STATE_SIZE):
            if _u64(address + L.STATE_THREAD).value == thread:
                _u64(address + L.STATE_ACTIVATION).value = 0


def state_of(record: int) -> StoreState:
    """The state of the store that the function with the record at this address belongs to."""
    context = _u64(record + FUNC_VMCTX).value
    holder: Any = ctypes.py_object.from_address(_u64(context + CTX_ACTIVATION).value + L.STATE_OBJECT)
    state: StoreState = holder.value
    return state


def request_end(address: int) -> int:
    """Ask the activations that have begun to end. The number of the last."""
    request = _u64(address + L.STATE_REQUEST)
    last = _u64(address + L.STATE_COUNTER).value
    _raise_to(request, last)
    _u32(address + L.STATE_INTERRUPT).value = 1
    return last


def _raise_to(word: ctypes.c_uint64, number: int) -> None:
    # Nothing is called between the look and the assignment: who asks for more at the same time is not overwritten.
    if word.value < number:  # noqa: PLR1730
        word.value = number


def initial_state(nobody: int) -> bytes:
    """The activation state of a store that has not run. `nobody`: record of no thread."""
    state = bytearray(L.STATE_SIZE)
    for offset, value in (
        (L.STATE_THREAD, nobody),
        (L.STATE_ENTRY_THREAD, nobody),
        (L.STATE_MAX_STACK, L.DEFAULT_MAX_STACK),
    ):
        state[offset : offset + 8] = value.to_bytes(8, "little")
    return bytes(state)


class StoreState(Unique):
    """What machine code must know of one store: goes into CTX_ACTIVATION of every context of the store.

    A store runs on one thread at a time; a call from a second thread raises RuntimeError. So does whatever else changes the store, by
    one of two ways: what changes it in one step of C looks right before whether code runs elsewhere, with nothing called in between
    (`activation`, `thread`); what takes several steps claims the store, and is not called from outside of it while it does not run.
    Keep the object alive as long as any context that points to it.
    """

    __slots__ = (
        "__weakref__",
        "_hold",
        "activation",
        "address",
        "at_safepoint",
        "claimed_by",
        "entry_thread",
        "epoch_deadline",
        "expired",
        "fiber",
        "machine",
        "refusal",
        "suspended",
        "thread",
        "threads",
        "trap_record",
    )

    def __init__(self, machine: Machine) -> None:
        self.machine: Final = machine
        self.threads: Final = machine.threads
        fields = _allocate()
        self._hold = hold(_free.append, fields)
        # Of the activation state: its address, and fields. `activation` is true while code runs, `thread` is of use then only;
        # `at_safepoint` is true while an activation is interrupted.
        self.address, self.activation, self.thread, self.entry_thread, self.at_safepoint = fields
        self.claimed_by: Claim | None = None
        _State.from_address(self.address).raw = machine.initial_state
        self.epoch_deadline = 0  # of an epoch of the engine, if it has epochs
        self.expired: tuple[Deadline, ...] = ()  # of calls whose time is over, and perhaps of some that have ended
        self.fiber: Fiber | None = None  # the innermost call that can be suspended and runs
        self.suspended: Fiber | None = None  # the call that is suspended; as long as there is one, entries are refused
        self.refusal = 0  # why entries are refused: a trap code, CLOSED, or 0
        self.trap_record: ctypes.Array[ctypes.c_ubyte] | None = None  # where traps are recorded, made by the first one
        _u64(self.address + L.STATE_OBJECT).value = id(self)

    @property
    def counter(self) -> ctypes.c_uint64:
        """How many activations there have been."""
        return _u64(self.address + L.STATE_COUNTER)

    @property
    def max_stack(self) -> int:
        """How many bytes of stack code may use that looks at the limit."""
        return _u64(self.address + L.STATE_MAX_STACK).value

    @max_stack.setter
    def max_stack(self, size: int) -> None:
        _u64(self.address + L.STATE_MAX_STACK).value = size

    @property
    def stack_limit(self) -> int:
        """How far down the stack may be used now."""
        return _u64(self.address + L.STATE_STACK_LIMIT).value

    @stack_limit.setter
    def stack_limit(self, address: int) -> None:
        _u64(self.address + L.STATE_STACK_LIMIT).value = address

    @property
    def interrupted_in_code(self) -> bool:
        """Whether an activation was interrupted between two instructions, for signal handlers or finalisers: code goes on with the
        addresses that it has loaded, so that nothing may move."""
        return bool(self.at_safepoint)

    @property
    def running(self) -> bool:
        """Whether wasm of this store (or a host function called by it) is on some thread's stack."""
        return self.activation.value != 0

    @property
    def end_is_wanted(self) -> bool:
        """Whether the innermost activation is to end. It does when it is back in wasm."""
        address = self.address
        return _u64(address + L.STATE_REQUEST).value >= _u64(address + L.STATE_ACTIVATION).value

    @property
    def timed_out(self) -> bool:
        """Whether the time is over for the innermost activation, or for one around it."""
        innermost = _u64(self.address + L.STATE_ACTIVATION).value
        return any(deadline.activation <= (innermost or deadline.last) <= deadline.last for deadline in self.expired)

    def forget_expired(self) -> None:
        """Forget the deadlines of calls that have ended."""
        while True:
            before = self.expired
            after = tuple([deadline for deadline in before if not deadline.ended])
            if self.expired is before:
                self.expired = after
                return

    def interrupt(self) -> None:
        """From any thread: end every activation that is running now with an INTERRUPT trap, a suspended one when it goes on. Later
        ones are not affected."""
        last = request_end(self.address)
        for deadline in self.expired:  # its call puts back what was asked for before its time was over: this shall stay
            deadline.ask_before(last)
        _raise_to(_u64(self.address + L.STATE_REQUEST), last)  # one that has put it back meanwhile did not know this
        self.kick()

    def kick(self) -> None:
        """Let the thread that runs in the store look at once at what was asked for."""
        if self.running:
            self.machine.kick(_u64(self.address + L.STATE_THREAD).value)

    def refuse_from(self, epoch: int) -> None:
        """From any thread: if this epoch is the store's deadline or a later one, end every activation that is running now, and let no
        more begin until `allow` is called. What would begin raises an INTERRUPT trap."""
        nobody = self.machine.threads.nobody
        entry_thread = _u64(self.address + L.STATE_ENTRY_THREAD)
        # From here to the assignments nothing is called: who sets another deadline or closes the store comes before or after.
        if self.epoch_deadline > epoch or self.refusal == CLOSED:
            return
        self.refusal = INTERRUPT
        entry_thread.value = nobody
        if self.running:
            self.interrupt()

    def close(self) -> None:
        """From any thread: let no activation begin again. WasmtimeError if one is running, or somebody has a claim."""
        nobody = self.threads.nobody
        while True:
            claim = self.claimed_by
            claimed = bool(claim) and getrefcount(claim) > _ABANDONED
            # From here on nothing is called: behind each call another thread or a signal handler may enter wasm.
            if self.activation or claimed:
                raise WasmtimeError("the store cannot be closed while its code is running")
            if self.claimed_by is claim:
                self.refusal = CLOSED
                self.entry_thread.value = nobody
                return

    def check_thread(self) -> None:
        """RuntimeError if what is running runs on another thread."""
        if self.activation and self.thread.value != self.threads.known():
            raise in_use()

    def claim(self) -> Claim | None:
        """Let no other thread enter the store, nor anybody close it, until what is returned is cleared; None if the thread has a claim
        already, which lasts longer. RuntimeError if another thread uses the store."""
        made = [get_ident()]
        known = self.threads.known() if self.activation else 0
        nobody = self.threads.nobody
        while True:
            before = self.claimed_by
            if before and getrefcount(before) > _ABANDONED:
                if before != made:
                    raise in_use()
                return None
            # From here on nothing is called.
            if self.activation and self.thread.value != known:
                raise in_use()
            if self.claimed_by is before:
                self.claimed_by = made
                self.entry_thread.value = nobody
                return made

    def check_claim(self) -> Claim | None:
        """RuntimeError if another thread has claimed the store. What `claimed_by` is as long as that has not changed."""
        claim = self.claimed_by
        if claim and getrefcount(claim) > _ABANDONED and claim != [get_ident()]:
            raise in_use()
        return claim

    def shall_end(self) -> bool:
        """Whether there is an innermost activation that is to end: it does when what it has called returns."""
        return self.activation.value != 0 and self.end_is_wanted

    def allow(self) -> None:
        """Let activations begin again, unless the store is closed."""
        if self.refusal != CLOSED:
            self.refusal = 0
