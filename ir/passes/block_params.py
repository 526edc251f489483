"""Remove block parameters that only ever stand for one other value.

    block1(v3: i32, v4: i32):              block1(v4: i32):
        v5 = iadd.i32 v4, v3                   v5 = iadd.i32 v4, v0
        brif v5, block1(v3, v5), block2  =>    brif v5, block1(v5), block2

where the other branch to block1 passes v0 for v3. Input: no unreachable blocks.

A parameter is trivial if all its arguments, other than itself, are the same value; uses of it become uses of that value, which may
make other parameters trivial: those that it is passed to are looked at again (Braun et al. 2013, "Simple and Efficient Construction
of Static Single Assignment Form", section 3.1). Each removal leads to as many new looks as the parameter is passed to others, so the
work is linear in the number of arguments but for chains. The value that remains dominates the block, for it reaches it on
every path.
"""

from __future__ import annotations

from typing import Final

from ..function import NO_VALUE, Function, Target

_KEPT: Final = -1  # in `alias`: the value stands for itself


def run(function: Function) -> None:
    blocks = function.blocks
    incoming: list[list[Target]] = [[] for _ in blocks]
    for number in function.layout:
        for target in blocks[number].insts[-1].targets:
            if target.args:
                incoming[target.block].append(target)

    # Where each parameter is, and which parameters a value is passed to.
    home: dict[int, int] = {}
    place: dict[int, int] = {}
    passed_to: dict[int, list[int]] = {}
    pending: list[int] = []
    for number in reversed(function.layout):
        params = blocks[number].params
        if not incoming[number]:
            continue  # the entry
        for position, param in enumerate(params):
            home[param] = number
            place[param] = position
            pending.append(param)
        for target in incoming[number]:
            for position, arg in enumerate(target.args):
                passed_to.setdefault(arg, []).append(params[position])

    alias = [_KEPT] * len(function.value_types)
    removed: set[int] = set()  # blocks that lose parameters
    while pending:
        param = pending.pop()
        if alias[param] != _KEPT:
            continue
        only = NO_VALUE
        position = place[param]
        for target in incoming[home[param]]:
            arg = target.args[position]
            while alias[arg] != _KEPT:
                arg = alias[arg]
            target.args[position] = arg  # shortens the chain for the next look
            if arg == param or arg == only:
                continue
            if only != NO_VALUE:
                only = NO_VALUE
                break
            only = arg
        else:
            if only != NO_VALUE:
                alias[param] = only
                removed.add(home[param])
                users = passed_to.get(param)
                if users:
                    pending.extend(users)
                    known = passed_to.get(only)
                    if known is None:
                        passed_to[only] = users
                    else:
                        known.extend(users)
    if removed:
        _apply(function, alias, removed, incoming)


def _apply(function: Function, alias: list[int], removed: set[int], incoming: list[list[Target]]) -> None:
    """Take the removed parameters out of their blocks and rename all uses."""
    blocks = function.blocks
    for number in removed:
        block = blocks[number]
        kept = [position for position, param in enumerate(block.params) if alias[param] == _KEPT]
        block.params = [block.params[position] for position in kept]
        for target in incoming[number]:
            target.args = [target.args[position] for position in kept]
    # Resolve chains once.
    for value, other in enumerate(alias):
        if other != _KEPT:
            while alias[other] != _KEPT:
                other = alias[other]
            alias[value] = other
    for number in function.layout:
        insts = blocks[number].insts
        for inst in insts:
            args = inst.args
            for position, value in enumerate(args):
                if alias[value] != _KEPT:
                    args[position] = alias[value]
        for target in insts[-1].targets:
            args = target.args
            for position, value in enumerate(args):
                if alias[value] != _KEPT:
                    args[position] = alias[value]
