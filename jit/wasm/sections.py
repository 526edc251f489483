"""Reading the sections of a module: bytes -> Module (spec: Binary Format, Modules).

Everything but function bodies is read here; the operators of a body are read by the validator, in the same pass that
checks their types, so a malformed body is found there. As the specification's own decoder, this one reads on over the
end of a section and then finds that its size does not match; only constant expressions and bodies are bounded.

This is all that a module needs which is known to be valid. What else may be, is for `decode`, which knows all operators and so can say
more about what is wrong. Raises DecodeError for malformed bytes, UnsupportedError for proposals that are not implemented,
LimitError, and ValidationError at operators that no constant expression has, and for nothing else.
"""

from __future__ import annotations

from typing import Final

from brolga.ir.errors import DecodeError, LimitError, UnsupportedError, ValidationError

from . import limits
from .const_opcodes import (
    END,
    F32_CONST,
    F64_CONST,
    GLOBAL_GET,
    I32_ADD,
    I32_CONST,
    I32_MUL,
    I32_SUB,
    I64_ADD,
    I64_CONST,
    I64_MUL,
    I64_SUB,
    REF_FUNC,
    REF_NULL,
)
from .proposals import EXCEPTIONS, GC, MEMORY64, SIMD, STACK_SWITCHING, THREADS, TYPED_REFERENCES
from .reader import UNEXPECTED_END, Reader
from .types import (
    CONST_ADD,
    CONST_GLOBAL_GET,
    CONST_MUL,
    CONST_REF_FUNC,
    CONST_REF_NULL,
    CONST_SUB,
    CONST_VALUE,
    EXTERN_FUNC,
    EXTERN_GLOBAL,
    EXTERN_MEMORY,
    EXTERN_TABLE,
    EXTERN_TAG,
    EXTERNREF,
    F32,
    F64,
    FUNCREF,
    HEAP_DEFINED,
    HEAP_EXTERN,
    HEAP_FUNC,
    I32,
    I64,
    SEGMENT_ACTIVE,
    SEGMENT_DECLARED,
    SEGMENT_PASSIVE,
    V128,
    ConstExpr,
    ConstOp,
    CustomSection,
    DataSegment,
    ElementSegment,
    Export,
    ExternType,
    FunctionBody,
    FuncType,
    Global,
    GlobalType,
    Import,
    Limits,
    MemoryType,
    Module,
    TableType,
    typed_ref,
)

SECTION_CUSTOM: Final = 0
SECTION_TYPE: Final = 1
SECTION_IMPORT: Final = 2
SECTION_FUNCTION: Final = 3
SECTION_TABLE: Final = 4
SECTION_MEMORY: Final = 5
SECTION_GLOBAL: Final = 6
SECTION_EXPORT: Final = 7
SECTION_START: Final = 8
SECTION_ELEMENT: Final = 9
SECTION_CODE: Final = 10
SECTION_DATA: Final = 11
SECTION_DATA_COUNT: Final = 12
SECTION_TAG: Final = 13

# Place of each section among the others; each may occur once.
_SECTION_ORDER: Final[list[int]] = [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 12, 13, 11, 6]

# Type codes of proposals that are not implemented.
_REFUSED_TYPES: Final[dict[int, str]] = {
    V128: SIMD,
    0x75: STACK_SWITCHING,  # nocont
    0x74: EXCEPTIONS,  # noexn
    0x73: GC,  # nofunc
    0x72: GC,  # noextern
    0x71: GC,  # none
    0x6E: GC,  # any
    0x6D: GC,  # eq
    0x6C: GC,  # i31
    0x6B: GC,  # struct
    0x6A: GC,  # array
    0x69: EXCEPTIONS,  # exn
    0x68: STACK_SWITCHING,  # cont
}
REF_NULL_PREFIX: Final = 0x63  # (ref null ht)
REF_PREFIX: Final = 0x64  # (ref ht)

_CONST_ARITHMETIC: Final[dict[int, tuple[int, int]]] = {
    I32_ADD: (CONST_ADD, I32),
    I32_SUB: (CONST_SUB, I32),
    I32_MUL: (CONST_MUL, I32),
    I64_ADD: (CONST_ADD, I64),
    I64_SUB: (CONST_SUB, I64),
    I64_MUL: (CONST_MUL, I64),
}

_NO_FUNC_TYPE: Final = FuncType((), ())  # stands in for a type index that validation will refuse


def read_sections(module: Module) -> None:
    """Fill in what the bytes `module.data` say."""
    data = module.data
    if len(data) > limits.MAX_MODULE_BYTES:
        raise LimitError(f"module of {len(data)} bytes, the limit is {limits.MAX_MODULE_BYTES}", 0)
    if data[:4] != b"\0asm":
        raise DecodeError("unexpected end" if len(data) < 4 else "magic header not detected", 0)
    if data[4:8] != b"\1\0\0\0":
        if len(data) < 8:
            raise DecodeError("unexpected end", len(data))
        if data[4:8] == b"\x0d\0\1\0":
            raise UnsupportedError("unknown binary version: this is a component, not a core module", 4)
        raise DecodeError("unknown binary version", 4)
    reader = Reader(data, 8, len(data))
    last = 0
    while reader.pos < len(data):
        loc = reader.pos
        section = data[loc]
        if section > SECTION_TAG:
            raise DecodeError("malformed section id", loc)
        reader.pos = loc + 1
        size = reader.u32()
        start = reader.pos
        end = start + size
        if end > len(data):
            raise DecodeError("length out of bounds", loc + 1)
        if section == SECTION_CUSTOM:
            _decode_custom(module, start, end)
            reader.pos = end
            continue
        if _SECTION_ORDER[section] <= last:
            raise DecodeError("unexpected content after last section", loc)
        last = _SECTION_ORDER[section]
        _decode_section(module, reader, section, end)
        if reader.pos != end:
            raise DecodeError("section size mismatch", min(reader.pos, end))
    module.refuse(reader.refusal)
    # What two sections must agree on.
    defined = len(module.func_types) - module.imported_funcs
    if len(module.bodies) != defined:
        raise DecodeError("function and code section have inconsistent lengths", len(module.data))
    if module.data_count >= 0 and module.data_count != len(module.data_segments):
        raise DecodeError("data count and data section have inconsistent lengths", len(module.data))


def _decode_custom(module: Module, start: int, end: int) -> None:
    reader = Reader(module.data, start, end)
    name = reader.name()
    module.customs.append(CustomSection(name, reader.pos, end))


def _decode_section(module: Module, reader: Reader, section: int, end: int) -> None:
    if section == SECTION_TYPE:
        for _ in range(reader.count(limits.MAX_TYPES, "types")):
            module.types.append(_func_type(reader))
    elif section == SECTION_IMPORT:
        for _ in range(reader.count(limits.MAX_IMPORTS, "imports")):
            _decode_import(module, reader)
    elif section == SECTION_FUNCTION:
        for _ in range(reader.count(limits.MAX_FUNCTIONS - len(module.func_types), "functions")):
            loc = reader.pos
            type_index = reader.u32()
            module.func_types.append(type_index)
            module.func_locs.append(loc)
    elif section == SECTION_TABLE:
        for _ in range(reader.count(limits.MAX_TABLES - len(module.table_types), "tables")):
            module.table_types.append(_table_type(reader))
    elif section == SECTION_MEMORY:
        for _ in range(reader.count(limits.MAX_MEMORIES, "memories")):
            module.memory_types.append(MemoryType(_limits(reader)))
    elif section == SECTION_GLOBAL:
        for _ in range(reader.count(limits.MAX_GLOBALS - len(module.global_types), "globals")):
            loc = reader.pos
            type = _global_type(reader)
            module.global_types.append(type)
            module.globals.append(Global(type, _const_expr(reader, end), loc))
    elif section == SECTION_EXPORT:
        for _ in range(reader.count(limits.MAX_EXPORTS, "exports")):
            _decode_export(module, reader)
    elif section == SECTION_START:
        module.start_loc = reader.pos
        module.start = reader.u32()
    elif section == SECTION_ELEMENT:
        for _ in range(reader.count(limits.MAX_ELEMENT_SEGMENTS, "element segments")):
            module.elements.append(_element_segment(reader, end))
    elif section == SECTION_CODE:
        _decode_code(module, reader)
    elif section == SECTION_DATA:
        for _ in range(reader.count(limits.MAX_DATA_SEGMENTS, "data segments")):
            module.data_segments.append(_data_segment(reader, end))
    elif section == SECTION_DATA_COUNT:
        module.data_count = reader.count(limits.MAX_DATA_SEGMENTS, "data segments")
    else:
        assert section == SECTION_TAG
        reader.refuse_later(f"{EXCEPTIONS}: tag section", reader.pos)
        for _ in range(reader.count(limits.MAX_TAGS, "tags")):
            module.tags.append(_tag_type(reader))


# Types


def value_type(reader: Reader) -> int:
    return _type(reader, "malformed value type")


def reference_type(reader: Reader) -> int:
    loc = reader.pos
    type = _type(reader, "malformed reference type")
    if I32 >= type >= F64:
        raise DecodeError("malformed reference type", loc)
    return type


def _type(reader: Reader, otherwise: str) -> int:
    loc = reader.pos
    code = reader.byte()
    if I32 >= code >= F64 or code == FUNCREF or code == EXTERNREF:
        return code
    if code == REF_NULL_PREFIX or code == REF_PREFIX:
        return _typed_reference(reader, code, loc)
    if code in _REFUSED_TYPES:
        raise UnsupportedError(f"{_REFUSED_TYPES[code]}: type 0x{code:02x}", loc)
    raise DecodeError(otherwise, loc)


def _typed_reference(reader: Reader, code: int, loc: int) -> int:
    reader.refuse_later(f"{TYPED_REFERENCES}: type 0x{code:02x}", loc)
    return typed_ref(_heap_type(reader), code == REF_NULL_PREFIX)


def null_type(reader: Reader) -> int:
    """The immediate of `ref.null`, as the type of the null reference."""
    loc = reader.pos
    heap = _heap_type(reader)
    if heap >= HEAP_DEFINED:
        reader.refuse_later(f"{TYPED_REFERENCES}: heap type {heap - HEAP_DEFINED}", loc)
    return typed_ref(heap, True)


def _heap_type(reader: Reader) -> int:
    loc = reader.pos
    code = reader.signed(33)
    if code >= 0:
        return HEAP_DEFINED + code
    code &= 0x7F
    if reader.pos == loc + 1:
        if code == FUNCREF:
            return HEAP_FUNC
        if code == EXTERNREF:
            return HEAP_EXTERN
        if 0x68 <= code <= 0x75 and code in _REFUSED_TYPES:
            raise UnsupportedError(f"{_REFUSED_TYPES[code]}: heap type 0x{code:02x}", loc)
    raise DecodeError("malformed heap type", loc)


def _func_type(reader: Reader) -> FuncType:
    loc = reader.pos
    form = reader.byte()
    if form != 0x60:
        if form >= 0x80:  # a signed number of 7 bits
            raise DecodeError("integer representation too long", loc)
        _refuse_composite_type(reader, form, loc)
    params = [value_type(reader) for _ in range(reader.count(limits.MAX_PARAMS, "parameters"))]
    results = [value_type(reader) for _ in range(reader.count(limits.MAX_RESULTS, "results"))]
    return FuncType(tuple(params), tuple(results))


def _refuse_composite_type(reader: Reader, form: int, loc: int) -> None:
    """Refuse a definition that is not a function type: as malformed if it is, else by the name of its proposal."""
    if form == 0x5E or form == 0x5F:  # array, struct: fields are a storage type and a mutability
        for _ in range(reader.u32() if form == 0x5F else 1):
            if reader.byte() not in (0x77, 0x78):  # i16, i8
                reader.pos -= 1
                value_type(reader)
            _mutability(reader)
    if form in (0x4E, 0x4F, 0x50, 0x5E, 0x5F):  # rec, sub final, sub, array, struct
        raise UnsupportedError(f"{GC}: type definition 0x{form:02x}", loc)
    if form == 0x5D:
        raise UnsupportedError(f"{STACK_SWITCHING}: type definition 0x5d", loc)
    raise DecodeError("malformed definition type", loc)


def _limits(reader: Reader) -> Limits:
    loc = reader.pos
    flags = reader.byte()
    if flags > 7:
        raise DecodeError("malformed limits flags", loc)
    if flags & 4:
        raise UnsupportedError(f"{MEMORY64}: limits flags 0x{flags:02x}", loc)
    if flags & 2:
        raise UnsupportedError(f"{THREADS}: limits flags 0x{flags:02x}", loc)
    # Since the 64-bit address space all limits are 64-bit numbers; validation bounds them.
    minimum = reader.u64()
    maximum = reader.u64() if flags & 1 else -1
    return Limits(minimum, maximum, loc)


def _table_type(reader: Reader) -> TableType:
    if reader.pos < reader.end and reader.data[reader.pos] == 0x40:
        raise UnsupportedError(f"{TYPED_REFERENCES}: table with an initializer", reader.pos)
    return _plain_table_type(reader)


def _plain_table_type(reader: Reader) -> TableType:
    element = reference_type(reader)
    return TableType(element, _limits(reader))


def _mutability(reader: Reader) -> bool:
    loc = reader.pos
    flag = reader.byte()
    if flag > 1:
        raise DecodeError("malformed mutability", loc)
    return flag == 1


def _global_type(reader: Reader) -> GlobalType:
    type = value_type(reader)
    return GlobalType(type, _mutability(reader))


def _tag_type(reader: Reader) -> int:
    if reader.byte() != 0:
        raise DecodeError("malformed tag attribute", reader.pos - 1)
    return reader.u32()


# Imports, exports, bodies


def _decode_import(module: Module, reader: Reader) -> None:
    loc = reader.pos
    module_name = reader.name()
    name = reader.name()
    kind_loc = reader.pos
    kind = reader.byte()
    type: ExternType
    type_index = -1
    if kind == EXTERN_FUNC:
        type_index = reader.u32()
        type = module.types[type_index] if type_index < len(module.types) else _NO_FUNC_TYPE
        module.func_types.append(type_index)
        module.func_locs.append(kind_loc + 1)
        module.imported_funcs += 1
    elif kind == EXTERN_TABLE:
        type = _plain_table_type(reader)
        module.table_types.append(type)
        module.imported_tables += 1
    elif kind == EXTERN_MEMORY:
        type = MemoryType(_limits(reader))
        module.memory_types.append(type)
        module.imported_memories += 1
    elif kind == EXTERN_GLOBAL:
        type = _global_type(reader)
        module.global_types.append(type)
        module.imported_globals += 1
    elif kind == EXTERN_TAG:
        reader.refuse_later(f"{EXCEPTIONS}: imported tag", kind_loc)
        module.tags.append(_tag_type(reader))
        return
    else:
        raise DecodeError("malformed import kind", kind_loc)
    module.imports.append(Import(module_name, name, kind, type, type_index, loc))


def _decode_export(module: Module, reader: Reader) -> None:
    loc = reader.pos
    name = reader.name()
    kind_loc = reader.pos
    kind = reader.byte()
    if kind > EXTERN_TAG:
        raise DecodeError("malformed export kind", kind_loc)
    module.exports.append(Export(name, kind, reader.u32(), loc))


def _decode_code(module: Module, reader: Reader) -> None:
    imported = module.imported_funcs
    defined = len(module.func_types) - imported
    for place in range(reader.count(limits.MAX_FUNCTIONS, "function bodies")):
        loc = reader.pos
        size = reader.u32()
        start = reader.skip(size)
        if size > limits.MAX_FUNCTION_BYTES:
            raise LimitError(f"function of {size} bytes, the limit is {limits.MAX_FUNCTION_BYTES}", loc)
        type_index = module.func_types[imported + place] if place < defined else -1
        module.bodies.append(FunctionBody(type_index, start, start + size))


# Segments

_ELEM_NOT_ACTIVE: Final = 1  # flags of an element segment
_ELEM_INDEX: Final = 2  # active: names its table; else: declared, not passive
_ELEM_EXPRESSIONS: Final = 4  # elements are constant expressions, not function indices


def _element_segment(reader: Reader, end: int) -> ElementSegment:
    loc = reader.pos
    flags = reader.u32()
    if flags > 7:
        raise DecodeError("malformed elements segment kind", loc)
    table = 0
    offset: ConstExpr = []
    mode = SEGMENT_ACTIVE
    if flags & _ELEM_NOT_ACTIVE:
        mode = SEGMENT_DECLARED if flags & _ELEM_INDEX else SEGMENT_PASSIVE
    else:
        if flags & _ELEM_INDEX:
            table = reader.u32()
        offset = _const_expr(reader, end)
    type = FUNCREF
    if flags & (_ELEM_NOT_ACTIVE | _ELEM_INDEX):
        if flags & _ELEM_EXPRESSIONS:
            type = reference_type(reader)
        elif reader.byte() != 0:
            raise DecodeError("malformed element kind", reader.pos - 1)
    items: list[ConstExpr] = []
    shared: dict[int, ConstExpr] = {}  # by function
    for _ in range(reader.count(limits.MAX_SEGMENT_ELEMENTS, "elements of a segment")):
        if flags & _ELEM_EXPRESSIONS:
            items.append(_const_expr(reader, end))
        else:
            item_loc = reader.pos
            func = reader.u32()
            if func not in shared:
                shared[func] = [ConstOp(CONST_REF_FUNC, func, FUNCREF, item_loc)]
            items.append(shared[func])
    return ElementSegment(mode, table, offset, type, items, loc)


def _data_segment(reader: Reader, end: int) -> DataSegment:
    loc = reader.pos
    flags = reader.u32()
    if flags > 2:
        raise DecodeError("malformed data segment kind", loc)
    memory = reader.u32() if flags == 2 else 0
    offset: ConstExpr = []
    if flags != 1:
        offset = _const_expr(reader, end)
    size = reader.u32()
    start = reader.skip(size)
    mode = SEGMENT_PASSIVE if flags == 1 else SEGMENT_ACTIVE
    return DataSegment(mode, memory, offset, start, start + size, loc)


# Constant expressions


def _const_expr(reader: Reader, section_end: int) -> ConstExpr:
    """The operators up to and without `end`, in the section that ends at `section_end`."""
    data = reader.data
    ops: ConstExpr = []
    while True:
        loc = reader.pos
        if loc >= section_end:
            raise DecodeError(UNEXPECTED_END, loc)
        reader.pos = loc + 1
        code = data[loc]
        if code == END:
            return ops
        if len(ops) >= limits.MAX_CONST_OPERATORS:
            raise LimitError(f"constant expression exceeds the limit of {limits.MAX_CONST_OPERATORS} operators", loc)
        if code == I32_CONST:
            ops.append(ConstOp(CONST_VALUE, reader.signed(32) & 0xFFFF_FFFF, I32, loc))
        elif code == I64_CONST:
            ops.append(ConstOp(CONST_VALUE, reader.signed(64) & 0xFFFF_FFFF_FFFF_FFFF, I64, loc))
        elif code == F32_CONST:
            start = reader.skip(4)
            ops.append(ConstOp(CONST_VALUE, int.from_bytes(data[start : start + 4], "little"), F32, loc))
        elif code == F64_CONST:
            start = reader.skip(8)
            ops.append(ConstOp(CONST_VALUE, int.from_bytes(data[start : start + 8], "little"), F64, loc))
        elif code == GLOBAL_GET:
            ops.append(ConstOp(CONST_GLOBAL_GET, reader.u32(), 0, loc))
        elif code == REF_NULL:
            ops.append(ConstOp(CONST_REF_NULL, 0, null_type(reader), loc))
        elif code == REF_FUNC:
            ops.append(ConstOp(CONST_REF_FUNC, reader.u32(), FUNCREF, loc))
        elif code in _CONST_ARITHMETIC:
            op, type = _CONST_ARITHMETIC[code]
            ops.append(ConstOp(op, 0, type, loc))
        else:
            raise ValidationError("constant expression required", loc)
