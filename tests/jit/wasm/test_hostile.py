"""Shapes that are made to be expensive: the work and the memory for them are linear in their size.

Work is counted in lines of Python run, memory is what tracemalloc sees at most. Nothing is timed.
"""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

import pytest

from brolga.ir.errors import LimitError
from brolga.jit.settings import Settings
from brolga.jit.vmctx import ContextLayout
from brolga.jit.wasm import validate_body
from brolga.jit.wasm.decode import decode
from brolga.jit.wasm.translate import translate
from brolga.jit.wasm.validate import validate

from .binary import END, F64, HEADER, I32, code, functions, leb, local_decls, one_function, section, types

COMPILED: Final = not validate_body.__file__.endswith(".py")
CONST: Final = b"\x41\0"
BLOCK: Final = b"\x02\x40"
LOOP: Final = b"\x03\x40"
IF: Final = b"\x04\x40"
ELSE: Final = b"\x05"
DROP: Final = b"\x1a"


def get(local: int) -> bytes:
    return b"\x20" + leb(local)


def set_(local: int) -> bytes:
    return b"\x21" + leb(local)


def br_if(depth: int) -> bytes:
    return b"\x0d" + leb(depth)


def compile_to_ir(data: bytes) -> None:
    module = decode(data)
    validate(module)
    layout = ContextLayout(module)
    for index in range(module.imported_funcs, len(module.func_types)):
        translate(module, index, layout, Settings())


def lines_run(data: bytes) -> int:
    """Lines of the compiler that run for a module."""
    count = 0

    def on_line(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += 1
        return on_line

    def on_call(frame: FrameType, event: str, argument: Any) -> Any:
        return on_line if "brolga" in frame.f_code.co_filename else None

    before = sys.gettrace()
    sys.settrace(on_call)
    try:
        compile_to_ir(data)
    finally:
        sys.settrace(before)
    return count


def peak_memory(data: bytes) -> int:
    gc.collect()
    tracemalloc.start()
    try:
        compile_to_ir(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# Each makes a module of about `size` operators, or functions.


def nested_blocks(size: int) -> bytes:
    depth = size // 4
    table = CONST + b"\x0e" + leb(depth) + b"".join(leb(label) for label in range(depth + 1))
    return one_function(BLOCK * depth + table + (get(0) + DROP + END) * depth, locals=local_decls((1, I32)))


def nested_blocks_that_set_locals(size: int) -> bytes:
    depth = size // 8
    body = BLOCK * depth
    for label in range(depth):
        body += CONST + set_(label % 100) + get(label % 7) + br_if(label % 3 if depth - label > 3 else 0) + END
    return one_function(body, locals=local_decls((100, I32)))


def nested_ifs(size: int) -> bytes:
    depth = size // 8
    body = (get(0) + IF + CONST + set_(1)) * depth + (ELSE + CONST + set_(2) + END) * depth
    return one_function(body + get(1) + get(2) + DROP + DROP, params=I32, locals=local_decls((2, I32)))


def loops_in_a_row_with_many_locals(size: int) -> bytes:
    """Each sets one of the locals; all are live at the end."""
    count = size // 6
    body = b"".join(LOOP + CONST + set_(n) + get(n) + br_if(0) + END for n in range(count))
    reads = b"".join(get(n) + DROP for n in range(count))
    return one_function(body + reads, locals=local_decls((count, I32)))


def branches_out_of_one_block(size: int) -> bytes:
    live = b"".join(CONST + set_(n) for n in range(8))
    reads = b"".join(get(n) + DROP for n in range(8))
    return one_function(BLOCK + (live + get(0) + br_if(0)) * (size // 18) + END + reads, locals=local_decls((8, I32)))


def wide_table(size: int) -> bytes:
    """All entries take a value along, to two labels."""
    table = get(0) + get(0) + b"\x0e" + leb(size) + bytes(n % 2 for n in range(size)) + b"\0"
    body = b"\x02\x7f" + b"\x02\x7f" + table + END + b"\x45" + END + DROP
    return one_function(body, params=I32)


def alternating_deep_joins(size: int) -> bytes:
    """Blocks left in turn from the depths of either arm of an if."""
    depth = size // 16
    labels = depth // 2
    body = BLOCK * labels + get(0) + IF
    body += (get(0) + br_if(0)) * depth + b"".join(get(0) + br_if(label) for label in range(1, labels, 2)) + b"\0"
    body += ELSE
    body += (get(0) + br_if(0)) * depth + b"".join(get(0) + br_if(label) for label in range(2, labels, 2)) + b"\0"
    body += END + (get(0) + DROP + END) * labels
    return one_function(body, params=I32)


def unreachable_nests(size: int) -> bytes:
    nest = BLOCK * 10 + CONST + DROP + END * 10
    return one_function((BLOCK + b"\x0c\0" + nest + END) * (size // 25))


def functions_with_many_locals(size: int) -> bytes:
    count = size // 20
    bodies = [local_decls((25_000, I32), (24_999, F64)) + END] * count
    return HEADER + types((b"", b"")) + functions(*[0] * count) + code(*bodies)


def tiny_functions(size: int) -> bytes:
    count = size // 20
    return HEADER + types((b"", b"")) + functions(*[0] * count) + code(*[b"\0" + END] * count)


def many_types_and_functions(size: int) -> bytes:
    """Each function of a type of its own."""
    count = size // 40
    signatures = [(I32 * (n % 17), b"") for n in range(count)]
    return HEADER + types(*signatures) + functions(*range(count)) + code(*[b"\0" + END] * count)


def chained_globals(size: int) -> bytes:
    count = size // 4
    entries = [I32 + b"\0" + CONST + END] + [I32 + b"\0\x23" + leb(n) + CONST + b"\x6a" + END for n in range(count)]
    return HEADER + section(6, leb(len(entries)) + b"".join(entries))


SHAPES: Final[list[Callable[[int], bytes]]] = [
    nested_blocks,
    nested_blocks_that_set_locals,
    nested_ifs,
    loops_in_a_row_with_many_locals,
    branches_out_of_one_block,
    wide_table,
    alternating_deep_joins,
    unreachable_nests,
    tiny_functions,
    many_types_and_functions,
    chained_globals,
]


@pytest.mark.skipif(COMPILED, reason="compiled code runs no lines")
@pytest.mark.parametrize("shape", [*SHAPES, functions_with_many_locals], ids=lambda shape: shape.__name__)
def test_work_is_linear(shape: Callable[[int], bytes]) -> None:
    size = 3_000
    lines = lines_run(shape(size))
    assert lines < 160 * size
    assert lines_run(shape(2 * size)) < 2.3 * lines


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_memory_is_linear(shape: Callable[[int], bytes]) -> None:
    size = 10_000
    peak = peak_memory(shape(size))
    assert peak < 500_000 + 400 * size
    assert peak_memory(shape(2 * size)) < 200_000 + 2.3 * peak


def test_many_functions_with_many_locals_need_the_memory_of_one() -> None:
    one = peak_memory(functions_with_many_locals(20))
    assert peak_memory(functions_with_many_locals(20 * 300)) < one + 300 * 3_000


def test_fifty_thousand_locals_and_seven_thousand_loops() -> None:
    body = b"".join(LOOP + CONST + set_(n * 7) + get(n) + br_if(0) + END for n in range(7_000))
    data = one_function(body + get(49_000) + DROP, locals=local_decls((50_000, I32)))
    assert peak_memory(data) < 150_000_000


def test_what_calls_and_branches_pass_is_limited() -> None:
    """Two bytes may pass a thousand values."""
    signature = types((I32 * 1000, I32 * 1000))
    call = code(b"\0" + b"".join(get(n) for n in range(1000)) + b"\x10\0" * 4_100 + END)
    with pytest.raises(LimitError, match="pass more than 8000000 values") as caught:
        compile_to_ir(HEADER + signature + functions(0) + call)
    assert caught.value.func == 0
    block = b"\x02\0" + (CONST + br_if(0)) * 8_100 + END
    branches = code(b"\0" + b"".join(get(n) for n in range(1000)) + block + END)
    with pytest.raises(LimitError, match="pass more than 8000000 values"):
        compile_to_ir(HEADER + signature + functions(0) + branches)
