"""A row of the table of machine instructions: the notation, and what is made of it.

    mnemonic; operands in the order of Intel's manual; encoding, in the words of the manual
    "add", "UD:G32 U:rm32", "03 /r"

Operands
--------
    U: D: UD:      read, written, both. T: a scratch register of a sequence (written before the uses are read)
    G8 .. G64      general register            X               vector register
    rm8 .. rm64    general register or memory  xm32 .. xm128   vector register or memory
    r8 .. r64, x   register in the ModRM r/m field (never memory)
    m8 .. m64, m   memory only (m: an address, nothing is read)
    =rax =rcx =rdx fixed register that the encoding does not name
    r14 r15        this register, named by the encoding, unknown to the allocator: no entry in `Inst.operands`
    i8 i16 i32 i64 immediate in `Inst.imm`, of the operand size, signed or unsigned (i32 with 64-bit operands is sign-extended)
    u8             unsigned byte in `Inst.imm`
    cc             condition code in `Inst.imm`

`Inst.operands` of a row holds the definitions in the order of the text, then the uses in the order of the text, then the
registers of the addressing mode, if there is one, at the positions named by `Amode.base` and `Amode.index`.
An operand UD has two entries, one among the definitions, one among the uses; the definition is SAME_AS the use (both
fixed, if the operand is). Immediates and named registers have none.

    ADD32   add  UD:G32 U:rm32               [sum, x, y]  or with an amode  [sum, x, base, index]
    IDIV64  idiv UD:G64=rax UD:G64=rdx U:rm64  [quotient, remainder, low, high, divisor]
    MOV32_MR mov D:m32 U:G32                 [value, base, index]

Each row has two shapes: `shape_reg` without and `shape_mem` with an amode (NO_SHAPE where the row has no such form).
With an amode, the operand rm or m has no entries. Without, an rm that is only read is ANY_LOCATION: the allocator may leave
it in its spill slot and the instruction reads it there (xm128 is ANY_REGISTER, since slots have 8 bytes).
Shapes list no operands for the amode's registers: operands past the end are uses, ANY_REGISTER, EARLY.

Encoding
--------
    66 F2 F3 REX.W, opcode bytes, 90+cc (plus the condition code), B8+r (plus the register), /r, /0 .. /7, ib iw id io
    ud             an immediate of 32 bits, zero-extended
    /rr            ModRM with the only operand in both fields
    a | b          alternatives, the first that holds the immediate is taken (`| D1 /4` without one: for 1)
    VEX.L.pp.map.W with VEX.vvvv the second of the register operands that are not rm (the first where there is /digit)
    /is4           a register operand, the last one, in an immediate byte
    zero           (SSE) the instruction merges into its destination: it is zeroed by `xorps` first, unless it is the source,
                   so that it does not wait for the register's last value
    merge          (AVX) VEX.vvvv is the source where that is a vector register, else xmm15, for the same reason
"""

from __future__ import annotations

from typing import Final, final

from brolga.regalloc.operand import ANY_LOCATION, ANY_REGISTER, DEF, EARLY, LATE, SAME_AS, USE, Shape

from .regs import REG_BY_NAME

# Roles.
ROLE_USE: Final = 0
ROLE_DEF: Final = 1
ROLE_USE_DEF: Final = 2
ROLE_SCRATCH: Final = 3
ROLE_NONE: Final = 4  # immediates, named registers

# Kinds of operands in the text.
KIND_REG: Final = 0  # G, r: a general register
KIND_XMM: Final = 1  # X, x
KIND_RM: Final = 2
KIND_XM: Final = 3
KIND_MEM: Final = 4
KIND_IMM: Final = 5
KIND_CC: Final = 6
KIND_NAMED: Final = 7  # r14, r15

# What a field holds if not an operand.
NO_FIELD: Final = -1
MERGE_FIELD: Final = -2  # VEX.vvvv: xmm15

NO_SHAPE: Final = Shape([], [])  # the row has no such form

# How an instruction is encoded.
FORM_SEQUENCE: Final = 0  # by emission
FORM_PLAIN: Final = 1  # opcode only
FORM_PLUS_REG: Final = 2  # register in the opcode byte
FORM_MODRM: Final = 3
FORM_VEX: Final = 4

# The immediate of an encoding.
IMM_NONE: Final = 0
IMM_8: Final = 1
IMM_16: Final = 2
IMM_32: Final = 4
IMM_U32: Final = 5
IMM_64: Final = 8
IMM_REL32: Final = 9  # cd: relocated
IMM_U8: Final = 10
IMM_IS4: Final = 11  # a register in the upper four bits of a byte

# How `Inst.imm` chooses among the encodings of a row.
RULE_NONE: Final = 0  # there is no immediate
RULE_CC: Final = 1  # a condition code
RULE_ONLY: Final = 2  # one encoding
RULE_SHORT: Final = 3  # the first encoding has a byte, the second the full size
RULE_ONE: Final = 4  # the first encoding has none, it means 1
RULE_MOV64: Final = 5  # 32 bits zero-extended, 32 bits sign-extended, 64 bits


@final
class OperandSpec:
    """One operand of a row's text. `fixed` is a register number or -1; `in_rm`: it goes into the ModRM r/m field."""

    __slots__ = ("role", "kind", "width", "fixed", "in_rm", "signed", "text")

    def __init__(self, role: int, kind: int, width: int, fixed: int, in_rm: bool, signed: bool, text: str) -> None:
        self.role = role
        self.kind = kind
        self.width = width
        self.fixed = fixed
        self.in_rm = in_rm
        self.signed = signed
        self.text = text


@final
class Encoding:
    """One encoding of a row.

    `reg`, `rm`, `vvvv`, `is4` are the fields' operands: positions in `Inst.operands` without an amode, `reg_mem`, `vvvv_mem` and
    `is4_mem` those with one; NO_FIELD if the field is not an operand, then `digit` is what the reg field holds.
    `number` is unique, given by the table; with `plus_cc`, number + condition code belongs to this encoding too.
    """

    __slots__ = (
        "number",
        "form",
        "prefix",
        "rex_w",
        "opcode",
        "last",
        "plus_cc",
        "digit",
        "reg",
        "rm",
        "vvvv",
        "reg_mem",
        "vvvv_mem",
        "is4",
        "is4_mem",
        "imm",
        "vex_map",
        "vex_last",
        "zero",
        "byte_reg",
        "byte_rm",
    )

    def __init__(self) -> None:
        self.number = 0
        self.form = FORM_PLAIN
        self.prefix = b""  # mandatory 66, F2 or F3
        self.rex_w = 0  # 8 if REX.W
        self.opcode = b""  # opcode bytes but the last
        self.last = 0  # last opcode byte
        self.plus_cc = False  # `last` + condition code
        self.digit = 0
        self.reg = NO_FIELD
        self.rm = NO_FIELD
        self.vvvv = NO_FIELD
        self.reg_mem = NO_FIELD
        self.vvvv_mem = NO_FIELD
        self.is4 = NO_FIELD
        self.is4_mem = NO_FIELD
        self.imm = IMM_NONE
        self.vex_map = 0  # 1: 0F, 2: 0F38, 3: 0F3A
        self.vex_last = 0  # W, L and pp as in the last VEX byte
        self.zero = False
        self.byte_reg = False  # the reg (rm) field is an 8-bit register: 4..7 need REX to be spl..dil
        self.byte_rm = False


_ROLES: Final[dict[str, int]] = {"U": ROLE_USE, "D": ROLE_DEF, "UD": ROLE_USE_DEF, "T": ROLE_SCRATCH}
_KINDS: Final[dict[str, int]] = {
    "G": KIND_REG, "r": KIND_REG, "X": KIND_XMM, "x": KIND_XMM, "rm": KIND_RM, "xm": KIND_XM, "m": KIND_MEM,
    "i": KIND_IMM, "u": KIND_IMM, "cc": KIND_CC,
}  # fmt: skip
_IMMEDIATES: Final[dict[str, int]] = {
    "ib": IMM_8, "iw": IMM_16, "id": IMM_32, "ud": IMM_U32, "io": IMM_64, "cd": IMM_REL32,
}  # fmt: skip
_VEX_PP: Final[dict[str, int]] = {"66": 1, "F3": 2, "F2": 3}
_VEX_MAPS: Final[dict[str, int]] = {"0F": 1, "0F38": 2, "0F3A": 3}

_specs: Final[dict[str, OperandSpec]] = {}  # by text
_shapes: Final[dict[str, Shape]] = {}  # by text of the operands that have entries


def _operand(text: str) -> OperandSpec:
    spec = _specs.get(text)
    if spec is not None:
        return spec
    role, colon, rest = text.partition(":")
    if not colon:
        role, rest = "", text
    kind_text, _, fixed = rest.partition("=")
    letters = kind_text.rstrip("0123456789")
    width = int(kind_text[len(letters) :] or "0")
    if kind_text in ("r14", "r15"):
        spec = OperandSpec(ROLE_NONE, KIND_NAMED, 64, REG_BY_NAME[kind_text], False, False, text)
    else:
        kind = _KINDS[letters]
        in_rm = letters in ("rm", "xm", "m", "r", "x")
        number = REG_BY_NAME[fixed] if fixed else -1
        spec = OperandSpec(_ROLES[role] if colon else ROLE_NONE, kind, width, number, in_rm, letters == "i", text)
    if (spec.kind in (KIND_IMM, KIND_CC, KIND_NAMED) or letters == "m" and not width) != (spec.role == ROLE_NONE):
        raise ValueError(f"bad operand {text!r}")
    _specs[text] = spec
    return spec


def _shape(specs: list[OperandSpec], memory: bool, commutes: bool = False) -> Shape:
    """Shape of the operands that have entries: with `memory`, all but rm and m."""
    operands = [s for s in specs if s.role != ROLE_NONE and not (memory and s.kind in (KIND_RM, KIND_XM, KIND_MEM))]
    key = " ".join([s.text for s in operands]) + (" commutes" if commutes else "")
    shape = _shapes.get(key)
    if shape is not None:
        return shape
    kinds: list[int] = []
    constraints: list[int] = []
    positions: list[int] = []
    definitions = sum([1 for s in operands if s.role != ROLE_USE])
    use = definitions
    for s in operands:
        if s.role != ROLE_USE:
            kinds.append(DEF)
            tied = s.role == ROLE_USE_DEF and s.fixed < 0
            constraints.append(SAME_AS - use if tied else s.fixed if s.fixed >= 0 else ANY_REGISTER)
            positions.append(EARLY if s.role == ROLE_SCRATCH else LATE)
        if s.role in (ROLE_USE, ROLE_USE_DEF):
            use += 1
    for s in operands:
        if s.role in (ROLE_USE, ROLE_USE_DEF):
            kinds.append(USE)
            any_location = s.role == ROLE_USE and (s.kind == KIND_RM or s.kind == KIND_XM and s.width <= 64)
            constraints.append(s.fixed if s.fixed >= 0 else ANY_LOCATION if any_location else ANY_REGISTER)
            positions.append(EARLY)
    shape = Shape(kinds, constraints, positions, commutes=commutes)
    _shapes[key] = shape
    return shape


def _fields(encoding: Encoding, specs: list[OperandSpec], digit: bool) -> None:
    """Find the operands of the ModRM and VEX fields; see the module's docstring for which is which."""
    definition = definition_mem = 0
    use = sum([1 for s in specs if s.role in (ROLE_DEF, ROLE_USE_DEF, ROLE_SCRATCH)])
    use_mem = sum(
        [
            1
            for s in specs
            if s.role in (ROLE_DEF, ROLE_USE_DEF, ROLE_SCRATCH) and s.kind not in (KIND_RM, KIND_XM, KIND_MEM)
        ]
    )
    reg_taken = digit
    for s in specs:
        memory = s.kind in (KIND_RM, KIND_XM, KIND_MEM)
        if s.role == ROLE_USE:
            position, position_mem = use, use_mem
        else:
            position, position_mem = definition, definition_mem
        if s.role in (ROLE_USE, ROLE_USE_DEF):
            use += 1
            use_mem += not memory
        if s.role in (ROLE_DEF, ROLE_USE_DEF, ROLE_SCRATCH):
            definition += 1
            definition_mem += not memory
        if s.kind == KIND_NAMED:
            encoding.digit = s.fixed
            reg_taken = True
        elif s.in_rm:
            encoding.rm = position
            encoding.byte_rm = s.width == 8
        elif s.kind in (KIND_REG, KIND_XMM) and s.fixed < 0:
            if not reg_taken:
                encoding.reg, encoding.reg_mem = position, position_mem
                encoding.byte_reg = s.width == 8
                reg_taken = True
            elif encoding.vvvv == NO_FIELD:
                encoding.vvvv, encoding.vvvv_mem = position, position_mem
            else:
                encoding.is4, encoding.is4_mem = position, position_mem


def _encoding(text: str, specs: list[OperandSpec]) -> Encoding:
    encoding = Encoding()
    opcode: list[int] = []
    for word in text.split():
        if word == "/r":
            encoding.form = FORM_MODRM if encoding.form != FORM_VEX else FORM_VEX
            _fields(encoding, specs, False)
        elif word == "/rr":
            encoding.form = FORM_MODRM
            encoding.reg = encoding.rm = 0
        elif word == "/is4":
            encoding.imm = IMM_IS4
        elif word[0] == "/":
            encoding.form = FORM_MODRM if encoding.form != FORM_VEX else FORM_VEX
            encoding.digit = int(word[1])
            _fields(encoding, specs, True)
        elif word in _IMMEDIATES:
            encoding.imm = _IMMEDIATES[word]
            if word == "ib" and not specs[-1].signed:
                encoding.imm = IMM_U8
        elif word == "REX.W":
            encoding.rex_w = 8
        elif word == "zero":
            encoding.zero = True
        elif word == "merge":
            encoding.vvvv = encoding.vvvv_mem = MERGE_FIELD
            if specs[1].kind == KIND_XM:
                encoding.vvvv = encoding.rm
        elif word[:4] == "VEX.":
            encoding.form = FORM_VEX
            for part in word[4:].split("."):
                if part in _VEX_PP:
                    encoding.vex_last |= _VEX_PP[part]
                elif part in _VEX_MAPS:
                    encoding.vex_map = _VEX_MAPS[part]
                elif part == "W1":
                    encoding.vex_last |= 0x80
                elif part not in ("128", "LIG", "LZ", "W0", "WIG"):
                    raise ValueError(f"bad encoding {text!r}")
        elif word[2:] == "+cc":
            opcode.append(int(word[:2], 16))
            encoding.plus_cc = True
        elif word[2:] == "+r":
            opcode.append(int(word[:2], 16))
            encoding.form = FORM_PLUS_REG
            encoding.reg = 0
        elif word in ("66", "F2", "F3") and not opcode and encoding.form == FORM_PLAIN:
            encoding.prefix = bytes((int(word, 16),))
        else:
            opcode.append(int(word, 16))
    encoding.opcode = bytes(opcode[:-1])
    encoding.last = opcode[-1]
    return encoding


def _rule(specs: list[OperandSpec], encodings: int) -> int:
    if not specs:
        return RULE_NONE
    last = specs[-1]
    if last.kind == KIND_CC:
        return RULE_CC
    if last.kind != KIND_IMM:
        return RULE_NONE
    if encodings == 1:
        return RULE_ONLY
    if encodings == 3:
        return RULE_MOV64
    return RULE_SHORT if last.signed else RULE_ONE


@final
class Row:
    """A row. `encodings` are the alternatives, none for sequences. `commutes`: the allocator may exchange the two inputs of the
    register form."""

    __slots__ = (
        "mnemonic",
        "operands",
        "text",
        "encoding_text",
        "encodings",
        "rule",
        "memory_width",
        "imm_width",
        "shape_reg",
        "shape_mem",
    )

    def __init__(self, mnemonic: str, text: str, encoding_text: str, commutes: bool) -> None:
        self.mnemonic = mnemonic
        self.text = text
        self.encoding_text = encoding_text
        self.memory_width = 0  # bits of the memory operand
        self.imm_width = 0  # `Inst.imm` is taken modulo 2 ** imm_width and as signed; 0: an unsigned byte or none
        specs = [_operand(operand) for operand in text.split()]
        has_reg = has_mem = False
        for spec in specs:
            if spec.kind == KIND_MEM:
                has_mem = True
                self.memory_width = spec.width
            elif spec.kind == KIND_RM or spec.kind == KIND_XM:
                has_reg = has_mem = True
                self.memory_width = spec.width
            elif spec.kind == KIND_IMM and spec.signed:
                self.imm_width = spec.width
        if self.imm_width == 32 and any(s.width == 64 for s in specs):
            self.imm_width = 64
        self.operands = specs
        self.encodings = [_encoding(word, specs) for word in encoding_text.split("|")] if encoding_text else []
        self.rule = _rule(specs, len(self.encodings))
        self.shape_reg = _shape(specs, False, commutes) if has_reg or not has_mem else NO_SHAPE
        self.shape_mem = _shape(specs, True) if has_mem else NO_SHAPE
