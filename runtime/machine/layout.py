"""Layouts of the C structures that hand-written machine code and Python share.

Offsets are declared once, here; assembly text names them in braces (`[rbx + {STATE_THREAD}]`), see `assembler`.

    instance context   `brolga.jit.vmctx`, with 32 bytes for the runtime: CTX_*
    host context       what r15 points at in a host function: begins as an instance context, goes on with HOST_*
    activation state   one a store: STATE_* (the first two fields are part of the contract with compiled code)
    thread record      one a thread that ever entered wasm, reused by later threads, never freed: THREAD_*
    entry frame        what an entry leaves on the native stack, STATE_NATIVE_STACK points at it: FRAME_*
    fiber record       one a call that can be suspended: FIBER_*
    deadline record    one a call with a timeout: DEADLINE_*
    call buffer        registers and stack words of one call, between Python and a generic routine: CALL_*
    block record       a memory record with what only we need behind it: BLOCK_*
    change             what `changes` does in one step: CHANGE_*
    shared cells       process-wide variables of one machine: CELL_*
"""

from __future__ import annotations

from typing import Final

from brolga.jit.vmctx import ACTIVATION_FUEL, ACTIVATION_INTERRUPT, ACTIVATION_STACK_LIMIT

# The instance context.
CTX_MEMORIES: Final = 32  # address of the context's array of pointers to memory records
CTX_DATA_SEGMENTS: Final = 40  # address of an array of {address, length} by data segment; length 0 when dropped
CTX_TABLES: Final = 48  # address of the context's array of pointers to table records
CTX_INSTANCE: Final = 56  # free for the embedding API: a number by which it finds the instance

# The host context. The generic routine uses HOST_DISPATCH unless there is a HOST_FAST, which uses the other two.
HOST_DISPATCH: Final = 64  # PyObject*: called with the address of the call buffer, leaves the results there
HOST_CALLABLE: Final = 72  # PyObject*: the user's function
HOST_RESULTS: Final = 80  # PyObject*: called with the address of the call buffer and what the user's function returned
HOST_FAST: Final = 88  # routine for the function's signature, or 0
HOST_SIZE: Final = 96

# The activation state.
STATE_STACK_LIMIT: Final = ACTIVATION_STACK_LIMIT
STATE_INTERRUPT: Final = ACTIVATION_INTERRUPT
STATE_NATIVE_STACK: Final = 16  # rsp of the native stack while wasm runs: the innermost entry frame
STATE_THREAD: Final = 24  # thread record of the last entry
STATE_PYTHON: Final = 32  # saved PyThreadState* while the GIL is released, else 0
STATE_ACTIVATION: Final = 40  # number of the innermost activation, 0 if none
STATE_COUNTER: Final = 48  # number that the last activation got
STATE_REQUEST: Final = 56  # activations up to this number shall end
STATE_TRAP_PC: Final = 64
STATE_TRAP_STACK: Final = 72  # rsp at the trap, as unwinding needs it
STATE_TRAP_ADDRESS: Final = 80  # faulting address, or 0
STATE_TRAP_CODE: Final = 88  # trap code, or -1: look the pc up
STATE_TRAP_RETURN: Final = 92  # u32, not zero if the pc is a return address
STATE_OBJECT: Final = 96  # PyObject* (borrowed) of the StoreState
STATE_ENTRY_THREAD: Final = 104  # what entries compare with: STATE_THREAD, or nobody if they must call `_attach`
STATE_FUEL: Final = ACTIVATION_FUEL
STATE_MAX_STACK: Final = 120  # how far below its outermost entry STATE_STACK_LIMIT is
STATE_AT_SAFEPOINT: Final = 128  # u32, activations of the store that are between two instructions while Python runs
STATE_SIZE: Final = 136

# The thread record.
THREAD_FS: Final = 0  # the thread's fs base, which names it; 0 if the record is free
THREAD_STACK: Final = 8  # rsp for the next entry
THREAD_STACK_LIMIT: Final = 16  # lowest rsp at which an entry may begin
THREAD_STATE: Final = 24  # activation state while wasm runs, 0 in host calls and outside
THREAD_SERIAL: Final = 32  # grows with each entry and each return of a host call
THREAD_SEEN: Final = 40  # the watchdog's copy of it
THREAD_ID: Final = 48  # u32, native id
THREAD_SIGNALS: Final = (
    52  # u32, not zero: a Python signal handler waits for this thread, or others may wait for the GIL
)
THREAD_NEXT: Final = 56  # next record of the list
THREAD_GS: Final = 64  # gs base as we left it
THREAD_DEPTH: Final = 72  # u32, activations on this thread
THREAD_FREE: Final = 76  # u32, not zero: may be given to another thread
THREAD_STACK_LOW: Final = 80  # lowest accessible address of the wasm stack: the thread's own, or the running fiber's
THREAD_STACK_HIGH: Final = 88  # always of the thread's own
THREAD_ALTERNATE: Final = 96  # address of the alternate signal stack that we installed
THREAD_NATIVE_LOW: Final = 104  # lowest address of the thread's native stack
THREAD_NATIVE_LIMIT: Final = (
    112  # lowest native rsp at which an entry may begin, unless it is on another stack altogether
)
THREAD_HELD: Final = 120  # u32, the watchdog's: ticks for which it has seen the thread in an activation with the GIL
THREAD_DISORDER: Final = 124  # u32, not zero: an activation was left before those inside of it, see LEAVE_OUT_OF_ORDER
THREAD_SIZE: Final = 128

# The entry frame, from the address in STATE_NATIVE_STACK upwards. Below it the stack is free.
FRAME_NATIVE_STACK: Final = 0  # what the entry found in these fields
FRAME_ACTIVATION: Final = 8
FRAME_STACK: Final = 16
FRAME_MXCSR: Final = 24  # u32
FRAME_FOREIGN_GS: Final = 28  # u32, not zero: somebody else uses gs, FRAME_GS must be restored
FRAME_GS: Final = 32  # where wasm runs on the native stack, which does not use gs: the activation's number
FRAME_FAIL: Final = 40  # where to go on if an exception leaves
FRAME_SIZE: Final = 48

# The call buffer. Results come back in CALL_RESULT_GPRS and CALL_RESULT_XMMS, which overlap the arguments.
CALL_GPRS: Final = 0  # 6
CALL_XMMS: Final = 48  # 8
CALL_STACK: Final = 112  # host call: rsp of the wasm stack, at the return address; entry: number of stack words
CALL_CONTEXT: Final = 120  # host call: r15; of a host call that is about to be suspended: the fiber record
CALL_DEADLINE: Final = 120  # entry: the deadline record, or 0
CALL_RESULT_GPRS: Final = 0  # 4
CALL_RESULT_XMMS: Final = 48  # 4
CALL_SIZE: Final = 128
CALL_WORDS: Final = 128  # entry: the stack words follow

# The fiber record. The part of the native stack that a host call makes (see HOST_CALL) is kept here while the call is suspended.
FIBER_STATUS: Final = 0  # i32, what the entry returns: 0 finished, 1 suspended, -1 an exception is set
FIBER_STARTED: Final = 4  # u32
FIBER_ACTIVATION: Final = 8  # its number
FIBER_CONTEXT: Final = 16  # a context of the store
FIBER_RECORD: Final = 24  # of the function
FIBER_BUFFER: Final = 32  # the call buffer of the entry
FIBER_STACK_LOW: Final = 40
FIBER_STACK_HIGH: Final = 48
FIBER_OUTER_LOW: Final = 56  # what the entry found in THREAD_STACK_LOW
FIBER_OUTER_LIMIT: Final = 64  # and in THREAD_STACK_LIMIT; 0 if it did not get as far
FIBER_CALL: Final = 72
FIBER_CALL_SIZE: Final = CALL_SIZE + 80
FIBER_CALL_WORDS: Final = FIBER_CALL_SIZE // 8
FIBER_DEADLINE: Final = FIBER_CALL + FIBER_CALL_SIZE  # the deadline record, or 0
FIBER_SIZE: Final = FIBER_DEADLINE + 8

# The deadline record.
DEADLINE_ACTIVATION: Final = 0  # number of the activation; 0: it has not begun
DEADLINE_BEFORE: Final = 8  # what STATE_REQUEST shall be when the activation has ended, if its time was over
DEADLINE_EXPIRED: Final = 16  # not zero: its time was over
DEADLINE_SIZE: Final = 24
DEADLINE_ENDED: Final = (1 << 64) - 1  # instead of the activation's number

# The record of a memory, which begins with base and length.
BLOCK_CAPACITY: Final = 16  # bytes that are mapped, where that is not a reservation
BLOCK_SIZE: Final = 24

# A change.
CHANGE_RECORD: Final = 0
CHANGE_KIND: Final = 8
CHANGE_BASE: Final = 16  # what the caller has seen
CHANGE_LENGTH: Final = 24
CHANGE_NEW_BASE: Final = 32
CHANGE_NEW_LENGTH: Final = 40
CHANGE_CAPACITY: Final = 48
CHANGE_NEW_CAPACITY: Final = 56
CHANGE_MAY_MOVE: Final = 64  # flags of mremap
CHANGE_VIEWS: Final = 72  # address of the number of views, 0 if there are none ever
CHANGE_COPIED: Final = 80  # bytes to copy
CHANGE_COUNT: Final = 88
CHANGE_SLOTS: Final = 96  # pairs: address of a pointer, the object that it shall refer to

# Shared cells.
CELL_PARKED: Final = 0  # u32, not zero: the watchdog sleeps until it is woken
CELL_THREADS: Final = 8  # first thread record
CELL_MAIN: Final = 16  # record of the main thread, or of no thread
CELL_PID: Final = 24
CELL_WATCHDOG: Final = 32  # u32, not zero: the watchdog runs
CELL_SIZE: Final = 40

MXCSR_DEFAULT: Final = 0x1F80
MXCSR_CONTROL: Final = 0xFFC0  # all but the sticky exception flags

STACK_SIZE: Final = 2 << 20  # of the wasm stack of a thread; where there is none, what wasm may use of the native stack
DEFAULT_MAX_STACK: Final = 1 << 20  # of a store, where wasm runs on the native stack
STACK_GUARD: Final = 64 << 10  # below it; function frames larger than a page probe each page
ENTRY_RESERVE: Final = 20 << 10  # room that an entry wants: stack arguments, results, a frame
NATIVE_RESERVE: Final = 256 << 10  # of the native stack, for what host functions do; at most half of it

SYMBOLS: Final[dict[str, int]] = {name: value for name, value in globals().items() if isinstance(value, int)}
