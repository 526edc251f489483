"""What stands for memory and code of this process is not pickled and not copied with all that it holds: one TypeError says so."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import brolga
from brolga import (
    Caller,
    Engine,
    Func,
    FuncType,
    Instance,
    Linker,
    Module,
    Store,
    StoreContext,
    Tag,
    TagType,
    Val,
    WasiConfig,
)

_TEXT = """(module (memory (export "memory") 1) (table (export "table") 1 funcref) (global (export "global") i32 (i32.const 1))
  (func (export "function") (result i32) i32.const 3))"""


def _things(engine: Engine) -> dict[str, Any]:
    store, module = Store(engine), Module(engine, _TEXT)
    instance = Instance(store, module, [])
    exports = instance.exports(store)
    bound: Any = brolga.load(_TEXT, store=store)  # itself of a class that pickle does not find
    function = Func(store, FuncType([], []), print)
    things = (
        engine,
        store,
        instance,
        exports,
        function,
        Linker(engine),
        Linker(engine).instantiate_pre(module),
        StoreContext(store),
    )
    others = (Caller(store, None), Tag(store, TagType(FuncType([], []))), Val.funcref(function), WasiConfig())
    return {
        **{type(thing).__name__: thing for thing in (*things, *others)},
        **exports,
        **{f"bound {name}": bound[name] for name in bound},
    }


_NAMES = [*_things(Engine())]


@pytest.mark.parametrize("way", [copy.deepcopy, pickle.dumps], ids=["deepcopy", "pickle"])
@pytest.mark.parametrize("name", _NAMES)
def test_no_copies(name: str, way: Callable[[Any], object], engine: Engine) -> None:
    with pytest.raises(TypeError, match=r"cannot (copy or )?pickle"):
        way(_things(engine)[name])


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))])
@pytest.mark.parametrize(
    "thing", [brolga.Limits(1, 5), brolga.Limits(1, None), Val.i32(-7), Val.f64(0.5), Val.externref("x")]
)
def test_what_is_only_a_value_is_copied(thing: Any, way: Callable[[Any], Any]) -> None:
    assert way(thing) == thing and type(way(thing)) is type(thing)
