"""Sequences as plain data, which can be written to a file, replayed, and made shorter.

An argument is a list whose first item says what it is (`arguments.py` makes the object):

    ["value", x]  ["float", text]  ["bytes", hex]  ["list", arguments]  ["ref", label]  ["host", kind, steps]  ["lie", ...]  ...

A label names an object that a step made: "0.5" is the result of step 5 of thread 0, "0.5.add" something that came with it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Final

Argument = list[Any]
THREADS: Final = 3  # in sequences with threads


@dataclass
class Step:
    """One operation: `kind` says how it is done (`operations.py`), `owner` and `name` on what."""

    label: str
    kind: str
    owner: str = ""
    name: str = ""
    target: Argument | None = None
    args: list[Argument] = field(default_factory=list)
    keywords: dict[str, Argument] = field(default_factory=dict)
    disturbance: list[Any] | None = None  # `disturbances.py`
    right: bool = True  # whether all arguments are of the right kind, so that the result is known

    @property
    def thread(self) -> int:
        return int(self.label.split(".")[0])

    def __str__(self) -> str:
        target = show(self.target) if self.target is not None else self.owner
        given = [show(argument) for argument in self.args]
        given += [f"{name}={show(argument)}" for name, argument in self.keywords.items()]
        what = f"{target}.{self.name}" if self.name else target or self.kind
        kind = "" if self.kind in ("method", "static") else f"{self.kind}: "
        under = f"   # under {self.disturbance}" if self.disturbance else ""
        return f"s{self.label} = {kind}{what}({', '.join(given)}){under}"


def show(argument: Argument) -> str:
    """An argument as people read it."""
    what, *rest = argument
    if what == "ref":
        return f"s{rest[0]}"
    if what == "value":
        return repr(rest[0])
    if what in ("list", "tuple"):
        return f"[{', '.join(map(show, rest[0]))}]"
    if what in ("lie", "host"):
        steps = "; ".join(str(Step(**step)) for step in rest[-1])
        return f"<{what} {' '.join(map(str, rest[:-1]))}{': ' + steps if steps else ''}>"
    return f"<{' '.join(map(str, argument))}>"


@dataclass
class Sequence:
    """What one process does. Without `steps` they are chosen as the process goes, from the seed."""

    seed: int
    platform: str = "linux"
    without: str = ""  # for BROLGA_WITHOUT
    modes: list[str] = field(default_factory=list)  # of `disturbances.MODES`
    length: int = 40
    leave_out: list[str] = field(default_factory=list)  # kinds of steps, operations (Class.name), names of errors
    steps: list[Step] | None = None

    def to_text(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_text(cls, text: str) -> Sequence:
        data = json.loads(text)
        if data["steps"] is not None:
            data["steps"] = [Step(**step) for step in data["steps"]]
        return cls(**data)
