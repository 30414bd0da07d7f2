"""Section 6: pages parked in caches, operation by operation, and what else was counted of each operation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from uvmfree.measure.tally import WARM_PAGES, Tally, figures_of
from uvmfree.report.page.content import Group, Plot, Section, Table
from uvmfree.report.page.numbers import hundredths, number
from uvmfree.report.page.plot import Trace, axis, colour, layout, pages_axis, plain
from uvmfree.report.page.settings import Source

Tallied = Sequence[tuple[str, Tally]]
"""The tallies of a record, by design."""

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
    peaks = ", ".join(f"{design} {tally.parked_pages_max:,}" for design, tally in tallied)
    says = f"At most so many of {source.record.param.npages:,} pages were parked: {peaks}."
    return Plot(_TITLE, says, traces, drawn, _HEIGHT_PX, [_figures(tallied), _left(tallied)])


def _figures(tallied: Tallied) -> Table:
    columns = (
        "design",
        "parked, maximum",
        "parked, mean",
        "items in a hold, median",
        "99 %",
        "maximum",
        "warm, %",
        "pages until reuse, median",
        "right colour, %",
    )
    rows = []
    for design, tally in tallied:
        one = figures_of(tally)
        figures = (
            one.parked_pages_max,
            one.parked_pages_mean,
            one.held_items_p50,
            one.held_items_p99,
            one.held_items_max,
        )
        rows.append(
            (
                design,
                *(_shown(figure) for figure in figures),
                _percent(one.warm_percent),
                _shown(one.reuse_pages_median),
                _percent(one.color_right_percent),
            )
        )
    caption = (
        "Parked pages; items that holds of shared locks touched (a page, or a run of pages that moves by pointer); "
        f"pages that came back to the CPU that freed them, warm with at most {WARM_PAGES} others in between"
    )
    return Table(caption, columns, rows)


def _left(tallied: Tallied) -> Table:
    columns = (
        "design",
        "free blocks",
        "with no page cached",
        "failed beside cached pages",
        "stranded after 1 s",
        "after 5 s",
        "after 20 s",
    )
    rows = []
    for design, tally in tallied:
        one = figures_of(tally)
        figures = (
            one.free_512_blocks,
            one.store_512_blocks,
            one.failed_while_free_elsewhere,
            one.stranded_1s_pages,
            one.stranded_5s_pages,
            one.stranded_20s_pages,
        )
        rows.append((design, *(_shown(figure) for figure in figures)))
    return Table(
        "At the end: aligned blocks of 512 pages without one in use; allocations failed; what strands", columns, rows
    )


def _shown(figure: float | None) -> str:
    return "-" if figure is None else number(figure)


def _percent(figure: float | None) -> str:
    return "-" if figure is None else hundredths(figure)
