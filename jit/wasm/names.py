"""The custom section "name": names of the module, its functions and their locals (spec: Appendix, Name Section).

Names only help people, so a malformed name section is no error: what was read up to the fault is kept.
"""

from __future__ import annotations

from typing import Final

from brolga.ir.errors import DecodeError, LimitError

from .reader import Reader
from .types import Module

_MODULE_NAME: Final = 0
_FUNCTION_NAMES: Final = 1
_LOCAL_NAMES: Final = 2


def decode_names(module: Module, start: int, end: int) -> None:
    reader = Reader(module.data, start, end)
    try:
        while reader.pos < end:
            kind = reader.byte()
            size = reader.u32()
            first = reader.skip(size)
            subsection = Reader(module.data, first, first + size)
            if kind == _MODULE_NAME:
                module.name = subsection.name()
            elif kind == _FUNCTION_NAMES:
                _name_map(subsection, module.func_names)
            elif kind == _LOCAL_NAMES:
                for _ in range(subsection.u32()):
                    func = subsection.u32()
                    names = module.local_names.setdefault(func, {})
                    _name_map(subsection, names)
    except (DecodeError, LimitError):
        return


def _name_map(reader: Reader, names: dict[int, str]) -> None:
    for _ in range(reader.u32()):
        index = reader.u32()
        names[index] = reader.name()
