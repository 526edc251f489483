"""What the transformations that are switched off mean for the packages that do not know of them: ir and regalloc."""

from __future__ import annotations

from typing import Final

from brolga.ir.inst_builder import Rules
from brolga.ir.rules.tables import FAMILIES, RULES, file_rules
from brolga.regalloc.policy import DEFAULT_POLICY, Policy

from .transformations import (
    BY_NAME,
    CALL_AVOIDANCE,
    COMPARE,
    DIVISION,
    EXCHANGED_OPERANDS,
    EXTEND,
    FLOAT,
    FOLD,
    FOLDED_BRANCHES,
    GVN,
    INTEGER,
    LATCH_MOVES,
    LOOP_ENTRIES,
    MEMORY_PARAMS,
    PARAM_HINTS,
    PLACED_STORES,
    REGISTER_HINTS,
    SEEN_CONDITIONS,
    SELECT,
    SHARED_CHECKS,
    SHARED_LOADS,
    SHARED_SLOTS,
    SHIFTS,
    SHRINK_WRAPPING,
    SLOT_OPERANDS,
)

_rules: Final[dict[tuple[int, bool], Rules]] = {(0, False): RULES}
_policies: Final[dict[int, Policy]] = {0: DEFAULT_POLICY}
_BUILDER: Final = (
    FOLD | INTEGER | SHIFTS | EXTEND | COMPARE | SELECT | DIVISION | FLOAT
    | GVN | SHARED_LOADS | SHARED_CHECKS | SEEN_CONDITIONS | FOLDED_BRANCHES
)  # fmt: skip
_ALLOCATOR: Final = (
    REGISTER_HINTS | PARAM_HINTS | CALL_AVOIDANCE | EXCHANGED_OPERANDS | SLOT_OPERANDS
    | LOOP_ENTRIES | MEMORY_PARAMS | SHARED_SLOTS | PLACED_STORES | LATCH_MOVES | SHRINK_WRAPPING
)  # fmt: skip


def builder_rules(off: int, check_facts: bool = False) -> Rules:
    """What the IR's builder simplifies if the transformations `off` are switched off."""
    off &= _BUILDER
    rules = _rules.get((off, check_facts))
    if rules is None:
        rules = file_rules(frozenset([name for name in FAMILIES if not BY_NAME[f"{name}_rules"].bit & off]))
        rules.shares = not off & GVN
        rules.shares_loads = not off & SHARED_LOADS
        rules.shares_checks = not off & SHARED_CHECKS
        rules.sees_through = not off & SEEN_CONDITIONS
        rules.folds_branches = not off & FOLDED_BRANCHES
        rules.checks_facts = check_facts
        _rules[off, check_facts] = rules
    return rules


def allocation_policy(off: int) -> Policy:
    """What the register allocator does if the transformations `off` are switched off."""
    off &= _ALLOCATOR
    policy = _policies.get(off)
    if policy is None:
        policy = Policy()
        policy.register_hints = not off & REGISTER_HINTS
        policy.param_hints = not off & PARAM_HINTS
        policy.call_avoidance = not off & CALL_AVOIDANCE
        policy.exchanges_operands = not off & EXCHANGED_OPERANDS
        policy.slot_operands = not off & SLOT_OPERANDS
        policy.loop_entries = not off & LOOP_ENTRIES
        policy.memory_params = not off & MEMORY_PARAMS
        policy.shares_slots = not off & SHARED_SLOTS
        policy.places_stores = not off & PLACED_STORES
        policy.latch_moves = not off & LATCH_MOVES
        policy.shrink_wrapping = not off & SHRINK_WRAPPING
        _policies[off] = policy
    return policy
