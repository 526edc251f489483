"""Code spaces: where a module's machine code lives, and which function an address belongs to."""

from __future__ import annotations

from brolga.jit.code import CompiledFunction


class CodeSpace:
    """Pads and code of the defined functions of one module. Made by `Machine.new_code_space`.

    A pad is a function's permanent address: it leads to lazy compilation first, to the code later. The compile callback runs
    on the native stack with the GIL held; whatever it raises leaves through wasm.
    """

    owner: object

    def pad(self, func: int) -> int:
        """Address of the pad of function `func` (index in the module's index space); goes into function records."""
        raise NotImplementedError

    def code_address(self, func: int) -> int:
        """Address of the function's code, or 0 while it is not compiled."""
        raise NotImplementedError

    def install(self, function: CompiledFunction) -> int:
        """Copy the code into the arena, resolve relocations, patch the pad. Returns the address of the code.

        Installing a function again is harmless: the first code stays, its address is returned.
        """
        raise NotImplementedError

    def install_all(self, functions: list[CompiledFunction]) -> None:
        """Install several functions; calls among them become direct."""
        raise NotImplementedError

    def close(self) -> None:
        """Give the code back. Nothing may refer to it any more. Called by the finaliser otherwise."""
        raise NotImplementedError


def find_code(pc: int) -> tuple[CodeSpace, CompiledFunction | None, int, int] | None:
    """(space, function, function index, offset of pc in its code) of a code address; the function is None and the offset 0
    if pc is in the function's pad. None if pc is not in function code."""
    raise NotImplementedError
