"""Raw calls, host functions and builtins, on both platforms."""

from __future__ import annotations

import contextlib
import gc
import random
import sys

import pytest

from brolga.ir.errors import WasmtimeError
from brolga.jit import builtins
from brolga.jit.vmctx import CTX_BUILTINS, FUNC_VMCTX
from brolga.jit.wasm.types import F32, F64, I32, I64, IR_TYPE, FuncType
from brolga.jit.x64.abi import ARG_GPRS, ARG_XMMS, ON_STACK, RESULT_GPRS, RESULT_XMMS, XMM0, assign
from brolga.runtime.machine.host import CALLS_UNTIL_FAST
from brolga.runtime.machine.host_code import has_fast_host_call
from brolga.runtime.machine.layout import HOST_FAST

from .world import World, bits_f32, bits_f64, call_import, function, i32_i32, nothing, u64

PLATFORMS = ("linux", "minimal")
GPRS = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"]


@pytest.fixture(params=PLATFORMS)
def platform(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def shuffle_code(type: FuncType) -> str:
    """Code of a function whose results are its parameters in reverse order (types must allow it)."""
    params = assign([IR_TYPE[t] for t in type.params], ARG_GPRS, ARG_XMMS)
    results = assign([IR_TYPE[t] for t in type.results], RESULT_GPRS, RESULT_XMMS)
    stack_args = sum(1 for p in params if p >= ON_STACK)
    lines = []
    for location in params:
        if location >= ON_STACK:
            lines.append(f"push qword ptr [rsp + {8 * len(lines) + 8 + 8 * (location - ON_STACK)}]")
        elif location >= XMM0:
            lines.append(f"lea rsp, [rsp - 8]\n movq [rsp], xmm{location - XMM0}")
        else:
            lines.append(f"push {GPRS[location]}")
    size = 8 * len(lines)
    lines.append("lea r11, [rsp]")  # the last parameter is on top
    order = sorted(range(len(results)), key=lambda i: results[i] < ON_STACK)
    for i in order:
        location = results[i]
        if location >= ON_STACK:
            target = size + 8 + 8 * (stack_args + location - ON_STACK)
            lines.append(f"mov r10, [r11 + {8 * i}]\n mov [r11 + {target}], r10")
        elif location >= XMM0:
            lines.append(f"movq xmm{location - XMM0}, [r11 + {8 * i}]")
        else:
            lines.append(f"mov {GPRS[location]}, [r11 + {8 * i}]")
    lines.append(f"lea rsp, [r11 + {size}]\n ret")
    return "\n".join(lines)


def random_values(types: tuple[int, ...], rnd: random.Random) -> list[int]:
    return [rnd.getrandbits(32 if t in (I32, F32) else 64) for t in types]


SIGNATURES = [
    (),
    (I32,),
    (F64,),
    (I32, I64, F32, F64),
    (I64,) * 6,
    (I64,) * 9,
    (F32,) * 11,
    (I32, F64) * 12,
    tuple(random.Random(1).choice((I32, I64, F32, F64)) for _ in range(60)),
]


@pytest.mark.parametrize("types", SIGNATURES, ids=len)
def test_raw_call_passes_bits(platform: str, types: tuple[int, ...]) -> None:
    type = FuncType(types, types[::-1])
    world = World([function(0, shuffle_code(type))], platform)
    for seed in range(5):
        values = random_values(types, random.Random(seed))
        assert world.call(0, type, *values) == values[::-1]


def test_raw_call_refuses_values_of_wrong_width(platform: str) -> None:
    world = World([function(0, "mov eax, edi\n ret")], platform)
    assert world.call(0, i32_i32, 0xFFFF_FFFF) == [0xFFFF_FFFF]
    with pytest.raises(OverflowError):
        world.call(0, i32_i32, 1 << 32)
    with pytest.raises(ValueError):
        world.call(0, i32_i32)


@pytest.mark.parametrize("types", SIGNATURES, ids=len)
def test_host_call_passes_bits(platform: str, types: tuple[int, ...]) -> None:
    """wasm with the same signature jumps to the import, so the host sees the caller's own arguments."""
    type = FuncType(types, types[::-1])
    jump = "mov rax, [r15 + 64]\n mov r15, [r15 + 72]\n jmp rax"
    world = World([function(0, jump)], platform)
    seen: list[tuple[int, ...]] = []

    def host(*args: int) -> object:
        seen.append(args)
        return args[::-1] if len(args) != 1 else args[0]

    world.import_function(type, host, raw=True)
    for seed in range(3):
        values = random_values(types, random.Random(seed))
        assert world.call(0, type, *values) == values[::-1]
        assert seen[-1] == tuple(values)


def test_host_call_converts(platform: str) -> None:
    type = FuncType((I32, I64, F32, F64), (I32, I64, F32, F64))
    jump = "mov rax, [r15 + 64]\n mov r15, [r15 + 72]\n jmp rax"
    world = World([function(0, jump)], platform)
    seen: list[object] = []

    def host(*args: object) -> object:
        seen.extend(args)
        return [-2, 1 << 63, 0.5, 2]

    world.import_function(type, host)
    results = world.call(0, type, 0xFFFF_FFFF, 1 << 63, bits_f32(1.5), bits_f64(-2.5))
    assert seen == [-1, -(1 << 63), 1.5, -2.5]
    assert results == [0xFFFF_FFFE, 1 << 63, bits_f32(0.5), bits_f64(2.0)]


CALL_HOST_AND_KEEP = f"""
    push rbx
    push rbp
    push r12
    push r13
    mov ebx, 11
    mov r12d, 12
    mov r13d, 13
    {call_import()}
    add eax, ebx
    add eax, r12d
    add eax, r13d
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret
"""


def test_host_call_keeps_callee_saved_registers(platform: str) -> None:
    world = World([function(0, CALL_HOST_AND_KEEP)], platform)
    world.import_function(i32_i32, lambda x: x * 2)
    assert world.call(0, i32_i32, 5) == [10 + 36]


@pytest.mark.parametrize("result", [None, "5", 1.5, [1], object()])
def test_host_result_of_wrong_type_raises(platform: str, result: object) -> None:
    world = World([function(0, CALL_HOST_AND_KEEP)], platform)
    world.import_function(i32_i32, lambda x: result)
    with pytest.raises((TypeError, WasmtimeError)):
        world.call(0, i32_i32, 5)
    assert not world.state.running


def test_host_exception_passes_through(platform: str) -> None:
    class Special(BaseException):
        pass

    error = Special()

    def host(x: int) -> int:
        raise error

    world = World([function(0, CALL_HOST_AND_KEEP)], platform)
    world.import_function(i32_i32, host)
    with pytest.raises(Special) as caught:
        world.call(0, i32_i32, 5)
    assert caught.value is error
    assert not world.state.running


def test_nested_calls(platform: str) -> None:
    world = World([function(0, CALL_HOST_AND_KEEP)], platform)

    def host(x: int) -> int:
        assert world.state.running
        return int(world.call(0, i32_i32, x - 1)[0]) if x else 0

    world.import_function(i32_i32, host)
    assert world.call(0, i32_i32, 30) == [31 * 36]
    assert not world.state.running


def test_nested_call_across_stores_and_platforms() -> None:
    inner = World([function(0, CALL_HOST_AND_KEEP)], "minimal")
    inner.import_function(i32_i32, lambda x: x)
    outer = World([function(0, CALL_HOST_AND_KEEP)], "linux")
    outer.import_function(i32_i32, lambda x: inner.call(0, i32_i32, x)[0])
    assert outer.call(0, i32_i32, 1) == [73]


LOAD = "xor edx, edx\n mov eax, gs:[rdx]"


def test_memory_base_survives_nested_entries() -> None:
    code = f"push rbp\n {LOAD}\n push rax\n mov rdi, 0\n {call_import()}\n" + (
        f"mov rcx, [r15 + 16]\n wrgsbase rcx\n pop rcx\n {LOAD}\n add eax, ecx\n pop rbp\n ret"
    )
    inner = World([function(0, f"{LOAD}\n ret")])
    outer = World([function(0, code)])
    outer.import_function(i32_i32, lambda x: inner.call(0, nothing) and 0 or 0)
    for world, value in ((inner, 100), (outer, 7)):
        (ctypes_u32(world.memory.base)).value = value
    assert inner.call(0, FuncType((), (I32,))) == [100]
    assert outer.call(0, FuncType((), (I32,))) == [14]
    assert inner.call(0, FuncType((), (I32,))) == [100]


def ctypes_u32(address: int):  # type: ignore[no-untyped-def]
    import ctypes

    return ctypes.c_uint32.from_address(address)


def test_builtin_gets_context_and_values(platform: str) -> None:
    number = builtins.TABLE_GROW
    code = f"mov rax, [r15 + {CTX_BUILTINS}]\n jmp [rax + {8 * number}]"
    seen: list[tuple[int, ...]] = []

    def builtin(*args: int) -> int:
        seen.append(args)
        return 0xFFFF_FFFF

    world = World([function(0, code)], platform, builtin=builtin)
    type = FuncType((I32, I64, I32), (I32,))
    assert world.call(0, type, 1, 1 << 63, 3) == [0xFFFF_FFFF]
    assert seen == [(world.vmctx, 1, 1 << 63, 3)]


def test_python_builtin_restores_memory_base() -> None:
    """A builtin's caller does not write gs again: the routine must, when a nested entry has changed it."""
    number = builtins.TABLE_GROW
    inner = World([function(0, "ret")])
    code = f"mov rax, [r15 + {CTX_BUILTINS}]\n call [rax + {8 * number}]\n {LOAD}\n ret"
    outer = World([function(0, code)], builtin=lambda *args: inner.call(0, nothing) and 0 or 0)
    ctypes_u32(outer.memory.base).value = 77
    assert outer.call(0, FuncType((I32, I64, I32), (I32,)), 0, 0, 0) == [77]


@pytest.mark.parametrize("types", SIGNATURES, ids=len)
def test_fast_host_call_agrees_with_generic(platform: str, types: tuple[int, ...]) -> None:
    """The routine by signature and the generic one hand over the same objects."""
    type = FuncType(types, types[-1:])
    jump = "mov rax, [r15 + 64]\n mov r15, [r15 + 72]\n jmp rax"
    world = World([function(0, jump)], platform)
    seen: list[tuple[object, ...]] = []

    def host(*args: object) -> object:
        seen.append(args)
        return args[-1] if args else None

    context = u64(world.import_function(type, host).record + FUNC_VMCTX).value
    assert has_fast_host_call(type) == (len(types) <= 32)
    for seed in range(4):
        values = random_values(types, random.Random(seed))
        u64(context + HOST_FAST).value = world.machine.host_code(type, make=True)
        fast = world.call(0, type, *values)
        u64(context + HOST_FAST).value = 0
        generic = world.call(0, type, *values)
        assert fast == generic
        assert repr(seen[-2]) == repr(seen[-1])


@pytest.mark.parametrize("result", [-1, 0, 1, 2**31, 2**32 - 1, -(2**31), True, 2**32, -(2**31) - 1, 10**30])
def test_host_results_wrap(platform: str, result: int) -> None:
    world = World([function(0, CALL_HOST_AND_KEEP)], platform)
    world.import_function(i32_i32, lambda x: result)
    assert world.call(0, i32_i32, 0) == [(result + 36) & 0xFFFF_FFFF]


def test_host_calls_leak_no_references(platform: str) -> None:
    type = FuncType((I64, F64), (I64,))
    jump = "mov rax, [r15 + 64]\n mov r15, [r15 + 72]\n jmp rax"
    world = World([function(0, jump)], platform)
    results: list[object] = [int("1" * 18), int("9223372036854775808"), str(1.5), object(), ValueError()]
    counts = [sys.getrefcount(result) for result in results]
    current: list[object] = []

    def host(i: int, f: float) -> object:
        current.append(i)
        result = results[len(current) % len(results)]
        if isinstance(result, ValueError):
            raise result
        return result

    world.import_function(type, host)
    argument = 1 << 62
    for _ in range(50):
        with contextlib.suppress(TypeError, ValueError, WasmtimeError):
            world.call(0, type, argument, 5)
    results[-1].__traceback__ = None  # type: ignore[attr-defined]
    gc.collect()
    last = current[-1]
    current.clear()
    assert sys.getrefcount(last) == 2
    assert [sys.getrefcount(result) for result in results] == counts


def test_host_function_becomes_fast(platform: str) -> None:
    world = World([function(0, CALL_HOST_AND_KEEP)], platform)
    host = world.import_function(i32_i32, lambda x: x * 2)
    context = u64(host.record + FUNC_VMCTX).value
    for i in range(CALLS_UNTIL_FAST + 2):
        assert world.call(0, i32_i32, i) == [2 * i + 36]
    assert u64(context + HOST_FAST).value == world.machine.host_code(i32_i32) != 0
    later = world.import_function(i32_i32, lambda x: x * 3)
    assert u64(u64(later.record + FUNC_VMCTX).value + HOST_FAST).value == world.machine.host_code(i32_i32)
    assert world.call(0, i32_i32, 1) == [3 + 36]
