"""Native builtins: memory.fill, memory.copy, memory.init (operands as in `brolga.jit.builtins`, by the internal calling convention).

They use no stack, since it may be full. All operands are zero-extended 32-bit numbers, so that sums cannot overflow 64 bits. All
bounds are compared before anything is written.
"""

from __future__ import annotations

from typing import Final

# edi memory, esi destination, edx byte, ecx length
MEMORY_FILL: Final = """
    mov rax, [r15 + {CTX_MEMORIES}]
    mov rax, [rax + rdi*8]
    lea r10, [rsi + rcx]
    cmp r10, [rax + {MEMORY_LENGTH}]
    ja out_of_bounds
    mov rdi, [rax + {MEMORY_BASE}]
    add rdi, rsi
    mov eax, edx
    rep stosb
    ret
out_of_bounds:
    mov eax, {MEMORY_OUT_OF_BOUNDS}
    jmp {BUILTIN_TRAP}
"""

# rdi destination, rsi source, rcx length: areas that may overlap. Forwards unless the destination begins within the source.
MOVE: Final = """
    mov rax, rdi
    sub rax, rsi
    cmp rax, rcx
    jb backwards
    cmp rcx, 256
    ja by_string
    cmp rcx, 16
    jb tail
blocks:
    movups xmm0, [rsi]
    movups [rdi], xmm0
    add rsi, 16
    add rdi, 16
    sub rcx, 16
    cmp rcx, 16
    jae blocks
tail:
    test rcx, rcx
    jz done
one_byte:
    mov al, [rsi]
    mov [rdi], al
    inc rsi
    inc rdi
    dec rcx
    jnz one_byte
done:
    ret
by_string:
    rep movsb
    ret
backwards:
    test rax, rax
    jz done
    cmp rcx, 16
    jb tail_backwards
blocks_backwards:
    movups xmm0, [rsi + rcx - 16]
    movups [rdi + rcx - 16], xmm0
    sub rcx, 16
    cmp rcx, 16
    jae blocks_backwards
tail_backwards:
    test rcx, rcx
    jz done
    mov al, [rsi + rcx - 1]
    mov [rdi + rcx - 1], al
    dec rcx
    jmp tail_backwards
"""

# edi destination memory, esi source memory, edx destination, ecx source, r8d length
MEMORY_COPY: Final = """
    mov rax, [r15 + {CTX_MEMORIES}]
    mov rdi, [rax + rdi*8]
    mov rsi, [rax + rsi*8]
    lea r10, [rdx + r8]
    cmp r10, [rdi + {MEMORY_LENGTH}]
    ja out_of_bounds
    lea r10, [rcx + r8]
    cmp r10, [rsi + {MEMORY_LENGTH}]
    ja out_of_bounds
    mov rdi, [rdi + {MEMORY_BASE}]
    add rdi, rdx
    mov rsi, [rsi + {MEMORY_BASE}]
    add rsi, rcx
    mov rcx, r8
    {MOVE}
out_of_bounds:
    mov eax, {MEMORY_OUT_OF_BOUNDS}
    jmp {BUILTIN_TRAP}
"""

# edi memory, esi segment, edx destination, ecx source, r8d length
MEMORY_INIT: Final = """
    mov rax, [r15 + {CTX_MEMORIES}]
    mov rdi, [rax + rdi*8]
    lea r10, [rdx + r8]
    cmp r10, [rdi + {MEMORY_LENGTH}]
    ja out_of_bounds
    shl rsi, 4
    add rsi, [r15 + {CTX_DATA_SEGMENTS}]
    lea r10, [rcx + r8]
    cmp r10, [rsi + 8]
    ja out_of_bounds
    mov rdi, [rdi + {MEMORY_BASE}]
    add rdi, rdx
    mov rsi, [rsi]
    add rsi, rcx
    mov rcx, r8
    {MOVE}
out_of_bounds:
    mov eax, {MEMORY_OUT_OF_BOUNDS}
    jmp {BUILTIN_TRAP}
"""
