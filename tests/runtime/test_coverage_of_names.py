"""Every public name, of the package, of its classes and of WASI, is used by some test of the runtime."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

import brolga
from brolga.runtime.wasi.functions import FUNCTIONS

HERE: Final = Path(__file__).resolve().parent


def _words() -> set[str]:
    files = [file for file in HERE.rglob("*.py") if file != Path(__file__).resolve()]
    return set(re.findall(r"\w+", " ".join(file.read_text() for file in files)))


def _attributes() -> list[str]:
    names = set()
    for name in brolga.__all__:
        cls = getattr(brolga, name)
        if isinstance(cls, type) and cls is not brolga.TrapCode:
            slots = {"Engine.max_stack"}  # no option of users
            names |= {f"{name}.{attribute}" for attribute in vars(cls) if not attribute.startswith("_")} - slots
    return sorted(names)


@pytest.mark.parametrize("kind", ["package", "attributes", "wasi"])
def test_every_name_is_used_by_a_test(kind: str) -> None:
    names = {"package": list(brolga.__all__), "attributes": _attributes(), "wasi": list(FUNCTIONS)}[kind]
    assert len(names) >= 45
    words = _words()
    assert [name for name in names if name.rpartition(".")[2] not in words] == []
