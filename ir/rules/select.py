"""`select`. The requirements stand in integer.py."""

from __future__ import annotations

from ..function import NO_VALUE
from ..inst_builder import InstBuilder
from ..opcodes import FCMP, ICC_EQ, ICC_NE, ICMP, ICONST, SELECT, UEXTEND
from ..types import I32, I64


def select(b: InstBuilder, type: int, c: int, x: int, y: int) -> int:
    """select (c != 0) x y = select c x y; select (c == 0) x y = select c y x; select 1 x y = x; select c x x = x;
    select c 1 0 = (c != 0); select c 0 1 = (c == 0); select (x == y) x y = y; select (x != y) x y = x;
    select c (select c x z) y = select c x y; select c x (select c z y) = select c x y"""
    if x == y:
        return x
    seen, inverted = b.condition(c)
    if seen != c:
        if inverted:
            return b.select(type, seen, y, x)
        return b.select(type, seen, x, y)
    defs = b.defs
    condition = defs[c]
    if condition.op == ICONST:
        return x if condition.imm != 0 else y
    left = defs[x]
    right = defs[y]
    if left.op == ICONST and right.op == ICONST and left.imm + right.imm == 1 and left.imm <= 1:
        return _boolean(b, type, c, condition.op == ICMP or condition.op == FCMP, left.imm == 1)
    if left.op == SELECT and left.args[0] == c:
        return b.select(type, c, left.args[1], y)
    if right.op == SELECT and right.args[0] == c:
        return b.select(type, c, x, right.args[2])
    if condition.op == ICMP and condition.imm <= ICC_NE:
        args = condition.args
        if (args[0] == x and args[1] == y) or (args[0] == y and args[1] == x):
            return y if condition.imm == ICC_EQ else x
    return NO_VALUE


def _boolean(b: InstBuilder, type: int, c: int, is_boolean: bool, straight: bool) -> int:
    """c != 0, or c == 0 if not `straight`, as a value of an integer type"""
    if not (straight and is_boolean):
        c = b.icmp(ICC_NE if straight else ICC_EQ, I32, c, b.iconst(I32, 0))
    return c if type == I32 else b.convert(UEXTEND, I64, I32, c)
