"""What is read off a scaling curve: medians, the linear line, the band, and where a design saturates, by hand."""

import json
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import pytest

from tests.measure.curves import PINGPONG, curve, point, saturating
from uvmfree.errors import RecordError
from uvmfree.measure.curve import curve_of, fill
from uvmfree.measure.scale import Case, Point, Traffic


def test_medians_are_over_the_seeds() -> None:
    """Operations in a millisecond; waiting in proportion to the time of all CPUs."""
    made = curve(
        point("percpu", 4, 5000, seed=1, wait_ns=400_000),
        point("percpu", 4, 9000, seed=2, wait_ns=40_000),
        point("percpu", 4, 6000, seed=3, wait_ns=4_000),
        point("percpu", 8, 1, seed=1),
    )
    assert made.median("percpu", 4) == pytest.approx(6e6)
    assert made.wait_share_percent("percpu", 4) == pytest.approx(1.0)  # 40 us of 4 CPUs x 1 ms
    assert made.values("percpu", 4, made.throughput) == pytest.approx([5e6, 9e6, 6e6])
    assert made.seeds == [1, 2, 3]
    assert made.cpu_counts() == [4, 8]


def test_the_median_of_two_seeds_lies_between_them() -> None:
    made = curve(point("percpu", 1, 1000, seed=1), point("percpu", 1, 2000, seed=2))
    assert made.median("percpu", 1) == pytest.approx(1.5e6)


def test_a_design_without_a_point_has_no_figures() -> None:
    made = curve(point("percpu", 4, 1000))
    for label, ncpus in (("percpu", 2), ("fpageqlock", 4)):
        assert made.median(label, ncpus) is None
        assert made.wait_share_percent(label, ncpus) is None
        assert made.band(label, ncpus) is None
    assert made.linear("fpageqlock", 4) is None
    assert made.falls_below("fpageqlock", 1.0) is None


def test_figures_of_a_point_are_shares_of_its_time() -> None:
    """A shared lock is one for all CPUs, so how full it is does not depend on how many there are."""
    made = point("fpageqlock", 5, 200, window_ns=2_000_000, wait_ns=1_000_000, held_ns=500_000)
    assert made.per_s == pytest.approx(100_000)
    assert made.wait_share_percent == pytest.approx(10)
    assert made.busy_percent == pytest.approx(25)


def test_without_recorded_gaps_linear_is_the_smallest_count_of_the_design_times_the_cpus() -> None:
    made = curve(
        point("fpageqlock", 1, 1000), point("percpu", 2, 3000), point("percpu", 8, 8000), point("fpageqlock", 8, 500)
    )
    assert made.linear("percpu", 2) == pytest.approx(3e6)
    assert made.linear("percpu", 8) == pytest.approx(12e6)
    assert made.linear("percpu", 64) == pytest.approx(96e6)
    assert made.linear("fpageqlock", 8) == pytest.approx(8e6)


def test_with_recorded_gaps_throughput_is_how_many_cpus_would_have_played_them_without_a_wait() -> None:
    """In a millisecond two CPUs played 2 ms of gaps, four only 3 ms; that few operations lay between says nothing."""
    made = curve(
        point("percpu", 2, 1000, outside_ns=2_000_000),
        point("percpu", 4, 500, outside_ns=3_000_000),
        point("percpu", 4, 9000, outside_ns=1_000_000, varied=True, changed={"atomic": 14.0}),
    )
    assert made.gaps
    assert [made.median("percpu", ncpus) for ncpus in (2, 4)] == pytest.approx([2, 3])
    assert [made.linear("percpu", ncpus) for ncpus in (2, 4)] == [2, 4]
    assert made.share_of_linear("percpu", 4) == pytest.approx(0.75)
    assert (made.falls_below("percpu", 0.8), made.falls_below("percpu", 0.75)) == (4, None)
    assert made.band("percpu", 4) == pytest.approx((1, 3))


def test_what_cpus_wait_for_each_other_is_compared_over_as_much_of_the_trace() -> None:
    """Four CPUs play 12 ms of gaps in 4 ms and wait for 1 CPU of 4; another played 9 ms, or 4, which have no wait."""
    made = curve(
        point("depot", 4, 1000, window_ns=4_000_000, outside_ns=12_000_000, stall_ns=4_000_000),
        point("percpu", 4, 1000, window_ns=5_000_000, outside_ns=11_000_000, stall_ns=9_000_000),
        point("magazines", 4, 1000, outside_ns=9_000_000, stall_ns=0),
        point("xnu", 4, 1000, outside_ns=4_000_000, stall_ns=0),
    )
    assert [made.linear(design, 4) for design in ("depot", "percpu", "magazines", "xnu")] == [3, 3, 4, 4]
    assert made.share_of_linear("depot", 4) == pytest.approx(1)
    assert made.share_of_linear("percpu", 4) == pytest.approx(2.2 / 3)


def test_gaps_that_were_not_played_are_no_throughput() -> None:
    made = curve(point("percpu", 2, 1000, outside_ns=0))
    assert (made.gaps, made.median("percpu", 2), made.linear("percpu", 2)) == (True, 0, 2)


def test_a_share_of_nothing_is_none() -> None:
    made = curve(point("percpu", 1, 0), point("percpu", 2, 10))
    assert made.share_of_linear("percpu", 2) is None
    assert made.falls_below("percpu", 1.0) is None


def test_costs_halved_and_doubled_make_the_band_and_nothing_else() -> None:
    made = curve(
        point("percpu", 2, 1000, seed=1),
        point("percpu", 2, 1200, seed=2),
        point("percpu", 2, 700, varied=True, changed={"atomic": 14.0}),
        point("percpu", 2, 1100, varied=True, changed={"atomic": 3.5}),
        point("percpu", 4, 2000),
    )
    assert made.band("percpu", 2) == pytest.approx((0.7e6, 1.2e6))
    assert made.band("percpu", 4) is None
    assert made.median("percpu", 2) == pytest.approx(1.1e6)
    assert len(made.at("percpu", 2)) == 2


@pytest.mark.parametrize(("share", "first"), [(0.9, 4), (0.75, 8), (0.5, 8), (0.375, 16), (0.1, None)])
def test_it_falls_below_a_share_at_the_first_count_that_does_less(share: float, first: int | None) -> None:
    """It does what three CPUs do: 75 % of 4, 37.5 % of 8, 18.75 % of 16; exactly the share is not below it."""
    assert saturating().falls_below("fpageqlock", share) == first
    assert saturating().falls_below("percpu", share) is None


def test_a_label_is_the_design_with_its_tunables() -> None:
    made = curve(point("percpu", 1, 1000), point("percpu", 1, 2000, settings=("refill=1", "hoard_max=64")))
    assert made.labels() == ["percpu", "percpu, refill=1, hoard_max=64"]
    assert made.median("percpu", 1) == pytest.approx(1e6)
    assert made.median("percpu, refill=1, hoard_max=64", 1) == pytest.approx(2e6)


def test_its_machine_is_that_of_the_first_case_whose_costs_are_as_they_are() -> None:
    """Points stand as they came, or as somebody wrote them: the first may be one of the band."""
    varied = point("percpu", 2, 1000, varied=True, changed={"atomic": 14.0})
    plain = point("percpu", 1, 1000, changed={"line_remote": 90.0})
    assert curve(varied, plain).base == plain.case
    assert curve(varied).base == varied.case
    assert curve().base is None


def test_a_document_is_read_as_it_was_written() -> None:
    made = saturating(band=True)
    made.points.append(point("percpu", 2, 1, settings=("refill=1",), seed=7))
    assert curve_of(json.loads(json.dumps(made.document())), "x") == made


SPOILT: list[tuple[str, Callable[[Any], Any], str]] = [
    ("schema", lambda doc: doc.update(schema="uvmfree.record"), "x: is no scaling curve of uvmfree"),
    ("version", lambda doc: doc.update(version=2), "x: is a scaling curve of version 2; this uvmfree reads 1"),
    ("no host", lambda doc: doc.pop("host"), "x: has no 'host'"),
    (
        "no time",
        lambda doc: doc["points"][1].update(window_ns=0),
        r"x.points\[1\].window_ns: must be 1 or more, is 0",
    ),
    ("no CPUs", lambda doc: doc["points"][1]["case"].update(ncpus=0), r"x.points\[1\].case.ncpus: must be 1 or more"),
    ("negative", lambda doc: doc["points"][0].update(wait_ns=-1), r"x.points\[0\].wait_ns: must be 0 or more, is -1"),
    ("gaps", lambda doc: doc["points"][0].update(outside_ns=-5), r"x.points\[0\].outside_ns: must be 0 or more"),
    ("text", lambda doc: doc["points"][0].update(failed="none"), r"x.points\[0\].failed: must be a whole number"),
    (
        "lock",
        lambda doc: doc["points"][3]["case"].update(lock="mcs"),
        r"x.points\[3\].case.lock: is another than that",
    ),
    (
        "costs",
        lambda doc: doc["points"][3]["case"].update(costs="epyc"),
        r"x.points\[3\].case.costs: is another than",
    ),
    (
        "cost",
        lambda doc: doc["points"][3]["case"].update(changed={"a": 1.0}),
        r"x.points\[3\].case.changed: is anoth",
    ),
    (
        "some gaps",
        lambda doc: doc["points"][3].update(outside_ns=5),
        r"x.points\[0\].outside_ns: a curve has recorded",
    ),
    ("load", lambda doc: doc["points"][3]["case"]["traffic"].update(kind="handoff"), r"x.points\[3\].case.traffic: "),
]


@pytest.mark.parametrize(("spoil", "says"), [each[1:] for each in SPOILT], ids=[each[0] for each in SPOILT])
def test_a_document_that_makes_no_curve_is_refused_with_the_place(spoil: Callable[[Any], Any], says: str) -> None:
    document = json.loads(json.dumps(saturating().document()))
    spoil(document)
    with pytest.raises(RecordError, match=f"^{says}"):
        curve_of(document, "x")


def test_a_point_of_the_band_may_have_other_costs() -> None:
    document = json.loads(json.dumps(saturating(band=True).document()))
    assert curve_of(document, "x").band("percpu", 4) == pytest.approx((3.6e6, 4.4e6))


class Given(Executor):
    """An executor whose cases are done when they are submitted: by a point of as many operations as CPUs, or not."""

    def __init__(self, given_up: int | None = None) -> None:
        self.submitted: list[int] = []
        self.given_up = given_up

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        (case,) = args
        self.submitted.append(case.ncpus)
        future: Future[Point | None] = Future()
        future.set_result(None if case.ncpus == self.given_up else point(case.design, case.ncpus, case.ncpus))
        return future


CASES = [Case("percpu", ncpus, PINGPONG) for ncpus in (1, 4, 2)]


def test_the_largest_are_measured_first() -> None:
    made, executor = curve(), Given()
    assert [each.case.ncpus for each in fill(made, CASES, executor, 1, lambda: False)] == [4, 2, 1]
    assert executor.submitted == [4, 2, 1]
    assert (len(made.points), made.interrupted) == (3, False)


def test_what_came_before_a_stop_is_kept_and_no_more_is_begun() -> None:
    made, executor = curve(), Given()
    for _ in fill(made, CASES, executor, 1, lambda: bool(made.points)):
        pass
    assert executor.submitted == [4]
    assert ([each.case.ncpus for each in made.points], made.interrupted) == ([4], True)


def test_a_case_that_was_given_up_ends_it() -> None:
    made, executor = curve(), Given(given_up=2)
    for _ in fill(made, CASES, executor, 1, lambda: False):
        pass
    assert ([each.case.ncpus for each in made.points], made.interrupted) == ([4], True)


def test_what_a_curve_is_of_is_named() -> None:
    assert Traffic("handoff", think_ns=5).name == "handoff, 5 ns outside between operations"
    assert Traffic("trace", "/some/where/make.txt").name == "copies of make.txt"
