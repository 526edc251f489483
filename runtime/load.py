"""`load`: from a file or bytes to an instance, in one call."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from brolga.ir.errors import ArgumentTypeError

from .arguments import instance_of
from .engine import Engine
from .module import Module
from .store import Store
from .wasi.context import WasiConfig

if TYPE_CHECKING:
    from .bound import BoundInstance


def load(
    source: str | os.PathLike[str] | bytes | bytearray,
    imports: Mapping[str, Any] | None = None,
    *,
    engine: Engine | None = None,
    store: Store | None = None,
    wasi: WasiConfig | None = None,
) -> BoundInstance:
    """Instantiate a module and return an object whose exports are attributes.

    `source`   path of a file, or bytes of a module: binary, or text (a `str` that begins with a parenthesis or a comment is text too)
    `imports`  by module name: mappings, or objects with attributes, of what is imported by name: Python functions, numbers
               for globals, exports of other instances (which must live in the same store, the default one then)
    `engine`, `store`  where it shall live, if not in a store of its own
    `wasi`     what a program for WASI sees; by default only standard output and error of this process
    """
    from .bound import (
        bind_instance,
        store_of_spaces,
    )  # makes a heap type in machine code, which those who do not call this need not wait for

    if imports is None:
        imports = {}
    elif not issubclass(type(imports), Mapping):
        raise ArgumentTypeError("expected a mapping of imports")
    if wasi is not None:
        instance_of(WasiConfig, wasi, "a WasiConfig")
    if store is not None:
        engine = instance_of(Store, store, "a Store")._store.engine
    elif engine is not None:
        engine = instance_of(Engine, engine, "an Engine")
    else:
        owner = store_of_spaces(imports)
        engine = Engine() if owner is None else owner.engine
    if issubclass(type(source), (bytes, bytearray)) or _is_text(source):
        module = Module(engine, cast("str | bytes", source))
    else:
        module = Module.from_file(engine, cast(str, source))
    return bind_instance(module, store, imports, wasi)


def _is_text(source: object) -> bool:
    """Whether this is the text of a module, and no path."""
    return issubclass(type(source), str) and cast(str, source).lstrip().startswith(("(", ";;"))
