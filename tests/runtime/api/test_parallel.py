"""Compilation on all cores: the same code as on one, whatever happens to those who help."""

from __future__ import annotations

import itertools
import subprocess
from typing import Any, Final

import pytest

from brolga import Config, Engine, LimitError, Module, WasmtimeError
from brolga.jit.code import CompiledFunction
from brolga.jit.settings import Settings
from brolga.jit.wasm.decode import decode
from brolga.jit.wasm.validate import validate
from brolga.runtime import parallel
from brolga.runtime.compilation import Compilation
from brolga.runtime.parallel import compile_functions
from brolga.runtime.text import wat2wasm

COUNT: Final = 60


def _text() -> str:
    functions: list[str] = []
    for number in range(COUNT):
        lines = [
            f"local.get 0 i32.const {number + k} i32.mul call {(number + k) % COUNT} i32.load offset={k} local.set 0"
            for k in range(number % 17)
        ]
        lines.append(f"ref.func {number} ref.is_null drop")
        functions.append(f"(func (param i32) (result i32) {' '.join(lines)} local.get 0 i32.const 10 i32.div_u)")
    referred = " ".join(str(number) for number in range(COUNT))
    return f"(module (memory 1) {' '.join(functions)} (elem declare func {referred}))"


@pytest.fixture
def compilation(monkeypatch: pytest.MonkeyPatch) -> Compilation:
    monkeypatch.setattr(parallel, "SMALLEST_SHARE", 64)
    module = decode(bytes(wat2wasm(_text())))
    validate(module)
    return Compilation(module, Engine().settings)


def _attributes(record: object) -> list[str]:
    """Names of the fields of an object; a compiled class has no `__slots__`."""
    return [name for name in dir(record) if not name.startswith("_") and not callable(getattr(record, name))]


def _everything(functions: list[CompiledFunction]) -> list[tuple[object, ...]]:
    """All fields but the call distances within the code, which are written when the code is placed."""
    result: list[tuple[object, ...]] = []
    for function in functions:
        code = bytearray(function.code)
        for relocation in function.relocations:
            code[relocation.offset : relocation.offset + 4] = bytes(4)
        names = [name for name in _attributes(function) if name not in ("code", "relocations")]
        fields: list[Any] = [bytes(code), *(getattr(function, name) for name in names)]
        fields += [(r.offset, r.kind, r.target, r.addend) for r in function.relocations]
        result.append(tuple(fields))
    return result


def _alone(compilation: Compilation) -> list[tuple[object, ...]]:
    return _everything(compile_functions(compilation, list(range(COUNT)), processes=1))


def test_the_same_code(compilation: Compilation) -> None:
    counts: list[int] = []
    helped = compile_functions(compilation, list(range(COUNT)), counts.append, processes=3)
    assert _everything(helped) == _alone(compilation)
    assert [function.index for function in helped] == list(range(COUNT))
    assert sum(counts) == COUNT


def test_helpers_do_compile(compilation: Compilation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who never gets to a share itself has all of them compiled by helpers."""
    monkeypatch.setattr(Compilation, "compile", lambda self, func: pytest.fail("compiled here"))
    kept = parallel._share_out

    class Shares(parallel.deque[list[int]]):
        def pop(self) -> list[int]:  # type: ignore[override]
            raise IndexError

    monkeypatch.setattr(parallel, "_share_out", lambda sizes, least: Shares(kept(sizes, least)))
    helped = compile_functions(compilation, list(range(COUNT)), processes=2)
    assert [function.index for function in helped] == list(range(COUNT))


@pytest.mark.parametrize(
    "program",
    [
        "import sys; sys.exit(1)",
        "import os; os.write(1, bytes(100)); os.read(0, 1)",
        "import os; os.write(1, b'\\x04\\0\\0\\0nope'); os.read(0, 1)",
        # Gets its first share and goes.
        "import sys; from brolga.runtime.parallel import _receive; [_receive(sys.stdin.buffer) for _ in range(4)]",
        "raise SystemError",
        "import os; os.close(0); os.close(1)",
    ],
)
def test_helpers_that_fail(compilation: Compilation, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(parallel, "_START", program.replace("{", "{{").replace("}", "}}"))
    assert _everything(compile_functions(compilation, list(range(COUNT)), processes=3)) == _alone(compilation)


def test_no_more_processes(compilation: Compilation, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert _everything(compile_functions(compilation, list(range(COUNT)), processes=3)) == _alone(compilation)


def test_errors_are_those_of_this_process(compilation: Compilation, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Compilation, func: int) -> CompiledFunction:
        raise LimitError("too large")

    monkeypatch.setattr(Compilation, "compile", fail)
    with pytest.raises(LimitError, match="too large"):
        compile_functions(compilation, list(range(COUNT)), processes=3)


def test_interruption_ends_the_helpers(compilation: Compilation, monkeypatch: pytest.MonkeyPatch) -> None:
    helpers: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def start(*arguments: Any, **named: Any) -> subprocess.Popen[bytes]:
        helpers.append(popen(*arguments, **named))
        return helpers[-1]

    def interrupt(self: Compilation, func: int) -> CompiledFunction:
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setattr(Compilation, "compile", interrupt)
    with pytest.raises(KeyboardInterrupt):
        compile_functions(compilation, list(range(COUNT)), processes=3)
    assert len(helpers) == 2
    for helper in helpers:
        helper.wait(timeout=60)


def test_who_is_asked_to_help(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody for small modules, nor where the configuration says so."""

    def refuse(*arguments: object, **named: object) -> None:
        pytest.fail("a process was started")

    data = bytes(wat2wasm(_text()))
    monkeypatch.setattr(subprocess, "Popen", refuse)
    config = Config()
    config.eager = True
    Module(Engine(config), data)
    monkeypatch.setattr(parallel, "WORTHWHILE", 0)
    config = Config()
    config.eager = True
    config.parallel_compilation = False
    Module(Engine(config), data).serialize()


def test_modules_compiled_as_a_whole_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "WORTHWHILE", 0)
    monkeypatch.setattr(parallel, "SMALLEST_SHARE", 64)
    monkeypatch.setattr(parallel.os, "sched_getaffinity", lambda pid: {0, 1, 2})
    images: list[bytes] = []
    for enabled in (True, False):
        config = Config()
        config.eager = enabled
        config.parallel_compilation = enabled
        images.append(bytes(Module(Engine(config), _text()).serialize()))
    assert images[0] == images[1]


def test_settings_as_text() -> None:
    for numbers in itertools.product((0, 1), repeat=8):
        base, bounds, signals, guard, poll, level, fuel, limit = numbers
        settings = Settings(
            base,
            bounds,
            bool(signals),
            bool(guard),
            bool(poll),
            level,
            frozenset({"avx", "fma"}),
            bool(fuel),
            bool(limit),
        )
        again = Settings.parse(settings.describe(), settings.describe_features())
        for name in _attributes(settings):
            assert getattr(again, name) == getattr(settings, name)
    for text in ("", settings.describe() + " more=1", settings.describe().replace("fuel", "fool"), "memory_base"):
        with pytest.raises(ValueError):
            Settings.parse(text, "")


def test_the_setting_is_a_bool() -> None:
    with pytest.raises((TypeError, WasmtimeError)):
        Config().parallel_compilation = 1  # type: ignore[assignment]
