"""Phase timers of the compiler."""

from __future__ import annotations

import os
import time
from typing import Final, final

PHASES: Final = ("decode", "validate", "translate", "passes", "lower", "allocate", "emit")
DECODE: Final = 0
VALIDATE: Final = 1
TRANSLATE: Final = 2
PASSES: Final = 3
LOWER: Final = 4
ALLOCATE: Final = 5
EMIT: Final = 6


@final
class PhaseTimes:
    """Nanoseconds of the thread's CPU time by phase, which other processes do not disturb, and what they were spent on."""

    __slots__ = ("nanoseconds", "functions", "operators", "code_bytes", "_last", "_wanted")

    def __init__(self, wanted: bool = True) -> None:
        """Without `wanted` no time is taken: asking for it is a system call, and small functions compile in a millisecond."""
        self._wanted = wanted
        self.nanoseconds = [0] * len(PHASES)
        self.functions = 0
        self.operators = 0  # wasm operators, where the caller counts them
        self.code_bytes = 0
        self._last = 0

    def start(self) -> None:
        """The time from here to the next `end` belongs to that phase."""
        if self._wanted:
            self._last = time.thread_time_ns()

    def end(self, phase: int) -> None:
        """The phase has ended; the next one starts."""
        if self._wanted:
            now = time.thread_time_ns()
            self.nanoseconds[phase] += now - self._last
            self._last = now

    def report(self) -> str:
        """A line for each phase and the sum: milliseconds, share, microseconds a function."""
        total = sum(self.nanoseconds) or 1
        lines = [f"brolga: {self.functions} functions compiled to {self.code_bytes} bytes"]
        for name, spent in [*zip(PHASES, self.nanoseconds, strict=True), ("total", total)]:
            per_function = spent / 1e3 / max(self.functions, 1)
            lines.append(f"  {name:10} {spent / 1e6:10.1f} ms {spent / total:6.1%} {per_function:10.1f} us a function")
        return "\n".join(lines)


TIMES: Final = PhaseTimes(os.environ.get("BROLGA_TIME", "") not in ("", "0"))
