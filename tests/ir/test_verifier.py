"""Each invariant of the verifier has a function that breaks it."""

from __future__ import annotations

import pytest

from brolga.ir.errors import VerifierError
from brolga.ir.loops import loops_of
from brolga.ir.parser import parse_function
from brolga.ir.verifier import verify

HEAD = "function f 0(i32, f64) -> i32 {\n    sig0 = (i32) -> i32\nblock0(v0: i32, v1: f64):\n"

BROKEN = {
    "the entry is the target of a branch": "    jump block0(v0, v1)\n",
    "the block has no terminator at its end": "    v2 = iconst.i32 1\n",
    "return stands before the end of the block": "    return v0\n    return v0\n",
    "jump targets block7, which is not in the layout": "    jump block7\n",
    "the arguments for block1 do not fit its parameters": "    jump block1(v1)\nblock1(v2: i32):\n    return v2\n",
    "v9 has no definition": "    return v9\n",
    "the use of v2 is not dominated by its definition": (
        "    brif v0, block1, block2\nblock1:\n    v2 = clz.i32 v0\n    jump block2\nblock2:\n    return v2\n"
    ),
    "operands must be (i32, i32), not (i32, f64)": "    v2 = iadd.i32 v0, v1\n    return v2\n",
    "the type must be of class i": "    v2 = iadd.f64 v1, v1\n    return v0\n",
    "the type must be of class i64": "    v2 = sextend32.i32 v0\n    return v0\n",
    "the operands' type is of the wrong class": "    v2 = icmp.f64 eq v1, v1\n    return v2\n",
    "bitcast is between an integer and a float of one width": "    v2 = bitcast.i32.f64 v1\n    return v2\n",
    "the conversion is not between such types": "    v2 = fpromote.f64.f64 v1\n    return v0\n",
    "operands must be (i32), not (f64)": "    brif v1, block1, block1\nblock1:\n    return v0\n",
    "the offset is out of range": "    v2 = load.i32 v0+4294967296\n    return v2\n",
    "a result is missing": "    clz.i32 v0\n    return v0\n",
    "operands must be (i64), not (i32)": "    v2 = ptr_load.i32 v0+0\n    return v2\n",
    "operands must be (i64, i64, i32), not (i32, i32)": "    v2 = call_ptr v0 v0 sig0()\n    return v2\n",
    "operands must be (i32), not ()": "    return\n",
}


@pytest.mark.parametrize("message", BROKEN)
def test_broken_functions_are_refused(message: str) -> None:
    with pytest.raises(VerifierError) as error:
        verify(parse_function(HEAD + BROKEN[message] + "}\n"))
    assert message in [finding[2] for finding in error.value.findings]


def test_findings_that_text_cannot_express() -> None:
    function = parse_function(HEAD + "    v2 = iconst.i32 1\n    v3 = call fn0 sig0(v2)\n    trap unreachable\n}\n")
    verify(function)
    insts = function.blocks[0].insts
    insts[0].imm = 1 << 32
    insts[1].aux = 4
    insts[2].imm = 99
    with pytest.raises(VerifierError) as error:
        verify(function)
    assert [finding[2] for finding in error.value.findings] == [
        "the constant does not fit its type",
        "signature 4 does not exist",
        "trap code 99 does not exist",
    ]


def test_an_analysis_of_other_blocks() -> None:
    function = parse_function(HEAD + "    jump block1\nblock1:\n    brif v0, block1, block2\nblock2:\n    trap unreachable\n}\n")
    function.analysis = loops_of(function)
    verify(function)
    target = function.blocks[1].insts[-1].targets[0]
    target.block = 2  # the loop is gone
    with pytest.raises(VerifierError) as error:
        verify(function)
    assert [finding[2] for finding in error.value.findings] == ["`analysis` is of other blocks"]
    function.new_block()
    verify(function)
