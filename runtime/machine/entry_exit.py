"""Hand-written code that enters and leaves wasm: macros, the entry that serves all signatures, attaching a thread, the way out.

Register use in all routines of the machine, after the first lines: rbx activation state, rbp thread record, r15 context. Python
runs on the native stack only; where the platform has no second stacks, wasm runs on the native stack too and `{TO_NATIVE}` merely
aligns it.

The GIL is held when wasm is entered; STATE_PYTHON tells whether it has been released since (by a safepoint, or at once where
the platform has no signals).
"""

from __future__ import annotations

from typing import Final

# --- Macros ---------------------------------------------------------------------------------------------------------------

# `mov rcx, fs:[0]`, which keystone may encode relative to rip. The fs base names the thread; its own address stands there.
FS_BASE_TO_RCX: Final = ".byte 0x64, 0x48, 0x8b, 0x0c, 0x25, 0, 0, 0, 0"

# All callee-saved registers of C.
PUSH_SAVED: Final = """
    push rbp
    push rbx
    push r12
    push r13
    push r14
    push r15
"""
POP_SAVED: Final = """
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
"""

# Call the object in rdi with the argument at [rsp].
CALL_WITH_ONE: Final = """
    mov rsi, rsp
    mov edx, 1
    xor ecx, ecx
    call {PyObject_Vectorcall}
"""

# The thread is in wasm from here on: the watchdog may send it to a safepoint.
NOTE_IN_WASM: Final = """
    inc qword ptr [rbp + {THREAD_SERIAL}]
    mov [rbp + {THREAD_STATE}], rbx
    mov rcx, {CELLS}
    cmp dword ptr [rcx + {CELL_PARKED}], 0
    jne wake
woken:
"""
NOTE_IN_WASM_COLD: Final = """
wake:
    call {WAKE}
    jmp woken
"""

# Make mxcsr, which is in eax, what wasm wants.
DEFAULT_MXCSR: Final = """
    and eax, {MXCSR_CONTROL}
    cmp eax, {MXCSR_DEFAULT}
    jne fix_mxcsr
mxcsr_fixed:
"""
DEFAULT_MXCSR_COLD: Final = """
fix_mxcsr:
    ldmxcsr [rip + mxcsr_default]
    jmp mxcsr_fixed
"""
DEFAULT_MXCSR_DATA: Final = """
    .align 4
mxcsr_default:
    .long {MXCSR_DEFAULT}
"""

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
    {DEFAULT_MXCSR}
    push qword ptr [rbp + {THREAD_STACK}]
    push qword ptr [rbx + {STATE_ACTIVATION}]
    push qword ptr [rbx + {STATE_NATIVE_STACK}]
    mov [rbx + {STATE_NATIVE_STACK}], rsp
    mov rax, [rbx + {STATE_COUNTER}]
    inc rax
    mov [rbx + {STATE_COUNTER}], rax
    mov [rbx + {STATE_ACTIVATION}], rax
    {NOTE_NUMBER}
    {STACK_CHECK}
    {NATIVE_CHECK}
    inc dword ptr [rbp + {THREAD_DEPTH}]
    {NOTE_IN_WASM}
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
    {DEFAULT_MXCSR_COLD}
    {NOTE_IN_WASM_COLD}
    {NATIVE_CHECK_COLD}
no_stack:
    inc dword ptr [rbp + {THREAD_DEPTH}]
    jmp {NO_STACK}
    {DEFAULT_MXCSR_DATA}
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
NOTE_NUMBER_SAME: Final = """
    mov [rsp + {FRAME_GS}], rax
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

# The activation that has begun is that of the deadline record in rcx.
BEGIN_DEADLINE: Final = """
    mov rax, [rbx + {STATE_ACTIVATION}]
    mov [rcx + {DEADLINE_ACTIVATION}], rax
"""
# It has ended, or will never begin. What its timeout asked for is withdrawn. With the GIL; clobbers rdx.
END_DEADLINE: Final = """
    mov qword ptr [rcx + {DEADLINE_ACTIVATION}], -1
    cmp qword ptr [rcx + {DEADLINE_EXPIRED}], 0
    je deadline_ended
    mov rdx, [rcx + {DEADLINE_BEFORE}]
    mov [rbx + {STATE_REQUEST}], rdx
deadline_ended:
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

MACROS: Final = {
    "FS_BASE_TO_RCX": FS_BASE_TO_RCX,
    "PUSH_SAVED": PUSH_SAVED,
    "POP_SAVED": POP_SAVED,
    "CALL_WITH_ONE": CALL_WITH_ONE,
    "NOTE_IN_WASM": NOTE_IN_WASM,
    "NOTE_IN_WASM_COLD": NOTE_IN_WASM_COLD,
    "DEFAULT_MXCSR": DEFAULT_MXCSR,
    "DEFAULT_MXCSR_COLD": DEFAULT_MXCSR_COLD,
    "DEFAULT_MXCSR_DATA": DEFAULT_MXCSR_DATA,
    "ENTER": ENTER,
    "ENTER_COLD": ENTER_COLD,
    "BEGIN_DEADLINE": BEGIN_DEADLINE,
    "END_DEADLINE": END_DEADLINE,
    "LEAVE": LEAVE,
    "LEAVE_COLD": LEAVE_COLD,
    "POP_MXCSR": POP_MXCSR,
    "TAKE_GIL": TAKE_GIL,
}

# --- Routines -------------------------------------------------------------------------------------------------------------

# Make the calling thread known to the state. Keeps callee-saved registers. eax is 0 if an exception is set.
ATTACH: Final = """
    sub rsp, 24
    mov rax, [rbx + {STATE_OBJECT}]
    mov [rsp], rax
    mov rdi, {HOOK_ATTACH}
    {CALL_WITH_ONE}
    test rax, rax
    jz out
    mov rdi, rax
    call {Py_DecRef}
    mov rdx, [rbx + {STATE_THREAD}]
    {FS_BASE_TO_RCX}
    cmp dword ptr [rdx + {THREAD_DISORDER}], 0
    jne attached_once
    mov [rdx + {THREAD_FS}], rcx
attached_once:
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

# int enter(function record, call buffer): a C function for ctypes, for all signatures. 0, or -1 with an exception set.
RAW_ENTRY: Final = """
    {PUSH_SAVED}
    sub rsp, 8
    mov [rsp], rsi
    mov r12, rdi
    mov r13, rsi
    mov r15, [r12 + {FUNC_VMCTX}]
    {ENTER}
    mov rcx, [r13 + {CALL_DEADLINE}]
    test rcx, rcx
    jz unlimited
    {BEGIN_DEADLINE}
unlimited:
    {TO_WASM}
    {CALL_WITH_BUFFER}
    {LEAVE}
    xor eax, eax
out:
    mov rdx, [rsp]
    mov rcx, [rdx + {CALL_DEADLINE}]
    test rcx, rcx
    jz done
    {END_DEADLINE}
done:
    add rsp, 8
    {POP_SAVED}
    ret
failed:
refused:
    mov eax, -1
    jmp out
    {ENTER_COLD}
    {LEAVE_COLD}
"""
