"""The command line: `brolga run`, `compile`, `cache`, `wast`, `objdump`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Final

from brolga.ir.errors import BrolgaError, WasmtimeError
from brolga.ir.text import printable
from brolga.jit.code import COMPILED

from .cli_options import EXIT_ERROR, add_optimize_option, add_options
from .text import TextError
from .trap import ExitTrap, Trap
from .version import VERSION

BUILD: Final = "compiled" if COMPILED else "interpreted"
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130
EXIT_TRAP: Final = 134  # as after SIGABRT


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    words = sys.argv[1:] if argv is None else list(argv)
    parser = _parser(words[0] if words else "")
    end = _end_of_options(parser, words) if words[:1] == ["run"] else len(words)
    options = parser.parse_args(words[:end])
    options.args = words[end:]
    try:
        return _command(options)
    except ExitTrap as exit:
        return exit.code
    except Trap as trap:
        print(f"Error: {_lines(trap)}", file=sys.stderr)
        return EXIT_TRAP
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader has gone: nobody to tell
        return EXIT_ERROR
    except (BrolgaError, OSError, MemoryError) as error:
        print(f"Error: {_message(error)}", file=sys.stderr)
        return EXIT_ERROR


def _command(options: argparse.Namespace) -> int:
    # Each command imports what it alone needs.
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


def _lines(error: BaseException) -> str:
    """The message as it is, but for what is not to be printed."""
    return "\n".join(printable(line) for line in str(error).split("\n"))


def _message(error: BaseException) -> str:
    """One line, unless the lines of a text are shown."""
    if isinstance(error, TextError):
        return _lines(error)
    if isinstance(error, OSError) and error.filename is not None:
        return printable(f"{os.fsdecode(error.filename)}: {error.strerror}")
    text = printable(" ".join(str(error).split())) or type(error).__name__
    return text if isinstance(error, WasmtimeError) else f"{type(error).__name__}: {text}"


def _end_of_options(parser: argparse.ArgumentParser, words: list[str]) -> int:
    """The place after FILE in the words of `brolga run`: all that follows is the program's, whatever it looks like. argparse has nothing
    for that: a `--` among it would be taken out."""
    commands = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    takes_value = {
        name for action in commands.choices["run"]._actions if action.nargs is None for name in action.option_strings
    }
    place = 1
    while place < len(words):
        word = words[place]
        place += 1
        if word == "--":
            return place + 1
        if word == "-" or not word.startswith("-"):
            return place
        if word in takes_value:
            place += 1
    return len(words)


class _HelpFormatter(argparse.HelpFormatter):
    """Asks for the terminal's width itself: argparse imports much for that, and makes a formatter for every argument."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


def _columns() -> int:
    try:
        return int(os.environ["COLUMNS"])
    except (KeyError, ValueError):
        try:
            return os.get_terminal_size(1).columns or 80
        except OSError:
            return 80


def _add_run(parser: argparse.ArgumentParser) -> None:
    add_options(parser)
    parser.add_argument("--argv0", metavar="NAME", help="what the program is told to be called")
    parser.add_argument(
        "--preload",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="module whose exports can be imported from NAME",
    )
    parser.add_argument("--env", action="append", default=[], metavar="NAME[=VALUE]", help="set or pass on a variable")
    parser.add_argument(
        "--dir", action="append", default=[], metavar="HOST[::GUEST]", help="give access to a directory"
    )
    parser.add_argument("--invoke", metavar="NAME", help="call this exported function and print its results")
    parser.add_argument("--profile", action="store_true", help="tell in the end which functions took the time")
    parser.add_argument("--perf-map", action="store_true", help="tell `perf` the names of functions")
    parser.add_argument(
        "--profile-output", metavar="PROFILE", help="take a profile and write it here, for `brolga objdump --profile`"
    )
    parser.add_argument("file", metavar="FILE", help="module: binary, text or compiled; - for standard input")
    parser.add_argument("args", nargs="*", metavar="ARGS", help="its arguments")


def _add_compile(parser: argparse.ArgumentParser) -> None:
    add_options(parser)
    parser.add_argument("-o", "--output", metavar="FILE", help="where to (default: FILE with the suffix .bwasm)")
    parser.add_argument("file", metavar="FILE", help="module, binary or text; - for standard input")


def _add_cache(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--prune", nargs="?", const="", metavar="SIZE", help="shrink it to this size, or to its limit")
    parser.add_argument("--clear", action="store_true", help="remove everything")
    parser.add_argument("--config", metavar="FILE", help="the configuration that `-C cache-config=FILE` names")


def _add_wast(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--skip-unsupported", action="store_true", help="skip scripts that need what is not implemented"
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="run N scripts at a time")
    parser.add_argument("files", nargs="+", metavar="FILE", help="scripts")


def _add_objdump(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--func", metavar="NAME", help="only the function with this name or index")
    parser.add_argument(
        "--profile", metavar="PROFILE", help="show the share of each operator, from `brolga run --profile-output`"
    )
    parser.add_argument("file", metavar="FILE", help="module, binary or text")


_COMMANDS: Final = {
    "run": (_add_run, "run a WASI program, or one function of a module"),
    "compile": (_add_compile, "compile a module, to be run later"),
    "cache": (_add_cache, "show, prune or clear the cache of compiled code"),
    "wast": (_add_wast, "run scripts of the WebAssembly test suite"),
    "objdump": (_add_objdump, "show wasm, IR and machine code by function"),
}


def _parser(first: str) -> argparse.ArgumentParser:
    """The parser for command lines that begin with this word: if it is a command, the others are left out."""
    parser = argparse.ArgumentParser(
        prog="brolga", description="Compile and run WebAssembly modules.", formatter_class=_HelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"brolga {VERSION} ({BUILD})")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (add_arguments, help) in _COMMANDS.items():
        if first in _COMMANDS and name != first:
            continue
        command = commands.add_parser(name, help=help, formatter_class=_HelpFormatter)
        if name != "cache":
            command.add_argument("--platform", choices=("linux", "minimal"), help="platform layer to run on")
            command.add_argument(
                "--eager", action="store_true", help="compile modules as a whole, not function by function"
            )
            add_optimize_option(command)
        add_arguments(command)
    return parser
