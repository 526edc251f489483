"""Machine code as text, before and after allocation, for dumps and golden tests.

    block1: v3, v4  ; from block0 block2
      v5=op1 <- v3, v4                       ; r0 <- r0, r1
      v6=r0 <- v5, v4/mem ! r2               ; r0 <- r0, slot3
      move r1 = r0 (v6)
      <-                                     ;  <-
      -> block1 v5, v6
"""

from __future__ import annotations

from .operand import (
    ANY_LOCATION,
    ANY_REGISTER,
    DEF,
    EARLY,
    FIRST_SPILL_SLOT,
    FIRST_VECTOR_REGISTER,
    LATE,
    MOVE_EXCHANGE,
    MOVE_REMAT,
    SAME_AS,
    Allocation,
    Code,
    MachineInst,
    Move,
)


def location_name(location: int) -> str:
    if location >= FIRST_SPILL_SLOT:
        return f"slot{location - FIRST_SPILL_SLOT}"
    if location >= FIRST_VECTOR_REGISTER:
        return f"x{location - FIRST_VECTOR_REGISTER}"
    return f"r{location}" if location >= 0 else "?"


def move_text(move: Move) -> str:
    if move.kind == MOVE_REMAT:
        return f"remat {location_name(move.destination)} = v{move.vreg}"
    verb = "exchange" if move.kind == MOVE_EXCHANGE else "move"
    arrow = "<>" if move.kind == MOVE_EXCHANGE else "="
    return f"{verb} {location_name(move.destination)} {arrow} {location_name(move.source)} (v{move.vreg})"


def inst_text(inst: MachineInst) -> str:
    """Operands with their constraints."""
    shape = inst.shape
    definitions: list[str] = []
    uses: list[str] = []
    for i, v in enumerate(inst.operands):
        text = f"v{v}"
        listed = i < len(shape.kinds)
        constraint = shape.constraints[i] if listed else ANY_REGISTER
        if constraint >= 0:
            text += "=" + location_name(constraint)
        elif constraint == ANY_LOCATION:
            text += "/mem"
        elif constraint <= SAME_AS:
            text += f"=op{SAME_AS - constraint}"
        if listed and shape.kinds[i] == DEF:
            definitions.append(text + (" early" if shape.positions[i] == EARLY else ""))
        else:
            uses.append(text + (" late" if listed and shape.positions[i] == LATE else ""))
    text = ", ".join(definitions) + " <- " + ", ".join(uses)
    clobbers = [location_name(r) for r in range(32) if shape.clobbers >> r & 1]
    if clobbers:
        text = text.rstrip() + " ! " + " ".join(clobbers)
    return text.strip()


def locations_text(inst: MachineInst) -> str:
    """Locations in the form of `inst_text`."""
    kinds = inst.shape.kinds
    definitions: list[str] = []
    uses: list[str] = []
    for i, location in enumerate(inst.locations):
        (definitions if i < len(kinds) and kinds[i] == DEF else uses).append(location_name(location))
    return (", ".join(definitions) + " <- " + ", ".join(uses)).strip()


def print_code(code: Code, allocation: Allocation | None = None) -> str:
    lines: list[str] = []
    for block in code.blocks:
        params = ", ".join([f"v{v}" for v in block.params])
        preds = " ".join([f"block{p}" for p in block.preds])
        frame = " without frame" if allocation and allocation.framed and not allocation.framed[block.number] else ""
        lines.append(
            f"block{block.number}:{frame}" + (f" {params}" if params else "") + (f"  ; from {preds}" if preds else "")
        )
        for index, inst in enumerate(block.insts):
            if allocation is not None:
                for move in allocation.moves[block.number].get(index, []):
                    lines.append("    " + move_text(move))
                lines.append(f"  {inst_text(inst):<40} ; {locations_text(inst)}".rstrip())
            else:
                lines.append("  " + inst_text(inst))
        arguments = ", ".join([f"v{v}" for v in block.branch_args])
        succs = " ".join([f"block{s}" for s in block.succs])
        if succs:
            lines.append(f"  -> {succs}" + (f" {arguments}" if arguments else ""))
    return "\n".join(lines) + "\n"
