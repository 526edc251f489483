"""`install_as_wasmtime`, `brolga.importer`, and type hints: each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import brolga

ROOT = Path(__file__).parents[3]


def run(code: str, *, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_installed_as_wasmtime(tmp_path: Path) -> None:
    code = """
import sys, brolga
wasm = bytes.fromhex("0061736d010000000105016000017f03020100070501016600000a06010400412a0b")
brolga.load(wasm).f()  # has loaded what it needs itself
sys.path = [p for p in sys.path if "site-packages" not in p]  # as if the package were not there
brolga.install_as_wasmtime()
brolga.install_as_wasmtime()
import wasmtime
import importlib.metadata, importlib.util
from wasmtime import Store, Module, Instance, wat2wasm
store = Store()
module = Module(store.engine, wasm)
print(wasmtime is brolga, Instance(store, module, []).exports(store)["f"](store))
print(importlib.metadata.version("wasmtime"), importlib.metadata.version("Wasmtime"))
print(importlib.metadata.metadata("wasmtime")["Name"], importlib.util.find_spec("wasmtime") is not None)
print([d.name for d in importlib.metadata.distributions(name="other")], importlib.metadata.distribution("wasmtime").files)
"""
    assert run(code, cwd=tmp_path).splitlines() == ["True 42", "50.0.0 50.0.0", "wasmtime True", "[] None"]


def test_installed_with_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    code = """
import brolga
brolga.install_as_wasmtime(%s)
import wasmtime
store = wasmtime.Store()
module = wasmtime.Module(store.engine, bytes.fromhex("0061736d010000000105016000017f03020100070501016600000a06010400412a0b"))
print(wasmtime.Instance(store, module, []).exports(store)["f"](store))
"""
    assert run(code % "", cwd=tmp_path) == "42\n"
    assert not (tmp_path / "cache").exists()
    assert run(code % "cache=True", cwd=tmp_path) == "42\n"
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_importer(tmp_path: Path) -> None:
    (tmp_path / "host.py").write_text("seen = []\ndef note(x):\n    seen.append(x)\nbase = 30\n")
    (tmp_path / "lib.wat").write_text("""(module (memory (export "memory") 1)
        (func (export "twice") (param i32) (result i32) local.get 0 i32.const 2 i32.mul))""")
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "inner.wasm").write_bytes(
        brolga.wat2wasm("""(module
        (import "host" "note" (func $note (param i32)))
        (import "host" "base" (global $base i32))
        (import "lib" "twice" (func $twice (param i32) (result i32)))
        (import "lib" "memory" (memory 1))
        (func (export "run") (param i32) (result i32)
            (call $note (local.get 0)) (i32.store8 (i32.const 1) (local.get 0))
            (i32.add (call $twice (local.get 0)) (global.get $base))))""")
    )
    code = """
import brolga.importer
import package.inner
from package.inner import run
import lib, host
print(run(6), host.seen, lib.memory[1], lib.twice(4), package.inner.__file__.endswith("inner.wasm"))
try:
    import missing
except ModuleNotFoundError as error:
    print(error)
"""
    assert run(code, cwd=tmp_path).splitlines() == ["42 [6] 6 8 True", "No module named 'missing'"]


USER_CODE = """
from __future__ import annotations
import brolga as wasmtime
from brolga import Config, Engine, Func, FuncType, Instance, Limits, Linker, Memory, MemoryType, Module, Store, Val, ValType

config = Config()
config.debug_info = True
config.cranelift_opt_level = "speed"
store = Store(Engine(config), data={"a": 1})
module = Module(store.engine, "(module)")
with Module.from_file(store.engine, "x.wasm") as other:
    names: list[str] = [export.name for export in other.exports]
func = Func(store, FuncType([ValType.i32()], [ValType.i32()]), lambda x: x + 1, access_caller=False)
result = func(store, 4)
instance = Instance(store, module, [func])
exports = instance.exports(store)
memory = exports["memory"]
assert isinstance(memory, Memory)
data: bytearray = memory.read(store, 0, 4)
count: int = memory.write(store, b"abc", 4)
linker = Linker(store.engine)
linker.allow_shadowing = True
linker.define_func("m", "f", FuncType([], []), print)
linker.define(store, "m", "g", Memory(store, MemoryType(Limits(1, None))))
value: Val = Val.i32(4)
try:
    linker.instantiate(store, module)
except wasmtime.Trap as trap:
    code: wasmtime.TrapCode | None = trap.trap_code
except (wasmtime.ExitTrap, wasmtime.WasmtimeError) as error:
    print(error)
it = brolga_it = wasmtime.load("x.wasm", {"env": {"log": print}})
total: int = it.add(1, 2)
with it:
    view = memoryview(it.memory)
reveal_type(store.data())
reveal_type(memory.size(store))
wrong: str = memory.size(store)
Module(store)
"""


def test_type_hints(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    assert (Path(brolga.__file__).parent / "py.typed").exists()
    (tmp_path / "user.py").write_text(USER_CODE)
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file",
        str(ROOT / "pyproject.toml"),
        str(tmp_path / "user.py"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    lines = [
        line.partition("user.py:")[2].partition(": ")[2] for line in done.stdout.splitlines() if "user.py:" in line
    ]
    assert [line for line in lines if line.startswith("error")] == [
        'error: Incompatible types in assignment (expression has type "int", variable has type "str")  [assignment]',
        'error: Missing positional argument "wasm" in call to "Module"  [call-arg]',
        'error: Argument 1 to "Module" has incompatible type "Store"; expected "Engine"  [arg-type]',
    ], done.stdout
    assert [line for line in lines if line.startswith("note: Revealed")][:2] == [
        'note: Revealed type is "Any"',
        'note: Revealed type is "int"',
    ]
