"""Scaling in virtual time: the curves of `uvmfree scale`, by workload, and the facts that belong to them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from uvmfree.machine.costs import SETS
from uvmfree.report.curve_text import seeds
from uvmfree.report.page import law
from uvmfree.report.page.content import Group, Section, Table
from uvmfree.report.page.numbers import listed
from uvmfree.report.page.settings import cpus
from uvmfree.report.page.virtual_lines import CurveSource, Line, by_workload, lines_of
from uvmfree.report.page.virtual_plots import share, throughput
from uvmfree.report.page.virtual_tables import BUSY, WAITING, share_table, throughput_table
from uvmfree.workload.plural import plural

COMMANDS = ("uvmfree scale --band --json scale.json", "uvmfree report scale.json -o report.html")

_MEANING = (
    "Virtual: the allocator's own code runs on simulated CPUs, and all times follow from a table of costs. No such "
    "machine was measured.",
    "The linear line is what so many CPUs do if none of them ever waits. For a trace it is the work outside of the "
    "allocator that was recorded; for other workloads what the smallest number of CPUs did, times the CPUs. A ring "
    "marks where a design first does less than half of that: there it has saturated.",
)
_BAND = (
    "The band goes from the least to the most that a design does if one group of costs (lines, holds, locks, the "
    "work outside) is half or twice what the table says."
)


def virtual(sources: Sequence[CurveSource]) -> list[Section]:
    """Return the section of curves, if there are any."""
    if not sources:
        return []
    laws, groups, single = law.Laws(), list[Group](), list[str]()
    for workload, curves in by_workload(sources):
        lines = lines_of(curves)
        designs = list(dict.fromkeys(line.label for line in lines))
        single += _single([line for line in lines if not line.grows], workload)
        if any(line.grows for line in lines):
            plots = [throughput(workload, lines, designs, laws), share(BUSY, workload, lines, designs)]
            groups += [Group([plot]) for plot in plots]
        elif lines:
            tables = [throughput_table(lines), *(share_table(figure, lines) for figure in (WAITING, BUSY))]
            groups.append(Group([], tables=tables))
    drawn = any(group.plots for group in groups)
    words = [
        *(_MEANING if groups else ()),
        *([_BAND] if any(_plain(source) < len(source.curve.points) for source in sources) else []),
        *single,
        *(f"{source.title}: {_NOTHING}" for source in sources if not _plain(source)),
        *laws.words(),
        *([] if drawn else ["A curve shows once designs were run on several numbers of CPUs:"]),
    ]
    facts = [Table(source.title, ("", ""), list(_facts(source)), 1, wide=True) for source in sources]
    groups.append(Group([], "All facts of each curve", unfolded=len(sources) == 1, tables=facts))
    return [Section("virtual", "Scaling in virtual time", words, groups, () if drawn else COMMANDS)]


_NOTHING = "no point was measured with the costs as they are, so there is nothing to draw."


def caveats(sources: Sequence[CurveSource]) -> Iterator[str]:
    """Yield what a reader has to bear in mind, a sentence or two each."""
    if sources:
        yield (
            "Scaling in virtual time is computed: it is as good as the costs, of which some are assumed. Compare "
            "shapes and the order of designs before you compare figures."
        )
    for source in sources:
        if source.curve.interrupted:
            yield f"{source.title}: interrupted. It has what was measured until then."
        if failed := sum(point.failed for point in source.curve.points):
            yield f"{source.title}: {plural(failed, 'allocation')} got no page."


def _single(lines: Sequence[Line], workload: str) -> Iterator[str]:
    for ncpus in dict.fromkeys(line.counts[0] for line in lines):
        names = [line.name for line in lines if line.counts[0] == ncpus]
        were = "was" if len(names) == 1 else "were"
        yield f"{workload}: {listed(names)} {were} run on {cpus(ncpus)} only; one point is no curve."


def _plain(source: CurveSource) -> int:
    """Return how many points have the costs as they are."""
    return sum(not point.case.varied for point in source.curve.points)


def _facts(source: CurveSource) -> Iterator[tuple[str, str]]:
    curve, host, base = source.curve, source.curve.host, source.curve.base
    if curve.interrupted:
        yield "interrupted", "this curve is not whole: it was broken off, and has what was measured before"
    yield "file", source.name
    yield "command", shlex.join(curve.command) or "not recorded"
    if base is not None:
        yield "workload", base.traffic.name + (f"; trace {base.traffic.trace}" if base.traffic.trace else "")
        yield "designs", "; ".join(curve.labels())
        yield "CPUs, virtual", ", ".join(map(str, curve.cpu_counts()))
        yield "lock policy", f"{base.lock}, for shared locks"
        yield "costs", _costs(base.costs)
        changed = {} if base.varied else base.changed
        yield "costs with other values", ", ".join(f"{name}={value:g}" for name, value in changed.items()) or "none"
        yield "seeds", seeds(curve).partition(" ")[2]
    plain = _plain(source)
    yield "points", f"{plain:,} with these costs, {len(curve.points) - plain:,} with some halved or doubled"
    yield "date", host.date
    yield "computed by", f"uvmfree {host.uvmfree}, {host.interpreter}, {host.kernel}"


def _costs(name: str) -> str:
    """Say what a set of costs rests on, if this program has it."""
    if name not in SETS:
        return f"{name}, which this uvmfree does not have"
    assumed = [cost for cost, figure in SETS[name].items() if figure.assumed]
    return f"{name}: {plural(len(SETS[name]), 'figure')}, of which assumed: {listed(assumed) or 'none'}"
