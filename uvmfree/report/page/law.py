"""The Universal Scalability Law in plots of throughput: the curve, the table, and in words why there is none.

=> Fitted to what is plotted, all repetitions of it; analyse/usl.py has the law, and imports scipy only to fit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from uvmfree.analyse import usl
from uvmfree.errors import ArgumentError, ExtraError
from uvmfree.report.page.content import Table
from uvmfree.report.page.numbers import Format, listed, number
from uvmfree.report.page.plot import Trace, colour, plain
from uvmfree.report.page.settings import Point

DASH: Final = "9px,3px,2px,3px,2px,3px"
"""No measured line has it, and the linear one neither."""

TOLD_MAX: Final = 4
"""Laws that are told in words, settings that are named; of more, how many there are."""

_STEPS: Final = 80
"""Parts of a curve: enough that it looks round."""

_MEANING: Final = (
    f"The law is Gunther's Universal Scalability Law, fitted to lines of {usl.POINTS_MIN} or more CPU counts: lambda "
    "is what one CPU does, sigma the share of the work that is done one at a time, kappa what it costs that CPUs "
    "wait for each other's writes. Intervals say how well the points settle these, if the law holds at all."
)


@dataclass(frozen=True, slots=True)
class Law:
    """The law of one line.

    => `setting`: what tells its setting from others, or "". `first`, `last`: the CPUs that it goes from and to.
    """

    design: str
    setting: str
    first: int
    last: int
    fitted: usl.Usl

    def curve(self, designs: Sequence[str]) -> Trace:
        """Draw it over the CPUs that were measured."""
        # As many steps from 1 to 2 CPUs as from 128 to 256: it is drawn over logarithms, too.
        growth = self.last / self.first
        at = [self.first * growth ** (index / _STEPS) for index in range(_STEPS)] + [self.last]
        return {
            "type": "scatter",
            "mode": "lines",
            "name": plain(f"law, {self.design}"),
            "x": at,
            "y": [self.fitted.per_s(ncpus) for ncpus in at],
            "line": {"color": colour(designs, self.design), "dash": DASH, "width": 1.2},
            "hoverinfo": "skip",
        }


class Laws:
    """Fits the law to the lines of a section, and keeps what there is to say about it."""

    def __init__(self) -> None:
        self._fitted = False
        self._missing = ""
        self._refused: dict[str, dict[str, list[str]]] = {}

    def fit(
        self, design: str, points: Sequence[Point], values: Callable[[Point, str], Sequence[float]]
    ) -> Law | None:
        """Fit it to a line, from few CPUs to many; None where it is refused, or scipy is not there."""
        first = points[0]
        measured = [
            usl.Point(point.ncpus, value, point.ncpus > point.record.processors)
            for point in points
            for value in values(point, design)
        ]
        return self.fit_to(measured, design, first.label, first.label or first.setting.workload)

    def fit_to(self, measured: Sequence[usl.Point], design: str, setting: str, line: str) -> Law | None:
        """Fit it to throughputs, from few CPUs to many; a refusal names the design, and says `line` of its line."""
        try:
            fitted = usl.fit(measured)
        except ExtraError as error:
            self._missing = str(error)
        except ArgumentError as error:
            self._refused.setdefault(str(error), {}).setdefault(line, []).append(design)
        else:
            self._fitted = True
            return Law(design, setting, measured[0].ncpus, measured[-1].ncpus, fitted)
        return None

    def words(self) -> list[str]:
        """Say what the law means, and why where it is not there: a sentence for each reason."""
        said = [_MEANING] if self._fitted else []
        if self._missing:
            said.append(f"No law is fitted: {self._missing}.")
        for why, lines in self._refused.items():
            whom = [f"{listed(designs)} of {line}" for line, designs in lines.items()]
            told = "; ".join(whom) if len(whom) <= TOLD_MAX else f"{sum(map(len, lines.values()))} lines"
            said.append(f"No law is fitted to {told}, with {why}.")
        return said


FLAGGED: Final = "The law: values [95 % intervals]; flagged are the CPU counts above the host's processors"


def table(laws: Sequence[Law], caption: str = FLAGGED, unit: str = "per second") -> Table:
    """Make the table of what was fitted, settings as headings; under another caption nothing is flagged.

    => `unit`: what the throughput is counted in.
    """
    flagged = caption == FLAGGED
    rows: list[Sequence[str]] = []
    heading = ""
    for law in laws:
        if law.setting != heading:
            heading = law.setting
            rows.append((heading,))
        fitted = law.fitted
        rows.append(
            (
                law.design,
                _interval(fitted.lam, number),
                _interval(fitted.sigma, _sigma),
                _interval(fitted.kappa, _kappa),
                *_peak(law),
                f"{fitted.r_squared:.3f}",
                *([", ".join(map(str, fitted.beyond)) or "none"] if flagged else []),
            )
        )
    columns = ("design", "lambda", "sigma", "kappa", "peak, CPUs", f"peak, {unit}", "R²")
    return Table(caption, (*columns, "flagged") if flagged else columns, rows)


def told(laws: Sequence[Law]) -> list[str]:
    """Say in words what the curves show, if there are any."""
    if not laws:
        return []
    return [
        f"By the law, {'; '.join(map(_told, laws))}." if len(laws) <= TOLD_MAX else f"{len(laws)} laws are drawn."
    ]


def _told(law: Law) -> str:
    fitted = law.fitted
    peak = f"peak at {fitted.peak_ncpus:,.1f} CPUs" if math.isfinite(fitted.peak_ncpus) else "no peak"
    line = law.design + (f", {law.setting}" if law.setting else "")
    return f"{line}: sigma {_sigma(fitted.sigma.value)}, kappa {_kappa(fitted.kappa.value)}, {peak}"


def _interval(fitted: usl.Fitted, shown: Format) -> str:
    return f"{shown(fitted.value)} [{shown(fitted.low)} - {shown(fitted.high)}]"


def _sigma(value: float) -> str:
    return f"{value:,.4f}"


def _kappa(value: float) -> str:
    return f"{value:,.6f}"


def _peak(law: Law) -> tuple[str, str]:
    """Return where the peak is, and how high; past what was measured, it is said to be."""
    if not math.isfinite(law.fitted.peak_ncpus):
        return "none", "none"
    measured = law.first <= law.fitted.peak_ncpus <= law.last
    return f"{law.fitted.peak_ncpus:,.1f}" + ("" if measured else ", extrapolated"), number(law.fitted.peak_per_s)
