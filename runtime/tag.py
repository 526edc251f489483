"""`Tag`: identity and type of a kind of exceptions. Modules that use tags are refused, so that a tag is only a value here."""

from __future__ import annotations

from typing import final

from brolga.ir.errors import WasmtimeError

from .store import StoreData, Storelike, same_store
from .types import FuncType, TagType


@final
class Tag:
    """A tag, which belongs to a store."""

    __slots__ = ("_functype", "_store_data")

    def __init__(self, store: Storelike, ty: TagType) -> None:
        if not isinstance(ty, TagType):
            raise TypeError("expected a TagType")
        functype = ty.functype
        if functype.results:
            raise WasmtimeError("Cannot create an exception type from a tag type with results in the signature")
        self._functype: FuncType = functype
        self._store_data: StoreData = store._store._data

    def type(self, store: Storelike) -> TagType:
        same_store(store, self._store_data)
        return TagType(self._functype)

    def eq(self, store: Storelike, other: Tag) -> bool:
        """Whether both are the same tag."""
        same_store(store, self._store_data)
        return self is other
