"""Engines and stores of both platforms, and a look at the compiler."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from brolga import Config, Engine, Module, Store
from brolga.runtime.compilation import Compilation

if TYPE_CHECKING:
    from .waiting import Load


@pytest.fixture(params=["linux", "minimal"])
def engine(request: pytest.FixtureRequest) -> Engine:
    config = Config()
    config.platform = request.param
    return Engine(config)


@pytest.fixture
def store(engine: Engine) -> Store:
    return Store(engine)


@pytest.fixture(scope="module")
def load() -> Load:
    """Makes instances whose calls can be suspended."""
    # This import sets up signal handlers, which is not to be before pytest has called faulthandler.enable.
    from .waiting import TEXT, loader, native_engine

    return loader(Module(native_engine(), TEXT))


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
