"""Section 6: pages parked in caches, operation by operation, and what else was counted of each operation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from uvmfree.measure.tally import WARM_PAGES, Tally, figures_of
from uvmfree.report.page.content import Group, Plot, Section, Table
from uvmfree.report.page.numbers import Format, hundredths, number
from uvmfree.report.page.plot import Trace, axis, colour, layout, pages_axis, plain
from uvmfree.report.page.settings import Source

Tallied = Sequence[tuple[str, Tally]]
"""The tallies of a record, by design."""

Column = tuple[str, str, Format]
"""Heading, figure, and how it is shown."""

COUNTED: Final[Sequence[Column]] = (
    ("parked, maximum", "parked_pages_max", number),
    ("parked, mean", "parked_pages_mean", number),
    ("items in a hold, median", "held_items_p50", number),
    ("99 %", "held_items_p99", number),
    ("maximum", "held_items_max", number),
    ("warm, %", "warm_percent", hundredths),
    ("pages until reuse, median", "reuse_pages_median", number),
    ("right colour, %", "color_right_percent", hundredths),
)

LEFT: Final[Sequence[Column]] = (
    ("free blocks", "free_512_blocks", number),
    ("with no page cached", "store_512_blocks", number),
    ("failed beside cached pages", "failed_while_free_elsewhere", number),
    ("stranded after 1 s", "stranded_1s_pages", number),
    ("after 5 s", "stranded_5s_pages", number),
    ("after 20 s", "stranded_20s_pages", number),
)

_COUNTED_SAY: Final = (
    "Parked pages; items that holds of shared locks touched (a page, or a run of pages that moves by pointer); pages "
    f"that came back to the CPU that freed them, warm with at most {WARM_PAGES} others in between"
)
_LEFT_SAY: Final = "At the end: aligned blocks of 512 pages without one in use; allocations failed; what strands"

_HEIGHT_PX: Final = 300
_TITLE: Final = "Parked pages by operation"


def parked(sources: Sequence[Source], designs: Sequence[str]) -> Section:
    """Write the section."""
    title = "Parked pages, holds and warmth, counted at each operation"
    found = [(source, tallied) for source in sources if (tallied := _tallied(source, designs))]
    if not found:
        return Section("parked", title, ["No record has counts of each operation."])
    groups = [
        Group([_plot(source, tallied, designs)], source.title, not at) for at, (source, tallied) in enumerate(found)
    ]
    words = (
        "Parked are the pages in caches that one CPU alone allocates from. All figures here were counted at each "
        "page operation, in virtual time; none is sampled.",
    )
    return Section("parked", title, words, groups)


def _tallied(source: Source, designs: Sequence[str]) -> Tallied:
    """Return the tallies of a record: of each design its first."""
    tallies: dict[str, Tally] = {}
    for run in source.record.runs:
        if run.tally is not None:
            tallies.setdefault(run.design, run.tally)
    return [(design, tallies[design]) for design in designs if design in tallies]


def _plot(source: Source, tallied: Tallied, designs: Sequence[str]) -> Plot:
    traces: list[Trace] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": plain(design),
            "x": [at * tally.parked_every for at in range(len(tally.parked))],
            "y": list(tally.parked),
            "line": {"color": colour(designs, design), "width": 2, "shape": "hv"},
            "hovertemplate": "%{y:,d}",
        }
        for design, tally in tallied
    ]
    drawn = layout(
        xaxis=axis("page operations", rangemode="tozero", tickformat=",d"),
        yaxis=pages_axis("parked pages", [most for _, tally in tallied for most in tally.parked]),
        hovermode="x unified",
        showlegend=True,
    )
    tables = [_table(_COUNTED_SAY, COUNTED, tallied), _table(_LEFT_SAY, LEFT, tallied)]
    if not any(tally.parked_pages_max for _, tally in tallied):
        return Plot(_TITLE, "No page was parked, with no design.", [], {}, 0, tables)
    peaks = ", ".join(f"{design} {tally.parked_pages_max:,}" for design, tally in tallied)
    says = f"At most so many of {source.record.param.npages:,} pages were parked: {peaks}."
    return Plot(_TITLE, says, traces, drawn, _HEIGHT_PX, tables)


def _table(caption: str, columns: Sequence[Column], tallied: Tallied) -> Table:
    rows = []
    for design, tally in tallied:
        one = figures_of(tally)
        figures = [(getattr(one, name), shown) for _, name, shown in columns]
        rows.append((design, *("-" if figure is None else shown(figure) for figure, shown in figures)))
    return Table(caption, ("design", *(heading for heading, _, _ in columns)), rows)
