"""Native builtins: memory.fill, memory.copy, memory.init (operands as in `brolga.jit.builtins`, by the internal calling convention).

They use no stack where that is the wasm stack, since it may be full. All operands are zero-extended 32-bit numbers, so that sums cannot
overflow 64 bits. All bounds are compared before anything is written.

A routine may take seconds, and can be ended in the middle; what it has written stays. Where there are signals, one may come at any
instruction and lead to the safepoint, so: r15 stays as it is, rsp at the return address, and what is read from records must be right
if a segment is dropped or a memory grows in between (its bytes do not move then). Elsewhere what is large is done by pieces, between
which the routine polls.
"""

from __future__ import annotations

from typing import Final

# From these sizes on string instructions are as fast as blocks of vectors.
STRING_MOVE: Final = 4096
STRING_FILL: Final = 2048
# What takes some tens of microseconds.
PIECE: Final = 1 << 18


def symbols(avx: bool, polls: bool) -> dict[str, object]:
    """What the texts below name, with vectors of 32 bytes or of 16, with polls between pieces or without."""
    size = 32 if avx else 16
    multiples = {f"V{i}" if i > 1 else "V": size * i for i in (1, 2, 3, 4, 8)}
    words = {"LOAD": "vmovups", "R": "ymm"} if avx else {"LOAD": "movups", "R": "xmm"}
    return {
        **multiples,
        **words,
        "RETURN": "vzeroupper\n    ret" if avx else "ret",
        "MOVE_16_TO_32": MOVE_16_TO_32 if avx else "",
        "FILL_16_TO_32": FILL_16_TO_32 if avx else "",
        "BROADCAST": "vinsertf128 ymm0, ymm0, xmm0, 1" if avx else "",
        "STRING_MOVE": STRING_MOVE,
        "STRING_FILL": STRING_FILL,
        "MOVE": MOVE,
        "PIECE": PIECE,
        "FILL_BY_PIECES": FILL_BY_PIECES if polls else "",
        "MOVE_BY_PIECES": MOVE_BY_PIECES if polls else "",
        "MOVE_BY_PIECES_COLD": MOVE_BY_PIECES_COLD if polls else "",
    }


# edi memory, esi destination, edx byte, ecx length
MEMORY_FILL: Final = """
    mov rax, [r15 + {CTX_MEMORIES}]
    mov rax, [rax + rdi*8]
    lea r10, [rsi + rcx]
    cmp r10, [rax + {MEMORY_LENGTH}]
    ja out_of_bounds
    mov rdi, [rax + {MEMORY_BASE}]
    add rdi, rsi
    movzx eax, dl
    mov rdx, 0x0101010101010101
    imul rax, rdx
    cmp rcx, 16
    jb under_16
    cmp rcx, {STRING_FILL}
    ja by_string
    movq xmm0, rax
    punpcklqdq xmm0, xmm0
    {FILL_16_TO_32}
    {BROADCAST}
    {LOAD} [rdi + rcx - {V}], {R}0
    cmp rcx, {V2}
    jbe first
    {LOAD} [rdi + rcx - {V2}], {R}0
    {LOAD} [rdi + {V}], {R}0
    cmp rcx, {V4}
    jbe first
    {LOAD} [rdi + rcx - {V3}], {R}0
    {LOAD} [rdi + rcx - {V4}], {R}0
    lea rcx, [rdi + rcx - {V4}]
blocks:
    {LOAD} [rdi], {R}0
    {LOAD} [rdi + {V}], {R}0
    {LOAD} [rdi + {V2}], {R}0
    {LOAD} [rdi + {V3}], {R}0
    add rdi, {V4}
    cmp rdi, rcx
    jb blocks
    {RETURN}
first:
    {LOAD} [rdi], {R}0
    {RETURN}
by_string:
    {FILL_BY_PIECES}
    rep stosb
    ret
under_16:
    cmp ecx, 8
    jb under_8
    mov [rdi], rax
    mov [rdi + rcx - 8], rax
    ret
under_8:
    cmp ecx, 4
    jb under_4
    mov [rdi], eax
    mov [rdi + rcx - 4], eax
    ret
under_4:
    test ecx, ecx
    jz done
    mov [rdi], al
    mov [rdi + rcx - 1], al
    shr ecx, 1
    mov [rdi + rcx], al
done:
    ret
out_of_bounds:
    mov eax, {MEMORY_OUT_OF_BOUNDS}
    jmp {BUILTIN_TRAP}
"""

# With vectors of 32 bytes.
FILL_16_TO_32: Final = """
    cmp rcx, 32
    jae vectors
    movups [rdi], xmm0
    movups [rdi + rcx - 16], xmm0
    ret
vectors:
"""
MOVE_16_TO_32: Final = """
    cmp rcx, 32
    jae vectors
    movups xmm0, [rsi]
    movups xmm1, [rsi + rcx - 16]
    movups [rdi], xmm0
    movups [rdi + rcx - 16], xmm1
    ret
vectors:
"""

# The byte in al.
FILL_BY_PIECES: Final = """
    mov r8d, eax
    jmp piece_or_less
next_piece:
    lea r9, [rcx - {PIECE}]
    mov ecx, {PIECE}
    rep stosb
    mov rcx, r9
    mov rdx, [r15 + {CTX_ACTIVATION}]
    cmp dword ptr [rdx + {STATE_INTERRUPT}], 0
    je piece_or_less
    lea r11, [rip + piece_or_less]
    jmp {POLL_IN_BULK}
piece_or_less:
    mov eax, r8d
    cmp rcx, {PIECE}
    ja next_piece
"""
# Pieces go in the direction in which the bytes within them go. The last one may have any size.
MOVE_BY_PIECES: Final = """
    cmp rcx, {PIECE}
    ja by_pieces
piece_or_less:
"""
MOVE_BY_PIECES_COLD: Final = """
by_pieces:
    mov rax, rdi
    sub rax, rsi
    cmp rax, rcx
    jb last_piece
first_piece:
    lea r8, [rcx - {PIECE}]
    lea r9, [rdi + {PIECE}]
    lea r10, [rsi + {PIECE}]
    mov ecx, {PIECE}
    call piece_or_less
    mov rdi, r9
    mov rsi, r10
    mov rcx, r8
    mov rax, [r15 + {CTX_ACTIVATION}]
    cmp dword ptr [rax + {STATE_INTERRUPT}], 0
    je more_pieces
    lea r11, [rip + more_pieces]
    jmp {POLL_IN_BULK}
more_pieces:
    cmp rcx, {PIECE}
    ja first_piece
    jmp piece_or_less
last_piece:
    lea r8, [rcx - {PIECE}]
    mov r9, rdi
    mov r10, rsi
    add rdi, r8
    add rsi, r8
    mov ecx, {PIECE}
    call piece_or_less
    mov rdi, r9
    mov rsi, r10
    mov rcx, r8
    mov rax, [r15 + {CTX_ACTIVATION}]
    cmp dword ptr [rax + {STATE_INTERRUPT}], 0
    je more_pieces_before
    lea r11, [rip + more_pieces_before]
    jmp {POLL_IN_BULK}
more_pieces_before:
    cmp rcx, {PIECE}
    ja last_piece
    jmp piece_or_less
"""

# rdi destination, rsi source, rcx length: areas that may overlap. Up to eight vectors are all read before any is written. More go
# in blocks of four, forwards unless the destination begins within the source, and the four at the end that the blocks lead to are
# read before. Vectors at both ends may overlap each other, so no byte is moved by itself.
MOVE: Final = """
    {MOVE_BY_PIECES}
    cmp rcx, 16
    jb under_16
    {MOVE_16_TO_32}
    {LOAD} {R}0, [rsi]
    {LOAD} {R}7, [rsi + rcx - {V}]
    cmp rcx, {V2}
    jbe store_2
    {LOAD} {R}1, [rsi + {V}]
    {LOAD} {R}6, [rsi + rcx - {V2}]
    cmp rcx, {V4}
    jbe store_4
    {LOAD} {R}2, [rsi + {V2}]
    {LOAD} {R}3, [rsi + {V3}]
    {LOAD} {R}4, [rsi + rcx - {V4}]
    {LOAD} {R}5, [rsi + rcx - {V3}]
    cmp rcx, {V8}
    ja large
    {LOAD} [rdi + {V2}], {R}2
    {LOAD} [rdi + {V3}], {R}3
    {LOAD} [rdi + rcx - {V4}], {R}4
    {LOAD} [rdi + rcx - {V3}], {R}5
store_4:
    {LOAD} [rdi + {V}], {R}1
    {LOAD} [rdi + rcx - {V2}], {R}6
store_2:
    {LOAD} [rdi], {R}0
    {LOAD} [rdi + rcx - {V}], {R}7
    {RETURN}
large:
    mov rax, rdi
    sub rax, rsi
    cmp rax, rcx
    jb backwards
    cmp rcx, {STRING_MOVE}
    ja by_string
forwards:
    lea rdx, [rdi + rcx - {V4}]
    {LOAD} [rdi], {R}0
    {LOAD} [rdi + {V}], {R}1
    {LOAD} [rdi + {V2}], {R}2
    {LOAD} [rdi + {V3}], {R}3
    add rsi, {V4}
    add rdi, {V4}
blocks:
    {LOAD} {R}0, [rsi]
    {LOAD} {R}1, [rsi + {V}]
    {LOAD} {R}2, [rsi + {V2}]
    {LOAD} {R}3, [rsi + {V3}]
    add rsi, {V4}
    {LOAD} [rdi], {R}0
    {LOAD} [rdi + {V}], {R}1
    {LOAD} [rdi + {V2}], {R}2
    {LOAD} [rdi + {V3}], {R}3
    add rdi, {V4}
    cmp rdi, rdx
    jb blocks
    {LOAD} [rdx], {R}4
    {LOAD} [rdx + {V}], {R}5
    {LOAD} [rdx + {V2}], {R}6
    {LOAD} [rdx + {V3}], {R}7
    {RETURN}
by_string:                        # which is slow where the source is close behind the destination
    neg rax
    cmp rax, 64
    jb forwards
    rep movsb
    {RETURN}
backwards:
    test rax, rax
    jz moved
    mov rdx, rcx
    {LOAD} [rdi + rdx - {V}], {R}7
    {LOAD} [rdi + rdx - {V2}], {R}6
    {LOAD} [rdi + rdx - {V3}], {R}5
    {LOAD} [rdi + rdx - {V4}], {R}4
    sub rdx, {V4}
blocks_backwards:
    {LOAD} {R}4, [rsi + rdx - {V4}]
    {LOAD} {R}5, [rsi + rdx - {V3}]
    {LOAD} {R}6, [rsi + rdx - {V2}]
    {LOAD} {R}7, [rsi + rdx - {V}]
    {LOAD} [rdi + rdx - {V4}], {R}4
    {LOAD} [rdi + rdx - {V3}], {R}5
    {LOAD} [rdi + rdx - {V2}], {R}6
    {LOAD} [rdi + rdx - {V}], {R}7
    sub rdx, {V4}
    cmp rdx, {V4}
    ja blocks_backwards
    {LOAD} [rdi], {R}0
    {LOAD} [rdi + {V}], {R}1
    {LOAD} [rdi + {V2}], {R}2
    {LOAD} [rdi + {V3}], {R}3
moved:
    {RETURN}
under_16:
    cmp ecx, 8
    jb under_8
    mov rax, [rsi]
    mov rdx, [rsi + rcx - 8]
    mov [rdi], rax
    mov [rdi + rcx - 8], rdx
    ret
under_8:
    cmp ecx, 4
    jb under_4
    mov eax, [rsi]
    mov edx, [rsi + rcx - 4]
    mov [rdi], eax
    mov [rdi + rcx - 4], edx
    ret
under_4:
    test ecx, ecx
    jz done
    movzx eax, byte ptr [rsi]
    movzx edx, byte ptr [rsi + rcx - 1]
    mov r8d, ecx
    shr r8d, 1
    movzx r9d, byte ptr [rsi + r8]
    mov [rdi], al
    mov [rdi + r8], r9b
    mov [rdi + rcx - 1], dl
done:
    ret
    {MOVE_BY_PIECES_COLD}
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
    mov r9, [rsi]                 # before the length: it may be dropped in between
    lea r10, [rcx + r8]
    cmp r10, [rsi + 8]
    ja out_of_bounds
    mov rdi, [rdi + {MEMORY_BASE}]
    add rdi, rdx
    lea rsi, [r9 + rcx]
    mov rcx, r8
    {MOVE}
out_of_bounds:
    mov eax, {MEMORY_OUT_OF_BOUNDS}
    jmp {BUILTIN_TRAP}
"""
