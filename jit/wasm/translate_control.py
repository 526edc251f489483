"""Translation of structured control: blocks, loops, ifs, branches.

The block that branches to a construct lead to (a loop's header, else what follows the construct) is made with the first branch,
with its parameters: one for each local that live_locals.py names, and one for each operand it receives. A construct that
nothing branches to makes no block. Code that cannot be reached is skipped, never built; that includes what hangs on a condition
which turns out constant.
"""

from __future__ import annotations

from typing import Final

from brolga.ir.builder import FunctionBuilder
from brolga.ir.function import Block

from .fuel import write
from .opcodes import BLOCK, ELSE, END, IMMEDIATES
from .operators import read_immediates, read_opcode
from .reader import read_s33
from .translate_state import FRAME_BLOCK, FRAME_FUNCTION, FRAME_IF, FRAME_INLINED, FRAME_LOOP, Frame, State, ir_types_of
from .types import IR_TYPE

_NO_TYPES: Final[list[int]] = []
_NO_ARGS: Final[list[int]] = []
_RESULTS: Final[dict[int, list[int]]] = {0x40: _NO_TYPES, **{type: [ir_type] for type, ir_type in IR_TYPE.items()}}


def _read_block_type(state: State, pos: int) -> tuple[list[int], list[int], int]:
    """IR types of parameters and results, and the next position."""
    byte = state.data[pos]
    if byte in _RESULTS:
        return _NO_TYPES, _RESULTS[byte], pos + 1
    index, pos = read_s33(state.data, pos)
    type = state.module.types[index]
    return ir_types_of(type.params), ir_types_of(type.results), pos


# The block of a label


def _make_label(state: State, merged: list[int], types: list[int]) -> Block:
    """A block with a parameter for each of these locals and operand types."""
    builder = state.builder
    locals = state.locals
    block = builder.create_block()
    value_types = builder.function.value_types
    for local in merged:
        builder.append_param(block, value_types[locals[local]])
    for type in types:
        builder.append_param(block, type)
    return block


def _enter_label(state: State, block: Block, merged: list[int]) -> None:
    """Locals and operand stack at the start of a label's block are its parameters."""
    params = block.params
    locals = state.locals
    for position, local in enumerate(merged):
        locals[local] = params[position]
    state.stack.extend(params[len(merged) :])


def _label(state: State, frame: Frame) -> Block:
    """The block that a branch to `frame` leads to."""
    label = frame.label
    if label is None:
        label = _make_label(state, frame.merged, frame.results)
        frame.label = label
    return label


def _label_args(state: State, frame: Frame) -> list[int]:
    """Arguments for the label's block: locals, and the topmost operands, which stay on the stack."""
    locals = state.locals
    args = [locals[local] for local in frame.merged]
    if frame.label_arity:
        args.extend(state.stack[-frame.label_arity :])
    state.count_passed(len(args))
    return args


def _reach(builder: FunctionBuilder, frame: Frame) -> None:
    """The current block leads to the label of `frame`: find what dominates all blocks that do."""
    if frame.kind == FRAME_LOOP:
        return
    join = frame.join
    if join is None:
        frame.join = builder.block
    elif not builder.active[join.number]:
        frame.join = builder.common_dominator(join, frame.start)


def _leads_to(builder: FunctionBuilder, block: Block) -> bool:
    """Whether the branch just built can go to `block`: on a constant condition the builder leaves only one way."""
    number = block.number
    for target in builder.block.insts[-1].targets:
        if target.block == number:
            return True
    return False


# Constructs


def begin_block(state: State, pos: int) -> int:
    params, results, pos = _read_block_type(state, pos)
    construct = state.construct
    state.construct = construct + 1
    height = len(state.stack) - len(params)
    merged = state.constructs.merged[construct]
    state.frames.append(Frame(FRAME_BLOCK, len(results), results, height, merged, state.builder.block))
    return pos


def begin_loop(state: State, pos: int) -> int:
    params, results, pos = _read_block_type(state, pos)
    construct = state.construct
    state.construct = construct + 1
    builder = state.builder
    before = builder.block
    merged = state.constructs.merged[construct]
    frame = Frame(FRAME_LOOP, len(params), results, len(state.stack) - len(params), merged, before)
    state.frames.append(frame)
    if state.constructs.branches[construct]:
        header = _make_label(state, merged, params)
        frame.label = header
        builder.jump(header, _label_args(state, frame))
        builder.switch_to_block(header, before)
        del state.stack[frame.height :]
        _enter_label(state, header, merged)
    return pos


def begin_if(state: State, pos: int) -> int:
    params, results, pos = _read_block_type(state, pos)
    construct = state.construct
    state.construct = construct + 1
    builder = state.builder
    before = builder.block
    condition = state.stack.pop()
    height = len(state.stack) - len(params)
    frame = Frame(FRAME_IF, len(results), results, height, state.constructs.merged[construct], before)
    state.frames.append(frame)
    then_block = builder.create_block()
    if state.constructs.has_else[construct]:
        else_block = builder.create_block()
        builder.brif(condition, then_block, _NO_ARGS, else_block, _NO_ARGS)
        if _leads_to(builder, else_block):
            frame.else_block = else_block
            frame.params = state.stack[height:]
            frame.restored = state.constructs.restored[construct]
            frame.saved = [state.locals[local] for local in frame.restored]
    else:
        # Without an else the parameters are the results.
        after = _label(state, frame)
        builder.brif(condition, then_block, _NO_ARGS, after, _label_args(state, frame))
        if _leads_to(builder, after):
            _reach(builder, frame)
    if _leads_to(builder, then_block):
        builder.switch_to_block(then_block, before)
    return pos


def begin_else(state: State) -> None:
    """`else`, whether or not the end of the first arm is reached. The other one may be unreachable."""
    frame = state.frames[-1]
    builder = state.builder
    if not builder.terminated:
        _leave_arm(state, frame)
    else_block = frame.else_block
    if else_block is None:
        return
    del state.stack[frame.height :]
    state.stack.extend(frame.params)
    for position, local in enumerate(frame.restored):
        state.locals[local] = frame.saved[position]
    builder.switch_to_block(else_block, frame.start)


def _leave_arm(state: State, frame: Frame) -> None:
    """The end of an arm is reached: go on after the construct."""
    builder = state.builder
    builder.jump(_label(state, frame), _label_args(state, frame))
    _reach(builder, frame)


def end_construct(state: State) -> bool:
    """`end`, whether or not it is reached. True if it was the body's."""
    frame = state.frames.pop()
    builder = state.builder
    if frame.kind == FRAME_FUNCTION:
        if not builder.terminated:
            _return(state, state.pop_values(len(frame.results)))
        return True
    if frame.kind == FRAME_LOOP:
        # What follows the loop goes on in the same block.
        return False
    label = frame.label
    if label is not None and frame.join is not None:
        if not builder.terminated:
            _leave_arm(state, frame)
        del state.stack[frame.height :]
        builder.switch_to_block(label, frame.join if builder.is_near(frame.join) else frame.start)
        _enter_label(state, label, frame.merged)
    return frame.kind == FRAME_INLINED


def in_loop(state: State) -> bool:
    """Whether a loop that something branches to is open."""
    for frame in state.frames:
        if frame.kind == FRAME_LOOP and frame.label is not None:
            return True
    return False


# Branches


def branch(state: State, depth: int) -> None:
    frame = state.frames[-1 - depth]
    if frame.kind == FRAME_FUNCTION:
        _return(state, state.pop_values(frame.label_arity))
    else:
        _leave_arm(state, frame)


def branch_if(state: State, depth: int) -> None:
    builder = state.builder
    condition = state.stack.pop()
    before = builder.block
    frame = state.frames[-1 - depth]
    next_block = builder.create_block()
    if frame.kind == FRAME_FUNCTION:
        return_block = builder.create_block()
        builder.brif(condition, return_block, _NO_ARGS, next_block, _NO_ARGS)
        goes_on = _leads_to(builder, next_block)
        if _leads_to(builder, return_block):
            _build_return(state, frame, return_block, before)
    else:
        label = _label(state, frame)
        builder.brif(condition, label, _label_args(state, frame), next_block, _NO_ARGS)
        goes_on = _leads_to(builder, next_block)
        if _leads_to(builder, label):
            _reach(builder, frame)
    if goes_on:
        builder.switch_to_block(next_block, before)


def branch_table(state: State, depths: list[int]) -> None:
    """br_table: `depths` ends with the default. Where a label takes arguments, a block on the way passes them, so that they
    are not repeated for each entry of the table."""
    builder = state.builder
    index = state.stack.pop()
    before = builder.block
    blocks: dict[int, Block] = {}  # by depth
    for depth in depths:
        if depth not in blocks:
            frame = state.frames[-1 - depth]
            if frame.kind == FRAME_FUNCTION or frame.merged or frame.label_arity:
                blocks[depth] = builder.create_block()
            else:
                blocks[depth] = _label(state, frame)
    builder.br_table(index, [(blocks[depth], _NO_ARGS) for depth in depths])
    reached = {target.block for target in before.insts[-1].targets}
    for depth, block in blocks.items():
        frame = state.frames[-1 - depth]
        if block is frame.label and block.number in reached:
            _reach(builder, frame)
    for depth, block in blocks.items():
        frame = state.frames[-1 - depth]
        if block is frame.label or block.number not in reached:
            continue
        if frame.kind == FRAME_FUNCTION:
            _build_return(state, frame, block, before)
        else:
            builder.switch_to_block(block, before)
            _leave_arm(state, frame)


def _build_return(state: State, frame: Frame, block: Block, dominator: Block) -> None:
    builder = state.builder
    state.count_passed(frame.label_arity)
    builder.switch_to_block(block, dominator)
    _return(state, state.stack[-frame.label_arity :] if frame.label_arity else [])


def _return(state: State, values: list[int]) -> None:
    if state.fuel is not None:
        write(state, state.fuel)
    state.builder.ret(values)


# Unreachable code


def skip_unreachable(state: State, pos: int) -> int:
    """From a point that is not reached, the position of the `else` or `end` of the innermost open construct."""
    data = state.data
    depth = 0
    while True:
        op = data[pos]
        if op == END:
            if depth == 0:
                return pos
            depth -= 1
            pos += 1
            continue
        if op == ELSE and depth == 0:
            return pos
        op, after = read_opcode(data, pos)
        if IMMEDIATES[op] == BLOCK:
            depth += 1
            state.construct += 1
        _, pos = read_immediates(data, after, op)
