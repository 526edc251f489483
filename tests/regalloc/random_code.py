"""Random functions for the allocator: any control flow, every kind of constraint."""

import random

from brolga.regalloc.operand import (
    ANY_LOCATION,
    ANY_REGISTER,
    DEF,
    EARLY,
    GPR,
    LATE,
    SAME_AS,
    USE,
    XMM,
    Code,
    MachineBlock,
    MachineEnv,
    MachineInst,
    Shape,
)

JUMP = Shape([], [])


def random_code(seed: int, env: MachineEnv, call_clobbers: int, *, blocks: int, insts: int, reach: int) -> Code:
    """`blocks` and `insts` (a block) are upper bounds; uses look back over `reach` definitions, so it sets the pressure."""
    return _Generator(seed, env, call_clobbers, reach).make(blocks, insts)


def add_edge(code: Code, source: int, target: int) -> None:
    code.blocks[source].succs.append(target)
    code.blocks[target].preds.append(source)


class _Generator:
    def __init__(self, seed: int, env: MachineEnv, call_clobbers: int, reach: int) -> None:
        self.random = random.Random(seed)
        self.env = env
        self.call_clobbers = call_clobbers
        self.reach = reach
        self.code = Code(f"random{seed}")

    def make(self, blocks: int, insts: int) -> Code:
        self._make_graph(self.random.randint(1, blocks))
        self._fill(insts)
        return self.code

    def _make_graph(self, count: int) -> None:
        """A random graph in which all is reachable, without critical edges, in a random order that respects dominance."""
        rnd = self.random
        succs: list[list[int]] = []
        forward_only = rnd.random() < 0.3
        for b in range(count):
            kind = rnd.random()
            degree = 0 if kind < 0.05 else 1 if kind < 0.45 else 2 if kind < 0.9 else rnd.randint(3, 5)
            chosen: list[int] = []
            for _ in range(degree):
                if b + 1 < count and (forward_only or rnd.random() < 0.75):
                    s = min(count - 1, b + 1 + int(rnd.expovariate(0.7)))
                elif count > 1 and not forward_only:
                    s = max(1, b - int(rnd.expovariate(0.4)))
                else:
                    continue
                if s not in chosen:
                    chosen.append(s)
            succs.append(chosen)
        preds = [0] * count
        for chosen in succs:
            for s in chosen:
                preds[s] += 1
        for b in range(count):
            if len(succs[b]) > 1:
                for k, s in enumerate(succs[b]):
                    if preds[s] > 1:
                        succs.append([s])
                        succs[b][k] = len(succs) - 1
        idom = _dominators(succs)
        children: list[list[int]] = [[] for _ in succs]
        for b, d in enumerate(idom):
            if d >= 0:
                children[d].append(b)
        order: list[int] = []
        available = [0]
        while available:
            b = available.pop(rnd.randrange(len(available)) if rnd.random() < 0.5 else -1)
            order.append(b)
            available += children[b]
        number = {b: n for n, b in enumerate(order)}
        for n, b in enumerate(order):
            block = MachineBlock(n)
            block.frequency = rnd.choice([1.0, 0.5, 10.0, 100.0, 0.001])
            block.loop_depth = rnd.choice([0, 0, 1, 2])
            self.code.blocks.append(block)
            self.code.idom.append(number[idom[b]] if idom[b] >= 0 else -1)
        for n, b in enumerate(order):
            for s in succs[b]:
                add_edge(self.code, n, number[s])

    def _fill(self, insts: int) -> None:
        rnd = self.random
        code = self.code
        available: list[list[int]] = []
        for block in code.blocks:
            idom = code.idom[block.number]
            values = available[idom][:] if idom >= 0 else []
            if block.preds and all(len(code.blocks[p].succs) == 1 for p in block.preds) and rnd.random() < 0.8:
                for _ in range(rnd.choice([1, 1, 2, 3, 6])):
                    block.params.append(self._new())
                values += block.params
            for _ in range(rnd.randint(0, insts)):
                inst = self._random_inst(values)
                block.insts.append(inst)
                for i, kind in enumerate(inst.shape.kinds):
                    if kind == DEF and inst.shape.positions[i] == LATE:
                        values.append(inst.operands[i])
            available.append(values)
        for block in code.blocks:
            values = available[block.number]
            operands: list[int] = []
            shape = JUMP
            if len(block.succs) == 1:
                for param in code.blocks[block.succs[0]].params:
                    wanted = code.vreg_class[param]
                    fitting = [v for v in values[-3 * self.reach :] if code.vreg_class[v] == wanted]
                    if not fitting or rnd.random() < 0.1:
                        constant = self._constant(wanted)
                        block.insts.append(constant)
                        fitting = [constant.operands[0]]
                    block.branch_args.append(rnd.choice(fitting))
            elif values and rnd.random() < 0.7:
                shape = Shape([USE], [ANY_REGISTER])
                operands = [self._pick(values)]
                if rnd.random() < 0.2 and not block.succs:
                    shape = Shape([USE], [self._fixed(code.vreg_class[operands[0]])])
            block.insts.append(MachineInst(operands, shape))

    def _new(self, register_class: int = -1) -> int:
        if register_class < 0:
            register_class = XMM if self.random.random() < 0.3 else GPR
        v = self.code.new_vreg(register_class)
        if self.random.random() < 0.05:
            self.code.hints[v] = self.random.choice(self.env.preferred[register_class])
        return v

    def _pick(self, values: list[int]) -> int:
        if self.random.random() < 0.8:
            return self.random.choice(values[-self.reach :])
        return self.random.choice(values)

    def _fixed(self, register_class: int) -> int:
        return self.random.choice(self.env.preferred[register_class][:4])

    def _constant(self, register_class: int) -> MachineInst:
        v = self._new(register_class)
        inst = MachineInst([v], Shape([DEF], [ANY_REGISTER]))
        if self.random.random() < 0.8:
            self.code.remat[v] = inst
        return inst

    def _random_inst(self, values: list[int]) -> MachineInst:
        rnd = self.random
        kind = rnd.random()
        if len(values) < 2 or kind < 0.08:
            return self._constant(rnd.choice([GPR, GPR, XMM]))
        if kind < 0.3:
            return MachineInst(
                [self._new(), *[self._pick(values) for _ in range(rnd.randint(0, 3))]], Shape([DEF], [ANY_REGISTER])
            )
        if kind < 0.55:
            source = self._pick(values)
            other = self._pick(values)
            constraint = rnd.choice([ANY_REGISTER, ANY_LOCATION])
            commutes = rnd.random() < 0.5 and self.code.vreg_class[source] == self.code.vreg_class[other]
            return MachineInst(
                [self._new(self.code.vreg_class[source]), source, other],
                Shape([DEF, USE, USE], [SAME_AS - 1, ANY_REGISTER, constraint], commutes=commutes),
            )
        if kind < 0.63:
            return MachineInst(
                [self._new(), self._pick(values), self._pick(values)],
                Shape([DEF, USE, USE], [ANY_REGISTER, ANY_LOCATION, ANY_REGISTER]),
            )
        if kind < 0.7:
            return MachineInst([self._pick(values) for _ in range(rnd.randint(1, 3))], Shape([], []))
        return self._constrained(values)

    def _constrained(self, values: list[int]) -> MachineInst:
        """Fixed operands, clobbers, early definitions, late uses, ties in any mixture, as far as registers suffice."""
        rnd = self.random
        code = self.code
        is_call = rnd.random() < 0.4
        clobbers = self.call_clobbers if is_call else 0
        if rnd.random() < 0.1:
            clobbers |= 1 << self._fixed(GPR)
        kinds: list[int] = []
        constraints: list[int] = []
        positions: list[int] = []
        operands: list[int] = []
        room = [len(self.env.preferred[c]) - 1 for c in (GPR, XMM)]  # any-register operands yet possible
        keeping = [sum(1 for r in self.env.preferred[c] if not clobbers >> r & 1) for c in (GPR, XMM)]
        used_fixed: dict[int, int] = {}

        def use(position: int) -> None:
            v = self._pick(values)
            c = code.vreg_class[v]
            choice = rnd.random()
            if choice < 0.4:
                register = self._fixed(c)
                if register in used_fixed or (position == LATE and clobbers >> register & 1) or room[c] < 1:
                    return
                if position == EARLY and rnd.random() < 0.3 and clobbers >> register & 1 == 0:
                    constraints.append(register)
                    kinds.append(USE)
                    operands.append(v)
                    positions.append(position)
                    used_fixed[register] = EARLY
                    room[c] -= 1
                    keeping[c] -= 1
                    return
                used_fixed[register] = position
                constraints.append(register)
                keeping[c] -= not clobbers >> register & 1
            elif choice < 0.7 and room[c] > 0:
                if position == LATE and keeping[c] < 1:
                    return
                constraints.append(ANY_REGISTER)
                keeping[c] -= position == LATE
            else:
                if position == LATE:
                    return
                constraints.append(ANY_LOCATION)
                room[c] += 1
            room[c] -= 1
            kinds.append(USE)
            operands.append(v)
            positions.append(position)

        for _ in range(rnd.randint(0, 4)):
            use(EARLY)
        if rnd.random() < 0.15:
            use(LATE)
        if is_call and rnd.random() < 0.1:
            for _ in range(12):
                kinds.append(USE)
                constraints.append(ANY_LOCATION)
                positions.append(EARLY)
                operands.append(self._pick(values))
        written: list[int] = []
        for _ in range(rnd.randint(0, 2)):
            choice = rnd.random()
            v = self._new()
            c = code.vreg_class[v]
            position = EARLY if rnd.random() < 0.2 else LATE
            constraint = ANY_REGISTER
            if choice < 0.4:
                constraint = self._fixed(c)
                if constraint in written or used_fixed.get(constraint, EARLY) == LATE:
                    continue
                if position == EARLY and (constraint in used_fixed or clobbers >> constraint & 1):
                    continue
                if not clobbers >> constraint & 1 and constraint not in used_fixed:
                    if keeping[c] < 1:
                        continue
                    keeping[c] -= 1
                if position == EARLY:
                    room[c] -= 1
                written.append(constraint)
            elif choice < 0.7:
                if room[c] < 1 or keeping[c] < 1:
                    continue
                room[c] -= 1
                keeping[c] -= 1
            else:
                tied = [
                    k
                    for k, source in enumerate(operands)
                    if kinds[k] == USE
                    and constraints[k] != ANY_LOCATION
                    and positions[k] == EARLY
                    and code.vreg_class[source] == c
                    and not any(constraint == SAME_AS - k for constraint in constraints)
                    and constraints[k] not in written
                ]
                position = LATE
                if not tied or keeping[c] < 1 or room[c] < 1:
                    continue
                k = rnd.choice(tied)
                constraint = SAME_AS - k
                if constraints[k] >= 0:
                    if clobbers >> constraints[k] & 1:
                        continue
                    written.append(constraints[k])
                else:
                    keeping[c] -= 1
                    room[c] -= 1
            kinds.append(DEF)
            constraints.append(constraint)
            positions.append(position)
            operands.append(v)
        for register in [*used_fixed, *written]:
            if register in written:
                clobbers &= ~(1 << register) if rnd.random() < 0.5 else -1
            elif used_fixed[register] == LATE:
                clobbers &= ~(1 << register)
        if rnd.random() < 0.1 and room[GPR] > 2 and room[XMM] > 2:
            operands.append(self._pick(values))  # past the end of the shape
        return MachineInst(operands, Shape(kinds, constraints, positions, clobbers))


def _dominators(succs: list[list[int]]) -> list[int]:
    """Immediate dominators. The blocks that cannot be reached are removed from `succs` by renumbering it in place."""
    reached = [0]
    for b in reached:
        for s in succs[b]:
            if s not in reached:
                reached.append(s)
    number = {b: n for n, b in enumerate(sorted(reached))}
    kept = [[number[s] for s in succs[b]] for b in sorted(reached)]
    succs[:] = kept
    count = len(succs)
    full = set(range(count))
    dominators = [full.copy() for _ in range(count)]
    dominators[0] = {0}
    preds: list[list[int]] = [[] for _ in range(count)]
    for b, chosen in enumerate(succs):
        for s in chosen:
            preds[s].append(b)
    changed = True
    while changed:
        changed = False
        for b in range(1, count):
            new = {b} | set.intersection(*[dominators[p] for p in preds[b]])
            if new != dominators[b]:
                dominators[b] = new
                changed = True
    result = []
    for b in range(count):
        strict = dominators[b] - {b}
        result.append(max(strict, key=lambda d: len(dominators[d])) if strict else -1)
    return result
