"""Translation of structured control: blocks, loops, ifs, branches.

Blocks are made with their parameters at once: a loop's header and the block after a construct have one for each local that is set
within the construct (validation has seen which) and one for each operand they receive. Those that turn out trivial or unneeded go in
passes. Code that cannot be reached is skipped, never built.
"""

from __future__ import annotations

from brolga.ir.function import Block

from .opcodes import BLOCK, ELSE, END, IMMEDIATES
from .operators import read_immediates, read_opcode
from .reader import read_s33
from .translate_state import FRAME_BLOCK, FRAME_FUNCTION, FRAME_IF, FRAME_LOOP, Frame, State, ir_types_of
from .types import IR_TYPE

_EMPTY_BLOCK_TYPE = 0x40


def read_block_type(state: State, pos: int) -> tuple[list[int], list[int], int]:
    """IR types of parameters and results, and the next position."""
    byte = state.data[pos]
    if byte == _EMPTY_BLOCK_TYPE:
        return [], [], pos + 1
    if byte in IR_TYPE:
        return [], [IR_TYPE[byte]], pos + 1
    index, pos = read_s33(state.data, pos)
    type = state.module.types[index]
    return ir_types_of(type.params), ir_types_of(type.results), pos


def _label_block(state: State, locals: tuple[int, ...], types: list[int]) -> Block:
    """A block with a parameter for each of these locals and operand types."""
    builder = state.builder
    block = builder.create_block()
    value_types = builder.function.value_types
    for local in locals:
        builder.append_param(block, value_types[state.locals[local]])
    for type in types:
        builder.append_param(block, type)
    return block


def _next_set_locals(state: State) -> tuple[int, ...]:
    found = state.set_locals[state.construct]
    state.construct += 1
    return found


def begin_block(state: State, pos: int) -> int:
    params, results, pos = read_block_type(state, pos)
    locals = _next_set_locals(state)
    label = _label_block(state, locals, results)
    height = len(state.stack) - len(params)
    state.frames.append(Frame(FRAME_BLOCK, label, len(results), results, height, locals, state.builder.block))
    return pos


def begin_loop(state: State, pos: int) -> int:
    params, results, pos = read_block_type(state, pos)
    locals = _next_set_locals(state)
    builder = state.builder
    before = builder.block
    header = _label_block(state, locals, params)
    operands = state.pop_values(len(params))
    builder.jump(header, [state.locals[local] for local in locals] + operands)
    builder.switch_to_block(header, before)
    state.frames.append(Frame(FRAME_LOOP, header, len(params), results, len(state.stack), locals, before))
    _enter_label(state, header, locals)
    return pos


def begin_if(state: State, pos: int) -> int:
    params, results, pos = read_block_type(state, pos)
    locals = _next_set_locals(state)
    builder = state.builder
    condition = state.stack.pop()
    label = _label_block(state, locals, results)
    height = len(state.stack) - len(params)
    frame = Frame(FRAME_IF, label, len(results), results, height, locals, builder.block)
    frame.params = state.stack[height:]
    frame.saved_locals = [state.locals[local] for local in locals]
    then_block = builder.create_block()
    frame.else_block = builder.create_block()
    state.frames.append(frame)
    builder.brif(condition, then_block, [], frame.else_block, [])
    builder.switch_to_block(then_block, frame.dominator)
    return pos


def _enter_label(state: State, block: Block, locals: tuple[int, ...]) -> None:
    """Locals and operand stack at the start of a label's block are its parameters."""
    params = block.params
    for position, local in enumerate(locals):
        state.locals[local] = params[position]
    state.stack.extend(params[len(locals) :])


def _leave_arm(state: State, frame: Frame) -> None:
    """The end of an arm is reached: go on after the construct."""
    args = [state.locals[local] for local in frame.set_locals]
    args.extend(state.pop_values(len(frame.results)))
    state.builder.jump(frame.label, args)
    frame.reached = True


def begin_else(state: State) -> None:
    """`else`, whether or not the end of the first arm is reached."""
    frame = state.frames[-1]
    if not state.builder.terminated:
        _leave_arm(state, frame)
    _begin_else_arm(state, frame)


def _begin_else_arm(state: State, frame: Frame) -> None:
    else_block = frame.else_block
    assert else_block is not None
    frame.else_block = None
    del state.stack[frame.height :]
    state.stack.extend(frame.params)
    for position, local in enumerate(frame.set_locals):
        state.locals[local] = frame.saved_locals[position]
    state.builder.switch_to_block(else_block, frame.dominator)


def end_construct(state: State) -> bool:
    """`end`, whether or not it is reached. True if it was the function's."""
    frame = state.frames[-1]
    builder = state.builder
    if frame.kind == FRAME_FUNCTION:
        if not builder.terminated:
            builder.ret(state.pop_values(len(frame.results)))
        return True
    if frame.kind == FRAME_LOOP:
        # What follows the loop goes on in the same block.
        state.frames.pop()
        return False
    if not builder.terminated:
        _leave_arm(state, frame)
    if frame.else_block is not None:
        _begin_else_arm(state, frame)
        _leave_arm(state, frame)
    state.frames.pop()
    if frame.reached:
        del state.stack[frame.height :]
        builder.switch_to_block(frame.label, frame.dominator)
        _enter_label(state, frame.label, frame.set_locals)
    return False


def branch_args(state: State, frame: Frame) -> list[int]:
    """Arguments for a branch to `frame` with the topmost operands, which stay on the stack."""
    args = [state.locals[local] for local in frame.set_locals]
    if frame.label_arity:
        args.extend(state.stack[-frame.label_arity :])
    return args


def branch(state: State, depth: int) -> None:
    frame = state.frames[-1 - depth]
    if frame.kind == FRAME_FUNCTION:
        state.builder.ret(state.pop_values(frame.label_arity))
        return
    state.builder.jump(frame.label, branch_args(state, frame))
    frame.reached = True


def branch_if(state: State, depth: int) -> None:
    builder = state.builder
    condition = state.stack.pop()
    before = builder.block
    frame = state.frames[-1 - depth]
    label, args = _branch_target(state, frame)
    next_block = builder.create_block()
    builder.brif(condition, label, args, next_block, [])
    _finish_return_block(state, frame, label, before)
    builder.switch_to_block(next_block, before)


def branch_table(state: State, depths: list[int]) -> None:
    """br_table: `depths` ends with the default."""
    builder = state.builder
    index = state.stack.pop()
    before = builder.block
    targets: dict[int, tuple[Block, list[int]]] = {}
    for depth in depths:
        if depth not in targets:
            targets[depth] = _branch_target(state, state.frames[-1 - depth])
    builder.br_table(index, [targets[depth] for depth in depths])
    for depth, (label, _) in targets.items():
        _finish_return_block(state, state.frames[-1 - depth], label, before)


def _branch_target(state: State, frame: Frame) -> tuple[Block, list[int]]:
    """Block and arguments of a conditional branch to `frame`; a branch to the function's label gets a block that returns."""
    if frame.kind == FRAME_FUNCTION:
        return state.builder.create_block(), []
    frame.reached = True
    return frame.label, branch_args(state, frame)


def _finish_return_block(state: State, frame: Frame, block: Block, dominator: Block) -> None:
    if frame.kind == FRAME_FUNCTION:
        state.builder.switch_to_block(block, dominator)
        state.builder.ret(state.stack[-frame.label_arity :] if frame.label_arity else [])


def skip_unreachable(state: State, pos: int) -> int:
    """From a point that is not reached, the position of the `else` or `end` of the innermost open construct.

    Constructs in between count as begun: validation has recorded them too.
    """
    data = state.data
    depth = 0
    while True:
        op, after = read_opcode(data, pos)
        if IMMEDIATES[op] == BLOCK:
            depth += 1
            state.construct += 1
        elif op == END:
            if depth == 0:
                return pos
            depth -= 1
        elif op == ELSE and depth == 0:
            return pos
        _, pos = read_immediates(data, after, op)
