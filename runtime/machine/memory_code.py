"""Hand-written code for memories and tables: the routine of `changes`, and those of `pages`."""

from __future__ import annotations

from typing import Final

from . import changes, pages

# int apply(change): rbx change, r12 record, r13 and r14 go over the slots.
CHANGE: Final = """
    push rbx
    push r12
    push r13
    push r14
    sub rsp, 8
    mov rbx, rdi
    mov r12, [rbx + {CHANGE_RECORD}]
    mov rax, [rbx + {CHANGE_BASE}]
    cmp rax, [r12 + {MEMORY_BASE}]
    jne changed
    mov rax, [rbx + {CHANGE_LENGTH}]
    cmp rax, [r12 + {MEMORY_LENGTH}]
    jne changed
    mov rax, [rbx + {CHANGE_NEW_BASE}]
    mov ecx, [rbx + {CHANGE_KIND}]
    cmp ecx, {COMMIT}
    je commit
    cmp ecx, {REMAP}
    je remap
    cmp ecx, {COPY}
    je copy
publish:
    mov [r12 + {MEMORY_BASE}], rax
    mov rax, [rbx + {CHANGE_NEW_LENGTH}]
    mov [r12 + {MEMORY_LENGTH}], rax
    lea r13, [rbx + {CHANGE_SLOTS}]
    mov r14, [rbx + {CHANGE_COUNT}]
    jmp swap_next
swap:
    mov rdi, [r13 + 8]
    call {Py_NewRef}
    mov rdx, [r13]
    mov rcx, [rdx]
    mov [rdx], rax
    mov [r13 + 8], rcx
    add r13, 16
swap_next:
    dec r14
    jns swap
    lea r13, [rbx + {CHANGE_SLOTS}]   # from here on Python may run
    mov r14, [rbx + {CHANGE_COUNT}]
    jmp drop_next
drop:
    mov rdi, [r13 + 8]
    call {Py_DecRef}
    add r13, 16
drop_next:
    dec r14
    jns drop
    xor eax, eax
out:
    add rsp, 8
    pop r14
    pop r13
    pop r12
    pop rbx
    ret
changed:
    mov eax, {CHANGED}
    jmp out
refused:
    mov eax, {REFUSED}
    jmp out
commit:
    mov rdi, [r12 + {MEMORY_BASE}]
    mov rax, [rbx + {CHANGE_LENGTH}]
    add rdi, rax
    mov rsi, [rbx + {CHANGE_NEW_LENGTH}]
    sub rsi, rax
    mov edx, 3
    mov eax, 10
    syscall
    test eax, eax
    jnz refused
    mov rax, [r12 + {MEMORY_BASE}]
    jmp publish
remap:
    mov rdi, [r12 + {MEMORY_BASE}]
    mov rsi, [rbx + {CHANGE_CAPACITY}]
    cmp rsi, [r12 + {BLOCK_CAPACITY}]
    jne changed
    mov rdx, [rbx + {CHANGE_NEW_CAPACITY}]
    mov r10, [rbx + {CHANGE_MAY_MOVE}]
    mov rax, [rbx + {CHANGE_VIEWS}]
    cmp qword ptr [rax], 0
    je no_view
    xor r10d, r10d
no_view:
    mov eax, 25
    syscall
    cmp rax, -4096
    ja refused
    mov rdx, [rbx + {CHANGE_NEW_CAPACITY}]
    mov [r12 + {BLOCK_CAPACITY}], rdx
    jmp publish
copy:
    mov rcx, [rbx + {CHANGE_VIEWS}]
    test rcx, rcx
    jz copy_all
    cmp qword ptr [rcx], 0
    jne refused
copy_all:
    mov rdi, rax
    mov rsi, [r12 + {MEMORY_BASE}]
    mov rcx, [rbx + {CHANGE_COPIED}]
    rep movsb
    mov rdx, [rbx + {CHANGE_NEW_CAPACITY}]
    mov [r12 + {BLOCK_CAPACITY}], rdx
    jmp publish
"""

# getbuffer(block, view, flags): PyBuffer_FillInfo(view, block, base, length, readonly = 0, flags)
GETBUFFER_OF_BLOCK: Final = """
    mov rcx, [rdi + {PAGES_RECORD}]
    sub rsp, 8
    test rcx, rcx
    jz closed
    mov [rsp], rdi
    mov rax, rdi
    mov r9d, edx
    xor r8d, r8d
    mov rdi, rsi
    mov rsi, rax
    mov rdx, [rcx + {MEMORY_BASE}]
    mov rcx, [rcx + {MEMORY_LENGTH}]
    call {PyBuffer_FillInfo}
    test eax, eax
    jnz out
    mov rcx, [rsp]
    inc qword ptr [rcx + {PAGES_VIEWS}]
out:
    add rsp, 8
    ret
closed:
    mov qword ptr [rsi + 8], 0
    mov rdi, {ClosedError}
    mov rsi, {CLOSED_MESSAGE}
    call {PyErr_SetString}
    mov eax, -1
    jmp out
"""
RELEASEBUFFER_OF_BLOCK: Final = """
    dec qword ptr [rdi + {PAGES_VIEWS}]
    ret
"""

SYMBOLS: Final = {
    **{name: getattr(changes, name) for name in ("COMMIT", "REMAP", "COPY", "CHANGED", "REFUSED")},
    "PAGES_VIEWS": pages.PAGES_VIEWS,
    "PAGES_RECORD": pages.PAGES_RECORD,
}
