"""The Universal Scalability Law: known parameters are found again, and what cannot be fitted is refused."""

import math
import random
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uvmfree.analyse.usl import Point, fit, law, points
from uvmfree.errors import ArgumentError, ExtraError
from uvmfree.measure.record import load

pytest.importorskip("scipy", reason="the extra `report` is not installed")

OLD = load(str(Path(__file__).parents[1] / "measure" / "record-version-1.json"))
COUNTS = (1, 2, 4, 8, 12, 16, 24, 32)


def made(
    lam: float, sigma: float, kappa: float, noise: float = 0.0, repetitions: int = 1, seed: int = 1
) -> list[Point]:
    draw = random.Random(seed)
    return [
        Point(n, law(n, lam, sigma, kappa) * (1 + draw.gauss(0, noise)), beyond=False)
        for n in COUNTS
        for _ in range(repetitions)
    ]


@given(st.floats(1e2, 1e7), st.floats(0.01, 0.5), st.floats(0.0005, 0.02))
@settings(deadline=None, max_examples=20)
def test_parameters_are_found_again(lam: float, sigma: float, kappa: float) -> None:
    found = fit(made(lam, sigma, kappa))
    assert found.lam.value == pytest.approx(lam, rel=1e-2)
    assert found.sigma.value == pytest.approx(sigma, rel=5e-2, abs=2e-3)
    assert found.kappa.value == pytest.approx(kappa, rel=5e-2, abs=2e-4)
    assert found.peak_ncpus == pytest.approx(max(1.0, math.sqrt((1 - sigma) / kappa)), rel=5e-2)
    assert found.peak_per_s == pytest.approx(found.per_s(found.peak_ncpus))
    assert found.r_squared > 0.999


def test_noise_widens_the_intervals_and_they_hold_the_truth() -> None:
    """In at least four of five draws: they are to hold it in 95 of 100."""
    held = {"lam": 0, "sigma": 0, "kappa": 0}
    calm = fit(made(1e6, 0.05, 0.002, 0.001, 5))
    for seed in range(20):
        noisy = fit(made(1e6, 0.05, 0.002, 0.03, 5, seed))
        for name, truth in (("lam", 1e6), ("sigma", 0.05), ("kappa", 0.002)):
            still, wide = getattr(calm, name), getattr(noisy, name)
            assert wide.high - wide.low > still.high - still.low
            held[name] += wide.low <= truth <= wide.high
    assert min(held.values()) >= 16


@pytest.mark.parametrize("sigma", [0.0, 0.05, 0.4])
def test_what_grows_for_ever_has_no_peak(sigma: float) -> None:
    found = fit(made(1e5, sigma, 0.0))
    assert found.sigma.value == pytest.approx(sigma, abs=1e-6)
    assert found.peak_ncpus == math.inf
    assert found.peak_per_s == pytest.approx(1e5 / sigma if sigma else math.inf)


def test_what_only_gets_worse_has_its_peak_at_one_cpu() -> None:
    found = fit(made(1e5, 1.3, 0.0))
    assert (found.peak_ncpus, found.peak_per_s) == (1, found.lam.value)


def test_no_law_has_its_peak_at_less_than_one_cpu() -> None:
    """With so much coherence half a CPU would do best; there is none."""
    found = fit(made(1e5, 0.5, 2.0))
    assert found.kappa.value == pytest.approx(2.0, rel=0.01)
    assert found.peak_ncpus == 1
    assert found.peak_per_s == pytest.approx(found.lam.value)


@pytest.mark.parametrize("counts", [(), (1,), (1, 2, 3, 4)])
def test_too_few_cpu_counts_are_refused(counts: tuple[int, ...]) -> None:
    """Repetitions are no points."""
    few = [Point(n, 100.0 * n, beyond=False) for n in counts for _ in range(10)]
    with pytest.raises(ArgumentError, match=rf"^{len(counts)} CPU counts? .* not fitted to fewer than 5"):
        fit(few)


def test_a_cpu_count_at_which_nothing_was_done_is_refused() -> None:
    """No relative error can be made of 0."""
    measured = [replace(point, per_s=0.0) if point.ncpus in (4, 8) else point for point in made(1e5, 0.1, 0.001)]
    with pytest.raises(ArgumentError, match=r"^no throughput on 4, 8 CPUs: .* relative error, and 0 has none"):
        fit(measured)


def test_points_beyond_the_processors_are_flagged() -> None:
    measured = [replace(point, beyond=point.ncpus > 2) for point in made(1e5, 0.1, 0.001)]
    assert fit(measured).beyond == (4, 8, 12, 16, 24, 32)


def test_points_come_from_the_runs_without_lockstat() -> None:
    record = replace(OLD, host=replace(OLD.host, affinity=(0,)))
    (point,) = points([record], "percpu")
    (run,) = record.timed("percpu")
    assert point == Point(2, 120 / run.drive.wall_ns * 1e9, beyond=True)
    assert points([OLD], "none") == []


def test_of_a_workload_of_fixed_length_they_are_faults() -> None:
    record = replace(OLD, workload=replace(OLD.workload, page_operations=None))
    assert points([record], "percpu") == []  # the old one had no faults


def test_without_scipy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(ExtraError, match=r"needs scipy\.optimize: pip install 'uvmfree\[report\]'"):
        fit(made(1e5, 0.1, 0.001))
