"""Where a program spends its time: by function, and by operator of wasm.

    with Profile() as profile:
        function(store)
    print(profile.report())

A profile is a sample of the processor time of the whole process, Python included, so what is not in wasm shows as well.
"""

from __future__ import annotations

import ctypes
import json
from collections import Counter
from typing import Final, final

from brolga.ir.errors import WasmtimeError
from brolga.jit.wasm import types as wasm

from .compilation import Compilation
from .engine import Engine
from .machine.code import find_code
from .machine.sampling import sampler
from .machine.traps import frames_of

INTERVAL: Final = 0.001  # seconds of processor time between samples
_MOST_FUNCTIONS: Final = 30  # in a report


@final
class FunctionProfile:
    """Samples in one function, wherever its body was inlined too: `total`, and `operators` by the offset of the operator in the module's bytes (-1: of none)."""

    __slots__ = ("decoded", "index", "operators", "total")

    def __init__(self, decoded: wasm.Module, index: int) -> None:
        self.decoded = decoded
        self.index = index
        self.total = 0
        self.operators: Counter[int] = Counter()

    @property
    def name(self) -> str:
        """As in backtraces."""
        return self.decoded.func_name(self.index)


# Processors that do not give up a division in the middle (Intel's) let the signal come when it has ended: at the next instruction, which
# takes no time worth speaking of. Its last bytes are the opcode and the register.
_DIVISION_SIZE: Final = 2


def _is_division(code: bytes) -> bool:
    """Whether these bytes before an instruction are, as good as surely, the end of `div` or `idiv`."""
    return code[0] == 0xF7 and code[1] >= 0xF0


@final
class Profile:
    """A profile, taken while it is open as a context manager. Its results are there afterwards:

    functions  `FunctionProfile`s, those with the most samples first
    elsewhere  samples outside of wasm: Python, host functions, the compiler
    lost       samples for which there was no room, or whose module is gone
    """

    __slots__ = ("_interval", "_sampler", "elsewhere", "functions", "lost")

    def __init__(self, engine: Engine | None = None, interval: float = INTERVAL) -> None:
        """Of the code that runs on the engine's platform. Raises WasmtimeError where that cannot be done."""
        if not 0 < interval <= 1:
            raise ValueError("the interval is between 0 and 1 seconds")
        try:
            self._sampler = sampler((engine or Engine()).machine)
        except RuntimeError as error:
            raise WasmtimeError(str(error)) from None
        self._interval = interval
        self.functions: list[FunctionProfile] = []
        self.elsewhere = 0
        self.lost = 0

    def __enter__(self) -> Profile:
        self._sampler.start(self._interval)
        return self

    def __exit__(self, *exception: object) -> None:
        addresses, self.lost = self._sampler.stop()
        self._resolve(Counter(addresses))

    def _resolve(self, addresses: Counter[int]) -> None:
        self.elsewhere = 0
        found: dict[tuple[int, int], FunctionProfile] = {}
        for address, count in addresses.items():
            place = find_code(address)
            if place is None:
                self.elsewhere += count
                continue
            space, function, index, offset = place
            owner = space.owner
            if not isinstance(owner, Compilation):
                self.lost += count
                continue
            if offset >= _DIVISION_SIZE and _is_division(ctypes.string_at(address - _DIVISION_SIZE, _DIVISION_SIZE)):
                offset -= 1
            innermost = frames_of([(owner, (function, index, offset, -1))])[0]
            key = (id(owner), innermost.func)
            profile = found.get(key)
            if profile is None:
                profile = found[key] = FunctionProfile(owner.decoded, innermost.func)
            profile.total += count
            profile.operators[innermost.offset] += count
        self.functions = sorted(found.values(), key=lambda profile: (-profile.total, profile.index))

    @property
    def samples(self) -> int:
        """How many were taken."""
        return sum(profile.total for profile in self.functions) + self.elsewhere + self.lost

    def report(self) -> str:
        """A table of the functions."""
        all = max(self.samples, 1)
        lines = ["  self  samples  function"]
        rows = [(profile.total, f"{profile.index} {profile.name}") for profile in self.functions[:_MOST_FUNCTIONS]]
        rest = sum(profile.total for profile in self.functions[_MOST_FUNCTIONS:])
        if rest:
            rows.append((rest, f"({len(self.functions) - _MOST_FUNCTIONS} other functions)"))
        rows.append((self.elsewhere, "(outside of wasm: Python, host functions, the compiler)"))
        if self.lost:
            rows.append((self.lost, "(lost)"))
        lines += [f"{100 * count / all:5.1f}%  {count:7}  {name}" for count, name in rows]
        return "\n".join(lines)

    def to_json(self, decoded: wasm.Module) -> str:
        """The functions of one module, for `brolga objdump --profile`."""
        functions = {
            str(profile.index): {"name": profile.name, "operators": {str(at): n for at, n in profile.operators.items()}}
            for profile in self.functions
            if profile.decoded is decoded
        }
        return json.dumps({"interval": self._interval, "samples": self.samples, "functions": functions}, indent=1)


def operator_shares(text: str) -> dict[int, float]:
    """From what `to_json` made: the share of all samples that each operator has, by its offset in the module's bytes."""
    try:
        report = json.loads(text)
        samples = max(int(report["samples"]), 1)
        shares: dict[int, float] = {}
        for function in report["functions"].values():
            for offset, count in function["operators"].items():
                shares[int(offset)] = int(count) / samples
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WasmtimeError(f"not a profile: {error}") from None
    shares.pop(-1, None)
    return shares
