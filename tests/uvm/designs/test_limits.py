"""The limits of each design's own tunables, and their defaults, as a table that was written by hand.

=> The last value that is allowed is taken, the first one beyond it is refused, and the error names the limit.
=> A tunable without a row fails, so that whoever adds one says its limits here, too.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import pytest

from uvmfree.errors import ParamError
from uvmfree.param import Param
from uvmfree.uvm.designs import REGISTRY


@dataclass(frozen=True)
class Whole:
    """A whole number from `low` to `high`; `none`: or None; `powers`: of two alone."""

    default: int | None
    low: int
    high: int
    none: bool = False
    powers: bool = False


PAGES = 67_108_864
"""256 GiB of 4 KiB pages."""

WHOLE = {
    "percpu.refill": Whole(1, 1, 4096),
    "percpu.hoard_max": Whole(None, 1, PAGES, none=True),
    "magazines.M": Whole(256, 1, 4096),
    "linux_pcp.scale_max": Whole(5, 0, 6),
    "linux_pcp.spill_chunk": Whole(None, 0, PAGES, none=True),
    "netbsd10.nbuckets": Whole(1, 1, 8),
    "freebsd_pgcache.cache_fraction": Whole(1000, 1, 1_048_576),
    "freebsd_pgcache.bucket_max": Whole(254, 1, 4096),
    "openbsd_magazine.magazine": Whole(8, 1, 4096),
    "xnu.refill_limit": Whole(128, 1, 65_536),
    "xnu.free_batch": Whole(64, 1, 4096),
    "llfree.tree_pages": Whole(None, 64, 16_384, none=True, powers=True),
    "depot.unit": Whole(32, 1, 4096),
    "depot.exchange": Whole(16, 1, 4096),
    "depot.budget": Whole(None, 64, PAGES, none=True),  # two units of 32
}
YES_OR_NO = {
    "linux_pcp.autotune": True,
    "linux_pcp.decay": True,
    "freebsd_pgcache.adapt": True,
    "openbsd_magazine.counters": True,
    "depot.per_socket": False,
}
SECONDS = {"depot.spare_s": 0.02}
WORDS = {"percpu.search": ("local", ("local", "colour"))}
SYSTEM: dict[str, object] = {
    "npages": 65_536,
    "pagesize": 4096,
    "ncpus": 4,
    "ncolors": 8,
    "nfreelists": 1,
    "design": "percpu",
    "drain_retry": False,
    "count_cached": False,
    "remote_drain": False,
    "redistribute_interval_s": 1.0,
    "redistribute_min_gap_s": 0.01,
    "idlezero": False,
    "idle_interval_s": 0.01,
    "lockstat": False,
    "lockdebug": False,
    "own": (),
}


def given(tunable: str, value: Any) -> Any:
    """Return a design's tunables, one of them given, as a system comes to them."""
    design = tunable.partition(".")[0]
    return Param.of({tunable: value}).tunables_of(design, REGISTRY[design].Tunables)


def refused(tunable: str, value: object) -> str:
    """Give a value that has to be refused; return what was said behind the name and the value."""
    with pytest.raises(ParamError) as refusal:
        given(tunable, value)
    name, said = tunable.partition(".")[2], str(refusal.value)
    assert said.startswith(f"{name}={value!r}: must be ")
    return said.removeprefix(f"{name}={value!r}: ")


def test_each_tunable_has_its_row() -> None:
    there = {f"{name}.{each.name}" for name, design in REGISTRY.items() for each in fields(design.Tunables)}
    assert there == {*WHOLE, *YES_OR_NO, *SECONDS, *WORDS}
    assert {each.name for each in fields(Param)} == SYSTEM.keys()


def test_what_is_not_given_is_as_the_table_says() -> None:
    assert {name: getattr(Param(), name) for name in SYSTEM} == SYSTEM
    own = {
        f"{name}.{each.name}": each.default for name, design in REGISTRY.items() for each in fields(design.Tunables)
    }
    words = {name: word for name, (word, _) in WORDS.items()}
    assert own == {name: row.default for name, row in WHOLE.items()} | YES_OR_NO | SECONDS | words


@pytest.mark.whole
@pytest.mark.parametrize("tunable", WHOLE)
def test_a_whole_number(tunable: str) -> None:
    row, name = WHOLE[tunable], tunable.partition(".")[2]
    for value in (row.low, row.high, *([None] if row.none else [])):
        assert getattr(given(tunable, value), name) == value
    below, above = (row.low // 2, row.high * 2) if row.powers else (row.low - 1, row.high + 1)
    limit = f"from {row.low} to {row.high}"
    for value in (below, above, -1, *([row.low + 1] if row.powers else [])):
        assert limit in refused(tunable, value)
    for wrong in (float(row.low), str(row.low), True, *([] if row.none else [None])):
        assert refused(tunable, wrong)


@pytest.mark.whole
@pytest.mark.parametrize("tunable", YES_OR_NO)
def test_yes_or_no(tunable: str) -> None:
    for value in (True, False):
        assert getattr(given(tunable, value), tunable.partition(".")[2]) is value
    for wrong in (1, 0, "yes", None):
        assert refused(tunable, wrong) == "must be True or False"


@pytest.mark.whole
@pytest.mark.parametrize("tunable", SECONDS)
def test_seconds(tunable: str) -> None:
    for value in (0.001, 1, 3600):
        assert getattr(given(tunable, value), tunable.partition(".")[2]) == value
    for wrong in (0.0009, 3600.5, 0, -1.0, float("nan"), "1", True, None):
        assert refused(tunable, wrong) == "must be a number of seconds from 0.001 to 3600"


@pytest.mark.whole
@pytest.mark.parametrize("tunable", WORDS)
def test_one_of_some_words(tunable: str) -> None:
    _, words = WORDS[tunable]
    for word in words:
        assert getattr(given(tunable, word), tunable.partition(".")[2]) == word
    for wrong in ("", words[0].upper(), None, 1):
        assert refused(tunable, wrong) == f"must be {' or '.join(map(repr, words))}"


def test_a_limit_that_goes_by_another_tunable() -> None:
    own = (("percpu.refill", 8), ("percpu.hoard_max", 8), ("depot.unit", 100), ("depot.budget", 200))
    param = Param(own=own)
    assert param.tunables_of("percpu", REGISTRY["percpu"].Tunables).hoard_max == 8
    assert param.tunables_of("depot", REGISTRY["depot"].Tunables).budget == 200
    with pytest.raises(ParamError, match=r"^hoard_max=7: must be from 8 to"):
        Param(own=(("refill", 8), ("hoard_max", 7))).tunables_of("percpu", REGISTRY["percpu"].Tunables)
    with pytest.raises(ParamError, match=r"^budget=199: must be from 200 to"):
        Param(own=(("unit", 100), ("budget", 199))).tunables_of("depot", REGISTRY["depot"].Tunables)
