from __future__ import annotations

import pytest

from brolga import Config, Engine, Module, UnsupportedError, WasmtimeError


def test_harmless_options_are_accepted() -> None:
    config = Config()
    config.debug_info = True
    config.parallel_compilation = False
    config.wasm_bulk_memory = True
    config.wasm_multi_value = True
    config.cranelift_opt_level = "speed"
    config.strategy = "cranelift"
    Engine(config)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("wasm_component_model", True),
        ("cache", False),
        ("strategy", "winch"),
        ("cranelift_opt_level", "fast"),
        ("profiler", "vtune"),
        ("platform", "windows"),
        ("optimizations_off", ["inlining of everything"]),
    ],
)
def test_promises_that_would_be_false_are_refused(name: str, value: object) -> None:
    with pytest.raises(WasmtimeError):
        setattr(Config(), name, value)


def test_proposals_may_be_permitted_and_what_needs_one_is_refused_by_name() -> None:
    config = Config()
    config.wasm_exceptions = True
    config.wasm_simd = True
    config.wasm_threads = True
    engine = Engine(config)
    Module(engine, "(module)")
    with pytest.raises(UnsupportedError, match="SIMD"):
        Module(engine, "(module (func (param v128)))")


def test_features_may_be_switched_off() -> None:
    config = Config()
    config.wasm_simd = False
    with pytest.raises(TypeError, match="expected a bool"):
        config.wasm_simd = 1


def test_options_cannot_be_read() -> None:
    with pytest.raises(AttributeError):
        _ = Config().debug_info


def test_signals_off_is_the_minimal_platform() -> None:
    config = Config()
    config.signals_based_traps = False
    assert Engine(config).machine.name == "minimal"


def test_engine_takes_a_config() -> None:
    with pytest.raises(TypeError, match="expected Config"):
        Engine(5)  # type: ignore[arg-type]
    assert not Engine().is_pulley()
