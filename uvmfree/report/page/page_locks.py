"""Section 1: how long threads wait for page locks, and how often they take the one that all share."""

from __future__ import annotations

from collections.abc import Sequence

from uvmfree.report.page.content import Group, Plot, Section
from uvmfree.report.page.numbers import Format, hundredths, number, percent, spread
from uvmfree.report.page.rows import NOTHING, counted, repetitions, rows_plot, table, told
from uvmfree.report.page.settings import Point, at_once, left_out

Column = tuple[str, str, Format]
"""Heading, figure, and how it is shown."""


def locks(points: Sequence[Point], designs: Sequence[str]) -> Section:
    """Write the section."""
    title = "Wait share and shared-lock acquisitions"
    points = counted(points, designs)
    if not points:
        return Section("locks", title, [NOTHING])
    waited = at_once(points)
    wait = _plot(
        waited,
        designs,
        "Wait share",
        "Share of their time that threads waited for page locks",
        [
            ("wait share, %", "wait_share_percent", hundredths),
            ("contended, %", "contended_percent", hundredths),
        ],
        "time waiting, % of the time not stalled",
        percent,
    )
    shared = _plot(
        points,
        designs,
        "Shared-lock acquisitions per page operation",
        "Acquisitions of uvm_fpageqlock per page allocated or freed",
        [
            ("shared-lock acquisitions", "shared_locks_per_op", number),
            ("atomic operations", "atomics_per_op", number),
            ("local hits, %", "local_hit_percent", hundredths),
        ],
        "acquisitions per page operation",
        number,
    )
    words = [
        "How often a lock is taken is a count that noise cannot touch.",
        *left_out(points, "the share of their time that they waited for page locks"),
    ]
    if waited:
        words.insert(
            0,
            "Wait share is the time that threads waited for page locks (uvm_fpageqlock and the uvm_cpu locks), of "
            "the time in which they were not stalled for a trace, a partner or pages. Contended are acquisitions "
            "that found the lock held.",
        )
    return Section("locks", title, words, [Group([wait, shared] if waited else [shared])])


def _plot(
    points: Sequence[Point],
    designs: Sequence[str],
    title: str,
    says: str,
    columns: Sequence[Column],
    unit: str,
    shown: Format,
) -> Plot:
    figure = columns[0][1]

    def values(point: Point, design: str) -> Sequence[float]:
        return point.values(design, figure)

    def cells(point: Point, design: str) -> Sequence[str]:
        found = [point.values(design, name) for _, name, _ in columns]
        if not found[0]:
            return ()
        return [spread(each, how) for each, (_, _, how) in zip(found, columns, strict=True)]

    figures = table(
        f"{title}: medians [minimum - maximum] of {repetitions(points, designs, values)}",
        points,
        designs,
        [heading for heading, _, _ in columns],
        cells,
    )
    traces, layout, height = rows_plot(points, designs, values, shown, unit)
    return Plot(title, f"{says}: {told(points, designs, values, shown)}.", traces, layout, height, [figures])
