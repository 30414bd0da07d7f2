"""The Universal Scalability Law, fitted to measured throughput: what is lost to queueing and what to coherence.

    X(n) = lambda n / (1 + sigma (n - 1) + kappa n (n - 1))

lambda is the throughput of one CPU, sigma the share of the work that is done one at a time, kappa what it costs that
every CPU waits for every other's writes. With kappa > 0 there is a peak, at sqrt((1 - sigma) / kappa) CPUs.

=> Fitted to all repetitions by least squares of the relative error, since throughput scatters in proportion to
   itself; lambda, sigma and kappa are 0 or more. Intervals come from the fit's covariance and Student's t: they say
   how well the points settle a parameter, if the law holds at all.
=> Points at more CPUs than the host has processors are the scheduler's as much as the design's; they are flagged.

Source: N. J. Gunther, Guerrilla Capacity Planning (2007), chapter 4.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from uvmfree.errors import ArgumentError
from uvmfree.measure.extras import needs
from uvmfree.measure.record import Record
from uvmfree.workload.plural import plural

POINTS_MIN: Final = 5
"""CPU counts below which three parameters are not fitted: with four one point would carry all of what is learnt."""

CONFIDENCE: Final = 0.95

TOLERANCE: Final = 1e-13
"""Of the fit: at scipy's own, 1e-8, a kappa of 0 comes out as 1e-6, and what grows for ever gets a peak."""

NO_COHERENCE: Final = 1e-9
"""A kappa that the fit could not tell from 0: a peak at ten thousands of CPUs is none."""


@dataclass(frozen=True, slots=True)
class Point:
    """A throughput, in page operations (or faults) per second, at a number of CPUs.

    => `beyond`: there were fewer processors than CPUs.
    """

    ncpus: int
    per_s: float
    beyond: bool


@dataclass(frozen=True, slots=True)
class Fitted:
    """A parameter with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Usl:
    """A fit.

    => `lam` in operations per second; `sigma`, `kappa` without unit. `peak_ncpus`: where throughput is highest, inf
       without a peak; `peak_per_s`: how high, inf where it grows for ever.
    => `beyond`: CPU counts of the points that are flagged. `r_squared`: how much of the variation the law explains.
    """

    lam: Fitted
    sigma: Fitted
    kappa: Fitted
    peak_ncpus: float
    peak_per_s: float
    beyond: tuple[int, ...]
    r_squared: float

    def per_s(self, ncpus: float) -> float:
        """Return the throughput that the law predicts."""
        return float(law(ncpus, self.lam.value, self.sigma.value, self.kappa.value))


def law(n: Any, lam: float, sigma: float, kappa: float) -> Any:
    """Return X(n)."""
    return lam * n / (1 + sigma * (n - 1) + kappa * n * (n - 1))


def points(records: Sequence[Record], design: str) -> list[Point]:
    """Return the throughput of every repetition of a design.

    => Of runs without lockstat, in page operations per second; of a workload of fixed length in faults per second.
    """
    found = []
    for record in records:
        beyond = record.workload.ncpus > record.processors
        operations = record.workload.page_operations
        if operations is None:
            values = record.values(design).get("faults_per_s", [])
        else:
            values = [operations / run.drive.wall_ns * 1e9 for run in record.timed(design)]
        found += [Point(record.workload.ncpus, value, beyond) for value in values]
    return sorted(found, key=lambda point: point.ncpus)


def fit(measured: Sequence[Point]) -> Usl:
    """Fit the law; ArgumentError under POINTS_MIN CPU counts or where nothing was done, ExtraError without scipy."""
    counts = sorted({point.ncpus for point in measured})
    if len(counts) < POINTS_MIN:
        raise ArgumentError(
            f"{plural(len(counts), 'CPU count')} ({', '.join(map(str, counts)) or 'none'}): the Universal "
            f"Scalability Law has three parameters, and is not fitted to fewer than {POINTS_MIN}"
        )
    if idle := sorted({point.ncpus for point in measured if not point.per_s}):
        *others, last = idle
        raise ArgumentError(
            f"no throughput on {', '.join([*map(str, others), plural(last, 'CPU')])}: the Universal Scalability Law "
            "is fitted by relative error, and 0 has none"
        )
    optimize, special, numpy = _scipy()
    n = numpy.asarray([point.ncpus for point in measured], float)
    per_s = numpy.asarray([point.per_s for point in measured], float)
    scale = float(per_s.max())  # so that all three parameters are of a size
    y = per_s / scale
    start, exactly = (max(y[0] / n[0], 1e-6), 0.1, 0.001), dict.fromkeys(("ftol", "xtol", "gtol"), TOLERANCE)
    best, covariance = optimize.curve_fit(
        law, n, y, p0=start, sigma=y, bounds=(0, numpy.inf), max_nfev=20_000, **exactly
    )
    width = special.stdtrit(len(y) - len(best), (1 + CONFIDENCE) / 2)  # the quantile of Student's t
    either_way = width * numpy.sqrt(numpy.diag(covariance))
    lam, sigma, kappa = (
        _fitted(float(value) * unit, float(error) * unit)
        for value, error, unit in zip(best, either_way, (scale, 1.0, 1.0), strict=True)
    )
    left = float(((y - law(n, *best)) ** 2).sum())
    around = float(((y - y.mean()) ** 2).sum())
    peak_ncpus, peak_per_s = _peak(lam.value, sigma.value, kappa.value)
    return Usl(
        lam=lam,
        sigma=sigma,
        kappa=kappa,
        peak_ncpus=peak_ncpus,
        peak_per_s=peak_per_s,
        beyond=tuple(sorted({point.ncpus for point in measured if point.beyond})),
        r_squared=1 - left / around if around else 1.0,
    )


def _scipy() -> tuple[Any, Any, Any]:
    """Import what fits, which takes a second; scipy.stats, with its name for stdtrit, would take as long again."""
    modules = ("scipy.optimize", "scipy.special", "numpy")
    optimize, special, numpy = (needs(module, "report", "the Universal Scalability Law") for module in modules)
    return optimize, special, numpy


def _fitted(value: float, either_way: float) -> Fitted:
    return Fitted(value, max(0.0, value - either_way), value + either_way)


def _peak(lam: float, sigma: float, kappa: float) -> tuple[float, float]:
    """Return where throughput is highest, and how high it is there."""
    if kappa > NO_COHERENCE:
        ncpus = max(1.0, math.sqrt(max(0.0, 1 - sigma) / kappa))
        return ncpus, law(ncpus, lam, sigma, kappa)
    if sigma >= 1:  # two CPUs do less than one
        return 1.0, lam
    return math.inf, lam / sigma if sigma > NO_COHERENCE else math.inf
