"""No parameter of the law is below 0, nor is any end of its interval: of points about a straight line."""

import math

import pytest

from tests.report.made import record
from uvmfree.analyse.usl import Point, _peak, fit, law, points

pytest.importorskip("scipy", reason="the extra `report` is not installed")


def test_intervals_end_at_nothing() -> None:
    points = [Point(n, 1000.0 * n * off, beyond=False) for n in (1, 2, 4, 8, 16) for off in (0.9, 1.1)]
    fitted = fit(points)
    for each in (fitted.lam, fitted.sigma, fitted.kappa):
        assert 0 <= each.low <= each.value < each.high
    assert fitted.sigma.low == fitted.kappa.low == 0
    assert fitted.lam.high - fitted.lam.value == pytest.approx(fitted.lam.value - fitted.lam.low)
    assert fitted.lam.low > 0


def test_intervals_are_those_of_student_at_95_percent() -> None:
    """Ten points and three parameters: 2.3646 standard errors either way, of 7 degrees of freedom."""
    optimize = pytest.importorskip("scipy.optimize")
    counts = [1, 1, 2, 2, 4, 4, 8, 8, 16, 16]
    per_s = [law(n, 100.0, 0.1, 0.002) * (1.01 if at % 2 else 0.99) for at, n in enumerate(counts)]
    fitted = fit([Point(n, done, beyond=False) for n, done in zip(counts, per_s, strict=True)])
    numpy = pytest.importorskip("numpy")
    start = (fitted.lam.value, fitted.sigma.value, fitted.kappa.value)
    _, covariance = optimize.curve_fit(law, numpy.asarray(counts, float), per_s, p0=start, sigma=per_s)
    for at, each in enumerate((fitted.lam, fitted.sigma, fitted.kappa)):
        assert each.high - each.value == pytest.approx(2.3646 * covariance[at, at] ** 0.5, rel=0.01)


def test_what_is_the_same_on_any_number_of_cpus_is_explained_in_full_and_highest_on_one() -> None:
    fitted = fit([Point(n, 1000.0, beyond=False) for n in (1, 2, 4, 8, 16)])
    assert fitted.r_squared == 1.0
    assert _peak(1000.0, 1.0, 0.0) == (1.0, 1000.0)
    assert _peak(1000.0, 0.5, 0.0) == (math.inf, 2000.0)


def test_as_many_cpus_as_there_are_processors_are_not_beyond_them() -> None:
    found = [points([record(ncpus=ncpus, processors=4)], "percpu")[0].beyond for ncpus in (3, 4, 5)]
    assert found == [False, False, True]
