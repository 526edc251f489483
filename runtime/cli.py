"""The command line: `brolga run`, `compile`, `cache`, `wast`, `objdump`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from brolga.ir.errors import BrolgaError, WasmtimeError
from brolga.jit.compile import COMPILED

from .cli_options import add_options
from .config import Config
from .trap import ExitTrap, Trap
from .version import VERSION

BUILD: Final = "compiled" if COMPILED else "interpreted"
EXIT_ERROR: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130
EXIT_TRAP: Final = 134  # as after SIGABRT


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = _parser().parse_args(argv)
    try:
        return _command(options)
    except ExitTrap as exit:
        return exit.code
    except Trap as trap:
        print(f"Error: {trap}", file=sys.stderr)
        return EXIT_TRAP
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader has gone: nobody to tell
        return EXIT_ERROR
    except (BrolgaError, OSError, MemoryError) as error:
        print(f"Error: {_one_line(error)}", file=sys.stderr)
        return EXIT_ERROR


def _command(options: argparse.Namespace) -> int:
    if options.command == "run":
        from .cli_run import run

        return run(options)
    if options.command == "compile":
        from .cli_compile import compile

        return compile(options)
    if options.command == "cache":
        from .cli_cache import cache

        return cache(options)
    if options.command == "wast":
        from .cli_wast import wast

        return wast(options)
    from .cli_objdump import objdump

    return objdump(options)


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename!s}: {error.strerror}"
    text = " ".join(str(error).split()) or type(error).__name__
    return text if isinstance(error, WasmtimeError) else f"{type(error).__name__}: {text}"


def config(options: argparse.Namespace) -> Config:
    """The configuration that the options `--platform` and `--eager` ask for."""
    result = Config()
    if options.platform is not None:
        result.platform = options.platform
    result.eager = options.eager
    return result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="brolga", description="Compile and run WebAssembly modules.")
    parser.add_argument("--version", action="version", version=f"brolga {VERSION} ({BUILD})")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--platform", choices=("linux", "minimal"), help="platform layer to run on")
    common.add_argument("--eager", action="store_true", help="compile modules as a whole, not function by function")

    run = commands.add_parser("run", parents=[common], help="run a WASI program, or one function of a module")
    add_options(run)
    run.add_argument("--argv0", metavar="NAME", help="what the program is told to be called")
    run.add_argument(
        "--preload",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="module whose exports can be imported from NAME",
    )
    run.add_argument("--env", action="append", default=[], metavar="NAME[=VALUE]", help="set or pass on a variable")
    run.add_argument("--dir", action="append", default=[], metavar="HOST[::GUEST]", help="give access to a directory")
    run.add_argument("--invoke", metavar="NAME", help="call this exported function and print its results")
    run.add_argument("file", metavar="FILE", help="module: binary, text or compiled; - for standard input")
    run.add_argument("args", nargs=argparse.REMAINDER, metavar="ARGS", help="its arguments")

    compile = commands.add_parser("compile", parents=[common], help="compile a module, to be run later")
    add_options(compile)
    compile.add_argument("-o", "--output", metavar="FILE", help="where to (default: FILE with the suffix .bwasm)")
    compile.add_argument("file", metavar="FILE", help="module, binary or text; - for standard input")

    cache = commands.add_parser("cache", help="show, prune or clear the cache of compiled code")
    cache.add_argument("--prune", nargs="?", const="", metavar="SIZE", help="shrink it to this size, or to its limit")
    cache.add_argument("--clear", action="store_true", help="remove everything")
    cache.add_argument("--config", metavar="FILE", help="the configuration that `-C cache-config=FILE` names")

    wast = commands.add_parser("wast", parents=[common], help="run scripts of the WebAssembly test suite")
    wast.add_argument("--skip-unsupported", action="store_true", help="skip scripts that need what is not implemented")
    wast.add_argument("--jobs", type=int, default=1, metavar="N", help="run N scripts at a time")
    wast.add_argument("files", nargs="+", metavar="FILE", help="scripts")

    objdump = commands.add_parser("objdump", parents=[common], help="show wasm, IR and machine code by function")
    objdump.add_argument("--func", metavar="NAME", help="only the function with this name or index")
    objdump.add_argument("file", metavar="FILE", help="module, binary or text")
    return parser
