"""What several commands share: the configuration by their options, and the groups `-C`, `-O` and `-W`, whose words are those of
`wasmtime run`, but for the names of transformations in `-O`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from threading import TIMEOUT_MAX
from typing import Final

from brolga.ir.errors import WasmtimeError
from brolga.jit.transformations import BY_NAME, TRANSFORMATIONS

from .cache import parse_size
from .config import Config
from .fuel import MOST_FUEL
from .store import Store

EXIT_ERROR: Final = 1

CODEGEN_HELP: Final = "cache[=y|n], cache-config=FILE"
OPTIMIZE_HELP: Final = "opt-level=0|1|2, or a transformation such as lea[=y|n]; help lists them"
WASM_HELP: Final = (
    "timeout=TIME (2s, 100ms), fuel=N, max-wasm-stack=BYTES, max-memory-size=BYTES, max-instances=N, max-memories=N, max-tables=N, "
    "max-table-elements=N, or a feature such as bulk-memory[=y|n]"
)

_LIMITS: Final = {
    "max-memory-size": "memory_size",
    "max-table-elements": "table_elements",
    "max-instances": "instances",
    "max-tables": "tables",
    "max-memories": "memories",
}
_NANOSECONDS: Final = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


def config(options: argparse.Namespace) -> Config:
    """The configuration that the options `--platform`, `--eager` and `-O` ask for."""
    result = Config()
    if options.platform is not None:
        result.platform = options.platform
    result.eager = options.eager
    off: set[str] = set()
    for name, value in _words(options.optimize):
        name = name.replace("-", "_")
        if name == "opt_level":
            if value not in ("0", "1", "2"):
                raise WasmtimeError(f"`opt-level` is 0, 1 or 2, not {value or 'nothing'}")
            result.cranelift_opt_level = "speed" if int(value) else "none"
        elif name not in BY_NAME:
            raise WasmtimeError(f"unknown -O option: {name}")
        elif _flag(name, value):
            off.discard(name)
        else:
            off.add(name)
    result.optimizations_off = off
    return result


class _ListTransformations(argparse.Action):
    """`-O help`; else as `append`."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        if values == "help":
            for row in TRANSFORMATIONS:
                print(f"  {row.name:20}{row.what}")
            parser.exit()
        setattr(namespace, self.dest, [*getattr(namespace, self.dest), values])


def add_optimize_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-O",
        action=_ListTransformations,
        default=[],
        dest="optimize",
        metavar="OPTION,...",
        help=OPTIMIZE_HELP,
    )


def _words(groups: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(name, value) of each setting; the value is empty if there is none."""
    for group in groups:
        for word in group.split(","):
            name, _, value = word.partition("=")
            yield name.strip().replace("_", "-"), value.strip()


def _flag(name: str, value: str) -> bool:
    if value in ("", "y", "yes", "true"):
        return True
    if value in ("n", "no", "false"):
        return False
    raise WasmtimeError(f"`{name}` is y or n, not {value}")


def _number(name: str, value: str) -> int:
    if not value:
        raise WasmtimeError(f"`{name}` needs a value")
    return parse_size(value)


def _units(value: str) -> int:
    """A number of 64 bits."""
    if not re.fullmatch("[0-9]{1,20}", value) or int(value) > MOST_FUEL:
        raise WasmtimeError(f"not a number: {value}")
    return int(value)


def parse_time(text: str) -> float:
    """Seconds of `2`, `2s`, `1.5s`, `1m 30s`, `100ms`."""
    seconds = _seconds(text)
    if seconds > TIMEOUT_MAX:
        raise WasmtimeError(f"the time is too long: {text}")
    return seconds


def _seconds(text: str) -> float:
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = re.findall(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)\s*", text)
    if not parts or "".join(number + unit for number, unit in parts) != re.sub(r"\s", "", text):
        raise WasmtimeError(f"not a time: {text}")
    return sum(float(number) * _NANOSECONDS[unit] for number, unit in parts) / 1e9


class WasmOptions:
    """What `-W` asks for. `timeout`: seconds that the program may run, 0 for ever."""

    __slots__ = ("_features", "_fuel", "_limits", "_max_stack", "timeout")

    def __init__(self, groups: Sequence[str]) -> None:
        self.timeout = 0.0
        self._max_stack = -1  # as it comes
        self._fuel = -1  # no accounting
        self._limits: dict[str, int] = {}
        self._features: list[tuple[str, str, bool]] = []
        for name, value in _words(groups):
            if name == "timeout":
                self.timeout = parse_time(value)
                if not self.timeout:
                    raise WasmtimeError("the timeout is zero")
            elif name == "fuel":
                self._fuel = _units(value)
            elif name == "max-wasm-stack":
                self._max_stack = _number(name, value)
            elif name in _LIMITS:
                self._limits[_LIMITS[name]] = _number(name, value)
            else:
                self._features.append((name, _option(name), _flag(name, value)))

    def configure(self, config: Config) -> None:
        """Set the options that are the engine's. What it does not have is refused."""
        if self._max_stack >= 0:
            config.max_wasm_stack = self._max_stack
        if self._fuel >= 0:
            config.consume_fuel = True
        if self.timeout:
            config.epoch_interruption = True
        for name, option, value in self._features:
            try:
                setattr(config, option, value)
            except WasmtimeError as error:
                raise WasmtimeError(f"-W {name}: {error}") from error

    def limit(self, store: Store) -> None:
        """Set the options that are the store's."""
        if self._limits:
            store.set_limits(**self._limits)
        if self._fuel >= 0:
            store.set_fuel(self._fuel)
        if self.timeout:
            store.set_epoch_deadline(1)


def _option(name: str) -> str:
    """The attribute of `Config` for a feature."""
    words = name.replace("-", "_")
    for option in (f"wasm_{words}", words, f"cranelift_{words}"):
        if isinstance(vars(Config).get(option), property) and option not in ("cache", "eager", "platform", "target"):
            return option
    raise WasmtimeError(f"unknown -W option: {name}")


def set_cache(config: Config, groups: Sequence[str]) -> None:
    """Use the user's cache, unless `-C` says otherwise."""
    enabled: bool | str = True
    for name, value in _words(groups):
        if name == "cache":
            enabled = _flag(name, value) and enabled
        elif name == "cache-config":
            enabled = value
        else:
            raise WasmtimeError(f"unknown -C option: {name}")
    if enabled is not False:
        config.cache = enabled


def add_options(parser: argparse.ArgumentParser) -> None:
    """The two groups."""
    parser.add_argument("-C", action="append", default=[], dest="codegen", metavar="OPTION,...", help=CODEGEN_HELP)
    parser.add_argument("-W", action="append", default=[], dest="wasm", metavar="OPTION,...", help=WASM_HELP)
