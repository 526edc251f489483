"""The runner of test suite scripts: what it counts as passed, failed and skipped."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from brolga import Config
from brolga.runtime.wast import ScriptResult, run_script


def _run(tmp_path: Path, text: str, skip_unsupported: bool = False) -> ScriptResult:
    path = tmp_path / "script.wast"
    path.write_text(text)
    return run_script(str(path), Config(), skip_unsupported)


_PASSING = """
(module $a (memory 1) (global $g (export "g") (mut i32) (i32.const 7))
    (func (export "id") (param i32 i64 f32 f64) (result i32 i64 f32 f64)
        local.get 0 local.get 1 local.get 2 local.get 3)
    (func (export "nan") (result f32 f64 f64) f32.const nan f64.const -nan f64.const nan:0xc000000000000)
    (func (export "div") (param i32) (result i32) i32.const 1 local.get 0 i32.div_s)
    (func $deep (export "deep") call $deep)
    (func (export "extern") (param externref) (result externref) local.get 0)
    (func (export "func") (result funcref) ref.func $deep)
    (func (export "null") (result funcref) ref.null func))
(assert_return (invoke "id" (i32.const -1) (i64.const -2) (f32.const -0.5) (f64.const 1e300))
    (i32.const 0xffffffff) (i64.const -2) (f32.const -0.5) (f64.const 1e300))
(assert_return (invoke "nan") (f32.const nan:canonical) (f64.const nan:canonical) (f64.const nan:arithmetic))
(assert_return (invoke "extern" (ref.extern 5)) (ref.extern 5))
(assert_return (invoke "extern" (ref.null extern)) (ref.null extern))
(assert_return (invoke "func") (ref.func))
(assert_return (invoke "null") (ref.null func))
(assert_return (get "g") (i32.const 7))
(assert_return (invoke $a "div" (i32.const 1)) (either (i32.const 5) (i32.const 1)))
(invoke "div" (i32.const 1))
(assert_trap (invoke "div" (i32.const 0)) "integer divide by zero")
(assert_exhaustion (invoke "deep") "call stack exhausted")
(register "a" $a)
(module (import "a" "g" (global (mut i32))) (import "spectest" "print_i32" (func (param i32)))
    (import "spectest" "memory" (memory 1 2)) (import "spectest" "table" (table 10 20 funcref))
    (import "spectest" "global_f64" (global f64)))
(assert_unlinkable (module (import "a" "nothing" (func))) "unknown import")
(assert_unlinkable (module (import "a" "g" (func))) "incompatible import type")
(assert_trap (module (func $s unreachable) (start $s)) "unreachable")
(assert_invalid (module (func (result i32))) "type mismatch")
(assert_malformed (module binary "\\00asm\\02\\00\\00\\00") "unknown binary version")
(assert_malformed (module quote "(func (nonsense))") "unknown operator")
(module definition $d (global (export "n") i32 (i32.const 3)))
(module instance $i $d)
(assert_return (get $i "n") (i32.const 3))
"""


def test_everything_that_should_pass(tmp_path: Path) -> None:
    result = _run(tmp_path, _PASSING)
    assert result.failures == []
    assert (result.passed, result.failed, result.skipped, result.judged_by_tools) == (23, 0, 0, 1)


_MODULE = """(module (func (export "f") (result i32) i32.const 1) (func (export "x") (result f32) f32.const nan:0x200001)
    (func (export "t") unreachable) (func (export "e") (param externref) (result externref) local.get 0)) """


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ('(assert_return (invoke "f") (i32.const 2))', "i32 0x1, expected i32 0x2"),
        ('(assert_return (invoke "f") (i64.const 1))', "expected i64 0x1"),
        ('(assert_return (invoke "f"))', "1 results, expected 0"),
        ('(assert_return (invoke "f") (either (i32.const 2) (i32.const 3)))', "i32 0x2 or i32 0x3"),
        ('(assert_return (invoke "x") (f32.const nan:canonical))', "expected f32 nan:canonical"),
        ('(assert_return (invoke "x") (f32.const nan:arithmetic))', "expected f32 nan:arithmetic"),
        ('(assert_return (invoke "e" (ref.extern 1)) (ref.extern 2))', "expected externref 2"),
        ('(assert_return (invoke "e" (ref.extern 1)) (ref.null extern))', "expected"),
        ('(assert_return (invoke "e" (ref.null extern)) (ref.extern 1))', "expected externref 1"),
        ('(assert_return (invoke "t"))', "Trap"),
        ('(assert_trap (invoke "f") "unreachable")', "no trap, expected 'unreachable'"),
        ('(assert_trap (invoke "t") "integer overflow")', "'unreachable', expected 'integer overflow'"),
        ('(assert_exhaustion (invoke "t") "unreachable")', "trap 'unreachable'"),
        ('(invoke "nothing")', "no export 'nothing'"),
        ('(invoke $nobody "f")', "no module"),
        ("(assert_invalid (module (func)) \"type mismatch\")", "accepted, expected 'type mismatch'"),
        ('(assert_invalid (module (func (result i32))) "unknown label")', "expected 'unknown label'"),
        ('(assert_malformed (module binary "\\00asm\\01\\00\\00\\00") "length out of bounds")', "accepted"),
        ('(assert_malformed (module quote "(func)") "unknown operator")', "wasm-tools accepts the text"),
        ('(assert_malformed (module binary "\\00asm\\01\\00\\00\\00\\0a\\04\\01\\02\\00\\0b") "x")', "expected 'x'"),
        ("(assert_unlinkable (module) \"unknown import\")", "linked, expected 'unknown import'"),
        ('(module (func (result i32)))', "ValidationError: type mismatch"),
        ('(module (import "spectest" "nothing" (func)))', "LinkError: unknown import"),
    ],
)  # fmt: skip
def test_everything_that_should_fail(tmp_path: Path, command: str, message: str) -> None:
    result = _run(tmp_path, _MODULE + "\n\n\n" + command)
    assert (result.passed, result.failed) == (1, 1)
    line, text = result.failures[0]
    assert line == 5 and message in text


def test_unsupported_features(tmp_path: Path) -> None:
    text = (
        _MODULE + '(module (func (export "v") (param v128)))\n(assert_return (invoke "v" (v128.const i32x4 0 0 0 0)))'
    )
    result = _run(tmp_path, text)
    assert (result.passed, result.failed, result.skipped) == (1, 2, 0)
    assert "UnsupportedError" in result.failures[0][1]
    result = _run(tmp_path, text, skip_unsupported=True)
    assert (result.passed, result.failed, result.skipped) == (0, 0, 3)
    assert "SIMD" in result.unsupported and "SIMD" in result.summary()


def test_wrong_scripts(tmp_path: Path) -> None:
    result = _run(tmp_path, "(nonsense)")
    assert (result.passed, result.failed) == (0, 1) and "script.wast" in result.failures[0][1]


def test_command_line(tmp_path: Path) -> None:
    (tmp_path / "good.wast").write_text(_PASSING)
    (tmp_path / "bad.wast").write_text(_MODULE + '(assert_return (invoke "f") (i32.const 2))')
    (tmp_path / "simd.wast").write_text("(module (func (param v128)))")

    def run(*args: str) -> tuple[int, list[str], str]:
        command = [sys.executable, "-m", "brolga", "wast", *args]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False)
        return done.returncode, done.stdout.splitlines(), done.stderr

    for options in ([], ["--jobs", "2", "--platform", "minimal", "--eager"]):
        status, lines, errors = run(*options, "good.wast", "good.wast")
        assert (status, errors) == (0, "")
        assert lines == [
            *["good.wast: 23 passed, 0 failed, 0 skipped (1 texts judged by wasm-tools)"] * 2,
            "2 malformed texts were judged by wasm-tools",
            "46 passed, 0 failed, 0 skipped",
        ]
    status, lines, errors = run("bad.wast", "simd.wast", "good.wast")
    assert (status, lines[-1]) == (1, "24 passed, 2 failed, 0 skipped")
    assert "bad.wast:2: assert_return: i32 0x1, expected i32 0x2" in errors
    status, lines, errors = run("--skip-unsupported", "simd.wast", "good.wast")
    assert (status, lines[-1], errors) == (0, "23 passed, 0 failed, 1 skipped", "")
