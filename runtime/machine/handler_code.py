"""Machine code that puts our signal handlers in place again after others have changed them: see `fault_handlers`."""

from __future__ import annotations

import signal
from typing import Final

from ..platform.linux import SA_NODEFER, SA_ONSTACK, SA_RESTART, SA_SIGINFO

FAULTS: Final = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)

# Cells of the fault handler, after one another: handlers by signal number.
ORIGINAL: Final = 0  # installed before us, or 0 or 1 where somebody has made that the action
LATER: Final = 65 * 8  # installed after us, when we took the first place back
LAST_PC: Final = 130 * 8  # the last fault that went to a later handler, and how many times in a row
LAST_ADDRESS: Final = 131 * 8
LAST_COUNT: Final = 132 * 8
RESTORER: Final = 133 * 8  # the C library's way back from handlers
HANDLER_CELLS: Final = 134 * 8

DIVERSION_FLAGS: Final = SA_SIGINFO | SA_ONSTACK | SA_RESTART
FAULT_FLAGS: Final = DIVERSION_FLAGS | SA_NODEFER
_SA_RESTORER: Final = 0x0400_0000

SYMBOLS: Final = {
    "ORIGINAL": ORIGINAL,
    "LATER": LATER,
    "LAST_PC": LAST_PC,
    "LAST_ADDRESS": LAST_ADDRESS,
    "LAST_COUNT": LAST_COUNT,
    "RESTORER": RESTORER,
    "MENDED_DIVERSION_FLAGS": DIVERSION_FLAGS | _SA_RESTORER,
    "MENDED_FAULT_FLAGS": FAULT_FLAGS | _SA_RESTORER,
    "FAULT_NUMBERS": ", ".join(str(int(number)) for number in FAULTS),
}

# void mend(void): a C function that needs no GIL. On the stack a kernel sigaction: handler, flags, restorer, mask. The first call, after
# the handlers were installed through the C library, finds its restorer.
MEND_HANDLERS: Final = """
    push rbx
    push r12
    push r13
    sub rsp, 32
    lea rbx, [rip + numbers]
next:
    movzx r12d, byte ptr [rbx]
    test r12d, r12d
    jz done
    inc rbx
    mov eax, 13
    mov edi, r12d
    xor esi, esi
    mov rdx, rsp
    mov r10d, 8
    syscall
    mov r13, {FAULT_HANDLER}
    mov r8d, {MENDED_FAULT_FLAGS}
    cmp r12d, {DIVERSION_SIGNAL}
    jne a_fault
    mov r13, {DIVERSION_HANDLER}
    mov r8d, {MENDED_DIVERSION_FLAGS}
a_fault:
    mov rcx, {HANDLERS}
    mov rax, [rsp]
    cmp rax, r13
    je ours
    cmp rax, 1
    ja another
    mov [rcx + r12*8 + {ORIGINAL}], rax
    xor eax, eax
another:
    mov [rcx + r12*8 + {LATER}], rax
    mov [rsp], r13
    mov [rsp + 8], r8
    mov rax, [rcx + {RESTORER}]
    mov [rsp + 16], rax
    mov qword ptr [rsp + 24], 0
    mov eax, 13
    mov edi, r12d
    mov rsi, rsp
    xor edx, edx
    mov r10d, 8
    syscall
    jmp next
ours:
    mov rax, [rsp + 16]
    mov [rcx + {RESTORER}], rax
    jmp next
done:
    add rsp, 32
    pop r13
    pop r12
    pop rbx
    ret
numbers:
    .byte {FAULT_NUMBERS}, {DIVERSION_SIGNAL}, 0
"""

# In place of a C function of Python's that changes handlers or masks, which it calls: (self, arguments, ...) in up to four registers.
# Ours are put back, and let through, if the thread has ever been in wasm (others let them through when they enter it first).
AFTER_CHANGE: Final = """
    sub rsp, 24
    mov rax, {CHANGING_FUNCTION}
    call rax
    mov [rsp], rax
    call {MEND_HANDLERS}
    {FS_BASE_TO_RCX}
    mov r8, {CELLS}
    mov r8, [r8 + {CELL_THREADS}]
search:
    test r8, r8
    jz out
    cmp rcx, [r8 + {THREAD_FS}]
    je known
    mov r8, [r8 + {THREAD_NEXT}]
    jmp search
known:
    mov rax, {SIGNAL_SET}
    mov [rsp + 8], rax
    mov eax, 14                   # rt_sigprocmask(SIG_UNBLOCK)
    mov edi, 1
    lea rsi, [rsp + 8]
    xor edx, edx
    mov r10d, 8
    syscall
out:
    mov rax, [rsp]
    add rsp, 24
    ret
"""
