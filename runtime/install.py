"""`install_as_wasmtime`: code that imports the PyPI package `wasmtime` gets Brolga."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from .config import cache_by_default

if TYPE_CHECKING:
    from importlib.metadata import Distribution

PACKAGE: Final = "wasmtime"
COMPATIBLE_VERSION: Final = "50.0.0"  # of the package whose API this is

_METADATA: Final = f"""Metadata-Version: 2.1
Name: {PACKAGE}
Version: {COMPATIBLE_VERSION}
Summary: The API of the package wasmtime, by Brolga
"""


def _distribution() -> Distribution:
    import importlib.metadata  # slow to import, and rarely wanted

    class WasmtimeDistribution(importlib.metadata.Distribution):
        def read_text(self, filename: str) -> str | None:
            return _METADATA if filename in ("METADATA", "PKG-INFO") else None

        def locate_file(self, path: Any) -> Any:
            raise FileNotFoundError(path)

    return WasmtimeDistribution()


class MetadataFinder:
    """Answers look-ups in `importlib.metadata`, and nothing else."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        return None

    def find_distributions(self, context: Any = None) -> Iterable[Distribution]:
        name = None if context is None else context.name
        return [_distribution()] if name is None or re.sub(r"[-_.]+", "-", name).lower() == PACKAGE else []


_finder: Final = MetadataFinder()


def install_as_wasmtime(*, cache: bool = False) -> None:
    """From now on `import wasmtime` gives this package, and `importlib.metadata.version("wasmtime")` the version that it is
    compatible with, whether or not the package `wasmtime` is installed. Modules that have imported it before keep it.

    With `cache`, engines keep compiled code on disk where the program asks for no cache itself."""
    if cache:
        cache_by_default()
    sys.modules[PACKAGE] = sys.modules[__name__.partition(".")[0]]
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
