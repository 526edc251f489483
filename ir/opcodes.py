"""The IR's instruction table: one row per opcode; everything else derives from it.

Operand formats
---------------
Each instruction has value operands `args`, one integer `imm`, a second one `aux`, and, for
terminators, `targets`. The format says which of them mean something:

    CONST     imm: the bits of the constant, unsigned, of the instruction's type
    UNARY     args = [x]
    BINARY    args = [x, y]
    COMPARE   args = [x, y], imm: condition code; `aux`: the type of x and y; the result is I32, 0 or 1
    CONVERT   args = [x]; `aux`: the type of x; the instruction's type is that of the result
    SELECT    args = [condition (I32), x, y]: x if the condition is not zero, else y
    LOAD      args = [index (I32)], imm: static offset (0 .. 2**32-1), aux: memory number.
              A sandboxed access: address = memory base + zero-extended index + imm; traps heap_oob
    STORE     args = [index (I32), value], imm, aux as LOAD; type: the type of the value
    CTX_LOAD  args = [], imm: byte offset from the instance context (vmctx), aux: 1 if the field never changes
              (then the instruction is pure)
    CTX_STORE args = [value], imm: byte offset from vmctx
    PTR_LOAD  args = [address (I64)], imm: byte offset, aux: 1 if it never changes. A trusted access, cannot trap
    PTR_STORE args = [address (I64), value], imm: byte offset
    CONTEXT   no operands: the address of the instance context, I64
    CALL      args = arguments, imm: function index (the module's index space), aux: signature number
    CALL_PTR  args = [code address (I64), callee's vmctx (I64), arguments...], aux: signature number
    BUILTIN   args = arguments, imm: runtime routine number, aux: signature number
    TRAP_IF   args = [condition (I32)], imm: trap code; traps if the condition is not zero (TRAPNZ) or zero (TRAPZ)
    JUMP      targets = [target]
    BRANCH    args = [condition (I32)], targets = [if not zero, if zero]
    BR_TABLE  args = [index (I32)], targets = [case 0, case 1, ..., default]
    RETURN    args = results
    TRAP      imm: trap code

Condition codes for COMPARE are the tables ICC_* and FCC_* below.

Flags
-----
    PURE      no effect, may be removed, merged with an equal one or moved
    CAN_TRAP  may trap; else pure: may be merged with an equal one that dominates it, not removed, not moved up
    READS     reads memory that some instruction may write
    WRITES    writes memory
    TERMINATOR ends a block
    CALLS     may run arbitrary code: reads, writes, traps
    COMMUTES  the operands of a BINARY may be swapped
"""

from __future__ import annotations

from typing import Final

CONST: Final = 0
UNARY: Final = 1
BINARY: Final = 2
COMPARE: Final = 3
CONVERT: Final = 4
SELECT_: Final = 5
LOAD_: Final = 6
STORE_: Final = 7
CTX_LOAD_: Final = 8
CTX_STORE_: Final = 9
PTR_LOAD_: Final = 10
PTR_STORE_: Final = 11
CONTEXT_: Final = 12
CALL_: Final = 13
CALL_PTR_: Final = 14
BUILTIN_: Final = 15
TRAP_IF_: Final = 16
JUMP_: Final = 17
BRANCH_: Final = 18
BR_TABLE_: Final = 19
RETURN_: Final = 20
TRAP_: Final = 21

PURE: Final = 1
CAN_TRAP: Final = 2
READS: Final = 4
WRITES: Final = 8
TERMINATOR: Final = 16
CALLS: Final = 32
COMMUTES: Final = 64

OPCODE_NAMES: Final[list[str]] = []
FORMATS: Final[list[int]] = []
TYPE_CLASSES: Final[list[str]] = []  # "i" any integer, "f" any float, "any", or one type's name
FLAGS: Final[list[int]] = []
ACCESS_BYTES: Final[list[int]] = []  # LOAD/STORE families: bytes accessed, 0 means the type's own size


def _op(name: str, form: int, types: str, flags: int, access_bytes: int = 0) -> int:
    OPCODE_NAMES.append(name)
    FORMATS.append(form)
    TYPE_CLASSES.append(types)
    FLAGS.append(flags)
    ACCESS_BYTES.append(access_bytes)
    return len(OPCODE_NAMES) - 1


#                          name             format     types   flags
ICONST: Final = _op("iconst", CONST, "i", PURE)
FCONST: Final = _op("fconst", CONST, "f", PURE)

IADD: Final = _op("iadd", BINARY, "i", PURE | COMMUTES)
ISUB: Final = _op("isub", BINARY, "i", PURE)
IMUL: Final = _op("imul", BINARY, "i", PURE | COMMUTES)
SDIV: Final = _op("sdiv", BINARY, "i", CAN_TRAP)
UDIV: Final = _op("udiv", BINARY, "i", CAN_TRAP)
SREM: Final = _op("srem", BINARY, "i", CAN_TRAP)
UREM: Final = _op("urem", BINARY, "i", CAN_TRAP)
BAND: Final = _op("band", BINARY, "i", PURE | COMMUTES)
BOR: Final = _op("bor", BINARY, "i", PURE | COMMUTES)
BXOR: Final = _op("bxor", BINARY, "i", PURE | COMMUTES)
ISHL: Final = _op("ishl", BINARY, "i", PURE)  # shift counts have the type of x and are taken modulo its width
USHR: Final = _op("ushr", BINARY, "i", PURE)
SSHR: Final = _op("sshr", BINARY, "i", PURE)
ROTL: Final = _op("rotl", BINARY, "i", PURE)
ROTR: Final = _op("rotr", BINARY, "i", PURE)
# The high half of the 2n-bit product: what division by a constant becomes.
UMULHI: Final = _op("umulhi", BINARY, "i", PURE | COMMUTES)
SMULHI: Final = _op("smulhi", BINARY, "i", PURE | COMMUTES)
CLZ: Final = _op("clz", UNARY, "i", PURE)
CTZ: Final = _op("ctz", UNARY, "i", PURE)
POPCNT: Final = _op("popcnt", UNARY, "i", PURE)
SEXTEND8: Final = _op("sextend8", UNARY, "i", PURE)  # of the low 8 bits, within the type
SEXTEND16: Final = _op("sextend16", UNARY, "i", PURE)
SEXTEND32: Final = _op("sextend32", UNARY, "i64", PURE)

ICMP: Final = _op("icmp", COMPARE, "i32", PURE)
FCMP: Final = _op("fcmp", COMPARE, "i32", PURE)
SELECT: Final = _op("select", SELECT_, "any", PURE)

IREDUCE: Final = _op("ireduce", CONVERT, "i32", PURE)  # i64 -> i32
UEXTEND: Final = _op("uextend", CONVERT, "i64", PURE)  # i32 -> i64
SEXTEND: Final = _op("sextend", CONVERT, "i64", PURE)  # i32 -> i64

FADD: Final = _op("fadd", BINARY, "f", PURE | COMMUTES)
FSUB: Final = _op("fsub", BINARY, "f", PURE)
FMUL: Final = _op("fmul", BINARY, "f", PURE | COMMUTES)
FDIV: Final = _op("fdiv", BINARY, "f", PURE)
FMIN: Final = _op("fmin", BINARY, "f", PURE | COMMUTES)
FMAX: Final = _op("fmax", BINARY, "f", PURE | COMMUTES)
FCOPYSIGN: Final = _op("fcopysign", BINARY, "f", PURE)
FABS: Final = _op("fabs", UNARY, "f", PURE)
FNEG: Final = _op("fneg", UNARY, "f", PURE)
FCEIL: Final = _op("fceil", UNARY, "f", PURE)
FFLOOR: Final = _op("ffloor", UNARY, "f", PURE)
FTRUNC: Final = _op("ftrunc", UNARY, "f", PURE)
FNEAREST: Final = _op("fnearest", UNARY, "f", PURE)
FSQRT: Final = _op("fsqrt", UNARY, "f", PURE)

FCVT_TO_SINT: Final = _op("fcvt_to_sint", CONVERT, "i", CAN_TRAP)
FCVT_TO_UINT: Final = _op("fcvt_to_uint", CONVERT, "i", CAN_TRAP)
FCVT_TO_SINT_SAT: Final = _op("fcvt_to_sint_sat", CONVERT, "i", PURE)
FCVT_TO_UINT_SAT: Final = _op("fcvt_to_uint_sat", CONVERT, "i", PURE)
FCVT_FROM_SINT: Final = _op("fcvt_from_sint", CONVERT, "f", PURE)
FCVT_FROM_UINT: Final = _op("fcvt_from_uint", CONVERT, "f", PURE)
FPROMOTE: Final = _op("fpromote", CONVERT, "f64", PURE)
FDEMOTE: Final = _op("fdemote", CONVERT, "f32", PURE)
BITCAST: Final = _op("bitcast", CONVERT, "any", PURE)

LOAD: Final = _op("load", LOAD_, "any", READS | CAN_TRAP)
ULOAD8: Final = _op("uload8", LOAD_, "i", READS | CAN_TRAP, 1)
SLOAD8: Final = _op("sload8", LOAD_, "i", READS | CAN_TRAP, 1)
ULOAD16: Final = _op("uload16", LOAD_, "i", READS | CAN_TRAP, 2)
SLOAD16: Final = _op("sload16", LOAD_, "i", READS | CAN_TRAP, 2)
ULOAD32: Final = _op("uload32", LOAD_, "i64", READS | CAN_TRAP, 4)
SLOAD32: Final = _op("sload32", LOAD_, "i64", READS | CAN_TRAP, 4)
STORE: Final = _op("store", STORE_, "any", WRITES | CAN_TRAP)
ISTORE8: Final = _op("istore8", STORE_, "i", WRITES | CAN_TRAP, 1)
ISTORE16: Final = _op("istore16", STORE_, "i", WRITES | CAN_TRAP, 2)
ISTORE32: Final = _op("istore32", STORE_, "i64", WRITES | CAN_TRAP, 4)

CTX_LOAD: Final = _op("ctx_load", CTX_LOAD_, "any", READS)
CTX_STORE: Final = _op("ctx_store", CTX_STORE_, "any", WRITES)
PTR_LOAD: Final = _op("ptr_load", PTR_LOAD_, "any", READS)
PTR_STORE: Final = _op("ptr_store", PTR_STORE_, "any", WRITES)
CONTEXT: Final = _op("context", CONTEXT_, "i64", PURE)

CALL: Final = _op("call", CALL_, "any", CALLS)
CALL_PTR: Final = _op("call_ptr", CALL_PTR_, "any", CALLS)
CALL_BUILTIN: Final = _op("call_builtin", BUILTIN_, "any", CALLS)

TRAPNZ: Final = _op("trapnz", TRAP_IF_, "i32", CAN_TRAP)
TRAPZ: Final = _op("trapz", TRAP_IF_, "i32", CAN_TRAP)

JUMP: Final = _op("jump", JUMP_, "any", TERMINATOR)
BRIF: Final = _op("brif", BRANCH_, "i32", TERMINATOR)
BR_TABLE: Final = _op("br_table", BR_TABLE_, "i32", TERMINATOR)
RETURN: Final = _op("return", RETURN_, "any", TERMINATOR)
TRAP: Final = _op("trap", TRAP_, "any", TERMINATOR)

OPCODE_COUNT: Final = len(OPCODE_NAMES)
OPCODE_BY_NAME: Final[dict[str, int]] = {name: number for number, name in enumerate(OPCODE_NAMES)}

# Integer condition codes. The order pairs each with its inverse: cc ^ 1.
ICC_EQ: Final = 0
ICC_NE: Final = 1
ICC_SLT: Final = 2
ICC_SGE: Final = 3
ICC_SGT: Final = 4
ICC_SLE: Final = 5
ICC_ULT: Final = 6
ICC_UGE: Final = 7
ICC_UGT: Final = 8
ICC_ULE: Final = 9
ICC_NAMES: Final[list[str]] = ["eq", "ne", "slt", "sge", "sgt", "sle", "ult", "uge", "ugt", "ule"]
ICC_SWAPPED: Final[list[int]] = [0, 1, 4, 5, 2, 3, 8, 9, 6, 7]  # condition after exchanging x and y

# Float condition codes, as wasm has them: NE is true for unordered operands, all others are false.
FCC_EQ: Final = 0
FCC_NE: Final = 1
FCC_LT: Final = 2
FCC_GT: Final = 3
FCC_LE: Final = 4
FCC_GE: Final = 5
FCC_NAMES: Final[list[str]] = ["eq", "ne", "lt", "gt", "le", "ge"]
FCC_SWAPPED: Final[list[int]] = [0, 1, 3, 2, 5, 4]
