"""What outlives the interpreter, and what goes only when nothing can use it any more.

When CPython goes down it drops all modules while native threads still run: the watchdog, and daemon threads that are in wasm or
come back from a host function. What their machine code refers to by address must not be freed or unmapped then.

The garbage collector calls the finalisers of all objects of a cycle, in any order, before it frees the first: a finaliser of the
embedder may call wasm when those of the store's parts have run, and may bring all of them back to life. So what machine code refers
to by address is not given back by finalisers, but by a `Hold`.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NoReturn, SupportsIndex, TypeVar

from brolga.ir.errors import ArgumentTypeError

from ..platform.c_calls import typed
from .heap_types import PY_TP_MEMBERS, T_OBJECT_EX, TPFLAGS_DEFAULT, member_table, type_from_spec

T = TypeVar("T")

_py_incref = ctypes.pythonapi.Py_IncRef
_py_incref.argtypes = [ctypes.py_object]
_py_incref.restype = None
_increase: Final[Callable[[object], None]] = typed(_py_incref)


class Unique:
    """Base of what owns memory by address: a copy would free it a second time."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise ArgumentTypeError(f"cannot copy or pickle {type(self).__name__!r} object")


def keep_forever(thing: object) -> None:
    """Never free this object."""
    _increase(thing)


exiting: Final = sys.is_finalizing
"""Whether the interpreter is going down: nothing is given back then."""


def _let_go(self: Hold, exiting: Callable[[], bool] = exiting) -> None:
    if not exiting():  # else the type, which does not know its members, leaves the references as they are
        try:
            release, thing = self.release, self.thing
            del self.release, self.thing
        except AttributeError:  # an exception came while it was made
            return
        release(thing)


if TYPE_CHECKING:

    class Hold:
        release: Callable[[Any], object]
        thing: object

else:
    _HEAD = object.__basicsize__
    _members = member_table((b"release", T_OBJECT_EX, _HEAD, 0), (b"thing", T_OBJECT_EX, _HEAD + 8, 0))
    Hold = type_from_spec(
        b"brolga.runtime.machine.lifetime.Hold", _HEAD + 16, TPFLAGS_DEFAULT, [(PY_TP_MEMBERS, _members)]
    )
    Hold.__del__ = _let_go


def hold(release: Callable[[T], object], thing: T) -> Hold:
    """An object that calls `release(thing)` when its owner is freed. The garbage collector does not know it, and so cannot finalise it
    before: nothing of this may lead back to the owner."""
    made = Hold()
    made.release = release
    made.thing = thing
    return made
