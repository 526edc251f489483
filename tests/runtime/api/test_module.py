from __future__ import annotations

import gc
from pathlib import Path

import pytest

from brolga import (
    Config,
    DecodeError,
    Engine,
    Instance,
    Module,
    Store,
    UnsupportedError,
    ValidationError,
    WasmtimeError,
    wat2wasm,
)


def test_text_and_binary_are_told_apart(engine: Engine, tmp_path: Path) -> None:
    text = '(module (func (export "f") (result i32) i32.const 7))'
    binary = bytes(wat2wasm(text))
    assert binary.startswith(b"\0asm")
    (tmp_path / "a.wat").write_text(text)
    (tmp_path / "a.wasm").write_bytes(binary)
    modules = [Module(engine, source) for source in (text, text.encode(), binary, bytearray(binary))]
    modules += [Module.from_file(engine, tmp_path / name) for name in ("a.wat", "a.wasm")]
    for module in modules:
        store = Store(engine)
        assert Instance(store, module, []).exports(store)["f"](store) == 7


def test_wrong_text_says_where() -> None:
    with pytest.raises(WasmtimeError, match=r"<stdin>:1:\d+"):
        wat2wasm("(module (func (nonsense)))")


def test_refusals_are_typed(engine: Engine) -> None:
    with pytest.raises(DecodeError, match="magic header not detected"):
        Module(engine, b"\0bad\1\0\0\0")
    invalid = wat2wasm("(module (func (result i32) i64.const 0))")
    with pytest.raises(ValidationError, match="type mismatch"):
        Module(engine, invalid)
    with pytest.raises(WasmtimeError, match="type mismatch"):
        Module.validate(engine, invalid)
    with pytest.raises(UnsupportedError, match="SIMD"):
        Module(engine, "(module (func (result v128) v128.const i32x4 0 0 0 0))")
    with pytest.raises(TypeError, match="expected an Engine"):
        Module(None, b"")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="expected wasm bytes"):
        Module(engine, 5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="expected wasm bytes"):
        Module.validate(engine, "(module)")  # type: ignore[arg-type]
    Module.validate(engine, wat2wasm("(module)"))


@pytest.mark.parametrize("platform", ["linux", "minimal"])
def test_functions_are_compiled_when_called_or_all_at_once(platform: str) -> None:
    text = '(module (func (export "f") (result i32) call 1) (func (result i32) (loop) i32.const 3) (func (export "g")))'
    for eager in (False, True):
        config = Config()
        config.platform = platform
        config.eager = eager
        module = Module(Engine(config), text)
        store = Store(module.engine)
        exports = Instance(store, module, []).exports(store)
        assert [module._loaded.space.code_address(func) != 0 for func in range(3)] == [eager] * 3
        assert exports["f"](store) == 3
        assert [module._loaded.space.code_address(func) != 0 for func in range(3)] == [True, True, eager]


def test_the_collector_is_as_it_was(engine: Engine) -> None:
    assert gc.isenabled()
    Module(engine, "(module (func))")
    assert gc.isenabled()
    gc.disable()
    try:
        Module(engine, "(module (func))")
        assert not gc.isenabled()
    finally:
        gc.enable()
    with pytest.raises(DecodeError):
        Module(engine, b"\0")
    assert gc.isenabled()
