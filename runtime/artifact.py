"""Compiled modules as bytes: an image of `brolga.jit.cache_format` with the module in it, for the settings of an engine."""

from __future__ import annotations

from brolga.ir.errors import CodeFormatError
from brolga.jit.cache_format import CodeImage, digest, read_image, write_image
from brolga.jit.code import CompiledFunction
from brolga.jit.settings import Settings

from .version import VERSION


def write_artifact(
    wasm: bytes, functions: list[CompiledFunction], settings: Settings, with_module: bool = True
) -> bytes:
    """The bytes of a module and of functions of it that were compiled with these settings."""
    module = wasm if with_module else b""
    return write_image(functions, VERSION, settings.describe(), settings.describe_features(), digest(wasm), module)


def read_artifact(data: bytes, settings: Settings, wasm: bytes = b"") -> CodeImage:
    """The image in `data`, if its code runs with these settings on this CPU; with `wasm`, if it is of this module, which
    need not be in it. Raises CodeFormatError, which says why not."""
    image = read_image(data, VERSION)
    if image.settings != settings.describe():
        raise CodeFormatError(
            f"the code was compiled with other settings: {image.settings}; here they are {settings.describe()}"
        )
    lacking = sorted(set(filter(None, image.features.split(","))) - settings.features)
    if lacking:
        raise CodeFormatError(f"the code was compiled for another CPU: this one lacks {', '.join(lacking)}")
    if image.source != digest(wasm or image.wasm):
        raise CodeFormatError("the code is not of this module")
    return image
