"""What is imported at start: neither the compiler nor what is slow to import, until something needs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from brolga import wat2wasm

# Modules of other packages that take milliseconds, or whose import loads shared libraries.
SLOW: Final = {
    *("asyncio", "capstone", "concurrent.futures", "dataclasses", "email", "importlib.metadata", "inspect", "json"),
    *("keystone", "logging", "multiprocessing", "numpy", "pickle", "rich", "socket", "subprocess", "tempfile"),
    *("tomllib", "tokenize", "urllib", "wasm_tools", "wasmtime", "zipfile"),
}
# Of ours, what the compiler has beyond the types that it shares with runtime.
COMPILER: Final = {
    *("ir.builder", "ir.rules", "ir.passes", "jit.compile", "jit.wasm.translate", "jit.wasm.translate_state", "jit.x64.lower"),
    *("jit.x64.emit", "jit.x64.insts", "regalloc.spill", "regalloc.color", "regalloc.liveness"),
}
HELLO: Final = r"""(module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\10\00\00\00\06\00\00\00") (data (i32.const 16) "hello\n")
    (func (export "_start") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 32)))))"""
_REPORT: Final = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
_RUN: Final = "from brolga.__main__ import main; sys.exit(main())"


def _imported(code: str, *arguments: str, environment: dict[str, str] | None = None) -> tuple[set[str], str]:
    """The modules that a process has imported in the end, and what it prints. (`-X importtime` does not show what compiled modules
    import of each other.)"""
    done = subprocess.run(
        [sys.executable, "-c", _REPORT + code, *arguments],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split()), done.stdout


def _compiler(modules: set[str]) -> set[str]:
    return {name for name in modules if name.removeprefix("brolga.") in COMPILER}


def test_import() -> None:
    before, _ = _imported("pass")
    modules, _ = _imported("import brolga")
    assert {"brolga", "brolga.runtime.machine"} <= modules
    assert not _compiler(modules)
    assert not (modules - before) & {*SLOW, "argparse", "pathlib"}


def test_second_run(tmp_path: Path) -> None:
    module = tmp_path / "hello.wasm"
    module.write_bytes(wat2wasm(HELLO))
    # Bytecode, and hand-written routines beside it, are kept too.
    bytecode = {"PYTHONPYCACHEPREFIX": str(tmp_path / "bytecode"), "PYTHONDONTWRITEBYTECODE": ""}
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache"), **bytecode}
    before, _ = _imported("pass")
    first, output = _imported(_RUN, "run", str(module), environment=cache)
    assert output == "hello\n"
    assert len(_compiler(first)) > len(COMPILER) // 2  # their names are right
    second, output = _imported(_RUN, "run", str(module), environment=cache)
    assert output == "hello\n"
    assert not _compiler(second)
    assert "keystone" in first
    assert not (second - before) & SLOW


def test_the_end_of_a_process_does_not_look_for_garbage(tmp_path: Path) -> None:
    module = tmp_path / "hello.wasm"
    module.write_bytes(wat2wasm(HELLO))
    code = "import gc, brolga.__main__ as it\nassert not gc.get_freeze_count()\nit.main()\nprint(len(gc.get_objects()) < 100)"
    _, output = _imported(code, "run", "-C", "cache=n", str(module))
    assert output == "hello\nTrue\n"
