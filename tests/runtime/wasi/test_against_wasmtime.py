"""Every WASI function, call by call, against PyPI `wasmtime`: the same errors, the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from brolga.runtime.wasi import resolve
from brolga.runtime.wasi.context import WasiConfig

from .guests import EmbeddedGuest, Guest, OurGuest, make_tree
from .scenarios import SCENARIOS

wasmtime = pytest.importorskip("wasmtime")


def _configured(config: Any, root: Path) -> Any:
    config.argv = ["program", "", "zwei ü"]
    config.env = [("NAME", "value"), ("EMPTY", "")]
    make_tree(root)
    config.preopen_dir(str(root), "/tree")
    return config


@pytest.mark.parametrize("by_kernel", [True, False], ids=["openat2", "walk"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_same_as_wasmtime(
    scenario: Callable[[Guest], Any], by_kernel: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by_kernel and not resolve.kernel_resolves():
        pytest.skip("this kernel has no openat2")
    monkeypatch.setattr(resolve, "use_openat2", by_kernel)
    for name in ("theirs", "ours"):
        (tmp_path / name).mkdir()
    theirs = EmbeddedGuest(wasmtime, _configured(wasmtime.WasiConfig(), tmp_path / "theirs"))
    ours = OurGuest(_configured(WasiConfig(), tmp_path / "ours"))
    seen_ours = list(scenario(ours))
    seen_theirs = list(scenario(theirs))
    for number, (our, their) in enumerate(zip(seen_ours, seen_theirs, strict=False)):
        assert our == their, f"step {number}"
    assert len(seen_ours) == len(seen_theirs)
