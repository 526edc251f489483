"""`Managed`: objects that can be closed before their last user lets go of them, as in the PyPI package `wasmtime`."""

from __future__ import annotations

from types import GenericAlias
from typing import TYPE_CHECKING, Any, ClassVar, Self


class Managed:
    """Base of what has `close`. A closed object has lost its attributes, so that every use raises ValueError, at no cost
    to the use of open ones."""

    __slots__ = ()

    __class_getitem__: ClassVar[Any] = classmethod(GenericAlias)

    def close(self) -> None:
        """Give up what this object holds. Closing it again is harmless, any other use raises ValueError."""
        for cls in type(self).__mro__:
            for name in cls.__dict__.get("__slots__", ()):
                if not name.startswith("__"):
                    try:
                        delattr(self, name)
                    except AttributeError:
                        pass

    def ptr(self) -> Any:
        """This object, if it is not closed: there is nothing behind it."""
        for cls in type(self).__mro__:
            for name in cls.__dict__.get("__slots__", ()):
                if not name.startswith("__"):
                    getattr(self, name)
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            if any(name in cls.__dict__.get("__slots__", ()) for cls in type(self).__mro__):
                raise ValueError("already closed")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


class Consumable(Managed):
    """A configuration: what is made of it uses it up, as if it were closed."""

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> None:
        if not name.startswith("_"):
            self.ptr()
        super().__setattr__(name, value)
