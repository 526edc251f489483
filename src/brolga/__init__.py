"""Brolga: a WebAssembly JIT compiler and runtime. Names and signatures are those of the PyPI package `wasmtime`."""

from brolga.ir.errors import (
    BrolgaError,
    CompileError,
    DecodeError,
    LimitError,
    LinkError,
    UnsupportedError,
    ValidationError,
    WasmtimeError,
)
from brolga.runtime.config import Config
from brolga.runtime.engine import Engine
from brolga.runtime.functions import Caller, Func
from brolga.runtime.globals import Global
from brolga.runtime.install import install_as_wasmtime
from brolga.runtime.instance import Instance
from brolga.runtime.linker import InstancePre, Linker
from brolga.runtime.load import load
from brolga.runtime.managed import Managed
from brolga.runtime.memory import Memory
from brolga.runtime.module import Module
from brolga.runtime.shared_memory import SharedMemory
from brolga.runtime.store import Store, StoreContext, Storelike
from brolga.runtime.table import Table
from brolga.runtime.tag import Tag
from brolga.runtime.text import wat2wasm
from brolga.runtime.trap import ExitTrap, Frame, Trap, TrapCode, WasmTimeout
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
from brolga.runtime.wasi.context import DirPerms, FilePerms, WasiConfig

__version__ = VERSION

__all__ = [
    "BrolgaError",
    "Caller",
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
