from __future__ import annotations

import tomllib
from pathlib import Path

import brolga


def test_one_version() -> None:
    project = tomllib.loads((Path(__file__).resolve().parents[3] / "pyproject.toml").read_text())
    assert project["project"]["version"] == brolga.__version__


def test_public_names_exist() -> None:
    for name in brolga.__all__:
        assert hasattr(brolga, name)
