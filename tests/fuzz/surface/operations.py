"""The public surface of the package, read from the package: what can be done with its names and with objects of its classes."""

from __future__ import annotations

import copy
import inspect
import itertools
import operator
import pickle
from collections.abc import Callable
from functools import cache
from typing import Any, Final, NamedTuple

import brolga
from brolga.runtime import bound, instance

# Classes whose objects users get, and whose names are not in the package's own list.
RESULTS: Final = (
    bound.BoundFunc,
    bound.BoundGlobal,
    bound.BoundInstance,
    bound.BoundMemory,
    bound.BoundTable,
    instance.InstanceExports,
)
NOT_CALLED: Final = frozenset({"Storelike"})  # a protocol


class Parameter(NamedTuple):
    name: str
    annotation: str
    required: bool
    keyword: bool  # by keyword only
    many: bool = False


class Operation(NamedTuple):
    """`kind` of `KINDS`; `owner` is the name of a class of the surface, or "" for the package's functions."""

    kind: str
    owner: str
    name: str
    parameters: tuple[Parameter, ...]
    needs_target: bool


@cache
def surface() -> dict[str, Any]:
    """All classes, by name."""
    public = {name: getattr(brolga, name) for name in brolga.__all__ if name not in NOT_CALLED}
    classes = {name: value for name, value in public.items() if isinstance(value, type)}
    return classes | {cls.__name__: cls for cls in RESULTS}


def class_name(thing: object) -> str:
    """The name under which the surface knows the object's class, or ""."""
    for cls in type(thing).__mro__:
        if surface().get(cls.__name__) is cls:
            return cls.__name__
    return ""


def _parameters(function: Callable[..., Any], skip: int) -> tuple[Parameter, ...]:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return (Parameter("args", "Any", False, False, True),)
    kinds = inspect.Parameter
    return tuple(
        Parameter(
            p.name,
            "Any" if p.annotation is kinds.empty else str(p.annotation),
            p.default is kinds.empty and p.kind not in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD),
            p.kind is kinds.KEYWORD_ONLY,
            p.kind is kinds.VAR_POSITIONAL,
        )
        for p in list(signature.parameters.values())[skip:]
        if p.kind is not kinds.VAR_KEYWORD
    )


def _value(*names: str) -> tuple[Parameter, ...]:
    return tuple(Parameter(name, "Any", True, False) for name in names)


# What operators and protocols do with any object: kind, its arguments besides the object, and how it is done.
OPERATORS: Final[dict[str, tuple[tuple[Parameter, ...], Callable[..., Any]]]] = {
    "len": ((), len),
    "iter": ((), lambda target: list(itertools.islice(iter(target), 20))),
    "getitem": (_value("index"), operator.getitem),
    "setitem": (_value("index", "value"), operator.setitem),
    "delitem": (_value("index"), operator.delitem),
    "contains": (_value("index"), operator.contains),
    "repr": ((), repr),
    "str": ((), str),
    "hash": ((), hash),
    "bool": ((), bool),
    "dir": ((), dir),
    "equal": (_value("other"), operator.eq),
    "buffer": ((), memoryview),
    "with": ((), lambda target: _with(target)),
    "copy": ((), copy.copy),
    "deepcopy": ((), copy.deepcopy),
    "pickle": ((), lambda target: pickle.loads(pickle.dumps(target))),
    "attribute": ((Parameter("name", "str", True, False),), getattr),
    "delete": ((Parameter("name", "str", True, False),), delattr),
    "set class": (_value("cls"), lambda target, cls: setattr(target, "__class__", type(cls))),
    "subclass": ((), lambda target: type("Subclass", (type(target),), {})),
}


def _with(target: Any) -> Any:
    with target as entered:
        return entered


@cache
def operations() -> dict[str, list[Operation]]:
    """What there is, by class; "" has the package's functions."""
    found: dict[str, list[Operation]] = {"": []}
    for name in brolga.__all__:
        value = getattr(brolga, name)
        if inspect.isfunction(value):
            found[""].append(Operation("function", "", name, _parameters(value, 0), False))
    for name, cls in surface().items():
        found[name] = list(_of_class(name, cls))
    return found


def _of_class(owner: str, cls: type) -> list[Operation]:
    made = [Operation("new", owner, "", _parameters(cls.__init__, 1), False), Operation("bare", owner, "", (), False)]
    made.append(Operation("init", owner, "__init__", _parameters(cls.__init__, 1), True))
    for name in dir(cls):
        member = inspect.getattr_static(cls, name)
        if name.startswith("_") or isinstance(member, cls):  # what is internal; members of an Enum
            continue
        if isinstance(member, classmethod | staticmethod):
            made.append(Operation("static", owner, name, _parameters(getattr(cls, name), 0), False))
        elif inspect.isroutine(member) and callable(member):
            made.append(Operation("method", owner, name, _parameters(member, 1), True))
        else:
            if not isinstance(member, property) or member.fget is not None:
                made.append(Operation("get", owner, name, (), True))
            setter = member.fset if isinstance(member, property) else None
            if setter is not None:
                made.append(Operation("set", owner, name, _parameters(setter, 1)[:1], True))
            elif inspect.ismemberdescriptor(member):
                made.append(Operation("replace", owner, name, _value(name), True))
    if "__call__" in dir(cls):
        many = Parameter("params", "Any", False, False, True)
        timeout = Parameter("timeout", "float | None", False, True)
        made.append(Operation("call", owner, "", (many, timeout), True))
    made += [Operation(kind, owner, "", parameters, True) for kind, (parameters, _) in OPERATORS.items()]
    return made


def perform(kind: str, owner: str, name: str, target: Any, args: list[Any], keywords: dict[str, Any]) -> Any:
    """Do it."""
    if kind in OPERATORS:
        return OPERATORS[kind][1](target, *args)
    if kind == "call":
        return target(*args, **keywords)
    if kind in ("method", "init"):
        return getattr(target, name)(*args, **keywords)
    if kind == "get":
        return getattr(target, name)
    if kind in ("set", "replace"):
        return setattr(target, name, *args)
    if kind == "function":
        return getattr(brolga, name)(*args, **keywords)
    cls = surface()[owner]
    if kind == "new":
        return cls(*args, **keywords)
    if kind == "bare":
        return cls.__new__(cls)
    assert kind == "static", kind
    return getattr(cls, name)(*args, **keywords)
