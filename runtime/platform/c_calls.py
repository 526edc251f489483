"""C functions called through ctypes, which makes an ArgumentError of it if there is no memory for converting an argument."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Final, TypeVar

R = TypeVar("R")


def refused(error: ctypes.ArgumentError) -> Exception:
    """What to raise in the place of an ArgumentError."""
    return MemoryError("no memory for a call") if "MemoryError" in str(error) else error


def typed(function: Callable[..., R]) -> Callable[..., R]:
    """The function, which raises MemoryError where it is one."""

    def call(*args: Any) -> R:
        try:
            return function(*args)
        except ctypes.ArgumentError as error:
            raise refused(error) from error

    return call


class TypedLibrary:
    """The functions of a C library, whose types are set already."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = typed(getattr(self._library, name))
        setattr(self, name, function)
        return function


copy_bytes: Final[Callable[..., object]] = typed(ctypes.memmove)  # to, from, size
read_bytes: Final[Callable[..., bytes]] = typed(ctypes.string_at)  # address, size
