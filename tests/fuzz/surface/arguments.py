"""Arguments: chosen by the name and annotation of a parameter, as plain data, and made into objects when a step is done."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from brolga import FuncType, GlobalType, Limits, MemoryType, TableType, TagType, ValType

from . import guests
from .hostile import BUFFERS, LIARS, make_liar
from .operations import Parameter, surface
from .steps import Argument

if TYPE_CHECKING:
    from .chooser import Chooser
    from .execution import Execution

EDGES: Final = [0, 1, -1, 2, 3, 7, 63, 64, 255, 4095, 65535, 65536, 65537, 2**31 - 1, 2**31, -(2**31), 2**32 - 1, 2**32, 2**32 + 1,
                2**63 - 1, 2**63, -(2**63), 2**64 - 1, 2**64, 2**64 + 5, -(2**64), 10**30, 10_000_000, 10_000_001]  # fmt: skip
FLOAT_EDGES: Final = ["0.0", "-0.0", "1.5", "-1.0", "nan", "inf", "-inf", "1e300", "1e-300", "5e-324", "3.4e38", "1e9"]
STRINGS: Final = ["", "memory", "add", "host", "nothing", "\0", "a\0b", "é", "\ud800", "x" * 3000, "__init__", "_store", "close", "linux", "minimal",
                  "auto", "none", "speed", "opt_level", "x86_64-unknown-linux-gnu", "perfmap", "lea", "/guest", "shared", "missing"]  # fmt: skip
PATHS: Final = ["", "missing", "directory", "directory/file", "wasm", "text", "../outside", ".", "fifo-missing/x"]
TYPES: Final = ["i32", "i64", "f32", "f64", "externref", "funcref"]
HOSTS: Final = ["echo", "echo", "echo", "steps", "steps", "raise", "wrong", "caller", "asynchronous", "exit"]
# Names of parameters that take small numbers where they are right.
SMALL: Final = {"delta": 3, "pages": 3, "amt": 5, "count": 5, "idx": 5, "start": 100, "stop": 200, "offset": 100, "size": 100, "index": 5,
                "ticks_after_current": 1000, "fuel": 10_000_000, "instances": 100, "memory_size": 1 << 24, "table_elements": 1000}  # fmt: skip
# What the words of annotations stand for: classes of the surface, besides those of the same name.
CLASSES: Final[dict[str, tuple[str, ...]]] = {
    "Storelike": ("Store", "Store", "Store", "Caller", "StoreContext"),
    "AsExtern": ("Func", "Memory", "Table", "Global"),
    "AsExternType": ("FuncType", "MemoryType", "TableType", "GlobalType"),
}


def draw_number(rng: random.Random, type: str) -> Argument:
    """A right value of a numeric type."""
    if type in ("f32", "f64"):
        return ["float", rng.choice(FLOAT_EDGES)]
    bits = 32 if type == "i32" else 64
    value = rng.choice([rng.randrange(100), rng.choice(EDGES), rng.getrandbits(bits)])
    return ["value", (value + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)]


def draw_value(chooser: Chooser, type: str, owner: str) -> Argument:
    """A right value of a type of wasm."""
    if type == "funcref":
        found = chooser.world.choose(chooser.rng, ("Func",), owner)
        return ["ref", found.label] if found is not None and chooser.rng.random() < 0.7 else ["value", None]
    if type == "externref":
        return chooser.rng.choice([["value", None], ["value", "text"], ["value", 5], ["object"], chooser.any_thing()])
    return draw_number(chooser.rng, type)


def draw(chooser: Chooser, parameter: Parameter, owner: str) -> tuple[Argument, bool]:
    """An argument for a parameter of an operation on something of the store `owner`, and whether it is right."""
    manner = chooser.rng.random()
    if manner < chooser.odd:
        return draw_odd(chooser, parameter.name), False
    if manner < chooser.odd + chooser.hostile:
        return draw_hostile(chooser, parameter, owner), False
    return draw_right(chooser, parameter, owner), True


def draw_right(chooser: Chooser, parameter: Parameter, owner: str) -> Argument:
    rng = chooser.rng
    name = parameter.name
    text = re.sub(r"\[[^\[\]]*\]", "", re.sub(r"\[[^\[\]]*\]", "", parameter.annotation))
    if name in _BY_NAME and text not in ("int", "float", "bool", "Module"):
        return _BY_NAME[name](chooser, owner)
    word = rng.choice([part.strip().rpartition(".")[2] for part in text.split("|")])
    if word == "int":
        return ["value", rng.randrange(SMALL.get(name, 4))]
    if word in _BY_WORD:
        return _BY_WORD[word](chooser, owner)
    if word in ("Storelike", "Store") and owner and rng.random() < 0.85:
        return ["ref", owner]
    kinds = CLASSES.get(word, (word,))
    found = chooser.world.choose(rng, (rng.choice(kinds),) if word in CLASSES else kinds, owner)
    if found is not None:
        return ["ref", found.label]
    return _made(rng, word)


def _made(rng: random.Random, word: str) -> Argument:
    """A description of something that nobody has made yet."""
    types = ["types", " ".join(rng.choices(TYPES, k=rng.randrange(3)))]
    if word == "ValType":
        return ["valtype", rng.choice(TYPES)]
    if word == "FuncType" or word == "AsExternType":
        return rng.choice(
            [["functype", "i32", "i32"], ["functype", "externref i64", ""], ["functype", types[1], rng.choice(TYPES)]]
        )
    if word == "GlobalType":
        return ["globaltype", rng.choice(TYPES), rng.random() < 0.7]
    if word == "Limits":
        return ["limits", rng.randrange(3), rng.choice([None, 4, 50])]
    if word == "MemoryType":
        return ["memorytype", rng.randrange(3), rng.choice([None, 4, 50]), rng.random() < 0.1]
    if word == "TableType":
        return [
            "tabletype",
            rng.choice(["funcref", "funcref", "externref", "i32"]),
            rng.randrange(5),
            rng.choice([None, 50]),
        ]
    if word == "TagType":
        return ["tagtype", types[1]]
    return ["value", rng.choice([None, None, 0, "text"])]


def draw_odd(chooser: Chooser, name: str) -> Argument:
    rng = chooser.rng
    return rng.choice([
        lambda: ["value", rng.choice(EDGES)],
        lambda: ["value", rng.choice(EDGES)],
        lambda: ["float", rng.choice(FLOAT_EDGES)],
        lambda: ["value", rng.choice(STRINGS)],
        lambda: ["value", rng.choice([None, True, False])],
        lambda: ["bytes", rng.choice(["", "00", "0061736d01000000", "0061736d", "ff" * 70])],
        lambda: ["list", [["value", 1], ["value", None]][: rng.randrange(3)]],
        lambda: ["buffer", rng.choice(sorted(BUFFERS))],
        lambda: ["fd"] if "path" in name or name == "source" else ["complex"],
        lambda: ["object"],
        lambda: chooser.any_thing(),
        lambda: chooser.any_thing(),
        lambda: ["new", rng.choice(sorted(surface()))],
        lambda: ["class", rng.choice(sorted(surface()))],
        lambda: _made(rng, rng.choice(["Limits", "MemoryType", "TableType", "FuncType"])),
    ])()  # fmt: skip


def draw_hostile(chooser: Chooser, parameter: Parameter, owner: str) -> Argument:
    rng = chooser.rng
    words = parameter.annotation
    base = rng.choice(["object", "object", next((b for b in LIARS if b in words), "int"), rng.choice(sorted(LIARS))])
    steps = chooser.nested(rng.randrange(3), owner)
    right = draw_right(chooser, parameter, owner)
    lie = rng.choice([right, ["value", rng.choice(EDGES)], ["value", "lie"], ["float", "1.5"]])
    return ["lie", base, right, lie, rng.random() < 0.2, steps]


def _text(*texts: str) -> Callable[[Chooser, str], Argument]:
    return lambda chooser, owner: ["value", chooser.rng.choice(texts)]


def _guest(chooser: Chooser, owner: str) -> Argument:
    form = chooser.rng.choice(["wasm"] * 6 + ["text", "truncated", "changed", "bytearray"])
    return ["guest", chooser.rng.choice(sorted(guests.TEXTS)), form, chooser.rng.randrange(1000)]


def _timeout(chooser: Chooser, owner: str) -> Argument:
    return ["float", chooser.rng.choice(["0.0", "0.001", "0.003", "1e-9", "-1.0"])]


def _host(chooser: Chooser, owner: str) -> Argument:
    kind = chooser.rng.choice(HOSTS)
    return ["host", kind, chooser.nested(chooser.rng.randrange(1, 3), owner) if kind in ("steps", "caller") else []]


def _path(chooser: Chooser, owner: str) -> Argument:
    return ["path", chooser.rng.choice(PATHS), chooser.rng.random() < 0.2]


def _list_of(draw: Callable[[Chooser, str], Argument]) -> Callable[[Chooser, str], Argument]:
    return lambda chooser, owner: ["list", [draw(chooser, owner) for _ in range(chooser.rng.randrange(4))]]


def _reference(*kinds: str) -> Callable[[Chooser, str], Argument]:
    def find(chooser: Chooser, owner: str) -> Argument:
        found = chooser.world.choose(chooser.rng, kinds, owner)
        return ["value", None] if found is None else ["ref", found.label]

    return find


def _some_value(chooser: Chooser, owner: str) -> Argument:
    return draw_value(chooser, chooser.rng.choice(TYPES), owner)


def _index(chooser: Chooser, owner: str) -> Argument:
    rng = chooser.rng
    return rng.choice([
        ["value", rng.randrange(5)], ["value", rng.randrange(-5, 70000)], ["value", rng.choice(["memory", "add", "functions", "missing"])],
        ["slice", rng.randrange(100), rng.randrange(200), rng.choice([None, 1, 2, -1])],
    ])  # fmt: skip


_names: Final = _text("host", "note", "memory", "functions", "g64", "add", "missing", "fd_write", "")
_BY_NAME: Final[dict[str, Callable[[Chooser, str], Argument]]] = {
    "wasm": _guest,
    "source": _guest,
    "wat": lambda chooser, owner: ["guest", chooser.rng.choice(["pure", "memory", "empty"]), "text", 0],
    "encoded": lambda chooser, owner: chooser.rng.choice(
        [_reference("bytearray")(chooser, owner), ["guest", "pure", "artifact", 0]]
    ),
    "timeout": _timeout,
    "imports": lambda chooser, owner: (
        ["imports"]
        if chooser.rng.random() < 0.5
        else _list_of(_reference("Func", "Memory", "Table", "Global"))(chooser, owner)
    ),
    "module": _text("", "", "shared", "missing"),
    "name": _names,
    "guest_path": _text("/guest", "/", ".", "a/b", ""),
    "val": _some_value,
    "value": _some_value,
    "init": _some_value,
    "other": lambda chooser, owner: chooser.any_thing(),
    "index": _index,
    "key": _names,
    "data": lambda chooser, owner: ["bytes", chooser.rng.choice(["", "01", "68656c6c6f", "00" * 100])],
    "argv": _list_of(_text("program", "a", "é")),
    "env": lambda chooser, owner: ["list", [["list", [["value", "NAME"], ["value", "x"]]]]],
    "pairs": lambda chooser, owner: ["list", [["list", [["value", "NAME"], ["value", "x"]]]]],
    "names": _list_of(_text("lea", "missing")),
    "path": _path,
    "code": lambda chooser, owner: ["value", chooser.rng.choice([0x7F, 0x7E, 0x7D, 0x7C, 0x70, 0x6F, 0, 99])],
}
_BY_WORD: Final[dict[str, Callable[[Chooser, str], Argument]]] = {
    "None": lambda chooser, owner: ["value", None],
    "bool": lambda chooser, owner: ["value", chooser.rng.random() < 0.5],
    "float": lambda chooser, owner: draw_number(chooser.rng, "f64"),
    "str": lambda chooser, owner: ["value", chooser.rng.choice(STRINGS)],
    "bytes": lambda chooser, owner: ["bytes", chooser.rng.choice(["", "01", "68656c6c6f"])],
    "bytearray": lambda chooser, owner: ["buffer", "none"],
    "memoryview": lambda chooser, owner: ["buffer", chooser.rng.choice(sorted(BUFFERS))],
    "Iterable": _list_of(lambda chooser, owner: ["value", chooser.rng.randrange(256)]),
    "Callable": _host,
    "Sink": _host,
    "Path": _path,
    "PathLike": _path,
    "Any": lambda chooser, owner: chooser.rng.choice([_some_value(chooser, owner), chooser.any_thing()]),
    "object": lambda chooser, owner: chooser.rng.choice([_some_value(chooser, owner), chooser.any_thing()]),
    "Sequence": lambda chooser, owner: ["types", " ".join(chooser.rng.choices(TYPES, k=chooser.rng.randrange(3)))],
    "Mapping": lambda chooser, owner: ["imports"],
}  # fmt: skip


# --- From data to objects -------------------------------------------------------------------------------------------------


def _types(text: str) -> list[ValType]:
    return [getattr(ValType, name)() for name in text.split()]


def make(execution: Execution, argument: Argument) -> Any:
    """The object. KeyError if it refers to one that was not made."""
    what, *rest = argument
    if what == "ref":
        return execution.world.find(rest[0])
    if what in ("list", "tuple"):
        return [make(execution, item) for item in rest[0]]
    if what == "lie":
        base, value, lie, raises, steps = rest
        told = execution.nested(steps) if steps else None
        return make_liar(base, make(execution, value), make(execution, lie), told, raises)
    if what == "host":
        return execution.host_function(rest[0], rest[1])
    if what == "guest":
        return execution.guest(*rest)
    if what == "path":
        path = execution.world.directory / rest[0] if rest[0] else execution.world.directory / "wasm"
        return bytes(path) if rest[1] else str(path)
    if what == "fd":
        return execution.world.sacrificed
    if what == "imports":
        return {"": {"host": lambda x: x, "note": lambda *args: None}}
    if what == "new":
        cls = surface()[rest[0]]
        return cls.__new__(cls)
    return _SIMPLE[what](*rest)


_SIMPLE: Final[dict[str, Callable[..., Any]]] = {
    "value": lambda value: value,
    "float": float,
    "complex": lambda: 1 + 2j,
    "object": object,
    "bytes": bytes.fromhex,
    "slice": slice,
    "buffer": lambda name: BUFFERS[name](),
    "class": lambda name: surface()[name],
    "types": _types,
    "valtype": lambda name: _types(name)[0],
    "functype": lambda params, results: FuncType(_types(params), _types(results)),
    "globaltype": lambda name, mutable: GlobalType(_types(name)[0], mutable),
    "limits": Limits,
    "memorytype": lambda least, most, shared: MemoryType(
        Limits(least, most if not shared else most or 4), shared=shared
    ),
    "tabletype": lambda name, least, most: TableType(_types(name)[0], Limits(least, most)),
    "tagtype": lambda params: TagType(FuncType(_types(params), [])),
}
