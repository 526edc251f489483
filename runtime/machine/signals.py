"""Signal handlers, the safepoint and the watchdog: machine code that the kernel calls. `fault_handlers` installs it.

    fault handler      SIGSEGV SIGBUS SIGFPE SIGILL: a fault in compiled code is recorded in the activation state, and the thread
                       continues in the trap exit. Others go to the handlers that were there before.
    diversion handler  for a signal of our own: if the thread is in compiled code, or in a routine of `bulk`, which may take
                       seconds, it continues in the safepoint.
    Python handler     in front of CPython's own handler, for each signal that has a Python handler: calls it, then diverts
                       the main thread, so that the Python handler runs at once.
    safepoint          saves all registers on the native stack (the wasm stack may be full), runs Python's signal handlers, ends the
                       activation if that was asked for, releases the GIL, and resumes where the thread was.
    watchdog           a native thread: each millisecond it looks for threads that have been in wasm since the last look, and
                       sends them to the safepoint if they hold the GIL or somebody waits for them. What a host call that returns
                       can do, it is told. Before that, and after Python has run there, the watchdog puts the Python handler in
                       place again where `signal.signal` or `asyncio.run` have replaced it.

In compiled code r15 is always a context, so the state is found through the interrupted registers. Routines of `bulk` leave it as it is,
and rsp at their return address. In all others a thread is for a moment only: what is wanted of it is wanted again at the next tick.
"""

from __future__ import annotations

from typing import Final

SIGNAL_SYMBOLS: Final = {
    # ucontext_t and siginfo_t
    "UC_STACK_FLAGS": 24,
    "UC_R15": 96,
    "UC_RSP": 160,
    "UC_RIP": 168,
    "UC_RFLAGS": 176,
    "UC_FPSTATE": 224,
    "SI_CODE": 8,
    "SI_TKILL": -6,
    "SI_ADDRESS": 16,
    # the x87 control word that the kernel sets for handlers, and where in the fpstate it is that of before
    "X87_DEFAULT": 0x37F,
    "FP_CONTROL": 0,
    "FP_FEATURES": 512,
    "KEYS_FEATURE": 1 << 9,
}

# Label `foreign` unless the interrupted pc (left in rcx) is in compiled code.
IN_FUNCTIONS: Final = """
    mov rcx, [rdx + {UC_RIP}]
    mov rax, {FUNCTIONS_START}
    cmp rcx, rax
    jb foreign
    mov rax, {FUNCTIONS_END}
    cmp rcx, rax
    jae foreign
"""

# Label `foreign` unless the interrupted pc (left in rcx) is where all registers that are saved and restored make it go on.
IN_FUNCTIONS_OR_BULK: Final = """
    mov rcx, [rdx + {UC_RIP}]
    mov rax, {FUNCTIONS_START}
    cmp rcx, rax
    jb in_stubs
    mov rax, {FUNCTIONS_END}
    cmp rcx, rax
    jae foreign
can_be_interrupted:
"""
IN_FUNCTIONS_OR_BULK_COLD: Final = """
in_stubs:
    mov rax, {BULK_START}
    cmp rcx, rax
    jb foreign
    mov rax, {BULK_END}
    cmp rcx, rax
    jb can_be_interrupted
"""

FAULT_HANDLER: Final = """
    cmp dword ptr [rsi + {SI_CODE}], 0
    jle sent
    {IN_FUNCTIONS}
    mov r8, [rdx + {UC_R15}]
    mov r8, [r8 + {CTX_ACTIVATION}]
    mov [r8 + {STATE_TRAP_PC}], rcx
    mov rax, [rdx + {UC_RSP}]
    mov [r8 + {STATE_TRAP_STACK}], rax
    mov rax, [rsi + {SI_ADDRESS}]
    mov [r8 + {STATE_TRAP_ADDRESS}], rax
    mov dword ptr [r8 + {STATE_TRAP_CODE}], -1
    mov dword ptr [r8 + {STATE_TRAP_RETURN}], 0
    lea rax, [rsp + 8]            # sigreturn takes a third of a fault's time. Nothing that it restores is wanted but what is
    cmp rax, rdx                  # tested here: who called us if not the kernel, an alternate stack that disarms itself,
    jne by_return                 # the mode of the x87, protection keys
    cmp dword ptr [rdx + {UC_STACK_FLAGS}], 0
    js by_return
    mov r9, [rdx + {UC_FPSTATE}]
    test r9, r9
    jz by_return
    cmp word ptr [r9 + {FP_CONTROL}], {X87_DEFAULT}
    jne by_return
    mov r15, [rdx + {UC_R15}]
    {TEST_KEYS}
    jmp {TRAP_EXIT}
by_return:
    mov rax, {TRAP_EXIT}
    mov [rdx + {UC_RIP}], rax
    ret
sent:                             # by kill or raise
    {IN_FUNCTIONS}
    jmp chain
foreign:
    cmp dword ptr [rsi + {SI_CODE}], 0
    jg chain
    {FS_BASE_TO_RCX}              # faulthandler was called first, has uninstalled itself and raises again: while this
    mov r8, {CELLS}               # thread is in wasm, let the access fault once more
    mov r8, [r8 + {CELL_THREADS}]
next:
    test r8, r8
    jz chain
    cmp rcx, [r8 + {THREAD_FS}]
    je found
    mov r8, [r8 + {THREAD_NEXT}]
    jmp next
found:
    cmp qword ptr [r8 + {THREAD_STATE}], 0
    je chain
    ret
chain:
    mov eax, edi
    mov rcx, {HANDLERS}
    mov r8, [rcx + rax*8 + {LATER}]
    test r8, r8
    jz older
    mov r9, [rdx + {UC_RIP}]      # a handler that neither cures nor ends the same fault a thousand times is passed over
    mov r10, [rsi + {SI_ADDRESS}]
    cmp r9, [rcx + {LAST_PC}]
    jne fresh
    cmp r10, [rcx + {LAST_ADDRESS}]
    jne fresh
    inc qword ptr [rcx + {LAST_COUNT}]
    cmp qword ptr [rcx + {LAST_COUNT}], 1000
    jb later
    jmp older
fresh:
    mov [rcx + {LAST_PC}], r9
    mov [rcx + {LAST_ADDRESS}], r10
    mov qword ptr [rcx + {LAST_COUNT}], 0
later:                            # it may chain to us in turn: then the older ones are meant
    push rbx
    push r12
    push r13
    mov r13, rdx
    lea rbx, [rcx + rax*8 + {LATER}]
    mov r12, r8
    mov qword ptr [rbx], 0
    call r8
    mov [rbx], r12
    mov rcx, {HANDLERS}
    mov rax, [r13 + {UC_RIP}]
    cmp rax, [rcx + {LAST_PC}]
    je untouched
    mov qword ptr [rcx + {LAST_COUNT}], 0  # it leads the thread elsewhere, which is a cure: the next such fault is another
untouched:
    pop r13
    pop r12
    pop rbx
    ret
older:
    mov rax, [rcx + rax*8 + {ORIGINAL}]
    cmp rax, 1
    ja call_original
    jb default
    cmp dword ptr [rsi + {SI_CODE}], 0
    jle ignored                   # a fault is not: the kernel would end the process, too
default:
    push rbx
    push r12
    push r13
    mov ebx, edi
    mov r12d, [rsi + {SI_CODE}]
    xor esi, esi
    call {signal}
    test r12d, r12d
    jg again
    mov edi, ebx
    call {raise}
again:
    pop r13
    pop r12
    pop rbx
ignored:
    ret
call_original:
    jmp rax
"""

# In a handler, with the fpstate in r9: label `by_return` if the protection key rights were others before the signal.
TEST_KEYS: Final = """
    test dword ptr [r9 + {FP_FEATURES}], {KEYS_FEATURE}
    jz by_return
    mov r8, rdx
    xor ecx, ecx
    .byte 0x0f, 0x01, 0xee        # rdpkru, which clears edx
    mov rdx, r8
    cmp eax, [r9 + {FP_KEYS}]
    jne by_return
"""

# Lets the interrupted thread continue in the safepoint. An iretq frame on the native stack leads back.
DIVERSION_HANDLER: Final = """
    {IN_FUNCTIONS_OR_BULK}
    mov r8, [rdx + {UC_R15}]
    mov r8, [r8 + {CTX_ACTIVATION}]
    mov r9, [r8 + {STATE_NATIVE_STACK}]
    sub r9, 48
    mov [r9], rcx
    xor eax, eax
    mov ax, cs
    mov [r9 + 8], rax
    mov rax, [rdx + {UC_RFLAGS}]
    mov [r9 + 16], rax
    mov rax, [rdx + {UC_RSP}]
    mov [r9 + 24], rax
    xor eax, eax
    mov ax, ss
    mov [r9 + 32], rax
    mov [rdx + {UC_RSP}], r9
    mov rax, {SAFEPOINT}
    mov [rdx + {UC_RIP}], rax
    ret
    {IN_FUNCTIONS_OR_BULK_COLD}
foreign:                          # ours came too late, or it is somebody else's
    cmp dword ptr [rsi + {SI_CODE}], {SI_TKILL}
    je not_chained
    mov rcx, {HANDLERS}
    movsxd rdi, edi
    mov rax, [rcx + rdi*8 + {LATER}]
    test rax, rax
    jnz chain
not_chained:
    ret
chain:
    jmp rax
"""

PYTHON_HANDLER: Final = """
    push rbx
    push r12
    push r13
    mov rbx, rdx
    mov rax, {CPYTHON_HANDLER}
    call rax
    mov rdx, rbx
    pop r13
    pop r12
    pop rbx
    mov r9, {CELLS}
    mov r9, [r9 + {CELL_MAIN}]
    mov dword ptr [r9 + {THREAD_SIGNALS}], 1  # in Python too: it may be on its way into wasm
    cmp qword ptr [r9 + {THREAD_STATE}], 0
    je out
    {FS_BASE_TO_RCX}
    cmp rcx, [r9 + {THREAD_FS}]
    je {DIVERSION_HANDLER}
out:                              # on another thread: the watchdog sends the main thread to the safepoint
    ret
"""

# At [rsp]: rip, cs, rflags, rsp, ss; rsp is 48 below the entry frame. All registers are the interrupted function's, and it gets
# them all back, among them bases and lengths of memories and tables that it has loaded. Growth where the bytes stay does not harm: a
# length that is too small traps early. Bytes that move would: as long as STATE_AT_SAFEPOINT is not 0, Python code, which is signal
# handlers and finalisers here, may move none of the store (`StoreState.interrupted_in_code`). Without the GIL no other thread
# may change the store at all.
SAFEPOINT: Final = """
    push rax
    push rcx
    push rdx
    push rbx
    push rbp
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
    {SAVE_GS}
    cld
    mov rbx, [r15 + {CTX_ACTIVATION}]
    mov rbp, [rbx + {STATE_THREAD}]
    mov r12, rsp
    sub rsp, {VECTOR_STATE_SIZE}
    and rsp, -64
    {SAVE_VECTORS}
    mov r13, [rbp + {THREAD_STACK}]
    mov rax, [r12 + 128 + 24]
    sub rax, 128
    and rax, -16
    mov [rbp + {THREAD_STACK}], rax
    mov qword ptr [rbp + {THREAD_STATE}], 0
    {NOTE_GS}
    {TAKE_GIL}
    mov dword ptr [rbp + {THREAD_SIGNALS}], 0
    mov rax, [rbx + {STATE_ACTIVATION}]
    push rax
    push qword ptr [rbp + {THREAD_STACK}]
    inc dword ptr [rbx + {STATE_AT_SAFEPOINT}]
    call {PyErr_CheckSignals}
    dec dword ptr [rbx + {STATE_AT_SAFEPOINT}]
    pop rcx
    pop rdx
    cmp rcx, [rbp + {THREAD_STACK}]
    jne out_of_order
    test eax, eax
    jnz raised
    mov rax, [rbx + {STATE_REQUEST}]
    cmp rax, [rbx + {STATE_ACTIVATION}]
    jae interrupted
    call {PyEval_SaveThread}
    mov [rbx + {STATE_PYTHON}], rax
    mov [rbp + {THREAD_STACK}], r13
    {NOTE_IN_WASM}
    {LOAD_VECTORS}
    mov rsp, r12
    {LOAD_GS}
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rbp
    pop rbx
    pop rdx
    pop rcx
    pop rax
    iretq
    {NOTE_IN_WASM_COLD}
raised:
    jmp {EXIT_FAILED}
out_of_order:                     # a handler has switched to another native stack and back: see CHECK_ORDER
    lea r13, [r12 + 128 + 48]
    mov r12, rdx
    test eax, eax
    jnz {LEAVE_OUT_OF_ORDER}
    mov rdi, {WasmtimeError}
    mov rsi, {OUT_OF_ORDER_MESSAGE}
    call {PyErr_SetString}
    jmp {LEAVE_OUT_OF_ORDER}
interrupted:
    mov rax, [r12 + 128]
    mov rdx, [r12 + 128 + 24]
    xor esi, esi
    mov rcx, {FUNCTIONS_START}
    cmp rax, rcx
    jae in_function
    mov rax, [rdx]                # in a routine of `bulk`: the trap is its caller's
    add rdx, 8
    inc esi
in_function:
    mov [rbx + {STATE_TRAP_PC}], rax
    mov [rbx + {STATE_TRAP_STACK}], rdx
    mov qword ptr [rbx + {STATE_TRAP_ADDRESS}], 0
    mov dword ptr [rbx + {STATE_TRAP_CODE}], {INTERRUPT}
    mov [rbx + {STATE_TRAP_RETURN}], esi
    jmp {TRAP_EXIT}
"""
SAVE_GS_USED: Final = """
    rdgsbase rax
    push rax
"""
SAVE_GS_UNUSED: Final = """
    push rax
"""
LOAD_GS_USED: Final = """
    pop rax
    rdgsbase rcx
    cmp rax, rcx
    je base_set
    wrgsbase rax
base_set:
"""
LOAD_GS_UNUSED: Final = """
    pop rax
"""
# x87, SSE and AVX state; xrstor wants the header behind the first 512 bytes clean.
SAVE_VECTORS_XSAVE: Final = """
    xor eax, eax
    mov [rsp + 512], rax
    mov [rsp + 520], rax
    mov [rsp + 528], rax
    mov [rsp + 536], rax
    mov [rsp + 544], rax
    mov [rsp + 552], rax
    mov [rsp + 560], rax
    mov [rsp + 568], rax
    mov eax, 7
    xor edx, edx
    xsave64 [rsp]
"""
LOAD_VECTORS_XSAVE: Final = """
    mov eax, 7
    xor edx, edx
    xrstor64 [rsp]
"""
XSAVE_SIZE: Final = 512 + 64 + 256 + 64  # legacy area, header, upper halves of ymm; alignment
SAVE_VECTORS_FXSAVE: Final = "    fxsave64 [rsp]"
LOAD_VECTORS_FXSAVE: Final = "    fxrstor64 [rsp]"
FXSAVE_SIZE: Final = 512 + 64

TICK_NANOSECONDS: Final = 1_000_000
IDLE_TICKS: Final = 50  # without activity, until the watchdog sleeps
HELD_TICKS: Final = (
    5  # with the GIL, until a host call that returns gives it to others: as CPython's own switch interval
)

# void *watchdog(void *), which never returns unless there is one already. r12 cells, r13 idle ticks, rbp thread record, r14 whether that thread is sent to the
# safepoint; at [rsp] a timespec, then a kernel sigaction.
WATCHDOG: Final = """
    mov r12, {CELLS}
    mov eax, 1
    xchg [r12 + {CELL_WATCHDOG}], eax
    test eax, eax
    jnz second
    sub rsp, 72
    xor r13d, r13d
tick:
    mov qword ptr [rsp], 0
    mov qword ptr [rsp + 8], {TICK_NANOSECONDS}
    mov eax, 35
    mov rdi, rsp
    xor esi, esi
    syscall
    inc r13d
    mov rbp, [r12 + {CELL_THREADS}]
scan:
    test rbp, rbp
    jz scanned
    mov rbx, [rbp + {THREAD_STATE}]
    mov rax, [rbp + {THREAD_SERIAL}]
    mov rcx, [rbp + {THREAD_SEEN}]
    mov [rbp + {THREAD_SEEN}], rax
    cmp rax, rcx
    je same
    xor r13d, r13d
same:
    cmp dword ptr [rbp + {THREAD_DEPTH}], 0
    je not_held
    test rbx, rbx
    jz held                       # or in a host function that has released it, which does not harm
    cmp qword ptr [rbx + {STATE_PYTHON}], 0
    jne not_held
held:
    inc dword ptr [rbp + {THREAD_HELD}]
    cmp dword ptr [rbp + {THREAD_HELD}], {HELD_TICKS}
    jb counted
    mov dword ptr [rbp + {THREAD_SIGNALS}], 1
not_held:
    mov dword ptr [rbp + {THREAD_HELD}], 0
counted:
    test rbx, rbx
    jz advance
    xor r13d, r13d
    xor r14d, r14d
    cmp dword ptr [rbp + {THREAD_SIGNALS}], 0
    jne wanted
    mov rdx, [rbx + {STATE_REQUEST}]
    cmp rdx, [rbx + {STATE_ACTIVATION}]
    jae wanted
    cmp qword ptr [rbx + {STATE_PYTHON}], 0
    jne released
    cmp rax, rcx
    jne advance
wanted:
    inc r14d
    jmp handlers
released:                         # it has been in the safepoint since the last look, where Python may have run
    cmp rax, rcx
    je advance
handlers:
    cmp rbp, [r12 + {CELL_MAIN}]
    je check_handlers
checked:
    test r14d, r14d
    jz advance
    call {MEND_HANDLERS}
    mov eax, 234
    mov edi, [r12 + {CELL_PID}]
    mov esi, [rbp + {THREAD_ID}]
    mov edx, {DIVERSION_SIGNAL}
    syscall
advance:
    mov rbp, [rbp + {THREAD_NEXT}]
    jmp scan
scanned:
    cmp dword ptr [r12 + {CELL_PARKED}], 0
    jne park                      # parked in the last tick, and nobody has come in or woken us
    cmp r13d, {IDLE_TICKS}
    jb tick
    mov dword ptr [r12 + {CELL_PARKED}], 1
    jmp tick                      # who did not see this has been seen by then
park:
    test r13d, r13d
    jz unpark
    mov eax, 202
    lea rdi, [r12 + {CELL_PARKED}]
    mov esi, 128
    mov edx, 1
    xor r10d, r10d
    syscall
unpark:
    mov dword ptr [r12 + {CELL_PARKED}], 0
    xor r13d, r13d
    jmp tick
check_handlers:
    mov ebx, 1
query:
    mov eax, 13
    mov edi, ebx
    xor esi, esi
    lea rdx, [rsp + 16]
    mov r10d, 8
    syscall
    mov rax, {CPYTHON_HANDLER}
    cmp [rsp + 16], rax
    jne next_signal
    inc r14d                      # and a signal may have come before
    mov rax, {PYTHON_HANDLER}
    mov [rsp + 16], rax
    or qword ptr [rsp + 24], {WATCHED_FLAGS}
    mov eax, 13
    mov edi, ebx
    lea rsi, [rsp + 16]
    xor edx, edx
    mov r10d, 8
    syscall
next_signal:
    inc ebx
    cmp ebx, 65
    jb query
    jmp checked
second:
    xor eax, eax
    ret
"""
