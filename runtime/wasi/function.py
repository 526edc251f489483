"""A function of WASI: a row of the table in `functions`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, final

from brolga.jit.wasm.types import FuncType

from .abi import INVAL, NOMEM, SUCCESS, WasiError, errno_of

if TYPE_CHECKING:
    from .context import WasiContext
    from .guest import GuestMemory

Implementation = Callable[..., None]


@final
class WasiFunction:
    """One function: its wasm type, and the module of this package in which a function of that name does the work: (context, memory,
    arguments as unsigned ints). Modules are imported when one of their functions is called: a program uses few of those it imports.
    """

    __slots__ = ("_implementation", "_module", "name", "type")

    def __init__(self, name: str, type: FuncType, module: str) -> None:
        self.name = name
        self.type = type
        self._module = module
        self._implementation: Implementation | None = None

    @property
    def implementation(self) -> Implementation:
        """What does the work."""
        found = self._implementation
        if found is None:
            module = importlib.import_module(f".{self._module}", __package__)
            found = self._implementation = getattr(module, self.name)
        return found

    def call(self, context: WasiContext, memory: GuestMemory, args: tuple[int, ...]) -> int:
        """Do the call and return the error number for the guest. Traps and exits are raised."""
        try:
            (self._implementation or self.implementation)(context, memory, *args)
        except WasiError as error:
            return error.errno
        except OSError as error:
            return errno_of(error)
        except (ValueError, OverflowError):  # a number that the host's own call cannot take
            return INVAL
        except MemoryError:
            return NOMEM
        return SUCCESS
