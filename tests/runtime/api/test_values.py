from __future__ import annotations

import pytest

from brolga import Val, ValType, WasmtimeError


def test_making_and_taking_apart() -> None:
    values = [Val.i32(5), Val.i64(6), Val.f32(1.5), Val.f64(2.5), Val.externref("x"), Val.funcref(None)]
    assert [str(value.type) for value in values] == ["i32", "i64", "f32", "f64", "externref", "funcref"]
    assert [value.value for value in values] == [5, 6, 1.5, 2.5, "x", None]
    assert [value.as_i32() for value in values] == [5, None, None, None, None, None]
    assert [value.as_i64() for value in values] == [None, 6, None, None, None, None]
    assert [value.as_f32() for value in values] == [None, None, 1.5, None, None, None]
    assert [value.as_f64() for value in values] == [None, None, None, 2.5, None, None]
    assert [value.as_externref() for value in values] == [None, None, None, None, "x", None]
    assert values[5].as_funcref() is None


def test_numbers_are_fitted() -> None:
    assert (Val.i32(1 << 31).value, Val.i32(-1).value, Val.i64(1 << 63).value) == (-(1 << 31), -1, -(1 << 63))
    assert Val.f32(0.1).value == 0.10000000149011612
    with pytest.raises(TypeError, match="expected an integer"):
        Val.i32(1.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="expected a float"):
        Val.f64(1)


def test_equality() -> None:
    assert Val.i32(5) == Val.i32(5) == 5
    assert Val.i32(5) != Val.i64(5) and Val.i32(5) != 6


def test_null() -> None:
    assert Val.ref_null(ValType.externref()).value is None
    assert Val.ref_null(ValType.funcref()).type == ValType.funcref()
    with pytest.raises(WasmtimeError, match="Invalid reference type"):
        Val.ref_null(ValType.i32())
