"""Programs of users (`tests/typing`): the type checkers have nothing to say, and the types are true."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

import brolga

ROOT: Final = Path(__file__).resolve().parent.parent
PROGRAMS: Final = sorted((ROOT / "tests" / "typing").glob("*.py"))
PACKAGE: Final = Path(brolga.__file__).parent

# What must be found, so that the checkers cannot be silent because they do not see the types.
WRONG: Final = """
import brolga
store: int = brolga.Store()
brolga.Module(brolga.Engine())
brolga.load(1)
brolga.Func(store, 1, print)
"""


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_programs_run(program: Path) -> None:
    importlib.import_module(f"tests.typing.{program.stem}").main()


def mypy(tmp_path: Path, *files: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", str(tmp_path / "cache")]
    # The package is where this process has it; an installed one is found by itself, and mypy wants it not to be named.
    environment = dict(os.environ)
    if PACKAGE.parent.name != "site-packages":
        environment["MYPYPATH"] = str(PACKAGE.parent)
    done = subprocess.run(
        [*command, *map(str, files)], check=False, capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    return done.returncode, done.stdout + done.stderr


def test_mypy(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    assert mypy(tmp_path, *PROGRAMS) == (0, f"Success: no issues found in {len(PROGRAMS)} source files\n")
    wrong = tmp_path / "wrong.py"
    wrong.write_text(WRONG)
    lines = [line for line in mypy(tmp_path, wrong)[1].splitlines() if "error:" in line]
    assert sorted({int(line.split(":")[1]) for line in lines}) == [3, 4, 5, 6]


def pyright(tmp_path: Path, *files: Path) -> tuple[int, list[tuple[str, int, str]]]:
    """Number of checked files, and the errors: file, line, message."""
    project = tmp_path / f"project{len(files)}"
    project.mkdir()
    for file in files:
        shutil.copy(file, project)
    configuration = {"extraPaths": [str(PACKAGE.parent)], "typeCheckingMode": "strict"}
    (project / "pyrightconfig.json").write_text(json.dumps(configuration))
    done = subprocess.run(
        ["pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(project)],
        check=False,
        capture_output=True,
        text=True,
        cwd=project,
    )
    report = json.loads(done.stdout)
    errors = [
        (Path(found["file"]).name, found["range"]["start"]["line"] + 1, found["message"])
        for found in report["generalDiagnostics"]
        if found["severity"] == "error"
    ]
    return report["summary"]["filesAnalyzed"], errors


@pytest.mark.skipif(shutil.which("pyright") is None, reason="pyright is not installed")
def test_pyright(tmp_path: Path) -> None:
    assert pyright(tmp_path, *PROGRAMS) == (len(PROGRAMS), [])
    wrong = tmp_path / "wrong.py"
    wrong.write_text(WRONG)
    assert sorted({line for _, line, _ in pyright(tmp_path, wrong)[1]}) == [3, 4, 5, 6]
