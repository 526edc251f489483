"""The modules of the official test suite, converted once in a test run.

The suite stands beside the repository, or where the environment variable WASM_TESTSUITE says; the list of files
beside it in `testsuite-levels`.
"""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, Final

from brolga.runtime.text import wasm_tools

ROOT: Final = Path(__file__).resolve().parents[3]
SUITE: Final = Path(os.environ.get("WASM_TESTSUITE", ROOT.parent / "shared" / "testsuite"))
LIST: Final = SUITE.parent / "testsuite-levels" / "scalar.txt"


@cache
def script_names() -> list[str]:
    """Names of the scripts, [] if the suite is not there."""
    if not SUITE.is_dir() or not LIST.is_file():
        return []
    return LIST.read_text().split()


@cache
def commands(script: str, directory: Path) -> list[dict[str, Any]]:
    """The commands of a script, with the bytes of their modules as "bytes" where there are any."""
    target = directory / script
    target.mkdir(parents=True)
    output = target / "script.json"
    command = [wasm_tools(), "json-from-wast", str(SUITE / script), "-o", str(output), "--wasm-dir", str(target)]
    subprocess.run(command, check=True)
    found: list[dict[str, Any]] = json.loads(output.read_text())["commands"]
    for entry in found:
        file = str(entry.get("binary_filename", entry.get("filename", "")))
        if file.endswith(".wasm"):
            entry["bytes"] = (target / file).read_bytes()
    return found
