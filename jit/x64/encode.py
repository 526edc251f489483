"""Machine instructions to bytes.

`encode` finds out what goes into each field of an instruction and packs that into an integer key; the bytes for a key, all but
displacement and immediate, are made once (`_instruction_bytes`) and kept. So the common case costs one look-up.

    key = number of the encoding (plus condition code) << 31 | reg << 26 | vvvv << 21 | rm << 16 | address
    address = 0 if rm is a register, else
              1 | base << 1 | index << 6 | scale << 10 | gs << 12 | address32 << 13 | size of the displacement << 14
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from brolga.regalloc.operand import FIRST_SPILL_SLOT

from .buffer import CodeBuffer
from .inst import (
    AMODE_CONSTANT,
    AMODE_INCOMING,
    AMODE_OUTGOING,
    AMODE_REGISTERS,
    AMODE_VMCTX,
    Amode,
)
from .insts import ENCODINGS, ROWS
from .row import (
    FORM_PLAIN,
    FORM_PLUS_REG,
    FORM_VEX,
    IMM_8,
    IMM_16,
    IMM_32,
    IMM_IS4,
    IMM_NONE,
    IMM_REL32,
    IMM_U8,
    IMM_U32,
    MERGE_FIELD,
    RULE_CC,
    RULE_NONE,
    RULE_ONE,
    RULE_ONLY,
    RULE_SHORT,
    Encoding,
)

_NO_BASE: Final = 16
_RIP: Final = 17
_NO_INDEX: Final = 4
_RSP: Final = 4
_MERGE_REGISTER: Final = 31  # xmm15

_GS: Final = 1 << 12
_ADDRESS32: Final = 1 << 13
_DISPLACEMENT: Final = 14
_DISPLACEMENT8: Final = 1 << _DISPLACEMENT
_DISPLACEMENT32: Final = 2 << _DISPLACEMENT
_RSP_RELATIVE: Final = 1 | _RSP << 1 | _NO_INDEX << 6
_VMCTX_RELATIVE: Final = 1 | 15 << 1 | _NO_INDEX << 6
_ABSOLUTE: Final = _DISPLACEMENT32 | 1 | _NO_BASE << 1 | _NO_INDEX << 6
_RIP_RELATIVE: Final = 1 | _RIP << 1 | _NO_INDEX << 6

CACHE_LIMIT: Final = 1 << 15  # resvg's 2,527 functions have that many between them
_cache: Final[dict[int, bytes]] = {}

_I16: Final = Struct("<h")
_I32: Final = Struct("<i")
_U32: Final = Struct("<I")
_I64: Final = Struct("<q")

# Opcodes with /digit that have a form for the accumulator: its opcode for digit 0 (others follow by 8).
_ACCUMULATOR: Final[dict[int, int]] = {0x80: 0x04, 0x81: 0x05, 0xF6: 0xA8, 0xF7: 0xA9}

# By row.
_FIRST: Final[list[Encoding]] = [row.encodings[0] if row.encodings else ENCODINGS[0] for row in ROWS]
_RULES: Final[list[int]] = [row.rule for row in ROWS]


def encode(buffer: CodeBuffer, op: int, locations: list[int], imm: int = 0, amode: Amode | None = None) -> None:
    """Append row `op` with the operands at `locations` (registers, or a spill slot where the row has rm or m)."""
    code = buffer.code
    encoding = _FIRST[op]
    number = encoding.number
    rule = _RULES[op]
    if rule != RULE_NONE:
        if rule == RULE_CC:
            number += imm
        else:
            width = ROWS[op].imm_width
            if width and imm >> (width - 1) > 0:
                imm -= 1 << width
            if rule == RULE_SHORT:
                if not -128 <= imm <= 127:
                    encoding = ROWS[op].encodings[1]
                    number = encoding.number
            elif rule == RULE_ONE:
                if imm != 1:
                    encoding = ROWS[op].encodings[1]
                    number = encoding.number
            elif rule != RULE_ONLY and not 0 <= imm < 1 << 32:
                encoding = ROWS[op].encodings[1 if -(1 << 31) <= imm < 0 else 2]
                number = encoding.number

    displacement = 0
    rm = 0
    if amode is None:
        address = 0
        field = encoding.reg
        reg = locations[field] if field >= 0 else encoding.digit
        field = encoding.vvvv
        vvvv = locations[field] if field >= 0 else _MERGE_REGISTER if field == MERGE_FIELD else 0
        field = encoding.rm
        if field >= 0:
            rm = locations[field]
            if rm >= FIRST_SPILL_SLOT:
                address = _RSP_RELATIVE
                displacement = buffer.spill_base + 8 * (rm - FIRST_SPILL_SLOT)
                if vvvv == rm:
                    vvvv = _MERGE_REGISTER
                rm = 0
    else:
        field = encoding.reg_mem
        reg = locations[field] if field >= 0 else encoding.digit
        field = encoding.vvvv_mem
        vvvv = locations[field] if field >= 0 else _MERGE_REGISTER if field == MERGE_FIELD else 0
        displacement = amode.displacement
        kind = amode.kind
        if kind == AMODE_REGISTERS:
            field = amode.base
            base = locations[field] if field >= 0 else amode.fixed_base
            field = amode.index
            if field < 0:
                address = 1 | base << 1 | _NO_INDEX << 6 if base >= 0 else _ABSOLUTE
            elif base >= 0:
                address = 1 | base << 1 | locations[field] << 6 | amode.scale << 10
            elif amode.scale == 0:
                address = 1 | locations[field] << 1 | _NO_INDEX << 6
            elif amode.scale == 1:  # r + r is shorter than r * 2 with its displacement of 32 bits
                address = 1 | locations[field] << 1 | locations[field] << 6
            else:
                address = _DISPLACEMENT32 | 1 | _NO_BASE << 1 | locations[field] << 6 | amode.scale << 10
            if amode.gs:
                address |= _GS
            if amode.address32:
                address |= _ADDRESS32
                if displacement >= 1 << 31:
                    displacement -= 1 << 32
        elif kind == AMODE_VMCTX:
            address = _VMCTX_RELATIVE
        elif kind == AMODE_CONSTANT:
            address = _RIP_RELATIVE
            displacement = 0
        else:
            address = _RSP_RELATIVE
            if kind == AMODE_INCOMING:
                displacement += buffer.incoming_base
            elif kind != AMODE_OUTGOING:
                displacement = buffer.fixed_base + 8 * displacement

    if displacement != 0 and address < _DISPLACEMENT32:
        address |= _DISPLACEMENT8 if -128 <= displacement <= 127 else _DISPLACEMENT32
    key = number << 31 | reg << 26 | vvvv << 21 | rm << 16 | address
    head = _cache.get(key)
    if head is None:
        head = _instruction_bytes(encoding, key)
        if len(_cache) >= CACHE_LIMIT:
            _cache.clear()
        _cache[key] = head
    code += head
    if address >= _DISPLACEMENT8:
        if address < _DISPLACEMENT32:
            code.append(displacement & 0xFF)
        else:
            code += _I32.pack(displacement)

    size = encoding.imm
    if size == IMM_NONE:
        pass
    elif size == IMM_8:
        assert -128 <= imm <= 127
        code.append(imm & 0xFF)
    elif size == IMM_32:
        code += _I32.pack(imm)
    elif size == IMM_U8:
        code.append(imm)
    elif size == IMM_16:
        code += _I16.pack(imm)
    elif size == IMM_U32:
        code += _U32.pack(imm)
    elif size == IMM_REL32:
        code += b"\0\0\0\0"
    elif size == IMM_IS4:
        code.append((locations[encoding.is4 if amode is None else encoding.is4_mem] & 15) << 4)
    else:
        code += _I64.pack(imm)
    if amode is not None and amode.kind == AMODE_CONSTANT:
        tail = 8 if size == IMM_32 else 6 if size == IMM_16 else 5 if size in (IMM_8, IMM_U8, IMM_IS4) else 4
        buffer.rip_relative(buffer.constant_label(amode.displacement), tail)


def remembered_encodings() -> int:
    """How many keys have their bytes kept, at most CACHE_LIMIT."""
    return len(_cache)


def forget_encodings() -> None:
    _cache.clear()


def encode_rip_relative(buffer: CodeBuffer, op: int, register: int, label: int) -> None:
    """Append row `op`, which has a register and a memory operand (lea), with memory at `label`."""
    encoding = _FIRST[op]
    buffer.code += _instruction_bytes(encoding, encoding.number << 31 | register << 26 | _RIP_RELATIVE)
    buffer.rip_relative(label, 4)


def _instruction_bytes(encoding: Encoding, key: int) -> bytes:
    """The bytes for a key, without displacement and immediate (but with a displacement that only the encoding asks for)."""
    address = key & 0xFFFF
    rm = key >> 16 & 31
    vvvv = key >> 21 & 15
    reg = key >> 26 & 31
    out = bytearray()
    tail = b""
    if address:
        base = address >> 1 & 31
        index = address >> 6 & 15
        if address & _GS:
            out.append(0x65)
        if address & _ADDRESS32:
            out.append(0x67)
        scale = address >> 10 & 3
        if base & 7 == 5 and base < _NO_BASE and index != _NO_INDEX and index & 7 != 5 and scale == 0:
            base, index = index, base  # with r(b)p as index no displacement is needed
        tail = _memory_bytes(reg & 7, base, index, scale, address >> _DISPLACEMENT)
        b = base >> 3 & 1 if base < _NO_BASE else 0
        x = index >> 3
    elif encoding.form == FORM_PLUS_REG:
        b, x = reg >> 3 & 1, 0
        reg &= 7
    else:
        b, x = rm >> 3 & 1, 0
        if encoding.form != FORM_PLAIN:
            tail = bytes((0xC0 | (reg & 7) << 3 | rm & 7,))
    r = reg >> 3 & 1

    if encoding.form == FORM_VEX:
        vex_last = encoding.vex_last | (~vvvv & 15) << 3
        if x or b or vex_last & 0x80 or encoding.vex_map != 1:
            out.append(0xC4)
            out.append((r ^ 1) << 7 | (x ^ 1) << 6 | (b ^ 1) << 5 | encoding.vex_map)
            out.append(vex_last)
        else:
            out.append(0xC5)
            out.append((r ^ 1) << 7 | vex_last)
        out.append(encoding.last)
        return bytes(out + tail)

    last = encoding.last
    if encoding.reg < 0 and not address and rm == 0 and last in _ACCUMULATOR and encoding.imm != IMM_NONE:
        # Arithmetic on rax with an immediate of full size has a form without ModRM.
        last = _ACCUMULATOR[last] + 8 * reg
        tail = b""
    out += encoding.prefix
    rex = encoding.rex_w | r << 2 | x << 1 | b
    if rex or encoding.byte_reg and 4 <= reg < 8 or encoding.byte_rm and not address and 4 <= rm < 8:
        out.append(0x40 | rex)
    out += encoding.opcode
    if encoding.plus_cc:
        cc = (key >> 31) - encoding.number
        assert 0 <= cc < 16
        last += cc
    if encoding.form == FORM_PLUS_REG:
        last += reg
    out.append(last)
    return bytes(out + tail)


def _memory_bytes(reg: int, base: int, index: int, scale: int, displacement_size: int) -> bytes:
    """ModRM and SIB, and a displacement of zero where there is no form without one.

    `displacement_size` is 0: none, 1: 8 bits, 2: 32 bits (always without a base); the displacement itself is not part of the
    result.
    """
    if base == _RIP:
        return bytes((reg << 3 | 5, 0, 0, 0, 0))
    if base == _NO_BASE:
        return bytes((reg << 3 | 4, scale << 6 | (index & 7) << 3 | 5))
    if displacement_size == 0 and base & 7 == 5:
        return _memory_bytes(reg, base, index, scale, 1) + b"\0"
    mod = displacement_size << 6
    if index == _NO_INDEX and base & 7 != 4:
        return bytes((mod | reg << 3 | base & 7,))
    return bytes((mod | reg << 3 | 4, scale << 6 | (index & 7) << 3 | base & 7))
