"""The state machine: any calls on any CPU, one at a time, of a system of one design and of its model beside it.

=> `machine_for(variant)` gives the machine for one variant's tunables.
"""

from typing import Any

from tests.mechanism.rig import VARIANTS as PLAIN
from tests.model.page_rules import PageRules
from tests.model.system_rules import SystemRules
from tests.model.turns import TurnsMachine
from tests.model.virtual import VirtualTurns

LINUX: dict[str, Any] = {"design": "linux_pcp", "npages": 256, "pagesize": 1 << 16}
"""So many pages to a CPU that a set may grow: from 5 to 8; freemin is 21, freetarg 28."""
FEW_CREDITS: dict[str, Any] = {
    "design": "depot",
    "unit": 2,
    "exchange": 3,
    "budget": 24,
    "spare_s": 0.2,
}
"""The depot with so few credits that CPUs have to borrow."""

VARIANTS: dict[str, dict[str, Any]] = {
    **PLAIN,
    "fpageqlock, idle": {"design": "fpageqlock", "idlezero": True},
    "percpu, idle": {"design": "percpu", "idlezero": True},
    "magazines": {"design": "magazines", "M": 3, "drain_retry": True},
    "linux_pcp": LINUX,
    "linux_pcp, before": LINUX | {"autotune": False, "spill_chunk": 0},
    "llfree, small trees": {"design": "llfree", "tree_pages": 64},
    "depot, few": FEW_CREDITS,
    "depot, few, idle": FEW_CREDITS | {"idlezero": True},
    "depot, counted, remote": FEW_CREDITS | {"count_cached": True, "remote_drain": True},
    "depot, sockets": FEW_CREDITS | {"per_socket": True},
    "openbsd_magazine": {"design": "openbsd_magazine", "magazine": 3},
    "freebsd_pgcache": {"design": "freebsd_pgcache", "cache_fraction": 2, "bucket_max": 3},
    "xnu": {"design": "xnu", "refill_limit": 6, "free_batch": 4},
    "netbsd10": {"design": "netbsd10"},
    "netbsd10, 2 buckets": {"design": "netbsd10", "nbuckets": 2},
}
"""Every design, and the proposal with its options."""


class UvmMachine(PageRules, SystemRules):
    """All rules."""


def machine_for(variant: dict[str, Any], turns: type[TurnsMachine | VirtualTurns] = TurnsMachine) -> type[UvmMachine]:
    """Return the state machine for a system booted with these tunables, on such a machine.

    => Hypothesis prints a failure as `state = NAME()` and the steps that follow; the name makes that run as it is.
    """
    of = f"{variant}" if turns is TurnsMachine else f"{variant}, {turns.__name__}"
    return type(f"machine_for({of})", (UvmMachine,), {"variant": variant, "turns": turns})
