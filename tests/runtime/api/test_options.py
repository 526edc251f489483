"""Options and small names that no other test is about: what they take, and what they refuse."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import brolga
from brolga import (
    CompileError,
    Config,
    Engine,
    ExportType,
    GlobalType,
    ImportType,
    Limits,
    Linker,
    Module,
    SharedMemory,
    Store,
    Val,
    ValType,
    WasiConfig,
    WasmtimeError,
)

FLAGS = [
    "cranelift_debug_verifier",
    "gc_support",
    "macos_use_mach_ports",
    "memory_init_cow",
    "memory_may_move",
    "native_unwind_info",
    "wasm_custom_page_sizes",
    "wasm_function_references",
    "wasm_gc",
    "wasm_memory64",
    "wasm_multi_memory",
    "wasm_reference_types",
    "wasm_relaxed_simd",
    "wasm_relaxed_simd_deterministic",
    "wasm_stack_switching",
    "wasm_tail_call",
    "wasm_wide_arithmetic",
]
SIZES = ["memory_reservation", "memory_guard_size", "memory_reservation_for_growth"]


@pytest.mark.parametrize("name", FLAGS)
def test_flags_without_effect(name: str) -> None:
    config = Config()
    for value in (True, False):
        setattr(config, name, value)
    with pytest.raises(TypeError, match="expected a bool"):
        setattr(config, name, 1)
    assert Module(Engine(config), "(module)")


@pytest.mark.parametrize("name", SIZES)
def test_sizes_without_effect(name: str) -> None:
    config = Config()
    setattr(config, name, 1 << 20)
    with pytest.raises(TypeError, match="expected an int"):
        setattr(config, name, "1MiB")
    assert Module(Engine(config), "(module)")


def test_flags_of_cranelift() -> None:
    config = Config()
    config.cranelift_flag_set("opt_level", "none")
    with pytest.raises(WasmtimeError, match="no compiler flag `x`"):
        config.cranelift_flag_set("x", "y")
    with pytest.raises(WasmtimeError, match="no compiler flag `x`"):
        config.cranelift_flag_enable("x")
    with pytest.raises(TypeError):
        config.cranelift_flag_enable(5)  # type: ignore[arg-type]
    with pytest.raises(WasmtimeError, match="not supported"):
        config.cranelift_nan_canonicalization = True
    config.cranelift_nan_canonicalization = False


def test_shared_memory_must_be_permitted() -> None:
    type = brolga.MemoryType(Limits(1, 2), shared=True)
    with pytest.raises(WasmtimeError):
        SharedMemory(Engine(), type)
    config = Config()
    config.shared_memory = True
    assert SharedMemory(Engine(config), type).size() == 1


def test_components_are_refused() -> None:
    with pytest.raises(WasmtimeError, match="component"):
        Store().set_wasi_http()


def test_types() -> None:
    type = GlobalType(ValType.i32(), True)
    assert type.mutable
    assert not GlobalType(ValType.i32(), False).mutable
    limits = Limits(3, 5)
    assert (limits.min, limits.max) == (3, 5)
    value = Val.i32(5)
    assert value.of_type(value._code) == 5
    with pytest.raises(TypeError):
        value.of_type(Val.i64(5)._code)
    module = Module(Engine(), '(module (import "a" "b" (func)) (memory (export "c") 1))')
    assert [isinstance(item, ImportType) for item in module.imports] == [True]
    assert [isinstance(item, ExportType) for item in module.exports] == [True]
    assert issubclass(CompileError, brolga.BrolgaError)
    assert brolga.Storelike


def test_standard_input_of_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "input").write_bytes(b"from outside")
    with open(tmp_path / "input", "rb") as file:
        monkeypatch.setattr(sys, "stdin", file)
        import os

        before = os.dup(0)
        os.dup2(file.fileno(), 0)
        try:
            config = WasiConfig()
            config.inherit_stdin()
            store = Store()
            store.set_wasi(config)
            linker = Linker(store.engine)
            linker.define_wasi()
            module = Module(
                store.engine,
                """(module (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
                (memory (export "memory") 1) (data (i32.const 0) "\\10\\00\\00\\00\\40\\00\\00\\00")
                (func (export "f") (param i32) (result i32)
                  (call $read (local.get 0) (i32.const 0) (i32.const 1) (i32.const 8))))""",
            )
            exports: Any = linker.instantiate(store, module).exports(store)
            assert exports["f"](store, 0) == 0
            assert exports["memory"].read(store, 16, 28) == b"from outside"
            assert exports["f"](store, 77) == 8  # badf
        finally:
            os.dup2(before, 0)
            os.close(before)
