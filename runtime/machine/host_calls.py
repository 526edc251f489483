"""Hand-written code by which wasm calls Python, and Python calls wasm, through a call buffer: host functions, builtins, polls,
lazy compilation. Register use: see `entry_exit`."""

from __future__ import annotations

from typing import Final

# --- Macros ---------------------------------------------------------------------------------------------------------------

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
    {PUSH_ORDER}
    {NOTE_GS}
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
    {LOOK_AT_SIGNALS}
    {CHECK_ORDER}
    mov rax, [rbx + {STATE_REQUEST}]
    cmp rax, [rbx + {STATE_ACTIVATION}]
    jae interrupted
    mov rax, [rsp + {CALL_SIZE} + 16]
    mov [rbp + {THREAD_STACK}], rax
    {NOTE_IN_WASM}
    {RELEASE_AT_ENTRY}
    stmxcsr [rsp + {CALL_STACK}]
    mov eax, [rsp + {CALL_STACK}]
    {DEFAULT_MXCSR}
    {RESTORE_GS_AFTER_HOST}
"""
# All activations of a thread are thought to end last in, first out. Whoever switches native stacks in host functions (greenlets) may go
# on in another order, or end there by an exception: such an activation ends, and touches nothing of others. Where wasm has a stack of its
# own, the thread's next place on it is where this call has left it unless there is an activation inside; elsewhere entry frames of
# several native stacks may have the same address, and the activation's number tells. In: as HOST_CALL left it; label `out_of_order`.
PUSH_ORDER_OWN: Final = """
    push qword ptr [rbx + {STATE_ACTIVATION}]
"""
CHECK_ORDER_OWN: Final = """
    mov rax, [rsp + {CALL_STACK}]
    cmp rax, [rbp + {THREAD_STACK}]
    jne out_of_order
"""
FIND_FRAME_OWN: Final = """
    mov r12, [rsp + {CALL_SIZE} + 8]
    lea r13, [rsp + {CALL_SIZE} + 80]
"""
PUSH_ORDER_SAME: Final = """
    push qword ptr [rbx + {STATE_NATIVE_STACK}]
"""
CHECK_ORDER_SAME: Final = """
    mov rax, [rsp + {CALL_SIZE} + 8]
    cmp rax, [rbx + {STATE_NATIVE_STACK}]
    jne out_of_order
    mov rax, [rax + {FRAME_GS}]
    cmp rax, [rbx + {STATE_ACTIVATION}]
    jne out_of_order
"""
FIND_FRAME_SAME: Final = """
    mov r13, [rsp + {CALL_SIZE} + 8]
    mov r12, [r13 + {FRAME_GS}]
"""
# Where wasm keeps the GIL. A host function written in C runs no Python signal handler and gives other threads no turn, and a loop may
# be in compiled code too seldom for the watchdog.
LOOK_AT_SIGNALS: Final = """
    cmp dword ptr [rbp + {THREAD_SIGNALS}], 0
    jne look_at_signals
signals_handled:
"""
LOOK_AT_SIGNALS_COLD: Final = """
look_at_signals:
    mov dword ptr [rbp + {THREAD_SIGNALS}], 0
    call {PyErr_CheckSignals}
    test eax, eax
    jnz handler_raised
    call {PyEval_SaveThread}
    mov rdi, rax
    call {PyEval_RestoreThread}
    jmp signals_handled
handler_raised:                   # a call that was suspended has its stack elsewhere
    mov rax, [rsp + {CALL_STACK}]
    mov [rbp + {THREAD_STACK}], rax
    jmp {EXIT_RAISED}
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
    {DEFAULT_MXCSR_COLD}
    {NOTE_IN_WASM_COLD}
    {LOOK_AT_SIGNALS_COLD}
out_of_order:
    jmp {RETURN_OUT_OF_ORDER}
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
    {DEFAULT_MXCSR_DATA}
"""

# The arguments in registers, from the call buffer.
_ARGUMENTS: Final = """
    mov rdi, [{BUFFER} + {CALL_GPRS}]
    mov rsi, [{BUFFER} + {CALL_GPRS} + 8]
    mov rdx, [{BUFFER} + {CALL_GPRS} + 16]
    mov rcx, [{BUFFER} + {CALL_GPRS} + 24]
    mov r8, [{BUFFER} + {CALL_GPRS} + 32]
    mov r9, [{BUFFER} + {CALL_GPRS} + 40]
    movsd xmm0, [{BUFFER} + {CALL_XMMS}]
    movsd xmm1, [{BUFFER} + {CALL_XMMS} + 8]
    movsd xmm2, [{BUFFER} + {CALL_XMMS} + 16]
    movsd xmm3, [{BUFFER} + {CALL_XMMS} + 24]
    movsd xmm4, [{BUFFER} + {CALL_XMMS} + 32]
    movsd xmm5, [{BUFFER} + {CALL_XMMS} + 40]
    movsd xmm6, [{BUFFER} + {CALL_XMMS} + 48]
    movsd xmm7, [{BUFFER} + {CALL_XMMS} + 56]
"""
ARGUMENTS_FROM_R13: Final = _ARGUMENTS.replace("{BUFFER}", "r13")
ARGUMENTS_FROM_RSP: Final = _ARGUMENTS.replace("{BUFFER}", "rsp")

# Call the function with the record in r12 as the call buffer in r13 says; the results go there. In: rsp on the wasm stack.
CALL_WITH_BUFFER: Final = """
    mov rcx, [r13 + {CALL_STACK}]
    lea rax, [rcx * 8]
    sub rsp, rax
    lea rsi, [r13 + {CALL_WORDS}]
    mov rdi, rsp
    rep movsq
    {ARGUMENTS_FROM_R13}
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

MACROS: Final = {
    "HOST_CALL": HOST_CALL,
    "HOST_RETURN": HOST_RETURN,
    "HOST_COLD": HOST_COLD,
    "RESUME_WASM": RESUME_WASM,
    "ARGUMENTS_FROM_R13": ARGUMENTS_FROM_R13,
    "ARGUMENTS_FROM_RSP": ARGUMENTS_FROM_RSP,
    "CALL_WITH_BUFFER": CALL_WITH_BUFFER,
    "RETURN_RESULTS": RETURN_RESULTS,
}

# --- Routines -------------------------------------------------------------------------------------------------------------

# Pads lead here: number of the pad in eax, arguments in their registers. HOOK_COMPILE(number of the pad, state).
LAZY_COMPILE: Final = """
    mov r11d, eax
    {HOST_CALL}
    sub rsp, 16
    mov rdi, r12
    call {PyLong_FromUnsignedLong}
    mov [rsp], rax
    test rax, rax
    jz raised
    mov rax, [rbx + {STATE_OBJECT}]
    mov [rsp + 8], rax
    mov rdi, {HOOK_COMPILE}
    mov rsi, rsp
    mov edx, 2
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
    {ARGUMENTS_FROM_RSP}
    {RESUME_WASM}
    jmp r11
raised:
    add rsp, 16
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
    jz unconverted
    mov rdi, [r12 + {HOST_DISPATCH}]
    {CALL_WITH_ONE}
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
unconverted:
    add rsp, 16
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

# In the middle of a routine of `bulk`, at whose return address rsp is: as POLL, then goes on at the address in r11. Keeps the registers for
# arguments.
POLL_IN_BULK: Final = """
    {HOST_CALL}
    mov dword ptr [rbx + {STATE_INTERRUPT}], 0
    inc dword ptr [rbx + {STATE_AT_SAFEPOINT}]
    call {PyErr_CheckSignals}
    dec dword ptr [rbx + {STATE_AT_SAFEPOINT}]
    test eax, eax
    jnz raised
    {HOST_RETURN}
    mov r11, r12
    {ARGUMENTS_FROM_RSP}
    {RESUME_WASM}
    jmp r11
raised:
    jmp {EXIT_RAISED}
    {HOST_COLD}
"""

# The builtin `interrupt`: a poll has seen the flag set. Also gives other Python threads their turn. As in a safepoint, compiled code
# keeps what it has loaded.
POLL: Final = """
    xor r11d, r11d
    {HOST_CALL}
    mov dword ptr [rbx + {STATE_INTERRUPT}], 0
    inc dword ptr [rbx + {STATE_AT_SAFEPOINT}]
    call {PyErr_CheckSignals}
    dec dword ptr [rbx + {STATE_AT_SAFEPOINT}]
    test eax, eax
    jnz raised
    {HOST_RETURN}
    {RESUME_WASM}
    ret
raised:
    jmp {EXIT_RAISED}
    {HOST_COLD}
"""
