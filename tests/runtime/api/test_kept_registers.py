"""Compiled code, as it is without checks of its own, keeps the registers that the conventions promise: functions are called through
stubs that fill these with patterns and compare them afterwards.

Two conventions: that between wasm functions, of a function that returns (jit/x64/abi.py), and that of C for the whole call from Python,
whether the function returns or traps. What functions inside a call keep, code that checks facts sees (jit/x64/register_checks.py).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

import brolga
from brolga.jit.code import COMPILED
from brolga.jit.vmctx import FUNC_CODE
from brolga.jit.x64 import emit
from brolga.jit.x64.buffer import CodeBuffer
from brolga.jit.x64.frame import Frame
from brolga.runtime.machine import machine
from brolga.runtime.machine.entry_layout import ENTRY_VECTORCALL

from ...fuzz.programs import generate
from ...jit.x64.epilogues import confused, forgetful

KERNELS: Final = Path(__file__).resolve().parents[3] / "benchmarks" / "kernels"
PATTERNS: Final = {f"P{n}": hex(0x5EED_0123_4567_0000 + n) for n in range(6)}

# What both stubs have: the area is the return address, six saved registers, the differences that were found, the calls that returned.
SAVE: Final = """
    mov [rax + 8], rbx; mov [rax + 16], rbp; mov [rax + 24], r12; mov [rax + 32], r13; mov [rax + 40], r14; mov [rax + 48], r15
    mov rbx, {P0}; mov rbp, {P1}; mov r12, {P2}; mov r13, {P3}; mov r14, {P4}
"""
COMPARE: Final = """
    mov r11, {AREA}
    mov r10, {P0}; xor rbx, r10
    mov r10, {P1}; xor rbp, r10; or rbx, rbp
    mov r10, {P2}; xor r12, r10; or rbx, r12
    mov r10, {P3}; xor r13, r10; or rbx, r13
    mov r10, {P4}; xor r14, r10; or rbx, r14
    {COMPARE_R15}
    or [r11 + 56], rbx
    inc qword ptr [r11 + 64]
    mov rbx, [r11 + 8]; mov rbp, [r11 + 16]; mov r12, [r11 + 24]; mov r13, [r11 + 32]; mov r14, [r11 + 40]; mov r15, [r11 + 48]
"""
# In the place of a wasm function; the callers' arguments and results stay where they are.
WASM_STUB: Final = f"""
    mov rax, {{AREA}}
    pop qword ptr [rax]
    {SAVE}
    mov rax, {{CODE}}
    call rax
    {COMPARE.replace("{COMPARE_R15}", "xor r15, [r11 + 48]; or rbx, r15")}
    jmp qword ptr [r11]
"""
# A vectorcall function, which calls the callable's own.
C_STUB: Final = f"""
    mov rax, {{AREA}}
    pop qword ptr [rax]
    {SAVE}
    mov r15, {{P5}}
    call [rdi + {ENTRY_VECTORCALL}]
    {COMPARE.replace("{COMPARE_R15}", "mov r10, {P5}; xor r15, r10; or rbx, r15")}
    jmp qword ptr [r11]
"""


class Stub:
    """A stub with an area of its own. Calls through it do not nest."""

    def __init__(self, platform: str, text: str, code: int = 0) -> None:
        self.area = (ctypes.c_uint64 * 9)()
        symbols = {"AREA": hex(ctypes.addressof(self.area)), "CODE": hex(code), **PATTERNS}
        for name, value in symbols.items():
            text = text.replace(f"{{{name}}}", value)
        self.address = machine(platform).emit(text)

    @property
    def changed(self) -> int:
        """Bits of registers that came back different."""
        return self.area[7]

    @property
    def calls(self) -> int:
        """How many returned."""
        return self.area[8]


def host_function(store: brolga.Store, type: Any) -> brolga.Func:
    """One whose results are 0."""
    zeros = [0 if str(result)[0] == "i" else 0.0 for result in type.results]
    return brolga.Func(store, type, lambda *args: zeros if len(zeros) > 1 else zeros[0] if zeros else None)


def instantiate(wasm: bytes | str, platform: str, off: list[str]) -> tuple[brolga.Store, dict[str, Any]]:
    config = brolga.Config()
    config.platform = platform
    config.optimizations_off = off
    engine = brolga.Engine(config)
    store = brolga.Store(engine)
    module = brolga.Module(engine, wasm)
    imports = [host_function(store, item.type) for item in module.imports]
    exports = brolga.Instance(store, module, imports).exports(store)
    return store, {name: item for name, item in exports.items() if isinstance(item, brolga.Func)}


def call(stub: Stub, function: Any, *args: object) -> object:
    """A call of the vectorcall function through a C_STUB; raises what it raises."""
    prototype = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
    array = (ctypes.py_object * len(args))(*args)
    return prototype(stub.address)(function, ctypes.addressof(array), len(args), None)


def check(wasm: bytes | str, platform: str, off: list[str], argument: int, rounds: int) -> tuple[int, int]:
    """Call all exports, `rounds` times each; how many calls returned and how many trapped."""
    store, functions = instantiate(wasm, platform, off)
    outer = Stub(platform, C_STUB)
    returned = trapped = 0
    for function in functions.values():
        place = ctypes.c_uint64.from_address(function._record + FUNC_CODE)
        inner = Stub(platform, WASM_STUB, place.value)
        place.value = inner.address
        args = [argument if str(type)[0] == "i" else argument + 0.5 for type in function.type(store).params]
        for _ in range(rounds):
            calls = inner.calls
            try:
                call(outer, function, store, *args)
            except brolga.Trap:
                trapped += 1
            else:
                assert inner.calls == calls + 1
                returned += 1
        assert inner.changed == 0, "a function has not kept the registers of its caller"
        assert outer.changed == 0, "a call from Python has not kept the registers of C"
    assert outer.calls == returned + trapped
    return returned, trapped


@pytest.mark.parametrize("off", [[], ["shrink_wrapping"]])
@pytest.mark.parametrize("platform", ["linux", "minimal"])
def test_kernels(platform: str, off: list[str]) -> None:
    for kernel in sorted(KERNELS.glob("*.wasm")):
        assert check(kernel.read_bytes(), platform, off, 1, 4) == (4, 0)


@pytest.mark.parametrize("off", [[], ["shrink_wrapping"]])
@pytest.mark.parametrize("platform", ["linux", "minimal"])
def test_random_programs(platform: str, off: list[str]) -> None:
    returned = trapped = 0
    for seed in range(8):
        counts = check(generate(seed), platform, off, 3, 4)
        returned += counts[0]
        trapped += counts[1]
    assert returned and trapped


TRAPS: Final = """(module
  (func $keep (param i32) (result i32) (local i32 i32 i32 i32)
    (local.set 1 (call $id (local.get 0))) (local.set 2 (call $id (local.get 1))) (local.set 3 (call $id (local.get 2)))
    (i32.add (local.get 1) (i32.add (local.get 2) (i32.div_u (local.get 3) (i32.const 0)))))
  (func $id (param i32) (result i32) (if (i32.eqz (local.get 0)) (then unreachable)) (local.get 0))
  (func (export "f") (param i32) (result i32) (i32.add (call $keep (local.get 0)) (call $id (local.get 0)))))"""


@pytest.mark.parametrize("platform", ["linux", "minimal"])
@pytest.mark.parametrize("argument", [0, 5])
def test_traps(platform: str, argument: int) -> None:
    assert check(TRAPS, platform, ["inlining"], argument, 5) == (0, 5)


@pytest.mark.skipif(COMPILED, reason="functions of the compiled compiler cannot be replaced")
@pytest.mark.parametrize("epilogue", [forgetful, confused])
@pytest.mark.parametrize("off", [[], ["shrink_wrapping"]])
def test_a_planted_error_is_found(
    monkeypatch: pytest.MonkeyPatch, epilogue: Callable[[CodeBuffer, Frame], None], off: list[str]
) -> None:
    monkeypatch.setattr(emit, "emit_epilogue", epilogue)
    with pytest.raises(AssertionError, match="has not kept the registers of its caller"):
        check((KERNELS / "memops.wasm").read_bytes(), "linux", off, 1, 1)
