"""Machine code of entry points: a vectorcall function per signature, and the generic one that leads to Python.

A vectorcall function gets the callable in rdi, its arguments in rsi (the store first), their number in rdx (bit 63 is a flag), the
names of keyword arguments in rcx. The fast ones take int and float objects only and convert what is in range; anything else
goes to the slow one, which does the same call with Python's help and has the error messages.
"""

from __future__ import annotations

from typing import Final

from brolga.jit.wasm.types import F32, F64, I32, I64, IR_TYPE, FuncType
from brolga.jit.x64.abi import ARG_GPRS, ARG_XMMS, ON_STACK, RESULT_GPRS, RESULT_XMMS, XMM0, assign, stack_slots

from . import layout as L
from .entry_layout import BOUND, METHOD, NUMBERS, RECORDS_OF_INSTANCE
from .integers import DIGIT_OFFSET, SIGN_OFFSET, read_small_int

MOST_FAST_PARAMS: Final = 32
MOST_FAST_RESULTS: Final = 16
MOST_SLOW_ARGUMENTS: Final = 1200  # more than any signature has; they are copied on the stack

REGISTER_NAMES: Final = [
    "rax",
    "rcx",
    "rdx",
    "rbx",
    "rsp",
    "rbp",
    "rsi",
    "rdi",
    "r8",
    "r9",
    "r10",
    "r11",
    "r12",
    "r13",
    "r14",
    "r15",
]

# rdi callable, rsi arguments, rdx count and flag, rcx keyword names or 0: calls HOOK_SLOW_CALL(callable, *arguments).
SLOW_CALL: Final = """
    push rbp
    mov rbp, rsp
    push rbx
    push r12
    shl rdx, 1
    shr rdx, 1
    xor ebx, ebx
    test rcx, rcx
    jz counted
    mov rbx, [rcx + {SIZE_OF_TUPLE}]
counted:
    lea rax, [rdx + rbx]
    cmp rax, {MOST_SLOW_ARGUMENTS}
    ja too_many
copy:
    lea r8, [rax*8 + 31]
    and r8, -16
    sub rsp, r8
    mov [rsp + 8], rdi
    lea rdi, [rsp + 16]
    mov r8, rcx
    mov rcx, rax
    rep movsq
    mov rcx, r8
    mov rdi, {HOOK_SLOW_CALL}
    lea rsi, [rsp + 8]
    inc rdx
    call {PyObject_Vectorcall}
    lea rsp, [rbp - 16]
    pop r12
    pop rbx
    pop rbp
    ret
too_many:                         # for any function: that many of them will do to say so
    mov eax, {MOST_SLOW_ARGUMENTS}
    mov edx, eax
    xor ecx, ecx
    jmp copy
"""

_PROLOGUE: Final = """
    {PUSH_SAVED}
    sub rsp, {SPACE}
    test rcx, rcx
    jnz slow
    lea rax, [rdx + rdx]
    cmp rax, {TWICE_COUNT}
    jne slow
    {FIRST_CHECK}
    mov r12, rdi
    mov r13, rsi
"""
_STORE_CHECK: Final = """
    mov rax, [rsi]
    cmp rax, [rdi + {ENTRY_STORE}]
    jne slow
"""
_CLASS_CHECK: Final = """
    mov rax, [rsi]
    mov r8, [rdi + {ENTRY_STORE}]
    cmp [rax + {TYPE_OF_OBJECT}], r8
    jne slow
    cmp qword ptr [rax + {RECORDS_OF_INSTANCE}], 0
    je slow
"""
_INT_ARGUMENT: Final = """
    mov rdi, [r13 + {SOURCE}]
    mov rax, {PyLong_Type}
    cmp [rdi + {TYPE_OF_OBJECT}], rax
    jne slow_late
    {SMALL_INT}
    {CLEAR_UPPER}
stored{I}:
    mov [rsp + {TARGET}], rax
"""
_I32_RANGE: Final = """
    mov ecx, 0x80000000
    add rcx, rax
    shr rcx, 31
    cmp rcx, 2
    ja slow_late
    mov eax, eax
"""
_LARGE_INT: Final = """
large{I}:
    call {PyLong_AsLong}
    cmp rax, -1
    je check{I}
checked{I}:
    {RANGE}
    jmp stored{I}
check{I}:
    call {PyErr_Occurred}
    test rax, rax
    jnz clear
    mov rax, -1
    jmp checked{I}
"""
_FLOAT_ARGUMENT: Final = """
    mov rdi, [r13 + {SOURCE}]
    mov rax, {PyFloat_Type}
    cmp [rdi + {TYPE_OF_OBJECT}], rax
    jne slow_late
    mov rax, [rdi + {VALUE_OF_FLOAT}]
    mov [rsp + {TARGET}], rax
"""
_RECORD: Final = """
    mov r13, [r12 + {ENTRY_RECORD}]
"""
_RECORD_OF_METHOD: Final = """
    mov rax, [r13]
    mov rax, [rax + {RECORDS_OF_INSTANCE}]
    mov r13, [r12 + {ENTRY_RECORD}]
    mov r13, [rax + r13]
"""
_INTO_WASM: Final = """
    {RECORD}
    mov r15, [r13 + {FUNC_VMCTX}]
    {ENTER}
    lea r11, [rsp + {FRAME_SIZE}]
    {TO_WASM}
"""
_RETURN: Final = """
    add rsp, {SPACE}
    {POP_SAVED}
"""
_COLD: Final = """
failed:
refused:
    xor eax, eax
    {RETURN}
    ret
clear:
    call {PyErr_Clear}
slow_late:
    mov rdi, r12
    mov rsi, r13
    mov edx, {COUNT}
    xor ecx, ecx
slow:
    {RETURN}
    jmp {SLOW_CALL}
    {ENTER_COLD}
    {LEAVE_COLD}
"""


def has_fast_entry(type: FuncType) -> bool:
    return (
        len(type.params) <= MOST_FAST_PARAMS
        and len(type.results) <= MOST_FAST_RESULTS
        and NUMBERS.issuperset(type.params)
        and NUMBERS.issuperset(type.results)
    )


def fast_entry(type: FuncType, kind: int) -> tuple[str, dict[str, object]]:
    """Text and symbols of the vectorcall function of a signature that `has_fast_entry`."""
    before = 0 if kind == BOUND else 1  # arguments before the function's own
    params = assign([IR_TYPE[t] for t in type.params], ARG_GPRS, ARG_XMMS)
    results = assign([IR_TYPE[t] for t in type.results], RESULT_GPRS, RESULT_XMMS)
    stack_args = stack_slots(params)
    words = stack_args + stack_slots(results)
    # Converted arguments, later results, one word each; seven words are pushed above, so that an odd number of words aligns.
    space = 8 * (max(len(params), len(results), 1) | 1)
    lines = [_PROLOGUE]
    large_ints = []
    for i, value_type in enumerate(type.params):
        is_int = value_type in (I32, I64)
        text = _INT_ARGUMENT if is_int else _FLOAT_ARGUMENT
        lines.append(
            text.replace("{SOURCE}", str(8 * (i + before)))
            .replace("{TARGET}", str(8 * i))
            .replace("{I}", str(i))
            .replace("{SMALL_INT}", read_small_int(f"large{i}"))
            .replace("{CLEAR_UPPER}", "mov eax, eax" if value_type == I32 else "")
        )
        if is_int:
            large_ints.append(
                _LARGE_INT.replace("{I}", str(i)).replace("{RANGE}", _I32_RANGE if value_type == I32 else "")
            )
    lines.append(_INTO_WASM)
    if words:
        lines.append(f"    sub rsp, {8 * words}")
    for i, (value_type, location) in enumerate(zip(type.params, params)):
        if location >= ON_STACK and value_type == F32:
            target = 8 * (location - ON_STACK)
            lines.append(f"    cvtsd2ss xmm8, qword ptr [r11 + {8 * i}]\n    movss [rsp + {target}], xmm8")
        elif location >= ON_STACK:
            lines.append(f"    mov rax, [r11 + {8 * i}]\n    mov [rsp + {8 * (location - ON_STACK)}], rax")
        elif value_type == F32:
            lines.append(f"    cvtsd2ss xmm{location - XMM0}, qword ptr [r11 + {8 * i}]")
        elif location >= XMM0:
            lines.append(f"    movsd xmm{location - XMM0}, qword ptr [r11 + {8 * i}]")
        else:
            lines.append(f"    mov {REGISTER_NAMES[location]}, [r11 + {8 * i}]")
    lines.append("    call [r13 + {FUNC_CODE}]")
    if results:
        lines.append("    mov r11, [rbx + {STATE_NATIVE_STACK}]")
    for i, location in enumerate(results):
        target = L.FRAME_SIZE + 8 * i
        if location >= ON_STACK:
            lines.append(
                f"    mov r10, [rsp + {8 * (stack_args + location - ON_STACK)}]\n    mov [r11 + {target}], r10"
            )
        elif location >= XMM0:
            lines.append(f"    movsd [r11 + {target}], xmm{location - XMM0}")
        else:
            lines.append(f"    mov [r11 + {target}], {REGISTER_NAMES[location]}")
    lines.append("    {LEAVE}")
    lines += _results(type)
    lines += [_COLD, *large_ints]
    symbols: dict[str, object] = {
        "SPACE": space,
        "FIRST_CHECK": ("" if kind == BOUND else _CLASS_CHECK if kind == METHOD else _STORE_CHECK),
        "RECORD": _RECORD_OF_METHOD if kind == METHOD else _RECORD,
        "RECORDS_OF_INSTANCE": RECORDS_OF_INSTANCE,
        "TWICE_COUNT": 2 * (len(params) + before),
        "COUNT": len(params) + before,
        "RETURN": _RETURN,
        "SIGN_OFFSET": SIGN_OFFSET,
        "DIGIT_OFFSET": DIGIT_OFFSET,
    }
    return "\n".join(lines), symbols


def _results(type: FuncType) -> list[str]:
    """Make Python objects of the raw results at [rsp]; return one, or None, or a list."""
    if not type.results:
        return ["    mov rdi, {None}", "    {RETURN}", "    jmp {Py_NewRef}"]
    if len(type.results) == 1:
        load, function = BOXING[type.results[0]]
        return [load.format("rsp"), "    {RETURN}", f"    jmp {function}"]
    lines = [
        f"    mov edi, {len(type.results)}",
        "    call {PyList_New}",
        "    test rax, rax",
        "    jz failed",
        "    mov r12, rax",
    ]
    for i, value_type in enumerate(type.results):
        load, function = BOXING[value_type]
        lines += [load.format(f"rsp + {8 * i}"), f"    call {function}", "    test rax, rax", "    jz drop_list"]
        lines += ["    mov rdi, r12", f"    mov esi, {i}", "    mov rdx, rax", "    call {PyList_SetItem}"]
    lines += ["    mov rax, r12", "    {RETURN}", "    ret"]
    lines += ["drop_list:", "    mov rdi, r12", "    call {Py_DecRef}", "    jmp failed"]
    return lines


# An instruction that loads the argument of the C-API function that makes an object of a raw value, and the function.
BOXING: Final = {
    I32: ("    movsxd rdi, dword ptr [{}]", "{PyLong_FromLong}"),
    I64: ("    mov rdi, [{}]", "{PyLong_FromLong}"),
    F32: ("    cvtss2sd xmm0, dword ptr [{}]", "{PyFloat_FromDouble}"),
    F64: ("    movsd xmm0, qword ptr [{}]", "{PyFloat_FromDouble}"),
}
