"""Signatures of functions."""

from __future__ import annotations

from typing import final


@final
class Signature:
    """Types of parameters and results of a function."""

    __slots__ = ("params", "results")

    def __init__(self, params: list[int], results: list[int]) -> None:
        self.params = params
        self.results = results
