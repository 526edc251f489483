"""C programs, built for WASI (tests/data/wasi), give the same output on Brolga and on PyPI `wasmtime`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import brolga

DATA = Path(__file__).resolve().parent.parent.parent / "data" / "wasi"


def _run(
    api: Any, engine: Any, program: str, root: Path, args: list[str], stdin: bytes = b""
) -> tuple[int, bytes, bytes]:
    """Exit status, standard output and error."""
    root.mkdir()
    (root / "stdin").write_bytes(stdin)
    (root / "work").mkdir()
    store = api.Store(engine)
    config = api.WasiConfig()
    config.argv = [program, *args]
    config.env = [("HOME", "/home"), ("LANG", "C")]
    config.stdin_file = str(root / "stdin")
    config.stdout_file = str(root / "stdout")
    config.stderr_file = str(root / "stderr")
    config.preopen_dir(str(root / "work"), "/guest")
    store.set_wasi(config)
    linker = api.Linker(engine)
    linker.define_wasi()
    instance = linker.instantiate(store, api.Module.from_file(engine, str(DATA / f"{program}.wasm")))
    try:
        instance.exports(store)["_start"](store)
        status = 0
    except api.ExitTrap as exit:
        status = exit.code
    return status, (root / "stdout").read_bytes(), (root / "stderr").read_bytes()


@pytest.mark.parametrize("platform", ["linux", "minimal"])
@pytest.mark.parametrize(
    ("program", "args", "stdin", "status"),
    [
        ("files", ["/guest"], b"", 0),
        ("directories", ["/guest"], b"", 0),
        ("process", ["7", "zwei ü", ""], bytes(range(256)) * 8000, 7),
        ("process", [], b"", 0),
    ],
)
def test_same_output(platform: str, program: str, args: list[str], stdin: bytes, status: int, tmp_path: Path) -> None:
    config = brolga.Config()
    config.platform = platform
    ours = _run(brolga, brolga.Engine(config), program, tmp_path / "ours", args, stdin)
    assert ours[0] == status
    assert ours[1], "the program says something"
    wasmtime = pytest.importorskip("wasmtime")
    theirs = _run(wasmtime, wasmtime.Engine(), program, tmp_path / "theirs", args, stdin)
    assert ours[1].decode().splitlines() == theirs[1].decode().splitlines()
    assert ours == theirs
