"""Which variables are constant, as far as Wasmtime's construction of SSA form knows it: fuel_constants.py says what for.

Cranelift builds SSA form by the algorithm of Braun et al. (2013), "Simple and Efficient Construction of Static Single Assignment
Form": a read of a variable looks for its definition along the ways that lead to the block. Where several come together it makes a
parameter of the block, which it replaces by the value if all of them bring the same one. A loop's header takes more
predecessors until its end, so a read in the loop finds a parameter of which nothing is known yet. What is found thus
depends on when one looks, and so this looks for the same things in the same order.

Of values it matters only whether they are constants, so that all others that operators make are one value, UNKNOWN.
"""

from __future__ import annotations

from typing import Final, final

from brolga.ir.work import STRIDE, spend

NOT_CONSTANT: Final = -1
UNKNOWN: Final = 0  # the value of all that is computed
NO_VALUE: Final = -1
NO_BLOCK: Final = -1

_MAX_STEPS: Final = 1_000_000  # definitions written and blocks looked at for one function


@final
class _Block:
    """`sealed`: all predecessors are known. `missing`: the variables that were read before that, with their parameters."""

    __slots__ = ("definitions", "missing", "predecessors", "sealed", "single")

    def __init__(self) -> None:
        self.definitions: dict[int, int] = {}
        self.predecessors: list[int] = []
        self.sealed = False
        self.single = NO_BLOCK  # the predecessor of a sealed block that has no other
        self.missing: list[tuple[int, int]] = []


@final
class Variables:
    """Variables, blocks and values are numbers. `exhausted` says that there have been too many steps; what is not
    known to be constant by then is not any more."""

    __slots__ = (
        "_aliases",
        "_blocks",
        "_constants",
        "_found",
        "_steps",
        "_variable_count",
        "_work_blocks",
        "_work_parameters",
        "block",
        "exhausted",
    )

    def __init__(self, variable_count: int) -> None:
        self._variable_count = variable_count
        self._constants = [NOT_CONSTANT]  # by value
        self._aliases = [NO_VALUE]  # by value: what the parameter has been replaced by
        self._blocks: list[_Block] = []
        self._work_blocks: list[int] = []
        self._work_parameters: list[int] = []
        self._found: list[int] = []
        self._steps = 0
        self.exhausted = False
        self.block = self.new_block()
        self.seal(self.block)

    # Values

    def new_constant(self, number: int) -> int:
        self._constants.append(number)
        self._aliases.append(NO_VALUE)
        return len(self._constants) - 1

    def constant(self, value: int) -> int:
        """The number that the value is, or NOT_CONSTANT."""
        return self._constants[self._resolve(value)]

    def _resolve(self, value: int) -> int:
        aliases = self._aliases
        end = value
        while aliases[end] != NO_VALUE:
            end = aliases[end]
        while value != end:
            aliases[value], value = end, aliases[value]
        return end

    # Blocks

    def new_block(self) -> int:
        self._blocks.append(_Block())
        return len(self._blocks) - 1

    def add_edge(self, block: int) -> None:
        """From the current block to `block`, which is not sealed."""
        self._blocks[block].predecessors.append(self.block)

    def remove_edge(self, source: int, block: int) -> None:
        """What `add_edge` added."""
        self._blocks[block].predecessors.remove(source)

    def seal(self, number: int) -> None:
        """There will be no more edges to this block."""
        block = self._blocks[number]
        block.sealed = True
        if len(block.predecessors) == 1:
            block.single = block.predecessors[0]
        for variable, parameter in block.missing:
            self._ask_predecessors(number, parameter)
            self._run(variable)
        block.missing = []

    # Variables

    def new_variables(self, count: int) -> int:
        """The first of `count` new ones."""
        first = self._variable_count
        self._variable_count = first + count
        return first

    def define(self, variable: int, value: int) -> None:
        """In the current block."""
        self._count_step()
        self._blocks[self.block].definitions[variable] = value

    def read(self, variable: int) -> int:
        """Its value in the current block."""
        self._look_up(variable, self.block)
        return self._run(variable)

    def _count_step(self) -> None:
        self._steps += 1
        if not self._steps % STRIDE:
            spend(STRIDE)
        if self._steps > _MAX_STEPS:
            self.exhausted = True

    def _ask_predecessors(self, number: int, parameter: int) -> None:
        """Let `_run` find out what the predecessors bring for this parameter of the block."""
        self._work_blocks.append(number)
        self._work_parameters.append(parameter)
        for predecessor in reversed(self._blocks[number].predecessors):
            self._work_blocks.append(predecessor)
            self._work_parameters.append(NO_VALUE)

    def _run(self, variable: int) -> int:
        """Do what is to do, which is a stack for want of recursion: look the variable up in a block, or decide about a parameter
        after its block's predecessors have been looked at. The value that is the result of it all."""
        while self._work_blocks:
            number = self._work_blocks.pop()
            parameter = self._work_parameters.pop()
            if self.exhausted:
                self._found = [UNKNOWN]
            elif parameter == NO_VALUE:
                self._look_up(variable, number)
            else:
                self._decide(number, parameter)
        return self._found.pop()

    def _look_up(self, variable: int, number: int) -> None:
        """Put the value of the variable at the end of this block on `_found`, or the work that leads to it on its stack."""
        blocks = self._blocks
        start = number  # where the definition is: the first one backwards, as long as there is only one way
        value = blocks[start].definitions.get(variable, NO_VALUE)
        while value == NO_VALUE and blocks[start].single != NO_BLOCK:
            self._count_step()
            start = blocks[start].single
            value = blocks[start].definitions.get(variable, NO_VALUE)
        if value != NO_VALUE:
            self._found.append(value)
        else:
            value = self.new_constant(NOT_CONSTANT)
            block = blocks[start]
            block.definitions[variable] = value
            if block.sealed:
                self._ask_predecessors(start, value)
            else:
                block.missing.append((variable, value))
                self._found.append(value)
        while number != start:
            blocks[number].definitions[variable] = value
            number = blocks[number].single

    def _decide(self, number: int, parameter: int) -> None:
        """The predecessors' values are on `_found`: replace the parameter by the only one, if there is but one."""
        count = len(self._blocks[number].predecessors)
        values = {self._resolve(value) for value in self._found[-count:]}
        del self._found[-count:]
        values.discard(parameter)
        if len(values) == 1:
            value = values.pop()
            self._aliases[parameter] = value
            self._found.append(value)
        else:
            self._found.append(parameter)
