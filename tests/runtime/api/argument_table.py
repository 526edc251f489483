"""Every operation of the public surface with every wrong object in the place of each argument, in a process of its own: prints what went
wrong, one line each. `python -m tests.runtime.api.argument_table PLATFORM CLASS` (the class "" stands for the package's functions)."""

from __future__ import annotations

import inspect
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, Final
from unittest import mock

import brolga
from brolga import (
    BrolgaError,
    FuncType,
    GlobalType,
    Limits,
    Linker,
    MemoryType,
    Store,
    StoreContext,
    TableType,
    Tag,
    TagType,
    Val,
    ValType,
)
from tests.fuzz.surface.hostile import LIARS, Hostile, make_liar
from tests.fuzz.surface.operations import OPERATORS, Operation, Parameter, operations, perform, surface

TEXT: Final = """(module
  (memory (export "memory") 1 3) (table (export "table") 2 5 funcref)
  (global (export "global") (mut i64) (i64.const 1)) (global (export "reference") (mut funcref) (ref.null func))
  (func (export "f") (param i32) (result i32) (local.get 0))
  (func (export "numbers") (param i32 i64 f32 f64 externref funcref)))"""
BINARY: Final = bytes(brolga.wat2wasm(TEXT))
# What is not meant for arguments, or runs something else than the package.
LEFT_OUT: Final = {"bare", "attribute", "delete", "set class", "subclass", "replace", "pickle", "copy", "deepcopy"}
# Errors of Python's own that say what they mean, by kind or name of the operation.
DOCUMENTED: Final[dict[str, tuple[type[BaseException], ...]]] = {
    "getitem": (KeyError, IndexError),
    "setitem": (IndexError, TypeError, ValueError),  # what the object is not made for, and bytes that are none
    "delitem": (TypeError,),
    "contains": (TypeError,),
    "len": (TypeError,),
    "iter": (TypeError,),
    "buffer": (TypeError,),
    "hash": (TypeError,),
    "with": (TypeError, AttributeError),
    "write": (IndexError,),
    "get_buffer_ptr": (IndexError,),
    "from_file": (OSError,),
    "load": (OSError,),
}


class Stage:
    """What operations work on, made anew for each."""

    def __init__(self, engine: brolga.Engine, module: brolga.Module, directory: str) -> None:
        self.engine, self.module, self.directory = engine, module, directory
        self.store = Store(engine)
        self.instance = brolga.Instance(self.store, module, [])
        self.exports: Any = self.instance.exports(self.store)
        self.bound: Any = brolga.load(BINARY, engine=engine)

    def target(self, owner: str) -> Any:
        store, exports, bound = self.store, self.exports, self.bound
        functype = FuncType([ValType.i32()], [ValType.i32()])
        linker = Linker(self.engine)
        made: dict[str, Callable[[], Any]] = {
            "BoundFunc": lambda: bound.f,
            "BoundGlobal": lambda: bound["global"],
            "BoundInstance": lambda: bound,
            "BoundMemory": lambda: bound.memory,
            "BoundTable": lambda: bound.table,
            "Config": brolga.Config,
            "Engine": lambda: brolga.Engine(_config(self.engine)),
            "Func": lambda: exports["f"],
            "FuncType": lambda: functype,
            "Global": lambda: exports["global"],
            "GlobalType": lambda: GlobalType(ValType.i32(), True),
            "Instance": lambda: self.instance,
            "InstanceExports": lambda: exports,
            "InstancePre": lambda: linker.instantiate_pre(self.module),
            "Limits": lambda: Limits(1, 2),
            "Linker": lambda: linker,
            "Memory": lambda: exports["memory"],
            "MemoryType": lambda: MemoryType(Limits(1, 2)),
            "Module": lambda: self.module,
            "Store": lambda: store,
            "StoreContext": lambda: StoreContext(store),
            "Table": lambda: exports["table"],
            "TableType": lambda: TableType(ValType.funcref(), Limits(1, 2)),
            "Tag": lambda: Tag(store, TagType(FuncType([], []))),
            "TagType": lambda: TagType(FuncType([], [])),
            "Val": lambda: Val.i32(5),
            "ValType": ValType.i32,
            "WasiConfig": brolga.WasiConfig,
            "ExportType": lambda: self.module.exports[0],
            "ImportType": lambda: brolga.ImportType("a", "b", functype),
        }
        return made[owner]() if owner in made else None

    def right(self, owner: str, parameter: Parameter) -> Any:
        """A right argument."""
        name, annotation = parameter.name, parameter.annotation
        special: dict[tuple[str, str], Any] = {
            ("Global", "val"): 5,
            ("Table", "init"): None,
            ("TagType", "functype"): FuncType([], []),
            ("Tag", "ty"): TagType(FuncType([], [])),
            ("Global", "ty"): GlobalType(ValType.i64(), True),
            ("Memory", "ty"): MemoryType(Limits(1, 2)),
            ("SharedMemory", "ty"): MemoryType(Limits(1, 2), shared=True),
            ("Table", "ty"): TableType(ValType.funcref(), Limits(1, 2)),
            ("ImportType", "module"): "a",
            ("Linker", "module"): "a" if "str" in annotation else self.module,
            ("Store", "data"): None,
            ("InstanceExports", "instance"): self.instance._data,
            ("BoundInstance", "store"): self.bound.store,
            ("BoundTable", "store"): self.bound.store,
            ("BoundTable", "table"): self.bound.table._table,
            ("BoundGlobal", "data"): self.bound["global"]._global,
            ("BoundInstance", "data"): self.bound.store._instances[0],
            ("BoundMemory", "data"): b"x",
            ("StoreContext", "ptr"): self.store,
            ("Tag", "other"): None,
            ("Config", "cache"): True,
            ("Config", "strategy"): "auto",
            ("WasiConfig", "data"): b"x",
            ("WasiConfig", "env"): [("a", "b")],
            ("Val", "type"): ValType.i32(),
            ("ImportType", "type"): FuncType([], []),
            ("ExportType", "type"): FuncType([], []),
        }
        if (owner, name) in special:
            return special[owner, name]
        return self._by_name(name, annotation)

    def _by_name(self, name: str, annotation: str) -> Any:
        values: dict[str, Any] = {
            "store": self.store,
            "ptr": self.store,
            "engine": self.engine,
            "module": self.module,
            "wasm": BINARY,
            "wat": "(module)",
            "source": BINARY,
            "encoded": b"",
            "path": os.path.join(self.directory, "m.wasm"),
            "imports": [] if "Sequence" in annotation else None,
            "instance": self.instance,
            "item": self.exports["f"],
            "ty": ValType.funcref() if annotation == "ValType" else FuncType([], []),
            "func": lambda *args: None,
            "f": self.exports["f"],
            "functype": FuncType([], []),
            "valtype": ValType.i32(),
            "limits": Limits(1, 2),
            "params": [],
            "results": [],
            "timeout": 5.0,
            "wasi": None,
            "config": None,
            "val": 1.0 if annotation == "float" else 1,
            "index": 0,
            "name": "linux" if not annotation else "memory",
            "argv": ["a"],
            "pairs": [("a", "b")],
            "guest_path": "/",
            "names": [],
            "platform": "linux",
            "opt_level": "speed",
            "profiler": "none",
            "triple": "x86_64-unknown-linux-gnu",
            "key": "opt_level",
            "message": "message",
            "callback": lambda data: None,
            "data": b"x",
            "init": None,
            "min": 1,
            "max": 2,
            "stop": 4,
            "size": 4,
            "file_perms": None,
            "dir_perms": None,
            "func_name": "f",
            "module_name": "m",
        }
        if name in values:
            return values[name]
        word = annotation.split("|")[0].strip()
        by_word: dict[str, Any] = {
            "int": 1,
            "bool": False,
            "str": "a",
            "float": 1.0,
            "bytes": b"x",
            "object": 1,
            "Any": 1,
        }
        if word not in by_word:
            raise LookupError(f"give a right value for the parameter {name} of type {annotation}")
        return by_word[word]


def _has(operation: Operation) -> bool:
    """Whether the class has that operator."""
    names = {"setitem": "__setitem__", "getitem": "__getitem__", "delitem": "__delitem__"}
    return operation.kind not in names or hasattr(surface()[operation.owner], names[operation.kind])


def _config(engine: brolga.Engine) -> brolga.Config:
    config = brolga.Config()
    config.platform = engine.machine.name
    return config


class _Raises(Exception):
    pass


class _Index:
    def __index__(self) -> int:
        raise _Raises


def wrong_values(stage: Stage) -> Iterator[tuple[str, Any]]:
    """What may stand where something else is wanted, with a name."""
    for plain in (
        5,
        -1,
        1.5,
        float("nan"),
        "x",
        "",
        "\udc80",
        b"x",
        None,
        True,
        10**30,
        -(10**30),
        [],
        [5],
        (),
        {},
        print,
        int,
    ):
        yield repr(plain)[:20], plain
    yield "object", object()
    yield "an index that raises", _Index()
    yield "a generator", (item for item in (1, 2))
    released = memoryview(b"x")
    released.release()
    yield "a released view", released
    for base in LIARS:
        for raises in (False, True):
            yield (
                f"a lying {base}, raising: {raises}",
                make_liar(base, 5 if base in ("int", "float") else b"x", "lie", None, raises),
            )
        yield (
            f"a {base} that lies about numbers",
            make_liar(base, 5 if base in ("int", "float") else b"x", 7, None, False),
        )
    for cls in surface().values():
        if not issubclass(cls, BaseException):
            yield f"the class {cls.__name__}", cls
            yield f"a mock of {cls.__name__}", mock.Mock(spec=cls)
            try:
                yield f"an unmade {cls.__name__}", cls.__new__(cls)
            except TypeError:  # an Enum
                pass
    closed = Store(stage.engine)
    closed.close()
    yield "a closed store", closed
    other = Store(stage.engine)
    exports = brolga.Instance(other, stage.module, []).exports(other)
    yield "another store", other
    for name in exports:
        yield f"{name} of another store", exports[name]
    yield "a store of another engine", Store(brolga.Engine(_config(stage.engine)))
    bound = brolga.load(BINARY, engine=stage.engine)
    for name in ("f", "memory", "table", "global"):
        yield f"bound {name}", bound[name]


def arguments(operation: Operation, stage: Stage) -> tuple[list[Any], list[str]]:
    """Right arguments and the names of those that are given by keyword, which come last."""
    if operation.kind == "call":
        store = [stage.store] if operation.owner == "Func" else []
        return [*store, 5, 3.0], ["timeout"]
    if operation.kind in OPERATORS:
        values = {
            "index": "memory" if operation.owner in ("BoundInstance", "InstanceExports", "Caller") else 0,
            "value": None,
        }
        return [values.get(parameter.name, 0) for parameter in operation.parameters], []
    positional, keywords = [], []
    for parameter in operation.parameters:
        if not parameter.many:
            positional.append(stage.right(operation.owner, parameter))
            keywords += [parameter.name] * parameter.keyword
    return positional, keywords


def outcome(operation: Operation, stage: Stage, args: list[Any], keywords: list[str]) -> BaseException | None:
    target = stage.target(operation.owner) if operation.needs_target else None
    split = len(args) - len(keywords)
    named = dict(zip(keywords, args[split:]))
    try:
        done = perform(operation.kind, operation.owner, operation.name, target, args[:split], named)
        if inspect.iscoroutine(done):
            done.close()
    except BaseException as error:  # noqa: BLE001 - that is what is looked at
        return error
    return None


def check(operation: Operation, stage: Stage, error: BaseException | None) -> str:
    """What is wrong with this outcome, or nothing."""
    allowed = (BrolgaError, Hostile, _Raises, *DOCUMENTED.get(operation.kind, ()), *DOCUMENTED.get(operation.name, ()))
    if isinstance(error, ValueError) and "released memoryview" in str(error):
        return ""  # the object's own
    if "Mock" in str(error):
        return ""  # likewise
    if error is not None and not isinstance(error, allowed):
        while error.__traceback__ is not None and error.__traceback__.tb_next is not None:
            error.__traceback__ = error.__traceback__.tb_next
        where = error.__traceback__
        place = f"{where.tb_frame.f_code.co_filename.rpartition('/')[2]}:{where.tb_lineno}" if where else "?"
        return f"{type(error).__name__}: {error} ({place})"
    if not stage.store._closed and stage.exports["f"](stage.store, 7) != 7:
        return "the store gives wrong results"
    return ""


def run(platform: str, owner: str) -> None:
    config = brolga.Config()
    config.platform = platform
    engine = brolga.Engine(config)
    module = brolga.Module(engine, BINARY)
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        with open("m.wasm", "wb") as file:
            file.write(BINARY)
        others = Stage(engine, module, directory)
        for operation in operations()[owner]:
            if (
                operation.kind in LEFT_OUT
                or not _has(operation)
                or (operation.needs_target and Stage(engine, module, directory).target(owner) is None)
            ):
                continue
            count = len(arguments(operation, Stage(engine, module, directory))[0])
            for position in range(count):
                for name, wrong in wrong_values(others):
                    stage = Stage(engine, module, directory)
                    args, keywords = arguments(operation, stage)
                    args[position] = wrong
                    what = f"{owner}.{operation.name or operation.kind}, argument {position}: {name}"
                    print(f"trying {what}", file=sys.stderr)
                    found = check(operation, stage, outcome(operation, stage, args, keywords))
                    if found:
                        print(f"{what}: {found}")


if __name__ == "__main__":
    run(*sys.argv[1:])
