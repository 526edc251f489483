"""The operators of WebAssembly, one row each; decoder, validator, translator and disassembler derive from it.

An operator's number is its opcode byte, or 0x100 + sub-opcode for those behind the prefix 0xFC. The signature reads
`operands -> results`, the last operand being the top of the stack; `?` means that it depends on context and is handled
by name. The proposal is "" for what Brolga implements; anything else is refused by that name, so that a module
which needs it is told apart from a malformed one. A few of those are validated all the same and refused at last.

Immediates
----------
    NONE            nothing
    BLOCK           block type: 0x40, a value type, or a type index as s33
    LABEL           label index
    LABELS          vector of label indices, then the default
    FUNC            function index
    CALL_TABLE      type index, table index
    LOCAL, GLOBAL   index
    TABLE           table index
    MEMARG          alignment exponent and flags, offset
    MEMORY          memory index
    CONST_*         the constant
    HEAP_TYPE       type of a null reference
    TYPES           vector of value types
    FUNC_REF        function index
    DATA            data segment index
    DATA_MEMORY     data segment index, memory index
    MEMORY_MEMORY   destination and source memory index
    ELEM            element segment index
    ELEM_TABLE      element segment index, table index
    TABLE_TABLE     destination and source table index
    TYPE            type index
    REFUSED         unknown here: the operator belongs to a proposal that is not implemented
"""

from __future__ import annotations

from typing import Final

from . import const_opcodes as const
from .proposals import (
    EXCEPTIONS,
    GC,
    LEGACY_EXCEPTIONS,
    MEMORY_CONTROL,
    SIMD,
    STACK_SWITCHING,
    TAIL_CALLS,
    THREADS,
    TYPED_REFERENCES,
    WIDE_ARITHMETIC,
)
from .types import EXTERNREF, F32, F64, FUNCREF, I32, I64

NONE: Final = 0
BLOCK: Final = 1
LABEL: Final = 2
LABELS: Final = 3
FUNC: Final = 4
CALL_TABLE: Final = 5
LOCAL: Final = 6
GLOBAL: Final = 7
TABLE: Final = 8
MEMARG: Final = 9
MEMORY: Final = 10
CONST_I32: Final = 11
CONST_I64: Final = 12
CONST_F32: Final = 13
CONST_F64: Final = 14
HEAP_TYPE: Final = 15
TYPES: Final = 16
FUNC_REF: Final = 17
DATA: Final = 18
DATA_MEMORY: Final = 19
MEMORY_MEMORY: Final = 20
ELEM: Final = 21
ELEM_TABLE: Final = 22
TABLE_TABLE: Final = 23
TYPE: Final = 24
REFUSED: Final = 25

PREFIX_FC: Final = 0xFC
FC_BASE: Final = 0x100
FC_COUNT: Final = 0x20  # sub-opcodes from here on are illegal
OPERATOR_COUNT: Final = FC_BASE + FC_COUNT

OPERATOR_NAMES: Final[list[str]] = [""] * OPERATOR_COUNT  # "" for illegal opcodes
IMMEDIATES: Final[list[int]] = [NONE] * OPERATOR_COUNT
OPERANDS: Final[list[tuple[int, ...]]] = [()] * OPERATOR_COUNT
RESULTS: Final[list[tuple[int, ...]]] = [()] * OPERATOR_COUNT
FIXED_SIGNATURE: Final[list[bool]] = [False] * OPERATOR_COUNT  # OPERANDS and RESULTS are all there is to know
ALIGNMENT: Final[list[int]] = [0] * OPERATOR_COUNT  # MEMARG: exponent of the natural alignment
PROPOSALS: Final[list[str]] = [""] * OPERATOR_COUNT  # of operators with a name: "" if implemented

_TYPE_WORDS: Final[dict[str, int]] = {
    "i32": I32,
    "i64": I64,
    "f32": F32,
    "f64": F64,
    "funcref": FUNCREF,
    "externref": EXTERNREF,
}


def _op(code: int, name: str, immediates: int, signature: str, alignment: int = 0, proposal: str = "") -> int:
    assert OPERATOR_NAMES[code] == "", name
    OPERATOR_NAMES[code] = name
    IMMEDIATES[code] = immediates
    ALIGNMENT[code] = alignment
    PROPOSALS[code] = proposal
    if signature != "?":
        operands, results = signature.split("->")
        OPERANDS[code] = tuple([_TYPE_WORDS[word] for word in operands.split()])
        RESULTS[code] = tuple([_TYPE_WORDS[word] for word in results.split()])
        FIXED_SIGNATURE[code] = True
    return code


def _refused(code: int, name: str, proposal: str) -> int:
    return _op(code, name, REFUSED, "?", 0, proposal)


# Control
UNREACHABLE: Final = _op(0x00, "unreachable", NONE, "?")
NOP: Final = _op(0x01, "nop", NONE, "->")
BLOCK_OP: Final = _op(0x02, "block", BLOCK, "?")
LOOP: Final = _op(0x03, "loop", BLOCK, "?")
IF: Final = _op(0x04, "if", BLOCK, "?")
ELSE: Final = _op(0x05, "else", NONE, "?")
_refused(0x06, "try", LEGACY_EXCEPTIONS)
_refused(0x07, "catch", LEGACY_EXCEPTIONS)
_refused(0x08, "throw", EXCEPTIONS)
_refused(0x09, "rethrow", LEGACY_EXCEPTIONS)
_refused(0x0A, "throw_ref", EXCEPTIONS)
END: Final = _op(const.END, "end", NONE, "?")
BR: Final = _op(0x0C, "br", LABEL, "?")
BR_IF: Final = _op(0x0D, "br_if", LABEL, "?")
BR_TABLE: Final = _op(0x0E, "br_table", LABELS, "?")
RETURN: Final = _op(0x0F, "return", NONE, "?")
CALL: Final = _op(0x10, "call", FUNC, "?")
CALL_INDIRECT: Final = _op(0x11, "call_indirect", CALL_TABLE, "?")
_refused(0x12, "return_call", TAIL_CALLS)
_refused(0x13, "return_call_indirect", TAIL_CALLS)
CALL_REF: Final = _op(0x14, "call_ref", TYPE, "?", 0, TYPED_REFERENCES)
_refused(0x15, "return_call_ref", TYPED_REFERENCES)
_refused(0x18, "delegate", LEGACY_EXCEPTIONS)
_refused(0x19, "catch_all", LEGACY_EXCEPTIONS)

# Parametric
DROP: Final = _op(0x1A, "drop", NONE, "?")
SELECT: Final = _op(0x1B, "select", NONE, "?")
SELECT_TYPED: Final = _op(0x1C, "select", TYPES, "?")
_refused(0x1F, "try_table", EXCEPTIONS)

# Variables and tables
LOCAL_GET: Final = _op(0x20, "local.get", LOCAL, "?")
LOCAL_SET: Final = _op(0x21, "local.set", LOCAL, "?")
LOCAL_TEE: Final = _op(0x22, "local.tee", LOCAL, "?")
GLOBAL_GET: Final = _op(const.GLOBAL_GET, "global.get", GLOBAL, "?")
GLOBAL_SET: Final = _op(0x24, "global.set", GLOBAL, "?")
TABLE_GET: Final = _op(0x25, "table.get", TABLE, "?")
TABLE_SET: Final = _op(0x26, "table.set", TABLE, "?")

# Memory
I32_LOAD: Final = _op(0x28, "i32.load", MEMARG, "i32 -> i32", 2)
I64_LOAD: Final = _op(0x29, "i64.load", MEMARG, "i32 -> i64", 3)
F32_LOAD: Final = _op(0x2A, "f32.load", MEMARG, "i32 -> f32", 2)
F64_LOAD: Final = _op(0x2B, "f64.load", MEMARG, "i32 -> f64", 3)
I32_LOAD8_S: Final = _op(0x2C, "i32.load8_s", MEMARG, "i32 -> i32", 0)
I32_LOAD8_U: Final = _op(0x2D, "i32.load8_u", MEMARG, "i32 -> i32", 0)
I32_LOAD16_S: Final = _op(0x2E, "i32.load16_s", MEMARG, "i32 -> i32", 1)
I32_LOAD16_U: Final = _op(0x2F, "i32.load16_u", MEMARG, "i32 -> i32", 1)
I64_LOAD8_S: Final = _op(0x30, "i64.load8_s", MEMARG, "i32 -> i64", 0)
I64_LOAD8_U: Final = _op(0x31, "i64.load8_u", MEMARG, "i32 -> i64", 0)
I64_LOAD16_S: Final = _op(0x32, "i64.load16_s", MEMARG, "i32 -> i64", 1)
I64_LOAD16_U: Final = _op(0x33, "i64.load16_u", MEMARG, "i32 -> i64", 1)
I64_LOAD32_S: Final = _op(0x34, "i64.load32_s", MEMARG, "i32 -> i64", 2)
I64_LOAD32_U: Final = _op(0x35, "i64.load32_u", MEMARG, "i32 -> i64", 2)
I32_STORE: Final = _op(0x36, "i32.store", MEMARG, "i32 i32 ->", 2)
I64_STORE: Final = _op(0x37, "i64.store", MEMARG, "i32 i64 ->", 3)
F32_STORE: Final = _op(0x38, "f32.store", MEMARG, "i32 f32 ->", 2)
F64_STORE: Final = _op(0x39, "f64.store", MEMARG, "i32 f64 ->", 3)
I32_STORE8: Final = _op(0x3A, "i32.store8", MEMARG, "i32 i32 ->", 0)
I32_STORE16: Final = _op(0x3B, "i32.store16", MEMARG, "i32 i32 ->", 1)
I64_STORE8: Final = _op(0x3C, "i64.store8", MEMARG, "i32 i64 ->", 0)
I64_STORE16: Final = _op(0x3D, "i64.store16", MEMARG, "i32 i64 ->", 1)
I64_STORE32: Final = _op(0x3E, "i64.store32", MEMARG, "i32 i64 ->", 2)
MEMORY_SIZE: Final = _op(0x3F, "memory.size", MEMORY, "-> i32")
MEMORY_GROW: Final = _op(0x40, "memory.grow", MEMORY, "i32 -> i32")

# Constants
I32_CONST: Final = _op(const.I32_CONST, "i32.const", CONST_I32, "-> i32")
I64_CONST: Final = _op(const.I64_CONST, "i64.const", CONST_I64, "-> i64")
F32_CONST: Final = _op(const.F32_CONST, "f32.const", CONST_F32, "-> f32")
F64_CONST: Final = _op(const.F64_CONST, "f64.const", CONST_F64, "-> f64")

# Integer and float comparisons
I32_EQZ: Final = _op(0x45, "i32.eqz", NONE, "i32 -> i32")
I32_EQ: Final = _op(0x46, "i32.eq", NONE, "i32 i32 -> i32")
I32_NE: Final = _op(0x47, "i32.ne", NONE, "i32 i32 -> i32")
I32_LT_S: Final = _op(0x48, "i32.lt_s", NONE, "i32 i32 -> i32")
I32_LT_U: Final = _op(0x49, "i32.lt_u", NONE, "i32 i32 -> i32")
I32_GT_S: Final = _op(0x4A, "i32.gt_s", NONE, "i32 i32 -> i32")
I32_GT_U: Final = _op(0x4B, "i32.gt_u", NONE, "i32 i32 -> i32")
I32_LE_S: Final = _op(0x4C, "i32.le_s", NONE, "i32 i32 -> i32")
I32_LE_U: Final = _op(0x4D, "i32.le_u", NONE, "i32 i32 -> i32")
I32_GE_S: Final = _op(0x4E, "i32.ge_s", NONE, "i32 i32 -> i32")
I32_GE_U: Final = _op(0x4F, "i32.ge_u", NONE, "i32 i32 -> i32")
I64_EQZ: Final = _op(0x50, "i64.eqz", NONE, "i64 -> i32")
I64_EQ: Final = _op(0x51, "i64.eq", NONE, "i64 i64 -> i32")
I64_NE: Final = _op(0x52, "i64.ne", NONE, "i64 i64 -> i32")
I64_LT_S: Final = _op(0x53, "i64.lt_s", NONE, "i64 i64 -> i32")
I64_LT_U: Final = _op(0x54, "i64.lt_u", NONE, "i64 i64 -> i32")
I64_GT_S: Final = _op(0x55, "i64.gt_s", NONE, "i64 i64 -> i32")
I64_GT_U: Final = _op(0x56, "i64.gt_u", NONE, "i64 i64 -> i32")
I64_LE_S: Final = _op(0x57, "i64.le_s", NONE, "i64 i64 -> i32")
I64_LE_U: Final = _op(0x58, "i64.le_u", NONE, "i64 i64 -> i32")
I64_GE_S: Final = _op(0x59, "i64.ge_s", NONE, "i64 i64 -> i32")
I64_GE_U: Final = _op(0x5A, "i64.ge_u", NONE, "i64 i64 -> i32")
F32_EQ: Final = _op(0x5B, "f32.eq", NONE, "f32 f32 -> i32")
F32_NE: Final = _op(0x5C, "f32.ne", NONE, "f32 f32 -> i32")
F32_LT: Final = _op(0x5D, "f32.lt", NONE, "f32 f32 -> i32")
F32_GT: Final = _op(0x5E, "f32.gt", NONE, "f32 f32 -> i32")
F32_LE: Final = _op(0x5F, "f32.le", NONE, "f32 f32 -> i32")
F32_GE: Final = _op(0x60, "f32.ge", NONE, "f32 f32 -> i32")
F64_EQ: Final = _op(0x61, "f64.eq", NONE, "f64 f64 -> i32")
F64_NE: Final = _op(0x62, "f64.ne", NONE, "f64 f64 -> i32")
F64_LT: Final = _op(0x63, "f64.lt", NONE, "f64 f64 -> i32")
F64_GT: Final = _op(0x64, "f64.gt", NONE, "f64 f64 -> i32")
F64_LE: Final = _op(0x65, "f64.le", NONE, "f64 f64 -> i32")
F64_GE: Final = _op(0x66, "f64.ge", NONE, "f64 f64 -> i32")

# Integer arithmetic
I32_CLZ: Final = _op(0x67, "i32.clz", NONE, "i32 -> i32")
I32_CTZ: Final = _op(0x68, "i32.ctz", NONE, "i32 -> i32")
I32_POPCNT: Final = _op(0x69, "i32.popcnt", NONE, "i32 -> i32")
I32_ADD: Final = _op(const.I32_ADD, "i32.add", NONE, "i32 i32 -> i32")
I32_SUB: Final = _op(const.I32_SUB, "i32.sub", NONE, "i32 i32 -> i32")
I32_MUL: Final = _op(const.I32_MUL, "i32.mul", NONE, "i32 i32 -> i32")
I32_DIV_S: Final = _op(0x6D, "i32.div_s", NONE, "i32 i32 -> i32")
I32_DIV_U: Final = _op(0x6E, "i32.div_u", NONE, "i32 i32 -> i32")
I32_REM_S: Final = _op(0x6F, "i32.rem_s", NONE, "i32 i32 -> i32")
I32_REM_U: Final = _op(0x70, "i32.rem_u", NONE, "i32 i32 -> i32")
I32_AND: Final = _op(0x71, "i32.and", NONE, "i32 i32 -> i32")
I32_OR: Final = _op(0x72, "i32.or", NONE, "i32 i32 -> i32")
I32_XOR: Final = _op(0x73, "i32.xor", NONE, "i32 i32 -> i32")
I32_SHL: Final = _op(0x74, "i32.shl", NONE, "i32 i32 -> i32")
I32_SHR_S: Final = _op(0x75, "i32.shr_s", NONE, "i32 i32 -> i32")
I32_SHR_U: Final = _op(0x76, "i32.shr_u", NONE, "i32 i32 -> i32")
I32_ROTL: Final = _op(0x77, "i32.rotl", NONE, "i32 i32 -> i32")
I32_ROTR: Final = _op(0x78, "i32.rotr", NONE, "i32 i32 -> i32")
I64_CLZ: Final = _op(0x79, "i64.clz", NONE, "i64 -> i64")
I64_CTZ: Final = _op(0x7A, "i64.ctz", NONE, "i64 -> i64")
I64_POPCNT: Final = _op(0x7B, "i64.popcnt", NONE, "i64 -> i64")
I64_ADD: Final = _op(const.I64_ADD, "i64.add", NONE, "i64 i64 -> i64")
I64_SUB: Final = _op(const.I64_SUB, "i64.sub", NONE, "i64 i64 -> i64")
I64_MUL: Final = _op(const.I64_MUL, "i64.mul", NONE, "i64 i64 -> i64")
I64_DIV_S: Final = _op(0x7F, "i64.div_s", NONE, "i64 i64 -> i64")
I64_DIV_U: Final = _op(0x80, "i64.div_u", NONE, "i64 i64 -> i64")
I64_REM_S: Final = _op(0x81, "i64.rem_s", NONE, "i64 i64 -> i64")
I64_REM_U: Final = _op(0x82, "i64.rem_u", NONE, "i64 i64 -> i64")
I64_AND: Final = _op(0x83, "i64.and", NONE, "i64 i64 -> i64")
I64_OR: Final = _op(0x84, "i64.or", NONE, "i64 i64 -> i64")
I64_XOR: Final = _op(0x85, "i64.xor", NONE, "i64 i64 -> i64")
I64_SHL: Final = _op(0x86, "i64.shl", NONE, "i64 i64 -> i64")
I64_SHR_S: Final = _op(0x87, "i64.shr_s", NONE, "i64 i64 -> i64")
I64_SHR_U: Final = _op(0x88, "i64.shr_u", NONE, "i64 i64 -> i64")
I64_ROTL: Final = _op(0x89, "i64.rotl", NONE, "i64 i64 -> i64")
I64_ROTR: Final = _op(0x8A, "i64.rotr", NONE, "i64 i64 -> i64")

# Float arithmetic
F32_ABS: Final = _op(0x8B, "f32.abs", NONE, "f32 -> f32")
F32_NEG: Final = _op(0x8C, "f32.neg", NONE, "f32 -> f32")
F32_CEIL: Final = _op(0x8D, "f32.ceil", NONE, "f32 -> f32")
F32_FLOOR: Final = _op(0x8E, "f32.floor", NONE, "f32 -> f32")
F32_TRUNC: Final = _op(0x8F, "f32.trunc", NONE, "f32 -> f32")
F32_NEAREST: Final = _op(0x90, "f32.nearest", NONE, "f32 -> f32")
F32_SQRT: Final = _op(0x91, "f32.sqrt", NONE, "f32 -> f32")
F32_ADD: Final = _op(0x92, "f32.add", NONE, "f32 f32 -> f32")
F32_SUB: Final = _op(0x93, "f32.sub", NONE, "f32 f32 -> f32")
F32_MUL: Final = _op(0x94, "f32.mul", NONE, "f32 f32 -> f32")
F32_DIV: Final = _op(0x95, "f32.div", NONE, "f32 f32 -> f32")
F32_MIN: Final = _op(0x96, "f32.min", NONE, "f32 f32 -> f32")
F32_MAX: Final = _op(0x97, "f32.max", NONE, "f32 f32 -> f32")
F32_COPYSIGN: Final = _op(0x98, "f32.copysign", NONE, "f32 f32 -> f32")
F64_ABS: Final = _op(0x99, "f64.abs", NONE, "f64 -> f64")
F64_NEG: Final = _op(0x9A, "f64.neg", NONE, "f64 -> f64")
F64_CEIL: Final = _op(0x9B, "f64.ceil", NONE, "f64 -> f64")
F64_FLOOR: Final = _op(0x9C, "f64.floor", NONE, "f64 -> f64")
F64_TRUNC: Final = _op(0x9D, "f64.trunc", NONE, "f64 -> f64")
F64_NEAREST: Final = _op(0x9E, "f64.nearest", NONE, "f64 -> f64")
F64_SQRT: Final = _op(0x9F, "f64.sqrt", NONE, "f64 -> f64")
F64_ADD: Final = _op(0xA0, "f64.add", NONE, "f64 f64 -> f64")
F64_SUB: Final = _op(0xA1, "f64.sub", NONE, "f64 f64 -> f64")
F64_MUL: Final = _op(0xA2, "f64.mul", NONE, "f64 f64 -> f64")
F64_DIV: Final = _op(0xA3, "f64.div", NONE, "f64 f64 -> f64")
F64_MIN: Final = _op(0xA4, "f64.min", NONE, "f64 f64 -> f64")
F64_MAX: Final = _op(0xA5, "f64.max", NONE, "f64 f64 -> f64")
F64_COPYSIGN: Final = _op(0xA6, "f64.copysign", NONE, "f64 f64 -> f64")

# Conversions
I32_WRAP_I64: Final = _op(0xA7, "i32.wrap_i64", NONE, "i64 -> i32")
I32_TRUNC_F32_S: Final = _op(0xA8, "i32.trunc_f32_s", NONE, "f32 -> i32")
I32_TRUNC_F32_U: Final = _op(0xA9, "i32.trunc_f32_u", NONE, "f32 -> i32")
I32_TRUNC_F64_S: Final = _op(0xAA, "i32.trunc_f64_s", NONE, "f64 -> i32")
I32_TRUNC_F64_U: Final = _op(0xAB, "i32.trunc_f64_u", NONE, "f64 -> i32")
I64_EXTEND_I32_S: Final = _op(0xAC, "i64.extend_i32_s", NONE, "i32 -> i64")
I64_EXTEND_I32_U: Final = _op(0xAD, "i64.extend_i32_u", NONE, "i32 -> i64")
I64_TRUNC_F32_S: Final = _op(0xAE, "i64.trunc_f32_s", NONE, "f32 -> i64")
I64_TRUNC_F32_U: Final = _op(0xAF, "i64.trunc_f32_u", NONE, "f32 -> i64")
I64_TRUNC_F64_S: Final = _op(0xB0, "i64.trunc_f64_s", NONE, "f64 -> i64")
I64_TRUNC_F64_U: Final = _op(0xB1, "i64.trunc_f64_u", NONE, "f64 -> i64")
F32_CONVERT_I32_S: Final = _op(0xB2, "f32.convert_i32_s", NONE, "i32 -> f32")
F32_CONVERT_I32_U: Final = _op(0xB3, "f32.convert_i32_u", NONE, "i32 -> f32")
F32_CONVERT_I64_S: Final = _op(0xB4, "f32.convert_i64_s", NONE, "i64 -> f32")
F32_CONVERT_I64_U: Final = _op(0xB5, "f32.convert_i64_u", NONE, "i64 -> f32")
F32_DEMOTE_F64: Final = _op(0xB6, "f32.demote_f64", NONE, "f64 -> f32")
F64_CONVERT_I32_S: Final = _op(0xB7, "f64.convert_i32_s", NONE, "i32 -> f64")
F64_CONVERT_I32_U: Final = _op(0xB8, "f64.convert_i32_u", NONE, "i32 -> f64")
F64_CONVERT_I64_S: Final = _op(0xB9, "f64.convert_i64_s", NONE, "i64 -> f64")
F64_CONVERT_I64_U: Final = _op(0xBA, "f64.convert_i64_u", NONE, "i64 -> f64")
F64_PROMOTE_F32: Final = _op(0xBB, "f64.promote_f32", NONE, "f32 -> f64")
I32_REINTERPRET_F32: Final = _op(0xBC, "i32.reinterpret_f32", NONE, "f32 -> i32")
I64_REINTERPRET_F64: Final = _op(0xBD, "i64.reinterpret_f64", NONE, "f64 -> i64")
F32_REINTERPRET_I32: Final = _op(0xBE, "f32.reinterpret_i32", NONE, "i32 -> f32")
F64_REINTERPRET_I64: Final = _op(0xBF, "f64.reinterpret_i64", NONE, "i64 -> f64")
I32_EXTEND8_S: Final = _op(0xC0, "i32.extend8_s", NONE, "i32 -> i32")
I32_EXTEND16_S: Final = _op(0xC1, "i32.extend16_s", NONE, "i32 -> i32")
I64_EXTEND8_S: Final = _op(0xC2, "i64.extend8_s", NONE, "i64 -> i64")
I64_EXTEND16_S: Final = _op(0xC3, "i64.extend16_s", NONE, "i64 -> i64")
I64_EXTEND32_S: Final = _op(0xC4, "i64.extend32_s", NONE, "i64 -> i64")

# References
REF_NULL: Final = _op(const.REF_NULL, "ref.null", HEAP_TYPE, "?")
REF_IS_NULL: Final = _op(0xD1, "ref.is_null", NONE, "?")
REF_FUNC: Final = _op(const.REF_FUNC, "ref.func", FUNC_REF, "?")
_refused(0xD3, "ref.eq", GC)
REF_AS_NON_NULL: Final = _op(0xD4, "ref.as_non_null", NONE, "?", 0, TYPED_REFERENCES)
_refused(0xD5, "br_on_null", TYPED_REFERENCES)
_refused(0xD6, "br_on_non_null", TYPED_REFERENCES)

_refused(0xE0, "cont.new", STACK_SWITCHING)
_refused(0xE1, "cont.bind", STACK_SWITCHING)
_refused(0xE2, "suspend", STACK_SWITCHING)
_refused(0xE3, "resume", STACK_SWITCHING)
_refused(0xE4, "resume_throw", STACK_SWITCHING)
_refused(0xE5, "resume_throw_ref", STACK_SWITCHING)
_refused(0xE6, "switch", STACK_SWITCHING)

# Prefixes: a whole family each
_refused(0xFB, "0xfb operator", GC)
_refused(0xFD, "0xfd operator", SIMD)
_refused(0xFE, "0xfe operator", THREADS)

# Behind 0xFC: saturating conversions, bulk memory and table operators
I32_TRUNC_SAT_F32_S: Final = _op(0x100, "i32.trunc_sat_f32_s", NONE, "f32 -> i32")
I32_TRUNC_SAT_F32_U: Final = _op(0x101, "i32.trunc_sat_f32_u", NONE, "f32 -> i32")
I32_TRUNC_SAT_F64_S: Final = _op(0x102, "i32.trunc_sat_f64_s", NONE, "f64 -> i32")
I32_TRUNC_SAT_F64_U: Final = _op(0x103, "i32.trunc_sat_f64_u", NONE, "f64 -> i32")
I64_TRUNC_SAT_F32_S: Final = _op(0x104, "i64.trunc_sat_f32_s", NONE, "f32 -> i64")
I64_TRUNC_SAT_F32_U: Final = _op(0x105, "i64.trunc_sat_f32_u", NONE, "f32 -> i64")
I64_TRUNC_SAT_F64_S: Final = _op(0x106, "i64.trunc_sat_f64_s", NONE, "f64 -> i64")
I64_TRUNC_SAT_F64_U: Final = _op(0x107, "i64.trunc_sat_f64_u", NONE, "f64 -> i64")
MEMORY_INIT: Final = _op(0x108, "memory.init", DATA_MEMORY, "i32 i32 i32 ->")
DATA_DROP: Final = _op(0x109, "data.drop", DATA, "->")
MEMORY_COPY: Final = _op(0x10A, "memory.copy", MEMORY_MEMORY, "i32 i32 i32 ->")
MEMORY_FILL: Final = _op(0x10B, "memory.fill", MEMORY, "i32 i32 i32 ->")
TABLE_INIT: Final = _op(0x10C, "table.init", ELEM_TABLE, "i32 i32 i32 ->")
ELEM_DROP: Final = _op(0x10D, "elem.drop", ELEM, "->")
TABLE_COPY: Final = _op(0x10E, "table.copy", TABLE_TABLE, "i32 i32 i32 ->")
TABLE_GROW: Final = _op(0x10F, "table.grow", TABLE, "?")
TABLE_SIZE: Final = _op(0x110, "table.size", TABLE, "-> i32")
TABLE_FILL: Final = _op(0x111, "table.fill", TABLE, "?")
_refused(0x112, "memory.discard", MEMORY_CONTROL)
_refused(0x113, "i64.add128", WIDE_ARITHMETIC)
_refused(0x114, "i64.sub128", WIDE_ARITHMETIC)
_refused(0x115, "i64.mul_wide_s", WIDE_ARITHMETIC)
_refused(0x116, "i64.mul_wide_u", WIDE_ARITHMETIC)

OPERATOR_BY_NAME: Final[dict[str, int]] = {name: code for code, name in enumerate(OPERATOR_NAMES) if name}
