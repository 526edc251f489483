"""The functions of the golden files tests/filetests/lower, run: machine code against the interpreter, on every platform; those of
tests/filetests/transformations with the transformation and without it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from brolga.ir.interpreter import StepLimitExceeded
from brolga.jit.settings import Settings
from brolga.jit.transformations import mask_of

from ...ir.functions import EDGES
from ..native import ALL_FEATURES, PLATFORMS, Native, Program, settings_for, split_functions

ROOT = Path(__file__).resolve().parents[2] / "filetests"
FILES = sorted((ROOT / "lower").glob("*.ir"))
TRANSFORMATION_FILES = sorted((ROOT / "transformations").glob("*.ir"))
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
    compare(running, read(path), settings_for(platform, features), path.stem, ROWS, 0.7)


@pytest.mark.parametrize("path", TRANSFORMATION_FILES, ids=[path.stem for path in TRANSFORMATION_FILES])
def test_transformation(running: Native, path: Path) -> None:
    name = path.read_text().split()[3]
    for off in (0, mask_of([name])):
        settings = settings_for("gs")
        settings.off = off
        compare(running, read(path), settings, path.stem, ROWS // 4, 0.3)


def compare(running: Native, program: Program, settings: Settings, seed: str, rows: int, edges: float) -> None:
    """Run the functions and interpret them, with rows of random arguments, of which this share are edge cases."""
    program.load(running, settings)
    rng = random.Random(seed)
    for index, function in program.functions.items():
        params = function.signature.params
        compared = 0
        for _ in range(rows):
            args = [rng.choice(EDGES[type]) if rng.random() < edges else rng.randrange(200) for type in params]
            try:
                expected = program.interpret(running, index, args)
            except StepLimitExceeded:
                continue
            assert program.run(running, index, args) == expected, f"{function.name} {[hex(arg) for arg in args]}"
            compared += 1
        assert compared > 0
