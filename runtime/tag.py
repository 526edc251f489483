"""`Tag`: identity and type of a kind of exceptions. Modules that use tags are refused, so that a tag is only a value here."""

from __future__ import annotations

from typing import final

from brolga.ir.errors import WasmtimeError

from .arguments import MadeWithArguments, instance_of, refuse_second_init
from .store import StoreData, Storelike, same_store, store_of
from .types import FuncType, TagType


@final
class Tag(MadeWithArguments):
    """A tag, which belongs to a store."""

    __slots__ = ("_functype", "_store_data")

    def __init__(self, store: Storelike, ty: TagType) -> None:
        refuse_second_init(self, "_functype")
        functype = instance_of(TagType, ty, "a TagType").functype
        data = store_of(store)._data
        if functype.results:
            raise WasmtimeError("Cannot create an exception type from a tag type with results in the signature")
        self._functype: FuncType = functype
        self._store_data: StoreData = data

    def type(self, store: Storelike) -> TagType:
        same_store(store, self._store_data)
        return TagType(self._functype)

    def eq(self, store: Storelike, other: Tag) -> bool:
        """Whether both are the same tag."""
        same_store(store, self._store_data)
        return self is instance_of(Tag, other, "a Tag")
