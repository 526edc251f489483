"""`brolga wast`: scripts of the test suite, a line each."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from functools import partial

from .cli_options import EXIT_ERROR, config
from .wast import ScriptResult, run_script

_FAILURES_SHOWN = 20


def wast(options: argparse.Namespace) -> int:
    """Run the scripts; status 1 if a command failed."""
    results: list[ScriptResult] = []
    for result in _results(options):
        print(result.summary(), flush=True)
        for line, message in result.failures[:_FAILURES_SHOWN]:
            print(f"  {result.name}:{line}: {message}", file=sys.stderr)
        if len(result.failures) > _FAILURES_SHOWN:
            print(f"  {result.name}: and {len(result.failures) - _FAILURES_SHOWN} more", file=sys.stderr)
        results.append(result)
    judged = sum(result.judged_by_tools for result in results)
    if judged:
        print(f"{judged} malformed texts were judged by wasm-tools")
    passed, failed, skipped = (
        sum(result.passed for result in results),
        sum(result.failed for result in results),
        sum(result.skipped for result in results),
    )
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return EXIT_ERROR if failed else 0


def _run(path: str, options: argparse.Namespace) -> ScriptResult:
    return run_script(path, config(options), options.skip_unsupported)


def _results(options: argparse.Namespace) -> Iterator[ScriptResult]:
    one = partial(_run, options=options)
    if options.jobs <= 1:
        yield from map(one, options.files)
        return
    from concurrent.futures import ProcessPoolExecutor  # slow to import

    with ProcessPoolExecutor(options.jobs) as pool:
        yield from pool.map(one, options.files)
