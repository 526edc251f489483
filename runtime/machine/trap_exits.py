"""Hand-written code that ends a call by an exception: one that Python raised, or a trap. Register use: see `entry_exit`."""

from __future__ import annotations

from typing import Final

# An exception leaves an activation, or shall, that is not the innermost of its thread: see CHECK_ORDER. In: rbx, rbp, the entry frame in
# r13, the activation's number in r12. Stacks that are in use stay so, and what the store has as its innermost activation if that is another. This
# is put right when no activation of the thread is left; until then its entries call `_attach`.
LEAVE_OUT_OF_ORDER: Final = """
    mov dword ptr [rbp + {THREAD_DISORDER}], 1
    mov qword ptr [rbp + {THREAD_FS}], 0
    mov rsp, r13
    pop rax
    pop rcx
    add rsp, 8
    cmp r12, [rbx + {STATE_ACTIVATION}]
    jne another_inside
    mov [rbx + {STATE_NATIVE_STACK}], rax
    mov [rbx + {STATE_ACTIVATION}], rcx
another_inside:
    dec dword ptr [rbp + {THREAD_DEPTH}]
    {POP_GS}
    pop rax
    jmp rax
    {LEAVE_COLD}
"""
# In: as HOST_CALL left it.
RETURN_OUT_OF_ORDER: Final = """
    {FIND_FRAME}
    mov rdi, {WasmtimeError}
    mov rsi, {OUT_OF_ORDER_MESSAGE}
    call {PyErr_SetString}
    jmp {LEAVE_OUT_OF_ORDER}
"""

# Python code called from wasm has raised. In: as HOST_CALL left it. HOOK_PASSING(exception, rsp of the wasm stack).
EXIT_RAISED: Final = """
    {CHECK_ORDER}
    mov rax, [rsp + {CALL_STACK}]  # where native stacks take turns, the thread record may have another's
    mov [rbp + {THREAD_STACK}], rax
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
out_of_order:
    {FIND_FRAME}
    jmp {LEAVE_OUT_OF_ORDER}
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
    {CALL_WITH_ONE}
    test rax, rax
    jz raised
    mov r12, rax
    mov rdi, [rax + {TYPE_OF_OBJECT}]
    mov rsi, rax
    call {PyErr_SetObject}        # not raised by the hook: that would make a frame object for the traceback
    mov rdi, r12
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
