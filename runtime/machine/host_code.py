"""Machine code of host calls: a routine per signature that calls a Python function with Python objects.

Results that are not exactly int, float or None, or not in range, are converted by the Python callable in HOST_RESULTS of the host
context. Signatures without a fast routine use the generic one (`host_calls.HOST_GENERIC`).
"""

from __future__ import annotations

from typing import Final

from brolga.jit.wasm.types import F32, I32, I64, FuncType

from . import layout as L
from .calls import STACK_WORD, call_layout
from .entry_code import BOXING
from .entry_layout import NUMBERS

MOST_FAST_PARAMS: Final = 32

# The host context is in r11. After HOST_CALL: the call buffer at [rsp], the context in r12. Below it go, from rsp upwards, a free word (which the callee may use:
# PY_VECTORCALL_ARGUMENTS_OFFSET) and the argument objects. r13 counts the objects made.
_BEFORE: Final = """
    {HOST_CALL}
    mov r14, rsp
    sub rsp, {SPACE}
    xor r13d, r13d
"""
_ARGUMENT: Final = """
{LOAD}
    call {FUNCTION}
    test rax, rax
    jz drop
    inc r13d
    mov [rsp + r13*8], rax
"""
_CALL: Final = """
    mov rdi, [r12 + {HOST_CALLABLE}]
    lea rsi, [rsp + 8]
    mov rdx, {COUNT_AND_FLAG}
    xor ecx, ecx
    call {PyObject_Vectorcall}
    mov [rsp], rax
release:
    test r13d, r13d
    jz released
    mov rdi, [rsp + r13*8]
    call {Py_DecRef}
    dec r13d
    jmp release
released:
    mov r13, [rsp]
    mov rsp, r14
    test r13, r13
    jz raised
"""
_NO_RESULT: Final = """
    mov rax, {None}
    cmp r13, rax
    jne odd_result
"""
_INT_RESULT: Final = """
    mov rax, {PyLong_Type}
    cmp [r13 + {TYPE_OF_OBJECT}], rax
    jne odd_result
    mov rdi, r13
    call {PyLong_AsLong}
    cmp rax, -1
    je minus_one
number:
    {RANGE}
    mov [rsp + {CALL_RESULT_GPRS}], rax
"""
_I32_RANGE: Final = """
    mov ecx, 0x80000000
    add rcx, rax
    shr rcx, 31
    cmp rcx, 2
    ja odd_result
    mov eax, eax
"""
_FLOAT_RESULT: Final = """
    mov rax, {PyFloat_Type}
    cmp [r13 + {TYPE_OF_OBJECT}], rax
    jne odd_result
    {FETCH_FLOAT}
    movsd [rsp + {CALL_RESULT_XMMS}], xmm0
"""
_AFTER: Final = """
    mov rdi, r13
    call {Py_DecRef}
converted:
    {HOST_RETURN}
    {LOAD_RESULT}
    {RESUME_WASM}
    ret
drop:
    mov qword ptr [rsp], 0
    jmp release
odd_result:                       # HOST_RESULTS(buffer, result): None, or another object to suspend the call
    mov rdi, rsp
    sub rsp, 32
    mov [rsp + 16], r13
    call {PyLong_FromUnsignedLongLong}
    mov [rsp + 8], rax
    xor r14d, r14d
    test rax, rax
    jz unconverted
    mov rdi, [r12 + {HOST_RESULTS}]
    lea rsi, [rsp + 8]
    mov edx, 2
    xor ecx, ecx
    call {PyObject_Vectorcall}
    mov r14, rax
    mov rdi, [rsp + 8]
    call {Py_DecRef}
unconverted:
    mov rdi, r13
    call {Py_DecRef}
    add rsp, 32
    test r14, r14
    jz raised
    mov rdi, r14
    call {Py_DecRef}
    mov rax, {None}
    cmp r14, rax
    je converted
    jmp {SUSPEND}
raised:
    jmp {EXIT_RAISED}
    {HOST_COLD}
"""
_MINUS_ONE: Final = """
minus_one:
    call {PyErr_Occurred}
    test rax, rax
    mov rax, -1
    jz number
    call {PyErr_Clear}
    jmp odd_result
"""


def has_fast_host_call(type: FuncType) -> bool:
    return (
        len(type.params) <= MOST_FAST_PARAMS
        and len(type.results) <= 1
        and NUMBERS.issuperset(type.params + type.results)
    )


def fast_host_call(type: FuncType) -> tuple[str, dict[str, object]]:
    """Text and symbols of the routine for a signature that `has_fast_host_call`."""
    layout = call_layout(type)
    lines = [_BEFORE]
    for value_type, word in zip(type.params, layout.params):
        if word >= STACK_WORD:
            fetch, place = f"    mov r11, [r14 + {L.CALL_STACK}]\n", f"r11 + {8 + 8 * (word - STACK_WORD)}"
        else:
            fetch, place = "", f"r14 + {8 * word}"
        load, function = BOXING[value_type]
        lines.append(_ARGUMENT.replace("{LOAD}", fetch + load.format(place)).replace("{FUNCTION}", function))
    lines.append(_CALL)
    load_result = ""
    if not type.results:
        lines.append(_NO_RESULT)
    elif type.results[0] in (I32, I64):
        lines.append(_INT_RESULT.replace("{RANGE}", _I32_RANGE if type.results[0] == I32 else ""))
        load_result = "mov rax, [rsp + {CALL_RESULT_GPRS}]"
    else:
        convert = "cvtsd2ss" if type.results[0] == F32 else "movsd"
        lines.append(_FLOAT_RESULT.replace("{FETCH_FLOAT}", convert + " xmm0, qword ptr [r13 + {VALUE_OF_FLOAT}]"))
        load_result = "movsd xmm0, qword ptr [rsp + {CALL_RESULT_XMMS}]"
    lines.append(_AFTER)
    if type.results and type.results[0] in (I32, I64):
        lines.append(_MINUS_ONE)
    symbols = {
        "SPACE": -(-(8 * len(type.params) + 8) // 16) * 16,
        "COUNT_AND_FLAG": hex(len(type.params) | 1 << 63),
        "LOAD_RESULT": load_result,
    }
    return "\n".join(lines), symbols
