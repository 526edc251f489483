"""The table of WASI functions: each row leads to what does the work."""

from __future__ import annotations

import inspect

import pytest

from brolga.runtime.wasi.functions import FUNCTIONS


@pytest.mark.parametrize("name", FUNCTIONS)
def test_rows(name: str) -> None:
    function = FUNCTIONS[name]
    assert function.name == name and function.implementation.__name__ == name
    parameters = list(inspect.signature(function.implementation).parameters)
    assert parameters[:2] == ["wasi", "memory"]
    assert len(parameters) == 2 + len(function.type.params)
