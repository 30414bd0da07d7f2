"""Section 5: stranded pages over time: free pages that some CPU could not reach, in the caches of the others."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Final

from uvmfree.report.page.content import Group, Plot, Section, Table
from uvmfree.report.page.numbers import percent
from uvmfree.report.page.plot import Trace, axis, colour, layout, pages_axis, plain
from uvmfree.report.page.samples import Timeline, rows_drawn, timelines
from uvmfree.report.page.settings import Source
from uvmfree.report.page.thin import thinned
from uvmfree.report.page.timeline import is_unfolded

_HEIGHT_PX: Final = 300


def stranded(sources: Sequence[Source], designs: Sequence[str]) -> Section:
    """Write the section."""
    found = timelines(sources, designs)
    limit = rows_drawn(found)
    groups = [
        Group([_plot(record, designs, limit)], record[0].source.title, is_unfolded(index, found))
        for index, record in enumerate(found)
    ]
    words = (
        "Stranded are the pages in all caches but the emptiest: those that the CPU with the emptiest cache cannot "
        "allocate, short of a redistribution. The same runs as above.",
    )
    return Section("stranded", "Stranded pages over time", words, groups)


def _plot(record: Sequence[Timeline], designs: Sequence[str], limit: int) -> Plot:
    unit, size = max(record, key=lambda each: each.end_ns).unit
    traces: list[Trace] = []
    for each in record:
        kept = thinned(len(each.stranded), limit, [each.stranded, [-held for held in each.stranded]])
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": plain(each.run.design),
                "x": [round(each.samples.t_ns[row] / size, 2) for row in kept],
                "y": [each.stranded[row] for row in kept],
                "line": {"color": colour(designs, each.run.design), "width": 2},
                "hovertemplate": "%{y:,d}",
            }
        )
    drawn = layout(
        xaxis=axis(f"time, {unit}", rangemode="tozero"),
        yaxis=pages_axis("stranded pages", [most for each in record for most in each.stranded]),
        hovermode="x unified",
        showlegend=True,
    )
    npages = record[0].source.record.param.npages
    peaks = [f"{each.run.design} {max(each.stranded):,}" for each in record]
    says = f"At most so many of {npages:,} pages were stranded: {', '.join(peaks)}."
    rows = [
        (
            each.run.design,
            f"{max(each.stranded):,}",
            percent(100 * max(each.stranded) / npages),
            f"{statistics.median(each.stranded):,.0f}",
            f"{each.stranded[-1]:,}",
            f"{100 * sum(1 for held in each.stranded if held) / len(each.stranded):.0f} %",
        )
        for each in record
    ]
    columns = ("design", "maximum", "of RAM", "median of the samples", "at the end", "samples with any")
    tables = [Table("Stranded pages", columns, rows)]
    if not any(max(each.stranded) for each in record):
        return Plot("Stranded pages", "No page was stranded in any sample.", [], {}, 0, tables)
    return Plot("Stranded pages", says, traces, drawn, _HEIGHT_PX, tables)
