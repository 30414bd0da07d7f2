"""Every tunable out of range is one clear error at boot that names the field, the value and the limit."""

import math
from dataclasses import FrozenInstanceError, fields

import pytest

import uvmfree
from uvmfree.param import NCPUS_MAX, PAGES_MAX, SMALL_INTS, Param

# field, value, what else the tunables are, a part of the limit
OUT_OF_RANGE: list[tuple[str, object, dict[str, object], str]] = [
    ("npages", 6, {"ncpus": 1}, "from 7 to"),
    ("npages", 21, {"ncpus": 4}, "from 22 to"),
    ("npages", PAGES_MAX + 1, {}, str(PAGES_MAX)),
    ("npages", -1, {}, "from"),
    ("pagesize", 4095, {}, "power of two from 512"),
    ("pagesize", 256, {}, "power of two from 512"),
    ("pagesize", 1 << 22, {}, str(1 << 21)),
    ("pagesize", 0, {}, "power of two"),
    ("pagesize", -4096, {}, "power of two"),
    ("ncpus", 0, {}, "from 1 to"),
    ("ncpus", NCPUS_MAX + 1, {}, f"to {NCPUS_MAX}"),
    ("ncolors", 0, {}, "power of two from 1"),
    ("ncolors", 3, {}, "power of two"),
    ("ncolors", -8, {}, "power of two"),
    ("ncolors", 2 * SMALL_INTS, {}, f"to {SMALL_INTS}"),
    ("ncolors", SMALL_INTS, {"nfreelists": 2}, f"to {SMALL_INTS // 2}"),
    ("nfreelists", 0, {}, "from 1 to 8"),
    ("nfreelists", 9, {}, "from 1 to 8"),
    ("npages", 7, {"ncpus": 1, "nfreelists": 8}, "from 8 to"),
    ("refill", 0, {}, "from 1 to 4096"),
    ("refill", 4097, {}, "from 1 to 4096"),
    ("redistribute_interval_s", 0.0009, {}, "from 0.001 to 3600"),
    ("redistribute_interval_s", 3600.5, {}, "from 0.001 to 3600"),
    ("redistribute_interval_s", 0, {}, "seconds from"),
    ("redistribute_interval_s", -1.0, {}, "seconds from"),
    ("redistribute_interval_s", math.nan, {}, "seconds from"),
    ("redistribute_interval_s", math.inf, {}, "seconds from"),
    ("hoard_max", 0, {}, "from 1 to"),
    ("hoard_max", 7, {"refill": 8}, "from 8 to"),
    ("search", "global", {}, "'local' or 'colour'"),
    ("redistribute_min_gap_s", 0, {}, "seconds from"),
    ("redistribute_min_gap_s", math.nan, {}, "seconds from"),
    ("idle_interval_s", 3601, {}, "seconds from"),
    ("design", "today", {}, "must be one of fpageqlock, percpu"),
    ("design", "", {}, "must be one of"),
]

NOT_OF_THE_TYPE = {int: (1.0, "8", None, True, [8]), bool: (1, 0, "yes", None), float: ("1", None, [1.0], True, 1j)}
NOT_OF_THE_TYPE[str] = (None, 1, ["percpu"], True, b"percpu")
NOT_OF_THE_TYPE[int | None] = (1.0, "8", True, [8])  # type: ignore[index]
PAIRS = (None, "refill", [("refill", 1)], (("refill",),), ((1, 1),), ("ab",))
"""What is no pairs of a name and a value."""


@pytest.mark.parametrize(
    ("field", "value", "others", "limit"), OUT_OF_RANGE, ids=[f"{field}={value}" for field, value, *_ in OUT_OF_RANGE]
)
def test_out_of_range(field: str, value: object, others: dict[str, object], limit: str) -> None:
    with pytest.raises(uvmfree.ParamError) as refusal:
        uvmfree.boot(**{field: value} | others)
    said = str(refusal.value)
    assert said.startswith(f"{field}={value!r}:")
    assert limit in said
    assert "\n" not in said
    assert isinstance(refusal.value, ValueError)


@pytest.mark.parametrize(
    ("field", "value"),
    [(field.name, value) for field in fields(Param) for value in NOT_OF_THE_TYPE.get(field.type, PAIRS)],  # type: ignore[call-overload]
    ids=str,
)
def test_wrong_type(field: str, value: object) -> None:
    with pytest.raises(uvmfree.ParamError) as refusal:
        Param(**{field: value})  # type: ignore[arg-type]
    assert str(refusal.value).startswith(f"{field}={value!r}:")
    assert "must be" in str(refusal.value)


@pytest.mark.parametrize(
    "tunables",
    [
        {"npages": 7, "ncpus": 1},
        {"npages": 22, "ncpus": 4},
        {"npages": 6 * NCPUS_MAX, "ncpus": NCPUS_MAX, "ncolors": 1},
        {"ncolors": SMALL_INTS, "npages": 300},
        {"ncolors": SMALL_INTS // 8, "nfreelists": 8, "npages": 300},
        {"pagesize": 512, "npages": 64},
        {"pagesize": 1 << 21, "npages": 64},
        {"percpu.refill": 4096, "npages": 64},
        {"redistribute_interval_s": 0.001},
        {"redistribute_interval_s": 3600},
    ],
    ids=str,
)
@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_the_limits_themselves_boot(design: str, tunables: dict[str, object]) -> None:
    uvm = uvmfree.boot(design=design, **{"npages": 64} | tunables)
    pg = uvm.cpus[-1].pagealloc(zero=True)
    assert pg is not None
    uvm.cpus[0].pagefree(pg)
    uvm.audit()
    uvm.close()


def test_a_tunable_that_does_not_exist_is_named_beside_those_that_do() -> None:
    with pytest.raises(uvmfree.ParamError, match="no tunable is called ncpu, npage; there are npages, pagesize"):
        uvmfree.boot(npage=64, ncpu=2)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("precpu.refill", "no design is called precpu, of precpu.refill; there are fpageqlock, percpu, .*depot$"),
        ("nonsense.x", "no design is called nonsense, of nonsense.x; there are "),
        ("depot.nope", "no tunable is called depot.nope; depot has unit, exchange, budget, per_socket, spare_s$"),
        ("fpageqlock.refill", "no tunable is called fpageqlock.refill; fpageqlock has none$"),
        ("percpu.nope", "no tunable is called nope; .* of percpu$"),
    ],
)
def test_a_tunable_of_a_design_that_does_not_have_it_is_refused(said: str, why: str) -> None:
    with pytest.raises(uvmfree.ParamError, match=why):
        uvmfree.boot(npages=64, design="percpu", own=((said, 32),))


def test_tunables_of_several_designs_may_go_to_each_of_them() -> None:
    for design in ("percpu", "fpageqlock"):
        uvmfree.boot(npages=64, design=design, own=(("percpu.refill", 2), ("depot.unit", 4))).close()


def test_the_proposal_is_the_default_and_every_design_has_its_line() -> None:
    assert Param().design == "percpu"
    assert list(uvmfree.DESIGNS)[:2] == ["fpageqlock", "percpu"]
    assert all(line and "\n" not in line for line in uvmfree.DESIGNS.values())


def test_a_system_keeps_what_it_was_booted_with() -> None:
    uvm = uvmfree.boot(npages=64, ncpus=2, refill=4)
    assert (uvm.param.npages, uvm.param.ncpus, uvm.param.own) == (64, 2, (("refill", 4),))
    with pytest.raises(FrozenInstanceError):
        uvm.param.npages = 3  # type: ignore[misc]
    uvm.close()


def test_every_field_is_documented() -> None:
    assert [field.name for field in fields(Param) if f"{field.name}:" not in (Param.__doc__ or "")] == []
