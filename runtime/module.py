"""`Module`: decoded, validated, and compiled function by function or as a whole."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from functools import cache, lru_cache, partial
from os import PathLike, fsdecode
from struct import Struct
from typing import TYPE_CHECKING, final

from brolga.ir.errors import CodeFormatError, WasmtimeError
from brolga.jit.cache_format import CodeImage
from brolga.jit.transformations import names_of
from brolga.jit.vmctx import FUNC_RECORD_SIZE, FUNC_SELF, FUNC_VMCTX, ContextLayout
from brolga.jit.wasm import types as wasm

from .arguments import bytes_of, encoded, instance_of, path_of, read_file, refuse_second_init, text_of
from .artifact import read_artifact, write_artifact
from .cache import CacheEntry
from .compilation import Compilation, collector_paused
from .config import Config
from .engine import Engine
from .machine import CTX_MEMORIES, CTX_TABLES, CodeSpace, signature_numbers
from .machine.compiling import compiling_for_nobody, look_up_while_compiling
from .machine.late import import_late
from .machine.memory import address_of
from .managed import SlottedManaged
from .platform.c_calls import typed
from .text import naming, to_binary
from .types import AsExternType, ExportType, FuncType, GlobalType, ImportType, MemoryType, TableType, wrap_extern_type

if TYPE_CHECKING:
    from .startup_fuel import StartupPlan

_cast = typed(ctypes.cast)
_WORD = Struct("<Q")
_RECORD = Struct("<QQQQ")  # code, vmctx, signature id, itself


@final
class LoadedModule:
    """A valid module and its code, as instances need it. Outlives the `Module` that users see if that is closed."""

    __slots__ = (
        "__weakref__",
        "_beside_guard",
        "_code",
        "_context_relocated",
        "_context_template",
        "_signatures",
        "data_address",
        "decoded",
        "guest_memory",
        "layout",
        "machine",
        "own_memories",
        "own_tables",
        "settings",
        "space",
        "startup",
    )

    def __init__(self, engine: Engine, data: bytes, image: CodeImage | None = None) -> None:
        """With `image`, which holds code for this module and these settings, the bytes are known to be valid."""
        with collector_paused():
            decoded = _checked(data) if image is None else _known(data)
        compilation = Compilation(decoded, engine.settings)
        self.machine = engine.machine
        self._beside_guard: LoadedModule | None = None
        self.decoded = decoded
        self.layout = compilation.layout
        self._make_space(compilation)
        if engine.perf_map:
            from . import perf_map  # for those who look with perf

            self.space.listener = partial(perf_map.add, decoded)
        # The address of the bytes themselves: `decoded.data` keeps them where they are.
        self.data_address = _cast(ctypes.c_char_p(decoded.data), ctypes.c_void_p).value or 0
        if image is not None:
            self.space.install_image(image)
        if engine.eager:
            self.compile_all(compilation, parallel=engine.parallel)
        self._context_template, self._context_relocated = self._template()
        self.own_memories = decoded.memory_types[decoded.imported_memories :]
        self.own_tables = decoded.table_types[decoded.imported_tables :]
        # Index of the memory that WASI functions work on, or -1.
        self.guest_memory = next(
            (e.index for e in decoded.exports if e.name == "memory" and e.kind == wasm.EXTERN_MEMORY), -1
        )
        self.startup: StartupPlan | None = None
        if engine.settings.fuel:
            self.startup = _plan_class()(decoded)

    def _make_space(self, compilation: Compilation) -> None:
        self.settings = compilation.settings
        decoded = self.decoded
        first, count = decoded.imported_funcs, len(decoded.bodies)
        self.space = self.machine.new_code_space(first, count, compilation.compile, compilation)
        self._code = self.space.hold()

    def beside_guard(self) -> LoadedModule:
        """The module with code that compares bounds, for instances whose memory has no guard area. Compiled when it is called; the
        cache does not keep it."""
        made = self._beside_guard
        if made is None:
            made = LoadedModule.__new__(LoadedModule)
            for name in (
                "data_address",
                "decoded",
                "guest_memory",
                "layout",
                "machine",
                "own_memories",
                "own_tables",
                "startup",
            ):
                setattr(made, name, getattr(self, name))
            made._beside_guard = None
            made._make_space(Compilation(self.decoded, self.settings.beside_guard()))
            made.space.listener = self.space.listener
            made._context_template, made._context_relocated = made._template()
            self._beside_guard = made
        return made

    def new_context(self) -> tuple[bytearray, int, object]:
        """The context of a new instance with what the module knows of it, its address, and what keeps it there."""
        context = bytearray(self.layout.size)
        address, export = address_of(context)
        words = self._context_template + address * self._context_relocated
        context[:] = words.to_bytes(len(context), "little")
        return context, address, export

    def missing(self) -> list[int]:
        """The functions that are not compiled yet."""
        first = self.decoded.imported_funcs
        return [func for func in range(first, first + self.space.count) if not self.space.code_address(func)]

    def compile_all(
        self, compilation: Compilation | None = None, done: Callable[[int], None] | None = None, parallel: bool = True
    ) -> None:
        """Have compiled what is not, on all cores if it is much. `done` is told of functions as they get ready."""
        missing = self.missing()
        if missing:
            from .parallel import compile_functions  # with the compiler: not wanted if all is in the cache

            if compilation is None:
                compilation = Compilation(self.decoded, self.settings)
            with collector_paused(), compiling_for_nobody():
                self.space.install_all(compile_functions(compilation, missing, done, 0 if parallel else 1))
            collector_paused.give_memory_back()

    def _template(self) -> tuple[int, int]:
        """The instance context, as a number, as far as it is the same for all instances (signature numbers, code addresses), and
        the words of it to which an instance adds the address of its context: these are offsets in the template, so that the
        sum does not carry."""
        decoded, layout = self.decoded, self.layout
        context, relocated = bytearray(layout.size), bytearray(layout.size)
        ids, self._signatures = signature_numbers(decoded.types)
        Struct(f"<{len(ids)}I").pack_into(context, layout.signature_ids, *ids)
        _WORD.pack_into(context, CTX_MEMORIES, layout.memories)
        _WORD.pack_into(context, CTX_TABLES, layout.tables)
        relocated[CTX_MEMORIES] = relocated[CTX_TABLES] = 1
        offset = layout.escaping
        for func in decoded.escaping:
            _RECORD.pack_into(context, offset, self.space.pad(func), 0, ids[decoded.func_types[func]], offset)
            relocated[offset + FUNC_VMCTX] = relocated[offset + FUNC_SELF] = 1
            offset += FUNC_RECORD_SIZE
        return int.from_bytes(context, "little"), int.from_bytes(relocated, "little")


def load(engine: Engine, wasm: str | bytes | bytearray) -> LoadedModule:
    """The module given as binary or text, with code from the engine's cache, to which it will give what is compiled."""
    cache = engine.cache
    if cache is None:
        return LoadedModule(engine, to_binary(wasm))
    if issubclass(type(wasm), str):
        source = encoded(text_of(wasm), "the text of a module")
    else:
        wasm = source = bytes_of(wasm, "wasm bytes")
    entry = CacheEntry(cache, source, engine.settings)
    image = entry.load()
    data = image.wasm if image is not None and image.wasm else to_binary(wasm)
    loaded = LoadedModule(engine, data, image)
    weakref.finalize(loaded, _save, entry, loaded.space, b"" if data == source else data)
    return loaded


def _save(entry: CacheEntry, space: CodeSpace, wasm: bytes) -> None:
    """The module goes, or the process ends: what was compiled stays."""
    try:
        if space.installed() > len(entry.known):
            entry.save(space.compiled_functions(), wasm)
    except (OSError, MemoryError, CodeFormatError):
        pass


@final
class Module(SlottedManaged):
    """A valid module, given as binary or text. Functions are compiled when they are first called, unless the engine's
    configuration says `eager`."""

    __slots__ = ("_loaded", "engine")

    def __init__(self, engine: Engine, wasm: str | bytes | bytearray) -> None:
        refuse_second_init(self, "_loaded")
        engine = instance_of(Engine, engine, "an Engine")
        self._loaded = load(engine, wasm)
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
        path = path_of(path)
        wasm = read_file(path)
        with naming(fsdecode(path)):
            return cls(engine, wasm)

    @classmethod
    def validate(cls, engine: Engine, wasm: bytes | bytearray) -> None:
        """Raise a WasmtimeError if these bytes are not a valid module."""
        instance_of(Engine, engine, "an Engine")
        data = bytes_of(wasm, "wasm bytes")
        with collector_paused():
            _checked(data)

    def serialize(self) -> bytearray:
        """Bytes of which `deserialize` makes the module again without compiling: all functions are compiled now."""
        loaded = self._loaded
        loaded.compile_all(parallel=self.engine.parallel)
        return bytearray(write_artifact(loaded.decoded.data, loaded.space.compiled_functions(), loaded.settings))

    @classmethod
    def deserialize(cls, engine: Engine, encoded: bytes | bytearray) -> Module:
        """The module that `serialize` made these bytes of, on a CPU that has what it had been compiled for.

        Damage is noticed and refused. Malice is not: the bytes are machine code, and who gives them can do what the process
        can do. Only deserialize what came from a source that is trusted.
        """
        engine = instance_of(Engine, engine, "an Engine")
        image = read_artifact(bytes_of(encoded), engine.settings)
        return cls._wrap(engine, LoadedModule(engine, image.wasm, image))

    @classmethod
    def deserialize_file(cls, engine: Engine, path: str | bytes | PathLike[str] | PathLike[bytes]) -> Module:
        """The module that `serialize` made the contents of this file of. See `deserialize` for what to trust."""
        instance_of(Engine, engine, "an Engine")
        path = path_of(path)
        try:
            artifact = read_file(path)
        except OSError as error:
            raise WasmtimeError(f"failed to open file\n\nCaused by:\n    {error}") from error
        return cls.deserialize(engine, artifact)

    def __reduce__(self) -> tuple[Callable[..., Module], tuple[object, ...]]:
        """Pickled, the binary travels with the code that is there, which is used where version and CPU allow."""
        loaded, engine = self._loaded, self.engine
        wasm = loaded.decoded.data
        code = write_artifact(wasm, loaded.space.compiled_functions(), loaded.settings, False)
        return _unpickle, (
            wasm,
            code,
            loaded.machine.name,
            loaded.settings.opt_level,
            loaded.settings.off,
            engine.eager,
            loaded.settings.fuel,
            engine.max_stack,
            engine.epoch is not None,
        )

    def __copy__(self) -> Module:
        """Nothing of a module changes but what is compiled of it, so that its copies may share that."""
        return Module._wrap(self.engine, self._loaded)

    def __deepcopy__(self, memo: dict[int, object]) -> Module:
        return self.__copy__()

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


@cache  # no import works any more when the interpreter ends
def _plan_class() -> type[StartupPlan]:
    """Few programs count fuel."""
    from .startup_fuel import StartupPlan

    return StartupPlan


@lru_cache(maxsize=64)
def _engine(platform: str, opt_level: int, off: int, eager: bool, fuel: bool, max_stack: int, epochs: bool) -> Engine:
    """The engine of unpickled modules: what limits the code of the one that was pickled limits it here."""
    config = Config()
    config.platform = platform
    config.cranelift_opt_level = "speed" if opt_level else "none"
    config.optimizations_off = names_of(off)
    config.eager = eager
    config.consume_fuel = fuel
    config.epoch_interruption = epochs
    if max_stack:
        config.max_wasm_stack = max_stack
    return Engine(config)


def _unpickle(
    wasm: bytes,
    code: bytes,
    platform: str,
    opt_level: int,
    off: int,
    eager: bool,
    fuel: bool,
    max_stack: int,
    epochs: bool,
) -> Module:
    engine = _engine(platform, opt_level, off, eager, fuel, max_stack, epochs)
    try:
        image = read_artifact(code, engine.settings, wasm)
    except CodeFormatError:
        return Module(engine, wasm)
    return Module._wrap(engine, LoadedModule(engine, wasm, image))


def _checked(data: bytes) -> wasm.Module:
    """The decoded module, if it is valid."""
    # Not before there is a module, and not if it is in the cache: `import brolga` and warm starts shall be fast.
    import_late("brolga.jit.phases", "brolga.jit.wasm.decode", "brolga.jit.wasm.validate")
    from brolga.jit.phases import DECODE, TIMES, VALIDATE
    from brolga.jit.wasm.decode import decode
    from brolga.jit.wasm.validate import validate

    look_up_while_compiling()
    with compiling_for_nobody():
        TIMES.start()
        decoded = decode(data)
        TIMES.end(DECODE)
        validate(decoded)
        TIMES.end(VALIDATE)
    return decoded


def _known(data: bytes) -> wasm.Module:
    """The decoded module, which is known to be valid."""
    import_late("brolga.jit.wasm.references", "brolga.jit.wasm.sections")
    from brolga.jit.wasm.references import collect_references
    from brolga.jit.wasm.sections import read_sections

    decoded = wasm.Module(data)
    read_sections(decoded)
    collect_references(decoded)
    return decoded
