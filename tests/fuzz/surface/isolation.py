"""Each sequence in a process of its own, which is forked from this one: how it ended, what it did last, what it left behind."""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from . import execution, health
from .execution import Execution
from .judgement import untyped, where
from .steps import Sequence, Step
from .world import World

HANG_SECONDS: Final = 10.0  # without a new step, on a machine with nothing else to do
MEMORY_LIMIT: Final = 800 << 20  # bytes of data of a process
POLL_SECONDS: Final = 0.01


@dataclass
class Outcome:
    """`failures` is empty if all was well. `steps` are what was done, for a replay."""

    sequence: Sequence
    steps: list[Step]
    failures: list[str]
    report: str = ""  # what stands on standard error: a crash's traceback
    done: Counter[str] = field(default_factory=Counter)

    @property
    def signature(self) -> str:
        """By which a failure is known again: without names and numbers."""
        first = (self.failures or ["well"])[0]
        place = re.search(r"(/[a-z_/]+\.py):\d+ (\w+)", first)
        if place is not None and first.startswith(("untyped", "unraisable", "sick")):
            return f"{' '.join(first.split()[:2]).rstrip(':')} in {place[1]} {place[2]}"
        return re.sub(r"s?\d[\w.]*|'[^']*'", "*", first)[:160]

    def replayed(self) -> Sequence:
        return replace(self.sequence, steps=self.steps)


def prepare() -> None:
    """What all processes need, made once. Nothing of the machine starts in this process."""
    # A second, which would be each one's first; and imports of CPython's keep their locks when allocations fail.
    for name in ("jit.compile", "runtime.machine.fibers", "runtime.machine.timeouts", "runtime.wasi.functions"):
        importlib.import_module(f"brolga.{name}")
    execution.prepare()
    health.BINARY = execution.BINARIES["traps"]


# --- The process of a sequence --------------------------------------------------------------------------------------------


def _serve(sequence: Sequence, directory: Path) -> None:
    """In the child."""
    os.environ["BROLGA_PLATFORM"] = sequence.platform
    os.environ["BROLGA_WITHOUT"] = sequence.without
    os.environ["XDG_CACHE_HOME"] = str(directory / "cache")
    os.chdir(directory)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_LIMIT, MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(directory / "stderr", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666), 2)
    faulthandler.enable(2)
    warnings.simplefilter("ignore")
    (directory / "directory").mkdir()
    (directory / "directory" / "file").write_text("contents")
    (directory / "wasm").write_bytes(execution.BINARIES["memory"])
    log = os.open(directory / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    problems = health.of_process("linux") + health.of_process("minimal")  # each has a thread from now on
    objects, before = health.owned_objects(), health.Figures.now()
    world = World(directory)
    done = _run(sequence, world, lambda step: _write(log, asdict(step)), problems)
    world.__dict__.clear()
    if "memory" not in sequence.modes:  # CPython itself loses references when allocations fail
        problems += _left_behind(objects, before)
    (directory / "result").write_text(json.dumps([problems, done]))


def _run(sequence: Sequence, world: World, log: Callable[[Step], None], problems: list[str]) -> Counter[str]:
    """Do the steps, look at what they have left, let go of it."""
    run = Execution(sequence, world, log)

    def unraisable(args: Any) -> None:
        _unraisable(run, args.exc_value)

    sys.unraisablehook = threading.excepthook = unraisable
    run.run()
    if not world.patched:
        problems += health.of_world(world) + health.of_process()
    world.close()
    sys.unraisablehook, threading.excepthook = sys.__unraisablehook__, threading.__excepthook__
    problems[:0] = world.failures
    return run.done


def _write(log: int, data: Any) -> None:
    os.write(log, json.dumps(data).encode() + b"\n")


def _unraisable(run: Execution, error: BaseException | None) -> None:
    """An exception that nobody could be told: of the package, if it was raised there."""
    if error is None:
        return
    text = where(error)
    if text and not run.world.patched and untyped(error, Step("0.0", "unraisable"), run.world, run.sequence):
        run.world.fail(f"unraisable {type(error).__name__}: {error} {text}")


def _left_behind(objects: Counter[str], before: health.Figures) -> list[str]:
    for patience in (0.0, 0.05, 0.5, 2.0):
        time.sleep(patience)
        after = health.owned_objects()
        problems = [f"leaked {name}: {after[name] - objects[name]}" for name in after if after[name] > objects[name]]
        problems += health.Figures.now().grown_since(before)
        if not problems:
            break
    return problems


# --- The process that watches ---------------------------------------------------------------------------------------------


@dataclass
class _Child:
    sequence: Sequence
    pid: int
    directory: Path
    size: int = 0  # of the log
    since: float = field(default_factory=time.monotonic)


def _start(sequence: Sequence) -> _Child:
    directory = Path(tempfile.mkdtemp(prefix="api-"))
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setpgid(0, 0)
            _serve(sequence, directory)
            status = 0
        except BaseException:  # noqa: BLE001
            traceback.print_exc()
        finally:
            os._exit(status)
    return _Child(sequence, pid, directory)


def _look(child: _Child, seconds: float) -> Outcome | None:
    """How it ended, if it did."""
    pid, status = os.waitpid(child.pid, os.WNOHANG)
    hangs = False
    if pid == 0:
        now = time.monotonic()
        try:
            size = os.stat(child.directory / "log").st_size
        except OSError:
            size = 0
        if size != child.size:
            child.size, child.since = size, now
        if now - child.since < seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)):
            return None
        hangs = True
        os.kill(child.pid, signal.SIGABRT)  # faulthandler says where
        end = now + 2
        while pid == 0 and time.monotonic() < end:
            time.sleep(POLL_SECONDS)
            pid, status = os.waitpid(child.pid, os.WNOHANG)
        if pid == 0:
            os.kill(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)
    return _outcome(child, os.waitstatus_to_exitcode(status), hangs)


def _outcome(child: _Child, status: int, hangs: bool) -> Outcome:
    directory = child.directory
    try:
        os.killpg(child.pid, signal.SIGKILL)  # children of it
    except (ProcessLookupError, PermissionError):
        pass
    log = directory / "log"
    steps = [Step(**json.loads(line)) for line in log.read_bytes().splitlines()] if log.exists() else []
    report = (directory / "stderr").read_text("utf-8", "replace") if (directory / "stderr").exists() else ""
    failures: list[str] = []
    done: Counter[str] = Counter()
    if hangs:
        failures = [f"hang in {_blamed(report)}"]
    elif status < 0:
        failures = [f"crash: {signal.Signals(-status).name} in {_blamed(report)}"]
    elif status or not (directory / "result").exists():
        failures = [f"exit: status {status}"]
    else:
        failures, counts = json.loads((directory / "result").read_text())
        done = Counter(counts)
    Path(f"/tmp/perf-{child.pid}.map").unlink(missing_ok=True)
    shutil.rmtree(directory, ignore_errors=True)
    return Outcome(child.sequence, steps, failures, report[-20_000:], done)


def _blamed(report: str) -> str:
    """The innermost frame of the thread that faulthandler names first."""
    current = (
        report[report.rfind("Current thread") :] if "Current thread" in report else report[report.find("Thread 0x") :]
    )
    lines = [line.strip() for line in current.splitlines() if line.strip().startswith("File ")]
    inner = [line for line in lines if "/brolga/" in line] or lines
    return inner[0].replace("File ", "").split("/brolga/")[-1] if inner else "?"


def run_all(sequences: Iterable[Sequence], workers: int, seconds: float = HANG_SECONDS) -> Iterator[Outcome]:
    """Outcomes in the order in which they come."""
    source = iter(sequences)
    children: list[_Child] = []
    exhausted = False
    try:
        while True:
            while len(children) < workers and not exhausted:
                sequence = next(source, None)
                if sequence is None:
                    exhausted = True
                else:
                    children.append(_start(sequence))
            if not children:
                return
            time.sleep(POLL_SECONDS)
            for child in list(children):
                outcome = _look(child, seconds)
                if outcome is not None:
                    children.remove(child)
                    yield outcome
    finally:
        for child in children:
            os.kill(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)
            shutil.rmtree(child.directory, ignore_errors=True)
