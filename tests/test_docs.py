"""The examples of the documentation do what it says."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from brolga.jit.transformations import TRANSFORMATIONS

DOCS: Final = Path(__file__).resolve().parent.parent / "docs"

RUN: Final = """
import doctest, sys
result = doctest.testfile(sys.argv[1], module_relative=False)
print(result.failed, result.attempted)
"""


def test_transformations_are_those_of_the_table() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|", (DOCS / "transformations.md").read_text(), re.MULTILINE)
    assert [name for name, _ in rows] == [row.name for row in TRANSFORMATIONS]


def test_embedding() -> None:
    """In a process of its own, in which Brolga may take the place of wasmtime."""
    path = DOCS / "embedding.md"
    examples = doctest.DocTestParser().get_examples(path.read_text())
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(path)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "BROLGA_VERIFY": "1"},
    )
    assert done.stdout == f"0 {len(examples)}\n", done.stdout
    assert len(examples) > 30
