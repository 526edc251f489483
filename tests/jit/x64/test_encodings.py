"""Every row of the instruction table, swept over registers, addressing modes and immediates.

Three parties must agree on each instruction: our bytes, the bytes keystone makes of the instruction's text, and capstone's
reading of our bytes. Where an instruction has several encodings, keystone's choice may differ from ours: then capstone must
read both alike. The texts come from the printer, which works from the operand column of the table, the bytes from the
encoding column.
"""

from __future__ import annotations

import re
from pathlib import Path

import capstone
import pytest

from brolga.jit.code import RELOC_FUNC
from brolga.jit.x64 import insts
from brolga.jit.x64.buffer import CodeBuffer
from brolga.jit.x64.encode import encode
from brolga.jit.x64.inst import AMODE_INCOMING, AMODE_OUTGOING, AMODE_REGISTERS, AMODE_SLOT, AMODE_VMCTX, Amode, Inst
from brolga.jit.x64.insts import ENCODINGS, ROWS, SHAPE_MEM, SHAPE_REG
from brolga.jit.x64.printer import print_inst
from brolga.jit.x64.regs import REG32, REG64
from brolga.jit.x64.row import (
    FORM_PLUS_REG,
    FORM_VEX,
    KIND_CC,
    KIND_IMM,
    KIND_MEM,
    KIND_RM,
    KIND_XM,
    KIND_XMM,
    MERGE_FIELD,
    NO_SHAPE,
    ROLE_USE,
    ROLE_USE_DEF,
    Encoding,
    Row,
)
from brolga.regalloc.operand import ANY_LOCATION, FIRST_SPILL_SLOT
from brolga.runtime.machine.assembler import assemble_text

SOURCE = Path(__file__).parents[3] / "jit" / "x64" / "insts.py"
NAMES = dict(enumerate(re.findall(r"^(\w+): Final = ins\(", SOURCE.read_text(), re.MULTILINE)))
ENCODED = [op for op in range(len(ROWS)) if ROWS[op].encodings]

PREDICATES = [  # of float compares, by number
    "eq", "lt", "le", "unord", "neq", "nlt", "nle", "ord",
    "eq_uq", "nge", "ngt", "false", "neq_oq", "ge", "gt", "true",
    "eq_os", "lt_oq", "le_oq", "unord_s", "neq_us", "nlt_uq", "nle_uq", "ord_s",
    "eq_us", "nge_uq", "ngt_uq", "false_os", "neq_os", "ge_oq", "gt_oq", "true_us",
]  # fmt: skip

# keystone has a shorter form: with rax, and of movq with memory (for which MOVSD is there).
LONGER = (insts.XCHG64, insts.MOVQ_XR, insts.MOVQ_RX)

SPILL_BASE, FIXED_BASE, INCOMING_BASE = 0x40, 0x20, 0x98
# Where the code stands. Only calls look at it.
ADDRESS = 1 << 32

cs = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)


class Case:
    """One instruction: what we encode, and its text."""

    def __init__(self, op: int, locations: list[int], imm: int, amode: Amode | None) -> None:
        self.op = op
        shape = SHAPE_REG[op] if amode is None else SHAPE_MEM[op]
        inst = Inst(op, list(locations), shape, imm, amode)
        buffer = CodeBuffer(0, [], [], [])
        buffer.spill_base, buffer.fixed_base, buffer.incoming_base = SPILL_BASE, FIXED_BASE, INCOMING_BASE
        encode(buffer, op, locations, imm, amode)
        self.bytes = bytes(buffer.code)
        self.text = self._text(inst, locations)
        self.absolute = amode is not None and amode.kind == AMODE_REGISTERS and max(
            amode.base, amode.index, amode.fixed_base
        ) < 0  # fmt: skip

    def _text(self, inst: Inst, locations: list[int]) -> str:
        text = print_inst(None, inst, None, locations)
        text = re.sub(r"\[slot(\d+)\]", lambda m: f"[rsp + {SPILL_BASE + 8 * int(m[1])}]", text)
        text = re.sub(r"\[fixed(\d+)\]", lambda m: f"[rsp + {FIXED_BASE + 8 * int(m[1])}]", text)
        text = re.sub(r"\[incoming \+ (\w+)\]", lambda m: f"[rsp + {INCOMING_BASE + int(m[1], 0)}]", text)
        text = text.replace("[incoming]", f"[rsp + {INCOMING_BASE}]")
        if inst.op in (insts.CALL_RM, insts.JMP_RM) and inst.amode is None and locations[0] >= FIRST_SPILL_SLOT:
            text = f"{ROWS[inst.op].mnemonic} qword ptr [rsp + {SPILL_BASE + 8 * (locations[0] - FIRST_SPILL_SLOT)}]"
        if MERGE_FIELD in (ROWS[inst.op].encodings[0].vvvv, ROWS[inst.op].encodings[0].vvvv_mem):
            # The operand that the row's text does not have: the source if it is a vector register, else xmm15.
            head, source = text.split(", ", 1)
            name = source.split(",")[0]
            text = f"{head}, {name if name.startswith('xmm') and '[' not in name else 'xmm15'}, {source}"
        return text


def positions(row: Row, memory: bool) -> tuple[list[list[int]], int]:
    """For each operand of the text its places in `Inst.operands`, and the number of entries."""
    inline = [
        s.role <= ROLE_USE_DEF and s.kind != KIND_MEM and not (memory and s.kind in (KIND_RM, KIND_XM))
        for s in row.operands
    ]
    definition, use = 0, sum(1 for s, has in zip(row.operands, inline, strict=True) if has and s.role != ROLE_USE)
    result: list[list[int]] = []
    for s, has in zip(row.operands, inline, strict=True):
        places = []
        if has and s.role != ROLE_USE:
            places.append(definition)
            definition += 1
        if has and s.role in (ROLE_USE, ROLE_USE_DEF):
            places.append(use)
            use += 1
        result.append(places)
    return result, use


def immediates(row: Row) -> list[int]:
    last = row.operands[-1] if row.operands else None
    if last is None or last.kind not in (KIND_IMM, KIND_CC):
        return [0]
    if last.kind == KIND_CC:
        return list(range(16))
    if not last.signed:
        if "cmp" in row.mnemonic:
            return list(range(32 if row.mnemonic[0] == "v" else 8))
        edges = {0, 1, 2, 7, 8, 31, 63, 127, 128, 255}
        return sorted(e for e in edges if e < row.operands[0].width) if row.mnemonic[:2] == "bt" else sorted(edges)
    edges = {0, 1, -1, 127, 128, -128, -129}
    for width in (8, 16, 32, 64):
        if width <= last.width:
            edges |= {(1 << (width - 1)) - 1, -(1 << (width - 1))}
    if last.width == 64:
        edges |= {1 << 31, (1 << 32) - 1, 1 << 32, -(1 << 31) - 1, (1 << 64) - 1}
    elif row.imm_width == last.width:
        edges |= {(1 << last.width) - 1, 1 << (last.width - 1)}  # unsigned spellings
    else:
        edges |= {(1 << row.imm_width) - 1, (1 << row.imm_width) - (1 << (last.width - 1))}
    return sorted(e for e in edges if -(1 << (last.width - 1)) <= e < 1 << row.imm_width)


def amodes(at: int, salt: int) -> list[tuple[Amode, list[int]]]:
    """Addressing modes with the registers they add to the operands, from entry `at` on."""
    result: list[tuple[Amode, list[int]]] = []
    displacements = [0, 1, -1, 127, -128, 128, -129, 0x7FFF_FFFF, -0x8000_0000]
    for base in range(16):
        some = displacements if base in (4, 5, 12, 13) else [displacements[(base + salt) % 9], displacements[base % 3]]
        for displacement in some:
            result.append((Amode(AMODE_REGISTERS, at, displacement=displacement), [base]))
    for index in [i for i in range(16) if i != 4]:
        for base in (4, 5, 12, 13, (index + salt) % 16):
            scale = (index + salt + base) % 4
            displacement = displacements[(base + index + salt) % 9]
            result.append((Amode(AMODE_REGISTERS, at, at + 1, scale, displacement), [base, index]))
        result.append((Amode(AMODE_REGISTERS, at, at + 1, 0, 0), [(index * 5) % 16, index]))
        for scale in range(4):
            result.append((Amode(AMODE_REGISTERS, -1, at, scale, displacements[(index + scale + salt) % 9]), [index]))
    for scale in range(4):
        for index in (5, 13, 1):
            result.append((Amode(AMODE_REGISTERS, at, at + 1, scale, 0), [13, index]))
            result.append((Amode(AMODE_REGISTERS, at, at + 1, scale, 0), [5, index]))
    for base in (0, 5, 8, 12, 13):
        for address32 in (False, True):
            result.append((Amode(AMODE_REGISTERS, at, displacement=0, gs=True, address32=address32), [base]))
            result.append((Amode(AMODE_REGISTERS, at, -1, 0, 16, -1, True, address32), [base]))
            result.append((Amode(AMODE_REGISTERS, at, at + 1, 3, 0x1234, -1, True, address32), [base, base]))
            result.append((Amode(AMODE_REGISTERS, -1, at, 2, 0x1234, -1, True, address32), [base]))
        result.append((Amode(AMODE_REGISTERS, at, at + 1, 2, 0xFFFF_FFF0, -1, True, True), [base, 9]))
        result.append((Amode(AMODE_REGISTERS, at, -1, 0, 0x8000_0000, -1, False, True), [base]))
    result.append((Amode(AMODE_REGISTERS, at, -1, 0, 8, fixed_base=14), [3]))
    result[-1] = (Amode(AMODE_REGISTERS, -1, at, 1, 8, fixed_base=14), [3])
    result.append((Amode(AMODE_REGISTERS, fixed_base=14, displacement=300), []))
    result.append((Amode(AMODE_REGISTERS, displacement=0x1000, gs=True), []))
    result.append((Amode(AMODE_REGISTERS, displacement=0xFFFF_FFF8, gs=True, address32=True), []))
    for displacement in (0, 8, 200):
        result.append((Amode(AMODE_VMCTX, displacement=displacement), []))
        result.append((Amode(AMODE_OUTGOING, displacement=displacement), []))
        result.append((Amode(AMODE_INCOMING, displacement=displacement), []))
        result.append((Amode(AMODE_SLOT, displacement=displacement), []))
    return result


RELOCATED = (insts.CALL, insts.JMP_REL)


def relocated(op: int) -> list[Case]:
    """CALL or JMP_REL with its relocation applied, each behind the one before."""
    result: list[Case] = []
    edges = [0, -5, 1, -1, 0x7F, -0x80] if op == insts.CALL else []  # a jump so near has a shorter form
    edges += [0x80, -0x90, 0x7FFF, -0x8000, 0x8000, 0xFFFF, 0x7FFF_FFFF, -0x8000_0000]
    for displacement in edges:
        case = Case(op, [], 0, None)
        end = ADDRESS + 5 * len(result) + 5
        buffer = CodeBuffer(0, [], [], [])
        encode(buffer, op, [])
        buffer.reloc(RELOC_FUNC, 0)
        (relocation,) = buffer.finish(0).relocations
        code = bytearray(case.bytes)
        field = displacement + end + relocation.addend - (end - 5 + relocation.offset)
        code[relocation.offset : relocation.offset + 4] = field.to_bytes(4, "little", signed=True)
        case.bytes, case.text = bytes(code), f"{ROWS[op].mnemonic} {end + displacement:#x}"
        result.append(case)
    return result


def cases(op: int) -> list[Case]:
    if op in RELOCATED:
        return relocated(op)
    row = ROWS[op]
    result: list[Case] = []
    imms = immediates(row)

    def fill(places: list[list[int]], count: int, choice: list[int]) -> list[int]:
        locations = [0] * count
        for spec, at, number in zip(row.operands, places, choice, strict=True):
            for place in at:
                register = spec.fixed if spec.fixed >= 0 else number
                vector = spec.kind == KIND_XMM or spec.kind == KIND_XM
                locations[place] = register + 16 if vector and spec.fixed < 0 else register
        return locations

    if SHAPE_REG[op] is not NO_SHAPE:
        places, count = positions(row, False)
        choices = [[(5 + 3 * i) % 16 for i in range(len(places))]]
        for k in range(len(places)):
            for number in range(16):
                choice = [(number * 7 + 3 * i + k) % 16 for i in range(len(places))]
                choice[k] = number
                choices.append(choice)
        for i, choice in enumerate(choices):
            result.append(Case(op, fill(places, count, choice), imms[i % len(imms)], None))
        for imm in imms:
            for choice in choices[:3]:
                result.append(Case(op, fill(places, count, choice), imm, None))
        if ANY_LOCATION in SHAPE_REG[op].constraints:
            for slot in (0, 5, 7, 8, 1000):
                for choice in choices[:5]:
                    locations = fill(places, count, choice)
                    locations[SHAPE_REG[op].constraints.index(ANY_LOCATION)] = FIRST_SPILL_SLOT + slot
                    result.append(Case(op, locations, imms[slot % len(imms)], None))
    if SHAPE_MEM[op] is not NO_SHAPE:
        places, count = positions(row, True)
        for i, (amode, registers) in enumerate(amodes(count, op)):
            choice = [(i * 7 + 3 * k + op) % 16 for k in range(len(places))]
            result.append(Case(op, fill(places, count, choice) + registers, imms[i % len(imms)], amode))
    return result


# Normal forms -----------------------------------------------------------------------------------------------------


def normal_memory(text: str) -> tuple[object, ...]:
    """Registers with their factors, displacement, segment, size, address width; however they are written."""
    size, bracket = text.split("[")
    terms: dict[str, int] = {}
    displacement = 0
    for sign, term in re.findall(r"([+-]?) *([\w*]+)", bracket.rstrip("]")):
        register, _, factor = term.partition("*")
        if register[0].isdigit():
            displacement += -int(register, 0) if sign == "-" else int(register, 0)
        elif register not in ("riz", "eiz"):
            terms[register] = terms.get(register, 0) + int(factor or "1")
    # Without a register capstone does not tell the address width and sign-extends a displacement that the CPU truncates.
    narrow = not terms or any(register in REG32 for register in terms)
    size = size.replace("xmmword ptr", "").strip()
    return ("memory", size, tuple(sorted(terms.items())), displacement % (1 << (32 if narrow else 64)))


def normal(text: str, imm_width: int) -> tuple[object, ...]:
    mnemonic, _, rest = text.partition(" ")
    operands: list[object] = []
    for operand in rest.split(", ") if rest else []:
        if "[" in operand:
            operands.append(normal_memory(operand))
        elif re.fullmatch(r"-?(0x[0-9a-f]+|\d+)", operand):
            operands.append(int(operand, 0) % (1 << (imm_width or 8)))
        else:
            operands.append(re.sub(r"^(r\d+)w$", r"\1w", operand))
    if mnemonic == "movabs":
        mnemonic = "mov"
    if match := re.fullmatch(r"(v?cmp)(\w+?)(ss|sd)", mnemonic):
        mnemonic = match[1] + match[3]
        operands.append(PREDICATES.index(match[2]))
    if mnemonic in ("test", "xchg"):
        operands.sort(key=str)
    if mnemonic == "mov" and len(operands) == 2 and operands[0] in REG32 and isinstance(operands[1], int):
        operands = [REG64[REG32.index(str(operands[0]))], operands[1] % (1 << 32)]  # the upper half becomes zero
    return (mnemonic, *operands)


def read(code: bytes) -> list[tuple[bytes, str]]:
    return [(bytes(i.bytes), f"{i.mnemonic} {i.op_str}".strip()) for i in cs.disasm(code, ADDRESS)]


@pytest.mark.parametrize("op", ENCODED, ids=[NAMES[op] for op in ENCODED])
def test_row(op: int) -> None:
    width = 64 if op in RELOCATED else ROWS[op].imm_width
    todo = cases(op)
    ours = read(b"".join(case.bytes for case in todo))
    assert [code for code, _ in ours] == [case.bytes for case in todo]
    for case, (_, text) in zip(todo, ours, strict=True):
        assert normal(text, width) == normal(case.text, width), (case.text, case.bytes.hex())

    # keystone takes a bare address for rip-relative or 64 bits wide.
    relative = [case for case in todo if not case.absolute]
    assembled = assemble_text("\n".join(case.text for case in relative), ADDRESS)
    if assembled != b"".join(case.bytes for case in relative):
        theirs = read(assembled)
        assert len(theirs) == len(relative)
        for case, (code, text) in zip(relative, theirs, strict=True):
            if code != case.bytes:
                assert normal(text, width) == normal(read(case.bytes)[0][1], width), (case.text, case.bytes.hex())
                shorter = len(code) < len(case.bytes) and op not in LONGER
                assert not shorter, (case.text, case.bytes.hex(), code.hex())


def has_opcode(code: bytes, encoding: Encoding) -> bool:
    """Whether the instruction's opcode bytes are those of `encoding`."""
    if encoding.form == FORM_VEX:
        head = 2 if code[0] == 0xC5 else 3
        return code[0] in (0xC4, 0xC5) and code[head] == encoding.last
    opcode = code.lstrip(b"\x66\x67\xf2\xf3\x64\x65")
    if opcode[0] & 0xF0 == 0x40:  # REX
        opcode = opcode[1:]
    opcode = opcode[: len(encoding.opcode) + 1]
    span = 16 if encoding.plus_cc else 8 if encoding.form == FORM_PLUS_REG else 1
    return opcode[:-1] == encoding.opcode and encoding.last <= opcode[-1] < encoding.last + span


def test_the_sweep_has_every_row_and_every_alternative() -> None:
    missing: list[str] = []
    swept: list[Encoding] = []
    for op in ENCODED:
        codes = [case.bytes for case in cases(op)]
        for encoding in ROWS[op].encodings:
            if any(has_opcode(code, encoding) for code in codes):
                swept.append(encoding)
            else:
                missing.append(f"{NAMES[op]}: {ROWS[op].encoding_text} at {encoding.last:#x}")
    assert not missing
    assert swept == ENCODINGS
    # The other rows are sequences, which have no encoding of their own.
    assert len(NAMES) == len(ROWS)
    assert set(ENCODED) | {op for op, row in enumerate(ROWS) if not row.encoding_text} == set(NAMES)
