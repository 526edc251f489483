"""The table of machine instructions: one row each, in the words of Intel's manual.

    ADD32 = ins("add", "UD:G32 U:rm32", "03 /r")

Columns: mnemonic; operands in the manual's order; encoding. `row.py` has the notation. Selection, the allocator (through the
row's shapes), encoder, printer and tests all read this row.

The flags are not modelled. Selection keeps an instruction that reads flags right behind the one that sets them; what the
allocator and emission insert between them (mov, movaps, xchg, constants made again by the rows MOV32_I, MOV64_I, or a load) leaves
the flags alone. ZERO32 does not: it must not be in `Code.remat` (ZEROPS, MOV32_I, MOV64_I and loads may).

Rows without encoding are sequences made by `emit.py` and `sequences.py`; their comments say what they do. They clobber
flags unless it says otherwise.
"""

from __future__ import annotations

from typing import Final

from brolga.regalloc.operand import Shape

from .row import Encoding, Row

# Condition codes, the manual's numbers, and two of ours for float equality. cc ^ 1 is the inverse.
CC_O: Final = 0
CC_NO: Final = 1
CC_B: Final = 2
CC_AE: Final = 3
CC_E: Final = 4
CC_NE: Final = 5
CC_BE: Final = 6
CC_A: Final = 7
CC_S: Final = 8
CC_NS: Final = 9
CC_P: Final = 10
CC_NP: Final = 11
CC_L: Final = 12
CC_GE: Final = 13
CC_LE: Final = 14
CC_G: Final = 15
CC_E_AND_NP: Final = 16  # ucomis: ordered and equal. BRANCH, TRAP_IF, XMM_CMOV take it
CC_NE_OR_P: Final = 17  # ucomis: unordered or not equal. BRANCH, TRAP_IF, XMM_CMOV, CMOV32, CMOV64 take it
CC_COUNT: Final = 18
CC_NAMES: Final[list[str]] = [
    "o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g", "e&np", "ne|p",
]  # fmt: skip

# By number of the row.
ROWS: Final[list[Row]] = []
SHAPE_REG: Final[list[Shape]] = []  # without amode
SHAPE_MEM: Final[list[Shape]] = []  # with an amode
ENCODINGS: Final[list[Encoding]] = []  # of all rows


def ins(mnemonic: str, operands: str, encoding: str = "", commutes: bool = False) -> int:
    """Add a row; the result is its number. `commutes`: the allocator may exchange the two inputs of the register form."""
    row = Row(mnemonic, operands, encoding, commutes)
    for alternative in row.encodings:
        last = ENCODINGS[-1] if ENCODINGS else None
        alternative.number = 1 if last is None else last.number + (CC_COUNT if last.plus_cc else 1)
        ENCODINGS.append(alternative)
    ROWS.append(row)
    SHAPE_REG.append(row.shape_reg)
    SHAPE_MEM.append(row.shape_mem)
    return len(ROWS) - 1


# Moves, loads and stores ----------------------------------------------------------------------------------------------
MOV32: Final = ins("mov", "D:G32 U:rm32", "8B /r")  # zero-extends to 64 bits, as every write of a 32-bit register
MOV64: Final = ins("mov", "D:G64 U:rm64", "REX.W 8B /r")
MOV8_MR: Final = ins("mov", "D:m8 U:G8", "88 /r")
MOV16_MR: Final = ins("mov", "D:m16 U:G16", "66 89 /r")
MOV32_MR: Final = ins("mov", "D:m32 U:G32", "89 /r")
MOV64_MR: Final = ins("mov", "D:m64 U:G64", "REX.W 89 /r")
MOV8_MI: Final = ins("mov", "D:m8 i8", "C6 /0 ib")
MOV16_MI: Final = ins("mov", "D:m16 i16", "66 C7 /0 iw")
MOV32_MI: Final = ins("mov", "D:m32 i32", "C7 /0 id")
MOV64_MI: Final = ins("mov", "D:m64 i32", "REX.W C7 /0 id")
MOV32_I: Final = ins("mov", "D:G32 i32", "B8+r id")
MOV64_I: Final = ins("mov", "D:r64 i64", "B8+r ud | REX.W C7 /0 id | REX.W B8+r io")
ZERO32: Final = ins("xor", "D:G32", "33 /rr")
MOVZX32_8: Final = ins("movzx", "D:G32 U:rm8", "0F B6 /r")
MOVZX32_16: Final = ins("movzx", "D:G32 U:rm16", "0F B7 /r")
MOVSX32_8: Final = ins("movsx", "D:G32 U:rm8", "0F BE /r")
MOVSX32_16: Final = ins("movsx", "D:G32 U:rm16", "0F BF /r")
MOVSX64_8: Final = ins("movsx", "D:G64 U:rm8", "REX.W 0F BE /r")
MOVSX64_16: Final = ins("movsx", "D:G64 U:rm16", "REX.W 0F BF /r")
MOVSXD: Final = ins("movsxd", "D:G64 U:rm32", "REX.W 63 /r")
LEA32: Final = ins("lea", "D:G32 m", "8D /r")
LEA64: Final = ins("lea", "D:G64 m", "REX.W 8D /r")
PUSH: Final = ins("push", "U:G64", "50+r")
POP: Final = ins("pop", "D:G64", "58+r")
XCHG64: Final = ins("xchg", "UD:G64 UD:r64", "REX.W 87 /r")

# The pinned registers, the vmctx in r15 and, by settings, the base of memory 0 in r14.
MOV_FROM_R15: Final = ins("mov", "D:rm64 r15", "REX.W 89 /r")
MOV_TO_R15: Final = ins("mov", "r15 U:rm64", "REX.W 8B /r")
MOV_FROM_R14: Final = ins("mov", "D:rm64 r14", "REX.W 89 /r")
MOV_TO_R14: Final = ins("mov", "r14 U:rm64", "REX.W 8B /r")
RDGSBASE: Final = ins("rdgsbase", "D:r64", "F3 REX.W 0F AE /1")
WRGSBASE: Final = ins("wrgsbase", "U:r64", "F3 REX.W 0F AE /3")

# Integer arithmetic ---------------------------------------------------------------------------------------------------
# _I rows take a register or memory as destination, _MR rows memory.
ADD32: Final = ins("add", "UD:G32 U:rm32", "03 /r", commutes=True)
ADD64: Final = ins("add", "UD:G64 U:rm64", "REX.W 03 /r", commutes=True)
ADD32_I: Final = ins("add", "UD:rm32 i32", "83 /0 ib | 81 /0 id")
ADD64_I: Final = ins("add", "UD:rm64 i32", "REX.W 83 /0 ib | REX.W 81 /0 id")
ADD8_MI: Final = ins("add", "UD:m8 i8", "80 /0 ib")
ADD16_MI: Final = ins("add", "UD:m16 i16", "66 83 /0 ib | 66 81 /0 iw")
ADD8_MR: Final = ins("add", "UD:m8 U:G8", "00 /r")
ADD16_MR: Final = ins("add", "UD:m16 U:G16", "66 01 /r")
ADD32_MR: Final = ins("add", "UD:m32 U:G32", "01 /r")
ADD64_MR: Final = ins("add", "UD:m64 U:G64", "REX.W 01 /r")

OR32: Final = ins("or", "UD:G32 U:rm32", "0B /r", commutes=True)
OR64: Final = ins("or", "UD:G64 U:rm64", "REX.W 0B /r", commutes=True)
OR32_I: Final = ins("or", "UD:rm32 i32", "83 /1 ib | 81 /1 id")
OR64_I: Final = ins("or", "UD:rm64 i32", "REX.W 83 /1 ib | REX.W 81 /1 id")
OR8_MI: Final = ins("or", "UD:m8 i8", "80 /1 ib")
OR16_MI: Final = ins("or", "UD:m16 i16", "66 83 /1 ib | 66 81 /1 iw")
OR8_MR: Final = ins("or", "UD:m8 U:G8", "08 /r")
OR16_MR: Final = ins("or", "UD:m16 U:G16", "66 09 /r")
OR32_MR: Final = ins("or", "UD:m32 U:G32", "09 /r")
OR64_MR: Final = ins("or", "UD:m64 U:G64", "REX.W 09 /r")

AND32: Final = ins("and", "UD:G32 U:rm32", "23 /r", commutes=True)
AND64: Final = ins("and", "UD:G64 U:rm64", "REX.W 23 /r", commutes=True)
AND32_I: Final = ins("and", "UD:rm32 i32", "83 /4 ib | 81 /4 id")
AND64_I: Final = ins("and", "UD:rm64 i32", "REX.W 83 /4 ib | REX.W 81 /4 id")
AND8_MI: Final = ins("and", "UD:m8 i8", "80 /4 ib")
AND16_MI: Final = ins("and", "UD:m16 i16", "66 83 /4 ib | 66 81 /4 iw")
AND8_MR: Final = ins("and", "UD:m8 U:G8", "20 /r")
AND16_MR: Final = ins("and", "UD:m16 U:G16", "66 21 /r")
AND32_MR: Final = ins("and", "UD:m32 U:G32", "21 /r")
AND64_MR: Final = ins("and", "UD:m64 U:G64", "REX.W 21 /r")

SUB32: Final = ins("sub", "UD:G32 U:rm32", "2B /r")
SUB64: Final = ins("sub", "UD:G64 U:rm64", "REX.W 2B /r")
SUB32_I: Final = ins("sub", "UD:rm32 i32", "83 /5 ib | 81 /5 id")
SUB64_I: Final = ins("sub", "UD:rm64 i32", "REX.W 83 /5 ib | REX.W 81 /5 id")
SUB8_MI: Final = ins("sub", "UD:m8 i8", "80 /5 ib")
SUB16_MI: Final = ins("sub", "UD:m16 i16", "66 83 /5 ib | 66 81 /5 iw")
SUB8_MR: Final = ins("sub", "UD:m8 U:G8", "28 /r")
SUB16_MR: Final = ins("sub", "UD:m16 U:G16", "66 29 /r")
SUB32_MR: Final = ins("sub", "UD:m32 U:G32", "29 /r")
SUB64_MR: Final = ins("sub", "UD:m64 U:G64", "REX.W 29 /r")

XOR32: Final = ins("xor", "UD:G32 U:rm32", "33 /r", commutes=True)
XOR64: Final = ins("xor", "UD:G64 U:rm64", "REX.W 33 /r", commutes=True)
XOR32_I: Final = ins("xor", "UD:rm32 i32", "83 /6 ib | 81 /6 id")
XOR64_I: Final = ins("xor", "UD:rm64 i32", "REX.W 83 /6 ib | REX.W 81 /6 id")
XOR8_MI: Final = ins("xor", "UD:m8 i8", "80 /6 ib")
XOR16_MI: Final = ins("xor", "UD:m16 i16", "66 83 /6 ib | 66 81 /6 iw")
XOR8_MR: Final = ins("xor", "UD:m8 U:G8", "30 /r")
XOR16_MR: Final = ins("xor", "UD:m16 U:G16", "66 31 /r")
XOR32_MR: Final = ins("xor", "UD:m32 U:G32", "31 /r")
XOR64_MR: Final = ins("xor", "UD:m64 U:G64", "REX.W 31 /r")

ADC32: Final = ins("adc", "UD:G32 U:rm32", "13 /r")
ADC64: Final = ins("adc", "UD:G64 U:rm64", "REX.W 13 /r")
ADC32_I: Final = ins("adc", "UD:rm32 i32", "83 /2 ib | 81 /2 id")
ADC64_I: Final = ins("adc", "UD:rm64 i32", "REX.W 83 /2 ib | REX.W 81 /2 id")
SBB32: Final = ins("sbb", "UD:G32 U:rm32", "1B /r")
SBB64: Final = ins("sbb", "UD:G64 U:rm64", "REX.W 1B /r")
SBB32_I: Final = ins("sbb", "UD:rm32 i32", "83 /3 ib | 81 /3 id")
SBB64_I: Final = ins("sbb", "UD:rm64 i32", "REX.W 83 /3 ib | REX.W 81 /3 id")

NEG32: Final = ins("neg", "UD:rm32", "F7 /3")
NEG64: Final = ins("neg", "UD:rm64", "REX.W F7 /3")
NOT32: Final = ins("not", "UD:rm32", "F7 /2")
NOT64: Final = ins("not", "UD:rm64", "REX.W F7 /2")

CMP8: Final = ins("cmp", "U:G8 U:rm8", "3A /r")
CMP16: Final = ins("cmp", "U:G16 U:rm16", "66 3B /r")
CMP32: Final = ins("cmp", "U:G32 U:rm32", "3B /r")
CMP64: Final = ins("cmp", "U:G64 U:rm64", "REX.W 3B /r")
CMP8_I: Final = ins("cmp", "U:rm8 i8", "80 /7 ib")
CMP16_I: Final = ins("cmp", "U:rm16 i16", "66 83 /7 ib | 66 81 /7 iw")
CMP32_I: Final = ins("cmp", "U:rm32 i32", "83 /7 ib | 81 /7 id")
CMP64_I: Final = ins("cmp", "U:rm64 i32", "REX.W 83 /7 ib | REX.W 81 /7 id")
CMP8_MR: Final = ins("cmp", "U:m8 U:G8", "38 /r")
CMP16_MR: Final = ins("cmp", "U:m16 U:G16", "66 39 /r")
CMP32_MR: Final = ins("cmp", "U:m32 U:G32", "39 /r")
CMP64_MR: Final = ins("cmp", "U:m64 U:G64", "REX.W 39 /r")

TEST8: Final = ins("test", "U:rm8 U:G8", "84 /r")
TEST16: Final = ins("test", "U:rm16 U:G16", "66 85 /r")
TEST32: Final = ins("test", "U:rm32 U:G32", "85 /r")
TEST64: Final = ins("test", "U:rm64 U:G64", "REX.W 85 /r")
TEST8_I: Final = ins("test", "U:rm8 i8", "F6 /0 ib")
TEST16_I: Final = ins("test", "U:rm16 i16", "66 F7 /0 iw")
TEST32_I: Final = ins("test", "U:rm32 i32", "F7 /0 id")
TEST64_I: Final = ins("test", "U:rm64 i32", "REX.W F7 /0 id")

IMUL32: Final = ins("imul", "UD:G32 U:rm32", "0F AF /r", commutes=True)
IMUL64: Final = ins("imul", "UD:G64 U:rm64", "REX.W 0F AF /r", commutes=True)
IMUL32_I: Final = ins("imul", "D:G32 U:rm32 i32", "6B /r ib | 69 /r id")
IMUL64_I: Final = ins("imul", "D:G64 U:rm64 i32", "REX.W 6B /r ib | REX.W 69 /r id")
# [low, high, x, y]
MUL32: Final = ins("mul", "UD:G32=rax D:G32=rdx U:rm32", "F7 /4")
MUL64: Final = ins("mul", "UD:G64=rax D:G64=rdx U:rm64", "REX.W F7 /4")
IMULH32: Final = ins("imul", "UD:G32=rax D:G32=rdx U:rm32", "F7 /5")
IMULH64: Final = ins("imul", "UD:G64=rax D:G64=rdx U:rm64", "REX.W F7 /5")
MULX32: Final = ins("mulx", "D:G32 D:G32 U:rm32 U:G32=rdx", "VEX.LZ.F2.0F38.W0 F6 /r")  # BMI2: [high, low, x, y]
MULX64: Final = ins("mulx", "D:G64 D:G64 U:rm64 U:G64=rdx", "VEX.LZ.F2.0F38.W1 F6 /r")
# [quotient, remainder, low, high, divisor]; the instruction traps, so `Inst.trap` is set
DIV32: Final = ins("div", "UD:G32=rax UD:G32=rdx U:rm32", "F7 /6")
DIV64: Final = ins("div", "UD:G64=rax UD:G64=rdx U:rm64", "REX.W F7 /6")
IDIV32: Final = ins("idiv", "UD:G32=rax UD:G32=rdx U:rm32", "F7 /7")
IDIV64: Final = ins("idiv", "UD:G64=rax UD:G64=rdx U:rm64", "REX.W F7 /7")
CDQ: Final = ins("cdq", "D:G32=rdx U:G32=rax", "99")  # [high, x]
CQO: Final = ins("cqo", "D:G64=rdx U:G64=rax", "REX.W 99")

# Signed division: rare paths are out of line. SDIV_CHECK traps with INTEGER_OVERFLOW if x is the least integer and y is -1.
SDIV_CHECK32: Final = ins("sdivcheck32", "U:G32 U:G32")
SDIV_CHECK64: Final = ins("sdivcheck64", "U:G64 U:G64")
# cdq; idiv, but the remainder is 0 if y is -1. Shape made by the client: [remainder=rdx (EARLY), quotient=rax, x=rax, y (register)].
# As `idiv`, it traps if y is 0, so `Inst.trap` is set.
SREM32: Final = ins("srem32", "")
SREM64: Final = ins("srem64", "")

# Shifts and rotates. _CL: [result, x, count]
SHL32_CL: Final = ins("shl", "UD:rm32 U:G8=rcx", "D3 /4")
SHL64_CL: Final = ins("shl", "UD:rm64 U:G8=rcx", "REX.W D3 /4")
SHR32_CL: Final = ins("shr", "UD:rm32 U:G8=rcx", "D3 /5")
SHR64_CL: Final = ins("shr", "UD:rm64 U:G8=rcx", "REX.W D3 /5")
SAR32_CL: Final = ins("sar", "UD:rm32 U:G8=rcx", "D3 /7")
SAR64_CL: Final = ins("sar", "UD:rm64 U:G8=rcx", "REX.W D3 /7")
ROL32_CL: Final = ins("rol", "UD:rm32 U:G8=rcx", "D3 /0")
ROL64_CL: Final = ins("rol", "UD:rm64 U:G8=rcx", "REX.W D3 /0")
ROR32_CL: Final = ins("ror", "UD:rm32 U:G8=rcx", "D3 /1")
ROR64_CL: Final = ins("ror", "UD:rm64 U:G8=rcx", "REX.W D3 /1")
SHL32_I: Final = ins("shl", "UD:rm32 u8", "D1 /4 | C1 /4 ib")
SHL64_I: Final = ins("shl", "UD:rm64 u8", "REX.W D1 /4 | REX.W C1 /4 ib")
SHR32_I: Final = ins("shr", "UD:rm32 u8", "D1 /5 | C1 /5 ib")
SHR64_I: Final = ins("shr", "UD:rm64 u8", "REX.W D1 /5 | REX.W C1 /5 ib")
SAR32_I: Final = ins("sar", "UD:rm32 u8", "D1 /7 | C1 /7 ib")
SAR64_I: Final = ins("sar", "UD:rm64 u8", "REX.W D1 /7 | REX.W C1 /7 ib")
ROL32_I: Final = ins("rol", "UD:rm32 u8", "D1 /0 | C1 /0 ib")
ROL64_I: Final = ins("rol", "UD:rm64 u8", "REX.W D1 /0 | REX.W C1 /0 ib")
ROR32_I: Final = ins("ror", "UD:rm32 u8", "D1 /1 | C1 /1 ib")
ROR64_I: Final = ins("ror", "UD:rm64 u8", "REX.W D1 /1 | REX.W C1 /1 ib")
ROL16_I: Final = ins("rol", "UD:rm16 u8", "66 D1 /0 | 66 C1 /0 ib")
SHLD32_I: Final = ins("shld", "UD:rm32 U:G32 u8", "0F A4 /r ib")
SHLD64_I: Final = ins("shld", "UD:rm64 U:G64 u8", "REX.W 0F A4 /r ib")
# BMI2: [result, x, count]; flags are left alone
SHLX32: Final = ins("shlx", "D:G32 U:rm32 U:G32", "VEX.LZ.66.0F38.W0 F7 /r")
SHLX64: Final = ins("shlx", "D:G64 U:rm64 U:G64", "VEX.LZ.66.0F38.W1 F7 /r")
SHRX32: Final = ins("shrx", "D:G32 U:rm32 U:G32", "VEX.LZ.F2.0F38.W0 F7 /r")
SHRX64: Final = ins("shrx", "D:G64 U:rm64 U:G64", "VEX.LZ.F2.0F38.W1 F7 /r")
SARX32: Final = ins("sarx", "D:G32 U:rm32 U:G32", "VEX.LZ.F3.0F38.W0 F7 /r")
SARX64: Final = ins("sarx", "D:G64 U:rm64 U:G64", "VEX.LZ.F3.0F38.W1 F7 /r")
RORX32: Final = ins("rorx", "D:G32 U:rm32 u8", "VEX.LZ.F2.0F3A.W0 F0 /r ib")
RORX64: Final = ins("rorx", "D:G64 U:rm64 u8", "VEX.LZ.F2.0F3A.W1 F0 /r ib")

# Bits. With a register index, bt and its kin have no memory form here: it would address a bit string.
BT32: Final = ins("bt", "U:r32 U:G32", "0F A3 /r")
BT64: Final = ins("bt", "U:r64 U:G64", "REX.W 0F A3 /r")
BTS32: Final = ins("bts", "UD:r32 U:G32", "0F AB /r")
BTS64: Final = ins("bts", "UD:r64 U:G64", "REX.W 0F AB /r")
BTR32: Final = ins("btr", "UD:r32 U:G32", "0F B3 /r")
BTR64: Final = ins("btr", "UD:r64 U:G64", "REX.W 0F B3 /r")
BTC32: Final = ins("btc", "UD:r32 U:G32", "0F BB /r")
BTC64: Final = ins("btc", "UD:r64 U:G64", "REX.W 0F BB /r")
BT32_I: Final = ins("bt", "U:rm32 u8", "0F BA /4 ib")
BT64_I: Final = ins("bt", "U:rm64 u8", "REX.W 0F BA /4 ib")
BTS64_I: Final = ins("bts", "UD:rm64 u8", "REX.W 0F BA /5 ib")
BTR64_I: Final = ins("btr", "UD:rm64 u8", "REX.W 0F BA /6 ib")
BTC64_I: Final = ins("btc", "UD:rm64 u8", "REX.W 0F BA /7 ib")
BSF32: Final = ins("bsf", "D:G32 U:rm32", "0F BC /r")  # result undefined for 0
BSF64: Final = ins("bsf", "D:G64 U:rm64", "REX.W 0F BC /r")
BSR32: Final = ins("bsr", "D:G32 U:rm32", "0F BD /r")
BSR64: Final = ins("bsr", "D:G64 U:rm64", "REX.W 0F BD /r")
BSWAP32: Final = ins("bswap", "UD:G32", "0F C8+r")
BSWAP64: Final = ins("bswap", "UD:G64", "REX.W 0F C8+r")
TZCNT32: Final = ins("tzcnt", "D:G32 U:rm32", "F3 0F BC /r")  # BMI1
TZCNT64: Final = ins("tzcnt", "D:G64 U:rm64", "F3 REX.W 0F BC /r")
LZCNT32: Final = ins("lzcnt", "D:G32 U:rm32", "F3 0F BD /r")  # LZCNT
LZCNT64: Final = ins("lzcnt", "D:G64 U:rm64", "F3 REX.W 0F BD /r")
POPCNT32: Final = ins("popcnt", "D:G32 U:rm32", "F3 0F B8 /r")  # POPCNT
POPCNT64: Final = ins("popcnt", "D:G64 U:rm64", "F3 REX.W 0F B8 /r")
ANDN32: Final = ins("andn", "D:G32 U:G32 U:rm32", "VEX.LZ.0F38.W0 F2 /r")  # BMI1: ~x & y
ANDN64: Final = ins("andn", "D:G64 U:G64 U:rm64", "VEX.LZ.0F38.W1 F2 /r")
BLSR32: Final = ins("blsr", "D:G32 U:rm32", "VEX.LZ.0F38.W0 F3 /1")  # BMI1: x & (x - 1)
BLSR64: Final = ins("blsr", "D:G64 U:rm64", "VEX.LZ.0F38.W1 F3 /1")
BLSMSK32: Final = ins("blsmsk", "D:G32 U:rm32", "VEX.LZ.0F38.W0 F3 /2")  # x ^ (x - 1)
BLSMSK64: Final = ins("blsmsk", "D:G64 U:rm64", "VEX.LZ.0F38.W1 F3 /2")
BLSI32: Final = ins("blsi", "D:G32 U:rm32", "VEX.LZ.0F38.W0 F3 /3")  # x & -x
BLSI64: Final = ins("blsi", "D:G64 U:rm64", "VEX.LZ.0F38.W1 F3 /3")

# Conditions. SETCC leaves the upper bits as they were: D: of whatever the register held, UD: of the given value.
SETCC: Final = ins("set", "D:rm8 cc", "0F 90+cc /0")
SETCC_LOW: Final = ins("set", "UD:r8 cc", "0F 90+cc /0")  # into the low byte of a value, such as a ZERO32 before the compare
SETCC_ZX: Final = ins("setzx", "D:G32 cc")  # setcc r8; movzx r32, r8. Leaves the flags alone
CMOV32: Final = ins("cmov", "UD:G32 U:rm32 cc", "0F 40+cc /r")  # [result, if not cc, if cc]
CMOV64: Final = ins("cmov", "UD:G64 U:rm64 cc", "REX.W 0F 40+cc /r")
XMM_CMOV: Final = ins("xmmcmov", "UD:X U:x cc")  # j!cc over; movaps. [result, if not cc, if cc]. Leaves the flags alone

# Control. Terminators take their targets from `MachineBlock.succs`.
JMP: Final = ins("jmp", "")  # to succs[0]
BRANCH: Final = ins("br", "cc")  # to succs[0] if the condition holds, else to succs[1]
# imm: number in `VCode.jump_tables`. [scratch, scratch, index]: the index is below the table's length, zero-extended to 64 bits.
JMP_TABLE: Final = ins("jmptable", "T:G64 D:G64 U:G64")
# RET and the calls have shapes made by the client: any operands. RET pops the frame first.
RET: Final = ins("ret", "")
RET_NEAR: Final = ins("ret", "", "C3")  # the bare instruction, for stubs
CALL: Final = ins("call", "", "E8 cd")  # imm: function index, for RELOC_FUNC
CALL_RM: Final = ins("call", "U:rm64", "FF /2")  # no amode: imm is the position of the callee's address in `operands`
JMP_RM: Final = ins("jmp", "U:rm64", "FF /4")  # for stubs and the end of JMP_TABLE; not a terminator of blocks
JMP_REL: Final = ins("jmp", "", "E9 cd")  # for stubs, with a relocation
NOP: Final = ins("nop", "", "90")
TRAP: Final = ins("trap", "")  # terminator: traps with `Inst.trap`
TRAP_IF: Final = ins("trapif", "cc")  # traps with `Inst.trap` if the condition holds. Leaves the flags alone
ARGS: Final = ins("args", "")  # shape made by the client: defines the parameters in their fixed registers. No code
# Tests ACTIVATION_INTERRUPT; if it is not zero (out of line), calls the builtin INTERRUPT_POLL and keeps all registers.
POLL: Final = ins("poll", "T:G64")
# A call through a function record whose vmctx may be another instance's. Shape made by the client: any definitions, then the
# code address and the vmctx (`Inst.imm` is the position of the former), then the arguments; r11 is among the clobbers and no
# argument. If the vmctx is r15, a plain call; else, out of line: r15 is saved in the frame slot that the amode names, or pushed if there
# is none, which arguments and results on the stack do not allow; r15 and, unless bounds are explicit, gs (or r14) become the
# callee's (from CTX_MEMORY0_BASE), and after the call the caller's again.
CALL_CONTEXT: Final = ins("callctx", "")

# Floats ---------------------------------------------------------------------------------------------------------------
MOVSS: Final = ins("movss", "D:X U:m32", "F3 0F 10 /r")
MOVSD: Final = ins("movsd", "D:X U:m64", "F2 0F 10 /r")
MOVSS_MR: Final = ins("movss", "D:m32 U:X", "F3 0F 11 /r")
MOVSD_MR: Final = ins("movsd", "D:m64 U:X", "F2 0F 11 /r")
MOVAPS: Final = ins("movaps", "D:X U:x", "0F 28 /r")
ZEROPS: Final = ins("xorps", "D:X", "0F 57 /rr")
MOVD_XR: Final = ins("movd", "D:X U:rm32", "66 0F 6E /r")  # general to vector
MOVQ_XR: Final = ins("movq", "D:X U:rm64", "66 REX.W 0F 6E /r")
MOVD_RX: Final = ins("movd", "D:rm32 U:X", "66 0F 7E /r")  # vector to general
MOVQ_RX: Final = ins("movq", "D:rm64 U:X", "66 REX.W 0F 7E /r")
MOVMSKPS: Final = ins("movmskps", "D:G32 U:x", "0F 50 /r")
MOVMSKPD: Final = ins("movmskpd", "D:G32 U:x", "66 0F 50 /r")

ADDSS: Final = ins("addss", "UD:X U:xm32", "F3 0F 58 /r")
ADDSD: Final = ins("addsd", "UD:X U:xm64", "F2 0F 58 /r")
MULSS: Final = ins("mulss", "UD:X U:xm32", "F3 0F 59 /r")
MULSD: Final = ins("mulsd", "UD:X U:xm64", "F2 0F 59 /r")
SUBSS: Final = ins("subss", "UD:X U:xm32", "F3 0F 5C /r")
SUBSD: Final = ins("subsd", "UD:X U:xm64", "F2 0F 5C /r")
MINSS: Final = ins("minss", "UD:X U:xm32", "F3 0F 5D /r")
MINSD: Final = ins("minsd", "UD:X U:xm64", "F2 0F 5D /r")
DIVSS: Final = ins("divss", "UD:X U:xm32", "F3 0F 5E /r")
DIVSD: Final = ins("divsd", "UD:X U:xm64", "F2 0F 5E /r")
MAXSS: Final = ins("maxss", "UD:X U:xm32", "F3 0F 5F /r")
MAXSD: Final = ins("maxsd", "UD:X U:xm64", "F2 0F 5F /r")
SQRTSS: Final = ins("sqrtss", "D:X U:xm32", "zero F3 0F 51 /r")
SQRTSD: Final = ins("sqrtsd", "D:X U:xm64", "zero F2 0F 51 /r")
ROUNDSS: Final = ins("roundss", "D:X U:xm32 u8", "zero 66 0F 3A 0A /r ib")  # SSE4.1; 8 nearest even, 9 down, 10 up, 11 zero
ROUNDSD: Final = ins("roundsd", "D:X U:xm64 u8", "zero 66 0F 3A 0B /r ib")
CMPSS: Final = ins("cmpss", "UD:X U:xm32 u8", "F3 0F C2 /r ib")  # 0 eq, 1 lt, 2 le, 3 unord, 4 neq, 5 nlt, 6 nle, 7 ord
CMPSD: Final = ins("cmpsd", "UD:X U:xm64 u8", "F2 0F C2 /r ib")
UCOMISS: Final = ins("ucomiss", "U:X U:xm32", "0F 2E /r")
UCOMISD: Final = ins("ucomisd", "U:X U:xm64", "66 0F 2E /r")

# Bitwise; PS serves both widths (PD is the same with a byte more). Memory operands must be aligned to 16 bytes.
ANDPS: Final = ins("andps", "UD:X U:xm128", "0F 54 /r", commutes=True)
ANDNPS: Final = ins("andnps", "UD:X U:xm128", "0F 55 /r")  # ~x & y
ORPS: Final = ins("orps", "UD:X U:xm128", "0F 56 /r", commutes=True)
XORPS: Final = ins("xorps", "UD:X U:xm128", "0F 57 /r", commutes=True)

CVTSI2SS32: Final = ins("cvtsi2ss", "D:X U:rm32", "zero F3 0F 2A /r")
CVTSI2SS64: Final = ins("cvtsi2ss", "D:X U:rm64", "zero F3 REX.W 0F 2A /r")
CVTSI2SD32: Final = ins("cvtsi2sd", "D:X U:rm32", "zero F2 0F 2A /r")
CVTSI2SD64: Final = ins("cvtsi2sd", "D:X U:rm64", "zero F2 REX.W 0F 2A /r")
CVTTSS2SI32: Final = ins("cvttss2si", "D:G32 U:xm32", "F3 0F 2C /r")
CVTTSS2SI64: Final = ins("cvttss2si", "D:G64 U:xm32", "F3 REX.W 0F 2C /r")
CVTTSD2SI32: Final = ins("cvttsd2si", "D:G32 U:xm64", "F2 0F 2C /r")
CVTTSD2SI64: Final = ins("cvttsd2si", "D:G64 U:xm64", "F2 REX.W 0F 2C /r")
CVTSS2SD: Final = ins("cvtss2sd", "D:X U:xm32", "zero F3 0F 5A /r")
CVTSD2SS: Final = ins("cvtsd2ss", "D:X U:xm64", "zero F2 0F 5A /r")

# AVX: three operands, no tie. They mix freely with the SSE rows, since no upper half is ever written.
VADDSS: Final = ins("vaddss", "D:X U:X U:xm32", "VEX.LIG.F3.0F.WIG 58 /r")
VADDSD: Final = ins("vaddsd", "D:X U:X U:xm64", "VEX.LIG.F2.0F.WIG 58 /r")
VMULSS: Final = ins("vmulss", "D:X U:X U:xm32", "VEX.LIG.F3.0F.WIG 59 /r")
VMULSD: Final = ins("vmulsd", "D:X U:X U:xm64", "VEX.LIG.F2.0F.WIG 59 /r")
VSUBSS: Final = ins("vsubss", "D:X U:X U:xm32", "VEX.LIG.F3.0F.WIG 5C /r")
VSUBSD: Final = ins("vsubsd", "D:X U:X U:xm64", "VEX.LIG.F2.0F.WIG 5C /r")
VMINSS: Final = ins("vminss", "D:X U:X U:xm32", "VEX.LIG.F3.0F.WIG 5D /r")
VMINSD: Final = ins("vminsd", "D:X U:X U:xm64", "VEX.LIG.F2.0F.WIG 5D /r")
VDIVSS: Final = ins("vdivss", "D:X U:X U:xm32", "VEX.LIG.F3.0F.WIG 5E /r")
VDIVSD: Final = ins("vdivsd", "D:X U:X U:xm64", "VEX.LIG.F2.0F.WIG 5E /r")
VMAXSS: Final = ins("vmaxss", "D:X U:X U:xm32", "VEX.LIG.F3.0F.WIG 5F /r")
VMAXSD: Final = ins("vmaxsd", "D:X U:X U:xm64", "VEX.LIG.F2.0F.WIG 5F /r")
VSQRTSS: Final = ins("vsqrtss", "D:X U:xm32", "VEX.LIG.F3.0F.WIG 51 /r merge")
VSQRTSD: Final = ins("vsqrtsd", "D:X U:xm64", "VEX.LIG.F2.0F.WIG 51 /r merge")
VROUNDSS: Final = ins("vroundss", "D:X U:xm32 u8", "VEX.LIG.66.0F3A.WIG 0A /r ib merge")
VROUNDSD: Final = ins("vroundsd", "D:X U:xm64 u8", "VEX.LIG.66.0F3A.WIG 0B /r ib merge")
VCMPSS: Final = ins("vcmpss", "D:X U:X U:xm32 u8", "VEX.LIG.F3.0F.WIG C2 /r ib")
VCMPSD: Final = ins("vcmpsd", "D:X U:X U:xm64 u8", "VEX.LIG.F2.0F.WIG C2 /r ib")
VANDPS: Final = ins("vandps", "D:X U:X U:xm128", "VEX.128.0F.WIG 54 /r")
# Where the mask, the last operand, has its sign bits set, the second source, else the first.
VBLENDVPS: Final = ins("vblendvps", "D:X U:X U:xm128 U:X", "VEX.128.66.0F3A.W0 4A /r /is4")
VORPS: Final = ins("vorps", "D:X U:X U:xm128", "VEX.128.0F.WIG 56 /r")
VXORPS: Final = ins("vxorps", "D:X U:X U:xm128", "VEX.128.0F.WIG 57 /r")
VCVTSI2SS32: Final = ins("vcvtsi2ss", "D:X U:rm32", "VEX.LIG.F3.0F.W0 2A /r merge")
VCVTSI2SS64: Final = ins("vcvtsi2ss", "D:X U:rm64", "VEX.LIG.F3.0F.W1 2A /r merge")
VCVTSI2SD32: Final = ins("vcvtsi2sd", "D:X U:rm32", "VEX.LIG.F2.0F.W0 2A /r merge")
VCVTSI2SD64: Final = ins("vcvtsi2sd", "D:X U:rm64", "VEX.LIG.F2.0F.W1 2A /r merge")
VCVTSS2SD: Final = ins("vcvtss2sd", "D:X U:xm32", "VEX.LIG.F3.0F.WIG 5A /r merge")
VCVTSD2SS: Final = ins("vcvtsd2ss", "D:X U:xm64", "VEX.LIG.F2.0F.WIG 5A /r merge")

# Sequences with wasm's meaning (sequences.py); rare paths are out of line, and no other registers than xmm15 are needed.
# `loc` must be set for those that trap: they trap with BAD_CONVERSION_TO_INTEGER or INTEGER_OVERFLOW by themselves.
FMIN32: Final = ins("fmin32", "UD:X U:x")  # NaN if one is NaN, -0 below +0
FMIN64: Final = ins("fmin64", "UD:X U:x")
FMAX32: Final = ins("fmax32", "UD:X U:x")
FMAX64: Final = ins("fmax64", "UD:X U:x")
TRUNC_I32_F32: Final = ins("trunc_i32_f32", "D:G32 U:x")
TRUNC_I32_F64: Final = ins("trunc_i32_f64", "D:G32 U:x")
TRUNC_U32_F32: Final = ins("trunc_u32_f32", "D:G32 U:x")
TRUNC_U32_F64: Final = ins("trunc_u32_f64", "D:G32 U:x")
TRUNC_I64_F32: Final = ins("trunc_i64_f32", "D:G64 U:x")
TRUNC_I64_F64: Final = ins("trunc_i64_f64", "D:G64 U:x")
TRUNC_U64_F32: Final = ins("trunc_u64_f32", "D:G64 U:x")
TRUNC_U64_F64: Final = ins("trunc_u64_f64", "D:G64 U:x")
TRUNC_SAT_I32_F32: Final = ins("trunc_sat_i32_f32", "D:G32 U:x")
TRUNC_SAT_I32_F64: Final = ins("trunc_sat_i32_f64", "D:G32 U:x")
TRUNC_SAT_U32_F32: Final = ins("trunc_sat_u32_f32", "D:G32 U:x")
TRUNC_SAT_U32_F64: Final = ins("trunc_sat_u32_f64", "D:G32 U:x")
TRUNC_SAT_I64_F32: Final = ins("trunc_sat_i64_f32", "D:G64 U:x")
TRUNC_SAT_I64_F64: Final = ins("trunc_sat_i64_f64", "D:G64 U:x")
TRUNC_SAT_U64_F32: Final = ins("trunc_sat_u64_f32", "D:G64 U:x")
TRUNC_SAT_U64_F64: Final = ins("trunc_sat_u64_f64", "D:G64 U:x")
# The same of an operand that is neither negative nor NaN.
TRUNC_CLAMPED_U64_F32: Final = ins("trunc_sat_clamped_u64_f32", "D:G64 U:x")
TRUNC_CLAMPED_U64_F64: Final = ins("trunc_sat_clamped_u64_f64", "D:G64 U:x")
CONVERT_U64_F32: Final = ins("convert_u64_f32", "D:X T:G64 U:r64")  # [result, scratch, x]
CONVERT_U64_F64: Final = ins("convert_u64_f64", "D:X T:G64 U:r64")

ROW_COUNT: Final = len(ROWS)
