"""No parameter of the law is below 0, nor is any end of its interval: of points about a straight line."""

import pytest

from uvmfree.analyse.usl import Point, fit

pytest.importorskip("scipy", reason="the extra `report` is not installed")


def test_intervals_end_at_nothing() -> None:
    points = [Point(n, 1000.0 * n * off, beyond=False) for n in (1, 2, 4, 8, 16) for off in (0.9, 1.1)]
    fitted = fit(points)
    for each in (fitted.lam, fitted.sigma, fitted.kappa):
        assert 0 <= each.low <= each.value < each.high
    assert fitted.sigma.low == fitted.kappa.low == 0
    assert fitted.lam.high - fitted.lam.value == pytest.approx(fitted.lam.value - fitted.lam.low)
    assert fitted.lam.low > 0
