"""`Module`: decoded, validated, and compiled function by function or as a whole."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from struct import Struct
from typing import final

from brolga.ir.errors import WasmtimeError
from brolga.jit.code import CompiledFunction
from brolga.jit.settings import Settings
from brolga.jit.vmctx import FUNC_RECORD_SIZE, ContextLayout
from brolga.jit.wasm import types as wasm

from .engine import Engine
from .machine import signature_id
from .managed import Managed
from .text import to_binary
from .types import AsExternType, ExportType, FuncType, GlobalType, ImportType, MemoryType, TableType, wrap_extern_type
from .version import VERSION

_SERIALIZED = b"brolga module " + VERSION.encode() + b"\0"
_RECORD = Struct("<QQQQ")  # code, vmctx, signature id, itself


@final
class _CollectorPause:
    """Keeps the cyclic garbage collector off while any thread compiles: compiling makes many objects and no cycles."""

    __slots__ = ("_depth", "_was_enabled")

    def __init__(self) -> None:
        self._depth = 0
        self._was_enabled = False

    @contextmanager
    def __call__(self) -> Iterator[None]:
        if self._depth == 0:
            self._was_enabled = gc.isenabled()
            gc.disable()
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._depth == 0 and self._was_enabled:
                gc.enable()


collector_paused = _CollectorPause()


@final
class Compilation:
    """What it takes to compile a module's functions. Refers to no code, so that code may refer to it."""

    __slots__ = ("decoded", "layout", "settings")

    def __init__(self, decoded: wasm.Module, settings: Settings) -> None:
        self.decoded = decoded
        self.layout = ContextLayout(decoded)
        self.settings = settings

    def compile(self, func: int) -> CompiledFunction:
        """Machine code of the function with this index."""
        from brolga.jit.compile import compile_function  # the compiler is imported when there is something to compile

        with collector_paused():
            return compile_function(self.decoded, self.layout, func, self.settings)


@final
class LoadedModule:
    """A valid module and its code, as instances need it. Outlives the `Module` that users see if that is closed."""

    __slots__ = ("context_template", "data_address", "decoded", "layout", "machine", "settings", "space")

    def __init__(self, engine: Engine, data: bytes) -> None:
        with collector_paused():
            decoded = _checked(data)
        compilation = Compilation(decoded, engine.settings)
        self.machine = engine.machine
        self.settings = engine.settings
        self.decoded = decoded
        self.layout = compilation.layout
        first = decoded.imported_funcs
        count = len(decoded.bodies)
        self.space = engine.machine.new_code_space(first, count, compilation.compile, compilation)
        # The address of the bytes themselves: `decoded.data` keeps them where they are.
        self.data_address = ctypes.cast(ctypes.c_char_p(decoded.data), ctypes.c_void_p).value or 0
        if engine.eager:
            with collector_paused():
                self.space.install_all([compilation.compile(func) for func in range(first, first + count)])
        self.context_template = self._template()

    def _template(self) -> bytes:
        """The instance context as far as it is the same for all instances: signature numbers, code addresses."""
        decoded, layout = self.decoded, self.layout
        context = bytearray(layout.size)
        ids = [signature_id(type) for type in decoded.types]
        Struct(f"<{len(ids)}I").pack_into(context, layout.signature_ids, *ids)
        offset = layout.escaping
        for func in decoded.escaping:
            _RECORD.pack_into(context, offset, self.space.pad(func), 0, ids[decoded.func_types[func]], 0)
            offset += FUNC_RECORD_SIZE
        return bytes(context)


@final
class Module(Managed):
    """A valid module, given as binary or text. Functions are compiled when they are first called, unless the engine's
    configuration says `eager`."""

    __slots__ = ("_loaded", "engine")

    def __init__(self, engine: Engine, wasm: str | bytes | bytearray) -> None:
        if not isinstance(engine, Engine):
            raise TypeError("expected an Engine")
        self._loaded = LoadedModule(engine, to_binary(wasm))
        self.engine = engine

    @classmethod
    def _wrap(cls, engine: Engine, loaded: LoadedModule) -> Module:
        module = cls.__new__(cls)
        module._loaded = loaded
        module.engine = engine
        return module

    @property
    def decoded(self) -> wasm.Module:
        return self._loaded.decoded

    @property
    def layout(self) -> ContextLayout:
        return self._loaded.layout

    @classmethod
    def from_file(cls, engine: Engine, path: str | bytes | PathLike[str] | PathLike[bytes]) -> Module:
        """The module in the file at `path`."""
        with open(path, "rb") as file:
            return cls(engine, file.read())

    @classmethod
    def validate(cls, engine: Engine, wasm: bytes | bytearray) -> None:
        """Raise a WasmtimeError if these bytes are not a valid module."""
        if not isinstance(wasm, (bytes, bytearray)):
            raise TypeError("expected wasm bytes")
        with collector_paused():
            _checked(bytes(wasm))

    def serialize(self) -> bytearray:
        """Bytes of which `deserialize` makes the module again, with the same version of Brolga: the valid binary. Functions are
        compiled anew."""
        return bytearray(_SERIALIZED + self.decoded.data)

    @classmethod
    def deserialize(cls, engine: Engine, encoded: bytes | bytearray) -> Module:
        """The module that `serialize` made these bytes of."""
        if not isinstance(encoded, (bytes, bytearray)):
            raise TypeError("expected bytes")
        if not encoded.startswith(_SERIALIZED):
            raise WasmtimeError("failed to parse precompiled artifact: not made by this version of Brolga")
        return cls(engine, encoded[len(_SERIALIZED) :])

    @classmethod
    def deserialize_file(cls, engine: Engine, path: str) -> Module:
        """The module that `serialize` made the contents of this file of."""
        try:
            with open(path, "rb") as file:
                encoded = file.read()
        except OSError as error:
            raise WasmtimeError(f"failed to open file\n\nCaused by:\n    {error}") from error
        return cls.deserialize(engine, encoded)

    @property
    def imports(self) -> list[ImportType]:
        """What the module needs, in order."""
        return [ImportType(item.module, item.name, wrap_extern_type(item.type)) for item in self.decoded.imports]

    @property
    def exports(self) -> list[ExportType]:
        """What the module's instances offer, in order."""
        return [ExportType(item.name, self._export_type(item)) for item in self.decoded.exports]

    def _export_type(self, export: wasm.Export) -> AsExternType:
        decoded, index = self.decoded, export.index
        if export.kind == wasm.EXTERN_FUNC:
            return FuncType._wrap(decoded.func_type(index))
        if export.kind == wasm.EXTERN_TABLE:
            return TableType._wrap(decoded.table_types[index])
        if export.kind == wasm.EXTERN_MEMORY:
            return MemoryType._wrap(decoded.memory_types[index])
        return GlobalType._wrap(decoded.global_types[index])


def _checked(data: bytes) -> wasm.Module:
    from brolga.jit.debug import DECODE, TIMES, VALIDATE
    from brolga.jit.wasm.decode import decode
    from brolga.jit.wasm.validate import validate

    TIMES.start()
    decoded = decode(data)
    TIMES.end(DECODE)
    validate(decoded)
    TIMES.end(VALIDATE)
    return decoded
