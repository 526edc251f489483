"""Hand-written routines of a machine: entering and leaving wasm, calls to the host, lazy compilation, traps.

Register use in all of them, after the first lines: rbx activation state, rbp thread record, r15 context. Python runs on the native
stack only; where the platform has no second stacks, wasm runs on the native stack too and `{TO_NATIVE}` merely aligns it.

The GIL is held when wasm is entered; STATE_PYTHON tells whether it has been released since (by a safepoint, or at once where
the platform has no signals).
"""

from __future__ import annotations

from typing import Final

# --- Macros ---------------------------------------------------------------------------------------------------------------

# `mov rcx, fs:[0]`, which keystone may encode relative to rip. The fs base names the thread; its own address stands there.
FS_BASE_TO_RCX: Final = ".byte 0x64, 0x48, 0x8b, 0x0c, 0x25, 0, 0, 0, 0"

# Enter wasm: build the entry frame. In: r15, rsp aligned to 16. Out: rbx, rbp, memory base set. Wants the labels of ENTER_COLD.
ENTER: Final = """
    mov rbx, [r15 + {CTX_ACTIVATION}]
    mov rbp, [rbx + {STATE_ENTRY_THREAD}]
    {FS_BASE_TO_RCX}
    cmp rcx, [rbp + {THREAD_FS}]
    jne attach
attached:
    lea rax, [rip + failed]
    push rax
    {PUSH_GS}
    stmxcsr [rsp]
    mov eax, [rsp]
    and eax, {MXCSR_CONTROL}
    cmp eax, {MXCSR_DEFAULT}
    jne fix_mxcsr
mxcsr_fixed:
    push qword ptr [rbp + {THREAD_STACK}]
    push qword ptr [rbx + {STATE_ACTIVATION}]
    push qword ptr [rbx + {STATE_NATIVE_STACK}]
    mov [rbx + {STATE_NATIVE_STACK}], rsp
    mov rax, [rbx + {STATE_COUNTER}]
    inc rax
    mov [rbx + {STATE_COUNTER}], rax
    mov [rbx + {STATE_ACTIVATION}], rax
    {STACK_CHECK}
    {NATIVE_CHECK}
    inc dword ptr [rbp + {THREAD_DEPTH}]
    inc qword ptr [rbp + {THREAD_SERIAL}]
    mov [rbp + {THREAD_STATE}], rbx
    mov rcx, {CELLS}
    cmp dword ptr [rcx + {CELL_PARKED}], 0
    jne wake
woken:
    {RELEASE_AT_ENTRY}
    {SET_BASE_AT_ENTRY}
"""

# The unlikely parts of ENTER. `refused` is where the routine goes if the thread may not enter: nothing was pushed.
ENTER_COLD: Final = """
attach:
    call {ATTACH}
    test eax, eax
    jz refused
    mov rbp, [rbx + {STATE_THREAD}]
    jmp attached
fix_mxcsr:
    ldmxcsr [rip + mxcsr_default]
    jmp mxcsr_fixed
wake:
    call {WAKE}
    jmp woken
    {NATIVE_CHECK_COLD}
no_stack:
    inc dword ptr [rbp + {THREAD_DEPTH}]
    jmp {NO_STACK}
    .align 4
mxcsr_default:
    .long {MXCSR_DEFAULT}
"""

# What depends on the use of gs. The entry frame's FRAME_MXCSR and FRAME_FOREIGN_GS are one word.
PUSH_GS_USED: Final = """
    rdgsbase rax
    push rax
    xor ecx, ecx
    cmp rax, [rbp + {THREAD_GS}]
    setne cl
    shl rcx, 32
    push rcx
"""
PUSH_GS_UNUSED: Final = """
    push 0
    push 0
"""
SET_BASE_GS: Final = """
    mov rcx, [r15 + {CTX_MEMORY0_BASE}]
    cmp rcx, [rsp + {FRAME_GS}]
    je base_set
    wrgsbase rcx
base_set:
"""
SET_BASE_REGISTER: Final = """
    mov r14, [r15 + {CTX_MEMORY0_BASE}]
"""

# What depends on stacks. Python runs on the native one, and must have enough of it.
NATIVE_CHECK: Final = """
    cmp rsp, [rbp + {THREAD_NATIVE_LIMIT}]
    jb low
native:
"""
NATIVE_CHECK_COLD: Final = """
low:                              # of this stack, or on another one
    cmp rsp, [rbp + {THREAD_NATIVE_LOW}]
    jb native
"""
STACK_CHECK_OWN: Final = """
    mov rcx, [rbp + {THREAD_STACK}]
    cmp rcx, [rbp + {THREAD_STACK_LIMIT}]
    jb no_stack
    cmp qword ptr [rsp + {FRAME_ACTIVATION}], 0
    jne limited
    sub rcx, [rbx + {STATE_MAX_STACK}]
    mov [rbx + {STATE_STACK_LIMIT}], rcx
limited:
"""
STACK_CHECK_NATIVE: Final = """
    cmp dword ptr [rbp + {THREAD_DEPTH}], 0
    jne limited
    lea rcx, [rsp - {STACK_SIZE}]
    mov [rbp + {THREAD_STACK_LIMIT}], rcx
limited:
    mov rcx, [rbp + {THREAD_STACK_LIMIT}]
    cmp qword ptr [rsp + {FRAME_ACTIVATION}], 0
    jne limited_store
    mov rax, rsp
    sub rax, [rbx + {STATE_MAX_STACK}]
    cmp rax, rcx
    cmovb rax, rcx
    mov [rbx + {STATE_STACK_LIMIT}], rax
limited_store:
    add rcx, {ENTRY_RESERVE}
    cmp rsp, rcx
    jb no_stack
"""
TO_WASM_OWN: Final = """
    mov rsp, [rbp + {THREAD_STACK}]
    and rsp, -16
"""
TO_NATIVE_OWN: Final = """
    mov rsp, [rax + {STATE_NATIVE_STACK}]
"""
TO_NATIVE_SAME: Final = """
    and rsp, -16
"""

RELEASE_GIL: Final = """
    call {PyEval_SaveThread}
    mov [rbx + {STATE_PYTHON}], rax
"""
TAKE_GIL: Final = """
    mov rdi, [rbx + {STATE_PYTHON}]
    test rdi, rdi
    jz held
    mov qword ptr [rbx + {STATE_PYTHON}], 0
    call {PyEval_RestoreThread}
held:
"""
NOTE_GS: Final = """
    rdgsbase rax
    mov [rbp + {THREAD_GS}], rax
"""

# Leave wasm, in good or bad: take the entry frame off the stack. In: rbx. Keeps r12, r13. Ends with FRAME_FAIL in rax, rsp where
# ENTER began.
LEAVE: Final = """
    mov rbp, [rbx + {STATE_THREAD}]
    mov qword ptr [rbp + {THREAD_STATE}], 0
    mov rsp, [rbx + {STATE_NATIVE_STACK}]
    {TAKE_GIL}
    pop qword ptr [rbx + {STATE_NATIVE_STACK}]
    pop qword ptr [rbx + {STATE_ACTIVATION}]
    pop qword ptr [rbp + {THREAD_STACK}]
    dec dword ptr [rbp + {THREAD_DEPTH}]
    {POP_GS}
    pop rax
"""
# Each half of the word is read as it was written, or the load would have to wait for both stores.
POP_GS_USED: Final = """
    rdgsbase rax
    mov [rbp + {THREAD_GS}], rax
    cmp dword ptr [rsp + {FRAME_FOREIGN_GS} - {FRAME_MXCSR}], 0
    jne restore_gs
gs_restored:
    {POP_MXCSR}
"""
RESTORE_FOREIGN_GS_USED: Final = """
restore_gs:
    mov rax, [rsp + {FRAME_GS} - {FRAME_MXCSR}]
    wrgsbase rax
    jmp gs_restored
"""
POP_GS_UNUSED: Final = """
    {POP_MXCSR}
"""
POP_MXCSR: Final = """
    mov eax, [rsp]
    and eax, {MXCSR_CONTROL}
    cmp eax, {MXCSR_DEFAULT}
    jne restore_mxcsr
mxcsr_restored:
    add rsp, 16
"""
LEAVE_COLD: Final = """
    {RESTORE_FOREIGN_GS}
restore_mxcsr:
    ldmxcsr [rsp]
    jmp mxcsr_restored
"""

# Leave wasm code for the host. In: r15, r11; the return address at [rsp]. Out: rbx, rbp, r12 = r11, the call buffer at [rsp],
# the GIL held. HOST_RETURN and RESUME_WASM undo it: all saved registers and gs back, rsp at the return address.
HOST_CALL: Final = """
    mov r10, rsp
    mov rax, [r15 + {CTX_ACTIVATION}]
    {TO_NATIVE}
    push r10
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    mov rbx, rax
    mov rbp, [rbx + {STATE_THREAD}]
    push qword ptr [rbp + {THREAD_STACK}]
    {NOTE_GS}
    push rax
    push rax
    sub rsp, {CALL_SIZE}
    mov [rsp + {CALL_GPRS}], rdi
    mov [rsp + {CALL_GPRS} + 8], rsi
    mov [rsp + {CALL_GPRS} + 16], rdx
    mov [rsp + {CALL_GPRS} + 24], rcx
    mov [rsp + {CALL_GPRS} + 32], r8
    mov [rsp + {CALL_GPRS} + 40], r9
    movsd [rsp + {CALL_XMMS}], xmm0
    movsd [rsp + {CALL_XMMS} + 8], xmm1
    movsd [rsp + {CALL_XMMS} + 16], xmm2
    movsd [rsp + {CALL_XMMS} + 24], xmm3
    movsd [rsp + {CALL_XMMS} + 32], xmm4
    movsd [rsp + {CALL_XMMS} + 40], xmm5
    movsd [rsp + {CALL_XMMS} + 48], xmm6
    movsd [rsp + {CALL_XMMS} + 56], xmm7
    mov [rsp + {CALL_STACK}], r10
    mov [rsp + {CALL_CONTEXT}], r15
    mov [rbp + {THREAD_STACK}], r10
    mov qword ptr [rbp + {THREAD_STATE}], 0
    mov r12, r11
    {TAKE_GIL}
"""
# Back into wasm: unless the activation shall end. In: as HOST_CALL left it.
HOST_RETURN: Final = """
    mov rax, [rbx + {STATE_REQUEST}]
    cmp rax, [rbx + {STATE_ACTIVATION}]
    jae interrupted
    mov rax, [rsp + {CALL_SIZE} + 16]
    mov [rbp + {THREAD_STACK}], rax
    inc qword ptr [rbp + {THREAD_SERIAL}]
    mov [rbp + {THREAD_STATE}], rbx
    mov rcx, {CELLS}
    cmp dword ptr [rcx + {CELL_PARKED}], 0
    jne wake
woken:
    {RELEASE_AT_ENTRY}
    stmxcsr [rsp + {CALL_STACK}]
    mov eax, [rsp + {CALL_STACK}]
    and eax, {MXCSR_CONTROL}
    cmp eax, {MXCSR_DEFAULT}
    jne fix_mxcsr
mxcsr_fixed:
    {RESTORE_GS_AFTER_HOST}
"""
RESTORE_GS_USED: Final = """
    mov rcx, [rsp + {CALL_SIZE}]
    rdgsbase rax
    cmp rax, rcx
    je base_set
    wrgsbase rcx
base_set:
"""
RESUME_WASM: Final = """
    add rsp, {CALL_SIZE} + 24
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    pop rsp
"""
HOST_COLD: Final = """
fix_mxcsr:
    ldmxcsr [rip + mxcsr_default]
    jmp mxcsr_fixed
wake:
    call {WAKE}
    jmp woken
interrupted:
    mov r10, [rsp + {CALL_STACK}]
    mov rax, [r10]
    mov [rbx + {STATE_TRAP_PC}], rax
    lea rax, [r10 + 8]
    mov [rbx + {STATE_TRAP_STACK}], rax
    mov dword ptr [rbx + {STATE_TRAP_RETURN}], 1
    mov dword ptr [rbx + {STATE_TRAP_CODE}], {INTERRUPT}
    mov qword ptr [rbx + {STATE_TRAP_ADDRESS}], 0
    jmp {TRAP_EXIT}
    .align 4
mxcsr_default:
    .long {MXCSR_DEFAULT}
"""

# Call the function with the record in r12 as the call buffer in r13 says; the results go there. In: rsp on the wasm stack.
CALL_WITH_BUFFER: Final = """
    mov rcx, [r13 + {CALL_STACK}]
    lea rax, [rcx * 8]
    sub rsp, rax
    lea rsi, [r13 + {CALL_WORDS}]
    mov rdi, rsp
    rep movsq
    mov rdi, [r13 + {CALL_GPRS}]
    mov rsi, [r13 + {CALL_GPRS} + 8]
    mov rdx, [r13 + {CALL_GPRS} + 16]
    mov rcx, [r13 + {CALL_GPRS} + 24]
    mov r8, [r13 + {CALL_GPRS} + 32]
    mov r9, [r13 + {CALL_GPRS} + 40]
    movsd xmm0, [r13 + {CALL_XMMS}]
    movsd xmm1, [r13 + {CALL_XMMS} + 8]
    movsd xmm2, [r13 + {CALL_XMMS} + 16]
    movsd xmm3, [r13 + {CALL_XMMS} + 24]
    movsd xmm4, [r13 + {CALL_XMMS} + 32]
    movsd xmm5, [r13 + {CALL_XMMS} + 40]
    movsd xmm6, [r13 + {CALL_XMMS} + 48]
    movsd xmm7, [r13 + {CALL_XMMS} + 56]
    call [r12 + {FUNC_CODE}]
    mov [r13 + {CALL_RESULT_GPRS}], rax
    mov [r13 + {CALL_RESULT_GPRS} + 8], rdx
    mov [r13 + {CALL_RESULT_GPRS} + 16], rcx
    mov [r13 + {CALL_RESULT_GPRS} + 24], rsi
    movsd [r13 + {CALL_RESULT_XMMS}], xmm0
    movsd [r13 + {CALL_RESULT_XMMS} + 8], xmm1
    movsd [r13 + {CALL_RESULT_XMMS} + 16], xmm2
    movsd [r13 + {CALL_RESULT_XMMS} + 24], xmm3
    mov rcx, [r13 + {CALL_STACK}]
    mov rsi, rsp
    lea rdi, [r13 + {CALL_WORDS}]
    rep movsq
"""
# Back into wasm with the results in the call buffer. In: as HOST_CALL left it. Wants HOST_COLD.
RETURN_RESULTS: Final = """
    {HOST_RETURN}
    mov rax, [rsp + {CALL_RESULT_GPRS}]
    mov rdx, [rsp + {CALL_RESULT_GPRS} + 8]
    mov rcx, [rsp + {CALL_RESULT_GPRS} + 16]
    mov rsi, [rsp + {CALL_RESULT_GPRS} + 24]
    movsd xmm0, [rsp + {CALL_RESULT_XMMS}]
    movsd xmm1, [rsp + {CALL_RESULT_XMMS} + 8]
    movsd xmm2, [rsp + {CALL_RESULT_XMMS} + 16]
    movsd xmm3, [rsp + {CALL_RESULT_XMMS} + 24]
    {RESUME_WASM}
    ret
"""

COMMON_MACROS: Final = {
    "FS_BASE_TO_RCX": FS_BASE_TO_RCX,
    "ENTER": ENTER,
    "ENTER_COLD": ENTER_COLD,
    "LEAVE": LEAVE,
    "LEAVE_COLD": LEAVE_COLD,
    "POP_MXCSR": POP_MXCSR,
    "HOST_CALL": HOST_CALL,
    "HOST_RETURN": HOST_RETURN,
    "HOST_COLD": HOST_COLD,
    "RESUME_WASM": RESUME_WASM,
    "CALL_WITH_BUFFER": CALL_WITH_BUFFER,
    "RETURN_RESULTS": RETURN_RESULTS,
    "TAKE_GIL": TAKE_GIL,
}

# --- Routines, in the order in which they are assembled: each may refer to those before it ---------------------------------

# Make the calling thread known to the state. Keeps callee-saved registers. eax is 0 if an exception is set.
ATTACH: Final = """
    sub rsp, 24
    mov rax, [rbx + {STATE_OBJECT}]
    mov [rsp], rax
    mov rdi, {HOOK_ATTACH}
    mov rsi, rsp
    mov edx, 1
    xor ecx, ecx
    call {PyObject_Vectorcall}
    test rax, rax
    jz out
    mov rdi, rax
    call {Py_DecRef}
    mov rdx, [rbx + {STATE_THREAD}]
    {FS_BASE_TO_RCX}
    mov [rdx + {THREAD_FS}], rcx
    mov eax, 1
out:
    add rsp, 24
    ret
"""

# Wake the watchdog. Where it is native: futex(&parked, FUTEX_WAKE_PRIVATE, 1).
WAKE_NATIVE: Final = """
    mov rdi, {CELLS} + {CELL_PARKED}
    mov dword ptr [rdi], 0
    mov eax, 202
    mov esi, 129
    mov edx, 1
    syscall
    ret
"""
# Else through Python, with the GIL or without it.
WAKE_PYTHON: Final = """
    push r12
    mov r12, rsp
    and rsp, -16
    mov rcx, {CELLS}
    mov dword ptr [rcx + {CELL_PARKED}], 0
    {TAKE_GIL}
    mov rdi, {HOOK_WAKE}
    call {PyObject_CallNoArgs}
    mov rdi, rax
    test rax, rax
    jz lost
    call {Py_DecRef}
    jmp out
lost:
    call {PyErr_Clear}
out:
    mov rsp, r12
    pop r12
    ret
"""

# An exception is set, the GIL is held or not: end the activation. In: rbx.
EXIT_FAILED: Final = """
    {LEAVE}
    jmp rax
    {LEAVE_COLD}
"""

# Python code called from wasm has raised. In: rbx, rbp, rsp below the call buffer. HOOK_PASSING(exception, rsp of the wasm stack).
EXIT_RAISED: Final = """
    sub rsp, 64
    and rsp, -16
    lea rdi, [rsp + 32]
    lea rsi, [rsp + 40]
    lea rdx, [rsp + 48]
    call {PyErr_Fetch}
    lea rdi, [rsp + 32]
    lea rsi, [rsp + 40]
    lea rdx, [rsp + 48]
    call {PyErr_NormalizeException}
    mov rdi, [rsp + 40]
    mov rsi, [rsp + 48]
    test rsi, rsi
    jz no_traceback
    call {PyException_SetTraceback}
no_traceback:
    mov rdi, [rbp + {THREAD_STACK}]
    call {PyLong_FromUnsignedLongLong}
    mov [rsp + 16], rax
    test rax, rax
    jz lost
    mov rax, [rsp + 40]
    mov [rsp + 8], rax
    mov rdi, {HOOK_PASSING}
    lea rsi, [rsp + 8]
    mov edx, 2
    xor ecx, ecx
    call {PyObject_Vectorcall}
    mov r12, rax
    mov rdi, [rsp + 16]
    call {Py_DecRef}
    mov rdi, r12
    test rdi, rdi
    jz lost
    call {Py_DecRef}
    jmp restore
lost:
    call {PyErr_Clear}
restore:
    mov rdi, [rsp + 32]
    mov rsi, [rsp + 40]
    mov rdx, [rsp + 48]
    call {PyErr_Restore}
    jmp {EXIT_FAILED}
"""

# A trap was recorded in the state: make the exception of it. In: r15. The stack of the dead frames stays as it is.
TRAP_EXIT: Final = """
    mov rbx, [r15 + {CTX_ACTIVATION}]
    mov rax, rbx
    {TO_NATIVE}
    mov rbp, [rbx + {STATE_THREAD}]
    mov qword ptr [rbp + {THREAD_STATE}], 0
    mov rax, [rbx + {STATE_TRAP_STACK}]
    sub rax, 128
    mov [rbp + {THREAD_STACK}], rax
    sub rsp, 16
    {NOTE_GS}
    {TAKE_GIL}
    mov rax, [rbx + {STATE_OBJECT}]
    mov [rsp], rax
    mov rdi, {HOOK_TRAP}
    mov rsi, rsp
    mov edx, 1
    xor ecx, ecx
    call {PyObject_Vectorcall}
    test rax, rax
    jz raised
    mov rdi, rax
    call {Py_DecRef}
raised:
    jmp {EXIT_FAILED}
"""

# An entry found no room on the stack. In: rbx, r15, the entry frame at [rsp].
NO_STACK: Final = """
    mov qword ptr [rbx + {STATE_TRAP_PC}], 0
    mov qword ptr [rbx + {STATE_TRAP_ADDRESS}], 0
    mov dword ptr [rbx + {STATE_TRAP_CODE}], {STACK_OVERFLOW}
    mov dword ptr [rbx + {STATE_TRAP_RETURN}], 1
    mov rax, [rbp + {THREAD_STACK}]
    mov [rbx + {STATE_TRAP_STACK}], rax
    jmp {TRAP_EXIT}
"""

# Compiled code calls this at a trap that is no fault. It is recorded as if the call had faulted.
TRAP_ROUTINE: Final = """
    mov r10, [r15 + {CTX_ACTIVATION}]
    mov rcx, [rsp]
    sub rcx, {TRAP_CALL_SIZE}
    mov [r10 + {STATE_TRAP_PC}], rcx
    lea rcx, [rsp + 8]
    mov [r10 + {STATE_TRAP_STACK}], rcx
    mov dword ptr [r10 + {STATE_TRAP_CODE}], -1
    mov dword ptr [r10 + {STATE_TRAP_RETURN}], 0
    mov qword ptr [r10 + {STATE_TRAP_ADDRESS}], 0
    jmp {TRAP_EXIT}
"""

# A builtin traps with the code in eax, its own return address at [rsp].
BUILTIN_TRAP: Final = """
    mov r10, [r15 + {CTX_ACTIVATION}]
    mov [r10 + {STATE_TRAP_CODE}], eax
    mov rcx, [rsp]
    mov [r10 + {STATE_TRAP_PC}], rcx
    lea rcx, [rsp + 8]
    mov [r10 + {STATE_TRAP_STACK}], rcx
    mov dword ptr [r10 + {STATE_TRAP_RETURN}], 1
    mov qword ptr [r10 + {STATE_TRAP_ADDRESS}], 0
    jmp {TRAP_EXIT}
"""

# Pads lead here: number of the pad in eax, arguments in their registers.
LAZY_COMPILE: Final = """
    mov r11d, eax
    {HOST_CALL}
    sub rsp, 16
    mov rdi, r12
    call {PyLong_FromUnsignedLong}
    mov [rsp], rax
    test rax, rax
    jz raised
    mov rdi, {HOOK_COMPILE}
    mov rsi, rsp
    mov edx, 1
    xor ecx, ecx
    call {PyObject_Vectorcall}
    mov [rsp + 8], rax
    mov rdi, [rsp]
    call {Py_DecRef}
    mov rdi, [rsp + 8]
    test rdi, rdi
    jz raised
    call {PyLong_AsUnsignedLongLong}
    mov r12, rax
    mov rdi, [rsp + 8]
    call {Py_DecRef}
    add rsp, 16
    {HOST_RETURN}
    mov r11, r12
    mov rdi, [rsp + {CALL_GPRS}]
    mov rsi, [rsp + {CALL_GPRS} + 8]
    mov rdx, [rsp + {CALL_GPRS} + 16]
    mov rcx, [rsp + {CALL_GPRS} + 24]
    mov r8, [rsp + {CALL_GPRS} + 32]
    mov r9, [rsp + {CALL_GPRS} + 40]
    movsd xmm0, [rsp + {CALL_XMMS}]
    movsd xmm1, [rsp + {CALL_XMMS} + 8]
    movsd xmm2, [rsp + {CALL_XMMS} + 16]
    movsd xmm3, [rsp + {CALL_XMMS} + 24]
    movsd xmm4, [rsp + {CALL_XMMS} + 32]
    movsd xmm5, [rsp + {CALL_XMMS} + 40]
    movsd xmm6, [rsp + {CALL_XMMS} + 48]
    movsd xmm7, [rsp + {CALL_XMMS} + 56]
    {RESUME_WASM}
    jmp r11
raised:
    jmp {EXIT_RAISED}
    {HOST_COLD}
"""

# Calls the object in HOST_DISPATCH of the host context in r11 with the address of the call buffer; it leaves results there and
# returns None, or another object to suspend the call (see `fibers`).
# Builtins enter with their own host context in r11 and the caller's context in r15.
BUILTIN_GENERIC: Final = """
    {HOST_CALL}
    lea rdi, [rsp]
    sub rsp, 16
    call {PyLong_FromUnsignedLongLong}
    mov [rsp], rax
    test rax, rax
    jz raised
    mov rdi, [r12 + {HOST_DISPATCH}]
    mov rsi, rsp
    mov edx, 1
    xor ecx, ecx
    call {PyObject_Vectorcall}
    mov r12, rax
    mov rdi, [rsp]
    call {Py_DecRef}
    add rsp, 16
    test r12, r12
    jz raised
    mov rdi, r12
    call {Py_DecRef}
    mov rax, {None}
    cmp r12, rax
    jne {SUSPEND}
    {RETURN_RESULTS}
raised:
    jmp {EXIT_RAISED}
    {HOST_COLD}
"""

# What the records of host functions lead to.
HOST_GENERIC: Final = """
    mov rax, [r15 + {HOST_FAST}]
    mov r11, r15
    test rax, rax
    jz {BUILTIN}
    jmp rax
"""

# The builtin `interrupt`: a poll has seen the flag set. Also gives other Python threads their turn.
POLL: Final = """
    xor r11d, r11d
    {HOST_CALL}
    mov dword ptr [rbx + {STATE_INTERRUPT}], 0
    call {PyErr_CheckSignals}
    test eax, eax
    jnz raised
    {HOST_RETURN}
    {RESUME_WASM}
    ret
raised:
    jmp {EXIT_RAISED}
    {HOST_COLD}
"""

# int enter(function record, call buffer): a C function for ctypes, for all signatures. 0, or -1 with an exception set.
RAW_ENTRY: Final = """
    push rbp
    push rbx
    push r12
    push r13
    push r14
    push r15
    sub rsp, 8
    mov r12, rdi
    mov r13, rsi
    mov r15, [r12 + {FUNC_VMCTX}]
    {ENTER}
    {TO_WASM}
    {CALL_WITH_BUFFER}
    {LEAVE}
    xor eax, eax
out:
    add rsp, 8
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
    ret
failed:
refused:
    mov eax, -1
    jmp out
    {ENTER_COLD}
    {LEAVE_COLD}
"""
