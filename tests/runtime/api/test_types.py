from __future__ import annotations

import pytest

from brolga import (
    Engine,
    FuncType,
    GlobalType,
    Limits,
    MemoryType,
    Module,
    TableType,
    ValType,
    WasmtimeError,
)

I32, I64, F32, F64 = ValType.i32(), ValType.i64(), ValType.f32(), ValType.f64()
FUNCREF, EXTERNREF = ValType.funcref(), ValType.externref()


def test_value_types() -> None:
    types = [I32, I64, F32, F64, FUNCREF, EXTERNREF]
    assert [str(type) for type in types] == ["i32", "i64", "f32", "f64", "funcref", "externref"]
    assert len(set(types)) == 6
    assert ValType.i32() == I32 and I32 != I64 and I32 != "i32"
    with pytest.raises(WasmtimeError, match="cannot construct directly"):
        ValType()


def test_function_types() -> None:
    type = FuncType([I32, I64], [F32])
    assert (type.params, type.results) == ([I32, I64], [F32])
    assert type == FuncType([I32, I64], [F32]) != FuncType([I32], [F32])
    with pytest.raises(TypeError, match="expected ValType"):
        FuncType(["i32"], [])  # type: ignore[list-item]


def test_limits() -> None:
    assert Limits(1, 2) == Limits(1, 2) != Limits(1, None)
    assert TableType(FUNCREF, Limits(1, None)).limits.max is None
    with pytest.raises(TypeError, match="expected Limits"):
        TableType(FUNCREF, 1)  # type: ignore[arg-type]
    with pytest.raises(WasmtimeError, match="references"):
        TableType(I32, Limits(1, None))


def test_memory_types() -> None:
    type = MemoryType(Limits(1, 5))
    assert (type.limits, type.is_64, type.is_shared, type.page_size, type.page_size_log2) == (
        Limits(1, 5), False, False, 65536, 16,
    )  # fmt: skip
    with pytest.raises(WasmtimeError, match="minimum size too large"):
        MemoryType(Limits(1 << 32, None))
    with pytest.raises(WasmtimeError, match="shared memories must have a maximum size"):
        MemoryType(Limits(1, None), shared=True)
    with pytest.raises(WasmtimeError, match="page size must be"):
        MemoryType(Limits(1, None), page_size_log2=3)
    with pytest.raises(WasmtimeError, match="maximum page size cannot be smaller"):
        MemoryType(Limits(3, 2))
    special = MemoryType(Limits(1, 2), is_64=True, shared=True, page_size_log2=0)
    assert (special.is_64, special.is_shared, special.page_size) == (True, True, 1)
    assert special != MemoryType(Limits(1, 2)) == MemoryType(Limits(1, 2))
    assert repr(special) == "MemoryType(Limits(1, 2), is_64=True, shared=True, page_size_log2=0)"


def test_imports_and_exports_of_a_module(engine: Engine) -> None:
    module = Module(
        engine,
        """(module
            (import "a" "f" (func (param i32 i64) (result f32 f64)))
            (import "a" "t" (table 1 2 funcref))
            (import "b" "m" (memory 1))
            (import "b" "g" (global (mut externref)))
            (func (export "h") (param funcref))
            (table (export "u") 5 externref)
            (global (export "i") i32 (i32.const 1))
            (export "m" (memory 0)))""",
    )
    assert [(item.module, item.name, item.type) for item in module.imports] == [
        ("a", "f", FuncType([I32, I64], [F32, F64])),
        ("a", "t", TableType(FUNCREF, Limits(1, 2))),
        ("b", "m", MemoryType(Limits(1, None))),
        ("b", "g", GlobalType(EXTERNREF, True)),
    ]
    assert [(item.name, item.type) for item in module.exports] == [
        ("h", FuncType([FUNCREF], [])),
        ("u", TableType(EXTERNREF, Limits(5, None))),
        ("i", GlobalType(I32, False)),
        ("m", MemoryType(Limits(1, None))),
    ]
