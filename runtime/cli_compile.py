"""`brolga compile`: all functions of a module, into a file that `brolga run` and `Module.deserialize_file` take."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from brolga.ir.errors import WasmtimeError

from .cli_options import WasmOptions, config, set_cache
from .cli_run import read_source
from .engine import Engine
from .module import Module
from .text import naming

_SUFFIX = ".bwasm"


def compile(options: argparse.Namespace) -> int:
    """Compile and write."""
    settings = config(options)
    WasmOptions(options.wasm).configure(settings)
    set_cache(settings, options.codegen)
    engine = Engine(settings)
    output = options.output
    if output is None:
        if options.file == "-":
            raise WasmtimeError("name the output with -o")
        if not os.path.isfile(options.file):
            raise WasmtimeError(f"{options.file or 'the empty word'} is no file")
        output = str(Path(options.file).with_suffix(_SUFFIX))
    source = read_source(options.file)
    with naming(options.file):
        module = Module(engine, source)
    loaded = module._loaded
    if sys.stderr.isatty():
        _with_progress(module)
    else:
        loaded.compile_all()
    _write(output, bytes(module.serialize()))
    return 0


def _with_progress(module: Module) -> None:
    # Slow to import, and only wanted where somebody looks on.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    loaded = module._loaded
    columns = (
        TextColumn("compiling"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("functions"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(loaded.missing()))
        loaded.compile_all(done=lambda count: progress.advance(task, count))


def _write(path: str, data: bytes) -> None:
    """Write the file as a whole, or not at all."""
    if os.path.exists(path) and not os.path.isfile(path):  # /dev/stdout, a pipe
        with open(path, "wb") as file:
            file.write(data)
        return
    temporary = f"{path}.{os.getpid()}"
    try:
        with open(temporary, "xb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
