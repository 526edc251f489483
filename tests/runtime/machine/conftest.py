"""Traps are instances of `world.WasmTrap` in these tests. `platform`: for both."""

from __future__ import annotations

import pytest

from brolga.runtime.machine import traps

from .world import WasmTrap


@pytest.fixture(autouse=True)
def wasm_traps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traps, "_factory", WasmTrap)
    monkeypatch.setattr(traps, "_hook", None)


@pytest.fixture(params=["linux", "minimal"])
def platform(request: pytest.FixtureRequest) -> str:
    return str(request.param)
