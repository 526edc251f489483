"""Engines and stores of both platforms."""

from __future__ import annotations

import pytest

from brolga import Config, Engine, Store


@pytest.fixture(params=["linux", "minimal"])
def engine(request: pytest.FixtureRequest) -> Engine:
    config = Config()
    config.platform = request.param
    return Engine(config)


@pytest.fixture
def store(engine: Engine) -> Store:
    return Store(engine)
