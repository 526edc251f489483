"""Runs a function on many inputs in worker processes, so that a crash or a hang is seen and attributed to its input."""

from __future__ import annotations

import multiprocessing
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Final, Generic, NamedTuple, TypeVar

Input = TypeVar("Input")
_SPAWN: Final = multiprocessing.get_context("spawn")


class Outcome(NamedTuple, Generic[Input]):
    """`failure` is None, or says how the worker died; `report` is what the function returned, "" if it died."""

    input: Input
    report: str
    failure: str | None


def _serve(function: Callable[[Input], str], connection: Connection) -> None:
    while True:
        try:
            item = connection.recv()
        except EOFError:
            return
        try:
            connection.send((function(item), None))
        except Exception:  # noqa: BLE001  any failure is reported
            connection.send(("", traceback.format_exc()))


class _Worker(Generic[Input]):
    def __init__(self, function: Callable[[Input], str]) -> None:
        self.connection, theirs = _SPAWN.Pipe()
        self.process: BaseProcess = _SPAWN.Process(target=_serve, args=(function, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self.item: Input
        self.deadline = 0.0

    def submit(self, item: Input, seconds: float) -> None:
        self.item = item
        self.deadline = time.monotonic() + seconds
        self.connection.send(item)

    def stop(self) -> None:
        self.connection.close()
        if self.process.is_alive():
            self.process.kill()
        self.process.join()


def _death(process: BaseProcess) -> str:
    process.join(5)
    code = process.exitcode
    if code is not None and code < 0:
        return f"crashed with {signal.Signals(-code).name}"
    return f"exited with status {code}"


def run_isolated(
    function: Callable[[Input], str], inputs: Iterable[Input], workers: int, seconds: float
) -> Iterator[Outcome[Input]]:
    """Outcomes in the order in which they come. An input may take `seconds` (the first of a worker ten times as long,
    for imports). `function` must be importable; an exception that it raises is a failure too."""
    source = iter(inputs)
    idle: list[_Worker[Input]] = [_Worker(function) for _ in range(workers)]
    busy: dict[Connection, _Worker[Input]] = {}
    fresh = {id(worker) for worker in idle}
    try:
        while True:
            while idle:
                item = next(source, None)
                if item is None:
                    break
                worker = idle.pop()
                worker.submit(item, seconds * 10 if id(worker) in fresh else seconds)
                fresh.discard(id(worker))
                busy[worker.connection] = worker
            if not busy:
                return
            now = time.monotonic()
            nearest = min(worker.deadline for worker in busy.values())
            ready = wait(list(busy), timeout=max(0.0, nearest - now))
            late = [connection for connection, worker in busy.items() if worker.deadline <= time.monotonic()]
            for connection in ready or late:
                worker = busy.pop(connection)  # type: ignore[arg-type]
                report, failure = "", None
                if connection in ready:
                    try:
                        report, failure = worker.connection.recv()
                    except EOFError:
                        failure = _death(worker.process)
                else:
                    failure = f"no answer within {seconds:g} seconds"
                yield Outcome(worker.item, report, failure)
                if connection in late and connection not in ready or not worker.process.is_alive():
                    worker.stop()
                    worker = _Worker(function)
                    fresh.add(id(worker))
                idle.append(worker)
    finally:
        for worker in [*idle, *busy.values()]:
            worker.stop()
