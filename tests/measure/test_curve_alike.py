"""Whose stalls a point of a curve is held against: runs that played as much of the trace, or up to twice."""

import pytest

from tests.measure.curves import curve, point


@pytest.mark.parametrize(
    ("played_ns", "counts"),
    [(3_599_000, False), (3_600_000, True), (4_000_000, True), (8_000_000, True), (8_001_000, False)],
)
def test_a_run_that_played_less_or_more_than_twice_as_much_says_nothing(played_ns: int, counts: bool) -> None:
    """Four CPUs play 4 ms of gaps, and one of them waits all the time; with another design none does."""
    made = curve(
        point("depot", 4, 1000, outside_ns=4_000_000, stall_ns=1_000_000),
        point("percpu", 4, 1000, outside_ns=played_ns, stall_ns=0),
    )
    assert made.linear("depot", 4) == (4 if counts else 3)


def test_of_two_seeds_the_one_that_played_less_says_how_much_that_is() -> None:
    """From the other one's 10 ms on nobody else would have played enough."""
    made = curve(
        *(
            point("depot", 4, 1000, seed=seed, outside_ns=played_ns, stall_ns=1_000_000)
            for seed, played_ns in ((1, 10_000_000), (2, 4_000_000))
        ),
        point("percpu", 4, 1000, outside_ns=4_000_000, stall_ns=0),
    )
    assert made.linear("depot", 4) == 4
