"""Objects that lie about what they are, or do something else in the middle of an operation that looks at them."""

from __future__ import annotations

import array
import ctypes
from collections.abc import Callable
from typing import Any, Final

MOST_ACTS: Final = 3  # how often one object does what it was told to


class Hostile(Exception):
    """Raised by such an object; must arrive where the operation was called, or be dealt with."""


def _special(names: str, result: Callable[[Any, tuple[Any, ...]], object]) -> dict[str, Any]:
    def method(name: str) -> Callable[..., object]:
        def call(self: Any, *args: Any, **keywords: Any) -> object:
            self.act()
            return result(self, args)

        call.__name__ = name
        return call

    return {name: method(name) for name in names.split()}


_VALUE: Final = (
    "__index__ __int__ __float__ __complex__ __trunc__ __round__ __str__ __fspath__ __bytes__ __neg__ __abs__"
)
_COMPARED: Final = "__eq__ __lt__ __le__ __gt__ __ge__ __bool__ __contains__"
_SIZES: Final = "__len__ __hash__ __length_hint__"
_ARITHMETIC: Final = "__add__ __radd__ __sub__ __rsub__ __mul__ __rmul__ __floordiv__ __rfloordiv__ __mod__ __rmod__ __and__ __rand__ __lshift__ __rlshift__"
_OTHERS: Final = "__getitem__ __next__ __call__ __enter__ __exit__ __await__"


class _Acting:
    """What all liars share. `told` is what they do when they are looked at."""

    told: Callable[[], object] | None
    lie: Any
    raises: bool
    acts: int

    def act(self) -> None:
        if self.told is not None and self.acts < MOST_ACTS:
            self.acts += 1
            self.told()
        if self.raises:
            raise Hostile("looked at")


def _iterate(self: Any) -> Any:
    self.act()
    for _ in range(3):
        yield self.lie
        self.act()


_METHODS: Final[dict[str, Any]] = {
    **_special(_VALUE, lambda self, args: self.lie),
    **_special(_COMPARED, lambda self, args: True),
    **_special(_SIZES, lambda self, args: self.lie if isinstance(self.lie, int) else 1),
    **_special(_ARITHMETIC, lambda self, args: self.lie),
    **_special(_OTHERS, lambda self, args: self.lie),
    "__iter__": _iterate,
}
# Attributes that the package might ask an object for.
_STORELIKE: Final = {name: property(_METHODS["__call__"]) for name in ("_store", "_data", "value", "engine")}


def _liar(name: str, base: type, without: str = "") -> type:
    members = {key: value for key, value in _METHODS.items() if key not in without.split()}
    if base is object:
        members |= _STORELIKE
    return type(name, (_Acting, base), members)


# Subclasses of what is asked for, with operators of their own.
LIARS: Final[dict[str, type]] = {
    "object": _liar("Liar", object),
    "int": _liar("LyingInt", int),
    "float": _liar("LyingFloat", float),
    "str": _liar("LyingStr", str),
    "bytes": _liar("LyingBytes", bytes),
    "bytearray": _liar("LyingBytearray", bytearray),
    "list": _liar("LyingList", list),
    "tuple": _liar("LyingTuple", tuple),
    "dict": _liar("LyingDict", dict),
}


def make_liar(base: str, value: Any, lie: Any, told: Callable[[], object] | None, raises: bool) -> object:
    """An object that is `value` if nobody asks it, and says that it is `lie`."""
    kind = LIARS[base]
    if isinstance(value, int) and abs(value) > 1 << 20 and base in ("bytes", "bytearray"):
        value = 16
    try:
        liar: Any = kind() if base == "object" else kind(value)
    except (TypeError, ValueError, OverflowError, MemoryError, Hostile):  # MemoryError: bytes(10**9)
        liar = kind()
    liar.told, liar.lie, liar.raises, liar.acts = told, lie, raises, 0
    return liar


BUFFERS: Final[dict[str, Callable[[], Any]]] = {
    "doubles": lambda: array.array("d", [1.0, 2.0]),
    "every second": lambda: memoryview(bytearray(range(16)))[::2],
    "backwards": lambda: memoryview(bytes(range(16)))[::-1],
    "matrix": lambda: memoryview(bytes(16)).cast("B", (4, 4)),
    "scalar": lambda: memoryview(ctypes.c_uint32(0x6D736100)),
    "released": lambda: _released(),
    "structure": lambda: (ctypes.c_uint16 * 5)(1, 2, 3, 4, 5),
    "none": lambda: memoryview(b""),
}


def _released() -> memoryview:
    view = memoryview(bytearray(4))
    view.release()
    return view
