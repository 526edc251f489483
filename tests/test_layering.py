"""The packages import each other in one direction only (docs/architecture.md), checked on their syntax trees."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parent.parent
MAY_IMPORT: Final = {
    "ir": frozenset[str](),
    "regalloc": frozenset[str](),
    "jit": frozenset({"ir", "regalloc"}),
    "runtime": frozenset({"jit", "ir"}),
}
STANDARD_LIBRARY_ONLY: Final = frozenset({"ir", "regalloc"})
NO_LOCAL_IMPORTS: Final = frozenset({"ir", "regalloc", "jit"})  # compiled by mypyc; a cycle shows at import


def _resolve(node: ast.ImportFrom, path: tuple[str, ...]) -> str:
    """The absolute name of the module that `node`, in the module brolga.<path>, imports from."""
    if node.level == 0:
        return node.module or ""
    package = ("brolga", *path)[: -node.level]
    return ".".join(package + ((node.module,) if node.module else ()))


def _imported_names(tree: ast.Module, path: tuple[str, ...]) -> list[tuple[int, bool, str]]:
    """(line, whether the import is relative, absolute module name) of every import of the module brolga.<path>."""
    names: list[tuple[int, bool, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [(node.lineno, False, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = _resolve(node, path)
            if module == "brolga":  # `from brolga import jit`: the names are the modules
                names += [(node.lineno, node.level > 0, f"brolga.{alias.name}") for alias in node.names]
            else:
                names.append((node.lineno, node.level > 0, module))
    return names


def violations(source: str, path: tuple[str, ...]) -> list[str]:
    """What breaks the rules in the text of module brolga.<path>, as 'line: message'."""
    tree = ast.parse(source)
    package = path[0]
    found: list[str] = []
    for line, relative, name in _imported_names(tree, path):
        first, *rest = name.split(".")
        if first in MAY_IMPORT:
            found.append(f"{line}: imports {name} from the root, write brolga.{name}")
        elif first != "brolga":
            if package in STANDARD_LIBRARY_ONLY and first not in sys.stdlib_module_names:
                found.append(f"{line}: {package} uses the standard library only, not {first}")
        elif not rest or rest[0] not in MAY_IMPORT:
            found.append(f"{line}: imports {name}, which is above it")
        elif rest[0] == package and not relative:
            found.append(f"{line}: imports {name} of its own package, write it relative")
        elif rest[0] != package and relative:
            found.append(f"{line}: imports {name} of another package, write it absolute")
        elif rest[0] != package and rest[0] not in MAY_IMPORT[package]:
            found.append(f"{line}: {package} must not import {rest[0]}")
    if package in NO_LOCAL_IMPORTS:
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for node in ast.walk(function):
                    if isinstance(node, ast.Import | ast.ImportFrom):
                        found.append(f"{node.lineno}: import inside function {function.name}")
    return found


def _modules() -> list[Path]:
    return sorted(file.relative_to(ROOT) for package in MAY_IMPORT for file in (ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("file", _modules(), ids=str)
def test_imports_follow_the_architecture(file: Path) -> None:
    parts = file.with_suffix("").parts
    assert violations((ROOT / file).read_text(), parts) == []


def test_all_packages_are_walked() -> None:
    assert {file.parts[0] for file in _modules()} == set(MAY_IMPORT)


@pytest.mark.parametrize(
    ("source", "path", "message"),
    [
        ("from brolga.ir.function import Function", ("jit", "compile"), ""),
        ("from ..function import Function", ("ir", "passes", "gvn"), ""),
        ("from .opcodes import IADD", ("ir", "function"), ""),
        ("from brolga.jit.code import Relocation", ("runtime", "code"), ""),
        ("import ctypes\nimport os.path", ("regalloc", "spill"), ""),
        ("from brolga.ir.function import Function", ("regalloc", "spill"), "regalloc must not import ir"),
        ("import brolga.jit.code", ("ir", "function"), "ir must not import jit"),
        ("from brolga import jit", ("ir", "function"), "ir must not import jit"),
        ("from brolga.runtime.store import Store", ("jit", "x64", "emit"), "jit must not import runtime"),
        ("from brolga.regalloc.operand import PReg", ("runtime", "code"), "runtime must not import regalloc"),
        ("from ...jit.code import Relocation", ("ir", "passes", "gvn"), "write it absolute"),
        ("from .. import jit", ("ir", "function"), "write it absolute"),
        ("from brolga.ir.types import I32", ("ir", "function"), "write it relative"),
        ("import ir", ("jit", "compile"), "from the root"),
        ("from ir.types import I32", ("jit", "compile"), "from the root"),
        ("from brolga import Engine", ("runtime", "cli"), "which is above it"),
        ("import numpy", ("ir", "function"), "standard library only"),
        ("def f():\n    from .types import I32", ("ir", "function"), "import inside function f"),
        ("class C:\n    def f(self):\n        import os", ("jit", "compile"), "import inside function f"),
    ],
)
def test_the_check_itself(source: str, path: tuple[str, ...], message: str) -> None:
    found = violations(source, path)
    if message:
        assert len(found) == 1 and message in found[0]
    else:
        assert found == []
