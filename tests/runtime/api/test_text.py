"""Modules as text and as bytes: what counts is what is in the object."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any, SupportsIndex

import pytest

from brolga import Engine, Instance, Module, Store, wat2wasm

_SIX = '(module (func (export "six") (result i32) i32.const 6))'


class LyingBytes(bytes):
    """Bytes whose methods say something else."""

    def __len__(self) -> int:
        return 1 << 30

    def __getitem__(self, index: object) -> Any:
        return b"\0" if isinstance(index, slice) else 0

    def __iter__(self) -> Any:
        return iter([0, 1, 2])

    def __bool__(self) -> bool:
        return False

    def __bytes__(self) -> bytes:
        return self


class LyingText(str):
    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return LyingBytes(b"(module)")

    def __len__(self) -> int:
        return 1


def _six(module: Module) -> object:
    store = Store(module.engine)
    return Instance(store, module, []).exports(store)["six"](store)  # type: ignore[operator]


@pytest.mark.parametrize(
    "text", [_SIX, _SIX.encode(), bytearray(_SIX.encode()), LyingText(_SIX), LyingBytes(_SIX.encode())]
)
def test_text(text: str | bytes, engine: Engine) -> None:
    assert _six(Module(engine, bytes(wat2wasm(text)))) == 6
    assert _six(Module(engine, text)) == 6


def test_bytes_of_a_class_of_their_own(engine: Engine) -> None:
    binary = LyingBytes(wat2wasm(_SIX))
    module = Module(engine, binary)
    assert type(module.decoded.data) is bytes
    assert _six(module) == 6
    Module.validate(engine, binary)
    assert _six(Module.deserialize(engine, LyingBytes(module.serialize()))) == 6


class Number(int):
    def __index__(self: SupportsIndex) -> int:
        return 1 << 40


@pytest.mark.parametrize("text", [None, 5, Number(5), ["(module)"], memoryview(b"(module)"), object(), print])
def test_no_text(text: object) -> None:
    function: Callable[[Any], object] = wat2wasm
    with pytest.raises(TypeError):
        function(text)


def test_texts_that_lie_about_their_length_end() -> None:
    """In a process of its own: it would never come back."""
    program = "import brolga\nclass B(bytes):\n def __len__(self): return 1 << 30\nbrolga.wat2wasm(B(b'(module)'))"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
