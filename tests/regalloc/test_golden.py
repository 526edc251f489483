"""Typical cases, as text before and after."""

from __future__ import annotations

from brolga.regalloc.allocate import allocate
from brolga.regalloc.checker import check
from brolga.regalloc.operand import ANY_LOCATION, ANY_REGISTER, DEF, SAME_AS, USE, Code, MachineEnv, Shape
from brolga.regalloc.printer import print_code

from .machines import LARGE, SMALL, SMALL_CALL_CLOBBERS, mask
from .shapes import BINARY, TEST, UNARY, Builder

CALL = Shape([DEF, USE], [0, 7], None, mask([1, 6, 7]))
ARGUMENTS = Shape([DEF, DEF], [7, 6])
RETURN = Shape([USE], [0])
SHIFT = Shape([DEF, USE, USE], [SAME_AS - 1, ANY_REGISTER, 1])
DIVIDE = Shape([DEF, DEF, USE, USE, USE], [0, 2, 0, 2, ANY_LOCATION])
ADD_MEMORY = Shape([DEF, USE, USE], [SAME_AS - 1, ANY_REGISTER, ANY_LOCATION], commutes=True)


def allocated(code: Code, env: MachineEnv = LARGE) -> list[str]:
    allocation = allocate(code, env)
    check(code, env, allocation)
    return [line.rstrip() for line in print_code(code, allocation).splitlines()]


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip("\n").splitlines()]


def test_print_before() -> None:
    b = Builder()
    x = b.value()
    target = b.new_block()
    p = b.param(target)
    b.jump(target, x)
    b.block = target
    b.value(Shape([DEF, USE, USE], [ANY_REGISTER, 1, ANY_LOCATION], None, mask([2])), x, p)
    b.emit(TEST, p)
    assert print_code(b.finish()).splitlines() == lines(
        """
block0:
  v0 <-
  <-
  -> block1 v0
block1: v1  ; from block0
  v2 <- v0=r1, v1/mem ! r2
  <- v1
"""
    )


def test_counting_loop() -> None:
    """Parameters, next values and branch arguments share registers: no moves on the back edge."""
    b = Builder()
    n = b.vreg()
    b.emit(Shape([DEF], [7]), n)
    header, latch, after = b.new_block(1), b.new_block(1), b.new_block()
    i, total = b.param(header), b.param(header)
    b.jump(header, b.constant(), b.constant())
    b.block = header
    new_total = b.value(BINARY, total, i)
    new_i = b.value(UNARY, i)
    b.emit(Shape([USE, USE], [ANY_REGISTER, ANY_REGISTER]), new_i, n)
    b.branch(latch, after)
    b.block = latch
    b.jump(header, new_i, new_total)
    b.block = after
    b.emit(RETURN, new_total)
    assert allocated(b.finish()) == lines(
        """
block0:
  v0=r7 <-                                 ; r7 <-
  v3 <-                                    ; r0 <-
  v4 <-                                    ; r1 <-
  <-                                       ; <-
  -> block1 v3, v4
block1: v1, v2  ; from block0 block2
  v5=op1 <- v2, v1                         ; r1 <- r1, r0
  v6=op1 <- v1                             ; r0 <- r0
  <- v6, v0                                ; <- r0, r7
  <-                                       ; <-
  -> block2 block3
block2:  ; from block1
  <-                                       ; <-
  -> block1 v6, v5
block3:  ; from block1
    move r0 = r1 (v5)
  <- v5=r0                                 ; <- r0
"""
    )


def test_recursion() -> None:
    """What crosses a call gets a callee-saved register once; arguments are made in place."""
    b = Builder()
    n = b.vreg()
    b.emit(Shape([DEF], [7]), n)
    first = b.vreg()
    b.emit(CALL, first, b.value(UNARY, n))
    second = b.vreg()
    b.emit(CALL, second, b.value(UNARY, n))
    b.emit(RETURN, b.value(BINARY, first, second))
    env = MachineEnv([[0, 1, 6, 7, 3, 5], [16]], mask([3, 5]), 31)
    assert allocated(b.finish(), env) == lines(
        """
block0:
  v0=r7 <-                                 ; r7 <-
    move r3 = r7 (v0)
  v2=op1 <- v0                             ; r7 <- r7
  v1=r0 <- v2=r7 ! r1 r6 r7                ; r0 <- r7
  v4=op1 <- v0                             ; r3 <- r3
    move r7 = r3 (v4)
    move r3 = r0 (v1)
  v3=r0 <- v4=r7 ! r1 r6 r7                ; r0 <- r7
  v5=op1 <- v1, v3                         ; r3 <- r3, r0
    move r0 = r3 (v5)
  <- v5=r0                                 ; <- r0
"""
    )


def test_shift_count() -> None:
    """The count is moved to rcx once for two shifts."""
    b = Builder()
    x, count = b.vreg(), b.vreg()
    b.emit(ARGUMENTS, x, count)
    y = b.value(SHIFT, x, count)
    z = b.value(SHIFT, y, count)
    b.emit(RETURN, b.value(BINARY, z, x))
    assert allocated(b.finish()) == lines(
        """
block0:
  v0=r7, v1=r6 <-                          ; r7, r6 <-
    move r0 = r7 (v0)
    move r1 = r6 (v1)
  v2=op1 <- v0, v1=r1                      ; r0 <- r0, r1
  v3=op1 <- v2, v1=r1                      ; r0 <- r0, r1
  v4=op1 <- v3, v0                         ; r0 <- r0, r7
  <- v4=r0                                 ; <- r0
"""
    )


def test_division() -> None:
    b = Builder()
    x, y = b.vreg(), b.vreg()
    b.emit(ARGUMENTS, x, y)
    zero = b.constant()
    quotient, remainder = b.vreg(), b.vreg()
    b.emit(DIVIDE, quotient, remainder, x, zero, y)
    b.emit(RETURN, b.value(BINARY, quotient, remainder))
    assert allocated(b.finish()) == lines(
        """
block0:
  v0=r7, v1=r6 <-                          ; r7, r6 <-
  v2 <-                                    ; r2 <-
    move r0 = r7 (v0)
  v3=r0, v4=r2 <- v0=r0, v2=r2, v1/mem     ; r0, r2 <- r0, r2, r6
  v5=op1 <- v3, v4                         ; r0 <- r0, r2
  <- v5=r0                                 ; <- r0
"""
    )


def test_pressure() -> None:
    """What is used last is stored once, and read from memory."""
    b = Builder()
    values = [b.value() for _ in range(7)]
    total = values[0]
    for v in values[1:]:
        total = b.value(ADD_MEMORY, total, v)
    b.emit(TEST, total)
    assert allocated(b.finish(), SMALL) == lines(
        """
block0:
  v0 <-                                    ; r0 <-
  v1 <-                                    ; r1 <-
  v2 <-                                    ; r2 <-
  v3 <-                                    ; r3 <-
  v4 <-                                    ; r5 <-
    move slot0 = r5 (v4)
  v5 <-                                    ; r5 <-
    move slot1 = r5 (v5)
  v6 <-                                    ; r5 <-
  v7=op1 <- v0, v1/mem                     ; r0 <- r0, r1
  v8=op1 <- v7, v2/mem                     ; r0 <- r0, r2
  v9=op1 <- v8, v3/mem                     ; r0 <- r0, r3
  v10=op1 <- v9, v4/mem                    ; r0 <- r0, slot0
  v11=op1 <- v10, v5/mem                   ; r0 <- r0, slot1
  v12=op1 <- v11, v6/mem                   ; r0 <- r0, r5
  <- v12                                   ; <- r0
"""
    )


def test_constants_are_made_again() -> None:
    """A constant that a call drives out is dropped, not stored."""
    b = Builder()
    constant = b.constant()
    b.emit(TEST, constant)
    b.emit(Shape([], [], None, SMALL_CALL_CLOBBERS))
    b.emit(TEST, constant)
    assert allocated(b.finish(), SMALL) == lines(
        """
block0:
  v0 <-                                    ; r0 <-
  <- v0                                    ; <- r0
  <- ! r0 r1 r2 x0 x1 x2 x3                ; <-
    remat r0 = v0
  <- v0                                    ; <- r0
"""
    )
