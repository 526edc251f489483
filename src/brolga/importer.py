"""`import brolga.importer`: from then on `import foo` finds `foo.wasm` or `foo.wat` where it would find `foo.py`.

The exports are the module's attributes, as those of what `brolga.load` returns, which is the attribute `__wasm__`. What the file
imports comes from Python modules (or other wasm files) of that name. All live in one store.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from types import ModuleType
from typing import Any, Final

from brolga.runtime.module import Module
from brolga.runtime.store import Store
from brolga.runtime.wasi.functions import MODULE_NAME

SUFFIXES: Final = (".wasm", ".wat")

_stores: Final[list[Store]] = []  # at most one


class WasmLoader(Loader):
    def __init__(self, path: str) -> None:
        self._path = path

    def exec_module(self, module: ModuleType) -> None:
        from brolga.runtime.bound import bind_instance

        if not _stores:
            _stores.append(Store())
        store = _stores[0]
        wasm = Module.from_file(store.engine, self._path)
        names = {item.module for item in wasm.imports} - {MODULE_NAME}
        imports: dict[str, Any] = {name: import_module(name) for name in sorted(names)}
        instance = bind_instance(wasm, store, imports, None)
        for name in instance:
            setattr(module, name, instance[name])
        module.__dict__["__wasm__"] = instance


class WasmFinder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        name = fullname.rpartition(".")[2]
        for directory in sys.path if path is None else path:
            for suffix in SUFFIXES:
                file = os.path.join(directory or os.curdir, name + suffix)
                if os.path.isfile(file):
                    return spec_from_file_location(fullname, file, loader=WasmLoader(file))
        return None


sys.meta_path.append(WasmFinder())
