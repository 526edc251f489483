"""Functions of given shapes, for tests of quality and of cost."""

from __future__ import annotations

from brolga.regalloc.operand import ANY_REGISTER, DEF, GPR, SAME_AS, USE, Code, MachineBlock, MachineInst, Shape

JUMP = Shape([], [])
CONSTANT = Shape([DEF], [ANY_REGISTER])
BINARY = Shape([DEF, USE, USE], [SAME_AS - 1, ANY_REGISTER, ANY_REGISTER])
UNARY = Shape([DEF, USE], [SAME_AS - 1, ANY_REGISTER])
THREE = Shape([DEF, USE, USE], [ANY_REGISTER, ANY_REGISTER, ANY_REGISTER])
TEST = Shape([USE], [ANY_REGISTER])


class Builder:
    """Builds a `Code` block by block; `jump` and `branch` end one. Immediate dominators are computed by `finish`."""

    def __init__(self) -> None:
        self.code = Code("shape")
        self.block = self.new_block()

    def new_block(self, depth: int = 0) -> MachineBlock:
        block = MachineBlock(len(self.code.blocks))
        block.loop_depth = depth
        block.frequency = 10.0**depth
        self.code.blocks.append(block)
        return block

    def vreg(self, register_class: int = GPR) -> int:
        return self.code.new_vreg(register_class)

    def param(self, block: MachineBlock, register_class: int = GPR) -> int:
        v = self.vreg(register_class)
        block.params.append(v)
        return v

    def emit(self, shape: Shape, *operands: int) -> int:
        """Append an instruction; the result is its first operand."""
        self.block.insts.append(MachineInst(list(operands), shape))
        return operands[0] if operands else -1

    def value(self, shape: Shape = CONSTANT, *uses: int, register_class: int = GPR) -> int:
        return self.emit(shape, self.vreg(register_class), *uses)

    def constant(self, register_class: int = GPR) -> int:
        v = self.value(register_class=register_class)
        self.code.remat[v] = self.block.insts[-1]
        return v

    def _edge(self, target: MachineBlock) -> None:
        self.block.succs.append(target.number)
        target.preds.append(self.block.number)

    def jump(self, target: MachineBlock, *arguments: int) -> None:
        self.block.branch_args = list(arguments)
        self.emit(JUMP)
        self._edge(target)

    def branch(self, *targets: MachineBlock) -> None:
        self.emit(JUMP)
        for target in targets:
            self._edge(target)

    def finish(self) -> Code:
        """Immediate dominators, by the usual iteration over blocks in an order where loops alone go back."""
        blocks = self.code.blocks
        idom = [-1] * len(blocks)
        idom[0] = 0
        changed = True
        while changed:
            changed = False
            for block in blocks[1:]:
                new = -1
                for p in block.preds:
                    if idom[p] < 0:
                        continue
                    if new < 0:
                        new = p
                        continue
                    other = p
                    while new != other:
                        if new > other:
                            new = idom[new]
                        else:
                            other = idom[other]
                if new != idom[block.number]:
                    idom[block.number] = new
                    changed = True
        idom[0] = -1
        self.code.idom = idom
        return self.code


def straight(count: int) -> Code:
    """`count` instructions in one block, each using the last two values."""
    b = Builder()
    x, y = b.value(), b.value()
    for _ in range(count):
        x, y = y, b.value(BINARY, x, y)
    b.emit(TEST, y)
    return b.finish()


def all_live(count: int) -> Code:
    """`count` values defined first and used last."""
    b = Builder()
    values = [b.value() for _ in range(count)]
    for v in values:
        b.emit(TEST, v)
    return b.finish()


def loops_in_sequence(loops: int, through: int, register_class: int = GPR) -> Code:
    """`through` values that live through `loops` counting loops, none of which uses them."""
    b = Builder()
    values = [b.value(register_class=register_class) for _ in range(through)]
    for _ in range(loops):
        i = b.value()
        header, latch, after = b.new_block(1), b.new_block(1), b.new_block()
        p = b.param(header)
        b.jump(header, i)
        b.block = header
        n = b.value(UNARY, p)
        b.branch(latch, after)
        b.block = latch
        b.jump(header, n)
        b.block = after
    for v in values:
        b.emit(TEST, v)
    b.emit(JUMP)
    return b.finish()


def nested_loops(depth: int, used: int) -> Code:
    """Loops within each other; the innermost uses `used` values from outside."""
    b = Builder()
    values = [b.value() for _ in range(used)]
    latches: list[tuple[MachineBlock, MachineBlock, int]] = []
    for level in range(depth):
        header, latch = b.new_block(min(level + 1, 8)), b.new_block(min(level + 1, 8))
        p = b.param(header)
        b.jump(header, b.value())
        b.block = header
        latches.append((header, latch, p))
    for v in values:
        b.emit(TEST, v)
    for level in reversed(range(depth)):
        header, latch, p = latches[level]
        after = b.new_block(min(level, 8))
        n = b.value(UNARY, p)
        b.branch(latch, after)
        b.block = latch
        b.jump(header, n)
        b.block = after
    b.emit(JUMP)
    return b.finish()


def many_params(count: int) -> Code:
    """A loop that passes `count` values round."""
    b = Builder()
    values = [b.value() for _ in range(count)]
    header, latch, after = b.new_block(1), b.new_block(1), b.new_block()
    params = [b.param(header) for _ in range(count)]
    b.jump(header, *values)
    b.block = header
    b.branch(latch, after)
    b.block = latch
    b.jump(header, *params[1:], params[0])
    b.block = after
    for v in params:
        b.emit(TEST, v)
    b.emit(JUMP)
    return b.finish()


def table(targets: int) -> Code:
    """A branch to `targets` blocks that meet again."""
    b = Builder()
    values = [b.value() for _ in range(8)]
    cases = [b.new_block() for _ in range(targets)]
    merge = b.new_block()
    p = b.param(merge)
    b.branch(*cases)
    for k, case in enumerate(cases):
        b.block = case
        b.jump(merge, values[k % 8] if k % 3 else b.value())
    b.block = merge
    b.emit(TEST, p)
    for v in values[:4]:
        b.emit(TEST, v)
    b.emit(JUMP)
    return b.finish()


