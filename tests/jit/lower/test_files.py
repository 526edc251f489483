"""The functions of the golden files tests/filetests/lower, run: machine code against the interpreter, on every platform."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from brolga.ir.interpreter import StepLimitExceeded

from ...ir.functions import EDGES
from ..native import ALL_FEATURES, PLATFORMS, Native, Program, settings_for, split_functions

FILES = sorted((Path(__file__).resolve().parents[2] / "filetests" / "lower").glob("*.ir"))
ROWS = 40


def read(path: Path) -> Program:
    """The program of a file. Functions find in their context, from offset 320: the code of function 0, that of `toucher`, the other
    context, this context, the other one again."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith(";")]
    program = Program(split_functions("\n".join(lines)))
    toucher = [index for index, function in program.functions.items() if function.name == "toucher"]
    program.fields = {336: ("other", 0), 344: ("own", 0), 352: ("other", 0), 320: ("code", 0)}
    if toucher:
        program.fields[328] = ("code", toucher[0])
    return program


@pytest.mark.parametrize("features", [ALL_FEATURES, frozenset[str]()], ids=["all", "none"])
@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_file(running: Native, path: Path, platform: str, features: frozenset[str]) -> None:
    program = read(path)
    program.load(running, settings_for(platform, features))
    rng = random.Random(path.stem)
    for index, function in program.functions.items():
        params = function.signature.params
        compared = 0
        for _ in range(ROWS):
            args = [rng.choice(EDGES[type]) if rng.random() < 0.7 else rng.randrange(200) for type in params]
            try:
                expected = program.interpret(running, index, args)
            except StepLimitExceeded:
                continue
            assert program.run(running, index, args) == expected, f"{function.name} {[hex(arg) for arg in args]}"
            compared += 1
        assert compared > 0
