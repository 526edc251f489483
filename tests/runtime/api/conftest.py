"""Engines and stores of both platforms, and a look at the compiler."""

from __future__ import annotations

import pytest

from brolga import Config, Engine, Store
from brolga.runtime.compilation import Compilation


@pytest.fixture(params=["linux", "minimal"])
def engine(request: pytest.FixtureRequest) -> Engine:
    config = Config()
    config.platform = request.param
    return Engine(config)


@pytest.fixture
def store(engine: Engine) -> Store:
    return Store(engine)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Functions, as they are compiled."""
    functions: list[int] = []
    compile = Compilation.compile

    def note(self: Compilation, func: int) -> object:
        functions.append(func)
        return compile(self, func)

    monkeypatch.setattr(Compilation, "compile", note)
    return functions
