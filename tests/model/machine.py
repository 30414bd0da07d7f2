"""The state machine: any calls on any CPU, one at a time, of a system of one design and of its model beside it.

=> `machine_for(variant)` gives the machine for one variant's tunables.
"""

from typing import Any

from tests.mechanism.rig import VARIANTS as PLAIN
from tests.model.page_rules import PageRules
from tests.model.system_rules import SystemRules
from tests.model.turns import TurnsMachine
from tests.model.virtual import VirtualTurns

VARIANTS: dict[str, dict[str, Any]] = {
    **PLAIN,
    "fpageqlock, idle": {"design": "fpageqlock", "idlezero": True},
    "percpu, idle": {"design": "percpu", "idlezero": True},
    "openbsd_magazine": {"design": "openbsd_magazine", "magazine": 3},
    "freebsd_pgcache": {"design": "freebsd_pgcache", "cache_fraction": 2, "bucket_max": 3},
    "xnu": {"design": "xnu", "refill_limit": 6, "free_batch": 4},
    "netbsd10": {"design": "netbsd10"},
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
