"""Two records side by side: by how much each figure changed, how sure that is, and whether it got worse.

=> A ratio is that of the medians, second record over first. Its interval is a bootstrap's: both sets of repetitions
   are drawn anew RESAMPLES times, with a fixed seed, so that the same records always give the same answer.
=> THREAD_TIMES are compared only where threads ran at once in both records.
=> A figure is judged if there is a better and a worse for it (JUDGED). It got worse if the whole interval lies beyond
   the tolerance on the bad side: a change that the repetitions do not bear out is none.

Source: the percentile bootstrap, B. Efron, Bootstrap Methods: Another Look at the Jackknife (1979).
"""

import math
import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from uvmfree.errors import ArgumentError
from uvmfree.measure.record import THREAD_TIMES, Record
from uvmfree.measure.turns import LEFT_OUT
from uvmfree.uvm.designs import settings_of
from uvmfree.workload.plural import plural

RESAMPLES: Final = 2000
"""Enough that the 2.5 % at either end are fifty draws."""

SEED: Final = 1
CONFIDENCE: Final = 0.95

REPETITIONS_MIN: Final = 3
"""With fewer there is no interval to speak of, and nothing is judged but figures that are the same each time."""

UNSET: Final = "its default"
"""What is said of a tunable that a record does not have: of a design from outside it has those that were set."""

JUDGED: Final = {
    "local_hit_percent": +1,
    "shared_locks_per_op": -1,
    "atomics_per_op": -1,
    "wait_share_percent": -1,
    "contended_percent": -1,
    "moved_per_op": -1,
    "parked_pages_mean": -1,
    "warm_percent": +1,
    "color_right_percent": +1,
    "failed_while_free_elsewhere": -1,
    "faults_per_s": +1,
    "false_oom": -1,
    "wall_ms": -1,
}
"""The figures that are judged: +1 where more is better, -1 where less is. The others say what was going on."""


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one figure of one design.

    => `before`, `after`: medians. `ratio` after / before, and the ends of its interval; nan where it has none, inf
       where something came of nothing. `verdict`: better, worse, same, or unsure (few repetitions, or the
       interval reaches into the tolerance); "" for a figure that is not judged.
    """

    design: str
    figure: str
    before: float
    after: float
    ratio: float
    ratio_low: float
    ratio_high: float
    verdict: str


def compare(before: Record, after: Record, tolerance: float) -> list[Change]:
    """Compare all figures that both records have, design by design.

    => `tolerance`: the part of a figure by which it may get worse, 0.05 for 5 %. ArgumentError unless from 0 to 10.
    => ArgumentError if the records are of different workloads or kinds of machine, have no design in common, or
       nothing that is judged.
    """
    if not 0 <= tolerance <= 10:
        raise ArgumentError(f"--tolerance {tolerance:g}: must be from 0 to 10, a part of the figure (0.05 is 5 %)")
    if before.workload.name != after.workload.name or before.workload.ncpus != after.workload.ncpus:
        raise ArgumentError(f"the records are of different workloads: {_workload(before)} and {_workload(after)}")
    if before.machine.kind != after.machine.kind:
        raise ArgumentError(
            f"the records are of different machines, whose times do not compare: {before.machine.words} and "
            f"{after.machine.words}"
        )
    designs = [design for design in before.designs if design in after.designs]
    if not designs:
        raise ArgumentError(
            f"the records have no design in common: {', '.join(before.designs)} and {', '.join(after.designs)}"
        )
    at_once = run_at_once(before, after)
    changes = [
        _change(design, figure, values, others[figure], tolerance)
        for design in designs
        for values_of, others in [(before.values(design), after.values(design))]
        for figure, values in values_of.items()
        if figure in others and (at_once or figure not in THREAD_TIMES)
    ]
    if not any(change.verdict for change in changes):
        bare = [which for which, record in (("first", before), ("second", after)) if not record.runs]
        why = (
            f"the {' and the '.join(bare)} record has no runs"
            if bare
            else "no figure that is judged is in both records"
        )
        raise ArgumentError(f"nothing to compare: {why}" + ("" if bare or at_once else f". {LEFT_OUT}"))
    return changes


def run_at_once(before: Record, after: Record) -> bool:
    """Whether times of threads can be compared: where threads took turns in either, they say nothing."""
    return before.threads_run_at_once and after.threads_run_at_once


def _workload(record: Record) -> str:
    return f"{record.workload.name} on {plural(record.workload.ncpus, 'CPU')}"


def differences(before: Record, after: Record) -> Iterator[str]:
    """Yield what else differs between two records, a line each: a ratio may come of it."""
    designs = dict.fromkeys((*before.designs, *after.designs))
    hosts = (
        ("interpreter", before.host.interpreter, after.host.interpreter),
        ("processor", before.host.cpu_model, after.host.cpu_model),
        ("processors to use", str(len(before.host.affinity)), str(len(after.host.affinity))),
        ("kernel", before.host.kernel, after.host.kernel),
    )
    for name, one, other in (
        # What is virtual comes out the same on every host.
        *(() if before.machine.virtual and after.machine.virtual else hosts),
        ("machine", before.machine_words, after.machine_words),
        ("uvmfree", before.host.uvmfree, after.host.uvmfree),
        *((f"runs of {design}", _runs(before, design), _runs(after, design)) for design in designs),
    ):
        if one != other:
            yield f"{name}: {one} before, {other} after"
    tunables, others = settings_of(before.param), settings_of(after.param)
    for name in tunables | others:
        # A design of another package may not be installed here, or not as it was then.
        if (one := tunables.get(name, UNSET)) != (other := others.get(name, UNSET)):
            yield f"{name}: {one} before, {other} after"


def _runs(record: Record, design: str) -> str:
    if record.machine.virtual:
        return f"{len(record.counted(design))} in virtual time"
    return f"{len(record.counted(design))} with lockstat and {len(record.timed(design))} without"


def _change(design: str, figure: str, values: Sequence[float], others: Sequence[float], tolerance: float) -> Change:
    before, after = statistics.median(values), statistics.median(others)
    low, high = _interval(values, others)
    verdict = _verdict(JUDGED[figure], low, high, tolerance) if figure in JUDGED else ""
    return Change(design, figure, before, after, _ratio(after, before), low, high, verdict)


def _ratio(after: float, before: float) -> float:
    if before:
        return after / before
    return 1.0 if not after else math.inf


def _interval(values: Sequence[float], others: Sequence[float]) -> tuple[float, float]:
    """Return the interval of the ratio of medians, or nan twice if there are too few repetitions."""
    if len(set(values)) == len(set(others)) == 1:
        ratio = _ratio(others[0], values[0])
        return ratio, ratio
    if min(len(values), len(others)) < REPETITIONS_MIN:
        return math.nan, math.nan
    draw = random.Random(SEED)
    ratios = sorted(
        _ratio(
            statistics.median(draw.choices(others, k=len(others))),
            statistics.median(draw.choices(values, k=len(values))),
        )
        for _ in range(RESAMPLES)
    )
    tail = round(RESAMPLES * (1 - CONFIDENCE) / 2)
    return ratios[tail], ratios[-1 - tail]


def _verdict(better: int, low: float, high: float, tolerance: float) -> str:
    """Judge an interval; `better` is +1 if more is better."""
    if math.isnan(low):
        return "unsure"
    # The good side of 1 is made the upper one.
    bad, good = (low, high) if better > 0 else (_inverse(high), _inverse(low))
    limit = 1 / (1 + tolerance)
    if good < limit:
        return "worse"
    if bad > 1 + tolerance:
        return "better"
    return "same" if bad >= limit and good <= 1 + tolerance else "unsure"


def _inverse(ratio: float) -> float:
    return 1 / ratio if ratio else math.inf
