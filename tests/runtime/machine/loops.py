"""Functions that run for long, with and without polls."""

from __future__ import annotations

from brolga.jit import builtins
from brolga.jit.code import CompiledFunction
from brolga.jit.vmctx import ACTIVATION_INTERRUPT, CTX_BUILTINS

from .world import World, call_import, function

POLL = f"""
    mov rax, [r15]
    cmp dword ptr [rax + {ACTIVATION_INTERRUPT}], 0
    je no_interrupt
    mov rax, [r15 + {CTX_BUILTINS}]
    call [rax + {8 * builtins.INTERRUPT_POLL}]
no_interrupt:
"""
# State in every kind of register, the flags and the red zone; the result depends on all of it.
SUM = """
    push rbx
    push rbp
    push r12
    push r13
    push r14
    xor eax, eax
    xor ebx, ebx
    mov ebp, 3
    mov r8d, 5
    mov r9d, 7
    mov r10d, 11
    mov r11d, 13
    mov r12d, 17
    mov r13d, 19
    mov r14d, 23
    mov edx, 29
    mov esi, 31
    mov ecx, 1
    cvtsi2sd xmm1, ecx
    vcvtsi2sd xmm2, xmm2, edi
    vinsertf128 ymm2, ymm2, xmm1, 1
    pxor xmm0, xmm0
    vxorpd ymm5, ymm5, ymm5
    vinsertf128 ymm6, ymm5, xmm1, 1
loop:
    imul eax, eax, 1664525
    add eax, 1013904223
    adc ebx, 0
    mov [rsp - 64], ebx
    lea rbp, [rbp + rbp*2]
    add r8, rbp
    xor r9, r8
    rol r10, 7
    add r10, r9
    sub r11, r10
    add r12, r11
    xor r13, r12
    add r14, r13
    add rdx, r14
    xor rsi, rdx
    addsd xmm0, xmm1
    vaddpd ymm5, ymm5, ymm6
    vaddpd ymm2, ymm2, ymm2
    vextractf128 xmm3, ymm2, 1
    vaddsd xmm2, xmm3, xmm1
    vinsertf128 ymm2, ymm2, xmm1, 1
    mov ebx, [rsp - 64]
    dec edi
    jnz loop
    cvttsd2si ecx, xmm0
    add eax, ecx
    add eax, ebx
    add eax, esi
    vmovd ecx, xmm2
    add eax, ecx
    vextractf128 xmm5, ymm5, 1
    cvttsd2si ecx, xmm5
    add eax, ecx
    vzeroupper
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret
"""
# A poll is a call: only callee-saved registers and the stack keep their values.
POLLED_SUM = f"""
    push rbx
    push r12
    xor ebx, ebx
    mov r12d, edi
again:
    imul ebx, ebx, 1664525
    add ebx, 1013904223
    {POLL}
    dec r12d
    jnz again
    mov eax, ebx
    pop r12
    pop rbx
    ret
"""
ENDLESS = "start: jmp start\n"
ENDLESS_POLL = f"again:\n{POLL}\n jmp again\n"
HOST_LOOP = f"push rbp\nagain:\n mov edi, 1\n{call_import()}\n jmp again"


def summing(platform: str) -> CompiledFunction:
    return function(0, SUM if platform == "linux" else POLLED_SUM)


def endless(platform: str) -> World:
    return World([function(0, ENDLESS if platform == "linux" else ENDLESS_POLL)], platform)
