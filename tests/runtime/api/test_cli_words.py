"""The command line: what is the program's, whose names are shown, and what is no module."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from brolga import wat2wasm
from brolga.runtime.cli import main

_WASI = "wasi_snapshot_preview1"
_ECHO = f"""(module
    (import "{_WASI}" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "{_WASI}" "args_sizes_get" (func $args_sizes (param i32 i32) (result i32)))
    (import "{_WASI}" "args_get" (func $args (param i32 i32) (result i32)))
    (import "{_WASI}" "environ_sizes_get" (func $env_sizes (param i32 i32) (result i32)))
    (import "{_WASI}" "environ_get" (func $env (param i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func $print (param i32)
        (i32.store (i32.const 0) (i32.const 1000)) (i32.store (i32.const 4) (local.get 0))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
    (func (export "_start")
        (drop (call $args_sizes (i32.const 16) (i32.const 20)))
        (drop (call $args (i32.const 100) (i32.const 1000)))
        (call $print (i32.load (i32.const 20)))
        (drop (call $env_sizes (i32.const 16) (i32.const 20)))
        (drop (call $env (i32.const 100) (i32.const 1000)))
        (call $print (i32.load (i32.const 20)))))"""


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache-home"))


@pytest.fixture
def echo(tmp_path: Path) -> str:
    path = tmp_path / "p.wasm"
    path.write_bytes(wat2wasm(_ECHO))
    return str(path)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], []),
        ([], ["--", "a"]),
        ([], ["a", "--", "b"]),
        ([], ["--env", "X=1", "-W", "fuel=5", "--help"]),
        ([], ["--dir"]),
        (["--argv0", "p.wasm"], ["--argv0", "x"]),
        (["--argv0=p.wasm", "-Wbulk-memory", "-W", "fuel=100000"], ["a"]),
        (["-O", "opt-level=0", "--platform", "minimal", "--eager"], ["-", "--"]),
        (["--"], ["a", "--", "b"]),
    ],
)
def test_what_follows_the_file_is_the_programs(
    echo: str, before: list[str], after: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *before, echo, *after]) == 0
    assert capfd.readouterr().out.split("\0")[:-1] == ["p.wasm", *after]


def test_variables_that_are_not_set_are_left_out(
    echo: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BROLGA_TEST_SET", "")
    monkeypatch.delenv("BROLGA_TEST_UNSET", raising=False)
    words = ["--env", "BROLGA_TEST_SET", "--env", "BROLGA_TEST_UNSET", "--env", "A=", "--env", "B=c=d"]
    assert main(["run", *words, echo]) == 0
    assert capfd.readouterr().out.split("\0")[1:-1] == ["BROLGA_TEST_SET=", "A=", "B=c=d"]


def test_errors_in_texts_name_the_file_and_keep_their_lines(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "wrong.wat"
    path.write_text("(module\n  (func i32.cnst))\n")
    for command in (["run"], ["compile"], ["objdump"]):
        assert main([*command, str(path)]) == 1
        lines = capfd.readouterr().err.splitlines()
        assert any(line.endswith(f"{path}:2:9") for line in lines), lines
        assert any(line.strip("| ") == "^" for line in lines), lines


@pytest.mark.parametrize("command", ["run", "compile", "objdump"])
@pytest.mark.parametrize("file", ["/", ".", "", "no\x1bsuch"])
def test_what_is_no_file(command: str, file: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([command, file]) == 1
    error = capfd.readouterr().err
    assert error.startswith("Error: ") and error.count("\n") == 1 and "\x1b" not in error


def test_a_directory_whose_name_is_no_text(echo: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    name = os.fsdecode(os.path.join(os.fsencode(tmp_path), b"\xff"))
    os.mkdir(name)
    assert main(["run", "--dir", name, echo]) == 1
    error = capfd.readouterr().err
    assert error.startswith("Error: ") and error.count("\n") == 1


def test_objdump_of_compiled_code_and_of_standard_input(
    echo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    compiled = str(tmp_path / "p.bwasm")
    assert main(["compile", "-o", compiled, echo]) == 0
    assert main(["objdump", compiled]) == 1
    assert "is compiled code" in capfd.readouterr().err
    with open(echo, "rb") as file:
        monkeypatch.setattr("sys.stdin", _Text(file))
        assert main(["objdump", "--func", "5", "-"]) == 0
    assert "func 5" in capfd.readouterr().out


class _Text:
    def __init__(self, buffer: object) -> None:
        self.buffer = buffer


def test_names_do_not_reach_the_terminal_as_they_are(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    name = r"\1b[31m\0aEVIL\e2\80\ae"
    path = tmp_path / "names.wat"
    path.write_text(
        rf'''(module $"{name}" (import "{name}" "{name}" (func))
            (func $"{name}" (export "trap") unreachable) (func (export "{name}")))'''
    )
    alone = tmp_path / "alone.wat"
    alone.write_text(rf'(module $"{name}" (func $"{name}" (export "trap") unreachable))')
    for words in (
        ["run", "--invoke", "trap", str(alone)],
        ["run", "--profile", "--invoke", "trap", str(alone)],
        ["run", str(path)],
        ["objdump", str(path)],
        ["objdump", "--func", "\x1b[31m", str(path)],
        ["run", "--invoke", "\x1b[31m", str(alone)],
    ):
        main(words)
        shown = capfd.readouterr()
        for text in (shown.out, shown.err):
            assert "\x1b" not in text and "\u202e" not in text and "\nEVIL" not in text, words
