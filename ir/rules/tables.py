"""All rewrite rules, filed by opcode, for `FunctionBuilder`."""

from __future__ import annotations

from typing import Final

from ..inst_builder import Rules


def _tables() -> Rules:
    rules = Rules()
    return rules


RULES: Final = _tables()
