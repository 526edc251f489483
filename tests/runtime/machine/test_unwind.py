"""The frame tables of compiled functions hold at every instruction: functions are single-stepped, and at each step the return
address must be where the table says.

The trap flag makes the CPU raise SIGTRAP after each instruction; a handler in machine code logs pc and rsp of those in compiled
code. A model of the call stack is replayed over the log: a call or a return is a change of function whose return address
is known.
"""

from __future__ import annotations

import ctypes
import signal
from bisect import bisect_right
from collections.abc import Iterator

import pytest

import brolga
from brolga.runtime.machine import find_code, machine
from brolga.runtime.machine.calls import call_layout, read_results, write_args
from brolga.runtime.platform.linux import SA_ONSTACK, SA_SIGINFO

LOG_STEPS = 200_000
ONE_OTHER_CONTEXT = 12  # index of the function
LONGEST_SUB = 7  # bytes of `sub rsp, imm32`

STEP_HANDLER = """
    mov rcx, [rdx + {UC_RIP}]
    mov rax, {FUNCTIONS_START}
    cmp rcx, rax
    jb out
    mov rax, {FUNCTIONS_END}
    cmp rcx, rax
    jae out
    mov r8, {LOG}
    mov rax, [r8]
    cmp rax, {LOG_STEPS}
    jae out
    inc qword ptr [r8]
    shl rax, 5
    mov [r8 + rax + 32], rcx
    mov rcx, [rdx + {UC_RSP}]
    mov [r8 + rax + 40], rcx
    mov rcx, [rcx]
    mov [r8 + rax + 48], rcx
out:
    ret
"""
# int step(record, buffer): the raw entry with the trap flag set
STEPPED_ENTRY = """
    sub rsp, 8
    pushfq
    or qword ptr [rsp], 0x100
    popfq
    call {RAW_ENTRY}
    pushfq
    and qword ptr [rsp], -0x101
    popfq
    add rsp, 8
    ret
"""

OTHER_WAT = """
(module
  (func (export "other") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 3)))
  (func (export "wide") (param i32 i64 i64 i64 i64 i64 i64 i64) (result i32) (i32.wrap_i64 (local.get 7))))
"""
WAT = """
(module
  (type $i (func (param i32) (result i32)))
  (type $w (func (param i32 i64 i64 i64 i64 i64 i64 i64) (result i32)))
  (import "" "" (func $other (type $i)))
  (import "" "" (func $wide_other (type $w)))
  (memory 1)
  (table funcref (elem $leaf $many $other $wide_other))
  (func $leaf (type $i) (i32.add (local.get 0) (i32.const 1)))
  (func $many (type $i) (param i32) (result i32)
    (local i32 i32 i32 i32 i32 i32 i32 i32)
    (local.set 1 (i32.load (local.get 0)))
    (local.set 2 (i32.load offset=4 (local.get 0)))
    (local.set 3 (i32.load offset=8 (local.get 0)))
    (local.set 4 (i32.load offset=12 (local.get 0)))
    (local.set 5 (i32.load offset=16 (local.get 0)))
    (local.set 6 (i32.load offset=20 (local.get 0)))
    (local.set 7 (i32.load offset=24 (local.get 0)))
    (local.set 8 (i32.load offset=28 (local.get 0)))
    (i32.store (i32.const 100) (call $leaf (local.get 1)))
    (i32.add (local.get 1) (i32.add (local.get 2) (i32.add (local.get 3) (i32.add (local.get 4)
      (i32.add (local.get 5) (i32.add (local.get 6) (i32.add (local.get 7) (local.get 8)))))))))
  (func $wide (param i64 i64 i64 i64 i64 i64 i64 i64 i64) (result i64 i64 i64 i64 i64 i64)
    (local.get 8) (local.get 7) (local.get 6) (local.get 5) (local.get 4) (local.get 3))
  (func $calls_wide (type $i)
    (call $wide (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4) (i64.const 5) (i64.const 6) (i64.const 7)
      (i64.const 8) (i64.extend_i32_s (local.get 0)))
    i64.add i64.add i64.add i64.add i64.add i32.wrap_i64)
  (func $floats (type $i) (local f64)
    (local.set 1 (f64.convert_i32_s (local.get 0)))
    (f64.store (i32.const 8) (f64.sqrt (local.get 1)))
    (call $leaf (i32.trunc_sat_f64_s (f64.nearest (local.get 1)))))
  (func $recursive (type $i)
    (if (result i32) (i32.le_s (local.get 0) (i32.const 1)) (then (i32.const 1))
      (else (i32.mul (local.get 0) (call $recursive (i32.sub (local.get 0) (i32.const 1)))))))
  (func $early (type $i)
    (if (i32.eqz (local.get 0)) (then (return (i32.const 0))))
    (block (br_if 0 (i32.gt_u (local.get 0) (i32.const 3))) (return (call $many (i32.const 0))))
    (i32.div_s (call $recursive (local.get 0)) (local.get 0)))
  (func $guarded (param i32 i64 i64 i64 i64 i64 i64 i64) (result i32)
    (if (i32.eq (local.get 0) (i32.const 1)) (then (return (i32.wrap_i64 (local.get 7)))))
    (if (i32.and (local.get 0) (i32.const 1)) (then
      (local.set 0 (i32.mul (local.get 0) (call $leaf (local.get 0))))))
    (i32.add (local.get 0) (i32.wrap_i64 (local.get 6))))
  (func $calls_guarded (type $i)
    (call $guarded (local.get 0) (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4) (i64.const 5) (i64.const 6)
      (i64.const 7)))
  (func $other_contexts (type $i)
    (i32.add
      (call_indirect (type $i) (local.get 0) (i32.const 2))
      (call_indirect (type $w) (local.get 0) (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4) (i64.const 5) (i64.const 6)
        (i64.const 7) (i32.const 3))))
  (func $one_other_context (type $i) (call_indirect (type $i) (local.get 0) (i32.const 2)))
  (func $table (type $i)
    (block (block (block (br_table 0 1 2 (local.get 0)))
      (return (call_indirect (type $i) (i32.const 5) (i32.const 0))))
      (return (call_indirect (type $i) (i32.const 16) (i32.const 1))))
    (call $calls_wide (local.get 0)))
  (func (export "main") (type $i) (local i32)
    (loop
      (local.set 1 (i32.add (local.get 1) (call $early (local.get 0))))
      (local.set 1 (i32.add (local.get 1) (call $table (local.get 0))))
      (local.set 1 (i32.add (local.get 1) (call $floats (local.get 0))))
      (local.set 1 (i32.add (local.get 1) (call $calls_guarded (local.get 0))))
      (local.set 1 (i32.add (local.get 1) (call $other_contexts (local.get 0))))
      (local.set 1 (i32.add (local.get 1) (call $one_other_context (local.get 0))))
      (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
      (br_if 0 (i32.ge_s (local.get 0) (i32.const 0))))
    (local.get 1)))
"""


@pytest.fixture
def stepper() -> Iterator[tuple[int, ctypes.Array[ctypes.c_uint64]]]:
    """Address of the stepped entry, and the log: number of steps, three unused words, then (pc, rsp, word at rsp, 0) each."""
    m = machine()
    log = (ctypes.c_uint64 * (4 + 4 * LOG_STEPS))()
    symbols = {"LOG": hex(ctypes.addressof(log)), "LOG_STEPS": LOG_STEPS}
    handler = m.emit(STEP_HANDLER, symbols)
    before = m.platform.handler(signal.SIGTRAP)
    m.platform.set_handler(signal.SIGTRAP, handler, SA_SIGINFO | SA_ONSTACK)
    yield m.emit(STEPPED_ENTRY), log
    m.platform.set_handler(signal.SIGTRAP, *before)


@pytest.mark.parametrize("opt_level", [0, 2])
def test_frame_table_at_every_instruction(stepper: tuple[int, ctypes.Array[ctypes.c_uint64]], opt_level: int) -> None:
    entry, log = stepper
    config = brolga.Config()
    config._opt_level = opt_level
    config.optimizations_off = ["inlining"]  # all functions are to be called
    engine = brolga.Engine(config)
    store = brolga.Store(engine)
    others = brolga.Instance(store, brolga.Module(engine, OTHER_WAT), []).exports(store)
    imports = [others["other"], others["wide"]]
    main = brolga.Instance(store, brolga.Module(engine, WAT), imports).exports(store)["main"]
    expected = main(store, 5)  # compiles all
    type = main._type
    buffer = write_args(call_layout(type), [5])
    step = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(entry)
    assert step(main._record, ctypes.addressof(buffer)) == 0
    assert read_results(call_layout(type), buffer) == [expected]
    steps = log[0]
    assert 500 < steps < LOG_STEPS
    functions = set()
    late = set()  # functions that make their frame behind other code
    returns: list[int] = []  # where the return addresses of the active functions are
    previous_rsp = 0
    for i in range(steps):
        pc, rsp, word = log[4 + 4 * i : 7 + 4 * i]
        found = find_code(pc)
        assert found is not None
        space, function, index, offset = found
        if function is None:
            continue  # a pad
        functions.add((space, index))
        if index == ONE_OTHER_CONTEXT:
            assert set(function.frame_sizes) == {0, 8}  # r15 is pushed, where the context is another one
        if len(function.frame_sizes) > 1 and function.frame_offsets[1] > LONGEST_SUB:
            late.add(index)
        size = function.frame_sizes[bisect_right(function.frame_offsets, offset) - 1]
        place = rsp + size
        if not returns or (offset == 0 and place == rsp and place < returns[-1] and place == previous_rsp - 8):
            returns.append(place)  # just called: at the return address
            found = find_code(word - 1)
            assert len(returns) == 1 or found is not None
        else:
            while returns and place > returns[-1]:
                returns.pop()  # returned
            assert returns, (index, offset)
            assert place == returns[-1], f"function {index} at offset {offset:#x}: frame size {size}"
        previous_rsp = rsp
    assert len(functions) == 15
    assert {7, 9} <= late  # $recursive, $guarded
