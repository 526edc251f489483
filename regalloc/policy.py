"""What the allocator does beyond what is needed for a correct result. All of it can be left out, each by itself."""

from __future__ import annotations

from typing import Final, final


@final
class Policy:
    """register_hints      a vreg is put where a fixed operand ahead, or the client, wants it (`color`)
    param_hints         and where the block parameter is that it is passed to
    call_avoidance      registers that special instructions ahead need are avoided (`color`)
    exchanges_operands  the inputs of a commuting instruction change places so that the one that dies is overwritten (`allocate`)
    slot_operands       instructions that can read a spilled vreg from its slot do (`spill`)
    loop_entries        what is in registers at a loop's head is decided by what the loop uses (`loop_entry`)
    memory_params       parameters whose arguments are in memory on most paths arrive in their slots (`edges`)
    shares_slots        such a parameter and what is passed to it share a slot (`slots`)
    places_stores       of the stores of a spilled vreg the needed ones stay, where they cost least (`stores`)
    latch_moves         moves at the end of a loop go in front of the branch (`latches`)
    shrink_wrapping     the frame is made on paths that need it only (`shrink_wrap`)
    """

    __slots__ = (
        "register_hints",
        "param_hints",
        "call_avoidance",
        "exchanges_operands",
        "slot_operands",
        "loop_entries",
        "memory_params",
        "shares_slots",
        "places_stores",
        "latch_moves",
        "shrink_wrapping",
    )

    def __init__(self) -> None:
        self.register_hints = True
        self.param_hints = True
        self.call_avoidance = True
        self.exchanges_operands = True
        self.slot_operands = True
        self.loop_entries = True
        self.memory_params = True
        self.shares_slots = True
        self.places_stores = True
        self.latch_moves = True
        self.shrink_wrapping = True


DEFAULT_POLICY: Final = Policy()
