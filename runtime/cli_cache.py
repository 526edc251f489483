"""`brolga cache`: what is in the cache of compiled code."""

from __future__ import annotations

import argparse

from .cache import DEFAULT_LIMIT, CodeCache, default_directory, parse_size, read_configuration


def cache(options: argparse.Namespace) -> int:
    """Show, prune or clear."""
    place = read_configuration(options.config) if options.config else CodeCache(default_directory(), DEFAULT_LIMIT)
    if place is None:
        print("the cache is switched off")
        return 0
    if options.clear:
        print(f"{_modules(place.clear())} removed")
    elif options.prune is not None:
        print(f"{_modules(place.prune(parse_size(options.prune) if options.prune else place.limit))} removed")
    entries = place.entries()
    size = sum(entry.size for entry in entries)
    print(f"{place.directory}: {_modules(len(entries))}, {_size(size)} of at most {_size(place.limit)}")
    return 0


def _modules(count: int) -> str:
    return "1 module" if count == 1 else f"{count} modules"


def _size(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"
