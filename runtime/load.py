"""`load`: from a file or bytes to an instance, in one call."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

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

    `source`   path of a file, or bytes of a module: binary, or text (a `str` that begins with a parenthesis is text too)
    `imports`  by module name: mappings, or objects with attributes, of what is imported by name: Python functions, numbers
               for globals, exports of other instances (which must live in the same store, the default one then)
    `engine`, `store`  where it shall live, if not in a store of its own
    `wasi`     what a program for WASI sees; by default only standard output and error of this process
    """
    from .bound import (
        bind_instance,
    )  # makes a heap type in machine code, which those who do not call this need not wait for

    if store is not None:
        engine = store.engine
    elif engine is None:
        spaces = [space for space in (imports or {}).values() if hasattr(space, "_owner")]
        engine = spaces[0]._owner.engine if spaces else Engine()
    if isinstance(source, (bytes, bytearray)) or (isinstance(source, str) and source.lstrip().startswith("(")):
        module = Module(engine, source)
    else:
        module = Module.from_file(engine, source)
    return bind_instance(module, store, imports or {}, wasi)
