"""Hand-written machine code: Intel assembly text to bytes.

Text names layout constants and addresses in braces, as in `str.format`: `mov rbx, [r15 + {CTX_ACTIVATION}]`. Keystone is loaded
on first use; it is not thread-safe, hence the lock. JIT output never comes this way.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import cache
from typing import Any

from brolga.ir.errors import BrolgaError
from brolga.jit import vmctx

from . import layout

_lock = threading.RLock()
_SYMBOLS: dict[str, object] = {
    **{name: value for name, value in vars(vmctx).items() if isinstance(value, int)},
    **layout.SYMBOLS,
}


@cache
def _keystone() -> tuple[Any, type[Exception]]:
    """The assembler, and the exception by which it says that the text is wrong."""
    import keystone

    return keystone.Ks(keystone.KS_ARCH_X86, keystone.KS_MODE_64), keystone.KsError


def expand(text: str, symbols: Mapping[str, object]) -> str:
    """Replace names in braces; a replacement (a macro) may contain names itself."""
    table = {**_SYMBOLS, **symbols}
    while "{" in text:
        text = text.format_map(table)
    return text


def assemble(text: str, address: int, symbols: Mapping[str, object]) -> bytes:
    """Machine code of `text` when it stands at `address`."""
    source = expand(text, symbols)
    with _lock:
        keystone, wrong_text = _keystone()
        try:
            code, _ = keystone.asm(source, address, as_bytes=True)
        except wrong_text as error:  # nothing else: a signal handler may raise here too
            raise BrolgaError(f"hand-written assembly is wrong: {error}\n{source}") from error
    if code is None:
        raise BrolgaError(f"hand-written assembly is empty:\n{source}")
    return bytes(code)
