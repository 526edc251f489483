"""Accounting of fuel, built into the code of functions whose engine has `Config.consume_fuel` set.

The counter is in the store's activation state, at ACTIVATION_FUEL: it begins at minus the fuel that there is and counts up; there
is none left when it is no longer negative. A function keeps it in a local of its own, so that it is a value in SSA form with
parameters where ways join. What operators cost is added at the stops (fuel_costs.py), and

    entry of a function    reads the counter, adds 1, looks whether fuel is left
    header of a loop       looks whether fuel is left
    calls                  write the counter before and read it afterwards
    ends of a function     write the counter: `return`, branches to the body's label, its `end`, `unreachable`
    bulk operators         add their length when they are done, and look whether fuel is left

Other traps write nothing: the counter then is what it was when it was last written. All this is as in Wasmtime, down to which
traps find which counter. What is left out: unreachable code, which costs nothing there either, and whatever the builder finds to
be unreachable, because what never runs never pays.
"""

from __future__ import annotations

from typing import Final

from brolga.ir.opcodes import IADD, ICC_NE, ICC_SGE, UEXTEND
from brolga.ir.trap_codes import OUT_OF_FUEL
from brolga.ir.types import I32, I64

from ..vmctx import ACTIVATION_FUEL, CTX_ACTIVATION
from . import opcodes as wasm
from .fuel_costs import Fuel
from .fuel_variables import NOT_CONSTANT
from .limits import SMALL_LENGTH
from .live_locals import Constructs
from .operators import read_opcode
from .translate_state import State

_FAILED_GROW: Final = 0xFFFF_FFFF
_NO_LENGTH: Final = -1


def add_counter(constructs: Constructs, local: int) -> None:
    """Let the counter be among the locals that are merged and restored: it changes everywhere."""
    constructs.merged = [[*merged, local] for merged in constructs.merged]
    constructs.restored = [[*restored, local] for restored in constructs.restored]


def enter(state: State, fuel: Fuel) -> None:
    """The entry of the function, after its locals have values."""
    state.locals.append(_read(state))
    _add(state, fuel, 1)
    _check(state, fuel)


def before(state: State, fuel: Fuel, op: int) -> int:
    """Before an operator, which is at `builder.loc`. The value that is its length if it is a bulk operator, for `after`."""
    loc = state.builder.loc
    if loc in fuel.costs.lengths:
        return state.stack[-1]
    if loc in fuel.costs.passed:
        _settle(state, fuel, loc)
        if op == wasm.CALL or op == wasm.CALL_INDIRECT or op == wasm.UNREACHABLE or loc in fuel.costs.outside:
            write(state, fuel)
    return _NO_LENGTH


def after(state: State, fuel: Fuel, op: int, loc: int, length: int) -> None:
    """After the operator at `loc`, where the end of it is reached. `length` is what `before` returned."""
    if length != _NO_LENGTH:
        _pay_bulk(state, fuel, loc, length)
    elif op == wasm.CALL or op == wasm.CALL_INDIRECT:
        state.locals[fuel.local] = _read(state)
    elif op == wasm.LOOP:
        _check(state, fuel)


def write(state: State, fuel: Fuel) -> None:
    """Put the counter where the store has it."""
    state.builder.ptr_store(I64, _activation(state), state.locals[fuel.local], ACTIVATION_FUEL)


def _activation(state: State) -> int:
    return state.builder.ctx_load(I64, CTX_ACTIVATION, True)


def _read(state: State) -> int:
    return state.builder.ptr_load(I64, _activation(state), ACTIVATION_FUEL, False)


def _settle(state: State, fuel: Fuel, loc: int) -> None:
    """Add all that has been passed up to the stop at `loc`."""
    passed = fuel.costs.passed[loc]
    cost = passed - fuel.paid + fuel.extra
    fuel.paid = passed
    fuel.extra = 0
    if cost != 0:
        _add(state, fuel, cost)


def _add(state: State, fuel: Fuel, cost: int) -> None:
    builder = state.builder
    local = fuel.local
    state.locals[local] = builder.binary(IADD, I64, state.locals[local], builder.iconst(I64, cost))


def _check(state: State, fuel: Fuel) -> None:
    """Trap if there is no fuel left."""
    builder = state.builder
    before = builder.block
    counter = state.locals[fuel.local]
    exhausted = builder.create_block(cold=True)
    go_on = builder.create_block()
    builder.brif(builder.icmp(ICC_SGE, I64, counter, builder.iconst(I64, 0)), exhausted, [], go_on, [])
    builder.switch_to_block(exhausted, before)
    write(state, fuel)
    builder.trap(OUT_OF_FUEL)
    builder.switch_to_block(go_on, before)


def _pay_bulk(state: State, fuel: Fuel, loc: int, length: int) -> None:
    """After a bulk operator. Those that grow something and fail have not handled anything, but a small constant is paid whether
    or not they do."""
    builder = state.builder
    constant = fuel.costs.lengths[loc]
    if 0 <= constant <= SMALL_LENGTH:
        fuel.extra += constant
        return
    _settle(state, fuel, loc)
    op, _ = read_opcode(state.data, loc)
    if op != wasm.MEMORY_GROW and op != wasm.TABLE_GROW:
        _pay_length(state, fuel, constant, length)
        return
    before = builder.block
    grown = builder.create_block()
    done = builder.create_block()
    unchanged = state.locals[fuel.local]
    builder.append_param(done, I64)
    failed = builder.iconst(I32, _FAILED_GROW)
    builder.brif(builder.icmp(ICC_NE, I32, state.stack[-1], failed), grown, [], done, [unchanged])
    builder.switch_to_block(grown, before)
    _pay_length(state, fuel, constant, length)
    builder.jump(done, [state.locals[fuel.local]])
    builder.switch_to_block(done, before)
    state.locals[fuel.local] = done.params[0]


def _pay_length(state: State, fuel: Fuel, constant: int, length: int) -> None:
    builder = state.builder
    if constant != NOT_CONSTANT:
        _add(state, fuel, constant)
    else:
        local = fuel.local
        amount = builder.convert(UEXTEND, I64, I32, length)
        state.locals[local] = builder.binary(IADD, I64, state.locals[local], amount)
    _check(state, fuel)
