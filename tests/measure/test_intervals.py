"""The 95 % intervals of `compare` and of the law: their ends against distributions and quantiles worked out here."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from uvmfree.analyse.compare import Change, _interval, compare
from uvmfree.analyse.usl import Point, fit, law
from uvmfree.measure.record import Record, load

GIL = load(str(Path(__file__).parent / "record-version-1.json"))
FREE = replace(GIL, host=replace(GIL.host, gil=False))

WALLS_MS = tuple(100.0 + 10 * number for number in range(17))
ELEVEN_MS = WALLS_MS[:11]
"""Repetitions apart from each other: each end of an interval is one of them. An interval of 90 % is narrower for the
first, one of 99 % wider for the second."""


def with_walls(walls_ms: Sequence[float]) -> Record:
    timed = FREE.timed("percpu")[0]
    runs = [replace(timed, drive=replace(timed.drive, wall_ns=round(wall_ms * 1e6))) for wall_ms in walls_ms]
    return replace(FREE, designs=("percpu",), runs=runs)


def wall(before: Sequence[float], after: Sequence[float]) -> Change:
    (change,) = compare(with_walls(before), with_walls(after), 0.05)
    return change


def chance_of_median_at_most(rank: int, count: int) -> float:
    """The chance that the median of `count` draws out of as many values is one of the `rank` least."""
    part, half = rank / count, (count + 1) // 2
    return sum(
        math.comb(count, drawn) * part**drawn * (1 - part) ** (count - drawn) for drawn in range(half, count + 1)
    )


def ends(walls: Sequence[float], confidence: float) -> tuple[float, float]:
    """The least and the largest value between which the median of a resample lies so often, tails alike."""
    count, tail = len(walls), (1 - confidence) / 2
    rank = next(rank for rank in range(1, count + 1) if chance_of_median_at_most(rank, count) > tail)
    return walls[rank - 1], walls[-rank]


def test_the_interval_of_a_ratio_is_that_of_the_bootstrap_of_medians() -> None:
    """Against one value that is always the same the whole distribution can be written down."""
    assert [ends(WALLS_MS, part) for part in (0.9, 0.95)] == [(150, 210), (140, 220)]
    assert [ends(ELEVEN_MS, part) for part in (0.95, 0.99)] == [(120, 180), (110, 190)]
    for walls in (WALLS_MS, ELEVEN_MS):
        low, high = ends(walls, 0.95)
        change = wall([100.0] * len(walls), walls)
        assert (change.ratio, change.ratio_low, change.ratio_high) == pytest.approx(
            (sorted(walls)[len(walls) // 2] / 100, low / 100, high / 100)
        )
        change = wall(walls, [100.0] * len(walls))
        assert (change.ratio_low, change.ratio_high) == pytest.approx((100 / high, 100 / low))


@pytest.mark.parametrize("constant", [3, 40])
def test_of_either_side_as_many_are_drawn_as_it_has(constant: int) -> None:
    """Fewer would scatter more, and more less: the other record's number is nothing to it."""
    low, high = ends(WALLS_MS, 0.95)
    after, before = wall([100.0] * constant, WALLS_MS), wall(WALLS_MS, [100.0] * constant)
    assert (after.ratio_low, after.ratio_high) == pytest.approx((low / 100, high / 100))
    assert (before.ratio_low, before.ratio_high) == pytest.approx((100 / high, 100 / low))


def test_both_sides_of_a_ratio_are_drawn_anew() -> None:
    """Else it would be as narrow as that of one side."""
    one, both = wall([180.0] * 17, WALLS_MS), wall(WALLS_MS, WALLS_MS)
    assert both.ratio == 1.0
    assert both.ratio_low < one.ratio_low < 1 < one.ratio_high < both.ratio_high
    assert both.ratio_low == pytest.approx(1 / both.ratio_high, rel=0.05)


def test_the_interval_leaves_as_many_resamples_out_at_either_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty of 2,000: if the medians that are drawn come to 1, 2, ... 2,000, it is from 51 to 1,950."""

    first = [1.0, 2.0, 3.0]

    class Counts:
        def __init__(self, _: int) -> None:
            self.drawn = 0

        def choices(self, values: Sequence[float], k: int) -> list[float]:
            self.drawn += values is not first
            return [1.0 if values is first else self.drawn]

    monkeypatch.setattr("uvmfree.analyse.compare.random.Random", Counts)
    assert _interval(first, [4.0, 5.0, 6.0]) == (51, 1950)


def test_a_verdict_needs_the_whole_interval_beyond_the_tolerance() -> None:
    """Its end that is nearer to 1 decides, to the last digit."""
    low = wall([100.0] * 17, WALLS_MS).ratio_low
    for tolerance, verdict in ((low - 1 - 1e-9, "worse"), (low - 1 + 1e-9, "unsure")):
        (change,) = compare(with_walls([100.0] * 17), with_walls(WALLS_MS), tolerance)
        assert change.verdict == verdict
        (change,) = compare(with_walls(WALLS_MS), with_walls([100.0] * 17), tolerance)
        assert change.verdict == {"worse": "better"}.get(verdict, verdict)


@pytest.mark.parametrize(("repetitions", "known"), [(1, False), (2, False), (3, True)])
def test_under_three_repetitions_on_either_side_there_is_none(repetitions: int, known: bool) -> None:
    for change in (wall(WALLS_MS[:repetitions], WALLS_MS), wall(WALLS_MS, WALLS_MS[:repetitions])):
        assert math.isnan(change.ratio_low) != known
        assert (change.verdict == "unsure") or known


# Quantiles of Student's t at 0.975, by degrees of freedom, as tables have them.
T_975 = {2: 4.302653, 3: 3.182446, 7: 2.364624, 8: 2.306004, 13: 2.160369}

COUNTS = (1, 2, 4, 8, 16)
SCATTER = (0.03, -0.02, 0.01, -0.03, 0.02, -0.01, 0.04, 0.0, -0.04, 0.015, 0.025, -0.035, 0.005, -0.015, 0.03, -0.02)
TRUTH = (2000.0, 0.2, 0.02)


def scattered(number: int) -> list[Point]:
    """So many points about a law, over COUNTS and again."""
    made = []
    for index in range(number):
        n = COUNTS[index % len(COUNTS)]
        made.append(Point(n, law(n, *TRUTH) * (1 + SCATTER[index]), beyond=False))
    return made


def half_widths(points: Sequence[Point], found: Sequence[float]) -> list[float]:
    """Of each parameter's interval, by the textbook: t * s * sqrt of the diagonal of (J'J)^-1, errors relative."""
    numpy: Any = pytest.importorskip("numpy")
    lam, sigma, kappa = found
    rows, residuals = [], []
    for point in points:
        n, y = point.ncpus, point.per_s
        divisor = 1 + sigma * (n - 1) + kappa * n * (n - 1)
        value = lam * n / divisor
        rows.append([value / lam / y, -value * (n - 1) / divisor / y, -value * n * (n - 1) / divisor / y])
        residuals.append((y - value) / y)
    freedom = len(points) - 3
    variance = sum(residual**2 for residual in residuals) / freedom
    inverse = numpy.linalg.inv(numpy.array(rows).T @ numpy.array(rows))
    return [T_975[freedom] * math.sqrt(variance * inverse[at][at]) for at in range(3)]


@pytest.mark.parametrize("number", [5, 6, 10, 11, 16])
def test_the_laws_intervals_are_those_of_students_t_with_three_fewer_degrees_of_freedom(number: int) -> None:
    """Three parameters are fitted, so that of n points n - 3 are left to tell how they scatter."""
    pytest.importorskip("scipy", reason="the extra `report` is not installed")
    points = scattered(number)
    found = fit(points)
    fitted = (found.lam, found.sigma, found.kappa)
    for one, wanted in zip(fitted, half_widths(points, [one.value for one in fitted]), strict=True):
        assert one.high - one.value == pytest.approx(wanted, rel=2e-3)
        assert one.low == pytest.approx(max(0.0, one.value - wanted), rel=2e-3, abs=1e-9)


def test_what_the_law_explains_is_one_less_the_part_that_is_left() -> None:
    pytest.importorskip("scipy", reason="the extra `report` is not installed")
    points = scattered(10)
    found = fit(points)
    mean = sum(point.per_s for point in points) / len(points)
    left = sum((point.per_s - found.per_s(point.ncpus)) ** 2 for point in points)
    around = sum((point.per_s - mean) ** 2 for point in points)
    assert found.r_squared == pytest.approx(1 - left / around)
    assert 0.9 < found.r_squared < 1
