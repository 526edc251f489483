"""Two ways to call WASI functions with raw numbers and a bare memory: ours directly, and those of PyPI `wasmtime`."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from brolga import ExitTrap, Trap, WasmtimeError
from brolga.runtime.wasi.abi import ERRNO_NAMES
from brolga.runtime.wasi.context import WasiConfig
from brolga.runtime.wasi.functions import FUNCTIONS, MODULE_NAME
from brolga.runtime.wasi.guest import GuestMemory

MEMORY_SIZE = 4 * 65536
ALL_RIGHTS = 0x1FFF_FFFF


class Guest:
    """A program with a memory that calls WASI functions; `call` gives the error's name, or what was raised."""

    exit: type[BaseException] = ExitTrap
    errors: tuple[type[BaseException], ...] = (WasmtimeError, Trap)

    def write(self, address: int, data: bytes) -> None:
        raise NotImplementedError

    def read(self, address: int, size: int) -> bytes:
        raise NotImplementedError

    def _call(self, name: str, *args: int) -> int | None:
        raise NotImplementedError

    def call(self, name: str, *args: int) -> str:
        try:
            result = self._call(name, *args)
        except self.exit:
            return "exit"
        except self.errors:
            return "trap"
        return "returned" if result is None else ERRNO_NAMES[result]

    def path(self, name: str | bytes, address: int = 100) -> tuple[int, int]:
        data = name if isinstance(name, bytes) else name.encode()
        self.write(address, data)
        return address, len(data)

    def open(
        self, fd: int, name: str | bytes, oflags: int = 0, rights: int = ALL_RIGHTS, fdflags: int = 0, lookup: int = 1
    ) -> tuple[str, int]:
        self.write(8, struct.pack("<I", 0xFFFF))
        result = self.call("path_open", fd, lookup, *self.path(name), oflags, rights, ALL_RIGHTS, fdflags, 8)
        return result, self.u32(8)

    def iovs(self, *pairs: tuple[int, int], at: int = 64) -> tuple[int, int]:
        self.write(at, b"".join(struct.pack("<II", *pair) for pair in pairs))
        return at, len(pairs)

    def u32(self, address: int) -> int:
        return int.from_bytes(self.read(address, 4), "little")

    def u64(self, address: int) -> int:
        return int.from_bytes(self.read(address, 8), "little")


class OurGuest(Guest):
    def __init__(self, config: WasiConfig) -> None:
        self.context = config._context()
        self.memory = bytearray(MEMORY_SIZE)

    def write(self, address: int, data: bytes) -> None:
        self.memory[address : address + len(data)] = data

    def read(self, address: int, size: int) -> bytes:
        return bytes(self.memory[address : address + size])

    def _call(self, name: str, *args: int) -> int | None:
        function = FUNCTIONS[name]
        bits = [32 if type == 0x7F else 64 for type in function.type.params]
        raw = tuple(arg & ((1 << width) - 1) for arg, width in zip(args, bits, strict=True))
        result = function.call(self.context, GuestMemory(memoryview(self.memory)), raw)
        return result if function.type.results else None


def bridge_module() -> str:
    """A module that exports its memory and, for each WASI function, one that calls it."""
    lines = ["(module"]
    for function in FUNCTIONS.values():
        params = " ".join("i32" if type == 0x7F else "i64" for type in function.type.params)
        result = "(result i32)" if function.type.results else ""
        lines.append(f'(import "{MODULE_NAME}" "{function.name}" (func $i_{function.name} (param {params}) {result}))')
    lines.append(f'(memory (export "memory") {MEMORY_SIZE // 65536})')
    for function in FUNCTIONS.values():
        params = " ".join("i32" if type == 0x7F else "i64" for type in function.type.params)
        result = "(result i32)" if function.type.results else ""
        gets = " ".join(f"local.get {n}" for n in range(len(function.type.params)))
        lines.append(f'(func (export "{function.name}") (param {params}) {result} {gets} call $i_{function.name})')
    return "\n".join(lines) + ")"


class EmbeddedGuest(Guest):
    """The bridge module in an embedding API: that of the package `api`, which is `wasmtime` or `brolga`."""

    def __init__(self, api: Any, config: Any) -> None:
        engine = api.Engine()
        self.exit = api.ExitTrap
        self.errors = (api.WasmtimeError, api.Trap)
        self.store = api.Store(engine)
        self.store.set_wasi(config)
        linker = api.Linker(engine)
        linker.define_wasi()
        instance = linker.instantiate(self.store, api.Module(engine, bridge_module()))
        self.exports = instance.exports(self.store)
        self.memory = self.exports["memory"]

    def write(self, address: int, data: bytes) -> None:
        if data:
            self.memory.write(self.store, bytearray(data), address)

    def read(self, address: int, size: int) -> bytes:
        return bytes(self.memory.read(self.store, address, address + size))

    def _call(self, name: str, *args: int) -> int | None:
        result: int | None = self.exports[name](self.store, *args)
        return result


def make_tree(root: Path) -> None:
    """The files that the scenarios work on."""
    (root / "f").write_text("hello world")
    (root / "sub").mkdir()
    (root / "sub" / "inner").mkdir()
    (root / "sub" / "inner" / "z").write_text("z")
    (root / "sub" / "a").write_text("a")
    (root / "lf").symlink_to("f")
    (root / "ls").symlink_to("sub")
    (root / "abs").symlink_to("/etc/passwd")
    (root / "esc").symlink_to("../..")
    (root / "loop").symlink_to("loop")
    (root / "dang").symlink_to("nowhere")
    (root / "sub" / "up").symlink_to("../f")
