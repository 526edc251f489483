"""Brolga: a WebAssembly JIT compiler and runtime. Names and signatures are those of the PyPI package `wasmtime`."""

import importlib
from typing import TYPE_CHECKING, Final

import brolga.runtime  # noqa: F401 - refuses subinterpreters, before compiled modules are imported, which cannot be there
from brolga.ir.errors import (
    ArgumentTypeError,
    ArgumentValueError,
    BrolgaError,
    ClosedError,
    CompileError,
    DecodeError,
    LimitError,
    LinkError,
    StoreInUseError,
    UnsupportedError,
    ValidationError,
    WasmtimeError,
)
from brolga.runtime.config import Config
from brolga.runtime.engine import Engine
from brolga.runtime.functions import Caller, Func
from brolga.runtime.globals import Global
from brolga.runtime.instance import Instance
from brolga.runtime.linker import InstancePre, Linker
from brolga.runtime.managed import Managed
from brolga.runtime.memory import Memory
from brolga.runtime.module import Module
from brolga.runtime.store import Store, StoreContext, Storelike
from brolga.runtime.table import Table
from brolga.runtime.text import wat2wasm
from brolga.runtime.trap import ExitTrap, Frame, Trap, WasmTimeout
from brolga.runtime.types import (
    ExportType,
    FuncType,
    GlobalType,
    ImportType,
    Limits,
    MemoryType,
    TableType,
    TagType,
    ValType,
)
from brolga.runtime.values import Val
from brolga.runtime.version import VERSION

if TYPE_CHECKING:
    from brolga.runtime.install import install_as_wasmtime
    from brolga.runtime.load import load
    from brolga.runtime.shared_memory import SharedMemory
    from brolga.runtime.tag import Tag
    from brolga.runtime.trap_code import TrapCode
    from brolga.runtime.wasi.context import WasiConfig
    from brolga.runtime.wasi.permissions import DirPerms, FilePerms

__version__ = VERSION

__all__ = [
    "ArgumentTypeError",
    "ArgumentValueError",
    "BrolgaError",
    "Caller",
    "ClosedError",
    "CompileError",
    "Config",
    "DecodeError",
    "DirPerms",
    "Engine",
    "ExitTrap",
    "ExportType",
    "FilePerms",
    "Frame",
    "Func",
    "FuncType",
    "Global",
    "GlobalType",
    "ImportType",
    "Instance",
    "InstancePre",
    "Limits",
    "LimitError",
    "LinkError",
    "Linker",
    "Managed",
    "Memory",
    "MemoryType",
    "Module",
    "SharedMemory",
    "Store",
    "StoreContext",
    "StoreInUseError",
    "Storelike",
    "Table",
    "TableType",
    "Tag",
    "TagType",
    "Trap",
    "TrapCode",
    "UnsupportedError",
    "Val",
    "ValType",
    "ValidationError",
    "WasiConfig",
    "WasmTimeout",
    "WasmtimeError",
    "__version__",
    "install_as_wasmtime",
    "load",
    "wat2wasm",
]

# What many programs do not use, by the module that it comes from: imported when somebody asks for it, so that others start faster.
_LATE: Final = {
    "DirPerms": "wasi.permissions",
    "FilePerms": "wasi.permissions",
    "SharedMemory": "shared_memory",
    "Tag": "tag",
    "TrapCode": "trap_code",
    "WasiConfig": "wasi.context",
    "install_as_wasmtime": "install",
    "load": "load",
}

if not TYPE_CHECKING:  # else every name would seem to be there

    def __getattr__(name: str) -> object:
        module = _LATE.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(importlib.import_module(f"brolga.runtime.{module}"), name)
        globals()[name] = found
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *_LATE})
