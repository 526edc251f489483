"""`brolga run`: WASI commands, and single functions."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Iterator

from brolga.ir.errors import WasmtimeError
from brolga.jit.cache_format import is_image

from .cli_options import WasmOptions, config, set_cache
from .cli_values import format_value, parse_value
from .engine import Engine
from .functions import Func
from .linker import Linker
from .module import Module
from .store import Store
from .text import naming
from .wasi.context import WasiConfig


def run(options: argparse.Namespace) -> int:
    """Run the program, or the function that `--invoke` names. A trap, or the program's exit, is raised."""
    settings = config(options)
    wasm = WasmOptions(options.wasm)
    wasm.configure(settings)
    set_cache(settings, options.codegen)
    if options.perf_map:
        settings.profiler = "perfmap"
        # perf asks for names only in anonymous memory.
        os.environ["BROLGA_WITHOUT"] = f"{os.environ.get('BROLGA_WITHOUT', '')},memfd"
    engine = Engine(settings)
    module = _load(engine, options.file)
    linker = Linker(engine)
    linker.define_wasi()
    store = Store(engine)
    store.set_wasi(_wasi(options))
    wasm.limit(store)
    if not options.profile and not options.profile_output:
        return _run_for(wasm.timeout, store, linker, module, options)
    from .profile import Profile  # rarely wanted

    profile = Profile(engine)
    try:
        with profile:
            return _run_for(wasm.timeout, store, linker, module, options)
    finally:
        if options.profile:
            print(profile.report(), file=sys.stderr)
        if options.profile_output:
            with open(options.profile_output, "w", encoding="utf-8") as file:
                file.write(profile.to_json(module.decoded))


def _run_for(timeout: float, store: Store, linker: Linker, module: Module, options: argparse.Namespace) -> int:
    """Run, for at most so many seconds, 0 for ever."""
    if not timeout:
        return _run(store, linker, module, options)
    engine = store.engine
    timer = threading.Timer(timeout, engine.increment_epoch)
    timer.daemon = True
    try:
        timer.start()
    except RuntimeError as error:
        raise WasmtimeError(f"no timeout: {error}") from error
    try:
        return _run(store, linker, module, options)
    finally:
        timer.cancel()


def _run(store: Store, linker: Linker, module: Module, options: argparse.Namespace) -> int:
    for preload in options.preload:
        name, separator, path = preload.partition("=")
        if not separator:
            raise WasmtimeError(f"--preload needs NAME=FILE, not {preload}")
        linker.define_module(store, name, _load(store.engine, path))
    exports = linker.instantiate(store, module).exports(store)
    if options.invoke is not None:
        function = exports.get(options.invoke)
        if not isinstance(function, Func):
            raise WasmtimeError(f"no function `{options.invoke}` is exported by {options.file}")
        initialise = exports.get("_initialize")
        if isinstance(initialise, Func):
            initialise(store)
        _invoke(store, function, options)
        return 0
    start = exports.get("") or exports.get("_start")
    if not isinstance(start, Func):
        raise WasmtimeError(f"{options.file} exports no function `_start`: name one with --invoke")
    start(store)
    return 0


def read_source(path: str) -> bytes:
    """The bytes of a file, or of standard input for `-`."""
    if path == "-":
        return sys.stdin.buffer.read()
    with open(path, "rb") as file:
        return file.read()


def _load(engine: Engine, path: str) -> Module:
    """A module: compiled, binary or text, whatever its contents are."""
    source = read_source(path)
    if is_image(source):
        return Module.deserialize(engine, source)
    with naming(path):
        return Module(engine, source)


def _wasi(options: argparse.Namespace) -> WasiConfig:
    wasi = WasiConfig()
    # Only the base name, so that the program does not learn where it is. The function invoked gets the arguments.
    name = options.argv0 if options.argv0 is not None else os.path.basename(options.file)
    wasi.argv = [name] if options.invoke is not None else [name, *options.args]
    wasi.env = list(_variables(options.env))
    wasi.inherit_stdin()
    wasi.inherit_stdout()
    wasi.inherit_stderr()
    for mapping in options.dir:
        host, _, guest = mapping.partition("::")
        try:
            (guest or host).encode()
        except UnicodeEncodeError:
            raise WasmtimeError(f"the name of a directory for the program is no text: {guest or host}") from None
        wasi.preopen_dir(host, guest or host)
    return wasi


def _variables(settings: list[str]) -> Iterator[tuple[str, str]]:
    """Those that are set, or passed on from this process, if it has them."""
    for setting in settings:
        name, separator, value = setting.partition("=")
        if separator:
            yield name, value
        elif name in os.environ:
            yield name, os.environ[name]


def _invoke(store: Store, function: Func, options: argparse.Namespace) -> None:
    type = function.type(store)
    params = type.params
    if len(options.args) != len(params):
        raise WasmtimeError(f"`{options.invoke}` takes {len(params)} arguments, {len(options.args)} are given")
    results = function(store, *[parse_value(text, param) for text, param in zip(options.args, params, strict=True)])
    several = results if len(type.results) > 1 else [results]
    for result, result_type in zip(several, type.results):
        print(format_value(result, result_type))
