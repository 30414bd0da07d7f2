"""Sections, plots and tables as HTML, for eyes, keyboards, screen readers and paper."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Final

from uvmfree.report.page.content import Group, Plot, Section, Table
from uvmfree.report.page.markup import Html, joined, tag
from uvmfree.report.page.plot import as_json

ROWS_UNFOLDED: Final = 40
"""A plot with more rows of figures has them folded away; on paper they are unfolded."""

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
"""What a cell begins with that is a date: it is not broken over lines."""


class Renderer:
    """Makes HTML; numbers what it makes, so that every id of a page is there once."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def section(self, number: int, section: Section) -> Html:
        """Render a section; `number` stands before its title, 0 is none."""
        title = f"{number}. {section.title}" if number else section.title
        return tag(
            "section",
            tag("h2", title, id=f"{section.name}-title"),
            *(tag("p", words) for words in section.words),
            *([tag("pre", tag("code", "\n".join(section.commands)), tabindex=0)] if section.commands else []),
            *(self._group(group) for group in section.groups),
            id=section.name,
            tabindex=-1,
            aria_labelledby=f"{section.name}-title",
        )

    def _group(self, group: Group) -> Html:
        plots = tag("div", *map(self._plot, group.plots), class_="plots") if group.plots else Html()
        inner = joined(plots, *map(self._table, group.tables))
        if not group.summary:
            return inner
        return tag("details", tag("summary", group.summary), inner, class_="record", open=group.unfolded)

    def _plot(self, plot: Plot) -> Html:
        title = tag("h3", plot.title)
        if not plot.traces:
            return tag("div", title, tag("p", plot.says), self._figures(plot))
        name = f"plot-{next(self._numbers)}"
        # plotly's JSON has no < and no &: as_json() saw to that.
        data = tag("script", Html(as_json(plot)), type="application/json", id=f"{name}-data")
        drawing = tag(
            "div",
            class_="plot",
            id=name,
            role="img",
            aria_label=f"{plot.title}. {plot.says} The table below has all figures.",
            style=f"height:{plot.height}px",
        )
        return tag("figure", title, drawing, data, tag("figcaption", plot.says), self._figures(plot))

    def _figures(self, plot: Plot) -> Html:
        few = sum(len(table.rows) for table in plot.tables) <= ROWS_UNFOLDED
        return tag("details", tag("summary", "Figures"), *map(self._table, plot.tables), open=few)

    def _table(self, table: Table) -> Html:
        name = f"table-{next(self._numbers)}"
        head = tag("tr", *(self._heading(text, index < table.names) for index, text in enumerate(table.columns)))
        named = any(table.columns)
        drawn = tag(
            "table",
            tag("caption", table.caption, id=name),
            tag("thead", head) if named else Html(),
            *(tag("tbody", *(tag("tr", *_cells(table, row)) for row in rows)) for rows in _under_headings(table)),
            class_="wide" if table.wide else False,
        )
        # Where it is wider than its place it scrolls, and whoever has no mouse must be able to scroll it.
        return tag("div", drawn, class_="scroll", role="group", tabindex=0, aria_labelledby=name)

    def _heading(self, text: str, names_rows: bool) -> Html:
        kind = "name" if names_rows else "number"
        return tag("th", text, scope="col", class_=kind) if text else tag("td", class_=kind)


def _under_headings(table: Table) -> list[list[Sequence[str]]]:
    """Return the rows of a table, parted where a heading stands."""
    parts: list[list[Sequence[str]]] = [[]]
    for row in table.rows:
        if len(row) == 1 and parts[-1]:
            parts.append([])
        parts[-1].append(row)
    return parts


def _cells(table: Table, row: Sequence[str]) -> Iterator[Html]:
    if len(row) == 1:
        yield tag("th", row[0], scope="rowgroup", class_="heading", colspan=len(table.columns))
        return
    for index, text in enumerate(row):
        if index >= table.names:
            yield _number(text) if not table.wide else _text(text)
        elif index == 0 or not table.wide:
            yield tag("th", text, scope="row", class_="name")
        else:
            yield _text(text)


def _number(text: str) -> Html:
    """Render a figure; between a value and its range a line may break."""
    value, bracket, ends = text.partition(" [")
    if not bracket:
        return tag("td", text, class_="number")
    return tag("td", tag("span", value), " ", tag("span", f"[{ends}"), class_="number")


def _text(text: str) -> Html:
    return tag("td", text, class_="text date" if _DATE.match(text) else "text")
