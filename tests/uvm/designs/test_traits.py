"""What each design declares of itself, as a table that was written by hand.

=> The contract's tests hold a design to what it declares: one that declares less is asked for less. This table asks.
"""

from typing import Any

import pytest

from uvmfree.param import Param
from uvmfree.uvm.designs import REGISTRY, traits_of

PLAIN: dict[str, Any] = {
    "colors": None,
    "zeros": False,
    "lifo": True,
    "freed": "cache",
    "idle": None,
    "causes": {"explicit", "pglistalloc"},
    "free": "store",
    "short": "store",
    "gate": "store",
    "steals": False,
}
"""A cache of a CPU over a store, and no more."""

NOT_CACHED = {"freed": "store", "bound": 0, "refill": 1, "idle": 0, "causes": set(), "free": "all", "short": "all"}

TABLE: dict[str, dict[str, Any]] = {
    "fpageqlock": NOT_CACHED | {"freed": "both", "colors": "system", "zeros": True, "gate": "system"},
    "percpu": {
        "colors": "cache",
        "zeros": True,
        "bound": None,
        "refill": 1,
        "idle": 0,
        "causes": {"timer", "pressure", "explicit", "pglistalloc"},
    },
    "magazines": {"bound": 2 * 256, "refill": 256, "causes": {"pressure", "explicit", "pglistalloc"}},
    "linux_pcp": {
        "bound": 4096,
        "refill": 15 * 2**5,
        "idle": 256,
        "causes": {"decay", "retry", "explicit", "pglistalloc"},
        "gate": "system",
    },
    "netbsd10": {"colors": "system", "bound": 7 * 8, "refill": 7, "free": "all", "short": "all", "gate": "part"},
    "freebsd_pgcache": {"bound": 2 * 8, "refill": 8, "causes": {"trim", "explicit", "pglistalloc"}},
    "openbsd_magazine": {"bound": 2 * 8, "refill": 8, "causes": {"pressure", "explicit", "pglistalloc"}},
    "xnu": {"lifo": False, "freed": "batch", "bound": 127 + 63, "refill": 128},
    "llfree": NOT_CACHED | {"lifo": False, "gate": "system"},
    "depot": {
        "colors": "units",
        "zeros": True,
        "bound": 2 * 16 * 32,
        "refill": 16 * 32,
        "idle": 0,
        "causes": {"timer", "pressure", "explicit", "pglistalloc"},
        "steals": True,
    },
}
"""On 256 MiB with 2 CPUs, what is not as in PLAIN."""

OTHER: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"design": "percpu", "refill": 8, "hoard_max": 20}, {"refill": 8, "bound": 20}),
    ({"design": "percpu", "count_cached": True}, {"short": "all", "free": "store"}),
    ({"design": "percpu", "search": "colour"}, {"colors": "system"}),
    ({"design": "percpu", "drain_retry": True}, {"causes": {"retry", *TABLE["percpu"]["causes"]}}),
    ({"design": "magazines", "M": 10}, {"refill": 10, "bound": 20}),
    ({"design": "openbsd_magazine", "magazine": 10}, {"refill": 10, "bound": 20}),
    ({"design": "xnu", "refill_limit": 10, "free_batch": 4}, {"refill": 10, "bound": 9 + 3}),
    ({"design": "xnu", "refill_limit": 10, "free_batch": 4, "nfreelists": 3}, {"refill": 10, "bound": 3 * 9 + 3}),
    ({"design": "netbsd10", "ncolors": 2}, {"bound": 7 * 2}),
    ({"design": "depot", "unit": 10, "exchange": 3}, {"refill": 30, "bound": 60}),
]


@pytest.mark.whole
@pytest.mark.parametrize("design", REGISTRY)
def test_a_design_declares_what_the_table_says(design: str) -> None:
    said = traits_of(Param(npages=65_536, ncpus=2, design=design))
    table = PLAIN | TABLE[design]
    assert {name: getattr(said, name) for name in table} == table
    assert set(said.__slots__) == table.keys()


@pytest.mark.whole
@pytest.mark.parametrize(("tunables", "differ"), OTHER, ids=lambda each: ",".join(each))
def test_what_follows_from_tunables(tunables: dict[str, Any], differ: dict[str, Any]) -> None:
    said = traits_of(Param.of({"npages": 65_536, "ncpus": 2} | tunables))
    assert {name: getattr(said, name) for name in differ} == differ
