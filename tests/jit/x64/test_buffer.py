"""Branch lengths, labels, constants and tables of the code buffer. Bytes are read with capstone."""

from __future__ import annotations

import random
import struct

import capstone
import pytest

from brolga.jit.code import RELOC_FUNC, CompiledFunction
from brolga.jit.x64.buffer import LINE, LONGEST_LOOP, LONGEST_NOP, NOPS, ROUND_LIMIT, WINDOW, CodeBuffer
from brolga.jit.x64.buffer import nops as nops_of
from brolga.jit.x64.encode import encode, encode_rip_relative
from brolga.jit.x64.inst import AMODE_CONSTANT, Amode
from brolga.jit.x64.insts import (
    ADD16_MI,
    ADD32_I,
    ANDPS,
    CALL,
    CC_NAMES,
    CMP8_I,
    CMP32_I,
    LEA64,
    MOV64,
    MOVSS,
    NOP,
    ROUNDSD,
    SHL32_I,
)

cs = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
cs.detail = True


def buffer(labels: int = 0, tables: list[list[int]] | None = None) -> CodeBuffer:
    return CodeBuffer(labels, [], [], tables or [])


def nops(b: CodeBuffer, count: int) -> None:
    for _ in range(count):
        encode(b, NOP, [])


def decode(function: CompiledFunction) -> list[tuple[int, int, str, int]]:
    """(offset, size, mnemonic, branch target or -1) of each instruction."""
    result = []
    for i in cs.disasm(function.code[: function.code_size], 0):
        target = i.operands[0].imm if i.group(capstone.CS_GRP_JUMP) and i.operands[0].type == 2 else -1
        result.append((i.address, i.size, i.mnemonic, target))
    assert sum(size for _, size, _, _ in result) == function.code_size
    return result


@pytest.mark.parametrize("cc", [*range(16), -1])
@pytest.mark.parametrize("distance", [0, 126, 127, 128, 129])
def test_forward_edge(cc: int, distance: int) -> None:
    b = buffer(1)
    if cc >= 0:
        b.jcc(cc, 0)
    else:
        b.jmp(0)
    nops(b, distance)
    b.bind(0)
    nops(b, 1)
    offset, size, mnemonic, target = decode(b.finish(0))[0]
    assert (offset, mnemonic) == (0, "j" + CC_NAMES[cc] if cc >= 0 else "jmp")
    assert size == (2 if distance <= 127 else 6 if cc >= 0 else 5)
    assert target == size + distance


@pytest.mark.parametrize("cc", [4, -1])
@pytest.mark.parametrize("distance", [0, 125, 126, 127, 128])
def test_backward_edge(cc: int, distance: int) -> None:
    b = buffer(1)
    b.bind(0)
    nops(b, distance)
    if cc >= 0:
        b.jcc(cc, 0)
    else:
        b.jmp(0)
    offset, size, _, target = decode(b.finish(0))[-1]
    assert (offset, target) == (distance, 0)
    assert size == (2 if distance + 2 <= 128 else 6 if cc >= 0 else 5)


def test_growing_branch_pushes_others_out_of_reach() -> None:
    # The inner branch does not reach; made long it moves the target of the outer one from 127 to 130 bytes away.
    b = buffer(2)
    b.jmp(0)
    b.jmp(1)
    nops(b, 125)
    b.bind(0)
    nops(b, 3)
    b.bind(1)
    code = decode(b.finish(0))
    assert [(size, target) for _, size, _, target in code[:2]] == [(5, 135), (5, 138)]


def test_long_cascade_ends() -> None:
    # Each branch reaches only as long as the one after it is short: more rounds than are made.
    count = 5 * ROUND_LIMIT
    b = buffer(count + 1)
    for i in range(count):
        b.jmp(i)
        nops(b, 62)
        if i:
            b.bind(i - 1)
            nops(b, 1)
    nops(b, 200)
    b.bind(count - 1)
    check_targets(b, shortest=False)


def check_targets(b: CodeBuffer, shortest: bool) -> None:
    """Every branch leads to its label, the short ones reach, and with `shortest` the long ones had to be long."""
    labels, kinds = list(b.item_labels), list(b.item_kinds)
    marks = list(b.labels)
    b.source_marks, b.source_locs = [mark for mark in marks if mark >= 0], [0] * len(marks)
    function = b.finish(0)
    offsets = iter(function.source_offsets)
    final = [next(offsets) if mark >= 0 else -1 for mark in marks]
    branches = [line for line in decode(function) if line[2][0] == "j"]
    wanted = [(label, kind) for label, kind in zip(labels, kinds, strict=True) if kind <= 16]
    assert len(branches) == len(wanted)
    for (offset, size, mnemonic, target), (label, kind) in zip(branches, wanted, strict=True):
        assert target == final[label]
        assert mnemonic == ("jmp" if kind == 16 else "j" + CC_NAMES[kind])
        assert size > 2 or -128 <= target - offset - 2 <= 127
        if shortest and size > 2:
            assert target - offset - size > 127 or target - offset - 2 < -128


@pytest.mark.parametrize("seed", range(40))
def test_random_programs(seed: int) -> None:
    rng = random.Random(seed)
    count = rng.choice([3, 20, 200])
    b = buffer(count)
    order = list(range(count))
    rng.shuffle(order)
    for label in order:
        if seed % 2 and rng.random() < 0.2:
            b.place(label)
        b.bind(label)
        nops(b, rng.choice([0, 1, 5, 30, 60, 120]))
        target = rng.randrange(count)
        if rng.random() < 0.5:
            b.jmp(target)
        else:
            b.jcc(rng.randrange(16), target)
        encode(b, ADD32_I, [9, 9], 1000)
    check_targets(b, shortest=seed % 2 == 0)


def placed(before: int, size: int, inside: str = "") -> tuple[int, int]:
    """Offset and size of a loop of about `size` bytes behind `before` bytes, which is to be kept together."""
    b = buffer(2)
    nops(b, before)
    b.place(0)
    b.bind(0)
    if inside == "call":
        b.call()
    if inside == "branch":  # a long one, once its length is known
        b.jcc(0, 1)
        nops(b, size - 8)
    else:
        nops(b, size - 2)
    if inside == "jump":
        encode(b, NOP, [])
        encode(b, NOP, [])
        b.end_place(0)
    else:
        b.jcc(1, 0)
    nops(b, 200)
    b.bind(1)
    function = b.finish(0)
    padding = function.code_size - before - size - 200
    assert function.code[before : before + padding] == nops_of(padding)
    return before + padding, size


@pytest.mark.parametrize("size", [2, 7, 20, 30, 31])
@pytest.mark.parametrize("inside", ["", "branch"])
def test_tight_loops_are_kept_together(size: int, inside: str) -> None:
    for before in range(70):
        if inside and size < 8:
            continue
        start, size = placed(before, size, inside)
        assert start // WINDOW == (start + size) // WINDOW  # its last branch does not end with the window either
        fits = before // WINDOW == (before + size) // WINDOW
        assert start == (before if fits else -(-before // WINDOW) * WINDOW)


@pytest.mark.parametrize(
    ("size", "inside"), [(LONGEST_LOOP + 1, ""), (LONGEST_LOOP + 1, "branch"), (60, ""), (7, "call")]
)
def test_other_loops_stay_where_they_are(size: int, inside: str) -> None:
    assert [placed(before, size, inside)[0] for before in range(70)] == list(range(70))


def test_a_call_outside_of_a_loop_does_not_count() -> None:
    b = buffer(1)
    nops(b, 29)
    b.call()
    encode(b, NOP, [])
    b.place(0)
    b.bind(0)
    nops(b, 5)
    b.jmp(0)
    b.call()
    assert decode(b.finish(0))[-1] == (37, 2, "jmp", 32)


@pytest.mark.parametrize("size", [31, 32, 40, 63, 64, 65, 100])
def test_what_ends_with_a_jump_through_a_table_is_kept_in_a_line(size: int) -> None:
    for before in range(140):
        start, size = placed(before, size, "jump")
        unit = WINDOW if size < WINDOW else LINE
        fits = before // unit == (before + size - (size >= WINDOW)) // unit
        assert start == (before if fits or size > LINE else -(-before // unit) * unit)


def test_a_loop_that_becomes_longer_is_left_where_it_is() -> None:
    """It is a tight one as long as its branch to the outside is short."""
    b = buffer(2)
    nops(b, 20)
    b.place(0)
    b.bind(0)
    b.jcc(0, 1)
    nops(b, 26)
    b.jmp(0)
    nops(b, 200)
    b.bind(1)
    assert decode(b.finish(0))[20] == (20, 6, "jo", 254)


@pytest.mark.parametrize("length", range(64))
def test_nops(length: int) -> None:
    if length < len(NOPS):
        assert len(NOPS[length]) == length
    code = list(cs.disasm(nops_of(length), 0))
    assert all(i.mnemonic == "nop" for i in code)
    assert sum(i.size for i in code) == length
    assert len(code) == -(-length // LONGEST_NOP)


def constant(number: int) -> Amode:
    return Amode(AMODE_CONSTANT, displacement=number)


def test_constants_are_aligned_and_reached() -> None:
    for filler in range(17):
        b = CodeBuffer(0, [0x11111111, (1 << 127) | 5, 0x2222, 0x3333333333333333], [4, 16, 4, 8], [])
        encode(b, MOVSS, [17], 0, constant(0))
        encode(b, ANDPS, [18, 18], 0, constant(1))
        encode(b, MOV64, [1], 0, constant(3))
        nops(b, filler)
        # Immediates of every size stand between the displacement and the end of the instruction.
        encode(b, CMP32_I, [], 1000, constant(0))
        encode(b, CMP32_I, [], 1, constant(0))
        encode(b, CMP8_I, [], 1, constant(0))
        encode(b, ADD16_MI, [], 1000, constant(0))
        encode(b, ROUNDSD, [19], 8, constant(3))
        encode(b, SHL32_I, [], 1, constant(0))
        encode(b, SHL32_I, [], 2, constant(0))
        function = b.finish(0)
        sizes = {"movss": 4, "andps": 16, "mov": 8, "cmp": 4, "add": 4, "roundsd": 8, "shl": 4}
        values = {4: 0x11111111, 16: (1 << 127) | 5, 8: 0x3333333333333333}
        seen = 0
        for i in cs.disasm(function.code[: function.code_size], 0):
            for operand in i.operands:
                if operand.type == capstone.x86.X86_OP_MEM:
                    at = i.address + i.size + operand.mem.disp
                    size = sizes[i.mnemonic]
                    assert at % size == 0 and at >= function.code_size
                    assert int.from_bytes(function.code[at : at + size], "little") == values[size]
                    seen += 1
        assert seen == 10
        assert len(function.code) <= function.code_size + 15 + 16 + 8 + 4  # the unused constant is left out
        assert struct.pack("<I", 0x2222) not in function.code


def test_jump_table() -> None:
    b = buffer(3, [[2, 0, 1, 2]])
    b.bind(0)
    encode_rip_relative(b, LEA64, 9, b.table_label(0))
    b.bind(1)
    nops(b, 200)
    b.jmp(0)
    b.bind(2)
    nops(b, 1)
    function = b.finish(0)
    lea = next(cs.disasm(function.code, 0))
    table = lea.address + lea.size + lea.operands[1].mem.disp
    assert table % 4 == 0
    offsets = struct.unpack_from("<4i", function.code, table)
    assert [table + offset for offset in offsets] == [212, 0, 7, 212]
    assert table + 16 == len(function.code)


def test_side_tables_follow_the_code() -> None:
    b = buffer(2)
    b.frame(0)
    b.source(10)
    b.jmp(0)  # long
    b.source(20)
    b.trap(3)
    encode(b, CALL, [])
    b.reloc(RELOC_FUNC, 5)
    b.frame(8)
    nops(b, 200)
    b.bind(0)
    b.trap(4)
    nops(b, 1)
    function = b.finish(9)
    assert function.index == 9
    assert (list(function.frame_offsets), list(function.frame_sizes)) == ([0, 10], [0, 8])
    assert (list(function.source_offsets), list(function.source_locs)) == ([0, 5], [10, 20])
    assert (list(function.trap_offsets), list(function.trap_codes)) == ([5, 210], [3, 4])
    (reloc,) = function.relocations
    assert (reloc.offset, reloc.kind, reloc.target, reloc.addend) == (6, RELOC_FUNC, 5, -4)


def test_unbound_label_is_refused() -> None:
    b = buffer(1)
    b.jmp(0)
    with pytest.raises(AssertionError):
        b.finish(0)
