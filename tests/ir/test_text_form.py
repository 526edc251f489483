"""Printer and parser are each other's inverse; the parser names what it did not expect."""

from __future__ import annotations

import pytest

from brolga.ir.errors import ParseError
from brolga.ir.parser import parse_function
from brolga.ir.printer import print_function
from brolga.ir.verifier import verify

EVERY_FORMAT = """\
function "f[3]; \\"x\\"" 3(i32, i64) -> i32, f32 {
    sig0 = (i32) -> i32, i32
    sig1 = ()
block0(v0: i32, v1: i64):
    v2 = iconst.i32 5
    @1f v3 = iadd.i32 v0, v2
    v4 = icmp.i32 slt v0, v3
    v5 = uextend.i64.i32 v0
    v6 = load.i32 v0+16
    istore8.i32 v0+16 m1, v6
    v7 = ctx_load.i64 64 readonly
    ctx_store.i64 64, v7
    v8 = ptr_load.i64 v7+8 readonly
    ptr_store.i64 v7+8, v8
    v9 = context.i64
    v10, v11 = call fn3 sig0(v2)
    v12, v13 = call_ptr v7 v8 sig0(v2)
    call_builtin fn2 sig1()
    trapnz v4, heap_oob
    v14 = fconst.f32 0x3f800000
    v16 = select.i64 v4, v1, v7
    @30/1c v17 = popcnt.i64 v16
    br_table v0, block1, block2(v1), default block1
block1 cold:
    brif v4, block3, block2(v1)
block2(v15: i64):
    return v0, v14
block3:
    trap unreachable
}
"""


def test_every_format_survives_printing_and_parsing() -> None:
    function = parse_function(EVERY_FORMAT)
    verify(function)
    assert print_function(function, locs=True) == EVERY_FORMAT


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("function f 0() {\nblock0:\n    v0 = iconts.i32 5\n}", "line 3: unknown instruction 'iconts'"),
        ("function f 0() {\nblock0:\n    v0 = iconst.i33 5\n}", "line 3: unknown type 'i33'"),
        ("function f 0() {\nblock0:\n    v0 = iconst.i32 x\n}", "line 3: expected a number, found 'x'"),
        ("function f 0() {\nblock0:\nblock0:\n}", "line 3: block0 is defined twice"),
        ("function f 0() {\nblock0(v0: i32, v0: i32):\n}", "line 2: v0 is defined twice"),
        ("function f 0() {\nblock0:\n    trap nonsense\n}", "line 3: unknown trap code 'nonsense'"),
        ("function f 0() {\nblock0:\n    call fn1 sig0()\n}", "line 3: sig0 is not declared"),
        ("function f 0() {\nblock0:\n    return\n", "line 3: expected '}'"),
        ("function f 0() {\n    return\n}", "line 2: expected a block, found 'return'"),
        ("function f 0() {\nblock0:\n    return ?\n}", "line 3: unexpected '?'"),
    ],
)
def test_errors_say_line_and_cause(text: str, message: str) -> None:
    with pytest.raises(ParseError) as error:
        parse_function(text)
    assert str(error.value).startswith(message)
