"""A user's program in the style of the PyPI package `wasmtime`: checked by mypy and pyright, and run."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_type

import brolga as wasmtime
from brolga import (
    Caller,
    Config,
    DirPerms,
    Engine,
    ExitTrap,
    ExportType,
    FilePerms,
    Frame,
    Func,
    FuncType,
    Global,
    GlobalType,
    ImportType,
    Instance,
    InstancePre,
    Limits,
    Linker,
    Memory,
    MemoryType,
    Module,
    Store,
    Table,
    TableType,
    Trap,
    TrapCode,
    Val,
    ValType,
    WasiConfig,
    WasmtimeError,
)

PLUGIN = """(module
  (import "host" "log" (func $log (param i32 i32)))
  (import "host" "factor" (global $factor i32))
  (memory (export "memory") 1)
  (table (export "table") 2 8 funcref)
  (global (export "calls") (mut i32) (i32.const 0))
  (data (i32.const 0) "scaled")
  (func $scale (export "scale") (param i32) (result i32)
    (global.set 1 (i32.add (global.get 1) (i32.const 1)))
    (call $log (i32.const 0) (i32.const 6))
    (i32.mul (local.get 0) (global.get $factor)))
  (func (export "split") (param f64) (result i32 f64)
    (i32.trunc_f64_s (local.get 0)) (f64.sub (local.get 0) (f64.trunc (local.get 0))))
  (func (export "fail") unreachable)
  (elem (i32.const 0) $scale))"""

COMMAND = """(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start") (call $exit (i32.const 3))))"""


@dataclass
class Log:
    lines: list[str] = field(default_factory=list[str])


def make_engine(interruptible: bool) -> Engine:
    config = Config()
    config.epoch_interruption = interruptible
    config.cranelift_opt_level = "speed"
    return Engine(config)


class Plugin:
    """A module with its store, and its exports by name."""

    def __init__(self, engine: Engine, source: str | bytes) -> None:
        self.module = Module(engine, source)
        self.store = Store(engine, Log())
        linker = Linker(engine)
        linker.allow_shadowing = True
        log_type = FuncType([ValType.i32(), ValType.i32()], [])
        linker.define_func("host", "log", log_type, self._log, access_caller=True)
        factor = Global(self.store, GlobalType(ValType.i32(), False), Val.i32(3))
        linker.define(self.store, "host", "factor", factor)
        self._prepared: InstancePre = linker.instantiate_pre(self.module)
        self.instance: Instance = self._prepared.instantiate(self.store)

    @staticmethod
    def _log(caller: Caller, position: int, length: int) -> None:
        memory = caller["memory"]
        assert isinstance(memory, Memory)
        log = caller.data()
        assert isinstance(log, Log)
        log.lines.append(memory.read(caller, position, position + length).decode())

    def function(self, name: str) -> Func:
        item = self.instance.exports(self.store)[name]
        if not isinstance(item, Func):
            raise TypeError(f"{name} is no function")
        return item

    def memory(self) -> Memory:
        item = self.instance.exports(self.store)["memory"]
        assert isinstance(item, Memory)
        return item

    def call(self, name: str, *args: float) -> int | float | Sequence[int | float] | None:
        try:
            result: int | float | list[int | float] | None = self.function(name)(self.store, *args)
        except Trap as trap:
            frames: list[Frame] = trap.frames
            code: TrapCode | None = trap.trap_code
            raise RuntimeError(f"{code} in {[frame.func_index for frame in frames]}") from trap
        return result


def describe(module: Module) -> list[str]:
    lines: list[str] = []
    for item in module.imports:
        assert_type(item, ImportType)
        lines.append(f"import {item.module}.{item.name}")
    for export in module.exports:
        assert_type(export, ExportType)
        type = export.type
        if isinstance(type, FuncType):
            lines.append(f"func {export.name}: {len(type.params)} -> {len(type.results)}")
        elif isinstance(type, MemoryType):
            assert_type(type.limits, Limits)
            lines.append(f"memory {export.name}: {type.limits.min}")
        elif isinstance(type, TableType):
            lines.append(f"table {export.name} of {type.element}")
        elif isinstance(type, GlobalType):
            lines.append(f"global {export.name}: {type.content}, {type.mutable}")
    return lines


def exit_status(directory: Path) -> int:
    """Run a program for WASI."""
    engine = Engine()
    config = WasiConfig()
    config.argv = ["program", "argument"]
    config.env = [("HOME", "/")]
    config.stdout_file = str(directory / "out")
    config.preopen_dir(str(directory), "/", DirPerms.READ_ONLY, FilePerms.READ_ONLY)
    with Store(engine) as store:
        store.set_wasi(config)
        linker = Linker(engine)
        linker.define_wasi()
        start = linker.instantiate(store, Module(engine, COMMAND)).exports(store)["_start"]
        assert isinstance(start, Func)
        try:
            start(store)
        except ExitTrap as trap:
            assert_type(trap.code, int)
            return trap.code
    return 0


def main() -> None:
    engine = make_engine(interruptible=False)
    plugin = Plugin(engine, PLUGIN)
    assert plugin.call("scale", 14) == 42
    assert plugin.call("split", 2.5) == [2, 0.5]
    try:
        plugin.call("fail")
    except RuntimeError as error:
        assert isinstance(error.__cause__, Trap)

    store, exports = plugin.store, plugin.instance.exports(plugin.store)
    table, calls = exports["table"], exports["calls"]
    assert isinstance(table, Table) and isinstance(calls, Global)
    assert_type(table.size(store), int)
    scale = table.get(store, 0)
    assert isinstance(scale, Func)
    assert scale(store, 2) == 6
    table.set(store, 1, scale)
    assert_type(table.grow(store, 1, None), int)
    assert calls.value(store) == 2
    calls.set_value(store, Val.i32(0))

    memory = plugin.memory()
    assert_type(memory.read(store, 0, 6), bytearray)
    assert_type(memory.write(store, b"SCALED", 0), int)
    assert_type(memory.data_len(store), int)
    assert_type(memory.type(store).limits.max, int | None)
    plugin.call("scale", 1)
    log = store.data()
    assert isinstance(log, Log)
    assert log.lines == ["scaled", "scaled", "SCALED"], log

    binary = plugin.module.serialize()
    assert_type(Module.deserialize(engine, binary), Module)
    assert describe(plugin.module)[:2] == ["import host.log", "import host.factor"]
    assert_type(wasmtime.wat2wasm("(module)"), bytearray)
    try:
        Module(engine, b"no module")
    except WasmtimeError as error:
        assert_type(str(error), str)
    with tempfile.TemporaryDirectory() as directory:
        assert exit_status(Path(directory)) == 3


if __name__ == "__main__":
    main()
