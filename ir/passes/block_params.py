"""Remove block parameters that only ever stand for one other value.

    block1(v3: i32, v4: i32):              block1(v4: i32):
        v5 = iadd.i32 v4, v3                   v5 = iadd.i32 v4, v0
        brif v5, block1(v3, v5), block2  =>    brif v5, block1(v5), block2

where the other branch to block1 passes v0 for v3. Input: no unreachable blocks.

A parameter is trivial if all its arguments, other than itself, are the same value. Uses of it become uses of that
value, which may make other parameters trivial; in reducible graphs, which wasm always gives, all that can go are
found like this (Braun et al. 2013, "Simple and Efficient Construction of Static Single Assignment Form", section
3.2). The value that remains dominates the block, since it reaches it on every path.

One sweep in layout order finds most of them. Only parameters that are passed a parameter, and at most one other
value, can become trivial later: those have a worklist, whose work is limited to a multiple of the number of
arguments, because hostile nests of loops would make it quadratic. What is left then is correct as well.
"""

from __future__ import annotations

from typing import Final

from ..function import NO_VALUE, Function
from ..work import spend

_WORK_FACTOR: Final = 16


def run(function: Function) -> None:
    blocks = function.blocks
    incoming: list[list[list[int]]] = [[] for _ in blocks]  # the arguments of each branch to a block
    arguments = 0
    for number in function.layout:
        for target in blocks[number].insts[-1].targets:
            if target.args:
                incoming[target.block].append(target.args)
                arguments += len(target.args)
    if arguments == 0:
        return

    count = len(function.value_types)
    alias = [NO_VALUE] * count  # what a trivial parameter stands for
    is_param = [False] * count
    for number in function.layout:
        for param in blocks[number].params:
            is_param[param] = True
    undecided: list[int] = []
    passed: dict[int, list[int]] = {}  # the values passed for an undecided parameter
    trivial: list[int] = []
    for number in function.layout:
        rows = incoming[number]
        if not rows:
            continue
        for place, param in enumerate(blocks[number].params):
            only = other = NO_VALUE  # the first values passed that differ
            for row in rows:
                value = row[place]
                if alias[value] != NO_VALUE:
                    value = alias[value]
                if value == only or value == param:
                    continue
                if only == NO_VALUE:
                    only = value
                    continue
                other = value
                if not is_param[value] and not is_param[only]:
                    break
            if other == NO_VALUE:
                if only != NO_VALUE:
                    alias[param] = only
                    trivial.append(param)
            elif is_param[other] or is_param[only]:
                undecided.append(param)
                passed[param] = [row[place] if alias[row[place]] == NO_VALUE else alias[row[place]] for row in rows]
    if undecided:
        _decide(undecided, passed, alias, is_param, trivial, _WORK_FACTOR * arguments)
    if trivial:
        _apply(function, alias, trivial)


def _decide(
    undecided: list[int],
    passed: dict[int, list[int]],
    alias: list[int],
    is_param: list[bool],
    trivial: list[int],
    work: int,
) -> None:
    """Look at `undecided` parameters again, and at those they are passed to, until no more is trivial or `work` is
    used up."""
    users: dict[int, list[int]] = {}
    pending: list[int] = []
    for param in undecided:
        values = passed[param]
        fixed = NO_VALUE
        for value in values:
            if not is_param[value]:
                if fixed != NO_VALUE and fixed != value:
                    break
                fixed = value
        else:
            pending.append(param)
            for value in values:
                if is_param[value]:
                    if value in users:
                        users[value].append(param)
                    else:
                        users[value] = [param]
    while pending and work > 0:
        param = pending.pop()
        if alias[param] != NO_VALUE:
            continue
        work -= len(passed[param]) + 1
        only = _only_value(param, passed[param], alias)
        if only == NO_VALUE:
            continue
        alias[param] = only
        trivial.append(param)
        waiting = users.pop(param, None)
        if waiting is not None:
            work -= len(waiting)
            waiting = [user for user in waiting if alias[user] == NO_VALUE]
            pending.extend(waiting)
            if is_param[only]:
                if only in users:
                    users[only].extend(waiting)
                else:
                    users[only] = waiting


def _only_value(param: int, values: list[int], alias: list[int]) -> int:
    """The value that all of `values` but `param` stand for, or NO_VALUE."""
    only = NO_VALUE
    for value in values:
        while alias[value] != NO_VALUE:
            if alias[alias[value]] != NO_VALUE:
                alias[value] = alias[alias[value]]
            value = alias[value]
        if value == param or value == only:
            continue
        if only != NO_VALUE:
            return NO_VALUE
        only = value
    return only


def _apply(function: Function, alias: list[int], trivial: list[int]) -> None:
    """Take the `trivial` parameters, which stand for other values, out of their blocks, and rename all uses."""
    for param in trivial:
        value = alias[param]
        while alias[value] != NO_VALUE:
            value = alias[value]
        while alias[param] != value:  # for the next one that comes this way
            alias[param], param = value, alias[param]
    blocks = function.blocks
    kept: dict[int, list[int]] = {}  # by block that loses parameters: the places of those that stay
    for number in function.layout:
        params = blocks[number].params
        if params:
            places = [place for place, param in enumerate(params) if alias[param] == NO_VALUE]
            if len(places) != len(params):
                kept[number] = places
                blocks[number].params = [params[place] for place in places]
    for number in function.layout:
        insts = blocks[number].insts
        spend(len(insts))
        for inst in insts:
            args = inst.args
            for place, value in enumerate(args):
                if alias[value] != NO_VALUE:
                    args[place] = alias[value]
        for target in insts[-1].targets:
            args = target.args
            if args:
                if target.block in kept:
                    args = [args[place] for place in kept[target.block]]
                target.args = [value if alias[value] == NO_VALUE else alias[value] for value in args]
