"""The command line, in processes of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FunctionType

import pytest

from brolga import __version__, wat2wasm
from brolga.jit.compile import compile_function

_WASI = "wasi_snapshot_preview1"


def _brolga(*args: str, cwd: Path | None = None, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "brolga", *args],
        capture_output=True,
        text=True,
        input=stdin,
        cwd=cwd,
        timeout=120,
        env={**os.environ, **env},
        check=False,
    )


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "module.wat"
    path.write_text(
        f"""(module $m
            (import "{_WASI}" "proc_exit" (func $exit (param i32)))
            (import "{_WASI}" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (import "{_WASI}" "args_get" (func $args (param i32 i32) (result i32)))
            (import "{_WASI}" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
            (import "{_WASI}" "environ_get" (func $env (param i32 i32) (result i32)))
            (import "{_WASI}" "environ_sizes_get" (func $env_sizes (param i32 i32) (result i32)))
            (memory (export "memory") 1)
            (func $print (param i32 i32)
                (i32.store (i32.const 0) (local.get 0)) (i32.store (i32.const 4) (local.get 1))
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
            (func (export "_start")
                (drop (call $sizes (i32.const 16) (i32.const 20)))
                (drop (call $args (i32.const 100) (i32.const 1000)))
                (call $print (i32.const 1000) (i32.load (i32.const 20)))
                (drop (call $env_sizes (i32.const 16) (i32.const 20)))
                (drop (call $env (i32.const 100) (i32.const 1000)))
                (call $print (i32.const 1000) (i32.load (i32.const 20)))
                (call $exit (i32.load (i32.const 16))))
            (func $fails (param i32) (if (local.get 0) (then unreachable)))
            (func (export "trap") (call $fails (i32.const 1)))
            (func (export "add") (param i32 i64 f32 f64) (result f64 i32)
                (f64.add (local.get 3) (f64.promote_f32 (local.get 2))) (i32.add (local.get 0) (i32.wrap_i64 (local.get 1))))
            (func (export "none"))
            (func (export "loop") (loop br 0)))"""
    )
    return path


def test_version() -> None:
    done = _brolga("--version")
    build = "interpreted" if isinstance(compile_function, FunctionType) else "compiled"
    assert (done.returncode, done.stdout) == (0, f"brolga {__version__} ({build})\n")


@pytest.mark.parametrize("platform", ["linux", "minimal"])
@pytest.mark.parametrize("eager", [False, True])
def test_commands(module: Path, platform: str, eager: bool) -> None:
    options = ["--platform", platform, *(["--eager"] if eager else [])]
    done = _brolga(
        "run", *options, "--env", "A=1", "--env", "PASSED_ON", str(module), "x", "--eager", "-h", PASSED_ON="on"
    )
    assert done.stdout == "module.wat\0x\0--eager\0-h\0A=1\0PASSED_ON=on\0"
    assert (done.returncode, done.stderr) == (2, "")


def test_binaries_by_content(module: Path, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(wat2wasm(module.read_text()))
    done = _brolga("run", "--invoke", "none", str(tmp_path / "binary"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_invoking(module: Path) -> None:
    done = _brolga("run", "--invoke", "add", str(module), "-5", "0x10", "0.5", "1e2")
    assert (done.returncode, done.stdout) == (0, "100.5\n11\n")
    for args, message in [
        (["add", "1"], "`add` takes 4 arguments, 1 are given"),
        (["add", "1", "x", "1", "1"], "not a value of type i64: x"),
        (["nothing"], "no function `nothing` is exported by"),
    ]:
        done = _brolga("run", "--invoke", args[0], str(module), *args[1:])
        assert done.returncode == 1 and done.stdout == ""
        assert done.stderr.startswith("Error: ") and message in done.stderr and done.stderr.count("\n") == 1


def test_traps(module: Path) -> None:
    done = _brolga("run", "--invoke", "trap", str(module))
    assert done.returncode == 134
    assert "m!fails" in done.stderr and "wasm trap: unreachable" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\0asm\2\0\0\0", "unknown binary version"),
        (b"(module (func (result i32)))", "type mismatch"),
        (b'(module (import "a" "b" (func)))', "unknown import: `a::b` has not been defined"),
        (b"(module (func (result v128) v128.const i32x4 0 0 0 0))", "SIMD"),
        (b"(module)", "exports no function `_start`"),
        (b"", "unexpected end"),
    ],
)
def test_errors_are_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "m").write_bytes(content)
    done = _brolga("run", "m", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ") and message in done.stderr and done.stderr.count("\n") == 1


def test_missing_files(tmp_path: Path) -> None:
    done = _brolga("run", "nothing.wasm", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "Error: nothing.wasm: No such file or directory\n")
    done = _brolga("run", "--dir", "nothing", "nothing.wasm", cwd=tmp_path)
    assert done.returncode == 1


def test_directories(tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    (tmp_path / "m.wat").write_text(
        f"""(module (import "{_WASI}" "path_create_directory" (func $mkdir (param i32 i32 i32) (result i32)))
            (import "{_WASI}" "fd_prestat_dir_name" (func $name (param i32 i32 i32) (result i32)))
            (import "{_WASI}" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1) (data (i32.const 100) "made") (data (i32.const 0) "\\c8\\00\\00\\00\\06\\00\\00\\00")
            (func (export "_start") (drop (call $mkdir (i32.const 3) (i32.const 100) (i32.const 4)))
                (drop (call $name (i32.const 3) (i32.const 200) (i32.const 6)))
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"""
    )
    done = _brolga("run", "--dir", "host::/guest", "m.wat", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "/guest")
    assert (tmp_path / "host" / "made").is_dir()


@pytest.mark.parametrize("platform", ["linux", "minimal"])
def test_control_c(tmp_path: Path, platform: str) -> None:
    """It says a word before it loops, so that the signal finds it running."""
    module = tmp_path / "loop.wat"
    module.write_text(
        f"""(module (import "{_WASI}" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1) (data (i32.const 0) "\\08\\00\\00\\00\\06\\00\\00\\00going\\0a")
            (func (export "_start") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20)))
                (loop $forever (br $forever))))"""
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "brolga", "run", "--platform", platform, str(module)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        if process.stdout.readline() != "going\n":
            pytest.fail(f"{process.communicate(timeout=30)[1]} status {process.returncode}")
        process.send_signal(signal.SIGINT)
        sent = time.monotonic()
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 130
        assert time.monotonic() - sent < 10
        assert "Traceback" not in errors
    finally:
        process.kill()
        process.wait()


def test_closed_output(module: Path) -> None:
    """`brolga run ... | head -0`"""
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run(
        [sys.executable, "-m", "brolga", "run", "--invoke", "add", str(module), "1", "1", "1", "1"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert process.returncode == 1 and "Traceback" not in process.stderr


def test_objdump(module: Path) -> None:
    done = _brolga("objdump", "--func", "add", str(module))
    assert done.returncode == 0
    heading = done.stdout.splitlines()[0]
    assert heading.startswith("func 10 wasm-function[10] [i32 i64 f32 f64] -> [f64 i32]: ")
    for expected in ("f64.promote_f32", "fpromote.f64", "cvtss2sd", "i32.wrap_i64", "ret"):
        assert expected in done.stdout
    assert _brolga("objdump", str(module)).stdout.count("\nfunc ") == 6
    assert "; func 6" in _brolga("objdump", "--func", "_start", str(module)).stdout
    done = _brolga("objdump", "--func", "nothing", str(module))
    assert (done.returncode, done.stderr) == (1, "Error: no function nothing\n")
    assert "fails" in _brolga("objdump", "--func", "fails", str(module)).stdout.splitlines()[0]


def test_objdump_shows_inlined_bodies(tmp_path: Path) -> None:
    file = tmp_path / "leaf.wat"
    file.write_text("""(module (func $leaf (param i32) (result i32) (block (result i32) (i32.mul (local.get 0) (local.get 0))))
        (func $user (param i32) (result i32) (if (result i32) (local.get 0) (then (call $leaf (local.get 0))) (else (i32.const 1)))))""")
    rows = _brolga("objdump", "--func", "user", str(file)).stdout.splitlines()
    (call,) = [place for place, row in enumerate(rows) if row.split()[1:3] == ["call", "0"]]
    assert [row.split()[1:4] for row in rows[call + 1 : call + 3]] == [
        ["|", "block", "(result"],
        ["|", "local.get", "0"],
    ]
    (product,) = [place for place, row in enumerate(rows) if "i32.mul" in row]
    assert re.search(r"^ +[0-9a-f]+ +\|   i32.mul .* imul edi, edi", rows[product])
    assert "imul.i32 v0, v0" in "".join(rows[product : product + 2])
    assert rows[call].split()[1:] == ["call", "0"]
    assert "|" not in _brolga("objdump", "--func", "leaf", str(file)).stdout


def test_usage() -> None:
    for args in ([], ["nothing"], ["run"], ["run", "--platform", "windows", "x"]):
        done = _brolga(*args)
        assert done.returncode == 2 and done.stderr.startswith("usage: ")
