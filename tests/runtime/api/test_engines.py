"""Modules in stores of other engines: what an engine limits binds all code in its stores, however it came there."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

import brolga
from brolga import Config, Engine, Instance, Linker, Module, Store, Trap, TrapCode, WasmtimeError

_TEXT: Final = """(module
    (func (export "spin") (param i32) (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
    (func $deep (export "deep") (param i32) (if (local.get 0) (then (call $deep (i32.sub (local.get 0) (i32.const 1)))))))"""
_COMMAND: Final = '(module (func (export "_start")))'
_REFUSED: Final = "cross-`Engine` instantiation is not currently supported"


def _fuel(config: Config) -> None:
    config.consume_fuel = True


def _stack(config: Config) -> None:
    config.max_wasm_stack = 20_000


def _both(config: Config) -> None:
    _fuel(config)
    _stack(config)


def _none(config: Config) -> None:
    pass


def _simple(config: Config) -> None:
    config.cranelift_opt_level = "none"
    config.eager = True
    config.epoch_interruption = True


def _without_leas(config: Config) -> None:
    config.optimizations_off = ["lea"]


_LIMITS: Final = (_none, _fuel, _stack, _both)


@pytest.fixture(params=["linux", "minimal"])
def make(request: pytest.FixtureRequest) -> Callable[[Callable[[Config], None]], Engine]:
    """Makes an engine, configured by a function."""

    def engine(*configure: Callable[[Config], None]) -> Engine:
        config = Config()
        config.platform = request.param
        for step in configure:
            step(config)
        return Engine(config)

    return engine


Make = Callable[..., Engine]


def _use(store: Store, module: Module) -> Any:
    return Instance(store, module, []).exports(store)


def _define_command(store: Store, module: Module) -> object:
    return Linker(store.engine).define_module(store, "m", Module(module.engine, _COMMAND))


_ROUTES: Final[dict[str, Callable[[Store, Module], object]]] = {
    "Instance": lambda store, module: Instance(store, module, []),
    "Linker.instantiate": lambda store, module: Linker(module.engine).instantiate(store, module),
    "Linker.instantiate_pre": lambda store, module: Linker(module.engine).instantiate_pre(module).instantiate(store),
    "Linker.define_module": lambda store, module: Linker(store.engine).define_module(store, "m", module),
    "a command": _define_command,
    "a pickled one": lambda store, module: Instance(store, pickle.loads(pickle.dumps(module)), []),
    "a copy": lambda store, module: Instance(store, copy.deepcopy(copy.copy(module)), []),
    "serialised": lambda store, module: Instance(store, Module.deserialize(module.engine, module.serialize()), []),
}


@pytest.mark.parametrize("route", _ROUTES)
def test_engines_that_limit_differently_are_told_apart(route: str, make: Make) -> None:
    for of_store in _LIMITS:
        store = Store(make(of_store))
        if of_store in (_fuel, _both):
            store.set_fuel(10_000)
        for of_module in _LIMITS:
            module = Module(make(of_module), _TEXT)
            if of_module is of_store:
                _ROUTES[route](store, module)
                continue
            with pytest.raises(WasmtimeError, match=_REFUSED):
                _ROUTES[route](store, module)
    _use(store, Module(store.engine, _TEXT))["deep"](store, 1)


@pytest.mark.parametrize("differently", [_none, _simple, _without_leas])
def test_engines_that_limit_alike_share_modules(differently: Callable[[Config], None], make: Make) -> None:
    store = Store(make(_both))
    store.set_fuel(1000)
    spin = _use(store, Module(make(_both, differently), _TEXT))["spin"]
    with pytest.raises(Trap) as caught:
        spin(store, 1_000_000)
    assert caught.value.trap_code == TrapCode.OUT_OF_FUEL
    deep = _use(store, Module(store.engine, _TEXT))["deep"]
    store.set_fuel(10_000_000)
    with pytest.raises(Trap) as caught:
        deep(store, 10_000)
    assert caught.value.trap_code == TrapCode.STACK_OVERFLOW


@pytest.mark.parametrize("travel", [lambda module: pickle.loads(pickle.dumps(module)), copy.copy, copy.deepcopy])
def test_pickles_and_copies_keep_the_limits(travel: Callable[[Module], Module], make: Make) -> None:
    module = travel(Module(make(_both), _TEXT))
    for engine in (make(_both), module.engine):
        store = Store(engine)
        store.set_fuel(1000)
        with pytest.raises(Trap) as caught:
            _use(store, module)["spin"](store, 1_000_000)
        assert caught.value.trap_code == TrapCode.OUT_OF_FUEL
        assert store.get_fuel() == 0
        store.set_fuel(10_000_000)
        with pytest.raises(Trap) as caught:
            _use(store, module)["deep"](store, 10_000)
        assert caught.value.trap_code == TrapCode.STACK_OVERFLOW


def test_pickles_keep_whether_there_are_epochs(make: Make) -> None:
    module = pickle.loads(pickle.dumps(Module(make(_simple), _TEXT)))
    store = Store(module.engine)
    store.set_epoch_deadline(1)
    spin = _use(store, module)["spin"]
    module.engine.increment_epoch()
    with pytest.raises(Trap) as caught:
        spin(store, 1)
    assert caught.value.trap_code == TrapCode.INTERRUPT


def test_serialised_code_of_other_limits_is_refused(make: Make) -> None:
    for first in _LIMITS:
        encoded = Module(make(first), _TEXT).serialize()
        for second in _LIMITS:
            if first is not second:
                with pytest.raises(WasmtimeError, match="compiled with other settings"):
                    Module.deserialize(make(second), encoded)


def test_cached_code_of_other_limits_is_not_found(make: Make, tmp_path: Path) -> None:
    file = tmp_path / "cache.toml"
    file.write_text(f'[cache]\nenabled = true\ndirectory = "{tmp_path}/code"\n')

    def cached(config: Config) -> None:
        config.cache = str(file)

    for limit in (_none, _fuel, _none, _fuel):
        engine = make(limit, cached)
        store = Store(engine)
        spin = _use(store, Module(engine, _TEXT))["spin"]
        if limit is _fuel:
            store.set_fuel(1000)
            with pytest.raises(Trap, match="fuel"):
                spin(store, 1_000_000)
        else:
            spin(store, 1000)
        del spin, store, engine


def test_load_for_an_engine_beside_instances_of_another(make: Make) -> None:
    store = Store(make(_fuel))
    store.set_fuel(1000)
    first = brolga.load(_TEXT, store=store)
    text = '(module (import "m" "spin" (func (param i32))) (func (export "spin") (param i32) (call 0 (local.get 0))))'
    with pytest.raises(WasmtimeError, match=_REFUSED):
        brolga.load(text, {"m": first}, engine=make(_none))
    with pytest.raises(Trap, match="fuel"):
        brolga.load(text, {"m": first}, engine=make(_fuel)).spin(1_000_000)
    with pytest.raises(Trap, match="fuel"):
        brolga.load(text, {"m": first}).spin(1_000_000)
