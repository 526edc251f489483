"""Types that no class statement gives, made with PyType_FromSpec: with slots of machine code, or without the garbage collector."""

from __future__ import annotations

import ctypes
from typing import Any, Final

TPFLAGS_DEFAULT: Final = 1 << 18
TPFLAGS_BASETYPE: Final = 1 << 10
PY_TP_MEMBERS: Final = 72
T_OBJECT_EX: Final = 16
T_PYSSIZET: Final = 19
READONLY: Final = 1

_keep: list[object] = []  # what the types refer to


class _Slot(ctypes.Structure):
    """PyType_Slot."""

    _fields_ = [("slot", ctypes.c_int), ("pointer", ctypes.c_void_p)]


class _Spec(ctypes.Structure):
    """PyType_Spec."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("basicsize", ctypes.c_int),
        ("itemsize", ctypes.c_int),
        ("flags", ctypes.c_uint),
        ("slots", ctypes.c_void_p),
    ]


class _Member(ctypes.Structure):
    """PyMemberDef."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("type", ctypes.c_int),
        ("offset", ctypes.c_ssize_t),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


def member_table(*members: tuple[bytes, int, int, int]) -> int:
    """The address of a table of PyMemberDef: name, type, offset and flags of each."""
    table = (_Member * (len(members) + 1))(*(_Member(*member, None) for member in members))
    _keep.append((table, members))
    return ctypes.addressof(table)


def type_from_spec(name: bytes, size: int, flags: int, slots: list[tuple[int, int]]) -> Any:
    """A heap type with these slots (number, address), which lasts as long as the process."""
    array = (_Slot * (len(slots) + 1))(*(_Slot(*slot) for slot in slots))
    spec = _Spec(name, size, 0, flags, ctypes.addressof(array))
    _keep.extend((array, spec, name))
    from_spec = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p)(("PyType_FromSpec", ctypes.pythonapi))
    return from_spec(ctypes.addressof(spec))
