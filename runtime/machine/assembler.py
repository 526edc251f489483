"""Hand-written machine code: Intel assembly text to bytes.

Text names layout constants and addresses in braces, as in `str.format`: `mov rbx, [r15 + {CTX_ACTIVATION}]`. Keystone is loaded
on first use; it is not thread-safe, hence the lock. What it made is kept for later processes (`preassembled`). JIT output never
comes this way.
"""

from __future__ import annotations

import ctypes
import os
import re
import threading
from collections.abc import Mapping
from functools import cache, partial
from typing import Any

from brolga.ir.errors import BrolgaError
from brolga.jit import vmctx

from ..platform.c_calls import refused
from . import layout
from .lifetime import keep_forever
from .preassembled import SHELF, Routine, analyse

_lock = threading.RLock()
_ADDRESS = re.compile("\1([^\1]*)\1")
_DECIMAL = re.compile(r"(?<![\w.])[0-9]{2,}(?![\w.:])")
_SYMBOLS: dict[str, object] = {
    **{name: value for name, value in vars(vmctx).items() if isinstance(value, int)},
    **layout.SYMBOLS,
}


@cache
def _keystone() -> tuple[Any, type[Exception]]:
    """The assembler, and the exception by which it says that the text is wrong."""
    import keystone

    return keystone.Ks(keystone.KS_ARCH_X86, keystone.KS_MODE_64), keystone.KsError


class _Table(dict[str, object]):
    """What names in braces stand for, looked up as they are met; texts in hexadecimal are `addresses`, which stay names for now."""

    def __init__(self, symbols: Mapping[str, object]) -> None:
        super().__init__()
        self._symbols = symbols
        self.addresses: dict[str, int] = {}

    def __missing__(self, name: str) -> object:
        value = self._symbols[name] if name in self._symbols else _SYMBOLS[name]
        if isinstance(value, str) and value.startswith("0x"):
            self.addresses[name] = int(value, 16)
            value = f"\1{name}\1"
        self[name] = value
        return value


def assemble(text: str, address: int, symbols: Mapping[str, object], name: str = "") -> bytes:
    """Machine code of `text` when it stands at `address`. Symbols whose values are texts in hexadecimal are addresses. With a `name`
    it is kept under that."""
    table = _Table(symbols)
    generic = text
    while "{" in generic:  # a macro may contain names itself
        generic = generic.format_map(table)
    used = {name: table.addresses[name] for name in dict.fromkeys(_ADDRESS.findall(generic))}
    code = assemble_text(_with_addresses(generic, used), address)
    if name:
        SHELF.add(name, partial(_analyse, generic, used, address, code))
    return code


def _with_addresses(generic: str, addresses: Mapping[str, int]) -> str:
    return _ADDRESS.sub(lambda match: hex(addresses[match[1]]), generic)


def _analyse(generic: str, addresses: dict[str, int], address: int, code: bytes) -> Routine | None:
    try:
        return analyse(
            lambda table, base: assemble_text(_with_addresses(generic, table), base), addresses, address, code
        )
    except BrolgaError:  # the text is wrong for other addresses
        return None


def assemble_text(source: str, address: int) -> bytes:
    """Machine code of `source`, without names in braces and without what was kept."""
    # Keystone's lexer looks at uninitialised memory to tell the radix of a number: 12 may be read as 0x12.
    source = _DECIMAL.sub(lambda match: hex(int(match[0])), source)
    with _lock:
        try:
            keystone, wrong_text = _keystone()
        except ctypes.ArgumentError as error:
            raise refused(error) from error
        try:
            code, _ = keystone.asm(source, address, as_bytes=True)
        except ctypes.ArgumentError as error:
            raise refused(error) from error
        except wrong_text as error:  # nothing else: a signal handler may raise here too
            raise BrolgaError(f"hand-written assembly is wrong: {error}\n{source}") from error
    if code is None:
        raise BrolgaError(f"hand-written assembly is empty:\n{source}")
    return bytes(code)


def _after_fork_in_child() -> None:
    """Another thread may have been assembling: in the child nobody would release the lock, and the assembler is in the middle
    of something."""
    global _lock
    _lock = threading.RLock()
    if _keystone.cache_info().currsize:
        keep_forever(_keystone())
        _keystone.cache_clear()


os.register_at_fork(after_in_child=_after_fork_in_child)
