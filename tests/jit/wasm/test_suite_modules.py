"""Decoder, validator and translator against every module of the official test suite's files for this level."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from brolga.ir.errors import DecodeError, ValidationError
from brolga.ir.verifier import verify
from brolga.jit.settings import Settings
from brolga.jit.vmctx import ContextLayout
from brolga.jit.wasm.decode import decode
from brolga.jit.wasm.locals import read_locals
from brolga.jit.wasm.operators import format_operator, read_immediates, read_opcode
from brolga.jit.wasm.translate import translate
from brolga.jit.wasm.types import Module
from brolga.jit.wasm.validate import validate

from .suite import LIST, SUITE, commands, script_names

if not script_names():
    pytest.skip(f"no test suite: {SUITE} or {LIST} is missing (set WASM_TESTSUITE)", allow_module_level=True)

Commands = list[dict[str, Any]]


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("suite")


@pytest.fixture(params=script_names())
def script(request: pytest.FixtureRequest, directory: Path) -> Commands:
    return commands(request.param, directory)


def validated(data: bytes) -> Module:
    module = decode(data)
    validate(module)
    return module


def valid_modules(script: Commands) -> list[tuple[int, Module]]:
    kinds = ("module", "module_definition", "assert_unlinkable", "assert_uninstantiable")
    found = [(entry["line"], entry["bytes"]) for entry in script if entry["type"] in kinds and "bytes" in entry]
    return [(line, validated(data)) for line, data in found]


def test_valid_modules_are_accepted_and_translated(script: Commands) -> None:
    for _, module in valid_modules(script):
        layout = ContextLayout(module)
        for index in range(module.imported_funcs, len(module.func_types)):
            verify(translate(module, index, layout, Settings()))


def test_operators_end_where_bodies_end(script: Commands) -> None:
    for line, module in valid_modules(script):
        for place, body in enumerate(module.bodies):
            _, _, pos = read_locals(module, module.imported_funcs + place)
            while pos < body.end:
                text, after = format_operator(module.data, pos)
                op, pos = read_opcode(module.data, pos)
                _, pos = read_immediates(module.data, pos, op)
                assert pos == after, f"line {line}: {text}"
            assert pos == body.end, f"line {line}"


@pytest.mark.parametrize(
    ("assertion", "kind"), [("assert_malformed", DecodeError), ("assert_invalid", ValidationError)]
)
def test_wrong_modules_are_refused_in_the_words_of_the_suite(
    script: Commands, assertion: str, kind: type[DecodeError | ValidationError]
) -> None:
    for entry in script:
        if entry["type"] != assertion or "bytes" not in entry:
            continue
        with pytest.raises(kind) as caught:
            validated(entry["bytes"])
        assert caught.value.message.startswith(entry["text"]), f"line {entry['line']}"
        assert 0 <= caught.value.offset <= len(entry["bytes"]), f"line {entry['line']}"
