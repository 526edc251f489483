"""Objects that can be closed before their last user lets go of them, as in the PyPI package `wasmtime`."""

from __future__ import annotations

from brolga.ir.errors import Managed, SlottedManaged

__all__ = ["Consumable", "Managed", "SlottedManaged"]


class Consumable(SlottedManaged):
    """A configuration: what is made of it uses it up, as if it were closed."""

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> None:
        if not name.startswith("_"):
            self.ptr()
        super().__setattr__(name, value)
