"""Compiled modules as bytes: serialised, in files, pickled."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from brolga import Config, Engine, Instance, Module, Store, WasmtimeError
from brolga.ir.errors import CodeFormatError
from brolga.jit.cache_format import read_image, write_image
from brolga.runtime import artifact
from brolga.runtime import module as module_module
from brolga.runtime.version import VERSION

_TEXT = """(module
    (import "" "host" (func $host (param i32) (result i32)))
    (memory (export "memory") 1) (data (i32.const 8) "\\07")
    (table 2 funcref) (elem (i32.const 0) $load $twice)
    (func $load (param i32) (result i32) (i32.load8_u (local.get 0)))
    (func $twice (param i32) (result i32) (i32.mul (i32.const 2) (call $host (local.get 0))))
    (func (export "run") (param i32 i32) (result i32)
        (call_indirect (param i32) (result i32) (local.get 0) (local.get 1)))
    (func (export "trap") unreachable))"""


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Functions, as they are compiled."""
    functions: list[int] = []
    compile = module_module.Compilation.compile

    def note(self: module_module.Compilation, func: int) -> object:
        functions.append(func)
        return compile(self, func)

    monkeypatch.setattr(module_module.Compilation, "compile", note)
    yield functions


def _run(module: Module, *args: int) -> object:
    from brolga import Func, FuncType, ValType

    store = Store(module.engine)
    host = Func(store, FuncType([ValType.i32()], [ValType.i32()]), lambda x: x + 100)
    exports = Instance(store, module, [host]).exports(store)
    if not args:
        exports["trap"](store)  # type: ignore[operator]
    return exports["run"](store, *args)  # type: ignore[operator]


def _check(module: Module) -> None:
    assert _run(module, 8, 0) == 7
    assert _run(module, 5, 1) == 210
    with pytest.raises(Exception, match=r"wasm function 4>(.|\n)*unreachable"):
        _run(module)


def test_all_functions_travel(engine: Engine, compiled: list[int]) -> None:
    module = Module(engine, _TEXT)
    encoded = module.serialize()
    assert isinstance(encoded, bytearray)
    assert sorted(compiled) == [1, 2, 3, 4]
    _check(module)
    for data in (encoded, bytes(encoded)):
        again = Module.deserialize(engine, data)
        assert [export.name for export in again.exports] == ["memory", "run", "trap"]
        _check(again)
        assert again.serialize() == encoded
    assert len(compiled) == 4


def test_files(engine: Engine, tmp_path: Path, compiled: list[int]) -> None:
    path = tmp_path / "m.bwasm"
    path.write_bytes(Module(engine, _TEXT).serialize())
    compiled.clear()
    _check(Module.deserialize_file(engine, str(path)))
    assert compiled == []
    with pytest.raises(WasmtimeError, match="No such file"):
        Module.deserialize_file(engine, str(tmp_path / "missing"))


def test_what_is_refused(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = bytes(Module(engine, _TEXT).serialize())
    with pytest.raises(TypeError, match="expected bytes"):
        Module.deserialize(engine, "text")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="expected an Engine"):
        Module.deserialize(None, encoded)  # type: ignore[arg-type]
    for wrong in (b"", b"\0asm\1\0\0\0", encoded[:-1], encoded[:100], encoded[:-1] + b"!"):
        with pytest.raises(WasmtimeError, match="not usable as compiled code"):
            Module.deserialize(engine, wrong)
    with monkeypatch.context() as patch:
        patch.setattr(artifact, "VERSION", "9.9.9")
        with pytest.raises(CodeFormatError, match=rf"compiled by Brolga {VERSION}, this is Brolga 9\.9\.9"):
            Module.deserialize(engine, encoded)

    image = read_image(encoded, VERSION)
    functions = [image.function(place) for place in range(len(image.funcs))]
    features = ",".join(filter(None, (image.features, "zz")))
    with pytest.raises(CodeFormatError, match="another CPU: this one lacks zz"):
        Module.deserialize(engine, write_image(functions, VERSION, image.settings, features, image.source, image.wasm))
    with pytest.raises(CodeFormatError, match="not of this module"):
        Module.deserialize(engine, write_image(functions, VERSION, image.settings, image.features, image.source))
    # A CPU that can do more than is needed is right.
    _check(Module.deserialize(engine, write_image(functions, VERSION, image.settings, "", image.source, image.wasm)))


def test_code_for_other_settings_is_refused() -> None:
    linux, minimal = Config(), Config()
    linux.platform, minimal.platform = "linux", "minimal"
    encoded = Module(Engine(linux), _TEXT).serialize()
    with pytest.raises(CodeFormatError, match="compiled with other settings"):
        Module.deserialize(Engine(minimal), encoded)


def test_pickles_carry_what_is_compiled(engine: Engine, compiled: list[int]) -> None:
    module = Module(engine, _TEXT)
    assert _run(module, 8, 0) == 7
    assert sorted(compiled) == [1, 3]
    again = pickle.loads(pickle.dumps(module))
    assert again.engine.machine is engine.machine
    assert _run(again, 8, 0) == 7
    assert sorted(compiled) == [1, 3]
    _check(again)
    assert sorted(compiled) == [1, 2, 3, 4]


def test_pickles_of_other_versions_are_compiled_anew(
    engine: Engine, compiled: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = Module(engine, _TEXT)
    module.serialize()
    pickled = pickle.dumps(module)
    compiled.clear()
    monkeypatch.setattr(artifact, "VERSION", "9.9.9")
    _check(pickle.loads(pickled))
    assert sorted(compiled) == [1, 2, 3, 4]


def _in_another_process(module: Module) -> tuple[object, int]:
    return _run(module, 8, 0), module._loaded.space.installed()


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_modules_go_to_other_processes(method: str) -> None:
    module = Module(Engine(), _TEXT)
    assert _run(module, 8, 0) == 7
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
        assert pool.submit(_in_another_process, module).result(timeout=60) == (7, 2)
