"""Calling wasm functions from Python at C speed."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from brolga.jit.wasm.types import FuncType

if TYPE_CHECKING:
    from .machine import Machine


class EntryPoint:
    """Base class of `Func`: a wasm function that Python calls as `func(store, *args)`.

    `bind` must be called once, before the first call. Derive `class Func(EntryPoint)` with `__slots__` and apply
    `enable_vectorcall` to it. A call converts arguments and results as `values` says: no result gives None, one the value,
    several a list. The call is refused with TypeError for a wrong number of arguments, a wrong type or a wrong store.
    """

    __slots__ = ()

    def bind(self, machine: Machine, record: int, type: FuncType, store: object, owner: object) -> None:
        """Lead calls to the function record at address `record`.

        `store` is what a call must give as first argument (compared by identity; an object whose attribute `_store` is `store`,
        like a Caller, will do too). `owner` is kept alive: it must own the record, the context and the code.
        """
        raise NotImplementedError


T = TypeVar("T", bound=type[EntryPoint])


def enable_vectorcall(cls: T) -> T:
    """Class decorator: instances of this subclass of EntryPoint are called as fast as those of EntryPoint itself."""
    return cls
