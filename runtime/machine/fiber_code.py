"""Machine code of calls that can be suspended: see `fibers`.

Such a call runs on a wasm stack of its own. To suspend it, the part of the native stack that the host call made is moved into the
fiber record, and the entry returns. The next entry moves it back, below its own entry frame, and goes on as the host call would
have. Between wasm and entry there is no Python frame at that time: the Python function has returned.
"""

from __future__ import annotations

from typing import Final

# The host call in progress shall be suspended; the fiber record is in CALL_CONTEXT. In: rbx, rbp, the call buffer at [rsp].
SUSPEND: Final = """
    mov r12, [rsp + {CALL_CONTEXT}]
    mov dword ptr [r12 + {FIBER_STATUS}], 1
    mov rsi, rsp
    lea rdi, [r12 + {FIBER_CALL}]
    mov ecx, {FIBER_CALL_WORDS}
    rep movsq
    jmp {EXIT_FAILED}
"""

# The rest of a host call that was suspended. In: as HOST_CALL left it, but for the GIL; r15 any context of the store.
RESUMED: Final = """
    {TAKE_GIL}
    {RETURN_RESULTS}
    {HOST_COLD}
"""

# Where the activation's number is in the entry frame, which is a new one: see CHECK_ORDER.
ORDER_OF_RESUMED_SAME: Final = """
    lea rax, [rsp + {FIBER_CALL_SIZE}]
    mov [rsp + {CALL_SIZE} + 8], rax
    mov rcx, [rbx + {STATE_ACTIVATION}]
    mov [rax + {FRAME_GS}], rcx
"""

# int run(fiber record): a C function for ctypes, which begins a call or goes on with it. Returns FIBER_STATUS. While wasm runs on
# the fiber's stack, the thread record has its bounds.
FIBER_ENTRY: Final = """
    {PUSH_SAVED}
    sub rsp, 8
    mov [rsp], rdi
    mov r12, rdi
    mov dword ptr [r12 + {FIBER_STATUS}], -1
    mov qword ptr [r12 + {FIBER_OUTER_LIMIT}], 0
    mov r15, [r12 + {FIBER_CONTEXT}]
    {ENTER}
    mov rax, [rbp + {THREAD_STACK_LOW}]
    mov [r12 + {FIBER_OUTER_LOW}], rax
    mov rax, [rbp + {THREAD_STACK_LIMIT}]
    mov [r12 + {FIBER_OUTER_LIMIT}], rax
    mov rax, [r12 + {FIBER_STACK_LOW}]
    mov [rbp + {THREAD_STACK_LOW}], rax
    add rax, {ENTRY_RESERVE}
    mov [rbp + {THREAD_STACK_LIMIT}], rax
    mov rax, [r12 + {FIBER_STACK_HIGH}]
    sub rax, [rbx + {STATE_MAX_STACK}]
    mov [rbx + {STATE_STACK_LIMIT}], rax
    cmp dword ptr [r12 + {FIBER_STARTED}], 0
    jne resume
    mov dword ptr [r12 + {FIBER_STARTED}], 1
    mov rax, [rbx + {STATE_ACTIVATION}]
    mov [r12 + {FIBER_ACTIVATION}], rax
    mov rcx, [r12 + {FIBER_DEADLINE}]
    test rcx, rcx
    jz unlimited
    {BEGIN_DEADLINE}
unlimited:
    mov rsp, [r12 + {FIBER_STACK_HIGH}]
    mov r13, [r12 + {FIBER_BUFFER}]
    mov r12, [r12 + {FIBER_RECORD}]
    {CALL_WITH_BUFFER}
    {LEAVE}
    mov r12, [rsp]
    mov dword ptr [r12 + {FIBER_STATUS}], 0
failed:
    mov r12, [rsp]
    mov rax, [r12 + {FIBER_OUTER_LIMIT}]
    test rax, rax
    jz bounded
    mov [rbp + {THREAD_STACK_LIMIT}], rax
    mov rax, [r12 + {FIBER_OUTER_LOW}]
    mov [rbp + {THREAD_STACK_LOW}], rax
bounded:
    mov eax, [r12 + {FIBER_STATUS}]
    cmp eax, 1
    je out
ended:
    mov rcx, [r12 + {FIBER_DEADLINE}]
    test rcx, rcx
    jz out
    {END_DEADLINE}
out:
    add rsp, 8
    {POP_SAVED}
    ret
resume:
    mov rax, [r12 + {FIBER_ACTIVATION}]
    mov [rbx + {STATE_ACTIVATION}], rax
    sub rsp, {FIBER_CALL_SIZE}
    lea rsi, [r12 + {FIBER_CALL}]
    mov rdi, rsp
    mov ecx, {FIBER_CALL_WORDS}
    rep movsq
    {ORDER_OF_RESUMED}
    mov rax, [rsp + {CALL_STACK}]
    mov [rbp + {THREAD_STACK}], rax
    jmp {RESUMED}
refused:
    mov eax, -1
    jmp ended
    {ENTER_COLD}
    {LEAVE_COLD}
"""
