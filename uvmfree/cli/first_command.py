"""The first command, `uvmfree bench` with nothing asked: it also answers for more CPUs, and in about a minute.

=> Whoever waits longer for a first answer leaves, and hosts differ by much. So there are fewer repetitions, and fewer
   CPU counts on the curve, where more would take longer than there is time; what was left out is said.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import click
from click.core import ParameterSource

from uvmfree.cli.machine import COSTS, LOCK, SEED
from uvmfree.cli.running import first_signal_asks
from uvmfree.cli.scale import cases_of, measured_curve
from uvmfree.cli.status import BROKEN
from uvmfree.cli.virtual import strands

if TYPE_CHECKING:
    from uvmfree.measure.scale import Case

RUNS_S: Final = 25.0
"""Time for the repetitions on real threads."""

KIND: Final = "trace"
"""What is run on more CPUs: copies of the trace that ships."""

ALL_S: Final = 55.0
"""Time for everything, but for the ends of the curve, which there is always time for."""

COUNTS: Final = (64, 32, 16, 8, 4, 2)
"""CPU counts of the curve, the most telling first."""

ENDS: Final = {"greenlet": (8, 64), "baton": (8, 32)}
"""Those that are always run, by what strands are made of: one where nobody waits yet, and one where who shares a lock
does. With batons 64 CPUs took 45 s of the minute."""


def is_it() -> bool:
    """Whether nothing at all was asked for."""
    context = click.get_current_context()
    return all(context.get_parameter_source(name) is ParameterSource.DEFAULT for name in context.params)


def time_is_up(seconds: float, clock: Callable[[], float] = time.perf_counter) -> Callable[[], bool]:
    """Return what is asked after each repetition: whether one more, as long as the last, would end after so long.

    => The first has more to do than the others, and says nothing about them.
    """
    began = ended = clock()
    first = True

    def is_up() -> bool:
        nonlocal ended, first
        last, ended = clock() - ended, clock()
        more, first = 0.0 if first else last, False
        return ended - began + more > seconds

    return is_up


def that_fit(ends: tuple[int, int], took_s: float, left_s: float) -> list[int]:
    """Return which other COUNTS can be run in the time that is left, if the ends took so long.

    => The more CPUs the longer, in proportion.
    """
    found: list[int] = []
    for count in COUNTS:
        if count not in ends and (sum(found) + count) * took_s <= left_s * sum(ends):
            found.append(count)
    return found


def print_curve(left_s: float) -> None:
    """Print how the designs scale, which real threads on this host cannot show; `left_s`: what is left of ALL_S."""
    from uvmfree.measure.scale import Traffic
    from uvmfree.report.curve_text import lines

    traffic = Traffic(KIND)
    left_out: list[int] = []
    ends = ENDS[strands()]

    def cases(counts: Sequence[int]) -> list[Case]:
        return cases_of(traffic, (), sorted(counts), COSTS, (), LOCK, range(SEED, SEED + 1), False)

    def rounds() -> Iterator[list[Case]]:
        began = time.perf_counter()
        yield cases(ends)
        took_s = time.perf_counter() - began
        fit = that_fit(ends, took_s, left_s - took_s)
        left_out.extend(sorted({*COUNTS}.difference(ends, fit)))
        yield cases(fit)

    with first_signal_asks() as asked:
        curve = measured_curve(cases(COUNTS), asked, rounds=rounds())
    click.echo()
    for line in lines(curve):
        click.echo(line)
    if curve.interrupted:
        sys.exit(asked.status if asked() else BROKEN)
    if left_out:
        counts = ", ".join(map(str, left_out))
        click.echo(f"\nLeft out for want of time: {counts} CPUs; `uvmfree scale` runs them.")
