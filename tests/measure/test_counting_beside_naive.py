"""Every figure of a tally beside one that is made the slow way from a log, on traces that hypothesis writes."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import uvmfree
from tests.measure.naive_tally import Operation, Rig, differing, median
from uvmfree.measure.counting import CURVE_POINTS
from uvmfree.measure.tally import figures_of
from uvmfree.param import Param

NCPUS = 3
OPERATIONS = st.one_of(
    st.tuples(st.just("alloc"), st.integers(0, NCPUS - 1), st.integers(-9, 3)),
    st.tuples(st.just("free"), st.integers(0, NCPUS - 1), st.integers(0, 99)),
    st.tuples(st.just("nobody"), st.just(0), st.integers(0, 99)),
    st.tuples(st.just("run"), st.just(0), st.sampled_from([1, 2, 4, 16])),
    st.tuples(st.just("redistribute"), st.integers(0, NCPUS - 1), st.just(0)),
)
BURSTS = st.tuples(OPERATIONS, st.integers(1, 12)).map(lambda one: [one[0]] * one[1])
PROGRAMS = st.lists(BURSTS, max_size=30).map(lambda bursts: [operation for burst in bursts for operation in burst])


def rig(design: str, npages: int, refill: int, ncolors: int) -> Rig:
    own = (("percpu.refill", refill),)
    return Rig(Param(npages=npages, ncpus=NCPUS, ncolors=ncolors, design=design, own=own, lockstat=True))


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
@settings(max_examples=settings().max_examples * 2 // 5)
@given(program=PROGRAMS, npages=st.integers(32, 80), refill=st.integers(1, 8), ncolors=st.sampled_from([1, 2, 4]))
def test_a_tally_is_what_the_log_says(
    design: str, program: list[Operation], npages: int, refill: int, ncolors: int
) -> None:
    one = rig(design, npages, refill, ncolors)
    for operation in program:
        one.do(operation)
    tally = one.counts.end(one.uvm)
    assert differing(one, tally) == {}
    assert figures_of(tally).reuse_pages_median == median(one)
    one.uvm.audit()


@pytest.mark.sampled(1)
@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_a_long_trace_too_whose_curve_has_fewer_points_than_operations(design: str) -> None:
    draw = random.Random(design)
    one = rig(design, npages=70, refill=3, ncolors=4)
    for _ in range(4 * CURVE_POINTS):
        what = draw.choices(["alloc", "free", "redistribute"], [10, 9, 1 / 8])[0]
        one.do((what, draw.randrange(NCPUS), draw.randrange(-9, 99) if what == "free" else -1))
    tally = one.counts.end(one.uvm)
    assert differing(one, tally) == {}
    assert tally.operations > CURVE_POINTS
    assert CURVE_POINTS // 2 <= len(tally.parked) <= CURVE_POINTS
    assert max(tally.parked) == tally.parked_pages_max
