"""The custom section "name": names of the module, its functions and their locals (spec: Appendix, Name Section).

Names only help people, so a malformed name section is no error: what was read up to the fault is kept. They are read when somebody
asks for the first one.
"""

from __future__ import annotations

from typing import Final, final

from brolga.ir.errors import DecodeError, LimitError

from .reader import Reader

_MODULE_NAME: Final = 0
_FUNCTION_NAMES: Final = 1
_LOCAL_NAMES: Final = 2


@final
class Names:
    """`module`: its name or ""; `funcs`: by function index; `locals`: by function index, by index of the local."""

    __slots__ = ("module", "funcs", "locals")

    def __init__(self) -> None:
        self.module = ""
        self.funcs: dict[int, str] = {}
        self.locals: dict[int, dict[int, str]] = {}

    def read(self, data: bytes, start: int, end: int) -> None:
        """Add what is in the section with these contents."""
        reader = Reader(data, start, end)
        try:
            while reader.pos < end:
                kind = reader.byte()
                size = reader.u32()
                first = reader.skip(size)
                subsection = Reader(data, first, first + size)
                if kind == _MODULE_NAME:
                    self.module = subsection.name()
                elif kind == _FUNCTION_NAMES:
                    _name_map(subsection, self.funcs)
                elif kind == _LOCAL_NAMES:
                    for _ in range(subsection.u32()):
                        func = subsection.u32()
                        _name_map(subsection, self.locals.setdefault(func, {}))
        except (DecodeError, LimitError):
            return


def _name_map(reader: Reader, names: dict[int, str]) -> None:
    for _ in range(reader.u32()):
        index = reader.u32()
        names[index] = reader.name()
