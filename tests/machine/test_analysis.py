"""The virtual machine against what is known: queueing theory, saturation, and a second program for the same locks."""

import random
from collections.abc import Callable

import pytest

from bench.predict import HOLD_NS, LINE_NS, MCS_LINES, bare_costs, exponential, md1, saturated
from bench.real.bare import Bare, bare_lock
from tests.machine.lock_arithmetic import Lock, Tally, simulate
from uvmfree.machine.virtual.strands import greenlets_work
from uvmfree.measure.scale import Case, Traffic, measured

LEVEL = 1000 / (HOLD_NS + MCS_LINES * LINE_NS)
"""Acquisitions in a microsecond of an MCS lock that is always wanted."""

SEEDS = range(1, 6)

needs_greenlets = pytest.mark.skipif(
    not greenlets_work(),
    reason="what is computed is the same, where strands are threads that pass a baton it takes long",
)


def even(dice: random.Random) -> float:
    return dice.uniform(0, 200)


@pytest.mark.sampled(1)
@pytest.mark.parametrize(("load", "percent"), [(0.1, 5), (0.3, 5), (0.5, 5), (0.7, 5), (0.8, 8), (0.9, 10)])
def test_the_mean_wait_is_that_of_md1(load: float, percent: float) -> None:
    seen, said = md1(load, 100_000)
    assert seen == pytest.approx(said, rel=percent / 100)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("ncpus", [16, 64, 128])
def test_mcs_saturates_at_hold_and_hand_off(ncpus: int) -> None:
    assert bare_lock("mcs", ncpus, even, bare_costs(), 10_000).per_us == pytest.approx(LEVEL, rel=0.02)


@needs_greenlets
def test_ticket_falls_with_cpus_and_mcs_stays_flat() -> None:
    ticket = [bare_lock("ticket", ncpus, even, bare_costs(), 5_000).per_us for ncpus in (8, 16, 32, 64, 128)]
    assert ticket == sorted(ticket, reverse=True)
    assert ticket[-1] < ticket[0] / 2
    assert all(bare_lock("mcs", n, even, bare_costs(), 5_000).per_us > 0.98 * LEVEL for n in (8, 16, 32, 64, 128))


@needs_greenlets
def test_fpageqlock_is_at_half_of_linear_where_the_arithmetic_says() -> None:
    found, said = saturated(4000, (1, 20, 28))
    assert found == pytest.approx(said, rel=0.15)


def both(policy: str, ncpus: int, mean_ns: float) -> tuple[list[Bare], list[Tally]]:
    """What the virtual machine and the second program say, for each seed."""
    costs = bare_costs()
    pause_ns = costs.ns("spin_pause")
    lock = Lock(
        policy,
        hold=HOLD_NS,
        move=LINE_NS,
        again=0,
        spinner=costs.ns("ticket_spinner"),
        least=costs.count("backoff_min") * pause_ns,
        most=costs.count("backoff_max") * pause_ns,
    )
    draw = exponential(mean_ns)
    virtual = [bare_lock(policy, ncpus, draw, costs, 20_000, seed) for seed in SEEDS]
    return virtual, [simulate(lock, ncpus, draw, seed, 20_000) for seed in SEEDS]


def overlap(ours: list[float], theirs: list[float]) -> bool:
    return min(ours) <= max(theirs) and min(theirs) <= max(ours)


@needs_greenlets
@pytest.mark.sampled(1)
@pytest.mark.parametrize("policy", ["mcs", "ticket"])
@pytest.mark.parametrize(("ncpus", "mean_ns"), [(4, 1000), (16, 5000), (16, 2000), (64, 12_000)])
def test_a_second_program_waits_as_long_at_fifo_locks(policy: str, ncpus: int, mean_ns: float) -> None:
    virtual, second = both(policy, ncpus, mean_ns)
    assert overlap([one.wait_share for one in virtual], [one.wait_share for one in second])
    assert virtual[0].per_us == pytest.approx(second[0].per_us, rel=0.03)


@needs_greenlets
@pytest.mark.sampled(1)
@pytest.mark.parametrize(("ncpus", "mean_ns"), [(4, 1000), (16, 5000), (16, 2000)])
def test_a_second_program_waits_as_long_at_ttas(ncpus: int, mean_ns: float) -> None:
    virtual, second = both("ttas", ncpus, mean_ns)
    assert virtual[0].wait_share == pytest.approx(second[0].wait_share, rel=0.15)


@pytest.mark.parametrize("refill", [1, 8, 32])
def test_locks_per_operation_of_hand_over_are_those_of_counting(refill: int) -> None:
    """A producer's cache has what a miss leaves; a consumer's spills half of its pages, once it is over its bound."""
    bound = 256
    settings = (f"refill={refill}", f"hoard_max={bound}")
    point = measured(Case("percpu", 4, Traffic("handoff"), settings=settings))
    assert point is not None
    assert point.shared_acquired / point.operations == pytest.approx(counted(refill, bound), rel=0.03)


def counted(refill: int, bound: int, pages: int = 100_000) -> float:
    """Shared locks an operation of a CPU that allocates and one that frees, by counting."""
    locks = producer = consumer = 0
    for _ in range(pages):
        if producer == 0:
            locks, producer = locks + 1, refill
        producer -= 1
        consumer += 1
        if consumer > bound:
            locks, consumer = locks + 1, consumer - (consumer // 2)
    return locks / (2 * pages)


def test_fpageqlock_takes_one_lock_an_operation() -> None:
    point = measured(Case("fpageqlock", 4, Traffic("pingpong")))
    assert point is not None
    assert point.shared_acquired / point.operations == pytest.approx(1, rel=0.03)


@pytest.mark.rotated(2)
def test_the_comparison_tells_a_wrong_hold() -> None:
    """What agrees with everything shows nothing: a lock held a tenth longer is told apart."""
    draw: Callable[[random.Random], float] = exponential(5000)
    virtual = [bare_lock("mcs", 16, draw, bare_costs(), 20_000, seed).wait_share for seed in SEEDS]
    longer = Lock("mcs", hold=HOLD_NS * 11 // 10, move=LINE_NS, again=0)
    assert not overlap(virtual, [simulate(longer, 16, draw, seed, 20_000).wait_share for seed in SEEDS])
