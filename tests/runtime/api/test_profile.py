"""Profiles by function and by operator, and names for perf."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from brolga import Config, Engine, Func, Instance, Module, Store, WasmtimeError, wat2wasm
from brolga.runtime import perf_map
from brolga.runtime.profile import Profile, operator_shares

TEXT = """
(module
  (func $spin (export "spin") (param $n i32) (result i32) (local $x i32)
    loop
      local.get $x
      i32.const 3
      i32.add
      i32.const 7
      i32.div_u
      local.set $x
      local.get $n
      i32.const 1
      i32.sub
      local.tee $n
      br_if 0
    end
    local.get $x)
  (func $idle (export "idle") (param i32) (result i32) local.get 0))
"""
LONG = 20_000_000


def spin(engine: Engine, profile: Profile) -> Module:
    """Profile the function until there are samples of it."""
    module = Module(engine, TEXT)
    store = Store(engine)
    exports = Instance(store, module, []).exports(store)
    function, idle = exports["spin"], exports["idle"]
    assert isinstance(function, Func) and isinstance(idle, Func)
    idle(store, 1)
    with profile:
        for _ in range(20):
            function(store, LONG)
    return module


def test_functions_and_operators() -> None:
    engine = Engine()
    profile = Profile(engine)
    module = spin(engine, profile)
    first = profile.functions[0]
    assert (first.index, first.name) == (0, "spin")
    assert first.total == sum(first.operators.values()) > profile.samples / 2
    body = module.decoded.bodies[0]
    # All but at most the prologue's few is in the loop.
    within = sum(count for offset, count in first.operators.items() if body.start < offset < body.end)
    assert within > first.total / 2
    assert profile.lost == 0
    assert re.search(r"^ *\d+\.\d% +\d+  0 spin$", profile.report(), re.MULTILINE)
    assert "outside of wasm" in profile.report()


def test_a_profile_can_be_taken_again() -> None:
    engine = Engine()
    profile = Profile(engine, interval=0.002)
    spin(engine, profile)
    with profile:
        pass
    assert profile.samples <= 2


def test_operators_as_json() -> None:
    engine = Engine()
    profile = Profile(engine)
    module = spin(engine, profile)
    text = profile.to_json(module.decoded)
    assert json.loads(text)["functions"]["0"]["name"] == "spin"
    shares = operator_shares(text)
    assert 0.5 < sum(shares.values()) <= 1.0
    other = Module(engine, "(module)")
    assert json.loads(profile.to_json(other.decoded))["functions"] == {}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"samples": 1, "functions": {"0": 1}}', '{"samples": "x"}'])
def test_what_is_no_profile(text: str) -> None:
    with pytest.raises(WasmtimeError, match="not a profile"):
        operator_shares(text)


def test_one_profile_at_a_time() -> None:
    engine = Engine()
    with Profile(engine), pytest.raises(RuntimeError, match="already"), Profile(engine):
        pass


def test_intervals() -> None:
    for interval in (0, -1.0, 2.0):
        with pytest.raises(ValueError, match="interval"):
            Profile(interval=interval)


def test_a_platform_without_signals() -> None:
    config = Config()
    config.platform = "minimal"
    with pytest.raises(WasmtimeError, match="the platform minimal has no signals"):
        Profile(Engine(config))


def brolga(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "brolga", *words], capture_output=True, text=True, timeout=120, check=False
    )


def test_command_line(tmp_path: Path) -> None:
    file, output = tmp_path / "spin.wasm", tmp_path / "profile.json"
    file.write_bytes(wat2wasm(TEXT))
    words = ["--platform", "linux", "--profile", "--profile-output", str(output), "--invoke", "spin", str(file)]
    done = brolga("run", *words, str(20 * LONG))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().isdigit()
    assert re.search(r"\d+\.\d% +\d+  0 spin", done.stderr)
    listing = brolga("objdump", "--profile", str(output), "--func", "spin", str(file))
    assert listing.returncode == 0, listing.stderr
    assert re.search(r"^ *\d+\.\d% .*(i32\.|local\.|br_if)", listing.stdout, re.MULTILINE)
    assert "%" not in brolga("objdump", "--func", "spin", str(file)).stdout

    output.write_text("no profile")
    refused = brolga("objdump", "--profile", str(output), str(file))
    assert (refused.returncode, refused.stderr.startswith("Error: not a profile")) == (1, True)


def test_a_profile_of_a_program_that_traps(tmp_path: Path) -> None:
    file = tmp_path / "trap.wasm"
    file.write_bytes(wat2wasm('(module (func (export "f") unreachable))'))
    done = brolga("run", "--platform", "linux", "--profile", "--invoke", "f", str(file))
    assert done.returncode == 134
    assert "self  samples  function" in done.stderr


def test_names_for_perf() -> None:
    config = Config()
    config.profiler = "perfmap"
    engine = Engine(config)
    module = Module(engine, TEXT)
    store = Store(engine)
    function = Instance(store, module, []).exports(store)["spin"]
    assert isinstance(function, Func)
    file = Path(perf_map.path())
    try:
        function(store, 1)
        image = Module.deserialize(engine, module.serialize())
        lines = [line.split() for line in file.read_text().splitlines()]
    finally:
        file.unlink(missing_ok=True)
    space = module._loaded.space
    compiled = space.compiled(0)
    assert compiled is not None
    assert lines[0] == [f"{space.code_address(0):x}", f"{len(compiled.code):x}", "wasm[0]::spin"]
    # Serialising compiled the other function; the image has both.
    again = image._loaded.space
    assert lines[1][0] == f"{space.code_address(1):x}"
    assert [line[0] for line in lines[2:]] == [f"{again.code_address(0):x}", f"{again.code_address(1):x}"]


@pytest.mark.parametrize("kind", ["link", "directory", "pipe", "hard link", "socket", "read-only folder"])
def test_a_file_for_perf_that_is_not_ours(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls do what they did, and nothing is written."""
    other = tmp_path / "other"
    other.write_text("mine")
    place = tmp_path / "perf.map"
    if kind == "link":
        place.symlink_to(other)
    elif kind == "directory":
        place.mkdir()
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind == "hard link":
        place.hardlink_to(other)
    elif kind == "socket":
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(place))
        listener.close()
    else:
        place = tmp_path / "nowhere" / "perf.map"
    monkeypatch.setattr(perf_map, "path", lambda: str(place))
    config = Config()
    config.profiler = "perfmap"
    store = Store(Engine(config))
    function = Instance(store, Module(store.engine, TEXT), []).exports(store)["idle"]
    assert isinstance(function, Func)
    assert function(store, 7) == 7
    assert other.read_text() == "mine"


def test_names_for_perf_are_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perf_map, "path", lambda: str(tmp_path / "perf.map"))
    config = Config()
    config.profiler = "perfmap"
    store = Store(Engine(config))
    text = r'(module (func $"a\nffff 10 forged\1b[31m" (export "f") (result i32) i32.const 7))'
    function = Instance(store, Module(store.engine, text), []).exports(store)["f"]
    assert isinstance(function, Func)
    assert function(store) == 7
    (line,) = (tmp_path / "perf.map").read_text().splitlines()
    assert line.endswith(r"wasm[0]::a\nffff 10 forged\x1b[31m")


def test_perf_map_on_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "spin.wasm"
    file.write_bytes(wat2wasm(TEXT))
    command = [sys.executable, "-m", "brolga", "run", "-C", "cache=n", "--perf-map", "--invoke", "idle", str(file), "5"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.communicate(timeout=120)[0].strip() == "5"
    names = Path(f"/tmp/perf-{process.pid}.map")
    try:
        assert names.read_text().endswith(" wasm[1]::idle\n")
    finally:
        names.unlink(missing_ok=True)
